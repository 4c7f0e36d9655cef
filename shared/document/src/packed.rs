//! A change without what whoever receives it can work out.
//!
//! Of a change's bytes the envelope and its checksum follow from the rest, the author stands
//! beside it once for all of that author's changes, and what it builds on is mostly a change that
//! comes along. What is left is [`Parts::rest`], which is carried as it is. Put together again
//! the change has the bytes it had, or another hash, which then is not the signed one.

use names::{ActorId, ChangeHash, Reason, limits};
use sha2::{Digest, Sha256};

use crate::preflight::{self, Header};

/// The bytes of a hash.
const HASH_BYTES: usize = 32;
/// What an envelope and an author take beside the rest: magic, checksum, type, two lengths of at
/// most three bytes each, the author behind its length.
const ENVELOPE_BYTES: usize = 4 + 4 + 1 + 3 + 3 + 1 + 16;

/// A change, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts<'a> {
    /// What it builds on, in ascending order.
    pub deps: Vec<ChangeHash>,
    /// Who wrote it.
    pub actor: ActorId,
    /// Everything after the author: sequence number, counters, time, operations.
    pub rest: &'a [u8],
}

/// A change that was put together here, so that its envelope is known to fit.
#[derive(Clone, PartialEq, Eq)]
pub struct Whole {
    hash: ChangeHash,
    chunk: Vec<u8>,
    /// Where its body begins.
    body: usize,
}

/// Takes a change apart.
///
/// # Errors
/// Those of an envelope that does not hold, and [`Reason::Malformed`] when no author can be read.
pub fn take_apart(chunk: &[u8]) -> Result<Parts<'_>, Reason> {
    let (deps, actor, rest) = preflight::opening(chunk)?;
    Ok(Parts { deps, actor, rest })
}

/// How many bytes the change has, or a few more: of which `deps` are what it builds on.
pub fn size(deps: usize, rest: &[u8]) -> usize {
    ENVELOPE_BYTES
        .saturating_add(deps.saturating_mul(HASH_BYTES))
        .saturating_add(rest.len())
}

/// Puts a change together again. What is in it is not judged; see [`Whole::header`].
///
/// # Errors
/// [`Reason::TooLarge`] when it would be larger than a change may be.
pub fn put_together(deps: &[ChangeHash], actor: &ActorId, rest: &[u8]) -> Result<Whole, Reason> {
    if size(deps.len(), rest) > limits::CHANGE_BYTES_MAX.saturating_add(ENVELOPE_BYTES)
        || deps.len() > limits::CHANGE_DEPS_MAX
    {
        return Err(Reason::TooLarge);
    }
    let count = uleb_bytes(deps.len());
    let length = count + deps.len() * HASH_BYTES + 1 + actor.0.len() + rest.len();
    let mut chunk = Vec::with_capacity(ENVELOPE_BYTES + length);
    chunk.extend_from_slice(&preflight::MAGIC);
    chunk.extend_from_slice(&[0; 4]);
    chunk.push(preflight::CHANGE_CHUNK);
    uleb(&mut chunk, length);
    let body = chunk.len();
    uleb(&mut chunk, deps.len());
    for dep in deps {
        chunk.extend_from_slice(&dep.0);
    }
    chunk.push(16);
    chunk.extend_from_slice(&actor.0);
    chunk.extend_from_slice(rest);
    let hashed = chunk.get(8..).unwrap_or_default();
    let hash: [u8; HASH_BYTES] = Sha256::digest(hashed).into();
    for (place, byte) in chunk.iter_mut().skip(4).zip(hash.iter().take(4)) {
        *place = *byte;
    }
    Ok(Whole {
        hash: ChangeHash(hash),
        chunk,
        body,
    })
}

impl Whole {
    /// Its hash.
    pub fn hash(&self) -> ChangeHash {
        self.hash
    }

    /// Its bytes.
    pub fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    /// Its bytes, given away.
    pub fn into_chunk(self) -> Vec<u8> {
        self.chunk
    }

    /// Judges it like any change that comes in; see [`preflight::header`].
    ///
    /// # Errors
    /// Those of [`preflight::header`].
    pub fn header(&self) -> Result<Header, Reason> {
        let body = self.chunk.get(self.body..).unwrap_or_default();
        preflight::judged_body(self.hash, body, self.chunk.len())
    }
}

/// Writes a number as Automerge does, seven bits to a byte.
fn uleb(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// How many bytes that takes.
fn uleb_bytes(number: usize) -> usize {
    number
        .checked_ilog2()
        .map_or(1, |bits| bits as usize / 7 + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_change_comes_out_as_it_went_in() {
        for chunk in testing::random_changes(3, 120) {
            let parts = take_apart(&chunk).unwrap();
            let whole = put_together(&parts.deps, &parts.actor, parts.rest).unwrap();
            assert_eq!(whole.chunk(), chunk);
            assert_eq!(whole.header(), preflight::header(&chunk));
            assert_eq!(Some(whole.hash()), preflight::hash(&chunk));
            assert!(size(parts.deps.len(), parts.rest) >= chunk.len());
            assert!(size(parts.deps.len(), parts.rest) <= chunk.len() + 8);
        }
    }

    #[test]
    fn what_was_altered_on_the_way_has_another_hash() {
        for chunk in testing::random_changes(3, 120) {
            let mut parts = take_apart(&chunk).unwrap();
            let hash = preflight::hash(&chunk).unwrap();
            let rest: Vec<u8> = parts.rest.iter().rev().copied().collect();
            let whole = put_together(&parts.deps, &parts.actor, &rest).unwrap();
            assert_ne!(whole.hash(), hash);
            parts.deps.push(ChangeHash([0xFF; 32]));
            let whole = put_together(&parts.deps, &parts.actor, parts.rest).unwrap();
            assert_ne!(whole.hash(), hash);
        }
    }

    #[test]
    fn what_is_too_large_is_not_put_together() {
        let rest = vec![0; limits::CHANGE_BYTES_MAX + 1];
        let whole = put_together(&[], &ActorId([1; 16]), &rest);
        assert!(whole.is_err_and(|reason| reason == Reason::TooLarge));
    }
}
