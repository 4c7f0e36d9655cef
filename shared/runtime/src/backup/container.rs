//! Records, sealed and opened: bytes alone, without a file.

use std::io::{self, Read, Write};

use chacha20poly1305::{AeadInOut, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use node::names::DocumentId;
use zeroize::Zeroizing;

use super::{BackupError, Kind, RECORD_BYTES_MAX};
use crate::shell;

const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
/// A document's name in the ledger, and its wrapped key: what a striking overwrites is of one
/// length everywhere.
const LEDGER_BYTES: usize = 16 + KEY_BYTES + TAG_BYTES;
const LEDGER: &str = "ridgeway backup v1: a document's name in the ledger";

/// A key of a file: for the file itself, or for one document in it.
pub(super) struct FileKey(Zeroizing<[u8; KEY_BYTES]>);

impl FileKey {
    pub(super) fn draw() -> FileKey {
        FileKey(Zeroizing::new(shell::entropy()))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<FileKey> {
        bytes
            .try_into()
            .ok()
            .map(|key| FileKey(Zeroizing::new(key)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

/// What the header says, as every record is bound to it.
pub(super) type HeaderHash = [u8; 32];

pub(super) fn header_hash(header: &[u8]) -> HeaderHash {
    *blake3::hash(header).as_bytes()
}

/// How a document is named in the ledger: to be found by the organisation, and by nobody else.
pub(super) fn ledger_name(tenant_key: &[u8; 32], document: DocumentId) -> [u8; 16] {
    let key = Zeroizing::new(blake3::derive_key(LEDGER, tenant_key));
    let hash = blake3::keyed_hash(&key, document.as_ref());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Where a record stands in its file, and what it is bound to.
#[derive(Clone, Copy)]
pub(super) struct Spot<'h> {
    pub(super) header: &'h HeaderHash,
    pub(super) kind: Kind,
    pub(super) number: u64,
}

impl Spot<'_> {
    fn nonce(&self) -> XNonce {
        let mut nonce = [0; NONCE_BYTES];
        if let Some(end) = nonce.last_chunk_mut::<8>() {
            *end = self.number.to_be_bytes();
        }
        XNonce::from(nonce)
    }

    /// What a record is bound to, beside what stands clear in it.
    fn associated(&self, clear: &[u8]) -> Vec<u8> {
        let number = self.number.to_be_bytes();
        [&self.header[..], &[self.kind as u8], &number, clear].concat()
    }

    pub(super) fn seal(&self, key: &FileKey, what: &[u8]) -> Vec<u8> {
        self.seal_beside(key, &[], what)
    }

    fn seal_beside(&self, key: &FileKey, clear: &[u8], what: &[u8]) -> Vec<u8> {
        let mut body = what.to_vec();
        let sealed = key.cipher().encrypt_inout_detached(
            &self.nonce(),
            &self.associated(clear),
            body.as_mut_slice().into(),
        );
        // It refuses only what is longer than 256 GiB.
        body.extend_from_slice(&sealed.unwrap_or_default());
        body
    }

    pub(super) fn open(&self, key: &FileKey, sealed: &[u8]) -> Result<Vec<u8>, BackupError> {
        self.open_beside(key, &[], sealed)
    }

    fn open_beside(
        &self,
        key: &FileKey,
        clear: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, BackupError> {
        let damaged = BackupError::Damaged(self.number);
        let Some((body, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else {
            return Err(damaged);
        };
        let mut body = body.to_vec();
        let opened = key.cipher().decrypt_inout_detached(
            &self.nonce(),
            &self.associated(clear),
            body.as_mut_slice().into(),
            &Tag::from(*tag),
        );
        opened.map(|()| body).map_err(|_| damaged)
    }

    /// A document's place in the ledger: its name there, and its key wrapped under the file's, bound
    /// to the name, so that a later striking finds the right one.
    pub(super) fn wrap(&self, key: &FileKey, name: [u8; 16], of: &FileKey) -> Vec<u8> {
        [&name[..], &self.seal_beside(key, &name, of.bytes())].concat()
    }

    /// The key in a place of the ledger; `None` when it was struck out.
    pub(super) fn unwrap(
        &self,
        key: &FileKey,
        record: &[u8],
    ) -> Result<Option<FileKey>, BackupError> {
        let damaged = || BackupError::Damaged(self.number);
        if record.len() != LEDGER_BYTES {
            return Err(damaged());
        }
        let (name, wrapped) = record.split_first_chunk::<16>().ok_or_else(damaged)?;
        if wrapped.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let bytes = Zeroizing::new(self.open_beside(key, name, wrapped)?);
        FileKey::from_bytes(&bytes).map(Some).ok_or_else(damaged)
    }
}

/// Writes a record's frame.
pub(super) fn put(out: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if length > RECORD_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&[kind as u8])?;
    out.write_all(bytes)
}

/// Reads `length` bytes, allocating no more than there are.
pub(super) fn take(file: &mut impl Read, length: u32) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.by_ref()
        .take(u64::from(length))
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() == length as usize).then_some(bytes))
}
