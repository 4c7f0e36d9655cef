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

/// Memory that outlives the store on it.
#[derive(Clone, Debug, Default)]
struct Lasting(Arc<InMemoryBackend>);

impl StorageBackend for Lasting {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

/// A store of another form is not a damaged one: nobody should restore a backup for it.
#[test]
fn a_store_of_another_version_is_called_so() {
    let open_of = |version: u64| {
        let disk = Lasting::default();
        let store = RedbStore::create(disk.clone(), Config::default()).unwrap();
        let write = store.database.begin_write().unwrap();
        let mut format = write.open_table(FORMAT).unwrap();
        format.insert("version", version).unwrap();
        drop(format);
        write.commit().unwrap();
        drop(store);
        RedbStore::open(disk, Config::default()).map(|_| ())
    };
    assert_eq!(open_of(FORMAT_VERSION), Ok(()));
    assert_eq!(open_of(FORMAT_VERSION - 1), Err(StoreError::TooOld));
    assert_eq!(open_of(FORMAT_VERSION + 1), Err(StoreError::TooNew));
}
