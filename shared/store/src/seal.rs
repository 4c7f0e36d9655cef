//! Sealing: any store, with every value encrypted and every name hashed.
//!
//! # Format
//!
//! A row is kept under a keyed hash of its table and name; its position stays clear. Its value is
//!
//! ```text
//! version (1) | suite (1) | key id (1) | key epoch (4) | nonce (24) | sealed bytes | tag (16)
//! ```
//!
//! where the sealed bytes are `value | name | padding | length of value (4) | length of name (1)`.
//! The name is inside so that [`Snapshot::names`] can give it back. Key id 0 is the store's own
//! key of that epoch; other ids leave room for the keys of single documents.
//!
//! The suite is XChaCha20-Poly1305 with random nonces. There is no counter, because a restored or
//! cloned store would repeat it. Everything that says *where* a row stands is associated data:
//! store id, table, hashed name, position and the header above. A record that is moved, swapped
//! or copied in from another store does not open.
//!
//! The padding (Padmé: at most 12 %, and never below 32 bytes) hides the exact length of a note.
//!
//! One row of the inner store is not sealed: the *seal*, which names the store and proves which
//! key fits it, so that a wrong key is told apart from damage.
//!
//! # What it does not do
//!
//! How many rows there are, how long they roughly are and when they change is visible. An older
//! record put back in its own place opens: that a row, or the whole store, is not an old copy is
//! proved by digests against peers.

use std::{fmt, sync::Arc};

use chacha20poly1305::{AeadInOut, Tag, XNonce};
use names::StoreId;

use crate::{
    Batch, Damage, NAME_BYTES_MAX, Page, Row, Snapshot, Store, StoreError, StoreKey, Table,
    VALUE_BYTES_MAX,
    key::{HASHED_NAME_BYTES, Keys},
};

const VERSION: u8 = 1;
const SUITE: u8 = 1;
const HEADER_BYTES: usize = 7;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// Version, suite, key id 0, key epoch 0.
const HEADER: [u8; HEADER_BYTES] = [VERSION, SUITE, 0, 0, 0, 0, 0];
const DOMAIN: &[u8; 17] = b"ridgeway store v1";
const TRAILER_BYTES: usize = 5;
const PADDED_BYTES_MIN: usize = 32;

/// The name of the seal. Hashed names have sixteen bytes, so none is equal to it.
const SEAL_NAME: &[u8] = b"seal";
const SEAL_SUM_BYTES: usize = 8;

/// Where the nonces come from: the shell's random source, or the simulator's.
pub type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

/// A store whose values and names only the holder of the key can read.
pub struct Sealed<S> {
    inner: S,
    at: Arc<Place>,
    entropy: Entropy,
}

/// Which store this is, and its keys: what a snapshot needs to unseal.
struct Place {
    store: StoreId,
    keys: Keys,
}

impl<S: Store> Sealed<S> {
    /// Seals an empty store under a key, for good.
    ///
    /// # Errors
    /// [`StoreError::AlreadyThere`] when it is sealed already; failures of the inner store.
    pub fn create(
        mut inner: S,
        key: &StoreKey,
        store: StoreId,
        entropy: Entropy,
    ) -> Result<Sealed<S>, StoreError> {
        if inner.snapshot()?.get(Table::Meta, SEAL_NAME, 0)?.is_some() {
            return Err(StoreError::AlreadyThere);
        }
        let keys = key.derive(store);
        let mut batch = Batch::new();
        batch.put(Table::Meta, SEAL_NAME, 0, write_seal(store, &keys));
        batch.require_two_phase();
        inner.commit(batch)?;
        Ok(Sealed {
            inner,
            at: Arc::new(Place { store, keys }),
            entropy,
        })
    }

    /// Opens a sealed store with its key.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when it was never sealed (its creation was interrupted),
    /// [`StoreError::WrongKey`], [`StoreError::TooNew`], [`StoreError::Corrupt`] when the seal
    /// itself is damaged; failures of the inner store.
    pub fn open(inner: S, key: &StoreKey, entropy: Entropy) -> Result<Sealed<S>, StoreError> {
        let seal = inner.snapshot()?.get(Table::Meta, SEAL_NAME, 0)?;
        let seal = seal.ok_or(StoreError::Missing)?;
        let (store, keys) = read_seal(&seal, key)?;
        Ok(Sealed {
            inner,
            at: Arc::new(Place { store, keys }),
            entropy,
        })
    }

    /// Which store this is: drawn when it was created, the same in every file copy of it.
    pub fn store_id(&self) -> StoreId {
        self.at.store
    }

    /// The store beneath, for closing it. What it holds stays sealed.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The store beneath, to ask how it was opened.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: Store> Store for Sealed<S> {
    type Snapshot = SealedSnapshot<S::Snapshot>;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut sealed = Batch::new();
        if batch.is_two_phase() {
            sealed.require_two_phase();
        }
        for ((table, key), value) in batch {
            let at = self.at.row(table, &key.name, key.position);
            match value {
                Some(value) => {
                    let mut nonce = [0; NONCE_BYTES];
                    (self.entropy)(&mut nonce);
                    let record = self.at.seal(&at, &key.name, value, nonce);
                    sealed.put(
                        table,
                        at.name,
                        key.position,
                        record.ok_or(too_large(table))?,
                    );
                }
                None => sealed.delete(table, at.name, key.position),
            }
        }
        self.inner.commit(sealed)
    }

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        Ok(SealedSnapshot {
            inner: self.inner.snapshot()?,
            at: Arc::clone(&self.at),
        })
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        self.inner.verify()?;
        let snapshot = self.snapshot()?;
        for table in Table::ALL {
            if crate::each(&snapshot, *table, |_| ())? > 0 {
                return Err(StoreError::Corrupt(Damage::Row(*table)));
            }
        }
        Ok(())
    }
}

impl<S> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.at.store)
    }
}

/// A state of a [`Sealed`] store.
pub struct SealedSnapshot<P> {
    inner: P,
    at: Arc<Place>,
}

impl<P: Snapshot> Snapshot for SealedSnapshot<P> {
    fn get(&self, table: Table, name: &[u8], position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let at = self.at.row(table, name, position);
        let Some(record) = self.inner.get(table, &at.name, position)? else {
            return Ok(None);
        };
        self.at.unseal_named(&at, name, record).map(Some)
    }

    fn range(
        &self,
        table: Table,
        name: &[u8],
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut at = self.at.row(table, name, from);
        let rows = self.inner.range(table, &at.name, from, limit)?;
        let open = |(position, record)| {
            at.position = position;
            Ok((position, self.at.unseal_named(&at, name, record)?))
        };
        rows.into_iter().map(open).collect()
    }

    fn last(&self, table: Table, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let mut at = self.at.row(table, name, 0);
        let Some((position, record)) = self.inner.last(table, &at.name)? else {
            return Ok(None);
        };
        at.position = position;
        Ok(Some((position, self.at.unseal_named(&at, name, record)?)))
    }

    fn names(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        let inner = self.inner.names(table, after, limit)?;
        let mut page = Page {
            rows: Vec::new(),
            damaged: inner.damaged,
            next: inner.next,
        };
        for row in inner.rows {
            if table == Table::Meta && row.name == SEAL_NAME {
                continue;
            }
            let position = row.position;
            match self.at.unseal_unnamed(table, row) {
                Some((name, value)) => page.rows.push(Row {
                    name,
                    position,
                    value,
                }),
                None => page.damaged += 1,
            }
        }
        Ok(page)
    }
}

impl<P> fmt::Debug for SealedSnapshot<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSnapshot({})", self.at.store)
    }
}

/// Where a row stands in the inner store.
struct At {
    table: Table,
    name: [u8; HASHED_NAME_BYTES],
    position: u64,
}

impl Place {
    fn row(&self, table: Table, name: &[u8], position: u64) -> At {
        At {
            table,
            name: self.keys.hashed_name(table, name),
            position,
        }
    }

    /// Everything that says where a record belongs.
    fn associated(&self, at: &At) -> Vec<u8> {
        let position = at.position.to_be_bytes();
        let parts: [&[u8]; 6] = [
            DOMAIN,
            self.store.as_ref(),
            &[at.table.code()],
            &at.name,
            &position,
            &HEADER,
        ];
        parts.concat()
    }

    /// `None` only for a value that is longer than a store takes.
    fn seal(
        &self,
        at: &At,
        name: &[u8],
        mut value: Vec<u8>,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Vec<u8>> {
        let value_length = u32::try_from(value.len()).ok()?.to_be_bytes();
        let name_length = u8::try_from(name.len()).ok()?;
        let padded = padded(value.len() + name.len() + TRAILER_BYTES);
        value.reserve_exact(padded - value.len());
        value.extend_from_slice(name);
        value.resize(padded - TRAILER_BYTES, 0);
        value.extend_from_slice(&value_length);
        value.push(name_length);

        let nonce = XNonce::from(nonce);
        let body = value.as_mut_slice().into();
        let sealed = self
            .keys
            .values
            .encrypt_inout_detached(&nonce, &self.associated(at), body);
        let tag = sealed.ok()?;
        Some([HEADER.as_slice(), &nonce, &value, &tag].concat())
    }

    /// The name and value of a record that belongs `at` this place.
    fn unseal(&self, at: &At, mut record: Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
        let (header, rest) = record.split_first_chunk_mut::<HEADER_BYTES>()?;
        let (nonce, rest) = rest.split_first_chunk_mut::<NONCE_BYTES>()?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        if *header != HEADER {
            return None;
        }
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let associated = self.associated(at);
        let opened =
            self.keys
                .values
                .decrypt_inout_detached(&nonce, &associated, body.into(), &tag);
        opened.ok()?;

        let (content, trailer) = body.split_last_chunk::<TRAILER_BYTES>()?;
        let [a, b, c, d, name_length] = *trailer;
        let value_length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let (_, rest) = content.split_at_checked(value_length)?;
        let (name, _) = rest.split_at_checked(usize::from(name_length))?;
        let name = name.to_vec();
        record.drain(..HEADER_BYTES + NONCE_BYTES);
        record.truncate(value_length);
        Some((name, record))
    }

    fn unseal_named(&self, at: &At, name: &[u8], record: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        match self.unseal(at, record) {
            Some((found, value)) if found == name => Ok(value),
            Some(_) | None => Err(StoreError::Corrupt(Damage::Row(at.table))),
        }
    }

    fn unseal_unnamed(&self, table: Table, row: Row) -> Option<(Vec<u8>, Vec<u8>)> {
        let name = row.name.try_into().ok()?;
        self.unseal(
            &At {
                table,
                name,
                position: row.position,
            },
            row.value,
        )
    }
}

fn too_large(table: Table) -> StoreError {
    StoreError::TooLarge { table }
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

/// `version | suite | store id | check | sum`: the check needs the key, the sum does not, so a
/// seal whose sum fits and whose check does not was made under another key.
fn write_seal(store: StoreId, keys: &Keys) -> Vec<u8> {
    let mut seal = vec![VERSION, SUITE];
    seal.extend_from_slice(store.as_ref());
    let check = keys.check(&seal);
    seal.extend_from_slice(check.as_bytes());
    let sum = seal_sum(&seal);
    seal.extend_from_slice(&sum);
    seal
}

fn read_seal(seal: &[u8], key: &StoreKey) -> Result<(StoreId, Keys), StoreError> {
    let damaged = StoreError::Corrupt(Damage::Seal);
    let (body, sum) = seal.split_last_chunk::<SEAL_SUM_BYTES>().ok_or(damaged)?;
    if *sum != seal_sum(body) {
        return Err(damaged);
    }
    let [VERSION, SUITE, rest @ ..] = body else {
        return Err(StoreError::TooNew);
    };
    let (id, check) = rest.split_first_chunk::<16>().ok_or(damaged)?;
    let store = StoreId(*id);
    let keys = key.derive(store);
    let (about, _) = body.split_at_checked(2 + id.len()).ok_or(damaged)?;
    let check: [u8; 32] = check.try_into().map_err(|_| damaged)?;
    // Compared in constant time by blake3's own equality.
    if keys.check(about) == blake3::Hash::from_bytes(check) {
        Ok((store, keys))
    } else {
        Err(StoreError::WrongKey)
    }
}

fn seal_sum(body: &[u8]) -> [u8; SEAL_SUM_BYTES] {
    let mut sum = [0; SEAL_SUM_BYTES];
    blake3::Hasher::new()
        .update(body)
        .finalize_xof()
        .fill(&mut sum);
    sum
}

// What a store takes must still fit once it is sealed: lengths are kept in four bytes and one.
const _: () = assert!(VALUE_BYTES_MAX < u32::MAX as usize && NAME_BYTES_MAX <= u8::MAX as usize);
