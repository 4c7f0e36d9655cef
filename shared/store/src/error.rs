//! How the world fails a store, and what a person can do about it.

use std::{fmt, io};

use crate::Table;

/// Why a store could not do what it was asked. Holds no bytes of any row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store here, or only the beginning of one that never held anything.
    Missing,
    /// There is a store here already, and creating one would overwrite it.
    AlreadyThere,
    /// Another process has it open.
    Locked,
    /// The operating system does not let this user in.
    NotAllowed,
    /// The medium is full.
    Full,
    /// The medium failed otherwise.
    Io(io::ErrorKind),
    /// It failed before and must be opened again.
    Dead,
    /// Bytes are not what was written.
    Corrupt(Damage),
    /// It is sealed under another key.
    WrongKey,
    /// The file with the keys of its epochs is missing, damaged, or another store's.
    WrongEpochs,
    /// There is a file of epochs where a store was to be created.
    EpochsThere,
    /// It was written by a newer Ridgeway, in a format this one does not know.
    TooNew,
    /// It was written by an older Ridgeway, in a format that this one no longer reads.
    TooOld,
    /// A name or a value is longer than a store takes; nothing was changed.
    TooLarge {
        /// The table of the first such row.
        table: Table,
    },
    /// It cannot be checked while a snapshot of it is held.
    Busy,
}

/// What is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Damage {
    /// The file's own structure.
    File,
    /// A row of this table: altered, or moved from where it was put.
    Row(Table),
    /// The row that tells under which key the store is sealed.
    Seal,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::File => f.write_str("its structure"),
            Damage::Row(table) => write!(f, "a row of table {}", table.name()),
            Damage::Seal => f.write_str("its seal"),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Missing => f.write_str(
                "there is no store here: create one with `init` or `enrol`, or correct the folder",
            ),
            StoreError::AlreadyThere => f.write_str(
                "there is a store here already: open it, or choose an empty folder for a new one",
            ),
            StoreError::Locked => f.write_str(
                "another process has the store open: stop it first, or speak to it instead",
            ),
            StoreError::NotAllowed => f.write_str(
                "the operating system refuses access to the store: check who owns the folder",
            ),
            StoreError::Full => f.write_str(
                "the disk is full, nothing was saved: make room, then open the store again",
            ),
            StoreError::Io(kind) => write!(
                f,
                "the disk failed ({kind}), nothing was saved: check the disk, then open the store \
                 again"
            ),
            StoreError::Dead => f.write_str(
                "the store failed before and takes nothing more: open it again to go on",
            ),
            StoreError::Corrupt(damage) => write!(
                f,
                "the store is damaged ({damage}): keep the file, check the disk, and restore a \
                 backup or enrol again; what other nodes hold comes back by itself"
            ),
            StoreError::WrongKey => {
                f.write_str("the key does not fit this store: use the key it was created with")
            }
            StoreError::WrongEpochs => f.write_str(
                "the file `epoch.keys` beside the store is missing, damaged or another store's: put \
                 back the one that belongs to this store, or restore a backup",
            ),
            StoreError::EpochsThere => f.write_str(
                "a file `epoch.keys` lies here without its store: without it that store never \
                 opens again, so move it to where the store is, or choose another folder",
            ),
            StoreError::TooNew => f.write_str(
                "the store was written by a newer version: install that version or a later one",
            ),
            StoreError::TooOld => f.write_str(
                "the store was written by an older version, in a form that this one does not read: \
                 keep the folder, and go on with the version that wrote it",
            ),
            StoreError::TooLarge { table } => {
                write!(
                    f,
                    "a row of table {} is larger than a store takes",
                    table.name()
                )
            }
            StoreError::Busy => f.write_str(
                "the store is being read and cannot be checked now: try again in a moment",
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        StoreError::from(error.kind())
    }
}

impl From<io::ErrorKind> for StoreError {
    fn from(kind: io::ErrorKind) -> Self {
        if kind == io::ErrorKind::StorageFull || kind == io::ErrorKind::QuotaExceeded {
            StoreError::Full
        } else if kind == io::ErrorKind::NotFound {
            StoreError::Missing
        } else if kind == io::ErrorKind::PermissionDenied
            || kind == io::ErrorKind::ReadOnlyFilesystem
        {
            StoreError::NotAllowed
        } else {
            StoreError::Io(kind)
        }
    }
}
