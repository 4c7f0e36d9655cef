//! The *trying* mark: no document brings the program down without being known for it.
//!
//! Automerge is an unsafe parser of what a peer wrote: it may abort, or take all memory, and
//! neither can be caught. So before changes are opened that were never opened here, a mark is made
//! durable, with whatever else the turn writes, and taken away once the opening has ended. A mark
//! found at the start belongs to an opening whose end nobody saw: because it was at fault, or
//! because somebody pulled the plug just then. Such documents are *suspects*. They are opened again
//! before anything else, one at a time, each with a mark that says so; if the program ends in that
//! again and again ([`TRIES_MAX`]), the document is **set aside**: it is not opened for now, which is
//! reported, its entries are kept, and everything else goes on. It becomes a suspect again once the
//! program has run for a while, and for longer each time that this ends it ([`WAITS_MS`]): a
//! machine that was killed two hundred times needs no hand afterwards, and a document that does
//! bring the program down does so three times more and no further. It is also taken up again when
//! an operator asks for it, and by another version of the program.
//!
//! When the program is asked to stop, nothing more is opened that nobody waits for, and what is being
//! opened is seen to its end, if that does not take longer than a stop may: a mark is left by a program
//! that was cut off.
//!
//! A document whose changes were all opened here before needs no mark, so a person's command on it
//! costs no commit of its own.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, Moment, Reason};
use store::{Batch, Snapshot, Store, StoreError, Table};

use crate::{
    draft::{Draft, decode_row, read_row, unless_damaged},
    node::Node,
    output::{Notice, Output},
    rows::{DocumentRow, SummaryRow, TryingRow},
    turn::Turn,
};

/// Openings of which nobody saw the end, until a document is set aside: one that others may have
/// been at fault for, and three on its own. A machine whose plug is pulled again and again just as
/// it starts must not lose sight of an innocent document; most supervisors start a program again
/// five times.
pub(crate) const TRIES_MAX: u8 = 4;

/// How long the program has run when it opens again what is set aside, by how often that was done:
/// longer than the ten seconds in which supervisors count the starts that failed (systemd's
/// `StartLimitIntervalSec`), so that none gives the program up for it; then an hour; then a day.
/// After that it waits to be asked.
pub(crate) const WAITS_MS: [i64; 3] = [20_000, 3_600_000, 86_400_000];

/// The version of the program: another one may open what this one cannot.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What is known of openings and their ends.
#[derive(Debug, Default)]
pub(crate) struct Trying {
    /// Documents that were being opened when the program ended, to be opened one at a time.
    /// With how often so far.
    suspects: BTreeMap<DocumentId, u8>,
    /// Documents that are not opened for now, with how often they were.
    aside: BTreeMap<DocumentId, u8>,
    /// The first turn since the start; waits count from there.
    began: Option<Moment>,
    /// Whether that was told since the start.
    told: bool,
    /// Openings under way, by document.
    under_way: BTreeMap<DocumentId, usize>,
    /// Documents that have a mark on disk.
    marked: BTreeSet<DocumentId>,
    /// Documents that were marked together and are opened next: a commit for each mark would be a
    /// thousand after a first fill.
    pub(crate) ready: BTreeSet<DocumentId>,
    /// Whether commands wait until the suspects are through.
    pub(crate) holds_back: bool,
}

impl Trying {
    /// Reads the marks that were found at the start. Those of another version are taken away.
    pub(crate) fn read<P: Snapshot>(snapshot: &P, batch: &mut Batch) -> Result<Trying, StoreError> {
        let mut trying = Trying::default();
        store::each(snapshot, Table::Job, |row| {
            let document = <[u8; 16]>::try_from(row.name.as_slice()).map(DocumentId);
            let kept = decode_row::<TryingRow>(Table::Job, &row.value);
            let (Ok(document), Ok(kept)) = (document, kept) else {
                return;
            };
            if kept.program != PROGRAM {
                batch.delete(Table::Job, row.name, row.position);
            } else if kept.tries >= TRIES_MAX {
                trying.aside.insert(document, kept.tries);
            } else {
                trying.suspects.insert(document, kept.tries);
                trying.marked.insert(document);
            }
        })?;
        Ok(trying)
    }

    /// Whether a document is not opened for now.
    pub(crate) fn is_aside(&self, document: &DocumentId) -> bool {
        self.aside.contains_key(document)
    }

    /// Whether a document has a mark, and is no suspect.
    pub(crate) fn is_marked(&self, document: &DocumentId) -> bool {
        self.marked.contains(document) && !self.suspects.contains_key(document)
    }

    /// Makes a suspect again of the next document whose time aside is over, if there is no other.
    pub(crate) fn take_up(&mut self, now: Moment) {
        let began = *self.began.get_or_insert(now);
        if now < began {
            // The clock was set back.
            self.began = Some(now);
            return;
        }
        // Nothing waits for it that could be done before, and nobody waits long.
        if self.suspects.is_empty()
            && self.rests()
            && !self.holds_back
            && let Some((at, document, tries)) = self.next_aside()
            && at <= now
        {
            self.aside.remove(&document);
            self.suspects.insert(document, tries);
            self.marked.insert(document);
        }
    }

    /// When the next document's time aside is over. While anything is opened, its end tells.
    pub(crate) fn take_up_at(&self) -> Option<Moment> {
        let next = self.next_aside().map(|(at, _, _)| at);
        next.filter(|_| self.suspects.is_empty() && self.rests() && !self.holds_back)
    }

    fn next_aside(&self) -> Option<(Moment, DocumentId, u8)> {
        let began = self.began?;
        let aside = self.aside.iter().filter_map(|(document, tries)| {
            let wait = WAITS_MS.get(usize::from(tries.saturating_sub(TRIES_MAX)))?;
            Some((began.plus_ms(*wait), *document, *tries))
        });
        aside.min()
    }

    /// The next document that is to be opened on its own.
    pub(crate) fn suspect(&self) -> Option<DocumentId> {
        self.suspects.keys().next().copied()
    }

    /// Whether nothing is being opened.
    pub(crate) fn rests(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Notes that a document is not here any more: there is nothing to open. Its mark goes with its
    /// other rows.
    pub(crate) fn forget(&mut self, document: DocumentId) {
        self.suspects.remove(&document);
        self.aside.remove(&document);
        self.marked.remove(&document);
        self.ready.remove(&document);
    }

    /// Notes that an opening has ended, however it did.
    pub(crate) fn ended(&mut self, document: DocumentId) {
        self.suspects.remove(&document);
        if let Some(count) = self.under_way.get_mut(&document) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&document);
            }
        }
    }
}

impl<S: Store> Node<S> {
    /// Notes that a document is about to be opened, and makes the mark if that needs one: the turn
    /// that asks for the opening makes it durable.
    pub(crate) fn try_opening(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        self.mark(turn, document)?;
        self.trying.ready.remove(&document);
        *self.trying.under_way.entry(document).or_default() += 1;
        Ok(())
    }

    /// Makes the mark of a document that is to be opened, if it needs one.
    pub(crate) fn mark(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        let is_suspect = self.trying.suspects.contains_key(&document);
        let is_marked = self.trying.marked.contains(&document);
        if is_suspect || (!is_marked && has_unopened(&turn.draft, document)?) {
            self.mark_anyway(turn, document);
        }
        Ok(())
    }

    /// Makes the mark of a document, also when all of it was opened here before: its compacted form
    /// may be due, and to make that is as new to the program.
    pub(crate) fn mark_anyway(&mut self, turn: &mut Turn<S::Snapshot>, document: DocumentId) {
        let suspect = self.trying.suspects.get(&document);
        let row = TryingRow {
            tries: suspect.map_or(1, |tries| tries.saturating_add(1)),
            program: PROGRAM.to_owned(),
        };
        turn.draft.put(Table::Job, document.0, 0, &row);
        self.trying.marked.insert(document);
    }

    /// Takes the marks away of openings that have ended.
    pub(crate) fn clear_marks(&mut self, turn: &mut Turn<S::Snapshot>) {
        let Trying {
            under_way,
            suspects,
            marked,
            ready,
            ..
        } = &mut self.trying;
        marked.retain(|document| {
            let stays = under_way.contains_key(document)
                || suspects.contains_key(document)
                || ready.contains(document);
            if !stays {
                turn.draft.delete(Table::Job, document.0, 0);
            }
            stays
        });
    }

    /// Takes a suspect's mark away whose document is not here, or is nobody's to read here.
    pub(crate) fn acquit(&mut self, document: DocumentId) {
        self.trying.suspects.remove(&document);
    }

    /// Tells, once after the start, what is set aside.
    pub(crate) fn tell_aside(&mut self, turn: &mut Turn<S::Snapshot>) {
        if std::mem::replace(&mut self.trying.told, true) {
            return;
        }
        let reason = Reason::SetAside;
        for document in self.trying.aside.keys().copied().collect::<Vec<_>>() {
            self.count(reason);
            turn.say(Output::Notice(Notice::Unreadable { document, reason }));
        }
    }

    /// Takes up again what was set aside: an operator asks for it.
    pub(crate) fn try_again(&mut self, turn: &mut Turn<S::Snapshot>) {
        for document in std::mem::take(&mut self.trying.aside).into_keys() {
            turn.draft.delete(Table::Job, document.0, 0);
            self.stale.insert(document);
        }
    }
}

/// Whether changes are here that this program never opened here. What a person writes is opened
/// where it is written.
pub(crate) fn has_unopened<P: Snapshot>(
    draft: &Draft<P>,
    document: DocumentId,
) -> Result<bool, StoreError> {
    let row = unless_damaged(draft.document(document))?.flatten();
    let summary = draft.row::<SummaryRow>(Table::Summary, document.as_ref(), 0);
    let summary = unless_damaged(summary)?.flatten();
    Ok(row.is_some_and(|row| !is_opened(&row, summary.as_ref())))
}

/// Whether this program has opened all changes of a document: what another version could open may
/// bring this one down.
fn is_opened(row: &DocumentRow, summary: Option<&SummaryRow>) -> bool {
    summary.is_some_and(|summary| summary.arrivals >= row.arrivals && summary.program == PROGRAM)
}

/// Whether any document has a mark: it is being opened, waits to be, or is set aside.
pub(crate) fn any_marks<P: Snapshot>(snapshot: &P) -> Result<bool, StoreError> {
    let page = snapshot.names(Table::Job, None, 1)?;
    Ok(!page.rows.is_empty() || page.damaged > 0)
}

/// Whether all changes of a document were opened here before; and whether it is set aside.
pub(crate) fn opening<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
) -> Result<(bool, bool), StoreError> {
    let row: Option<DocumentRow> =
        unless_damaged(read_row(snapshot, Table::Document, document.as_ref(), 0))?.flatten();
    let summary: Option<SummaryRow> =
        unless_damaged(read_row(snapshot, Table::Summary, document.as_ref(), 0))?.flatten();
    let mark: Option<TryingRow> =
        unless_damaged(read_row(snapshot, Table::Job, document.as_ref(), 0))?.flatten();
    let is_opened = row.is_none_or(|row| is_opened(&row, summary.as_ref()));
    let is_aside = mark.is_some_and(|mark| mark.tries >= TRIES_MAX && mark.program == PROGRAM);
    Ok((is_opened, is_aside))
}
