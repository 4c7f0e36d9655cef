//! What the tests of this crate share.

mod organisation;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

pub(crate) use organisation::{Organisation, add_note, open_case, site_scope};

use node::store::{Batch, MemorySnapshot, MemoryStore, Store, StoreError};

use crate::{hub::lock, shell};

/// A store in memory that outlives the node on it, as a file does.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<MemoryStore>>);

impl Store for Kept {
    type Snapshot = MemorySnapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        lock(&self.0).commit(batch)
    }

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        lock(&self.0).snapshot()
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        lock(&self.0).verify()
    }
}

/// A folder of its own for one test; gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let name: [u8; 8] = shell::entropy();
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = env::temp_dir().join(format!("ridgeway-{name}"));
        fs::create_dir(&path).expect("a folder can be made for temporary files");
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
