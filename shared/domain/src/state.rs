//! What a document says when it is read: a case or a session.

use std::collections::{BTreeMap, BTreeSet};

use names::{EntryId, Kind, Reason};
use serde::Serialize;

use crate::case::Case;
use crate::command::Writing;
use crate::conflict::Conflict;
use crate::entry::{Act, Entry};
use crate::flaw::{Flaw, FlawAt};
use crate::merge::{EntryLog, Prose};
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
        let mut state = match kind {
            Kind::CASE => State::Case(Box::default()),
            Kind::SESSION => State::Session(Box::default()),
            Kind(_) => return None,
        };
        entries.iter().for_each(|entry| state.add(entry));
        fields
            .iter()
            .for_each(|(field, value)| state.set_field(field, value));
        state.set_text(text);
        Some(state)
    }

    /// Takes one more entry in; the same as folding with it.
    pub fn add(&mut self, entry: &Entry) {
        match self {
            State::Case(case) => case.add(entry),
            State::Session(session) => session.add(entry),
        }
    }

    /// Puts a plain field to what the document now says.
    pub fn set_field(&mut self, field: &str, value: &str) {
        match self {
            State::Case(case) => case.fields.set(field, value),
            State::Session(session) => session.fields.set(field, value),
        }
    }

    /// Puts the main text to what the document now says.
    pub fn set_text(&mut self, text: &str) {
        self.set_prose(Writing::Main, text);
    }

    /// Puts a text to what the document now says, if this kind of document has it.
    pub fn set_prose(&mut self, writing: Writing, text: &str) {
        match (self, writing) {
            (State::Case(case), Writing::Main) => case.plan.set(text),
            (State::Case(case), Writing::CrisisPlan) => case.crisis_plan.set(text),
            (State::Session(session), Writing::Main) => session.notes.set(text),
            (State::Session(_), Writing::CrisisPlan) => {}
        }
    }

    /// The kind of document.
    pub fn kind(&self) -> Kind {
        match self {
            State::Case(_) => Kind::CASE,
            State::Session(_) => Kind::SESSION,
        }
    }

    /// Every entry, as the person asked for it.
    pub fn journal(&self) -> &EntryLog<Act> {
        match self {
            State::Case(case) => &case.journal,
            State::Session(session) => &session.journal,
        }
    }

    /// The document's text: a case's plan, a session's shared notes.
    pub fn prose(&self) -> &Prose {
        match self {
            State::Case(case) => &case.plan,
            State::Session(session) => &session.notes,
        }
    }

    /// One of the document's texts, if this kind of document has it.
    pub fn prose_of(&self, writing: Writing) -> Option<&Prose> {
        match (self, writing) {
            (State::Case(case), Writing::CrisisPlan) => Some(&case.crisis_plan),
            (State::Session(_), Writing::CrisisPlan) => None,
            (State::Case(_) | State::Session(_), Writing::Main) => Some(self.prose()),
        }
    }

    /// Whether the document's first entry is there.
    pub fn is_open(&self) -> bool {
        match self {
            State::Case(case) => case.is_open(),
            State::Session(session) => session.is_open(),
        }
    }

    /// What waits for a person.
    pub fn conflicts(&self) -> Vec<Conflict> {
        match self {
            State::Case(case) => case.conflicts(),
            State::Session(session) => session.conflicts(),
        }
    }

    /// Entries that do not belong into this kind of document ([`Reason::Malformed`]), and ids
    /// under which different things were entered ([`Reason::Equivocation`]; both are shown).
    pub fn flaws(&self) -> Vec<Flaw> {
        let strays = match self {
            State::Case(case) => &case.strays,
            State::Session(session) => &session.strays,
        };
        let stray = |entry: &EntryId| (*entry, Reason::Malformed);
        let mut flaws: BTreeSet<(EntryId, Reason)> = strays.iter().map(stray).collect();
        let ambiguous = |entry| (entry, Reason::Equivocation);
        flaws.extend(self.journal().ambiguous().map(ambiguous));
        let flaw = |(entry, reason)| Flaw {
            at: FlawAt::Entry(entry),
            reason,
        };
        flaws.into_iter().map(flaw).collect()
    }

    /// The row for lists; `flaws` is how many places could not be read, [`State::flaws`]
    /// included.
    pub fn summary(&self, flaws: usize) -> Summary {
        let flaws = u32::try_from(flaws).unwrap_or(u32::MAX);
        match self {
            State::Case(case) => case.summary(flaws),
            State::Session(session) => session.summary(flaws),
        }
    }
}
