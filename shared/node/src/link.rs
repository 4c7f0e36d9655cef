//! What a node remembers of one conversation, for as long as it lasts.
//!
//! Nothing here is stored: a conversation that ends takes its memory with it, and the next one
//! begins from the cursors and digests that are on disk.
//!
//! A scope is compared in *rounds*. A side opens a round by sending its row of the table; the
//! other answers with its own row of the same round. Then both send what they believe the other
//! lacks, say `Sent`, and exchange proofs. A round whose proofs differ is followed by one in
//! which sketches or exact lists are compared, and so is one whose rows tell that no cursor knows
//! what differs. Data of an old round is still taken; only its markers are not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use names::{DeviceId, DocumentId, Incarnation, Moment, Nonce, Reason, ScopeId, StoreId};
use protocol::{
    digest::{Digest, DocState},
    directory::StatementId,
    log::{Cursor, Position},
    message::{Backups, Done, Frame, TableRow},
};

use crate::{
    exact,
    except::Exceptions,
    gather::{Lines, Repair},
    input::Side,
    output::Lane,
    progress::{Moved, Progress},
    repair::Sketching,
    transfer::HandIn,
    verify::Load,
};

/// Live ranges that may wait for a gap to close. Beyond it the cursor just stays behind, and the
/// next greeting sends a little twice.
const AHEAD_RANGES_MAX: usize = 1_024;

/// How long something may be under way without anything coming: far above a bad link's round trip.
const UNDER_WAY_MS: i64 = 5_000;
/// How long a disagreement may be put down to what is under way, in a scope that never rests.
const UNEQUAL_MAX_MS: i64 = 60_000;

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
    pub(crate) opening: Nonce,
    /// Its clock when it greeted, and ours when we read that.
    pub(crate) now: Moment,
    pub(crate) greeted: Moment,
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) device: DeviceId,
    pub(crate) side: Side,
    pub(crate) stage: Stage,
    pub(crate) them: Option<PeerStore>,
    /// How the two directories compare.
    pub(crate) directory: DirectoryTalk,
    /// What our greeting said; `None` until it is out.
    pub(crate) said: Option<Said>,
    /// What is going on in each scope that both sides may see.
    pub(crate) scopes: BTreeMap<ScopeId, Talk>,
    /// Fill frames sent and not yet acknowledged.
    pub(crate) in_flight: usize,
    /// The scope of the last one.
    pub(crate) filled: Option<ScopeId>,
    /// Batches sent, and how far lines written here go in those that were not yet answered. Only
    /// the centre's answers matter.
    pub(crate) batches: u64,
    pub(crate) unanswered: BTreeMap<u64, Lines>,
    /// What the centre has said that it holds, and how far it has taken our logs, where that is not
    /// yet written down.
    pub(crate) arrived: Lines,
    pub(crate) given: BTreeMap<ScopeId, Cursor>,
    /// How many statements, in our store's order, the peer need not be told again.
    pub(crate) statements_told: u64,
    /// Frames decided in this turn that go out once it is on disk.
    pub(crate) ready: Vec<(Lane, Frame)>,
    /// Live frames that overtook the greetings, until scopes are spoken of.
    pub(crate) early: Vec<Load>,
    pub(crate) early_bytes: usize,
    /// Whether more is to be said than one turn may say: the next turn goes on at once.
    pub(crate) unfinished: bool,
    /// The ids of the peer's statements, until all have come.
    pub(crate) their_ids: BTreeSet<StatementId>,
    /// Whether they were answered.
    pub(crate) ids_answered: bool,
    /// Whether the peer is the centre, whose word makes an entry *at the centre*.
    pub(crate) is_centre: bool,
    /// Whether it has answered a batch: then it has greeted.
    pub(crate) has_answered: bool,
    /// What is to be handed in to it of documents that have left, and in which scope.
    pub(crate) hand_ins: VecDeque<(ScopeId, Repair)>,
    /// How far each document is with that.
    pub(crate) handed_in: BTreeMap<DocumentId, HandIn>,
    /// What it last said of its backups.
    pub(crate) backups: Option<Backups>,
    /// Whether another copy of its store is known to run.
    pub(crate) is_twice: bool,
}

/// What our greeting said, to be compared with theirs.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) directory: Digest,
    pub(crate) root: Digest,
    /// How far our logs went in each scope when we said it.
    pub(crate) heads: BTreeMap<ScopeId, Cursor>,
    /// How many statements our directory had.
    pub(crate) statements: u64,
    /// The next number of our outbox: what comes later was not in the root.
    pub(crate) outbox: u64,
}

/// What each side has said of its directory. There are no rounds: statements go to and fro as
/// they come, and whoever's digest has changed says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DirectoryTalk {
    /// Our digest as the peer was last told it, and the peer's as it last told us.
    pub(crate) told: Option<Digest>,
    pub(crate) theirs: Option<Digest>,
    /// When both were found equal, if neither has changed since.
    pub(crate) proved: Option<Moment>,
}

/// What is still to be sent of what was missed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fill {
    /// Log ranges, one per writing process: what was sent last, and where it ends.
    pub(crate) ranges: VecDeque<(Position, u64)>,
    /// How far documents met in these ranges were sent, in arrivals.
    pub(crate) done: BTreeMap<DocumentId, u64>,
    /// Documents whose differing parts are to be sent, with what the peer has of them.
    pub(crate) repairs: VecDeque<Repair>,
    /// Whether `Sent` has to follow.
    pub(crate) marker_due: bool,
}

/// The conversation about one scope.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// The round our last row opened or answered; 0 when the greetings' roots were equal.
    pub(crate) round: u32,
    /// Whether our row of this round has to go out.
    pub(crate) row_due: bool,
    /// Our row and the peer's of this round, until the round is opened with them.
    pub(crate) our_row: Option<TableRow>,
    pub(crate) their_row: Option<TableRow>,
    /// How far our logs have been handed to the peer, or will be by the fill; `None` until the
    /// peer knows where we stand. What comes later goes live.
    pub(crate) told: Option<Cursor>,
    /// The last position of our logs that a frame to the peer reached, or the fill will reach.
    pub(crate) covered: Cursor,
    pub(crate) fill: Fill,
    /// Whether our and their `Sent` of this round have been said.
    pub(crate) sent: bool,
    pub(crate) they_sent: bool,
    /// Whether this round compares exact lists.
    pub(crate) exact: bool,
    /// How far cells of sketches have gone.
    pub(crate) sketching: Sketching,
    /// The member from which our list goes on, while it is going out (the dialling side).
    pub(crate) list_next: Option<u64>,
    /// What the peer listed in this round and was not yet compared.
    pub(crate) listed: BTreeMap<DocumentId, DocState>,
    /// Our member from which a complete list is compared (the other side), and what was found.
    pub(crate) compare_next: Option<u64>,
    pub(crate) differing: BTreeSet<DocumentId>,
    /// Documents of which the peer is to be told what we have.
    pub(crate) differ_due: Option<exact::Due>,
    /// Documents that the peer has named in this round, and what that takes in bytes.
    pub(crate) named: usize,
    pub(crate) named_bytes: usize,
    /// Whether the last of the peer's differences has come, or ours are complete.
    pub(crate) differ_last: bool,
    /// The peer's proof of this round, not yet judged.
    pub(crate) their_proof: Option<Done>,
    /// Whether our proof has to go out, and whether the peer is to answer it.
    pub(crate) proof_due: bool,
    pub(crate) ask_due: bool,
    pub(crate) proof_said: bool,
    /// Whether both sides were found equal in this round: a later difference came from live
    /// frames, and cursors may mend it.
    pub(crate) was_equal: bool,
    /// Frames of this round with changes or placements in them: said to the peer, and come from it.
    pub(crate) frames_said: u64,
    pub(crate) frames_come: u64,
    /// Since when proofs disagree while something is still under way.
    pub(crate) unequal: Option<Unequal>,
    /// Rounds that ended unequal, one after another.
    pub(crate) failures: u32,
    /// When to do the next thing unasked, and what.
    pub(crate) due: Option<(Moment, Due)>,
    /// When both sides were found equal, if nothing has come since.
    pub(crate) proved: Option<Moment>,
    /// How far the peer's logs have been taken.
    pub(crate) taken: Cursor,
    /// How far they had been before this conversation, until its first row has come.
    pub(crate) taken_before: Option<Cursor>,
    /// Ranges of the peer's logs taken out of order, to be joined when the gap closes.
    pub(crate) ahead: BTreeSet<(Position, u64)>,
    /// What the peer has announced, and what has come of it.
    pub(crate) expected: Progress,
    pub(crate) received: Moved,
    /// Whether the cursors have nothing to move, by both first rows, though the digests disagree:
    /// what differs is then looked for at once (the dialling side).
    pub(crate) hint_is_void: bool,
    pub(crate) repair_due: bool,
    /// What is being measured, to be announced; and what we announced, and what is out.
    pub(crate) measure: Option<Measure>,
    pub(crate) announced: Progress,
    pub(crate) given: Moved,
    /// Why the last round ended unequal.
    pub(crate) trouble: Option<Reason>,
    /// Documents of which something was refused in this conversation, by either side, and why.
    pub(crate) refused: BTreeMap<DocumentId, Reason>,
    /// What both sides last agreed to differ in.
    pub(crate) exceptions: Exceptions,
    /// When to look whether an exception has ended that something still to come may end.
    pub(crate) look_again: Option<Moment>,
    /// Documents of this conversation whose placement can never be taken here.
    pub(crate) unplaceable: BTreeSet<DocumentId>,
}

/// Since when two sides disagree, and since when without anything having arrived on either.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unequal {
    first: Moment,
    since: Moment,
    /// Frames that had come here, and to the peer, by then.
    come: u64,
    seen: u64,
}

/// How much is still to be measured of what a peer lacks.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub(crate) ranges: VecDeque<(Position, u64)>,
    pub(crate) documents: BTreeSet<DocumentId>,
    pub(crate) found: Progress,
}

/// What to do when a scope's time has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// Open a new round.
    Round,
    /// Give our proof again.
    Proof,
}

impl Link {
    /// A conversation that has just begun.
    pub(crate) fn new(device: DeviceId, side: Side) -> Link {
        Link {
            device,
            side,
            stage: Stage::Greeting,
            them: None,
            directory: DirectoryTalk::default(),
            said: None,
            scopes: BTreeMap::new(),
            in_flight: 0,
            filled: None,
            batches: 0,
            unanswered: BTreeMap::new(),
            arrived: Lines::new(),
            given: BTreeMap::new(),
            statements_told: 0,
            ready: Vec::new(),
            early: Vec::new(),
            their_ids: BTreeSet::new(),
            ids_answered: false,
            early_bytes: 0,
            unfinished: false,
            is_centre: false,
            has_answered: false,
            hand_ins: VecDeque::new(),
            handed_in: BTreeMap::new(),
            backups: None,
            is_twice: false,
        }
    }

    /// In which opening of its store the peer speaks, and what it says of its backups there.
    pub(crate) fn backed_up(&self) -> Option<(Nonce, Backups)> {
        Some((self.them?.opening, self.backups?))
    }

    /// Whether what was missed here is still on its way, or not yet proved to be all.
    pub(crate) fn is_filling(&self) -> bool {
        self.scopes
            .values()
            .any(|talk| talk.round > 0 && !talk.was_equal && talk.trouble.is_none())
    }
}

impl Talk {
    /// Begins a round in which both sides send their rows.
    pub(crate) fn begin(&mut self, round: u32) {
        self.restart(round);
        self.exact = false;
        self.row_due = true;
    }

    /// Begins a round in which sketches or exact lists are compared.
    pub(crate) fn begin_exact(&mut self, round: u32) {
        // What is compared may overtake the row that it follows, on a stream of its own. The peer
        // has ours then, and knows where we stand.
        if let Some(ours) = self.our_row.take().filter(|_| self.told.is_none()) {
            self.covered = ours.mine.clone();
            self.told = Some(ours.mine);
        }
        self.restart(round);
        self.exact = true;
    }

    /// Follows the dialling side into a round in which it compares, if it is not in it. Both may have
    /// opened a round of the same number; that of the dialling side counts. Answers whether it is in
    /// it now.
    pub(crate) fn follow_exact(&mut self, round: u32) -> bool {
        if round > self.round || (round == self.round && !self.exact) {
            self.begin_exact(round);
        }
        self.exact && self.round == round
    }

    /// Forgets the markers, lists and proofs of the round before.
    fn restart(&mut self, round: u32) {
        self.round = round;
        self.row_due = false;
        self.our_row = None;
        self.their_row = None;
        self.fill = Fill::default();
        self.sent = false;
        self.they_sent = false;
        self.sketching = Sketching::default();
        self.list_next = None;
        self.listed.clear();
        self.compare_next = None;
        self.differing.clear();
        self.differ_due = None;
        self.named = 0;
        self.named_bytes = 0;
        self.measure = None;
        self.unequal = None;
        self.frames_said = 0;
        self.frames_come = 0;
        self.differ_last = false;
        self.their_proof = None;
        self.proof_due = false;
        self.ask_due = false;
        self.proof_said = false;
        self.was_equal = false;
        self.look_again = None;
        self.hint_is_void = false;
        self.repair_due = false;
        self.due = None;
        self.proved = None;
        self.expected = Progress::default();
        self.received = Moved::default();
        self.announced = Progress::default();
        self.given = Moved::default();
    }

    /// Notes that both sides are equal.
    pub(crate) fn equal(&mut self, now: Moment) {
        // A peer that waits for our marker judges nothing until it has come, so one that is
        // still owed goes out. Between equal greetings there are no markers.
        self.fill.marker_due |= !self.sent && self.round > 0;
        self.sent |= self.round == 0;
        self.they_sent = true;
        self.proved = Some(now);
        self.was_equal = true;
        self.their_proof = None;
        self.failures = 0;
        self.unequal = None;
        self.due = None;
        self.trouble = None;
        self.exceptions.clear();
        self.refused.clear();
        self.look_again = None;
        self.ahead.clear();
        self.received.end_round();
        self.given.end_round();
    }

    /// Whether a disagreement means nothing yet: the peer's proof was given before all of ours had
    /// come to it (`is_late`), or after something of its own that has not come here. Frames do come,
    /// so this ends; should the two sides count differently, it ends all the same.
    pub(crate) fn is_under_way(&mut self, proof: &Done, is_late: bool, now: Moment) -> bool {
        let is_late = is_late || proof.seen < self.frames_said || self.has_fill();
        let moving = is_late || self.frames_come < proof.said;
        let (come, seen) = (self.frames_come, proof.seen);
        let first = self.unequal.map_or(now, |known| known.first);
        let still = |known: &Unequal| known.come == come && known.seen == seen;
        let since = self.unequal.filter(still).map_or(now, |known| known.since);
        self.unequal = Some(Unequal {
            first,
            since,
            come,
            seen,
        });
        // A long fill is no disagreement, however slow the link: both sides judge once all is sent.
        let is_patient = now < since.plus_ms(UNDER_WAY_MS) && now < first.plus_ms(UNEQUAL_MAX_MS);
        moving && (is_patient || self.has_fill())
    }

    /// Whether something that the peer had said before its proof has not come yet.
    pub(crate) fn is_behind(&self, proof: &Done) -> bool {
        self.frames_come < proof.said
    }

    /// Notes that the peer's log was taken from `from` (exclusive) to `to`; answers whether the
    /// cursor moved. Live entries overtake a fill, so a range may have to wait for its gap.
    pub(crate) fn take(&mut self, from: Position, to: u64) -> bool {
        let before = self.taken.number(&from.writer);
        if before == 0 && self.taken.is_full() {
            return false;
        }
        let joins = from.number <= before;
        if !joins && self.ahead.len() < AHEAD_RANGES_MAX {
            self.ahead.insert((from, to));
        }
        let mut reached = if joins { before.max(to) } else { before };
        self.ahead.retain(|(start, end)| {
            let joins = start.writer == from.writer && start.number <= reached;
            if joins {
                reached = reached.max(*end);
            }
            !joins
        });
        self.taken.advance(Position {
            writer: from.writer,
            number: reached,
        })
    }

    /// Whether anything has come or gone in this round.
    pub(crate) fn has_moved(&self) -> bool {
        self.received.is_some() || self.given.is_some()
    }

    /// Whether anything is still to be sent by the fill lane.
    pub(crate) fn has_fill(&self) -> bool {
        !self.fill.ranges.is_empty() || !self.fill.repairs.is_empty() || self.fill.marker_due
    }
}
