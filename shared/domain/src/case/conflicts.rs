//! What of a case waits for a person.

use std::collections::BTreeSet;

use names::WorkerId;

use super::{Case, Opening, Outcome, Raise};
use crate::conflict::{Conflict, Subject, Version, folded, with_reason};
use crate::merge::{Fact, Row};
use crate::text::Text;
use crate::time::Day;

impl Case {
    /// What waits for a person, the safety facts first.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = self.alert_conflicts();
        conflicts.extend(self.status_conflict());
        conflicts.extend(Conflict::among_all(
            Subject::Opening,
            &self.openings,
            |opening| (opening.opened, folded(&opening.source)),
            opening_words,
        ));
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
        // Nobody needs to know by when something should have been done that is done.
        let open = self.due.iter().filter(|(task, _)| !self.is_done(**task));
        for (task, due) in open {
            let words = |due: &Option<Day>| due.as_ref().map(day).unwrap_or_default();
            let earliest = self.due(*task).as_ref().map(day).unwrap_or_default();
            conflicts.extend(Conflict::among(
                Subject::TaskDue { task: *task },
                due,
                words,
                earliest,
            ));
        }
        conflicts.extend(self.outcome_conflicts());
        conflicts
    }

    /// Corrections of one outcome by two who did not know of each other, if they differ.
    fn outcome_conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (outcome, versions) in self.outcomes.forks() {
            let said = |row: &Row<'_, Outcome>| {
                let outcome = row.value;
                (
                    outcome.instrument,
                    outcome.total,
                    outcome.taken,
                    outcome.point,
                )
            };
            let different: BTreeSet<_> = versions.iter().map(said).collect();
            if different.len() > 1 {
                let values = versions.iter();
                let values = values.map(|row| Version::of(row, outcome_words(row.value)));
                conflicts.push(Conflict {
                    about: Subject::Outcome { outcome },
                    values: values.collect(),
                    operational: Text::default(),
                });
            }
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
        let status = self.status.weigh();
        if !status.is_contested() {
            return None;
        }
        let moves = status.standing.iter().map(|row| {
            let words = with_reason(row.value.value.as_str(), &row.value.reason);
            Version::of(row, words)
        });
        let overlooked = status.overlooked.iter();
        let overlooked = overlooked.map(|row| Version::of(row, Text::from(row.value.words())));
        Some(Conflict {
            about: Subject::Status,
            values: moves.chain(overlooked).collect(),
            operational: Text::from(status.operational().as_str()),
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

fn opening_words(opening: &Opening) -> Text {
    with_reason(&opening.opened.to_string(), &opening.source)
}

fn outcome_words(outcome: &Outcome) -> Text {
    let (name, total, taken) = (outcome.instrument.words(), outcome.total, outcome.taken);
    with_reason(&format!("{name} {total} on {taken}"), &outcome.reason)
}
