//! What a person can ask, and what comes of it.

use std::fmt;

use names::{EntryId, SiteId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::attender::Attender;
use crate::code::{
    AlertCode, Attendance, ChecklistItem, ContactMode, Field, Instrument, OutcomePoint,
    SessionForm, Slot, Status, Theme,
};
use crate::conflict::Subject;
use crate::entry::Entry;
use crate::role::Role;
use crate::text::Text;
use crate::time::{Day, TimeOfDay};

/// Who asks: the worker, where, and what the directory says the worker is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct By {
    /// The worker.
    pub worker: WorkerId,
    /// The site at which the worker asks.
    pub site: SiteId,
    /// The worker's roles; what any of them may do, the worker may do.
    pub roles: Vec<Role>,
}

/// All that a person can ask of a case or a session.
///
/// Most commands say what a person wants, not what the record looked like: what an act has seen is
/// read from the state it is decided on. Where somebody's safety or somebody else's words hang on
/// it, the command says what the person was looking at: to clear an alert, to settle a conflict, to
/// edit a text. What has come since is then left standing, or the command is refused.
///
/// `reason` and other texts may be left out where the field has a default.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Begin a case.
    OpenCase {
        /// The day it was opened.
        opened: Day,
        /// Where the referral came from.
        #[serde(default)]
        source: Text,
    },
    /// Give an identifier a value; settles every standing one of its slot.
    Identify {
        /// Which identifier.
        slot: Slot,
        /// Its value; empty takes it away.
        value: Text,
        /// Why.
        #[serde(default)]
        reason: Text,
    },
    /// Settle a conflict by choosing one of its values.
    Settle {
        /// What the conflict is about.
        about: Subject,
        /// The entry whose value is right.
        keep: EntryId,
        /// Why.
        reason: Text,
        /// The entries of the conflict that the person was looking at, the chosen one among them.
        /// What has come since stays in conflict.
        seen: Vec<EntryId>,
    },
    /// Write a note.
    AddNote {
        /// The day it is about.
        happened: Day,
        /// How the contact took place.
        mode: ContactMode,
        /// Minutes of contact.
        #[serde(default)]
        minutes: u32,
        /// The note.
        text: Text,
    },
    /// Correct a note.
    CorrectNote {
        /// The note's entry.
        note: EntryId,
        /// What it should say.
        text: Text,
        /// Why.
        reason: Text,
    },
    /// Raise a safety fact.
    RaiseAlert {
        /// Which.
        code: AlertCode,
        /// What was seen or said.
        detail: Text,
        /// When it should be reviewed.
        #[serde(default)]
        review_by: Option<Day>,
    },
    /// Review a safety fact.
    ReviewAlert {
        /// Which.
        code: AlertCode,
        /// Whether it stands no longer.
        clear: bool,
        /// Why.
        reason: Text,
        /// The raises and reviews the person was looking at. Needed where it clears; otherwise,
        /// if absent, what stands where this is decided.
        #[serde(default)]
        seen: Option<Vec<EntryId>>,
    },
    /// Note something to be done.
    AddTask {
        /// What.
        what: Text,
        /// By when.
        #[serde(default)]
        due: Option<Day>,
        /// By whom.
        #[serde(default)]
        whom: Option<WorkerId>,
    },
    /// Give a task another due date.
    MoveTask {
        /// The task's entry.
        task: EntryId,
        /// The new date.
        due: Day,
        /// Why.
        reason: Text,
    },
    /// Say that a task is done.
    CompleteTask {
        /// The task's entry.
        task: EntryId,
        /// What came of it.
        #[serde(default)]
        result: Text,
    },
    /// Record an outcome measure's total.
    RecordOutcome {
        /// Which measure.
        instrument: Instrument,
        /// The total in points; for SWEMWBS the raw one.
        total: u32,
        /// The day it was taken.
        taken: Day,
        /// At which point of the support.
        point: OutcomePoint,
        /// The outcome entries this one corrects: more than one where they are in conflict.
        #[serde(default)]
        replaces: Vec<EntryId>,
        /// Why it replaces any.
        #[serde(default)]
        reason: Text,
    },
    /// Change a case's status.
    SetStatus {
        /// To what.
        status: Status,
        /// Why.
        #[serde(default)]
        reason: Text,
    },
    /// Say who leads.
    SetLead {
        /// Who.
        worker: WorkerId,
        /// Why.
        #[serde(default)]
        reason: Text,
    },
    /// Fix the next review.
    SetReviewDate {
        /// For when.
        date: Day,
        /// Why.
        #[serde(default)]
        reason: Text,
    },
    /// Add a theme.
    AddTheme {
        /// Which.
        theme: Theme,
    },
    /// Edit a case's plan or a session's shared notes.
    EditText {
        /// One after the other, each on the text its predecessor left.
        splices: Vec<Splice>,
        /// The newest edits of the text the person was looking at, as the view lists them. If the
        /// text is another one by now, the edit is refused instead of taking other people's
        /// words.
        seen: Vec<EntryId>,
        /// Length of that text, in Unicode scalar values, if it is to be compared as well.
        #[serde(default)]
        length: Option<usize>,
    },
    /// Edit a case's crisis plan; in all else as editing its plan.
    EditCrisisPlan {
        /// One after the other, each on the text its predecessor left.
        splices: Vec<Splice>,
        /// The newest edits of the crisis plan the person was looking at.
        seen: Vec<EntryId>,
        /// Length of that text, in Unicode scalar values, if it is to be compared as well.
        #[serde(default)]
        length: Option<usize>,
    },
    /// Set a low-harm field.
    SetField {
        /// Which.
        field: Field,
        /// To what.
        value: Text,
    },
    /// Begin a session.
    OpenSession {
        /// The venue, by its code.
        venue: Text,
        /// The day.
        date: Day,
        /// The planned start.
        start: TimeOfDay,
        /// The planned end.
        #[serde(default)]
        end: Option<TimeOfDay>,
        /// What kind of session.
        form: SessionForm,
    },
    /// Change the planned end and the kind of session.
    SetPlan {
        /// The planned end.
        #[serde(default)]
        end: Option<TimeOfDay>,
        /// What kind of session.
        form: SessionForm,
        /// Why.
        #[serde(default)]
        reason: Text,
    },
    /// Say when the session really began and ended.
    SetTimes {
        /// Began.
        start: TimeOfDay,
        /// Ended.
        end: TimeOfDay,
        /// Why.
        #[serde(default)]
        reason: Text,
    },
    /// Mark a person, or a guest who is in the register.
    Mark {
        /// Whom.
        attender: Attender,
        /// How.
        attendance: Attendance,
        /// When the attender came.
        #[serde(default)]
        arrived: Option<TimeOfDay>,
        /// When the attender left.
        #[serde(default)]
        left: Option<TimeOfDay>,
    },
    /// Enter a guest, of whom only a name is known, into the register.
    AddGuest {
        /// The name, as the guest gives it.
        name: Text,
        /// How.
        attendance: Attendance,
        /// When the guest came.
        #[serde(default)]
        arrived: Option<TimeOfDay>,
        /// When the guest left.
        #[serde(default)]
        left: Option<TimeOfDay>,
    },
    /// Say that a guest is somebody else in the register, or nobody else after all.
    MatchGuest {
        /// The entry that brought the guest in.
        guest: EntryId,
        /// Who it is: a person, or another guest. Nobody else if absent.
        #[serde(default)]
        to: Option<Attender>,
        /// Why.
        reason: Text,
    },
    /// Take cash.
    TakeCash {
        /// How much, in pence.
        pence: u32,
        /// From whom.
        #[serde(default)]
        from: Option<Attender>,
        /// What for.
        #[serde(default)]
        what: Text,
    },
    /// Pay cash out.
    PayOut {
        /// How much, in pence.
        pence: u32,
        /// What for.
        what: Text,
    },
    /// Count the cash.
    CountCash {
        /// How much there is, in pence.
        pence: u32,
    },
    /// Take a receipt or a payment back.
    ReverseCash {
        /// Its entry.
        cash: EntryId,
        /// Why.
        reason: Text,
    },
    /// Count the people in the room.
    HeadCount {
        /// How many.
        people: u32,
    },
    /// Tick a checklist item off.
    Tick {
        /// Which.
        item: ChecklistItem,
    },
}

impl Command {
    /// The command's code: the value of `command` in its written form.
    pub fn code(&self) -> &'static str {
        match self {
            Command::OpenCase { .. } => "open-case",
            Command::Identify { .. } => "identify",
            Command::Settle { .. } => "settle",
            Command::AddNote { .. } => "add-note",
            Command::CorrectNote { .. } => "correct-note",
            Command::RaiseAlert { .. } => "raise-alert",
            Command::ReviewAlert { .. } => "review-alert",
            Command::AddTask { .. } => "add-task",
            Command::MoveTask { .. } => "move-task",
            Command::CompleteTask { .. } => "complete-task",
            Command::RecordOutcome { .. } => "record-outcome",
            Command::SetStatus { .. } => "set-status",
            Command::SetLead { .. } => "set-lead",
            Command::SetReviewDate { .. } => "set-review-date",
            Command::AddTheme { .. } => "add-theme",
            Command::EditText { .. } => "edit-text",
            Command::EditCrisisPlan { .. } => "edit-crisis-plan",
            Command::SetField { .. } => "set-field",
            Command::OpenSession { .. } => "open-session",
            Command::SetPlan { .. } => "set-plan",
            Command::SetTimes { .. } => "set-times",
            Command::Mark { .. } => "mark",
            Command::AddGuest { .. } => "add-guest",
            Command::MatchGuest { .. } => "match-guest",
            Command::TakeCash { .. } => "take-cash",
            Command::PayOut { .. } => "pay-out",
            Command::CountCash { .. } => "count-cash",
            Command::ReverseCash { .. } => "reverse-cash",
            Command::HeadCount { .. } => "head-count",
            Command::Tick { .. } => "tick",
        }
    }

    /// What it does to which text, if it edits one.
    pub fn typing(&self) -> Option<Typing<'_>> {
        let (writing, splices, seen, length) = if let Command::EditText {
            splices,
            seen,
            length,
        } = self
        {
            (Writing::Main, splices, seen, length)
        } else if let Command::EditCrisisPlan {
            splices,
            seen,
            length,
        } = self
        {
            (Writing::CrisisPlan, splices, seen, length)
        } else {
            return None;
        };
        Some(Typing {
            writing,
            splices,
            seen,
            length: *length,
        })
    }

    /// Whether it begins a document.
    pub fn begins(&self) -> bool {
        matches!(self, Command::OpenCase { .. } | Command::OpenSession { .. })
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({})", self.code())
    }
}

/// One of the texts that people write together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Writing {
    /// A case's plan, a session's shared notes.
    #[default]
    Main,
    /// What is to be done in a crisis of the person's, and by whom; of a case alone.
    CrisisPlan,
}

/// A command that edits a text.
#[derive(Clone, Copy, Debug)]
pub struct Typing<'a> {
    /// Which text.
    pub writing: Writing,
    /// One after the other, each on the text its predecessor left.
    pub splices: &'a [Splice],
    /// The newest edits of the text the person was looking at.
    pub seen: &'a [EntryId],
    /// Length of that text, in Unicode scalar values, if it is to be compared as well.
    pub length: Option<usize>,
}

/// One edit of a text: at `position`, take `delete` characters away and put `insert` there.
/// Positions and lengths are in Unicode scalar values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splice {
    /// Where.
    pub position: usize,
    /// How many characters go.
    #[serde(default)]
    pub delete: usize,
    /// What comes.
    #[serde(default)]
    pub insert: String,
}

impl fmt::Debug for Splice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splice")
            .field("position", &self.position)
            .field("delete", &self.delete)
            .field("insert_bytes", &self.insert.len())
            .finish()
    }
}

/// What is to be written down. Nothing at all means: already recorded, which is success.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Edits {
    /// Entries to append.
    pub entries: Vec<Entry>,
    /// Low-harm fields to set, by code and value.
    pub fields: Vec<(String, String)>,
    /// Which text is edited.
    pub writing: Writing,
    /// Edits of that text, one after the other.
    pub splices: Vec<Splice>,
}

impl Edits {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.fields.is_empty() && self.splices.is_empty()
    }
}

impl fmt::Debug for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edits")
            .field("entries", &self.entries)
            .field("fields", &self.fields.len())
            .field("splices", &self.splices)
            .finish()
    }
}
