//! How a case and a session are written for the API: what stands, what it came from, and what
//! waits for a person. Plain data, `snake_case`, every value with who, where and when.

use std::collections::BTreeMap;

use names::{EntryId, Moment, SiteId, WorkerId};
use serde::Serialize;

use crate::case::{Case, Completion, Correction, Note, Opening, Outcome, Raise, Task};
use crate::code::{AlertCode, Attendance, ChecklistItem, Instrument, Slot, Status, Theme};
use crate::conflict::Conflict;
use crate::entry::Attender;
use crate::measure::swemwbs_metric;
use crate::merge::{Derived, EntryLog, Fact, Line, MultiValue, Row, Said};
use crate::session::{self, Cash, Marked, Plan, Session, Times};
use crate::text::Text;
use crate::time::Day;

/// What an entry says, beside who said it, where and when.
#[derive(Serialize)]
struct Told<'a, T: Serialize> {
    entry: EntryId,
    at: Moment,
    by: &'a WorkerId,
    site: &'a SiteId,
    #[serde(flatten)]
    says: T,
}

impl<'a, T: Serialize> Told<'a, T> {
    fn of<R>(row: &Row<'a, R>, says: T) -> Told<'a, T> {
        Told {
            entry: row.entry,
            at: row.made.at,
            by: &row.made.by,
            site: &row.made.site,
            says,
        }
    }
}

fn told<'a, T, S: Serialize>(
    log: &'a EntryLog<T>,
    says: impl Fn(&Row<'a, T>) -> S,
) -> Vec<Told<'a, S>> {
    log.in_order()
        .iter()
        .map(|row| Told::of(row, says(row)))
        .collect()
}

/// A field in which several values may stand.
#[derive(Serialize)]
struct ManyView<'a, T: Serialize> {
    standing: Vec<Told<'a, &'a Said<T>>>,
    contested: bool,
    history: Vec<Told<'a, &'a Said<T>>>,
}

impl<'a, T: Serialize + Ord + Clone> ManyView<'a, T> {
    fn of(field: &'a MultiValue<T>) -> ManyView<'a, T> {
        ManyView {
            standing: field
                .standing()
                .iter()
                .map(|row| Told::of(row, row.value))
                .collect(),
            contested: field.is_contested(),
            history: told(field.history(), |row| row.value),
        }
    }
}

#[derive(Serialize)]
struct Corrected<'a> {
    #[serde(flatten)]
    note: &'a Note,
    corrections: Vec<Told<'a, &'a Correction>>,
}

#[derive(Serialize)]
struct AlertView<'a> {
    code: AlertCode,
    words: &'static str,
    stands: bool,
    raises: Vec<Told<'a, RaiseView<'a>>>,
    reviews: Vec<Told<'a, ReviewView<'a>>>,
}

#[derive(Serialize)]
struct RaiseView<'a> {
    #[serde(flatten)]
    raise: &'a Raise,
    stands: bool,
}

#[derive(Serialize)]
struct ReviewView<'a> {
    clear: bool,
    reason: &'a Text,
    seen: Vec<EntryId>,
}

#[derive(Serialize)]
struct StatusView<'a> {
    operational: Status,
    contested: bool,
    standing: Vec<Told<'a, &'a Said<Status>>>,
    history: Vec<Told<'a, &'a Said<Status>>>,
}

#[derive(Serialize)]
struct TaskView<'a> {
    #[serde(flatten)]
    task: &'a Task,
    due: Option<Day>,
    done: bool,
    completions: Vec<Told<'a, &'a Completion>>,
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    replaces: Option<EntryId>,
    current: bool,
    /// SWEMWBS only: the metric score in hundredths, computed from the raw total.
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_hundredths: Option<Derived<u32>>,
}

/// A case as the API shows it.
#[derive(Serialize)]
pub(crate) struct CaseView<'a> {
    openings: Vec<Told<'a, &'a Opening>>,
    identifiers: BTreeMap<Slot, ManyView<'a, Text>>,
    alerts: Vec<AlertView<'a>>,
    status: StatusView<'a>,
    lead: ManyView<'a, WorkerId>,
    next_review: Option<Day>,
    review: ManyView<'a, Day>,
    tasks: Vec<Told<'a, TaskView<'a>>>,
    notes: Vec<Told<'a, Corrected<'a>>>,
    outcomes: Vec<Told<'a, OutcomeView<'a>>>,
    themes: Vec<Theme>,
    plan: &'a Text,
    fields: &'a BTreeMap<String, Text>,
    conflicts: Vec<Conflict>,
    entries: usize,
}

impl<'a> CaseView<'a> {
    pub(crate) fn of(case: &'a Case) -> CaseView<'a> {
        let status = &case.status;
        let identifiers = case.identifiers.iter();
        CaseView {
            openings: told(&case.openings, |row| row.value),
            identifiers: identifiers
                .map(|(slot, value)| (*slot, ManyView::of(value)))
                .collect(),
            alerts: alerts(case),
            status: StatusView {
                operational: status.operational(),
                contested: status.is_contested(),
                standing: status
                    .standing()
                    .iter()
                    .map(|row| Told::of(row, row.value))
                    .collect(),
                history: told(status.history(), |row| row.value),
            },
            lead: ManyView::of(&case.lead),
            next_review: case.review.least().copied(),
            review: ManyView::of(&case.review),
            tasks: tasks(case),
            notes: notes(case),
            outcomes: outcomes(case),
            themes: case.themes.keys().copied().collect(),
            plan: case.plan.text(),
            fields: case.fields.values(),
            conflicts: case.conflicts(),
            entries: case.journal.len(),
        }
    }
}

fn alerts(case: &Case) -> Vec<AlertView<'_>> {
    let mut views = Vec::new();
    for (code, set) in &case.alerts {
        let standing: Vec<EntryId> = set.standing().iter().map(|row| row.entry).collect();
        let (mut raises, mut reviews) = (Vec::new(), Vec::new());
        for row in set.history().in_order() {
            match row.value {
                Fact::Raise(raise) => {
                    let stands = standing.contains(&row.entry);
                    raises.push(Told::of(&row, RaiseView { raise, stands }));
                }
                Fact::Review { clear, said } => {
                    let seen = row.seen.iter().copied().collect();
                    let view = ReviewView {
                        clear: *clear,
                        reason: said,
                        seen,
                    };
                    reviews.push(Told::of(&row, view));
                }
            }
        }
        let stands = !standing.is_empty();
        views.push(AlertView {
            code: *code,
            words: code.words(),
            stands,
            raises,
            reviews,
        });
    }
    views
}

fn tasks(case: &Case) -> Vec<Told<'_, TaskView<'_>>> {
    let mut done: BTreeMap<EntryId, Vec<Told<'_, &Completion>>> = BTreeMap::new();
    for row in case.completions.in_order() {
        done.entry(row.value.task)
            .or_default()
            .push(Told::of(&row, row.value));
    }
    let mut views = Vec::new();
    for row in case.tasks.in_order() {
        let completions = done.remove(&row.entry).unwrap_or_default();
        let view = TaskView {
            task: row.value,
            due: case.due(row.entry),
            done: !completions.is_empty(),
            completions,
        };
        views.push(Told::of(&row, view));
    }
    views
}

fn notes(case: &Case) -> Vec<Told<'_, Corrected<'_>>> {
    let mut corrections: BTreeMap<EntryId, Vec<Told<'_, &Correction>>> = BTreeMap::new();
    for row in case.corrections.in_order() {
        corrections
            .entry(row.value.note)
            .or_default()
            .push(Told::of(&row, row.value));
    }
    let mut views = Vec::new();
    for row in case.notes.in_order() {
        let corrections = corrections.remove(&row.entry).unwrap_or_default();
        views.push(Told::of(
            &row,
            Corrected {
                note: row.value,
                corrections,
            },
        ));
    }
    views
}

fn outcomes(case: &Case) -> Vec<Told<'_, OutcomeView<'_>>> {
    let current = case.outcomes.current_entries();
    told(case.outcomes.history(), |row| OutcomeView {
        outcome: row.value,
        replaces: row.seen.first().copied(),
        current: current.contains(&row.entry),
        metric_hundredths: metric(row.value),
    })
}

fn metric(outcome: &Outcome) -> Option<Derived<u32>> {
    let converted = outcome.instrument == Instrument::Swemwbs;
    converted
        .then(|| swemwbs_metric(outcome.total).map(Derived))
        .flatten()
}

#[derive(Serialize)]
struct AttenderView<'a> {
    attender: &'a Attender,
    operational: Option<Marked>,
    #[serde(flatten)]
    marks: ManyView<'a, Marked>,
}

#[derive(Serialize)]
struct LineView<'a> {
    #[serde(flatten)]
    line: &'a Line<Cash>,
    reversed: bool,
}

#[derive(Serialize)]
struct ReversalView<'a> {
    cash: EntryId,
    reason: &'a Text,
}

#[derive(Serialize)]
struct CountView {
    entry: EntryId,
    counted_pence: u32,
    variance_pence: Derived<i64>,
}

#[derive(Serialize)]
struct CashView<'a> {
    received_pence: Derived<i64>,
    paid_out_pence: Derived<i64>,
    expected_pence: Derived<i64>,
    /// The standing counts, each beside what should be there.
    counted: Vec<CountView>,
    counts: ManyView<'a, u32>,
    lines: Vec<Told<'a, LineView<'a>>>,
    reversals: Vec<Told<'a, ReversalView<'a>>>,
}

#[derive(Serialize)]
struct HeadCountView<'a> {
    /// From the register.
    attended: Derived<u32>,
    /// What the people counted are more, or fewer if negative, than the register has.
    differences: Vec<i64>,
    counts: ManyView<'a, u32>,
}

#[derive(Serialize)]
struct TickView<'a> {
    item: ChecklistItem,
    words: &'static str,
    done: bool,
    ticks: Vec<Told<'a, ()>>,
}

/// A session as the API shows it.
#[derive(Serialize)]
pub(crate) struct SessionView<'a> {
    openings: Vec<Told<'a, &'a session::Opening>>,
    plan: ManyView<'a, Plan>,
    times: ManyView<'a, Times>,
    operational_times: Option<Times>,
    register: Vec<AttenderView<'a>>,
    attendance: BTreeMap<Attendance, u32>,
    head_count: HeadCountView<'a>,
    cash: CashView<'a>,
    checklist: Vec<TickView<'a>>,
    notes: &'a Text,
    fields: &'a BTreeMap<String, Text>,
    conflicts: Vec<Conflict>,
    entries: usize,
}

impl<'a> SessionView<'a> {
    pub(crate) fn of(session: &'a Session) -> SessionView<'a> {
        let register = session
            .register
            .iter()
            .map(|(attender, marks)| AttenderView {
                attender,
                operational: marks.least().copied(),
                marks: ManyView::of(marks),
            });
        let mut attendance = BTreeMap::new();
        for marked in session.register.values().filter_map(MultiValue::least) {
            *attendance.entry(marked.attendance).or_default() += 1;
        }
        SessionView {
            openings: told(&session.openings, |row| row.value),
            plan: ManyView::of(&session.plan),
            times: ManyView::of(&session.times),
            operational_times: session.widest_times(),
            register: register.collect(),
            attendance,
            head_count: head_count(session),
            cash: cash(session),
            checklist: checklist(session),
            notes: session.notes.text(),
            fields: session.fields.values(),
            conflicts: session.conflicts(),
            entries: session.journal.len(),
        }
    }
}

fn head_count(session: &Session) -> HeadCountView<'_> {
    let attended = session.attended();
    let values = session.head_counts.values().into_iter();
    HeadCountView {
        attended,
        differences: values
            .map(|people| i64::from(*people) - i64::from(attended.0))
            .collect(),
        counts: ManyView::of(&session.head_counts),
    }
}

fn cash(session: &Session) -> CashView<'_> {
    let reversed = session.cash.reversed();
    let counted = session.counts.standing();
    CashView {
        received_pence: session.received(),
        paid_out_pence: session.paid_out(),
        expected_pence: session.expected_cash(),
        counted: counted
            .iter()
            .map(|row| CountView {
                entry: row.entry,
                counted_pence: row.value.value,
                variance_pence: session.variance(row.value.value),
            })
            .collect(),
        counts: ManyView::of(&session.counts),
        lines: told(session.cash.lines(), |row| LineView {
            line: row.value,
            reversed: reversed.contains(&row.entry),
        }),
        reversals: told(session.cash.reversals(), |row| ReversalView {
            cash: row.value.0,
            reason: &row.value.1,
        }),
    }
}

/// Every item, done or not, so that a screen need not know the list.
fn checklist(session: &Session) -> Vec<TickView<'_>> {
    let item = |item: &ChecklistItem| {
        let ticks = session
            .checklist
            .get(item)
            .map(|log| told(log, |_| ()))
            .unwrap_or_default();
        TickView {
            item: *item,
            words: item.words(),
            done: !ticks.is_empty(),
            ticks,
        }
    };
    ChecklistItem::ALL.iter().map(item).collect()
}
