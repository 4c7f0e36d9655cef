//! Rows of documents that have left a scope, or are leaving a store.

use minicbor::{Decode, Encode};
use names::{DocumentId, Moment, Nonce, Reason, ScopeId};
use protocol::{
    codec,
    digest::{Element, document_element, left_element},
    message::Backups,
    placement::PlacementId,
};

use super::DocumentRow;

/// A scope that a document is not in, though a placement of it names it.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct Left {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) scope: ScopeId,
    /// The placements that took it out.
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) exits: Vec<PlacementId>,
}

codec::wire_struct!(Left);

impl DocumentRow {
    /// Whether it has left a scope, or was placed there in vain.
    pub(crate) fn has_left(&self, scope: &ScopeId) -> bool {
        self.left.iter().any(|left| left.scope == *scope)
    }

    /// Whether it may be spoken of in a scope: it is in it, or has left it.
    pub(crate) fn is_known_in(&self, scope: &ScopeId) -> bool {
        self.placed.contains(scope) || self.has_left(scope)
    }

    /// What stands for it in the digest of a scope.
    pub(crate) fn element_in(&self, document: &DocumentId, scope: &ScopeId) -> Option<Element> {
        if self.placed.contains(scope) {
            return Some(document_element(document, &self.hashes(), &self.placements));
        }
        let left = self.left.iter().find(|left| left.scope == *scope);
        left.map(|left| left_element(document, &left.exits))
    }
}

/// A document that has left a scope here.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct TransferRow {
    /// When it left the last one.
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) at: Moment,
    #[n(1)]
    pub(crate) stage: Stage,
    /// Why the centre does not take something of it, when that was so the last time.
    #[cbor(n(2), with = "codec::wire", has_nil)]
    pub(crate) refused: Option<Reason>,
}

/// How far a document is with leaving a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Stage {
    /// It stands in another scope that this node may read.
    #[n(0)]
    Stays,
    /// It stands nowhere this node may read. What was written here of it is handed in; no list has
    /// it any more.
    #[n(1)]
    HandsIn,
    /// All that was written here is in a backup of the centre, or has been there long enough, and its
    /// rows are being deleted: those of bundles below this arrival are.
    #[n(2)]
    Drops(#[n(0)] u64),
    /// Only its placements are left.
    #[n(3)]
    Gone,
    /// The centre has answered to hold all of it. The rows stay until a backup has it too: a centre
    /// that came back from an older one would lack it.
    #[n(4)]
    Held(#[n(0)] Receipt),
}

/// When the centre answered to hold all that is here of a document, by its own clock, and which of its backups will
/// have it: those of that opening of its store that are begun after `begun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Receipt {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) at: Moment,
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) opening: Nonce,
    #[n(2)]
    pub(crate) begun: u64,
}

impl Receipt {
    /// Whether it was given in this opening of the centre's store, and not in a later moment of it than
    /// there is: whoever runs a machine's memory from a copy runs the opening twice.
    pub(crate) fn is_of(&self, opening: Nonce, backups: &Backups) -> bool {
        self.opening == opening && self.begun <= backups.begun
    }

    /// Whether what a centre says of its backups, in an opening of its store, means that one of them
    /// has it.
    pub(crate) fn is_backed_up(&self, opening: Nonce, backups: &Backups) -> bool {
        self.is_of(opening, backups) && self.begun < backups.kept
    }
}
