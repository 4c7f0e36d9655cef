//! Sealing: any store, with every value encrypted and every name hashed.
//!
//! # Format
//!
//! A row is kept under a keyed hash of its table and name ([`Table::lies_beside`]: some tables count as
//! one); its position stays clear. Its value is
//!
//! ```text
//! version (1) | suite (1) | key (1) | key epoch (4) | nonce (24) | [document (16)] | sealed bytes | tag (16)
//! ```
//!
//! where the sealed bytes are `value | name | padding | length of value (4) | length of name (1)`.
//! The name is inside so that [`Snapshot::names`] can give it back. Key 0 is the store's own, key 1
//! the document's, whose id follows the nonce under a mask that every nonce changes. A document's
//! key is a row of its own ([`Table::Key`]), wrapped under the key of the epoch that its header
//! names; that is key 2. Epochs are kept outside the database: see [`crate::Epochs`].
//!
//! A document's key is drawn by the batch that first puts a row of it. Such a batch is committed
//! in one phase like any other: the key stands or falls with the first rows under it, of which
//! nothing was acknowledged before; and the narrow gap that two phases close is for somebody who
//! chooses the bytes of a commit, which nobody can whose bytes are all sealed under random nonces.
//! A batch that destroys a key takes two phases, because there an old state that came back would
//! undo what was promised; it is rare, and its second sync costs nobody's entry.
//!
//! The suite is XChaCha20-Poly1305 with random nonces. There is no counter, because a restored or
//! cloned store would repeat it. Everything that says *where* a row stands is associated data:
//! store id, table, hashed name, position, document and the header above. A record that is moved,
//! swapped or copied in from another store does not open.
//!
//! The padding (Padmé: at most 12 %, and never below 32 bytes) hides the exact length of a note.
//!
//! One row of the inner store is not sealed: the *seal*, which names the store and proves which
//! keys fit it, so that a wrong key is told apart from damage.
//!
//! # What it does not do
//!
//! How many rows there are, how long they roughly are and when they change is visible, and which of
//! them are one document's header, key, placements and index ([`Table::lies_beside`]). An older
//! record put back in its own place opens: that a row, or the whole store, is not an old copy is
//! proved by digests against peers.

mod kept;
mod mark;
mod record;

use std::{collections::BTreeMap, fmt, sync::Arc};

use names::{DocumentId, StoreId};
use zeroize::Zeroizing;

use self::{
    kept::Kept,
    mark::SEAL_NAME,
    record::{At, Named, Place, is_wrapped_key},
};
use crate::{
    Batch, Damage, Epochs, NAME_BYTES_MAX, Owner, Page, Row, Snapshot, Store, StoreError, StoreKey,
    Table, VALUE_BYTES_MAX,
    aead::{Cipher, NONCE_BYTES},
    key::KEY_POSITION,
};

const VERSION: u8 = 1;
const SUITE: u8 = 1;

/// Where the nonces come from: the shell's random source, or the simulator's.
pub type Entropy = Box<dyn FnMut(&mut [u8]) + Send>;

/// A store whose values and names only the holder of the key can read.
pub struct Sealed<S> {
    inner: S,
    at: Arc<Place>,
    kept: Arc<Kept>,
    entropy: Entropy,
}

/// Keys drawn by a batch that is not committed yet.
type Fresh = BTreeMap<DocumentId, Arc<Cipher>>;

impl<S: Store> Sealed<S> {
    /// Seals an empty store under its keys, for good. `epochs` must be durable by now.
    ///
    /// # Errors
    /// [`StoreError::AlreadyThere`] when it is sealed already; failures of the inner store.
    pub fn create(
        mut inner: S,
        key: &StoreKey,
        epochs: Epochs,
        store: StoreId,
        entropy: Entropy,
    ) -> Result<Sealed<S>, StoreError> {
        if inner.snapshot()?.get(Table::Meta, SEAL_NAME, 0)?.is_some() {
            return Err(StoreError::AlreadyThere);
        }
        let keys = key.derive(epochs.half(), store);
        let mut batch = Batch::new();
        let seal = mark::write(store, &keys, &epochs);
        batch.put(Table::Meta, SEAL_NAME, 0, seal);
        batch.require_two_phase();
        inner.commit(batch)?;
        let place = Place::new(store, keys, &epochs);
        Ok(Sealed::on(inner, place, entropy))
    }

    /// Opens a sealed store with its keys.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when it was never sealed (its creation was interrupted),
    /// [`StoreError::WrongKey`], [`StoreError::WrongEpochs`], [`StoreError::TooNew`],
    /// [`StoreError::Corrupt`] when the seal itself is damaged; failures of the inner store.
    pub fn open(
        inner: S,
        key: &StoreKey,
        epochs: Epochs,
        entropy: Entropy,
    ) -> Result<Sealed<S>, StoreError> {
        let seal = inner.snapshot()?.get(Table::Meta, SEAL_NAME, 0)?;
        let seal = seal.ok_or(StoreError::Missing)?;
        let (store, keys) = mark::read(&seal, key, &epochs)?;
        let place = Place::new(store, keys, &epochs);
        Ok(Sealed::on(inner, place, entropy))
    }

    fn on(inner: S, place: Place, entropy: Entropy) -> Sealed<S> {
        Sealed {
            inner,
            at: Arc::new(place),
            kept: Arc::default(),
            entropy,
        }
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

    /// The key to seal a document's rows with: its own, or one that is drawn and wrapped now.
    fn key_for(
        &mut self,
        document: DocumentId,
        read: &SealedSnapshot<S::Snapshot>,
        fresh: &mut Fresh,
        sealed: &mut Batch,
    ) -> Result<Arc<Cipher>, StoreError> {
        if let Some(key) = fresh.get(&document) {
            return Ok(Arc::clone(key));
        }
        let name = self.at.keys.key_name(document);
        let is_destroyed = sealed.get(Table::Key, &name, KEY_POSITION).is_some();
        if !is_destroyed && let Some(key) = read.key_of(document)? {
            return Ok(key);
        }
        let mut drawn = Zeroizing::new([0; 32]);
        (self.entropy)(drawn.as_mut_slice());
        let mut nonce = [0; NONCE_BYTES];
        (self.entropy)(&mut nonce);
        let wrapped = self.at.wrap(name, &drawn, nonce);
        sealed.put(
            Table::Key,
            name,
            KEY_POSITION,
            wrapped.ok_or(StoreError::WrongEpochs)?,
        );
        let key = Arc::new(Cipher::new(&drawn));
        fresh.insert(document, Arc::clone(&key));
        Ok(key)
    }
}

impl<S: Store> Store for Sealed<S> {
    type Snapshot = SealedSnapshot<S::Snapshot>;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        let (mut sealed, mut fresh) = (Batch::new(), Fresh::new());
        let read = self.snapshot()?;
        if batch.is_two_phase() {
            sealed.require_two_phase();
        }
        let mut destroys = false;
        for document in batch.destroyed() {
            sealed.delete(Table::Key, self.at.keys.key_name(document), KEY_POSITION);
            destroys = true;
        }
        // Drawn together, for this batch and no longer: a nonce that is kept in memory could come
        // twice where a machine goes on from a copy of it.
        let mut nonces = vec![[0; NONCE_BYTES]; batch.len()];
        (self.entropy)(nonces.as_flattened_mut());
        for (((table, key), value), nonce) in batch.into_iter().zip(nonces) {
            let at = self.at.row(table, &key.name, key.position);
            let Some(value) = value else {
                sealed.delete(table, at.name, key.position);
                continue;
            };
            let cipher = match at.document {
                Some(document) => Some(self.key_for(document, &read, &mut fresh, &mut sealed)?),
                None => None,
            };
            let cipher = cipher.as_deref().unwrap_or(&self.at.keys.values);
            let record = self.at.seal(cipher, &at, (&key.name, value), nonce);
            let record = record.ok_or(StoreError::TooLarge { table })?;
            sealed.put(table, at.name, key.position, record);
        }
        drop(read);
        self.inner.commit(sealed)?;
        if destroys {
            self.kept.begin_life();
        }
        let life = self.kept.life();
        for (document, key) in fresh {
            self.kept.put(document, key, life);
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        Ok(SealedSnapshot {
            inner: self.inner.snapshot()?,
            at: Arc::clone(&self.at),
            kept: Arc::clone(&self.kept),
            life: self.kept.life(),
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
    kept: Arc<Kept>,
    life: u64,
}

impl<P: Snapshot> SealedSnapshot<P> {
    /// A document's key; `None` when it has none.
    fn key_of(&self, document: DocumentId) -> Result<Option<Arc<Cipher>>, StoreError> {
        if let Some(key) = self.kept.get(document, self.life) {
            return Ok(Some(key));
        }
        let name = self.at.keys.key_name(document);
        let Some(record) = self.inner.get(Table::Key, &name, KEY_POSITION)? else {
            return Ok(None);
        };
        let key = self.at.unwrap(name, &record);
        let key = Arc::new(key.ok_or(StoreError::Corrupt(Damage::Row(Table::Key)))?);
        self.kept.put(document, Arc::clone(&key), self.life);
        Ok(Some(key))
    }

    /// The name and value of a record; `None` when it does not open. A key that is damaged or gone
    /// is damage to the rows under it.
    fn unseal(&self, at: &At, record: Vec<u8>) -> Result<Option<Named>, StoreError> {
        let key = match at.document.map(|document| self.key_of(document)) {
            None => None,
            Some(Ok(Some(key))) => Some(key),
            Some(Ok(None) | Err(StoreError::Corrupt(_))) => return Ok(None),
            Some(Err(error)) => return Err(error),
        };
        let cipher = key.as_deref().unwrap_or(&self.at.keys.values);
        Ok(self.at.unseal(cipher, at, record))
    }

    fn unseal_named(&self, at: &At, name: &[u8], record: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        match self.unseal(at, record)? {
            Some((found, value)) if found == name => Ok(value),
            Some(_) | None => Err(at.damaged()),
        }
    }

    fn unseal_unnamed(&self, table: Table, row: Row) -> Result<Option<Named>, StoreError> {
        let Ok(name) = row.name.try_into() else {
            return Ok(None);
        };
        let document = match table.owner() {
            Owner::Store => None,
            Owner::Document => match self.at.owner_of(&row.value) {
                None => return Ok(None),
                owner => owner,
            },
        };
        let at = At {
            table,
            name,
            position: row.position,
            document,
        };
        self.unseal(&at, row.value)
    }

    /// Whether a row is the store's own: the seal, or a document's key that opens. `None` when it
    /// is such a key and does not.
    fn is_own(&self, table: Table, row: &Row) -> Option<bool> {
        if table == Table::Key && is_wrapped_key(&row.value) {
            let name = row.name.as_slice().try_into().ok()?;
            let key = self.at.unwrap(name, &row.value);
            return key.filter(|_| row.position == KEY_POSITION).map(|_| true);
        }
        Some(table == Table::Meta && row.name == SEAL_NAME)
    }
}

impl<P: Snapshot> Snapshot for SealedSnapshot<P> {
    fn get(&self, table: Table, name: &[u8], position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let at = self.at.row(table, name, position);
        let Some(record) = self.inner.get(table, &at.name, position)? else {
            return Ok(None);
        };
        self.unseal_named(&at, name, record).map(Some)
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
            Ok((position, self.unseal_named(&at, name, record)?))
        };
        rows.into_iter().map(open).collect()
    }

    fn last(&self, table: Table, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let mut at = self.at.row(table, name, 0);
        let Some((position, record)) = self.inner.last(table, &at.name)? else {
            return Ok(None);
        };
        at.position = position;
        Ok(Some((position, self.unseal_named(&at, name, record)?)))
    }

    fn names(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        let inner = self.inner.names(table, after, limit)?;
        let mut page = Page {
            rows: Vec::new(),
            damaged: inner.damaged,
            next: inner.next,
        };
        for row in inner.rows {
            match self.is_own(table, &row) {
                Some(false) => {}
                Some(true) => continue,
                None => {
                    page.damaged += 1;
                    continue;
                }
            }
            let position = row.position;
            match self.unseal_unnamed(table, row)? {
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

// What a store takes must still fit once it is sealed: lengths are kept in four bytes and one.
const _: () = assert!(VALUE_BYTES_MAX < u32::MAX as usize && NAME_BYTES_MAX <= u8::MAX as usize);
