//! A case: one referral spell of one person, read from its entries.

mod conflicts;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::{EntryId, WorkerId};
use serde::{Serialize, Serializer};

use crate::code::{AlertCode, ContactMode, Instrument, OutcomePoint, Slot, Status, Theme};
use crate::entry::{Act, Entry};
use crate::merge::{
    Edited, EntryLog, Fact, Lww, Made, MultiValue, Prose, ProtectiveSet, Sealed, Stage, Workflow,
};
use crate::text::Text;
use crate::time::Day;
use crate::unread::Unread;
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

/// Acts that this version counts as activity even where it cannot read the rest of them.
const UNREAD_ACTIVITY: [&str; 4] = ["add-note", "raise-alert", "record-outcome", "add-task"];

/// What an ending must have known of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Activity {
    /// A contact with the person.
    Contact,
    /// A safety fact.
    Alert,
    /// An outcome measure.
    Outcome,
    /// Something to be done.
    Task,
    /// One of these, but this version cannot read it.
    Unread,
}

impl Activity {
    /// What a screen calls it, beside an ending that did not know of it.
    pub fn words(self) -> &'static str {
        match self {
            Activity::Contact => "contact noted",
            Activity::Alert => "alert raised",
            Activity::Outcome => "outcome recorded",
            Activity::Task => "task added",
            Activity::Unread => "something recorded that this version cannot read",
        }
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
    /// Every entry, as the person asked for it.
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
    /// What was done, by task.
    pub completions: BTreeMap<EntryId, EntryLog<Completion>>,
    /// Outcome totals.
    pub outcomes: Sealed<Outcome>,
    /// Where the case stands.
    pub status: Workflow<Status, Activity>,
    /// Who leads.
    pub lead: MultiValue<WorkerId>,
    /// The next review; the earliest standing date counts.
    pub review: MultiValue<Day>,
    /// What it is about.
    pub themes: BTreeMap<Theme, EntryLog<()>>,
    /// The plan.
    pub plan: Prose,
    /// What is to be done in a crisis of the person's, and by whom (`reference/domain.md` 1.3 C).
    pub crisis_plan: Prose,
    /// Low-harm fields.
    pub fields: Lww,
    /// What this version cannot read. A raised alert among it stands.
    pub unread: EntryLog<Unread>,
    /// Entries that do not belong into a case.
    pub strays: BTreeSet<EntryId>,
}

impl Case {
    /// Takes one more entry in; the order in which entries are taken makes no difference.
    pub fn add(&mut self, entry: &Entry) {
        let made = Made::of(entry);
        let asked = entry.act.clone().as_asked();
        self.journal.add(entry.id, made.clone(), &[], asked);
        let taken = self.add_record(entry, &made)
            || self.add_safety(entry, &made)
            || self.add_steering(entry, &made);
        self.add_activity(entry, &made);
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
                seen: _,
            } => {
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
            Act::EditText {
                inserted,
                deleted,
                removed,
                seen,
            } => {
                let edited = Edited::of(inserted, deleted, removed);
                self.plan.add(id, made, &seen, edited);
            }
            Act::EditCrisisPlan {
                inserted,
                deleted,
                removed,
                seen,
            } => {
                let edited = Edited::of(inserted, deleted, removed);
                self.crisis_plan.add(id, made, &seen, edited);
            }
            Act::Unread { code, reason, seen } => {
                self.add_unread_edit(id, &made, code.as_str(), &seen);
                self.unread.add(id, made, &[], Unread { code, reason });
            }
            Act::SetField { field, value } => self.fields.add(id, made, field, value),
            _ => return false,
        }
        true
    }

    /// An edit that cannot be read has altered a text all the same.
    fn add_unread_edit(&mut self, id: EntryId, made: &Made, code: &str, seen: &[EntryId]) {
        let prose = match code {
            "edit-text" => &mut self.plan,
            "edit-crisis-plan" => &mut self.crisis_plan,
            _ => return,
        };
        prose.add_unread(id, made.clone(), seen);
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
                seen: _,
            } => {
                let outcome = Outcome {
                    instrument,
                    total,
                    taken,
                    point,
                    reason,
                };
                self.outcomes.add(id, made, &replaces, outcome);
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
            Act::AddTask {
                what,
                due,
                whom,
                seen: _,
            } => {
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
                let done = self.completions.entry(task).or_default();
                done.add(id, made, &[], Completion { task, result });
            }
            _ => return false,
        }
        true
    }

    /// What an ending must have known of. A note without contact is not among it: it is what
    /// is written about a case that has ended, too.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts that are none of it"
    )]
    fn add_activity(&mut self, entry: &Entry, made: &Made) {
        let what = match &entry.act {
            Act::AddNote {
                mode: ContactMode::None,
                ..
            } => return,
            Act::AddNote { .. } => Activity::Contact,
            Act::RaiseAlert { .. } => Activity::Alert,
            Act::RecordOutcome { .. } => Activity::Outcome,
            Act::AddTask { .. } => Activity::Task,
            Act::Unread { code, .. } if UNREAD_ACTIVITY.contains(&code.as_str()) => {
                Activity::Unread
            }
            _ => return,
        };
        let (made, seen) = (made.clone(), entry.act.seen());
        self.status.add_activity(entry.id, made, seen, what);
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
