//! The changes a document holds: what each new one is judged by, and what the document is made
//! from anew when Automerge fell.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use names::{ActorId, ChangeHash, Reason};

use crate::preflight::{self, Header};

/// A change that passed pre-flight.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) header: Header,
    pub(crate) chunk: Arc<[u8]>,
}

/// The changes that are in a document.
#[derive(Clone, Default)]
pub(crate) struct History {
    /// In the order in which they were applied.
    chunks: Vec<Arc<[u8]>>,
    facts: Facts,
}

/// What judging needs to know of the changes that came before.
#[derive(Clone, Default)]
struct Facts {
    /// The counter of each change's last operation.
    last_counters: BTreeMap<ChangeHash, u64>,
    /// Each actor's newest change.
    newest: BTreeMap<ActorId, (u64, ChangeHash)>,
}

impl History {
    pub(crate) fn holds(&self, hash: &ChangeHash) -> bool {
        self.facts.last_counters.contains_key(hash)
    }

    /// The chunks of all changes, in the order in which they were added; the genesis first.
    pub(crate) fn chunks(&self) -> &[Arc<[u8]>] {
        &self.chunks
    }

    pub(crate) fn add(&mut self, candidate: &Candidate) {
        self.chunks.push(Arc::clone(&candidate.chunk));
        self.facts.add(&candidate.header);
    }

    /// Begins to judge changes that would come after these.
    pub(crate) fn judging(&self) -> Judging<'_> {
        Judging {
            before: &self.facts,
            since: Facts::default(),
        }
    }
}

impl Facts {
    fn add(&mut self, header: &Header) {
        self.last_counters.insert(header.hash, header.max_op);
        self.newest.insert(header.actor, (header.seq, header.hash));
    }
}

/// Judges changes one after the other, each as if those it took before were in the document.
pub(crate) struct Judging<'a> {
    before: &'a Facts,
    since: Facts,
}

impl Judging<'_> {
    /// Takes a change, or says why it cannot come next: what Automerge needs beyond the bytes
    /// being sound. It panics without some of it.
    pub(crate) fn take(&mut self, header: &Header) -> Result<(), Reason> {
        let mut last = 0;
        for dep in &header.deps {
            let counter = self.last_counter(dep).ok_or(Reason::MissingDependency)?;
            last = last.max(counter);
        }
        preflight::continues(header, last)?;
        if !header
            .named
            .iter()
            .all(|actor| self.newest(actor).is_some())
        {
            return Err(Reason::Malformed);
        }
        preflight::follows(header, self.newest(&header.actor))?;
        self.since.add(header);
        Ok(())
    }

    fn last_counter(&self, hash: &ChangeHash) -> Option<u64> {
        let find = |facts: &Facts| facts.last_counters.get(hash).copied();
        find(&self.since).or_else(|| find(self.before))
    }

    fn newest(&self, actor: &ActorId) -> Option<(u64, ChangeHash)> {
        let find = |facts: &Facts| facts.newest.get(actor).copied();
        find(&self.since).or_else(|| find(self.before))
    }
}

/// Puts changes into an order in which each comes after those it builds on; where that leaves a
/// choice, by hash. Dependencies that are not among them do not count. The order is the same
/// however the changes arrived.
pub(crate) fn in_order(mut changes: BTreeMap<ChangeHash, Candidate>) -> Vec<Candidate> {
    let mut waiting: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    let mut dependants: BTreeMap<ChangeHash, Vec<ChangeHash>> = BTreeMap::new();
    for (hash, change) in &changes {
        let inside = change
            .header
            .deps
            .iter()
            .filter(|dep| changes.contains_key(*dep));
        waiting.insert(*hash, inside.clone().count());
        for dep in inside {
            dependants.entry(*dep).or_default().push(*hash);
        }
    }
    let free = |(hash, count): (&ChangeHash, &usize)| (*count == 0).then_some(*hash);
    let mut ready: BTreeSet<ChangeHash> = waiting.iter().filter_map(free).collect();
    let mut ordered = Vec::with_capacity(changes.len());
    while let Some(hash) = ready.pop_first() {
        ordered.extend(changes.remove(&hash));
        for dependant in dependants.remove(&hash).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&dependant) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(dependant);
                }
            }
        }
    }
    ordered
}
