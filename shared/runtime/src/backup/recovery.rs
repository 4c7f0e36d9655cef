//! The recovery key: what a backup is sealed to, and what alone opens it.
//!
//! Its private half never lies in the folder of the centre. It is written once, when the
//! organisation is founded, into a file that somebody must store away; the store keeps the public
//! half alone, so that whoever steals the running centre cannot read its old backups.

use std::{fmt, fs, io::Read as _, path::Path};

use chacha20poly1305::{AeadInOut, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use curve25519_dalek::MontgomeryPoint;
use node::{
    names::TenantId,
    protocol::PublicKey,
    store::{Batch, Snapshot, Store, StoreError, Table},
};
use zeroize::Zeroizing;

use super::BackupError;
use crate::{secret, shell};

/// The row of the store that holds the public half.
const RECOVERY: &[u8] = b"shell recovery key";
const TITLE: &str = "ridgeway recovery key 1";
/// A recovery file has four short lines.
const FILE_BYTES_MAX: u64 = 1_024;
const BOXES: &str = "ridgeway backup v1: a box for a recovery key";
const POINT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// The public half: what a backup is sealed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecoveryPublic(pub(super) [u8; POINT_BYTES]);

/// The private half, and whose it is. No `Debug` of the secret, no `Clone`; wiped when dropped.
pub struct RecoveryKey {
    secret: Zeroizing<[u8; 32]>,
    pub(super) tenant: TenantId,
    pub(super) authority: PublicKey,
}

impl RecoveryPublic {
    /// Sixteen bytes that tell one recovery key from another.
    pub(super) fn name(&self) -> [u8; 16] {
        let hash = blake3::derive_key("ridgeway backup v1: which recovery key", &self.0);
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// Boxes something so that only the private half opens it: `point (32) | sealed | tag (16)`.
    pub(super) fn seal(&self, what: &[u8]) -> Vec<u8> {
        let ours = Zeroizing::new(shell::entropy::<32>());
        let point = MontgomeryPoint::mul_base_clamped(*ours);
        let shared = MontgomeryPoint(self.0).mul_clamped(*ours);
        let cipher = box_cipher(&shared, point.as_bytes(), &self.0);
        let mut body = what.to_vec();
        // The key is used for this box alone, so the nonce may be any.
        let sealed = cipher.encrypt_inout_detached(
            &XNonce::default(),
            BOXES.as_bytes(),
            body.as_mut_slice().into(),
        );
        [&point.as_bytes()[..], &body, &sealed.unwrap_or_default()].concat()
    }
}

impl RecoveryKey {
    /// Draws one for an organisation.
    pub fn draw(tenant: TenantId, authority: PublicKey) -> RecoveryKey {
        RecoveryKey {
            secret: Zeroizing::new(shell::entropy()),
            tenant,
            authority,
        }
    }

    /// Its public half.
    pub fn public(&self) -> RecoveryPublic {
        RecoveryPublic(MontgomeryPoint::mul_base_clamped(*self.secret).to_bytes())
    }

    pub(super) fn open(&self, boxed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (point, rest) = boxed.split_first_chunk::<POINT_BYTES>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let shared = MontgomeryPoint(*point).mul_clamped(*self.secret);
        let cipher = box_cipher(&shared, point, &self.public().0);
        let mut body = Zeroizing::new(body.to_vec());
        let opened = cipher.decrypt_inout_detached(
            &XNonce::default(),
            BOXES.as_bytes(),
            body.as_mut_slice().into(),
            &Tag::from(*tag),
        );
        opened.ok().map(|()| body)
    }

    /// Writes it into a file that is not there yet, outside the folder that it is to bring back,
    /// and that only its owner may read.
    ///
    /// # Errors
    /// When the file is there, lies in the folder, or cannot be written; then nothing is left.
    pub fn write(&self, path: &Path, data: &Path) -> Result<(), secret::SecretError> {
        let text = Zeroizing::new(format!(
            "{TITLE}\norganisation {}\nauthority {}\nsecret {}\n",
            &*hex(self.tenant.as_ref()),
            &*hex(self.authority.as_ref()),
            &*hex(&*self.secret)
        ));
        secret::write_new(path, data, text.as_bytes())
    }

    /// Reads the file that [`RecoveryKey::write`] has written.
    ///
    /// # Errors
    /// When it cannot be read, others may read it too, or it holds something else.
    pub fn read(path: &Path) -> Result<RecoveryKey, BackupError> {
        let failed = |error: std::io::Error| BackupError::Io(path.to_owned(), error.kind());
        let file = fs::File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        secret::check_mode(path, &about).map_err(BackupError::Secret)?;
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize));
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        let wrong = || BackupError::NotARecoveryKey(path.to_owned());
        read.map_err(|_| wrong())?;
        RecoveryKey::parse(&text).ok_or_else(wrong)
    }

    fn parse(text: &str) -> Option<RecoveryKey> {
        let mut lines = text.lines();
        if lines.next()?.trim() != TITLE {
            return None;
        }
        let mut field = |name: &str| Some(lines.next()?.strip_prefix(name)?.trim());
        let tenant = TenantId(unhex(field("organisation ")?)?);
        let authority = PublicKey(unhex(field("authority ")?)?);
        let secret = Zeroizing::new(unhex(field("secret ")?)?);
        Some(RecoveryKey {
            secret,
            tenant,
            authority,
        })
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKey({})", self.tenant)
    }
}

impl fmt::Debug for RecoveryPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryPublic({})", &*hex(&self.name()))
    }
}

/// Puts the public half into a store, in place of one that was there.
///
/// # Errors
/// Failures of the store.
pub fn keep_recovery<S: Store>(store: &mut S, key: &RecoveryPublic) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(Table::Meta, RECOVERY, 0, key.0);
    batch.require_two_phase();
    store.commit(batch)
}

/// The public half that a store keeps.
///
/// # Errors
/// Failures of the store.
pub fn recovery_of<P: Snapshot>(snapshot: &P) -> Result<Option<RecoveryPublic>, StoreError> {
    let row = snapshot.get(Table::Meta, RECOVERY, 0)?;
    Ok(row.and_then(|row| row.try_into().ok()).map(RecoveryPublic))
}

fn box_cipher(shared: &MontgomeryPoint, point: &[u8; 32], public: &[u8; 32]) -> XChaCha20Poly1305 {
    let mut material = Zeroizing::new([0u8; 3 * POINT_BYTES]);
    for (slot, part) in
        material
            .chunks_exact_mut(POINT_BYTES)
            .zip([shared.as_bytes(), point, public])
    {
        slot.copy_from_slice(part);
    }
    let key = Zeroizing::new(blake3::derive_key(BOXES, material.as_slice()));
    XChaCha20Poly1305::new((&*key).into())
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    // The capacity is exact, so that no piece is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn key() -> RecoveryKey {
        RecoveryKey::draw(TenantId([1; 16]), PublicKey([2; 32]))
    }

    #[test]
    fn a_box_opens_with_the_private_half_alone() {
        let (key, other) = (key(), key());
        let boxed = key.public().seal(b"what is in it");
        assert_eq!(**key.open(&boxed).unwrap(), *b"what is in it");
        assert!(other.open(&boxed).is_none());
        for bit in 0..boxed.len() * 8 {
            let mut flipped = boxed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Also of the highest bit of the point, which the curve ignores.
            assert!(key.open(&flipped).is_none(), "bit {bit}");
        }
        assert!(key.open(&boxed[..40]).is_none());
        assert_ne!(boxed, key.public().seal(b"what is in it"));
    }

    #[test]
    fn a_recovery_file_reads_back() {
        let (folder, data) = (Folder::new(), Folder::new());
        let path = folder.path().join("centre.recovery");
        let key = key();
        key.write(&path, data.path()).unwrap();
        let read = RecoveryKey::read(&path).unwrap();
        assert_eq!((read.public(), read.tenant), (key.public(), key.tenant));
        assert_eq!(read.authority, key.authority);
        assert!(key.write(&path, data.path()).is_err(), "it is there");
        assert!(key.write(&data.path().join("x"), data.path()).is_err());
        fs::write(&path, "something else\n").unwrap();
        let refused = RecoveryKey::read(&path).err().unwrap();
        assert!(matches!(refused, BackupError::NotARecoveryKey(_)));
        assert!(!format!("{key:?}").contains(&*hex(&*key.secret)));
    }
}
