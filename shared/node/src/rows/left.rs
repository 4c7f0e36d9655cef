//! Rows of documents that have left a scope, or are leaving a store.

use minicbor::{Decode, Encode};
use names::{DocumentId, Moment, ScopeId};
use protocol::{
    codec,
    digest::{Element, document_element, left_element},
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
    /// All that was written here is at the centre, and its rows are being deleted: those of bundles
    /// below this arrival are.
    #[n(2)]
    Drops(#[n(0)] u64),
    /// Only its placements are left.
    #[n(3)]
    Gone,
}
