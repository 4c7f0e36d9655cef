//! Packing: one document's changes, put together to be sent.

use std::collections::BTreeMap;

use names::DocumentId;
use protocol::bundle::Bundle;

use crate::{
    bundle::Packer,
    rows::{IndexChange, IndexRow},
};

/// A bundle to be sent.
pub(crate) struct Packed {
    pub(crate) bundle: Bundle,
    /// The bytes of its changes as they were written, by which progress is counted.
    pub(crate) bytes: u64,
    /// How far each author's line goes in it, by slot: what is told of as sent is what is in it.
    pub(crate) lines: BTreeMap<u64, u64>,
}

/// Which heads of its authors a bundle keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heads {
    /// The last of each: the fewest bytes.
    Last,
    /// Every one, so that whoever cannot take all of a line can take its beginning.
    Every,
}

/// A bundle that is being put together.
pub(crate) struct Packing {
    packer: Packer,
    lines: BTreeMap<u64, u64>,
    heads: Heads,
}

impl Packing {
    pub(crate) fn new(document: DocumentId, heads: Heads) -> Packing {
        Packing {
            packer: Packer::new(document),
            lines: BTreeMap::new(),
            heads,
        }
    }

    /// Which document it is of.
    pub(crate) fn document(&self) -> DocumentId {
        self.packer.document()
    }

    /// Whether there is room for all changes of a kept bundle.
    pub(crate) fn has_room(&self, for_all_of: &Bundle) -> bool {
        self.packer.has_room(for_all_of)
    }

    /// Adds what is wanted of a kept bundle.
    pub(crate) fn add(
        &mut self,
        bundle: Bundle,
        index: &IndexRow,
        wanted: impl Fn(&IndexChange) -> bool,
    ) {
        self.packer.add(bundle, index.hashes(), |place| {
            index.changes.get(place).is_some_and(&wanted)
        });
        for change in index.changes.iter().filter(|change| wanted(change)) {
            let line = self.lines.entry(change.slot).or_default();
            *line = change.seq.max(*line);
        }
    }

    /// What was put together so far; another bundle of the same document begins.
    pub(crate) fn take(&mut self) -> Option<Packed> {
        let next = Packing::new(self.document(), self.heads);
        std::mem::replace(self, next).finish()
    }

    /// What was put together; none if nothing was.
    pub(crate) fn finish(self) -> Option<Packed> {
        let finished = match self.heads {
            Heads::Last => self.packer.finish(),
            Heads::Every => self.packer.finish_with_every_head(),
        };
        let (bundle, bytes) = finished?;
        Some(Packed {
            bundle,
            bytes: bytes as u64,
            lines: self.lines,
        })
    }
}
