//! What the node shows of its store, read from snapshots: nobody who reads waits for a turn.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
};

use node::{
    Checked, DocumentView,
    names::{DocumentId, EntryId, Reason, ScopeId},
    store::{self, Snapshot, StoreError, Table},
    views::{self, CopyRow, EntryState, HandedOver, Listed, Opening, Recomputed},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    backup::{self, Backed, BackupError},
    handle::PageOf,
    hub::{Hub, lock},
    openers::Openers,
    shell,
};

pub(crate) type States = BTreeMap<EntryId, EntryState>;
pub(crate) type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Damaged rows by the name of their table.
pub(crate) type Damaged = BTreeMap<&'static str, u64>;

/// Reading the state of the last turn, whatever store it is in.
pub(crate) trait Reads: Send + Sync {
    fn prepare(&self, document: DocumentId);
    fn view(&self, document: DocumentId) -> oneshot::Receiver<Result<DocumentView, Reason>>;
    fn export(&self, document: DocumentId) -> oneshot::Receiver<Result<Vec<u8>, Reason>>;
    fn list(&self, scope: ScopeId) -> Soon<'_, Result<Vec<Listed>, Reason>>;
    fn page(&self, of: PageOf) -> Soon<'_, Result<Vec<Listed>, Reason>>;
    fn damaged(&self) -> Soon<'_, Result<Damaged, Reason>>;
    fn listed(&self, document: DocumentId) -> Soon<'_, Result<Option<Listed>, Reason>>;
    fn scopes_of(&self, document: DocumentId) -> Soon<'_, Result<Vec<ScopeId>, Reason>>;
    fn opening_of(&self, document: DocumentId) -> Soon<'_, Result<Opening, Reason>>;
    fn entry_states(&self, entries: Vec<EntryId>) -> Soon<'_, Result<States, Reason>>;
    fn recompute(&self) -> Soon<'_, Result<BTreeMap<ScopeId, Recomputed>, Reason>>;
    fn handed_over(&self) -> Soon<'_, Result<Vec<HandedOver>, Reason>>;
    fn copies(&self) -> Soon<'_, Result<Vec<CopyRow>, Reason>>;
    fn check(&self, progress: Steps) -> Soon<'_, Result<Checked, Reason>>;
    fn backup(&self, path: PathBuf, progress: Steps) -> Soon<'_, Result<Backed, BackupError>>;
}

/// Told how far a long work has got; ends it by answering `false`.
pub(crate) type Steps = Box<dyn FnMut(u64, u64) -> bool + Send>;

/// What is shown of one store.
pub(crate) struct Shelf<P> {
    pub(crate) hub: Arc<Hub>,
    pub(crate) shown: Arc<Mutex<Arc<P>>>,
    pub(crate) openers: Arc<Openers<P>>,
}

impl<P: Snapshot> Shelf<P> {
    fn snapshot(&self) -> Arc<P> {
        Arc::clone(&lock(&self.shown))
    }

    /// Reads a few rows.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&P) -> Result<T, StoreError> + Send + 'static,
    ) -> Soon<'_, Result<T, Reason>> {
        Box::pin(async move {
            let place = Arc::clone(&self.hub.views).try_acquire_owned();
            let place = place.map_err(|_| Reason::Busy)?;
            self.read_in(place, read).await
        })
    }

    /// Reads a whole table, when there is a place for that.
    pub(crate) fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&P) -> Result<T, StoreError> + Send + 'static,
    ) -> Soon<'_, Result<T, Reason>> {
        Box::pin(async move {
            let place = Arc::clone(&self.hub.scans).acquire_owned().await;
            let place = place.map_err(|_| Reason::Stopping)?;
            self.read_in(place, read).await
        })
    }

    /// Reads on a thread that may block. The place is held for as long as the reading takes, also
    /// when whoever asked has gone in the meantime.
    async fn read_in<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        read: impl FnOnce(&P) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Reason> {
        let snapshot = self.snapshot();
        let read = tokio::task::spawn_blocking(move || {
            let _place = place;
            read(&snapshot)
        });
        read.await
            .map_err(|_| Reason::CannotOpen)?
            .map_err(|error| {
                tracing::error!(%error, "the store could not be read");
                Reason::CannotOpen
            })
    }
}

/// A page of a list. The ids are looked through; rows are read for the page alone.
fn page<P: Snapshot>(snapshot: &P, of: &PageOf) -> Result<Vec<Listed>, StoreError> {
    let mut rows = Vec::new();
    for document in views::documents_near(snapshot, of.scopes.iter())? {
        if of.after.is_some_and(|after| document <= after) {
            continue;
        }
        if rows.len() >= of.limit {
            break;
        }
        if views::stands_in(snapshot, document, &of.scopes)? {
            let row = views::document_of(snapshot, document)?;
            rows.extend(row.into_iter().filter(|row| (of.keep)(row)));
        }
    }
    Ok(rows)
}

/// Counts the rows that are not what was written, by table; a table without any is left out.
fn damaged<P: Snapshot>(snapshot: &P) -> Result<Damaged, StoreError> {
    let mut damaged = Damaged::new();
    for table in Table::ALL {
        let count = store::each(snapshot, *table, |_| ())?;
        if count > 0 {
            damaged.insert(table.name(), count);
        }
    }
    Ok(damaged)
}

impl<P: Snapshot> Reads for Shelf<P> {
    fn prepare(&self, document: DocumentId) {
        self.openers.prepare(self.snapshot(), document);
    }

    fn view(&self, document: DocumentId) -> oneshot::Receiver<Result<DocumentView, Reason>> {
        self.openers
            .view(self.snapshot(), document, self.hub.directory())
    }

    fn export(&self, document: DocumentId) -> oneshot::Receiver<Result<Vec<u8>, Reason>> {
        self.openers.export(self.snapshot(), document)
    }

    fn list(&self, scope: ScopeId) -> Soon<'_, Result<Vec<Listed>, Reason>> {
        self.scan(move |snapshot| views::documents(snapshot, &scope))
    }

    fn page(&self, of: PageOf) -> Soon<'_, Result<Vec<Listed>, Reason>> {
        self.scan(move |snapshot| page(snapshot, &of))
    }

    fn damaged(&self) -> Soon<'_, Result<Damaged, Reason>> {
        self.scan(damaged)
    }

    fn listed(&self, document: DocumentId) -> Soon<'_, Result<Option<Listed>, Reason>> {
        self.read(move |snapshot| views::document_of(snapshot, document))
    }

    fn scopes_of(&self, document: DocumentId) -> Soon<'_, Result<Vec<ScopeId>, Reason>> {
        self.read(move |snapshot| views::scopes_of(snapshot, document))
    }

    fn opening_of(&self, document: DocumentId) -> Soon<'_, Result<Opening, Reason>> {
        self.read(move |snapshot| views::opening_of(snapshot, document))
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
        self.scan(|snapshot| views::recompute(snapshot))
    }

    fn handed_over(&self) -> Soon<'_, Result<Vec<HandedOver>, Reason>> {
        let directory = self.hub.directory();
        self.scan(move |snapshot| views::handed_over(snapshot, &directory))
    }

    fn copies(&self) -> Soon<'_, Result<Vec<CopyRow>, Reason>> {
        self.read(views::copies)
    }

    fn check(&self, mut progress: Steps) -> Soon<'_, Result<Checked, Reason>> {
        let verifier = self.hub.verifier();
        self.scan(move |snapshot| {
            node::check(snapshot, &verifier, |done, of| {
                progress(done, of);
            })
        })
    }

    /// On a thread of its own and in nobody's place: it may take minutes, and there is one at a
    /// time.
    fn backup(&self, path: PathBuf, mut progress: Steps) -> Soon<'_, Result<Backed, BackupError>> {
        let snapshot = self.snapshot();
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || {
                backup::write_file(&*snapshot, &path, shell::now(), &mut *progress)
            });
            written.await.unwrap_or(Err(BackupError::Interrupted))
        })
    }
}
