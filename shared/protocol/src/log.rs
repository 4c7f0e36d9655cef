//! Where things stand in a store's logs.
//!
//! A store keeps, per scope, one ordered log for each process that writes into it. A cursor says
//! how far somebody has read each of them; it is a hint only, the digest is the proof.

use std::{collections::BTreeMap, fmt};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};
use names::{WriterId, limits::WRITERS_MAX};

use crate::codec::{self, Collection, Wire};

/// One place in one log. Positions begin with 1; 0 is before the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct Position {
    /// The process whose log it is.
    #[cbor(n(0), with = "codec::wire")]
    pub writer: WriterId,
    /// The number of the last entry that is included.
    #[n(1)]
    pub number: u64,
}

codec::wire_struct!(Position);

/// A position in each of a store's logs of one scope; a log that is not named stands at 0.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Cursor(BTreeMap<WriterId, u64>);

impl Cursor {
    /// Before everything.
    pub fn new() -> Cursor {
        Cursor::default()
    }

    /// How far the log of `writer` has been read.
    pub fn number(&self, writer: &WriterId) -> u64 {
        self.0.get(writer).copied().unwrap_or(0)
    }

    /// Moves forward to `position`; says whether that was news. Never moves back.
    pub fn advance(&mut self, position: Position) -> bool {
        let news = position.number > self.number(&position.writer);
        if news {
            self.0.insert(position.writer, position.number);
        }
        news
    }

    /// Moves forward to wherever `other` is further.
    pub fn advance_to(&mut self, other: &Cursor) {
        for position in other.positions() {
            self.advance(position);
        }
    }

    /// Whether everything before `other` is before this cursor too.
    pub fn covers(&self, other: &Cursor) -> bool {
        other
            .positions()
            .all(|position| position.number <= self.number(&position.writer))
    }

    /// Whether `position` has been read.
    pub fn contains(&self, position: Position) -> bool {
        position.number <= self.number(&position.writer)
    }

    /// The position in each log that is named, by writer.
    pub fn positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.0.iter().map(|(writer, number)| Position {
            writer: *writer,
            number: *number,
        })
    }

    /// Whether it names as many writing processes as a cursor may.
    pub fn is_full(&self) -> bool {
        self.0.len() >= WRITERS_MAX
    }

    /// Whether it stands before everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Position> for Cursor {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Cursor {
        let mut cursor = Cursor::new();
        for position in positions {
            cursor.advance(position);
        }
        cursor
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor ")?;
        f.debug_map().entries(&self.0).finish()
    }
}

impl Wire for Cursor {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        self.0.write(encoder)
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        BTreeMap::read_at_most(decoder, WRITERS_MAX).map(Cursor)
    }
}

impl<C> Encode<C> for Cursor {
    fn encode<W: Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), WriteError<W::Error>> {
        self.write(encoder)
    }
}

impl<'b, C> Decode<'b, C> for Cursor {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, ReadError> {
        Cursor::read(decoder)
    }
}

#[cfg(test)]
mod tests {
    use names::Reason;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn at(writer: u8, number: u64) -> Position {
        Position {
            writer: WriterId([writer; 16]),
            number,
        }
    }

    fn cursors() -> impl Strategy<Value = Cursor> {
        vec((0u8..4, 0u64..6), 0..6)
            .prop_map(|positions| positions.into_iter().map(|(w, n)| at(w, n)).collect())
    }

    #[test]
    fn a_cursor_only_moves_forward() {
        let mut cursor = Cursor::new();
        assert!(cursor.is_empty() && cursor.contains(at(1, 0)) && !cursor.advance(at(1, 0)));
        assert!(cursor.advance(at(1, 5)));
        assert!(!cursor.advance(at(1, 4)) && !cursor.advance(at(1, 5)));
        assert!(cursor.contains(at(1, 5)) && !cursor.contains(at(1, 6)));
        assert_eq!(
            (
                cursor.number(&WriterId([1; 16])),
                cursor.number(&WriterId([2; 16]))
            ),
            (5, 0)
        );
    }

    #[test]
    fn a_cursor_names_a_bounded_number_of_writers() {
        let of = |writers: u8| -> Cursor { (0..writers).map(|writer| at(writer, 1)).collect() };
        let most = of(64);
        assert_eq!(codec::decode(&codec::encode(&most)), Ok(most));
        assert_eq!(
            codec::decode::<Cursor>(&codec::encode(&of(65))),
            Err(Reason::Malformed)
        );
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(cursor in cursors()) {
            prop_assert_eq!(codec::decode(&codec::encode(&cursor)), Ok(cursor));
        }

        #[test]
        fn advancing_covers_both(one in cursors(), other in cursors()) {
            let mut both = one.clone();
            both.advance_to(&other);
            prop_assert!(both.covers(&one) && both.covers(&other));
            prop_assert_eq!(both == one, one.covers(&other));
        }
    }
}
