//! By ring, and HChaCha20 before it.

use chacha20::{R20, hchacha};
use ring::aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use zeroize::Zeroizing;

use super::{KEY_BYTES, Nonce, Tag};

/// The key and the nonce of ChaCha20-Poly1305 itself. ring does not wipe its copy of this key. It opens
/// one text and tells nothing of the key that it was made from; but where that text is a document's
/// wrapped key, whoever reads it out of this process' memory has that.
fn narrowed(key: &[u8; KEY_BYTES], nonce: &Nonce) -> Option<(LessSafeKey, aead::Nonce)> {
    let (input, rest) = nonce.split_first_chunk::<16>()?;
    let mut narrow = [0; aead::NONCE_LEN];
    narrow.last_chunk_mut::<8>()?.copy_from_slice(rest);
    let key: Zeroizing<[u8; KEY_BYTES]> =
        Zeroizing::new(hchacha::<R20>(key.into(), input.into()).into());
    let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).ok()?;
    let nonce = aead::Nonce::assume_unique_for_key(narrow);
    Some((LessSafeKey::new(key), nonce))
}

pub(super) fn seal(
    key: &[u8; KEY_BYTES],
    nonce: &Nonce,
    associated: &[u8],
    body: &mut [u8],
) -> Option<Tag> {
    let (key, nonce) = narrowed(key, nonce)?;
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), body);
    tag.ok()?.as_ref().try_into().ok()
}

pub(super) fn open(
    key: &[u8; KEY_BYTES],
    nonce: &Nonce,
    associated: &[u8],
    body: &mut [u8],
    tag: &Tag,
) -> Option<()> {
    let (key, nonce) = narrowed(key, nonce)?;
    let (associated, tag) = (Aad::from(associated), aead::Tag::from(*tag));
    let opened = key.open_in_place_separate_tag(nonce, associated, tag, body, 0..);
    opened.ok().map(|_| ())
}
