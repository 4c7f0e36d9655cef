//! From what a person asks to what is written down.
//!
//! A command becomes one entry. In this order: its words are checked and put into their kept
//! form (`draft`); an entry id that already stands for the same act ends here, with success and
//! nothing to write; the worker's roles are looked at; the act is held against the state
//! (`check`); and what the state shows becomes what the act has seen (`seen`).

mod check;
mod draft;
mod seen;
mod settle;
mod text;

use names::{EntryId, Moment};

use crate::command::{By, Command, Edits};
use crate::entry::{Act, Entry};
use crate::refusal::Refusal;
use crate::role::{Power, Role};
use crate::state::State;

/// Decides a command on the state in front of it.
///
/// `entry` is the id drawn for it where the person asked; `now` is that place's clock. Nothing
/// to write ([`Edits::is_empty`]) means that this very entry is recorded already.
///
/// # Errors
/// [`Refusal`]: why not. Nothing is to be written then.
pub fn decide(
    state: &State,
    command: &Command,
    entry: EntryId,
    by: &By,
    now: Moment,
) -> Result<Edits, Refusal> {
    let act = draft::draft(state, command)?;
    if is_recorded(state, &act, entry, by)? {
        return Ok(Edits::default());
    }
    check_power(state, &act, by)?;
    check::check(state, command, &act, now)?;
    let seen = seen::seen(state, command, &act)?;
    let act = text::with_removed(state, command, seen::with_lines(state, act));
    let mut edits = Edits::default();
    if let Act::SetField { field, value } = &act {
        edits
            .fields
            .push((field.as_str().to_owned(), value.as_str().to_owned()));
    }
    if let Some(typing) = command.typing() {
        edits.writing = typing.writing;
        edits.splices = typing.splices.to_vec();
    }
    let (worker, site) = (by.worker.clone(), by.site.clone());
    let entry = Entry {
        id: entry,
        at: now,
        by: worker,
        site,
        act: act.with_seen(seen),
    };
    edits.entries.push(entry);
    Ok(edits)
}

/// Whether this entry is in the record already. What it had seen then does not matter: the
/// record has moved on since.
fn is_recorded(state: &State, act: &Act, entry: EntryId, by: &By) -> Result<bool, Refusal> {
    let mut rows = state.journal().of(entry).peekable();
    if rows.peek().is_none() {
        return Ok(false);
    }
    if rows.any(|row| row.value == act && row.made.by == by.worker) {
        Ok(true)
    } else {
        Err(Refusal::EntryIdUsed)
    }
}

fn check_power(state: &State, act: &Act, by: &By) -> Result<(), Refusal> {
    let may = |power: Power| by.roles.iter().any(|role: &Role| role.may(power));
    if let Act::SetLead { worker, .. } = act
        && *worker == by.worker
        && may(Power::TakeLead)
    {
        return Ok(());
    }
    let power = power_for(state, act);
    if may(power) {
        Ok(())
    } else {
        Err(Refusal::NotAllowed(power))
    }
}

/// The power an act needs. Taking the lead oneself is looked at before.
fn power_for(state: &State, act: &Act) -> Power {
    let in_session = matches!(state, State::Session(_));
    match act {
        Act::OpenCase { .. }
        | Act::Identify { .. }
        | Act::AddTask { .. }
        | Act::MoveTask { .. }
        | Act::CompleteTask { .. }
        | Act::AddTheme { .. } => Power::Register,
        Act::AddNote { .. } | Act::CorrectNote { .. } | Act::RecordOutcome { .. } => {
            Power::WriteNotes
        }
        Act::RaiseAlert { .. } => Power::RaiseAlert,
        Act::ReviewAlert { .. } => Power::ReviewAlert,
        Act::SetStatus { .. } | Act::SetReviewDate { .. } => Power::SteerCase,
        Act::SetLead { .. } => Power::AssignLead,
        Act::OpenSession { .. } | Act::SetPlan { .. } => Power::PlanSession,
        Act::EditText { .. } | Act::SetField { .. } if in_session => Power::RunSession,
        Act::EditText { .. } | Act::EditCrisisPlan { .. } => Power::WriteNotes,
        Act::SetField { .. } => Power::Register,
        Act::SetTimes { .. }
        | Act::Mark { .. }
        | Act::AddGuest { .. }
        | Act::MatchGuest { .. }
        | Act::TakeCash { .. }
        | Act::PayOut { .. }
        | Act::CountCash { .. }
        | Act::ReverseCash { .. }
        | Act::HeadCount { .. }
        | Act::Tick { .. }
        // No command asks for what cannot be read.
        | Act::Unread { .. } => Power::RunSession,
    }
}
