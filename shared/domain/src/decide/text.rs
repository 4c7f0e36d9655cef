//! Edits of a document's text: held against the text they were made on, and what they take away.

use names::limits;

use crate::command::{Command, Splice, Typing, Writing};
use crate::entry::Act;
use crate::refusal::Refusal;
use crate::state::State;
use crate::text::Text;

/// Splices of one command. More means that a client lost count of what it has sent.
const SPLICES_MAX: usize = 1_000;

/// The act of an edit, which has seen and removed nothing yet.
pub(super) fn edit_text(state: &State, typing: &Typing<'_>) -> Result<Act, Refusal> {
    let splices = typing.splices;
    if state.prose_of(typing.writing).is_none() {
        return Err(Refusal::WrongKind);
    }
    if splices.len() > SPLICES_MAX {
        return Err(Refusal::TooMany("edits", SPLICES_MAX));
    }
    let count = |of: fn(&Splice) -> usize| splices.iter().map(of).fold(0, usize::saturating_add);
    let inserted = count(|splice| splice.insert.chars().count());
    let deleted = count(|splice| splice.delete);
    match inserted.saturating_add(deleted) {
        0 => return Err(Refusal::Empty("the edit")),
        1..=limits::PLAN_INSERT_MAX => {}
        _ => return Err(Refusal::TooMany("characters", limits::PLAN_INSERT_MAX)),
    }
    // Both are below the bound just checked.
    let (inserted, deleted) = (inserted as u32, deleted as u32);
    let (removed, seen) = (Text::default(), Vec::new());
    Ok(match typing.writing {
        Writing::Main => Act::EditText {
            inserted,
            deleted,
            removed,
            seen,
        },
        Writing::CrisisPlan => Act::EditCrisisPlan {
            inserted,
            deleted,
            removed,
            seen,
        },
    })
}

/// The person must have looked at this very text, and every splice must lie within what its
/// predecessors leave. Otherwise the edit would take away words that nobody has read.
pub(super) fn check_edit(state: &State, typing: &Typing<'_>) -> Result<(), Refusal> {
    let prose = state.prose_of(typing.writing).ok_or(Refusal::WrongKind)?;
    let mut length = prose.length();
    let mut seen = typing.seen.to_vec();
    seen.sort_unstable();
    if typing.length.is_some_and(|looked_at| looked_at != length) || seen != prose.newest() {
        return Err(Refusal::TextChanged);
    }
    for splice in typing.splices {
        let end = splice
            .position
            .checked_add(splice.delete)
            .ok_or(Refusal::TextChanged)?;
        if end > length {
            return Err(Refusal::TextChanged);
        }
        length = length - splice.delete + splice.insert.chars().count();
    }
    Ok(())
}

/// An act that edits a text, with the characters that it takes away.
pub(super) fn with_removed(state: &State, command: &Command, mut act: Act) -> Act {
    if let (Some(typing), Act::EditText { removed, .. } | Act::EditCrisisPlan { removed, .. }) =
        (command.typing(), &mut act)
        && let Some(prose) = state.prose_of(typing.writing)
    {
        *removed = taken_away(prose.text(), typing.splices);
    }
    act
}

/// The characters that splices take away, one splice's after the other's.
fn taken_away(text: &Text, splices: &[Splice]) -> Text {
    let mut removed = String::new();
    if splices.iter().all(|splice| splice.delete == 0) {
        return Text::default();
    }
    let mut text: Vec<char> = text.as_str().chars().collect();
    for splice in splices {
        let from = splice.position.min(text.len());
        let to = from.saturating_add(splice.delete).min(text.len());
        removed.extend(text.splice(from..to, splice.insert.chars()));
    }
    Text::from(removed)
}
