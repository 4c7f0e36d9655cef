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
    genesis,
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
    pub(crate) fn settle(&mut self, mut arrived: BTreeMap<ChangeHash, Candidate>) {
        if arrived.is_empty() {
            return;
        }
        self.bring_migrations(&mut arrived);
        let named: BTreeSet<ChangeHash> = arrived.keys().copied().collect();
        let types = arrived.values().any(Candidate::types);
        let mut accepted = self.judge(in_order(arrived), u64::MAX);
        if let Some(form) = self.offered.take() {
            accepted = self.adopt(&form, accepted);
        }
        if self.history.is_over() || self.may_let_in(&named, types) {
            let mut merged = self.history.hashes();
            for candidate in &accepted {
                merged.remove(&candidate.header.hash);
            }
            self.settle_again(&merged);
        } else if self.merge(&accepted).is_err() {
            self.settle_again(&BTreeSet::new());
        }
    }

    /// Adds the migrations that some of these changes build on and that nobody has sent.
    fn bring_migrations(&self, changes: &mut BTreeMap<ChangeHash, Candidate>) {
        let migrations = genesis::migrations(self.kind());
        // The last first: an earlier one may be needed by it alone.
        for fixed in migrations.iter().rev() {
            let mut deps = changes.values().flat_map(|change| &change.header.deps);
            if deps.any(|dep| *dep == fixed.hash) && !self.history.holds(&fixed.hash) {
                changes.insert(fixed.hash, Candidate::fixed(fixed));
            }
        }
    }

    /// Makes sure that the object of a version is there, for an edit that is about to be made here.
    /// `None` if it cannot be.
    pub(crate) fn migrate(&mut self, version: u16) -> Option<()> {
        let kind = self.kind();
        for fixed in genesis::migrations(kind) {
            if fixed.version <= version && !self.history.holds(&fixed.hash) {
                let candidate = Candidate::fixed(fixed);
                self.history.take(&candidate).ok()?;
                merge_into(&mut self.auto, &self.places, &[candidate], None).ok()?;
            }
        }
        self.places = Places::find(&self.auto)?;
        Some(())
    }

    /// Makes the document anew after an edit of this node's came to nothing: what was brought in
    /// for it goes with it.
    pub(crate) fn take_back(&mut self) {
        self.judge_all();
        let _ = self.rebuild();
    }

    /// Whether all must be judged again because these came, which type or do not.
    ///
    /// Of two branches of one actor the one that comes first in the order is taken. Nothing that
    /// builds on neither moves them in it, so only another branch calls for judging again: one
    /// forked line must not make every later change cost as much as the whole document. What was
    /// left out for its deletions may return as soon as there are more characters, or less to pay.
    fn may_let_in(&self, came: &BTreeSet<ChangeHash>, types: bool) -> bool {
        let mut left_out = self.left_out.iter();
        left_out.any(|(hash, left)| {
            left.may_return() && (came.contains(hash) || (types && left.reason == Reason::TooLarge))
        })
    }

    /// Settles once more after a change was made here, if that may let another in.
    pub(crate) fn settle_own(&mut self, types: bool) {
        if self.may_let_in(&BTreeSet::new(), types) {
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
                self.find_places();
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
        self.find_places();
        Ok(())
    }

    /// Looks where the objects are: a migration may have come, or gone.
    pub(crate) fn find_places(&mut self) {
        if let Some(places) = Places::find(&self.auto) {
            self.places = places;
        }
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
        self.history = self.begin.clone();
        self.bring_migrations(&mut all);
        let ordered = in_order(all);
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

    /// The accepted changes, read once more; without those that are fixed.
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
        // Only what a migration has brought can be in a new place, and it is read anew.
        if self.reading.is_none() {
            self.find_places();
        }
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
