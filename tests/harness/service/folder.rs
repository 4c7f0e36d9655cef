//! Folders for one run: fresh each time, gone afterwards, and those of runs that were killed are
//! cleared away by the next.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// The file in a folder that its run holds locked. The operating system lets go of it when the
/// run ends, however it ends.
const ALIVE: &str = "alive";

/// What stands in the name of a folder that is not locked yet.
const MAKING: &str = ".new";
/// How long it may stand there: making a folder takes no second, even on a machine that is busy.
const MAKING_MAX: Duration = Duration::from_secs(60);

/// A folder for one run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
    _alive: File,
}

impl Folder {
    /// A fresh folder, after those that killed runs of the same `name` left have been removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str) -> Result<Folder, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let making = format!("{name}{MAKING}");
        clear(name, is_dead);
        clear(&making, is_old);
        loop {
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let rest = format!("{}-{number}", std::process::id());
            let (made, path) = (
                base().join(format!("{making}-{rest}")),
                base().join(format!("{name}-{rest}")),
            );
            match fs::create_dir(&made) {
                Ok(()) if !path.exists() => return Folder::take(&made, path),
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(format!("{} cannot be made: {error}", made.display())),
            }
        }
    }

    /// Locks a folder that has just been made, and only then gives it the name by which others
    /// would clear it away.
    fn take(made: &Path, path: PathBuf) -> Result<Folder, String> {
        let failed = |error: std::io::Error| format!("{} is of no use: {error}", path.display());
        owners_only(made).map_err(failed)?;
        let alive = File::create(made.join(ALIVE)).map_err(failed)?;
        alive.lock().map_err(failed)?;
        fs::rename(made, &path).map_err(failed)?;
        Ok(Folder {
            path,
            keep: false,
            _alive: alive,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is, for somebody to look at; the next run clears it away.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep && !std::thread::panicking() {
            // A folder that stays is cleared away by the next run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Where temporary files go: `/tmp` where it is, because a socket's name must be short.
fn base() -> PathBuf {
    let short = Path::new("/tmp");
    if short.is_dir() {
        short.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Lets nobody but its owner into a folder.
///
/// # Errors
/// When its rights cannot be changed.
#[cfg(unix)]
pub fn owners_only(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Elsewhere folders are their owner's anyway.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn owners_only(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Removes the folders of this name that `is_over` says are nobody's any more.
fn clear(name: &str, is_over: fn(&Path) -> bool) {
    let Ok(entries) = fs::read_dir(base()) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path
            .file_name()
            .and_then(|own| own.to_str())
            .is_some_and(|own| {
                own.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('-'))
            });
        if ours && is_over(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether nobody holds the folder.
fn is_dead(path: &Path) -> bool {
    File::open(path.join(ALIVE)).is_ok_and(|alive| alive.try_lock().is_ok())
}

/// Whether whoever was making this folder must have been killed.
fn is_old(path: &Path) -> bool {
    let made = fs::metadata(path).and_then(|about| about.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|since| since > MAKING_MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::service::wait;

    /// Every look clears the folders of the dead. One may take a moment to be found dead: a
    /// process that another test is just starting holds every open file until it has started.
    #[test]
    fn a_living_runs_folder_stays_and_a_dead_ones_goes() {
        let name = "ridgeway-folder-test";
        let living = Folder::new(name).unwrap();
        let left = {
            let mut dead = Folder::new(name).unwrap();
            dead.keep();
            let left = dead.path().join("left");
            fs::write(&left, "by a run that was killed").unwrap();
            left
        };
        assert!(left.is_file());
        let gone = wait::until(Duration::from_secs(10), || {
            let next = Folder::new(name).unwrap();
            assert!(living.path().is_dir() && next.path().is_dir());
            (!left.is_file()).then_some(())
        });
        assert!(gone.is_some());
    }
}
