//! What reading a document could not make sense of.

use names::{ChangeHash, EntryId, Reason};
use serde::{Deserialize, Serialize};

/// Something in a document that was left out of what is shown, and why. Names a place, never a
/// value; what it is about stays in the document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Flaw {
    /// Where it was found.
    pub at: FlawAt,
    /// Why it was left out.
    pub reason: Reason,
}

/// The place of a [`Flaw`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlawAt {
    /// The document as a whole.
    Document,
    /// A change that could not be merged, or builds on one that could not.
    Change(ChangeHash),
    /// An entry that could not be read, or does not belong to this kind of document.
    Entry(EntryId),
    /// An entry whose id could not be read: its place in the document's list.
    Row(u64),
}
