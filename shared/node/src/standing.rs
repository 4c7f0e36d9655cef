//! Standing in a view: which entries of a document bear a mark, and which.
//!
//! The directory judges changes; here its verdicts are laid beside the entries that the changes
//! made. Nothing is hidden and nothing refused for a mark.

use std::collections::{BTreeMap, BTreeSet};

use document::Document;
use names::{ActorId, EntryId, Mark, Moment};
use protocol::{
    directory::{Directory, Written},
    signed::Run,
};

/// Who wrote the runs of one document, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Authored {
    written: Vec<Written>,
    /// The latest statement that each author claimed to have seen so far.
    seen: BTreeMap<ActorId, Moment>,
    /// Runs, by their place in `written`, whose author had claimed to have seen more before.
    saw_less: BTreeSet<usize>,
}

impl Authored {
    /// Takes in the next run. One that cannot be read has been reported where it was opened.
    pub(crate) fn add(&mut self, run: &Run) {
        let first = run
            .changes
            .first()
            .map(|chunk| document::preflight::header(chunk));
        let (Some(Ok(first)), Ok(head)) = (first, run.head.claim()) else {
            return;
        };
        let seen = self.seen.entry(first.actor).or_insert(head.directory_seen);
        if head.directory_seen < *seen {
            self.saw_less.insert(self.written.len());
        }
        *seen = head.directory_seen.max(*seen);
        self.written.push(Written {
            document: run.document,
            actor: first.actor,
            first: first.seq,
            last: head.seq,
            device: head.device,
            worker: head.worker,
            directory_seen: head.directory_seen,
        });
    }

    /// The entries that bear marks.
    pub(crate) fn marks(
        &self,
        document: &Document,
        directory: &Directory,
    ) -> BTreeMap<EntryId, BTreeSet<Mark>> {
        let (mut stretches, mut verdicts) = (Vec::new(), Vec::new());
        for (place, written) in self.written.iter().enumerate() {
            let mut marks = directory.marks(written);
            if self.saw_less.contains(&place) {
                marks.insert(Mark::SeenLess);
            }
            if !marks.is_empty() {
                stretches.push((written.actor, written.first, written.last));
                verdicts.push(marks);
            }
        }
        let mut marked: BTreeMap<EntryId, BTreeSet<Mark>> = BTreeMap::new();
        for (entry, places) in document.made_in(&stretches) {
            let marks = places.iter().filter_map(|place| verdicts.get(*place));
            marked.entry(entry).or_default().extend(marks.flatten());
        }
        marked
    }
}
