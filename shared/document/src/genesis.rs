//! The fixed changes: the one every document of a kind begins with, and its migrations.
//!
//! Its bytes are the same on every node and it is never sent: the document's kind names it.
//! Without it, two sites that open the same register offline would each make their own list of
//! rows, and merging would hide one of them.
//!
//! It makes everything that has a place of its own in a document. Because its actor and its
//! counters are fixed, so are the ids of these objects, and pre-flight can tell from a change
//! alone which of them it touches.
//!
//! A **migration** adds what a later version of a kind's layout has besides. It is a fixed change
//! too, named by its exact hash: its actor is of its kind and version, its sequence number is 1,
//! its time nought, and it builds on the genesis and earlier migrations alone, so that it is the
//! same change wherever it is written. (Were it to build on what is in the document, two sites
//! would make two, and one's text would hide the other's.) It comes into a document with the first
//! edit that needs it, and into no other: what nobody uses changes nobody's document.

use std::sync::OnceLock;

use automerge::{
    ActorId as AutoActorId, Automerge, AutomergeError, Change, ObjType, ROOT, TextEncoding,
    transaction::{CommitOptions, Transactable, Transaction},
};
use names::{ActorId, ChangeHash, Kind};

use crate::{
    preflight::{self, Header},
    schema,
};

/// What a fixed actor begins with; a person's actor is a hash and never does.
const FIXED_PREFIX: [u8; 12] = *b"ridgeway-doc";
/// The version of a kind's layout that its genesis makes; migrations count on from it.
pub(crate) const FIRST_VERSION: u16 = 1;
/// The version of a case's layout that adds the text of the crisis plan.
pub(crate) const CRISIS_PLAN_VERSION: u16 = 2;

/// The counter of the operation that makes the list of entries.
pub(crate) const ENTRIES_OP: u64 = 2;
/// The counter of the operation that makes the map of fields.
pub(crate) const FIELDS_OP: u64 = 3;
/// The counter of the operation that makes the text.
pub(crate) const TEXT_OP: u64 = 4;
/// The counter of the operation that makes the crisis plan.
pub(crate) const CRISIS_PLAN_OP: u64 = 5;

/// A fixed change: alike, byte for byte, in every document of its kind.
pub struct Fixed {
    /// The kind of document it is for.
    pub kind: Kind,
    /// The version of the kind's layout that it makes; 1 for the genesis.
    pub version: u16,
    /// Its hash.
    pub hash: ChangeHash,
    /// Its actor, which nothing else may use.
    pub actor: ActorId,
    /// Its raw chunk.
    pub chunk: Vec<u8>,
    /// The counter of its last operation.
    pub max_op: u64,
    /// What it says of itself.
    pub(crate) header: Header,
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

/// The migrations of a kind, by version.
pub fn migrations(kind: Kind) -> &'static [Fixed] {
    static CASE: OnceLock<Vec<Fixed>> = OnceLock::new();
    match kind {
        Kind::CASE => CASE.get_or_init(|| Vec::from_iter(crisis_plan())),
        Kind(_) => &[],
    }
}

/// The migration of a kind with this hash, if it is one that this program knows.
pub(crate) fn migration(kind: Kind, hash: &ChangeHash) -> Option<&'static Fixed> {
    migrations(kind).iter().find(|fixed| fixed.hash == *hash)
}

/// The fixed change of a kind with this hash, genesis or migration, if it is one that this program
/// knows. It is in every document, whether anybody has sent it or not.
pub fn fixed(kind: Kind, hash: &ChangeHash) -> Option<&'static Fixed> {
    let genesis = genesis(kind).filter(|fixed| fixed.hash == *hash);
    genesis.or_else(|| migration(kind, hash))
}

/// Whether an operation of a migration, by its counter, made a text that this program knows.
pub(crate) fn is_text_of(kind: Kind, version: u16, counter: u64) -> bool {
    (kind, version, counter) == (Kind::CASE, CRISIS_PLAN_VERSION, CRISIS_PLAN_OP)
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

fn build(kind: Kind) -> Option<Fixed> {
    write(kind, FIRST_VERSION, &[], &|tx| {
        tx.put(ROOT, schema::KIND, kind.name())?;
        tx.put_object(ROOT, schema::ENTRIES, ObjType::List)?;
        tx.put_object(ROOT, schema::FIELDS, ObjType::Map)?;
        tx.put_object(ROOT, schema::TEXT, ObjType::Text)?;
        Ok(())
    })
}

/// A case's second version: the text of the crisis plan.
fn crisis_plan() -> Option<Fixed> {
    let genesis = genesis(Kind::CASE)?;
    write(Kind::CASE, CRISIS_PLAN_VERSION, &[genesis], &|tx| {
        tx.put_object(ROOT, schema::CRISIS_PLAN, ObjType::Text)?;
        Ok(())
    })
}

/// Writes a fixed change on top of earlier ones. `None` if Automerge could not, which the test of
/// its hash would have shown.
fn write(
    kind: Kind,
    version: u16,
    before: &[&Fixed],
    edit: &dyn Fn(&mut Transaction<'_>) -> Result<(), AutomergeError>,
) -> Option<Fixed> {
    let actor = fixed_actor(kind, version);
    let mut doc = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint)
        .with_actor(AutoActorId::from(actor.0));
    for fixed in before {
        let change = Change::try_from(fixed.chunk.as_slice()).ok()?;
        doc.apply_changes([change]).ok()?;
    }
    doc.transact_with::<_, _, AutomergeError, _>(
        |()| CommitOptions::default().with_time(0),
        |tx| edit(tx),
    )
    .ok()?;
    let chunk = doc.get_last_local_change()?.raw_bytes().to_vec();
    let header = preflight::format_only(&chunk).ok()?;
    Some(Fixed {
        kind,
        version,
        hash: header.hash,
        actor,
        chunk,
        max_op: header.max_op,
        header,
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

    /// As above: a migration that came out otherwise would be another one.
    #[test]
    fn a_migration_is_the_same_bytes_for_ever() {
        let [fixed] = migrations(Kind::CASE) else {
            panic!("a case has one migration");
        };
        assert_eq!(
            fixed.hash.to_string(),
            "e3a14e0e6ba1e3ad7d60b0a8aa6ca9e31a857e9f649a4ae33ef932c50b71dd97"
        );
        let header = &fixed.header;
        assert_eq!(
            (header.seq, header.time, fixed.max_op),
            (1, names::Moment(0), CRISIS_PLAN_OP)
        );
        assert_eq!(header.deps, [genesis(Kind::CASE).unwrap().hash]);
        let parts = fixed_actor_parts(&fixed.actor);
        assert_eq!(parts, Some((Kind::CASE, CRISIS_PLAN_VERSION)));
        assert!(migrations(Kind::SESSION).is_empty());
    }

    #[test]
    fn nobody_may_send_a_fixed_change() {
        let fixed = genesis(Kind::CASE)
            .into_iter()
            .chain(migrations(Kind::CASE));
        for fixed in fixed {
            let refused = preflight::header(&fixed.chunk);
            assert_eq!(refused, Err(names::Reason::Malformed));
        }
    }
}
