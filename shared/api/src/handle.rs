//! The running node as a [`Record`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use node::{
    NotDone, Request, Saved, Side, Transfer, Transferred,
    names::{DocumentId, EntryId, Reason, ScopeId},
    protocol::{Cursor, Directory, directory::DeviceKind},
    views::{Copied, CopyRow, EntryState, HandedOver, PeerSync as Peer, ScopeSync as Scope},
};
use runtime::{Handle, LinkStatus, Traffic};

use crate::record::{
    Amount, Answer, CopiedStore, DocumentException, Exception, LaneTally, Link, Listed, Opened,
    PageOf, PeerSync, Progress, Proof, Proved, Reach, Record, Role, ScopeSync, Stage, SyncView,
    Tally, Unreached, Who,
};

/// The names of the lanes, in the runtime's order.
const LANES: [&str; 3] = ["control", "live", "fill"];

impl Record for Handle {
    fn who(&self) -> Who {
        let me = self.whoami();
        let directory = Handle::directory(self);
        let known = directory.device(&me.device);
        let centre = known.is_some_and(|device| device.kind == DeviceKind::Centre);
        Who {
            role: if centre { Role::Centre } else { Role::Edge },
            device: me.device,
            store: me.store,
            incarnation: me.incarnation,
            site: known.and_then(|device| device.site.clone()),
        }
    }

    fn directory(&self) -> Arc<Directory> {
        Handle::directory(self)
    }

    fn perform(&self, request: Request) -> Answer<'_, Result<Saved, NotDone>> {
        Box::pin(self.command(request))
    }

    fn transfer(&self, transfer: Transfer) -> Answer<'_, Result<Transferred, NotDone>> {
        Box::pin(Handle::transfer(self, transfer))
    }

    fn handed_over(&self) -> Answer<'_, Result<Vec<HandedOver>, Reason>> {
        Box::pin(Handle::handed_over(self))
    }

    fn reach(&self, entry: EntryId) -> Answer<'_, Result<Option<Reach>, Reason>> {
        Box::pin(async move {
            let state = self.entry_state(entry).await?;
            Ok(state.map(|state| reach(self.who().role, Some(state))))
        })
    }

    fn rows(&self, scope: Option<ScopeId>) -> Answer<'_, Result<Vec<Listed>, Reason>> {
        Box::pin(async move {
            // A document in several scopes is one row.
            let mut rows = BTreeMap::new();
            for scope in self.scopes_read(scope)? {
                for row in self.list(scope).await? {
                    rows.insert(row.document, row);
                }
            }
            Ok(rows.into_values().map(listed).collect())
        })
    }

    fn page(&self, of: PageOf) -> Answer<'_, Result<Vec<Listed>, Reason>> {
        Box::pin(async move {
            let PageOf {
                scope,
                after,
                limit,
                keep,
            } = of;
            let of = runtime::PageOf {
                scopes: self.scopes_read(scope)?,
                after,
                limit,
                keep: Box::new(move |row| keep(&listed(row.clone()))),
            };
            let rows = Handle::page(self, of).await?;
            Ok(rows.into_iter().map(listed).collect())
        })
    }

    fn document(&self, document: DocumentId) -> Answer<'_, Result<Opened, Reason>> {
        Box::pin(async move {
            let scopes = self.readable(document).await?;
            let view = self.view(document).await?;
            let role = self.who().role;
            let rows = view.state.journal().rows();
            let entries: Vec<EntryId> = rows.map(|row| row.entry).collect();
            let states = self.entry_states(entries.clone()).await?;
            let of = |entry| (entry, reach(role, states.get(&entry).copied()));
            let reached = entries.into_iter().map(of).collect();
            Ok(Opened {
                document,
                kind: view.state.kind(),
                scopes,
                conflicts: view.state.conflicts(),
                // What cannot be written as JSON is not in a state.
                state: serde_json::to_value(&view.state).map_err(|_| Reason::CannotOpen)?,
                flaws: view.flaws,
                marks: view.marks,
                reach: reached,
            })
        })
    }

    fn export(&self, document: DocumentId) -> Answer<'_, Result<Vec<u8>, Reason>> {
        Box::pin(async move {
            self.readable(document).await?;
            Handle::export(self, document).await
        })
    }

    fn sync(&self) -> Answer<'_, Result<SyncView, Reason>> {
        Box::pin(async move {
            let scopes = Handle::sync(self).await?;
            let counters = self.counters();
            let copies = Handle::copies(self).await?;
            Ok(SyncView {
                copies: copies.iter().map(copied).collect(),
                node: self.who(),
                waiting: self.waiting(),
                scopes: scopes.iter().map(scope_sync).collect(),
                links: self.links().iter().map(link).collect(),
                exceptions: counters
                    .iter()
                    .map(|(reason, count)| Exception::new(*reason, *count))
                    .collect(),
                unreached: self
                    .unreached()
                    .map(|runtime::Unreached { at, why }| Unreached { at, why }),
            })
        })
    }

    fn ready(&self) -> Result<(), Reason> {
        Handle::ready(self)
    }

    fn tally(&self) -> Answer<'_, Result<Tally, Reason>> {
        Box::pin(async move {
            let scopes = self.sync_lately().await?;
            let lanes = LANES.into_iter().zip(self.traffic());
            let (turns, commits) = self.turns();
            Ok(Tally {
                turns,
                commits,
                lanes: lanes.flat_map(lane).collect(),
                refusals: BTreeMap::clone(&self.counters()),
                waiting: self.waiting(),
                documents: scopes
                    .iter()
                    .map(|scope| (scope.scope.clone(), scope.count))
                    .collect(),
                links: self.links().len() as u64,
            })
        })
    }
}

/// What this module adds to a handle.
trait Reading {
    /// The scopes of a document that this node may read; an error when there is none.
    async fn readable(&self, document: DocumentId) -> Result<Vec<ScopeId>, Reason>;

    /// The scopes this node reads, or one of them alone.
    fn scopes_read(&self, scope: Option<ScopeId>) -> Result<BTreeSet<ScopeId>, Reason>;
}

impl Reading for Handle {
    async fn readable(&self, document: DocumentId) -> Result<Vec<ScopeId>, Reason> {
        let scopes = self.scopes_of(document).await?;
        let readable = Handle::directory(self).scopes_of(&self.whoami().device);
        // What was written here stays here after the right to read it has gone.
        if scopes.iter().any(|scope| readable.contains(scope)) {
            return Ok(scopes);
        }
        let handed = self.handed_over().await?;
        let is_handed = handed.iter().any(|handed| handed.document == document);
        Err(if is_handed {
            Reason::Transferred
        } else {
            Reason::NotFound
        })
    }

    fn scopes_read(&self, scope: Option<ScopeId>) -> Result<BTreeSet<ScopeId>, Reason> {
        let mut readable = Handle::directory(self).scopes_of(&self.whoami().device);
        if let Some(scope) = scope {
            // A scope that is not there and one that may not be read are one answer.
            readable.retain(|known| *known == scope);
            if readable.is_empty() {
                return Err(Reason::NotFound);
            }
        }
        Ok(readable)
    }
}

/// How far an entry has got. Of one that was made at another node an edge knows no more than that
/// it has come: a centre that was restored may have lost it since.
fn reach(role: Role, state: Option<EntryState>) -> Reach {
    match (role, state) {
        (_, Some(EntryState::BackedUp)) => Reach::BackedUp,
        (Role::Centre, _) | (Role::Edge, Some(EntryState::AtTheCentre)) => Reach::AtTheCentre,
        (Role::Edge, Some(EntryState::SavedHere)) => Reach::SavedHere,
        (Role::Edge, Some(EntryState::Received) | None) => Reach::Received,
    }
}

fn copied(row: &CopyRow) -> CopiedStore {
    let (how, words) = match row.how {
        Copied::OlderCopy => (
            "older-copy",
            "its store came back from an older copy: what was written there after it was last in touch \
             may be gone; ask who worked there then",
        ),
        Copied::RunsTwice => (
            "runs-twice",
            "two copies of its store run side by side: nothing is lost by that, but stop one of them and \
             say `device single` at the centre; until then its certificate is not renewed",
        ),
        Copied::RanTwice => (
            "ran-twice",
            "two copies of its store ran side by side, until somebody said that one was stopped",
        ),
    };
    CopiedStore {
        device: row.device,
        how,
        from: row.from,
        until: row.until,
        words,
    }
}

fn listed(row: node::views::Listed) -> Listed {
    Listed {
        document: row.document,
        kind: row.kind,
        stale: row.stale,
        summary: serde_json::from_slice(&row.summary).unwrap_or_default(),
    }
}

fn scope_sync(scope: &Scope) -> ScopeSync {
    let proved = scope
        .peers
        .iter()
        .filter_map(|peer| {
            peer.proved.map(|at| Proved {
                at,
                peer: peer.device,
            })
        })
        .max_by_key(|proved| proved.at);
    let peers = scope.peers.iter().map(peer_sync).collect();
    ScopeSync {
        scope: scope.scope.clone(),
        proof: Proof {
            digest: scope.digest,
            count: scope.count,
        },
        cursor: positions(&scope.logs),
        proved,
        waiting: scope.waiting,
        peers,
    }
}

fn positions(cursor: &Cursor) -> BTreeMap<node::names::WriterId, u64> {
    cursor
        .positions()
        .map(|position| (position.writer, position.number))
        .collect()
}

fn peer_sync(peer: &Peer) -> PeerSync {
    let incoming = Progress {
        announced: amount(peer.expected),
        done: amount(peer.received),
    };
    let outgoing = Progress {
        announced: amount(peer.announced),
        done: amount(peer.given),
    };
    let moving = |progress: Progress| progress.done.changes < progress.announced.changes;
    let stage = match (peer.trouble, peer.proved) {
        (Some(_), _) => Stage::Different,
        (None, Some(_)) if peer.exceptions.is_empty() => Stage::Equal,
        (None, Some(_)) => Stage::EqualExcept,
        (None, None) if moving(incoming) || moving(outgoing) => Stage::Filling,
        (None, None) => Stage::Unproved,
    };
    PeerSync {
        peer: peer.device,
        is_centre: peer.is_centre,
        stage,
        proved_at: peer.proved,
        incoming,
        outgoing,
        trouble: peer.trouble.map(|reason| Exception::new(reason, 1)),
        exceptions: peer
            .exceptions
            .iter()
            .map(|(document, reason)| DocumentException {
                document: *document,
                reason: *reason,
                words: reason.words(),
            })
            .collect(),
    }
}

fn amount(progress: node::Progress) -> Amount {
    Amount {
        documents: progress.documents,
        changes: progress.changes,
        bytes: progress.bytes,
    }
}

fn link(status: &LinkStatus) -> Link {
    let all = status
        .traffic
        .into_iter()
        .fold(Traffic::default(), Traffic::with);
    Link {
        peer: status.device,
        dialled: status.side == Side::Dialled,
        since: status.since,
        sent: all.sent,
        received: all.received,
    }
}

fn lane((lane, traffic): (&'static str, Traffic)) -> [LaneTally; 2] {
    let received = ("in", traffic.frames_received, traffic.received);
    let sent = ("out", traffic.frames_sent, traffic.sent);
    [received, sent].map(|(direction, frames, bytes)| LaneTally {
        lane,
        direction,
        frames,
        bytes,
    })
}
