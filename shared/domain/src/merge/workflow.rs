//! `Workflow`: a status that moves by legal steps, and is contested where steps met.

use std::collections::BTreeSet;
use std::fmt;

use names::EntryId;

use super::links::Links;
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
pub struct Workflow<S> {
    moves: MultiValue<S>,
    activity: EntryLog<()>,
}

impl<S> Default for Workflow<S> {
    fn default() -> Self {
        Workflow {
            moves: MultiValue::default(),
            activity: EntryLog::default(),
        }
    }
}

impl<S: Stage> Workflow<S> {
    /// Adds a move.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], to: S, reason: Text) {
        self.moves.add(entry, made, seen, to, reason);
    }

    /// Adds something that was done and that an ending must have known of.
    pub fn add_activity(&mut self, entry: EntryId, made: Made, seen: &[EntryId]) {
        self.activity.add(entry, made, seen, ());
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &Workflow<S>) {
        self.moves.join(&other.moves);
        self.activity.join(&other.activity);
    }

    /// The moves that stand; none while everything is as it began.
    pub fn standing(&self) -> Vec<Row<'_, Said<S>>> {
        self.moves.standing()
    }

    /// What was done in ignorance of a standing ending that was itself in ignorance of it.
    pub fn overlooked(&self) -> Vec<Row<'_, ()>> {
        let ends: Vec<EntryId> = self
            .standing()
            .iter()
            .filter(|row| row.value.value.is_end())
            .map(|row| row.entry)
            .collect();
        if ends.is_empty() {
            return Vec::new();
        }
        let links = self.links();
        let mut overlooked = BTreeSet::new();
        for end in ends {
            let before = links.known_to([end]);
            let after = links.knowing(end);
            let apart = self.activity.rows().map(|row| row.entry);
            overlooked.extend(apart.filter(|id| !before.contains(id) && !after.contains(id)));
        }
        let mut rows = self.activity.in_order();
        rows.retain(|row| overlooked.contains(&row.entry));
        rows
    }

    /// Whether a person must look.
    pub fn is_contested(&self) -> bool {
        self.moves.is_contested() || !self.overlooked().is_empty()
    }

    /// The status that screens, lists and reports go by.
    pub fn operational(&self) -> S {
        if self.overlooked().is_empty() {
            self.moves.least().copied().unwrap_or(S::FIRST)
        } else {
            S::FIRST
        }
    }

    /// Whether a person who sees this may move to `next`: from any status that stands, and to
    /// any of them if it is contested.
    pub fn may_become(&self, next: S) -> bool {
        let values = self.moves.values();
        if values.is_empty() {
            return S::FIRST.may_become(next);
        }
        let settles = self.is_contested() && (values.contains(&next) || next == S::FIRST);
        settles || values.into_iter().any(|status| status.may_become(next))
    }

    /// What a new move has seen: the moves that stand, and the newest of everything.
    pub fn heads(&self) -> Vec<EntryId> {
        let mut heads: BTreeSet<EntryId> = self.moves.heads().into_iter().collect();
        heads.extend(self.newest());
        heads.into_iter().collect()
    }

    /// The newest moves and activity: together they have seen all that is known here.
    pub fn newest(&self) -> BTreeSet<EntryId> {
        self.links().newest()
    }

    /// Every move ever made.
    pub fn history(&self) -> &EntryLog<Said<S>> {
        self.moves.history()
    }

    fn links(&self) -> Links {
        let mut links = self.moves.history().links();
        links.extend(&self.activity.links());
        links
    }
}

impl<S> fmt::Debug for Workflow<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Workflow({:?}, {} active)",
            self.moves,
            self.activity.len()
        )
    }
}
