//! `Workflow`: a status that moves by legal steps, and is contested where steps met.

use std::collections::BTreeSet;
use std::fmt;

use names::EntryId;

use super::links::{AT_ONCE, Links, bit_each};
use super::log::{EntryLog, Made, Row};
use super::multi_value::{MultiValue, Said};
use crate::text::Text;

/// The statuses of a workflow. `Ord` goes from the most protective to the least: of several
/// that stand, the first operates.
pub trait Stage: Copy + Ord {
    /// Where everything begins, and what operates when somebody was active after an end.
    const FIRST: Self;

    /// Whether a person may move from here to there.
    fn may_become(self, next: Self) -> bool;

    /// Whether nothing more is expected to happen here.
    fn is_end(self) -> bool;
}

/// A status, its moves, and the activity that an ending must have known of.
///
/// A move replaces the moves it has seen. Where two moves have not seen each other both stand
/// and the status is *contested*: the most protective operates until a person who has seen both
/// moves on. Where something was done without knowing of an ending, and the ending did not know
/// of it either, the ending is contested too.
#[derive(Clone, PartialEq, Eq)]
pub struct Workflow<S, A> {
    moves: MultiValue<S>,
    activity: EntryLog<A>,
}

/// A workflow, weighed: where it stands, and whether a person must look.
pub struct Weighed<'a, S, A> {
    /// The moves that stand; none while everything is as it began.
    pub standing: Vec<Row<'a, Said<S>>>,
    /// What was done in ignorance of a standing ending that was itself in ignorance of it.
    pub overlooked: Vec<Row<'a, A>>,
}

impl<S: Stage, A> Weighed<'_, S, A> {
    /// The different statuses that stand.
    fn values(&self) -> BTreeSet<S> {
        self.standing.iter().map(|row| row.value.value).collect()
    }

    /// Whether a person must look.
    pub fn is_contested(&self) -> bool {
        self.values().len() > 1 || !self.overlooked.is_empty()
    }

    /// The status that screens, lists and reports go by.
    pub fn operational(&self) -> S {
        let least = self.values().first().copied().unwrap_or(S::FIRST);
        if self.overlooked.is_empty() {
            least
        } else {
            S::FIRST
        }
    }

    /// Whether a person who sees this may move to `next`: from any status that stands, and to
    /// any of them if it is contested.
    pub fn may_become(&self, next: S) -> bool {
        let values = self.values();
        if values.is_empty() {
            return S::FIRST.may_become(next);
        }
        let settles = self.is_contested() && (values.contains(&next) || next == S::FIRST);
        settles || values.into_iter().any(|status| status.may_become(next))
    }
}

impl<S, A> Default for Workflow<S, A> {
    fn default() -> Self {
        Workflow {
            moves: MultiValue::default(),
            activity: EntryLog::default(),
        }
    }
}

impl<S: Stage, A: Ord + Clone> Workflow<S, A> {
    /// Adds a move.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], to: S, reason: Text) {
        self.moves.add(entry, made, seen, to, reason);
    }

    /// Adds something that was done and that an ending must have known of.
    pub fn add_activity(&mut self, entry: EntryId, made: Made, seen: &[EntryId], what: A) {
        self.activity.add(entry, made, seen, what);
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &Workflow<S, A>) {
        self.moves.join(&other.moves);
        self.activity.join(&other.activity);
    }

    /// Where it stands, and what was overlooked. One walk through everything there is, and that
    /// only where something has ended.
    pub fn weigh(&self) -> Weighed<'_, S, A> {
        let standing = self.moves.standing();
        let ends = standing.iter().filter(|row| row.value.value.is_end());
        let ends: Vec<EntryId> = ends.map(|row| row.entry).collect();
        let mut rows = Vec::new();
        if !ends.is_empty() {
            let overlooked = self.overlooked(&ends);
            rows = self.activity.in_order();
            rows.retain(|row| overlooked.contains(&row.entry));
        }
        Weighed {
            standing,
            overlooked: rows,
        }
    }

    fn overlooked(&self, ends: &[EntryId]) -> BTreeSet<EntryId> {
        let links = self.links();
        let mut overlooked = BTreeSet::new();
        for some in ends.chunks(AT_ONCE) {
            let marks = links.marks(bit_each(some));
            let known = links.known_to_each(&marks);
            let knowing = links.knowing_each(&marks);
            let all = bit_each(some).fold(0, |bits, (_, bit)| bits | bit);
            let apart = self.activity.rows().map(|row| row.entry).filter(|done| {
                let aware = links.bits(&known, *done) | links.bits(&knowing, *done);
                all & !aware != 0
            });
            overlooked.extend(apart);
        }
        overlooked
    }

    /// What a new move has seen: the moves that stand, and the newest of everything.
    pub fn heads(&self) -> Vec<EntryId> {
        let mut heads: BTreeSet<EntryId> = self.moves.heads().into_iter().collect();
        heads.extend(self.newest());
        heads.into_iter().collect()
    }

    /// What a move has seen that was made without having seen any of `unseen`: the newest of all
    /// that neither are these nor know of them.
    pub fn heads_without(&self, unseen: &BTreeSet<EntryId>) -> Vec<EntryId> {
        let links = self.links();
        let marks = links.marks(unseen.iter().map(|entry| (*entry, 1)));
        links.newest_without(&marks.and(&links.known_to_each(&marks)))
    }

    /// The newest moves and activity: together they have seen all that is known here.
    pub fn newest(&self) -> BTreeSet<EntryId> {
        let (moves, activity) = (self.moves.history(), &self.activity);
        let moved = moves.newest().iter().filter(|id| !activity.has_seen(**id));
        let done = activity.newest().iter().filter(|id| !moves.has_seen(**id));
        moved.chain(done).copied().collect()
    }

    /// Every move ever made.
    pub fn history(&self) -> &EntryLog<Said<S>> {
        self.moves.history()
    }

    /// Everything that was done and that an ending must have known of.
    pub fn activity(&self) -> &EntryLog<A> {
        &self.activity
    }

    fn links(&self) -> Links {
        Links::of(self.moves.history().lists().chain(self.activity.lists()))
    }
}

impl<S, A> fmt::Debug for Workflow<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Workflow({:?}, {} active)",
            self.moves,
            self.activity.len()
        )
    }
}
