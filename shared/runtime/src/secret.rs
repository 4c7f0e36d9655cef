//! Where the key of a store comes from: a key file outside its folder, or a passphrase.
//!
//! Neither ever stands in an argument or in the environment, where every process of the machine
//! could read it. A key file is 64 hexadecimal digits that only its owner may read, and lies
//! outside the folder it guards, so that a copy of the folder is ciphertext.

mod passphrase;

use std::{
    ffi::OsString,
    fmt, fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use node::store::StoreKey;
use zeroize::Zeroizing;

pub use passphrase::Passphrase;

use crate::{
    limits::{KEY_FILE_BYTES_MAX, PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN},
    shell,
};

/// Where the key of a store is to come from.
#[derive(Debug)]
pub enum KeySource {
    /// A key file.
    File(PathBuf),
    /// A passphrase that somebody typed, or that a supervisor handed over.
    Passphrase(Passphrase),
}

impl KeySource {
    /// The key file that is used when nobody names one: beside the folder, with its name and
    /// `.key`.
    pub fn beside(data: &Path) -> KeySource {
        KeySource::File(beside(data, "key"))
    }

    /// The key of a store that exists.
    ///
    /// # Errors
    /// [`SecretError`] says what is wrong and what to do.
    pub fn open(&self, data: &Path) -> Result<StoreKey, SecretError> {
        match self {
            KeySource::File(path) => match read_key_file(path, data) {
                Err(SecretError::NoKeyFile(_)) if passphrase::made_by_one(data) => {
                    Err(SecretError::PassphraseStore(data.to_owned()))
                }
                read => read,
            },
            KeySource::Passphrase(passphrase) => passphrase.open(data),
        }
    }

    /// The key of a store that is about to be created, and whether a key file was made for it. One
    /// that is there already is used: it may be other stores' too. For a passphrase, salt and cost
    /// are kept in the folder, which must exist.
    ///
    /// # Errors
    /// [`SecretError`] says what is wrong and what to do.
    pub fn create(&self, data: &Path) -> Result<(StoreKey, bool), SecretError> {
        match self {
            KeySource::File(path) => match create_key_file(path, data) {
                Err(SecretError::KeyFileThere(path)) => Ok((read_key_file(&path, data)?, false)),
                made => Ok((made?, true)),
            },
            KeySource::Passphrase(passphrase) => Ok((passphrase.create(data)?, false)),
        }
    }
}

/// A file beside a folder, with its name and this ending.
pub fn beside(data: &Path, ending: &str) -> PathBuf {
    let mut name = data
        .file_name()
        .map_or_else(|| OsString::from("ridgeway"), OsString::from);
    name.push(".");
    name.push(ending);
    data.with_file_name(name)
}

/// Why there is no key. Names files, never what is in them.
#[derive(Debug)]
#[non_exhaustive]
pub enum SecretError {
    /// There is no key file.
    NoKeyFile(PathBuf),
    /// There is one already.
    KeyFileThere(PathBuf),
    /// Others than its owner may read it: its permissions.
    Readable(PathBuf, u32),
    /// It lies in the folder that it guards.
    Inside(PathBuf),
    /// It does not hold a key.
    NotAKey(PathBuf),
    /// The passphrase is too short for a new store.
    ShortPassphrase,
    /// The passphrase is longer than is read.
    LongPassphrase,
    /// There is no passphrase where one was to come from.
    EmptyPassphrase,
    /// There is no key file, and the store in this folder was created with a passphrase.
    PassphraseStore(PathBuf),
    /// The two passphrases typed are not the same.
    NotRepeated,
    /// There is nobody to ask for a passphrase.
    NoTerminal,
    /// The store was not created with a passphrase, or the file that says how is damaged.
    NoPassphraseFile(PathBuf),
    /// There is not enough memory to work the passphrase.
    Memory,
    /// A file could not be read or written.
    Io(PathBuf, io::ErrorKind),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::NoKeyFile(path) => write!(
                f,
                "there is no key file {}: name the one this store was created with by --key",
                path.display()
            ),
            SecretError::KeyFileThere(path) => write!(
                f,
                "there is a file {} already: choose another name",
                path.display()
            ),
            SecretError::Readable(path, mode) => write!(
                f,
                "others may read the key file {0} (mode {mode:04o}): run `chmod 600 {0}`, and \
                 consider who has read it",
                path.display()
            ),
            SecretError::Inside(path) => write!(
                f,
                "the key file {} lies in the folder that it guards: move it elsewhere, so that a \
                 copy of the folder stays ciphertext",
                path.display()
            ),
            SecretError::NotAKey(path) => write!(
                f,
                "{} does not hold a key: a key file is 64 hexadecimal digits and nothing else",
                path.display()
            ),
            SecretError::ShortPassphrase => write!(
                f,
                "the passphrase must have at least {PASSPHRASE_CHARS_MIN} characters: choose a \
                 longer one"
            ),
            SecretError::LongPassphrase => write!(
                f,
                "the passphrase has more than {PASSPHRASE_BYTES_MAX} bytes: hand over one line, \
                 or use a key file"
            ),
            SecretError::EmptyPassphrase => {
                f.write_str("the passphrase is empty: nothing was typed or handed over")
            }
            SecretError::PassphraseStore(path) => write!(
                f,
                "the store in {} was created with a passphrase: say --passphrase or \
                 --passphrase-fd",
                path.display()
            ),
            SecretError::NotRepeated => f.write_str("the two passphrases differ: try again"),
            SecretError::NoTerminal => f.write_str(
                "there is no terminal to ask for the passphrase: hand it over by \
                 --passphrase-fd, or use a key file",
            ),
            SecretError::NoPassphraseFile(path) => write!(
                f,
                "{} is missing or damaged, so no passphrase opens this store: restore it from a \
                 backup, or use the key file the store was created with; if there is no store, \
                 move this file away",
                path.display()
            ),
            SecretError::Memory => {
                f.write_str("there is not enough memory for the passphrase: 256 MiB are needed")
            }
            SecretError::Io(path, kind) => {
                write!(
                    f,
                    "{} cannot be used ({kind}): check its owner and disk",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for SecretError {}

fn at(path: &Path) -> impl Fn(io::Error) -> SecretError + '_ {
    |error| SecretError::Io(path.to_owned(), error.kind())
}

/// Reads a key file that somebody keeps outside `data`.
fn read_key_file(path: &Path, data: &Path) -> Result<StoreKey, SecretError> {
    check_outside(path, data)?;
    let file = fs::File::open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            SecretError::NoKeyFile(path.to_owned())
        } else {
            at(path)(error)
        }
    })?;
    // What was opened is what is checked; the name may lead elsewhere a moment later.
    let about = file.metadata().map_err(at(path))?;
    if !about.is_file() || about.len() > KEY_FILE_BYTES_MAX {
        return Err(SecretError::NotAKey(path.to_owned()));
    }
    check_mode(path, &about)?;
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
    let read = file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|_| SecretError::NotAKey(path.to_owned()))?;
    StoreKey::parse(&text).map_err(|_| SecretError::NotAKey(path.to_owned()))
}

/// Draws a key and writes it where nothing stands yet.
fn create_key_file(path: &Path, data: &Path) -> Result<StoreKey, SecretError> {
    let key = StoreKey::from_bytes(shell::entropy());
    write_new(path, data, key.to_text().as_bytes())?;
    Ok(key)
}

/// Writes a secret into a file outside `data` that was not there; all of it, or none.
pub(crate) fn write_new(path: &Path, data: &Path, text: &[u8]) -> Result<(), SecretError> {
    check_outside(path, data)?;
    let mut file = owners_only().open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            SecretError::KeyFileThere(path.to_owned())
        } else {
            at(path)(error)
        }
    })?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    let written = written.and_then(|()| sync_folder_of(path));
    if let Err(error) = written {
        // Half a key must not be taken for a whole one later.
        let _ = fs::remove_file(path);
        return Err(at(path)(error));
    }
    Ok(())
}

/// How a new file is opened that only its owner may read.
pub(crate) fn owners_only() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// Makes a new name in a folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Refuses a secret that others than its owner may read.
#[cfg(unix)]
pub(crate) fn check_mode(path: &Path, about: &fs::Metadata) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SecretError::Readable(path.to_owned(), mode))
    }
}

#[cfg(not(unix))]
pub(crate) fn check_mode(_: &Path, _: &fs::Metadata) -> Result<(), SecretError> {
    Ok(())
}

/// Refuses a key file in the folder that it guards, whatever links lead there.
fn check_outside(path: &Path, data: &Path) -> Result<(), SecretError> {
    let target = fs::canonicalize(path).or_else(|_| fs::canonicalize(folder_of(path)));
    let target = target.map_err(at(path))?;
    match fs::canonicalize(data) {
        Ok(data) if target.starts_with(&data) => Err(SecretError::Inside(path.to_owned())),
        // A folder that is not there yet holds no file.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_missing_key_file_is_made_once_and_read_ever_after() {
        let (folder, data) = (Folder::new(), Folder::new());
        let source = KeySource::File(folder.path().join("site.key"));
        assert!(matches!(
            source.open(data.path()),
            Err(SecretError::NoKeyFile(_))
        ));
        let (made, is_new) = source.create(data.path()).unwrap();
        let made = made.to_text();
        let (again, is_new_again) = source.create(data.path()).unwrap();
        assert_eq!(*made, *again.to_text());
        assert_eq!((is_new, is_new_again), (true, false));
        assert_eq!(*made, *source.open(data.path()).unwrap().to_text());
        let mode = fs::metadata(folder.path().join("site.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let (folder, data) = (Folder::new(), Folder::new());
        let path = folder.path().join("site.key");
        KeySource::File(path.clone()).create(data.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = KeySource::File(path).open(data.path()).err().unwrap();
        assert!(matches!(refused, SecretError::Readable(_, 0o640)));
        assert!(refused.to_string().contains("chmod 600"));
    }

    #[test]
    fn a_key_file_inside_the_folder_is_refused_however_it_is_reached() {
        let (folder, data) = (Folder::new(), Folder::new());
        let inside = data.path().join("site.key");
        let refused = KeySource::File(inside.clone()).create(data.path());
        assert!(matches!(refused, Err(SecretError::Inside(_))));
        fs::write(&inside, "").unwrap();
        let link = folder.path().join("link.key");
        std::os::unix::fs::symlink(&inside, &link).unwrap();
        let refused = KeySource::File(link).open(data.path());
        assert!(matches!(refused, Err(SecretError::Inside(_))));
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_repeated() {
        let (folder, data) = (Folder::new(), Folder::new());
        let path = folder.path().join("site.key");
        for text in ["", "hunter2", &"f".repeat(63), &"f".repeat(9_000)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let refused = KeySource::File(path.clone())
                .open(data.path())
                .err()
                .unwrap();
            assert!(matches!(refused, SecretError::NotAKey(_)));
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn the_usual_place_is_beside_the_folder() {
        let KeySource::File(path) = KeySource::beside(Path::new("/srv/ridgeway/devizes")) else {
            panic!("a file was expected");
        };
        assert_eq!(path, Path::new("/srv/ridgeway/devizes.key"));
    }
}
