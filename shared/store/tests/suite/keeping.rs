//! Every store through the contract, and the sealed ones through what sealing promises.

use names::StoreId;
use proptest::prelude::*;
use store::{
    Batch, Config, Damage, Epochs, MemoryStore, Page, RedbStore, Row, Sealed, Snapshot, Store,
    StoreError, StoreKey, Table, conformance, each,
};

use crate::medium::Medium;

const STORE: StoreId = StoreId([0x5A; 16]);

pub(crate) fn key() -> StoreKey {
    StoreKey::from_bytes([7; 32])
}

pub(crate) fn epochs() -> Epochs {
    Epochs::first([9; 32], [9; 32])
}

/// Not random, but never the same twice: what a test needs.
pub(crate) fn entropy() -> store::Entropy {
    use std::sync::atomic::{AtomicU64, Ordering};
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    Box::new(|out| {
        let n = DRAWN.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new()
            .update(&n.to_le_bytes())
            .finalize_xof()
            .fill(out);
    })
}

pub(crate) fn redb() -> RedbStore {
    RedbStore::create(Medium::new(), Config::default()).unwrap()
}

pub(crate) fn sealed<S: Store>(inner: S) -> Sealed<S> {
    Sealed::create(inner, &key(), epochs(), STORE, entropy()).unwrap()
}

#[test]
fn memory_keeps_the_contract() {
    conformance::all(MemoryStore::new);
}

#[test]
fn redb_keeps_the_contract() {
    conformance::all(redb);
}

#[test]
fn sealed_memory_keeps_the_contract() {
    conformance::all(|| sealed(MemoryStore::new()));
}

#[test]
fn sealed_redb_keeps_the_contract() {
    conformance::all(|| sealed(redb()));
}

#[test]
fn stores_survive_reopening() {
    conformance::survives_reopening(MemoryStore::new, |store| store);
    let medium = Medium::new();
    conformance::survives_reopening(
        || RedbStore::create(medium.clone(), Config::default()).unwrap(),
        |store| {
            store.close().unwrap();
            RedbStore::open(medium.clone(), Config::default()).unwrap()
        },
    );
    let medium = Medium::new();
    conformance::survives_reopening(
        || sealed(RedbStore::create(medium.clone(), Config::default()).unwrap()),
        |store| {
            drop(store);
            let inner = RedbStore::open(medium.clone(), Config::default()).unwrap();
            assert!(!inner.was_repaired());
            Sealed::open(inner, &key(), epochs(), entropy()).unwrap()
        },
    );
}

/// Every row of every table as the inner store has it.
pub(crate) fn records<S: Store>(inner: &S) -> Vec<(Table, Row)> {
    let mut all = Vec::new();
    for table in Table::ALL {
        each(&inner.snapshot().unwrap(), *table, |row| {
            all.push((*table, row))
        })
        .unwrap();
    }
    all
}

/// Those without the seal and the keys of documents.
fn rows_of_callers<S: Store>(inner: &S) -> Vec<(Table, Row)> {
    let mut all = records(inner);
    all.retain(|(table, row)| row.name.len() == 16 && *table != Table::Key);
    all
}

pub(crate) fn sealed_with_rows() -> (MemoryStore, Vec<(Table, Vec<u8>, u64)>) {
    let mut store = sealed(MemoryStore::new());
    let mut keys = Vec::new();
    let mut batch = Batch::new();
    for table in [Table::Meta, Table::Bundle, Table::Summary] {
        for name in [b"one".to_vec(), b"two".to_vec()] {
            for position in [0, 1] {
                batch.put(table, name.clone(), position, b"the same value everywhere");
                keys.push((table, name.clone(), position));
            }
        }
    }
    store.commit(batch).unwrap();
    (store.into_inner(), keys)
}

pub(crate) fn open(inner: MemoryStore) -> Sealed<MemoryStore> {
    Sealed::open(inner, &key(), epochs(), entropy()).unwrap()
}

/// Records are sealed to their place: of any two that change places, neither opens.
#[test]
fn swapped_records_do_not_open() {
    let (inner, keys) = sealed_with_rows();
    let all = rows_of_callers(&inner);
    assert_eq!(all.len(), keys.len());
    for (i, (a_table, a)) in all.iter().enumerate() {
        for (b_table, b) in all.iter().skip(i + 1) {
            let mut swapped = inner.clone();
            let mut batch = Batch::new();
            batch.put(*a_table, a.name.clone(), a.position, b.value.clone());
            batch.put(*b_table, b.name.clone(), b.position, a.value.clone());
            swapped.commit(batch).unwrap();
            let mut store = open(swapped);
            assert!(matches!(
                store.verify(),
                Err(StoreError::Corrupt(Damage::Row(_)))
            ));
            let snapshot = store.snapshot().unwrap();
            let refused = |(table, name, position): &&(Table, Vec<u8>, u64)| {
                let found = snapshot.get(*table, name, *position);
                assert!(found != Ok(None));
                found == Err(StoreError::Corrupt(Damage::Row(*table)))
            };
            assert_eq!(keys.iter().filter(refused).count(), 2);
            let mut damaged = 0;
            for table in Table::ALL {
                damaged += each(&snapshot, *table, |_| ()).unwrap();
            }
            assert_eq!(
                damaged, 2,
                "a listing passes over what does not open, and says so"
            );
        }
    }
}

/// A record copied to any other name, position or table does not open there.
#[test]
fn moved_records_do_not_open() {
    let (inner, keys) = sealed_with_rows();
    let all = rows_of_callers(&inner);
    for (table, row) in &all {
        let tables = Table::ALL.iter().filter(|other| *other != table);
        let elsewhere = tables
            .map(|other| (*other, row.position))
            .chain([(*table, row.position + 10), (*table, u64::MAX)]);
        for (to, position) in elsewhere {
            let mut moved = inner.clone();
            let mut batch = Batch::new();
            batch.put(to, row.name.clone(), position, row.value.clone());
            moved.commit(batch).unwrap();
            let page: Page = open(moved)
                .snapshot()
                .unwrap()
                .names(to, None, 100)
                .unwrap();
            let before = keys.iter().filter(|key| key.0 == to).count();
            assert_eq!((page.damaged, page.rows.len()), (1, before));
        }
    }
}

/// Two stores of one organisation under one key: a record of the one does not open in the other.
#[test]
fn records_of_another_store_do_not_open() {
    let (one, keys) = sealed_with_rows();
    let other = Sealed::create(
        MemoryStore::new(),
        &key(),
        epochs(),
        StoreId([1; 16]),
        entropy(),
    )
    .unwrap();
    let mut other = other.into_inner();
    let mut batch = Batch::new();
    for (table, row) in rows_of_callers(&one) {
        batch.put(table, row.name, row.position, row.value);
    }
    other.commit(batch).unwrap();
    let store = open(other);
    let snapshot = store.snapshot().unwrap();
    for (table, name, position) in &keys {
        assert_eq!(snapshot.get(*table, name, *position), Ok(None));
    }
    let page = snapshot.names(Table::Bundle, None, 100).unwrap();
    assert_eq!((page.damaged, page.rows.len()), (4, 0));
}

#[test]
fn a_wrong_key_is_told_from_damage() {
    let (inner, _) = sealed_with_rows();
    let wrong = Sealed::open(
        inner.clone(),
        &StoreKey::from_bytes([8; 32]),
        epochs(),
        entropy(),
    );
    assert_eq!(wrong.err(), Some(StoreError::WrongKey));
    let unsealed = Sealed::open(MemoryStore::new(), &key(), epochs(), entropy());
    assert_eq!(unsealed.err(), Some(StoreError::Missing));
    let again = Sealed::create(inner.clone(), &key(), epochs(), STORE, entropy());
    assert_eq!(again.err(), Some(StoreError::AlreadyThere));

    let seal = inner
        .snapshot()
        .unwrap()
        .get(Table::Meta, b"seal", 0)
        .unwrap()
        .unwrap();
    for bit in 0..seal.len() * 8 {
        let mut flipped = seal.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut damaged = inner.clone();
        let mut batch = Batch::new();
        batch.put(Table::Meta, b"seal", 0, flipped);
        damaged.commit(batch).unwrap();
        let refused = Sealed::open(damaged, &key(), epochs(), entropy()).err();
        assert_eq!(
            refused,
            Some(StoreError::Corrupt(Damage::Seal)),
            "bit {bit}"
        );
    }
}

#[test]
fn every_flipped_bit_of_a_record_is_noticed() {
    let mut store = sealed(MemoryStore::new());
    let mut batch = Batch::new();
    batch.put(Table::Bundle, b"doc", 3, b"value");
    store.commit(batch).unwrap();
    let inner = store.into_inner();
    let (_, row) = rows_of_callers(&inner).remove(0);
    for bit in 0..row.value.len() * 8 {
        let mut value = row.value.clone();
        value[bit / 8] ^= 1 << (bit % 8);
        let mut damaged = inner.clone();
        let mut batch = Batch::new();
        batch.put(Table::Bundle, row.name.clone(), 3, value);
        damaged.commit(batch).unwrap();
        let found = open(damaged)
            .snapshot()
            .unwrap()
            .get(Table::Bundle, b"doc", 3);
        assert_eq!(
            found,
            Err(StoreError::Corrupt(Damage::Row(Table::Bundle))),
            "bit {bit}"
        );
    }
    for length in 0..row.value.len() {
        let mut damaged = inner.clone();
        let mut batch = Batch::new();
        batch.put(Table::Bundle, row.name.clone(), 3, &row.value[..length]);
        damaged.commit(batch).unwrap();
        assert!(
            open(damaged)
                .snapshot()
                .unwrap()
                .last(Table::Bundle, b"doc")
                .is_err()
        );
    }
}

const MARKERS: [&str; 3] = [
    "Marigold Ashdown-Kettle",
    "do not visit alone",
    "0117-496-0999",
];

fn write_markers<S: Store>(store: &mut S) {
    let mut batch = Batch::new();
    for (n, marker) in MARKERS.iter().enumerate() {
        batch.put(
            Table::Summary,
            marker.as_bytes(),
            n as u64,
            format!("note: {marker}."),
        );
        batch.put(Table::Bundle, [n as u8; 16], 0, marker.repeat(500));
    }
    store.commit(batch).unwrap();
    let mut batch = Batch::new();
    batch.delete(Table::Summary, MARKERS[0].as_bytes(), 0);
    store.commit(batch).unwrap();
}

fn found(bytes: &[u8]) -> usize {
    let here = |marker: &&&str| bytes.windows(marker.len()).any(|w| w == marker.as_bytes());
    MARKERS.iter().filter(here).count()
}

/// Nothing a person types is readable in any byte of the file. The same search over an unsealed
/// store finds everything, so it is the sealing that hides it and not the search that is blind.
#[test]
fn markers_are_in_no_byte_of_a_sealed_file() {
    let medium = Medium::new();
    let mut plain = RedbStore::create(medium.clone(), Config::default()).unwrap();
    write_markers(&mut plain);
    assert_eq!(found(&medium.bytes()), MARKERS.len());
    drop(plain);
    assert_eq!(found(&medium.bytes()), MARKERS.len());

    let medium = Medium::new();
    let mut store = sealed(RedbStore::create(medium.clone(), Config::default()).unwrap());
    write_markers(&mut store);
    assert_eq!(found(&medium.bytes()), 0);
    drop(store);
    assert_eq!(found(&medium.bytes()), 0);
    // Nor the names of documents, or the key.
    assert!(!medium.bytes().windows(16).any(|w| w == [1; 16]));
    assert!(!medium.bytes().windows(8).any(|w| w == [7; 8]));
}

/// What people hold in their hands when an error or a trace is printed.
#[test]
fn nothing_that_is_printed_holds_data() {
    let mut batch = Batch::new();
    batch.put(
        Table::Bundle,
        MARKERS[0].as_bytes(),
        0,
        MARKERS[1].as_bytes(),
    );
    let mut store = sealed(MemoryStore::new());
    let printed = format!("{batch:?}");
    store.commit(batch).unwrap();
    let snapshot = store.snapshot().unwrap();
    let page = snapshot.names(Table::Bundle, None, 10).unwrap();
    let printed = format!(
        "{printed} {store:?} {snapshot:?} {page:?} {:?}",
        store.inner()
    );
    assert_eq!(page.rows.len(), 1);
    assert_eq!(found(printed.as_bytes()), 0);
    assert!(!printed.contains("77, 97, 114"));
}

/// Table, name, position, and the value or its removal.
type Operation = (Table, u8, u64, Option<Vec<u8>>);

fn operation() -> impl Strategy<Value = Operation> {
    let table = prop::sample::select(Table::ALL);
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..600));
    (table, 0u8..6, 0u64..4, value)
}

fn batches() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    prop::collection::vec(prop::collection::vec(operation(), 0..20), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random batches leave sealed redb with exactly what the reference has, also through a stop.
    #[test]
    fn sealed_redb_equals_the_reference(batches in batches(), stop in 0usize..12) {
        let medium = Medium::new();
        let mut reference = MemoryStore::new();
        let mut store = sealed(RedbStore::create(medium.clone(), Config::default()).unwrap());
        for (n, operations) in batches.into_iter().enumerate() {
            let mut batch = Batch::new();
            for (table, name, position, value) in operations {
                let name = vec![name; usize::from(name)];
                match value {
                    Some(value) => batch.put(table, name, position, value),
                    None => batch.delete(table, name, position),
                }
            }
            reference.commit(batch.clone()).unwrap();
            store.commit(batch).unwrap();
            if n == stop {
                drop(store);
                let inner = RedbStore::open(medium.clone(), Config::default()).unwrap();
                store = Sealed::open(inner, &key(), epochs(), entropy()).unwrap();
            }
        }
        conformance::same_content(&store, &reference, "as the reference");
        prop_assert_eq!(store.verify(), Ok(()));
        let (theirs, ours) = (reference.snapshot().unwrap(), store.snapshot().unwrap());
        for table in Table::ALL {
            for name in 0u8..6 {
                let name = vec![name; usize::from(name)];
                for position in 0..4 {
                    let asked = ours.get(*table, &name, position);
                    prop_assert_eq!(asked, theirs.get(*table, &name, position));
                    let asked = ours.range(*table, &name, position, 2);
                    prop_assert_eq!(asked, theirs.range(*table, &name, position, 2));
                }
                prop_assert_eq!(ours.last(*table, &name), theirs.last(*table, &name));
            }
        }
    }
}
