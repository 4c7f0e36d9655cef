//! What was written here and is not yet at the centre.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use names::{DeviceId, DocumentId, ScopeId};
use store::{Snapshot, StoreError, Table};

use crate::{
    draft::{read_row, unless_damaged},
    lines::{read_line, waiting},
    rows::DocumentRow,
};

/// An author's line in a document: the document and the author's slot.
pub(crate) type LineKey = (DocumentId, u64);

/// What waits for the centre, as an index over the stored rows.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lines: BTreeMap<LineKey, Waits>,
    /// How many changes they are: asked for after every turn, so it is counted along.
    count: u64,
    /// Counts what was written, for [`Waits::number`].
    pub(crate) next: u64,
    /// The next number as of the last commit: what is below it is on disk.
    pub(crate) durable: u64,
    /// The scopes in which the documents of these lines stand.
    pub(crate) placed: BTreeMap<DocumentId, Vec<ScopeId>>,
    /// Lines that waited when the store was opened and whose rows are damaged.
    unread: BTreeSet<LineKey>,
}

/// The changes of a line that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// The first and the last of them.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// When the last one was written, by the outbox's own count.
    pub(crate) number: u64,
}

impl Waits {
    /// How many they are.
    fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

impl Outbox {
    /// Reads what waits. A damaged row costs no change: each is sent all the same, as every other,
    /// and what cannot be read of a line stays written down as waiting.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn read<P: Snapshot>(snapshot: &P, device: DeviceId) -> Result<Outbox, StoreError> {
        let mut outbox = Outbox::default();
        let (lines, _) = waiting(snapshot, device)?;
        for (document, slot) in lines {
            let Some(line) = unless_damaged(read_line(snapshot, document, slot))? else {
                outbox.unread.insert((document, slot));
                continue;
            };
            let Some(line) = line.filter(|line| line.centre < line.seq) else {
                continue;
            };
            let waits = Waits {
                first: line.centre + 1,
                last: line.seq,
                number: outbox.next,
            };
            outbox.next += 1;
            outbox.set((document, slot), waits);
            if let Entry::Vacant(vacant) = outbox.placed.entry(document) {
                let kept = read_row(snapshot, Table::Document, document.as_ref(), 0);
                let kept: Option<DocumentRow> = unless_damaged(kept)?.flatten();
                vacant.insert(kept.map(|kept| kept.placed).unwrap_or_default());
            }
        }
        outbox.durable = outbox.next;
        Ok(outbox)
    }

    /// What waits of a line, if anything does.
    pub(crate) fn get(&self, line: &LineKey) -> Option<Waits> {
        self.lines.get(line).copied()
    }

    /// Notes what waits of a line.
    pub(crate) fn set(&mut self, line: LineKey, waits: Waits) {
        self.count += waits.count();
        let before = self.lines.insert(line, waits);
        self.count -= before.map_or(0, |before| before.count());
    }

    /// Notes that nothing of a line waits.
    pub(crate) fn remove(&mut self, line: &LineKey) {
        let before = self.lines.remove(line);
        self.count -= before.map_or(0, |before| before.count());
    }

    /// Forgets a document: it is dropped, as all of it has arrived.
    pub(crate) fn forget(&mut self, document: DocumentId) {
        for slot in self.slots(document) {
            self.remove(&(document, slot));
            self.unread.remove(&(document, slot));
        }
        self.placed.remove(&document);
    }

    /// The lines that wait in documents of a scope.
    pub(crate) fn lines_in<'o>(
        &'o self,
        scope: &'o ScopeId,
    ) -> impl Iterator<Item = (LineKey, Waits)> + 'o {
        let stands = |document: &DocumentId| {
            let placed = self.placed.get(document);
            placed.is_some_and(|placed| placed.contains(scope))
        };
        let lines = self.lines.iter();
        lines
            .filter(move |((document, _), _)| stands(document))
            .map(|(line, waits)| (*line, *waits))
    }

    /// How many changes wait in documents of a scope.
    pub(crate) fn count_in(&self, scope: &ScopeId) -> u64 {
        self.lines_in(scope).map(|(_, waits)| waits.count()).sum()
    }

    /// How much of a document waits.
    pub(crate) fn waiting_of(&self, document: DocumentId) -> u64 {
        let all = (document, 0)..=(document, u64::MAX);
        self.lines.range(all).map(|(_, waits)| waits.count()).sum()
    }

    /// What is to be written down of a document: its lines that wait.
    pub(crate) fn slots(&self, document: DocumentId) -> BTreeSet<u64> {
        let all = (document, 0)..=(document, u64::MAX);
        let lines = self.lines.range(all.clone()).map(|((_, slot), _)| *slot);
        let unread = self.unread.range(all).map(|(_, slot)| *slot);
        lines.chain(unread).collect()
    }

    /// Whether nothing of a document waits.
    pub(crate) fn waits_no_more(&self, document: DocumentId) -> bool {
        let all = (document, 0)..=(document, u64::MAX);
        self.lines.range(all).next().is_none()
    }

    /// How many changes wait.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}
