//! How single values are written: ids as bytes, codes and scopes as text, the rest as numbers.

use minicbor::{
    Decoder, Encoder,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};
use names::{
    ActorId, ChangeHash, DeviceId, DocumentId, EntryId, Incarnation, Kind, Moment, Nonce, Reason,
    ScopeId, SiteId, StoreId, TenantId, TransferReason, WorkerId, WriterId,
};

use super::Wire;

/// Implements [`Wire`] for newtypes around a byte array.
macro_rules! wire_bytes {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::codec::Wire for $name {
            fn write<W: minicbor::encode::Write>(
                &self,
                encoder: &mut minicbor::Encoder<W>,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.bytes(&self.0)?.ok()
            }

            fn read(
                decoder: &mut minicbor::Decoder<'_>,
            ) -> Result<Self, minicbor::decode::Error> {
                match decoder.bytes()?.try_into() {
                    Ok(bytes) => Ok(Self(bytes)),
                    Err(_) => Err(minicbor::decode::Error::message("wrong number of bytes")),
                }
            }
        }
    )+};
}
pub(crate) use wire_bytes;

wire_bytes!(
    ActorId,
    ChangeHash,
    DeviceId,
    DocumentId,
    EntryId,
    Incarnation,
    Nonce,
    StoreId,
    TenantId,
    WriterId,
);

macro_rules! wire_text {
    ($($name:ty),+ $(,)?) => {$(
        impl Wire for $name {
            fn write<W: Write>(
                &self,
                encoder: &mut Encoder<W>,
            ) -> Result<(), WriteError<W::Error>> {
                encoder.str(&self.to_string())?.ok()
            }

            fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
                decoder.str()?.parse().map_err(|_| ReadError::message("not a valid code"))
            }
        }
    )+};
}

wire_text!(SiteId, WorkerId, ScopeId);

// Not for `u8`: a list of them would be one byte string or many numbers, and nobody could tell.
macro_rules! wire_number {
    ($($type:ident),+ $(,)?) => {$(
        impl Wire for $type {
            fn write<W: Write>(
                &self,
                encoder: &mut Encoder<W>,
            ) -> Result<(), WriteError<W::Error>> {
                encoder.$type(*self)?.ok()
            }

            fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
                decoder.$type()
            }
        }
    )+};
}

wire_number!(bool, u16, u32, u64, i64);

impl Wire for Moment {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.i64(self.0)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder.i64().map(Moment)
    }
}

impl Wire for Kind {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.u16(self.0)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder.u16().map(Kind)
    }
}

/// A reason of a newer peer that is unknown here reads as [`Reason::Malformed`].
impl Wire for Reason {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.u16(self.code())?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder.u16().map(Reason::from_code)
    }
}

/// A reason of a newer node that is unknown here reads as [`TransferReason::Other`].
impl Wire for TransferReason {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.u16(self.code())?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder.u16().map(TransferReason::from_code)
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.bytes(self)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder
            .bytes()?
            .try_into()
            .map_err(|_| ReadError::message("wrong number of bytes"))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        match self {
            Some(value) => value.write(encoder),
            None => encoder.null()?.ok(),
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        if decoder.datatype()? == minicbor::data::Type::Null {
            decoder.null()?;
            return Ok(None);
        }
        T::read(decoder).map(Some)
    }

    fn nil() -> Option<Self> {
        Some(None)
    }

    fn is_nil(&self) -> bool {
        self.is_none()
    }
}

/// A pair is an array of two.
impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.array(2)?;
        self.0.write(encoder)?;
        self.1.write(encoder)
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        if decoder.array()? != Some(2) {
            return Err(ReadError::message("not a pair"));
        }
        Ok((A::read(decoder)?, B::read(decoder)?))
    }
}
