//! A disk that can lose power.
//!
//! It keeps two images: *live*, what a running process reads, and *durable*, what a sync has made
//! safe. Between them stand the writes since the last sync. A crash takes each of these by
//! chance: it is kept, dropped, or torn into sectors of which some are kept; a change of length
//! is kept or not whatever becomes of the writes around it. Some crashes keep everything and some
//! nothing, as a process that is killed and a cache that is lost do.
//!
//! Everything is decided by the caller's chance, so a schedule replays from its seed.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// How a disk fails from some operation on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No room: writes and growth are refused until [`Disk::mend`].
    Full,
    /// Writes and changes of length fail until [`Disk::mend`].
    Write,
    /// Syncs fail until [`Disk::mend`]. As kernels do, the disk then forgets that the writes
    /// before it were never made safe: a later sync succeeds without them.
    Sync,
    /// The power is cut: the operation under way may or may not have happened, and everything
    /// after it fails until [`Disk::crash`].
    Cut,
}

/// A disk with one file on it. Clones are the same disk; backends of it can be opened again and
/// again, as processes come and go.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes and changes of length since the last sync, in order.
    unsynced: Vec<Change>,
    /// Grows with each crash: a backend of before belongs to a dead process.
    life: u64,
    operations: u64,
    syncs: u64,
    lies_every: Option<u64>,
    crashed: Crashed,
    fault: Option<(u64, Fault)>,
}

/// What has become of changes that were not synced when the power was cut, over all crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Crashed {
    /// Kept as they were made.
    pub kept: u64,
    /// Writes and changes of length of which nothing is left.
    pub lost: u64,
    /// Writes of which some sectors are left.
    pub torn: u64,
}

impl Crashed {
    /// Both together.
    #[must_use]
    pub fn with(self, other: Crashed) -> Crashed {
        Crashed {
            kept: self.kept + other.kept,
            lost: self.lost + other.lost,
            torn: self.torn + other.torn,
        }
    }
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// The disk as one process sees it: until the next crash, then every call fails.
    pub fn backend(&self) -> impl StorageBackend + use<> {
        Backend {
            disk: self.clone(),
            life: self.state().life,
        }
    }

    /// Cuts the power and brings it back. `chance` draws any 64-bit number.
    pub fn crash(&self, chance: &mut dyn FnMut() -> u64) {
        let mut state = self.state();
        let unsynced = std::mem::take(&mut state.unsynced);
        let image = std::mem::take(&mut state.durable);
        let image = after_crash(image, unsynced, chance, &mut state.crashed);
        state.live.clone_from(&image);
        state.durable = image;
        state.life += 1;
        state.fault = None;
    }

    /// Kills the process that has the disk open: what it had written stays, synced or not, and
    /// the operation under way when a cut struck did happen.
    pub fn kill(&self) {
        let mut state = self.state();
        let cut = matches!(state.fault, Some((at, Fault::Cut)) if state.operations > at);
        if cut && let Some(change) = state.unsynced.pop() {
            // The process never saw its last change happen. If that was a sync instead, this
            // change is there already, and applying it again changes nothing.
            state.apply(&change);
            state.unsynced.push(change);
        }
        state.life += 1;
        state.fault = None;
    }

    /// A copy as `cp` makes one beside a running process: what that process would read now, all
    /// of it safe. Counters, faults and chance begin anew.
    pub fn copy(&self) -> Disk {
        let live = self.state().live.clone();
        let state = State {
            durable: live.clone(),
            live,
            ..State::default()
        };
        Disk(Arc::new(Mutex::new(state)))
    }

    /// Puts another disk's content (a [`Disk::copy`] kept as a backup) in place of this one's.
    /// Whoever has this disk open is cut off, as by a crash.
    pub fn restore(&self, backup: &Disk) {
        let image = backup.state().live.clone();
        let mut state = self.state();
        state.live.clone_from(&image);
        state.durable = image;
        state.unsynced.clear();
        state.life += 1;
        state.fault = None;
    }

    /// Lets `operations` more writes, changes of length and syncs through, and then fails.
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + operations, fault));
    }

    /// Takes a fault back, as when room has been made.
    pub fn mend(&self) {
        self.state().fault = None;
    }

    /// Makes every `n`th sync a lie: it reports success and makes nothing safe. For negative
    /// controls, which show that a test would notice a loss.
    pub fn lie_every(&self, n: u64) {
        self.state().lies_every = Some(n);
    }

    /// What became of unsynced changes in all its crashes.
    pub fn crashed(&self) -> Crashed {
        self.state().crashed
    }

    /// Writes words in plain behind everything that is stored, as a leak would. For negative
    /// controls.
    pub fn leak(&self, words: &str) {
        self.state().live.extend_from_slice(words.as_bytes());
    }

    /// How often it was synced.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// How many writes, changes of length and syncs there were: what [`Disk::fail_after`] counts.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// What a process reads now; what a thief would find.
    pub fn bytes(&self) -> Vec<u8> {
        self.state().live.clone()
    }

    /// A panic in a test that holds the lock has been reported already.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let (bytes, unsynced) = (state.live.len(), state.unsynced.len());
        write!(
            f,
            "Disk({bytes} bytes, {unsynced} changes not synced, {} syncs)",
            state.syncs
        )
    }
}

/// What is found when the power is back.
fn after_crash(
    mut image: Vec<u8>,
    unsynced: Vec<Change>,
    chance: &mut dyn FnMut() -> u64,
    crashed: &mut Crashed,
) -> Vec<u8> {
    // A kept write beyond the end is lost unless the length it needed was kept too; so lengths
    // are applied to a number, and bytes to an image as long as any of them.
    let mut length = image.len();
    let mut chance = moody(chance);
    for change in unsynced {
        match change {
            Change::Length(to) => {
                if chance().is_multiple_of(2) {
                    let shrunk = to.min(image.len());
                    image.iter_mut().skip(shrunk).for_each(|byte| *byte = 0);
                    length = to;
                    crashed.kept += 1;
                } else {
                    crashed.lost += 1;
                }
            }
            Change::Write { offset, data } => {
                if image.len() < offset + data.len() {
                    image.resize(offset + data.len(), 0);
                }
                match keep_some(&mut image, offset, &data, &mut chance) {
                    (0, _) => crashed.lost += 1,
                    (_, 0) => crashed.kept += 1,
                    _ => crashed.torn += 1,
                }
            }
        }
    }
    image.resize(length, 0);
    image
}

/// One crash in four keeps everything and one in four nothing; the others draw anew each time.
fn moody(chance: &mut dyn FnMut() -> u64) -> impl FnMut() -> u64 {
    let mood = chance() % 4;
    move || match mood {
        0 => KEEP,
        1 => DROP,
        _ => chance(),
    }
}

/// Draws that keep or drop a whole write, and a change of length: see [`keep_some`].
const KEEP: u64 = 0;
const DROP: u64 = 1;

/// A write of which all, none or some sectors arrived: how many did, and how many did not.
fn keep_some(
    image: &mut [u8],
    offset: usize,
    data: &[u8],
    chance: &mut dyn FnMut() -> u64,
) -> (u64, u64) {
    let mut sectors = (0, 0);
    let fate = chance() % 3;
    let (whole, none) = (KEEP % 3, DROP % 3);
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let in_sector = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
        let (piece, later) = rest.split_at(in_sector);
        let kept = fate == whole || (fate != none && chance().is_multiple_of(2));
        match image.get_mut(at..at + piece.len()) {
            Some(place) if kept => {
                place.copy_from_slice(piece);
                sectors.0 += 1;
            }
            _ => sectors.1 += 1,
        }
        (at, rest) = (at + in_sector, later);
    }
    sectors
}

struct Backend {
    disk: Disk,
    life: u64,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(f)
    }
}

impl Backend {
    /// The disk, if the process that opened this backend still lives.
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        let cut = matches!(state.fault, Some((at, Fault::Cut)) if state.operations > at);
        if state.life == self.life && !cut {
            Ok(state)
        } else {
            Err(power_is_off())
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    /// Counts an operation and answers the fault that meets it.
    fn count(&mut self) -> Option<Fault> {
        self.operations += 1;
        self.fault
            .filter(|(at, _)| self.operations > *at)
            .map(|(_, fault)| fault)
    }

    /// What `count` answered for a write or a change of length, as the result the caller gets.
    /// After a cut the change may still arrive, so it is noted before the failure is told.
    fn change(&mut self, change: Change) -> io::Result<()> {
        match self.count() {
            Some(Fault::Full) => return Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Write) => return Err(io::Error::other("the disk refuses to write")),
            Some(Fault::Cut) => {
                self.unsynced.push(change);
                return Err(power_is_off());
            }
            Some(Fault::Sync) | None => {}
        }
        if let Change::Write { offset, data } = &change
            && self.live.len() < offset + data.len()
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.apply(&change);
        self.unsynced.push(change);
        Ok(())
    }

    /// Applies a change to what a process reads.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Length(length) => self.live.resize(*length, 0),
            Change::Write { offset, data } => {
                if let Some(place) = self.live.get_mut(*offset..*offset + data.len()) {
                    place.copy_from_slice(data);
                }
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.count() {
            Some(Fault::Cut) => return Err(power_is_off()),
            Some(Fault::Sync) => {
                self.unsynced.clear();
                return Err(io::Error::other("the disk failed to sync"));
            }
            Some(Fault::Full | Fault::Write) | None => {}
        }
        self.syncs += 1;
        if self
            .lies_every
            .is_some_and(|n| self.syncs.is_multiple_of(n))
        {
            return Ok(());
        }
        for change in self.unsynced.drain(..) {
            match change {
                Change::Length(length) => self.durable.resize(length, 0),
                Change::Write { offset, data } => {
                    // A change before it may have been forgotten by a failed sync.
                    if self.durable.len() < offset + data.len() {
                        self.durable.resize(offset + data.len(), 0);
                    }
                    if let Some(place) = self.durable.get_mut(offset..offset + data.len()) {
                        place.copy_from_slice(&data);
                    }
                }
            }
        }
        Ok(())
    }
}

fn index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.alive()?.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.alive()?;
        let offset = index(offset)?;
        let place = state
            .live
            .get(offset..)
            .and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(place.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = index(length)?;
        self.alive()?.change(Change::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.alive()?.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = index(offset)?;
        self.alive()?.change(Change::Write {
            offset,
            data: data.to_vec(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
