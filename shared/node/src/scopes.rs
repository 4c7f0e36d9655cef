//! Scopes' rows at an opening: how far the logs go, and what is worked out again.
//!
//! A scope's row is read and written in every turn that touches one of its documents, so a damaged one
//! would end the node again and again. All that it says stands in other rows too: the digest, the count
//! and the slots follow from its members and the headers of these documents, how far the log goes from
//! the log, and from what peers have said to have taken of it.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, ScopeId, WriterId};
use protocol::{
    codec,
    digest::{DocState, LtHash},
    log::{Cursor, Position},
};
use store::{Batch, Snapshot, StoreError, Table};

use crate::{
    draft::{decode_row, read_row, unless_damaged},
    rows::{DocumentRow, MemberRow, PeerRow, ScopeRow, log_name, scope_name},
};

/// What stands before the scope in the name of a peer's row: its device and its store.
const PEER_BYTES: usize = 32;

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
        let kept = decode_row::<ScopeRow>(Table::Scope, &row.value);
        match (scope_of(&row.name), kept) {
            (Some(scope), Ok(kept)) => drop(heads.insert(scope, kept.heads)),
            (Some(_) | None, _) => damaged += 1,
        }
    })?;
    if damaged > 0 {
        for (scope, row) in mended(snapshot, batch, writer, readable)? {
            batch.put(Table::Scope, scope_name(&scope), 0, codec::encode(&row));
            heads.insert(scope, row.heads);
        }
    }
    Ok(heads)
}

/// The rows of scopes whose own are damaged, worked out from their members: of those that have any, and
/// those that this node may read.
fn mended<P: Snapshot>(
    snapshot: &P,
    batch: &mut Batch,
    writer: WriterId,
    readable: &BTreeSet<ScopeId>,
) -> Result<BTreeMap<ScopeId, ScopeRow>, StoreError> {
    let mut rows: BTreeMap<ScopeId, ScopeRow> = BTreeMap::new();
    let (mut sound, mut members) = (BTreeSet::new(), Vec::new());
    for scope in readable {
        if is_damaged(snapshot, scope)? {
            rows.insert(scope.clone(), ScopeRow::default());
        }
    }
    store::each(snapshot, Table::Member, |row| {
        let member = decode_row::<MemberRow>(Table::Member, &row.value);
        if let (Some(scope), Ok(member)) = (scope_of(&row.name), member) {
            members.push((scope, row.position, member.document));
        }
    })?;
    for (scope, slot, document) in members {
        if sound.contains(&scope) {
            continue;
        }
        if !rows.contains_key(&scope) && !is_damaged(snapshot, &scope)? {
            sound.insert(scope);
            continue;
        }
        let row = rows.entry(scope.clone()).or_default();
        row.slots = row.slots.max(slot + 1);
        if !add_member(snapshot, row, &scope, document)? {
            // Of a document whose header is damaged too nothing is known: a comparison is to name it.
            let state = DocState([0; 16]);
            let unknown = codec::encode(&MemberRow { document, state });
            batch.put(Table::Member, scope_name(&scope), slot, unknown);
        }
    }
    add_heads(snapshot, &mut rows, writer)?;
    Ok(rows)
}

fn scope_of(name: &[u8]) -> Option<ScopeId> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

fn is_damaged<P: Snapshot>(snapshot: &P, scope: &ScopeId) -> Result<bool, StoreError> {
    let kept = read_row::<ScopeRow, _>(snapshot, Table::Scope, &scope_name(scope), 0);
    Ok(unless_damaged(kept)?.is_none())
}

/// Adds what a document stands for in a scope; answers whether its header could be read.
fn add_member<P: Snapshot>(
    snapshot: &P,
    row: &mut ScopeRow,
    scope: &ScopeId,
    document: DocumentId,
) -> Result<bool, StoreError> {
    let header = read_row(snapshot, Table::Document, document.as_ref(), 0);
    let header: Option<DocumentRow> = unless_damaged(header)?.flatten();
    let Some(header) = header else {
        return Ok(false);
    };
    if let Some(element) = header.element_in(&document, scope) {
        let mut sum = LtHash::from_bytes(&row.digest).unwrap_or_default();
        sum.add(&element);
        row.digest = sum.to_bytes();
    }
    row.count += u64::from(header.placed.contains(scope));
    Ok(true)
}

/// How far the log of this store goes, by its pages, and how far peers have said to have taken that of
/// earlier lives of it.
fn add_heads<P: Snapshot>(
    snapshot: &P,
    rows: &mut BTreeMap<ScopeId, ScopeRow>,
    writer: WriterId,
) -> Result<(), StoreError> {
    let mut ends: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    store::each(snapshot, Table::Log, |row| {
        let end = ends.entry(row.name).or_default();
        *end = row.position.max(*end);
    })?;
    for (scope, row) in rows.iter_mut() {
        let number = ends.get(&log_name(scope, writer)).copied().unwrap_or(0);
        row.heads.advance(Position { writer, number });
    }
    store::each(snapshot, Table::Peer, |kept| {
        let scope = kept.name.get(PEER_BYTES..).and_then(scope_of);
        let peer = decode_row::<PeerRow>(Table::Peer, &kept.value);
        let row = scope.and_then(|scope| rows.get_mut(&scope));
        if let (Some(row), Ok(peer)) = (row, peer) {
            row.heads.advance_to(&peer.given);
        }
    })?;
    Ok(())
}
