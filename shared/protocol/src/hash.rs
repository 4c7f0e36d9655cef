//! Hashes and signed messages with a name of their own, so that none passes for another.

use names::TenantId;

/// What a hash or a signature is about. None of these is the beginning of another, and what
/// follows one has a fixed length or is the last part, so a message can be read in one way only.
pub(crate) mod label {
    pub(crate) const DEVICE: &str = "ridgeway device v1";
    pub(crate) const ACTOR: &str = "ridgeway actor v1";
    pub(crate) const HEAD: &str = "ridgeway head v1";
    pub(crate) const PLACEMENT: &str = "ridgeway placement v1";
    pub(crate) const ROOT: &str = "ridgeway root v1";
    pub(crate) const STATEMENT: &str = "ridgeway statement v1";
    pub(crate) const DOCUMENT_ELEMENT: &str = "ridgeway element document v1";
    pub(crate) const LEFT_ELEMENT: &str = "ridgeway element left v1";
    pub(crate) const STATEMENT_ELEMENT: &str = "ridgeway element statement v1";
    pub(crate) const LANES: &str = "ridgeway lthash lanes v1";
    pub(crate) const LTHASH: &str = "ridgeway lthash value v1";
    /// With a key of 16 bytes and an item of 32 this fills one block of BLAKE3, and not two.
    pub(crate) const SKETCH_ITEM: &str = "ridgeway item v1";
    pub(crate) const SKETCH_KEY: &str = "ridgeway sketch key v1";
    pub(crate) const TABLE: &str = "ridgeway scope table v1";
    pub(crate) const CODE: &str = "ridgeway enrolment code v1";
    pub(crate) const PART: &str = "ridgeway handed in v1";
    pub(crate) const PURGED: &str = "ridgeway purged v1";
    pub(crate) const SIGNED: &str = "ridgeway signed v1";
    pub(crate) const WEIGHTS: &str = "ridgeway weights v1";
    pub(crate) const BRANCH: &str = "ridgeway branch v1";
    pub(crate) const BRANCH_NONCE: &str = "ridgeway again v1";
    pub(crate) const ENROL: &str = "ridgeway enrolment request v1";
}

/// A hasher that has taken in the label and the parts.
pub(crate) fn hasher(label: &str, parts: &[&[u8]]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(label.as_bytes());
    for part in parts {
        hasher.update(part);
    }
    hasher
}

/// BLAKE3 over the label and the parts.
pub(crate) fn hash32(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    *hasher(label, parts).finalize().as_bytes()
}

/// The first 16 bytes of [`hash32`].
pub(crate) fn hash16(label: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut short = [0; 16];
    hasher(label, parts).finalize_xof().fill(&mut short);
    short
}

/// The message that a signature covers: label, tenant, what it is bound to, payload.
pub(crate) fn message(label: &str, tenant: &TenantId, bound: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(128 + payload.len());
    message.extend_from_slice(label.as_bytes());
    message.extend_from_slice(tenant.as_ref());
    for part in bound {
        message.extend_from_slice(part);
    }
    message.extend_from_slice(payload);
    message
}
