//! Which entry has seen which.

use std::collections::{BTreeMap, BTreeSet};

use names::EntryId;

/// The seen-lists of a set of entries, as a graph.
///
/// Ids are drawn by whoever writes, so a hostile writer can make two entries each claim to have
/// seen the other, which no honest order of events allows. Such a [`Links::knot`] is found in
/// time linear in the size of the lists, and the rules let nothing in it cover anything in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Links {
    saw: BTreeMap<EntryId, BTreeSet<EntryId>>,
}

impl Links {
    /// Adds that `entry` has seen `seen`; itself is left out.
    pub fn add<'a>(&mut self, entry: EntryId, seen: impl IntoIterator<Item = &'a EntryId>) {
        let saw = self.saw.entry(entry).or_default();
        saw.extend(seen.into_iter().copied().filter(|other| *other != entry));
    }

    /// Adds all of another graph.
    pub fn extend(&mut self, other: &Links) {
        for (entry, seen) in &other.saw {
            self.add(*entry, seen);
        }
    }

    /// The entries of this graph that no other of them has seen.
    pub fn newest(&self) -> BTreeSet<EntryId> {
        let seen: BTreeSet<EntryId> = self.saw.values().flatten().copied().collect();
        self.saw
            .keys()
            .copied()
            .filter(|entry| !seen.contains(entry))
            .collect()
    }

    /// Everything the given entries have seen, directly or through others; without themselves,
    /// unless others of them have seen them.
    pub fn known_to(&self, entries: impl IntoIterator<Item = EntryId>) -> BTreeSet<EntryId> {
        reach(&self.saw, entries)
    }

    /// Every entry that has seen `entry`, directly or through others.
    pub fn knowing(&self, entry: EntryId) -> BTreeSet<EntryId> {
        let mut seen_by: BTreeMap<EntryId, BTreeSet<EntryId>> = BTreeMap::new();
        for (later, seen) in &self.saw {
            for earlier in seen {
                seen_by.entry(*earlier).or_default().insert(*later);
            }
        }
        reach(&seen_by, [entry])
    }

    /// The entries that claim to have seen each other in a circle, and those that only such
    /// entries have seen. Empty whenever every writer was honest.
    pub fn knot(&self) -> BTreeSet<EntryId> {
        let mut viewers: BTreeMap<EntryId, usize> = BTreeMap::new();
        for earlier in self.saw.values().flatten() {
            *viewers.entry(*earlier).or_default() += 1;
        }
        // Take away, over and over, what nobody left has seen; circles remain.
        let mut unseen: Vec<EntryId> = self.newest().into_iter().collect();
        let mut left: BTreeSet<EntryId> = self.saw.keys().copied().collect();
        while let Some(entry) = unseen.pop() {
            left.remove(&entry);
            for earlier in self.saw.get(&entry).into_iter().flatten() {
                if let Some(count) = viewers.get_mut(earlier) {
                    *count -= 1;
                    if *count == 0 && left.contains(earlier) {
                        unseen.push(*earlier);
                    }
                }
            }
        }
        left
    }
}

/// Everything that can be reached along `edges`, at least one step away.
fn reach(
    edges: &BTreeMap<EntryId, BTreeSet<EntryId>>,
    from: impl IntoIterator<Item = EntryId>,
) -> BTreeSet<EntryId> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<EntryId> = from.into_iter().collect();
    while let Some(entry) = waiting.pop() {
        for next in edges.get(&entry).into_iter().flatten() {
            if reached.insert(*next) {
                waiting.push(*next);
            }
        }
    }
    reached
}
