//! Chunks become a document that can be read, whatever some of them do to Automerge.
//!
//! A change that cannot be merged, and all that builds on it, is left out and reported. Nothing is
//! lost by that: the chunks stay with whoever keeps them, and leaving out is a local matter.

use std::{collections::BTreeMap, fmt, sync::Arc};

use automerge::{Automerge, AutomergeError, Change, LoadOptions, PatchLog, TextEncoding};
use domain::{Flaw, FlawAt, State, Summary};
use names::{ChangeHash, Kind, Reason};

use crate::{
    genesis,
    guard::{Failed, guard},
    history::{Candidate, History, in_order},
    preflight,
    read::{Places, Reading},
};

/// How many changes are followed one by one in what was read already, whatever its size; with many
/// more at once than there is to read, reading everything again is quicker.
const FOLLOWED_MIN: usize = 32;
/// Reading one entry again costs less than following one change into it, by about this factor.
const READ_PER_FOLLOWED: usize = 4;

/// A case or a session, opened.
///
/// It holds its chunks beside Automerge's own form, so that it can be made anew when Automerge
/// panics; and, once read, what it says, so that one more change costs little.
#[derive(Clone)]
pub struct Document {
    kind: Kind,
    pub(crate) auto: Automerge,
    pub(crate) places: Places,
    pub(crate) history: History,
    /// Changes that build on something that is not here yet.
    early: BTreeMap<ChangeHash, Candidate>,
    /// Changes that cannot be merged, and why; what builds on them is among them.
    left_out: BTreeMap<ChangeHash, Reason>,
    pub(crate) reading: Option<Reading>,
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
        let mut history = History::default();
        history.add(&Candidate { header, chunk });
        let auto = load(history.chunks()).map_err(|Failed| Reason::CannotOpen)?;
        let places = Places::find(&auto).ok_or(Reason::CannotOpen)?;
        Ok(Document {
            kind,
            auto,
            places,
            history,
            early: BTreeMap::new(),
            left_out: BTreeMap::new(),
            reading: None,
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
            match preflight::header_for(self.kind, chunk) {
                Ok(header) if self.history.holds(&header.hash) => {}
                Ok(header) if self.left_out.contains_key(&header.hash) => {
                    flaws.extend(self.flaw_of(&header.hash));
                }
                Ok(header) => {
                    let chunk = Arc::from(*chunk);
                    batch.insert(header.hash, Candidate { header, chunk });
                }
                // Its genesis may come along; it is what the document began with.
                Err(_) if self.is_genesis(chunk) => {}
                Err(reason) => flaws.push(Flaw {
                    at: flaw_at(chunk),
                    reason,
                }),
            }
        }
        let named: Vec<ChangeHash> = batch.keys().copied().collect();
        let accepted = self.judge(in_order(batch));
        if self.merge(&accepted).is_err() {
            self.merge_singly(&accepted);
        }
        flaws.extend(named.iter().filter_map(|hash| self.flaw_of(hash)));
        flaws
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
        let saved = guard(|| {
            let saved = self.auto.save();
            let loaded = Automerge::load_with_options(&saved, encoding())?;
            let same = loaded.get_heads() == self.auto.get_heads();
            Ok::<_, AutomergeError>(same.then_some(saved))
        });
        match saved {
            Ok(Some(saved)) => saved,
            Ok(None) | Err(Failed) => self.history.chunks().concat(),
        }
    }

    fn is_genesis(&self, chunk: &[u8]) -> bool {
        self.history
            .chunks()
            .first()
            .is_some_and(|genesis| **genesis == *chunk)
    }

    fn flaw_of(&self, hash: &ChangeHash) -> Option<Flaw> {
        let reason = match self.left_out.get(hash) {
            Some(reason) => *reason,
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
            flaws: vec![Flaw {
                at: FlawAt::Document,
                reason: Reason::CannotOpen,
            }],
            text: String::new(),
            fields: BTreeMap::new(),
            rows: 0,
        }
    }

    /// Splits changes, which come in order, into those that may go to Automerge, and those that
    /// are left out or early.
    fn judge(&mut self, ordered: Vec<Candidate>) -> Vec<Candidate> {
        let mut judging = self.history.judging();
        let mut accepted = Vec::with_capacity(ordered.len());
        for candidate in ordered {
            let hash = candidate.header.hash;
            if self.builds_on_left_out(&candidate) {
                self.left_out.insert(hash, Reason::CannotOpen);
                continue;
            }
            match judging.take(&candidate.header) {
                Ok(()) => accepted.push(candidate),
                Err(Reason::MissingDependency) => drop(self.early.insert(hash, candidate)),
                Err(reason) => drop(self.left_out.insert(hash, reason)),
            }
        }
        accepted
    }

    fn builds_on_left_out(&self, candidate: &Candidate) -> bool {
        candidate
            .header
            .deps
            .iter()
            .any(|dep| self.left_out.contains_key(dep))
    }

    /// Merges all of them at once, or none: then the document is as it was before.
    fn merge(&mut self, accepted: &[Candidate]) -> Result<(), Failed> {
        if accepted.is_empty() {
            return Ok(());
        }
        let reading = self
            .reading
            .take()
            .filter(|read| accepted.len() <= FOLLOWED_MIN.max(read.rows / READ_PER_FOLLOWED));
        let followed = guard(|| merge_into(&mut self.auto, &self.places, accepted, reading));
        match followed {
            Ok(reading) => {
                self.reading = reading;
                accepted
                    .iter()
                    .for_each(|candidate| self.history.add(candidate));
                Ok(())
            }
            Err(Failed) => {
                self.rebuild();
                Err(Failed)
            }
        }
    }

    /// Merges one after the other, so that only what fails, and what builds on it, is left out.
    fn merge_singly(&mut self, accepted: &[Candidate]) {
        for candidate in accepted {
            let one = std::slice::from_ref(candidate);
            if self.builds_on_left_out(candidate) || self.merge(one).is_err() {
                self.left_out
                    .insert(candidate.header.hash, Reason::CannotOpen);
            }
        }
    }

    /// Makes Automerge's form anew from the chunks that are known to merge.
    pub(crate) fn rebuild(&mut self) {
        self.reading = None;
        if let Ok(auto) = load(self.history.chunks()) {
            self.auto = auto;
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("kind", &self.kind)
            .field("heads", &self.heads())
            .field("changes", &self.changes())
            .field("left_out", &self.left_out)
            .field("early", &self.early.len())
            .finish_non_exhaustive()
    }
}

/// Text positions are counted in Unicode scalar values, here and in `domain`, whatever the
/// platform's own habit is.
fn encoding() -> LoadOptions<'static> {
    LoadOptions::new().text_encoding(TextEncoding::UnicodeCodePoint)
}

fn load(chunks: &[Arc<[u8]>]) -> Result<Automerge, Failed> {
    guard(|| {
        let changes = chunks
            .iter()
            .map(|chunk| Change::try_from(&**chunk).map_err(|_| Failed))
            .collect::<Result<Vec<_>, _>>()?;
        let mut auto = Automerge::new_with_encoding(TextEncoding::UnicodeCodePoint);
        auto.apply_changes(changes).map_err(|_| Failed)?;
        Ok::<_, Failed>(auto)
    })
}

/// Merges changes and lets what was read follow them. Gives back what was read, if it could.
fn merge_into(
    auto: &mut Automerge,
    places: &Places,
    accepted: &[Candidate],
    reading: Option<Reading>,
) -> Result<Option<Reading>, Failed> {
    let changes = accepted
        .iter()
        .map(|candidate| Change::try_from(&*candidate.chunk).map_err(|_| Failed))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(mut reading) = reading else {
        auto.apply_changes(changes).map_err(|_| Failed)?;
        return Ok(None);
    };
    let mut log = PatchLog::active();
    auto.apply_changes_log_patches(changes, &mut log)
        .map_err(|_| Failed)?;
    let patches = auto.make_patches(&mut log);
    Ok(reading.follow(auto, places, patches).map(|()| reading))
}

fn flaw_at(chunk: &[u8]) -> FlawAt {
    preflight::hash(chunk).map_or(FlawAt::Document, FlawAt::Change)
}
