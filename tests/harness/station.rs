//! One node with its machine: disk, clock, keys, and the shell that a runtime would be.
//!
//! The shell does what `NODE` shells do everywhere: it gathers inputs, takes turns, performs what
//! they answer, and decides nothing. What it takes time for, the world draws.

use std::collections::VecDeque;

use names::{DocumentId, Moment, StoreId, TenantId};
use node::{Identity, Inbox, Input, Job, Node, Opened, Opener, Output, Verifier};
use protocol::{PublicKey, SignedStatement, signed::DeviceKey};
use store::{Config, Epochs, RedbStore, Sealed, SealedSnapshot, Store as _, StoreError, StoreKey};

use crate::{chance::Chance, disk::Disk, evidence::Evidence};

/// The store every station has: the real one, sealed, on a disk that can fail.
pub type SimStore = Sealed<RedbStore>;
/// A state of such a store.
pub type SimSnapshot = SealedSnapshot<store::RedbSnapshot>;

/// How many openers a station runs. Jobs of one document always go to the same one, in order.
const OPENERS: usize = 2;
/// Documents one opener keeps open: few, so that cold and hot openings both happen.
const OPEN_DOCUMENTS: usize = 4;
/// How often a node repairs every scope by its sketch, as only large ones are in the service.
const SKETCHED_PERCENT: u64 = 60;
/// A small cache, so that pages are written and read back.
const CACHE_BYTES: usize = 256 << 10;

/// What all stations of one organisation share.
#[derive(Clone, Copy, Debug)]
pub struct Organisation {
    /// Its id.
    pub tenant: TenantId,
    /// The key of derived ids.
    pub tenant_key: [u8; 32],
    /// The authority's public key.
    pub authority: PublicKey,
}

/// One thing an opener is asked to do.
#[derive(Debug)]
pub enum Work {
    /// Open a document and answer.
    Job(Job),
    /// Forget what is held open of a document.
    Forget(DocumentId),
}

/// An opener and what waits for it.
#[derive(Debug)]
pub struct Desk {
    /// The opener.
    pub opener: Opener,
    /// What waits.
    pub queue: VecDeque<Work>,
    /// Whether it is at work.
    pub busy: bool,
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    /// The node.
    pub node: Node<SimStore>,
    /// What verifies frames for it, as of its last turn.
    pub verifier: Verifier,
    /// What waits for its next turn.
    pub inbox: Inbox,
    /// Its openers.
    pub desks: Vec<Desk>,
    /// Whether the commit of its last turn is still under way, and nothing of it was said.
    pub releasing: bool,
    /// Whether its next turn is planned.
    pub turn_planned: bool,
    /// When it wants to be woken, by its own clock.
    pub wake: Option<Moment>,
}

/// A node's machine, whether the node runs or not.
pub struct Station {
    /// Its disk.
    pub disk: Disk,
    /// How wrong its clock is, in milliseconds.
    pub skew_ms: i64,
    /// Counts its starts and stops: what was planned in another life does not happen.
    pub life: u64,
    /// The node, if it runs.
    pub running: Option<Running>,
    /// Whether it was ever set up.
    pub enrolled: bool,
    /// Whether its device was revoked and has destroyed its keys, or is the copy of one that has.
    pub gone: bool,
    organisation: Organisation,
    device_seed: [u8; 32],
    store_key: [u8; 32],
    /// What its node drew when it was last opened, and what it is to draw next time, if it is the copy of
    /// a running program.
    opening: [u8; 64],
    opens_as: Option<[u8; 64]>,
    chance: Chance,
}

impl Station {
    /// A machine with an empty disk.
    pub fn new(organisation: Organisation, skew_ms: i64, mut chance: Chance) -> Station {
        Station {
            disk: Disk::new(),
            skew_ms,
            life: 0,
            running: None,
            enrolled: false,
            gone: false,
            organisation,
            device_seed: chance.bytes(),
            store_key: chance.bytes(),
            opening: [0; 64],
            opens_as: None,
            chance,
        }
    }

    /// The device's key.
    pub fn device(&self) -> DeviceKey {
        DeviceKey::from_seed(&self.device_seed)
    }

    /// What this station's clock shows.
    pub fn clock(&self, now: Moment) -> Moment {
        now.plus_ms(self.skew_ms)
    }

    /// What is on a disk of this station's, read without a node and without changing anything that
    /// will be drawn. The disk should be a copy: opening one writes to it.
    ///
    /// # Errors
    /// When what is on it cannot be opened or read.
    pub fn look_at(&self, disk: &Disk) -> Result<Evidence, StoreError> {
        let inner = RedbStore::open(disk.backend(), Config::default())?;
        let mut nonces = Chance::new(self.life, "a look");
        let entropy = Box::new(move |bytes: &mut [u8]| nonces.fill(bytes));
        let store = Sealed::open(inner, &self.store_key(), self.epochs(), entropy)?;
        Evidence::read(&store.snapshot()?)
    }

    fn store_key(&self) -> StoreKey {
        StoreKey::from_bytes(self.store_key)
    }

    /// Its first epoch, which no fault here ends.
    fn epochs(&self) -> Epochs {
        Epochs::first(self.device_seed, self.device_seed)
    }

    /// Opens the store that is on the disk, or makes one.
    ///
    /// # Errors
    /// When the disk fails, or what is on it cannot be opened.
    pub fn open_store(&mut self) -> Result<SimStore, StoreError> {
        let config = Config {
            cache_bytes: CACHE_BYTES,
            ..Config::default()
        };
        let (key, epochs) = (self.store_key(), self.epochs());
        // The stream of nonces must never begin twice from one state.
        let mut nonces = Chance::new(self.chance.any() ^ self.life, "nonces");
        let entropy = Box::new(move |bytes: &mut [u8]| nonces.fill(bytes));
        if self.enrolled {
            let inner = RedbStore::open(self.disk.backend(), config)?;
            return Sealed::open(inner, &key, epochs, entropy);
        }
        let inner = RedbStore::create(self.disk.backend(), config)?;
        Sealed::create(inner, &key, epochs, StoreId(self.chance.bytes()), entropy)
    }

    /// Starts the node; `statements` are those of an enrolment.
    ///
    /// # Errors
    /// When the disk fails, or what is on it cannot be opened.
    pub fn start(&mut self, now: Moment, statements: &[SignedStatement]) -> Result<(), StoreError> {
        self.life += 1;
        let store = self.open_store()?;
        let identity = Identity {
            tenant: self.organisation.tenant,
            tenant_key: self.organisation.tenant_key,
            authority: self.organisation.authority,
            device: self.device(),
        };
        let drawn = self.chance.bytes();
        self.opening = self.opens_as.take().unwrap_or(drawn);
        let entropy = self.opening;
        let mut node = Node::open(store, identity, statements, self.clock(now), entropy)?;
        if self.chance.percent(SKETCHED_PERCENT) {
            node.sketch_from(1);
        }
        let desk = || Desk {
            opener: Opener::new(OPEN_DOCUMENTS),
            queue: VecDeque::new(),
            busy: false,
        };
        let mut inbox = Inbox::new();
        // A fresh node may have work of its own, such as summaries that were never made.
        inbox.push(Input::Wake);
        self.enrolled = true;
        self.running = Some(Running {
            verifier: node.verifier(),
            node,
            inbox,
            desks: (0..OPENERS).map(|_| desk()).collect(),
            releasing: false,
            turn_planned: false,
            wake: None,
        });
        Ok(())
    }

    /// Stops in order.
    ///
    /// # Errors
    /// When the disk fails while the store is closed.
    pub fn stop(&mut self) -> Result<(), StoreError> {
        self.life += 1;
        match self.running.take() {
            Some(running) => running.node.into_store().into_inner().close(),
            None => Ok(()),
        }
    }

    /// Whether nothing waits for its next turn, and nothing is under way.
    pub fn is_over(&self) -> bool {
        self.running.as_ref().is_none_or(|running| {
            running.inbox.is_empty() && !running.releasing && !running.node.is_opening()
        })
    }

    /// The process is killed: what it wrote stays, in whatever state.
    pub fn kill(&mut self) {
        self.life += 1;
        self.disk.kill();
        self.running = None;
    }

    /// The machine loses power.
    pub fn power_cut(&mut self) {
        self.life += 1;
        let chance = &mut self.chance;
        self.disk.crash(&mut || chance.any());
        self.running = None;
    }

    /// The machine's disk is replaced by one that holds an older copy.
    pub fn restore(&mut self, copy: &Disk) {
        self.life += 1;
        self.disk.restore(copy);
        self.running = None;
    }

    /// The device destroys its keys: the process ends, and nothing opens the store again.
    pub fn purge(&mut self) {
        self.kill();
        self.store_key = [0; 32];
        self.enrolled = false;
        self.gone = true;
    }

    /// This machine gets a copy of another's disk, as `cp` makes it beside the running node, with
    /// all that is on it: the device's key as well. If the machine is copied as it runs, with its memory,
    /// the copy's node writes as the same authors as the other.
    pub fn become_copy_of(&mut self, other: &Station, as_it_runs: bool) {
        self.opens_as = as_it_runs.then_some(other.opening);
        self.device_seed = other.device_seed;
        self.store_key = other.store_key;
        self.disk.restore(&other.disk.copy());
        self.enrolled = true;
    }

    /// Entropy for one turn.
    pub fn entropy(&mut self) -> [u8; 32] {
        self.chance.bytes()
    }

    /// A state of the store, if the node runs.
    pub fn snapshot(&self) -> Option<SimSnapshot> {
        self.running
            .as_ref()
            .and_then(|running| running.node.snapshot().ok())
    }
}

impl Running {
    /// Whether the node knows that its own device was revoked.
    pub fn knows_itself_revoked(&self) -> bool {
        self.node.directory().is_revoked(&self.node.device())
    }

    /// The desk at which a document's jobs are done.
    pub fn desk_of(&self, document: DocumentId) -> usize {
        usize::from(document.0.first().copied().unwrap_or(0)) % self.desks.len().max(1)
    }
}

impl Desk {
    /// Does the next piece of work; forgetting takes no time and goes on to the next.
    pub fn next(&mut self, snapshot: &SimSnapshot) -> Option<(node::JobId, Opened)> {
        loop {
            match self.queue.pop_front()? {
                Work::Forget(document) => self.opener.forget(document),
                Work::Job(job) => return Some((job.id(), self.opener.run(snapshot, &job))),
            }
        }
    }
}

/// The document and place of an output that is work for an opener.
pub fn work_of(output: Output) -> Result<(DocumentId, Work), Output> {
    match output {
        Output::Open(job) => Ok((job.document(), Work::Job(job))),
        Output::Forget(document) => Ok((document, Work::Forget(document))),
        other @ (Output::Send { .. }
        | Output::Close { .. }
        | Output::Answer { .. }
        | Output::Transferred { .. }
        | Output::Rule(_)
        | Output::Stated { .. }
        | Output::Ran { .. }
        | Output::Notice(_)
        | Output::WakeAt(_)) => Err(other),
    }
}
