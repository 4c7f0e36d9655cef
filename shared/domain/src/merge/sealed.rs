//! `Sealed`: what was submitted stays as it was; a correction is another version.

use std::collections::BTreeSet;
use std::fmt;

use names::EntryId;

use super::log::{EntryLog, Made, Row};

/// Submitted things, each for ever as it was submitted. A version may name one that it
/// replaces; two that replace the same one both count until a person replaces one of them.
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
    /// Adds a version, and which one it replaces.
    pub fn add(&mut self, entry: EntryId, made: Made, replaces: Option<EntryId>, value: T) {
        self.versions.add(entry, made, replaces.as_slice(), value);
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &Sealed<T>) {
        self.versions.join(&other.versions);
    }

    /// The versions that none replaces.
    pub fn current(&self) -> Vec<Row<'_, T>> {
        self.versions.uncovered(|_| true)
    }

    /// The entries of the versions that none replaces.
    pub fn current_entries(&self) -> BTreeSet<EntryId> {
        self.current().iter().map(|row| row.entry).collect()
    }

    /// Every version ever submitted.
    pub fn history(&self) -> &EntryLog<T> {
        &self.versions
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} versions)", self.versions.len())
    }
}
