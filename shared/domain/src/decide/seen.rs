//! What an act has seen: the entries the state shows about the same thing.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other acts replace nothing; a test holds this list against `Act::seen`"
)]

use std::collections::BTreeSet;

use names::{EntryId, limits};

use crate::case::{Case, Raise};
use crate::code::ContactMode;
use crate::command::Command;
use crate::entry::Act;
use crate::merge::{MultiValue, ProtectiveSet};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::state::State;
use crate::text::Text;

type Alert = ProtectiveSet<Raise, Text>;

/// What `act` has seen of `state`, at most [`limits::SEEN_MAX`] entries. What exceeds that stays
/// standing and can be settled by the same command once more.
pub(super) fn seen(state: &State, command: &Command, act: &Act) -> Result<Vec<EntryId>, Refusal> {
    let mut seen = match (state, command, act) {
        (State::Case(case), Command::Settle { seen, .. }, Act::ReviewAlert { code, .. }) => {
            shown_to_reviewer(case.alerts.get(code), seen)?
        }
        (_, Command::Settle { seen, .. }, _) => settled(state, act, seen),
        (_, Command::EditText { seen, .. } | Command::EditCrisisPlan { seen, .. }, _) => {
            seen.clone()
        }
        (
            State::Case(case),
            Command::ReviewAlert {
                seen: Some(shown), ..
            },
            Act::ReviewAlert { code, .. },
        ) => shown_to_reviewer(case.alerts.get(code), shown)?,
        (_, Command::ReviewAlert { clear: true, .. }, _) => return Err(Refusal::NotLookedAt),
        (State::Case(case), _, _) => seen_in_case(case, act),
        (State::Session(session), _, _) => seen_in_session(session, act),
    };
    seen.truncate(limits::SEEN_MAX);
    Ok(seen)
}

/// A reversal, with how many lines it takes back: what is here under that id.
pub(super) fn with_lines(state: &State, mut act: Act) -> Act {
    if let (State::Session(session), Act::ReverseCash { cash, lines, .. }) = (state, &mut act) {
        let count = session.cash.lines().of(*cash).count();
        *lines = u32::try_from(count).ok().filter(|count| *count > 1);
    }
    act
}

/// Of a conflict exactly what was looked at; of everything else about a status, what is here.
fn settled(state: &State, act: &Act, looked_at: &[EntryId]) -> Vec<EntryId> {
    let mut seen: BTreeSet<EntryId> = looked_at.iter().copied().collect();
    match (state, act) {
        (State::Case(case), Act::SetStatus { .. }) => {
            let status = case.status.weigh();
            let standing = status.standing.iter().map(|row| row.entry);
            let overlooked = status.overlooked.iter().map(|row| row.entry);
            let mut unseen: BTreeSet<EntryId> = standing.chain(overlooked).collect();
            unseen.retain(|entry| !seen.contains(entry));
            // First what was looked at, in case it is too much.
            let others = case.status.heads_without(&unseen);
            let others = others.into_iter().filter(|entry| !seen.contains(entry));
            return seen.iter().copied().chain(others).collect();
        }
        (State::Case(case), Act::RecordOutcome { .. }) => seen = case.status.newest(),
        _ => {}
    }
    seen.into_iter().collect()
}

/// The list a screen gives must be about this alert, and hold a raise that stands.
fn shown_to_reviewer(alert: Option<&Alert>, shown: &[EntryId]) -> Result<Vec<EntryId>, Refusal> {
    let alert = alert.ok_or(Refusal::NothingToReview)?;
    let shown: BTreeSet<EntryId> = shown.iter().copied().collect();
    if shown.len() > limits::SEEN_MAX {
        return Err(Refusal::TooMany("entries", limits::SEEN_MAX));
    }
    if shown.is_empty() {
        return Err(Refusal::NotLookedAt);
    }
    if !shown.iter().all(|entry| alert.history().contains(*entry)) {
        return Err(Refusal::UnknownEntry);
    }
    let standing = alert.standing();
    if !standing.iter().any(|raise| shown.contains(&raise.entry)) {
        return Err(Refusal::NothingToReview);
    }
    Ok(shown.into_iter().collect())
}

fn seen_in_case(case: &Case, act: &Act) -> Vec<EntryId> {
    match act {
        Act::Identify { slot, .. } => heads(case.identifiers.get(slot)),
        Act::AddNote {
            mode: ContactMode::None,
            ..
        } => Vec::new(),
        Act::AddNote { .. } | Act::RecordOutcome { .. } | Act::AddTask { .. } => {
            case.status.newest().into_iter().collect()
        }
        Act::RaiseAlert { code, .. } => {
            let alert = case.alerts.get(code).map(Alert::newest);
            let mut seen: Vec<EntryId> = alert.into_iter().flatten().copied().collect();
            let newest = case.status.newest();
            seen.extend(
                newest
                    .iter()
                    .filter(|id| !alert.is_some_and(|a| a.contains(id))),
            );
            seen
        }
        Act::ReviewAlert { code, .. } => case
            .alerts
            .get(code)
            .map(Alert::in_view)
            .unwrap_or_default(),
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
        Act::Mark { attender, .. } => {
            let row = session.row(*attender);
            row.map(|row| row.marks.heads()).unwrap_or_default()
        }
        Act::MatchGuest { guest, .. } => heads(session.matches.get(guest)),
        Act::CountCash { .. } => session.counts.heads(),
        Act::HeadCount { .. } => session.head_counts.heads(),
        _ => Vec::new(),
    }
}

fn heads<T: Ord + Clone>(field: Option<&MultiValue<T>>) -> Vec<EntryId> {
    field.map(MultiValue::heads).unwrap_or_default()
}
