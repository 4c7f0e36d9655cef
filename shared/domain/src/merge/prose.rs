//! `Prose`: a text that several people write at once.

use names::{EntryId, limits};
use serde::Serialize;

use super::log::{EntryLog, Made};
use crate::text::Text;

/// One person's edit: how much came, which is in the text, and what went.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Edited {
    /// Characters inserted (Unicode scalar values).
    pub inserted: u32,
    /// Characters deleted.
    pub deleted: u32,
    /// The characters deleted, so that they can still be read.
    pub removed: Text,
}

impl Edited {
    /// An edit of so many characters, which took these away.
    pub fn of(inserted: u32, deleted: u32, removed: Text) -> Edited {
        Edited {
            inserted,
            deleted,
            removed,
        }
    }
}

/// A text merged character by character, and who edited it when. The merging of characters is
/// the document format's; here the result is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Prose {
    text: Text,
    edits: EntryLog<Edited>,
    /// All edits, those that this version cannot read among them, and which had seen which.
    order: EntryLog<()>,
}

impl Prose {
    /// Puts the text to what the document now says.
    pub fn set(&mut self, text: &str) {
        self.text = Text::from(text);
    }

    /// Adds that somebody edited it who had seen these edits.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], edited: Edited) {
        self.order.add(entry, made.clone(), seen, ());
        self.edits.add(entry, made, seen, edited);
    }

    /// Adds that somebody edited it in a way that this version cannot read. The text is another
    /// one since, so whoever edits it must have looked at it since.
    pub fn add_unread(&mut self, entry: EntryId, made: Made, seen: &[EntryId]) {
        self.order.add(entry, made, seen, ());
    }

    /// The newest edits, at most [`limits::SEEN_MAX`] of them: whoever has seen these and no
    /// others has this text in front of them.
    pub fn newest(&self) -> Vec<EntryId> {
        let newest = self.order.newest().iter().copied();
        newest.take(limits::SEEN_MAX).collect()
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
