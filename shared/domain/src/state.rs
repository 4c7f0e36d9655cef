//! What a document says when it is read: a case or a session.

use std::collections::BTreeMap;

use names::Kind;
use serde::Serialize;

use crate::case::Case;
use crate::conflict::Conflict;
use crate::entry::Entry;
use crate::flaw::Flaw;
use crate::session::Session;
use crate::summary::Summary;

/// A document, read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum State {
    /// A case.
    Case(Box<Case>),
    /// A session.
    Session(Box<Session>),
}

impl State {
    /// Reads a document's entries, fields and text. The order of the entries and repetitions
    /// among them make no difference. None for kinds this version does not know.
    pub fn fold(
        kind: Kind,
        entries: &[Entry],
        fields: &BTreeMap<String, String>,
        text: &str,
    ) -> Option<State> {
        let _ = (entries, fields, text);
        match kind {
            Kind::CASE => Some(State::Case(Box::default())),
            Kind::SESSION => Some(State::Session(Box::default())),
            Kind(_) => None,
        }
    }

    /// Takes one more entry in; the same as folding with it.
    pub fn add(&mut self, entry: &Entry) {
        let _ = entry;
    }

    /// Puts a plain field to what the document now says.
    pub fn set_field(&mut self, field: &str, value: &str) {
        let _ = (field, value);
    }

    /// Puts the text to what the document now says.
    pub fn set_text(&mut self, text: &str) {
        let _ = text;
    }

    /// The kind of document.
    pub fn kind(&self) -> Kind {
        match self {
            State::Case(_) => Kind::CASE,
            State::Session(_) => Kind::SESSION,
        }
    }

    /// What waits for a person.
    pub fn conflicts(&self) -> Vec<Conflict> {
        Vec::new()
    }

    /// Entries that do not belong into this kind of document, or share an id.
    pub fn flaws(&self) -> Vec<Flaw> {
        Vec::new()
    }

    /// The row for lists; `flaws` is how many places could not be read, these ones included.
    pub fn summary(&self, flaws: usize) -> Summary {
        let _ = flaws;
        unimplemented!("follows")
    }
}
