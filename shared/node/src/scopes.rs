//! Scopes' rows at an opening: how far the logs go, and what is worked out again.
//!
//! A scope's row is read and written in every turn that touches one of its documents, so a damaged one
//! would end the node again and again. All that it says stands in other rows too: the digest, the count
//! and the slots follow from the headers of the documents, how far the log of this store goes from the
//! log. What the logs of earlier lives of the store came to is not known any more, which costs their
//! peers a comparison.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, ScopeId, WriterId};
use protocol::{
    codec,
    digest::LtHash,
    log::{Cursor, Position},
};
use store::{Batch, Snapshot, StoreError, Table};

use crate::{
    draft::{decode_row, read_row, unless_damaged},
    rows::{DocumentRow, ScopeRow, log_name, scope_name},
};

/// Reads how far the logs go in each scope. Rows that are damaged are worked out again, and put into the
/// batch of the opening.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn read<P: Snapshot>(
    snapshot: &P,
    batch: &mut Batch,
    writer: WriterId,
    readable: &BTreeSet<ScopeId>,
) -> Result<BTreeMap<ScopeId, Cursor>, StoreError> {
    let (mut heads, mut damaged) = (BTreeMap::new(), 0);
    damaged += store::each(snapshot, Table::Scope, |row| {
        let name = std::str::from_utf8(&row.name).ok();
        let scope = name.and_then(|name| name.parse::<ScopeId>().ok());
        let kept = decode_row::<ScopeRow>(Table::Scope, &row.value);
        match (scope, kept) {
            (Some(scope), Ok(kept)) => drop(heads.insert(scope, kept.heads)),
            (Some(_) | None, _) => damaged += 1,
        }
    })?;
    if damaged > 0 {
        for (scope, row) in mended(snapshot, writer, readable)? {
            batch.put(Table::Scope, scope_name(&scope), 0, codec::encode(&row));
            heads.insert(scope, row.heads);
        }
    }
    Ok(heads)
}

/// The rows of scopes whose own are damaged, worked out from all documents: of those that a document was
/// ever in, and those that this node may read.
fn mended<P: Snapshot>(
    snapshot: &P,
    writer: WriterId,
    readable: &BTreeSet<ScopeId>,
) -> Result<BTreeMap<ScopeId, ScopeRow>, StoreError> {
    let readable = readable.iter().cloned();
    let mut sums: BTreeMap<ScopeId, (LtHash, ScopeRow)> =
        readable.map(|scope| (scope, Default::default())).collect();
    // A document whose header is damaged too is found, and looked for, by the comparison that follows.
    store::each(snapshot, Table::Document, |row| {
        let document = <[u8; 16]>::try_from(row.name.as_slice()).map(DocumentId);
        let header = decode_row::<DocumentRow>(Table::Document, &row.value);
        let (Ok(document), Ok(header)) = (document, header) else {
            return;
        };
        for member in &header.memberships {
            let (sum, row) = sums.entry(member.scope.clone()).or_default();
            if let Some(element) = header.element_in(&document, &member.scope) {
                sum.add(&element);
            }
            row.count += u64::from(header.placed.contains(&member.scope));
            row.slots = row.slots.max(member.slot + 1);
        }
    })?;
    let mut ends: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    store::each(snapshot, Table::Log, |row| {
        let end = ends.entry(row.name).or_default();
        *end = row.position.max(*end);
    })?;
    let mut mended = BTreeMap::new();
    for (scope, (sum, mut row)) in sums {
        let kept = read_row::<ScopeRow, _>(snapshot, Table::Scope, &scope_name(&scope), 0);
        if unless_damaged(kept)?.is_some() {
            continue;
        }
        row.digest = sum.to_bytes();
        let number = ends.get(&log_name(&scope, writer)).copied().unwrap_or(0);
        row.heads.advance(Position { writer, number });
        mended.insert(scope, row);
    }
    Ok(mended)
}
