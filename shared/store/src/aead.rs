//! XChaCha20-Poly1305, under which everything is sealed (draft-irtf-cfrg-xchacha-03).
//!
//! Rows are short and many. ring, which TLS uses anyway, takes half the time of the implementation in
//! Rust alone: 0.33 microseconds for a row of 256 bytes where that took 0.55, 3.1 for one of 8 KB where
//! it took 7.9. ring knows the nonce of 12 bytes alone; HChaCha20 makes of 24 bytes such a nonce and
//! a key for it. In a browser, where ring would need a C compiler for its target, it is the one in Rust.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(any(test, target_family = "wasm"))]
mod portable;

use zeroize::Zeroizing;

#[cfg(not(target_family = "wasm"))]
use self::native as backend;
#[cfg(target_family = "wasm")]
use self::portable as backend;

pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const KEY_BYTES: usize = 32;

pub(crate) type Nonce = [u8; NONCE_BYTES];
pub(crate) type Tag = [u8; TAG_BYTES];

/// A key to seal with. It is wiped when it is dropped; it has no `Debug` and no `Clone`.
pub(crate) struct Cipher(Zeroizing<[u8; KEY_BYTES]>);

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Cipher {
        Cipher(Zeroizing::new(*key))
    }

    /// Seals a text in place and answers its tag; `None` only for one longer than 256 GiB.
    pub(crate) fn seal(&self, nonce: &Nonce, associated: &[u8], body: &mut [u8]) -> Option<Tag> {
        backend::seal(&self.0, nonce, associated, body)
    }

    /// Opens a text in place; `None` when it was not sealed so, and then the text is of no use.
    pub(crate) fn open(
        &self,
        nonce: &Nonce,
        associated: &[u8],
        body: &mut [u8],
        tag: &Tag,
    ) -> Option<()> {
        backend::open(&self.0, nonce, associated, body, tag)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A store may be written by one and read by the other.
    #[test]
    fn both_implementations_write_the_same() {
        let associated = [3; 81];
        for length in (0..300).chain([1_024, 4_095, 8_192, 70_001]) {
            let key: [u8; KEY_BYTES] = std::array::from_fn(|i| (i * 7 + length) as u8);
            let nonce: Nonce = std::array::from_fn(|i| (i * 31 + length / 256) as u8);
            let text: Vec<u8> = (0..length).map(|i| (i * 13) as u8).collect();
            let (mut one, mut other) = (text.clone(), text.clone());
            let tag = native::seal(&key, &nonce, &associated, &mut one).unwrap();
            let same = portable::seal(&key, &nonce, &associated, &mut other);
            assert_eq!(same, Some(tag), "{length} bytes");
            assert_eq!(one, other, "{length} bytes");
            let open = [native::open, portable::open];
            for open in open {
                let mut sealed = one.clone();
                assert_eq!(open(&key, &nonce, &associated, &mut sealed, &tag), Some(()));
                assert_eq!(sealed, text);
                let mut wrong = tag;
                *wrong.get_mut(length % TAG_BYTES).unwrap() ^= 1;
                let mut sealed = one.clone();
                assert_eq!(open(&key, &nonce, &associated, &mut sealed, &wrong), None);
                let other = [4; 81];
                assert_eq!(open(&key, &nonce, &other, &mut one.clone(), &tag), None);
            }
        }
    }
}
