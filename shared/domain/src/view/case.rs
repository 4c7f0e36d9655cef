//! A case as the API shows it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use names::{EntryId, WorkerId};
use serde::Serialize;

use super::{
    EditsView, FieldSet, ManyView, Told, UnreadView, fields_history, leftovers, told, unread,
};
use crate::case::{Case, Completion, Correction, Note, Opening, Outcome, Raise, Task};
use crate::code::{AlertCode, Instrument, Slot, Status, Theme};
use crate::conflict::Conflict;
use crate::entry::Act;
use crate::measure::swemwbs_metric;
use crate::merge::{Derived, Fact, Said};
use crate::text::Text;
use crate::time::Day;

#[derive(Serialize)]
struct Corrected<'a> {
    #[serde(flatten)]
    note: &'a Note,
    corrections: Vec<Told<'a, &'a Correction>>,
}

#[derive(Serialize)]
struct AlertView<'a> {
    /// Null for what this version cannot read.
    code: Option<AlertCode>,
    words: &'static str,
    stands: bool,
    /// What a review of all this says it has seen: what stands, what is in dispute, the newest.
    in_view: Vec<EntryId>,
    raises: Vec<Told<'a, RaiseView<'a>>>,
    reviews: Vec<Told<'a, ReviewView<'a>>>,
}

#[derive(Serialize)]
struct RaiseView<'a> {
    detail: Cow<'a, Text>,
    review_by: Option<Day>,
    stands: bool,
}

impl<'a> RaiseView<'a> {
    fn of(raise: &'a Raise, stands: bool) -> RaiseView<'a> {
        RaiseView {
            detail: Cow::Borrowed(&raise.detail),
            review_by: raise.review_by,
            stands,
        }
    }
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
    due_dates: Option<ManyView<'a, Option<Day>>>,
    done: bool,
    completions: Vec<Told<'a, &'a Completion>>,
}

#[derive(Serialize)]
struct OutcomeView<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    replaces: Vec<EntryId>,
    current: bool,
    /// SWEMWBS only: the metric score in hundredths, computed from the raw total.
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_hundredths: Option<Derived<u32>>,
}

#[derive(Serialize)]
struct ThemeView<'a> {
    theme: Theme,
    words: &'static str,
    added: Vec<Told<'a, ()>>,
}

fn themes(case: &Case) -> Vec<ThemeView<'_>> {
    case.themes
        .iter()
        .map(|(theme, added)| ThemeView {
            theme: *theme,
            words: theme.words(),
            added: told(added, |_| ()),
        })
        .collect()
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
    themes: Vec<ThemeView<'a>>,
    plan: &'a Text,
    plan_edits: EditsView<'a>,
    crisis_plan: &'a Text,
    crisis_plan_edits: EditsView<'a>,
    fields: &'a BTreeMap<String, Text>,
    fields_history: Vec<Told<'a, FieldSet<'a>>>,
    conflicts: Vec<Conflict>,
    unread: Vec<Told<'a, UnreadView<'a>>>,
    leftovers: Vec<Told<'a, &'a Act>>,
    entries: usize,
}

impl<'a> CaseView<'a> {
    pub(crate) fn of(case: &'a Case) -> CaseView<'a> {
        let status = case.status.weigh();
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
                    .standing
                    .iter()
                    .map(|row| Told::of(row, row.value))
                    .collect(),
                history: told(case.status.history(), |row| row.value),
            },
            lead: ManyView::of(&case.lead),
            next_review: case.review.least().copied(),
            review: ManyView::of(&case.review),
            tasks: tasks(case),
            notes: notes(case),
            outcomes: outcomes(case),
            themes: themes(case),
            plan: case.plan.text(),
            plan_edits: EditsView::of(&case.plan),
            crisis_plan: case.crisis_plan.text(),
            crisis_plan_edits: EditsView::of(&case.crisis_plan),
            fields: case.fields.values(),
            fields_history: fields_history(&case.fields),
            conflicts: case.conflicts(),
            unread: unread(&case.unread),
            leftovers: leftovers(&case.journal, &case.leftovers()),
            entries: case.journal.len(),
        }
    }
}

fn alerts(case: &Case) -> Vec<AlertView<'_>> {
    let mut views = Vec::new();
    for (code, set) in &case.alerts {
        let standing: BTreeSet<EntryId> = set.standing().iter().map(|row| row.entry).collect();
        let (mut raises, mut reviews) = (Vec::new(), Vec::new());
        for row in set.history().in_order() {
            match row.value {
                Fact::Raise(raise) => {
                    let stands = standing.contains(&row.entry);
                    raises.push(Told::of(&row, RaiseView::of(raise, stands)));
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
            code: Some(*code),
            words: code.words(),
            stands,
            in_view: set.in_view(),
            raises,
            reviews,
        });
    }
    views.extend(unread_alerts(case));
    views
}

/// Raised alerts that this version cannot read, as one more alert: a screen that lists alerts
/// shows that there is something.
fn unread_alerts(case: &Case) -> Option<AlertView<'_>> {
    let alerts = case.unread_alerts();
    let newer = alerts.iter().any(|row| row.value.is_newer());
    let raises: Vec<_> = alerts
        .iter()
        .map(|row| {
            let raise = RaiseView {
                detail: Cow::Owned(Text::from(row.value.words())),
                review_by: None,
                stands: true,
            };
            Told::of(row, raise)
        })
        .collect();
    (!raises.is_empty()).then(|| AlertView {
        code: None,
        words: if newer {
            "An alert that this version cannot read: update Ridgeway here"
        } else {
            "An alert that is damaged: ask who raised it, and raise it again"
        },
        stands: true,
        in_view: Vec::new(),
        raises,
        reviews: Vec::new(),
    })
}

fn tasks(case: &Case) -> Vec<Told<'_, TaskView<'_>>> {
    let mut views = Vec::new();
    for row in case.tasks.in_order() {
        let completions = case.completions.get(&row.entry);
        let completions = completions.map(|log| told(log, |row| row.value));
        let completions = completions.unwrap_or_default();
        let view = TaskView {
            task: row.value,
            due: case.due(row.entry),
            due_dates: case.due.get(&row.entry).map(ManyView::of),
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
        // Under an id that was used for two notes nobody can tell which was corrected.
        let corrections = corrections.get(&row.entry).cloned().unwrap_or_default();
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
        replaces: row.seen.iter().copied().collect(),
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
