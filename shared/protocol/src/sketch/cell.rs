//! One cell: the sum of the items in it.

use minicbor::{
    Decoder, Encoder,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};

use super::item::Marked;
use crate::codec::Wire;

/// Bytes of a cell on the wire at most: a header of two, sum, check, and a count of eight. A count
/// below 128 takes one byte, below 32,768 two: so 43 or 44 bytes in all, as a rule.
pub const CELL_BYTES_MAX: usize = 2 + 32 + 8 + 8;

/// The sum over some items of a set, or over a difference of two: the paper's *coded symbol*.
///
/// On the wire and in store it is one byte string: the sum, the check, and the count in the fewest
/// bytes of two's complement that hold it, little-endian both. Lists of cells are lists of the
/// codec: a field says `decode_with = "codec::at_most::<CELLS_BATCH_MAX, _, _>"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The items, one upon the other by exclusive or.
    pub sum: [u8; 32],
    /// The checks of the items (eight bytes of their keyed hash), likewise.
    pub check: u64,
    /// How many items; in a difference those of ours less those of theirs. It wraps around, which
    /// only a peer that makes its cells up can bring about.
    pub count: i64,
}

impl Cell {
    /// The sum over nothing.
    pub const EMPTY: Cell = Cell {
        sum: [0; 32],
        check: 0,
        count: 0,
    };

    /// Whether nothing is in it, as far as anybody can tell.
    pub fn is_empty(&self) -> bool {
        *self == Cell::EMPTY
    }

    /// This cell less another at the same place of another set: what is in both is in neither.
    #[must_use]
    pub fn minus(&self, other: &Cell) -> Cell {
        let mut difference = *self;
        difference.combine(&other.sum, other.check, other.count.wrapping_neg());
        difference
    }

    /// Puts an item in `times` times, which is 1, or -1 to take it out.
    pub(super) fn put(&mut self, marked: &Marked, times: i64) {
        self.combine(&marked.item.0, marked.check, times);
    }

    fn combine(&mut self, sum: &[u8; 32], check: u64, count: i64) {
        for (mine, other) in self.sum.iter_mut().zip(sum) {
            *mine ^= other;
        }
        self.check ^= check;
        self.count = self.count.wrapping_add(count);
    }
}

/// Our cells less a peer's at the same places, for the decoder: as far as there are both.
pub fn subtract(ours: &[Cell], theirs: &[Cell]) -> Vec<Cell> {
    let pairs = ours.iter().zip(theirs);
    pairs.map(|(ours, theirs)| ours.minus(theirs)).collect()
}

impl Wire for Cell {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        let mut bytes = Vec::with_capacity(CELL_BYTES_MAX);
        bytes.extend(self.sum);
        bytes.extend(self.check.to_le_bytes());
        bytes.extend(self.count.to_le_bytes().iter().take(width(self.count)));
        encoder.bytes(&bytes)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        parse(decoder.bytes()?).ok_or_else(|| ReadError::message("not a cell"))
    }
}

fn parse(bytes: &[u8]) -> Option<Cell> {
    let (sum, rest) = bytes.split_first_chunk()?;
    let (check, count) = rest.split_first_chunk()?;
    Some(Cell {
        sum: *sum,
        check: u64::from_le_bytes(*check),
        count: parse_count(count)?,
    })
}

/// A count in its one form: in the fewest bytes.
fn parse_count(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last()? & 0x80 != 0;
    let mut whole = [if negative { 0xFF } else { 0 }; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let count = i64::from_le_bytes(whole);
    (width(count) == bytes.len()).then_some(count)
}

/// The fewest bytes of two's complement that hold a count: 1 to 8.
fn width(count: i64) -> usize {
    let magnitude = count ^ (count >> 63);
    let bits = 65 - magnitude.leading_zeros() as usize;
    bits.div_ceil(8)
}
