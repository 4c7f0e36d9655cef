//! A case: one referral spell of one person, read from its entries.

mod conflicts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::{EntryId, Kind, WorkerId};
use serde::{Serialize, Serializer};

use crate::code::{AlertCode, ContactMode, Instrument, OutcomePoint, Slot, Status, Theme};
use crate::entry::{Act, Entry};
use crate::merge::{
    Edited, EntryLog, Fact, Lww, Made, MultiValue, Prose, ProtectiveSet, Sealed, Stage, Workflow,
};
use crate::summary::{Summary, TaskRow};
use crate::text::Text;
use crate::time::Day;
use crate::view::CaseView;

/// Open, waiting, paused, closed: in this order the first of several operates, because an open
/// case is looked after.
impl Stage for Status {
    const FIRST: Status = Status::Open;

    fn may_become(self, next: Status) -> bool {
        match self {
            Status::Open | Status::Waiting | Status::Paused => self != next,
            Status::Closed => next == Status::Open,
        }
    }

    fn is_end(self) -> bool {
        self == Status::Closed
    }
}

/// How a case began.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Opening {
    /// The day.
    pub opened: Day,
    /// Where the referral came from.
    pub source: Text,
}

/// A note, as it was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// The day it is about.
    pub happened: Day,
    /// How the contact took place.
    pub mode: ContactMode,
    /// Minutes of contact.
    pub minutes: u32,
    /// Its words.
    pub text: Text,
}

/// What a note should say instead.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Correction {
    /// The note's entry.
    pub note: EntryId,
    /// The new words.
    pub text: Text,
    /// Why.
    pub reason: Text,
}

/// What was said when an alert was raised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Raise {
    /// What was seen or said.
    pub detail: Text,
    /// When it should be reviewed.
    pub review_by: Option<Day>,
}

/// Something to be done.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Task {
    /// What.
    pub what: Text,
    /// By whom.
    pub whom: Option<WorkerId>,
}

/// That a task was done.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Completion {
    /// The task's entry.
    pub task: EntryId,
    /// What came of it.
    pub result: Text,
}

/// An outcome measure's total.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Outcome {
    /// Which measure.
    pub instrument: Instrument,
    /// The total in points; for SWEMWBS the raw one.
    pub total: u32,
    /// The day it was taken.
    pub taken: Day,
    /// At which point of the support.
    pub point: OutcomePoint,
    /// Why it replaces an earlier one.
    pub reason: Text,
}

/// A case. Every field is one merge rule (`RULES` lists them); entries in any order, any number
/// of times, read as the same case.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Case {
    /// Every entry, without what it had seen.
    pub journal: EntryLog<Act>,
    /// How it began; two only if it was begun twice.
    pub openings: EntryLog<Opening>,
    /// Who the person is and how to reach them.
    pub identifiers: BTreeMap<Slot, MultiValue<Text>>,
    /// The notes as they were written.
    pub notes: EntryLog<Note>,
    /// Corrections of notes.
    pub corrections: EntryLog<Correction>,
    /// The safety facts.
    pub alerts: BTreeMap<AlertCode, ProtectiveSet<Raise, Text>>,
    /// What is or was to be done.
    pub tasks: EntryLog<Task>,
    /// Due dates by task; the earliest standing one counts.
    pub due: BTreeMap<EntryId, MultiValue<Option<Day>>>,
    /// What was done.
    pub completions: EntryLog<Completion>,
    /// Outcome totals.
    pub outcomes: Sealed<Outcome>,
    /// Where the case stands.
    pub status: Workflow<Status>,
    /// Who leads.
    pub lead: MultiValue<WorkerId>,
    /// The next review; the earliest standing date counts.
    pub review: MultiValue<Day>,
    /// What it is about.
    pub themes: BTreeMap<Theme, EntryLog<()>>,
    /// The plan.
    pub plan: Prose,
    /// Low-harm fields.
    pub fields: Lww,
    /// Entries that do not belong into a case.
    pub strays: BTreeSet<EntryId>,
}

impl Case {
    /// Takes one more entry in; the order in which entries are taken makes no difference.
    pub fn add(&mut self, entry: &Entry) {
        let made = Made::of(entry);
        let words = entry.act.clone().with_seen(Vec::new());
        self.journal.add(entry.id, made.clone(), &[], words);
        let taken = self.add_record(entry, &made)
            || self.add_safety(entry, &made)
            || self.add_steering(entry, &made);
        if !taken {
            self.strays.insert(entry.id);
        }
    }

    /// What is written about the person. False: not one of these acts.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts of the other groups"
    )]
    fn add_record(&mut self, entry: &Entry, made: &Made) -> bool {
        let (id, made) = (entry.id, made.clone());
        match entry.act.clone() {
            Act::Identify {
                slot,
                value,
                reason,
                seen,
            } => {
                self.identifiers
                    .entry(slot)
                    .or_default()
                    .add(id, made, &seen, value, reason);
            }
            Act::AddNote {
                happened,
                mode,
                minutes,
                text,
                seen,
            } => {
                self.status.add_activity(id, made.clone(), &seen);
                self.notes.add(
                    id,
                    made,
                    &[],
                    Note {
                        happened,
                        mode,
                        minutes,
                        text,
                    },
                );
            }
            Act::CorrectNote { note, text, reason } => {
                self.corrections
                    .add(id, made, &[], Correction { note, text, reason });
            }
            Act::AddTheme { theme } => {
                self.themes.entry(theme).or_default().add(id, made, &[], ());
            }
            Act::EditText { inserted, deleted } => {
                self.plan.add(id, made, Edited { inserted, deleted });
            }
            Act::SetField { field, value } => self.fields.add(id, made, field, value),
            _ => return false,
        }
        true
    }

    /// Safety facts and outcome totals. False: not one of these acts.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts of the other groups"
    )]
    fn add_safety(&mut self, entry: &Entry, made: &Made) -> bool {
        let (id, made) = (entry.id, made.clone());
        match entry.act.clone() {
            Act::RaiseAlert {
                code,
                detail,
                review_by,
                seen,
            } => {
                let raise = Fact::Raise(Raise { detail, review_by });
                self.alerts
                    .entry(code)
                    .or_default()
                    .add(id, made, &seen, raise);
            }
            Act::ReviewAlert {
                code,
                clear,
                reason,
                seen,
            } => {
                let review = Fact::Review {
                    clear,
                    said: reason,
                };
                self.alerts
                    .entry(code)
                    .or_default()
                    .add(id, made, &seen, review);
            }
            Act::RecordOutcome {
                instrument,
                total,
                taken,
                point,
                replaces,
                reason,
            } => {
                let outcome = Outcome {
                    instrument,
                    total,
                    taken,
                    point,
                    reason,
                };
                self.outcomes.add(id, made, replaces, outcome);
            }
            _ => return false,
        }
        true
    }

    /// How the case is steered. False: not one of these acts.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts of the other groups"
    )]
    fn add_steering(&mut self, entry: &Entry, made: &Made) -> bool {
        let (id, made) = (entry.id, made.clone());
        match entry.act.clone() {
            Act::OpenCase { opened, source } => {
                self.openings.add(id, made, &[], Opening { opened, source });
            }
            Act::SetStatus {
                status,
                reason,
                seen,
            } => {
                self.status.add(id, made, &seen, status, reason);
            }
            Act::SetLead {
                worker,
                reason,
                seen,
            } => {
                self.lead.add(id, made, &seen, worker, reason);
            }
            Act::SetReviewDate { date, reason, seen } => {
                self.review.add(id, made, &seen, date, reason);
            }
            Act::AddTask { what, due, whom } => {
                let first = self.due.entry(id).or_default();
                first.add(id, made.clone(), &[], due, Text::default());
                self.tasks.add(id, made, &[], Task { what, whom });
            }
            Act::MoveTask {
                task,
                due,
                reason,
                seen,
            } => {
                self.due
                    .entry(task)
                    .or_default()
                    .add(id, made, &seen, Some(due), reason);
            }
            Act::CompleteTask { task, result } => {
                self.completions
                    .add(id, made, &[], Completion { task, result });
            }
            _ => return false,
        }
        true
    }

    /// Whether the case has been begun.
    pub fn is_open(&self) -> bool {
        !self.openings.is_empty()
    }

    /// The alerts that stand.
    pub fn standing_alerts(&self) -> Vec<AlertCode> {
        let standing = self.alerts.iter().filter(|(_, set)| set.stands());
        standing.map(|(code, _)| *code).collect()
    }

    /// The standing values of an identifier, each once; taken away ones left out.
    pub fn identifier(&self, slot: Slot) -> Vec<Text> {
        let values = self
            .identifiers
            .get(&slot)
            .map(MultiValue::values)
            .unwrap_or_default();
        values
            .into_iter()
            .filter(|value| !value.is_empty())
            .cloned()
            .collect()
    }

    /// When a task is due: the earliest standing date, none if no standing one names a day.
    pub fn due(&self, task: EntryId) -> Option<Day> {
        let values = self
            .due
            .get(&task)
            .map(MultiValue::values)
            .unwrap_or_default();
        values.into_iter().flatten().min().copied()
    }

    /// Whether anybody says that a task is done.
    pub fn is_done(&self, task: EntryId) -> bool {
        self.completions.rows().any(|row| row.value.task == task)
    }

    /// The tasks that nobody says are done, in the order of their due dates.
    pub fn open_tasks(&self) -> Vec<TaskRow> {
        let done: BTreeSet<EntryId> = self.completions.rows().map(|row| row.value.task).collect();
        let open = self
            .tasks
            .in_order()
            .into_iter()
            .filter(|row| !done.contains(&row.entry));
        let mut rows: Vec<TaskRow> = open
            .map(|row| TaskRow {
                task: row.entry,
                due: self.due(row.entry),
                what: row.value.what.clone(),
                whom: row.value.whom.clone(),
            })
            .collect();
        // A task without a date is listed last, not first.
        rows.sort_by_key(|row| (row.due.is_none(), row.due));
        rows
    }

    /// The row for lists.
    pub(crate) fn summary(&self, flaws: u32) -> Summary {
        let first = self
            .openings
            .in_order()
            .first()
            .map(|row| row.made.site.clone());
        Summary {
            site: first,
            title: self.identifier(Slot::Name),
            known_as: self.identifier(Slot::KnownAs),
            date_of_birth: self.identifier(Slot::DateOfBirth),
            nhs_number: self.identifier(Slot::NhsNumber),
            status: self.is_open().then(|| self.status.operational()),
            contested: self.status.is_contested(),
            lead: self.lead.values().into_iter().cloned().collect(),
            alerts: self.standing_alerts(),
            conflicts: u32::try_from(self.conflicts().len()).unwrap_or(u32::MAX),
            tasks: self.open_tasks(),
            next_review: self.review.least().copied(),
            entries: self.journal.len() as u64,
            last_at: self.journal.latest(),
            ..Summary::empty(Kind::CASE, flaws)
        }
    }
}

/// Ids and sizes only: a case is about a person.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("journal", &self.journal)
            .field("notes", &self.notes)
            .field("alerts", &self.alerts)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Written as the API shows it: what stands, what it came from, and what waits for a person.
impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CaseView::of(self).serialize(serializer)
    }
}
