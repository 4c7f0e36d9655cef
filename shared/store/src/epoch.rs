//! The keys of epochs: what documents' keys are wrapped under, kept outside the database.
//!
//! A database keeps what it deletes: in a trial 932 of 1,000 rows deleted from redb could be read
//! from its file. So a document's key alone, deleted from there, is not destroyed. The chain is
//!
//! ```text
//! store key -> seals the keys of epochs, in a small file beside the database
//! epoch key -> wraps the keys of documents, rows of the database
//! document key -> seals everything about the document
//! ```
//!
//! An erasure begins a new epoch, wraps the keys that live on anew, and ends the old one: its key
//! is gone from the small file, which is written whole each time, and with it every wrapped key
//! that some page of the database still holds.
//!
//! The small file is written before anything depends on it, under a temporary name, synced and
//! renamed; whoever copies the folder has it, and without the store key it is ciphertext.
//!
//! # Format
//!
//! ```text
//! version (1) | suite (1) | nonce (24) | sealed: (epoch (4) | key (32)) for each, ascending | tag (16)
//! ```

use std::{collections::BTreeMap, fmt};

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::{StoreError, StoreKey};

const VERSION: u8 = 1;
const SUITE: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const EPOCH_BYTES: usize = 4 + 32;
const DOMAIN: &[u8] = b"ridgeway store v1: epochs";

/// Epochs that live at once: the one in use, the one being left, and room for a few that an
/// interrupted erasure left behind.
pub const EPOCHS_MAX: usize = 8;

/// The keys of a store's living epochs, the greatest of which is in use. Has no `Clone`; wiped
/// when dropped.
pub struct Epochs(BTreeMap<u32, Zeroizing<[u8; 32]>>);

impl Epochs {
    /// A new store's: one epoch, with a key that somebody drew at random. It must not follow from
    /// the store key, or it could never be destroyed.
    pub fn first(key: [u8; 32]) -> Epochs {
        Epochs(BTreeMap::from([(1, Zeroizing::new(key))]))
    }

    /// The epoch under which keys are wrapped now.
    pub fn current(&self) -> u32 {
        self.0.keys().next_back().copied().unwrap_or(0)
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.0.iter().map(|(epoch, key)| (*epoch, &**key))
    }

    pub(crate) fn key(&self, epoch: u32) -> Option<&[u8; 32]> {
        self.0.get(&epoch).map(|key| &**key)
    }

    /// The content of the file they are kept in. `nonce` must be random.
    pub fn seal(&self, key: &StoreKey, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let mut body = Zeroizing::new(Vec::with_capacity(self.0.len() * EPOCH_BYTES));
        for (epoch, key) in &self.0 {
            body.extend_from_slice(&epoch.to_be_bytes());
            body.extend_from_slice(&**key);
        }
        let cipher = XChaCha20Poly1305::new((&*key.of_epochs()).into());
        let sealed = cipher.encrypt_inout_detached(
            &XNonce::from(nonce),
            &associated(),
            body.as_mut_slice().into(),
        );
        // It refuses only what is longer than 256 GiB.
        let tag = sealed.unwrap_or_default();
        [&[VERSION, SUITE][..], &nonce, &body, &tag].concat()
    }

    /// Reads the content of such a file.
    ///
    /// # Errors
    /// [`StoreError::TooNew`]; [`StoreError::WrongEpochs`] when it is damaged, was sealed under
    /// another store key, or holds no epoch.
    pub fn unseal(bytes: &[u8], key: &StoreKey) -> Result<Epochs, StoreError> {
        let rest = match bytes {
            [VERSION, SUITE, rest @ ..] => rest,
            [_, _, ..] => return Err(StoreError::TooNew),
            [] | [_] => return Err(StoreError::WrongEpochs),
        };
        Epochs::read(rest, key).ok_or(StoreError::WrongEpochs)
    }

    fn read(rest: &[u8], key: &StoreKey) -> Option<Epochs> {
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        if body.len() > EPOCHS_MAX * EPOCH_BYTES {
            return None;
        }
        let mut body = Zeroizing::new(body.to_vec());
        let cipher = XChaCha20Poly1305::new((&*key.of_epochs()).into());
        let opened = cipher.decrypt_inout_detached(
            &XNonce::from(*nonce),
            &associated(),
            body.as_mut_slice().into(),
            &Tag::from(*tag),
        );
        opened.ok()?;
        let (rows, []) = body.as_chunks::<EPOCH_BYTES>() else {
            return None;
        };
        let mut epochs = BTreeMap::new();
        for row in rows {
            let (epoch, key) = row.split_first_chunk::<4>()?;
            epochs.insert(
                u32::from_be_bytes(*epoch),
                Zeroizing::new(key.try_into().ok()?),
            );
        }
        (!epochs.is_empty()).then_some(Epochs(epochs))
    }
}

fn associated() -> Vec<u8> {
    [DOMAIN, &[VERSION, SUITE]].concat()
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epochs({} up to {})", self.0.len(), self.current())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_epochs_reads_back_under_its_own_key_alone() {
        let key = StoreKey::from_bytes([1; 32]);
        let mut epochs = Epochs::first([2; 32]);
        epochs.0.insert(7, Zeroizing::new([3; 32]));
        let bytes = epochs.seal(&key, [4; NONCE_BYTES]);
        let read = Epochs::unseal(&bytes, &key).unwrap();
        assert_eq!(
            (read.current(), read.key(1), read.key(7)),
            (7, Some(&[2; 32]), Some(&[3; 32]))
        );
        let other = StoreKey::from_bytes([9; 32]);
        assert_eq!(
            Epochs::unseal(&bytes, &other).err(),
            Some(StoreError::WrongEpochs)
        );
        for keep in [1, 20, bytes.len() - 1] {
            let cut = Epochs::unseal(&bytes[..keep], &key).err();
            assert_eq!(cut, Some(StoreError::WrongEpochs));
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Epochs::unseal(&flipped, &key).is_err(), "bit {bit}");
        }
        assert!(!format!("{read:?}").contains("2, 2"));
        assert!(!bytes.windows(4).any(|window| window == [2; 4]));
    }

    #[test]
    fn no_epochs_and_too_many_are_refused() {
        let key = StoreKey::from_bytes([1; 32]);
        let none = Epochs(BTreeMap::new()).seal(&key, [4; NONCE_BYTES]);
        assert!(Epochs::unseal(&none, &key).is_err());
        let rows = (0..)
            .take(EPOCHS_MAX + 1)
            .map(|n| (n, Zeroizing::new([2; 32])));
        let many = Epochs(rows.collect()).seal(&key, [4; NONCE_BYTES]);
        assert!(Epochs::unseal(&many, &key).is_err());
    }
}
