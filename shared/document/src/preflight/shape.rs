//! What a person's change may do to a document of ours.
//!
//! A change adds entries, sets scalar fields and edits the text; nothing else. An entry is never
//! altered, replaced or deleted, and no object is made under a key that two writers could choose
//! alike. Because the objects of the fixed changes have the same ids in every document of a kind,
//! all of this can be told from the change alone.
//!
//! What a later fixed change of the same kind made (a migration this program does not know) may
//! be used in the same way: maps inserted into lists, scalars set under names, text edited.

use names::{ActorId, Reason};

use super::op::{Action, Key, Object, Op, Value};
use crate::genesis::{self, ENTRIES_OP, FIELDS_OP, TEXT_OP};

/// Which of our objects an operation is about.
#[derive(Clone, Copy)]
enum Place {
    Entries,
    Fields,
    Text,
    /// Made by a fixed change this program does not know.
    Later,
    /// Made by this same change.
    New,
}

/// Refuses an operation that is not one of those a document of ours takes.
pub(super) fn check(op: &Op<'_>, actors: &[ActorId], start: u64) -> Result<(), Reason> {
    let fits = match place(op.object, actors, start)? {
        Place::Entries => is_new_map(op),
        Place::Fields => is_set(op),
        Place::Text => is_typed(op),
        Place::Later => is_new_map(op) || is_set(op) || is_typed(op),
        Place::New => is_set(op) && op.replaces == 0,
    };
    if fits { Ok(()) } else { Err(Reason::Malformed) }
}

fn place(object: Object, actors: &[ActorId], start: u64) -> Result<Place, Reason> {
    let Object::Made(id) = object else {
        return Err(Reason::Malformed);
    };
    if id.actor == 0 {
        // What this actor made in an earlier change is an entry, and entries stay as they are.
        return if id.counter >= start {
            Ok(Place::New)
        } else {
            Err(Reason::Malformed)
        };
    }
    let actor = actors.get(id.actor).ok_or(Reason::Malformed)?;
    let (_, version) = genesis::fixed_actor_parts(actor).ok_or(Reason::Malformed)?;
    match (version, id.counter) {
        (genesis::FIRST_VERSION, ENTRIES_OP) => Ok(Place::Entries),
        (genesis::FIRST_VERSION, FIELDS_OP) => Ok(Place::Fields),
        (genesis::FIRST_VERSION, TEXT_OP) => Ok(Place::Text),
        (genesis::FIRST_VERSION, _) => Err(Reason::Malformed),
        (_, _) => Ok(Place::Later),
    }
}

fn is_new_map(op: &Op<'_>) -> bool {
    op.insert && op.action == Action::MakeMap
}

fn is_set(op: &Op<'_>) -> bool {
    matches!(op.key, Key::Name(_)) && op.action == Action::Put
}

fn is_typed(op: &Op<'_>) -> bool {
    let inserted = op.insert && op.action == Action::Put && op.value == Value::Text;
    let deleted = matches!(op.key, Key::Element(_)) && op.action == Action::Delete;
    inserted || deleted
}
