//! Changes, heads and frames made by hand, byte by byte, as a device with a key of its own could
//! send them.

use document::packed;
use names::{ActorId, Kind, Nonce, WorkerId};
use protocol::{
    bundle::Bundle,
    message::{Batch, Frame},
    placement::SignedPlacement,
    signed::{Head, SignedHead, derive_actor},
};

use super::*;

/// What a hostile device has drawn for itself.
const NONCE: Nonce = Nonce([0x5A; 16]);

/// A change that sets the room of a case, and everything about it that can be lied about.
#[derive(Clone, Debug)]
pub(super) struct Crafted {
    /// The document it was made for.
    pub(super) document: DocumentId,
    /// Whose device it says that it is of.
    pub(super) author: u8,
    /// Whose key signs it.
    pub(super) signer: u8,
    pub(super) deps: Vec<ChangeHash>,
    pub(super) seq: u64,
    pub(super) start_op: u64,
    pub(super) room: &'static str,
    /// How many operations it says that it has.
    pub(super) ops: i64,
    /// Of which kind's documents it uses an object.
    pub(super) kind: Kind,
}

fn genesis() -> &'static document::genesis::Fixed {
    document::genesis::genesis(Kind::CASE).unwrap()
}

fn worker() -> WorkerId {
    "w-1".parse().unwrap()
}

fn uleb(value: u64) -> Vec<u8> {
    let (mut bytes, mut left) = (Vec::new(), value);
    while left > 0x7F {
        bytes.push((left & 0x7F) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

/// A signed one; only those that need another byte for their sign differ.
fn sleb(value: i64) -> Vec<u8> {
    let mut bytes = uleb(value.unsigned_abs());
    if bytes.last().is_some_and(|last| last & 0x40 != 0) {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}

impl Crafted {
    /// What device 1 might honestly write first into a case in which nobody has written.
    pub(super) fn new(document: DocumentId) -> Crafted {
        Crafted {
            document,
            author: 1,
            signer: 1,
            deps: vec![genesis().hash],
            seq: 1,
            start_op: genesis().max_op + 1,
            room: "x",
            ops: 1,
            kind: Kind::CASE,
        }
    }

    /// What it might honestly write after that.
    pub(super) fn next(&self, room: &'static str) -> Crafted {
        Crafted {
            deps: vec![self.hash()],
            seq: self.seq + 1,
            start_op: self.start_op + 1,
            room,
            ..self.clone()
        }
    }

    pub(super) fn actor(&self) -> ActorId {
        let key = key(self.author).public();
        derive_actor(&TENANT, &key, &self.document, &NONCE, &worker())
    }

    /// The columns of its operations: one value once, or `ops` deletions as a run.
    fn columns(&self) -> Vec<(u8, Vec<u8>)> {
        let times = |value: &[u8]| {
            let count = if self.ops == 1 {
                vec![0x7F]
            } else {
                sleb(self.ops)
            };
            [count, value.to_vec()].concat()
        };
        let meta = u8::try_from(self.room.len() << 4 | 6).unwrap();
        vec![
            (0x01, times(&[1])),
            (0x02, times(&[3])),
            (0x15, times(b"\x04room")),
            (0x34, uleb(self.ops.unsigned_abs())),
            (0x42, times(&[if self.ops == 1 { 1 } else { 3 }])),
            (0x56, times(&[meta])),
            (0x57, self.room.as_bytes().to_vec()),
            (0x70, times(&[0])),
        ]
    }

    fn whole(&self) -> packed::Whole {
        let mut rest = [uleb(self.seq), uleb(self.start_op), vec![0, 0, 1, 16]].concat();
        rest.extend(document::genesis::genesis(self.kind).unwrap().actor.0);
        let columns = self.columns();
        rest.extend(uleb(columns.len() as u64));
        for (name, bytes) in &columns {
            rest.push(*name);
            rest.extend(uleb(bytes.len() as u64));
        }
        rest.extend(columns.into_iter().flat_map(|(_, bytes)| bytes));
        packed::put_together(&self.deps, &self.actor(), &rest).unwrap()
    }

    pub(super) fn hash(&self) -> ChangeHash {
        self.whole().hash()
    }

    /// It alone, closed.
    pub(super) fn bundle(&self) -> Bundle {
        let head = Head {
            device: key(self.author).device_id(),
            nonce: NONCE,
            worker: worker(),
            seq: self.seq,
            hash: self.hash(),
            directory_seen: Moment(1),
            floor: Moment(1),
        };
        let (signer, actor) = (key(self.signer), self.actor());
        let head = SignedHead::sign(&signer, &TENANT, &self.document, &actor, &head);
        crate::bundle::of_one(self.document, self.whole().chunk(), &head).unwrap()
    }

    /// Closed by a signature that is not one.
    pub(super) fn forged(&self) -> Bundle {
        spoilt(self.bundle())
    }
}

/// A bundle with one bit of its last signature turned.
pub(super) fn spoilt(mut bundle: Bundle) -> Bundle {
    bundle.closings.last_mut().unwrap().signature.0[5] ^= 1;
    bundle
}

/// Several bundles of one author as one.
pub(super) fn together(one: Bundle, other: Bundle) -> Bundle {
    let before = one.changes.len();
    let mut all = one;
    all.changes.extend(other.changes);
    all.closings
        .extend(other.closings.into_iter().map(|mut closing| {
            closing.change += u16::try_from(before).unwrap();
            closing
        }));
    all
}

/// A frame of it, spoken in a scope.
pub(super) fn batch(scope: &str, placements: Vec<SignedPlacement>, bundles: Vec<Bundle>) -> Batch {
    Batch {
        scope: scope.parse().unwrap(),
        placements,
        bundles,
        number: 0,
        after: None,
        from: None,
    }
}

impl World {
    /// Says something to the centre as this edge, whose node knows nothing of it.
    pub(super) fn say_as(&mut self, edge: usize, frame: &Frame) {
        let link = self.links.iter().find(|(_, end)| **end == edge);
        let link = *link.expect("the edge is connected").0;
        let frame = self.places[0].node.verifier().frame(&frame.encode());
        let frame = frame.expect("a frame");
        self.places[0].inbox.push_back(Input::Frame { link, frame });
        self.run();
    }

    /// How often the centre has refused something for this reason.
    pub(super) fn refused(&self, reason: Reason) -> u64 {
        let counters = self.places[0].node.counters();
        counters.get(&reason).copied().unwrap_or(0)
    }

    /// Whether a node holds a change.
    pub(super) fn holds(&self, index: usize, document: DocumentId, hash: ChangeHash) -> bool {
        let snapshot = self.places[index].node.snapshot().unwrap();
        let name = document.as_ref();
        let rows = snapshot.range(Table::Bundle, name, 0, usize::MAX).unwrap();
        let mut bundles = rows.iter().map(|(_, bytes)| codec::decode(bytes).unwrap());
        bundles.any(|bundle: Bundle| {
            let chunks = crate::bundle::chunks(&bundle).unwrap();
            chunks.iter().any(|(held, _)| *held == hash)
        })
    }

    /// The last bundle of a document in a node's store, and where it stands.
    pub(super) fn last_bundle(&self, index: usize, document: DocumentId) -> (u64, Bundle) {
        let snapshot = self.places[index].node.snapshot().unwrap();
        let name = document.as_ref();
        let rows = snapshot.range(Table::Bundle, name, 0, usize::MAX).unwrap();
        let (position, bytes) = rows.last().unwrap();
        (*position, codec::decode(bytes).unwrap())
    }

    /// Puts a bundle in another's place, behind a node's back.
    pub(super) fn swap_bundle(
        &mut self,
        index: usize,
        document: DocumentId,
        (position, bundle): (u64, Bundle),
    ) {
        let mut batch = store::Batch::new();
        batch.put(Table::Bundle, document.0, position, codec::encode(&bundle));
        store::Store::commit(&mut self.places[index].node.store, batch).unwrap();
    }
}
