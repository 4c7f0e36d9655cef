//! What a node keeps: one row type per table, and where each row stands.
//!
//! | table | name | position | row |
//! |---|---|---|---|
//! | Meta | `node` | 0 | [`MetaRow`] |
//! | Meta | `copies` | 0 | every [`CopyRow`] |
//! | Meta | `backed` | 0 | [`BackedRow`]: how far backups of the centre are |
//! | Statement | empty | order of arrival | a signed statement |
//! | Document | document | 0 | [`DocumentRow`] |
//! | Actor | document | slot of the actor, divided | [`LinesRow`]: an [`ActorRow`] for each of some slots |
//! | Bundle | document | arrival, the last if some were folded | a bundle, as it travels |
//! | Index | document | the same | [`IndexRow`]: what the bundle holds |
//! | Placement | document | order of arrival | a signed placement |
//! | Scope | scope | 0 | [`ScopeRow`] |
//! | Member | scope | slot of the document | [`MemberRow`] |
//! | Log | scope + writer | position of the last entry | [`LogPage`] |
//! | Peer | device + peer's store + scope | 0 | [`PeerRow`] |
//! | Summary | document | 0 | [`SummaryRow`] |
//! | Compacted | document | 0 | [`CompactedRow`], a cache |
//! | Entry | entry id | 0 | [`EntryRow`] |
//! | Outbox | document | 0 | [`OutboxRow`] |
//! | Review | device | 0, then order of arrival | [`ReviewRow`], then parts as they came |
//! | Stale | document | 0 | empty: the summary is older than the chunks |
//! | Job | document | 0 | [`TryingRow`]: changes are opened that never were here |
//! | Transfer | document | 0 | [`TransferRow`]: it has left a scope here |
//! | Transfer | document | 1, 2 ... | a ruling that the centre owes on its placements |
//!
//! Rows of one turn are committed together, so every invariant between them holds after any
//! crash: a scope's digest covers exactly its members, a member's state is its document's heads,
//! a log names nothing that is not there.

mod backed;
mod copied;
mod left;
mod line;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use minicbor::{Decode, Encode};
use names::{
    ActorId, ChangeHash, DeviceId, DocumentId, Incarnation, Kind, Moment, Reason, ScopeId, StoreId,
    TenantId, WriterId,
};
use protocol::{
    codec,
    digest::{Digest, DocState, LtHash},
    log::Cursor,
    narrow::PartName,
    placement::PlacementId,
};

pub(crate) use backed::BackedRow;
pub use copied::{Copied, CopyRow};
pub(crate) use left::{Left, Receipt, Stage, TransferRow};
pub(crate) use line::{ActorRow, LINES_PER_ROW, LinesRow, OutboxRow};

/// Who this store is.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct MetaRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) tenant: TenantId,
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) store: StoreId,
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) incarnation: Incarnation,
    #[cbor(n(3), with = "codec::wire")]
    pub(crate) writer: WriterId,
    /// How often the store was opened: a number for the operator, trusted by nobody.
    #[n(4)]
    pub(crate) openings: u64,
    /// It came back from a backup, and nobody has said `resume` since.
    #[n(5)]
    pub(crate) restored: bool,
    /// The version of the code that makes summaries, as of the last opening.
    #[n(6)]
    pub(crate) summaries: Option<u16>,
}

/// A document's header row: all that routing, admission and proof need, without opening it.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct DocumentRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) kind: Kind,
    /// The heads of all admitted changes, sorted; genesis alone when there are none.
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) heads: Vec<HeadRow>,
    /// Its authors' lines; an actor's place here is its slot.
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) actors: Vec<ActorId>,
    /// Bundles admitted so far: the next one's arrival number.
    #[n(3)]
    pub(crate) arrivals: u64,
    #[n(4)]
    pub(crate) changes: u64,
    #[n(5)]
    pub(crate) bytes: u64,
    /// Placements kept so far: the next one's number.
    #[n(6)]
    pub(crate) placement_count: u64,
    /// Placements that no other supersedes, sorted.
    #[cbor(n(7), with = "codec::wire")]
    pub(crate) placements: Vec<PlacementId>,
    /// The scopes these placements name together, sorted.
    #[cbor(n(8), with = "codec::wire")]
    pub(crate) placed: Vec<ScopeId>,
    /// Where it stands among the members of each scope it was ever in here.
    #[cbor(n(9), with = "codec::wire")]
    pub(crate) memberships: Vec<Membership>,
    /// The scopes that its placements name and that it is not in, with what took it out.
    #[cbor(n(10), with = "codec::wire")]
    pub(crate) left: Vec<Left>,
    /// Bundles admitted since some were last folded.
    #[n(11)]
    pub(crate) loose: u64,
}

impl DocumentRow {
    /// A document of which nothing but its kind is known.
    pub(crate) fn new(kind: Kind, genesis: HeadRow) -> DocumentRow {
        DocumentRow {
            kind,
            heads: vec![genesis],
            actors: Vec::new(),
            arrivals: 0,
            changes: 0,
            bytes: 0,
            placement_count: 0,
            placements: Vec::new(),
            placed: Vec::new(),
            memberships: Vec::new(),
            left: Vec::new(),
            loose: 0,
        }
    }
}

impl DocumentRow {
    /// The hashes of its heads, sorted.
    pub(crate) fn hashes(&self) -> Vec<ChangeHash> {
        self.heads.iter().map(|head| head.hash).collect()
    }
}

/// A head, and the counter of its last operation: what builds on it counts on from there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub(crate) struct HeadRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) hash: ChangeHash,
    #[n(1)]
    pub(crate) max_op: u64,
}

codec::wire_struct!(HeadRow);

/// A document's place among the members of one scope.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct Membership {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) scope: ScopeId,
    #[n(1)]
    pub(crate) slot: u64,
}

codec::wire_struct!(Membership);

/// What a bundle holds: so much of each change that what builds on it can be checked, and what a
/// peer lacks be found, without reading the changes.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(crate) struct IndexRow {
    /// The incarnations it came from, none for what was written here; nothing is sent back there.
    #[n(0)]
    origins: Vec<Origin>,
    /// Its changes, in its order.
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) changes: Vec<IndexChange>,
}

/// One change of a bundle.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(crate) struct IndexChange {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) hash: ChangeHash,
    /// Whose it is.
    #[n(1)]
    pub(crate) slot: u64,
    #[n(2)]
    pub(crate) seq: u64,
    /// The counter of its last operation.
    #[n(3)]
    pub(crate) max_op: u64,
    /// Its bytes as it was written.
    #[n(4)]
    pub(crate) bytes: u64,
    /// The arrival of the bundle in which it came.
    #[n(5)]
    pub(crate) arrival: u64,
    /// Which of the row's origins is its own.
    #[n(6)]
    pub(crate) origin: u64,
}

codec::wire_struct!(IndexChange);

/// The incarnation that something came from; none when it was written here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
struct Origin(#[cbor(n(0), with = "codec::wire", has_nil)] Option<Incarnation>);

impl IndexRow {
    /// What came from one place. Its changes name the first of its origins.
    pub(crate) fn from(origin: Option<Incarnation>, changes: Vec<IndexChange>) -> IndexRow {
        IndexRow {
            origins: vec![Origin(origin)],
            changes,
        }
    }

    /// Where one of its changes came from; none when it was written here.
    pub(crate) fn origin(&self, change: &IndexChange) -> Option<Incarnation> {
        let place = usize::try_from(change.origin).ok()?;
        self.origins.get(place)?.0
    }

    /// The first arrival of which it holds something.
    pub(crate) fn first(&self) -> Option<u64> {
        self.changes.iter().map(|change| change.arrival).min()
    }

    /// Adds what another holds.
    pub(crate) fn append(&mut self, other: &IndexRow) {
        for change in &other.changes {
            let origin = Origin(other.origin(change));
            let known = self.origins.iter().position(|known| *known == origin);
            let place = known.unwrap_or_else(|| {
                self.origins.push(origin);
                self.origins.len() - 1
            });
            self.changes.push(IndexChange {
                origin: place as u64,
                ..*change
            });
        }
    }

    /// The same but for some changes.
    pub(crate) fn without(&self, lost: &BTreeSet<ChangeHash>) -> IndexRow {
        let changes = self.changes.iter();
        IndexRow {
            origins: self.origins.clone(),
            changes: changes
                .filter(|change| !lost.contains(&change.hash))
                .copied()
                .collect(),
        }
    }

    /// The hashes of its changes.
    pub(crate) fn hashes(&self) -> Vec<ChangeHash> {
        self.changes.iter().map(|change| change.hash).collect()
    }

    /// Where each author's line begins in what came with one arrival, by slot.
    pub(crate) fn lines(&self, arrival: u64) -> BTreeMap<u64, u64> {
        let mut lines = BTreeMap::new();
        let of = self
            .changes
            .iter()
            .filter(|change| change.arrival == arrival);
        for change in of {
            lines.entry(change.slot).or_insert(change.seq);
        }
        lines
    }
}

/// What is kept per scope: the proof, and how far its logs go.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(crate) struct ScopeRow {
    /// The additive digest's lanes; empty when nothing was ever added.
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) digest: Vec<u8>,
    /// Documents in it.
    #[n(1)]
    pub(crate) count: u64,
    /// The last position of each writing process' log.
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) heads: Cursor,
    /// Its members, those that have left among them: the next one's slot. Who has left stays in its
    /// slot, so that both sides of the scope agree on that too.
    #[n(3)]
    pub(crate) slots: u64,
}

impl ScopeRow {
    /// The digest as it is said.
    pub(crate) fn value(&self) -> Digest {
        LtHash::from_bytes(&self.digest).unwrap_or_default().value()
    }
}

/// One member of a scope, which may have left it.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct MemberRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) document: DocumentId,
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) state: DocState,
}

/// What a log entry says has happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum LogItem {
    /// A placement was kept under this number.
    #[n(0)]
    Placement(#[n(0)] u64),
    /// A bundle was admitted, under this arrival number.
    #[n(1)]
    Bundle(#[n(0)] u64),
    /// It came into this scope with all it had.
    #[n(2)]
    Whole,
    /// It left this scope.
    #[n(3)]
    Left,
}

/// What one turn tells of in a scope, or a part of it; `logs` reads it.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(crate) struct LogPage {
    /// In the order of their positions, which have no gaps.
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) entries: Vec<LogEntry>,
}

/// One entry of a scope's log.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct LogEntry {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) document: DocumentId,
    #[n(1)]
    pub(crate) item: LogItem,
    /// The incarnation it came from; it is not sent back there.
    #[cbor(n(2), with = "codec::wire", has_nil)]
    pub(crate) origin: Option<Incarnation>,
    /// The changes it is about, and their bytes as they were written, so that totals are known
    /// without reading them.
    #[n(3)]
    pub(crate) changes: u64,
    #[n(4)]
    pub(crate) bytes: u64,
}

codec::wire_struct!(LogEntry);

/// What is known of one peer in one scope.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(crate) struct PeerRow {
    /// How far this store has taken the peer's logs.
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) taken: Cursor,
    /// How far the peer last said it had taken this store's logs.
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) given: Cursor,
    /// The documents in which both last agreed to differ.
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) exceptions: Vec<ExceptionRow>,
}

/// A document in which two sides differ because one refuses something of the other's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub(crate) struct ExceptionRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) document: DocumentId,
    /// Why something of it was refused.
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) reason: Reason,
    /// When the two sides last looked exactly whether it could be mended.
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) looked: Moment,
}

codec::wire_struct!(ExceptionRow);

/// A document's summary, as `domain` makes it.
#[derive(Clone, Encode, Decode)]
pub(crate) struct SummaryRow {
    /// How many bundles it was made from.
    #[n(0)]
    pub(crate) arrivals: u64,
    /// The version of the code that made it.
    #[n(1)]
    pub(crate) version: u16,
    /// The version of the program that opened the document for it.
    #[n(3)]
    pub(crate) program: String,
    /// The summary as JSON, the form the API gives it in.
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) json: Vec<u8>,
}

impl fmt::Debug for SummaryRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (arrivals, bytes) = (self.arrivals, self.json.len());
        write!(f, "SummaryRow({arrivals} bundles, {bytes} bytes)")
    }
}

/// A document's compacted form. Which changes it was made from is in the form itself.
#[derive(Clone, Encode, Decode)]
pub(crate) struct CompactedRow {
    /// The version of the program that made it: another one's Automerge may read it differently.
    #[n(0)]
    pub(crate) program: String,
    /// How many changes are in it; the genesis is not counted.
    #[n(2)]
    pub(crate) changes: u64,
    /// What Automerge saved. Empty when it could not save so many, or when the program ended in it.
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) form: Vec<u8>,
}

/// The mark of an opening whose end is to come.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct TryingRow {
    /// Openings of these changes of which no end was seen, this one included.
    #[n(0)]
    pub(crate) tries: u8,
    /// The version of the program that tries.
    #[n(1)]
    pub(crate) program: String,
}

/// Where an entry made here was written.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct EntryRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) document: DocumentId,
    #[n(1)]
    pub(crate) slot: u64,
    #[n(2)]
    pub(crate) seq: u64,
}

/// What a revoked device has handed in and nobody has let in yet.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(crate) struct ReviewRow {
    /// The position of the last part that ever came.
    #[n(0)]
    pub(crate) last: u64,
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) parts: Vec<KeptPart>,
}

/// A part that waits.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct KeptPart {
    #[n(0)]
    pub(crate) position: u64,
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) name: PartName,
    #[n(2)]
    pub(crate) bytes: u64,
}

codec::wire_struct!(KeptPart);

/// The name of a scope's rows.
pub(crate) fn scope_name(scope: &ScopeId) -> Vec<u8> {
    scope.to_string().into_bytes()
}

/// The name of a log: the scope, and the process that writes it.
pub(crate) fn log_name(scope: &ScopeId, writer: WriterId) -> Vec<u8> {
    let mut name = scope_name(scope);
    name.push(0);
    name.extend_from_slice(writer.as_ref());
    name
}

/// The name of what is known of a peer in a scope. The device is the one the transport has
/// proved; the store is the peer's own word.
pub(crate) fn peer_name(device: DeviceId, peer: StoreId, scope: &ScopeId) -> Vec<u8> {
    let mut name = device.as_ref().to_vec();
    name.extend_from_slice(peer.as_ref());
    name.extend_from_slice(&scope_name(scope));
    name
}
