//! A group session: its register, its cash and its notes, read from its entries.

mod conflicts;
mod register;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::EntryId;
use serde::{Serialize, Serializer};

pub use register::Attended;
pub(crate) use register::in_force;

use crate::attender::Attender;
use crate::code::{Attendance, ChecklistItem, SessionForm};
use crate::entry::{Act, Entry};
use crate::merge::{Edited, EntryLog, Ledger, Lww, Made, MultiValue, Prose};
use crate::text::Text;
use crate::time::{Day, TimeOfDay};
use crate::unread::Unread;
use crate::view::SessionView;

/// What names a session. Two facilitators who begin it apart give the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Opening {
    /// The venue, by its code.
    pub venue: Text,
    /// The day.
    pub date: Day,
    /// The planned start.
    pub start: TimeOfDay,
}

/// What is planned and may change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Plan {
    /// The planned end.
    pub end: Option<TimeOfDay>,
    /// What kind of session.
    pub form: SessionForm,
}

/// When a session really began and ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Times {
    /// Began.
    pub start: TimeOfDay,
    /// Ended.
    pub end: TimeOfDay,
}

/// A mark in the register. Ordered by its attendance first, the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Marked {
    /// The mark.
    pub attendance: Attendance,
    /// When the attender came.
    pub arrived: Option<TimeOfDay>,
    /// When the attender left.
    pub left: Option<TimeOfDay>,
}

/// What a line of the cash is. The sign of its amount says whether it came in or went out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cash {
    /// From whom, if it came in and is to be told.
    pub from: Option<Attender>,
    /// What for.
    pub what: Text,
}

/// A session. Every field is one merge rule (`RULES` lists them); entries in any order, any
/// number of times, read as the same session.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// Every entry, as the person asked for it.
    pub journal: EntryLog<Act>,
    /// How it began; one for each who began it apart.
    pub openings: EntryLog<Opening>,
    /// The planned end and the kind.
    pub plan: MultiValue<Plan>,
    /// When it really began and ended.
    pub times: MultiValue<Times>,
    /// The marks of the register, by whom they were made about; see [`Session::rows`].
    pub register: BTreeMap<Attender, MultiValue<Marked>>,
    /// The names of the guests.
    pub guests: EntryLog<Text>,
    /// Who each guest is said to be; nobody else if absent.
    pub matches: BTreeMap<EntryId, MultiValue<Option<Attender>>>,
    /// Cash received and paid out.
    pub cash: Ledger<Cash>,
    /// Cash counted, in pence.
    pub counts: MultiValue<u32>,
    /// People counted by hand.
    pub head_counts: MultiValue<u32>,
    /// What was ticked off; once done, done.
    pub checklist: BTreeMap<ChecklistItem, EntryLog<()>>,
    /// The notes the facilitators share.
    pub notes: Prose,
    /// Low-harm fields.
    pub fields: Lww,
    /// What this version cannot read.
    pub unread: EntryLog<Unread>,
    /// Entries that do not belong into a session.
    pub strays: BTreeSet<EntryId>,
}

impl Session {
    /// Takes one more entry in; the order in which entries are taken makes no difference.
    pub fn add(&mut self, entry: &Entry) {
        let made = Made::of(entry);
        let asked = entry.act.clone().as_asked();
        self.journal.add(entry.id, made.clone(), &[], asked);
        let taken = self.add_running(entry, &made)
            || self.add_attenders(entry, &made)
            || self.add_cash(entry, &made);
        if !taken {
            self.strays.insert(entry.id);
        }
    }

    /// What goes on in the room. False: not one of these acts.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts of the other groups"
    )]
    fn add_running(&mut self, entry: &Entry, made: &Made) -> bool {
        let (id, made) = (entry.id, made.clone());
        match entry.act.clone() {
            Act::OpenSession {
                venue,
                date,
                start,
                end,
                form,
            } => {
                self.plan
                    .add(id, made.clone(), &[], Plan { end, form }, Text::default());
                self.openings
                    .add(id, made, &[], Opening { venue, date, start });
            }
            Act::SetPlan {
                end,
                form,
                reason,
                seen,
            } => {
                self.plan.add(id, made, &seen, Plan { end, form }, reason);
            }
            Act::SetTimes {
                start,
                end,
                reason,
                seen,
            } => {
                self.times
                    .add(id, made, &seen, Times { start, end }, reason);
            }
            Act::HeadCount {
                people,
                reason,
                seen,
            } => {
                self.head_counts.add(id, made, &seen, people, reason);
            }
            Act::Tick { item } => {
                self.checklist
                    .entry(item)
                    .or_default()
                    .add(id, made, &[], ());
            }
            Act::EditText {
                inserted,
                deleted,
                removed,
                seen,
            } => {
                let edited = Edited::of(inserted, deleted, removed);
                self.notes.add(id, made, &seen, edited);
            }
            Act::Unread { code, reason, seen } => {
                // An edit that cannot be read has altered the text all the same.
                if code.as_str() == "edit-text" {
                    self.notes.add_unread(id, made.clone(), &seen);
                }
                self.unread.add(id, made, &[], Unread { code, reason });
            }
            Act::SetField { field, value } => self.fields.add(id, made, field, value),
            _ => return false,
        }
        true
    }

    /// Who is there. False: not one of these acts.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts of the other groups"
    )]
    fn add_attenders(&mut self, entry: &Entry, made: &Made) -> bool {
        let (id, made) = (entry.id, made.clone());
        match entry.act.clone() {
            Act::Mark {
                attender,
                attendance,
                arrived,
                left,
                reason,
                seen,
            } => {
                let marked = Marked {
                    attendance,
                    arrived,
                    left,
                };
                self.register
                    .entry(attender)
                    .or_default()
                    .add(id, made, &seen, marked, reason);
            }
            Act::AddGuest {
                name,
                attendance,
                arrived,
                left,
            } => {
                let marked = Marked {
                    attendance,
                    arrived,
                    left,
                };
                let row = self.register.entry(Attender::Guest(id)).or_default();
                row.add(id, made.clone(), &[], marked, Text::default());
                self.guests.add(id, made, &[], name);
            }
            Act::MatchGuest {
                guest,
                to,
                reason,
                seen,
            } => {
                let said = self.matches.entry(guest).or_default();
                said.add(id, made, &seen, to, reason);
            }
            _ => return false,
        }
        true
    }

    /// Money. False: not one of these acts.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the acts of the other groups"
    )]
    fn add_cash(&mut self, entry: &Entry, made: &Made) -> bool {
        let (id, made) = (entry.id, made.clone());
        match entry.act.clone() {
            Act::TakeCash { pence, from, what } => {
                self.cash
                    .add(id, made, i64::from(pence), Cash { from, what });
            }
            Act::PayOut { pence, what } => {
                self.cash
                    .add(id, made, -i64::from(pence), Cash { from: None, what });
            }
            Act::ReverseCash {
                cash,
                reason,
                lines,
            } => {
                let lines = lines.unwrap_or(1);
                self.cash.reverse(id, made, cash, lines, reason);
            }
            Act::CountCash {
                pence,
                reason,
                seen,
            } => {
                self.counts.add(id, made, &seen, pence, reason);
            }
            _ => return false,
        }
        true
    }
}

/// Ids and sizes only: a register names people.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("journal", &self.journal)
            .field("register", &self.register.len())
            .field("cash", &self.cash)
            .finish_non_exhaustive()
    }
}

/// Written as the API shows it: what stands, what it came from, and what waits for a person.
impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SessionView::of(self, &self.rows()).serialize(serializer)
    }
}
