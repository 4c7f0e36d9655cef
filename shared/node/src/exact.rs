//! The exact list: how two sides of a scope whose digests disagree find which documents differ.
//!
//! The dialling side lists its documents with their states; the other names those that differ, each
//! with what it has of them; the dialling side answers with what it has; and only they move.

use std::collections::BTreeMap;

use names::{
    DocumentId, Reason, ScopeId,
    limits::{FILL_FRAME_BYTES, LIST_ROWS_MAX},
};
use protocol::{
    digest::DocState,
    message::{Differ, Difference, Frame, List},
};
use store::{Store, StoreError, Table};

use crate::{
    admit,
    compare::ROUNDS_AHEAD_MAX,
    draft::read_row,
    input::{LinkId, Side},
    link::Talk,
    node::Node,
    output::{Lane, Notice, Output},
    rows::{ActorRow, DocumentRow},
    turn::Turn,
};

/// Documents one peer may list in one scope: ten times the largest scope that is planned for.
const LISTED_MAX: usize = 1_000_000;

/// What a difference takes in a frame for itself, and for each author and placement it names.
const DIFFERENCE_BYTES: usize = 32;

impl<S: Store> Node<S> {
    pub(crate) fn take_list(&mut self, turn: &mut Turn<S::Snapshot>, id: LinkId, list: List) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let Some(talk) = link.scopes.get_mut(&list.scope) else {
            return;
        };
        if list.round < talk.round {
            return;
        }
        if list.round - talk.round > ROUNDS_AHEAD_MAX {
            self.close(turn, id, Reason::OutOfTurn);
            return;
        }
        if list.round > talk.round {
            talk.begin_exact(list.round);
        }
        if !talk.exact || talk.listed.len() + list.rows.len() > LISTED_MAX {
            self.close(turn, id, Reason::OutOfTurn);
            return;
        }
        talk.listed.extend(list.rows);
        talk.list_complete = list.last;
    }

    pub(crate) fn take_differ(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        differ: Differ,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (leads, is_centre) = (link.side == Side::Dialled, link.is_centre);
        let Some(talk) = link.scopes.get_mut(&differ.scope) else {
            return Ok(());
        };
        // After the last page there is no more to come in this round.
        if talk.round != differ.round || !talk.exact || talk.fill.marker_due || talk.sent {
            return Ok(());
        }
        if leads {
            let due = talk.differ_due.get_or_insert_default();
            due.extend(
                differ
                    .documents
                    .iter()
                    .map(|difference| difference.document),
            );
        }
        talk.fill.marker_due |= differ.last;
        talk.differ_last |= differ.last;
        talk.fill.repairs.extend(differ.documents.iter().cloned());
        if is_centre {
            for difference in &differ.documents {
                self.centre_has(turn, difference)?;
            }
        }
        Ok(())
    }

    /// The centre has said what it has of a document: acknowledgements beyond that are void.
    fn centre_has(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        difference: &Difference,
    ) -> Result<(), StoreError> {
        let Some(row) = turn.draft.document(difference.document)? else {
            return Ok(());
        };
        for slot in 0..row.actors.len() as u64 {
            let name = difference.document;
            let Some(line) = turn
                .draft
                .row::<ActorRow>(Table::Actor, name.as_ref(), slot)?
            else {
                continue;
            };
            let held = difference
                .actors
                .iter()
                .find(|(actor, _)| *actor == line.actor);
            let held = held.map_or(0, |(_, seq)| *seq);
            if line.centre > held {
                let last = line.centre;
                self.send_again(turn, difference.document, slot, held + 1, last)?;
            }
        }
        Ok(())
    }

    /// The frames of an exact comparison that are due.
    pub(crate) fn speak_exact(
        snapshot: &S::Snapshot,
        id: LinkId,
        side: Side,
        scope: &ScopeId,
        talk: &mut Talk,
        said: &mut Vec<(Lane, Frame)>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        if std::mem::take(&mut talk.lists_due) {
            let lists = Self::lists(snapshot, scope, talk.round)?;
            said.extend(lists.into_iter().map(|frame| (Lane::Control, frame)));
        }
        if std::mem::take(&mut talk.list_complete) {
            let differing = Self::differing(snapshot, scope, &talk.listed)?;
            talk.listed.clear();
            let documents = differing.len() as u64;
            let scope = scope.clone();
            outputs.push(Output::Notice(Notice::Differing {
                link: id,
                scope,
                documents,
            }));
            talk.differ_due = Some(differing);
            talk.differ_last = true;
        }
        // The dialling side answers once all of the other's naming has come.
        if side == Side::Dialled && !talk.differ_last {
            return Ok(());
        }
        let Some(due) = talk.differ_due.take() else {
            return Ok(());
        };
        let mut pages = vec![Vec::new()];
        let mut bytes = 0;
        for document in due {
            let difference = Self::difference(snapshot, scope, document)?;
            let more =
                DIFFERENCE_BYTES * (1 + difference.actors.len() + difference.placements.len());
            if bytes > 0 && bytes + more > FILL_FRAME_BYTES {
                pages.push(Vec::new());
                bytes = 0;
            }
            bytes += more;
            pages
                .last_mut()
                .into_iter()
                .for_each(|page| page.push(difference.clone()));
        }
        let count = pages.len();
        for (page, documents) in pages.into_iter().enumerate() {
            let differ = Differ {
                scope: scope.clone(),
                documents,
                last: page + 1 == count,
                round: talk.round,
            };
            said.push((Lane::Control, Frame::Differ(differ)));
        }
        talk.differ_last = false;
        Ok(())
    }

    /// Our exact list of a scope, page by page.
    fn lists(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        round: u32,
    ) -> Result<Vec<Frame>, StoreError> {
        let mut rows: Vec<(DocumentId, DocState)> = Vec::new();
        crate::views::members(snapshot, scope, |member| {
            rows.push((member.document, member.state))
        })?;
        rows.sort_unstable();
        let pages = rows.chunks(LIST_ROWS_MAX).count().max(1);
        let mut after = None;
        let mut frames = Vec::new();
        for page in 0..pages {
            let part: Vec<_> = rows
                .iter()
                .skip(page * LIST_ROWS_MAX)
                .take(LIST_ROWS_MAX)
                .copied()
                .collect();
            let next = part.last().map(|(document, _)| *document);
            let list = List {
                scope: scope.clone(),
                after,
                rows: part,
                last: page + 1 == pages,
                round,
            };
            frames.push(Frame::List(list));
            after = next;
        }
        Ok(frames)
    }

    /// The documents each scope's differing members stand for, for a peer's exact list.
    fn differing(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        listed: &BTreeMap<DocumentId, protocol::digest::DocState>,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let mut missing: BTreeMap<_, _> = listed.clone();
        let mut differing = Vec::new();
        crate::views::members(snapshot, scope, |member| {
            match missing.remove(&member.document) {
                Some(state) if state == member.state => {}
                Some(_) | None => differing.push(member.document),
            }
        })?;
        differing.extend(missing.into_keys());
        Ok(differing)
    }

    /// What we have of a document, as a peer is told it. Of a document that does not stand in the
    /// scope that is spoken of, the answer is the same as of one that does not exist.
    fn difference(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        document: DocumentId,
    ) -> Result<Difference, StoreError> {
        let name = document.as_ref();
        let mut difference = Difference {
            document,
            actors: Vec::new(),
            placements: Vec::new(),
        };
        let row: Option<DocumentRow> = read_row(snapshot, Table::Document, name, 0)?;
        let Some(row) = row.filter(|row| row.placed.contains(scope)) else {
            return Ok(difference);
        };
        difference.placements = admit::placement_ids(snapshot, document, &row)?;
        for slot in 0..row.actors.len() as u64 {
            let line: Option<ActorRow> = read_row(snapshot, Table::Actor, name, slot)?;
            difference
                .actors
                .extend(line.map(|line| (line.actor, line.seq)));
        }
        Ok(difference)
    }
}
