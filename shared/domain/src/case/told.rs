//! What a case tells when it is asked.

use std::collections::BTreeSet;

use names::{EntryId, Kind, SiteId};

use super::Case;
use crate::code::{AlertCode, Slot};
use crate::merge::{Fact, MultiValue, Row};
use crate::summary::{AlertReview, Summary, TaskRow};
use crate::text::Text;
use crate::time::Day;
use crate::unread::{Unread, with_code};

impl Case {
    /// Whether the case has been begun.
    pub fn is_open(&self) -> bool {
        !self.openings.is_empty() || with_code(&self.unread, "open-case").next().is_some()
    }

    /// Alerts that were raised and that this version cannot read: which they are it does not
    /// know, nor whether anybody has cleared them. They stand.
    pub fn unread_alerts(&self) -> Vec<Row<'_, Unread>> {
        with_code(&self.unread, "raise-alert").collect()
    }

    /// The alerts that stand.
    pub fn standing_alerts(&self) -> Vec<AlertCode> {
        let standing = self.alerts.iter().filter(|(_, set)| set.stands());
        standing.map(|(code, _)| *code).collect()
    }

    /// By when the alerts that stand are to be reviewed, the earliest first. A raise asks for one
    /// until a review has seen it (`reference/domain.md` 1.3 C, review-by): whoever looks again
    /// and finds it still so may raise it anew with another day.
    pub fn alert_reviews(&self) -> Vec<AlertReview> {
        let mut reviews = Vec::new();
        for (code, set) in &self.alerts {
            let said = set.history().rows();
            let looked = said.filter(|row| matches!(row.value, Fact::Review { .. }));
            // An id used twice has seen nothing, so it takes no date out of anybody's list.
            let looked = looked.filter(|row| !set.history().is_ambiguous(row.entry));
            let looked: BTreeSet<EntryId> = looked.flat_map(|row| row.seen).copied().collect();
            let asked = set
                .standing()
                .into_iter()
                .filter_map(|row| match row.value {
                    Fact::Raise(raise) if !looked.contains(&row.entry) => {
                        Some((raise.review_by?, row.entry))
                    }
                    Fact::Raise(_) | Fact::Review { .. } => None,
                });
            reviews.extend(asked.min().map(|(due, raise)| AlertReview {
                code: *code,
                due,
                raise,
            }));
        }
        reviews.sort_by_key(|review| review.due);
        reviews
    }

    /// The standing values of an identifier, each once; taken away ones left out.
    pub fn identifier(&self, slot: Slot) -> Vec<Text> {
        let values = self
            .identifiers
            .get(&slot)
            .map(MultiValue::values)
            .unwrap_or_default();
        values
            .into_iter()
            .filter(|value| !value.is_empty())
            .cloned()
            .collect()
    }

    /// When a task is due: the earliest standing date, none if no standing one names a day.
    pub fn due(&self, task: EntryId) -> Option<Day> {
        let values = self
            .due
            .get(&task)
            .map(MultiValue::values)
            .unwrap_or_default();
        values.into_iter().flatten().min().copied()
    }

    /// Whether anybody says that a task is done.
    pub fn is_done(&self, task: EntryId) -> bool {
        self.completions.contains_key(&task)
    }

    /// The tasks that nobody says are done, in the order of their due dates.
    pub fn open_tasks(&self) -> Vec<TaskRow> {
        let open = self
            .tasks
            .in_order()
            .into_iter()
            .filter(|row| !self.is_done(row.entry));
        let mut rows: Vec<TaskRow> = open
            .map(|row| TaskRow {
                task: row.entry,
                due: self.due(row.entry),
                what: row.value.what.clone(),
                whom: row.value.whom.clone(),
            })
            .collect();
        // A task without a date is listed last, not first.
        rows.sort_by_key(|row| (row.due.is_none(), row.due));
        rows
    }

    /// Where it was begun. Of differing beginnings no clock picks one: it is the least.
    fn begun_at(&self) -> Option<&SiteId> {
        let first = self.openings.rows();
        let first = first.min_by_key(|row| (row.value, &row.made.site));
        let first = first.map(|row| &row.made.site);
        first.or_else(|| {
            with_code(&self.unread, "open-case")
                .map(|row| &row.made.site)
                .min()
        })
    }

    /// Entries that say something about another one that is not here, or not of the right kind,
    /// and those that do not belong into a case.
    pub(crate) fn leftovers(&self) -> BTreeSet<EntryId> {
        let mut left = self.strays.clone();
        let corrections = self.corrections.rows();
        let corrections = corrections.filter(|row| !self.notes.contains(row.value.note));
        left.extend(corrections.map(|row| row.entry));
        for (task, done) in &self.completions {
            if !self.tasks.contains(*task) {
                left.extend(done.rows().map(|row| row.entry));
            }
        }
        for (task, due) in &self.due {
            if !self.tasks.contains(*task) {
                left.extend(due.history().rows().map(|row| row.entry));
            }
        }
        left
    }

    /// The row for lists.
    pub(crate) fn summary(&self, flaws: u32) -> Summary {
        let status = self.status.weigh();
        Summary {
            site: self.begun_at().cloned(),
            title: self.identifier(Slot::Name),
            known_as: self.identifier(Slot::KnownAs),
            date_of_birth: self.identifier(Slot::DateOfBirth),
            nhs_number: self.identifier(Slot::NhsNumber),
            status: self.is_open().then(|| status.operational()),
            contested: status.is_contested(),
            lead: self.lead.values().into_iter().cloned().collect(),
            alerts: self.standing_alerts(),
            unread_alerts: u32::try_from(self.unread_alerts().len()).unwrap_or(u32::MAX),
            alert_reviews: self.alert_reviews(),
            conflicts: u32::try_from(self.conflicts().len()).unwrap_or(u32::MAX),
            tasks: self.open_tasks(),
            next_review: self.review.least().copied(),
            entries: self.journal.len() as u64,
            last_at: self.journal.latest(),
            ..Summary::empty(Kind::CASE, flaws)
        }
    }
}
