//! Reading without opening: lists, how far an entry has got, how a scope's synchronisation
//! stands, and the proof recomputed from what is stored.
//!
//! Views read a snapshot; they never wait for a turn and no turn waits for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use names::{DeviceId, DocumentId, EntryId, Kind, Moment, Reason, ScopeId};
use protocol::{digest::Digest, log::Cursor};
use serde::Serialize;
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    backup,
    backups::is_backed_up,
    draft::{damaged, decode_row, read_range, read_row, unless_damaged},
    input::LinkId,
    lines::read_line,
    link::Stage,
    node::Node,
    progress::Progress,
    recount::Recount,
    rows::{DocumentRow, EntryRow, MemberRow, ScopeRow, SummaryRow, scope_name},
    trying,
};

pub use crate::{
    copies::read as copies,
    recount::Recomputed,
    rows::{Copied, CopyRow},
};

/// Member rows read at once.
const MEMBER_ROWS: usize = 1_024;

mod transfers;

use transfers::is_dropped;
pub(crate) use transfers::transfers_of;
pub use transfers::{HandedOver, handed_over};

/// How far an entry has travelled, from acknowledgements and never from a guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// It is durable on this node, and nobody else is known to have it.
    SavedHere,
    /// It was written at another node and has come here.
    Received,
    /// The centre has said that it made it durable.
    AtTheCentre,
    /// It was at the centre when one of its backups was begun, which has been put away since.
    BackedUp,
}

/// A document in a list, from its summary. Its `Debug` shows no more than its id and sizes.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which document.
    pub document: DocumentId,
    /// Its kind.
    pub kind: Kind,
    /// Its summary as JSON, the form `domain` gives it; empty when none was made yet.
    pub summary: Vec<u8>,
    /// Whether changes have come since the summary was made.
    pub stale: bool,
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (document, bytes) = (self.document, self.summary.len());
        write!(
            f,
            "Listed({document}, {bytes} bytes, stale: {})",
            self.stale
        )
    }
}

/// How one scope stands with one peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerSync {
    /// The conversation.
    pub link: LinkId,
    /// The peer.
    pub device: DeviceId,
    /// Whether it is the centre.
    pub is_centre: bool,
    /// When both sides were last found equal, if nothing has come since.
    pub proved: Option<Moment>,
    /// The documents in which they then went on to differ, and why one side refuses something of
    /// them; an entry of them that only one side has is on its disk and goes no further.
    pub exceptions: BTreeMap<DocumentId, Reason>,
    /// What the peer announced, and what has come of it.
    pub expected: Progress,
    /// See `expected`.
    pub received: Progress,
    /// What was announced to the peer, and what is out.
    pub announced: Progress,
    /// See `announced`.
    pub given: Progress,
    /// Why the last comparison ended unequal.
    pub trouble: Option<Reason>,
}

/// How one scope stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeSync {
    /// Which scope.
    pub scope: ScopeId,
    /// The proof: equal digests mean equal.
    pub digest: Digest,
    /// Documents in it.
    pub count: u64,
    /// The ends of this store's logs.
    pub logs: Cursor,
    /// Entries written here that the centre has not yet said it holds.
    pub waiting: u64,
    /// How it stands with each peer that is in touch.
    pub peers: Vec<PeerSync>,
}

impl<S: Store> Node<S> {
    /// How every scope of this node stands, the directory first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sync(&self) -> Result<Vec<ScopeSync>, StoreError> {
        let snapshot = self.store.snapshot()?;
        let mut scopes = vec![self.directory_sync()];
        for scope in self.directory.scopes_of(&self.device) {
            let row: ScopeRow =
                read_row(&snapshot, Table::Scope, &scope_name(&scope), 0)?.unwrap_or_default();
            let waiting = self.outbox.count_in(&scope);
            scopes.push(ScopeSync {
                digest: row.value(),
                count: row.count,
                logs: row.heads,
                waiting,
                peers: self.peers_of(&scope),
                scope,
            });
        }
        Ok(scopes)
    }

    fn directory_sync(&self) -> ScopeSync {
        let merged = self
            .links
            .iter()
            .filter(|(_, link)| link.stage == Stage::Scopes);
        let peers = merged.map(|(id, link)| PeerSync {
            link: *id,
            device: link.device,
            is_centre: link.is_centre,
            proved: link.directory.proved,
            exceptions: BTreeMap::new(),
            expected: Progress::default(),
            received: Progress::default(),
            announced: Progress::default(),
            given: Progress::default(),
            trouble: None,
        });
        ScopeSync {
            scope: ScopeId::Directory,
            digest: self.directory.digest(),
            count: self.directory.count(),
            logs: Cursor::new(),
            waiting: 0,
            peers: peers.collect(),
        }
    }

    fn peers_of(&self, scope: &ScopeId) -> Vec<PeerSync> {
        let talks = self.links.iter().filter_map(|(id, link)| {
            let talk = link.scopes.get(scope)?;
            Some(PeerSync {
                link: *id,
                device: link.device,
                is_centre: link.is_centre,
                proved: talk.proved,
                exceptions: talk
                    .exceptions
                    .iter()
                    .map(|(document, kept)| (*document, kept.reason))
                    .collect(),
                expected: talk.expected,
                received: talk.received.so_far(),
                announced: talk.announced,
                given: talk.given.so_far(),
                trouble: talk.trouble,
            })
        });
        talks.collect()
    }
}

/// Members of a scope from one slot on, in the order in which they came into it, and the slot to go
/// on from; none when these are the last. A damaged row is passed over.
pub(crate) fn members_from<P: Snapshot>(
    snapshot: &P,
    scope: &ScopeId,
    from: u64,
    limit: usize,
) -> Result<(Vec<MemberRow>, Option<u64>), StoreError> {
    let rows = read_range(snapshot, Table::Member, &scope_name(scope), from, limit)?;
    let next = rows.last().map(|(last, _)| last + 1);
    let next = next.filter(|_| rows.len() == limit);
    let mut members = Vec::with_capacity(rows.len());
    for bytes in rows.into_iter().filter_map(|(_, bytes)| bytes) {
        members.extend(unless_damaged(decode_row::<MemberRow>(
            Table::Member,
            &bytes,
        ))?);
    }
    Ok((members, next))
}

/// The documents that stand in any of these scopes, and perhaps some others: whom a list is to look
/// through. They are told by the scopes' members; where one of these cannot be read or is missing, no
/// document is hidden for it, and those of all scopes are told.
///
/// # Errors
/// When the store cannot be read.
pub fn documents_near<'s, P: Snapshot>(
    snapshot: &P,
    scopes: impl Iterator<Item = &'s ScopeId>,
) -> Result<BTreeSet<DocumentId>, StoreError> {
    let mut documents = BTreeSet::new();
    for scope in scopes {
        let kept = read_row::<ScopeRow, _>(snapshot, Table::Scope, &scope_name(scope), 0);
        let slots = unless_damaged(kept)?.map(|row| row.map_or(0, |row| row.slots));
        let (mut found, mut next) = (0, Some(0));
        while let Some(from) = next {
            let (members, more) = members_from(snapshot, scope, from, MEMBER_ROWS)?;
            found += members.len() as u64;
            documents.extend(members.into_iter().map(|member| member.document));
            next = more;
        }
        if slots != Some(found) {
            return every_document(snapshot);
        }
    }
    Ok(documents)
}

/// Every document. One whose header is damaged is in no list; `verify` counts it.
fn every_document<P: Snapshot>(snapshot: &P) -> Result<BTreeSet<DocumentId>, StoreError> {
    let mut documents = BTreeSet::new();
    store::each(snapshot, Table::Document, |row| {
        documents.extend(<[u8; 16]>::try_from(row.name.as_slice()).map(DocumentId));
    })?;
    Ok(documents)
}

/// The documents of a scope, with what lists show of them.
///
/// # Errors
/// When the store cannot be read.
pub fn documents<P: Snapshot>(snapshot: &P, scope: &ScopeId) -> Result<Vec<Listed>, StoreError> {
    let (mut listed, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let (members, more) = members_from(snapshot, scope, from, MEMBER_ROWS)?;
        for member in members {
            // Those that have left are members still, and in no list.
            let row = read_document(snapshot, member.document)?;
            if let Some(row) = row.filter(|row| row.placed.contains(scope)) {
                listed.push(listed_of(snapshot, member.document, &row)?);
            }
        }
        next = more;
    }
    Ok(listed)
}

/// Whether a document stands in one of these scopes; one whose header is damaged is in no list.
///
/// # Errors
/// When the store cannot be read.
pub fn stands_in<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    scopes: &BTreeSet<ScopeId>,
) -> Result<bool, StoreError> {
    let row = read_document(snapshot, document)?;
    Ok(row.is_some_and(|row| row.placed.iter().any(|scope| scopes.contains(scope))))
}

/// One document as lists show it.
///
/// # Errors
/// When the store cannot be read.
pub fn document_of<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
) -> Result<Option<Listed>, StoreError> {
    let row = read_document(snapshot, document)?;
    row.map(|row| listed_of(snapshot, document, &row))
        .transpose()
}

/// A document's header row; none when there is none, or it is damaged.
fn read_document<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
) -> Result<Option<DocumentRow>, StoreError> {
    let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
    Ok(unless_damaged::<Option<DocumentRow>>(row)?.flatten())
}

fn listed_of<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    row: &DocumentRow,
) -> Result<Listed, StoreError> {
    let summary = read_row(snapshot, Table::Summary, document.as_ref(), 0);
    let summary: Option<SummaryRow> = unless_damaged(summary)?.flatten();
    let stale = summary
        .as_ref()
        .is_none_or(|summary| summary.arrivals < row.arrivals);
    let summary = summary.map(|summary| summary.json).unwrap_or_default();
    Ok(Listed {
        document,
        kind: row.kind,
        summary,
        stale,
    })
}

/// How a document stands with whoever wants to see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// All of it was opened here before.
    Opened,
    /// Something of it never was; the node must make its mark before anybody opens it
    /// ([`Input::Want`](crate::Input::Want)).
    Unopened,
    /// It is not opened for now, because the program ended too often while it was.
    Aside,
}

/// How a document stands with whoever wants to see it.
///
/// # Errors
/// When the store cannot be read.
pub fn opening_of<P: Snapshot>(snapshot: &P, document: DocumentId) -> Result<Opening, StoreError> {
    let (is_opened, is_aside) = trying::opening(snapshot, document)?;
    Ok(if is_aside {
        Opening::Aside
    } else if is_opened {
        Opening::Opened
    } else {
        Opening::Unopened
    })
}

/// Whether a document may be opened before a turn has asked for it: as of the last turn it was opened
/// here as it is, has left no scope, and nothing was being opened under a mark, which would be blamed
/// for what happens meanwhile.
///
/// # Errors
/// When the store cannot be read.
pub fn may_open_ahead<P: Snapshot>(snapshot: &P, document: DocumentId) -> Result<bool, StoreError> {
    let is_opened = opening_of(snapshot, document)? == Opening::Opened;
    let has_left = snapshot.get(Table::Transfer, document.as_ref(), 0)?;
    Ok(is_opened && has_left.is_none() && !trying::any_marks(snapshot)?)
}

/// The scopes a document stands in; empty when it is not here.
///
/// # Errors
/// When the store cannot be read.
pub fn scopes_of<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
) -> Result<Vec<ScopeId>, StoreError> {
    let row: Option<DocumentRow> = read_row(snapshot, Table::Document, document.as_ref(), 0)?;
    Ok(row.map(|row| row.placed).unwrap_or_default())
}

/// How far an entry that was made at this node has got; `None` when it was made elsewhere.
///
/// # Errors
/// When the store cannot be read.
pub fn entry_state<P: Snapshot>(
    snapshot: &P,
    entry: EntryId,
) -> Result<Option<EntryState>, StoreError> {
    let Some(row) = read_row::<EntryRow, _>(snapshot, Table::Entry, entry.as_ref(), 0)? else {
        return Ok(None);
    };
    let Some(line) = read_line(snapshot, row.document, row.slot)? else {
        // What was dropped here had arrived, all of it.
        let is_dropped = is_dropped(snapshot, row.document)?;
        return Ok(Some(match is_dropped {
            true => EntryState::AtTheCentre,
            false => EntryState::SavedHere,
        }));
    };
    Ok(Some(if line.centre < row.seq {
        EntryState::SavedHere
    } else if is_backed_up(snapshot, row.document, &line, row.seq)? {
        EntryState::BackedUp
    } else {
        EntryState::AtTheCentre
    }))
}

/// Every scope's digest, recomputed from stored chunks and placements.
///
/// # Errors
/// When the store cannot be read.
pub fn recompute<P: Snapshot>(snapshot: &P) -> Result<BTreeMap<ScopeId, Recomputed>, StoreError> {
    let documents = every_document(snapshot)?;
    let mut recount = Recount::of_store(snapshot)?;
    for document in documents {
        backup::each_piece(snapshot, document, |piece| {
            recount.piece(&piece).map_err(|_| damaged(Table::Bundle))
        })?;
        recount.close(document);
    }
    Ok(recount.scopes())
}
