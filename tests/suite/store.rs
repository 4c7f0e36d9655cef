//! Real redb, sealed, on a disk that loses power: thousands of schedules, each from one number.
//!
//! The fault model is that of `harness::disk`: unsynced writes are kept, dropped or torn, syncs
//! do not lie. Within it a store must always open again, hold every acknowledged batch, and hold
//! of the batch that was under way all or nothing.

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use harness::{
    chance::Chance,
    disk::{Disk, Fault},
    report::say,
};
use names::StoreId;
use store::{
    Batch, Config, Epochs, MemoryStore, RedbStore, Sealed, Snapshot as _, Store, StoreError,
    StoreKey, Table, conformance, each,
};

type Durable = Sealed<RedbStore>;

fn chance(seed: u64) -> Chance {
    Chance::new(seed, "store")
}

fn entropy(seed: u64) -> store::Entropy {
    let mut nonces = chance(seed);
    Box::new(move |out| nonces.fill(out))
}

fn key() -> StoreKey {
    StoreKey::from_bytes([0xC4; 32])
}

fn epochs() -> Epochs {
    Epochs::first([0x3E; 32], [0x3E; 32])
}

/// Opens what is on the disk, or begins where nothing was ever acknowledged.
fn open(disk: &Disk, acknowledged: bool, seed: u64) -> Result<Durable, StoreError> {
    let config = Config {
        cache_bytes: 1 << 20,
        ..Config::default()
    };
    let inner = match RedbStore::open(disk.backend(), config) {
        Err(StoreError::Missing) if !acknowledged => RedbStore::create(disk.backend(), config)?,
        other => other?,
    };
    match Sealed::open(inner, &key(), epochs(), entropy(seed)) {
        Err(StoreError::Missing) if !acknowledged => {
            let inner = RedbStore::open(disk.backend(), config)?;
            Sealed::create(inner, &key(), epochs(), StoreId([1; 16]), entropy(seed))
        }
        other => other,
    }
}

/// What happened in a schedule; summed up so that a test which tests nothing shows.
#[derive(Default, Debug)]
struct Tally {
    commits: u64,
    cuts_in_creation: u64,
    cuts_in_commits: u64,
    cuts_in_recovery: u64,
    cuts_while_stopping: u64,
    in_flight_kept: u64,
    in_flight_lost: u64,
}

struct Schedule {
    chance: Chance,
    disk: Disk,
    tally: Tally,
    /// What was acknowledged, and what it would be with the batch that was under way.
    acknowledged: MemoryStore,
    under_way: Option<MemoryStore>,
    created: bool,
}

impl Schedule {
    fn new(seed: u64) -> Schedule {
        Schedule {
            chance: chance(seed),
            disk: Disk::new(),
            tally: Tally::default(),
            acknowledged: MemoryStore::new(),
            under_way: None,
            created: false,
        }
    }

    fn run(mut self) -> Tally {
        let mut store = self.start();
        for _ in 0..self.chance.below(12) + 3 {
            store = match self.chance.below(8) {
                0 => self.stop_and_start(store),
                1 => self.crash_and_start(store),
                2..=4 => self.commit(store, Some(12)),
                _ => self.commit(store, None),
            };
        }
        assert_eq!(store.verify(), Ok(()));
        let store = self.crash_and_start(store);
        conformance::same_content(&store, &self.acknowledged, "what was acknowledged is there");
        self.tally
    }

    /// Opens the store, through as many cuts as chance wants, and compares what it holds.
    fn start(&mut self) -> Durable {
        let mut cuts_left = self.chance.below(4);
        loop {
            if cuts_left > 0 {
                self.disk.fail_after(self.chance.below(16), Fault::Cut);
            }
            let opened = open(&self.disk, self.created, self.chance.any());
            match opened {
                Ok(store) => {
                    self.disk.mend();
                    self.created = true;
                    self.compare(&store);
                    return store;
                }
                Err(error) => {
                    assert!(cuts_left > 0, "the store does not open again: {error}");
                    cuts_left -= 1;
                    if self.created {
                        self.tally.cuts_in_recovery += 1;
                    } else {
                        self.tally.cuts_in_creation += 1;
                    }
                    self.crash();
                }
            }
        }
    }

    /// All of what was acknowledged; of the batch under way all or nothing.
    fn compare(&mut self, store: &Durable) {
        let found = rows(store);
        if let Some(with_batch) = self.under_way.take() {
            if found == rows(&with_batch) {
                self.tally.in_flight_kept += 1;
                self.acknowledged = with_batch;
                return;
            }
            self.tally.in_flight_lost += 1;
        }
        assert!(
            found == rows(&self.acknowledged),
            "an acknowledged batch is lost or mixed"
        );
    }

    fn commit(&mut self, mut store: Durable, cut_within: Option<u64>) -> Durable {
        let batch = self.batch();
        let mut with_batch = self.acknowledged.clone();
        with_batch.commit(batch.clone()).unwrap();
        if let Some(operations) = cut_within {
            self.disk
                .fail_after(self.chance.below(operations), Fault::Cut);
        }
        match store.commit(batch) {
            Ok(()) => {
                self.disk.mend();
                self.acknowledged = with_batch;
                self.tally.commits += 1;
                store
            }
            Err(error) => {
                assert!(
                    cut_within.is_some(),
                    "a whole disk refuses a batch: {error}"
                );
                assert_eq!(store.commit(Batch::new()).and(store.commit(one())), DEAD);
                self.tally.cuts_in_commits += 1;
                self.under_way = Some(with_batch);
                self.crash_and_start(store)
            }
        }
    }

    /// A clean stop, or one that the power does not last for.
    fn stop_and_start(&mut self, store: Durable) -> Durable {
        if self.chance.below(2) == 0 {
            self.disk.fail_after(self.chance.below(8), Fault::Cut);
        }
        let stopped = store.into_inner().close();
        if stopped.is_err() {
            self.tally.cuts_while_stopping += 1;
        }
        self.crash();
        self.start()
    }

    fn crash_and_start(&mut self, store: Durable) -> Durable {
        self.crash();
        // Only now: a process that the power left does not stop cleanly.
        drop(store);
        self.start()
    }

    fn crash(&mut self) {
        let chance = &mut self.chance;
        self.disk.crash(&mut || chance.any());
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::new();
        for _ in 0..self.chance.below(20) + 1 {
            let table = if self.chance.below(2) == 0 {
                Table::Bundle
            } else {
                Table::Log
            };
            let name = [b'n', self.chance.any().to_le_bytes()[0] % 6];
            let position = self.chance.below(8);
            if self.chance.below(5) == 0 {
                batch.delete(table, name, position);
            } else {
                let bytes = usize::try_from(self.chance.below(3_000)).unwrap();
                batch.put(
                    table,
                    name,
                    position,
                    vec![self.chance.any().to_le_bytes()[0]; bytes],
                );
            }
        }
        if self.chance.below(6) == 0 {
            batch.require_two_phase();
        }
        batch
    }
}

const DEAD: Result<(), StoreError> = Err(StoreError::Dead);

fn one() -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"one", 0, b"one");
    batch
}

fn rows<S: Store>(store: &S) -> Vec<(Table, Vec<u8>, u64, Vec<u8>)> {
    let snapshot = store.snapshot().unwrap();
    let mut all = Vec::new();
    for table in [Table::Bundle, Table::Log, Table::Meta] {
        let keep = |row: store::Row| all.push((table, row.name, row.position, row.value));
        assert_eq!(each(&snapshot, table, keep), Ok(0));
    }
    all.sort();
    all
}

fn runs_through(schedule: Schedule) -> Option<Tally> {
    catch_unwind(AssertUnwindSafe(|| schedule.run())).ok()
}

#[test]
fn no_power_cut_loses_or_mixes_what_was_acknowledged() {
    let mut sum = Tally::default();
    for seed in 0..2_000 {
        let Some(tally) = runs_through(Schedule::new(seed)) else {
            panic!("schedule {seed} failed");
        };
        sum.commits += tally.commits;
        sum.cuts_in_creation += tally.cuts_in_creation;
        sum.cuts_in_commits += tally.cuts_in_commits;
        sum.cuts_in_recovery += tally.cuts_in_recovery;
        sum.cuts_while_stopping += tally.cuts_while_stopping;
        sum.in_flight_kept += tally.in_flight_kept;
        sum.in_flight_lost += tally.in_flight_lost;
    }
    say(format!("{sum:?}"));
    let every_kind = [
        sum.commits,
        sum.cuts_in_creation,
        sum.cuts_in_commits,
        sum.cuts_in_recovery,
        sum.cuts_while_stopping,
        sum.in_flight_kept,
        sum.in_flight_lost,
    ];
    assert!(every_kind.iter().all(|count| *count > 100), "{sum:?}");
}

/// The negative control: on a disk that lies about every third sync the same schedules fail, so
/// passing them means something.
#[test]
fn a_disk_that_lies_is_noticed() {
    let noticed = |seed: &u64| {
        let schedule = Schedule::new(*seed);
        schedule.disk.lie_every(3);
        runs_through(schedule).is_none()
    };
    let noticed = (0..200).filter(noticed).count();
    assert!(noticed > 20, "only {noticed} of 200 schedules noticed");
}

/// A cut at every single operation of a creation: the next opening begins again or goes on.
#[test]
fn a_creation_cut_anywhere_is_begun_again() {
    let mut cuts = 0;
    for operations in 0.. {
        let mut finished = false;
        for seed in 0..8 {
            let disk = Disk::new();
            disk.fail_after(operations, Fault::Cut);
            finished |= open(&disk, false, seed).is_ok();
            let mut drawn = chance(operations * 8 + seed);
            disk.crash(&mut || drawn.any());
            let mut store = open(&disk, finished, seed).unwrap();
            assert_eq!(store.commit(one()), Ok(()));
            assert_eq!(store.verify(), Ok(()));
            cuts += u32::from(!finished);
        }
        if finished {
            break;
        }
    }
    assert!(cuts > 50, "{cuts}");
}

fn started(disk: &Disk) -> Durable {
    let mut store = open(disk, false, 1).unwrap();
    store.commit(one()).unwrap();
    store
}

fn two() -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"two", 0, vec![2; 2_000_000]);
    batch
}

/// A failed commit is told, kills the store, and leaves what was acknowledged. With the fault
/// gone the store opens again and goes on.
#[test]
fn a_failing_disk_is_told_and_never_trusted_again() {
    let cases = [
        (Fault::Full, StoreError::Full),
        (Fault::Write, StoreError::Io(std::io::ErrorKind::Other)),
        (Fault::Sync, StoreError::Io(std::io::ErrorKind::Other)),
    ];
    for (fault, told) in cases {
        for after in 0..4 {
            let disk = Disk::new();
            let mut store = started(&disk);
            let held = store.snapshot().unwrap();
            disk.fail_after(after, fault);
            assert_eq!(store.commit(two()), Err(told), "{fault:?}");
            assert_eq!(store.commit(one()), DEAD);
            assert!(matches!(store.snapshot(), Err(StoreError::Dead)));
            assert_eq!(store.verify(), DEAD);
            disk.mend();
            assert_eq!(
                store.commit(one()),
                DEAD,
                "a mended disk does not revive a store"
            );
            drop((held, store));
            let mut drawn = chance(after);
            disk.crash(&mut || drawn.any());
            let mut store = open(&disk, true, 2).unwrap();
            let read = store.snapshot().unwrap().get(Table::Meta, b"one", 0);
            assert_eq!(read, Ok(Some(b"one".to_vec())));
            assert_eq!(store.verify(), Ok(()));
            assert_eq!(store.commit(two()), Ok(()));
        }
    }
}

/// "Durable" is counted, not believed: every commit syncs, and one in two phases syncs twice.
#[test]
fn every_commit_syncs() {
    let disk = Disk::new();
    let mut store = started(&disk);
    for n in 0..50u64 {
        let mut batch = Batch::new();
        batch.put(Table::Log, b"log", n, b"row");
        let two_phase = n.is_multiple_of(2);
        if two_phase {
            batch.require_two_phase();
        }
        let before = disk.syncs();
        store.commit(batch).unwrap();
        assert_eq!(disk.syncs() - before, if two_phase { 2 } else { 1 });
    }
    let before = (disk.syncs(), disk.operations());
    store.commit(Batch::new()).unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(
        snapshot
            .range(Table::Log, b"log", 0, 100)
            .map(|rows| rows.len()),
        Ok(50)
    );
    assert_eq!(
        (disk.syncs(), disk.operations()),
        before,
        "nothing to do writes nothing"
    );
}

/// A file copied beside a running store opens with everything acknowledged before, and an older
/// copy put back is a sound store too: that it is old is for peers to find.
#[test]
fn a_copy_of_a_running_store_opens() {
    let disk = Disk::new();
    let mut store = started(&disk);
    let copy = disk.copy();
    store.commit(two()).unwrap();
    let has_two = |store: &Durable| {
        store
            .snapshot()
            .unwrap()
            .get(Table::Meta, b"two", 0)
            .unwrap()
            .is_some()
    };
    let mut old = open(&copy, true, 3).unwrap();
    assert!(old.inner().was_repaired() && !has_two(&old));
    assert_eq!((old.verify(), old.store_id()), (Ok(()), store.store_id()));
    drop(old);
    disk.restore(&copy);
    assert!(matches!(store.commit(one()), Err(StoreError::Io(_))));
    assert!(!has_two(&open(&disk, true, 4).unwrap()));
}

/// A snapshot is read while the store goes on; a check waits for it to be given back.
#[test]
fn a_held_snapshot_hinders_only_the_check() {
    let disk = Disk::new();
    let mut store = started(&disk);
    let held = store.snapshot().unwrap();
    store.commit(two()).unwrap();
    assert_eq!(held.get(Table::Meta, b"two", 0), Ok(None));
    assert_eq!(store.verify(), Err(StoreError::Busy));
    assert_eq!(store.commit(one()), Ok(()), "being busy is not being dead");
    drop(held);
    assert_eq!(store.verify(), Ok(()));
}
