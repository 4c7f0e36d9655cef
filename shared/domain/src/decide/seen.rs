//! What an act has seen: the entries the state shows about the same thing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other acts replace nothing; a test holds this list against `Act::seen`"
)]

use std::collections::BTreeSet;

use names::{EntryId, limits};

use crate::case::{Case, Raise};
use crate::command::Command;
use crate::entry::Act;
use crate::merge::{Fact, MultiValue, ProtectiveSet};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::state::State;
use crate::text::Text;

type Alert = ProtectiveSet<Raise, Text>;

/// What `act` has seen of `state`, at most [`limits::SEEN_MAX`] entries. What exceeds that stays
/// standing and can be settled by the same command once more.
pub(super) fn seen(state: &State, command: &Command, act: &Act) -> Result<Vec<EntryId>, Refusal> {
    let mut seen = match (state, command, act) {
        (
            State::Case(case),
            Command::ReviewAlert {
                seen: Some(shown), ..
            },
            Act::ReviewAlert { code, .. },
        ) => shown_to_reviewer(case.alerts.get(code), shown)?,
        (State::Case(case), _, _) => seen_in_case(case, act),
        (State::Session(session), _, _) => seen_in_session(session, act),
    };
    seen.truncate(limits::SEEN_MAX);
    Ok(seen)
}

/// The list a screen gives must be about this alert, and hold a raise that stands.
fn shown_to_reviewer(alert: Option<&Alert>, shown: &[EntryId]) -> Result<Vec<EntryId>, Refusal> {
    let alert = alert.ok_or(Refusal::NothingToReview)?;
    let shown: BTreeSet<EntryId> = shown.iter().copied().collect();
    if shown.len() > limits::SEEN_MAX {
        return Err(Refusal::TooMany("entries", limits::SEEN_MAX));
    }
    if !shown.iter().all(|entry| alert.history().contains(*entry)) {
        return Err(Refusal::UnknownEntry);
    }
    if !alert
        .standing()
        .iter()
        .any(|raise| shown.contains(&raise.entry))
    {
        return Err(Refusal::NothingToReview);
    }
    Ok(shown.into_iter().collect())
}

fn seen_in_case(case: &Case, act: &Act) -> Vec<EntryId> {
    match act {
        Act::Identify { slot, .. } => heads(case.identifiers.get(slot)),
        Act::AddNote { .. } => case.status.newest().into_iter().collect(),
        Act::RaiseAlert { code, .. } => case
            .alerts
            .get(code)
            .map(Alert::newest)
            .unwrap_or_default()
            .into_iter()
            .collect(),
        Act::ReviewAlert { code, .. } => case.alerts.get(code).map(reviewed).unwrap_or_default(),
        Act::MoveTask { task, .. } => heads(case.due.get(task)),
        Act::SetStatus { .. } => case.status.heads(),
        Act::SetLead { .. } => case.lead.heads(),
        Act::SetReviewDate { .. } => case.review.heads(),
        _ => Vec::new(),
    }
}

fn seen_in_session(session: &Session, act: &Act) -> Vec<EntryId> {
    match act {
        Act::SetPlan { .. } => session.plan.heads(),
        Act::SetTimes { .. } => session.times.heads(),
        Act::Mark { attender, .. } => heads(session.register.get(attender)),
        Act::CountCash { .. } => session.counts.heads(),
        Act::HeadCount { .. } => session.head_counts.heads(),
        _ => Vec::new(),
    }
}

fn heads<T: Ord + Clone>(field: Option<&MultiValue<T>>) -> Vec<EntryId> {
    field.map(MultiValue::heads).unwrap_or_default()
}

/// The raises that stand, which a clearing review covers; then the reviews it is weighed
/// against and the newest of all, so that the next person can tell what this one knew.
fn reviewed(alert: &Alert) -> Vec<EntryId> {
    let standing: BTreeSet<EntryId> = alert.standing().iter().map(|row| row.entry).collect();
    let mut others: BTreeSet<EntryId> = alert.newest();
    let disputed = alert.disputed();
    let reviews = disputed
        .iter()
        .filter(|row| matches!(row.value, Fact::Review { .. }));
    others.extend(reviews.map(|row| row.entry));
    standing
        .iter()
        .chain(others.difference(&standing))
        .copied()
        .collect()
}
