//! Documents' keys that were unwrapped and are kept at hand, within a bound.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use names::DocumentId;

use crate::aead::Cipher;

/// Keys kept at hand, which saves a look-up and an opening for each row; a key at hand takes about
/// 150 bytes. This is several times the documents that a site works with in a day, and
/// more than a first sync of a site has in one turn.
pub(super) const KEYS_KEPT_MAX: usize = 4_096;

/// Keys at hand, shared by a store and its snapshots.
///
/// It has two halves: what was used lately, and what was used before. When the first is full it
/// takes the place of the second, so what is used again is never dropped and nothing is counted.
#[derive(Default)]
pub(super) struct Kept(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    life: u64,
    late: BTreeMap<DocumentId, Arc<Cipher>>,
    early: BTreeMap<DocumentId, Arc<Cipher>>,
}

impl Kept {
    /// Counts the batches that destroyed keys. A snapshot of an earlier life may show keys that
    /// are destroyed since, and a document may have another by now; so it neither reads nor writes
    /// here, and unwraps what it needs for itself.
    pub(super) fn life(&self) -> u64 {
        self.with(|halves| halves.life)
    }

    pub(super) fn get(&self, document: DocumentId, life: u64) -> Option<Arc<Cipher>> {
        self.with(|halves| {
            if halves.life != life {
                return None;
            }
            if let Some(key) = halves.late.get(&document) {
                return Some(Arc::clone(key));
            }
            let key = halves.early.remove(&document)?;
            halves.insert(document, Arc::clone(&key));
            Some(key)
        })
    }

    pub(super) fn put(&self, document: DocumentId, key: Arc<Cipher>, life: u64) {
        self.with(|halves| {
            if halves.life == life {
                halves.insert(document, key);
            }
        });
    }

    /// Forgets every key, since some were destroyed.
    pub(super) fn begin_life(&self) {
        self.with(|halves| {
            *halves = Halves {
                life: halves.life + 1,
                ..Halves::default()
            };
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Halves) -> T) -> T {
        // Whoever panicked while holding it left at most a key too few.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Halves {
    fn insert(&mut self, document: DocumentId, key: Arc<Cipher>) {
        if self.late.len() >= KEYS_KEPT_MAX / 2 {
            self.early = std::mem::take(&mut self.late);
        }
        self.late.insert(document, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Arc<Cipher> {
        Arc::new(Cipher::new(&[1; 32]))
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_used_stays() {
        let kept = Kept::default();
        let document = |n: usize| DocumentId((n as u128).to_be_bytes());
        for n in 0..KEYS_KEPT_MAX * 3 {
            kept.put(document(n), key(), 0);
            assert!(
                kept.get(document(0), 0).is_some(),
                "it was used all the time"
            );
        }
        let held = kept.with(|halves| halves.late.len() + halves.early.len());
        assert!(held <= KEYS_KEPT_MAX && held > KEYS_KEPT_MAX / 4, "{held}");
        assert!(kept.get(document(1), 0).is_none());
    }

    #[test]
    fn another_life_neither_reads_nor_writes() {
        let kept = Kept::default();
        let document = DocumentId([1; 16]);
        kept.put(document, key(), 0);
        kept.begin_life();
        assert!(kept.get(document, 0).is_none() && kept.get(document, 1).is_none());
        kept.put(document, key(), 0);
        assert!(kept.get(document, 1).is_none());
        kept.put(document, key(), 1);
        assert!(kept.get(document, 1).is_some() && kept.get(document, 0).is_none());
    }
}
