//! Admission, second half: what needs the document's rows.
//!
//! [`crate::verify`] has checked what bytes and directory alone can tell. Here an author's run is
//! checked against what is already held: that it is the next of its author's line, that what it
//! builds on is here or comes with it, that nobody else stands in its place. Header rows tell all of it; no document is
//! opened. The verdict is the same on every node that holds the same changes.

mod footing;
mod placed;

use std::collections::{BTreeMap, BTreeSet};

use document::preflight::{self, Header};
use names::{ActorId, ChangeHash, DocumentId, Incarnation, Reason, limits::CHANGE_ACTORS_MAX};
use protocol::codec;
use store::{Snapshot, StoreError, Table};

use crate::{
    branch::{self, Fork},
    bundle::Packer,
    draft::{Draft, unless_damaged},
    fold::fold,
    rows::{ActorRow, DocumentRow, HeadRow, IndexChange, IndexRow, LINES_PER_ROW, LogItem},
    verify::{VerifiedBundle, VerifiedLine},
};

pub(crate) use placed::{
    claim_of, kept_of, kept_placements, placement, ruled, standing_by, standing_of, told_in,
};

/// What became of something that asked to be admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is new and will be on disk when the turn is.
    Admitted,
    /// It was here before.
    Held,
    /// It was not taken; nothing of it was written.
    Refused(Reason),
}

/// Authors' lines one document may have: one per worker and opening of a store, twenty years of a
/// busy case.
const ACTORS_MAX: usize = CHANGE_ACTORS_MAX;

/// What became of a bundle.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Whether anything in it was new.
    pub(crate) admitted: bool,
    /// What was not taken: whose changes, up to which number, and why.
    pub(crate) refused: Vec<(ActorId, u64, Reason)>,
    /// Where lines in it part from those that are held.
    pub(crate) forks: Vec<Fork>,
    /// Why nothing of it was taken.
    pub(crate) nothing: Option<Reason>,
}

/// One author's changes in a bundle, and which of them may come in.
struct Candidate<'b> {
    line: &'b VerifiedLine,
    slot: Option<u64>,
    kept: Option<ActorRow>,
    /// Of the line's places those from here on are new,
    from: usize,
    /// and those below here may come in: always up to a signed head.
    to: usize,
    refused: Option<Reason>,
    fork: Option<Fork>,
}

impl Candidate<'_> {
    /// Lets only whole runs before this one of its changes come in.
    fn cut(&mut self, at: usize, reason: Reason) {
        let runs = self.line.runs.iter().map(|(count, _)| *count);
        self.to = runs.filter(|count| *count <= at).max().unwrap_or(0);
        self.to = self.to.max(self.from);
        self.refused = Some(reason);
    }

    fn takes(&self, at: usize) -> bool {
        self.from <= at && at < self.to
    }

    /// The line with what comes in.
    fn longer(&self) -> Option<ActorRow> {
        let mut runs = self.line.runs.iter();
        let (_, head) = runs.find(|(count, _)| *count == self.to)?;
        let kept = self.kept.as_ref();
        Some(ActorRow {
            actor: self.line.actor,
            device: head.device,
            worker: head.worker.clone(),
            seq: head.seq,
            hash: head.hash,
            centre: kept.map_or(0, |kept| kept.centre),
            at: head.floor,
            stretch: kept.map_or(0, |kept| kept.stretch),
            backed: kept.map_or(0, |kept| kept.backed),
        })
    }
}

/// Admits a bundle: of each author's changes as many whole runs as what is here allows; none of those
/// authors that are `ruled_out`.
pub(crate) fn bundle<P: Snapshot>(
    draft: &mut Draft<P>,
    bundle: &VerifiedBundle,
    origin: Option<Incarnation>,
    ruled_out: &BTreeSet<ActorId>,
) -> Result<Admission, StoreError> {
    let document = bundle.document();
    let mut admission = Admission::default();
    let Some(mut row) = draft.document(document)? else {
        admission.nothing = Some(Reason::NotPlaced);
        return Ok(admission);
    };
    let (mut candidates, mut lines) = (Vec::with_capacity(bundle.lines().len()), None);
    for line in bundle.lines() {
        let mut new = candidate(draft, &row, bundle, line, &mut lines)?;
        if ruled_out.contains(&line.actor) && new.fork.is_none() {
            new.from = 0;
            new.cut(0, Reason::Equivocation);
        }
        admission.forks.extend(new.fork);
        candidates.push(new);
    }
    let mut room = ACTORS_MAX.saturating_sub(row.actors.len());
    for new in candidates.iter_mut().filter(|new| new.slot.is_none()) {
        if room == 0 {
            new.cut(0, Reason::TooLarge);
        }
        room = room.saturating_sub(1);
    }
    // What nobody has signed, or all is held of, is not worth reading a document's whole index for.
    let has_news = |candidate: &Candidate<'_>| candidate.from < candidate.to;
    if candidates.iter().any(has_news) {
        footing::leave_out_unbuilt(draft, &row, bundle, &mut candidates)?;
    }
    for candidate in &candidates {
        if let Some(reason) = candidate.refused {
            let last = candidate.line.runs.last().map_or(0, |(_, head)| head.seq);
            admission.refused.push((candidate.line.actor, last, reason));
        }
    }
    admission.admitted = candidates.iter().any(has_news);
    if admission.admitted {
        write(draft, bundle, &mut row, &candidates, origin)?;
    }
    Ok(admission)
}

/// Where one author's changes go on from what is held, if they do.
fn candidate<'b, P: Snapshot>(
    draft: &mut Draft<P>,
    row: &DocumentRow,
    bundle: &'b VerifiedBundle,
    line: &'b VerifiedLine,
    lines: &mut Option<branch::Lines>,
) -> Result<Candidate<'b>, StoreError> {
    let document = bundle.document();
    let header = |at: usize| {
        line.places
            .get(at)
            .and_then(|place| bundle.headers().get(*place))
    };
    let slot = row.actors.iter().position(|actor| *actor == line.actor);
    let slot = slot.map(|slot| slot as u64);
    // A new author's line will stand in the row of the next slot, which may be none yet.
    let place = slot.unwrap_or(row.actors.len() as u64);
    let kept = match slot.is_none() && place.is_multiple_of(LINES_PER_ROW) {
        true => Some(None),
        false => unless_damaged(draft.line(document, place))?,
    };
    let (is_damaged, kept) = (kept.is_none(), kept.flatten());
    let held = kept.as_ref().map_or(0, |kept| kept.seq);
    let from = (0..line.places.len()).filter_map(header);
    let from = from.take_while(|header| header.seq <= held).count();
    let mut candidate = Candidate {
        line,
        slot,
        kept,
        from,
        to: line.places.len(),
        refused: None,
        fork: None,
    };
    if is_damaged {
        // It costs the authors of that row, and nobody who writes beside them.
        candidate.from = 0;
        candidate.cut(0, Reason::CannotOpen);
        return Ok(candidate);
    }
    // Each names the one before it, so the last one that should be held tells of all.
    let newest = candidate.kept.as_ref().map(|kept| kept.hash);
    if let Some(last) = from.checked_sub(1).and_then(header)
        && Some(last.hash) != newest
        && draft.change(document, row, &last.hash)?.is_none()
    {
        candidate.fork = fork(draft, (document, row), &candidate, header, lines)?;
        // What does not reach back to where it parts says nothing of it: more has to come.
        let reason = match candidate.fork {
            Some(_) => Reason::Equivocation,
            None => Reason::WrongSequence,
        };
        candidate.cut(0, reason);
        return Ok(candidate);
    }
    // Automerge writes the direct link and does not check it; without the check one signature
    // would not cover all before it (`reference/reliability.md` 5.1).
    let previous = candidate.kept.as_ref().map(|kept| (kept.seq, kept.hash));
    if let Some(Err(reason)) = header(from).map(|first| preflight::follows(first, previous)) {
        candidate.cut(0, reason);
    }
    Ok(candidate)
}

/// Where a line parts from the one that is held; none if that was before what has come of it. `lines` are
/// those held in the document, read once for a bundle.
fn fork<'h, P: Snapshot>(
    draft: &Draft<P>,
    (document, row): (DocumentId, &DocumentRow),
    candidate: &Candidate<'_>,
    header: impl Fn(usize) -> Option<&'h Header>,
    lines: &mut Option<branch::Lines>,
) -> Result<Option<Fork>, StoreError> {
    let lines = match lines {
        Some(lines) => lines,
        None => lines.insert(branch::lines_of(draft, document, row)?),
    };
    let held = candidate.slot.and_then(|slot| lines.get(&slot));
    let Some(held) = held else {
        return Ok(None);
    };
    let mut come = (0..candidate.from).filter_map(header);
    let first = come.find(|header| held.get(&header.seq) != Some(&header.hash));
    let Some((first, stands)) = first.and_then(|first| Some((first, held.get(&first.seq)?))) else {
        return Ok(None);
    };
    let before = first.seq.checked_sub(1).and_then(|seq| held.get(&seq));
    let is_next = first.seq == 1 || before.is_some_and(|before| first.deps.contains(before));
    let head = candidate.line.runs.last();
    Ok(head.filter(|_| is_next).map(|(_, head)| Fork {
        actor: candidate.line.actor,
        device: head.device,
        seq: first.seq,
        held: *stands,
    }))
}

/// Writes what comes in of a bundle.
fn write<P: Snapshot>(
    draft: &mut Draft<P>,
    bundle: &VerifiedBundle,
    row: &mut DocumentRow,
    candidates: &[Candidate<'_>],
    origin: Option<Incarnation>,
) -> Result<(), StoreError> {
    let document = bundle.document();
    let mut slots: BTreeMap<usize, u64> = BTreeMap::new();
    let mut lines: Vec<(u64, ActorRow)> = Vec::new();
    for candidate in candidates
        .iter()
        .filter(|candidate| candidate.from < candidate.to)
    {
        let slot = candidate.slot.unwrap_or_else(|| {
            row.actors.push(candidate.line.actor);
            row.actors.len() as u64 - 1
        });
        let new = candidate.line.places.get(candidate.from..candidate.to);
        slots.extend(new.unwrap_or_default().iter().map(|place| (*place, slot)));
        lines.extend(candidate.longer().map(|line| (slot, line)));
    }
    // What can fail comes before all other writes: the turn goes on without this bundle.
    draft.put_lines(document, lines)?;
    let (mut index, mut bytes) = (Vec::with_capacity(slots.len()), 0);
    for (place, slot) in &slots {
        let Some(header) = bundle.headers().get(*place) else {
            continue;
        };
        let deps: BTreeSet<&ChangeHash> = header.deps.iter().collect();
        row.heads.retain(|head| !deps.contains(&head.hash));
        row.heads.push(HeadRow {
            hash: header.hash,
            max_op: header.max_op,
        });
        bytes += header.bytes as u64;
        index.push(IndexChange {
            hash: header.hash,
            slot: *slot,
            seq: header.seq,
            max_op: header.max_op,
            bytes: header.bytes as u64,
            arrival: row.arrivals,
            origin: 0,
        });
    }
    row.heads.sort_unstable();
    let (arrival, changes) = (row.arrivals, index.len() as u64);
    row.arrivals += 1;
    row.loose += 1;
    row.changes += changes;
    row.bytes += bytes;
    draft.put_index(document, arrival, &IndexRow::from(origin, index));
    let kept = kept_part(bundle, |place| slots.contains_key(&place));
    draft.put_bytes(Table::Bundle, document.0, arrival, kept);
    fold(draft, document, row)?;
    draft.put_document(document, row)?;
    draft.put_bytes(Table::Stale, document.0, 0, Vec::new());
    draft.happened(document, LogItem::Bundle(arrival), origin, (changes, bytes));
    Ok(())
}

/// The bytes of a bundle, or of a part of it.
fn kept_part(bundle: &VerifiedBundle, kept: impl Fn(usize) -> bool) -> Vec<u8> {
    if (0..bundle.headers().len()).all(&kept) {
        return codec::encode(bundle.bundle());
    }
    let hashes: Vec<ChangeHash> = bundle.headers().iter().map(|header| header.hash).collect();
    let mut packer = Packer::new(bundle.document());
    packer.add(bundle.bundle().clone(), hashes, kept);
    packer
        .finish_with_every_head()
        .map(|(part, _)| codec::encode(&part))
        .unwrap_or_default()
}

/// An author's line in a document, by its actor.
pub(crate) fn line<P: Snapshot>(
    draft: &Draft<P>,
    document: DocumentId,
    actor: ActorId,
) -> Result<Option<(u64, ActorRow)>, StoreError> {
    let Some(row) = draft.document(document)? else {
        return Ok(None);
    };
    let Some(slot) = row.actors.iter().position(|known| *known == actor) else {
        return Ok(None);
    };
    let line = draft.line(document, slot as u64)?;
    Ok(line.map(|line| (slot as u64, line)))
}
