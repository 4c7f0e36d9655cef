//! The copy of the tree in which the mutants are built.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Brings the copy in line with what the repository tracks, or is about to. A file that has not
/// changed is left as it is: cargo goes by the times of files.
///
/// # Errors
/// In words, when git or a file fails.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let names = tracked(from)?;
    for name in &names {
        put(&to.join(name), &read(&from.join(name))?)?;
    }
    for gone in files_below(to)? {
        let name = gone.strip_prefix(to).unwrap_or(&gone);
        // Cargo writes it, where the repository has none.
        if !names.contains(name) && name != Path::new("Cargo.lock") {
            fs::remove_file(&gone).map_err(|error| words(&gone, &error))?;
        }
    }
    Ok(())
}

/// The content of a file.
///
/// # Errors
/// In words.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| words(file, &error))
}

/// Writes a file, unless that is its content.
///
/// # Errors
/// In words.
pub(crate) fn put(file: &Path, content: &[u8]) -> Result<(), String> {
    if fs::read(file).is_ok_and(|before| before == content) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| words(folder, &error))?;
    }
    fs::write(file, content).map_err(|error| words(file, &error))
}

fn words(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

/// The tracked files that are there, and those that are not ignored.
fn tracked(root: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let words = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = Command::new("git").args(words).current_dir(root).output();
    let listed = listed.map_err(|error| format!("git: {error}"))?;
    if !listed.status.success() {
        let complaint = String::from_utf8_lossy(&listed.stderr);
        return Err(format!("git ls-files failed: {complaint}"));
    }
    let names = String::from_utf8(listed.stdout).map_err(|error| format!("git: {error}"))?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    let names = names.map(PathBuf::from);
    Ok(names.filter(|name| root.join(name).is_file()).collect())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| words(&folder, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| words(&folder, &error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}
