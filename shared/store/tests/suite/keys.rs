//! Documents' keys: each opens its own document's rows alone, and what is under it goes with it.

use names::DocumentId;
use store::{
    Batch, Damage, Epochs, MemoryStore, Owner, Row, Sealed, Snapshot, Store, StoreError, Table,
    each,
};

use crate::keeping::{entropy, key, open, records, redb, sealed, sealed_with_rows};

/// Two documents with rows in every table of documents, and what is in them.
fn two_documents() -> (Sealed<MemoryStore>, [DocumentId; 2]) {
    let documents = [DocumentId([1; 16]), DocumentId([2; 16])];
    let mut store = sealed(MemoryStore::new());
    let mut batch = Batch::new();
    for document in documents {
        for table in tables_of_documents() {
            batch.put(table, document.0, 0, b"first");
            let longer = [&document.0[..], b"and more"].concat();
            batch.put(table, longer, 1, b"second");
        }
    }
    batch.put(Table::Scope, b"site:bath", 0, b"scope");
    store.commit(batch).unwrap();
    (store, documents)
}

fn tables_of_documents() -> impl Iterator<Item = Table> {
    let tables = Table::ALL.iter().copied();
    tables.filter(|table| table.owner() == Owner::Document)
}

fn wrapped_keys<S: Store>(inner: &S) -> Vec<Row> {
    let all = records(inner).into_iter();
    let keys = all.filter(|(table, _)| *table == Table::Key);
    keys.map(|(_, row)| row).collect()
}

#[test]
fn a_document_has_one_key_and_its_rows_go_with_it() {
    let (mut store, [one, other]) = two_documents();
    assert_eq!(wrapped_keys(store.inner()).len(), 2);
    let before = store.snapshot().unwrap();

    let mut batch = Batch::new();
    batch.destroy_key(one);
    assert!(batch.is_two_phase() && !batch.is_empty());
    store.commit(batch).unwrap();
    assert_eq!(wrapped_keys(store.inner()).len(), 1);
    for mut store in [open(store.inner().clone()), store] {
        let snapshot = store.snapshot().unwrap();
        for table in tables_of_documents() {
            let damaged = Err(StoreError::Corrupt(Damage::Row(table)));
            assert_eq!(snapshot.get(table, &one.0, 0), damaged);
            assert_eq!(
                snapshot.get(table, &other.0, 0),
                Ok(Some(b"first".to_vec()))
            );
            let page = snapshot.names(table, None, 100).unwrap();
            assert_eq!((page.damaged, page.rows.len()), (2, 2));
        }
        let scope = snapshot.get(Table::Scope, b"site:bath", 0);
        assert_eq!(scope, Ok(Some(b"scope".to_vec())));
        assert!(store.verify().is_err());
    }
    // Clause 4: what was read before is read still.
    assert_eq!(
        before.get(Table::Bundle, &one.0, 0),
        Ok(Some(b"first".to_vec()))
    );
}

#[test]
fn what_is_put_after_a_destruction_has_a_new_key() {
    let (mut store, [one, _]) = two_documents();
    let before = store.snapshot().unwrap();
    let old = wrapped_keys(store.inner());
    let mut batch = Batch::new();
    batch.destroy_key(one);
    batch.put(Table::Bundle, one.0, 0, b"again");
    batch.delete(Table::Stale, one.0, 0);
    store.commit(batch).unwrap();
    // Read through the old snapshot in between: its key must not become that of new rows.
    assert_eq!(
        before.get(Table::Bundle, &one.0, 0),
        Ok(Some(b"first".to_vec()))
    );
    let mut batch = Batch::new();
    batch.put(Table::Bundle, one.0, 5, b"and again");
    store.commit(batch).unwrap();
    let new = wrapped_keys(store.inner());
    assert_eq!(new.iter().filter(|row| old.contains(row)).count(), 1);
    for store in [open(store.inner().clone()), store] {
        let now = store.snapshot().unwrap();
        assert_eq!(
            now.get(Table::Bundle, &one.0, 0),
            Ok(Some(b"again".to_vec()))
        );
        assert_eq!(
            now.get(Table::Bundle, &one.0, 5),
            Ok(Some(b"and again".to_vec()))
        );
        assert!(now.get(Table::Summary, &one.0, 0).is_err());
        assert_eq!(now.get(Table::Stale, &one.0, 0), Ok(None));
    }
}

/// The keys of two documents change places: each opens nothing of the other's, and neither opens
/// at all where it does not belong.
#[test]
fn the_key_of_one_document_opens_nothing_of_another() {
    let (store, documents) = two_documents();
    let inner = store.into_inner();
    let [a, b] = wrapped_keys(&inner).try_into().unwrap();
    let mut swapped = inner.clone();
    let mut batch = Batch::new();
    batch.put(Table::Key, a.name.clone(), a.position, b.value.clone());
    batch.put(Table::Key, b.name.clone(), b.position, a.value.clone());
    swapped.commit(batch).unwrap();
    let mut store = open(swapped);
    let snapshot = store.snapshot().unwrap();
    for table in tables_of_documents() {
        for document in documents {
            assert!(snapshot.get(table, &document.0, 0).is_err());
        }
        assert_eq!(snapshot.names(table, None, 100).unwrap().damaged, 4);
    }
    assert_eq!(snapshot.names(Table::Key, None, 100).unwrap().damaged, 2);
    assert!(store.verify().is_err());

    // Every flipped bit of a key is noticed, and costs its own document alone.
    for bit in 0..a.value.len() * 8 {
        let mut value = a.value.clone();
        value[bit / 8] ^= 1 << (bit % 8);
        let mut damaged = inner.clone();
        let mut batch = Batch::new();
        batch.put(Table::Key, a.name.clone(), a.position, value);
        damaged.commit(batch).unwrap();
        let snapshot = open(damaged).snapshot().unwrap();
        let readable = |document: &&DocumentId| snapshot.get(Table::Bundle, &document.0, 0).is_ok();
        assert_eq!(documents.iter().filter(readable).count(), 1, "bit {bit}");
    }
}

#[test]
fn a_store_opens_with_its_own_epochs_alone() {
    let (inner, _) = sealed_with_rows();
    let other = Sealed::open(inner, &key(), Epochs::first([8; 32], [8; 32]), entropy());
    assert_eq!(other.err(), Some(StoreError::WrongEpochs));
}

/// A document that is put through a store with more documents than it keeps keys at hand for.
#[test]
fn more_documents_than_keys_at_hand() {
    let mut store = sealed(redb());
    let document = |n: u64| (u128::from(n) << 64).to_be_bytes();
    for from in (0..10_000).step_by(2_500) {
        let mut batch = Batch::new();
        for n in from..from + 2_500u64 {
            batch.put(Table::Bundle, document(n), 0, n.to_be_bytes());
        }
        store.commit(batch).unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let mut sum = 0;
    let damaged = each(&snapshot, Table::Bundle, |row| {
        assert_eq!(row.name[..8], row.value[..]);
        sum += 1;
    });
    assert_eq!((damaged, sum), (Ok(0), 10_000));
    let first = snapshot.get(Table::Bundle, &document(0), 0);
    assert_eq!(first, Ok(Some(vec![0; 8])));
}
