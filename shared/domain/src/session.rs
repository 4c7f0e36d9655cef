//! A group session: its register, its cash and its notes, read from its entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::{EntryId, Kind};
use serde::{Serialize, Serializer};

use crate::code::{Attendance, ChecklistItem, Field, SessionForm};
use crate::conflict::{Conflict, Subject};
use crate::entry::{Act, Attender, Entry};
use crate::merge::{Derived, Edited, EntryLog, Ledger, Line, Lww, Made, MultiValue, Prose};
use crate::summary::Summary;
use crate::text::Text;
use crate::time::Day;
use crate::time::TimeOfDay;
use crate::view::SessionView;

/// Real times of a session that lie this close are one: two clocks on two walls.
const SAME_TIME_MINUTES: u16 = 15;

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
    /// Every entry, without what it had seen.
    pub journal: EntryLog<Act>,
    /// How it began; one for each who began it apart.
    pub openings: EntryLog<Opening>,
    /// The planned end and the kind.
    pub plan: MultiValue<Plan>,
    /// When it really began and ended.
    pub times: MultiValue<Times>,
    /// The register.
    pub register: BTreeMap<Attender, MultiValue<Marked>>,
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
    /// Entries that do not belong into a session.
    pub strays: BTreeSet<EntryId>,
}

impl Session {
    /// Takes one more entry in; the order in which entries are taken makes no difference.
    pub fn add(&mut self, entry: &Entry) {
        let made = Made::of(entry);
        let words = entry.act.clone().with_seen(Vec::new());
        self.journal.add(entry.id, made.clone(), &[], words);
        if !self.add_running(entry, &made) && !self.add_cash(entry, &made) {
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
            Act::EditText { inserted, deleted } => {
                self.notes.add(id, made, Edited { inserted, deleted });
            }
            Act::SetField { field, value } => self.fields.add(id, made, field, value),
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
            Act::ReverseCash { cash, reason } => self.cash.reverse(id, made, cash, reason),
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

    /// Whether the session has been begun.
    pub fn is_open(&self) -> bool {
        !self.openings.is_empty()
    }

    /// The mark that operates for an attender: of the standing ones the strongest.
    pub fn mark(&self, attender: &Attender) -> Option<Marked> {
        self.register.get(attender)?.least().copied()
    }

    /// How many the register has as having been there, however late or briefly.
    pub fn attended(&self) -> Derived<u32> {
        let there = self
            .register
            .values()
            .filter_map(MultiValue::least)
            .filter(|marked| match marked.attendance {
                Attendance::Present | Attendance::Late | Attendance::LeftEarly => true,
                Attendance::Apology | Attendance::Absent => false,
            });
        Derived(there.fold(0, |count, _| count + 1))
    }

    /// Cash received, in pence, without what was taken back.
    pub fn received(&self) -> Derived<i64> {
        Derived(self.cash.total(|line| line.pence > 0))
    }

    /// Cash paid out, in pence, without what was taken back.
    pub fn paid_out(&self) -> Derived<i64> {
        Derived(-self.cash.total(|line| line.pence < 0))
    }

    /// What should be in the tin: received less paid out, in pence.
    pub fn expected_cash(&self) -> Derived<i64> {
        Derived(self.cash.total(|_: &Line<Cash>| true))
    }

    /// What a count found more, or less if negative, than there should be, in pence.
    pub fn variance(&self, counted_pence: u32) -> Derived<i64> {
        Derived(i64::from(counted_pence) - self.expected_cash().0)
    }

    /// What waits for a person, the register first.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (attender, marks) in &self.register {
            let about = Subject::Attendance {
                attender: attender.clone(),
            };
            let operational = marks.least().map(mark_words).unwrap_or_default();
            conflicts.extend(Conflict::among(about, marks, mark_words, operational));
        }
        let pounds = |pence: &u32| Text::from(format!("£{}.{:02}", pence / 100, pence % 100));
        let least = self.counts.least().map(pounds).unwrap_or_default();
        conflicts.extend(Conflict::among(
            Subject::CashCount,
            &self.counts,
            pounds,
            least,
        ));
        let people = |people: &u32| Text::from(people.to_string());
        let most = self
            .head_counts
            .values()
            .last()
            .copied()
            .map(people)
            .unwrap_or_default();
        conflicts.extend(Conflict::among(
            Subject::HeadCount,
            &self.head_counts,
            people,
            most,
        ));
        conflicts.extend(Conflict::among(
            Subject::Plan,
            &self.plan,
            plan_words,
            self.plan.least().map(plan_words).unwrap_or_default(),
        ));
        if self.times_differ() {
            let widest = self
                .widest_times()
                .as_ref()
                .map(times_words)
                .unwrap_or_default();
            conflicts.extend(Conflict::among(
                Subject::Times,
                &self.times,
                times_words,
                widest,
            ));
        }
        conflicts
    }

    /// The times that operate: from the earliest standing start to the latest standing end.
    pub fn widest_times(&self) -> Option<Times> {
        let values = self.times.values();
        let start = values.iter().map(|times| times.start).min()?;
        let end = values.iter().map(|times| times.end).max()?;
        Some(Times { start, end })
    }

    fn times_differ(&self) -> bool {
        let values = self.times.values();
        let spread = |of: fn(&Times) -> TimeOfDay| {
            let minutes = values.iter().map(|times| of(times).minutes());
            let (least, most) = (minutes.clone().min(), minutes.max());
            most.unwrap_or(0) - least.unwrap_or(0)
        };
        spread(|times| times.start).max(spread(|times| times.end)) > SAME_TIME_MINUTES
    }

    /// The row for lists.
    pub(crate) fn summary(&self, flaws: u32) -> Summary {
        let openings = self.openings.in_order();
        let first = openings.first();
        let opening = first.map(|row| row.value);
        let venue = opening.map(|opening| opening.venue.clone());
        let title = self
            .fields
            .get(Field::Title)
            .filter(|title| !title.is_empty())
            .cloned();
        Summary {
            site: first.map(|row| row.made.site.clone()),
            title: title.or_else(|| venue.clone()).into_iter().collect(),
            conflicts: u32::try_from(self.conflicts().len()).unwrap_or(u32::MAX),
            venue,
            date: opening.map(|opening| opening.date),
            start: opening.map(|opening| opening.start),
            attended: self.attended().0,
            cash_pence: self.expected_cash().0,
            entries: self.journal.len() as u64,
            last_at: self.journal.latest(),
            ..Summary::empty(Kind::SESSION, flaws)
        }
    }
}

fn mark_words(marked: &Marked) -> Text {
    let mut words = String::from(marked.attendance.as_str());
    for (label, time) in [("arrived", marked.arrived), ("left", marked.left)] {
        if let Some(time) = time {
            words.push_str(&format!(", {label} {time}"));
        }
    }
    Text::from(words)
}

fn plan_words(plan: &Plan) -> Text {
    match plan.end {
        Some(end) => Text::from(format!("{} until {end}", plan.form)),
        None => Text::from(plan.form.as_str()),
    }
}

fn times_words(times: &Times) -> Text {
    Text::from(format!("{} to {}", times.start, times.end))
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
        SessionView::of(self).serialize(serializer)
    }
}
