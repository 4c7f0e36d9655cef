//! Where every node's API is, and what was written there: what all who work in the demo share.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::Command;
use names::{DocumentId, EntryId};

use crate::service::{
    REST_MAX,
    client::{Client, Failure},
    person::{Whereto, send},
    wait,
};

/// How long people wait for a node that was killed to come back.
pub const BACK_MAX: Duration = Duration::from_secs(30);

/// Where every node's API is in its present life, and how much was written so far.
#[derive(Debug, Default)]
pub struct Switchboard {
    clients: Mutex<BTreeMap<String, Client>>,
    /// Entries that were acknowledged, over all nodes.
    pub written: AtomicUsize,
    /// Requests that had left in full when their node was killed, and were sent again.
    pub repeated: AtomicUsize,
    /// Whether the centre stands still, or has stood still, to be copied.
    pub stands: AtomicBool,
    own: Mutex<BTreeMap<String, Own>>,
}

/// What was written at one node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    /// Entries that were acknowledged.
    pub written: usize,
    /// How long the slowest of them took to be acknowledged.
    pub slowest: Duration,
    /// Commands that are being sent there just now.
    pub sending: usize,
}

impl Switchboard {
    /// Says where a node's API is.
    pub fn set(&self, node: &str, client: Client) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(node.to_owned(), client);
    }

    /// A node's API.
    ///
    /// # Errors
    /// When nobody said where it is.
    pub fn client(&self, node: &str) -> Result<Client, String> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients
            .get(node)
            .cloned()
            .ok_or_else(|| format!("nobody knows where {node} is"))
    }

    /// What was written at a node since this was last begun anew there.
    pub fn own(&self, node: &str) -> Own {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.get(node).copied().unwrap_or_default()
    }

    /// Counts what is written at a node anew.
    pub fn begin_anew(&self, node: &str) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(node.to_owned(), Own::default());
    }

    /// Waits until the centre stands still to be copied. Whoever waits has more to do, so that it is
    /// copied while people type, however busy the machine is.
    ///
    /// # Errors
    /// When it goes on.
    pub fn waits_for_the_copy(&self) -> Result<(), String> {
        let stands = || self.stands.load(Ordering::SeqCst).then_some(());
        wait::until(REST_MAX, stands).ok_or_else(|| "the centre is not copied".to_owned())
    }

    fn was_written(&self, node: &str, took: Duration) {
        self.written.fetch_add(1, Ordering::SeqCst);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.entry(node.to_owned()).or_default();
        own.written += 1;
        own.slowest = own.slowest.max(took);
    }

    /// Sends a command until it is acknowledged: again under the same id when its node was
    /// killed before it could answer.
    ///
    /// # Errors
    /// When the node refuses, or does not come back.
    pub fn send(
        &self,
        node: &str,
        worker: &str,
        whereto: &Whereto,
        entry: EntryId,
        command: &Command,
    ) -> Result<DocumentId, String> {
        self.is_sending(node, |sending| sending + 1);
        let done = self.send_until_answered(node, worker, whereto, entry, command);
        self.is_sending(node, |sending| sending.saturating_sub(1));
        done
    }

    fn is_sending(&self, node: &str, change: impl FnOnce(usize) -> usize) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.entry(node.to_owned()).or_default();
        own.sending = change(own.sending);
    }

    fn send_until_answered(
        &self,
        node: &str,
        worker: &str,
        whereto: &Whereto,
        entry: EntryId,
        command: &Command,
    ) -> Result<DocumentId, String> {
        let began = Instant::now();
        loop {
            let client = self.client(node)?;
            match send(&client, worker, whereto, entry, command) {
                Ok(done) => {
                    self.was_written(node, began.elapsed());
                    return Ok(done.document);
                }
                Err(failure @ (Failure::NoAnswer(_) | Failure::NotSent(_))) => {
                    let had_left = usize::from(failure.was_in_flight());
                    self.repeated.fetch_add(had_left, Ordering::SeqCst);
                    let back = wait::until(BACK_MAX, || {
                        let now = self.client(node).ok()?;
                        (now.address() != client.address()).then_some(())
                    });
                    back.ok_or_else(|| format!("{node} does not come back"))?;
                }
                Err(failure) => return Err(format!("{worker} at {node}: {failure}")),
            }
        }
    }
}
