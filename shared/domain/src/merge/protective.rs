//! `ProtectiveSet`: what was raised stands until a review that has seen it clears it.

use std::collections::BTreeSet;
use std::fmt;

use names::{EntryId, limits};

use super::log::{EntryLog, Made, Row};

/// A raise or a review of one protective fact.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact<R, V> {
    /// Somebody says that it is so.
    Raise(R),
    /// Somebody looked at it again.
    Review {
        /// Whether the raises it has seen stand no longer.
        clear: bool,
        /// What the reviewer says.
        said: V,
    },
}

/// One protective fact: its raises and its reviews.
///
/// The invariant on which safety hangs: *a raise stands unless a clearing review lists it as
/// seen.* Knowing of a later raise is not enough, nor is a later clock; a review that was made
/// without a raise in view never clears it, however the two meet.
#[derive(Clone, PartialEq, Eq)]
pub struct ProtectiveSet<R, V> {
    log: EntryLog<Fact<R, V>>,
}

impl<R, V> Default for ProtectiveSet<R, V> {
    fn default() -> Self {
        ProtectiveSet {
            log: EntryLog::default(),
        }
    }
}

impl<R: Ord + Clone, V: Ord + Clone> ProtectiveSet<R, V> {
    /// Adds a raise or a review.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], fact: Fact<R, V>) {
        self.log.add(entry, made, seen, fact);
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &ProtectiveSet<R, V>) {
        self.log.join(&other.log);
    }

    /// The raises that stand.
    pub fn standing(&self) -> Vec<Row<'_, Fact<R, V>>> {
        let mut standing = self
            .log
            .uncovered(|fact| matches!(fact, Fact::Review { clear: true, .. }));
        standing.retain(|row| matches!(row.value, Fact::Raise(_)));
        standing
    }

    /// Whether the fact stands.
    pub fn stands(&self) -> bool {
        !self.standing().is_empty()
    }

    /// The newest raises and reviews: together they have seen all that is known here.
    pub fn newest(&self) -> BTreeSet<EntryId> {
        self.log.links().newest()
    }

    /// Cleared here, raised there: the clearing reviews and the standing raises of which neither
    /// knew the other, unless somebody has spoken since who knew both. Empty if there are none.
    ///
    /// Looks at [`limits::SEEN_MAX`] standing raises; more than that stand anyway.
    pub fn disputed(&self) -> Vec<Row<'_, Fact<R, V>>> {
        let links = self.log.links();
        let mut disputed: BTreeSet<EntryId> = BTreeSet::new();
        for raise in self.standing().into_iter().take(limits::SEEN_MAX) {
            let knowing = links.knowing(raise.entry);
            // Whatever somebody who knew the raise also knew was weighed against it.
            let weighed = links.known_to(knowing.iter().copied());
            let before = links.known_to([raise.entry]);
            let against: Vec<EntryId> = self
                .log
                .rows()
                .filter(|row| matches!(row.value, Fact::Review { clear: true, .. }))
                .map(|row| row.entry)
                .filter(|review| {
                    ![&knowing, &weighed, &before]
                        .iter()
                        .any(|known| known.contains(review))
                })
                .collect();
            if !against.is_empty() {
                disputed.insert(raise.entry);
                disputed.extend(against);
            }
        }
        let mut rows = self.log.in_order();
        rows.retain(|row| disputed.contains(&row.entry));
        rows
    }

    /// Everything ever raised or reviewed.
    pub fn history(&self) -> &EntryLog<Fact<R, V>> {
        &self.log
    }
}

impl<R, V> fmt::Debug for ProtectiveSet<R, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtectiveSet({} rows)", self.log.len())
    }
}
