//! Records: one row sealed, and one document's key wrapped.

use std::collections::BTreeMap;

use names::{DocumentId, StoreId};
use zeroize::Zeroizing;

use super::{SUITE, VERSION};
use crate::{
    Damage, Epochs, StoreError, Table,
    aead::{Cipher, KEY_BYTES, NONCE_BYTES, Nonce, TAG_BYTES},
    key::{HASHED_NAME_BYTES, KEY_POSITION, Keys, wrapping},
};

const HEADER_BYTES: usize = 7;
const ID_BYTES: usize = 16;
const DOMAIN: &[u8; 17] = b"ridgeway store v1";
const TRAILER_BYTES: usize = 5;
const PADDED_BYTES_MIN: usize = 32;

/// Under which key a record is sealed; the third byte of its header.
const BY_STORE: u8 = 0;
const BY_DOCUMENT: u8 = 1;
const BY_EPOCH: u8 = 2;

/// A row's name and its value.
pub(super) type Named = (Vec<u8>, Vec<u8>);

/// Which store this is, and the keys of the store itself.
pub(super) struct Place {
    pub(super) store: StoreId,
    pub(super) keys: Keys,
    /// What wraps and unwraps documents' keys, by epoch; keys are wrapped under the last.
    wrapping: BTreeMap<u32, Cipher>,
}

/// Where a row stands in the inner store.
pub(super) struct At {
    pub(super) table: Table,
    pub(super) name: [u8; HASHED_NAME_BYTES],
    pub(super) position: u64,
    /// The document it belongs to.
    pub(super) document: Option<DocumentId>,
}

impl At {
    fn header(&self) -> [u8; HEADER_BYTES] {
        let by = self.document.map_or(BY_STORE, |_| BY_DOCUMENT);
        [VERSION, SUITE, by, 0, 0, 0, 0]
    }

    pub(super) fn damaged(&self) -> StoreError {
        StoreError::Corrupt(Damage::Row(self.table))
    }
}

impl Place {
    pub(super) fn new(store: StoreId, keys: Keys, epochs: &Epochs) -> Place {
        let wrapping = epochs
            .each()
            .map(|(epoch, key)| (epoch, wrapping(key, store)));
        Place {
            store,
            keys,
            wrapping: wrapping.collect(),
        }
    }

    pub(super) fn row(&self, table: Table, name: &[u8], position: u64) -> At {
        At {
            table,
            name: self.keys.hashed_name(table, name),
            position,
            document: table.document_of(name),
        }
    }

    /// Everything that says where a record belongs.
    fn associated(&self, at: &At, header: &[u8]) -> Vec<u8> {
        let position = at.position.to_be_bytes();
        let document = at.document.unwrap_or_default();
        let parts: [&[u8]; 7] = [
            DOMAIN,
            self.store.as_ref(),
            &[at.table.code()],
            &at.name,
            &position,
            header,
            document.as_ref(),
        ];
        parts.concat()
    }

    /// `None` only for a value that is longer than a store takes.
    pub(super) fn seal(
        &self,
        cipher: &Cipher,
        at: &At,
        (name, mut value): (&[u8], Vec<u8>),
        nonce: Nonce,
    ) -> Option<Vec<u8>> {
        let value_length = u32::try_from(value.len()).ok()?.to_be_bytes();
        let name_length = u8::try_from(name.len()).ok()?;
        let padded = padded(value.len() + name.len() + TRAILER_BYTES);
        value.reserve_exact(padded - value.len());
        value.extend_from_slice(name);
        value.resize(padded - TRAILER_BYTES, 0);
        value.extend_from_slice(&value_length);
        value.push(name_length);

        let header = at.header();
        let associated = self.associated(at, &header);
        let tag = cipher.seal(&nonce, &associated, &mut value)?;
        let owner = at.document.map(|id| self.keys.masked(id, &nonce));
        let owner = owner.as_ref().map_or(&[][..], AsRef::as_ref);
        Some([header.as_slice(), &nonce, owner, &value, &tag].concat())
    }

    /// The name and value of a record that belongs `at` this place.
    pub(super) fn unseal(&self, cipher: &Cipher, at: &At, mut record: Vec<u8>) -> Option<Named> {
        let (header, rest) = record.split_first_chunk_mut::<HEADER_BYTES>()?;
        let (nonce, mut rest) = rest.split_first_chunk_mut::<NONCE_BYTES>()?;
        let mut before = HEADER_BYTES + NONCE_BYTES;
        if *header != at.header() {
            return None;
        }
        if let Some(document) = at.document {
            let (owner, after) = rest.split_first_chunk_mut::<ID_BYTES>()?;
            if self.keys.masked(DocumentId(*owner), nonce) != document {
                return None;
            }
            rest = after;
            before += ID_BYTES;
        }
        let (body, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        let associated = self.associated(at, header);
        cipher.open(nonce, &associated, body, tag)?;

        let (content, trailer) = body.split_last_chunk::<TRAILER_BYTES>()?;
        let [a, b, c, d, name_length] = *trailer;
        let value_length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let (_, rest) = content.split_at_checked(value_length)?;
        let (name, _) = rest.split_at_checked(usize::from(name_length))?;
        let name = name.to_vec();
        record.drain(..before);
        record.truncate(value_length);
        Some((name, record))
    }

    /// The document that a record says it is of; nothing else of it is proved yet.
    pub(super) fn owner_of(&self, record: &[u8]) -> Option<DocumentId> {
        let (_, rest) = record.split_first_chunk::<HEADER_BYTES>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (owner, _) = rest.split_first_chunk::<ID_BYTES>()?;
        Some(self.keys.masked(DocumentId(*owner), nonce))
    }

    /// A document's key as a row: `header | nonce | sealed key (32) | tag (16)`, the header naming
    /// the epoch.
    pub(super) fn wrap(
        &self,
        name: [u8; HASHED_NAME_BYTES],
        key: &[u8; KEY_BYTES],
        nonce: Nonce,
    ) -> Option<Vec<u8>> {
        let (epoch, cipher) = self.wrapping.last_key_value()?;
        let [a, b, c, d] = epoch.to_be_bytes();
        let header = [VERSION, SUITE, BY_EPOCH, a, b, c, d];
        let mut body = *key;
        let associated = self.associated(&key_at(name), &header);
        let tag = cipher.seal(&nonce, &associated, &mut body)?;
        Some([header.as_slice(), &nonce, &body, &tag].concat())
    }

    /// The cipher of a document's key that stands under this name; `None` when it is damaged, or
    /// its epoch has ended.
    pub(super) fn unwrap(&self, name: [u8; HASHED_NAME_BYTES], record: &[u8]) -> Option<Cipher> {
        let (header, rest) = record.split_first_chunk::<HEADER_BYTES>()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (body, tag) = rest.split_first_chunk::<KEY_BYTES>()?;
        let tag: [u8; TAG_BYTES] = tag.try_into().ok()?;
        let [VERSION, SUITE, BY_EPOCH, a, b, c, d] = *header else {
            return None;
        };
        let cipher = self.wrapping.get(&u32::from_be_bytes([a, b, c, d]))?;
        let mut key = Zeroizing::new(*body);
        let associated = self.associated(&key_at(name), header);
        cipher.open(nonce, &associated, key.as_mut_slice(), &tag)?;
        Some(Cipher::new(&key))
    }
}

/// Whether a record is a document's wrapped key, by what its header says.
pub(super) fn is_wrapped_key(record: &[u8]) -> bool {
    matches!(record, [VERSION, SUITE, BY_EPOCH, ..])
}

fn key_at(name: [u8; HASHED_NAME_BYTES]) -> At {
    At {
        table: Table::Key,
        name,
        position: KEY_POSITION,
        document: None,
    }
}

/// Padmé (Nikitin and others, PETS 2019): rounds up so that only about log log of the length
/// shows.
fn padded(length: usize) -> usize {
    if length <= PADDED_BYTES_MIN {
        return PADDED_BYTES_MIN;
    }
    let exponent = length.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - kept)) - 1;
    (length + mask) & !mask
}
