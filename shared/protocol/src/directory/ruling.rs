//! Rulings: where two things were done at once and only one can stand, the authority says which.
//!
//! What was ruled first stands for ever: a centre that came back without its ruling may make another.

use minicbor::{Decode, Encode};
use names::{ActorId, ChangeHash, DocumentId};

use super::{Directory, Rank, Ranked};
use crate::{
    bytes::byte_value,
    codec,
    hash::{self, label},
    placement::PlacementId,
};

byte_value!(
    /// A change, as a ruling names it: 16 bytes of a hash that only members of the organisation can
    /// make, since everybody who knows the directory is told of it.
    BranchName, 16
);

impl BranchName {
    /// The name of a change of an author in a document.
    pub fn of(
        tenant_key: &[u8; 32],
        document: &DocumentId,
        actor: &ActorId,
        change: &ChangeHash,
    ) -> BranchName {
        let parts = [
            tenant_key.as_slice(),
            document.as_ref(),
            actor.as_ref(),
            change.as_ref(),
        ];
        BranchName(hash::hash16(label::BRANCH, &parts))
    }
}

/// Which of a document's placements stands, of those that follow one and the same: the first that
/// the centre witnessed. The others wait for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Ruling {
    /// The document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// What they follow; none when they are first ones.
    #[cbor(n(1), with = "codec::wire", has_nil)]
    pub previous: Option<PlacementId>,
    /// The one that stands.
    #[cbor(n(2), with = "codec::wire")]
    pub stands: PlacementId,
}

/// Which of an author's changes of one number stands in a document, where two copies of one running
/// program have both written one: the first that the centre witnessed. What the other copy wrote from
/// there on is written again by another author.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct BranchRuling {
    /// The document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// The author.
    #[cbor(n(1), with = "codec::wire")]
    pub actor: ActorId,
    /// The number.
    #[n(2)]
    pub seq: u64,
    /// The change that stands.
    #[cbor(n(3), with = "codec::wire")]
    pub stands: BranchName,
}

impl Directory {
    pub(super) fn rule(&mut self, rank: Rank, ruling: Ruling) {
        let (key, value) = ((ruling.document, ruling.previous), ruling.stands);
        let standing = self.rulings.get(&key);
        if standing.is_none_or(|standing| rank < standing.rank) {
            self.rulings.insert(key, Ranked { rank, value });
        }
    }

    pub(super) fn rule_on_branches(&mut self, rank: Rank, ruling: BranchRuling) {
        let key = (ruling.document, ruling.actor, ruling.seq);
        let standing = self.branches.get(&key);
        if standing.is_none_or(|standing| rank < standing.rank) {
            let value = ruling.stands;
            self.branches.insert(key, Ranked { rank, value });
        }
    }

    /// Which of the placements of a document that follow another (none: of its first ones) stands,
    /// if the authority has ruled on them.
    pub fn ruling(
        &self,
        document: DocumentId,
        previous: Option<PlacementId>,
    ) -> Option<PlacementId> {
        let ruling = self.rulings.get(&(document, previous));
        ruling.map(|ranked| ranked.value)
    }

    /// The rulings on branches in a document, by author and number.
    pub fn branches(&self, document: DocumentId) -> impl Iterator<Item = BranchRuling> + '_ {
        let first = (document, ActorId([0; 16]), 0);
        let last = (document, ActorId([u8::MAX; 16]), u64::MAX);
        let of = self.branches.range(first..=last);
        of.map(|((document, actor, seq), ranked)| BranchRuling {
            document: *document,
            actor: *actor,
            seq: *seq,
            stands: ranked.value,
        })
    }

    /// The documents in which the authority has ruled on branches.
    pub fn branched(&self) -> impl Iterator<Item = DocumentId> + '_ {
        let mut last = None;
        let documents = self.branches.keys().map(|(document, ..)| *document);
        documents.filter(move |document| last.replace(*document) != Some(*document))
    }
}
