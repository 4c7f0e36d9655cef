//! The contract as checks that any store can be put through.
//!
//! Each function takes a maker of empty stores and panics, with the clause of
//! [`crate::contract`] it found broken, where a store does not keep its word. A new store passes
//! [`all`], and [`survives_reopening`] if it can be opened again.

use std::collections::BTreeMap;

use crate::{
    Batch, MemoryStore, NAME_BYTES_MAX, Row, Snapshot, Store, StoreError, Table, VALUE_BYTES_MAX,
    each,
};

/// Every check that needs nothing but an empty store.
pub fn all<S: Store>(make: impl Fn() -> S) {
    an_empty_store_has_nothing(make());
    rows_come_back(make());
    the_last_change_to_a_key_counts(make());
    positions_are_ordered_within_a_name(make());
    names_and_tables_do_not_mix(make());
    a_table_is_listed_page_by_page(make());
    snapshots_stand_still(make());
    what_is_too_large_changes_nothing(make());
    odd_rows_are_rows(make());
    a_checked_store_is_sound(make());
    commits_follow_the_reference(make());
}

/// What was committed is there when the store is dropped and opened again.
pub fn survives_reopening<S: Store>(make: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    let mut store = make();
    let mut reference = MemoryStore::new();
    for step in 0..20u8 {
        let batch = step_batch(step);
        commit(&mut reference, batch.clone());
        commit(&mut store, batch);
        if step % 3 == 0 {
            store = reopen(store);
        }
        same_content(&store, &reference, "clause 2: a committed batch is durable");
    }
    let mut store = reopen(store);
    same_content(&store, &reference, "clause 2: a committed batch is durable");
    assert_eq!(store.verify(), Ok(()), "a store stopped cleanly is sound");
}

/// Compares all rows of two stores, whatever order they list them in.
pub fn same_content<A: Store, B: Store>(one: &A, other: &B, clause: &str) {
    for table in Table::ALL {
        let (one, other) = (content(one, *table), content(other, *table));
        assert!(one == other, "{clause}: table {} differs", table.name());
    }
}

fn content<S: Store>(store: &S, table: Table) -> BTreeMap<(Vec<u8>, u64), Vec<u8>> {
    let mut rows = BTreeMap::new();
    let keep = |row: Row| {
        let twice = rows.insert((row.name, row.position), row.value);
        assert!(twice.is_none(), "clause 5: a row is listed twice");
    };
    let damaged = each(&snapshot(store), table, keep).expect("a sound store lists its tables");
    assert_eq!(
        damaged, 0,
        "clause 6: a row of a sound store is not damaged"
    );
    rows
}

fn an_empty_store_has_nothing<S: Store>(store: S) {
    let snapshot = snapshot(&store);
    for table in Table::ALL {
        assert_eq!(snapshot.get(*table, b"name", 0), Ok(None));
        assert_eq!(snapshot.range(*table, b"name", 0, 10), Ok(Vec::new()));
        assert_eq!(snapshot.last(*table, b"name"), Ok(None));
    }
    same_content(&store, &MemoryStore::new(), "a new store is empty");
}

fn rows_come_back<S: Store>(mut store: S) {
    let mut batch = Batch::new();
    batch.put(Table::Bundle, b"doc", 7, b"seven");
    batch.put(Table::Bundle, b"doc", 8, b"eight");
    commit(&mut store, batch);
    let before = snapshot(&store);
    assert_eq!(
        before.get(Table::Bundle, b"doc", 7),
        Ok(Some(b"seven".to_vec()))
    );
    assert_eq!(before.get(Table::Bundle, b"doc", 9), Ok(None));

    let mut batch = Batch::new();
    batch.delete(Table::Bundle, b"doc", 7);
    batch.delete(Table::Bundle, b"was never there", 7);
    batch.put(Table::Bundle, b"doc", 8, b"another eight");
    batch.require_two_phase();
    commit(&mut store, batch);
    let after = snapshot(&store);
    assert_eq!(
        after.get(Table::Bundle, b"doc", 7),
        Ok(None),
        "a removed row is gone"
    );
    assert_eq!(
        after.get(Table::Bundle, b"doc", 8),
        Ok(Some(b"another eight".to_vec()))
    );
}

fn the_last_change_to_a_key_counts<S: Store>(mut store: S) {
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"a", 0, b"first");
    batch.put(Table::Meta, b"a", 0, b"second");
    batch.put(Table::Meta, b"b", 0, b"put");
    batch.delete(Table::Meta, b"b", 0);
    let mut later = Batch::new();
    later.delete(Table::Meta, b"c", 0);
    later.put(Table::Meta, b"c", 0, b"put");
    batch.put(Table::Meta, b"c", 0, b"earlier");
    batch.append(later);
    assert_eq!(batch.get(Table::Meta, b"b", 0), Some(None));
    assert_eq!(batch.get(Table::Meta, b"d", 0), None);
    commit(&mut store, batch);
    let snapshot = snapshot(&store);
    assert_eq!(
        snapshot.get(Table::Meta, b"a", 0),
        Ok(Some(b"second".to_vec()))
    );
    assert_eq!(snapshot.get(Table::Meta, b"b", 0), Ok(None));
    assert_eq!(
        snapshot.get(Table::Meta, b"c", 0),
        Ok(Some(b"put".to_vec()))
    );
}

fn positions_are_ordered_within_a_name<S: Store>(mut store: S) {
    let positions = [u64::MAX, 0, 255, 256, 1, 1 << 40, 65_536, 3];
    let mut batch = Batch::new();
    for position in positions {
        batch.put(Table::Log, b"log", position, position.to_le_bytes());
    }
    commit(&mut store, batch);
    let mut ordered = positions;
    ordered.sort_unstable();
    let snapshot = snapshot(&store);
    let row = |position: &u64| (*position, position.to_le_bytes().to_vec());
    for (skipped, from) in ordered.iter().enumerate() {
        let expected: Vec<_> = ordered.iter().skip(skipped).take(3).map(row).collect();
        let found = snapshot.range(Table::Log, b"log", *from, 3);
        assert_eq!(
            found,
            Ok(expected),
            "clause 5: ascending from a position, inclusive"
        );
    }
    assert_eq!(
        snapshot.range(Table::Log, b"log", 4, 1),
        Ok(vec![row(&255)])
    );
    assert_eq!(snapshot.range(Table::Log, b"log", 0, 0), Ok(Vec::new()));
    assert_eq!(snapshot.last(Table::Log, b"log"), Ok(Some(row(&u64::MAX))));
}

/// Names that begin alike, that hold what looks like a position, that are empty.
fn names_and_tables_do_not_mix<S: Store>(mut store: S) {
    let zeros = [b'a', 0, 0, 0, 0, 0, 0, 0, 0];
    let ones = [b'a', 255, 255, 255, 255, 255, 255, 255, 255];
    let names: [&[u8]; 6] = [b"", b"a", b"aa", &zeros, &ones, &[255; NAME_BYTES_MAX]];
    let mut batch = Batch::new();
    for (n, name) in names.iter().enumerate() {
        for (t, table) in Table::ALL.iter().enumerate() {
            for position in [0, 5, u64::MAX] {
                batch.put(*table, *name, position, format!("{n} {t} {position}"));
            }
        }
    }
    commit(&mut store, batch);
    let snapshot = snapshot(&store);
    for (n, name) in names.iter().enumerate() {
        for (t, table) in Table::ALL.iter().enumerate() {
            let row = |position| (position, format!("{n} {t} {position}").into_bytes());
            let rows = snapshot.range(*table, name, 0, 10);
            assert_eq!(
                rows,
                Ok([0, 5, u64::MAX].map(row).to_vec()),
                "clause 5: one name's rows"
            );
            assert_eq!(snapshot.last(*table, name), Ok(Some(row(u64::MAX))));
        }
    }
}

fn a_table_is_listed_page_by_page<S: Store>(mut store: S) {
    let mut batch = Batch::new();
    for n in 0..25u8 {
        batch.put(Table::Summary, [n % 5, n % 3], u64::from(n), [n]);
    }
    batch.put(Table::Bundle, b"another table", 0, b"x");
    batch.put(Table::Stale, b"another table", 0, b"x");
    // The same names in other tables, some of them before and some behind.
    for n in 0..7u8 {
        for table in [Table::Document, Table::Bundle, Table::Actor, Table::Log] {
            batch.put(table, [n % 5, n % 3], u64::from(n), [n]);
        }
    }
    // One name has more rows in a table that lies beside others than a page has.
    for n in 0..300u16 {
        batch.put(Table::Placement, [3, 0], u64::from(n), n.to_be_bytes());
    }
    commit(&mut store, batch);
    let snapshot = snapshot(&store);
    for (table, rows) in [
        (Table::Document, 7),
        (Table::Bundle, 8),
        (Table::Actor, 7),
        (Table::Stale, 1),
        (Table::Index, 0),
        (Table::Placement, 300),
    ] {
        for limit in [1, 2, 3, rows.max(1), 256] {
            assert_eq!(
                listed(&snapshot, table, limit).len(),
                rows,
                "{}",
                table.name()
            );
        }
    }
    let list = |limit| listed(&snapshot, Table::Summary, limit);
    let whole = list(1_000);
    assert_eq!(whole.len(), 25);
    for row in &whole {
        let [n] = row.value.as_slice() else {
            panic!("a listed value is as it was put")
        };
        assert_eq!(row.name, [n % 5, n % 3], "a listed row has its own name");
        assert_eq!(row.position, u64::from(*n));
    }
    for limit in [1, 2, 5, 24, 25] {
        assert!(
            list(limit) == whole,
            "clause 5: the order of a listing does not change"
        );
    }
}

/// All rows of a table, in pages of so many.
fn listed<P: Snapshot>(snapshot: &P, table: Table, limit: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = snapshot.names(table, after.as_deref(), limit);
        let page = page.expect("a sound store lists its tables");
        assert!(page.rows.len() <= limit);
        rows.extend(page.rows);
        match page.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

fn snapshots_stand_still<S: Store>(mut store: S) {
    let mut held = Vec::new();
    for step in 0..10u8 {
        let mut batch = Batch::new();
        batch.put(Table::Meta, b"step", 0, [step]);
        batch.put(Table::Log, b"steps", u64::from(step), [step]);
        commit(&mut store, batch);
        held.push((step, snapshot(&store)));
    }
    for (step, snapshot) in held {
        let found = snapshot.get(Table::Meta, b"step", 0);
        assert_eq!(
            found,
            Ok(Some(vec![step])),
            "clause 4: a snapshot shows the state at its making"
        );
        let rows = snapshot
            .range(Table::Log, b"steps", 0, 100)
            .map(|rows| rows.len());
        assert_eq!(rows, Ok(usize::from(step) + 1), "clause 4");
    }
}

fn what_is_too_large_changes_nothing<S: Store>(mut store: S) {
    let mut long_name = Batch::new();
    long_name.put(Table::Meta, b"beside", 0, b"x");
    long_name.put(Table::Peer, vec![1; NAME_BYTES_MAX + 1], 0, b"x");
    assert_eq!(
        store.commit(long_name),
        Err(StoreError::TooLarge { table: Table::Peer })
    );
    let mut long_value = Batch::new();
    long_value.put(Table::Meta, b"beside", 0, b"x");
    long_value.put(Table::Bundle, b"long", 0, vec![0; VALUE_BYTES_MAX + 1]);
    assert_eq!(
        store.commit(long_value),
        Err(StoreError::TooLarge {
            table: Table::Bundle
        })
    );
    same_content(
        &store,
        &MemoryStore::new(),
        "clause 1: a refused batch changes nothing",
    );
    let asked = snapshot(&store).get(Table::Peer, &[1; NAME_BYTES_MAX + 1], 0);
    assert_eq!(asked, Ok(None), "asking for an impossible name is no error");
    rows_come_back(store);
}

fn odd_rows_are_rows<S: Store>(mut store: S) {
    let big: Vec<u8> = (0..3_000_000u32)
        .flat_map(|n| n.to_le_bytes())
        .take(3_000_001)
        .collect();
    let mut batch = Batch::new();
    batch.put(Table::Index, b"empty", 0, b"");
    batch.put(Table::Index, b"big", u64::MAX, big.clone());
    batch.put(Table::Index, b"", 0, b"no name");
    for length in 0..200usize {
        batch.put(Table::Outbox, b"lengths", length as u64, vec![0xAB; length]);
    }
    commit(&mut store, batch);
    commit(&mut store, Batch::new());
    let snapshot = snapshot(&store);
    assert_eq!(
        snapshot.get(Table::Index, b"empty", 0),
        Ok(Some(Vec::new()))
    );
    assert!(snapshot.get(Table::Index, b"big", u64::MAX) == Ok(Some(big)));
    assert_eq!(
        snapshot.get(Table::Index, b"", 0),
        Ok(Some(b"no name".to_vec()))
    );
    for (length, row) in snapshot
        .range(Table::Outbox, b"lengths", 0, 200)
        .into_iter()
        .flatten()
        .enumerate()
    {
        assert_eq!(row, (length as u64, vec![0xAB; length]));
    }
}

fn a_checked_store_is_sound<S: Store>(mut store: S) {
    assert_eq!(store.verify(), Ok(()));
    for step in 0..5 {
        commit(&mut store, step_batch(step));
        assert_eq!(store.verify(), Ok(()));
    }
    rows_come_back(store);
}

fn commits_follow_the_reference<S: Store>(mut store: S) {
    let mut reference = MemoryStore::new();
    for step in 0..60 {
        let batch = step_batch(step);
        commit(&mut reference, batch.clone());
        commit(&mut store, batch);
    }
    same_content(&store, &reference, "clause 1: every batch is applied whole");
}

/// A batch that writes, overwrites and removes; a different one for every step.
fn step_batch(step: u8) -> Batch {
    let mut batch = Batch::new();
    for n in 0..12u8 {
        let mixed = step.wrapping_mul(31).wrapping_add(n.wrapping_mul(7));
        let table = *Table::ALL
            .iter()
            .cycle()
            .nth(usize::from(mixed))
            .unwrap_or(&Table::Meta);
        let (name, position) = ([mixed % 5, n % 2], u64::from(mixed % 3));
        if mixed % 4 == 0 {
            batch.delete(table, name, position);
        } else {
            batch.put(table, name, position, vec![step; usize::from(mixed)]);
        }
    }
    batch
}

fn commit<S: Store>(store: &mut S, batch: Batch) {
    assert_eq!(
        store.commit(batch),
        Ok(()),
        "a sound store takes a proper batch"
    );
}

fn snapshot<S: Store>(store: &S) -> S::Snapshot {
    store.snapshot().expect("a sound store hands out snapshots")
}
