//! `Prose`: a text that several people write at once.

use names::EntryId;

use super::log::{EntryLog, Made};
use crate::text::Text;

/// One person's edit: how much, not what; the characters are in the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edited {
    /// Characters inserted (Unicode scalar values).
    pub inserted: u32,
    /// Characters deleted.
    pub deleted: u32,
}

/// A text merged character by character, and who edited it when. The merging of characters is
/// the document format's; here the result is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Prose {
    text: Text,
    edits: EntryLog<Edited>,
}

impl Prose {
    /// Puts the text to what the document now says.
    pub fn set(&mut self, text: &str) {
        self.text = Text::from(text);
    }

    /// Adds that somebody edited it.
    pub fn add(&mut self, entry: EntryId, made: Made, edited: Edited) {
        self.edits.add(entry, made, &[], edited);
    }

    /// The text.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Its length in Unicode scalar values.
    pub fn length(&self) -> usize {
        self.text.as_str().chars().count()
    }

    /// Who edited it, when, and how much.
    pub fn edits(&self) -> &EntryLog<Edited> {
        &self.edits
    }
}
