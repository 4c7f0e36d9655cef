//! The set sketch of a scope: the repair, when two digests differ.
//!
//! RIBLT, rateless invertible Bloom lookup tables (Yang, Gilad, Alizadeh, "Practical Rateless Set
//! Reconciliation", arXiv 2402.02668). A set of [`Item`]s is summed up in an endless row of
//! [`Cell`]s, the paper's *coded symbols*: each item, the paper's *source symbol*, is in cell 0
//! and in ever fewer of the later ones (`mapping`). Subtracting a peer's cells from one's own
//! leaves the cells of the items that only one side has, and about 1.4 cells for each of those
//! give all of them back ([`Decoder`]), however large the sets are. Nobody has to know beforehand
//! how many differ: whoever has too few cells asks for the next ones.
//!
//! The first [`CELLS_KEPT`] cells are kept beside the data and follow it ([`Sketch`]); later ones
//! are made by reading all items once ([`cells_of`]). The key keeps those who may not read a scope
//! from choosing items that spoil its sketch. Those who may can do no more than that: decoding
//! then fails with a name ([`Unsolvable`]), and the exact list repairs.
//!
//! A sketch proves nothing. It says where to look, and the digest is the proof.

mod cell;
mod decode;
mod item;
mod mapping;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;

use std::{fmt, ops::Range};

use minicbor::{Decode, Encode, decode::Error as ReadError};
use names::Reason;

use crate::codec::{self, Collection};

pub use cell::{CELL_BYTES_MAX, Cell, subtract};
pub use decode::{Answer, Decoder, Differing, Unsolvable};
pub use item::{Item, SketchKey};

/// Cells kept of each scope and updated in place: 44 KiB that find about 700 differing items,
/// which is 350 changed documents, without reading the scope.
pub const CELLS_KEPT: usize = 1_024;
/// Cells that are ever made or taken for one repair: 1.4 MB, and some 23,000 differing items.
/// An exact list of 40,000 documents costs as many bytes, whoever lacks that much is sent far more
/// in documents, and a list needs neither the 8 MB nor the 40 ms that decoding takes here.
pub const CELLS_MAX: usize = 1 << 15;
/// Cells in one batch: at most 200 KiB and typically 176 KiB, which is below what a fill packs
/// into a frame, so that a repair holds up nothing else for longer than a fill does.
pub const CELLS_BATCH_MAX: usize = 4_096;
/// Cells sent besides those for the estimate: how many a few items need is a matter of luck, and 32
/// cells find ten where none was expected, 99 times of 100 (the tests measure it).
const CELLS_SPARE: usize = 32;
/// Cells sent next at least: fewer are not worth a round trip.
const CELLS_NEXT_MIN: usize = 16;
/// Bytes of a stored sketch at most: a short array of the key and the cells, each with its header.
pub const SKETCH_BYTES_MAX: usize = 1 + 17 + 3 + CELLS_KEPT * CELL_BYTES_MAX;

/// The first [`CELLS_KEPT`] cells of a set, under one key.
///
/// The order of additions and removals does not matter. Each costs one hash and about a dozen
/// cells, half a microsecond; a changed document is one of both.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Sketch {
    #[cbor(n(0), with = "codec::wire")]
    key: SketchKey,
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "read_all_kept"
    )]
    cells: Vec<Cell>,
}

codec::wire_struct!(Sketch);

impl Sketch {
    /// The sketch of the empty set.
    pub fn new(key: SketchKey) -> Sketch {
        Sketch {
            key,
            cells: vec![Cell::EMPTY; CELLS_KEPT],
        }
    }

    /// Puts an item in. An item is put in as often as it is a member: once.
    pub fn add(&mut self, item: &Item) {
        self.combine(item, 1);
    }

    /// Takes an item out that was put in before.
    pub fn remove(&mut self, item: &Item) {
        self.combine(item, -1);
    }

    /// The key it is made with. Cells of different keys have nothing to say to each other.
    pub fn key(&self) -> &SketchKey {
        &self.key
    }

    /// How many items are in it, which is the count of cell 0; below zero only if more were taken
    /// out than put in.
    pub fn count(&self) -> i64 {
        self.cells.first().map_or(0, |cell| cell.count)
    }

    /// Cells `range.start` up to but not including `range.end`; none if the range reaches beyond
    /// the [`CELLS_KEPT`] that are kept, for which there is [`cells_of`].
    pub fn cells(&self, range: Range<usize>) -> Option<&[Cell]> {
        self.cells.get(range)
    }

    /// The sketch as it is stored, key included: at most [`SKETCH_BYTES_MAX`] bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The sketch that was stored.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] beyond [`SKETCH_BYTES_MAX`], else [`Reason::Malformed`] unless it is
    /// whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sketch, Reason> {
        if bytes.len() > SKETCH_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        codec::decode(bytes)
    }

    fn combine(&mut self, item: &Item, times: i64) {
        let marked = self.key.mark(item);
        for index in marked.indices() {
            let Some(cell) = self.cells.get_mut(index) else {
                break;
            };
            cell.put(&marked, times);
        }
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sketch({} items)", self.count())
    }
}

/// For the field of a stored sketch: exactly [`CELLS_KEPT`] cells.
fn read_all_kept<Ctx>(
    decoder: &mut minicbor::Decoder<'_>,
    _: &mut Ctx,
) -> Result<Vec<Cell>, ReadError> {
    let cells = Vec::<Cell>::read_at_most(decoder, CELLS_KEPT)?;
    if cells.len() == CELLS_KEPT {
        Ok(cells)
    } else {
        Err(ReadError::message("not all cells that are kept"))
    }
}

/// Cells `range.start` up to but not including `range.end` of the set of `items`, each given once,
/// in any order; nothing beyond [`CELLS_MAX`]. Reads the items once and keeps nothing but the
/// cells. For 100,000 items and cells 0 to 1,024 that takes about 45 ms,
/// to 32,768 about 65.
pub fn cells_of(
    key: &SketchKey,
    items: impl IntoIterator<Item = Item>,
    range: Range<usize>,
) -> Vec<Cell> {
    let end = range.end.min(CELLS_MAX);
    let mut cells = vec![Cell::EMPTY; end.saturating_sub(range.start)];
    for item in items {
        let marked = key.mark(&item);
        for index in marked.indices().take_while(|index| *index < end) {
            let place = index.checked_sub(range.start);
            if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
                cell.put(&marked, 1);
            }
        }
    }
    cells
}

/// How many cells to send first when about `estimate` items differ: 1.6 for each and 32 more, at
/// most [`CELLS_MAX`]. A document that one side changed is two items, the old state and the new.
pub fn cells_first(estimate: u64) -> usize {
    let estimate = usize::try_from(estimate).unwrap_or(CELLS_MAX);
    let for_each = estimate.min(CELLS_MAX) * 8 / 5;
    (for_each + CELLS_SPARE).min(CELLS_MAX)
}

/// How many cells to send next when the first `taken` did not suffice: half as many again, at
/// least 16. None at [`CELLS_MAX`]: the exact list is cheaper from there.
pub fn cells_next(taken: usize) -> usize {
    (taken / 2)
        .max(CELLS_NEXT_MIN)
        .min(CELLS_MAX.saturating_sub(taken))
}
