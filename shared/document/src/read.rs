//! From Automerge to `domain`: never fails, and reports what it could not read.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{
    Automerge, ObjId, ObjType, Patch, PatchAction, ROOT, ReadDoc, ScalarValue, ValueRef,
};
use domain::{Act, Entry, Flaw, FlawAt, State, Writing};
use names::{EntryId, Kind, Reason};

use crate::schema::{self, Found, Row};

/// The objects that fixed changes made.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) entries: ObjId,
    pub(crate) fields: ObjId,
    pub(crate) text: ObjId,
    /// There as soon as somebody has written in it.
    pub(crate) crisis_plan: Option<ObjId>,
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
            crisis_plan: place(schema::CRISIS_PLAN, ObjType::Text),
        })
    }

    /// The object of a text.
    pub(crate) fn of(&self, writing: Writing) -> Option<&ObjId> {
        match writing {
            Writing::Main => Some(&self.text),
            Writing::CrisisPlan => self.crisis_plan.as_ref(),
        }
    }
}

/// What a document says, kept beside it so that one more change costs little.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) state: State,
    /// Places that could not be read, or not wholly; without those `domain` finds.
    pub(crate) flaws: Vec<Flaw>,
    /// The texts as they stand: Automerge would put them together from single characters each time.
    pub(crate) text: String,
    pub(crate) crisis_plan: String,
    /// The plain fields as they stand.
    pub(crate) fields: BTreeMap<String, String>,
    /// How many elements of the list of entries were looked at.
    pub(crate) rows: usize,
}

impl Reading {
    /// Reads everything. `None` for a kind `domain` does not know.
    pub(crate) fn of(kind: Kind, auto: &Automerge, places: &Places) -> Option<Reading> {
        let mut flaws = Vec::new();
        let mut entries = Vec::new();
        let mut rows = 0;
        for item in auto.list_range(&places.entries, ..) {
            rows += 1;
            let found = match item.value {
                ValueRef::Object(ObjType::Map) => schema::from_row(row(auto, &item.id())),
                ValueRef::Object(_) | ValueRef::Scalar(_) => Found::Nameless,
            };
            match found {
                Found::Whole(entry) => entries.push(entry),
                Found::Partly(entry, reason) => {
                    flaws.push(partly(&entry, reason));
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
        let mut typed = BTreeSet::new();
        let edits = entries.iter().filter(|entry| is_edit(entry));
        let twice = edits.filter(|entry| !typed.insert(entry.id));
        flaws.extend(twice.map(|entry| typed_twice(entry.id)));
        let (fields, strange) = read_fields(auto, places);
        flaws.extend(strange);
        let text = auto.text(&places.text).unwrap_or_default();
        let crisis_plan = places.crisis_plan.as_ref();
        let crisis_plan = crisis_plan.and_then(|text| auto.text(text).ok());
        let crisis_plan = crisis_plan.unwrap_or_default();
        let mut state = State::fold(kind, &entries, &fields, &text)?;
        state.set_prose(Writing::CrisisPlan, &crisis_plan);
        Some(Reading {
            state,
            flaws,
            text,
            crisis_plan,
            fields,
            rows,
        })
    }

    /// Takes in what a few changes did. `None` when that is not possible; then everything must be
    /// read again.
    ///
    /// Automerge tells which entries are new, and which objects were touched; what these hold is
    /// read from the document. Its word on the content is not taken: a change that names the wrong
    /// predecessors makes it say what it does not do.
    pub(crate) fn follow(
        &mut self,
        auto: &Automerge,
        places: &Places,
        patches: Vec<Patch>,
    ) -> Option<()> {
        let (mut typed, mut typed_plan, mut set) = (false, false, false);
        for Patch { obj, action, .. } in patches {
            if obj == places.entries {
                self.follow_entries(auto, action)?;
            } else if obj == ROOT {
                return None;
            }
            // Everything else is inside an entry, which is read when the list tells of it.
            typed |= obj == places.text;
            typed_plan |= Some(&obj) == places.crisis_plan.as_ref();
            set |= obj == places.fields;
        }
        if self.rows != auto.length(&places.entries) {
            return None;
        }
        if set {
            let (fields, strange) = read_fields(auto, places);
            // A field is never taken away by those who write as we do, so `State` cannot forget one.
            let gone = self.fields.keys().any(|field| !fields.contains_key(field));
            if gone || strange.is_some() {
                return None;
            }
            for (field, value) in &fields {
                self.state.set_field(field, value);
            }
            self.fields = fields;
        }
        if typed {
            self.text = auto.text(&places.text).unwrap_or_default();
            self.state.set_text(&self.text);
        }
        if let (true, Some(text)) = (typed_plan, &places.crisis_plan) {
            self.crisis_plan = auto.text(text).unwrap_or_default();
            self.state.set_prose(Writing::CrisisPlan, &self.crisis_plan);
        }
        Some(())
    }

    /// One of the texts.
    pub(crate) fn text_mut(&mut self, writing: Writing) -> &mut String {
        match writing {
            Writing::Main => &mut self.text,
            Writing::CrisisPlan => &mut self.crisis_plan,
        }
    }

    fn take(&mut self, entry: &Entry) {
        if is_edit(entry) && self.state.journal().contains(entry.id) {
            self.flaws.push(typed_twice(entry.id));
        }
        self.state.add(entry);
    }

    fn follow_entries(&mut self, auto: &Automerge, action: PatchAction) -> Option<()> {
        let PatchAction::Insert { index, values } = action else {
            return None;
        };
        let is_moved = |flaw: &Flaw| matches!(flaw.at, FlawAt::Row(row) if row >= index as u64);
        // What has no name is named by its place in the list, which this has moved.
        if self.flaws.iter().any(is_moved) {
            return None;
        }
        for (value, id, _) in values.iter() {
            if value.to_objtype() != Some(ObjType::Map) {
                return None;
            }
            self.rows += 1;
            match schema::from_row(row(auto, id)) {
                Found::Whole(entry) => self.take(&entry),
                Found::Partly(entry, reason) => {
                    self.flaws.push(partly(&entry, reason));
                    self.take(&entry);
                }
                // Its place is the list's, and not that of this patch.
                Found::Nameless => return None,
                Found::Unreadable(id, reason) => {
                    let at = FlawAt::Entry(id);
                    self.flaws.push(Flaw { at, reason });
                }
            }
        }
        Some(())
    }
}

fn is_edit(entry: &Entry) -> bool {
    matches!(entry.act, Act::EditText { .. } | Act::EditCrisisPlan { .. })
}

/// The plain fields, and a flaw if one of them is no text.
fn read_fields(auto: &Automerge, places: &Places) -> (BTreeMap<String, String>, Option<Flaw>) {
    let mut fields = BTreeMap::new();
    let mut strange = None;
    for item in auto.map_range(&places.fields, ..) {
        match item.value.into_value().as_str() {
            Some(value) => drop(fields.insert(item.key.into_owned(), value.to_owned())),
            None => {
                strange = Some(Flaw {
                    at: FlawAt::Document,
                    reason: Reason::Malformed,
                });
            }
        }
    }
    (fields, strange)
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

pub(crate) fn row(auto: &Automerge, entry: &ObjId) -> Row {
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

fn partly(entry: &Entry, reason: Reason) -> Flaw {
    Flaw {
        at: FlawAt::Entry(entry.id),
        reason,
    }
}

/// An edit that was sent through two nodes stands in the list twice, and so do its words in the
/// text. As entries the copies are one; which of the words are too many only a person can tell.
fn typed_twice(entry: EntryId) -> Flaw {
    Flaw {
        at: FlawAt::Entry(entry),
        reason: Reason::Equivocation,
    }
}
