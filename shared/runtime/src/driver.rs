//! The node's own thread: wait, take a turn, do what it asks.
//!
//! One thread owns the node, because a node takes turns. It decides nothing: the order of inputs
//! is the inbox's, what happens is the node's, when to act again is what the node said. Whatever
//! a turn answers is on disk already; what the turn has learned is shown to everybody (verifier,
//! directory, snapshot) *before* any of it is sent, so that no answer can overtake it.
//!
//! When the store fails, the node is dead. The thread then says so, ends every conversation, and
//! leaves: whoever waits for an answer hears that it is not known whether anything was saved. A
//! panic on this thread is the same: what the node believes may be half of what it should.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use node::{
    Inbox, Input, LinkId, Node, NotDone, Notice, Output, Ran, Saved, Ticket, Transferred,
    names::{Moment, Reason, ScopeId},
    store::{Store, StoreError},
    views::ScopeSync,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    hub::{Hub, Life, lock},
    limits::{FLUSH_MAX, SLEEP_MAX},
    link::Outgoing,
    mailbox::{Arrival, Taken},
    openers::Openers,
    shell,
};

/// The state on disk as of the last turn.
pub(crate) type Shown<S> = Arc<Mutex<Arc<<S as Store>::Snapshot>>>;

/// A person who waits for an answer, and the place taken while waiting.
type Asker<T> = (oneshot::Sender<Result<T, NotDone>>, OwnedSemaphorePermit);

/// The node's thread.
pub(crate) struct Driver<S: Store> {
    node: Node<S>,
    hub: Arc<Hub>,
    openers: Arc<Openers<S::Snapshot>>,
    shown: Shown<S>,
    inbox: Inbox,
    /// Bytes of frames taken into the inbox since it was last empty.
    held: usize,
    links: BTreeMap<LinkId, Arc<Outgoing>>,
    commands: BTreeMap<Ticket, Asker<Saved>>,
    transfers: BTreeMap<Ticket, Asker<Transferred>>,
    statements: BTreeMap<Ticket, oneshot::Sender<Result<(), Reason>>>,
    errands: BTreeMap<Ticket, oneshot::Sender<Result<Ran, Reason>>>,
    tickets: u64,
    /// Turns that wrote something, as of the snapshot shown.
    commits: u64,
    wake: Option<Moment>,
}

impl<S: Store> Driver<S> {
    /// Starts the thread of a node that was opened.
    ///
    /// # Errors
    /// When the store cannot be read, or the operating system gives no thread.
    pub(crate) fn start(
        node: Node<S>,
        hub: Arc<Hub>,
        openers: Arc<Openers<S::Snapshot>>,
    ) -> Result<(JoinHandle<()>, Shown<S>), StoreError> {
        let shown = Arc::new(Mutex::new(Arc::new(node.snapshot()?)));
        let driver = Driver {
            commits: node.commits(),
            node,
            hub,
            openers,
            shown: Arc::clone(&shown),
            inbox: Inbox::new(),
            held: 0,
            links: BTreeMap::new(),
            commands: BTreeMap::new(),
            transfers: BTreeMap::new(),
            statements: BTreeMap::new(),
            errands: BTreeMap::new(),
            tickets: 0,
            // The first turn finds what was left to do when the store was last closed.
            wake: Some(Moment(0)),
        };
        let thread = thread::Builder::new()
            .name("node".to_owned())
            .spawn(move || driver.live());
        thread
            .map(|thread| (thread, shown))
            .map_err(StoreError::from)
    }

    /// Takes turns to the end, whatever the end is: nobody may wait for a thread that is gone.
    fn live(self) {
        let hub = Arc::clone(&self.hub);
        // The driver is dropped while the panic passes, and nothing of it is used afterwards.
        if catch_unwind(AssertUnwindSafe(|| self.drive())).is_err() {
            tracing::error!("the node panicked; it takes no more turns");
            hub.mailbox.close();
            hub.abort_links(None, Reason::Stopping);
            hub.life.send_replace(Life::Failed(StoreError::Dead));
        }
    }

    fn drive(mut self) {
        let mut stop_by = None;
        let ended = loop {
            let taken = self.wait();
            if taken.stopping && stop_by.is_none() {
                stop_by = Some(Instant::now() + FLUSH_MAX);
                self.inbox.push(Input::Stop);
            }
            taken
                .arrivals
                .into_iter()
                .for_each(|arrival| self.take(arrival));
            if let Err(error) = self.turn() {
                break Err(error);
            }
            let late = stop_by.is_some_and(|by| Instant::now() > by);
            // What is being opened is seen to its end, or the next start would suspect it.
            let is_answered = self.commands.is_empty() && self.transfers.is_empty();
            let done = self.inbox.is_empty() && is_answered && !self.node.is_opening();
            if stop_by.is_some() && (done || late) {
                break Ok(());
            }
        };
        self.end(ended);
    }

    fn end(self, ended: Result<(), StoreError>) {
        self.hub.mailbox.close();
        let life = match ended {
            Ok(()) => {
                self.hub.finish_links();
                Life::Stopped
            }
            Err(error) => {
                tracing::error!(%error, "the store failed; this node takes no more turns");
                self.hub.abort_links(None, Reason::Stopping);
                Life::Failed(error)
            }
        };
        // Whoever still waits hears that nothing is known, by losing its other end.
        drop((self.commands, self.transfers));
        drop((self.statements, self.errands));
        // The store is closed before anybody is told that the node has ended.
        drop(self.node);
        self.hub.life.send_replace(life);
    }

    /// Waits for something to do: an arrival, or the moment the node asked for.
    fn wait(&self) -> Taken {
        let patience = if self.inbox.is_empty() {
            self.wake
                .map_or(SLEEP_MAX, |at| shell::until(at, SLEEP_MAX))
        } else {
            Duration::ZERO
        };
        let mut taken = self.hub.mailbox.take(self.held, patience);
        // Asked to stop, it would not wait at all; there may be openings to wait for.
        if taken.stopping && taken.arrivals.is_empty() && self.inbox.is_empty() {
            thread::sleep(Duration::from_millis(1));
            taken = self.hub.mailbox.take(self.held, Duration::ZERO);
        }
        taken
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Up {
                link,
                peer,
                side,
                outgoing,
            } => {
                self.links.insert(link, outgoing);
                self.inbox.push(Input::LinkUp { link, peer, side });
            }
            Arrival::Down { link } => {
                self.links.remove(&link);
                self.inbox.push(Input::LinkDown { link });
            }
            // Its permits end here: what the inbox holds is bounded by `held`.
            Arrival::Frame {
                link,
                frame,
                bytes,
                permits,
            } => {
                drop(permits);
                self.held += bytes;
                self.inbox.push(Input::Frame { link, frame });
            }
            Arrival::Command {
                request,
                answer,
                permit,
            } => {
                let ticket = self.ticket();
                self.commands.insert(ticket, (answer, permit));
                self.inbox.push(Input::Command { ticket, request });
            }
            Arrival::Transfer {
                transfer,
                answer,
                permit,
            } => {
                let ticket = self.ticket();
                self.transfers.insert(ticket, (answer, permit));
                self.inbox.push(Input::Transfer { ticket, transfer });
            }
            Arrival::State { statement, answer } => {
                let ticket = self.ticket();
                self.statements.insert(ticket, answer);
                self.inbox.push(Input::Stated { ticket, statement });
            }
            Arrival::Errand { errand, answer } => {
                let ticket = self.ticket();
                self.errands.insert(ticket, answer);
                self.inbox.push(Input::Errand { ticket, errand });
            }
            Arrival::Opened { job, opened } => self.inbox.push(Input::Opened { job, opened }),
            Arrival::Want(document) => self.inbox.push(Input::Want(document)),
            Arrival::TryAgain => self.inbox.push(Input::TryAgain),
            // Whoever asked may have gone.
            Arrival::Sync { answer } => {
                let _ = answer.send(self.sync());
            }
        }
    }

    /// How every scope stands, looked up once per turn however many ask.
    fn sync(&self) -> Result<Arc<Vec<ScopeSync>>, Reason> {
        if let Some(scopes) = self.hub.synced() {
            return Ok(scopes);
        }
        let scopes = self.node.sync().map_err(|error| {
            tracing::error!(%error, "the store could not be read");
            Reason::CannotOpen
        })?;
        Ok(self.hub.show_sync(scopes))
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn turn(&mut self) -> Result<(), StoreError> {
        let now = shell::now();
        if self.wake.is_some_and(|at| at <= now) {
            self.wake = None;
            self.inbox.push(Input::Wake);
        }
        let inputs = self.inbox.next_turn();
        if self.inbox.is_empty() {
            self.held = 0;
        }
        if inputs.is_empty() {
            return Ok(());
        }
        self.hub.begin_turn();
        let outputs = self.node.turn(now, shell::entropy(), inputs)?;
        self.publish()?;
        // Every turn says anew when it wants to be woken.
        self.wake = None;
        for output in outputs {
            self.perform(output);
        }
        Ok(())
    }

    /// Shows everybody the state after a turn.
    fn publish(&mut self) -> Result<(), StoreError> {
        let node = &self.node;
        self.hub.publish(
            node.verifier(),
            node.directory(),
            node.counters(),
            node.waiting(),
        );
        self.hub.count_turn(node.commits());
        if node.commits() != self.commits {
            self.commits = node.commits();
            *lock(&self.shown) = Arc::new(node.snapshot()?);
        }
        Ok(())
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { link, lane, frame } => {
                let Some(outgoing) = self.links.get(&link) else {
                    return;
                };
                if let Err(error) = outgoing.push(lane, frame) {
                    tracing::warn!(link = link.0, %error, "the conversation is dropped");
                    outgoing.abort(Reason::PeerTooSlow);
                }
            }
            Output::Close { link, reason } => {
                if let Some(outgoing) = self.links.get(&link) {
                    tracing::info!(link = link.0, %reason, "the node ends a conversation");
                    outgoing.end(reason);
                }
            }
            Output::Open(job) => {
                let [openings, _] = &self.hub.openings;
                openings.fetch_add(1, Ordering::Relaxed);
                let snapshot = Arc::clone(&lock(&self.shown));
                self.openers.open(snapshot, job);
            }
            Output::Forget(document) => self.openers.forget(document),
            // Whoever asked may have gone in the meantime.
            Output::Answer { ticket, result } => {
                if let Some((asker, _)) = self.commands.remove(&ticket) {
                    let _ = asker.send(result);
                }
            }
            Output::Transferred { ticket, result } => {
                if let Some((asker, _)) = self.transfers.remove(&ticket) {
                    let _ = asker.send(result);
                }
            }
            Output::Rule(ruling) => self.hub.owe(*ruling),
            Output::Stated { ticket, result } => {
                if let Some(asker) = self.statements.remove(&ticket) {
                    let _ = asker.send(result);
                }
            }
            Output::Ran { ticket, result } => {
                if let Some(asker) = self.errands.remove(&ticket) {
                    let _ = asker.send(result);
                }
            }
            Output::Notice(notice) => {
                if let Notice::Heard { device, .. } = &notice {
                    self.hub.own.hear(*device);
                }
                if let Notice::Equal { .. } = &notice {
                    let [openings, before_proof] = &self.hub.openings;
                    before_proof.store(openings.load(Ordering::Relaxed), Ordering::Relaxed);
                }
                log(&notice);
                // Without a listener nobody needs to be told.
                let _ = self.hub.notices.send(notice);
            }
            Output::WakeAt(moment) => self.wake = Some(moment),
        }
    }
}

impl<S: Store> fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Driver({:?})", self.node)
    }
}

/// Writes a notice into the log: ids, counts and reasons.
fn log(notice: &Notice) {
    match notice {
        Notice::Refused { link, reason } => {
            tracing::warn!(link = link.0, %reason, "something of a peer's was not taken");
        }
        Notice::Declined {
            link,
            document,
            reason,
        } => {
            tracing::warn!(link = link.0, %document, %reason, "a peer did not take something");
        }
        Notice::Equal {
            link,
            scope,
            documents,
            except,
        } => {
            let scope = told(scope);
            if *except > 0 {
                tracing::warn!(
                    link = link.0,
                    scope,
                    documents,
                    except,
                    "proved equal, except in some documents"
                );
            } else {
                tracing::debug!(link = link.0, scope, documents, "proved equal");
            }
        }
        Notice::Repairing { link, scope } => {
            let scope = told(scope);
            tracing::info!(
                link = link.0,
                scope,
                "not equal by the cursors; comparing exactly"
            );
        }
        Notice::Differing {
            link,
            scope,
            documents,
        } => {
            let scope = told(scope);
            tracing::info!(
                link = link.0,
                scope,
                documents,
                "the documents that differ are known"
            );
        }
        Notice::Heard { link, device } => {
            tracing::debug!(link = link.0, %device, "the directories are merged");
        }
        Notice::Copied { device, how } => {
            tracing::warn!(%device, ?how, "a store was copied: see `status`");
        }
        Notice::Unreadable { document, reason } => {
            tracing::warn!(%document, %reason, "a document could not be opened wholly");
        }
    }
}

/// A scope as the log tells it. A worker's code is about a person, so it is in no log.
fn told(scope: &ScopeId) -> String {
    match scope {
        ScopeId::Caseload(_) => "a caseload".to_owned(),
        ScopeId::Directory | ScopeId::Site(_) | ScopeId::Compartment(..) => scope.to_string(),
    }
}

#[cfg(test)]
mod tests;
