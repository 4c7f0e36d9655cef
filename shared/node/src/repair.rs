//! The repair: how two sides of a large scope whose digests disagree find which documents differ.
//!
//! The dialling side sends the first cells of its set sketch; the other takes its own from them and
//! reads off what differs, asks for more where they do not suffice, and names the documents as
//! [`crate::exact`] does. What is sent grows with the difference, never with the scope. Where a
//! scope is small, or so much differs that the kept cells cannot tell it, the exact list serves.
//!
//! A sketch is made when it is first needed in an opening, by reading the scope's members once, and
//! follows the data from then on. It lives in memory alone: 48 KiB for each scope repaired.

use std::ops::Range;

use names::{DocumentId, Reason, ScopeId, limits::FILL_FRAMES_IN_FLIGHT};
use protocol::{
    digest::DocState,
    message::{Cells, Frame, Wanted},
    sketch::{
        Answer, CELLS_KEPT, Decoder, Item, Sketch, SketchKey, cells_first, cells_next, subtract,
    },
};
use store::{Store, StoreError};

use crate::{
    compare::ROUNDS_AHEAD_MAX,
    exact::acknowledge,
    input::LinkId,
    link::{Link, Talk},
    node::Node,
    output::{Lane, Notice, Output},
    turn::Turn,
    views::members_from,
};

/// Documents of a scope below which its list is no larger than the first cells.
pub(crate) const SKETCHED_FROM: u64 = 512;
/// Items that are taken to differ before anything is known: a hundred documents changed on one
/// side. 352 cells tell them in one round trip 99 times of 100, in 15 KB.
const DIFFERING_GUESSED: u64 = 200;
/// Members read at once while a sketch is made.
const MEMBERS_READ: usize = 4_096;
/// The epoch of every key, until scopes change theirs.
const EPOCH: u64 = 0;

/// A member of a scope that changed its state, or came into it.
#[derive(Debug)]
pub(crate) struct Restated {
    pub(crate) scope: ScopeId,
    pub(crate) document: DocumentId,
    pub(crate) before: Option<DocState>,
    pub(crate) after: DocState,
}

/// How far the cells of one round have gone.
#[derive(Debug, Default)]
pub(crate) struct Sketching {
    /// Cells that are to be sent, and those that were (the dialling side).
    due: Option<Range<usize>>,
    sent: usize,
    /// What was read from the peer's cells so far (the other side).
    decoder: Option<Decoder>,
    /// What is to be asked for, and whether that was the list: then no cells may follow.
    wanted: Option<u64>,
    is_given_up: bool,
}

impl<S: Store> Node<S> {
    /// Begins to find what differs, as the dialling side does.
    pub(crate) fn begin_repair(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        scope: &ScopeId,
        count: u64,
    ) -> Result<(), StoreError> {
        let is_large = count >= self.sketched_from;
        if is_large {
            self.make_sketch(turn, scope)?;
        }
        if let Some(talk) = self.talk(id, scope) {
            talk.begin_exact(talk.round.saturating_add(1));
            if is_large {
                talk.sketching.due = Some(0..cells_first(DIFFERING_GUESSED));
            } else {
                talk.list_next = Some(0);
            }
            let scope = scope.clone();
            turn.say(Output::Notice(Notice::Repairing { link: id, scope }));
        }
        Ok(())
    }

    pub(crate) fn talk(&mut self, id: LinkId, scope: &ScopeId) -> Option<&mut Talk> {
        self.links
            .get_mut(&id)
            .and_then(|link| link.scopes.get_mut(scope))
    }

    /// Repairs scopes of so many documents and more by their sketch, and smaller ones by their list.
    /// A shell leaves this as it is; the simulator's scopes are small, and it wants both.
    pub fn sketch_from(&mut self, documents: u64) {
        self.sketched_from = documents;
    }

    /// Makes the sketch of a scope, unless it is there.
    fn make_sketch(&mut self, turn: &Turn<S::Snapshot>, scope: &ScopeId) -> Result<(), StoreError> {
        if self.sketches.contains_key(scope) {
            return Ok(());
        }
        let mut sketch = Sketch::new(SketchKey::of(&self.identity.tenant_key, scope, EPOCH));
        let mut next = Some(0);
        while let Some(from) = next {
            let (members, more) = members_from(turn.draft.snapshot(), scope, from, MEMBERS_READ)?;
            for member in members {
                sketch.add(&Item::new(&member.document, &member.state));
            }
            next = more;
        }
        self.sketches.insert(scope.clone(), sketch);
        Ok(())
    }

    /// Lets the sketches follow what a turn has written.
    pub(crate) fn update_sketches(&mut self, restated: Vec<Restated>) {
        for Restated {
            scope,
            document,
            before,
            after,
        } in restated
        {
            if let Some(sketch) = self.sketches.get_mut(&scope) {
                if let Some(before) = before {
                    sketch.remove(&Item::new(&document, &before));
                }
                sketch.add(&Item::new(&document, &after));
            }
        }
    }

    /// Takes cells of the peer's, as the answering side does.
    pub(crate) fn take_cells(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        cells: &Cells,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        acknowledge(link, &cells.scope);
        let Some(talk) = link.scopes.get_mut(&cells.scope) else {
            return Ok(());
        };
        if cells.round < talk.round {
            return Ok(());
        }
        if cells.round - talk.round > ROUNDS_AHEAD_MAX {
            self.close(turn, id, Reason::OutOfTurn);
            return Ok(());
        }
        let is_in_it = talk.follow_exact(cells.round);
        let position = talk.sketching.decoder.as_ref().map_or(0, Decoder::position);
        let is_next = usize::try_from(cells.from) == Ok(position);
        let is_more = is_in_it && talk.differ_due.is_none() && talk.compare_next.is_none();
        if !is_next || !is_more || talk.sketching.is_given_up {
            self.close(turn, id, Reason::OutOfTurn);
            return Ok(());
        }
        self.make_sketch(turn, &cells.scope)?;
        let (wanted, differing) = self.read_cells(id, cells, position);
        let Some(talk) = self.talk(id, &cells.scope) else {
            return Ok(());
        };
        talk.sketching.wanted = wanted;
        talk.sketching.is_given_up = wanted == Some(0);
        if let Some(documents) = differing {
            turn.say(Output::Notice(Notice::Differing {
                link: id,
                scope: cells.scope.clone(),
                documents: documents.len() as u64,
            }));
            talk.differ_due = Some(documents);
            talk.differ_last = true;
        }
        Ok(())
    }

    /// Reads off what differs; or how many more cells are wanted for it, none for the list.
    fn read_cells(
        &mut self,
        id: LinkId,
        cells: &Cells,
        position: usize,
    ) -> (Option<u64>, Option<crate::exact::Due>) {
        let Some(sketch) = self.sketches.get(&cells.scope) else {
            return (Some(0), None);
        };
        let end = position.saturating_add(cells.cells.len());
        let Some(ours) = sketch.cells(position..end) else {
            return (Some(0), None);
        };
        let (key, difference) = (sketch.key().clone(), subtract(ours, &cells.cells));
        let Some(talk) = self.talk(id, &cells.scope) else {
            return (None, None);
        };
        let decoder = talk
            .sketching
            .decoder
            .get_or_insert_with(|| Decoder::new(key));
        match decoder.take(&difference) {
            Ok(Answer::Complete(differing)) => {
                talk.sketching.decoder = None;
                (None, Some(differing.documents().into_iter().collect()))
            }
            Ok(Answer::More) => {
                let more = cells_next(end).min(CELLS_KEPT - end.min(CELLS_KEPT));
                (Some(more as u64), None)
            }
            Err(unsolvable) => {
                self.count(unsolvable.reason());
                (Some(0), None)
            }
        }
    }

    /// The peer wants more cells, or the list.
    pub(crate) fn take_wanted(&mut self, id: LinkId, wanted: &Wanted) {
        let Some(talk) = self.talk(id, &wanted.scope) else {
            return;
        };
        let is_asked = talk.exact && talk.round == wanted.round;
        if !is_asked || talk.list_next.is_some() || talk.sketching.sent == 0 {
            return;
        }
        let more = usize::try_from(wanted.cells).unwrap_or(usize::MAX);
        let end = talk.sketching.sent.saturating_add(more);
        if more == 0 || end > CELLS_KEPT {
            // Once: what was listed is not listed again in this round.
            talk.sketching.sent = 0;
            talk.list_next = Some(0);
        } else {
            talk.sketching.due = Some(talk.sketching.sent..end);
        }
    }

    /// Says the cells that are due, as far as the credit goes, and what is wanted.
    pub(crate) fn speak_cells(
        &self,
        link: &mut Link,
        (scope, talk): (&ScopeId, &mut Talk),
        said: &mut Vec<(Lane, Frame)>,
    ) {
        let round = talk.round;
        if let Some(cells) = talk.sketching.wanted.take() {
            let wanted = Wanted {
                scope: scope.clone(),
                round,
                cells,
            };
            said.push((Lane::Control, Frame::Wanted(wanted)));
        }
        if link.in_flight >= FILL_FRAMES_IN_FLIGHT {
            return;
        }
        let sketch = self.sketches.get(scope);
        let Some(due) = talk.sketching.due.take() else {
            return;
        };
        let Some(cells) = sketch.and_then(|sketch| sketch.cells(due.clone())) else {
            talk.list_next = Some(0);
            return;
        };
        talk.sketching.sent = due.end;
        link.in_flight += 1;
        let cells = Cells {
            scope: scope.clone(),
            round,
            from: due.start as u64,
            cells: cells.to_vec(),
        };
        said.push((Lane::Fill, Frame::Cells(cells)));
    }
}
