//! Edits of a document's text: held against the text they were made on, and what they take away.

use names::{EntryId, limits};

use crate::command::Splice;
use crate::entry::Act;
use crate::merge::Prose;
use crate::refusal::Refusal;
use crate::text::Text;

/// Splices of one command. More means that a client lost count of what it has sent.
const SPLICES_MAX: usize = 1_000;

/// The act of an edit, which has seen and removed nothing yet.
pub(super) fn edit_text(splices: &[Splice]) -> Result<Act, Refusal> {
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
    Ok(Act::EditText {
        inserted: inserted as u32,
        deleted: deleted as u32,
        removed: Text::default(),
        seen: Vec::new(),
    })
}

/// The person must have looked at this very text, and every splice must lie within what its
/// predecessors leave. Otherwise the edit would take away words that nobody has read.
pub(super) fn check_edit(
    prose: &Prose,
    splices: &[Splice],
    seen: &[EntryId],
    looked_at: Option<usize>,
) -> Result<(), Refusal> {
    let mut length = prose.length();
    let mut seen = seen.to_vec();
    seen.sort_unstable();
    if looked_at.is_some_and(|looked_at| looked_at != length) || seen != prose.newest() {
        return Err(Refusal::TextChanged);
    }
    for splice in splices {
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

/// The characters that splices take away, one splice's after the other's.
pub(super) fn removed(text: &Text, splices: &[Splice]) -> Text {
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
