//! What a revoked device hands in, and the queue in which it waits for a person.
//!
//! A revoked device may not synchronise, and what it wrote before it knew must not die with its
//! keys. It says how far every author's line goes that it holds, is told what the centre lacks of
//! that, and hands this in as opaque parts, which the centre keeps unread; when a person lets them
//! in, each passes the one door (`verify`) like everything else.
//!
//! The centre is asked because nothing that the device was told before is sure: a centre that came
//! back from a backup lacks what it had acknowledged, of others' lines as well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use names::{ActorId, DeviceId, DocumentId, Reason, ScopeId};
use protocol::{
    bundle::Bundle,
    codec,
    directory::HandedInLine,
    message::Frame,
    narrow::{PART_BYTES_MAX, PartName},
    placement::SignedPlacement,
};
use store::{Snapshot, StoreError, Table};

use crate::{
    draft::{Draft, decode_row, read_arrivals, read_row, unless_damaged},
    gather::{Audience, Gathering, Repair},
    lines::{self, read_line},
    rows::{DocumentRow, IndexRow, KeptPart, ReviewRow},
    transfer::read_transfers,
    verify::{Checked, VerifiedFrame},
};

/// Parts of one device that wait for a person: sixteen times what a site writes in a month
/// without the centre, and no more than a disk can spare for a device that is not trusted. What
/// was let in makes room for more.
pub const REVIEW_PARTS_MAX: usize = 256;
/// Their bytes.
const REVIEW_BYTES_MAX: u64 = 64 << 20;
/// Index rows read at once.
const INDEX_ROWS: usize = 64;
/// The end of a line that cannot be told, since the row that says it is damaged.
const NOT_KNOWN: u64 = u64::MAX;

/// How much of one device waits for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Parts.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where the last of them is kept.
    pub last: u64,
}

/// How far every author's line goes here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holding {
    /// Each from its first change on, a document's together. Where it ends cannot always be told.
    pub lines: Vec<HandedInLine>,
    /// Documents of which it could not be read.
    pub unread: u64,
}

/// What is to be handed in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HandIn {
    /// In parts: each is a frame as a fill would have sent it.
    pub parts: Vec<Vec<u8>>,
    /// Documents of which something could not be read that the centre lacks.
    pub unread: u64,
}

/// A device's parts that wait for a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Those that can be read, with where each is kept.
    pub parts: Vec<(u64, Vec<u8>)>,
    /// Those that cannot.
    pub unread: u64,
}

/// How far every author's line goes here, whoever wrote it.
///
/// # Errors
/// When the store cannot be read.
pub fn holding<P: Snapshot>(snapshot: &P) -> Result<Holding, StoreError> {
    let mut documents: Vec<(DocumentId, Vec<ActorId>)> = Vec::new();
    let mut unread = 0;
    unread += store::each(snapshot, Table::Document, |row| {
        let id = <[u8; 16]>::try_from(row.name.as_slice());
        match (id, codec::decode::<DocumentRow>(&row.value)) {
            (Ok(id), Ok(row)) => documents.push((DocumentId(id), row.actors)),
            (Ok(_) | Err(_), _) => unread += 1,
        }
    })?;
    let mut lines = Vec::new();
    for (document, actors) in documents {
        for (slot, actor) in (0..).zip(actors) {
            let line = unless_damaged(read_line(snapshot, document, slot))?.flatten();
            lines.push(HandedInLine {
                document,
                actor,
                first: 1,
                last: line.map_or(NOT_KNOWN, |line| line.seq),
            });
        }
    }
    Ok(Holding { lines, unread })
}

/// What is here of stretches that the centre lacks, in parts, whoever wrote it: what a device
/// wrote may build on what others did.
///
/// # Errors
/// When the store cannot be read.
pub fn lacking<P: Snapshot>(snapshot: &P, lines: &[HandedInLine]) -> Result<HandIn, StoreError> {
    let mut wanted: BTreeMap<DocumentId, BTreeMap<ActorId, HandedInLine>> = BTreeMap::new();
    for line in lines {
        let of = wanted.entry(line.document).or_default();
        of.insert(line.actor, *line);
    }
    let mut lacking: BTreeMap<ScopeId, VecDeque<Repair>> = BTreeMap::new();
    let mut unread = 0;
    for (document, wanted) in wanted {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let placed = row.and_then(|row| Some((spoken_in(&row)?, row)));
        let Some((scope, row)) = placed else {
            unread += 1;
            continue;
        };
        unread += u64::from(!is_whole(snapshot, document, &row, &wanted)?);
        let reached = row.actors.iter().map(|actor| {
            let first = wanted
                .get(actor)
                .map_or(u64::MAX, |line| line.first.saturating_sub(1));
            (*actor, first)
        });
        let repair = Repair::beyond(document, reached.collect());
        lacking.entry(scope).or_default().push_back(repair);
    }
    let parts = pack(snapshot, lacking)?;
    Ok(HandIn { parts, unread })
}

/// What this device wrote and no answer is known of, and the cases that it placed anew, beyond what
/// the centre has said that it lacks. By the numbers of their lines the centre cannot tell a branch
/// that it refused from the one that it holds, nor see a transfer at all.
///
/// # Errors
/// When the store cannot be read.
pub fn unanswered<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
    asked_for: &[HandedInLine],
) -> Result<HandIn, StoreError> {
    let (waiting, mut unread) = lines::waiting(snapshot, device)?;
    let mut placed: BTreeSet<DocumentId> = BTreeSet::new();
    unread += store::each(snapshot, Table::Placement, |row| {
        let claim = codec::decode::<SignedPlacement>(&row.value).and_then(|kept| kept.claim());
        let own = claim.map(|(_, claim)| claim).ok();
        let own = own.filter(|claim| claim.device == device && !claim.is_first());
        placed.extend(own.map(|claim| claim.document));
    })?;
    let mut lines = Vec::new();
    for (document, slot) in waiting {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let actor = usize::try_from(slot).ok();
        let actor = row.and_then(|row| row.actors.get(actor?).copied());
        let Some(actor) = actor else {
            unread += 1;
            continue;
        };
        let line = unless_damaged(read_line(snapshot, document, slot))?.flatten();
        let (first, last) = line.map_or((1, NOT_KNOWN), |line| (line.centre + 1, line.seq));
        let is_asked_for = asked_for.iter().any(|asked| {
            (asked.document, asked.actor) == (document, actor) && asked.first <= first
        });
        if !is_asked_for {
            lines.push(HandedInLine {
                document,
                actor,
                first,
                last,
            });
        }
    }
    let whole: BTreeSet<DocumentId> = asked_for
        .iter()
        .chain(&lines)
        .map(|line| line.document)
        .collect();
    let mut handed = lacking(snapshot, &lines)?;
    let mut repairs: BTreeMap<ScopeId, VecDeque<Repair>> = BTreeMap::new();
    for document in placed.difference(&whole).copied() {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let Some((scope, row)) = row.and_then(|row| Some((spoken_in(&row)?, row))) else {
            unread += 1;
            continue;
        };
        let nothing = row.actors.iter().map(|actor| (*actor, u64::MAX));
        let repair = Repair::beyond(document, nothing.collect());
        repairs.entry(scope).or_default().push_back(repair);
    }
    handed.parts.extend(pack(snapshot, repairs)?);
    handed.unread += unread;
    Ok(handed)
}

/// Repairs in parts.
fn pack<P: Snapshot>(
    snapshot: &P,
    repairs: BTreeMap<ScopeId, VecDeque<Repair>>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let (parted, _) = read_transfers(snapshot, |_| true)?;
    let audience = Audience {
        parted: &parted,
        is_centre: true,
    };
    let mut parts = Vec::new();
    for (scope, mut repairs) in repairs {
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

/// Whether all of these stretches of a document can be read, and where it stands.
fn is_whole<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    row: &DocumentRow,
    wanted: &BTreeMap<ActorId, HandedInLine>,
) -> Result<bool, StoreError> {
    for number in 0..row.placement_count {
        let placement = read_row(snapshot, Table::Placement, document.as_ref(), number);
        let placement: Option<SignedPlacement> = unless_damaged(placement)?.flatten();
        if placement.is_none() {
            return Ok(false);
        }
    }
    let mut found: BTreeMap<ActorId, BTreeSet<u64>> = BTreeMap::new();
    let mut next = 0;
    loop {
        let rows = read_arrivals(snapshot, Table::Index, document, next, INDEX_ROWS)?;
        let Some((last, _)) = rows.last() else { break };
        next = last + 1;
        for (position, bytes) in rows {
            let index = bytes.map(|bytes| decode_row::<IndexRow>(Table::Index, &bytes));
            let Some(Ok(index)) = index else {
                return Ok(false);
            };
            let changes = index.changes.iter().filter_map(|change| {
                let actor = row.actors.get(usize::try_from(change.slot).ok()?)?;
                let line = wanted.get(actor)?;
                (line.first..=line.last)
                    .contains(&change.seq)
                    .then_some((*actor, change.seq))
            });
            let changes: Vec<_> = changes.collect();
            if changes.is_empty() {
                continue;
            }
            let bundle = read_row(snapshot, Table::Bundle, document.as_ref(), position);
            let bundle: Option<Bundle> = unless_damaged(bundle)?.flatten();
            if bundle.is_none() {
                return Ok(false);
            }
            for (actor, seq) in changes {
                found.entry(actor).or_default().insert(seq);
            }
        }
    }
    let is_there = |(actor, line): (&ActorId, &HandedInLine)| {
        let count = found.get(actor).map_or(0, |found| found.len() as u64);
        line.last == NOT_KNOWN || count > line.last.saturating_sub(line.first)
    };
    Ok(wanted.iter().all(is_there))
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
    let line = unless_damaged(read_line(snapshot, document, slot as u64))?.flatten();
    Ok(line.map_or(0, |line| line.seq))
}

/// Keeps a part. The same part twice is one: a device that was cut off hands everything in again.
pub(crate) fn hand_in<P: Snapshot>(
    draft: &mut Draft<P>,
    device: DeviceId,
    part: Vec<u8>,
) -> Result<Result<(), Reason>, StoreError> {
    if part.len() > PART_BYTES_MAX {
        return Ok(Err(Reason::TooLarge));
    }
    let mut row = row_of(draft, device)?;
    let (name, bytes) = (PartName::of(&part), part.len() as u64);
    if row.parts.iter().any(|kept| kept.name == name) {
        return Ok(Ok(()));
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
    draft.put_bytes(Table::Review, device.0, row.last, part);
    draft.put(Table::Review, device.0, 0, &row);
    Ok(Ok(()))
}

/// Forgets a part whose content is in the record.
pub(crate) fn forget<P: Snapshot>(
    draft: &mut Draft<P>,
    device: DeviceId,
    position: u64,
) -> Result<(), StoreError> {
    let mut row = row_of(draft, device)?;
    row.parts.retain(|kept| kept.position != position);
    draft.delete(Table::Review, device.0, position);
    draft.put(Table::Review, device.0, 0, &row);
    Ok(())
}

/// Forgets every part up to this one, read or not.
pub(crate) fn discard<P: Snapshot>(
    draft: &mut Draft<P>,
    device: DeviceId,
    until: u64,
) -> Result<(), StoreError> {
    let mut row = row_of(draft, device)?;
    for kept in row.parts.iter().filter(|kept| kept.position <= until) {
        draft.delete(Table::Review, device.0, kept.position);
    }
    row.parts.retain(|kept| kept.position > until);
    draft.put(Table::Review, device.0, 0, &row);
    Ok(())
}

/// What is said of a device's parts, as this turn sees it.
fn row_of<P: Snapshot>(draft: &Draft<P>, device: DeviceId) -> Result<ReviewRow, StoreError> {
    match unless_damaged(draft.row(Table::Review, device.as_ref(), 0))? {
        Some(row) => Ok(row.unwrap_or_default()),
        None => rebuilt(draft.snapshot(), device),
    }
}

fn read<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<ReviewRow, StoreError> {
    match unless_damaged(read_row(snapshot, Table::Review, device.as_ref(), 0))? {
        Some(row) => Ok(row.unwrap_or_default()),
        None => rebuilt(snapshot, device),
    }
}

/// The row that says which parts there are, made again from them since it is damaged.
fn rebuilt<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<ReviewRow, StoreError> {
    let mut row = ReviewRow::default();
    store::each(snapshot, Table::Review, |kept| {
        if kept.name == device.as_ref() && kept.position > 0 {
            row.last = row.last.max(kept.position);
            row.parts.push(KeptPart {
                position: kept.position,
                name: PartName::of(&kept.value),
                bytes: kept.value.len() as u64,
            });
        }
    })?;
    Ok(row)
}

/// How much of a device waits for a person.
///
/// # Errors
/// When the store cannot be read.
pub fn waiting<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<Waiting, StoreError> {
    let parts = read(snapshot, device)?.parts;
    Ok(Waiting {
        parts: parts.len() as u64,
        bytes: parts.iter().map(|kept| kept.bytes).sum(),
        last: parts.iter().map(|kept| kept.position).max().unwrap_or(0),
    })
}

/// The parts of a device that wait for a person.
///
/// # Errors
/// When the store cannot be read.
pub fn kept<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<Kept, StoreError> {
    let mut all = Kept::default();
    for kept in read(snapshot, device)?.parts {
        let part = snapshot.get(Table::Review, device.as_ref(), kept.position);
        match unless_damaged(part)?.flatten() {
            Some(part) if PartName::of(&part) == kept.name => {
                all.parts.push((kept.position, part));
            }
            Some(_) | None => all.unread += 1,
        }
    }
    Ok(all)
}

/// Every device of which something waits.
///
/// # Errors
/// When the store cannot be read.
pub fn devices<P: Snapshot>(snapshot: &P) -> Result<BTreeSet<DeviceId>, StoreError> {
    let mut devices = BTreeSet::new();
    store::each(snapshot, Table::Review, |row| {
        devices.extend(<[u8; 16]>::try_from(row.name.as_slice()).map(DeviceId));
    })?;
    Ok(devices)
}

impl VerifiedFrame {
    /// Which lines of a device's the changes in it continue, and how far. What others wrote is no
    /// matter of this device's.
    pub fn lines_of(&self, device: DeviceId) -> Vec<HandedInLine> {
        let Checked::Load(load) = &self.0 else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        for bundle in &load.bundles {
            let seq = |place: &usize| bundle.headers().get(*place).map(|header| header.seq);
            for line in bundle.lines() {
                if !line.runs.iter().all(|(_, head)| head.device == device) {
                    continue;
                }
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
