//! What a person's change may do to a document of ours.
//!
//! A change adds entries, sets scalar fields and edits the text; nothing else. An entry is never
//! altered, replaced or deleted, and no object is made under a key that two writers could choose
//! alike. Because the objects of the fixed changes have the same ids in every document of a kind,
//! a change alone tells which of them each operation is about.
//!
//! Only the changes it builds on tell what the operations were that it replaces, or places its
//! own behind: Automerge looks them up by their ids, whatever object they are in. They are noted
//! in [`Uses`], each with what it must have been, for [`crate::history`] to check.
//!
//! What a later fixed change of the same kind made (a migration) may be used in the same way: maps
//! inserted into lists, scalars set under names, text edited. For *admission* that is all there is
//! to it, whether a program knows the migration or not, so that all answer alike. Whoever *opens*
//! such a change must know what it uses, and judges it by that.

use std::collections::BTreeSet;

use names::{ActorId, Reason, limits};

use super::{
    deleted::Deleted,
    op::{Action, Ids, Key, Object, Op, OpId, Value},
    uses::{Made, Uses},
};
use crate::genesis::{self, ENTRIES_OP, FIELDS_OP, FIRST_VERSION, TEXT_OP};

/// Which of our objects an operation is about.
#[derive(Clone, Copy)]
enum Place {
    Entries,
    Fields,
    /// A text, by the version of the layout that made it.
    Text(u16),
    /// Made by a later fixed change than the genesis: by this operation.
    Later(OpId),
    /// Made by this same change, with this counter.
    New(u64),
}

/// A change whose operations are judged one after the other.
#[derive(Default)]
pub(super) struct Shape<'a> {
    /// Whether migrations count that this program knows: not for admission.
    opens: bool,
    uses: Uses,
    /// The characters it takes away.
    deleted: Deleted,
    /// How many of these it has made itself.
    own_deleted: u64,
    /// How many of its operations so far do not delete.
    holding: u64,
    /// The fields it sets.
    fields: BTreeSet<&'a str>,
    /// What it sets in the maps it makes.
    inside: Vec<(u64, &'a str)>,
}

impl<'a> Shape<'a> {
    /// A change that is to be opened by this program.
    pub(super) fn to_open() -> Shape<'a> {
        Shape {
            opens: true,
            ..Shape::default()
        }
    }

    /// Refuses an operation, or several of one kind, that a document of ours does not take. `start` is the
    /// counter of the change's first operation, `replaced` what this one, or the first of them, replaces.
    pub(super) fn take(
        &mut self,
        op: &Op<'a>,
        replaced: &[Ids],
        actors: &[ActorId],
        start: u64,
    ) -> Result<(), Reason> {
        let replaces = op.replaces.saturating_mul(op.count);
        self.uses.replaced = self.uses.replaced.saturating_add(replaces);
        let is_own = |id: OpId| id.actor == 0 && id.counter >= start;
        let made = match self.place(op.object, actors, start)? {
            Place::Entries if is_new_map(op) => {
                self.behind(op.key, &is_own, &Made::Entry);
                Made::Entry
            }
            Place::Fields => self.set_field(op, replaced, &is_own)?,
            Place::Text(version) => {
                if let (Object::Made(text), true) = (op.object, version > FIRST_VERSION) {
                    self.uses.name(text, Made::Text);
                }
                self.edit_text(op, replaced, &is_own, Made::Character(version))?
            }
            Place::Later(object) if is_typed(op) => {
                self.uses.name(object, Made::Later);
                self.edit_text(op, replaced, &is_own, Made::Later)?
            }
            Place::Later(object) if is_new_map(op) || is_set(op) => {
                self.uses.name(object, Made::Later);
                Made::Later
            }
            Place::New(map) => self.set_inside(op, map)?,
            Place::Entries | Place::Later(_) => return Err(Reason::Malformed),
        };
        if made != Made::Nothing {
            self.holding += op.count;
        }
        self.uses.make(op.counter, op.count, made);
        Ok(())
    }

    /// What the change uses, when all of it was taken: no character goes twice.
    pub(super) fn finish(mut self) -> Result<Uses, Reason> {
        let inside = self.inside.len();
        self.inside.sort_unstable();
        self.inside.dedup();
        if self.deleted.has_one_twice() || self.inside.len() < inside {
            return Err(Reason::Malformed);
        }
        Ok(self.uses)
    }

    /// A field's value replaces earlier values of the same field, and one change sets it once.
    fn set_field(
        &mut self,
        op: &Op<'a>,
        replaced: &[Ids],
        is_own: &dyn Fn(OpId) -> bool,
    ) -> Result<Made, Reason> {
        let Some(name) = set_name(op) else {
            return Err(Reason::Malformed);
        };
        if !self.fields.insert(name) || replaced.iter().any(|ids| is_own(ids.first)) {
            return Err(Reason::Malformed);
        }
        if self.fields.len() > limits::CHANGE_FIELDS_MAX {
            return Err(Reason::TooLarge);
        }
        let made = Made::Field(name.into());
        for ids in replaced {
            self.uses.name_all(*ids, made.clone());
        }
        Ok(made)
    }

    /// The text takes one character at a time, behind another, and loses one at a time; several come
    /// together where each follows from the one before.
    fn edit_text(
        &mut self,
        op: &Op<'a>,
        replaced: &[Ids],
        is_own: &dyn Fn(OpId) -> bool,
        made: Made,
    ) -> Result<Made, Reason> {
        if !is_typed(op) {
            return Err(Reason::Malformed);
        }
        let element = match op.key {
            Key::Element(element) if !op.insert => element,
            Key::Element(_) | Key::Head | Key::Name(_) => {
                self.behind(op.key, is_own, &made);
                return Ok(made);
            }
        };
        // Nothing ever replaces a character, so that there is one operation to delete.
        if replaced != [Ids::one(element)] {
            return Err(Reason::Malformed);
        }
        let elements = Ids {
            first: element,
            count: op.count,
            step: op.step,
        };
        self.deleted.add(elements);
        if is_own(element) {
            self.own_deleted += op.count;
        } else {
            self.uses.name_all(elements, made);
        }
        // Some goes twice, which is not to be found out twenty thousand operations later.
        if self.own_deleted > self.holding {
            return Err(Reason::Malformed);
        }
        Ok(Made::Nothing)
    }

    /// An entry is new and holds each of its scalars once: there is nothing to replace.
    fn set_inside(&mut self, op: &Op<'a>, map: u64) -> Result<Made, Reason> {
        match set_name(op) {
            Some(name) if op.replaces == 0 => {
                self.inside.push((map, name));
                Ok(Made::Inside)
            }
            Some(_) | None => Err(Reason::Malformed),
        }
    }

    /// Which of our objects that is.
    fn place(&self, object: Object, actors: &[ActorId], start: u64) -> Result<Place, Reason> {
        let Object::Made(id) = object else {
            return Err(Reason::Malformed);
        };
        if id.actor == 0 {
            // What this actor made in an earlier change is an entry, and entries stay as they are.
            return if id.counter >= start {
                Ok(Place::New(id.counter))
            } else {
                Err(Reason::Malformed)
            };
        }
        let actor = actors.get(id.actor).ok_or(Reason::Malformed)?;
        let (kind, version) = genesis::fixed_actor_parts(actor).ok_or(Reason::Malformed)?;
        match (version, id.counter) {
            (FIRST_VERSION, ENTRIES_OP) => Ok(Place::Entries),
            (FIRST_VERSION, FIELDS_OP) => Ok(Place::Fields),
            (FIRST_VERSION, TEXT_OP) => Ok(Place::Text(FIRST_VERSION)),
            (FIRST_VERSION, _) => Err(Reason::Malformed),
            (_, counter) if self.opens && genesis::is_text_of(kind, version, counter) => {
                Ok(Place::Text(version))
            }
            (_, _) => Ok(Place::Later(id)),
        }
    }

    /// Notes the element an operation refers to, unless this change makes it: then the reader has
    /// seen that it is one of the same object.
    fn behind(&mut self, key: Key<'a>, is_own: &dyn Fn(OpId) -> bool, made: &Made) {
        if let Key::Element(element) = key
            && !is_own(element)
        {
            self.uses.name(element, made.clone());
        }
    }
}

fn is_new_map(op: &Op<'_>) -> bool {
    op.insert && op.action == Action::MakeMap
}

fn is_set(op: &Op<'_>) -> bool {
    set_name(op).is_some()
}

/// The name under which an operation sets a scalar.
fn set_name<'a>(op: &Op<'a>) -> Option<&'a str> {
    match op.key {
        Key::Name(name) if op.action == Action::Put => Some(name),
        Key::Name(_) | Key::Head | Key::Element(_) => None,
    }
}

fn is_typed(op: &Op<'_>) -> bool {
    let inserted = op.insert && op.action == Action::Put && is_character(op.value);
    let deleted = matches!(op.key, Key::Element(_)) && op.action == Action::Delete;
    inserted || deleted
}

/// One Unicode scalar value: positions are counted in them, and an element that held more or less
/// would be more or less than one position.
fn is_character(value: Value<'_>) -> bool {
    let Value::Text(text) = value else {
        return false;
    };
    let mut characters = text.chars();
    characters.next().is_some() && characters.next().is_none()
}
