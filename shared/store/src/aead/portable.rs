//! In Rust alone.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};

use super::{KEY_BYTES, Nonce, Tag};

pub(super) fn seal(
    key: &[u8; KEY_BYTES],
    nonce: &Nonce,
    associated: &[u8],
    body: &mut [u8],
) -> Option<Tag> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(&XNonce::from(*nonce), associated, body.into());
    tag.ok().map(Into::into)
}

pub(super) fn open(
    key: &[u8; KEY_BYTES],
    nonce: &Nonce,
    associated: &[u8],
    body: &mut [u8],
    tag: &Tag,
) -> Option<()> {
    let cipher = XChaCha20Poly1305::new(key.into());
    let nonce = XNonce::from(*nonce);
    let opened = cipher.decrypt_inout_detached(&nonce, associated, body.into(), &(*tag).into());
    opened.ok()
}
