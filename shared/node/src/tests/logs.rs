use names::{DocumentId, Incarnation};
use protocol::codec;
use store::{Batch, MemoryStore, Store as _};

use super::*;
use crate::rows::LogItem;

const WRITER: WriterId = WriterId([7; 16]);

fn scope() -> ScopeId {
    "site:bath".parse().unwrap()
}

fn entry(number: u64) -> LogEntry {
    LogEntry {
        document: DocumentId([1; 16]),
        item: LogItem::Bundle(number),
        origin: Some(Incarnation([2; 16])),
        changes: 1,
        bytes: 10,
    }
}

/// A log of pages so long, in the order in which turns wrote them; those that are none are damaged.
fn store(pages: &[(u64, bool)]) -> (MemoryStore, u64) {
    let (mut store, mut batch, mut number) = (MemoryStore::new(), Batch::new(), 0);
    for (length, is_whole) in pages {
        let entries = (number + 1..=number + length).map(entry).collect();
        number += length;
        let page = codec::encode(&LogPage { entries });
        let row = if *is_whole { page } else { vec![0xFF] };
        batch.put(Table::Log, log_name(&scope(), WRITER), number, row);
    }
    store.commit(batch).unwrap();
    (store, number)
}

/// Everything from one position on to another, as whoever reads to the end finds it.
fn read(store: &MemoryStore, after: u64, end: u64) -> Vec<u64> {
    let snapshot = store.snapshot().unwrap();
    let scope = scope();
    let log = Log::new(&snapshot, &scope, WRITER);
    let (mut found, mut reached) = (Vec::new(), after);
    loop {
        let stretches = log.after(reached, end).unwrap();
        let Some(last) = stretches.last() else {
            return found;
        };
        assert!(
            last.last > reached && last.last <= end,
            "it comes to an end"
        );
        reached = last.last;
        for (at, entry) in stretches.into_iter().flat_map(|stretch| stretch.entries) {
            assert_eq!(entry.item, LogItem::Bundle(at));
            found.push(at);
        }
    }
}

#[test]
fn whoever_stands_in_the_middle_of_a_page_reads_on_from_there() {
    let (store, last) = store(&[(1, true), (5, true), (1, true), (3, true)]);
    for after in 0..=last {
        for end in after..=last {
            let all: Vec<u64> = (after + 1..=end).collect();
            assert_eq!(read(&store, after, end), all, "after {after} to {end}");
        }
    }
}

#[test]
fn a_damaged_page_hides_no_other() {
    let (store, last) = store(&[(4, true), (3, false), (2, true), (1, true)]);
    assert_eq!(read(&store, 0, last), [1, 2, 3, 4, 8, 9, 10]);
    assert_eq!(read(&store, 5, last), [8, 9, 10]);
    assert_eq!(read(&store, 2, 6), [3, 4]);
}

/// A store that cannot read a row at all, and not only one that does not decode.
#[test]
fn a_row_that_cannot_be_read_hides_no_other() {
    let (store, last) = store(&[(4, true), (300, true), (2, true)]);
    let snapshot = Failing(store.snapshot().unwrap(), 304);
    let scope = scope();
    let log = Log::new(&snapshot, &scope, WRITER);
    let stretches = log.after(0, last).unwrap();
    let found: Vec<usize> = stretches.iter().map(|one| one.entries.len()).collect();
    assert_eq!(found, [4, 0, 2]);
    assert_eq!(stretches[1].last, 304);
}

#[test]
fn more_pages_than_are_read_at_once_are_all_read() {
    let (store, last) = store(&[(2, true); PAGES * 2 + 1]);
    assert_eq!(read(&store, 1, last).len() as u64, last - 1);
}

/// A snapshot whose row at one position is damaged.
struct Failing<P>(P, u64);

impl<P: Snapshot> Snapshot for Failing<P> {
    fn get(&self, table: Table, name: &[u8], at: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if at == self.1 {
            return Err(crate::draft::damaged(table));
        }
        self.0.get(table, name, at)
    }

    fn range(
        &self,
        table: Table,
        _: &[u8],
        _: u64,
        _: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        Err(crate::draft::damaged(table))
    }

    fn last(&self, table: Table, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        self.0.last(table, name)
    }

    fn names(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<store::Page, StoreError> {
        self.0.names(table, after, limit)
    }
}
