//! The reference: what a store means, with nothing in the way.
//!
//! Other implementations are compared with this one. It forgets everything when it is dropped, so
//! "durable" is the one promise it keeps in name only.

use std::{collections::BTreeMap, fmt, ops::Bound, sync::Arc};

use crate::{Batch, Key, Page, Row, Snapshot, Store, StoreError, Table};

type Rows = BTreeMap<Key, Arc<[u8]>>;

/// A store in memory. Snapshots share its tables until one of the two changes.
#[derive(Clone, Default)]
pub struct MemoryStore {
    tables: BTreeMap<Table, Arc<Rows>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl Store for MemoryStore {
    type Snapshot = MemorySnapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        for ((table, key), value) in batch {
            let rows = Arc::make_mut(self.tables.entry(table).or_default());
            match value {
                Some(value) => rows.insert(key, value.into()),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        Ok(MemorySnapshot {
            tables: self.tables.clone(),
        })
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: usize = self.tables.values().map(|rows| rows.len()).sum();
        write!(f, "MemoryStore({rows} rows)")
    }
}

/// A state of a [`MemoryStore`].
#[derive(Clone)]
pub struct MemorySnapshot {
    tables: BTreeMap<Table, Arc<Rows>>,
}

impl MemorySnapshot {
    fn rows(&self, table: Table) -> Option<&Rows> {
        self.tables.get(&table).map(Arc::as_ref)
    }
}

impl Snapshot for MemorySnapshot {
    fn get(&self, table: Table, name: &[u8], position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self
            .rows(table)
            .and_then(|rows| rows.get(&Key::new(name, position)));
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        table: Table,
        name: &[u8],
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let keys = Key::new(name, from)..=Key::new(name, u64::MAX);
        let rows = self
            .rows(table)
            .into_iter()
            .flat_map(|rows| rows.range(keys.clone()));
        Ok(rows
            .take(limit)
            .map(|(key, value)| (key.position, value.to_vec()))
            .collect())
    }

    fn last(&self, table: Table, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let keys = Key::new(name, 0)..=Key::new(name, u64::MAX);
        let last = self
            .rows(table)
            .and_then(|rows| rows.range(keys).next_back());
        Ok(last.map(|(key, value)| (key.position, value.to_vec())))
    }

    fn names(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        let from = after
            .and_then(token_key)
            .map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = Page::default();
        let Some(rows) = self.rows(table) else {
            return Ok(page);
        };
        let mut rest = rows.range((from, Bound::Unbounded));
        for (key, value) in rest.by_ref().take(limit) {
            let (name, value) = (key.name.clone(), value.to_vec());
            page.rows.push(Row {
                name,
                position: key.position,
                value,
            });
        }
        if rest.next().is_some() {
            page.next = page.rows.last().map(|row| token(&row.name, row.position));
        }
        Ok(page)
    }
}

impl fmt::Debug for MemorySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemorySnapshot")
    }
}

/// A page's token: the last key given, its position in the last eight bytes.
fn token(name: &[u8], position: u64) -> Vec<u8> {
    [name, &position.to_be_bytes()].concat()
}

fn token_key(token: &[u8]) -> Option<Key> {
    let (name, position) = token.split_last_chunk::<8>()?;
    Some(Key::new(name, u64::from_be_bytes(*position)))
}
