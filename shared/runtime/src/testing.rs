//! What the tests of this crate share.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::shell;

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
