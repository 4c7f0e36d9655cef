//! Stores in files: creation by renaming, and a clear answer for everything that can be wrong.

#![expect(clippy::disallowed_methods, reason = "files are what it is about")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use names::StoreId;
use store::{
    Batch, Config, Damage, Epochs, RedbStore, Sealed, Snapshot, Store, StoreError, StoreKey, Table,
};

use crate::medium::Medium;

/// A folder of the test's own, removed when the test has passed.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ridgeway-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn store(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn note(text: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"note", 0, text);
    batch
}

#[test]
fn a_created_file_opens_again_and_only_once() {
    let folder = Folder::new("created");
    let path = folder.store();
    assert_eq!(
        RedbStore::open_file(&path, Config::default()).err(),
        Some(StoreError::Missing)
    );
    let begin = |mut store: RedbStore| store.commit(note("first")).map(|()| store);
    let store = RedbStore::create_file(&path, Config::default(), begin).unwrap();
    assert_eq!(folder.names(), ["store.redb"]);
    assert_eq!(
        RedbStore::open_file(&path, Config::default()).err(),
        Some(StoreError::Locked)
    );
    let again = RedbStore::create_file(&path, Config::default(), Ok);
    assert_eq!(again.err(), Some(StoreError::AlreadyThere));
    store.close().unwrap();

    let store = RedbStore::open_file(&path, Config::default()).unwrap();
    assert!(!store.was_repaired());
    let read = store.snapshot().unwrap().get(Table::Meta, b"note", 0);
    assert_eq!(read, Ok(Some(b"first".to_vec())));
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new("owner");
    let store = RedbStore::create_file(&folder.store(), Config::default(), Ok).unwrap();
    assert_eq!(
        fs::metadata(folder.store()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(store);
}

/// What an interrupted creation leaves under the temporary name is no obstacle, and a creation
/// that fails leaves nothing.
#[test]
fn an_interrupted_creation_is_begun_again() {
    let folder = Folder::new("interrupted");
    let path = folder.store();
    fs::write(folder.0.join("store.redb.new"), b"half of something").unwrap();
    let failed = RedbStore::create_file(&path, Config::default(), |_| {
        Err::<RedbStore, _>(StoreError::WrongKey)
    });
    assert_eq!(failed.err(), Some(StoreError::WrongKey));
    assert_eq!(folder.names(), Vec::<String>::new());
    drop(RedbStore::create_file(&path, Config::default(), Ok).unwrap());
    assert!(RedbStore::open_file(&path, Config::default()).is_ok());
}

/// A file that is there is never taken for an empty place to begin in.
#[test]
fn a_spoilt_file_is_damage_and_is_left_alone() {
    let folder = Folder::new("spoilt");
    let path = folder.store();
    drop(RedbStore::create_file(&path, Config::default(), Ok).unwrap());
    let whole = fs::read(&path).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    for bytes in [Vec::new(), vec![0; 5_000], b"not a store".repeat(900), half] {
        fs::write(&path, &bytes).unwrap();
        let opened = RedbStore::open_file(&path, Config::default());
        assert_eq!(opened.err(), Some(StoreError::Corrupt(Damage::File)));
        let created = RedbStore::create_file(&path, Config::default(), Ok);
        assert_eq!(created.err(), Some(StoreError::AlreadyThere));
        assert!(bytes.len() > 20_000 || fs::read(&path).unwrap() == bytes);
    }
}

const NOTES: u64 = 40;

/// A sealed store that was stopped cleanly, as bytes.
fn closed_store() -> Vec<u8> {
    let medium = Medium::new();
    let inner = RedbStore::create(medium.clone(), Config::default()).unwrap();
    let mut n = 0u64;
    let entropy: store::Entropy = Box::new(move |out| {
        n += 1;
        blake3::Hasher::new()
            .update(&n.to_le_bytes())
            .finalize_xof()
            .fill(out);
    });
    let key = StoreKey::from_bytes([9; 32]);
    let mut store = Sealed::create(
        inner,
        &key,
        Epochs::first([5; 32], [5; 32]),
        StoreId([3; 16]),
        entropy,
    )
    .unwrap();
    for position in 0..NOTES {
        let mut batch = Batch::new();
        batch.put(
            Table::Bundle,
            b"doc",
            position,
            format!("note {position} ").repeat(30),
        );
        store.commit(batch).unwrap();
    }
    store.into_inner().close().unwrap();
    medium.bytes()
}

#[derive(Default, Debug)]
struct Seen {
    intact: u32,
    noticed: u32,
    missing: u32,
}

/// Opens a spoilt copy and reads every note: right, noticed, or missing, but never wrong.
fn read_spoilt(bytes: &[u8], config: Config, seen: &mut Seen) {
    let attempt = || -> Result<bool, StoreError> {
        let inner = RedbStore::open(Medium::with(bytes.to_vec()), config)?;
        let key = StoreKey::from_bytes([9; 32]);
        let store = Sealed::open(
            inner,
            &key,
            Epochs::first([5; 32], [5; 32]),
            Box::new(|_| ()),
        )?;
        let snapshot = store.snapshot()?;
        let mut complete = true;
        for position in 0..NOTES {
            let expected = format!("note {position} ").repeat(30).into_bytes();
            match snapshot.get(Table::Bundle, b"doc", position)? {
                Some(value) => assert!(value == expected, "a silently wrong value"),
                None => complete = false,
            }
        }
        Ok(complete)
    };
    // redb may panic over a file that somebody else altered, unless it was asked to check it.
    match catch_unwind(AssertUnwindSafe(attempt)) {
        Ok(Ok(true)) => seen.intact += 1,
        Ok(Ok(false)) => seen.missing += 1,
        Ok(Err(_)) => seen.noticed += 1,
        Err(panic) => {
            let words = panic.downcast_ref::<&str>().copied().unwrap_or_default();
            assert!(!words.contains("silently wrong"), "{words}");
            assert!(
                !config.check_on_open,
                "a checked store does not panic: {words}"
            );
            seen.noticed += 1;
        }
    }
}

/// redb does not compare checksums on ordinary reads: of 4,000 flips in an unsealed store 1,327
/// gave silently wrong data. Sealed, none does; checked on opening, no row goes missing either.
#[test]
fn a_flipped_bit_never_gives_a_wrong_value() {
    let whole = closed_store();
    let (mut plain, mut checked) = (Seen::default(), Seen::default());
    let mut state = 1u64;
    for _ in 0..400 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bit = (state >> 16) as usize % (whole.len() * 8);
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        read_spoilt(&bytes, Config::default(), &mut plain);
        read_spoilt(
            &bytes,
            Config {
                check_on_open: true,
                ..Config::default()
            },
            &mut checked,
        );
    }
    assert_eq!(checked.missing, 0, "a checked store hides no row");
    assert!(
        plain.noticed > 20 && checked.noticed > plain.noticed,
        "{plain:?} {checked:?}"
    );
    assert!(checked.intact > 0, "{checked:?}");
}
