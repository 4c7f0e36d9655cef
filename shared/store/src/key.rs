//! The key a store opens with, and what is derived from it.
//!
//! Where the key comes from (a key file, a passphrase, hardware) is the binary's business. Here
//! it is 32 bytes that are never printed and are wiped when they are dropped.

use std::fmt;

use names::{DocumentId, StoreId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Table, aead::Cipher};

/// The domains of the derived keys. Part of the stored format: a change makes every store
/// unreadable.
const NAMES: &str = "ridgeway store v1: names of rows";
const CHECK: &str = "ridgeway store v1: does this key fit";
const VALUES: &str = "ridgeway store v1: values of the store itself";
const EPOCHS: &str = "ridgeway store v1: keys of epochs";
const WRAPS: &str = "ridgeway store v1: keys of documents, under an epoch's";
const EPOCH_CHECK: &str = "ridgeway store v1: do this half and this epoch's key fit";
const OWNERS: &str = "ridgeway store v1: which document a record is of";

/// What stands in hashed names for all tables whose rows lie beside each other; no table has this code.
const BESIDE: u8 = 0;

/// Where a wrapped key stands among the rows of its name. Whoever counts positions from nought never
/// comes to it, though the table is free to all in a store that is not sealed.
pub(crate) const KEY_POSITION: u64 = u64::MAX;

/// Bytes of a name as a sealed store writes it.
pub(crate) const HASHED_NAME_BYTES: usize = 16;

/// The key of a whole store. Has no `Debug`, no `Clone`, and is wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// A key from bytes that somebody drew or derived.
    pub fn from_bytes(bytes: [u8; 32]) -> StoreKey {
        StoreKey(bytes)
    }

    /// A key from the text of a key file: 64 hexadecimal digits, and white space around them.
    ///
    /// # Errors
    /// [`InvalidKey`] says what such a file must hold, and nothing of what it did hold.
    pub fn parse(text: &str) -> Result<StoreKey, InvalidKey> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(InvalidKey);
        }
        let mut key = StoreKey([0; 32]);
        for (byte, pair) in key.0.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else {
                return Err(InvalidKey);
            };
            *byte = digit(*high).ok_or(InvalidKey)? << 4 | digit(*low).ok_or(InvalidKey)?;
        }
        Ok(key)
    }

    /// The text of a key file that holds this key. Wiped when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        // The capacity is exact, so that no piece is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in &self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        text
    }

    /// The key under which the keys of epochs are kept.
    pub(crate) fn of_epochs(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(EPOCHS, &self.0))
    }

    /// The keys a store works with. All but the check need the store's own half as well, which
    /// lies beside it: whoever destroys that leaves ciphertext, whoever else has this key. They
    /// are bound to the store's id, so that two stores under one key never share a pair of key
    /// and nonce. The check needs this key alone, so that a wrong one is told apart from a file
    /// of another store's.
    pub(crate) fn derive(&self, half: &[u8; 32], store: StoreId) -> Keys {
        let derived = |domain| derived(domain, &[&self.0, half, store.as_ref()]);
        let values = derived(VALUES);
        Keys {
            names: derived(NAMES),
            owners: derived(OWNERS),
            check: self::derived(CHECK, &[&self.0, store.as_ref()]),
            values: Cipher::new(&values),
        }
    }
}

/// A key that follows from these parts, each of a fixed length in its domain.
fn derived(domain: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // The capacity is exact, so that no piece is left behind by growing.
    let length = parts.iter().map(|part| part.len()).sum();
    let mut material = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        material.extend_from_slice(part);
    }
    Zeroizing::new(blake3::derive_key(domain, &material))
}

/// The cipher that wraps documents' keys in one epoch of a store.
pub(crate) fn wrapping(epoch_key: &[u8; 32], store: StoreId) -> Cipher {
    let key = derived(WRAPS, &[epoch_key, store.as_ref()]);
    Cipher::new(&key)
}

/// Proves knowledge of the store's half and an epoch's key, and tells nothing of them.
pub(crate) fn epoch_check(half: &[u8; 32], epoch_key: &[u8; 32], store: StoreId) -> blake3::Hash {
    let key = derived(EPOCH_CHECK, &[half, epoch_key, store.as_ref()]);
    blake3::keyed_hash(&key, store.as_ref())
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// A key file does not hold a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the key file does not hold a key: it must be 64 hexadecimal digits and nothing else",
        )
    }
}

impl std::error::Error for InvalidKey {}

/// The derived keys of one open store; wiped when dropped (the cipher wipes its own).
pub(crate) struct Keys {
    names: Zeroizing<[u8; 32]>,
    owners: Zeroizing<[u8; 32]>,
    check: Zeroizing<[u8; 32]>,
    pub(crate) values: Cipher,
}

impl Keys {
    /// What a name looks like in this store. The table is hashed too, so that nobody can tell which
    /// rows of two tables belong together, but for those that lie beside each other
    /// ([`Table::lies_beside`]): these show that some document has so many placements and so many parts
    /// of its index. How many of each some document has can be told anyway.
    pub(crate) fn hashed_name(&self, table: Table, name: &[u8]) -> [u8; HASHED_NAME_BYTES] {
        let code = match table.lies_beside() {
            true => BESIDE,
            false => table.code(),
        };
        self.hashed(code, name)
    }

    /// Where a document's wrapped key stands: at [`KEY_POSITION`], beside its other small rows.
    pub(crate) fn key_name(&self, document: DocumentId) -> [u8; HASHED_NAME_BYTES] {
        self.hashed_name(Table::Key, document.as_ref())
    }

    fn hashed(&self, code: u8, name: &[u8]) -> [u8; HASHED_NAME_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.names);
        hasher.update(&[code]);
        hasher.update(name);
        let mut out = [0; HASHED_NAME_BYTES];
        hasher.finalize_xof().fill(&mut out);
        out
    }

    /// Hides which document a record is of, or shows it again: each record's nonce gives another
    /// mask, so that records of one document look no more alike than others.
    pub(crate) fn masked(&self, document: DocumentId, nonce: &[u8]) -> DocumentId {
        let mut mask = [0; 16];
        let mut hasher = blake3::Hasher::new_keyed(&self.owners);
        hasher.update(nonce);
        hasher.finalize_xof().fill(&mut mask);
        for (byte, own) in mask.iter_mut().zip(document.0) {
            *byte ^= own;
        }
        DocumentId(mask)
    }

    /// Proves knowledge of the key, and tells nothing of it.
    pub(crate) fn check(&self, about: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.check, about)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back() {
        let key = StoreKey::from_bytes(std::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(0)));
        let text = key.to_text();
        assert_eq!(text.len(), 65);
        assert!(StoreKey::parse(&text).is_ok_and(|read| read.0 == key.0));
        assert!(StoreKey::parse(&format!("  {}\r\n", text.to_uppercase())).is_ok());
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_repeated() {
        let long = "a".repeat(65);
        let wide = "ä".repeat(32);
        for text in ["", "secret", long.as_str(), wide.as_str(), &"g".repeat(64)] {
            let refused = StoreKey::parse(text).err().map(|error| error.to_string());
            assert!(refused.is_some_and(|words| text.len() < 6 || !words.contains(text)));
        }
    }

    #[test]
    fn names_differ_by_table_store_key_and_half() {
        let hash = |key: u8, half: u8, store: u8, table| {
            let keys = StoreKey::from_bytes([key; 32]).derive(&[half; 32], StoreId([store; 16]));
            keys.hashed_name(table, b"name")
        };
        let one = hash(1, 1, 1, Table::Bundle);
        assert_eq!(one, hash(1, 1, 1, Table::Bundle));
        assert_ne!(one, hash(2, 1, 1, Table::Bundle));
        assert_ne!(one, hash(1, 2, 1, Table::Bundle));
        assert_ne!(one, hash(1, 1, 2, Table::Bundle));
        assert_ne!(one, hash(1, 1, 1, Table::Index));
        assert_eq!(hash(1, 1, 1, Table::Index), hash(1, 1, 1, Table::Key));
    }
}
