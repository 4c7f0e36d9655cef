//! From Automerge to `domain`: never fails, and reports what it could not read.

use std::collections::BTreeMap;

use automerge::{
    Automerge, ObjId, ObjType, Patch, PatchAction, ROOT, ReadDoc, ScalarValue, ValueRef,
};
use domain::{Flaw, FlawAt, State};
use names::{Kind, Reason};

use crate::schema::{self, Found, Row};

/// The objects the genesis made.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) entries: ObjId,
    pub(crate) fields: ObjId,
    pub(crate) text: ObjId,
}

impl Places {
    /// Finds them in a document that holds its genesis.
    pub(crate) fn find(auto: &Automerge) -> Option<Places> {
        let place = |key: &str, kind: ObjType| {
            let (value, id) = auto.get(ROOT, key).ok()??;
            (value.to_objtype() == Some(kind)).then_some(id)
        };
        Some(Places {
            entries: place(schema::ENTRIES, ObjType::List)?,
            fields: place(schema::FIELDS, ObjType::Map)?,
            text: place(schema::TEXT, ObjType::Text)?,
        })
    }
}

/// What a document says, kept beside it so that one more change costs little.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) state: State,
    /// Places that could not be read, or not wholly; without those `domain` finds.
    pub(crate) flaws: Vec<Flaw>,
    /// The text as it stands: Automerge would put it together from single characters each time.
    pub(crate) text: String,
}

impl Reading {
    /// Reads everything. `None` for a kind `domain` does not know.
    pub(crate) fn of(kind: Kind, auto: &Automerge, places: &Places) -> Option<Reading> {
        let mut flaws = Vec::new();
        let mut entries = Vec::new();
        for item in auto.list_range(&places.entries, ..) {
            let found = match item.value {
                ValueRef::Object(ObjType::Map) => schema::from_row(row(auto, &item.id())),
                ValueRef::Object(_) | ValueRef::Scalar(_) => Found::Nameless,
            };
            match found {
                Found::Whole(entry) => entries.push(entry),
                Found::Partly(entry) => {
                    flaws.push(newer(&entry));
                    entries.push(entry);
                }
                Found::Nameless => flaws.push(Flaw {
                    at: FlawAt::Row(item.index as u64),
                    reason: Reason::Malformed,
                }),
                Found::Unreadable(id, reason) => flaws.push(Flaw {
                    at: FlawAt::Entry(id),
                    reason,
                }),
            }
        }
        let mut fields = BTreeMap::new();
        for item in auto.map_range(&places.fields, ..) {
            match item.value.into_value().as_str() {
                Some(value) => drop(fields.insert(item.key.into_owned(), value.to_owned())),
                None => flaws.push(strange_field()),
            }
        }
        let text = auto.text(&places.text).unwrap_or_default();
        let state = State::fold(kind, &entries, &fields, &text)?;
        Some(Reading { state, flaws, text })
    }

    /// Takes in what a few changes did, as Automerge tells it. `None` when that is not possible;
    /// then everything must be read again.
    pub(crate) fn follow(
        &mut self,
        auto: &Automerge,
        places: &Places,
        patches: Vec<Patch>,
    ) -> Option<()> {
        let mut edited = false;
        for Patch { obj, action, .. } in patches {
            if obj == places.text {
                self.follow_text(action)?;
                edited = true;
            } else if obj == places.entries {
                self.follow_entries(auto, action)?;
            } else if obj == places.fields {
                self.follow_fields(action)?;
            } else if obj == ROOT {
                return None;
            }
            // Everything else is inside an entry, which is read when the list tells of it.
        }
        if edited {
            self.state.set_text(&self.text);
        }
        Some(())
    }

    fn follow_text(&mut self, action: PatchAction) -> Option<()> {
        match action {
            PatchAction::SpliceText { index, value, .. } => {
                splice(&mut self.text, index, 0, &value.make_string())
            }
            PatchAction::DeleteSeq { index, length } => splice(&mut self.text, index, length, ""),
            PatchAction::PutMap { .. }
            | PatchAction::PutSeq { .. }
            | PatchAction::Insert { .. }
            | PatchAction::Increment { .. }
            | PatchAction::Conflict { .. }
            | PatchAction::DeleteMap { .. }
            | PatchAction::Mark { .. } => None,
        }
    }

    fn follow_entries(&mut self, auto: &Automerge, action: PatchAction) -> Option<()> {
        let PatchAction::Insert { values, .. } = action else {
            return None;
        };
        for (value, id, _) in values.iter() {
            if value.to_objtype() != Some(ObjType::Map) {
                return None;
            }
            match schema::from_row(row(auto, id)) {
                Found::Whole(entry) => self.state.add(&entry),
                Found::Partly(entry) => {
                    self.flaws.push(newer(&entry));
                    self.state.add(&entry);
                }
                // Its flaw is named by its place in the list, which others may have moved.
                Found::Nameless => return None,
                Found::Unreadable(id, reason) => {
                    self.flaws.push(Flaw {
                        at: FlawAt::Entry(id),
                        reason,
                    });
                }
            }
        }
        Some(())
    }

    fn follow_fields(&mut self, action: PatchAction) -> Option<()> {
        match action {
            PatchAction::PutMap {
                key,
                value: (value, _),
                ..
            } => {
                self.state.set_field(&key, value.as_str()?);
                Some(())
            }
            PatchAction::Conflict { .. } => Some(()),
            PatchAction::PutSeq { .. }
            | PatchAction::Insert { .. }
            | PatchAction::SpliceText { .. }
            | PatchAction::Increment { .. }
            | PatchAction::DeleteMap { .. }
            | PatchAction::DeleteSeq { .. }
            | PatchAction::Mark { .. } => None,
        }
    }
}

/// Replaces `delete` characters at `position` by `insert`, in Unicode scalar values. `None`, and
/// nothing done, when the text is not that long.
pub(crate) fn splice(
    text: &mut String,
    position: usize,
    delete: usize,
    insert: &str,
) -> Option<()> {
    let start = byte_of(text, position)?;
    let end = start + byte_of(text.get(start..)?, delete)?;
    text.replace_range(start..end, insert);
    Some(())
}

/// Where the character with this number begins; the number one past the last one is the end.
fn byte_of(text: &str, character: usize) -> Option<usize> {
    if text.is_ascii() {
        return (character <= text.len()).then_some(character);
    }
    let ends = std::iter::once(text.len());
    text.char_indices()
        .map(|(at, _)| at)
        .chain(ends)
        .nth(character)
}

fn row(auto: &Automerge, entry: &ObjId) -> Row {
    auto.map_range(entry, ..)
        .map(|item| {
            // An object inside an entry is none of ours; a null is read as no value of any type.
            let scalar = item
                .value
                .into_value()
                .into_scalar()
                .unwrap_or(ScalarValue::Null);
            (item.key.into_owned(), scalar)
        })
        .collect()
}

fn newer(entry: &domain::Entry) -> Flaw {
    Flaw {
        at: FlawAt::Entry(entry.id),
        reason: Reason::NoCommonVersion,
    }
}

fn strange_field() -> Flaw {
    Flaw {
        at: FlawAt::Document,
        reason: Reason::Malformed,
    }
}
