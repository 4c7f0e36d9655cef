//! `Sealed`: what was submitted stays as it was; a correction is another version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::EntryId;

use super::log::{EntryLog, Made, Row};

/// Submitted things, each for ever as it was submitted. A version may name others that it
/// replaces. Where two replace the same one both count, and are a [fork](Sealed::forks) until a
/// person submits a version that replaces both.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed<T> {
    versions: EntryLog<T>,
}

impl<T> Default for Sealed<T> {
    fn default() -> Self {
        Sealed {
            versions: EntryLog::default(),
        }
    }
}

impl<T: Ord + Clone> Sealed<T> {
    /// Adds a version, and which ones it replaces.
    pub fn add(&mut self, entry: EntryId, made: Made, replaces: &[EntryId], value: T) {
        self.versions.add(entry, made, replaces, value);
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &Sealed<T>) {
        self.versions.join(&other.versions);
    }

    /// The versions that none replaces.
    pub fn current(&self) -> Vec<Row<'_, T>> {
        self.versions.uncovered()
    }

    /// The entries of the versions that none replaces.
    pub fn current_entries(&self) -> BTreeSet<EntryId> {
        self.current().iter().map(|row| row.entry).collect()
    }

    /// The versions that none replaces and that go back to the same ones, where these are
    /// several; by the least entry among all that belong together.
    pub fn forks(&self) -> BTreeMap<EntryId, Vec<Row<'_, T>>> {
        let mut families = Families::default();
        for row in self.versions.rows() {
            families.least_of(row.entry);
            for earlier in row.seen.iter().filter(|id| self.versions.contains(**id)) {
                families.unite(row.entry, *earlier);
            }
        }
        let mut forks: BTreeMap<EntryId, Vec<Row<'_, T>>> = BTreeMap::new();
        for row in self.current() {
            let family = families.least_of(row.entry);
            forks.entry(family).or_default().push(row);
        }
        forks.retain(|_, versions| versions.len() > 1);
        forks
    }

    /// Every version ever submitted.
    pub fn history(&self) -> &EntryLog<T> {
        &self.versions
    }
}

/// Entries that belong together, each of which knows one that is less or itself.
#[derive(Default)]
struct Families(BTreeMap<EntryId, EntryId>);

impl Families {
    fn least_of(&mut self, entry: EntryId) -> EntryId {
        let mut least = entry;
        while let Some(less) = self.0.get(&least).filter(|less| **less != least) {
            least = *less;
        }
        // Whoever asks next has a short way.
        self.0.insert(entry, least);
        least
    }

    fn unite(&mut self, one: EntryId, other: EntryId) {
        let (one, other) = (self.least_of(one), self.least_of(other));
        self.0.insert(one.max(other), one.min(other));
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} versions)", self.versions.len())
    }
}
