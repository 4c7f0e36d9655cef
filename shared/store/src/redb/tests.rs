//! What can be told without a disk. Power cuts, lying disks and full ones are the suite's affair.

use std::sync::atomic::AtomicU64;

use redb::backends::InMemoryBackend;

use super::*;

/// Memory that counts how often it was told to make sure.
#[derive(Debug, Default)]
struct Counted {
    memory: InMemoryBackend,
    syncs: Arc<AtomicU64>,
}

impl StorageBackend for Counted {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

/// A commit that answered before the disk had it would be said to people and peers all the same.
#[test]
fn a_commit_waits_for_the_disk() {
    let disk = Counted::default();
    let syncs = Arc::clone(&disk.syncs);
    let mut store = RedbStore::create(disk, Config::default()).unwrap();
    for number in 0..10 {
        let before = syncs.load(Ordering::Relaxed);
        let mut batch = Batch::new();
        batch.put(Table::Log, b"log", number, b"row");
        store.commit(batch).unwrap();
        assert!(syncs.load(Ordering::Relaxed) > before, "commit {number}");
    }
}
