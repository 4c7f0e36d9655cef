//! What a backup carries, read from a snapshot; and how a store comes back from one.
//!
//! A backup carries what nothing else can give back: statements, placements and bundles with their
//! signatures, as they came, and what revoked devices have handed in and nobody has let in yet.
//! Never a summary or another cache: they are made again. With them go
//! hints (how far the logs went, how far each peer was heard), so that a restored centre and its
//! edges need say only what has happened since.
//!
//! Restoring is one of the ways in, and passes through the one door like every other: each piece
//! is verified by [`crate::Verifier`] and admitted in a turn. A restored store keeps the id of the
//! old one, which its peers know, and is a new *incarnation* with a log of its own, so that nobody
//! takes what it says now for what the old one said.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use names::{
    DeviceId, DocumentId, Incarnation, Moment, Reason, ScopeId, StoreId, TenantId, WriterId,
};
use protocol::{bundle::Bundle, codec, digest::Digest, log::Cursor, placement::SignedPlacement};
use store::{Batch, NAME_BYTES_MAX, Snapshot, Store, StoreError, Table};

use crate::{
    admit::{self, Verdict},
    draft::{Draft, Settled, damaged, decode_row, read_row},
    node::{META, Node},
    review,
    rows::{MetaRow, PeerRow, ScopeRow, scope_name},
    turn::Turn,
    verify::{VerifiedBundle, VerifiedPlacement, Verifier},
};

mod read;

pub use read::{
    documents, each_piece, each_readable_piece, each_statement, every_document, every_statement,
};

/// Scopes of one centre: sites, compartments, and a caseload for each worker. A hundred times the
/// organisation this is made for.
const SCOPES_MAX: usize = 1 << 16;
/// Peers of one centre, once for each scope that it shares with them.
const PEERS_MAX: usize = 1 << 18;
/// Rows read at once. A bundle has a mebibyte at most, so that this bounds memory.
const ROWS: usize = 16;

/// How a scope stood when a backup was made.
#[derive(Clone, Debug, Encode, Decode)]
pub struct ScopeStand {
    /// Which scope.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// Its digest.
    #[cbor(n(1), with = "codec::wire")]
    pub digest: Digest,
    /// Documents in it.
    #[n(2)]
    pub count: u64,
    /// How far the logs went.
    #[cbor(n(3), with = "codec::wire")]
    pub heads: Cursor,
}

codec::wire_struct!(ScopeStand);

/// How far a peer was known to be in a scope; a hint.
#[derive(Clone, Debug, Encode, Decode)]
pub struct PeerStand {
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<NAME_BYTES_MAX, _, _>"
    )]
    name: Vec<u8>,
    #[cbor(n(1), with = "codec::wire")]
    taken: Cursor,
    #[cbor(n(2), with = "codec::wire")]
    given: Cursor,
}

codec::wire_struct!(PeerStand);

/// What a backup says of the store that it was made from.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Manifest {
    /// The organisation.
    #[cbor(n(0), with = "codec::wire")]
    pub tenant: TenantId,
    /// The store.
    #[cbor(n(1), with = "codec::wire")]
    pub store: StoreId,
    /// The life of it that made the backup.
    #[cbor(n(2), with = "codec::wire")]
    pub incarnation: Incarnation,
    /// Documents.
    #[n(3)]
    pub documents: u64,
    /// Statements of the directory that can be read.
    #[n(4)]
    pub statements: u64,
    /// The scopes that hold any.
    #[cbor(
        n(5),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SCOPES_MAX, _, _>"
    )]
    pub scopes: Vec<ScopeStand>,
    #[cbor(
        n(6),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<PEERS_MAX, _, _>"
    )]
    peers: Vec<PeerStand>,
    /// Scopes of which the store does not know any more how they stood: their rows are damaged.
    #[n(7)]
    pub scopes_unread: u64,
}

/// One signed thing of a document, as it travelled.
#[derive(Clone, Debug, Encode, Decode)]
pub enum Piece {
    /// Where it stands.
    #[n(0)]
    Placement(#[n(0)] SignedPlacement),
    /// What somebody wrote.
    #[n(1)]
    Bundle(#[cbor(n(0), with = "codec::wire")] Bundle),
}

/// A piece that has passed the door.
#[derive(Clone, Debug)]
pub enum VerifiedPiece {
    /// A placement.
    Placement(VerifiedPlacement),
    /// A bundle.
    Bundle(VerifiedBundle),
}

impl Piece {
    /// The document it is of.
    pub fn document(&self) -> Option<DocumentId> {
        match self {
            Piece::Placement(signed) => signed.claim().ok().map(|(_, claim)| claim.document),
            Piece::Bundle(bundle) => Some(bundle.document),
        }
    }
}

impl Verifier {
    /// Verifies one piece of a backup, or of a store that is checked.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn piece(&self, piece: Piece) -> Result<VerifiedPiece, Reason> {
        match piece {
            Piece::Placement(signed) => self.placement(signed).map(VerifiedPiece::Placement),
            Piece::Bundle(bundle) => {
                let mut rejected = Vec::new();
                let bundle = self.bundle(bundle, &mut rejected)?;
                match rejected.first() {
                    None => Ok(VerifiedPiece::Bundle(bundle)),
                    Some(first) => Err(first.reason),
                }
            }
        }
    }
}

/// What a backup of this state says of the store. A hint that cannot be read is left out: it would
/// only have saved time.
///
/// # Errors
/// When the store cannot be read, or does not know which it is.
pub fn manifest<P: Snapshot>(snapshot: &P) -> Result<Manifest, StoreError> {
    let meta: MetaRow = read_row(snapshot, Table::Meta, META, 0)?.ok_or(damaged(Table::Meta))?;
    let (mut scopes, mut unread) = (Vec::new(), 0);
    unread += store::each(snapshot, Table::Scope, |row| {
        let scope = std::str::from_utf8(&row.name).ok();
        let scope = scope.and_then(|name| name.parse::<ScopeId>().ok());
        let row = decode_row::<ScopeRow>(Table::Scope, &row.value);
        match (scope, row) {
            (Some(scope), Ok(row)) => scopes.push(ScopeStand {
                scope,
                digest: row.value(),
                count: row.count,
                heads: row.heads,
            }),
            (Some(_) | None, _) => unread += 1,
        }
    })?;
    let mut peers = Vec::new();
    store::each(snapshot, Table::Peer, |row| {
        if let Ok(PeerRow { taken, given, .. }) = decode_row(Table::Peer, &row.value) {
            let name = row.name;
            peers.push(PeerStand { name, taken, given });
        }
    })?;
    Ok(Manifest {
        tenant: meta.tenant,
        store: meta.store,
        incarnation: meta.incarnation,
        documents: every_document(snapshot)?.len() as u64,
        statements: every_statement(snapshot)?.0.len() as u64,
        scopes,
        peers,
        scopes_unread: unread,
    })
}

/// Prepares an empty store for what a backup holds: the id of the old store, and a life of its own.
/// The node is opened on it afterwards.
///
/// # Errors
/// Failures of the store.
pub fn begin<S: Store>(
    store: &mut S,
    manifest: &Manifest,
    incarnation: Incarnation,
    writer: WriterId,
) -> Result<(), StoreError> {
    let meta = MetaRow {
        tenant: manifest.tenant,
        store: manifest.store,
        incarnation,
        writer,
        openings: 0,
        summaries: Some(domain::SUMMARY_VERSION),
        restored: true,
    };
    let mut batch = Batch::new();
    batch.put(Table::Meta, META, 0, codec::encode(&meta));
    store.commit(batch)
}

/// Whether a store came back from a backup: whoever acts for it cannot know what it has forgotten.
///
/// # Errors
/// When the store cannot be read.
pub fn is_restored<P: Snapshot>(snapshot: &P) -> Result<bool, StoreError> {
    let meta: Option<MetaRow> = read_row(snapshot, Table::Meta, META, 0)?;
    Ok(meta.is_some_and(|meta| meta.restored))
}

impl<S: Store> Node<S> {
    /// Whether this store came back from a backup.
    pub fn is_restored(&self) -> bool {
        self.meta.restored
    }

    /// Takes back some pieces of a backup, in one turn. Nothing is said to anybody: they are in no
    /// log, since whoever knew the old store has them, and the proof finds what is not so. Answers
    /// what was refused, and why.
    ///
    /// # Errors
    /// When the store fails; the node is dead then.
    pub fn take_back(
        &mut self,
        pieces: &[VerifiedPiece],
        now: Moment,
    ) -> Result<Vec<(DocumentId, Reason)>, StoreError> {
        // Only what was dropped, or waits, needs anything of chance; nothing does here.
        let mut turn = Turn::new(Draft::new(self.store.snapshot()?), now, [0; 32]);
        let mut refused = Vec::new();
        let directory = self.directory();
        for piece in pieces {
            let (document, reason) = match piece {
                VerifiedPiece::Placement(placement) => {
                    let document = placement.placement().document;
                    match admit::placement(&mut turn.draft, &directory, placement, None)? {
                        Verdict::Refused(reason) => (document, Some(reason)),
                        Verdict::Admitted => {
                            self.owe_rulings(&mut turn, document)?;
                            (document, None)
                        }
                        Verdict::Held => (document, None),
                    }
                }
                VerifiedPiece::Bundle(bundle) => {
                    let admission = admit::bundle(&mut turn.draft, bundle, None, &BTreeSet::new())?;
                    let first = admission.refused.first().map(|(_, _, reason)| *reason);
                    (bundle.document(), admission.nothing.or(first))
                }
            };
            self.stale.insert(document);
            if let Some(reason) = reason {
                self.count(reason);
                refused.push((document, reason));
            }
        }
        turn.draft.keep_quiet();
        let Settled { shifts, .. } = turn.draft.settle(self.meta.writer)?;
        self.follow_shifts(&mut turn, shifts)?;
        self.commit_own(turn.draft.into_batch())?;
        Ok(refused)
    }

    /// Takes back a part that a revoked device had handed in, unread.
    ///
    /// # Errors
    /// When the store fails; the node is dead then. Inside, why the part is not kept.
    pub fn take_back_part(
        &mut self,
        device: DeviceId,
        part: Vec<u8>,
    ) -> Result<Result<(), Reason>, StoreError> {
        let mut draft = Draft::new(self.store.snapshot()?);
        let kept = review::hand_in(&mut draft, device, part)?;
        self.commit_own(draft.into_batch())?;
        Ok(kept)
    }

    /// Everything of a backup has been taken back: takes up its hints, so that peers go on where
    /// they stood.
    ///
    /// # Errors
    /// When the store fails; the node is dead then.
    pub fn end_take_back(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot()?;
        let mut batch = Batch::new();
        for stand in &manifest.scopes {
            let name = scope_name(&stand.scope);
            let mut row: ScopeRow =
                read_row(&snapshot, Table::Scope, &name, 0)?.unwrap_or_default();
            row.heads.advance_to(&stand.heads);
            self.log_heads
                .insert(stand.scope.clone(), row.heads.clone());
            batch.put(Table::Scope, name, 0, codec::encode(&row));
        }
        for peer in &manifest.peers {
            let row = PeerRow {
                taken: peer.taken.clone(),
                given: peer.given.clone(),
                exceptions: Vec::new(),
            };
            batch.put(Table::Peer, peer.name.clone(), 0, codec::encode(&row));
        }
        drop(snapshot);
        self.commit_own(batch)
    }

    fn commit_own(&mut self, batch: Batch) -> Result<(), StoreError> {
        if self.dead {
            return Err(StoreError::Dead);
        }
        let done = self.store.commit(batch);
        self.dead = done.is_err();
        self.commits += 1;
        done
    }
}
