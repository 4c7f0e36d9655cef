//! What a node remembers of one conversation, for as long as it lasts.
//!
//! Nothing here is stored: a conversation that ends takes its memory with it, and the next one
//! begins from the cursors and digests that are on disk.
//!
//! A scope is compared in *rounds*. A side opens a round by sending its row of the table; the
//! other answers with its own row of the same round. Then both send what they believe the other
//! lacks, say `Sent`, and exchange proofs. A round whose proofs differ is followed by one in
//! which exact lists are compared. Data of an old round is still taken; only its markers are not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use names::{DeviceId, DocumentId, Incarnation, Moment, Reason, ScopeId, StoreId};
use protocol::{
    digest::{Digest, DocState},
    log::{Cursor, Position},
    message::{Difference, Done},
    signed::PublicKey,
};

use crate::input::Side;

/// How far a conversation as a whole has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Our greeting is out; theirs has not come.
    Greeting,
    /// The directories differ and are being merged.
    Directory,
    /// Scopes are compared, filled and kept up to date.
    Scopes,
}

/// What the peer said of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerStore {
    pub(crate) store: StoreId,
    pub(crate) incarnation: Incarnation,
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: PublicKey,
    pub(crate) device: DeviceId,
    pub(crate) side: Side,
    pub(crate) stage: Stage,
    pub(crate) them: Option<PeerStore>,
    /// The directory's digest and the table's root, as our greeting gave them.
    pub(crate) said: Option<Said>,
    /// Whether the peer has the right to be told of each scope, and what is going on in it.
    pub(crate) scopes: BTreeMap<ScopeId, Talk>,
    /// Fill frames sent and not yet acknowledged.
    pub(crate) in_flight: usize,
    /// Statements kept since the peer was last told: their places in our store's order.
    pub(crate) statements_told: u64,
    /// Whether the peer is the centre, whose word makes an entry *at the centre*.
    pub(crate) is_centre: bool,
}

/// What our greeting said, to be compared with theirs.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) directory: Digest,
    pub(crate) root: Digest,
    /// How far our logs went in each scope when we said it.
    pub(crate) heads: BTreeMap<ScopeId, Cursor>,
}

/// What is still to be sent of what was missed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fill {
    /// Log ranges, one per writing process: the next position, and the last.
    pub(crate) ranges: VecDeque<(Position, u64)>,
    /// Documents whose differing parts are to be sent, with what the peer has of them.
    pub(crate) repairs: VecDeque<Difference>,
    /// Whether `Sent` has to follow.
    pub(crate) marker_due: bool,
}

/// The conversation about one scope.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// The round our last row opened or answered.
    pub(crate) round: u32,
    /// Whether the peer's row of this round has come.
    pub(crate) answered: bool,
    /// How far our logs went when we sent our row; what comes later goes live.
    pub(crate) row_heads: Cursor,
    /// How far our logs have been handed to the peer, or will be by the fill.
    pub(crate) told: Cursor,
    /// Whether live entries may be sent: the peer knows where we stand.
    pub(crate) live: bool,
    pub(crate) fill: Fill,
    /// Whether our and their `Sent` of this round are out.
    pub(crate) sent: bool,
    pub(crate) they_sent: bool,
    /// Whether the exact lists were compared in this round.
    pub(crate) exact: bool,
    /// The proof the peer gave in this round and we could not yet judge.
    pub(crate) their_proof: Option<Done>,
    /// The digest of the last proof we gave.
    pub(crate) proof_said: Option<Digest>,
    /// Proofs of this round that did not agree.
    pub(crate) mismatches: u32,
    /// Rounds that ended unequal, one after another: how long to wait for the next.
    pub(crate) failures: u32,
    /// When to do the next thing unasked, and what.
    pub(crate) due: Option<(Moment, Due)>,
    /// Whether both sides were found equal, and nothing came since.
    pub(crate) proved: Option<Moment>,
    /// What the peer listed in this round.
    pub(crate) listed: BTreeMap<DocumentId, DocState>,
    /// How far the peer's logs have been taken, ahead of what is stored.
    pub(crate) taken: Cursor,
    /// Ranges of the peer's logs taken out of order, to be joined when the gap closes.
    pub(crate) ahead: BTreeSet<(Position, u64)>,
    /// What the peer has announced, and what has come of it: changes and bytes.
    pub(crate) expected: Progress,
    pub(crate) received: Progress,
    /// What we announced, and what is out.
    pub(crate) announced: Progress,
    pub(crate) given: Progress,
    /// Why the last round ended unequal.
    pub(crate) trouble: Option<Reason>,
}

/// What to do when a scope's time has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// Open a new round.
    Round,
    /// Give our proof again.
    Proof,
}

/// An amount of record, known before it moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Documents touched.
    pub documents: u64,
    /// Runs: what one signature closes.
    pub runs: u64,
    /// Bytes of the runs.
    pub bytes: u64,
}

impl Link {
    /// A conversation that has just begun.
    pub(crate) fn new(peer: PublicKey, device: DeviceId, side: Side) -> Link {
        Link {
            peer,
            device,
            side,
            stage: Stage::Greeting,
            them: None,
            said: None,
            scopes: BTreeMap::new(),
            in_flight: 0,
            statements_told: 0,
            is_centre: false,
        }
    }
}

impl Talk {
    /// Begins a round: our row of it goes out now.
    pub(crate) fn begin(&mut self, round: u32, heads: &Cursor) {
        self.round = round;
        self.answered = false;
        self.row_heads = heads.clone();
        self.fill = Fill::default();
        self.exact = false;
        self.restart();
    }

    /// Forgets the markers and proofs of the round before.
    pub(crate) fn restart(&mut self) {
        self.sent = false;
        self.they_sent = false;
        self.their_proof = None;
        self.proof_said = None;
        self.mismatches = 0;
        self.listed.clear();
        self.due = None;
        self.proved = None;
    }

    /// Notes that the peer's log was taken from `from` (exclusive) to `to`; answers whether the
    /// cursor moved. Live entries overtake a fill, so a range may have to wait for its gap.
    pub(crate) fn take(&mut self, from: Position, to: u64) -> bool {
        self.ahead.insert((from, to));
        let before = self.taken.number(&from.writer);
        let mut reached = before;
        self.ahead.retain(|(start, end)| {
            if start.writer != from.writer {
                return true;
            }
            if start.number <= reached {
                reached = reached.max(*end);
                return false;
            }
            true
        });
        reached > before && self.taken.advance(Position { writer: from.writer, number: reached })
    }

    /// Whether anything is still to be sent by the fill lane.
    pub(crate) fn has_fill(&self) -> bool {
        !self.fill.ranges.is_empty() || !self.fill.repairs.is_empty() || self.fill.marker_due
    }
}
