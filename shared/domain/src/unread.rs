//! What a document holds and this version cannot read: kept, shown as far as it can be, and never
//! taken for nothing.

use names::Reason;

use crate::merge::{EntryLog, Row};
use crate::text::Text;

/// Of an entry whose act cannot be read: the little that can.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The code of the act, as it was written.
    pub code: Text,
    /// Why: [`Reason::NoCommonVersion`] for what a newer version wrote, anything else for damage.
    pub reason: Reason,
}

impl Unread {
    /// Whether a newer version can read it.
    pub fn is_newer(&self) -> bool {
        self.reason == Reason::NoCommonVersion
    }

    /// What a screen says of it.
    pub fn words(&self) -> String {
        let code = self.code.as_str();
        if self.is_newer() {
            format!("Recorded by a newer version of Ridgeway: {code}")
        } else {
            format!("Damaged, and kept as it is: {code}")
        }
    }
}

/// What of these has an act with this code.
pub(crate) fn with_code<'a>(
    log: &'a EntryLog<Unread>,
    code: &'a str,
) -> impl Iterator<Item = Row<'a, Unread>> {
    log.rows()
        .filter(move |row| row.value.code.as_str() == code)
}
