//! Which entry has seen which.

use std::collections::{BTreeMap, BTreeSet};

use names::EntryId;

/// How many entries are followed through the graph at once: one bit each.
pub(super) const AT_ONCE: usize = 64;

/// The seen-lists of a set of entries, as a graph.
///
/// Ids are drawn by whoever writes, so a hostile writer can make two entries each claim to have
/// seen the other, which no honest order of events allows. Such a [`Links::knot`] is found in
/// time linear in the size of the lists, and nothing in it counts as having seen anything in it.
/// Everything that is asked of the graph takes one walk along its lists for every 64
/// entries asked about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Links {
    /// The entries, in ascending order; everywhere else they go by their place here.
    ids: Vec<EntryId>,
    /// What each has seen, among these.
    saw: Vec<Vec<usize>>,
    /// All places, each before what it has seen.
    newest_first: Vec<usize>,
    knot: BTreeSet<EntryId>,
}

impl Links {
    /// The graph of entries and what each has seen; a row of its own for each list. What was seen
    /// and is none of these entries, and an entry in its own list, are left out.
    pub fn of<'a>(rows: impl IntoIterator<Item = (EntryId, &'a BTreeSet<EntryId>)>) -> Links {
        let mut lists: BTreeMap<EntryId, BTreeSet<EntryId>> = BTreeMap::new();
        for (entry, seen) in rows {
            lists.entry(entry).or_default().extend(seen);
        }
        let ids: Vec<EntryId> = lists.keys().copied().collect();
        let saw = lists
            .iter()
            .map(|(entry, seen)| {
                let others = seen.iter().filter(|other| *other != entry);
                others.filter_map(|other| place(&ids, *other)).collect()
            })
            .collect();
        let mut links = Links {
            ids,
            saw,
            newest_first: Vec::new(),
            knot: BTreeSet::new(),
        };
        links.sort();
        links
    }

    /// Takes away, over and over, what nobody left has seen. Circles remain, and what only they
    /// have seen: that is the knot.
    fn sort(&mut self) {
        let mut viewers = vec![0_usize; self.ids.len()];
        for earlier in self.saw.iter().flatten() {
            if let Some(count) = viewers.get_mut(*earlier) {
                *count += 1;
            }
        }
        let unseen = |(place, count): (usize, &usize)| (*count == 0).then_some(place);
        let mut waiting: Vec<usize> = viewers.iter().enumerate().filter_map(unseen).collect();
        while let Some(entry) = waiting.pop() {
            self.newest_first.push(entry);
            for earlier in self.saw_of(entry) {
                if let Some(count) = viewers.get_mut(*earlier) {
                    *count -= 1;
                    if *count == 0 {
                        waiting.push(*earlier);
                    }
                }
            }
        }
        // What is left has been seen by what is left alone, and has seen nothing else.
        let left = viewers.iter().enumerate().filter(|(_, count)| **count > 0);
        for (entry, _) in left {
            self.newest_first.push(entry);
            self.knot.extend(self.ids.get(entry));
            if let Some(saw) = self.saw.get_mut(entry) {
                saw.clear();
            }
        }
    }

    /// The entries that claim to have seen each other in a circle, and those that only such
    /// entries have seen. Empty whenever every writer was honest.
    pub fn knot(&self) -> &BTreeSet<EntryId> {
        &self.knot
    }

    /// What an entry lists as seen, without what a knot forbids.
    pub fn saw(&self, entry: EntryId) -> impl Iterator<Item = EntryId> {
        let saw = place(&self.ids, entry).map_or(&[][..], |place| self.saw_of(place));
        saw.iter().filter_map(|earlier| self.id(*earlier))
    }

    /// Of the entries without any bits those that no other of them has seen.
    pub(super) fn newest_without(&self, marks: &Marks) -> Vec<EntryId> {
        let plain = |place: &usize| bits_at(&marks.0, *place) == 0;
        let places = || (0..self.ids.len()).filter(plain);
        let seen: BTreeSet<usize> = places().flat_map(|p| self.saw_of(p)).copied().collect();
        let newest = places().filter(|place| !seen.contains(place));
        newest.filter_map(|place| self.id(place)).collect()
    }

    /// The bits of every entry: none for those that are not marked.
    pub(super) fn marks(&self, marked: impl IntoIterator<Item = (EntryId, u64)>) -> Marks {
        let mut marks = vec![0; self.ids.len()];
        for (entry, bits) in marked {
            if let Some(mark) = place(&self.ids, entry).and_then(|place| marks.get_mut(place)) {
                *mark |= bits;
            }
        }
        Marks(marks)
    }

    /// For each entry the bits of all entries that it knows of, directly or through others.
    pub(super) fn known_to_each(&self, marks: &Marks) -> Marks {
        let mut known = vec![0; self.ids.len()];
        for entry in self.newest_first.iter().rev() {
            let saw = self.saw_of(*entry).iter();
            let bits = saw.fold(0, |bits, earlier| {
                bits | bits_at(&known, *earlier) | bits_at(&marks.0, *earlier)
            });
            if let Some(known) = known.get_mut(*entry) {
                *known = bits;
            }
        }
        Marks(known)
    }

    /// For each entry the bits of all entries that know of it, directly or through others.
    pub(super) fn knowing_each(&self, marks: &Marks) -> Marks {
        let mut knowing = vec![0; self.ids.len()];
        for entry in &self.newest_first {
            let bits = bits_at(&knowing, *entry) | bits_at(&marks.0, *entry);
            for earlier in self.saw_of(*entry) {
                if let Some(knowing) = knowing.get_mut(*earlier) {
                    *knowing |= bits;
                }
            }
        }
        Marks(knowing)
    }

    /// The bits of one entry.
    pub(super) fn bits(&self, marks: &Marks, entry: EntryId) -> u64 {
        place(&self.ids, entry).map_or(0, |place| bits_at(&marks.0, place))
    }

    fn saw_of(&self, place: usize) -> &[usize] {
        self.saw.get(place).map_or(&[], Vec::as_slice)
    }

    fn id(&self, place: usize) -> Option<EntryId> {
        self.ids.get(place).copied()
    }
}

/// Some bits for every entry of a graph.
pub(super) struct Marks(Vec<u64>);

impl Marks {
    /// The bits of both.
    pub(super) fn and(&self, others: &Marks) -> Marks {
        let both = self.0.iter().zip(&others.0);
        Marks(both.map(|(one, other)| one | other).collect())
    }
}

/// A bit for each of at most [`AT_ONCE`] entries.
pub(super) fn bit_each(entries: &[EntryId]) -> impl Iterator<Item = (EntryId, u64)> {
    let numbered = entries.iter().take(AT_ONCE).enumerate();
    numbered.map(|(number, entry)| (*entry, 1 << number))
}

fn place(ids: &[EntryId], entry: EntryId) -> Option<usize> {
    ids.binary_search(&entry).ok()
}

fn bits_at(marks: &[u64], place: usize) -> u64 {
    marks.get(place).copied().unwrap_or(0)
}
