//! What one turn is about to write: the snapshot it began with, and its own changes on top.
//!
//! A turn reads through its draft, so it sees what it has written itself; the draft becomes one
//! batch at the end. Digests, members and logs are brought up to date once per turn, in
//! [`Draft::settle`], from what was touched.

mod settle;

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use names::{ChangeHash, DocumentId, Incarnation, ScopeId};
use protocol::{codec, log::Cursor};
use store::{Batch, Damage, Snapshot, StoreError, Table};

use crate::repair::Restated;
use crate::rows::{DocumentRow, IndexRow, LogItem};

/// Something that happened to a document in this turn and belongs in the logs of its scopes.
struct Happening {
    document: DocumentId,
    item: LogItem,
    origin: Option<Incarnation>,
    /// The changes and the bytes of what came; nothing for a placement.
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
    shifts: BTreeMap<DocumentId, Shift>,
}

/// The scopes that a document came into and left in this turn.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    pub(crate) joined: Vec<ScopeId>,
    pub(crate) left: Vec<ScopeId>,
    /// Whether it was here before this turn.
    has_past: bool,
}

/// What settling a turn has come to.
pub(crate) struct Settled {
    /// How far the logs of the scopes concerned go now.
    pub(crate) heads: BTreeMap<ScopeId, Cursor>,
    /// The members that changed.
    pub(crate) restated: Vec<Restated>,
    /// The documents that came into a scope or left one.
    pub(crate) shifts: BTreeMap<DocumentId, Shift>,
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
            shifts: BTreeMap::new(),
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

    /// What the bundle of one arrival holds; none where it was folded into another.
    pub(crate) fn index(
        &self,
        document: DocumentId,
        arrival: u64,
    ) -> Result<Option<IndexRow>, StoreError> {
        self.row(Table::Index, document.as_ref(), arrival)
    }

    /// Removes what a bundle held that is taken out.
    pub(crate) fn remove_index(&mut self, document: DocumentId, arrival: u64) {
        self.known.remove(&document);
        self.delete(Table::Index, document.0, arrival);
    }

    /// Notes that a document was placed, by its placement of this number or by a ruling: scopes that
    /// it comes into are told all that it has, those that it leaves that it has left.
    pub(crate) fn was_placed(
        &mut self,
        document: DocumentId,
        number: u64,
        origin: Option<Incarnation>,
    ) {
        self.happened(document, LogItem::Placement(number), origin, (0, 0));
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

    /// Destroys the key of a document: what this turn does not put anew of it can be read no more.
    pub(crate) fn destroy_key(&mut self, document: DocumentId) {
        self.batch.destroy_key(document);
    }

    /// What is to be written.
    pub(crate) fn into_batch(self) -> Batch {
        self.batch
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
