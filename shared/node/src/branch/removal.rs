//! Taking changes out of a document's rows: nothing else ever does.

use std::collections::{BTreeMap, BTreeSet};

use names::{ChangeHash, DocumentId};
use protocol::{bundle::Bundle, codec};
use store::{Snapshot, StoreError, Table};

use crate::{
    bundle::{Packer, chunks, deps},
    draft::{Draft, damaged},
    rows::{DocumentRow, HeadRow, IndexChange, IndexRow},
};

/// What is left of a document.
#[derive(Default)]
struct Left {
    /// Rows that change, by their position: none where nothing is left of one.
    rows: BTreeMap<u64, Option<(Bundle, IndexRow)>>,
    /// The newest row of which something is left.
    newest: Option<(u64, Bundle, IndexRow)>,
    changes: Vec<IndexChange>,
    /// What any of these builds on.
    named: BTreeSet<ChangeHash>,
    /// The slots of authors of whom something is taken out.
    cut: BTreeSet<u64>,
    /// Changes that a signed head closes.
    closed: BTreeSet<ChangeHash>,
}

/// Takes changes out of a document, with which goes all that builds on them. Answers how far each
/// author's line goes now that was cut; none, and writes nothing, where the last that would be left of
/// a line is closed by no head that is here: nobody could take it from here any more.
///
/// # Errors
/// When a row of the document is damaged, or the store cannot be read.
pub(crate) fn take_out<P: Snapshot>(
    draft: &mut Draft<P>,
    document: DocumentId,
    lost: &BTreeSet<ChangeHash>,
) -> Result<Option<BTreeMap<u64, u64>>, StoreError> {
    let row = draft.document(document)?;
    let mut row = row.ok_or_else(|| damaged(Table::Document))?;
    let mut left = Left::read(draft, document, &row, lost)?;
    let mut last: BTreeMap<u64, (u64, ChangeHash)> = BTreeMap::new();
    for change in &left.changes {
        let line = last.entry(change.slot).or_insert((0, change.hash));
        *line = (*line).max((change.seq, change.hash));
    }
    let cut: BTreeMap<u64, Option<(u64, ChangeHash)>> = left
        .cut
        .iter()
        .map(|slot| (*slot, last.get(slot).copied()))
        .collect();
    let mut ends = cut.values().flatten();
    if !ends.all(|(_, hash)| left.closed.contains(hash)) {
        return Ok(None);
    }
    draft.cut_lines(document, &cut)?;
    // What is left of the newest stands under a new number, as if it had been folded into one that came
    // now: so nothing that was made from what was here fits what is.
    if let Some((position, bundle, index)) = left.newest.take() {
        left.rows.insert(position, None);
        left.rows.insert(row.arrivals, Some((bundle, index)));
        row.arrivals += 1;
    }
    for (position, kept) in &left.rows {
        match kept {
            Some((bundle, index)) => {
                draft.put_bytes(Table::Bundle, document.0, *position, codec::encode(bundle));
                draft.put_folded(document, *position, index);
            }
            None => {
                draft.delete(Table::Bundle, document.0, *position);
                draft.remove_index(document, *position);
            }
        }
    }
    row.heads = left.heads(&row);
    row.changes = left.changes.len() as u64;
    row.bytes = left.changes.iter().map(|change| change.bytes).sum();
    draft.put_document(document, &row)?;
    let reach = |line: Option<(u64, ChangeHash)>| line.map_or(0, |(seq, _)| seq);
    let reached = cut.into_iter().map(|(slot, line)| (slot, reach(line)));
    Ok(Some(reached.collect()))
}

impl Left {
    fn read<P: Snapshot>(
        draft: &Draft<P>,
        document: DocumentId,
        row: &DocumentRow,
        lost: &BTreeSet<ChangeHash>,
    ) -> Result<Left, StoreError> {
        let mut left = Left::default();
        for position in 0..row.arrivals {
            let Some(index) = draft.index(document, position)? else {
                continue;
            };
            let bundle = draft.row::<Bundle>(Table::Bundle, document.as_ref(), position)?;
            let bundle = bundle.ok_or_else(|| damaged(Table::Bundle))?;
            left.take(position, bundle, index, lost)?;
        }
        Ok(left)
    }

    fn take(
        &mut self,
        position: u64,
        bundle: Bundle,
        index: IndexRow,
        lost: &BTreeSet<ChangeHash>,
    ) -> Result<(), StoreError> {
        let hashes = index.hashes();
        let closings = bundle.closings.iter();
        let closed = closings.filter_map(|closing| hashes.get(usize::from(closing.change)));
        self.closed.extend(closed);
        let is_cut = hashes.iter().any(|hash| lost.contains(hash));
        let all = deps(&bundle, &hashes).map_err(|_| damaged(Table::Bundle))?;
        for (change, deps) in index.changes.iter().zip(all) {
            if lost.contains(&change.hash) {
                self.cut.insert(change.slot);
            } else {
                self.changes.push(*change);
                self.named.extend(deps);
            }
        }
        if !is_cut {
            self.newest = Some((position, bundle, index));
            return Ok(());
        }
        let kept = index.without(lost);
        let mut packer = Packer::new(bundle.document);
        packer.add(bundle, hashes.clone(), |place| {
            hashes.get(place).is_some_and(|hash| !lost.contains(hash))
        });
        let left = packer.finish_with_every_head();
        if let Some((bundle, _)) = &left {
            let whole = chunks(bundle).map_err(|_| damaged(Table::Bundle))?;
            let whole: Vec<ChangeHash> = whole.into_iter().map(|(hash, _)| hash).collect();
            if whole != kept.hashes() {
                return Err(damaged(Table::Bundle));
            }
            self.newest = Some((position, bundle.clone(), kept.clone()));
        }
        let left = left.map(|(bundle, _)| (bundle, kept));
        self.rows.insert(position, left);
        Ok(())
    }

    /// What nothing else that is left builds on; genesis when nothing is.
    fn heads(&self, row: &DocumentRow) -> Vec<HeadRow> {
        let heads = self.changes.iter();
        let heads = heads.filter(|change| !self.named.contains(&change.hash));
        let mut heads: Vec<HeadRow> = heads
            .map(|change| HeadRow {
                hash: change.hash,
                max_op: change.max_op,
            })
            .collect();
        if heads.is_empty() {
            let genesis = document::genesis::genesis(row.kind);
            heads.extend(genesis.map(|fixed| HeadRow {
                hash: fixed.hash,
                max_op: fixed.max_op,
            }));
        }
        heads.sort_unstable();
        heads
    }
}
