//! `EntryLog`: everything that was entered, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::{EntryId, Moment, SiteId, WorkerId};
use serde::Serialize;

use super::links::Links;
use crate::entry::Entry;

/// When, who and where, as the entry says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Made {
    /// When, by the clock of where it was made.
    pub at: Moment,
    /// Who.
    pub by: WorkerId,
    /// Where.
    pub site: SiteId,
}

impl Made {
    /// When, who and where of an entry.
    pub fn of(entry: &Entry) -> Made {
        Made {
            at: entry.at,
            by: entry.by.clone(),
            site: entry.site.clone(),
        }
    }
}

/// A row of an [`EntryLog`], borrowed.
pub struct Row<'a, T> {
    /// The entry.
    pub entry: EntryId,
    /// What it says.
    pub value: &'a T,
    /// When, who and where: of several copies the least.
    pub made: &'a Made,
    /// When and where its other copies were made, by the same person.
    pub also: &'a [Made],
    /// The entries it has seen.
    pub seen: &'a BTreeSet<EntryId>,
}

impl<T> Clone for Row<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Row<'_, T> {}

/// A set of entries that only grows. A correction is another entry that points at the first;
/// nothing is ever taken out.
///
/// One command that reached the record through two nodes is one row: its copies say the same
/// thing, by the same person, and differ only in their clock, their site and what the two nodes
/// showed. Every copy's clock and site are kept. Of the seen-lists only what *all* copies have
/// seen counts, so that a row never covers something that one of its copies had not seen.
///
/// Rows that share an id and say different things, or are by different people, are all kept. Such
/// an id is [ambiguous](EntryLog::ambiguous): whoever lists it as seen has seen one of them, and
/// nobody can tell which. So it counts as having seen nothing. Whoever replaces it replaces all that
/// is under it, or nobody could ever; but what protects somebody ([`super::ProtectiveSet`], lines of
/// money in [`super::Ledger`]) is not taken away by naming such an id.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryLog<T> {
    /// By entry; under one entry sorted by value and person, so that equal sets are equal.
    rows: BTreeMap<EntryId, Vec<Said<T>>>,
    /// What follows from the rows and is asked after every change, kept beside them: reading
    /// through a long log each time would make writing one take time with its square.
    count: usize,
    latest: Option<Moment>,
    ambiguous: BTreeSet<EntryId>,
    /// How many rows have seen an entry; its own and those of ambiguous ids are not counted.
    viewers: BTreeMap<EntryId, usize>,
    /// The entries that no row of another has seen.
    newest: BTreeSet<EntryId>,
}

#[derive(Clone, PartialEq, Eq)]
struct Said<T> {
    value: T,
    made: Made,
    /// The other copies', in ascending order.
    also: Vec<Made>,
    seen: BTreeSet<EntryId>,
}

impl<T> Said<T> {
    fn row(&self, entry: EntryId) -> Row<'_, T> {
        Row {
            entry,
            value: &self.value,
            made: &self.made,
            also: &self.also,
            seen: &self.seen,
        }
    }

    /// Takes another copy in, and gives what this one had seen and that one had not.
    fn take(&mut self, copy: Said<T>) -> Vec<EntryId> {
        let unseen = self.seen.difference(&copy.seen).copied().collect();
        self.seen.retain(|seen| copy.seen.contains(seen));
        if copy.made != self.made || !copy.also.is_empty() {
            let mut all: BTreeSet<Made> = std::mem::take(&mut self.also).into_iter().collect();
            all.extend(copy.also);
            all.extend([copy.made, self.made.clone()]);
            if let Some(least) = all.pop_first() {
                self.made = least;
            }
            self.also = all.into_iter().collect();
        }
        unseen
    }
}

impl<T> Default for EntryLog<T> {
    fn default() -> Self {
        EntryLog {
            rows: BTreeMap::new(),
            count: 0,
            latest: None,
            ambiguous: BTreeSet::new(),
            viewers: BTreeMap::new(),
            newest: BTreeSet::new(),
        }
    }
}

impl<T: Ord + Clone> EntryLog<T> {
    /// Adds what an entry says.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], value: T) {
        self.put(
            entry,
            Said {
                value,
                made,
                also: Vec::new(),
                seen: seen.iter().copied().collect(),
            },
        );
    }

    /// Adds all rows of another log.
    pub fn join(&mut self, other: &EntryLog<T>) {
        for (entry, said) in &other.rows {
            said.iter().for_each(|said| self.put(*entry, said.clone()));
        }
    }

    fn put(&mut self, entry: EntryId, said: Said<T>) {
        let last = said.also.last().map_or(said.made.at, |made| made.at);
        self.latest = self.latest.max(Some(last));
        let under = self.rows.entry(entry).or_default();
        let wanted = (&said.value, &said.made.by);
        let place = under.binary_search_by(|copy| (&copy.value, &copy.made.by).cmp(&wanted));
        match place {
            Err(place) => {
                self.count += 1;
                let seen = said.seen.clone();
                let before: Vec<EntryId> =
                    under.iter().flat_map(|copy| copy.seen.clone()).collect();
                let is_first = under.is_empty();
                under.insert(place, said);
                if is_first {
                    self.note_seen(entry, &seen);
                } else if self.ambiguous.insert(entry) {
                    self.note_unseen(entry, &before);
                }
            }
            Ok(place) => {
                let copy = under.get_mut(place);
                let unseen = copy.map(|copy| copy.take(said)).unwrap_or_default();
                if !self.ambiguous.contains(&entry) {
                    self.note_unseen(entry, &unseen);
                }
            }
        }
    }
}

impl<T> EntryLog<T> {
    fn note_seen(&mut self, entry: EntryId, seen: &BTreeSet<EntryId>) {
        if !self.viewers.contains_key(&entry) {
            self.newest.insert(entry);
        }
        for earlier in seen.iter().filter(|earlier| **earlier != entry) {
            *self.viewers.entry(*earlier).or_default() += 1;
            self.newest.remove(earlier);
        }
    }

    fn note_unseen(&mut self, entry: EntryId, unseen: &[EntryId]) {
        for earlier in unseen.iter().filter(|earlier| **earlier != entry) {
            let Some(count) = self.viewers.get_mut(earlier) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.viewers.remove(earlier);
                if self.rows.contains_key(earlier) {
                    self.newest.insert(*earlier);
                }
            }
        }
    }

    /// The rows by entry id.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_, T>> {
        self.rows
            .iter()
            .flat_map(|(entry, said)| said.iter().map(|said| said.row(*entry)))
    }

    /// The rows that entry `id` made: usually one, more if an id was used twice.
    pub fn of(&self, id: EntryId) -> impl Iterator<Item = Row<'_, T>> {
        let under = self.rows.get(&id).into_iter().flatten();
        under.map(move |said| said.row(id))
    }

    /// The rows as a screen lists them: by their clocks, then by id.
    pub fn in_order(&self) -> Vec<Row<'_, T>> {
        let mut rows: Vec<Row<'_, T>> = self.rows().collect();
        rows.sort_by_key(|row| (row.made.at, row.entry));
        rows
    }

    /// Whether entry `id` is in it.
    pub fn contains(&self, id: EntryId) -> bool {
        self.rows.contains_key(&id)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The latest moment any row gives.
    pub fn latest(&self) -> Option<Moment> {
        self.latest
    }

    /// The entries under which different things were said, or by different people, in ascending
    /// order.
    pub fn ambiguous(&self) -> impl Iterator<Item = EntryId> {
        self.ambiguous.iter().copied()
    }

    /// Whether different things were said under this id.
    pub fn is_ambiguous(&self, id: EntryId) -> bool {
        self.ambiguous.contains(&id)
    }

    /// The entries that no other of them has seen: together they have seen all that is here.
    pub fn newest(&self) -> &BTreeSet<EntryId> {
        &self.newest
    }

    /// Whether an entry of this log has seen `id`, which need not be in it.
    pub fn has_seen(&self, id: EntryId) -> bool {
        self.viewers.contains_key(&id)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Which row has seen which.
    pub fn links(&self) -> Links {
        Links::of(self.lists())
    }

    /// The seen-list of each entry: none of an ambiguous one.
    pub(super) fn lists(&self) -> impl Iterator<Item = (EntryId, &BTreeSet<EntryId>)> {
        static NOTHING: BTreeSet<EntryId> = BTreeSet::new();
        self.rows.iter().map(|(entry, said)| match said.as_slice() {
            [only] => (*entry, &only.seen),
            _ => (*entry, &NOTHING),
        })
    }

    /// The rows that no other covers.
    ///
    /// A row covers all rows of the ids it has seen, other than its own. Rows in a knot do not cover
    /// each other, and an ambiguous id covers nothing, so there is always something standing where
    /// there is anything at all.
    pub(super) fn uncovered(&self) -> Vec<Row<'_, T>> {
        let mut standing = self.in_order();
        if self.rows.len() > 1 {
            let links = self.links();
            let covered: BTreeSet<EntryId> = self
                .rows
                .keys()
                .flat_map(|entry| links.saw(*entry))
                .collect();
            standing.retain(|row| !covered.contains(&row.entry));
        }
        standing
    }
}

impl<T> fmt::Debug for EntryLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryLog({} rows)", self.len())
    }
}
