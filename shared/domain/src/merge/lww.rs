//! `Lww`: low-harm fields in which the later writer replaces the earlier.

use std::collections::BTreeMap;

use names::EntryId;

use super::log::{EntryLog, Made};
use crate::code::Field;
use crate::text::Text;

/// Fields of which one value stands, by the document format's own order and no clock. What was
/// replaced stays in the history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lww {
    values: BTreeMap<String, Text>,
    history: EntryLog<(Field, Text)>,
}

impl Lww {
    /// Puts a field to what the document now says.
    pub fn set(&mut self, field: &str, value: &str) {
        self.values.insert(field.to_owned(), Text::from(value));
    }

    /// Adds that somebody set a field.
    pub fn add(&mut self, entry: EntryId, made: Made, field: Field, value: Text) {
        self.history.add(entry, made, &[], (field, value));
    }

    /// The value that stands.
    pub fn get(&self, field: Field) -> Option<&Text> {
        self.values.get(field.as_str())
    }

    /// All values that stand, by field; fields of a newer version among them.
    pub fn values(&self) -> &BTreeMap<String, Text> {
        &self.values
    }

    /// Every value ever set.
    pub fn history(&self) -> &EntryLog<(Field, Text)> {
        &self.history
    }
}
