//! Backups: one file, sealed to the organisation's recovery key.
//!
//! # Format
//!
//! ```text
//! file   = "ridgeway backup 1\n" | length (4) | header | record ...
//! record = length (4) | kind (1) | bytes
//! ```
//!
//! The header is clear: whose backup it is, to which recovery key it is sealed, when it was made,
//! and the file's key, boxed to that recovery key. Records follow in a fixed order: the manifest,
//! the authority's material, statements, what revoked devices have handed in, then each document's
//! key and pieces, then the end, which names what could not be read. Each
//! is sealed with XChaCha20-Poly1305; its number in the file is the nonce (no key is used in two
//! files), and header, kind and number are associated data: no record can be left out, repeated,
//! moved or come from another file, and a file without its end is not whole.
//!
//! *The escrow ledger.* Each document has a key of its own in the file, wrapped under the file's,
//! in a record of fixed length and place before the document's pieces. Striking a document out of
//! an old backup is overwriting these bytes with zeros; whoever finds the record needs the
//! organisation's key for that, and not the recovery key. Documents' keys of the store are not
//! here: they never leave it.
//!
//! *The authority's material* (its keys, the certificate authority's, the centre's own) is boxed
//! to the recovery key by itself, so that whoever checks a file with the file's key alone does not
//! see it.
//!
//! It is not an `age` file, though that was looked at: age seals a stream as a whole, so that
//! documents' own keys would be a second layer in it all the same, and its crate would bring a
//! second generation of every cipher used here, and a translation framework.
//!
//! # Trust
//!
//! Anybody can box something to a public key. What a restored store believes is what the
//! signatures in it say: of the authority for statements, of devices for placements and runs. The
//! recovery file names organisation and authority, so that a well-made file of somebody else's is
//! refused.

mod container;
mod missing;
mod prove;
mod read;
mod recovery;
mod restore;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
mod write;

use std::{fmt, io, path::PathBuf};

use minicbor::{Decode, Encode};
use node::{
    names::{DeviceId, DocumentId, Moment, Reason, ScopeId, TenantId},
    protocol::codec,
    store::StoreError,
};

use crate::secret::SecretError;
pub use missing::Missing;
pub use read::Backup;
pub use recovery::{RecoveryKey, RecoveryPublic, keep_recovery, recovery_of};
pub use restore::{Restored, RestoredScope, restore};
pub use write::write_file;

/// The first bytes of a backup.
const MAGIC: &[u8; 18] = b"ridgeway backup 1\n";
/// What the magic of every version begins with.
const MAGIC_BEGINS: &[u8; 16] = b"ridgeway backup ";
/// The greatest length of a header: it has a few ids and two boxes.
const HEADER_BYTES_MAX: u32 = 1_024;
/// The greatest length of a record. A run has a mebibyte at most and pieces are gathered up to
/// [`PIECES_BYTES`]; a manifest of the largest organisation stays below this.
const RECORD_BYTES_MAX: u32 = 48 << 20;
/// Pieces of one document are gathered into records of about this length.
const PIECES_BYTES: usize = 256 << 10;
/// Statements in one record.
const STATEMENTS_AT_ONCE: usize = 256;

/// What stands in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Manifest = 1,
    Authority = 2,
    Statements = 3,
    Key = 4,
    Pieces = 5,
    End = 6,
    Part = 7,
}

impl Kind {
    fn of(code: u8) -> Option<Kind> {
        let all = [
            Kind::Manifest,
            Kind::Authority,
            Kind::Statements,
            Kind::Key,
            Kind::Pieces,
            Kind::End,
            Kind::Part,
        ];
        all.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// The clear beginning of a file.
#[derive(Clone, Debug, Encode, Decode)]
struct Header {
    #[cbor(n(0), with = "codec::wire")]
    tenant: TenantId,
    /// Names the recovery key.
    #[cbor(n(1), with = "minicbor::bytes")]
    recovery: [u8; 16],
    #[cbor(n(2), with = "codec::wire")]
    made: Moment,
    /// The file's key, boxed to the recovery key.
    #[cbor(n(3), with = "minicbor::bytes")]
    key: Vec<u8>,
}

/// The last record: what came before it, and what did not.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
struct End {
    #[n(0)]
    documents: u64,
    #[n(1)]
    statements: u64,
    #[n(2)]
    pieces: u64,
    #[n(3)]
    parts: u64,
    #[n(4)]
    missing: Missing,
}

/// A part that a revoked device has handed in, and nobody has let in yet.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
struct Part {
    #[cbor(n(0), with = "codec::wire")]
    device: DeviceId,
    #[cbor(n(1), with = "minicbor::bytes")]
    part: Vec<u8>,
}

/// How far a backup has got, or a restore. Called between documents; whoever answers `false` has
/// it end there.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64) -> bool;

/// What was written, and found again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backed {
    /// When it was begun.
    pub made: Moment,
    /// Documents in it.
    pub documents: u64,
    /// Placements and runs of theirs.
    pub pieces: u64,
    /// Statements.
    pub statements: u64,
    /// Parts that revoked devices have handed in and nobody has let in yet.
    pub parts: u64,
    /// Scopes whose digests were computed again from it, and are those of the store.
    pub scopes: u64,
    /// The file's length, in bytes.
    pub bytes: u64,
    /// What is not in it, because the store could not read it.
    pub missing: Missing,
}

/// Why there is no backup, or none comes back. Names files, never what is in them.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The file does not begin as a backup does.
    NotABackup,
    /// A newer version has written it.
    TooNew,
    /// It ends before its end.
    CutOff,
    /// This record of it is not what was written.
    Damaged(u64),
    /// It is sealed to another recovery key.
    WrongKey,
    /// It is another organisation's.
    OtherOrganisation,
    /// A recovery file does not hold a recovery key.
    NotARecoveryKey(PathBuf),
    /// The recovery file cannot be used.
    Secret(SecretError),
    /// The store knows no recovery key, or this is no centre's.
    NoRecoveryKey,
    /// There is a file already.
    There(PathBuf),
    /// Something in it was refused at the door: the first document, and why.
    Refused(DocumentId, Reason),
    /// It was made of a damaged store, and lacks something of so many documents.
    Incomplete(u64),
    /// More of the store is damaged than a backup can name.
    TooDamaged,
    /// Statements in it are not the authority's.
    Statements(Reason),
    /// The scopes whose digests, computed again, are not those that were to come out.
    Differs(Vec<ScopeId>),
    /// Somebody had it end.
    Interrupted,
    /// The store failed.
    Store(StoreError),
    /// A file failed.
    Io(PathBuf, io::ErrorKind),
}

impl BackupError {
    /// What is told where nothing more is to be named.
    fn words(&self) -> Option<&'static str> {
        Some(match self {
            BackupError::NotABackup => {
                "this is not a backup: name the file that `backup` has written"
            }
            BackupError::TooNew => {
                "the backup was written by a newer version: install that version or a later one"
            }
            BackupError::CutOff => {
                "the backup ends too early: it was cut off while it was copied; take another copy \
                 or an older backup"
            }
            BackupError::WrongKey => {
                "this recovery key does not open the backup: use the one that was made with the \
                 organisation"
            }
            BackupError::OtherOrganisation => {
                "the backup is another organisation's than the recovery key: nothing was restored"
            }
            BackupError::NoRecoveryKey => {
                "this store has no recovery key: only a centre's is backed up"
            }
            BackupError::TooDamaged => {
                "more of the store is damaged than a backup can name: restore an older backup"
            }
            BackupError::Interrupted => "it was interrupted; nothing is left of it",
            BackupError::Damaged(_)
            | BackupError::NotARecoveryKey(_)
            | BackupError::Secret(_)
            | BackupError::There(_)
            | BackupError::Refused(..)
            | BackupError::Incomplete(_)
            | BackupError::Statements(_)
            | BackupError::Differs(_)
            | BackupError::Store(_)
            | BackupError::Io(..) => return None,
        })
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::Damaged(record) => write!(
                f,
                "the backup is damaged (record {record}): take another copy or an older backup"
            ),
            BackupError::NotARecoveryKey(path) => write!(
                f,
                "{} does not hold a recovery key: name the file that `init` has written",
                path.display()
            ),
            BackupError::Secret(error) => error.fmt(f),
            BackupError::There(path) => write!(
                f,
                "there is a file {} already: choose another name",
                path.display()
            ),
            BackupError::Refused(document, reason) => write!(
                f,
                "document {document} of the backup was refused ({reason}): take another backup, \
                 or bring the rest of this one back by --without-refused"
            ),
            BackupError::Incomplete(documents) => write!(
                f,
                "the backup was made of a damaged store and lacks something, of {documents} \
                 documents: take an older one, or bring back what is in it by --without-refused"
            ),
            BackupError::Statements(reason) => write!(
                f,
                "a statement in the backup is not the authority's: {reason}"
            ),
            BackupError::Differs(scopes) => {
                let names: Vec<String> = scopes.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "what was read back is not what the store's digests say, in {}: keep the \
                     store as it is, and run `verify`",
                    names.join(", ")
                )
            }
            BackupError::Store(error) => error.fmt(f),
            BackupError::Io(path, io::ErrorKind::NotFound) => {
                write!(f, "{} is not there: check its name", path.display())
            }
            BackupError::Io(path, kind) => write!(
                f,
                "{} cannot be used ({kind}): check its owner and disk",
                path.display()
            ),
            BackupError::NotABackup
            | BackupError::TooNew
            | BackupError::CutOff
            | BackupError::WrongKey
            | BackupError::OtherOrganisation
            | BackupError::NoRecoveryKey
            | BackupError::TooDamaged
            | BackupError::Interrupted => f.write_str(self.words().unwrap_or_default()),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> BackupError {
        BackupError::Store(error)
    }
}
