//! From what a person asks to what is written down.

use names::{EntryId, Moment};

use crate::command::{By, Command, Edits};
use crate::refusal::Refusal;
use crate::state::State;

/// Decides a command on the state in front of it.
///
/// # Errors
/// [`Refusal`]: why not; nothing is to be written.
pub fn decide(
    state: &State,
    command: &Command,
    entry: EntryId,
    by: &By,
    now: Moment,
) -> Result<Edits, Refusal> {
    let _ = (state, command, entry, by, now);
    Ok(Edits::default())
}
