//! The token that stands for a node's own screens: whoever can read the file may use the API.

use std::{
    fmt, fs,
    hint::black_box,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// The file's name in the node's data folder.
pub const TOKEN_FILE: &str = "api-token";

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// A token file is this long at most; a longer one is not ours.
const FILE_BYTES_MAX: u64 = 1_024;

/// A secret that a request must bear. Never printed.
pub struct Token(String);

impl Token {
    /// The token in `folder`, which is made from `fresh` when there is none yet. `fresh` must be
    /// from a good source of randomness.
    ///
    /// # Errors
    /// When the file cannot be read or written, is empty, or may be read by others.
    pub fn in_folder(folder: &Path, fresh: [u8; TOKEN_BYTES]) -> io::Result<Token> {
        let path = path(folder);
        match fs::File::open(&path) {
            Ok(file) => Token::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token: String = fresh.iter().map(|byte| format!("{byte:02x}")).collect();
                create(&path, &token)?;
                Ok(Token(token))
            }
            Err(error) => Err(error),
        }
    }

    fn read(file: fs::File) -> io::Result<Token> {
        only_owner(&file)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let token = text.trim();
        if token.len() < 16 {
            let words = "the token is too short; delete the file and start again to have a new one";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(Token(token.to_owned()))
    }

    /// Whether `said` is this token, in a time that does not depend on where they differ.
    pub(crate) fn is(&self, said: &str) -> bool {
        let (mine, theirs) = (self.0.as_bytes(), said.as_bytes());
        if mine.len() != theirs.len() {
            return false;
        }
        let differing = mine
            .iter()
            .zip(theirs)
            .fold(0u8, |differing, (mine, theirs)| {
                black_box(differing | (mine ^ theirs))
            });
        black_box(differing) == 0
    }

    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Token {
        Token(text.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Where a node keeps its token.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(TOKEN_FILE)
}

/// Writes the token under another name first, so that nobody ever reads half of it.
fn create(path: &Path, token: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&beside)?;
    file.write_all(token.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(unix)]
fn only_owner(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata()?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let words = "others may read the token; take their rights away (chmod 600), or delete the file";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
}

/// Elsewhere the folder's own access list is what protects it.
#[cfg(not(unix))]
fn only_owner(_: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_others() {
        let token = Token::of("abc");
        assert!(token.is("abc"));
        for other in ["", "ab", "abd", "abcd", "ABC"] {
            assert!(!token.is(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_token_is_made_once_and_only_for_its_owner() {
        let folder = std::env::temp_dir().join(format!("ridgeway-token-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let first = Token::in_folder(&folder, [7; 32]).unwrap();
        let again = Token::in_folder(&folder, [8; 32]).unwrap();
        assert!(first.is(&again.0) && first.is(&"07".repeat(32)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let wide = fs::Permissions::from_mode(0o644);
            fs::set_permissions(path(&folder), wide).unwrap();
            let refused = Token::in_folder(&folder, [8; 32]).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
