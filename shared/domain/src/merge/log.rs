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
    /// When, who and where.
    pub made: &'a Made,
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
/// One command that reached the record through two nodes is one row: the copies differ only in
/// their clock, their site and what the two nodes showed. Of the first two the lesser is kept.
/// Of the seen-lists only what *both* have seen counts, so that a row never covers something
/// that one of its copies had not seen. Rows that share an id and say different things are both
/// kept.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryLog<T> {
    /// By entry; under one entry sorted by value, so that equal sets are equal.
    rows: BTreeMap<EntryId, Vec<Said<T>>>,
    /// What follows from the rows and is asked after every change, kept beside them: reading
    /// through a long log each time would make writing one take time with its square.
    count: usize,
    latest: Option<Moment>,
    ambiguous: BTreeSet<EntryId>,
}

#[derive(Clone, PartialEq, Eq)]
struct Said<T> {
    value: T,
    made: Made,
    seen: BTreeSet<EntryId>,
}

impl<T> Said<T> {
    fn row(&self, entry: EntryId) -> Row<'_, T> {
        Row {
            entry,
            value: &self.value,
            made: &self.made,
            seen: &self.seen,
        }
    }
}

impl<T> Default for EntryLog<T> {
    fn default() -> Self {
        EntryLog {
            rows: BTreeMap::new(),
            count: 0,
            latest: None,
            ambiguous: BTreeSet::new(),
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
        let under = self.rows.entry(entry).or_default();
        match under.binary_search_by(|copy| copy.value.cmp(&said.value)) {
            Err(place) => {
                self.latest = self.latest.max(Some(said.made.at));
                self.count += 1;
                under.insert(place, said);
                if under.len() > 1 {
                    self.ambiguous.insert(entry);
                }
            }
            Ok(place) => {
                let Some(copy) = under.get_mut(place) else {
                    return;
                };
                copy.seen.retain(|seen| said.seen.contains(seen));
                if said.made < copy.made {
                    let replaced = std::mem::replace(&mut copy.made, said.made);
                    if self.latest == Some(replaced.at) {
                        self.latest = self.rows().map(|row| row.made.at).max();
                    }
                }
            }
        }
    }
}

impl<T> EntryLog<T> {
    /// The rows by entry id.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_, T>> {
        self.rows
            .iter()
            .flat_map(|(entry, said)| said.iter().map(|said| said.row(*entry)))
    }

    /// The rows that entry `id` made: usually one, two if an id was used twice.
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

    /// The entries under which different things were said, in ascending order.
    pub fn ambiguous(&self) -> impl Iterator<Item = EntryId> {
        self.ambiguous.iter().copied()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Which row has seen which.
    pub fn links(&self) -> Links {
        let mut links = Links::default();
        for row in self.rows() {
            links.add(row.entry, row.seen);
        }
        links
    }

    /// The rows that are covered by no row for which `covers` holds.
    ///
    /// A row covers the rows it has seen, other than itself. Rows in a knot do not cover each
    /// other, so there is always something standing where there is anything at all.
    pub(super) fn uncovered(&self, covers: impl Fn(&T) -> bool) -> Vec<Row<'_, T>> {
        let knot = self.links().knot();
        let mut covered = BTreeSet::new();
        for row in self.rows().filter(|row| covers(row.value)) {
            let knotted = knot.contains(&row.entry);
            covered.extend(
                row.seen.iter().copied().filter(|earlier| {
                    *earlier != row.entry && !(knotted && knot.contains(earlier))
                }),
            );
        }
        let mut standing = self.in_order();
        standing.retain(|row| !covered.contains(&row.entry));
        standing
    }
}

impl<T> fmt::Debug for EntryLog<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryLog({} rows)", self.len())
    }
}
