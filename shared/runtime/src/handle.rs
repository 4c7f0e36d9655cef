//! How everybody else speaks to the node: ask, and wait for the answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Instant,
};

use node::{
    Checked, DocumentView, Errand, NotDone, Notice, Request, Saved, Target,
    names::{DocumentId, EntryId, Reason, ScopeId},
    protocol::{Directory, SignedStatement},
    store::Store,
    views::{CopyRow, EntryState, Listed, Opening, Recomputed, ScopeSync},
};
use tokio::sync::{broadcast, oneshot, watch};

mod errands;
mod transfers;

use crate::{
    backup::{Backed, BackupError},
    hub::{Hub, Life, LinkStatus, Unreached, Whoami},
    limits::{FIGURES_AGE_MAX, UNOPENED_LOOK, UNOPENED_MAX},
    link::Traffic,
    mailbox::{Arrival, Haste},
    openers::Openers,
    shelf::{Reads, Shelf},
};

/// A part of a list, by document id.
pub struct PageOf {
    /// Documents that stand in any of these scopes.
    pub scopes: BTreeSet<ScopeId>,
    /// Those behind this one.
    pub after: Option<DocumentId>,
    /// Rows at most.
    pub limit: usize,
    /// Those rows alone.
    pub keep: Box<dyn Fn(&Listed) -> bool + Send>,
}

impl fmt::Debug for PageOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageOf({} scopes, {})", self.scopes.len(), self.limit)
    }
}

/// A way to the node; cheap to copy, good from any task. After the node has stopped every answer
/// is [`Reason::Stopping`].
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
    reads: Arc<dyn Reads>,
    keeps: Arc<dyn errands::Keeps>,
}

impl Handle {
    pub(crate) fn new<S: Store>(
        hub: Arc<Hub>,
        shown: Arc<Mutex<Arc<S::Snapshot>>>,
        openers: Arc<Openers<S::Snapshot>>,
    ) -> Handle {
        let shelf = Arc::new(Shelf {
            hub: Arc::clone(&hub),
            shown,
            openers,
        });
        let (reads, keeps) = (Arc::clone(&shelf) as _, shelf);
        Handle { hub, reads, keeps }
    }

    /// Has a person's command carried out; answers when it is on disk.
    ///
    /// # Errors
    /// Why it was not carried out. [`Reason::NotSaved`] when the node ended before it could say
    /// whether it was: asking again with the same entry id writes nothing twice.
    pub async fn command(&self, request: Request) -> Result<Saved, NotDone> {
        self.must_run().map_err(NotDone::Reason)?;
        let permit = Arc::clone(&self.hub.commands).try_acquire_owned();
        let permit = permit.map_err(|_| NotDone::Reason(Reason::Busy))?;
        if let Target::Document(document) = request.target {
            self.reads.prepare(document);
        }
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
    /// Why it was not kept. [`Reason::NotSaved`] when the node ended before it could say whether
    /// it was.
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
    /// [`Reason::NotFound`], [`Reason::CannotOpen`], [`Reason::SetAside`], [`Reason::Busy`].
    pub async fn view(&self, document: DocumentId) -> Result<DocumentView, Reason> {
        self.may_open(document).await?;
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
        self.may_open(document).await?;
        let _place = self.hub.views.try_acquire().map_err(|_| Reason::Busy)?;
        self.reads
            .export(document)
            .await
            .unwrap_or(Err(Reason::Stopping))
    }

    /// Waits until the node has opened what it never opened of a document, under a mark that tells
    /// of it should the program end in that.
    ///
    /// # Errors
    /// [`Reason::SetAside`]; [`Reason::Stopping`], as a node that stops opens nothing more.
    async fn may_open(&self, document: DocumentId) -> Result<(), Reason> {
        let by = Instant::now() + UNOPENED_MAX;
        let mut asked = false;
        loop {
            match self.reads.opening_of(document).await? {
                Opening::Opened => return Ok(()),
                Opening::Aside => return Err(Reason::SetAside),
                Opening::Unopened if self.hub.mailbox.is_stopping() => {
                    return Err(Reason::Stopping);
                }
                // It has had its turn, and failed in a way that could be caught.
                Opening::Unopened if Instant::now() > by => return Ok(()),
                Opening::Unopened if asked => {}
                Opening::Unopened => {
                    asked = true;
                    let put = self.hub.mailbox.put(Haste::First, Arrival::Want(document));
                    put.map_err(|_| Reason::Stopping)?;
                }
            }
            tokio::time::sleep(UNOPENED_LOOK).await;
        }
    }

    /// Takes up again what was set aside because the program ended while it was being opened.
    ///
    /// # Errors
    /// [`Reason::Stopping`].
    pub fn try_again(&self) -> Result<(), Reason> {
        self.must_run()?;
        let put = self.hub.mailbox.put(Haste::First, Arrival::TryAgain);
        put.map_err(|_| Reason::Stopping)
    }

    /// The documents of a scope, with what lists show of them; nothing is opened.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn list(&self, scope: ScopeId) -> Result<Vec<Listed>, Reason> {
        self.reads.list(scope).await
    }

    /// A part of the documents of some scopes, by document id; nothing is opened.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn page(&self, of: PageOf) -> Result<Vec<Listed>, Reason> {
        self.reads.page(of).await
    }

    /// Verifies every signature and computes every digest again. `progress` is told how many
    /// documents of how many are done.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn check(
        &self,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Checked, Reason> {
        let steps = move |done, of| {
            progress(done, of);
            true
        };
        self.reads.check(Box::new(steps)).await
    }

    /// Backs the node up into a file, as it stands now; the node goes on meanwhile. `progress` is
    /// told how many documents of how many are done, and ends it by answering `false`. With what was
    /// written comes the backup's number, for [`Handle::keep_backup`]; none when the node was too busy
    /// to count it.
    ///
    /// # Errors
    /// [`BackupError`] says what is wrong; then nothing is left of the file.
    pub async fn backup(
        &self,
        path: PathBuf,
        progress: impl FnMut(u64, u64) -> bool + Send + 'static,
    ) -> Result<(Backed, Option<u64>), BackupError> {
        // What was said to be held before this has to be in the snapshot.
        let begun = self.errand(Errand::BeginBackup).await.ok();
        let written = self.reads.backup(path, Box::new(progress)).await?;
        let whole = begun.filter(|_| written.missing.is_nothing());
        Ok((written, whole.map(|ran| ran.backup)))
    }

    /// Notes that a backup lies where it is wanted: what was here before it was begun is backed up, and
    /// edges may let go of what they had handed in by then.
    ///
    /// # Errors
    /// Why it was not noted. They go on keeping it then, until the next backup.
    pub async fn keep_backup(&self, number: u64) -> Result<(), Reason> {
        self.errand(Errand::KeepBackup { number }).await.map(|_| ())
    }

    /// Stores that came back from an older copy or run twice, as far as was noticed here, the latest
    /// last.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn copies(&self) -> Result<Vec<CopyRow>, Reason> {
        self.reads.copies().await
    }

    /// Reads every row there is, and counts those that are not what was written, by table.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the store cannot be read.
    pub async fn damaged(&self) -> Result<BTreeMap<&'static str, u64>, Reason> {
        self.reads.damaged().await
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

    /// Whether the node takes turns: it was not asked to stop, and does not hang in one. Nothing is
    /// asked of its thread.
    ///
    /// # Errors
    /// [`Reason::Stopping`], or [`Reason::Busy`] when the last turn takes far too long.
    pub fn ready(&self) -> Result<(), Reason> {
        self.must_run()?;
        if self.hub.hangs() {
            return Err(Reason::Busy);
        }
        Ok(())
    }

    /// How every scope stands as of the last turn. The node's thread looks it up once per turn,
    /// however many ask.
    ///
    /// # Errors
    /// [`Reason::Busy`], [`Reason::Stopping`], or [`Reason::CannotOpen`] when the store cannot be
    /// read.
    pub async fn sync(&self) -> Result<Arc<Vec<ScopeSync>>, Reason> {
        if let Some(scopes) = self.hub.synced() {
            self.must_live()?;
            return Ok(scopes);
        }
        let _place = self.hub.views.try_acquire().map_err(|_| Reason::Busy)?;
        let (answer, asked) = oneshot::channel();
        let put = self.hub.mailbox.put(Haste::First, Arrival::Sync { answer });
        put.map_err(|_| Reason::Stopping)?;
        asked.await.unwrap_or(Err(Reason::Stopping))
    }

    /// The same, a second old at most: for those who ask often and need no more.
    ///
    /// # Errors
    /// As [`Handle::sync`].
    pub async fn sync_lately(&self) -> Result<Arc<Vec<ScopeSync>>, Reason> {
        self.must_live()?;
        match self.hub.synced_within(FIGURES_AGE_MAX) {
            Some(scopes) => Ok(scopes),
            None => self.sync().await,
        }
    }

    /// Why the centre is not reached; none while it is, and at a node that dials nobody.
    pub fn unreached(&self) -> Option<Unreached> {
        self.hub.unreached()
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

    /// Documents that the node had opened since the start, for a command or a summary, and how many
    /// they were when a scope was last found equal with a peer. To come to agree, none is opened.
    pub fn openings(&self) -> (u64, u64) {
        let [all, before_proof] = &self.hub.openings;
        let all = all.load(Ordering::Relaxed);
        (all, before_proof.load(Ordering::Relaxed))
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

    /// Refuses when the node has ended; while it stops it still answers.
    fn must_live(&self) -> Result<(), Reason> {
        match *self.hub.life.borrow() {
            Life::Running | Life::Stopping => Ok(()),
            Life::Stopped | Life::Failed(_) => Err(Reason::Stopping),
        }
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
