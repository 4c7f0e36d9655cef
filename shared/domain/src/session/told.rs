//! What a session tells when it is asked.

use std::collections::BTreeSet;

use names::{EntryId, Kind};

use super::{Cash, Session, Times};
use crate::code::Field;
use crate::merge::{Derived, Line};
use crate::summary::Summary;
use crate::unread::with_code;

impl Session {
    /// Whether the session has been begun.
    pub fn is_open(&self) -> bool {
        !self.openings.is_empty() || with_code(&self.unread, "open-session").next().is_some()
    }

    /// Cash received, in pence, without what was taken back.
    pub fn received(&self) -> Derived<i64> {
        Derived(self.cash.total(|line| line.pence > 0))
    }

    /// Cash paid out, in pence, without what was taken back.
    pub fn paid_out(&self) -> Derived<i64> {
        Derived(-self.cash.total(|line| line.pence < 0))
    }

    /// What should be in the tin: received less paid out, in pence.
    pub fn expected_cash(&self) -> Derived<i64> {
        Derived(self.cash.total(|_: &Line<Cash>| true))
    }

    /// What a count found more, or less if negative, than there should be, in pence.
    pub fn variance(&self, counted_pence: u32) -> Derived<i64> {
        Derived(i64::from(counted_pence) - self.expected_cash().0)
    }

    /// The times that operate: from the earliest standing start to the latest standing end.
    pub fn widest_times(&self) -> Option<Times> {
        let values = self.times.values();
        let start = values.iter().map(|times| times.start).min()?;
        let end = values.iter().map(|times| times.end).max()?;
        Some(Times { start, end })
    }

    /// Entries that say something about another one that is not here, and those that do not
    /// belong into a session.
    pub(crate) fn leftovers(&self) -> BTreeSet<EntryId> {
        let mut left = self.strays.clone();
        for (guest, said) in &self.matches {
            if !self.guests.contains(*guest) {
                left.extend(said.history().rows().map(|row| row.entry));
            }
        }
        left
    }

    /// The row for lists.
    pub(crate) fn summary(&self, flaws: u32) -> Summary {
        // Of differing beginnings no clock picks one: it is the least.
        let first = self.openings.rows();
        let first = first.min_by_key(|row| (row.value, &row.made.site));
        let opening = first.map(|row| row.value);
        let unread = with_code(&self.unread, "open-session")
            .map(|row| &row.made.site)
            .min();
        let site = first.map(|row| &row.made.site).or(unread).cloned();
        let venue = opening.map(|opening| opening.venue.clone());
        let title = self
            .fields
            .get(Field::Title)
            .filter(|title| !title.is_empty())
            .cloned();
        Summary {
            site,
            title: title.or_else(|| venue.clone()).into_iter().collect(),
            conflicts: u32::try_from(self.conflicts().len()).unwrap_or(u32::MAX),
            venue,
            date: opening.map(|opening| opening.date),
            start: opening.map(|opening| opening.start),
            attended: self.attended().0,
            cash_pence: self.expected_cash().0,
            entries: self.journal.len() as u64,
            last_at: self.journal.latest(),
            ..Summary::empty(Kind::SESSION, flaws)
        }
    }
}
