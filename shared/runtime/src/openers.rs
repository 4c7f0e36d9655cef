//! Threads that open documents.
//!
//! Opening is off the turn: it takes milliseconds, and Automerge may fail on what a peer sent in
//! ways that no check foresees. Jobs are dealt out by document, so that one opener sees one
//! document's jobs in order. A panic costs that opener its open documents and that job its
//! result; the node and the other documents go on. What a panic says may quote a document: the
//! programs set a hook that tells its place alone (`api::program::log`).

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use node::{
    DocumentView, Job, Opener,
    names::{DocumentId, Reason},
    protocol::Directory,
    store::{Page, Snapshot, StoreError, Table},
};
use tokio::sync::oneshot;

use crate::{
    limits::{OPENER_DOCUMENTS_MAX, OPENERS_MAX, SLEEP_MAX, SUMMARY_REST},
    mailbox::{Arrival, Haste, Mailbox},
};

/// Stack of an opener: a document may nest as deep as its limits allow.
const STACK_BYTES: usize = 16 << 20;

/// Something for an opener to do.
enum Work<P> {
    /// A job of the node's, on the state after the turn that asked.
    Job(Arc<P>, Job),
    /// Open a document: a command on it is on its way through the node.
    Prepare(Arc<P>, DocumentId),
    /// Forget what is held open.
    Forget(DocumentId),
    /// Show a document, with what the directory has to say of its authors.
    View(
        Arc<P>,
        DocumentId,
        Arc<Directory>,
        oneshot::Sender<Result<DocumentView, Reason>>,
    ),
    /// Write a document out.
    Export(Arc<P>, DocumentId, oneshot::Sender<Result<Vec<u8>, Reason>>),
}

impl<P> Work<P> {
    fn document(&self) -> DocumentId {
        match self {
            Work::Job(_, job) => job.document(),
            Work::Prepare(_, document)
            | Work::Forget(document)
            | Work::View(_, document, ..)
            | Work::Export(_, document, _) => *document,
        }
    }

    /// Whether it may wait a little for others to be through.
    fn rests(&self) -> bool {
        matches!(self, Work::Job(_, job) if job.rests())
    }

    /// Whether a person waits for it.
    fn is_urgent(&self) -> bool {
        match self {
            Work::Job(_, job) => job.is_urgent(),
            Work::Prepare(..) | Work::Forget(_) | Work::View(..) | Work::Export(..) => true,
        }
    }
}

/// What waits for one opener, with when it came. The node bounds its jobs, whoever asks for views
/// bounds those, and a document is prepared only when nothing waits.
struct Queue<P> {
    waiting: Mutex<Waiting<P>>,
    changed: Condvar,
}

struct Waiting<P> {
    queue: VecDeque<(Instant, Work<P>)>,
    stopping: bool,
}

impl<P> Queue<P> {
    fn new() -> Queue<P> {
        Queue {
            waiting: Mutex::new(Waiting {
                queue: VecDeque::new(),
                stopping: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<P>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits.
    fn is_idle(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Adds something to do; after a stop it is dropped, and whoever waits for it hears so.
    fn put(&self, work: Work<P>) {
        let mut waiting = self.lock();
        if waiting.stopping {
            return;
        }
        waiting.queue.push_back((Instant::now(), work));
        drop(waiting);
        self.changed.notify_one();
    }

    fn stop(&self) {
        let mut waiting = self.lock();
        waiting.stopping = true;
        waiting.queue.clear();
        drop(waiting);
        self.changed.notify_one();
    }

    /// What to do next; none when it is time to stop.
    fn next(&self) -> Option<Work<P>> {
        let mut waiting = self.lock();
        loop {
            if waiting.stopping {
                return None;
            }
            let oldest = waiting.queue.front().map(|(since, _)| *since);
            let rests = waiting.queue.iter().all(|(_, work)| work.rests());
            let rest = rest(oldest, rests);
            if rest.is_zero() {
                let place = best(&waiting.queue);
                return waiting.queue.remove(place).map(|(_, work)| work);
            }
            let woken = self.changed.wait_timeout(waiting, rest);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// For how long an opener has nothing to do, by when the oldest of its work came and whether all of
/// it may rest.
fn rest(oldest: Option<Instant>, rests: bool) -> Duration {
    match oldest {
        None => SLEEP_MAX,
        Some(since) if rests => SUMMARY_REST.saturating_sub(since.elapsed()),
        Some(_) => Duration::ZERO,
    }
}

/// The first thing that a person waits for and that overtakes nothing of its own document; else
/// whatever is first.
fn best<P>(queue: &VecDeque<(Instant, Work<P>)>) -> usize {
    let overtakes = |place: usize, document| {
        let mut earlier = queue.iter().take(place);
        earlier.any(|(_, earlier)| earlier.document() == document)
    };
    let mut urgent = queue
        .iter()
        .enumerate()
        .filter(|(_, (_, work))| work.is_urgent());
    urgent
        .find(|(place, (_, work))| !overtakes(*place, work.document()))
        .map_or(0, |(place, _)| place)
}

/// The openers of one node.
pub(crate) struct Openers<P> {
    queues: Vec<Arc<Queue<P>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<P: Snapshot> Openers<P> {
    /// Starts as many as there are cores to use.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(mailbox: &Arc<Mailbox>) -> std::io::Result<Openers<P>> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for number in 0..cores.min(OPENERS_MAX) {
            let queue = Arc::new(Queue::new());
            let (work, answers) = (Arc::clone(&queue), Arc::clone(mailbox));
            let thread = thread::Builder::new().name(format!("opener-{number}"));
            threads.push(
                thread
                    .stack_size(STACK_BYTES)
                    .spawn(move || serve(&work, &answers))?,
            );
            queues.push(queue);
        }
        Ok(Openers {
            queues,
            threads: Mutex::new(threads),
        })
    }

    /// The opener that sees all jobs of a document.
    fn of(&self, document: DocumentId) -> Option<&Arc<Queue<P>>> {
        // Ids are random or hashes, so any byte deals them out evenly.
        let [first, ..] = document.0;
        self.queues
            .get(usize::from(first) % self.queues.len().max(1))
    }

    fn put(&self, work: Work<P>) {
        if let Some(queue) = self.of(work.document()) {
            queue.put(work);
        }
    }

    /// Does a job; its end arrives in the mailbox.
    pub(crate) fn open(&self, snapshot: Arc<P>, job: Job) {
        self.put(Work::Job(snapshot, job));
    }

    /// Opens a document while the command on it goes through the node, if its opener has nothing
    /// else to do: an opener that is busy gains nothing by more work.
    pub(crate) fn prepare(&self, snapshot: Arc<P>, document: DocumentId) {
        if let Some(queue) = self.of(document)
            && queue.is_idle()
        {
            queue.put(Work::Prepare(snapshot, document));
        }
    }

    /// Forgets what is held open of a document.
    pub(crate) fn forget(&self, document: DocumentId) {
        self.put(Work::Forget(document));
    }

    /// Shows a document. The channel closes without an answer when the openers stop first.
    pub(crate) fn view(
        &self,
        snapshot: Arc<P>,
        document: DocumentId,
        directory: Arc<Directory>,
    ) -> oneshot::Receiver<Result<DocumentView, Reason>> {
        let (answer, asked) = oneshot::channel();
        self.put(Work::View(snapshot, document, directory, answer));
        asked
    }

    /// Writes a document out. The channel closes without an answer when the openers stop first.
    pub(crate) fn export(
        &self,
        snapshot: Arc<P>,
        document: DocumentId,
    ) -> oneshot::Receiver<Result<Vec<u8>, Reason>> {
        let (answer, asked) = oneshot::channel();
        self.put(Work::Export(snapshot, document, answer));
        asked
    }

    /// Stops all, and waits for what they are at.
    pub(crate) fn stop(&self) {
        self.queues.iter().for_each(|queue| queue.stop());
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic in an opener was told when it happened.
            let _ = thread.join();
        }
    }
}

impl<P> fmt::Debug for Openers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Openers({})", self.queues.len())
    }
}

/// One opener's thread.
fn serve<P: Snapshot>(queue: &Queue<P>, answers: &Mailbox) {
    let mut opener = Opener::new(OPENER_DOCUMENTS_MAX);
    while let Some(work) = queue.next() {
        match work {
            Work::Job(snapshot, job) => {
                let opened = guarded(&mut opener, job.document(), |opener| {
                    opener.run(&*snapshot, &job)
                });
                // What failed is told in the opener's own words, which this makes it say.
                let opened = opened.unwrap_or_else(|| opener.run(&Unreadable, &job));
                drop(snapshot);
                // A node that is gone needs no answer.
                let _ = answers.put(
                    Haste::First,
                    Arrival::Opened {
                        job: job.id(),
                        opened,
                    },
                );
            }
            Work::Prepare(snapshot, document) => {
                guarded(&mut opener, document, |opener| {
                    opener.prepare(&*snapshot, document);
                });
            }
            Work::Forget(document) => opener.forget(document),
            Work::View(snapshot, document, directory, answer) => {
                let view = guarded(&mut opener, document, |opener| {
                    opener.view_marked(&*snapshot, document, &directory)
                });
                let _ = answer.send(view.unwrap_or(Err(Reason::CannotOpen)));
            }
            Work::Export(snapshot, document, answer) => {
                let bytes = guarded(&mut opener, document, |opener| {
                    opener.export(&*snapshot, document)
                });
                let _ = answer.send(bytes.unwrap_or(Err(Reason::CannotOpen)));
            }
        }
    }
}

/// Does something with an opener; a panic leaves a new opener and no answer.
fn guarded<T>(
    opener: &mut Opener,
    document: DocumentId,
    work: impl FnOnce(&mut Opener) -> T,
) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(|| work(opener)));
    if done.is_err() {
        tracing::error!(%document, "opening a document panicked; its entries are kept");
        *opener = Opener::new(OPENER_DOCUMENTS_MAX);
    }
    done.ok()
}

/// A store of which nothing can be read.
struct Unreadable;

impl Snapshot for Unreadable {
    fn get(&self, _: Table, _: &[u8], _: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Dead)
    }

    fn range(
        &self,
        _: Table,
        _: &[u8],
        _: u64,
        _: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        Err(StoreError::Dead)
    }

    fn last(&self, _: Table, _: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Err(StoreError::Dead)
    }

    fn names(&self, _: Table, _: Option<&[u8]>, _: usize) -> Result<Page, StoreError> {
        Err(StoreError::Dead)
    }
}

#[cfg(test)]
mod tests {
    use node::{names::TenantId, protocol::PublicKey};

    use super::*;

    fn view(document: u8) -> Work<()> {
        Work::View(
            Arc::new(()),
            DocumentId([document; 16]),
            directory(),
            oneshot::channel().0,
        )
    }

    fn directory() -> Arc<Directory> {
        Arc::new(Directory::new(TenantId([1; 16]), PublicKey([2; 32])))
    }

    fn forget(document: u8) -> Work<()> {
        Work::Forget(DocumentId([document; 16]))
    }

    #[test]
    fn nothing_overtakes_within_a_document() {
        let now = Instant::now();
        let queue = [forget(1), view(1), view(2)].map(|work| (now, work));
        assert_eq!(best(&VecDeque::from(queue)), 0);
        assert_eq!(best(&VecDeque::<(Instant, Work<()>)>::new()), 0);
    }

    #[test]
    fn a_summary_waits_a_little_and_nothing_else_does() {
        let now = Instant::now();
        assert_eq!(rest(None, true), SLEEP_MAX);
        let short = rest(Some(now), true);
        assert!(!short.is_zero() && short <= SUMMARY_REST);
        assert!(rest(Some(now), false).is_zero());
        let before = now.checked_sub(SUMMARY_REST);
        assert!(rest(Some(before.expect("a machine that runs")), true).is_zero());
    }

    #[test]
    fn nobody_waits_for_an_opener_that_has_stopped() {
        let openers = Openers::start(&Arc::new(Mailbox::default())).expect("threads can be had");
        openers.stop();
        let document = DocumentId([1; 16]);
        let mut asked = openers.view(Arc::new(Unreadable), document, directory());
        assert_eq!(
            asked.try_recv().err(),
            Some(oneshot::error::TryRecvError::Closed)
        );
    }

    #[test]
    fn a_panic_costs_one_answer() {
        let mut opener = Opener::new(1);
        let document = DocumentId([1; 16]);
        let broken: Option<()> = guarded(&mut opener, document, |_| panic!("as Automerge may"));
        assert!(broken.is_none());
        assert_eq!(guarded(&mut opener, document, |_| 7), Some(7));
    }
}
