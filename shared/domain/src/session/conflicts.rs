//! What of a session waits for a person.

use super::register::{SAME_TIME_MINUTES, differ, in_force, spread};
use super::{Attended, Marked, Opening, Plan, Session, Times};
use crate::attender::Attender;
use crate::conflict::{Conflict, Subject, Version, folded, with_reason};
use crate::text::Text;
use names::EntryId;

impl Session {
    /// What waits for a person, the register first.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (attender, row) in self.rows() {
            conflicts.extend(self.attendance_conflict(attender, &row));
        }
        for (guest, said) in &self.matches {
            let about = Subject::Guest { guest: *guest };
            let words = |to: &Option<Attender>| self.match_words(*to);
            conflicts.extend(Conflict::among(about, said, words, Text::default()));
        }
        let reversed = self.cash.reversed();
        let twice = self.cash.lines().ambiguous();
        for cash in twice.filter(|cash| !reversed.contains(cash)) {
            conflicts.push(self.line_conflict(cash));
        }
        conflicts.extend(Conflict::among_all(
            Subject::Opening,
            &self.openings,
            // As the register's id is made: how a venue was typed makes it no other register.
            |opening| (folded(&opening.venue), opening.date, opening.start),
            opening_words,
        ));
        let counted = |pence: &u32| Text::from(pounds(i64::from(*pence)));
        let least = self.counts.least().map(counted).unwrap_or_default();
        conflicts.extend(Conflict::among(
            Subject::CashCount,
            &self.counts,
            counted,
            least,
        ));
        let people = |people: &u32| Text::from(people.to_string());
        let most = self
            .head_counts
            .values()
            .last()
            .copied()
            .map(people)
            .unwrap_or_default();
        conflicts.extend(Conflict::among(
            Subject::HeadCount,
            &self.head_counts,
            people,
            most,
        ));
        conflicts.extend(Conflict::among(
            Subject::Plan,
            &self.plan,
            plan_words,
            self.plan.least().map(plan_words).unwrap_or_default(),
        ));
        if self.times_differ() {
            let widest = self
                .widest_times()
                .as_ref()
                .map(times_words)
                .unwrap_or_default();
            conflicts.extend(Conflict::among(
                Subject::Times,
                &self.times,
                times_words,
                widest,
            ));
        }
        conflicts
    }

    fn attendance_conflict(&self, attender: Attender, row: &Attended<'_>) -> Option<Conflict> {
        if !differ(&row.marks) {
            return None;
        }
        let operational = in_force(&row.marks).as_ref().map(mark_words);
        // A guest goes by an id; beside a mark stands the name.
        let name = self.guest_names(attender).into_iter().next();
        let words = |marked: &Marked| match &name {
            Some(name) => Text::from(format!("{}: {}", name.as_str(), mark_words(marked))),
            None => Text::from(mark_words(marked)),
        };
        let standing = row.marks.standing();
        let values = standing.iter();
        let values = values.map(|row| Version::of(row, words(&row.value.value)));
        Some(Conflict {
            about: Subject::Attendance { attender },
            values: values.collect(),
            operational: Text::from(operational.unwrap_or_default()),
        })
    }

    fn match_words(&self, to: Option<Attender>) -> Text {
        let Some(attender) = to else {
            return Text::from("nobody else");
        };
        let name = self.guest_names(attender).into_iter().next();
        with_reason(&attender.to_string(), &name.cloned().unwrap_or_default())
    }

    /// Several lines under one id: nobody can say which of them is meant. Whoever sees them takes
    /// all back, and enters again what is right.
    fn line_conflict(&self, cash: EntryId) -> Conflict {
        let values = self.cash.lines().of(cash).map(|row| {
            let words = with_reason(&pounds(row.value.pence), &row.value.about.what);
            Version::of(&row, words)
        });
        Conflict {
            about: Subject::CashLine { cash },
            values: values.collect(),
            operational: Text::from("all count until they are taken back together"),
        }
    }

    fn times_differ(&self) -> bool {
        let values = self.times.values();
        let starts = spread(values.iter().map(|times| times.start));
        let ends = spread(values.iter().map(|times| times.end));
        starts.max(ends) > SAME_TIME_MINUTES
    }
}

/// What a facilitator wrote beside somebody.
fn mark_words(marked: &Marked) -> String {
    let mut words = String::from(marked.attendance.as_str());
    for (label, time) in [("arrived", marked.arrived), ("left", marked.left)] {
        if let Some(time) = time {
            words.push_str(&format!(", {label} {time}"));
        }
    }
    words
}

fn opening_words(opening: &Opening) -> Text {
    let (venue, date, start) = (opening.venue.as_str(), opening.date, opening.start);
    Text::from(format!("{venue}, {date} at {start}"))
}

fn pounds(pence: i64) -> String {
    let sign = if pence < 0 { "-" } else { "" };
    let pence = pence.unsigned_abs();
    format!("{sign}£{}.{:02}", pence / 100, pence % 100)
}

fn plan_words(plan: &Plan) -> Text {
    match plan.end {
        Some(end) => Text::from(format!("{} until {end}", plan.form)),
        None => Text::from(plan.form.as_str()),
    }
}

fn times_words(times: &Times) -> Text {
    Text::from(format!("{} to {}", times.start, times.end))
}
