//! The row that lists, search, tasks and due dates need, so that no list opens a document.

use std::fmt;

use names::{EntryId, Kind, Moment, SiteId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::code::{AlertCode, Status};
use crate::text::Text;
use crate::time::{Day, TimeOfDay};

/// The version of the code that makes summaries. A stored row of another version is stale.
pub const SUMMARY_VERSION: u16 = 2;

/// What lists show of one document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SUMMARY_VERSION`] of the code that made it.
    pub version: u16,
    /// The kind of document.
    pub kind: Kind,
    /// Where the document was begun; absent while its first entry has not arrived.
    pub site: Option<SiteId>,
    /// A case: the standing names. A session: its title, or its venue.
    pub title: Vec<Text>,
    /// A case: the standing names the person goes by.
    pub known_as: Vec<Text>,
    /// A case: the standing dates of birth.
    pub date_of_birth: Vec<Text>,
    /// A case: the standing NHS numbers.
    pub nhs_number: Vec<Text>,
    /// A case: the status that operates.
    pub status: Option<Status>,
    /// A case: whether statuses stand against each other.
    pub contested: bool,
    /// A case: the standing lead workers.
    pub lead: Vec<WorkerId>,
    /// A case: the alerts that stand.
    pub alerts: Vec<AlertCode>,
    /// A case: how many alerts were raised that this version cannot read. They stand, too.
    pub unread_alerts: u32,
    /// A case: by when the alerts that stand are to be reviewed, the earliest first.
    pub alert_reviews: Vec<AlertReview>,
    /// How many conflicts wait for a person.
    pub conflicts: u32,
    /// A case: what is to be done.
    pub tasks: Vec<TaskRow>,
    /// A case: the next review.
    pub next_review: Option<Day>,
    /// A session: its venue.
    pub venue: Option<Text>,
    /// A session: its day.
    pub date: Option<Day>,
    /// A session: its planned start.
    pub start: Option<TimeOfDay>,
    /// A session: how many the register has as having been there.
    pub attended: u32,
    /// A session: cash received less cash paid out, in pence.
    pub cash_pence: i64,
    /// How many entries the document holds.
    pub entries: u64,
    /// The latest moment any entry gives.
    pub last_at: Option<Moment>,
    /// How many places of the document could not be read.
    pub flaws: u32,
}

impl Summary {
    pub(crate) fn empty(kind: Kind, flaws: u32) -> Summary {
        Summary {
            version: SUMMARY_VERSION,
            kind,
            site: None,
            title: Vec::new(),
            known_as: Vec::new(),
            date_of_birth: Vec::new(),
            nhs_number: Vec::new(),
            status: None,
            contested: false,
            lead: Vec::new(),
            alerts: Vec::new(),
            unread_alerts: 0,
            alert_reviews: Vec::new(),
            conflicts: 0,
            tasks: Vec::new(),
            next_review: None,
            venue: None,
            date: None,
            start: None,
            attended: 0,
            cash_pence: 0,
            entries: 0,
            last_at: None,
            flaws,
        }
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summary")
            .field("version", &self.version)
            .field("kind", &self.kind)
            .field("alerts", &self.alerts.len())
            .field("conflicts", &self.conflicts)
            .field("tasks", &self.tasks.len())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// An alert that is to be looked at again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AlertReview {
    /// Which.
    pub code: AlertCode,
    /// By when: of the raises that stand and that nobody has reviewed since, the earliest day.
    pub due: Day,
    /// The raise that says so.
    pub raise: EntryId,
}

/// One open task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskRow {
    /// The task's entry.
    pub task: EntryId,
    /// By when.
    pub due: Option<Day>,
    /// What.
    pub what: Text,
    /// By whom.
    pub whom: Option<WorkerId>,
}
