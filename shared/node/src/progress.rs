//! How much of the record is to move in a scope, and how much of it has.

use std::collections::BTreeSet;

use names::DocumentId;

/// An amount of record, known before it moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Documents touched.
    pub documents: u64,
    /// Changes.
    pub changes: u64,
    /// Bytes of the changes, as they were written.
    pub bytes: u64,
}

/// What of an announced amount has moved so far.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    so_far: Progress,
    /// The documents counted, until the round is over: their runs do not come side by side.
    documents: BTreeSet<DocumentId>,
    placements: usize,
}

impl Moved {
    /// How much it is.
    pub(crate) fn so_far(&self) -> Progress {
        self.so_far
    }

    /// Adds changes of a document.
    pub(crate) fn add(&mut self, document: DocumentId, changes: usize, bytes: u64) {
        self.so_far.documents += u64::from(self.documents.insert(document));
        self.so_far.changes += changes as u64;
        self.so_far.bytes += bytes;
    }

    /// Adds placements, which no total names: they are a hundred bytes beside the changes.
    pub(crate) fn add_placements(&mut self, count: usize) {
        self.placements += count;
    }

    /// The round is over: which documents they were matters no more.
    pub(crate) fn end_round(&mut self) {
        self.documents.clear();
    }

    /// Whether it is anything at all.
    pub(crate) fn is_some(&self) -> bool {
        self.so_far != Progress::default() || self.placements > 0
    }
}
