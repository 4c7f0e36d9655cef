//! Chunks become a document that can be read, whatever some of them do to Automerge.
//!
//! A change that cannot be merged, and all that builds on it, is left out and reported. Nothing is
//! lost by that: the chunks stay with whoever keeps them, and leaving out is a local matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use automerge::Automerge;
use domain::{Flaw, FlawAt, State, Summary};
use names::{ChangeHash, Kind, Reason};

use crate::{
    compacted::saved,
    genesis,
    guard::{Failed, guard},
    history::{Candidate, History},
    preflight,
    read::{Places, Reading},
    settle::load,
};

/// The document does not say all that its changes say.
const CANNOT_OPEN: Flaw = Flaw {
    at: FlawAt::Document,
    reason: Reason::CannotOpen,
};

/// A case or a session, opened.
///
/// It holds its chunks beside Automerge's own form, so that it can be made anew when Automerge
/// panics; and, once read, what it says, so that one more change costs little.
#[derive(Clone)]
pub struct Document {
    kind: Kind,
    pub(crate) auto: Automerge,
    pub(crate) places: Places,
    /// The genesis alone.
    pub(crate) begin: History,
    pub(crate) history: History,
    /// Changes that build on something that is not here yet.
    pub(crate) early: BTreeMap<ChangeHash, Candidate>,
    /// Changes that cannot be merged, and why; what builds on them is among them.
    pub(crate) left_out: BTreeMap<ChangeHash, LeftOut>,
    /// Changes on which Automerge fell: as long as the document is open, none is tried again.
    pub(crate) fallen: BTreeSet<ChangeHash>,
    pub(crate) reading: Option<Reading>,
    /// A compacted form to begin from.
    pub(crate) offered: Option<Vec<u8>>,
    /// Changes in the compacted form that was used or made last.
    pub(crate) compacted: usize,
}

/// A change that is not in the document.
#[derive(Clone)]
pub(crate) struct LeftOut {
    pub(crate) reason: Reason,
    pub(crate) candidate: Candidate,
}

impl LeftOut {
    /// Whether it is left out for what else is here, and not for what it is or builds on.
    pub(crate) fn may_return(&self) -> bool {
        matches!(self.reason, Reason::Equivocation | Reason::TooLarge)
    }
}

impl Document {
    /// A document of this kind in which nobody has written yet: its genesis alone.
    ///
    /// # Errors
    ///
    /// [`Reason::CannotOpen`] for a kind this program does not know.
    pub fn new(kind: Kind) -> Result<Document, Reason> {
        let genesis = genesis::genesis(kind).ok_or(Reason::CannotOpen)?;
        let chunk: Arc<[u8]> = Arc::from(genesis.chunk.as_slice());
        let header = preflight::format_only(&chunk)?;
        let begin = History::begin(header, chunk);
        let auto = load(begin.chunks().to_vec()).map_err(|Failed| Reason::CannotOpen)?;
        let places = Places::find(&auto).ok_or(Reason::CannotOpen)?;
        Ok(Document {
            kind,
            auto,
            places,
            history: begin.clone(),
            begin,
            early: BTreeMap::new(),
            left_out: BTreeMap::new(),
            fallen: BTreeSet::new(),
            reading: None,
            offered: None,
            compacted: 0,
        })
    }

    /// Merges changes, in whatever order they come; those it has already make no difference.
    ///
    /// Gives a flaw for each of these that is not in the document now: one that pre-flight
    /// refuses, one that Automerge cannot merge ([`Reason::CannotOpen`]) and what builds on it,
    /// one whose dependency has not come yet (merged when that comes).
    pub fn apply(&mut self, chunks: &[&[u8]]) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let mut batch = std::mem::take(&mut self.early);
        for chunk in chunks {
            match Candidate::read(self.kind, chunk) {
                Ok(Candidate { header, .. }) if self.history.holds(&header.hash) => {}
                Ok(Candidate { header, .. }) if self.left_out.contains_key(&header.hash) => {
                    flaws.extend(self.flaw_of(&header.hash));
                }
                Ok(candidate) => drop(batch.insert(candidate.header.hash, candidate)),
                // Fixed changes may come along; they are here, or come with what builds on them.
                Err(_) if self.is_fixed(chunk) => {}
                Err(reason) => flaws.push(Flaw {
                    at: flaw_at(chunk),
                    reason,
                }),
            }
        }
        let named: Vec<ChangeHash> = batch.keys().copied().collect();
        self.settle(batch);
        flaws.extend(named.iter().filter_map(|hash| self.flaw_of(hash)));
        flaws
    }

    /// Whether a change was given to it before, be it applied or left out.
    pub fn knows(&self, hash: &ChangeHash) -> bool {
        self.history.holds(hash) || self.left_out.contains_key(hash)
    }

    /// The kind of document.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The newest changes, on which none other builds, in ascending order.
    pub fn heads(&self) -> Vec<ChangeHash> {
        let mut heads: Vec<_> = self
            .auto
            .get_heads()
            .into_iter()
            .map(|head| ChangeHash(head.0))
            .collect();
        heads.sort_unstable();
        heads
    }

    /// How many changes are in the document, its genesis included.
    pub fn changes(&self) -> usize {
        self.history.chunks().len()
    }

    /// What the document says, and every place in it that is left out of that, or not wholly
    /// understood.
    pub fn read(&self) -> (State, Vec<Flaw>) {
        let reading = self.reading.clone().unwrap_or_else(|| self.read_anew());
        let flaws = self.flaws(&reading);
        (reading.state, flaws)
    }

    /// As [`Document::read`], without a copy: what was read is kept and follows further changes.
    pub fn view(&mut self) -> (&State, Vec<Flaw>) {
        let fresh = self.reading.take().unwrap_or_else(|| self.read_anew());
        let flaws = self.flaws(&fresh);
        (&self.reading.insert(fresh).state, flaws)
    }

    /// As [`Document::view`], without gathering flaws.
    pub(crate) fn state(&mut self) -> &State {
        let fresh = self.reading.take().unwrap_or_else(|| self.read_anew());
        &self.reading.insert(fresh).state
    }

    /// The row that lists need.
    ///
    /// What was read for it is kept, as by [`Document::view`].
    pub fn summary(&mut self) -> Summary {
        let reading = self.reading.take().unwrap_or_else(|| self.read_anew());
        let summary = reading.state.summary(self.flaws(&reading).len());
        self.reading = Some(reading);
        summary
    }

    /// The whole document as an `.automerge` file that the public libraries load.
    ///
    /// It is loaded back before it is given out. Should Automerge not be able to load what it
    /// saved, the file holds the original changes one after the other, which they load as well.
    pub fn save(&self) -> Vec<u8> {
        saved(&self.auto).unwrap_or_else(|| self.history.chunks().concat())
    }

    fn is_fixed(&self, chunk: &[u8]) -> bool {
        let hash = preflight::hash(chunk);
        hash.is_some_and(|hash| genesis::fixed(self.kind, &hash).is_some())
    }

    fn flaw_of(&self, hash: &ChangeHash) -> Option<Flaw> {
        let reason = match self.left_out.get(hash) {
            Some(left) => left.reason,
            None if self.early.contains_key(hash) => Reason::MissingDependency,
            None => return None,
        };
        Some(Flaw {
            at: FlawAt::Change(*hash),
            reason,
        })
    }

    fn flaws(&self, reading: &Reading) -> Vec<Flaw> {
        let mut flaws: Vec<Flaw> = reading.flaws.clone();
        // An entry is never hidden by what comes after it. Were one, a person must hear of it.
        if reading.rows as u64 != self.history.entries() {
            flaws.push(CANNOT_OPEN);
        }
        flaws.extend(reading.state.flaws());
        flaws.extend(
            self.left_out
                .keys()
                .chain(self.early.keys())
                .filter_map(|hash| self.flaw_of(hash)),
        );
        flaws.sort_unstable();
        flaws.dedup();
        flaws
    }

    fn read_anew(&self) -> Reading {
        guard(|| Reading::of(self.kind, &self.auto, &self.places).ok_or(Failed))
            .unwrap_or_else(|Failed| self.unreadable())
    }

    /// Nothing could be read at all: an empty document with a flaw that says so.
    fn unreadable(&self) -> Reading {
        let state = State::fold(self.kind, &[], &BTreeMap::new(), "")
            .expect("a kind with a genesis is one that domain folds");
        Reading {
            state,
            flaws: vec![CANNOT_OPEN],
            text: String::new(),
            crisis_plan: String::new(),
            fields: BTreeMap::new(),
            rows: 0,
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("kind", &self.kind)
            .field("heads", &self.heads())
            .field("changes", &self.changes())
            .field("left_out", &self.left_out.len())
            .field("early", &self.early.len())
            .finish_non_exhaustive()
    }
}

fn flaw_at(chunk: &[u8]) -> FlawAt {
    preflight::hash(chunk).map_or(FlawAt::Document, FlawAt::Change)
}
