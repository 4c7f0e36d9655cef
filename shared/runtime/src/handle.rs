//! How everybody else speaks to the node: ask, and wait for the answer.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use node::{
    DocumentView, NotDone, Notice, Request, Saved,
    names::{DocumentId, EntryId, Reason, ScopeId},
    protocol::{Directory, SignedStatement},
    store::{Snapshot, Store, StoreError},
    views::{self, EntryState, Listed, Recomputed, ScopeSync},
};
use tokio::sync::{broadcast, oneshot, watch};

use crate::{
    hub::{Hub, Life, LinkStatus, Whoami, lock},
    link::Traffic,
    mailbox::{Arrival, Haste},
    openers::Openers,
};

type States = BTreeMap<EntryId, EntryState>;
type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Reading the state of the last turn, whatever store it is in.
trait Reads: Send + Sync {
    fn view(&self, document: DocumentId) -> oneshot::Receiver<Result<DocumentView, Reason>>;
    fn export(&self, document: DocumentId) -> oneshot::Receiver<Result<Vec<u8>, Reason>>;
    fn list(&self, scope: ScopeId) -> Soon<'_, Result<Vec<Listed>, Reason>>;
    fn listed(&self, document: DocumentId) -> Soon<'_, Result<Option<Listed>, Reason>>;
    fn scopes_of(&self, document: DocumentId) -> Soon<'_, Result<Vec<ScopeId>, Reason>>;
    fn entry_states(&self, entries: Vec<EntryId>) -> Soon<'_, Result<States, Reason>>;
    fn recompute(&self) -> Soon<'_, Result<BTreeMap<ScopeId, Recomputed>, Reason>>;
}

/// What is shown of one store.
struct Shelf<P> {
    shown: Arc<Mutex<Arc<P>>>,
    openers: Arc<Openers<P>>,
}

impl<P: Snapshot> Shelf<P> {
    fn snapshot(&self) -> Arc<P> {
        Arc::clone(&lock(&self.shown))
    }

    /// Reads on a thread that may block.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&P) -> Result<T, StoreError> + Send + 'static,
    ) -> Soon<'_, Result<T, Reason>> {
        let snapshot = self.snapshot();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || read(&snapshot)).await;
            read.map_err(|_| Reason::CannotOpen)?.map_err(|error| {
                tracing::error!(%error, "the store could not be read");
                Reason::CannotOpen
            })
        })
    }
}

impl<P: Snapshot> Reads for Shelf<P> {
    fn view(&self, document: DocumentId) -> oneshot::Receiver<Result<DocumentView, Reason>> {
        self.openers.view(self.snapshot(), document)
    }

    fn export(&self, document: DocumentId) -> oneshot::Receiver<Result<Vec<u8>, Reason>> {
        self.openers.export(self.snapshot(), document)
    }

    fn list(&self, scope: ScopeId) -> Soon<'_, Result<Vec<Listed>, Reason>> {
        self.read(move |snapshot| views::documents(snapshot, &scope))
    }

    fn listed(&self, document: DocumentId) -> Soon<'_, Result<Option<Listed>, Reason>> {
        self.read(move |snapshot| views::document_of(snapshot, document))
    }

    fn scopes_of(&self, document: DocumentId) -> Soon<'_, Result<Vec<ScopeId>, Reason>> {
        self.read(move |snapshot| views::scopes_of(snapshot, document))
    }

    fn entry_states(&self, entries: Vec<EntryId>) -> Soon<'_, Result<States, Reason>> {
        self.read(move |snapshot| {
            let mut states = States::new();
            for entry in entries {
                if let Some(state) = views::entry_state(snapshot, entry)? {
                    states.insert(entry, state);
                }
            }
            Ok(states)
        })
    }

    fn recompute(&self) -> Soon<'_, Result<BTreeMap<ScopeId, Recomputed>, Reason>> {
        self.read(|snapshot| views::recompute(snapshot))
    }
}

/// A way to the node; cheap to copy, good from any task. After the node has stopped every answer
/// is [`Reason::Stopping`].
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    reads: Arc<dyn Reads>,
}

impl Handle {
    pub(crate) fn new<S: Store>(
        hub: Arc<Hub>,
        shown: Arc<Mutex<Arc<S::Snapshot>>>,
        openers: Arc<Openers<S::Snapshot>>,
    ) -> Handle {
        Handle {
            hub,
            reads: Arc::new(Shelf { shown, openers }),
        }
    }

    /// Has a person's command carried out; answers when it is on disk.
    ///
    /// # Errors
    /// Why it was not carried out. [`Reason::NotSaved`] also when the node ended before it
    /// could say: asking again with the same entry id writes nothing twice.
    pub async fn command(&self, request: Request) -> Result<Saved, NotDone> {
        self.must_run().map_err(NotDone::Reason)?;
        let permit = Arc::clone(&self.hub.commands).try_acquire_owned();
        let permit = permit.map_err(|_| NotDone::Reason(Reason::Busy))?;
        let (answer, asked) = oneshot::channel();
        let command = Arrival::Command {
            request: Box::new(request),
            answer,
            permit,
        };
        let put = self.hub.mailbox.put(Haste::First, command);
        put.map_err(|_| NotDone::Reason(Reason::Stopping))?;
        asked
            .await
            .unwrap_or(Err(NotDone::Reason(Reason::NotSaved)))
    }

    /// Keeps a statement of the authority and passes it on; answers when it is on disk.
    ///
    /// # Errors
    /// Why it was not kept.
    pub async fn state(&self, statement: SignedStatement) -> Result<(), Reason> {
        self.must_run()?;
        let _place = self.hub.commands.try_acquire().map_err(|_| Reason::Busy)?;
        let statement = self.hub.verifier().statement(statement)?;
        let (answer, asked) = oneshot::channel();
        let put = self
            .hub
            .mailbox
            .put(Haste::First, Arrival::State { statement, answer });
        put.map_err(|_| Reason::Stopping)?;
        asked.await.unwrap_or(Err(Reason::NotSaved))
    }

    /// A document as it is shown.
    ///
    /// # Errors
    /// [`Reason::NotFound`], [`Reason::CannotOpen`], [`Reason::Busy`].
    pub async fn view(&self, document: DocumentId) -> Result<DocumentView, Reason> {
        let _place = self.hub.views.try_acquire().map_err(|_| Reason::Busy)?;
        self.reads
            .view(document)
            .await
            .unwrap_or(Err(Reason::Stopping))
    }

    /// A document as the bytes of an `.automerge` file.
    ///
    /// # Errors
    /// As [`Handle::view`].
    pub async fn export(&self, document: DocumentId) -> Result<Vec<u8>, Reason> {
        let _place = self.hub.views.try_acquire().map_err(|_| Reason::Busy)?;
        self.reads
            .export(document)
            .await
            .unwrap_or(Err(Reason::Stopping))
    }

    /// The documents of a scope, with what lists show of them; nothing is opened.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn list(&self, scope: ScopeId) -> Result<Vec<Listed>, Reason> {
        self.reads.list(scope).await
    }

    /// One document as lists show it; none when it is not here.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn listed(&self, document: DocumentId) -> Result<Option<Listed>, Reason> {
        self.reads.listed(document).await
    }

    /// The scopes a document stands in; empty when it is not here.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn scopes_of(&self, document: DocumentId) -> Result<Vec<ScopeId>, Reason> {
        self.reads.scopes_of(document).await
    }

    /// How far an entry that was made here has got; none when it was made elsewhere.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn entry_state(&self, entry: EntryId) -> Result<Option<EntryState>, Reason> {
        let mut states = self.reads.entry_states(vec![entry]).await?;
        Ok(states.remove(&entry))
    }

    /// The same for many entries, all as of one state; those made elsewhere are left out.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn entry_states(
        &self,
        entries: Vec<EntryId>,
    ) -> Result<BTreeMap<EntryId, EntryState>, Reason> {
        self.reads.entry_states(entries).await
    }

    /// Every scope's digest, recomputed from what is stored, in a path of its own. Reads the
    /// whole store.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn recompute(&self) -> Result<BTreeMap<ScopeId, Recomputed>, Reason> {
        self.reads.recompute().await
    }

    /// How every scope stands, between two turns.
    ///
    /// # Errors
    /// [`Reason::Busy`], [`Reason::Stopping`], or [`Reason::NotSaved`] when the store cannot be
    /// read.
    pub async fn sync(&self) -> Result<Vec<ScopeSync>, Reason> {
        let _place = self.hub.views.try_acquire().map_err(|_| Reason::Busy)?;
        let (answer, asked) = oneshot::channel();
        let put = self.hub.mailbox.put(Haste::First, Arrival::Sync { answer });
        put.map_err(|_| Reason::Stopping)?;
        asked.await.unwrap_or(Err(Reason::Stopping))
    }

    /// How often each reason was met since the start, as of the last turn.
    pub fn counters(&self) -> Arc<BTreeMap<Reason, u64>> {
        self.hub.counters()
    }

    /// Entries written here that the centre has not yet said it holds, as of the last turn.
    pub fn waiting(&self) -> u64 {
        self.hub.waiting()
    }

    /// Who is who, as of the last turn.
    pub fn directory(&self) -> Arc<Directory> {
        self.hub.directory()
    }

    /// Who the node is.
    pub fn whoami(&self) -> Whoami {
        self.hub.whoami
    }

    /// The conversations under way.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.hub.links()
    }

    /// Turns taken since the start, and those of them that wrote something.
    pub fn turns(&self) -> (u64, u64) {
        self.hub.turns()
    }

    /// Frames and their bytes since the start, over all conversations, by lane: control, live, fill.
    pub fn traffic(&self) -> [Traffic; 3] {
        self.hub.traffic()
    }

    /// What an operator may want to know, from now on. A listener that is too slow is told how
    /// many it has missed.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.hub.notices.subscribe()
    }

    /// Whether the node lives, from now on.
    pub fn life(&self) -> watch::Receiver<Life> {
        self.hub.life.subscribe()
    }

    /// Asks the node to stop: it takes nothing new and finishes what it has. To wait for the end
    /// is [`Running::stop`](crate::Running::stop).
    pub fn stop(&self) {
        self.hub.life.send_if_modified(|life| {
            let running = *life == Life::Running;
            if running {
                *life = Life::Stopping;
            }
            running
        });
        self.hub.mailbox.stop();
    }

    fn must_run(&self) -> Result<(), Reason> {
        if self.hub.is_running() {
            Ok(())
        } else {
            Err(Reason::Stopping)
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.hub.whoami.device)
    }
}
