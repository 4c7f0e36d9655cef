//! A store key from a passphrase: Argon2id, with its salt and cost kept beside the store.

use std::{
    fmt, fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use argon2::{Algorithm, Argon2, Params, Version};
use node::store::StoreKey;
use zeroize::Zeroizing;

use super::{SecretError, at, owners_only, sync_folder_of};
use crate::{
    limits::{KEY_FILE_BYTES_MAX, PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN},
    shell,
};

/// The file in the store's folder that says how its passphrase is worked.
const FILE: &str = "passphrase.kdf";
/// 256 MiB and three passes: about a second on a small box, and dear for whoever guesses.
const MEMORY_KIB: u32 = 256 << 10;
const PASSES: u32 = 3;
/// A damaged or tampered file cannot make opening weaker than OWASP's minimum ...
const MEMORY_KIB_MIN: u32 = 19 << 10;
const PASSES_MIN: u32 = 2;
/// ... nor take all memory, or for ever.
const MEMORY_KIB_MAX: u32 = 2 << 20;
const PASSES_MAX: u32 = 16;
const SALT_BYTES: usize = 16;

/// A passphrase; wiped when dropped, and never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// A passphrase that somebody has typed elsewhere.
    ///
    /// # Errors
    /// [`SecretError::EmptyPassphrase`], [`SecretError::LongPassphrase`].
    pub fn new(text: Zeroizing<String>) -> Result<Passphrase, SecretError> {
        if text.is_empty() {
            return Err(SecretError::EmptyPassphrase);
        }
        if text.len() > PASSPHRASE_BYTES_MAX {
            return Err(SecretError::LongPassphrase);
        }
        Ok(Passphrase(text))
    }

    /// Reads it from an open file descriptor that a supervisor handed over, up to its end or the
    /// end of its first line.
    ///
    /// # Errors
    /// [`SecretError::Io`], and as [`Passphrase::new`].
    pub fn from_descriptor(number: u32) -> Result<Passphrase, SecretError> {
        let path = PathBuf::from(format!("/dev/fd/{number}"));
        let file = fs::File::open(&path).map_err(at(&path))?;
        first_line(&mut io::BufReader::new(file))
            .map_err(at(&path))
            .and_then(Passphrase::new)
    }

    /// Asks for it on the terminal, without showing what is typed; twice for a new store.
    ///
    /// # Errors
    /// [`SecretError::NoTerminal`], [`SecretError::NotRepeated`], and as [`Passphrase::new`].
    pub fn ask(new: bool) -> Result<Passphrase, SecretError> {
        if !io::stdin().is_terminal() {
            return Err(SecretError::NoTerminal);
        }
        let silence = Silence::begin()?;
        let first = ask_once("Passphrase: ")?;
        if new && *first != *ask_once("The same again: ")? {
            return Err(SecretError::NotRepeated);
        }
        drop(silence);
        Passphrase::new(first)
    }

    /// The key of a store that was created with this passphrase; whether it fits, the store says.
    pub(super) fn open(&self, data: &Path) -> Result<StoreKey, SecretError> {
        self.work(Recipe::read(&data.join(FILE))?)
    }

    /// The key of a store that is about to be created. A recipe that lies in the folder is used and
    /// never replaced: it may be the only one of a store that somebody has put aside.
    pub(super) fn create(&self, data: &Path) -> Result<StoreKey, SecretError> {
        if self.0.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(SecretError::ShortPassphrase);
        }
        let path = data.join(FILE);
        if path.try_exists().map_err(at(&path))? {
            return self.work(Recipe::read(&path)?);
        }
        let recipe = Recipe {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: shell::entropy(),
        };
        let key = self.work(recipe)?;
        write_whole(&path, &recipe.to_text())?;
        Ok(key)
    }

    fn work(&self, recipe: Recipe) -> Result<StoreKey, SecretError> {
        let params = Params::new(recipe.memory_kib, recipe.passes, 1, Some(32));
        let params = params.map_err(|_| SecretError::Memory)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.as_bytes(), &recipe.salt, key.as_mut_slice())
            .map_err(|_| SecretError::Memory)?;
        Ok(StoreKey::from_bytes(*key))
    }
}

/// Whether the store in a folder was created with a passphrase.
pub(super) fn made_by_one(data: &Path) -> bool {
    data.join(FILE).is_file()
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// How a passphrase is worked into a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Recipe {
    memory_kib: u32,
    passes: u32,
    salt: [u8; SALT_BYTES],
}

impl Recipe {
    /// The recipe in a file.
    fn read(path: &Path) -> Result<Recipe, SecretError> {
        let damaged = || SecretError::NoPassphraseFile(path.to_owned());
        let file = fs::File::open(path).map_err(|_| damaged())?;
        let mut text = String::new();
        file.take(KEY_FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|_| damaged())?;
        Recipe::parse(&text).ok_or_else(damaged)
    }

    fn to_text(self) -> String {
        let Recipe {
            memory_kib,
            passes,
            salt,
        } = self;
        let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("argon2id 1.3 memory-kib={memory_kib} passes={passes} lanes=1 salt={salt}\n")
    }

    fn parse(text: &str) -> Option<Recipe> {
        let mut words = text.split_whitespace();
        if (words.next(), words.next()) != (Some("argon2id"), Some("1.3")) {
            return None;
        }
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let memory_kib = field("memory-kib")?.parse().ok()?;
        let passes = field("passes")?.parse().ok()?;
        field("lanes").filter(|lanes| *lanes == "1")?;
        // Sixteen bytes in hexadecimal, which is what every id of ours looks like.
        let salt = field("salt")?.parse::<node::names::DeviceId>().ok()?.0;
        let bounded = (MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&memory_kib)
            && (PASSES_MIN..=PASSES_MAX).contains(&passes);
        (bounded && words.next().is_none()).then_some(Recipe {
            memory_kib,
            passes,
            salt,
        })
    }
}

/// Writes a file so that under its name there is either all of it or nothing.
fn write_whole(path: &Path, text: &str) -> Result<(), SecretError> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let written = owners_only().open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_folder_of(path)
    });
    written.map_err(at(path))
}

fn ask_once(question: &str) -> Result<Zeroizing<String>, SecretError> {
    let terminal = Path::new("the terminal");
    let mut out = io::stderr();
    out.write_all(question.as_bytes())
        .and_then(|()| out.flush())
        .map_err(at(terminal))?;
    let line = first_line(&mut io::stdin().lock()).map_err(at(terminal));
    // The typed end of the line was not shown either.
    let _ = out.write_all(b"\n");
    line
}

/// The first line, without its end. The buffer has its full size from the start, so that growing
/// leaves no piece of the secret behind.
fn first_line(source: &mut impl io::BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(PASSPHRASE_BYTES_MAX + 2));
    source
        .take(PASSPHRASE_BYTES_MAX as u64 + 2)
        .read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// The terminal does not show what is typed for as long as this lives.
struct Silence;

impl Silence {
    fn begin() -> Result<Silence, SecretError> {
        if stty("-echo") {
            Ok(Silence)
        } else {
            Err(SecretError::NoTerminal)
        }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(setting: &str) -> bool {
    let mut stty = Command::new("stty");
    stty.arg(setting)
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    stty.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn the_same_passphrase_makes_the_same_key_and_another_does_not() {
        let data = Folder::new();
        let made = passphrase("correct horse battery")
            .create(data.path())
            .unwrap();
        let again = passphrase("correct horse battery")
            .open(data.path())
            .unwrap();
        let other = passphrase("correct horse batterz")
            .open(data.path())
            .unwrap();
        assert_eq!(*made.to_text(), *again.to_text());
        assert_ne!(*made.to_text(), *other.to_text());
    }

    #[test]
    fn a_recipe_that_is_there_is_never_replaced() {
        let data = Folder::new();
        let words = passphrase("correct horse battery");
        let made = words.create(data.path()).unwrap();
        let recipe = fs::read(data.path().join(FILE)).unwrap();
        let again = words.create(data.path()).unwrap();
        assert_eq!(*made.to_text(), *again.to_text());
        assert_eq!(fs::read(data.path().join(FILE)).unwrap(), recipe);
        fs::write(data.path().join(FILE), "half a reci").unwrap();
        let refused = words.create(data.path());
        assert!(matches!(refused, Err(SecretError::NoPassphraseFile(_))));
    }

    #[test]
    fn a_new_passphrase_must_be_long_enough() {
        let data = Folder::new();
        let refused = passphrase("hunter2").create(data.path());
        assert!(matches!(refused, Err(SecretError::ShortPassphrase)));
        let new = |text: String| Passphrase::new(Zeroizing::new(text)).err();
        assert!(matches!(
            new(String::new()),
            Some(SecretError::EmptyPassphrase)
        ));
        let long = new("x".repeat(PASSPHRASE_BYTES_MAX + 1));
        assert!(matches!(long, Some(SecretError::LongPassphrase)));
    }

    #[test]
    fn a_store_made_with_a_passphrase_says_so_when_a_key_file_is_missing() {
        let (data, elsewhere) = (Folder::new(), Folder::new());
        let file = crate::KeySource::File(elsewhere.path().join("site.key"));
        assert!(matches!(
            file.open(data.path()),
            Err(SecretError::NoKeyFile(_))
        ));
        fs::write(data.path().join(FILE), "").unwrap();
        let refused = file.open(data.path()).err().unwrap();
        assert!(matches!(refused, SecretError::PassphraseStore(_)));
    }

    #[test]
    fn a_recipe_reads_back_and_stays_within_bounds() {
        let recipe = Recipe {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: [0xA5; 16],
        };
        let text = recipe.to_text();
        assert_eq!(Recipe::parse(&text), Some(recipe));
        let wrong = [
            text.replace("memory-kib=262144", "memory-kib=8"),
            text.replace("memory-kib=262144", "memory-kib=4294967295"),
            text.replace("passes=3", "passes=1"),
            text.replace("argon2id", "argon2i"),
            text.replace("salt=a5", "salt="),
            format!("{text} more"),
            String::new(),
        ];
        for text in wrong {
            assert_eq!(Recipe::parse(&text), None, "{text} was taken");
        }
    }

    #[test]
    fn only_the_first_line_is_read() {
        let mut typed = io::Cursor::new(b"correct horse\r\nmore".to_vec());
        assert_eq!(*first_line(&mut typed).unwrap(), "correct horse");
        let mut endless = io::repeat(b'x').take(1 << 20);
        let line = first_line(&mut io::BufReader::new(&mut endless)).unwrap();
        assert!(Passphrase::new(line).is_err());
    }
}
