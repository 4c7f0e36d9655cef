//! What of a case waits for a person.

use names::WorkerId;

use super::{Case, Raise};
use crate::conflict::{Conflict, Subject, Version};
use crate::merge::{Fact, Row};
use crate::text::Text;
use crate::time::Day;

impl Case {
    /// What waits for a person, the safety facts first.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = self.alert_conflicts();
        conflicts.extend(self.status_conflict());
        for (slot, value) in &self.identifiers {
            let about = Subject::Identifier { slot: *slot };
            conflicts.extend(Conflict::among(about, value, Text::clone, Text::default()));
        }
        let worker = |worker: &WorkerId| Text::from(worker.as_str());
        conflicts.extend(Conflict::among(
            Subject::Lead,
            &self.lead,
            worker,
            Text::default(),
        ));
        let day = |day: &Day| Text::from(day.to_string());
        let earliest = self.review.least().map(day).unwrap_or_default();
        conflicts.extend(Conflict::among(
            Subject::ReviewDate,
            &self.review,
            day,
            earliest,
        ));
        for (task, due) in &self.due {
            let words = |due: &Option<Day>| due.as_ref().map(day).unwrap_or_default();
            let earliest = self.due(*task).as_ref().map(day).unwrap_or_default();
            conflicts.extend(Conflict::among(
                Subject::TaskDue { task: *task },
                due,
                words,
                earliest,
            ));
        }
        conflicts
    }

    fn alert_conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (code, set) in &self.alerts {
            let disputed = set.disputed();
            if !disputed.is_empty() {
                conflicts.push(Conflict {
                    about: Subject::Alert { code: *code },
                    values: disputed.iter().map(alert_version).collect(),
                    operational: Text::from("stands"),
                });
            }
        }
        conflicts
    }

    fn status_conflict(&self) -> Option<Conflict> {
        if !self.status.is_contested() {
            return None;
        }
        let moves = self.status.standing();
        let moves = moves.iter().map(|row| {
            let words = with_reason(row.value.value.as_str(), &row.value.reason);
            Version::of(row, words)
        });
        let overlooked = self.status.overlooked();
        let contacts = overlooked
            .iter()
            .map(|row| Version::of(row, Text::from("contact noted")));
        Some(Conflict {
            about: Subject::Status,
            values: moves.chain(contacts).collect(),
            operational: Text::from(self.status.operational().as_str()),
        })
    }
}

fn alert_version(row: &Row<'_, Fact<Raise, Text>>) -> Version {
    let words = match row.value {
        Fact::Raise(raise) => with_reason("raised", &raise.detail),
        Fact::Review { clear: true, said } => with_reason("cleared", said),
        Fact::Review { clear: false, said } => with_reason("kept", said),
    };
    Version::of(row, words)
}

fn with_reason(what: &str, reason: &Text) -> Text {
    if reason.is_empty() {
        Text::from(what)
    } else {
        Text::from(format!("{what}: {}", reason.as_str()))
    }
}
