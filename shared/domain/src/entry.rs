//! What a person did: one immutable entry, for ever.

use std::fmt;

use names::{EntryId, Moment, Reason, SiteId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::attender::Attender;
use crate::code::{
    AlertCode, Attendance, ChecklistItem, ContactMode, Field, Instrument, OutcomePoint,
    SessionForm, Slot, Status, Theme,
};
use crate::text::Text;
use crate::time::{Day, TimeOfDay};

/// One thing a person did. Entries are only ever added.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Drawn where it was made; the same command sent twice carries the same one.
    pub id: EntryId,
    /// When, by the clock of where it was made. Shown, never used to pick a winner.
    pub at: Moment,
    /// Who.
    pub by: WorkerId,
    /// At which site.
    pub site: SiteId,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({} {})", self.id, self.act.code())
    }
}

/// What was done. Every field is one scalar (text, number, day, id) or a list of entry ids, so
/// that an entry can be written down flat.
///
/// `seen` lists the entries this act knew of and is about; exactly those it replaces, covers or
/// settles. `reason` is empty where the person gave none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// A case begins; its document's first entry.
    OpenCase {
        /// The day it was opened.
        opened: Day,
        /// Where the referral came from.
        source: Text,
    },
    /// An identifier is given a value; an empty one takes it away.
    Identify {
        /// Which identifier.
        slot: Slot,
        /// Its value; an NHS number as ten digits, a date of birth as an ISO date.
        value: Text,
        /// Why, when it settles a conflict.
        reason: Text,
        /// The standing values of the slot that were known.
        seen: Vec<EntryId>,
    },
    /// A contact or a note about the case.
    AddNote {
        /// The day it is about.
        happened: Day,
        /// How the contact took place.
        mode: ContactMode,
        /// Minutes of contact.
        minutes: u32,
        /// The note.
        text: Text,
        /// The newest changes of status, and what else was newest of what an ending must have
        /// known of: a closing that is not among them (or before them) and did not know of this
        /// note is contested. Nothing for a note without contact.
        seen: Vec<EntryId>,
    },
    /// A note is corrected; the old words stay, struck through.
    CorrectNote {
        /// The note.
        note: EntryId,
        /// What it should say.
        text: Text,
        /// Why.
        reason: Text,
    },
    /// A safety fact is raised.
    RaiseAlert {
        /// Which.
        code: AlertCode,
        /// What was seen or said.
        detail: Text,
        /// When it should be reviewed.
        review_by: Option<Day>,
        /// The newest raises and reviews of this code that were known; and, as of a note, the
        /// newest changes of status.
        seen: Vec<EntryId>,
    },
    /// A safety fact is reviewed. Only a clearing review takes raises away, and of those it has
    /// seen only the ones that no keeping review has seen apart from it.
    ReviewAlert {
        /// Which.
        code: AlertCode,
        /// Whether the raises it has seen stand no longer.
        clear: bool,
        /// Why.
        reason: Text,
        /// The raises it covers, and the reviews that were known.
        seen: Vec<EntryId>,
    },
    /// Something is to be done.
    AddTask {
        /// What.
        what: Text,
        /// By when.
        due: Option<Day>,
        /// By whom; nobody in particular if absent.
        whom: Option<WorkerId>,
        /// As of a note, the newest changes of status that were known.
        seen: Vec<EntryId>,
    },
    /// A task is given another due date.
    MoveTask {
        /// The task's entry.
        task: EntryId,
        /// The new date.
        due: Day,
        /// Why.
        reason: Text,
        /// The due dates that were known: the task's own entry or moves of it.
        seen: Vec<EntryId>,
    },
    /// A task was done. Two completions are both kept.
    CompleteTask {
        /// The task's entry.
        task: EntryId,
        /// What came of it.
        result: Text,
    },
    /// An outcome measure's total.
    RecordOutcome {
        /// Which measure.
        instrument: Instrument,
        /// The total in points; for SWEMWBS the raw one.
        total: u32,
        /// The day it was taken.
        taken: Day,
        /// At which point of the support.
        point: OutcomePoint,
        /// The outcome entries this one corrects, which stay readable.
        replaces: Vec<EntryId>,
        /// Why it replaces any.
        reason: Text,
        /// As of a note, the newest changes of status that were known.
        seen: Vec<EntryId>,
    },
    /// The case's status changes.
    SetStatus {
        /// To what.
        status: Status,
        /// Why.
        reason: Text,
        /// The standing statuses that were known, and the newest of what an ending must have
        /// known of: contacts, alerts, outcomes, tasks.
        seen: Vec<EntryId>,
    },
    /// The case gets a lead worker.
    SetLead {
        /// Who leads now.
        worker: WorkerId,
        /// Why.
        reason: Text,
        /// The standing leads that were known.
        seen: Vec<EntryId>,
    },
    /// The next review is fixed.
    SetReviewDate {
        /// For when.
        date: Day,
        /// Why.
        reason: Text,
        /// The standing dates that were known.
        seen: Vec<EntryId>,
    },
    /// A theme of the case.
    AddTheme {
        /// Which.
        theme: Theme,
    },
    /// The document's text was edited; the edit itself is in the text.
    EditText {
        /// Characters inserted (Unicode scalar values).
        inserted: u32,
        /// Characters deleted.
        deleted: u32,
        /// The characters deleted, in the order in which they went. At most as many as one edit
        /// may have.
        removed: Text,
        /// The newest edits that were known: the text that stood when this was written.
        seen: Vec<EntryId>,
    },
    /// A case's crisis plan was edited; the edit itself is in that text.
    EditCrisisPlan {
        /// Characters inserted (Unicode scalar values).
        inserted: u32,
        /// Characters deleted.
        deleted: u32,
        /// The characters deleted, in the order in which they went.
        removed: Text,
        /// The newest edits that were known: the text that stood when this was written.
        seen: Vec<EntryId>,
    },
    /// A low-harm field was set.
    SetField {
        /// Which.
        field: Field,
        /// To what.
        value: Text,
    },
    /// A session begins; its document's first entry.
    OpenSession {
        /// The venue, by its code.
        venue: Text,
        /// The day.
        date: Day,
        /// The planned start; with venue and date it names the session.
        start: TimeOfDay,
        /// The planned end.
        end: Option<TimeOfDay>,
        /// What kind of session.
        form: SessionForm,
    },
    /// The planned end and the kind of session are changed.
    SetPlan {
        /// The planned end.
        end: Option<TimeOfDay>,
        /// What kind of session.
        form: SessionForm,
        /// Why.
        reason: Text,
        /// The standing plans that were known: the session's first entries, or changes of them.
        seen: Vec<EntryId>,
    },
    /// The times at which the session really began and ended.
    SetTimes {
        /// Began.
        start: TimeOfDay,
        /// Ended.
        end: TimeOfDay,
        /// Why, when it settles a conflict.
        reason: Text,
        /// The standing times that were known.
        seen: Vec<EntryId>,
    },
    /// A mark in the register.
    Mark {
        /// Whom it is about.
        attender: Attender,
        /// The mark.
        attendance: Attendance,
        /// When the attender came, if noted.
        arrived: Option<TimeOfDay>,
        /// When the attender left, if noted.
        left: Option<TimeOfDay>,
        /// Why, when it settles a conflict.
        reason: Text,
        /// The standing marks of this attender that were known.
        seen: Vec<EntryId>,
    },
    /// Somebody came of whom only a name is known: a row of the register by this entry's id, and
    /// its first mark.
    AddGuest {
        /// The name, as it was given.
        name: Text,
        /// The mark.
        attendance: Attendance,
        /// When the guest came, if noted.
        arrived: Option<TimeOfDay>,
        /// When the guest left, if noted.
        left: Option<TimeOfDay>,
    },
    /// A guest is said to be somebody else in the register, or nobody else after all.
    MatchGuest {
        /// The entry that brought the guest in.
        guest: EntryId,
        /// Who it is; nobody else if absent.
        to: Option<Attender>,
        /// Why.
        reason: Text,
        /// What was known to be said of this guest.
        seen: Vec<EntryId>,
    },
    /// Cash was received.
    TakeCash {
        /// How much, in pence.
        pence: u32,
        /// From whom, if it is to be told.
        from: Option<Attender>,
        /// What for.
        what: Text,
    },
    /// Cash was paid out.
    PayOut {
        /// How much, in pence.
        pence: u32,
        /// What for.
        what: Text,
    },
    /// Cash was counted.
    CountCash {
        /// How much there was, in pence.
        pence: u32,
        /// Why, when it settles a conflict.
        reason: Text,
        /// The standing counts that were known.
        seen: Vec<EntryId>,
    },
    /// A receipt or a payment is taken back; both stay in the book.
    ReverseCash {
        /// The entry that is taken back.
        cash: EntryId,
        /// Why.
        reason: Text,
        /// How many lines were known to stand under that id; one if absent. If there are more, this
        /// takes none of them back: its writer cannot have meant them.
        lines: Option<u32>,
    },
    /// People in the room, counted by hand.
    HeadCount {
        /// How many.
        people: u32,
        /// Why, when it settles a conflict.
        reason: Text,
        /// The standing counts that were known.
        seen: Vec<EntryId>,
    },
    /// A checklist item was done.
    Tick {
        /// Which.
        item: ChecklistItem,
    },
    /// Something that this version cannot read: a newer one wrote it, or it is damaged. Never
    /// written; the document keeps what was.
    Unread {
        /// The code of the act, as it was written.
        code: Text,
        /// Why: a newer version wrote it ([`Reason::NoCommonVersion`]), or it is damaged.
        reason: Reason,
        /// The entries it says it has seen, as far as they can be read.
        seen: Vec<EntryId>,
    },
}

impl Act {
    /// The act's code: the value of `act` in its written form.
    pub fn code(&self) -> &'static str {
        match self {
            Act::OpenCase { .. } => "open-case",
            Act::Identify { .. } => "identify",
            Act::AddNote { .. } => "add-note",
            Act::CorrectNote { .. } => "correct-note",
            Act::RaiseAlert { .. } => "raise-alert",
            Act::ReviewAlert { .. } => "review-alert",
            Act::AddTask { .. } => "add-task",
            Act::MoveTask { .. } => "move-task",
            Act::CompleteTask { .. } => "complete-task",
            Act::RecordOutcome { .. } => "record-outcome",
            Act::SetStatus { .. } => "set-status",
            Act::SetLead { .. } => "set-lead",
            Act::SetReviewDate { .. } => "set-review-date",
            Act::AddTheme { .. } => "add-theme",
            Act::EditText { .. } => "edit-text",
            Act::EditCrisisPlan { .. } => "edit-crisis-plan",
            Act::SetField { .. } => "set-field",
            Act::OpenSession { .. } => "open-session",
            Act::SetPlan { .. } => "set-plan",
            Act::SetTimes { .. } => "set-times",
            Act::Mark { .. } => "mark",
            Act::AddGuest { .. } => "add-guest",
            Act::MatchGuest { .. } => "match-guest",
            Act::TakeCash { .. } => "take-cash",
            Act::PayOut { .. } => "pay-out",
            Act::CountCash { .. } => "count-cash",
            Act::ReverseCash { .. } => "reverse-cash",
            Act::HeadCount { .. } => "head-count",
            Act::Tick { .. } => "tick",
            Act::Unread { .. } => "unread",
        }
    }

    /// The entries this act has seen; empty for acts that replace nothing.
    pub fn seen(&self) -> &[EntryId] {
        match self {
            Act::Identify { seen, .. }
            | Act::AddNote { seen, .. }
            | Act::RaiseAlert { seen, .. }
            | Act::ReviewAlert { seen, .. }
            | Act::MoveTask { seen, .. }
            | Act::SetStatus { seen, .. }
            | Act::SetLead { seen, .. }
            | Act::SetReviewDate { seen, .. }
            | Act::SetPlan { seen, .. }
            | Act::SetTimes { seen, .. }
            | Act::Mark { seen, .. }
            | Act::CountCash { seen, .. }
            | Act::HeadCount { seen, .. }
            | Act::AddTask { seen, .. }
            | Act::RecordOutcome { seen, .. }
            | Act::EditText { seen, .. }
            | Act::EditCrisisPlan { seen, .. }
            | Act::MatchGuest { seen, .. }
            | Act::Unread { seen, .. } => seen,
            Act::OpenCase { .. }
            | Act::CorrectNote { .. }
            | Act::CompleteTask { .. }
            | Act::AddTheme { .. }
            | Act::SetField { .. }
            | Act::OpenSession { .. }
            | Act::AddGuest { .. }
            | Act::TakeCash { .. }
            | Act::PayOut { .. }
            | Act::ReverseCash { .. }
            | Act::Tick { .. } => &[],
        }
    }

    /// The act as the person asked for it, without what was read from the record when it was
    /// carried out. The same command performed on two nodes differs in nothing else, because the
    /// two nodes showed different things.
    #[must_use]
    pub fn as_asked(self) -> Act {
        let mut asked = self.with_seen(Vec::new());
        if let Act::EditText { removed, .. } | Act::EditCrisisPlan { removed, .. } = &mut asked {
            *removed = Text::default();
        }
        if let Act::ReverseCash { lines, .. } = &mut asked {
            *lines = None;
        }
        asked
    }

    /// The same act having seen `entries` instead; unchanged for acts that replace nothing.
    #[must_use]
    pub fn with_seen(mut self, entries: Vec<EntryId>) -> Act {
        match &mut self {
            Act::Identify { seen, .. }
            | Act::AddNote { seen, .. }
            | Act::RaiseAlert { seen, .. }
            | Act::ReviewAlert { seen, .. }
            | Act::MoveTask { seen, .. }
            | Act::SetStatus { seen, .. }
            | Act::SetLead { seen, .. }
            | Act::SetReviewDate { seen, .. }
            | Act::SetPlan { seen, .. }
            | Act::SetTimes { seen, .. }
            | Act::Mark { seen, .. }
            | Act::CountCash { seen, .. }
            | Act::HeadCount { seen, .. }
            | Act::AddTask { seen, .. }
            | Act::RecordOutcome { seen, .. }
            | Act::EditText { seen, .. }
            | Act::EditCrisisPlan { seen, .. }
            | Act::MatchGuest { seen, .. }
            | Act::Unread { seen, .. } => *seen = entries,
            Act::OpenCase { .. }
            | Act::CorrectNote { .. }
            | Act::CompleteTask { .. }
            | Act::AddTheme { .. }
            | Act::SetField { .. }
            | Act::OpenSession { .. }
            | Act::AddGuest { .. }
            | Act::TakeCash { .. }
            | Act::PayOut { .. }
            | Act::ReverseCash { .. }
            | Act::Tick { .. } => {}
        }
        self
    }
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Act({}, {} seen)", self.code(), self.seen().len())
    }
}
