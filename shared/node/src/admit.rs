//! Admission, second half: what needs the document's rows.
//!
//! [`crate::verify`] has checked what bytes and directory alone can tell. Here a run is checked
//! against what is already held: that it is the next of its author's line, that what it builds on
//! is here, that nobody else stands in its place. Header rows tell all of it; no document is
//! opened. The verdict is the same on every node that holds the same changes.

use std::collections::{BTreeMap, BTreeSet};

use document::preflight;
use names::{ActorId, ChangeHash, DocumentId, Incarnation, Reason, limits::CHANGE_ACTORS_MAX};
use protocol::{
    directory::Directory,
    placement::{Placement, PlacementId, SignedPlacement, standing},
};
use store::{Snapshot, StoreError, Table};

use crate::{
    draft::{Draft, damaged, read_row, unless_damaged},
    rows::{ActorRow, ChangeRow, DocumentRow, LogItem, change_name},
    verify::{VerifiedPlacement, VerifiedRun},
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

/// Placements one document may have. It is placed once, and given to another scope a few times in
/// its life.
const PLACEMENTS_MAX: u64 = 64;
/// Authors' lines one document may have: one per worker and opening of a store, twenty years of a
/// busy case.
const ACTORS_MAX: usize = CHANGE_ACTORS_MAX;

/// Admits a placement. The first one of a document makes its header row.
pub(crate) fn placement<P: Snapshot>(
    draft: &mut Draft<P>,
    directory: &Directory,
    placement: &VerifiedPlacement,
    origin: Option<Incarnation>,
) -> Result<Verdict, StoreError> {
    let claim = placement.placement();
    let document = claim.document;
    let Some(genesis) = document::genesis::genesis(claim.kind) else {
        return Ok(Verdict::Refused(Reason::NoCommonVersion));
    };
    let mut row = draft
        .document(document)?
        .unwrap_or_else(|| DocumentRow::new(claim.kind, genesis.hash));
    if row.kind != claim.kind {
        return Ok(Verdict::Refused(Reason::Malformed));
    }
    let mut known = BTreeMap::new();
    for number in 0..row.placement_count {
        let kept: Option<SignedPlacement> =
            draft.row(Table::Placement, document.as_ref(), number)?;
        known.extend(kept.map(|kept| claim_of(&kept)).transpose()?);
    }
    if known.contains_key(&placement.id()) {
        return Ok(Verdict::Held);
    }
    if row.placement_count >= PLACEMENTS_MAX {
        return Ok(Verdict::Refused(Reason::TooLarge));
    }
    if let Some(previous) = &claim.previous {
        let Some(before) = known.get(previous) else {
            return Ok(Verdict::Refused(Reason::MissingDependency));
        };
        // Scopes can be added, by somebody who may place in those it stands in already; leaving
        // one is not possible yet.
        let keeps = before.scopes.is_subset(&claim.scopes);
        if !keeps || !directory.might_place(&claim.device, &before.scopes) {
            return Ok(Verdict::Refused(Reason::NotAllowed));
        }
    }
    known.insert(placement.id(), claim.clone());
    let number = row.placement_count;
    row.placement_count += 1;
    row.placements = standing(&known).into_iter().collect();
    let scopes: BTreeSet<_> = row
        .placements
        .iter()
        .filter_map(|id| known.get(id))
        .flat_map(|placement| placement.scopes.iter().cloned())
        .collect();
    row.placed = scopes.into_iter().collect();
    draft.put(Table::Placement, document.0, number, placement.signed());
    draft.put_document(document, &row)?;
    let item = if row.arrivals == 0 {
        LogItem::Placement(number)
    } else {
        LogItem::Whole(row.arrivals)
    };
    let bytes = usize::try_from(row.bytes).unwrap_or(usize::MAX);
    draft.happened(document, item, origin, bytes);
    Ok(Verdict::Admitted)
}

/// Admits a run: all its changes, or none of them.
pub(crate) fn run<P: Snapshot>(
    draft: &mut Draft<P>,
    run: &VerifiedRun,
    origin: Option<Incarnation>,
) -> Result<Verdict, StoreError> {
    let document = run.document();
    let Some(mut row) = draft.document(document)? else {
        return Ok(Verdict::Refused(Reason::NotPlaced));
    };
    let slot = row.actors.iter().position(|actor| *actor == run.actor());
    let line: Option<ActorRow> = match slot {
        Some(slot) => draft.row(Table::Actor, document.as_ref(), slot as u64)?,
        None => None,
    };
    if slot.is_none() && row.actors.len() >= ACTORS_MAX {
        return Ok(Verdict::Refused(Reason::TooLarge));
    }
    match place_in_line(draft, run, line.as_ref())? {
        Verdict::Admitted => {}
        other @ (Verdict::Held | Verdict::Refused(_)) => return Ok(other),
    }
    if let Err(reason) = check_dependencies(draft, run, &row)? {
        return Ok(Verdict::Refused(reason));
    }
    let slot = slot.unwrap_or_else(|| {
        row.actors.push(run.actor());
        row.actors.len() - 1
    });
    write_run(draft, run, &mut row, slot as u64, line.as_ref());
    let arrival = row.arrivals;
    row.arrivals += 1;
    draft.put_document(document, &row)?;
    draft.put_bytes(Table::Stale, document.0, 0, Vec::new());
    let item = LogItem::Run {
        arrival,
        slot: slot as u64,
        first: run.first().seq,
        last: run.head().seq,
    };
    draft.happened(document, item, origin, run.bytes().len());
    Ok(Verdict::Admitted)
}

/// Whether the run is the next of its author's line.
fn place_in_line<P: Snapshot>(
    draft: &Draft<P>,
    run: &VerifiedRun,
    line: Option<&ActorRow>,
) -> Result<Verdict, StoreError> {
    let first = run.first();
    if first.seq <= line.map_or(0, |line| line.seq) {
        let name = change_name(run.document(), &run.head().hash);
        let held = draft.row::<ChangeRow>(Table::Change, &name, 0)?.is_some();
        let verdict = if held {
            Verdict::Held
        } else {
            Verdict::Refused(Reason::Equivocation)
        };
        return Ok(verdict);
    }
    // Automerge writes the direct link and does not check it; without the check one signature
    // would not cover all before it (`reference/reliability.md` 5.1).
    if let Err(reason) = preflight::follows(first, line.map(|line| (line.seq, line.hash))) {
        return Ok(Verdict::Refused(reason));
    }
    // The signatures are chained too, so that none can be left out unnoticed.
    if run.head().previous == line.map(|line| line.signature) {
        Ok(Verdict::Admitted)
    } else {
        Ok(Verdict::Refused(Reason::WrongSequence))
    }
}

/// Whether everything the run builds on is here, and its operation counters come after.
fn check_dependencies<P: Snapshot>(
    draft: &Draft<P>,
    run: &VerifiedRun,
    row: &DocumentRow,
) -> Result<Result<(), Reason>, StoreError> {
    let genesis = document::genesis::genesis(row.kind);
    let mut within: Vec<(ChangeHash, u64)> = Vec::new();
    for header in run.headers() {
        let mut highest = 0;
        for dep in &header.deps {
            let fixed = genesis
                .filter(|fixed| fixed.hash == *dep)
                .map(|fixed| fixed.max_op);
            let own = within
                .iter()
                .find(|(hash, _)| hash == dep)
                .map(|(_, max_op)| *max_op);
            let max_op = match fixed.or(own) {
                Some(max_op) => Some(max_op),
                None => draft
                    .row::<ChangeRow>(Table::Change, &change_name(run.document(), dep), 0)?
                    .map(|change| change.max_op),
            };
            match max_op {
                Some(max_op) => highest = highest.max(max_op),
                None => return Ok(Err(Reason::MissingDependency)),
            }
        }
        let sound = preflight::suits(header, row.kind).and(preflight::continues(header, highest));
        if header.deps.is_empty() || sound.is_err() {
            return Ok(Err(Reason::Malformed));
        }
        within.push((header.hash, header.max_op));
    }
    Ok(Ok(()))
}

fn write_run<P: Snapshot>(
    draft: &mut Draft<P>,
    run: &VerifiedRun,
    row: &mut DocumentRow,
    slot: u64,
    line: Option<&ActorRow>,
) {
    let document = run.document();
    for header in run.headers() {
        row.heads.retain(|head| !header.deps.contains(head));
        row.heads.push(header.hash);
        let change = ChangeRow {
            slot,
            seq: header.seq,
            max_op: header.max_op,
        };
        draft.put(
            Table::Change,
            change_name(document, &header.hash),
            0,
            &change,
        );
    }
    row.heads.sort_unstable();
    row.changes += run.headers().len() as u64;
    row.bytes += run.bytes().len() as u64;
    let head = run.head();
    let line = ActorRow {
        actor: run.actor(),
        device: head.device,
        worker: head.worker.clone(),
        seq: head.seq,
        hash: head.hash,
        signature: run.signature(),
        centre: line.map_or(0, |line| line.centre),
    };
    draft.put(Table::Actor, document.0, slot, &line);
    draft.put_bytes(Table::Run, document.0, row.arrivals, run.bytes().to_vec());
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
    let line = draft.row(Table::Actor, document.as_ref(), slot as u64)?;
    Ok(line.map(|line| (slot as u64, line)))
}

/// Every placement kept of a document, by its id; a damaged one is passed over.
pub(crate) fn placement_ids<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    row: &DocumentRow,
) -> Result<Vec<PlacementId>, StoreError> {
    let mut ids = Vec::new();
    for number in 0..row.placement_count {
        let kept = read_row(snapshot, Table::Placement, document.as_ref(), number);
        let kept: Option<SignedPlacement> = unless_damaged(kept)?.flatten();
        let claim = kept
            .map(|kept| unless_damaged(claim_of(&kept)))
            .transpose()?;
        ids.extend(claim.flatten().map(|(id, _)| id));
    }
    Ok(ids)
}

/// What a placement that was admitted before says; nothing unverified ever comes to stand in a
/// store.
pub(crate) fn claim_of(kept: &SignedPlacement) -> Result<(PlacementId, Placement), StoreError> {
    kept.claim().map_err(|_| damaged(Table::Placement))
}
