//! Standing in a view: which entries of a document bear a mark, and which.
//!
//! The directory judges changes; here its verdicts are laid beside the entries that the changes
//! made. Nothing is hidden and nothing refused for a mark.

use std::collections::{BTreeMap, BTreeSet};

use document::Document;
use names::{ActorId, ChangeHash, DocumentId, EntryId, Mark, Moment};
use protocol::{
    bundle::Bundle,
    directory::{Directory, Rights, Written},
    placement::Placement,
    signed::Head,
};

/// Who wrote one document's runs, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Authored {
    written: Vec<Written>,
    /// The latest statement that each author claimed to have seen so far.
    seen: BTreeMap<ActorId, Moment>,
    /// Runs, by their place in `written`, whose author had claimed to have seen more before.
    saw_less: BTreeSet<usize>,
}

impl Authored {
    /// Takes in the next bundle, with its changes as they were written: each author's up to a head
    /// were written with what that head had seen.
    pub(crate) fn add(&mut self, bundle: &Bundle, changes: &[(ChangeHash, Vec<u8>)]) {
        let mut covered: BTreeMap<u16, usize> = BTreeMap::new();
        for closing in &bundle.closings {
            let place = usize::from(closing.change);
            let (Some(change), Some((hash, _))) = (bundle.changes.get(place), changes.get(place))
            else {
                continue;
            };
            let actor = bundle.authors.get(usize::from(change.author));
            let (Some(actor), Ok(head)) = (actor, closing.head(hash).claim()) else {
                continue;
            };
            let before = bundle.changes.iter().take(place + 1);
            let count = before.filter(|other| other.author == change.author).count();
            let earlier = covered.insert(change.author, count).unwrap_or(0);
            let run = count.saturating_sub(earlier) as u64;
            self.take(
                *actor,
                bundle.document,
                (head.seq + 1).saturating_sub(run),
                head,
            );
        }
    }

    fn take(&mut self, actor: ActorId, document: DocumentId, first: u64, head: Head) {
        // A head that was taken in before comes again when bundles were folded since.
        let before = self
            .written
            .iter()
            .rev()
            .find(|written| written.actor == actor);
        if before.is_some_and(|before| before.last >= head.seq) {
            return;
        }
        let seen = self.seen.entry(actor).or_insert(head.directory_seen);
        if head.directory_seen < *seen {
            self.saw_less.insert(self.written.len());
        }
        *seen = head.directory_seen.max(*seen);
        self.written.push(Written {
            document,
            actor,
            first,
            last: head.seq,
            device: head.device,
            worker: head.worker,
            directory_seen: head.directory_seen,
        });
    }

    /// The entries that bear marks; `transfers` are the placements that took the document from one
    /// site to another.
    pub(crate) fn marks(
        &self,
        document: &Document,
        directory: &Directory,
        transfers: &[Placement],
    ) -> BTreeMap<EntryId, BTreeSet<Mark>> {
        let (mut stretches, mut verdicts) = (Vec::new(), Vec::new());
        for (place, written) in self.written.iter().enumerate() {
            for written in directory.alike(written) {
                let mut marks = directory.marks(&written);
                if self.saw_less.contains(&place) {
                    marks.insert(Mark::SeenLess);
                }
                if !marks.is_empty() {
                    stretches.push((written.actor, written.first, written.last));
                    verdicts.push(marks);
                }
            }
        }
        for placement in transfers {
            let seen = document.reach(&placement.heads);
            for written in &self.written {
                let reach = seen.get(&written.actor).copied().unwrap_or(0);
                let writes = |scope| {
                    directory
                        .ever(&written.device, scope)
                        .contains(Rights::WRITE)
                };
                // Who writes where it went may not have heard of it either, and need not.
                if written.last > reach && !placement.scopes.iter().any(writes) {
                    let first = written.first.max(reach + 1);
                    stretches.push((written.actor, first, written.last));
                    verdicts.push(BTreeSet::from([Mark::TransferUnseen]));
                }
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
