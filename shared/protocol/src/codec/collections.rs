//! Lists, sets, maps, texts and byte strings, each with the limit its reader names.
//!
//! Sets and maps travel in ascending order and are refused otherwise, so that one value has one
//! form. Lengths are always said in front; the open-ended forms of CBOR are refused.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{
    Decoder, Encoder,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};

use super::Wire;

/// Places reserved on a peer's word; beyond it a list grows as its elements are really read.
const RESERVED_MAX: usize = 64;

/// Something that holds many and therefore needs a limit when it is read.
pub trait Collection: Wire {
    /// Reads one of at most `max` elements, or bytes.
    ///
    /// # Errors
    /// When the bytes are not such a collection, or when it is larger.
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError>;
}

/// The number that a header announces, if it is at most `max`.
fn announced(length: Option<u64>, max: usize) -> Result<usize, ReadError> {
    length
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= max)
        .ok_or_else(|| ReadError::message("too many, or of no stated number"))
}

fn write_all<'a, T: Wire + 'a, W: Write>(
    elements: impl ExactSizeIterator<Item = &'a T>,
    encoder: &mut Encoder<W>,
) -> Result<(), WriteError<W::Error>> {
    encoder.array(elements.len() as u64)?;
    for element in elements {
        element.write(encoder)?;
    }
    Ok(())
}

impl<T: Wire> Collection for Vec<T> {
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError> {
        let length = announced(decoder.array()?, max)?;
        let mut list = Vec::with_capacity(length.min(RESERVED_MAX));
        for _ in 0..length {
            list.push(T::read(decoder)?);
        }
        Ok(list)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        write_all(self.iter(), encoder)
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        Self::read_at_most(decoder, usize::MAX)
    }
}

impl<T: Wire + Ord> Collection for BTreeSet<T> {
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError> {
        let length = announced(decoder.array()?, max)?;
        let mut set = BTreeSet::new();
        for _ in 0..length {
            let element = T::read(decoder)?;
            if set.last().is_some_and(|last| *last >= element) {
                return Err(ReadError::message("a set out of order"));
            }
            set.insert(element);
        }
        Ok(set)
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        write_all(self.iter(), encoder)
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        Self::read_at_most(decoder, usize::MAX)
    }
}

impl<K: Wire + Ord, V: Wire> Collection for BTreeMap<K, V> {
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError> {
        let length = announced(decoder.map()?, max)?;
        let mut map = BTreeMap::new();
        for _ in 0..length {
            let key = K::read(decoder)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(ReadError::message("a map out of order"));
            }
            map.insert(key, V::read(decoder)?);
        }
        Ok(map)
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.map(self.len() as u64)?;
        for (key, value) in self {
            key.write(encoder)?;
            value.write(encoder)?;
        }
        Ok(())
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        Self::read_at_most(decoder, usize::MAX)
    }
}

impl Collection for Vec<u8> {
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError> {
        let bytes = decoder.bytes()?;
        announced(Some(bytes.len() as u64), max)?;
        Ok(bytes.to_vec())
    }
}

impl Wire for Vec<u8> {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.bytes(self)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        Self::read_at_most(decoder, usize::MAX)
    }
}

impl Collection for String {
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError> {
        let text = decoder.str()?;
        announced(Some(text.len() as u64), max)?;
        Ok(text.to_owned())
    }
}

impl Wire for String {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.str(self)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        Self::read_at_most(decoder, usize::MAX)
    }
}

/// An absent collection is `null`.
impl<T: Collection> Collection for Option<T> {
    fn read_at_most(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, ReadError> {
        if decoder.datatype()? == minicbor::data::Type::Null {
            decoder.null()?;
            return Ok(None);
        }
        T::read_at_most(decoder, max).map(Some)
    }
}
