//! What the node's thread shares with everybody else: its mailbox, the verifier and the state as
//! of the last turn, who is in touch, and whether it lives.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use node::{
    Lane, LinkId, Notice, Side, VerifiedFrame, Verifier,
    names::{DeviceId, Incarnation, Moment, Reason, StoreId, limits::FRAME_BYTES_MAX},
    protocol::{Directory, PublicKey, directory::Statement, signed::device_id},
    store::StoreError,
    views::ScopeSync,
};
use tokio::{
    sync::{Notify, Semaphore, broadcast, watch},
    task::JoinHandle,
};

use crate::{
    limits::{
        COMMANDS_MAX, INBOX_BYTES_MAX, LANE_INBOX_BYTES_MAX, LINKS_PER_DEVICE_MAX, NOTICES_MAX,
        SCANS_MAX, TURN_LATE, VERIFY_INLINE_BYTES_MAX, VIEWS_MAX,
    },
    link::{LANES, Outgoing, Traffic, index},
    mailbox::{Arrival, Haste, Mailbox, Permits},
    own::Own,
    shell,
};

/// Whether a node lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It takes turns.
    Running,
    /// It finishes what it has, and takes nothing new.
    Stopping,
    /// It has ended as it was asked to.
    Stopped,
    /// Its store has failed. Nothing of the last turn was said; open the store again.
    Failed(StoreError),
}

/// A conversation, as an operator sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkStatus {
    /// Its number.
    pub link: LinkId,
    /// With whom.
    pub device: DeviceId,
    /// Who began it.
    pub side: Side,
    /// Since when.
    pub since: Moment,
    /// Bytes by lane: control, live, fill.
    pub traffic: [Traffic; 3],
}

/// A conversation under way.
#[derive(Debug)]
struct Link {
    device: DeviceId,
    side: Side,
    since: Moment,
    outgoing: Arc<Outgoing>,
}

#[derive(Debug, Default)]
struct Links {
    up: BTreeMap<LinkId, Link>,
    /// What conversations that have ended carried.
    ended: [Traffic; 3],
}

/// Why the centre is not reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreached {
    /// When it was last tried.
    pub at: Moment,
    /// Why that failed, in words that quote nothing anybody sent.
    pub why: &'static str,
}

/// How every scope stood after a turn, and when that was looked up.
#[derive(Debug)]
struct Synced {
    turn: u64,
    at: Instant,
    scopes: Arc<Vec<ScopeSync>>,
}

/// Who the node is; fixed while it is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whoami {
    /// Its device.
    pub device: DeviceId,
    /// Its store.
    pub store: StoreId,
    /// This life of the store.
    pub incarnation: Incarnation,
}

/// What the node's thread shares with everybody else.
pub(crate) struct Hub {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) whoami: Whoami,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) life: watch::Sender<Life>,
    pub(crate) commands: Arc<Semaphore>,
    pub(crate) views: Arc<Semaphore>,
    pub(crate) scans: Arc<Semaphore>,
    pub(crate) own: Own,
    verifier: Mutex<Verifier>,
    directory: Mutex<Arc<Directory>>,
    counters: Mutex<Arc<BTreeMap<Reason, u64>>>,
    waiting: AtomicU64,
    /// Turns taken, and those that wrote something.
    turns: AtomicU64,
    commits: AtomicU64,
    /// Documents that the node had opened, and those of them before the last proof.
    pub(crate) openings: [AtomicU64; 2],
    /// Since when the turn under way has been taken.
    in_turn: Mutex<Option<Instant>>,
    synced: Mutex<Option<Synced>>,
    unreached: Mutex<Option<Unreached>>,
    /// What the authority is to rule, and whoever waits for that.
    owed: Mutex<VecDeque<Statement>>,
    pub(crate) is_owed: Notify,
    links: Mutex<Links>,
    next_link: AtomicU64,
    /// Bytes received that wait for their turn: of live frames, and of all others.
    inbox: [Arc<Semaphore>; 2],
}

impl Hub {
    pub(crate) fn new(whoami: Whoami, verifier: Verifier, directory: Arc<Directory>) -> Hub {
        Hub {
            mailbox: Arc::new(Mailbox::default()),
            whoami,
            notices: broadcast::channel(NOTICES_MAX).0,
            life: watch::channel(Life::Running).0,
            commands: Arc::new(Semaphore::new(COMMANDS_MAX)),
            views: Arc::new(Semaphore::new(VIEWS_MAX)),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            own: Own::default(),
            verifier: Mutex::new(verifier),
            directory: Mutex::new(directory),
            counters: Mutex::default(),
            waiting: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            openings: Default::default(),
            in_turn: Mutex::default(),
            synced: Mutex::default(),
            unreached: Mutex::default(),
            owed: Mutex::default(),
            is_owed: Notify::new(),
            links: Mutex::default(),
            next_link: AtomicU64::new(1),
            inbox: [(); 2].map(|()| Arc::new(Semaphore::new(INBOX_BYTES_MAX))),
        }
    }

    /// Whether the node takes anything new.
    pub(crate) fn is_running(&self) -> bool {
        *self.life.borrow() == Life::Running
    }

    pub(crate) fn verifier(&self) -> Verifier {
        lock(&self.verifier).clone()
    }

    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&lock(&self.directory))
    }

    pub(crate) fn counters(&self) -> Arc<BTreeMap<Reason, u64>> {
        Arc::clone(&lock(&self.counters))
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Turns taken since the start, and those of them that wrote something.
    pub(crate) fn turns(&self) -> (u64, u64) {
        let turns = self.turns.load(Ordering::Relaxed);
        (turns, self.commits.load(Ordering::Relaxed))
    }

    /// A turn begins.
    pub(crate) fn begin_turn(&self) {
        *lock(&self.in_turn) = Some(Instant::now());
    }

    /// Counts a turn that has ended.
    pub(crate) fn count_turn(&self, commits: u64) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.commits.store(commits, Ordering::Relaxed);
        *lock(&self.in_turn) = None;
    }

    /// Whether a turn has been under way for longer than any should take.
    pub(crate) fn hangs(&self) -> bool {
        lock(&self.in_turn).is_some_and(|since| since.elapsed() > TURN_LATE)
    }

    /// How every scope stands as of the last turn, if somebody has asked since.
    pub(crate) fn synced(&self) -> Option<Arc<Vec<ScopeSync>>> {
        let turn = self.turns.load(Ordering::Relaxed);
        let synced = lock(&self.synced);
        let synced = synced.as_ref().filter(|synced| synced.turn == turn)?;
        Some(Arc::clone(&synced.scopes))
    }

    /// How every scope stood not longer ago than `age`, if somebody has asked since.
    pub(crate) fn synced_within(&self, age: Duration) -> Option<Arc<Vec<ScopeSync>>> {
        let synced = lock(&self.synced);
        let synced = synced.as_ref().filter(|synced| synced.at.elapsed() < age)?;
        Some(Arc::clone(&synced.scopes))
    }

    /// Keeps how every scope stands after this turn. Only the node's thread may say so, between
    /// two turns.
    pub(crate) fn show_sync(&self, scopes: Vec<ScopeSync>) -> Arc<Vec<ScopeSync>> {
        let scopes = Arc::new(scopes);
        *lock(&self.synced) = Some(Synced {
            turn: self.turns.load(Ordering::Relaxed),
            at: Instant::now(),
            scopes: Arc::clone(&scopes),
        });
        scopes
    }

    /// Why the centre is not reached; none while it is, or before it was tried.
    pub(crate) fn unreached(&self) -> Option<Unreached> {
        *lock(&self.unreached)
    }

    /// Notes how the last attempt to reach the centre ended.
    pub(crate) fn note_dial(&self, failed: Option<&'static str>) {
        let at = shell::now();
        *lock(&self.unreached) = failed.map(|why| Unreached { at, why });
    }

    /// Asks the authority for a ruling.
    pub(crate) fn owe(&self, ruling: Statement) {
        lock(&self.owed).push_back(ruling);
        self.is_owed.notify_one();
    }

    /// A ruling that the authority was asked for.
    pub(crate) fn next_owed(&self) -> Option<Statement> {
        lock(&self.owed).pop_front()
    }

    /// Shows what a turn has changed, before anything of the turn is said: whoever answers a
    /// frame of this turn is verified with what the turn has learned.
    pub(crate) fn publish(
        &self,
        verifier: Verifier,
        directory: Arc<Directory>,
        counters: &BTreeMap<Reason, u64>,
        waiting: u64,
    ) {
        *lock(&self.verifier) = verifier;
        *lock(&self.directory) = directory;
        let mut shown = lock(&self.counters);
        if **shown != *counters {
            *shown = Arc::new(counters.clone());
        }
        drop(shown);
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Begins a conversation with a peer that the transport has authenticated; none when the
    /// node is stopping.
    pub(crate) fn link_up(self: &Arc<Self>, peer: PublicKey, side: Side) -> Option<LinkGuard> {
        let link = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let outgoing = Arc::new(Outgoing::default());
        let device = device_id(&peer);
        let begun = Arrival::Up {
            link,
            peer,
            side,
            outgoing: Arc::clone(&outgoing),
        };
        self.mailbox.put(Haste::Then, begun).ok()?;
        let mut links = lock(&self.links);
        let same = links.up.values().filter(|other| other.device == device);
        if same.clone().count() >= LINKS_PER_DEVICE_MAX {
            // Numbers only rise, so the first is the oldest.
            if let Some(oldest) = { same }.next() {
                oldest.outgoing.abort(Reason::Busy);
            }
        }
        let entry = Link {
            device,
            side,
            since: shell::now(),
            outgoing: Arc::clone(&outgoing),
        };
        links.up.insert(link, entry);
        drop(links);
        let budgets = LANES.map(|_| Arc::new(Semaphore::new(LANE_INBOX_BYTES_MAX)));
        Some(LinkGuard {
            hub: Arc::clone(self),
            link,
            device,
            outgoing,
            budgets,
        })
    }

    /// The conversations under way.
    pub(crate) fn links(&self) -> Vec<LinkStatus> {
        let links = lock(&self.links);
        let status = links.up.iter().map(|(link, about)| LinkStatus {
            link: *link,
            device: about.device,
            side: about.side,
            since: about.since,
            traffic: about.outgoing.traffic(),
        });
        status.collect()
    }

    /// What all conversations have carried since the start, by lane.
    pub(crate) fn traffic(&self) -> [Traffic; 3] {
        let links = lock(&self.links);
        links
            .up
            .values()
            .fold(links.ended, |sum, link| add(sum, link.outgoing.traffic()))
    }

    /// Ends every conversation, after what was said to it.
    pub(crate) fn finish_links(&self) {
        lock(&self.links)
            .up
            .values()
            .for_each(|link| link.outgoing.finish(Reason::Stopping));
    }

    /// Ends every conversation now, or those with one device.
    pub(crate) fn abort_links(&self, of: Option<DeviceId>, reason: Reason) {
        let links = lock(&self.links);
        let links = links.up.values();
        links
            .filter(|link| of.is_none_or(|device| link.device == device))
            .for_each(|link| link.outgoing.abort(reason));
    }

    fn link_down(&self, link: LinkId) {
        let mut links = lock(&self.links);
        if let Some(ended) = links.up.remove(&link) {
            links.ended = add(links.ended, ended.outgoing.traffic());
        }
        drop(links);
        // A node that is gone has forgotten it anyway.
        let _ = self.mailbox.put(Haste::Then, Arrival::Down { link });
    }

    /// Verifies a frame: here when it is small, on a thread that may block when it is not.
    fn verify(&self, frame: Vec<u8>) -> Verification {
        let verifier = self.verifier();
        if frame.len() <= VERIFY_INLINE_BYTES_MAX {
            return Verification::Done(Box::new(verifier.frame(&frame)));
        }
        let verifying = tokio::task::spawn_blocking(move || verifier.frame(&frame));
        Verification::UnderWay(verifying)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hub({})", self.whoami.device)
    }
}

/// How far the verification of one frame is.
#[derive(Debug)]
enum Verification {
    Done(Box<Result<VerifiedFrame, Reason>>),
    UnderWay(JoinHandle<Result<VerifiedFrame, Reason>>),
}

/// A frame that has its room and is being verified.
#[derive(Debug)]
pub(crate) struct Verifying {
    verification: Verification,
    bytes: usize,
    permits: Permits,
}

impl Verifying {
    /// Waits until it is verified. May be given up and begun again.
    pub(crate) async fn wait(&mut self) {
        if let Verification::UnderWay(verifying) = &mut self.verification {
            let verified = verifying.await.unwrap_or(Err(Reason::Malformed));
            self.verification = Verification::Done(Box::new(verified));
        }
    }
}

/// A conversation, for as long as this lives; dropping it tells the node that it ended.
#[derive(Debug)]
pub(crate) struct LinkGuard {
    hub: Arc<Hub>,
    pub(crate) link: LinkId,
    pub(crate) device: DeviceId,
    pub(crate) outgoing: Arc<Outgoing>,
    budgets: [Arc<Semaphore>; 3],
}

impl LinkGuard {
    /// Takes in a frame: waits until there is room for it, and has it verified.
    ///
    /// # Errors
    /// Why the conversation must end.
    pub(crate) async fn verify(&self, lane: Lane, frame: Vec<u8>) -> Result<Verifying, Reason> {
        let bytes = frame.len();
        let permits = self.room(lane, bytes).await.ok_or(Reason::Stopping)?;
        Ok(Verifying {
            verification: self.hub.verify(frame),
            bytes,
            permits,
        })
    }

    /// Hands a frame on to the node. Those of one lane must come in their order.
    ///
    /// # Errors
    /// Why the conversation must end.
    pub(crate) async fn hand_on(&self, lane: Lane, mut frame: Verifying) -> Result<(), Reason> {
        frame.wait().await;
        let Verifying {
            verification: Verification::Done(verified),
            bytes,
            permits,
        } = frame
        else {
            return Err(Reason::Malformed);
        };
        let haste = if lane == Lane::Live {
            Haste::First
        } else {
            Haste::Then
        };
        let arrival = Arrival::Frame {
            link: self.link,
            frame: (*verified)?,
            bytes,
            permits,
        };
        self.hub
            .mailbox
            .put(haste, arrival)
            .map_err(|_| Reason::Stopping)
    }

    async fn room(&self, lane: Lane, bytes: usize) -> Option<Permits> {
        let count = u32::try_from(bytes.min(FRAME_BYTES_MAX)).ok()?;
        let own = Arc::clone(self.budgets.get(index(lane))?);
        let [live, other] = &self.hub.inbox;
        let shared = Arc::clone(if lane == Lane::Live { live } else { other });
        let own = own.acquire_many_owned(count).await.ok()?;
        let shared = shared.acquire_many_owned(count).await.ok()?;
        Some(Permits([own, shared]))
    }
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        self.outgoing.abort(Reason::Stopping);
        self.hub.link_down(self.link);
    }
}

fn add(sum: [Traffic; 3], more: [Traffic; 3]) -> [Traffic; 3] {
    let [control, live, fill] = sum;
    let [more_control, more_live, more_fill] = more;
    [
        control.with(more_control),
        live.with(more_live),
        fill.with(more_fill),
    ]
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
