//! What one turn is about to write: the snapshot it began with, and its own changes on top.
//!
//! A turn reads through its draft, so it sees what it has written itself; the draft becomes one
//! batch at the end. Digests, members and logs are brought up to date once per turn, in
//! [`Draft::settle`], from what was touched.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use names::{ChangeHash, DocumentId, Incarnation, ScopeId, WriterId};
use protocol::{
    codec,
    digest::{LtHash, document_element},
    log::{Cursor, Position},
};
use store::{Batch, Damage, Snapshot, StoreError, Table};

use crate::repair::Restated;
use crate::rows::{
    DocumentRow, IndexRow, LogItem, LogRow, MemberRow, Membership, ScopeRow, log_name, scope_name,
};

/// Something that happened to a document in this turn and belongs in the logs of its scopes.
struct Happening {
    document: DocumentId,
    item: LogItem,
    origin: Option<Incarnation>,
    changes: u64,
    bytes: u64,
}

/// Changes of a document that were read from its index, the newest bundles first.
struct Known {
    /// With the counter of the last operation of each.
    changes: BTreeMap<ChangeHash, u64>,
    /// The bundles before this one were not read yet.
    unread: u64,
}

/// The writes of one turn, over the state it began with.
pub(crate) struct Draft<P> {
    snapshot: P,
    batch: Batch,
    /// Documents touched, with the row each had before.
    touched: BTreeMap<DocumentId, Option<DocumentRow>>,
    happenings: Vec<Happening>,
    /// What was read of documents in which a change was looked for.
    known: BTreeMap<DocumentId, Known>,
}

impl<P: Snapshot> Draft<P> {
    /// A draft without changes over `snapshot`.
    pub(crate) fn new(snapshot: P) -> Self {
        Draft {
            snapshot,
            batch: Batch::new(),
            touched: BTreeMap::new(),
            happenings: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// One row, as this turn sees it.
    pub(crate) fn row<T>(
        &self,
        table: Table,
        name: &[u8],
        position: u64,
    ) -> Result<Option<T>, StoreError>
    where
        T: for<'b> Decode<'b, ()>,
    {
        if let Some(own) = self.batch.get(table, name, position) {
            return own.map(|bytes| decode_row(table, bytes)).transpose();
        }
        read_row(&self.snapshot, table, name, position)
    }

    /// Writes one row.
    pub(crate) fn put<T: Encode<()>>(
        &mut self,
        table: Table,
        name: impl Into<Vec<u8>>,
        position: u64,
        row: &T,
    ) {
        self.batch.put(table, name, position, codec::encode(row));
    }

    /// Writes bytes that are a row as they are.
    pub(crate) fn put_bytes(
        &mut self,
        table: Table,
        name: impl Into<Vec<u8>>,
        position: u64,
        bytes: Vec<u8>,
    ) {
        self.batch.put(table, name, position, bytes);
    }

    /// Removes one row.
    pub(crate) fn delete(&mut self, table: Table, name: impl Into<Vec<u8>>, position: u64) {
        self.batch.delete(table, name, position);
    }

    /// Whether the turn writes anything so far.
    pub(crate) fn has_writes(&self) -> bool {
        !self.batch.is_empty()
    }

    /// The state the turn began with.
    pub(crate) fn snapshot(&self) -> &P {
        &self.snapshot
    }

    /// A document's header row.
    pub(crate) fn document(&self, document: DocumentId) -> Result<Option<DocumentRow>, StoreError> {
        self.row(Table::Document, document.as_ref(), 0)
    }

    /// Writes a document's header row; its digests follow in [`Draft::settle`].
    pub(crate) fn put_document(
        &mut self,
        document: DocumentId,
        row: &DocumentRow,
    ) -> Result<(), StoreError> {
        if !self.touched.contains_key(&document) {
            let before = read_row(&self.snapshot, Table::Document, document.as_ref(), 0)?;
            self.touched.insert(document, before);
        }
        self.put(Table::Document, document.0, 0, row);
        Ok(())
    }

    /// Notes something for the logs of the document's scopes. `origin` is the incarnation of the
    /// store it came from, `None` when it was made here; `changes` and `bytes` are what it is about.
    pub(crate) fn happened(
        &mut self,
        document: DocumentId,
        item: LogItem,
        origin: Option<Incarnation>,
        (changes, bytes): (u64, u64),
    ) {
        self.happenings.push(Happening {
            document,
            item,
            origin,
            changes,
            bytes,
        });
    }

    /// The counter of the last operation of one of a document's changes; none if it is not here.
    /// The heads are known at once: nearly every change builds on them.
    pub(crate) fn change(
        &mut self,
        document: DocumentId,
        row: &DocumentRow,
        hash: &ChangeHash,
    ) -> Result<Option<u64>, StoreError> {
        // What is built on is mostly new, so it is looked for from the newest bundle on.
        let mut known = self.known.remove(&document).unwrap_or_else(|| Known {
            changes: row
                .heads
                .iter()
                .map(|head| (head.hash, head.max_op))
                .collect(),
            unread: row.arrivals,
        });
        while !known.changes.contains_key(hash) && known.unread > 0 {
            known.unread -= 1;
            let index: Option<IndexRow> =
                self.row(Table::Index, document.as_ref(), known.unread)?;
            let index = index.unwrap_or_default();
            known.unread = index.first().unwrap_or(known.unread).min(known.unread);
            let changes = index.changes.iter();
            known
                .changes
                .extend(changes.map(|change| (change.hash, change.max_op)));
        }
        let found = known.changes.get(hash).copied();
        self.known.insert(document, known);
        Ok(found)
    }

    /// Writes what a bundle holds.
    pub(crate) fn put_index(&mut self, document: DocumentId, arrival: u64, index: &IndexRow) {
        if let Some(known) = self.known.get_mut(&document) {
            let changes = index.changes.iter();
            known
                .changes
                .extend(changes.map(|change| (change.hash, change.max_op)));
        }
        self.put(Table::Index, document.0, arrival, index);
    }

    /// Writes what a bundle holds into which others were folded.
    pub(crate) fn put_folded(&mut self, document: DocumentId, arrival: u64, index: &IndexRow) {
        // What is not read yet may stand in another place now.
        self.known.remove(&document);
        self.put(Table::Index, document.0, arrival, index);
    }

    /// Forgets what was to be told of: nothing of this turn goes into a log.
    pub(crate) fn keep_quiet(&mut self) {
        self.happenings.clear();
    }

    /// Brings members, digests and logs up to date with what was touched; answers how far the
    /// logs of the scopes concerned go now, and which members changed.
    pub(crate) fn settle(
        &mut self,
        writer: WriterId,
    ) -> Result<(BTreeMap<ScopeId, Cursor>, Vec<Restated>), StoreError> {
        let (mut scopes, mut restated) = (BTreeMap::new(), Vec::new());
        for (document, before) in std::mem::take(&mut self.touched) {
            self.settle_document(document, before.as_ref(), &mut scopes, &mut restated)?;
        }
        for happening in std::mem::take(&mut self.happenings) {
            self.settle_log(&happening, writer, &mut scopes)?;
        }
        let mut heads = BTreeMap::new();
        for (scope, row) in scopes {
            self.put(Table::Scope, scope_name(&scope), 0, &row);
            heads.insert(scope, row.heads);
        }
        Ok((heads, restated))
    }

    /// What is to be written.
    pub(crate) fn into_batch(self) -> Batch {
        self.batch
    }

    fn scope<'m>(
        &self,
        scope: &ScopeId,
        scopes: &'m mut BTreeMap<ScopeId, ScopeRow>,
    ) -> Result<&'m mut ScopeRow, StoreError> {
        if !scopes.contains_key(scope) {
            let row = self
                .row(Table::Scope, &scope_name(scope), 0)?
                .unwrap_or_default();
            scopes.insert(scope.clone(), row);
        }
        scopes.get_mut(scope).ok_or(StoreError::Dead)
    }

    fn settle_document(
        &mut self,
        document: DocumentId,
        before: Option<&DocumentRow>,
        scopes: &mut BTreeMap<ScopeId, ScopeRow>,
        restated: &mut Vec<Restated>,
    ) -> Result<(), StoreError> {
        let Some(mut after) = self.document(document)? else {
            return Ok(());
        };
        let new = document_element(&document, &after.hashes(), &after.placements);
        let old = before.map(|row| document_element(&document, &row.hashes(), &row.placements));
        let mut joined = false;
        for scope in after.placed.clone() {
            let row = self.scope(&scope, scopes)?;
            let mut hash = LtHash::from_bytes(&row.digest).unwrap_or_default();
            let mut before = None;
            let slot = match after.memberships.iter().find(|known| known.scope == scope) {
                Some(known) => {
                    if let Some(old) = &old {
                        hash.remove(old);
                        before = Some(old.state());
                    }
                    known.slot
                }
                None => {
                    joined = true;
                    let slot = row.count;
                    row.count += 1;
                    after.memberships.push(Membership {
                        scope: scope.clone(),
                        slot,
                    });
                    slot
                }
            };
            hash.add(&new);
            row.digest = hash.to_bytes();
            restated.push(Restated {
                scope: scope.clone(),
                document,
                before,
                after: new.state(),
            });
            let member = MemberRow {
                document,
                state: new.state(),
            };
            self.put(Table::Member, scope_name(&scope), slot, &member);
        }
        if joined {
            self.put(Table::Document, document.0, 0, &after);
        }
        Ok(())
    }

    fn settle_log(
        &mut self,
        happening: &Happening,
        writer: WriterId,
        scopes: &mut BTreeMap<ScopeId, ScopeRow>,
    ) -> Result<(), StoreError> {
        let Some(document) = self.document(happening.document)? else {
            return Ok(());
        };
        for scope in &document.placed {
            let row = self.scope(scope, scopes)?;
            let number = row.heads.number(&writer) + 1;
            row.heads.advance(Position { writer, number });
            let entry = LogRow {
                document: happening.document,
                item: happening.item,
                origin: happening.origin,
                changes: happening.changes,
                bytes: happening.bytes,
            };
            self.put(Table::Log, log_name(scope, writer), number, &entry);
        }
        Ok(())
    }
}

/// Reads one row of a snapshot. A row that does not decode is damage, not absence.
pub(crate) fn read_row<T, P>(
    snapshot: &P,
    table: Table,
    name: &[u8],
    position: u64,
) -> Result<Option<T>, StoreError>
where
    T: for<'b> Decode<'b, ()>,
    P: Snapshot,
{
    let bytes = snapshot.get(table, name, position)?;
    bytes.map(|bytes| decode_row(table, &bytes)).transpose()
}

/// Decodes one row of `table`.
pub(crate) fn decode_row<T>(table: Table, bytes: &[u8]) -> Result<T, StoreError>
where
    T: for<'b> Decode<'b, ()>,
{
    codec::decode(bytes).map_err(|_| damaged(table))
}

/// What was read, or nothing when its row is damaged: that costs one document, not the turn.
///
/// # Errors
/// Every other failure of the store.
pub(crate) fn unless_damaged<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Corrupt(Damage::Row(_))) => Ok(None),
        other => other.map(Some),
    }
}

/// A position, and the bytes of its row unless it is damaged.
type MaybeRow = (u64, Option<Vec<u8>>);

/// Rows of a name whose positions leave no gaps, from one on; a damaged one is there without its
/// bytes. None when there are no more.
///
/// # Errors
/// Every failure of the store but a damaged row.
pub(crate) fn read_range<P: Snapshot>(
    snapshot: &P,
    table: Table,
    name: &[u8],
    from: u64,
    limit: usize,
) -> Result<Vec<MaybeRow>, StoreError> {
    if let Some(rows) = unless_damaged(snapshot.range(table, name, from, limit))? {
        let whole = |(position, bytes)| (position, Some(bytes));
        return Ok(rows.into_iter().map(whole).collect());
    }
    let mut rows = Vec::new();
    for position in (from..).take(limit) {
        match unless_damaged(snapshot.get(table, name, position))? {
            Some(Some(bytes)) => rows.push((position, Some(bytes))),
            Some(None) => break,
            None => rows.push((position, None)),
        }
    }
    Ok(rows)
}

/// Rows of a document that stand by arrival, from one on; a damaged one is there without its bytes.
/// Where bundles were folded some arrivals have none. None when there are no more.
///
/// # Errors
/// Every failure of the store but a damaged row.
pub(crate) fn read_arrivals<P: Snapshot>(
    snapshot: &P,
    table: Table,
    document: DocumentId,
    from: u64,
    limit: usize,
) -> Result<Vec<MaybeRow>, StoreError> {
    let rows = snapshot.range(table, document.as_ref(), from, limit);
    if let Some(rows) = unless_damaged(rows)? {
        let whole = |(position, bytes)| (position, Some(bytes));
        return Ok(rows.into_iter().map(whole).collect());
    }
    let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
    let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
    let mut rows = Vec::new();
    for position in from..row.map_or(from, |row| row.arrivals) {
        match unless_damaged(snapshot.get(table, document.as_ref(), position))? {
            Some(None) => {}
            Some(bytes) => rows.push((position, bytes)),
            None => rows.push((position, None)),
        }
        if rows.len() >= limit {
            break;
        }
    }
    Ok(rows)
}

/// The error for a row of ours that cannot be read back.
pub(crate) fn damaged(table: Table) -> StoreError {
    StoreError::Corrupt(Damage::Row(table))
}
