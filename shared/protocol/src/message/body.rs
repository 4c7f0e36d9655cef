//! What stands in the frames.

use minicbor::{Decode, Encode};
use names::{
    ActorId, DeviceId, DocumentId, Incarnation, Moment, Nonce, Reason, ScopeId, StoreId, TenantId,
    limits::{CHANGE_ACTORS_MAX, EXCEPTIONS_MAX, LIST_ROWS_MAX, SCOPES_MAX},
};

use crate::{
    bundle::Bundle,
    codec,
    digest::{Digest, DocState, Element},
    directory::{SignedStatement, StatementId},
    hash::{self, label},
    log::{Cursor, Position},
    placement::{PlacementId, SignedPlacement},
    sketch::{CELLS_BATCH_MAX, Cell},
};

/// Who a node is, and what it holds in sum.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Hello {
    /// The oldest protocol version it speaks.
    #[n(0)]
    pub version_min: u16,
    /// The newest protocol version it speaks.
    #[n(1)]
    pub version_max: u16,
    /// Its organisation.
    #[cbor(n(2), with = "codec::wire")]
    pub tenant: TenantId,
    /// Its device, which the link must have proven.
    #[cbor(n(3), with = "codec::wire")]
    pub device: DeviceId,
    /// Its store.
    #[cbor(n(4), with = "codec::wire")]
    pub store: StoreId,
    /// The life of its store; a restored one is new.
    #[cbor(n(5), with = "codec::wire")]
    pub incarnation: Incarnation,
    /// Its clock. Shown, never obeyed.
    #[cbor(n(6), with = "codec::wire")]
    pub now: Moment,
    /// The digest over its statements.
    #[cbor(n(7), with = "codec::wire")]
    pub directory: Digest,
    /// How many statements it holds.
    #[n(8)]
    pub statements: u64,
    /// The [`table_root`] over the scopes that it believes both may see.
    #[cbor(n(9), with = "codec::wire")]
    pub root: Digest,
    /// This opening of its store: a name that no other has.
    #[cbor(n(10), with = "codec::wire")]
    pub opening: Nonce,
}

/// Ids of statements, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct StatementIds {
    /// The ids: at most [`LIST_ROWS_MAX`].
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub ids: Vec<StatementId>,
    /// Whether no further page follows.
    #[n(1)]
    pub last: bool,
}

/// Statements, each proven by its own signature.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct StatementBatch {
    /// The statements: at most [`LIST_ROWS_MAX`], and a frame is full earlier.
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub statements: Vec<SignedStatement>,
    /// Whether nothing that was wanted is still to come.
    #[n(1)]
    pub last: bool,
}

/// Where a node stands in one scope.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct TableRow {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// The digest over its documents.
    #[cbor(n(1), with = "codec::wire")]
    pub digest: Digest,
    /// How many documents it has.
    #[n(2)]
    pub count: u64,
    /// The ends of my own logs.
    #[n(3)]
    pub mine: Cursor,
    /// How far I have taken yours.
    #[n(4)]
    pub yours: Cursor,
    /// The round this row opens or answers: rounds of a scope are counted per conversation, from
    /// 1, and markers of another round mean nothing.
    #[n(5)]
    pub round: u32,
}

/// Where a node stands in the scopes that both share.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Table {
    /// A row for each scope, by scope: at most [`SCOPES_MAX`].
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SCOPES_MAX, _, _>"
    )]
    pub rows: Vec<TableRow>,
}

/// What a fill is going to be, so that progress can be shown and space be checked.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Totals {
    /// The scope that is filled.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// Documents of which something will come.
    #[n(1)]
    pub documents: u64,
    /// Changes that will come.
    #[n(2)]
    pub changes: u64,
    /// Bytes of these changes, as they were written.
    #[n(3)]
    pub bytes: u64,
    /// The round it belongs to; see [`TableRow::round`].
    #[n(4)]
    pub round: u32,
}

/// Placements and changes of one scope. Placements count before bundles, and earlier before later.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Batch {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// Placements: at most [`LIST_ROWS_MAX`].
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub placements: Vec<SignedPlacement>,
    /// Changes, by document: at most [`LIST_ROWS_MAX`] bundles, and a frame is full earlier.
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub bundles: Vec<Bundle>,
    /// Its number among the sender's batches of this conversation, by which it is answered.
    #[n(3)]
    pub number: u64,
    /// Where the sender's log stands after these; none when they repair and follow no log.
    #[cbor(n(4), with = "codec::wire", has_nil)]
    pub after: Option<Position>,
    /// Where the sender's log stood before these: the receiver's cursor moves to `after` only if it
    /// has come this far, since live batches overtake a fill.
    #[cbor(n(5), with = "codec::wire", has_nil)]
    pub from: Option<Position>,
}

/// What was made durable: the answer to each [`Batch`], and to each page of a list.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Held {
    /// The scope of the batch.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// How many fill frames this acknowledges: that many more may be sent.
    #[n(1)]
    pub fills: u32,
    /// What of the batch was not taken: at most [`LIST_ROWS_MAX`].
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub refused: Vec<Fault>,
    /// The number of the batch: everything in it that was not refused is durable here now, also if
    /// it was before. None for a page of a list, and when too much was refused to be named.
    #[n(3)]
    pub number: Option<u64>,
    /// What the batch said; the cursor has moved there.
    #[cbor(n(4), with = "codec::wire", has_nil)]
    pub after: Option<Position>,
}

/// A side has sent all that it believed the other lacked.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Sent {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// The round it belongs to; see [`TableRow::round`].
    #[n(1)]
    pub round: u32,
}

/// Where a side stands, for the other to compare: equal digests mean equal.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Done {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// The digest over its documents now.
    #[cbor(n(1), with = "codec::wire")]
    pub digest: Digest,
    /// How many documents it has now.
    #[n(2)]
    pub count: u64,
    /// The ends of the logs that were sent: the other side may take its cursor there.
    #[n(3)]
    pub logs: Cursor,
    /// The round it belongs to; see [`TableRow::round`].
    #[n(4)]
    pub round: u32,
    /// Whether the other side is to answer with where it stands.
    #[n(5)]
    pub ask: bool,
    /// Fill and live frames of this scope and round that were sent before this one. Who has not
    /// got all of them yet compares too early.
    #[n(6)]
    pub said: u64,
    /// Fill and live frames of this scope and round that had come, and are in the digest.
    #[n(7)]
    pub seen: u64,
    /// How this side has the documents of which one of both refuses something: at most
    /// [`EXCEPTIONS_MAX`]. With them the other can tell whether all else is equal.
    #[cbor(
        n(8),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<EXCEPTIONS_MAX, _, _>"
    )]
    pub except: Vec<Excepted>,
}

/// How a side has a document that the two do not agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Excepted {
    /// Which document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// Its element in the digest; none when it is not there.
    #[cbor(n(1), with = "codec::wire", has_nil)]
    pub element: Option<Element>,
}

codec::wire_struct!(Excepted);

/// The exact state of a scope, a page of it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct List {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// Each document with its state, in any order: at most [`LIST_ROWS_MAX`].
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub rows: Vec<(DocumentId, DocState)>,
    /// Whether this is the last page.
    #[n(2)]
    pub last: bool,
    /// The round it belongs to; see [`TableRow::round`].
    #[n(3)]
    pub round: u32,
}

/// Cells of a scope's set sketch, in order: the documents that differ are found from them.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Cells {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// The round they belong to; see [`TableRow::round`].
    #[n(1)]
    pub round: u32,
    /// The index of the first of them.
    #[n(2)]
    pub from: u64,
    /// The cells: at most [`CELLS_BATCH_MAX`].
    #[cbor(
        n(3),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CELLS_BATCH_MAX, _, _>"
    )]
    pub cells: Vec<Cell>,
}

/// What would help to find the documents that differ.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Wanted {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// The round it belongs to; see [`TableRow::round`].
    #[n(1)]
    pub round: u32,
    /// How many more cells; 0 asks for the exact list instead.
    #[n(2)]
    pub cells: u64,
}

/// What a side has of one document.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Difference {
    /// The document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// The last sequence number of each actor, by actor; empty when the document is not here.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CHANGE_ACTORS_MAX, _, _>"
    )]
    pub actors: Vec<(ActorId, u64)>,
    /// Every placement of it, ascending.
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub placements: Vec<PlacementId>,
}

/// What a side has of the documents that differ.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Differ {
    /// The scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// The documents, ascending: at most [`LIST_ROWS_MAX`], and a frame is full earlier.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub documents: Vec<Difference>,
    /// Whether these are all.
    #[n(2)]
    pub last: bool,
    /// The round it belongs to; see [`TableRow::round`].
    #[n(3)]
    pub round: u32,
}

/// One thing that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Fault {
    /// Its document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// Why.
    #[cbor(n(1), with = "codec::wire")]
    pub reason: Reason,
    /// Whose changes, up to which sequence number; with neither this nor a placement, all that the
    /// batch has of the document.
    #[cbor(n(2), with = "codec::wire", has_nil)]
    pub run: Option<(ActorId, u64)>,
    /// The placement, if it was one.
    #[cbor(n(3), with = "codec::wire", has_nil)]
    pub placement: Option<PlacementId>,
}

/// How far what I hold is in backups. They are counted from this opening of my store
/// ([`Hello::opening`]), since whoever opens an older copy of it cannot know which were made after
/// that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Backups {
    /// Backups begun in it. What was durable before the next one is begun, that one will have.
    #[n(0)]
    pub begun: u64,
    /// The last of them that was read back and put away; none when it is 0.
    #[n(1)]
    pub kept: u64,
}

/// A question that is answered with itself.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Ping {
    /// Any number.
    #[n(0)]
    pub token: u64,
}

/// Why a conversation ends.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Bye {
    /// The reason.
    #[cbor(n(0), with = "codec::wire")]
    pub reason: Reason,
}

codec::wire_struct!(TableRow, Difference, Fault);

/// One digest over the scopes that two nodes share, so that HELLO stays small: over each row's
/// scope, digest and count, by scope. Cursors are hints and not in it.
pub fn table_root(rows: &[TableRow]) -> Digest {
    let mut rows: Vec<&TableRow> = rows.iter().collect();
    rows.sort_by(|a, b| a.scope.cmp(&b.scope));
    let mut hasher = hash::hasher(label::TABLE, &[]);
    for row in rows {
        let scope = row.scope.to_string();
        hasher.update(&(scope.len() as u64).to_le_bytes());
        hasher.update(scope.as_bytes());
        hasher.update(row.digest.as_ref());
        hasher.update(&row.count.to_le_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}
