//! Placements: which are admitted, and where a document stands by them.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, Incarnation, Reason, ScopeId};
use protocol::{
    directory::{Directory, Ruling},
    placement::{self, Placement, PlacementId, SignedPlacement, Stands, left, standing},
};
use store::{Snapshot, StoreError, Table};

use super::Verdict;
use crate::{
    draft::{Draft, damaged, read_row, unless_damaged},
    rows::{DocumentRow, HeadRow, Left},
    verify::VerifiedPlacement,
};

/// Placements one document may have. It is placed once, and given to another scope a few times in
/// its life.
const PLACEMENTS_MAX: u64 = 64;

/// Where a document stands.
pub(crate) struct Standing {
    pub(crate) stands: Stands,
    /// What has still to be ruled that it may be so everywhere. The centre owes these rulings.
    pub(crate) rulings: Vec<Ruling>,
}

/// Where a document with these placements, in order of arrival, stands.
pub(crate) fn standing_of(
    directory: &Directory,
    document: DocumentId,
    known: &[(PlacementId, Placement)],
) -> Standing {
    standing_by(document, known, |previous| {
        directory.ruling(document, previous)
    })
}

/// Where a document with these placements, in order of arrival, stands by what was ruled on them.
/// Where nobody has ruled, the first that came stands. At the centre that is the first that it has
/// witnessed, which it rules; at an edge it is mostly the same one, as an edge is told in that order:
/// a case is not taken from those who work on it while a ruling is on its way.
pub(crate) fn standing_by(
    document: DocumentId,
    known: &[(PlacementId, Placement)],
    ruled: impl Fn(Option<PlacementId>) -> Option<PlacementId>,
) -> Standing {
    let set: BTreeMap<PlacementId, Placement> = known.iter().cloned().collect();
    let mut rulings: Vec<Ruling> = Vec::new();
    loop {
        let stands = placement::stands(&set, |previous| {
            let own = rulings.iter().find(|ruling| ruling.previous == previous);
            ruled(previous).or(own.map(|ruling| ruling.stands))
        });
        // Each ruling closes a fork, so this ends.
        let fork = stands.open.first();
        let first = fork.and_then(|fork| {
            let mut ids = known.iter().map(|(id, _)| *id);
            Some((fork.previous, ids.find(|id| fork.branches.contains(id))?))
        });
        match first {
            Some((previous, stands)) => rulings.push(Ruling {
                document,
                previous,
                stands,
            }),
            None => return Standing { stands, rulings },
        }
    }
}

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
    let mut row = draft.document(document)?.unwrap_or_else(|| {
        DocumentRow::new(
            claim.kind,
            HeadRow {
                hash: genesis.hash,
                max_op: genesis.max_op,
            },
        )
    });
    if row.kind != claim.kind {
        return Ok(Verdict::Refused(Reason::Malformed));
    }
    let mut known = kept_placements(draft, document, &row)?;
    if known.iter().any(|(id, _)| *id == placement.id()) {
        return Ok(Verdict::Held);
    }
    if row.placement_count >= PLACEMENTS_MAX {
        return Ok(Verdict::Refused(Reason::TooLarge));
    }
    if let Some(previous) = &claim.previous {
        let Some((_, before)) = known.iter().find(|(id, _)| id == previous) else {
            return Ok(Verdict::Refused(Reason::MissingDependency));
        };
        // Where it goes is for those to say who may place where it is.
        if !directory.might_place(&claim.device, &before.scopes) {
            return Ok(Verdict::Refused(Reason::NotAllowed));
        }
        let root = known.iter().find_map(|(_, first)| first.root.as_ref());
        if let Err(reason) = claim.check_leaving(before, root) {
            return Ok(Verdict::Refused(reason));
        }
    }
    known.push((placement.id(), claim.clone()));
    let number = row.placement_count;
    row.placement_count += 1;
    draft.put(Table::Placement, document.0, number, placement.signed());
    stand(&mut row, directory, document, &known);
    draft.put_document(document, &row)?;
    draft.was_placed(document, number, origin);
    Ok(Verdict::Admitted)
}

/// Brings a header row up to date with where its document stands; answers whether that is elsewhere
/// than before.
fn stand(
    row: &mut DocumentRow,
    directory: &Directory,
    document: DocumentId,
    known: &[(PlacementId, Placement)],
) -> bool {
    let set: BTreeMap<PlacementId, Placement> = known.iter().cloned().collect();
    row.placements = standing(&set).into_iter().collect();
    let scopes = standing_of(directory, document, known).stands.scopes;
    let left = left(&set, &scopes).into_iter();
    row.left = left
        .map(|(scope, exits)| Left {
            scope,
            exits: exits.into_iter().collect(),
        })
        .collect();
    let before = std::mem::replace(&mut row.placed, scopes.into_iter().collect());
    before != row.placed
}

/// A ruling has come on placements of a document: it stands where that says.
pub(crate) fn ruled<P: Snapshot>(
    draft: &mut Draft<P>,
    directory: &Directory,
    document: DocumentId,
) -> Result<(), StoreError> {
    let Some(mut row) = draft.document(document)? else {
        return Ok(());
    };
    let known = kept_placements(draft, document, &row)?;
    if stand(&mut row, directory, document, &known) {
        draft.put_document(document, &row)?;
        let number = row.placement_count.saturating_sub(1);
        draft.was_placed(document, number, None);
    }
    Ok(())
}

/// A document's placements, in order of arrival.
pub(crate) fn kept_placements<P: Snapshot>(
    draft: &Draft<P>,
    document: DocumentId,
    row: &DocumentRow,
) -> Result<Vec<(PlacementId, Placement)>, StoreError> {
    let mut known = Vec::new();
    for number in 0..row.placement_count {
        let kept: Option<SignedPlacement> =
            draft.row(Table::Placement, document.as_ref(), number)?;
        known.extend(kept.map(|kept| claim_of(&kept)).transpose()?);
    }
    Ok(known)
}

/// A document's placements in a snapshot, by id; a damaged one is passed over.
pub(crate) fn kept_of<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    row: &DocumentRow,
) -> Result<BTreeMap<PlacementId, Placement>, StoreError> {
    let mut known = BTreeMap::new();
    for number in 0..row.placement_count {
        let kept = read_row(snapshot, Table::Placement, document.as_ref(), number);
        let kept: Option<SignedPlacement> = unless_damaged(kept)?.flatten();
        let claim = kept.map(|kept| unless_damaged(claim_of(&kept)));
        known.extend(claim.transpose()?.flatten());
    }
    Ok(known)
}

/// The placements kept of a document that those who speak of a scope may be told, by their ids:
/// all of them where it is in the scope.
pub(crate) fn told_in<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    row: &DocumentRow,
    scope: &ScopeId,
) -> Result<BTreeSet<PlacementId>, StoreError> {
    if row.placed.contains(scope) {
        return Ok(placement_ids(snapshot, document, row)?
            .into_iter()
            .collect());
    }
    if !row.has_left(scope) {
        return Ok(BTreeSet::new());
    }
    let known = kept_of(snapshot, document, row)?;
    Ok(placement::told_in(&known, scope))
}

/// Every placement kept of a document, by its id; a damaged one is passed over.
fn placement_ids<P: Snapshot>(
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
