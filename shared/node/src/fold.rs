//! Folding: bundles that came one by one, put together.
//!
//! People write one change at a time, and each comes as a bundle of its own. Left so, a case of a
//! year would be thousands of rows, read one by one whenever it is opened, sent or backed up. So
//! once some have gathered, the newest become one, under the newest one's arrival number. Every
//! change stays as it was written, and every signed head: a peer that cannot take all of it must
//! still be able to take each author's beginning.

use names::{
    ChangeHash, DocumentId,
    limits::{BUNDLE_BYTES_MAX, BUNDLE_CHANGES_MAX},
};
use protocol::{bundle::Bundle, codec};
use store::{Snapshot, StoreError, Table};

use crate::{
    bundle::{Packer, each_change, may_travel},
    draft::{Draft, unless_damaged},
    rows::{DocumentRow, IndexRow},
};

/// Bundles that gather before they are folded.
const LOOSE_MAX: u64 = 8;
/// An older bundle is folded with the newer ones unless it is more than so many times their size.
/// So each change is written anew some dozen times in its life at most, however many follow.
const GROWTH: u64 = 2;

/// A bundle with its index.
struct Part {
    position: u64,
    bundle: Bundle,
    index: IndexRow,
}

impl Part {
    fn bytes(&self) -> u64 {
        self.index.changes.iter().map(|change| change.bytes).sum()
    }
}

/// Folds a document's newest bundles when it is time. Damage is left where it is.
pub(crate) fn fold<P: Snapshot>(
    draft: &mut Draft<P>,
    document: DocumentId,
    row: &mut DocumentRow,
) -> Result<(), StoreError> {
    if row.loose < LOOSE_MAX {
        return Ok(());
    }
    row.loose = 0;
    let parts = newest(draft, document, row.arrivals)?;
    let positions: Vec<u64> = parts.iter().map(|part| part.position).collect();
    let Some((newest, older)) = positions.split_first() else {
        return Ok(());
    };
    let Some((bundle, index)) = put_together(document, parts) else {
        return Ok(());
    };
    for position in older {
        draft.delete(Table::Bundle, document.0, *position);
        draft.delete(Table::Index, document.0, *position);
    }
    draft.put_bytes(Table::Bundle, document.0, *newest, codec::encode(&bundle));
    draft.put_folded(document, *newest, &index);
    Ok(())
}

/// The newest bundles that belong together, the newest first.
fn newest<P: Snapshot>(
    draft: &Draft<P>,
    document: DocumentId,
    arrivals: u64,
) -> Result<Vec<Part>, StoreError> {
    let mut parts: Vec<Part> = Vec::new();
    let (mut end, mut changes, mut bytes) = (arrivals, 0, 0);
    while let Some(position) = end.checked_sub(1) {
        let part = unless_damaged(part_at(draft, document, position))?;
        let Some(part) = part.flatten() else { break };
        changes += part.index.changes.len();
        let is_small = parts.is_empty() || part.bytes() <= GROWTH * bytes;
        bytes += part.bytes();
        if !is_small || changes > BUNDLE_CHANGES_MAX || bytes > BUNDLE_BYTES_MAX as u64 {
            break;
        }
        end = part.index.first().unwrap_or(position).min(position);
        parts.push(part);
    }
    Ok(parts)
}

fn part_at<P: Snapshot>(
    draft: &Draft<P>,
    document: DocumentId,
    position: u64,
) -> Result<Option<Part>, StoreError> {
    let bundle = draft.row(Table::Bundle, document.as_ref(), position)?;
    let index = draft.row(Table::Index, document.as_ref(), position)?;
    Ok(bundle.zip(index).map(|(bundle, index)| Part {
        position,
        bundle,
        index,
    }))
}

/// One bundle of several; none unless it holds exactly their changes, each put together again.
fn put_together(document: DocumentId, parts: Vec<Part>) -> Option<(Bundle, IndexRow)> {
    if parts.len() < 2 {
        return None;
    }
    let (mut packer, mut index) = (Packer::new(document), IndexRow::default());
    for part in parts.into_iter().rev() {
        index.append(&part.index);
        packer.add(part.bundle, part.index.hashes(), |_| true);
    }
    let (bundle, _) = packer.finish_with_every_head()?;
    let mut hashes: Vec<ChangeHash> = Vec::with_capacity(index.changes.len());
    let sound = each_change(&bundle, |whole| {
        hashes.push(whole.hash());
        Ok(())
    });
    let is_whole = sound.is_ok() && hashes == index.hashes();
    (is_whole && may_travel(&bundle)).then_some((bundle, index))
}
