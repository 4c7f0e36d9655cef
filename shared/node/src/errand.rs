//! What a shell has to have kept or done that is no command of a person's: rows of its own, and
//! what a revoked device hands in.
//!
//! A revoked device may not synchronise, and what it wrote before it knew must not die with its
//! keys. It hands its unsent runs in as opaque parts, which the centre keeps unread; when a person
//! lets them in, each passes the one door (`verify`) like everything else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use names::{ActorId, DeviceId, DocumentId, Moment, Reason, ScopeId, limits::TURN_BYTES_MAX};
use protocol::{
    codec,
    directory::HandedInLine,
    message::Frame,
    narrow::{PART_BYTES_MAX, PartName},
};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    admit::{self, Judge, Verdict},
    draft::{read_row, unless_damaged},
    gather::{Audience, Gathering, Repair},
    node::Node,
    rows::{ActorRow, DocumentRow, KeptPart, OutboxRow, ReviewRow},
    transfer::read_transfers,
    turn::Turn,
    verify::{Checked, VerifiedFrame},
};

/// Parts of one device that wait for a person: sixteen times what a site writes in a month
/// without the centre, and no more than a disk can spare for a device that is not trusted.
const REVIEW_PARTS_MAX: usize = 256;
/// Their bytes.
const REVIEW_BYTES_MAX: u64 = 64 << 20;

/// What a shell asks of its node.
#[derive(Debug)]
pub enum Errand {
    /// Keep rows of the shell's own, in place of those under this name.
    Keep {
        /// Whose name no row of the node's has.
        name: &'static [u8],
        /// The rows, in order.
        values: Vec<Vec<u8>>,
    },
    /// Keep a part that a revoked device hands in, unread.
    HandIn {
        /// The device, proven by the transport.
        device: DeviceId,
        /// The part: at most [`PART_BYTES_MAX`].
        part: Vec<u8>,
    },
    /// Let a part into the record that was handed in.
    LetIn {
        /// The device that handed it in.
        device: DeviceId,
        /// Where it is kept.
        position: u64,
        /// The part, verified.
        frame: Box<VerifiedFrame>,
    },
}

impl Errand {
    /// What it costs a turn: bytes and changes. A part may fill one.
    pub(crate) fn weight(&self) -> (usize, usize) {
        match self {
            Errand::Keep { values, .. } => (values.iter().map(Vec::len).sum(), 1),
            Errand::HandIn { part, .. } => (part.len(), 1),
            Errand::LetIn { .. } => (PART_BYTES_MAX, 1),
        }
    }
}

/// What came of an errand; all nought when it only kept something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ran {
    /// Bundles and placements of which something is new in the record.
    pub admitted: u64,
    /// Those that were there before.
    pub held: u64,
    /// Those that were not taken, by reason; their part is kept.
    pub refused: BTreeMap<Reason, u64>,
}

impl Ran {
    fn refuse(&mut self, reason: Reason) {
        *self.refused.entry(reason).or_default() += 1;
    }
}

/// How much of one device waits for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Parts.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl<S: Store> Node<S> {
    pub(crate) fn run_errand(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        errand: Errand,
    ) -> Result<Result<Ran, Reason>, StoreError> {
        match errand {
            Errand::Keep { name, values } => keep(turn, name, values),
            Errand::HandIn { device, part } => hand_in(turn, device, part),
            Errand::LetIn {
                device,
                position,
                frame,
            } => self.let_in(turn, device, position, *frame),
        }
    }

    /// Admits a part like any other frame, whatever scopes its documents stand in by now: losing
    /// a scope stops reading, never handing in.
    fn let_in(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
        position: u64,
        frame: VerifiedFrame,
    ) -> Result<Result<Ran, Reason>, StoreError> {
        let Checked::Load(load) = frame.0 else {
            return Ok(Err(Reason::Malformed));
        };
        let mut ran = Ran::default();
        for rejected in &load.rejected {
            ran.refuse(rejected.reason);
        }
        let directory = self.directory();
        let judge = Judge {
            directory: &directory,
            is_centre: self.is_centre(),
        };
        for placement in &load.placements {
            let document = placement.placement().document;
            let verdict = admit::placement(&mut turn.draft, &judge, placement, None);
            match unless_damaged(verdict)? {
                Some(Verdict::Admitted) => {
                    ran.admitted += 1;
                    unless_damaged(self.owe_rulings(turn, document))?;
                }
                Some(Verdict::Held) => ran.held += 1,
                Some(Verdict::Refused(reason)) => ran.refuse(reason),
                None => ran.refuse(Reason::CannotOpen),
            }
        }
        for bundle in &load.bundles {
            let heads = bundle.lines().iter().flat_map(|line| &line.runs);
            if !{ heads }.all(|(_, head)| head.device == device) {
                ran.refuse(Reason::NotAllowed);
                continue;
            }
            let admission = admit::bundle(&mut turn.draft, bundle, None);
            let Some(admission) = unless_damaged(admission)? else {
                ran.refuse(Reason::CannotOpen);
                continue;
            };
            if admission.admitted {
                ran.admitted += 1;
                self.stale.insert(bundle.document());
            } else if admission.nothing.is_none() && admission.refused.is_empty() {
                ran.held += 1;
            }
            let refused = admission.refused.into_iter().map(|(_, _, reason)| reason);
            admission
                .nothing
                .into_iter()
                .chain(refused)
                .for_each(|reason| ran.refuse(reason));
        }
        for (reason, count) in &ran.refused {
            *self.counters.entry(*reason).or_default() += count;
        }
        if ran.refused.is_empty() {
            forget(turn, device, position)?;
        }
        Ok(Ok(ran))
    }
}

fn keep<P: Snapshot>(
    turn: &mut Turn<P>,
    name: &'static [u8],
    values: Vec<Vec<u8>>,
) -> Result<Result<Ran, Reason>, StoreError> {
    let bytes: usize = values.iter().map(Vec::len).sum();
    if bytes > TURN_BYTES_MAX {
        return Ok(Err(Reason::TooLarge));
    }
    let before = turn
        .draft
        .snapshot()
        .range(Table::Meta, name, 0, usize::MAX)?;
    for (position, _) in before {
        turn.draft.delete(Table::Meta, name, position);
    }
    for (position, value) in (0..).zip(values) {
        turn.draft.put_bytes(Table::Meta, name, position, value);
    }
    Ok(Ok(Ran::default()))
}

/// Keeps a part. The same part twice is one: a device that was cut off hands everything in again.
fn hand_in<P: Snapshot>(
    turn: &mut Turn<P>,
    device: DeviceId,
    part: Vec<u8>,
) -> Result<Result<Ran, Reason>, StoreError> {
    if part.len() > PART_BYTES_MAX {
        return Ok(Err(Reason::TooLarge));
    }
    let row: Option<ReviewRow> = turn.draft.row(Table::Review, device.as_ref(), 0)?;
    let mut row = row.unwrap_or_default();
    let (name, bytes) = (PartName::of(&part), part.len() as u64);
    if row.parts.iter().any(|kept| kept.name == name) {
        return Ok(Ok(Ran::default()));
    }
    let all: u64 = row.parts.iter().map(|kept| kept.bytes).sum();
    if row.parts.len() >= REVIEW_PARTS_MAX || all + bytes > REVIEW_BYTES_MAX {
        return Ok(Err(Reason::TooLarge));
    }
    row.last += 1;
    row.parts.push(KeptPart {
        position: row.last,
        name,
        bytes,
    });
    turn.draft
        .put_bytes(Table::Review, device.0, row.last, part);
    turn.draft.put(Table::Review, device.0, 0, &row);
    Ok(Ok(Ran::default()))
}

/// Forgets a part whose content is in the record.
fn forget<P: Snapshot>(
    turn: &mut Turn<P>,
    device: DeviceId,
    position: u64,
) -> Result<(), StoreError> {
    let row: Option<ReviewRow> = turn.draft.row(Table::Review, device.as_ref(), 0)?;
    let mut row = row.unwrap_or_default();
    row.parts.retain(|kept| kept.position != position);
    turn.draft.delete(Table::Review, device.0, position);
    turn.draft.put(Table::Review, device.0, 0, &row);
    Ok(())
}

/// How much of a device waits for a person.
///
/// # Errors
/// When the store cannot be read.
pub fn waiting<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<Waiting, StoreError> {
    let row: Option<ReviewRow> = read_row(snapshot, Table::Review, device.as_ref(), 0)?;
    let parts = row.unwrap_or_default().parts;
    Ok(Waiting {
        parts: parts.len() as u64,
        bytes: parts.iter().map(|kept| kept.bytes).sum(),
    })
}

/// The parts of a device that wait for a person, with where each is kept.
///
/// # Errors
/// When the store cannot be read.
pub fn handed_in<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    snapshot.range(Table::Review, device.as_ref(), 1, REVIEW_PARTS_MAX)
}

/// All that a device wrote and the centre has not said it holds, in parts: each is a frame as a
/// fill would have sent it.
///
/// # Errors
/// When the store cannot be read.
pub fn unsent<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut documents = BTreeSet::new();
    store::each(snapshot, Table::Outbox, |row| {
        documents.extend(codec::decode::<OutboxRow>(&row.value).map(|kept| kept.document));
    })?;
    let (parted, _) = read_transfers(snapshot)?;
    let audience = Audience {
        parted: &parted,
        is_centre: true,
    };
    let mut lacking: BTreeMap<ScopeId, VecDeque<Repair>> = BTreeMap::new();
    for document in documents {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let Some((row, scope)) = row.and_then(|row| Some((row.clone(), spoken_in(&row)?))) else {
            continue;
        };
        let mut reached = BTreeMap::new();
        for (slot, actor) in (0..).zip(&row.actors) {
            let line = read_row(snapshot, Table::Actor, document.as_ref(), slot);
            let line: Option<ActorRow> = unless_damaged(line)?.flatten();
            let own = line.filter(|line| line.device == device);
            reached.insert(*actor, own.map_or(u64::MAX, |line| line.centre));
        }
        let repair = Repair::beyond(document, reached);
        lacking.entry(scope).or_default().push_back(repair);
    }
    let mut parts = Vec::new();
    for (scope, mut repairs) in lacking {
        while !repairs.is_empty() {
            let mut gathering = Gathering::new(&scope, audience);
            while let Some(repair) = repairs.front_mut() {
                if !gathering.take_repair(snapshot, repair)? {
                    break;
                }
                repairs.pop_front();
            }
            if !gathering.is_empty() {
                let (batch, _) = gathering.into_repair(0);
                parts.push(Frame::Fill(batch).encode());
            }
        }
    }
    Ok(parts)
}

/// A scope in which a document may be spoken of with the centre: one that it is in, or while a
/// ruling on where that is has not come, one that it has left.
fn spoken_in(row: &DocumentRow) -> Option<ScopeId> {
    let left = row.left.first().map(|left| &left.scope);
    row.placed.first().or(left).cloned()
}

/// Those of these stretches that are not here, cut to what is not.
///
/// # Errors
/// When the store cannot be read.
pub fn beyond<P: Snapshot>(
    snapshot: &P,
    lines: &[HandedInLine],
) -> Result<Vec<HandedInLine>, StoreError> {
    let mut new = Vec::new();
    for line in lines {
        let here = reach(snapshot, line.document, line.actor)?;
        if line.last > here {
            let first = line.first.max(here + 1);
            new.push(HandedInLine { first, ..*line });
        }
    }
    Ok(new)
}

/// How far an author's line goes here; 0 when there is none.
fn reach<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    actor: ActorId,
) -> Result<u64, StoreError> {
    let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
    let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
    let slot = row.and_then(|row| row.actors.iter().position(|known| *known == actor));
    let Some(slot) = slot else { return Ok(0) };
    let line = read_row(snapshot, Table::Actor, document.as_ref(), slot as u64);
    let line: Option<ActorRow> = unless_damaged(line)?.flatten();
    Ok(line.map_or(0, |line| line.seq))
}

/// When the last entry of a device that is here was written, by its own clock; none when there is
/// none of it. Looks through every author's line: for a rare question of an operator's.
///
/// # Errors
/// When the store cannot be read.
pub fn written_until<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
) -> Result<Option<Moment>, StoreError> {
    let mut latest = None;
    store::each(snapshot, Table::Actor, |row| {
        let line = codec::decode::<ActorRow>(&row.value);
        if let Some(line) = line.ok().filter(|line| line.device == device) {
            latest = latest.max(Some(line.at));
        }
    })?;
    Ok(latest)
}

impl VerifiedFrame {
    /// Whose lines the changes in it continue, and how far.
    pub fn lines(&self) -> Vec<HandedInLine> {
        let Checked::Load(load) = &self.0 else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        for bundle in &load.bundles {
            let seq = |place: &usize| bundle.headers().get(*place).map(|header| header.seq);
            for line in bundle.lines() {
                let first = line.places.first().and_then(seq);
                let last = line.places.last().and_then(seq);
                if let (Some(first), Some(last)) = (first, last) {
                    lines.push(HandedInLine {
                        document: bundle.document(),
                        actor: line.actor,
                        first,
                        last,
                    });
                }
            }
        }
        lines
    }
}
