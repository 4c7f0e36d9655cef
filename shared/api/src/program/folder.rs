//! A node's folder: one process at a time, a sealed store, and how a command reaches whoever
//! holds it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use node::{
    names::StoreId,
    store::{Config, RedbStore, Sealed, StoreError},
};
use runtime::{
    ControlError, EnrolError, FolderLock, KeySource, Material, MaterialError, SecretError,
    StartError, shell,
};
use serde::Serialize;
use serde_json::Value;

use super::{Failure, from_line};

/// The store's file in the folder.
pub const STORE_FILE: &str = "store.redb";

/// How long a command waits for a node that holds its folder but does not listen yet: it is
/// starting, or stopping. Checking a store after an unclean stop takes longer; then it says so.
const STARTING_MAX: Duration = Duration::from_secs(5);

/// How often it looks.
const STARTING_LOOK: Duration = Duration::from_millis(20);

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
pub fn create(lock: &FolderLock, key: &KeySource, material: &Material) -> Result<bool, Failure> {
    let data = lock.path();
    let fresh = matches!(key, KeySource::File(path) if !path.exists());
    let key = key.create(data)?;
    let sealed = RedbStore::create_file(&store_file(data), Config::default(), |store| {
        let id = StoreId(shell::entropy());
        let mut store = Sealed::create(store, &key, id, Box::new(shell::fill))?;
        material.save(&mut store)?;
        Ok(store)
    })?;
    sealed.into_inner().close()?;
    Ok(fresh)
}

/// Opens the store, and reads what the device is made of.
///
/// # Errors
/// When the key does not fit, or the store or what is in it is damaged.
pub fn open(lock: &FolderLock, key: &KeySource) -> Result<(Store, Material), Failure> {
    let data = lock.path();
    let key = key.open(data)?;
    let store = RedbStore::open_file(&store_file(data), Config::default())?;
    if store.was_repaired() {
        tracing::warn!("the last stop was unclean; everything was checked and is in order");
    }
    let store = Sealed::open(store, &key, Box::new(shell::fill))?;
    let material = Material::load(&store)?;
    Ok((store, material))
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
