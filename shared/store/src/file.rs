//! A store in a file: natively only, since a browser has no file system of this kind.
//!
//! A store is created under a temporary name in its own folder and renamed when its first commits
//! are durable, so that under its own name there is either a whole store or nothing. Two
//! processes must not create the same store at once; the folder's lock is the shell's.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "files are what this module is for; it is not compiled for a browser"
)]

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use redb::backends::FileBackend;

use crate::{Config, Damage, EPOCHS_MAX, Epochs, RedbStore, StoreError, StoreKey};

impl RedbStore {
    /// Creates a store in a new file that only its owner may read.
    ///
    /// `begin` makes the first commits (the seal, who the store is) and its answer is handed
    /// back; the file gets its name only afterwards, so no crash leaves a store without them.
    ///
    /// # Errors
    /// [`StoreError::AlreadyThere`] when the file exists, whatever it holds; failures of the
    /// medium and of `begin`, after which the temporary file is gone or will be replaced.
    pub fn create_file<T>(
        path: &Path,
        config: Config,
        begin: impl FnOnce(RedbStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if path.try_exists()? {
            return Err(StoreError::AlreadyThere);
        }
        let temporary = temporary_name(path);
        remove_if_there(&temporary)?;
        let created = create_under(&temporary, config)
            .and_then(begin)
            .and_then(|store| name_it(&temporary, path).map(|()| store));
        if created.is_err() {
            // The failure is what matters; a file that stays is replaced by the next attempt.
            let _ = fs::remove_file(&temporary);
        }
        created
    }

    /// Opens the store in a file.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such file; a file that is there but holds no
    /// store, not even an empty one, is [`StoreError::Corrupt`] and is left as it is. Otherwise as
    /// [`RedbStore::open`].
    pub fn open_file(path: &Path, config: Config) -> Result<RedbStore, StoreError> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let opened = backend(file).and_then(|backend| RedbStore::open(backend, config));
        match opened {
            Err(StoreError::Missing) => Err(StoreError::Corrupt(Damage::File)),
            other => other,
        }
    }
}

/// The greatest length of a file of epochs, in bytes: far above what [`EPOCHS_MAX`] of them take.
const EPOCHS_BYTES_MAX: u64 = 4_096;
const _: () = assert!(EPOCHS_MAX * 64 < EPOCHS_BYTES_MAX as usize);

impl Epochs {
    /// Makes the file of a new store's epochs, which only its owner may read, and makes it
    /// durable under a temporary name: the store that depends on it is created next, and
    /// [`Epochs::name_file`] gives it its name last. So an interrupted creation leaves temporary
    /// names alone, which the next replaces, or a whole store whose file is named when it is
    /// opened.
    ///
    /// # Errors
    /// [`StoreError::EpochsThere`] when there is such a file: it may be the only one of a store
    /// that somebody has put aside, so it is neither replaced nor removed. Failures of the medium.
    pub fn create_file(
        path: &Path,
        key: &StoreKey,
        mut entropy: impl FnMut(&mut [u8]),
    ) -> Result<Epochs, StoreError> {
        if path.try_exists()? {
            return Err(StoreError::EpochsThere);
        }
        let (mut half, mut first, mut nonce) = ([0; 32], [0; 32], [0; 24]);
        entropy(&mut half);
        entropy(&mut first);
        entropy(&mut nonce);
        let epochs = Epochs::first(half, first);
        let temporary = temporary_name(path);
        remove_if_there(&temporary)?;
        let mut file = new_file(&temporary)?;
        file.write_all(&epochs.seal(key, nonce))?;
        file.sync_all()?;
        sync_folder(path)?;
        Ok(epochs)
    }

    /// Gives the file of a new store's epochs its name.
    ///
    /// # Errors
    /// Failures of the medium.
    pub fn name_file(path: &Path) -> Result<(), StoreError> {
        name_it(&temporary_name(path), path)
    }

    /// Takes back the file of a store that was not created after all.
    ///
    /// # Errors
    /// Failures of the medium.
    pub fn give_up_file(path: &Path) -> Result<(), StoreError> {
        remove_if_there(&temporary_name(path))
    }

    /// Every name under which the file may lie.
    pub fn files(path: &Path) -> [PathBuf; 2] {
        [path.to_owned(), temporary_name(path)]
    }

    /// Reads the file of a store's epochs, and gives it its name if the creation of its store was
    /// interrupted before that.
    ///
    /// # Errors
    /// [`StoreError::WrongEpochs`] also when there is none; otherwise as [`Epochs::unseal`].
    pub fn open_file(path: &Path, key: &StoreKey) -> Result<Epochs, StoreError> {
        if !path.try_exists()? && temporary_name(path).try_exists()? {
            Epochs::name_file(path)?;
        }
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::WrongEpochs);
            }
            opened => opened?,
        };
        let mut bytes = Vec::new();
        file.take(EPOCHS_BYTES_MAX).read_to_end(&mut bytes)?;
        Epochs::unseal(&bytes, key)
    }
}

fn create_under(temporary: &Path, config: Config) -> Result<RedbStore, StoreError> {
    RedbStore::create(backend(new_file(temporary)?)?, config)
}

/// A file that was not there, for its owner alone.
fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn backend(file: File) -> Result<FileBackend, StoreError> {
    FileBackend::new(file).map_err(|_| StoreError::Io(io::ErrorKind::Other))
}

/// `store.redb` is created as `store.redb.new`.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".new");
    path.with_file_name(name)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives the finished store its name, and makes the folder remember it.
fn name_it(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    // The commits synced the file's data; this makes its length and owner durable too.
    OpenOptions::new().read(true).open(temporary)?.sync_all()?;
    fs::rename(temporary, path)?;
    sync_folder(path)?;
    Ok(())
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened to be synced; renaming is durable by the file system's own
/// journal.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
