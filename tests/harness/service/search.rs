//! Looks for words in files: what people typed must stand in none that a stranger could read.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use memchr::memmem::Finder;
use store::{Batch, Config, RedbStore, Snapshot as _, Store as _, Table};

use super::{host::Host, proof};

/// Every file below a folder that holds `word`, with how often.
///
/// # Errors
/// When a file cannot be read.
pub fn files_with(folder: &Path, word: &str) -> Result<Vec<(PathBuf, usize)>, String> {
    let finder = Finder::new(word);
    let mut found = Vec::new();
    each_file(folder, |path, bytes| {
        let times = finder.find_iter(bytes).count();
        if times > 0 {
            found.push((path.to_owned(), times));
        }
    })?;
    Ok(found)
}

/// How many of `words` stand in any file below a folder.
///
/// # Errors
/// When a file cannot be read.
pub fn count_in(folder: &Path, words: &BTreeSet<&str>) -> Result<usize, String> {
    let mut left: Vec<Finder<'_>> = words.iter().map(|word| Finder::new(*word)).collect();
    each_file(folder, |_, bytes| {
        left.retain(|finder| finder.find(bytes).is_none())
    })?;
    Ok(words.len() - left.len())
}

fn each_file(folder: &Path, mut visit: impl FnMut(&Path, &[u8])) -> Result<(), String> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                visit(&entry.path(), &fs::read(entry.path()).map_err(failed)?);
            }
        }
    }
    Ok(())
}

/// The negative control: writes what a stopped node's store holds into a new store of the same
/// kind without a seal. What cannot be found in the one must be found in the other.
///
/// # Errors
/// When either store fails.
pub fn unseal(host: &Host, into: &Path) -> Result<(), String> {
    let sealed = proof::open(host)?;
    let copied = (|| {
        let snapshot = sealed.snapshot()?;
        RedbStore::create_file(into, Config::default(), |mut plain| {
            for table in Table::ALL {
                let mut after = None;
                loop {
                    let page = snapshot.names(*table, after.as_deref(), 256)?;
                    let mut batch = Batch::new();
                    for row in page.rows {
                        batch.put(*table, row.name, row.position, row.value);
                    }
                    plain.commit(batch)?;
                    match page.next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
            }
            Ok(())
        })
    })();
    copied.map_err(|error| format!("{}: {error}", host.name()))
}
