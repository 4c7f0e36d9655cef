//! Values to bytes and back.
//!
//! Bytes are CBOR by way of `minicbor`'s derive: a struct is an array of its fields in the order
//! of their numbers. **Version rule:** a field keeps its number and meaning for ever; new fields
//! are only ever appended, as `Option`; a reader skips what it does not know.
//!
//! Reading is total (any bytes give a value or [`Reason`]) and bounded: nothing is allocated on
//! the word of a length that the input does not back, and a list has a named limit.
//!
//! Our ids live in `names`, which knows no codec, so a field says how it is written:
//!
//! ```
//! # use ridgeway_protocol as protocol;
//! use names::{DocumentId, ScopeId, limits::SCOPES_MAX};
//! use protocol::codec;
//!
//! #[derive(Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
//! struct Row {
//!     #[cbor(n(0), with = "codec::wire")]
//!     document: DocumentId,
//!     #[cbor(n(1), encode_with = "codec::wire::encode",
//!            decode_with = "codec::at_most::<SCOPES_MAX, _, _>")]
//!     scopes: Vec<ScopeId>,
//!     #[cbor(n(2), with = "codec::wire", has_nil)]
//!     since: Option<names::Moment>,
//! }
//! codec::wire_struct!(Row); // so that other structs can hold rows, or lists of them
//!
//! let row = Row { document: DocumentId([7; 16]), scopes: vec![ScopeId::Directory], since: None };
//! assert_eq!(codec::decode::<Row>(&codec::encode(&row)), Ok(row));
//! ```

mod collections;
mod scalars;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};
use names::{Reason, limits::LINE_BYTES_MAX};

pub use crate::wire_struct;
pub use collections::Collection;
pub use minicbor;
pub(crate) use scalars::wire_bytes;

/// The bytes of a value.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("memory takes every byte, and no value of ours refuses")
}

/// The value in `bytes`, all of them.
///
/// # Errors
/// [`Reason::Malformed`] when the bytes are not such a value, or when something follows it.
pub fn decode<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<T, Reason> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| Reason::Malformed)?;
    if decoder.position() == bytes.len() {
        Ok(value)
    } else {
        Err(Reason::Malformed)
    }
}

/// A value that can stand in a field: the ids and moments of `names`, numbers, text, bytes, lists,
/// and every struct that [`wire_struct!`] was told of.
pub trait Wire: Sized {
    /// Appends the value's bytes.
    ///
    /// # Errors
    /// Only those of the writer; memory has none.
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>>;

    /// Reads one value.
    ///
    /// # Errors
    /// When the bytes are not such a value. The error's text quotes nothing that was read.
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError>;

    /// What a missing field means; only an `Option` may be missing.
    fn nil() -> Option<Self> {
        None
    }

    /// Whether the value is what a missing field means.
    fn is_nil(&self) -> bool {
        false
    }
}

/// For `#[cbor(with = "codec::wire")]`, on an `Option` with `has_nil` added.
pub mod wire {
    use super::{Decoder, Encoder, ReadError, Wire, Write, WriteError};

    /// Writes a field.
    ///
    /// # Errors
    /// Only those of the writer.
    pub fn encode<Ctx, T: Wire, W: Write>(
        value: &T,
        encoder: &mut Encoder<W>,
        _: &mut Ctx,
    ) -> Result<(), WriteError<W::Error>> {
        value.write(encoder)
    }

    /// Reads a field.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn decode<Ctx, T: Wire>(decoder: &mut Decoder<'_>, _: &mut Ctx) -> Result<T, ReadError> {
        T::read(decoder)
    }

    /// What a missing field means.
    pub fn nil<T: Wire>() -> Option<T> {
        T::nil()
    }

    /// Whether the value may be left out.
    pub fn is_nil<T: Wire>(value: &T) -> bool {
        value.is_nil()
    }
}

/// For `#[cbor(decode_with = "codec::at_most::<LIMIT, _, _>")]`: a list, set, map, text or bytes
/// with no more than `MAX` elements or bytes.
///
/// # Errors
/// When the bytes are not such a collection, or when it is larger.
pub fn at_most<const MAX: usize, T: Collection, Ctx>(
    decoder: &mut Decoder<'_>,
    _: &mut Ctx,
) -> Result<T, ReadError> {
    T::read_at_most(decoder, MAX)
}

/// For `#[cbor(decode_with = "codec::line")]`: a name, a place, a reason; or none.
///
/// # Errors
/// When the bytes are not text, or when it is longer than [`LINE_BYTES_MAX`].
pub fn line<T: Collection, Ctx>(decoder: &mut Decoder<'_>, _: &mut Ctx) -> Result<T, ReadError> {
    T::read_at_most(decoder, LINE_BYTES_MAX)
}

/// Lets structs that derive `minicbor::Encode` and `minicbor::Decode` stand in fields of others.
#[macro_export]
macro_rules! wire_struct {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::codec::Wire for $name {
            fn write<W: $crate::codec::minicbor::encode::Write>(
                &self,
                encoder: &mut $crate::codec::minicbor::Encoder<W>,
            ) -> Result<(), $crate::codec::minicbor::encode::Error<W::Error>> {
                encoder.encode(self)?.ok()
            }

            fn read(
                decoder: &mut $crate::codec::minicbor::Decoder<'_>,
            ) -> Result<Self, $crate::codec::minicbor::decode::Error> {
                decoder.decode()
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use names::{DocumentId, Kind, Moment, ScopeId, SiteId, WorkerId};
    use proptest::prelude::*;

    use super::*;

    /// One of everything that has a form.
    #[derive(Clone, PartialEq, Debug, Encode, Decode)]
    struct All {
        #[cbor(n(0), with = "wire")]
        document: DocumentId,
        #[cbor(n(1), with = "wire")]
        site: SiteId,
        #[cbor(n(2), with = "wire")]
        scope: ScopeId,
        #[cbor(n(3), with = "wire")]
        at: Moment,
        #[cbor(n(4), with = "wire")]
        kind: Kind,
        #[cbor(n(5), with = "wire")]
        reason: Reason,
        #[cbor(n(6), with = "wire")]
        missing: Option<WorkerId>,
        #[cbor(n(7), encode_with = "wire::encode", decode_with = "at_most::<3, _, _>")]
        bytes: Vec<u8>,
        #[cbor(n(8), encode_with = "wire::encode", decode_with = "at_most::<3, _, _>")]
        list: Vec<u64>,
        #[cbor(n(9), encode_with = "wire::encode", decode_with = "at_most::<3, _, _>")]
        set: BTreeSet<u64>,
        #[cbor(
            n(10),
            encode_with = "wire::encode",
            decode_with = "at_most::<3, _, _>"
        )]
        map: BTreeMap<u64, bool>,
        #[cbor(
            n(11),
            encode_with = "wire::encode",
            decode_with = "at_most::<3, _, _>"
        )]
        text: String,
        #[cbor(n(12), with = "wire")]
        pair: (u16, i64),
        #[cbor(n(13), with = "wire")]
        array: [u8; 4],
        #[cbor(n(14), with = "wire", has_nil)]
        appended: Option<Moment>,
    }

    fn all() -> All {
        All {
            document: DocumentId([1; 16]),
            site: "bath".parse().expect("a site"),
            scope: "site:bath/safeguarding".parse().expect("a scope"),
            at: Moment(-5),
            kind: Kind::CASE,
            reason: Reason::Busy,
            missing: None,
            bytes: vec![1, 2, 3],
            list: vec![3, 2, 2],
            set: BTreeSet::from([1, 2, 3]),
            map: BTreeMap::from([(1, true), (2, false)]),
            text: "abc".to_owned(),
            pair: (7, i64::MIN),
            array: [1, 2, 3, 4],
            appended: Some(Moment(1)),
        }
    }

    #[test]
    fn everything_reads_back() {
        let without = All {
            appended: None,
            missing: "w-1".parse().ok(),
            ..all()
        };
        assert_eq!(codec_round(&without), Ok(without.clone()));
        assert_eq!(codec_round(&all()), Ok(all()));
        assert!(
            encode(&without).len() > 40,
            "and what is missing at the end is not written"
        );
        assert_eq!(encode(&without).first(), Some(&0x8E));
        assert_eq!(encode(&all()).first(), Some(&0x8F));
    }

    fn codec_round(all: &All) -> Result<All, Reason> {
        decode(&encode(all))
    }

    #[test]
    fn what_is_larger_than_its_limit_is_refused() {
        for larger in [
            All {
                bytes: vec![0; 4],
                ..all()
            },
            All {
                list: vec![0; 4],
                ..all()
            },
            All {
                set: (0..4).collect(),
                ..all()
            },
            All {
                map: (0..4).map(|n| (n, true)).collect(),
                ..all()
            },
            All {
                text: "abcd".to_owned(),
                ..all()
            },
        ] {
            assert_eq!(codec_round(&larger), Err(Reason::Malformed));
        }
    }

    #[test]
    fn each_value_has_one_form() {
        let set = |bytes: &[u8]| decode::<InSet>(bytes).map(|InSet { set }| set);
        assert_eq!(set(&[0x81, 0x82, 1, 2]), Ok(BTreeSet::from([1, 2])));
        assert_eq!(
            set(&[0x81, 0x82, 2, 1]),
            Err(Reason::Malformed),
            "out of order"
        );
        assert_eq!(set(&[0x81, 0x82, 1, 1]), Err(Reason::Malformed), "twice");
        assert_eq!(
            set(&[0x81, 0x9F, 1, 2, 0xFF]),
            Err(Reason::Malformed),
            "open-ended"
        );
        assert_eq!(
            set(&[0x81, 0x82, 1, 2, 0]),
            Err(Reason::Malformed),
            "something follows"
        );
    }

    #[derive(Encode, Decode)]
    struct InSet {
        #[cbor(n(0), with = "wire")]
        set: BTreeSet<u64>,
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<All>(&bytes);
        }

        #[test]
        fn a_damaged_value_gives_an_answer(place in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = encode(&all());
            let place = place.index(bytes.len());
            if let Some(slot) = bytes.get_mut(place) {
                *slot = byte;
            }
            let _ = decode::<All>(&bytes);
        }
    }
}
