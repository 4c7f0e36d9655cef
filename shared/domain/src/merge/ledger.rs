//! `Ledger`: money as the sum of signed entries, never a total that is overwritten.

use std::collections::BTreeSet;
use std::fmt;

use names::EntryId;
use serde::Serialize;

use super::log::{EntryLog, Made};
use crate::text::Text;

/// A line of a ledger.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Line<T> {
    /// The amount in pence: positive in, negative out.
    pub pence: i64,
    /// What it was.
    pub about: T,
}

/// That a line is taken back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reversal {
    /// The line.
    pub line: EntryId,
    /// How many lines its writer knew to stand under that id.
    pub lines: u32,
    /// Why.
    pub reason: Text,
}

/// Lines and reversals. A line that was taken back counts nothing, however many people took it
/// back; it and every reversal stay readable. Where an id was used for several lines nobody can
/// tell which of them a reversal means, so all count until somebody takes them back who knew of all.
#[derive(Clone, PartialEq, Eq)]
pub struct Ledger<T> {
    lines: EntryLog<Line<T>>,
    reversals: EntryLog<Reversal>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Ledger {
            lines: EntryLog::default(),
            reversals: EntryLog::default(),
        }
    }
}

impl<T: Ord + Clone> Ledger<T> {
    /// Adds a line.
    pub fn add(&mut self, entry: EntryId, made: Made, pence: i64, about: T) {
        self.lines.add(entry, made, &[], Line { pence, about });
    }

    /// Adds that a line is taken back. It need not have arrived yet.
    pub fn reverse(&mut self, entry: EntryId, made: Made, line: EntryId, lines: u32, reason: Text) {
        let reversal = Reversal {
            line,
            lines,
            reason,
        };
        self.reversals.add(entry, made, &[], reversal);
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &Ledger<T>) {
        self.lines.join(&other.lines);
        self.reversals.join(&other.reversals);
    }

    /// The sum in pence of the lines that count and for which `which` holds.
    pub fn total(&self, which: impl Fn(&Line<T>) -> bool) -> i64 {
        let reversed = self.reversed();
        let counting = self
            .lines
            .rows()
            .filter(|row| !reversed.contains(&row.entry));
        counting
            .map(|row| row.value)
            .filter(|line| which(line))
            .fold(0, |sum: i64, line| sum.saturating_add(line.pence))
    }

    /// The entries that were taken back.
    pub fn reversed(&self) -> BTreeSet<EntryId> {
        let known = |reversal: &Reversal| {
            let count = self.lines.of(reversal.line).count();
            u32::try_from(count).is_ok_and(|count| count <= reversal.lines.max(1))
        };
        let named = self.reversals.rows().map(|row| row.value);
        named
            .filter(|reversal| known(reversal))
            .map(|reversal| reversal.line)
            .collect()
    }

    /// Every line, taken back or not.
    pub fn lines(&self) -> &EntryLog<Line<T>> {
        &self.lines
    }

    /// Every reversal.
    pub fn reversals(&self) -> &EntryLog<Reversal> {
        &self.reversals
    }
}

impl<T> fmt::Debug for Ledger<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Ledger({} lines, {} reversals)",
            self.lines.len(),
            self.reversals.len()
        )
    }
}
