//! Which changes are merged, and which are left out.
//!
//! That follows from the changes alone, not from the order in which they came: whether one can be
//! merged is told by what it builds on. Three things are not told so, and there all changes are
//! judged again in one order whenever something comes: two branches of one actor, more surplus
//! than a document may have, and a change that Automerge cannot merge although it should.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{Automerge, Change, LoadOptions, PatchLog, TextEncoding};
use names::{ChangeHash, Reason};

use crate::{
    guard::{Failed, guard},
    history::{Candidate, in_order},
    open::{Document, LeftOut},
    read::{Places, Reading},
};

/// How many changes are followed one by one in what was read already, whatever its size; with many
/// more at once than there is to read, reading everything again is quicker.
const FOLLOWED_MIN: usize = 32;
/// Reading one entry again costs less than following one change into it, by about this factor.
const READ_PER_FOLLOWED: usize = 4;

impl Document {
    /// Takes changes that passed pre-flight: merges those that can be, keeps those for later whose
    /// dependencies are not here, and leaves out the others.
    pub(crate) fn settle(&mut self, arrived: BTreeMap<ChangeHash, Candidate>) {
        if arrived.is_empty() {
            return;
        }
        let accepted = self.judge(in_order(arrived), u64::MAX);
        let again = self.history.is_over() || self.left_out.values().any(LeftOut::may_return);
        if again {
            let mut merged = self.history.hashes();
            for candidate in &accepted {
                merged.remove(&candidate.header.hash);
            }
            self.settle_again(&merged);
        } else if self.merge(&accepted).is_err() {
            self.settle_again(&BTreeSet::new());
        }
    }

    /// Settles once more after a change was made here, if that may let another in.
    pub(crate) fn settle_own(&mut self) {
        if self.left_out.values().any(LeftOut::may_return) {
            let merged = self.history.hashes();
            self.settle_again(&merged);
        }
    }

    /// Whether a change to be made here, with this surplus, would be left out, or others for it.
    pub(crate) fn has_no_room(&self, surplus: u64) -> bool {
        let crowded = |left: &LeftOut| left.reason == Reason::TooLarge;
        let most = self.history.surplus_max();
        self.history.overflows(surplus, most)
            || (surplus > 0 && self.left_out.values().any(crowded))
    }

    /// Judges all changes anew. `merged` are those that Automerge holds; none when it fell.
    fn settle_again(&mut self, merged: &BTreeSet<ChangeHash>) {
        let accepted = self.judge_all();
        let (held, rest): (Vec<_>, Vec<_>) = accepted
            .into_iter()
            .partition(|candidate| merged.contains(&candidate.header.hash));
        // The genesis is merged always, and not judged.
        let kept = held.len() + 1 == merged.len();
        if kept && self.merge(&rest).is_ok() {
            return;
        }
        self.load_or_sift();
    }

    /// Makes Automerge's form anew from the chunks that were accepted, without those on which it
    /// falls.
    fn load_or_sift(&mut self) {
        while self.rebuild().is_err() {
            let genesis = self.history.chunks().iter().take(1).cloned().collect();
            let Ok(mut auto) = load(genesis) else {
                return;
            };
            let candidates = self.candidates();
            let fallen = sift(&candidates, &mut auto, |auto, part| {
                let mut trial = auto.clone();
                merge_into(&mut trial, &self.places, part, None).map(|_| trial)
            });
            if fallen.is_empty() {
                (self.auto, self.reading) = (auto, None);
                return;
            }
            self.fallen.extend(fallen);
            self.judge_all();
        }
    }

    /// Makes Automerge's form anew from the chunks of all that was accepted.
    pub(crate) fn rebuild(&mut self) -> Result<(), Failed> {
        self.reading = None;
        self.auto = load(self.history.chunks().to_vec())?;
        Ok(())
    }

    /// Judges every change there is, in one order. Gives those that are accepted.
    fn judge_all(&mut self) -> Vec<Candidate> {
        let mut all: BTreeMap<ChangeHash, Candidate> = std::mem::take(&mut self.early);
        for (hash, left) in std::mem::take(&mut self.left_out) {
            all.insert(hash, left.candidate);
        }
        for candidate in self.candidates() {
            all.insert(candidate.header.hash, candidate);
        }
        let ordered = in_order(all);
        self.history = self.begin.clone();
        let accepted = self.judge(ordered.clone(), u64::MAX);
        if !self.history.is_over() {
            return accepted;
        }
        let most = self.history.surplus_max();
        self.early.clear();
        self.left_out.clear();
        self.history = self.begin.clone();
        self.judge(ordered, most)
    }

    /// The accepted changes, read once more; without the genesis.
    fn candidates(&self) -> Vec<Candidate> {
        let chunks = self.history.chunks().iter().skip(1);
        chunks
            .filter_map(|chunk| Candidate::read(self.kind(), chunk).ok())
            .collect()
    }

    /// Splits changes, which come in order, into those that go to Automerge, and those that are
    /// left out or early. All together may have a surplus of `most`.
    fn judge(&mut self, ordered: Vec<Candidate>, most: u64) -> Vec<Candidate> {
        let mut accepted = Vec::with_capacity(ordered.len());
        for candidate in ordered {
            let hash = candidate.header.hash;
            let left_out = |dep| self.left_out.contains_key(dep);
            let cannot_open =
                self.fallen.contains(&hash) || candidate.header.deps.iter().any(left_out);
            let taken = if cannot_open {
                Err(Reason::CannotOpen)
            } else if !candidate
                .header
                .deps
                .iter()
                .all(|dep| self.history.holds(dep))
            {
                Err(Reason::MissingDependency)
            } else if self.history.overflows(candidate.surplus(), most) {
                Err(Reason::TooLarge)
            } else {
                self.history.take(&candidate)
            };
            match taken {
                Ok(()) => accepted.push(candidate),
                Err(Reason::MissingDependency) => drop(self.early.insert(hash, candidate)),
                Err(reason) => drop(self.left_out.insert(hash, LeftOut { reason, candidate })),
            }
        }
        accepted
    }

    /// Merges all of them at once. When that fails, Automerge's form is of no use any more.
    fn merge(&mut self, accepted: &[Candidate]) -> Result<(), Failed> {
        if accepted.is_empty() {
            return Ok(());
        }
        let reading = self
            .reading
            .take()
            .filter(|read| accepted.len() <= FOLLOWED_MIN.max(read.rows / READ_PER_FOLLOWED));
        self.reading = merge_into(&mut self.auto, &self.places, accepted, reading)?;
        Ok(())
    }
}

/// Finds the changes on which `merge` fails: what fails is halved until they stand alone. `state`
/// then holds all others but those that build on them.
pub(crate) fn sift<S>(
    changes: &[Candidate],
    state: &mut S,
    mut merge: impl FnMut(&S, &[Candidate]) -> Result<S, Failed>,
) -> BTreeSet<ChangeHash> {
    let (mut fallen, mut lost) = (BTreeSet::new(), BTreeSet::new());
    let mut pending = vec![changes.to_vec()];
    while let Some(mut part) = pending.pop() {
        part.retain(|change| {
            let header = &change.header;
            let stays = !header.deps.iter().any(|dep| lost.contains(dep));
            if !stays {
                lost.insert(header.hash);
            }
            stays
        });
        if part.is_empty() {
            continue;
        }
        match (merge(state, &part), part.as_slice()) {
            (Ok(merged), _) => *state = merged,
            (Err(Failed), [one]) => {
                fallen.insert(one.header.hash);
                lost.insert(one.header.hash);
            }
            (Err(Failed), several) => {
                let (first, second) = several.split_at(several.len() / 2);
                pending.extend([second.to_vec(), first.to_vec()]);
            }
        }
    }
    fallen
}

/// Text positions are counted in Unicode scalar values, here and in `domain`, whatever the
/// platform's own habit is.
pub(crate) fn encoding() -> LoadOptions<'static> {
    LoadOptions::new().text_encoding(TextEncoding::UnicodeCodePoint)
}

pub(crate) fn load(chunks: Vec<std::sync::Arc<[u8]>>) -> Result<Automerge, Failed> {
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
    guard(|| {
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
        Ok::<_, Failed>(reading.follow(auto, places, patches).map(|()| reading))
    })
}
