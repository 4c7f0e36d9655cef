//! The store as the service has it, with a meter under it and another one around it: how often the
//! disk was told to make its writes durable, and how many commits there were.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    ops::Bound,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use harness::chance::Chance;
use names::StoreId;
use redb::{BackendError, StorageBackend, backends::FileBackend};
use runtime::shell;
use store::{Batch, Config, Epochs, RedbStore, Sealed, Store, StoreError, StoreKey};

use crate::failure::{Outcome, failed};

/// Appends with which the disk itself is looked at.
const PROBES: usize = 50;

/// What one store's disk was asked for. Nodes of the same disk may share it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    syncs: AtomicU64,
    commits: AtomicU64,
    committing_us: AtomicU64,
    extra_us: AtomicU64,
    done: Mutex<Vec<Committed>>,
}

/// One commit: when it was done, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
}

/// A meter's reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Work {
    /// Calls of `sync_data`.
    pub(crate) syncs: u64,
    /// Batches made durable.
    pub(crate) commits: u64,
    /// Microseconds that they took.
    pub(crate) committing_us: u64,
}

impl Work {
    /// What was added since an earlier reading.
    pub(crate) fn since(self, earlier: Work) -> Work {
        Work {
            syncs: self.syncs - earlier.syncs,
            commits: self.commits - earlier.commits,
            committing_us: self.committing_us - earlier.committing_us,
        }
    }
}

impl Meter {
    /// A meter of a disk that takes `extra` longer for every `sync_data`.
    pub(crate) fn new(extra: Duration) -> Arc<Meter> {
        let meter = Meter::default();
        meter.extra_us.store(micros(extra), Ordering::Relaxed);
        Arc::new(meter)
    }

    /// When the last commit was done.
    pub(crate) fn last_commit(&self) -> Option<Instant> {
        self.lock().last().map(|commit| commit.at)
    }

    /// The first commit that was begun after a moment.
    pub(crate) fn first_after(&self, moment: Instant) -> Option<Committed> {
        let done = self.lock();
        let begun = |commit: &&Committed| commit.at - commit.took >= moment;
        done.iter().find(begun).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Committed>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it shows now.
    pub(crate) fn read(&self) -> Work {
        Work {
            syncs: self.syncs.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            committing_us: self.committing_us.load(Ordering::Relaxed),
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A file as redb uses it, counted.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    meter: Arc<Meter>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.meter.syncs.fetch_add(1, Ordering::Relaxed);
        let extra = self.meter.extra_us.load(Ordering::Relaxed);
        if extra > 0 {
            std::thread::sleep(Duration::from_micros(extra));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// The sealed store of the service, its commits counted.
pub(crate) struct Counted {
    inner: Sealed<RedbStore>,
    meter: Arc<Meter>,
}

impl Store for Counted {
    type Snapshot = <Sealed<RedbStore> as Store>::Snapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let began = Instant::now();
        self.inner.commit(batch)?;
        let done = Instant::now();
        let took = micros(done - began);
        self.meter.commits.fetch_add(1, Ordering::Relaxed);
        self.meter.committing_us.fetch_add(took, Ordering::Relaxed);
        self.meter.lock().push(Committed {
            at: done,
            took: done - began,
        });
        Ok(())
    }

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        self.inner.snapshot()
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        self.inner.verify()
    }
}

/// Opens the store in a file, as an edge would; makes it first when there is none.
///
/// # Errors
/// Failures of the disk and of the store, in words.
pub(crate) fn open(path: &Path, key: &StoreKey, meter: &Arc<Meter>) -> Outcome<Counted> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let is_new = !path.exists();
    let file = options.open(path).map_err(failed("a store's file"))?;
    let file = FileBackend::new(file).map_err(failed("a store's file"))?;
    let disk = Disk {
        file,
        meter: Arc::clone(meter),
    };
    let chance = Box::new(shell::fill);
    let epochs = Epochs::first([1; 32], [1; 32]);
    let sealed = if is_new {
        RedbStore::create(disk, Config::default())
            .and_then(|inner| Sealed::create(inner, key, epochs, StoreId(shell::entropy()), chance))
    } else {
        RedbStore::open(disk, Config::default())
            .and_then(|inner| Sealed::open(inner, key, epochs, chance))
    };
    Ok(Counted {
        inner: sealed.map_err(failed("a store"))?,
        meter: Arc::clone(meter),
    })
}

/// Milliseconds that this disk takes to make 4 KiB durable: what a later reader needs to compare
/// the figures with those of another machine.
///
/// # Errors
/// Failures of the disk, in words.
pub(crate) fn probe(folder: &Path) -> Outcome<Vec<f64>> {
    let path = folder.join("probe");
    let mut file = std::fs::File::create(&path).map_err(failed("the probe"))?;
    let page: [u8; 4096] = Chance::new(1, "probe").bytes();
    let mut took = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let began = Instant::now();
        file.write_all(&page).map_err(failed("the probe"))?;
        file.sync_data().map_err(failed("the probe"))?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(&path).map_err(failed("the probe"))?;
    Ok(took)
}
