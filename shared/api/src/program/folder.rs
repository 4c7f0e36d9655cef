//! A node's folder: one process at a time, a sealed store, and how a command reaches whoever
//! holds it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use node::{
    names::StoreId,
    protocol::DeviceKey,
    store::{Config, Epochs, RedbStore, Sealed, Store as _, StoreError, StoreKey, Table, each},
};
use runtime::{
    ControlError, EnrolError, FolderLock, KeySource, Material, MaterialError, SecretError,
    StartError,
    backup::{RecoveryPublic, keep_recovery},
    shell,
};
use serde::Serialize;
use serde_json::Value;

use super::{Failure, from_line, inspect, leave};

/// The store's file in the folder.
pub const STORE_FILE: &str = "store.redb";

/// The file with the store's own half of its key and the keys of its epochs, sealed under the key
/// it opens with: see [`Epochs`].
pub const EPOCHS_FILE: &str = "epoch.keys";

/// What may lie in a folder before there is a store: the lock, the configuration, how a passphrase
/// is worked, which is used, and the temporary names of an attempt that was cut off, which the next
/// one replaces.
const MAY_BE_THERE: [&str; 6] = [
    "lock",
    "ridgeway.toml",
    "passphrase.kdf",
    "passphrase.new",
    "store.redb.new",
    "epoch.keys.new",
];

/// How long a command waits for a node that holds its folder but does not listen yet: it is
/// starting, or stopping. Checking a store after an unclean stop takes longer; then it says so.
const STARTING_MAX: Duration = Duration::from_secs(5);

/// How often it looks.
const STARTING_LOOK: Duration = Duration::from_millis(20);

/// How long before a device's certificate ends it may be enrolled again in place, and its operator
/// is told to: it should have been renewed two weeks ago, and there are two weeks left to look.
pub const ENROL_AGAIN_MS: i64 = 14 * 24 * 60 * 60 * 1_000;

/// The sealed store of a node.
pub type Store = Sealed<RedbStore>;

/// Takes a folder for this process alone.
///
/// # Errors
/// When there is no store in it, another process runs there, or it cannot be used.
pub fn take(data: &Path) -> Result<FolderLock, Failure> {
    if !store_file(data).try_exists()? {
        return Err(StoreError::Missing.into());
    }
    FolderLock::take(data)?.ok_or_else(|| ControlError::Running(data.to_owned()).into())
}

/// Takes a folder for a store that is about to be created, and makes it if it is missing.
///
/// # Errors
/// When there is a store already, or the folder cannot be used.
pub fn take_new(data: &Path) -> Result<FolderLock, Failure> {
    if store_file(data).try_exists()? {
        return Err(Failure::refused(StoreError::AlreadyThere));
    }
    FolderLock::take(data)?.ok_or_else(|| ControlError::Running(data.to_owned()).into())
}

/// Creates the store: all of it or nothing. `key` is made when it is a key file that is missing;
/// the answer says whether it was.
///
/// # Errors
/// When the key cannot be had, or the store not be written.
pub fn create(
    lock: &FolderLock,
    key: &KeySource,
    material: &Material,
    recovery: &RecoveryPublic,
) -> Result<bool, Failure> {
    let (store, (), fresh) = create_with(lock, key, |mut store| {
        material.save(&mut store)?;
        keep_recovery(&mut store, recovery)?;
        Ok((store, ()))
    })?;
    store.into_inner().close()?;
    Ok(fresh)
}

/// Refuses a folder in which there is anything but its lock, a configuration, and what an attempt
/// left that failed or was cut off.
///
/// # Errors
/// What is there.
pub fn must_be_empty(lock: &FolderLock) -> Result<(), Failure> {
    for entry in std::fs::read_dir(lock.path())? {
        let name = entry?.file_name();
        if !MAY_BE_THERE.iter().any(|may| name == *may) {
            return Err(Failure::refused(format!(
                "{} is not empty ({} is there): choose a folder without anything in it",
                lock.path().display(),
                name.display()
            )));
        }
    }
    Ok(())
}

/// Creates the store with what `fill` puts there, and leaves it open: all of it, or nothing, also
/// of the key file if it was made here. The answer says whether it was. What lies in the folder is
/// neither replaced nor removed: it may belong to a store that somebody has put aside.
///
/// # Errors
/// When there is a store, or its epochs without it; when the key cannot be had, or the store not be
/// written; what `fill` answers.
pub fn create_with<T>(
    lock: &FolderLock,
    key: &KeySource,
    fill: impl FnOnce(Store) -> Result<(Store, T), Failure>,
) -> Result<(Store, T, bool), Failure> {
    let data = lock.path();
    let epochs_file = data.join(EPOCHS_FILE);
    leave::check(lock)?;
    // Asked under the lock: whoever asked before may have waited for another command's store.
    if store_file(data).try_exists()? {
        return Err(Failure::refused(StoreError::AlreadyThere));
    }
    if epochs_file.try_exists()? {
        return Err(Failure::refused(StoreError::EpochsThere));
    }
    let (store_key, fresh) = key.create(data)?;
    let created = create_under(data, &store_key, fill);
    match created {
        Ok((store, filled)) => {
            // Whoever opens the store names the file if this is cut off or fails.
            Epochs::name_file(&epochs_file)?;
            Ok((store, filled, fresh))
        }
        Err(failure) => {
            // What stays is replaced by the next attempt.
            let _ = Epochs::give_up_file(&epochs_file);
            if let (true, KeySource::File(path)) = (fresh, key) {
                let _ = std::fs::remove_file(path);
            }
            Err(failure)
        }
    }
}

/// Creates the store's two files, of which the second has its temporary name yet.
fn create_under<T>(
    data: &Path,
    key: &StoreKey,
    fill: impl FnOnce(Store) -> Result<(Store, T), Failure>,
) -> Result<(Store, T), Failure> {
    let epochs = Epochs::create_file(&data.join(EPOCHS_FILE), key, shell::fill)?;
    let mut unfilled = None;
    let created = RedbStore::create_file(&store_file(data), Config::default(), |store| {
        let id = StoreId(shell::entropy());
        let store = Sealed::create(store, key, epochs, id, Box::new(shell::fill))?;
        fill(store).map_err(|failure| {
            unfilled = Some(failure);
            StoreError::Dead
        })
    });
    created.map_err(|error| unfilled.unwrap_or_else(|| error.into()))
}

/// A device that is about to be made known. Its key is on disk.
#[derive(Debug)]
pub struct Begun {
    /// The folder.
    pub lock: FolderLock,
    /// Its store, opened.
    pub store: Store,
    /// Its key.
    pub device: DeviceKey,
    /// What it was made of before, if it was known already and its certificate ends soon.
    pub before: Option<Material>,
    /// Whether its key file was made.
    pub made_key: bool,
}

/// Begins an enrolment, or finds the one that was begun in this folder and not finished. All that
/// can fail here fails before a code is used up; and whoever begins again is the same device, which
/// the code still lets in.
///
/// # Errors
/// When a device works here already, the key cannot be had, or the store not be written.
pub fn begin(data: &Path, key: &KeySource) -> Result<Begun, Failure> {
    let Some(lock) = FolderLock::take(data)? else {
        return Err(match store_file(data).try_exists()? {
            true => Failure::refused(StoreError::AlreadyThere),
            false => ControlError::Running(data.to_owned()).into(),
        });
    };
    if !store_file(data).try_exists()? {
        let device = DeviceKey::from_seed(&shell::entropy());
        let (store, (), made_key) = create_with(&lock, key, |mut store| {
            Material::begin(&mut store, &device)?;
            Ok((store, ()))
        })?;
        return Ok(Begun {
            lock,
            store,
            device,
            before: None,
            made_key,
        });
    }
    let store = open_store(&lock, key)?;
    let (device, before) = match Material::begun(&store)? {
        Some(device) => (device, None),
        None => {
            let before = Material::load(&store)?;
            let soon = shell::now().plus_ms(ENROL_AGAIN_MS);
            let lasts = before
                .certificate_ends(shell::now())
                .is_some_and(|end| end > soon);
            if before.keys.is_some() || lasts {
                return Err(Failure::refused(StoreError::AlreadyThere));
            }
            (DeviceKey::from_seed(&before.device.seed()), Some(before))
        }
    };
    Ok(Begun {
        lock,
        store,
        device,
        before,
        made_key: false,
    })
}

/// Checks the store as it lies on the disk: what its file's structure says, and every row. Only
/// while nothing runs on it.
///
/// # Errors
/// What is damaged, with counts where rows are.
pub fn check(lock: &FolderLock, key: &KeySource) -> Result<(), Failure> {
    let mut store = open_store(lock, key)?;
    let snapshot = store.snapshot()?;
    let mut damaged = BTreeMap::new();
    for table in Table::ALL {
        let count = each(&snapshot, *table, |_| ())?;
        if count > 0 {
            damaged.insert(table.name(), count);
        }
    }
    drop(snapshot);
    inspect::whole(&damaged)?;
    store.verify()?;
    Ok(store.into_inner().close()?)
}

/// Opens the store, and reads what the device is made of.
///
/// # Errors
/// When the key does not fit, or the store or what is in it is damaged.
pub fn open(lock: &FolderLock, key: &KeySource) -> Result<(Store, Material), Failure> {
    let store = open_store(lock, key)?;
    let material = Material::load(&store)?;
    Ok((store, material))
}

fn open_store(lock: &FolderLock, key: &KeySource) -> Result<Store, Failure> {
    let data = lock.path();
    leave::check(lock)?;
    let key = key.open(data)?;
    let epochs = Epochs::open_file(&data.join(EPOCHS_FILE), &key)?;
    let store = RedbStore::open_file(&store_file(data), Config::default())?;
    if store.was_repaired() {
        tracing::warn!("the last stop was unclean; everything was checked and is in order");
    }
    Ok(Sealed::open(store, &key, epochs, Box::new(shell::fill))?)
}

/// How a command got to a node.
#[derive(Debug)]
pub enum Reached {
    /// Nothing runs: the folder is this process's now, to carry the command out itself.
    Held(FolderLock),
    /// The running node has carried it out; its answer.
    Told(Value),
}

/// Takes a folder, or tells the node that runs in it a command and waits for what comes of it. A
/// node that is just starting or stopping is waited for.
///
/// # Errors
/// What the node answers, or that it does not; that there is no store.
pub fn reach(data: &Path, command: &impl Serialize) -> Result<Reached, Failure> {
    let line = serde_json::to_string(command).map_err(Failure::usage)?;
    if !store_file(data).try_exists()? {
        return Err(StoreError::Missing.into());
    }
    let patience = Instant::now() + STARTING_MAX;
    loop {
        if let Some(lock) = FolderLock::take(data)? {
            return Ok(Reached::Held(lock));
        }
        match runtime::ask(data, &line) {
            Ok(answer) => return from_line(&answer).map(Reached::Told),
            Err(ControlError::NotRunning(_)) if Instant::now() < patience => {
                std::thread::sleep(STARTING_LOOK);
            }
            Err(ControlError::NotRunning(path)) => {
                return Err(Failure::not_running(format!(
                    "a node is starting or stopping in {}: try again in a moment",
                    path.display()
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn store_file(data: &Path) -> PathBuf {
    data.join(STORE_FILE)
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Failure {
        let busy = matches!(
            error,
            ControlError::Running(_) | ControlError::NotRunning(_)
        );
        if busy {
            Failure::not_running(error)
        } else {
            Failure::failed(error)
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Failure {
        Failure::failed(error)
    }
}

impl From<MaterialError> for Failure {
    fn from(error: MaterialError) -> Failure {
        Failure::failed(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        if let StartError::Store(error) = error {
            return error.into();
        }
        Failure::failed(error)
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Failure {
        let refused = matches!(error, EnrolError::Expired | EnrolError::Refused(_));
        if refused {
            Failure::refused(error)
        } else {
            Failure::failed(error)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::Folder;

    fn fill(data: &Path, key: &KeySource) -> Result<bool, Failure> {
        let lock = take_new(data)?;
        must_be_empty(&lock)?;
        let (store, (), made) = create_with(&lock, key, |store| Ok((store, ())))?;
        store.into_inner().close()?;
        Ok(made)
    }

    fn names(data: &Path) -> Vec<String> {
        let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = names
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_keys_of_a_store_that_was_put_aside_are_never_replaced_or_removed() {
        let machine = Folder::new();
        let key = KeySource::File(machine.path().join("machine.key"));
        let data = machine.path().join("one");
        assert_eq!(fill(&data, &key), Ok(true));
        let epochs = fs::read(data.join(EPOCHS_FILE)).unwrap();
        fs::rename(data.join(STORE_FILE), machine.path().join("aside")).unwrap();
        let refused = begin(&data, &key).unwrap_err();
        assert!(refused.words.contains("without its store"), "{refused}");
        let lock = take_new(&data).unwrap();
        let refused = create_with(&lock, &key, |store| Ok((store, ())));
        assert_eq!(refused.unwrap_err().exit, super::super::Exit::Refused);
        drop(lock);
        assert_eq!(fs::read(data.join(EPOCHS_FILE)).unwrap(), epochs);
        fs::rename(machine.path().join("aside"), data.join(STORE_FILE)).unwrap();
        assert_eq!(check(&take(&data).unwrap(), &key), Ok(()));
    }

    /// Asked under the lock, whoever asked before it.
    #[test]
    fn a_store_that_is_there_is_not_created_over() {
        let machine = Folder::new();
        let key = KeySource::File(machine.path().join("machine.key"));
        let data = machine.path().join("one");
        let lock = take_new(&data).unwrap();
        let (store, (), _) = create_with(&lock, &key, |store| Ok((store, ()))).unwrap();
        store.into_inner().close().unwrap();
        let refused = create_with(&lock, &key, |store| Ok((store, ()))).unwrap_err();
        assert!(refused.words.contains("already"), "{refused}");
        assert_eq!(check(&lock, &key), Ok(()));
    }

    #[test]
    fn what_an_attempt_that_was_cut_off_left_is_no_obstacle() {
        let machine = Folder::new();
        let key = KeySource::File(machine.path().join("machine.key"));
        let data = machine.path().join("one");
        drop(take_new(&data).unwrap());
        for name in ["store.redb.new", "epoch.keys.new", "passphrase.new"] {
            fs::write(data.join(name), "half of it").unwrap();
        }
        let lock = take_new(&data).unwrap();
        must_be_empty(&lock).unwrap();
        let failed = create_with::<()>(&lock, &key, |_| Err(Failure::failed("it fails")));
        assert_eq!(failed.unwrap_err().words, "it fails");
        drop(lock);
        assert!(!machine.path().join("machine.key").exists());
        assert_eq!(names(&data), ["lock", "passphrase.new"]);
        assert_eq!(fill(&data, &key), Ok(true));
        // Cut off between the two names: whoever opens the store gives the second.
        let epochs = data.join(EPOCHS_FILE);
        fs::rename(&epochs, data.join("epoch.keys.new")).unwrap();
        assert_eq!(check(&take(&data).unwrap(), &key), Ok(()));
        assert!(epochs.exists());
    }
}
