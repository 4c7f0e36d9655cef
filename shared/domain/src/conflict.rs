//! What two people said differently without knowing of each other, for a person to settle.

use std::collections::BTreeSet;
use std::fmt;

use names::{EntryId, Moment, SiteId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::attender::Attender;
use crate::code::{AlertCode, Slot};
use crate::merge::{EntryLog, MultiValue, Row};
use crate::text::Text;

/// What a conflict is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// An identifier of the person.
    Identifier {
        /// Which.
        slot: Slot,
    },
    /// A safety fact: cleared here, raised or kept there. It stands meanwhile.
    Alert {
        /// Which.
        code: AlertCode,
    },
    /// How the document began, told differently by two who began it.
    Opening,
    /// The case's status.
    Status,
    /// The lead worker.
    Lead,
    /// The next review; the earliest operates meanwhile.
    ReviewDate,
    /// A task's due date; the earliest operates meanwhile.
    TaskDue {
        /// The task's entry.
        task: EntryId,
    },
    /// An outcome that two corrected differently; all corrections count meanwhile.
    Outcome {
        /// The least entry of those that go back to the same ones.
        outcome: EntryId,
    },
    /// A session's planned end or kind, given differently by two who began it.
    Plan,
    /// A session's real times.
    Times,
    /// A mark in the register.
    Attendance {
        /// Of whom.
        attender: Attender,
    },
    /// Who a guest is.
    Guest {
        /// The entry that brought the guest in.
        guest: EntryId,
    },
    /// Two lines of the cash under one id; both count.
    CashLine {
        /// Their id.
        cash: EntryId,
    },
    /// The cash counted.
    CashCount,
    /// The people counted.
    HeadCount,
}

/// One of the values that stand against each other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The entry that says so.
    pub entry: EntryId,
    /// The value as a screen shows it.
    pub value: Text,
    /// Who said so.
    pub by: WorkerId,
    /// Where.
    pub site: SiteId,
    /// When, by the clock of where it was made.
    pub at: Moment,
}

impl Version {
    /// A row, with what it says in words.
    pub(crate) fn of<T>(row: &Row<'_, T>, value: Text) -> Version {
        let made = row.made;
        Version {
            entry: row.entry,
            value,
            by: made.by.clone(),
            site: made.site.clone(),
            at: made.at,
        }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({}, {} bytes)", self.entry, self.value.len())
    }
}

/// Values that stand against each other, and what operates until a person settles it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What it is about.
    pub about: Subject,
    /// Every standing value, with who, where and when.
    pub values: Vec<Version>,
    /// What the screens, lists and reports go by meanwhile; empty where none of the values is
    /// the safer one and all are shown.
    pub operational: Text,
}

impl Conflict {
    /// The conflict among the standing values of a field, if they differ.
    pub(crate) fn among<T: Ord + Clone>(
        about: Subject,
        field: &MultiValue<T>,
        words: impl Fn(&T) -> Text,
        operational: Text,
    ) -> Option<Conflict> {
        if !field.is_contested() {
            return None;
        }
        let standing = field.standing();
        let values = standing
            .iter()
            .map(|row| Version::of(row, words(&row.value.value)));
        Some(Conflict {
            about,
            values: values.collect(),
            operational,
        })
    }
}

impl Conflict {
    /// The conflict among all that was ever said, if it differs in what counts (`meant`) and nothing
    /// can replace it.
    pub(crate) fn among_all<T: Ord + Clone, M: Ord>(
        about: Subject,
        log: &EntryLog<T>,
        meant: impl Fn(&T) -> M,
        words: impl Fn(&T) -> Text,
    ) -> Option<Conflict> {
        let different: BTreeSet<M> = log.rows().map(|row| meant(row.value)).collect();
        let rows = log.in_order();
        let values = rows.iter().map(|row| Version::of(row, words(row.value)));
        (different.len() > 1).then(|| Conflict {
            about,
            values: values.collect(),
            operational: Text::default(),
        })
    }
}

/// Words as they are compared where nobody should have to settle how they were typed.
pub(crate) fn folded(words: &Text) -> String {
    words.as_str().trim().to_lowercase()
}

/// What was done or given, and why if anybody said so.
pub(crate) fn with_reason(what: &str, reason: &Text) -> Text {
    if reason.is_empty() {
        Text::from(what)
    } else {
        Text::from(format!("{what}: {}", reason.as_str()))
    }
}

impl fmt::Debug for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflict")
            .field("about", &self.about)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}
