//! The embedded store: redb on any backend (a file, a browser's private file, a fake disk).
//!
//! # Layout
//!
//! One redb table, `rows`, holds everything, so that a commit touches one tree; the keys are told of
//! in `redb/key.rs`. A second table, `format`, holds one number under `version`; it is written by the
//! first commit.
//!
//! # Durability
//!
//! Every commit is one redb transaction with immediate durability: one phase with checksums, or
//! two phases when the batch asks for it. After a cut the file holds the state after the last
//! durable commit or the one that was under way; redb finds which by its checksums, reading the
//! whole file once ([`RedbStore::was_repaired`]). Nothing is left for a person to do.
//!
//! A cut while a store is being created leaves a *stub*: a file that never acknowledged anything.
//! redb refuses some of these; [`RedbStore::open`] answers [`StoreError::Missing`] for all of
//! them and [`RedbStore::create`] begins again. A stub is told from a damaged store by having no
//! byte outside redb's header: a store that has committed anything has some.
//!
//! # Not here
//!
//! Values are kept as they are given: [`crate::Sealed`] is what seals them. redb does not compare
//! checksums on ordinary reads, so a bit that flips in a cleanly closed file is found by
//! [`Store::verify`], by [`Config::check_on_open`], or by the seal of the value it is in.

mod key;

use std::{
    fmt,
    io::{self, ErrorKind},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{
    CommitError, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase,
    StorageBackend, StorageError, TableDefinition, TableError, TransactionError,
};

use self::key::{KEY_BYTES_MAX, first_byte, row_key, split_key};
use crate::{Batch, Damage, Page, Row, Snapshot, Store, StoreError, Table};

const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");
const FORMAT: TableDefinition<'static, &str, u64> = TableDefinition::new("format");
/// The form of the file and of every row in it: another one is not read. Nothing is deployed yet
/// that would have to be brought along.
const FORMAT_VERSION: u64 = 6;

/// redb's header: the only part of a file written before the first commit.
const HEADER_BYTES: u64 = 320;
/// redb's mark at the start of a file, written last when it lays out a new one.
const MAGIC_BYTES: usize = 9;
/// More than redb lays out for a new file. What is longer has held something.
const STUB_BYTES_MAX: u64 = 16 << 20;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Memory for pages read and written, in bytes. redb's own default is 1 GiB.
    pub cache_bytes: usize,
    /// Compare every checksum even after a clean stop. Reads the whole file and commits once;
    /// after an unclean stop it is done anyway.
    pub check_on_open: bool,
}

impl Default for Config {
    /// An edge's: 16 MiB of cache, no check after a clean stop.
    fn default() -> Config {
        Config {
            cache_bytes: 16 << 20,
            check_on_open: false,
        }
    }
}

/// A store in redb.
pub struct RedbStore {
    database: Database,
    dead: AtomicBool,
    repaired: bool,
}

impl RedbStore {
    /// Makes a new store on an empty backend, or on the stub that an interrupted creation left.
    /// When this answers `Ok` the store is durable.
    ///
    /// # Errors
    /// [`StoreError::AlreadyThere`] when the backend holds a store; failures of the medium.
    pub fn create(backend: impl StorageBackend, config: Config) -> Result<RedbStore, StoreError> {
        if is_stub(&backend)? {
            backend.set_len(0)?;
        }
        let store = RedbStore::on(backend, config)?;
        match store.format()? {
            None => store.write_format()?,
            Some(_) => return Err(StoreError::AlreadyThere),
        }
        Ok(store)
    }

    /// Opens the store on a backend. After an unclean stop this reads everything and compares
    /// checksums.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when nothing was ever kept there, [`StoreError::Locked`],
    /// [`StoreError::TooNew`], [`StoreError::TooOld`], [`StoreError::Corrupt`], and failures of the
    /// medium.
    pub fn open(backend: impl StorageBackend, config: Config) -> Result<RedbStore, StoreError> {
        if is_stub(&backend)? {
            return Err(StoreError::Missing);
        }
        let store = RedbStore::on(backend, config)?;
        match store.format()? {
            None => Err(StoreError::Missing),
            Some(FORMAT_VERSION) => Ok(store),
            Some(version) if version > FORMAT_VERSION => Err(StoreError::TooNew),
            Some(_) => Err(StoreError::TooOld),
        }
    }

    /// Whether the last stop was unclean (or [`Config::check_on_open`] was set), so that
    /// everything was read and compared when this store was opened.
    pub fn was_repaired(&self) -> bool {
        self.repaired
    }

    /// Stops cleanly and says whether that worked. Dropping the store does the same in silence.
    ///
    /// # Errors
    /// Failures of the medium; what was committed is safe all the same.
    pub fn close(self) -> Result<(), StoreError> {
        self.database.close().map_err(of_database)
    }

    fn on(backend: impl StorageBackend, config: Config) -> Result<RedbStore, StoreError> {
        let repaired = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&repaired);
        let database = Database::builder()
            .set_cache_size(config.cache_bytes)
            .set_check_integrity_on_open(config.check_on_open)
            .set_repair_callback(move |_| note.store(true, Ordering::Relaxed))
            .create_with_backend(backend)
            .map_err(of_database)?;
        let repaired = repaired.load(Ordering::Relaxed);
        Ok(RedbStore {
            database,
            dead: AtomicBool::new(false),
            repaired,
        })
    }

    /// The format's version; `None` in a database that nothing was ever put into.
    fn format(&self) -> Result<Option<u64>, StoreError> {
        let read = self.database.begin_read().map_err(of_transaction)?;
        match read.open_table(FORMAT) {
            Ok(format) => {
                let version = format.get("version").map_err(of_storage)?;
                version
                    .map(|v| Some(v.value()))
                    .ok_or(StoreError::Corrupt(Damage::File))
            }
            Err(TableError::TableDoesNotExist(_)) => {
                let foreign = read.list_tables().map_err(of_storage)?.next().is_some();
                if foreign {
                    Err(StoreError::Corrupt(Damage::File))
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(of_table(error)),
        }
    }

    fn write_format(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write().map_err(of_transaction)?;
        let mut format = write.open_table(FORMAT).map_err(of_table)?;
        format
            .insert("version", FORMAT_VERSION)
            .map_err(of_storage)?;
        drop(format);
        drop(write.open_table(ROWS).map_err(of_table)?);
        write.commit().map_err(of_commit)
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut write = self.database.begin_write().map_err(of_transaction)?;
        write
            .set_durability(Durability::Immediate)
            .map_err(|_| StoreError::Corrupt(Damage::File))?;
        write.set_two_phase_commit(batch.is_two_phase());
        let mut rows = write.open_table(ROWS).map_err(of_table)?;
        let mut at = Vec::with_capacity(KEY_BYTES_MAX);
        for (table, key, value) in batch.changes() {
            row_key(&mut at, table, &key.name, key.position);
            match value {
                Some(value) => rows.insert(at.as_slice(), value).map_err(of_storage)?,
                None => rows.remove(at.as_slice()).map_err(of_storage)?,
            };
        }
        drop(rows);
        write.commit().map_err(of_commit)
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.dead.load(Ordering::Relaxed) {
            Err(StoreError::Dead)
        } else {
            Ok(())
        }
    }

    fn dies_of(&self, error: StoreError) -> StoreError {
        self.dead.store(true, Ordering::Relaxed);
        error
    }
}

impl Store for RedbStore {
    type Snapshot = RedbSnapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.alive()?;
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.write(&batch).map_err(|error| self.dies_of(error))
    }

    fn snapshot(&self) -> Result<RedbSnapshot, StoreError> {
        self.alive()?;
        let read = self.database.begin_read().map_err(of_transaction)?;
        let rows = read.open_table(ROWS).map_err(of_table)?;
        Ok(RedbSnapshot { rows })
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        self.alive()?;
        match self.database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.dies_of(StoreError::Corrupt(Damage::File))),
            Err(DatabaseError::TransactionInProgress) => Err(StoreError::Busy),
            Err(error) => Err(self.dies_of(of_database(error))),
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.alive().is_ok() { "open" } else { "dead" };
        write!(f, "RedbStore({state})")
    }
}

/// A state of a [`RedbStore`]. It keeps the pages it shows from being used again, so it should
/// not be held for long.
pub struct RedbSnapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, name: &[u8], position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut key = Vec::with_capacity(KEY_BYTES_MAX);
        row_key(&mut key, table, name, position);
        let value = self.rows.get(key.as_slice()).map_err(of_storage)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn range(
        &self,
        table: Table,
        name: &[u8],
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        row_key(&mut first, table, name, from);
        row_key(&mut last, table, name, u64::MAX);
        let rows = self
            .rows
            .range(first.as_slice()..=last.as_slice())
            .map_err(of_storage)?;
        let mut out = Vec::new();
        for row in rows.take(limit) {
            let (key, value) = row.map_err(of_storage)?;
            let (_, _, position) = split_key(key.value())?;
            out.push((position, value.value().to_vec()));
        }
        Ok(out)
    }

    fn last(&self, table: Table, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        row_key(&mut first, table, name, 0);
        row_key(&mut last, table, name, u64::MAX);
        let mut rows = self
            .rows
            .range(first.as_slice()..=last.as_slice())
            .map_err(of_storage)?;
        let Some(row) = rows.next_back() else {
            return Ok(None);
        };
        let (key, value) = row.map_err(of_storage)?;
        let (_, _, position) = split_key(key.value())?;
        Ok(Some((position, value.value().to_vec())))
    }

    fn names(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        let code = first_byte(table);
        let (first, end) = ([code], [code + 1]);
        let from = after.map_or(Bound::Included(first.as_slice()), Bound::Excluded);
        let mut rest = self
            .rows
            .range::<&[u8]>((from, Bound::Excluded(end.as_slice())))
            .map_err(of_storage)?;
        let mut page = Page::default();
        let mut reached = None;
        for row in rest.by_ref().take(limit) {
            let (key, value) = row.map_err(of_storage)?;
            match split_key(key.value()) {
                Ok((of, _, _)) if of != table.code() => {}
                Ok((_, name, position)) => {
                    let (name, value) = (name.to_vec(), value.value().to_vec());
                    page.rows.push(Row {
                        name,
                        position,
                        value,
                    });
                }
                Err(_) => page.damaged += 1,
            }
            reached = Some(key.value().to_vec());
        }
        if rest.next().is_some() {
            page.next = reached;
        }
        Ok(page)
    }
}

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedbSnapshot")
    }
}

/// Whether a backend holds at most the beginning of a creation: no mark of redb's, and nothing
/// outside its header. Nothing can have been acknowledged there.
fn is_stub(backend: &impl StorageBackend) -> Result<bool, StoreError> {
    let length = backend.len()?;
    if length > STUB_BYTES_MAX {
        return Ok(false);
    }
    let mut magic = [0u8; MAGIC_BYTES];
    if length >= MAGIC_BYTES as u64 {
        backend.read(0, &mut magic)?;
    }
    if magic != [0; MAGIC_BYTES] {
        return Ok(false);
    }
    let mut piece = [0u8; 4_096];
    let mut at = HEADER_BYTES;
    while at < length {
        let take = usize::try_from(length - at)
            .unwrap_or(piece.len())
            .min(piece.len());
        let (piece, _) = piece.split_at_mut(take);
        backend.read(at, piece)?;
        if piece.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += take as u64;
    }
    Ok(true)
}

fn of_io(error: &io::Error) -> StoreError {
    // How redb says that a file is not one of its own, or is shorter than it must be.
    if matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
    ) {
        StoreError::Corrupt(Damage::File)
    } else {
        StoreError::from(error.kind())
    }
}

fn of_storage(error: StorageError) -> StoreError {
    match error {
        StorageError::Io(error) => of_io(&error),
        StorageError::PreviousIo | StorageError::DatabaseClosed | StorageError::LockPoisoned(_) => {
            StoreError::Dead
        }
        StorageError::Unsupported => StoreError::Io(ErrorKind::Unsupported),
        StorageError::Corrupted(_) | StorageError::ValueTooLarge(_) => {
            StoreError::Corrupt(Damage::File)
        }
        StorageError::Backend(_) | _ => StoreError::Io(ErrorKind::Other),
    }
}

fn of_database(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::Locked
        }
        DatabaseError::Storage(error) => of_storage(error),
        DatabaseError::TransactionInProgress => StoreError::Busy,
        DatabaseError::UpgradeRequired(_) => StoreError::TooNew,
        DatabaseError::RepairAborted => StoreError::Corrupt(Damage::File),
        _ => StoreError::Io(ErrorKind::Other),
    }
}

fn of_transaction(error: TransactionError) -> StoreError {
    match error {
        TransactionError::Storage(error) => of_storage(error),
        TransactionError::ReadTransactionStillInUse(_) | TransactionError::WouldBlock => {
            StoreError::Busy
        }
        _ => StoreError::Io(ErrorKind::Other),
    }
}

fn of_commit(error: CommitError) -> StoreError {
    match error {
        CommitError::Storage(error) => of_storage(error),
        CommitError::TransactionPoisoned => StoreError::Dead,
        _ => StoreError::Io(ErrorKind::Other),
    }
}

fn of_table(error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => of_storage(error),
        // The two tables have other types or another form: not a database of ours.
        TableError::TableTypeMismatch { .. }
        | TableError::TableIsMultimap(_)
        | TableError::TableIsNotMultimap(_)
        | TableError::TypeDefinitionChanged { .. }
        | TableError::TableDoesNotExist(_)
        | TableError::TableExists(_) => StoreError::Corrupt(Damage::File),
        TableError::TableAlreadyOpen(..) => StoreError::Busy,
        _ => StoreError::Io(ErrorKind::Other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
