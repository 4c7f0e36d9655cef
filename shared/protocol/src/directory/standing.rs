//! Standing: what is thought of what a device wrote, from signed statements alone.
//!
//! Standing never decides what is held. A run of a revoked device passes the same door as any
//! other; what it wrote after it had seen that it is revoked, and what the centre came to have
//! only after that, is *marked* wherever it is shown, on every node with the same statements
//! alike. What was done offline before the revocation was seen is neither refused nor blamed.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use names::{ActorId, DeviceId, DocumentId, Mark, Moment, WorkerId};

use super::{Directory, Rank, SignedStatement};
use crate::codec;

/// Lines in one statement about what was handed in: each is some 60 bytes, and a statement is
/// within 16 KiB.
pub const HANDED_IN_LINES_MAX: usize = 200;

/// A device's rights are taken away.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Revocation {
    /// Whose.
    #[cbor(n(0), with = "codec::wire")]
    pub device: DeviceId,
    /// It is in nobody's hands: it is to destroy its keys before it hands anything in.
    #[n(1)]
    pub lost: bool,
    /// When the last entry of it was written that the centre had then, by the device's clock.
    #[cbor(n(2), with = "codec::wire", has_nil)]
    pub held: Option<Moment>,
}

/// A device has destroyed its keys.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Purge {
    /// Which.
    #[cbor(n(0), with = "codec::wire")]
    pub device: DeviceId,
}

/// What a person has let into the record of what a revoked device had not sent before.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct HandedIn {
    /// Whose.
    #[cbor(n(0), with = "codec::wire")]
    pub device: DeviceId,
    /// What: 1 to [`HANDED_IN_LINES_MAX`].
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<HANDED_IN_LINES_MAX, _, _>"
    )]
    pub lines: Vec<HandedInLine>,
}

/// A stretch of one author's line in one document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct HandedInLine {
    /// The document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// The author.
    #[cbor(n(1), with = "codec::wire")]
    pub actor: ActorId,
    /// The sequence number of the first change.
    #[n(2)]
    pub first: u64,
    /// That of the last.
    #[n(3)]
    pub last: u64,
}

codec::wire_struct!(HandedInLine);

/// What is known of a device that was revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// When the authority first said so.
    pub at: Moment,
    /// When the last entry was written that the centre had when it first said so.
    pub held: Option<Moment>,
    rank: Rank,
    /// The first statement that says that the device is lost.
    lost: Option<Rank>,
}

impl Revoked {
    /// Whether the authority ever said that the device is lost.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }
}

/// A stretch of changes under one signature, as far as its standing hangs on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// In which document.
    pub document: DocumentId,
    /// By which author.
    pub actor: ActorId,
    /// The sequence number of the first change.
    pub first: u64,
    /// That of the last.
    pub last: u64,
    /// The device that signed.
    pub device: DeviceId,
    /// For whom.
    pub worker: WorkerId,
    /// The moment of the latest statement its node had seen.
    pub directory_seen: Moment,
}

impl Written {
    /// Whose line it is of. What one device hands in is no blame of another's.
    fn line(&self) -> (DeviceId, DocumentId, ActorId) {
        (self.device, self.document, self.actor)
    }
}

impl Directory {
    /// Whether a device was revoked.
    pub fn is_revoked(&self, device: &DeviceId) -> bool {
        self.revoked.contains_key(device)
    }

    /// What is known of a device's revocation, if it was revoked.
    pub fn revoked(&self, device: &DeviceId) -> Option<&Revoked> {
        self.revoked.get(device)
    }

    /// The statements that revoke a device and say that it is lost, as it must see them itself.
    pub fn revocation(&self, device: &DeviceId) -> Vec<SignedStatement> {
        let Some(revoked) = self.revoked.get(device) else {
            return Vec::new();
        };
        let ids = [Some(revoked.rank), revoked.lost].into_iter().flatten();
        let ids: BTreeSet<_> = ids.map(|rank| rank.id).collect();
        ids.iter()
            .filter_map(|id| self.statement(id).cloned())
            .collect()
    }

    /// When a device said that it has destroyed its keys.
    pub fn purged(&self, device: &DeviceId) -> Option<Moment> {
        self.purged.get(device).copied()
    }

    /// The same changes in stretches that are each judged alike: what was handed in late may stand
    /// under one signature with what came in time, once the changes travel together.
    pub fn alike(&self, written: &Written) -> Vec<Written> {
        let late = self.handed_in.get(&written.line());
        let late = late.into_iter().flatten();
        let begins = late.flat_map(|(first, last)| [*first, last.saturating_add(1)]);
        let mut begins: BTreeSet<u64> = begins
            .filter(|begin| (written.first + 1..=written.last).contains(begin))
            .collect();
        begins.insert(written.first);
        let ends = begins.iter().skip(1).map(|begin| begin - 1);
        let ends = ends.chain([written.last]);
        let stretch = |(first, last): (&u64, u64)| Written {
            first: *first,
            last,
            ..written.clone()
        };
        begins.iter().zip(ends).map(stretch).collect()
    }

    /// What has to be said beside these changes wherever they are shown.
    pub fn marks(&self, written: &Written) -> BTreeSet<Mark> {
        let mut marks = BTreeSet::new();
        let knew = |since: Moment| written.directory_seen >= since;
        let revoked = self.revoked.get(&written.device);
        if revoked.is_some_and(|revoked| knew(revoked.at)) {
            marks.insert(Mark::DeviceRevoked);
        }
        let disabled = self.disabled.get(&written.worker);
        if disabled.is_some_and(|since| knew(*since)) {
            marks.insert(Mark::WorkerDisabled);
        }
        let stretches = self.handed_in.get(&written.line());
        let mut stretches = stretches.into_iter().flatten();
        if stretches.any(|(first, last)| *first <= written.last && written.first <= *last) {
            marks.insert(Mark::ArrivedLate);
        }
        marks
    }

    /// Of several revocations the first counts; that the device is lost may be found out later.
    pub(super) fn revoke(&mut self, rank: Rank, revocation: &Revocation) {
        let said = Revoked {
            at: rank.at,
            held: revocation.held,
            rank,
            lost: revocation.lost.then_some(rank),
        };
        let known = self.revoked.entry(revocation.device).or_insert(said);
        let lost = [known.lost, said.lost].into_iter().flatten().min();
        if rank < known.rank {
            *known = said;
        }
        known.lost = lost;
    }

    pub(super) fn hand_in(&mut self, handed_in: HandedIn) {
        for line in handed_in.lines {
            let of = (handed_in.device, line.document, line.actor);
            let stretches = self.handed_in.entry(of);
            stretches.or_default().insert((line.first, line.last));
        }
    }
}
