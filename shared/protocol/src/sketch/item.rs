//! What a sketch is over: items, and the keyed hash that gives each its place and its check.

use std::fmt;

use names::{DocumentId, ScopeId};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mapping::Indices;
use crate::{
    bytes::byte_value,
    codec::wire_bytes,
    digest::DocState,
    hash::{self, label},
};

/// The key of a scope's sketches in one epoch: all who may read the scope then have it, so that
/// one sketch serves every peer. Never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SketchKey(pub [u8; 16]);

wire_bytes!(SketchKey);

impl fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SketchKey")
    }
}

impl SketchKey {
    /// The key of a scope in one epoch. Those who may not read the scope cannot tell it from chance
    /// without the tenant's key.
    pub fn of(tenant_key: &[u8; 32], scope: &ScopeId, epoch: u64) -> SketchKey {
        let scope = scope.to_string();
        let parts: [&[u8]; 3] = [tenant_key, &epoch.to_le_bytes(), scope.as_bytes()];
        SketchKey(hash::hash16(label::SKETCH_KEY, &parts))
    }

    /// The item with what its keyed hash says.
    pub(super) fn mark(&self, item: &Item) -> Marked {
        let hash = hash::hash16(label::SKETCH_ITEM, &[&self.0, &item.0]);
        let (check, seed) = hash
            .split_first_chunk()
            .expect("16 bytes have a first eight");
        let seed = seed.first_chunk().expect("and eight more");
        Marked {
            item: *item,
            check: u64::from_le_bytes(*check),
            seed: u64::from_le_bytes(*seed),
        }
    }
}

byte_value!(
    /// One member of a sketched set: a document's id and then its state, a row of an exact list.
    Item, 32
);

impl Item {
    /// The item for a document in a state.
    pub fn new(document: &DocumentId, state: &DocState) -> Item {
        let mut bytes = [0; 32];
        let (front, back) = bytes.split_at_mut(16);
        front.copy_from_slice(document.as_ref());
        back.copy_from_slice(state.as_ref());
        Item(bytes)
    }

    /// The document.
    pub fn document(&self) -> DocumentId {
        let first = self.0.first_chunk().expect("32 bytes have a first 16");
        DocumentId(*first)
    }

    /// The state that it is in.
    pub fn state(&self) -> DocState {
        let last = self.0.last_chunk().expect("32 bytes have a last 16");
        DocState(*last)
    }
}

/// An item and the 16 bytes of its keyed hash.
#[derive(Clone)]
pub(super) struct Marked {
    pub(super) item: Item,
    /// What is summed up beside the item, so that a lone one is known from a sum of several.
    pub(super) check: u64,
    /// What decides which cells it is in.
    pub(super) seed: u64,
}

impl Marked {
    /// The cells it is in, ascending.
    pub(super) fn indices(&self) -> Indices {
        Indices::new(self.seed)
    }
}
