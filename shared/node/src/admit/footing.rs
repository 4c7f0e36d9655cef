//! Footing: whether everything that a bundle's changes build on is here, or comes with them.

use std::collections::{BTreeMap, BTreeSet};

use document::preflight;
use names::{ChangeHash, Reason};
use store::{Snapshot, StoreError};

use super::Candidate;
use crate::{draft::Draft, rows::DocumentRow, verify::VerifiedBundle};

/// What a change of a bundle builds on.
struct Footing {
    /// Earlier changes of the bundle, by their places.
    near: Vec<usize>,
    /// The greatest counter among what is not in the bundle; none if something of it is not here.
    far: Option<u64>,
    /// Whether the change itself is here: the counter of its last operation. Looked up once it
    /// is asked for.
    held: Option<Option<u64>>,
}

/// Leaves out what builds on something that neither is here nor comes in, with the run it belongs
/// to, until what comes in stands on its own. Rows are read once, however often it is gone through.
pub(super) fn leave_out_unbuilt<P: Snapshot>(
    draft: &mut Draft<P>,
    row: &DocumentRow,
    bundle: &VerifiedBundle,
    candidates: &mut [Candidate<'_>],
) -> Result<(), StoreError> {
    let mut whose = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let places = candidate.line.places.iter().enumerate();
        whose.extend(places.map(|(at, place)| (*place, (index, at))));
    }
    let mut footings = footings(draft, row, bundle)?;
    loop {
        let mut coming: BTreeSet<usize> = BTreeSet::new();
        let mut is_cut = false;
        for (place, (index, at)) in &whose {
            let Some(candidate) = candidates.get_mut(*index) else {
                continue;
            };
            if !candidate.takes(*at) {
                continue;
            }
            match stands(draft, row, bundle, &mut footings, *place, &coming)? {
                Ok(()) => drop(coming.insert(*place)),
                Err(reason) => {
                    candidate.cut(*at, reason);
                    is_cut = true;
                }
            }
        }
        if !is_cut {
            return Ok(());
        }
    }
}

/// What each change of a bundle builds on, with what is here of it.
fn footings<P: Snapshot>(
    draft: &mut Draft<P>,
    row: &DocumentRow,
    bundle: &VerifiedBundle,
) -> Result<Vec<Footing>, StoreError> {
    let mut places: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    let mut footings = Vec::with_capacity(bundle.headers().len());
    for (place, header) in bundle.headers().iter().enumerate() {
        let (mut near, mut far) = (Vec::new(), Some(0));
        for dep in &header.deps {
            if let Some(place) = places.get(dep) {
                near.push(*place);
                continue;
            }
            let fixed = document::genesis::fixed(row.kind, dep).map(|fixed| fixed.max_op);
            let max_op = match fixed {
                Some(max_op) => Some(max_op),
                None => draft.change(bundle.document(), row, dep)?,
            };
            far = far.zip(max_op).map(|(far, max_op)| far.max(max_op));
            if far.is_none() {
                break;
            }
        }
        footings.push(Footing {
            near,
            far,
            held: None,
        });
        places.insert(header.hash, place);
    }
    Ok(footings)
}

/// Whether everything a change builds on is here or `coming`, and its operations count on from it.
fn stands<P: Snapshot>(
    draft: &mut Draft<P>,
    row: &DocumentRow,
    bundle: &VerifiedBundle,
    footings: &mut [Footing],
    place: usize,
    coming: &BTreeSet<usize>,
) -> Result<Result<(), Reason>, StoreError> {
    let header = bundle.headers().get(place);
    let footing = footings.get(place).and_then(|footing| footing.far);
    let (Some(header), Some(mut highest)) = (header, footing) else {
        return Ok(Err(Reason::MissingDependency));
    };
    let near = footings
        .get_mut(place)
        .map(|footing| std::mem::take(&mut footing.near));
    let near = near.unwrap_or_default();
    let mut is_missing = false;
    for dep in &near {
        let (Some(other), Some(footing)) = (bundle.headers().get(*dep), footings.get_mut(*dep))
        else {
            continue;
        };
        let max_op = match (coming.contains(dep), footing.held) {
            (true, _) => Some(other.max_op),
            (false, Some(held)) => held,
            (false, None) => {
                let held = draft.change(bundle.document(), row, &other.hash)?;
                footing.held = Some(held);
                held
            }
        };
        match max_op {
            Some(max_op) => highest = highest.max(max_op),
            None => is_missing = true,
        }
    }
    if let Some(footing) = footings.get_mut(place) {
        footing.near = near;
    }
    if is_missing {
        return Ok(Err(Reason::MissingDependency));
    }
    let sound = preflight::suits(header, row.kind).and(preflight::continues(header, highest));
    if header.deps.is_empty() || sound.is_err() {
        return Ok(Err(Reason::Malformed));
    }
    Ok(Ok(()))
}
