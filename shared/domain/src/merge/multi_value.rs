//! `MultiValue`: every value that nobody replaced knowingly.

use std::collections::BTreeSet;
use std::fmt;

use names::EntryId;
use serde::Serialize;

use super::log::{EntryLog, Made, Row};
use crate::text::Text;

/// A value somebody gave, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// Why; empty where no reason was given.
    pub reason: Text,
}

/// A value that two people may set without knowing of each other. All values stand that no
/// other value has seen; one person's choice that has seen them all replaces them, and only
/// that.
#[derive(Clone, PartialEq, Eq)]
pub struct MultiValue<T> {
    log: EntryLog<Said<T>>,
}

impl<T> Default for MultiValue<T> {
    fn default() -> Self {
        MultiValue {
            log: EntryLog::default(),
        }
    }
}

impl<T: Ord + Clone> MultiValue<T> {
    /// Adds a value that replaces exactly what it has seen.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], value: T, reason: Text) {
        self.log.add(entry, made, seen, Said { value, reason });
    }

    /// Adds all values of another copy.
    pub fn join(&mut self, other: &MultiValue<T>) {
        self.log.join(&other.log);
    }

    /// The values that stand, each with who, where and when.
    pub fn standing(&self) -> Vec<Row<'_, Said<T>>> {
        self.log.uncovered()
    }

    /// The entries whose values stand: what a new value has to have seen to settle everything.
    pub fn heads(&self) -> Vec<EntryId> {
        let heads: BTreeSet<EntryId> = self.standing().iter().map(|row| row.entry).collect();
        heads.into_iter().collect()
    }

    /// The different values that stand, each once.
    pub fn values(&self) -> BTreeSet<&T> {
        self.standing()
            .into_iter()
            .map(|row| &row.value.value)
            .collect()
    }

    /// Whether different values stand.
    pub fn is_contested(&self) -> bool {
        self.values().len() > 1
    }

    /// The least of the standing values: what operates where the least is the cautious one.
    pub fn least(&self) -> Option<&T> {
        self.values().into_iter().next()
    }

    /// Every value ever given.
    pub fn history(&self) -> &EntryLog<Said<T>> {
        &self.log
    }
}

impl<T> fmt::Debug for MultiValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MultiValue({} rows)", self.log.len())
    }
}
