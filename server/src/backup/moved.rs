//! A finished backup on its way to where it is wanted, also onto another disk.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::Path,
};

use api::program::Failure;
use runtime::backup::BackupError;

use super::{failure, unfinished};

/// Bytes copied at once, and compared.
pub(super) const COPIED_AT_ONCE: usize = 1 << 20;

/// Moves a finished backup to where it is wanted, also onto another disk.
pub(super) fn move_to(from: &Path, to: &Path) -> Result<(), Failure> {
    let about = |error: io::Error| failure(BackupError::Io(to.to_owned(), error.kind()));
    if to.exists() {
        return Err(failure(BackupError::There(to.to_owned())));
    }
    // Opened first: the centre takes its name away when nobody has asked for a while, and copying
    // may take longer.
    let mut whole = File::open(from).map_err(about)?;
    if fs::rename(from, to).is_err() {
        copy_to(&mut whole, to).map_err(about)?;
        match fs::remove_file(from) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(about(error)),
            Ok(()) | Err(_) => {}
        }
    }
    sync_folder_of(to).map_err(about)
}

/// Copies a file that was proved, holds the copy against it, and gives the copy its name then.
pub(super) fn copy_to(whole: &mut File, to: &Path) -> io::Result<()> {
    let unfinished = unfinished(to);
    let copied = copy_under(whole, &unfinished)
        .and_then(|()| fs::rename(&unfinished, to))
        .and_then(|()| sync_folder_of(to));
    if copied.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    copied
}

fn copy_under(whole: &mut File, unfinished: &Path) -> io::Result<()> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut copy = fs::OpenOptions::new();
    copy.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        copy.mode(0o600);
    }
    let mut copy = copy.open(unfinished)?;
    io::copy(whole, &mut copy)?;
    copy.flush()?;
    copy.sync_all()?;
    drop(copy);
    io::Seek::rewind(whole)?;
    match is_same(whole, &mut File::open(unfinished)?)? {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether two files have the same bytes.
pub(super) fn is_same(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    loop {
        let [mut first, mut second] = [(); 2].map(|()| Vec::with_capacity(COPIED_AT_ONCE));
        let most = COPIED_AT_ONCE as u64;
        one.by_ref().take(most).read_to_end(&mut first)?;
        other.by_ref().take(most).read_to_end(&mut second)?;
        if first != second {
            return Ok(false);
        }
        if first.is_empty() {
            return Ok(true);
        }
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
