//! The compacted form: what Automerge saves of a document, from which it is opened sooner.
//!
//! Half of what opening a document takes is to merge its changes one after the other; what
//! Automerge saved is loaded in less than half of that. The form is a cache. The changes stay the
//! truth and are judged at every opening as if it were not there; it is used only when every change
//! in it is among those that were accepted, and what has come since is merged into it. Loading
//! puts all changes in it together again and compares the hashes of the newest, which cover all
//! others; how they are laid out is trusted, since this program wrote it and the store seals it.
//! Where it does not fit, is damaged or cannot be loaded, the document is made from its changes.

use std::collections::BTreeSet;

use automerge::{Automerge, AutomergeError};
use names::ChangeHash;

use crate::{guard::guard, history::Candidate, open::Document, settle::encoding};

/// The largest compacted form that is kept: that of some six thousand notes, at the 160
/// bytes that the bench's set takes for a change once saved. It is written in one
/// row with whatever else a turn writes, and a turn is to stay short.
pub const COMPACTED_BYTES_MAX: usize = 1 << 20;

/// How many changes have come since the last form when another is made. Fewer are merged as fast as
/// a form is loaded.
const CHANGES_MIN: usize = 8;
/// The same, as a share of those in the last form, so that a long document is not saved anew for
/// each few of its changes: a quarter.
const SHARE: usize = 4;

impl Document {
    /// Gives a new document a compacted form of so many changes to begin from; an empty one tells
    /// that none could be made of them. It is looked at when the first changes come, and not used if
    /// they are not those that it was made from.
    pub fn offer(&mut self, changes: usize, form: Vec<u8>) {
        self.compacted = changes;
        if !form.is_empty() {
            self.offered = Some(form).filter(|form| form.len() <= COMPACTED_BYTES_MAX);
        }
    }

    /// How many changes are in the compacted form that was used or made last; the genesis is not
    /// counted.
    pub fn compacted(&self) -> usize {
        self.compacted
    }

    /// Whether so much has come since the last compacted form that another should be made. Never of a
    /// document of which something is left out.
    pub fn is_form_due(&self) -> bool {
        let since = (self.changes() - 1).saturating_sub(self.compacted);
        let is_whole = self.left_out.is_empty() && self.early.is_empty();
        is_whole && since >= CHANGES_MIN.max(self.compacted / SHARE)
    }

    /// A compacted form to be kept, with the number of its changes, if one is due; it was loaded
    /// back. Where none can be made it is empty: the next try is as far away as if it could.
    pub fn compact(&mut self) -> Option<(usize, Vec<u8>)> {
        self.skip_form().map(|changes| {
            let form = saved(&self.auto).filter(|form| form.len() <= COMPACTED_BYTES_MAX);
            (changes, form.unwrap_or_default())
        })
    }

    /// Goes without the compacted form that is due, as if it could not be made; answers of how many
    /// changes it would have been.
    pub fn skip_form(&mut self) -> Option<usize> {
        self.is_form_due().then(|| {
            self.compacted = self.changes() - 1;
            self.compacted
        })
    }

    /// Begins from a compacted form: gives back those of the accepted changes that are still to be
    /// merged. All of them, if it is of no use. The document must hold nothing else.
    pub(crate) fn adopt(&mut self, form: &[u8], accepted: Vec<Candidate>) -> Vec<Candidate> {
        self.compacted = 0;
        let loaded = guard(|| Automerge::load_with_options(form, encoding()));
        let Ok(auto) = loaded else {
            return accepted;
        };
        let is_alone = self.changes() == 1 + accepted.len();
        let Some(inside) = self.made_from(&auto, &accepted).filter(|_| is_alone) else {
            return accepted;
        };
        self.compacted = inside.len();
        self.auto = auto;
        self.reading = None;
        self.find_places();
        let is_outside = |change: &Candidate| !inside.contains(&change.header.hash);
        accepted.into_iter().filter(is_outside).collect()
    }

    /// Which of these changes, each of which comes after those it builds on, are in a loaded form.
    /// None if others are in it as well.
    fn made_from(&self, auto: &Automerge, accepted: &[Candidate]) -> Option<BTreeSet<ChangeHash>> {
        let heads = auto.get_heads().into_iter().map(|head| ChangeHash(head.0));
        let mut wanted: BTreeSet<ChangeHash> = heads.collect();
        let mut inside = BTreeSet::new();
        for change in accepted.iter().rev() {
            let header = &change.header;
            if wanted.remove(&header.hash) {
                inside.insert(header.hash);
                wanted.extend(&header.deps);
            }
        }
        (wanted == self.begin.hashes()).then_some(inside)
    }
}

/// What Automerge saves of a document, once it could be loaded back and is the same then.
pub(crate) fn saved(auto: &Automerge) -> Option<Vec<u8>> {
    let saved = guard(|| {
        let saved = auto.save();
        let loaded = Automerge::load_with_options(&saved, encoding())?;
        let is_same = loaded.get_heads() == auto.get_heads();
        Ok::<_, AutomergeError>(is_same.then_some(saved))
    });
    saved.ok().flatten()
}
