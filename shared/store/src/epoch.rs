//! What of a store's keys is the store's alone, in a small file beside the database: a random half
//! of the key to its own rows, and the keys of epochs, under which documents' keys are wrapped.
//!
//! A database keeps what it deletes: in a trial 932 of 1,000 rows deleted from redb could be read
//! from its file. So a document's key alone, deleted from there, is not destroyed. The chain is
//!
//! ```text
//! store key -> seals the small file
//! store key and half -> seal the store's own rows, and hide names
//! epoch key -> wraps the keys of documents, rows of the database
//! document key -> seals everything about the document
//! ```
//!
//! The key a store opens with may be that of other stores too (one key file for a machine), so it
//! is nobody's to destroy. Whoever destroys the small file has destroyed what is in the store, and
//! nothing else: without its half the store's own rows are ciphertext, without its epochs the
//! documents are.
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
//! version (1) | suite (1) | nonce (24) | sealed: half (32), (epoch (4) | key (32)) for each, ascending | tag (16)
//! ```

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

use crate::{
    StoreError, StoreKey,
    aead::{Cipher, NONCE_BYTES, TAG_BYTES},
};

const VERSION: u8 = 1;
const SUITE: u8 = 1;
const HALF_BYTES: usize = 32;
const EPOCH_BYTES: usize = 4 + 32;
const DOMAIN: &[u8] = b"ridgeway store v1: epochs";

/// Epochs that live at once: the one in use, the one being left, and room for a few that an
/// interrupted erasure left behind.
pub const EPOCHS_MAX: usize = 8;

/// A store's half of its key, and the keys of its living epochs, the greatest of which is in use.
/// Has no `Clone`; wiped when dropped.
pub struct Epochs {
    half: Zeroizing<[u8; HALF_BYTES]>,
    keys: BTreeMap<u32, Zeroizing<[u8; 32]>>,
}

impl Epochs {
    /// A new store's: its half, and one epoch with a key, both of which somebody drew at random.
    /// They must not follow from the store key or from each other, or they could never be
    /// destroyed.
    pub fn first(half: [u8; HALF_BYTES], key: [u8; 32]) -> Epochs {
        Epochs {
            half: Zeroizing::new(half),
            keys: BTreeMap::from([(1, Zeroizing::new(key))]),
        }
    }

    /// The epoch under which keys are wrapped now.
    pub fn current(&self) -> u32 {
        self.keys.keys().next_back().copied().unwrap_or(0)
    }

    pub(crate) fn half(&self) -> &[u8; HALF_BYTES] {
        &self.half
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.keys.iter().map(|(epoch, key)| (*epoch, &**key))
    }

    pub(crate) fn key(&self, epoch: u32) -> Option<&[u8; 32]> {
        self.keys.get(&epoch).map(|key| &**key)
    }

    /// The content of the file they are kept in. `nonce` must be random.
    pub fn seal(&self, key: &StoreKey, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let length = HALF_BYTES + self.keys.len() * EPOCH_BYTES;
        let mut body = Zeroizing::new(Vec::with_capacity(length));
        body.extend_from_slice(&*self.half);
        for (epoch, key) in &self.keys {
            body.extend_from_slice(&epoch.to_be_bytes());
            body.extend_from_slice(&**key);
        }
        let cipher = Cipher::new(&key.of_epochs());
        let sealed = cipher.seal(&nonce, &associated(), &mut body);
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
        if body.len() > HALF_BYTES + EPOCHS_MAX * EPOCH_BYTES {
            return None;
        }
        let mut body = Zeroizing::new(body.to_vec());
        let cipher = Cipher::new(&key.of_epochs());
        cipher.open(nonce, &associated(), &mut body, tag)?;
        let (half, rows) = body.split_first_chunk::<HALF_BYTES>()?;
        let (rows, []) = rows.as_chunks::<EPOCH_BYTES>() else {
            return None;
        };
        let mut keys = BTreeMap::new();
        for row in rows {
            let (epoch, key) = row.split_first_chunk::<4>()?;
            keys.insert(
                u32::from_be_bytes(*epoch),
                Zeroizing::new(key.try_into().ok()?),
            );
        }
        let half = Zeroizing::new(*half);
        (!keys.is_empty()).then_some(Epochs { half, keys })
    }
}

fn associated() -> Vec<u8> {
    [DOMAIN, &[VERSION, SUITE]].concat()
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epochs({} up to {})", self.keys.len(), self.current())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_epochs_reads_back_under_its_own_key_alone() {
        let key = StoreKey::from_bytes([1; 32]);
        let mut epochs = Epochs::first([5; 32], [2; 32]);
        epochs.keys.insert(7, Zeroizing::new([3; 32]));
        let bytes = epochs.seal(&key, [4; NONCE_BYTES]);
        let read = Epochs::unseal(&bytes, &key).unwrap();
        assert_eq!(
            (read.current(), read.key(1), read.key(7)),
            (7, Some(&[2; 32]), Some(&[3; 32]))
        );
        assert_eq!(read.half(), &[5; 32]);
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
        for secret in [[2; 4], [5; 4]] {
            assert!(!bytes.windows(4).any(|window| window == secret));
        }
    }

    #[test]
    fn no_epochs_and_too_many_are_refused() {
        let key = StoreKey::from_bytes([1; 32]);
        let with = |keys| Epochs {
            half: Zeroizing::new([5; 32]),
            keys,
        };
        let none = with(BTreeMap::new()).seal(&key, [4; NONCE_BYTES]);
        assert!(Epochs::unseal(&none, &key).is_err());
        let rows = (0..)
            .take(EPOCHS_MAX + 1)
            .map(|n| (n, Zeroizing::new([2; 32])));
        let many = with(rows.collect()).seal(&key, [4; NONCE_BYTES]);
        assert!(Epochs::unseal(&many, &key).is_err());
    }
}
