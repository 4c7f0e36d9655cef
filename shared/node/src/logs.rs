//! Reading a log: its pages, and the entries in them.
//!
//! What one turn tells of in a scope stands in one row, a *page*, at the position of its last entry:
//! a row for each entry would be what a first sync reads most of. Positions count entries, so a
//! peer may stand in the middle of a page.

use names::{ScopeId, WriterId};
use store::{Snapshot, StoreError, Table};

use crate::{
    draft::{decode_row, unless_damaged},
    rows::{LogEntry, LogPage, log_name},
};

/// Entries in one page: what a turn of a fill tells of is split up, so that a peer that stands in
/// the middle of it reads little for the second time.
pub(crate) const PAGE_ENTRIES_MAX: usize = 256;
/// Pages read at once: a frame takes up some hundred entries, and a full page has as many.
const PAGES: usize = 8;

/// The log that one process has written in a scope.
pub(crate) struct Log<'p, P> {
    snapshot: &'p P,
    name: Vec<u8>,
}

/// What stands in a page of a log, beyond what was asked for.
pub(crate) struct Stretch {
    /// The position of each entry. None of a page that is damaged: what it named is found by the
    /// proof that follows.
    pub(crate) entries: Vec<(u64, LogEntry)>,
    /// The position of the last.
    pub(crate) last: u64,
}

impl<'p, P: Snapshot> Log<'p, P> {
    /// The log of `writer` in a scope, as it stands in a snapshot.
    pub(crate) fn new(snapshot: &'p P, scope: &ScopeId, writer: WriterId) -> Log<'p, P> {
        Log {
            snapshot,
            name: log_name(scope, writer),
        }
    }

    /// Some pages of what comes after `after`, up to `end`; nothing when there is nothing more.
    ///
    /// # Errors
    /// Every failure of the store but damaged rows.
    pub(crate) fn after(&self, after: u64, end: u64) -> Result<Vec<Stretch>, StoreError> {
        let from = after.saturating_add(1);
        let rows = self.snapshot.range(Table::Log, &self.name, from, PAGES);
        let rows = match unless_damaged(rows)? {
            Some(rows) => rows.into_iter().map(|(at, row)| (at, Some(row))).collect(),
            None => self.one_by_one(from, end)?,
        };
        let mut stretches = Vec::with_capacity(rows.len());
        let mut reached = after;
        for (last, bytes) in rows {
            if reached >= end {
                break;
            }
            let page = bytes.map(|bytes| decode_row::<LogPage>(Table::Log, &bytes));
            let page = unless_damaged(page.transpose())?.flatten();
            let entries = page.map_or(Vec::new(), |page| page.entries);
            let first = last.saturating_add(1).saturating_sub(entries.len() as u64);
            let asked = |at: &u64| *at > after && *at <= end;
            let entries = (first..=last).zip(entries).filter(|(at, _)| asked(at));
            reached = last;
            stretches.push(Stretch {
                entries: entries.collect(),
                last: last.min(end),
            });
        }
        Ok(stretches)
    }

    /// The rows beside damaged ones. Most positions have none.
    fn one_by_one(&self, from: u64, end: u64) -> Result<Vec<MaybePage>, StoreError> {
        let mut rows = Vec::new();
        for at in from.. {
            let row = unless_damaged(self.snapshot.get(Table::Log, &self.name, at))?;
            match row {
                Some(None) => {}
                Some(bytes) => rows.push((at, bytes)),
                None => rows.push((at, None)),
            }
            // The page in which `end` stands may reach beyond it.
            let is_past = at >= end && rows.last().is_some_and(|(last, _)| *last >= end);
            if rows.len() >= PAGES || is_past || at >= end.saturating_add(PAGE_ENTRIES_MAX as u64) {
                break;
            }
        }
        Ok(rows)
    }
}

/// The position of a page, and its bytes unless it is damaged.
type MaybePage = (u64, Option<Vec<u8>>);

#[cfg(test)]
#[path = "tests/logs.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
