//! The node itself: what it holds in memory, and how it is opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use domain::SUMMARY_VERSION;
use names::{
    DeviceId, DocumentId, Incarnation, Moment, Nonce, Reason, ScopeId, StoreId, TenantId, WriterId,
};
use protocol::{
    codec,
    directory::{DeviceKind, Directory, SignedStatement},
    log::Cursor,
    message::Backups,
    signed::{DeviceKey, PublicKey},
    sketch::Sketch,
};
use store::{Batch, Snapshot, Store, StoreError, Table};

use crate::{
    backups,
    branch::Branches,
    copies::{self, Contact},
    desk::Desk,
    draft::{damaged, read_range, read_row},
    input::LinkId,
    link::Link,
    outbox::Outbox,
    repair::SKETCHED_FROM,
    rows::{BackedRow, CopyRow, MetaRow, Stage, TransferRow},
    scopes,
    transfer::{Owed, read_transfers},
    trying::Trying,
    verify::Verifier,
};

/// The name of the row that says who a store is.
pub(crate) const META: &[u8] = b"node";

/// Rows read at once when a table is read through at opening.
const OPENING_ROWS: usize = 1_024;

/// Who a node is: handed in when it is opened, kept sealed by the shell.
pub struct Identity {
    /// Whose record this is.
    pub tenant: TenantId,
    /// The key derived document ids are made with.
    pub tenant_key: [u8; 32],
    /// The key the authority signs its statements with.
    pub authority: PublicKey,
    /// The key this device signs with.
    pub device: DeviceKey,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, {})", self.tenant, self.device.device_id())
    }
}

/// One node: a state machine without IO, clock or chance of its own. See the crate's
/// documentation for how it is driven.
pub struct Node<S> {
    pub(crate) store: S,
    pub(crate) identity: Identity,
    pub(crate) device: DeviceId,
    pub(crate) meta: MetaRow,
    /// Drawn at this opening; part of every actor born in it.
    pub(crate) nonce: Nonce,
    /// Backups begun and put away in this opening; only at the centre.
    pub(crate) backups: Backups,
    /// How far what is at the centre is in its backups.
    pub(crate) backed: BackedRow,
    /// Whether it has changed since it was written down.
    pub(crate) backed_changed: bool,
    /// When each device was last heard, and in which openings of its store, since this one.
    pub(crate) contacts: BTreeMap<DeviceId, Contact>,
    /// Stores that came back from an older copy, or run twice.
    pub(crate) copies: Vec<CopyRow>,
    pub(crate) directory: Arc<Directory>,
    /// Whether this turn has changed it.
    pub(crate) directory_changed: bool,
    /// Statements kept: the next one's place in the store's order.
    pub(crate) statements: u64,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) desk: Desk,
    pub(crate) trying: Trying,
    pub(crate) outbox: Outbox,
    /// How far this store's logs go in each scope, as is on disk.
    pub(crate) log_heads: BTreeMap<ScopeId, Cursor>,
    /// The sketches of scopes that were repaired in this opening.
    pub(crate) sketches: BTreeMap<ScopeId, Sketch>,
    /// From how many documents on a scope is repaired by its sketch.
    pub(crate) sketched_from: u64,
    /// Documents whose summary is to be made, and those that wait until what was missed is here.
    pub(crate) stale: BTreeSet<DocumentId>,
    pub(crate) stale_later: BTreeSet<DocumentId>,
    /// Documents that have left a scope here.
    pub(crate) parted: BTreeMap<DocumentId, TransferRow>,
    /// Those of them that are on their way out of this store.
    pub(crate) leaving: BTreeSet<DocumentId>,
    /// Documents whose chunks were dropped in this opening: their actors of this opening must not
    /// write again, so they have a nonce of their own.
    pub(crate) nonces: BTreeMap<DocumentId, Nonce>,
    /// Documents on whose placements this turn has brought a ruling.
    pub(crate) ruled: BTreeSet<DocumentId>,
    /// Branches that may not stand.
    pub(crate) branches: Branches,
    /// What the centre still has to rule, and whether the authority was asked in this opening.
    pub(crate) owed: BTreeMap<(DocumentId, u64), Owed>,
    pub(crate) counters: BTreeMap<Reason, u64>,
    /// Turns that wrote something, since the opening.
    pub(crate) commits: u64,
    pub(crate) dead: bool,
}

impl<S: Store> Node<S> {
    /// Opens a node on a store, which may be new. `statements` are taken in first: those of an
    /// enrolment's answer; none otherwise. Of `entropy` the first 16 bytes become the opening's
    /// nonce, so they must never be handed in twice.
    ///
    /// # Errors
    /// When the store fails, belongs to another tenant, or holds rows this program did not write.
    pub fn open(
        mut store: S,
        identity: Identity,
        statements: &[SignedStatement],
        now: Moment,
        entropy: [u8; 64],
    ) -> Result<Node<S>, StoreError> {
        let _ = now;
        let snapshot = store.snapshot()?;
        let mut batch = Batch::new();
        let mut stale = BTreeSet::new();
        let before = read_row::<MetaRow, _>(&snapshot, Table::Meta, META, 0)?;
        if before
            .as_ref()
            .is_some_and(|meta| meta.summaries != Some(SUMMARY_VERSION))
        {
            stale = make_stale(&snapshot, &mut batch)?;
        }
        let meta = opened_meta(before, &identity, &entropy)?;
        batch.put(Table::Meta, META, 0, codec::encode(&meta));
        let mut directory = Directory::new(identity.tenant, identity.authority);
        let mut kept = read_statements(&snapshot, &mut directory)?;
        for signed in statements {
            if directory.admit(signed) == Ok(true) {
                batch.put(Table::Statement, Vec::new(), kept, codec::encode(signed));
                kept += 1;
            }
        }
        let outbox = Outbox::read(&snapshot, identity.device.device_id())?;
        stale.extend(read_stale(&snapshot)?);
        let trying = Trying::read(&snapshot, &mut batch)?;
        let copies = copies::read(&snapshot)?;
        let backed = backups::read(&snapshot)?;
        let readable = directory.scopes_of(&identity.device.device_id());
        let log_heads = scopes::read(&snapshot, &mut batch, meta.writer, &readable)?;
        let (parted, owed) = read_transfers(&snapshot, |scope| readable.contains(scope))?;
        // What has left is in no list.
        stale.retain(|document| {
            parted
                .get(document)
                .is_none_or(|row| row.stage == Stage::Stays)
        });
        drop(snapshot);
        store.commit(batch)?;
        Ok(Node {
            store,
            device: identity.device.device_id(),
            identity,
            meta,
            nonce: Nonce(part(&entropy, 0)),
            backups: Backups { begun: 0, kept: 0 },
            backed,
            backed_changed: false,
            contacts: BTreeMap::new(),
            copies,
            branches: Branches::of(&directory),
            directory: Arc::new(directory),
            directory_changed: false,
            statements: kept,
            links: BTreeMap::new(),
            desk: Desk::default(),
            trying,
            outbox,
            log_heads,
            sketches: BTreeMap::new(),
            sketched_from: SKETCHED_FROM,
            stale,
            stale_later: BTreeSet::new(),
            leaving: leaving(&parted),
            parted,
            nonces: BTreeMap::new(),
            ruled: BTreeSet::new(),
            owed,
            counters: BTreeMap::new(),
            commits: 0,
            dead: false,
        })
    }

    /// What verifies bytes for this node, with the directory as it is now.
    pub fn verifier(&self) -> Verifier {
        Verifier::new(&self.identity, Arc::clone(&self.directory))
    }

    /// The state on disk, to be read at leisure and from any thread.
    ///
    /// # Errors
    /// When the store has failed.
    pub fn snapshot(&self) -> Result<S::Snapshot, StoreError> {
        self.store.snapshot()
    }

    /// Who is who, as known here.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// This node's device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// This node's store.
    pub fn store_id(&self) -> StoreId {
        self.meta.store
    }

    /// This life of the store.
    pub fn incarnation(&self) -> Incarnation {
        self.meta.incarnation
    }

    /// Whether this node is the centre.
    pub(crate) fn is_centre(&self) -> bool {
        let device = self.directory.device(&self.device);
        device.is_some_and(|device| device.kind == DeviceKind::Centre)
    }

    /// How often each reason was met since the opening.
    pub fn counters(&self) -> &BTreeMap<Reason, u64> {
        &self.counters
    }

    /// Turns that wrote something, since the opening.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Entries written here that the centre has not yet said it holds.
    pub fn waiting(&self) -> u64 {
        self.outbox.count()
    }

    /// Whether any opening that was asked for has not ended.
    pub fn is_opening(&self) -> bool {
        !self.trying.rests()
    }

    /// Gives the store back, so that it can be closed.
    pub fn into_store(self) -> S {
        self.store
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        *self.counters.entry(reason).or_default() += 1;
    }
}

impl<S> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("device", &self.device)
            .field("links", &self.links.len())
            .field("waiting", &self.outbox.count())
            .finish_non_exhaustive()
    }
}

/// Documents on their way out of a store.
fn leaving(parted: &BTreeMap<DocumentId, TransferRow>) -> BTreeSet<DocumentId> {
    let on_their_way =
        |row: &TransferRow| matches!(row.stage, Stage::HandsIn | Stage::Held(_) | Stage::Drops(_));
    let leaving = parted.iter().filter(|(_, row)| on_their_way(row));
    leaving.map(|(document, _)| *document).collect()
}

/// The `index`th 16 bytes of 64.
fn part(entropy: &[u8; 64], index: usize) -> [u8; 16] {
    entropy
        .as_chunks::<16>()
        .0
        .get(index)
        .copied()
        .unwrap_or_default()
}

/// Reads the statements. One that is damaged is passed over: its id is then missing, and a peer
/// gives it back.
fn read_statements<P: Snapshot>(
    snapshot: &P,
    directory: &mut Directory,
) -> Result<u64, StoreError> {
    let mut next = 0;
    loop {
        let rows = read_range(snapshot, Table::Statement, &[], next, OPENING_ROWS)?;
        let Some((last, _)) = rows.last() else {
            return Ok(next);
        };
        next = last + 1;
        for bytes in rows.into_iter().filter_map(|(_, bytes)| bytes) {
            let signed = codec::decode::<SignedStatement>(&bytes);
            // Whatever stands here was admitted before; what is refused now is damaged.
            let _ = signed.and_then(|signed| directory.admit(&signed));
        }
    }
}

/// Who the store is in this opening; who it will be, when it is new.
fn opened_meta(
    before: Option<MetaRow>,
    identity: &Identity,
    entropy: &[u8; 64],
) -> Result<MetaRow, StoreError> {
    match before {
        Some(meta) if meta.tenant == identity.tenant => Ok(MetaRow {
            openings: meta.openings + 1,
            summaries: Some(SUMMARY_VERSION),
            ..meta
        }),
        Some(_) => Err(damaged(Table::Meta)),
        None => Ok(MetaRow {
            tenant: identity.tenant,
            store: StoreId(part(entropy, 1)),
            incarnation: Incarnation(part(entropy, 2)),
            writer: WriterId(part(entropy, 3)),
            openings: 1,
            restored: false,
            summaries: Some(SUMMARY_VERSION),
        }),
    }
}

/// Marks every summary: another version of the code makes them now. They are worked off with the
/// others, and until then lists show what the older version made of them.
fn make_stale<P: Snapshot>(
    snapshot: &P,
    batch: &mut Batch,
) -> Result<BTreeSet<DocumentId>, StoreError> {
    let mut stale = BTreeSet::new();
    store::each(snapshot, Table::Document, |row| {
        if let Ok(id) = <[u8; 16]>::try_from(row.name.as_slice()) {
            stale.insert(DocumentId(id));
            batch.put(Table::Stale, row.name, 0, Vec::new());
        }
    })?;
    Ok(stale)
}

fn read_stale<P: Snapshot>(snapshot: &P) -> Result<BTreeSet<DocumentId>, StoreError> {
    let mut stale = BTreeSet::new();
    store::each(snapshot, Table::Stale, |row| {
        if let Ok(id) = <[u8; 16]>::try_from(row.name.as_slice()) {
            stale.insert(DocumentId(id));
        }
    })?;
    Ok(stale)
}
