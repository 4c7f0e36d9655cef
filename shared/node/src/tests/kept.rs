//! The store of these tests: memory, with an eye on the keys that a sealed store would have.

use std::collections::BTreeSet;

use names::DocumentId;
use store::{Batch, Key, MemorySnapshot, Owner, Store, StoreError, Table};

/// A [`store::MemoryStore`] in which nothing may be left under a key that was destroyed.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryStore {
    inner: store::MemoryStore,
    /// The documents whose keys were destroyed.
    pub(super) destroyed: Vec<DocumentId>,
    /// Whether its disk is full.
    pub(super) fails: bool,
}

impl MemoryStore {
    pub(super) fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Rows of a document, whatever they are, that are there and not among these.
    fn left_of(&self, document: DocumentId, put: &BTreeSet<(Table, Key)>) -> Vec<(Table, Key)> {
        let snapshot = self.inner.snapshot().unwrap();
        let mut left = Vec::new();
        let tables = Table::ALL.iter().copied();
        for table in tables.filter(|table| table.owner() == Owner::Document) {
            store::each(&snapshot, table, |row| {
                let is_its = table.document_of(&row.name) == Some(document);
                let row = (table, Key::new(row.name, row.position));
                if is_its && !put.contains(&row) {
                    left.push(row);
                }
            })
            .unwrap();
        }
        left
    }
}

impl Store for MemoryStore {
    type Snapshot = MemorySnapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if self.fails {
            return Err(StoreError::Full);
        }
        let destroyed: Vec<DocumentId> = batch.destroyed().collect();
        let rows = batch.changes().filter(|(.., value)| value.is_some());
        let put: BTreeSet<_> = rows.map(|(table, key, _)| (table, key.clone())).collect();
        self.inner.commit(batch)?;
        for document in destroyed {
            assert_eq!(self.left_of(document, &put), [], "left under no key");
            self.destroyed.push(document);
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        self.inner.snapshot()
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        self.inner.verify()
    }
}
