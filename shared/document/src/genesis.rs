//! The fixed change every document of a kind begins with.
//!
//! Its bytes are the same on every node and it is never sent: the document's kind names it.
//! Without it, two sites that open the same register offline would each make their own list of
//! rows, and merging would hide one of them.
//!
//! It makes everything that has a place of its own in a document. Because its actor and its
//! counters are fixed, so are the ids of these objects, and pre-flight can tell from a change
//! alone which of them it touches.

use std::sync::OnceLock;

use automerge::{
    ActorId as AutoActorId, Automerge, AutomergeError, ObjType, ROOT, TextEncoding,
    transaction::{CommitOptions, Transactable},
};
use names::{ActorId, ChangeHash, Kind};

use crate::{preflight, schema};

/// What a fixed actor begins with; a person's actor is a hash and never does.
const FIXED_PREFIX: [u8; 12] = *b"ridgeway-doc";
/// The version of a kind's layout that its genesis makes; migrations count on from it.
pub(crate) const FIRST_VERSION: u16 = 1;

/// The counter of the operation that makes the list of entries.
pub(crate) const ENTRIES_OP: u64 = 2;
/// The counter of the operation that makes the map of fields.
pub(crate) const FIELDS_OP: u64 = 3;
/// The counter of the operation that makes the text.
pub(crate) const TEXT_OP: u64 = 4;

/// A fixed change: alike, byte for byte, in every document of its kind.
pub struct Fixed {
    /// The kind of document it begins.
    pub kind: Kind,
    /// Its hash.
    pub hash: ChangeHash,
    /// Its actor, which nothing else may use.
    pub actor: ActorId,
    /// Its raw chunk.
    pub chunk: Vec<u8>,
    /// The counter of its last operation.
    pub max_op: u64,
}

/// The genesis of a kind, or `None` for a kind this program cannot write or read.
pub fn genesis(kind: Kind) -> Option<&'static Fixed> {
    static CASE: OnceLock<Option<Fixed>> = OnceLock::new();
    static SESSION: OnceLock<Option<Fixed>> = OnceLock::new();
    match kind {
        Kind::CASE => CASE.get_or_init(|| build(kind)).as_ref(),
        Kind::SESSION => SESSION.get_or_init(|| build(kind)).as_ref(),
        Kind(_) => None,
    }
}

/// The actor of a kind's fixed change of this version.
fn fixed_actor(kind: Kind, version: u16) -> ActorId {
    let mut bytes = [0; 16];
    let tail = kind
        .0
        .to_be_bytes()
        .into_iter()
        .chain(version.to_be_bytes());
    for (slot, byte) in bytes.iter_mut().zip(FIXED_PREFIX.into_iter().chain(tail)) {
        *slot = byte;
    }
    ActorId(bytes)
}

/// The kind and version of the fixed change whose actor this is, if it is one.
pub(crate) fn fixed_actor_parts(actor: &ActorId) -> Option<(Kind, u16)> {
    let tail = actor.0.strip_prefix(&FIXED_PREFIX)?;
    let [kind_high, kind_low, version_high, version_low] = *tail else {
        return None;
    };
    Some((
        Kind(u16::from_be_bytes([kind_high, kind_low])),
        u16::from_be_bytes([version_high, version_low]),
    ))
}

/// `None` if Automerge could not write it, which the test of its hash would have shown.
fn build(kind: Kind) -> Option<Fixed> {
    let actor = fixed_actor(kind, FIRST_VERSION);
    let mut doc = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint)
        .with_actor(AutoActorId::from(actor.0));
    doc.transact_with::<_, _, AutomergeError, _>(
        |()| CommitOptions::default().with_time(0),
        |tx| {
            tx.put(ROOT, schema::KIND, kind.name())?;
            tx.put_object(ROOT, schema::ENTRIES, ObjType::List)?;
            tx.put_object(ROOT, schema::FIELDS, ObjType::Map)?;
            tx.put_object(ROOT, schema::TEXT, ObjType::Text)?;
            Ok(())
        },
    )
    .ok()?;
    let chunk = doc.get_last_local_change()?.raw_bytes().to_vec();
    let header = preflight::format_only(&chunk).ok()?;
    Some(Fixed {
        kind,
        hash: header.hash,
        actor,
        chunk,
        max_op: header.max_op,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// If this fails after an update of Automerge, every document out there would be cut off from
    /// the new ones: the update must not be taken.
    #[test]
    fn the_bytes_are_what_they_always_were() {
        let pinned = [
            (
                Kind::CASE,
                "ceb1fea522526dfbd4dd48b4dcebe1bbea855699a8e381c6a67da89180bd23a8",
            ),
            (
                Kind::SESSION,
                "e0279f535ade6618c8a67897941191c893669c8a8f526fc0c857bf9255c25856",
            ),
        ];
        for (kind, hash) in pinned {
            let fixed = genesis(kind).unwrap();
            assert_eq!(fixed.hash.to_string(), hash);
            assert_eq!(fixed.max_op, TEXT_OP);
            assert_eq!(fixed_actor_parts(&fixed.actor), Some((kind, FIRST_VERSION)));
        }
    }

    #[test]
    fn nobody_may_send_a_fixed_change() {
        let fixed = genesis(Kind::CASE).unwrap();
        let refused = preflight::header(&fixed.chunk);
        assert_eq!(refused, Err(names::Reason::Malformed));
    }
}
