//! The exact list: how two sides of a scope whose digests disagree find which documents differ.
//!
//! The dialling side lists its documents with their states; the other names those that differ, each
//! with what it has of them; the dialling side answers with what it has; and only they move.
//!
//! Lists and names go page by page, on the credit of the fill: a large scope neither floods a slow
//! link nor makes a turn long.

use std::collections::VecDeque;

use names::{
    DocumentId, Reason, ScopeId,
    limits::{CHANGE_ACTORS_MAX, FILL_FRAME_BYTES, FILL_FRAMES_IN_FLIGHT, LIST_ROWS_MAX},
};
use protocol::message::{Differ, Difference, Frame, Held, List};
use store::{Store, StoreError, Table};

use crate::{
    admit,
    compare::ROUNDS_AHEAD_MAX,
    draft::{read_row, unless_damaged},
    except::is_to_be_ruled,
    gather::Repair,
    input::{LinkId, Side},
    lines::read_line,
    link::{Link, Talk},
    node::Node,
    output::{Lane, Notice, Output},
    rows::{DocumentRow, ExceptionRow},
    turn::Turn,
    views::members_from,
};

/// Documents one peer may list, or name, in one scope: ten times the largest scope that is planned
/// for.
const LISTED_MAX: usize = 1_000_000;
/// What the differences of one round may take in memory while they wait to be sent.
const DIFFERENCES_BYTES_MAX: usize = 64 << 20;
/// What a difference takes in a frame for itself, and for each author and placement it names.
const DIFFERENCE_BYTES: usize = 32;
/// Members compared with a peer's list in one turn: about 20 ms.
const COMPARED_AT_ONCE: usize = 4_096;

/// What a difference takes.
fn cost(difference: &Difference) -> usize {
    DIFFERENCE_BYTES * (1 + difference.actors.len() + difference.placements.len())
}

/// Gives a page's credit back: it has been read, whatever becomes of it.
pub(crate) fn acknowledge(link: &mut Link, scope: &ScopeId) {
    let held = Held {
        scope: scope.clone(),
        fills: 1,
        refused: Vec::new(),
        number: None,
        after: None,
    };
    link.ready.push((Lane::Control, Frame::Held(held)));
}

impl<S: Store> Node<S> {
    pub(crate) fn take_list(&mut self, turn: &mut Turn<S::Snapshot>, id: LinkId, list: List) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        acknowledge(link, &list.scope);
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
        let is_in_it = talk.follow_exact(list.round);
        // After the last page no other may come in this round.
        let is_more = is_in_it && talk.compare_next.is_none() && talk.differ_due.is_none();
        if !is_more || talk.listed.len() + list.rows.len() > LISTED_MAX {
            self.close(turn, id, Reason::OutOfTurn);
            return;
        }
        talk.listed.extend(list.rows);
        if list.last {
            talk.compare_next = Some(0);
        }
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
        acknowledge(link, &differ.scope);
        let (leads, is_centre) = (link.side == Side::Dialled, link.is_centre);
        let Some(talk) = link.scopes.get_mut(&differ.scope) else {
            return Ok(());
        };
        // After the last page there is no more to come in this round.
        if talk.round != differ.round || !talk.exact || talk.fill.marker_due || talk.sent {
            return Ok(());
        }
        talk.fill.marker_due |= differ.last;
        talk.differ_last |= differ.last;
        if leads {
            let documents = differ.documents.iter().map(|differs| differs.document);
            talk.differ_due.get_or_insert_default().extend(documents);
        }
        talk.named += differ.documents.len();
        talk.named_bytes += differ.documents.iter().map(cost).sum::<usize>();
        if talk.named > LISTED_MAX || talk.named_bytes > DIFFERENCES_BYTES_MAX {
            self.close(turn, id, Reason::TooLarge);
            return Ok(());
        }
        if is_centre {
            for difference in &differ.documents {
                self.centre_has(turn, difference)?;
            }
        }
        let directory = self.directory();
        let talk = self
            .links
            .get_mut(&id)
            .and_then(|link| link.scopes.get_mut(&differ.scope));
        if let Some(talk) = talk {
            // Where an exchange of what lies beyond the other's lines was not enough, one of these may
            // part from ours before that: the centre can tell where, once it has all of ours.
            let has_failed = talk.failures > 0;
            let parts = |row: &ExceptionRow| {
                let reasons = [Reason::WrongSequence, Reason::NotEqual];
                reasons.contains(&row.reason) || is_to_be_ruled(&directory, row)
            };
            let exceptions = &talk.exceptions;
            let repairs = differ.documents.into_iter().map(|differs| {
                let may_part = exceptions.get(&differs.document).is_some_and(parts);
                match is_centre && (has_failed || may_part) {
                    true => Repair::whole(differs.document),
                    false => differs.into(),
                }
            });
            talk.fill.repairs.extend(repairs);
        }
        Ok(())
    }

    /// The centre has said what it has of a document: acknowledgements beyond that are void.
    fn centre_has(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        difference: &Difference,
    ) -> Result<(), StoreError> {
        let row = unless_damaged(turn.draft.document(difference.document))?;
        let Some(row) = row.flatten() else {
            return Ok(());
        };
        for slot in 0..row.actors.len() as u64 {
            let name = difference.document;
            let line = turn.draft.line(name, slot);
            let Some(line) = unless_damaged(line)?.flatten() else {
                continue;
            };
            let held = difference
                .actors
                .iter()
                .find(|(actor, _)| *actor == line.actor);
            let held = held.map_or(0, |(_, seq)| *seq);
            if line.centre > held {
                self.send_again(turn, difference.document, slot, held + 1)?;
            }
        }
        Ok(())
    }

    /// Says what is due of an exact comparison and what the credit allows; what is left over is
    /// for the next turn.
    pub(crate) fn speak_exact(
        snapshot: &S::Snapshot,
        id: LinkId,
        link: &mut Link,
        (scope, talk): (&ScopeId, &mut Talk),
        said: &mut Vec<(Lane, Frame)>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        if talk.compare_next.is_some() {
            Self::compare_listed(snapshot, scope, talk)?;
            if talk.compare_next.is_some() {
                link.unfinished = true;
            } else {
                outputs.push(Output::Notice(Notice::Differing {
                    link: id,
                    scope: scope.clone(),
                    documents: talk.differ_due.as_ref().map_or(0, |due| due.len() as u64),
                }));
            }
        }
        while link.in_flight < FILL_FRAMES_IN_FLIGHT {
            let page = match talk.list_next {
                Some(next) => Self::list_page(snapshot, scope, talk, next)?,
                // The dialling side answers once all of the other's naming has come.
                None if talk.differ_last => match Self::differ_page(snapshot, scope, talk)? {
                    Some(page) => page,
                    None => break,
                },
                None => break,
            };
            link.in_flight += 1;
            said.push((Lane::Fill, page));
        }
        Ok(())
    }

    /// The next page of our list, from a member's slot on.
    fn list_page(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
        from: u64,
    ) -> Result<Frame, StoreError> {
        let (members, next) = members_from(snapshot, scope, from, LIST_ROWS_MAX)?;
        talk.list_next = next;
        Ok(Frame::List(List {
            scope: scope.clone(),
            rows: members
                .iter()
                .map(|member| (member.document, member.state))
                .collect(),
            last: next.is_none(),
            round: talk.round,
        }))
    }

    /// Holds the peer's list against our members, some of them at a time.
    fn compare_listed(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
    ) -> Result<(), StoreError> {
        let from = talk.compare_next.unwrap_or(0);
        let (members, next) = members_from(snapshot, scope, from, COMPARED_AT_ONCE)?;
        for member in members {
            if talk.listed.remove(&member.document) != Some(member.state) {
                talk.differing.insert(member.document);
            }
        }
        talk.compare_next = next;
        if next.is_none() {
            let mut differing = std::mem::take(&mut talk.differing);
            differing.extend(std::mem::take(&mut talk.listed).into_keys());
            talk.differ_due = Some(differing.into_iter().collect());
            talk.differ_last = true;
        }
        Ok(())
    }

    /// The next page of what we have of the documents that differ; none when all is said.
    pub(crate) fn differ_page(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
    ) -> Result<Option<Frame>, StoreError> {
        let Some(mut due) = talk.differ_due.take() else {
            return Ok(None);
        };
        let (mut documents, mut bytes) = (Vec::new(), 0);
        while let Some(document) = due.front().copied() {
            let difference = Self::difference(snapshot, scope, document)?;
            bytes += cost(&difference);
            let is_full = bytes > FILL_FRAME_BYTES || documents.len() >= LIST_ROWS_MAX;
            if is_full && !documents.is_empty() {
                break;
            }
            documents.push(difference);
            due.pop_front();
        }
        let last = due.is_empty();
        talk.differ_last = !last;
        talk.differ_due = if last { None } else { Some(due) };
        Ok(Some(Frame::Differ(Differ {
            scope: scope.clone(),
            documents,
            last,
            round: talk.round,
        })))
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
        let row = read_row(snapshot, Table::Document, name, 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let Some(row) = row else {
            return Ok(difference);
        };
        // Of one that has left the scope: where it went. Who has entries of it hands them all in.
        let told = admit::told_in(snapshot, document, &row, scope)?;
        difference.placements = told.into_iter().take(LIST_ROWS_MAX).collect();
        if !row.placed.contains(scope) {
            return Ok(difference);
        }
        // An author left out here is offered again, which costs bytes and loses nothing.
        for slot in 0..row.actors.len().min(CHANGE_ACTORS_MAX) as u64 {
            let line = unless_damaged(read_line(snapshot, document, slot))?.flatten();
            difference
                .actors
                .extend(line.map(|line| (line.actor, line.seq)));
        }
        Ok(difference)
    }
}

/// Documents that a peer is to be told what we have of.
pub(crate) type Due = VecDeque<DocumentId>;
