//! What was written in documents that have left, handed in to the centre: all of it, and with an answer
//! for all of it.

use std::collections::BTreeSet;

use names::{DeviceId, DocumentId, Moment, Nonce, Reason, ScopeId, limits::FILL_FRAMES_IN_FLIGHT};
use protocol::{
    directory::Rights,
    message::{Backups, Fault, Frame, Held},
};
use store::{Store, StoreError, Table};

use crate::{
    draft::unless_damaged,
    gather::{Audience, Gathering, Repair},
    input::LinkId,
    link::{Link, Stage as Talking},
    load::may_come,
    node::Node,
    output::Lane,
    rows::{DocumentRow, Stage},
    turn::Turn,
    verify::VerifiedBundle,
};

/// How long to wait before what the centre refused is handed in again: a whole document each time.
const AGAIN_MS: i64 = 24 * 3_600_000;
/// How long where what it builds on may come meanwhile.
const COMES_MS: i64 = 300_000;

/// How far a document is with being handed in over a conversation.
#[derive(Debug, Default)]
pub(crate) struct HandIn {
    /// Batches with parts of it that were not answered yet.
    pub(crate) unanswered: BTreeSet<u64>,
    /// Whether all of it is out.
    pub(crate) is_sent: bool,
    /// Why something of it was refused, if it was.
    pub(crate) refused: Option<Reason>,
    /// When it is tried again after that.
    pub(crate) again: Option<Moment>,
}

impl HandIn {
    /// Whether the peer has answered for all of it.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_sent && self.unanswered.is_empty()
    }

    /// Whether the peer has answered to hold all of it.
    pub(crate) fn is_done(&self) -> bool {
        self.is_answered() && self.refused.is_none()
    }
}

impl<S: Store> Node<S> {
    /// Whether a bundle may be handed in here, in a scope that its document has left: its authors'
    /// devices might write in it once.
    pub(crate) fn may_hand_in(
        &self,
        row: &DocumentRow,
        scope: &ScopeId,
        bundle: &VerifiedBundle,
    ) -> bool {
        let wrote = |device: &DeviceId, scope: &ScopeId| {
            let rights = self.directory.ever(device, scope);
            rights.contains(Rights::WRITE)
        };
        let once = |device: &DeviceId| {
            row.left.iter().any(|left| wrote(device, &left.scope))
                || row.placed.iter().any(|scope| wrote(device, scope))
        };
        let lines = bundle.lines().iter();
        let mut heads = lines.flat_map(|line| &line.runs).map(|(_, head)| head);
        row.has_left(scope)
            && !self.is_dropped(bundle.document())
            && heads.all(|head| once(&head.device))
    }

    /// What was handed in of a document has to be handed in again: more waits, or the centre lost it.
    pub(crate) fn hand_in_again(&mut self, document: DocumentId) {
        for link in self.links.values_mut() {
            link.handed_in.remove(&document);
            let others = |(_, repair): &(ScopeId, Repair)| repair.document() != document;
            link.hand_ins.retain(others);
        }
    }

    /// Plans what is to be handed in to the centre: all that is here of documents that have left, and
    /// not what was written here alone. A centre that came back from an older copy may lack the rest,
    /// and the site that has the document now may not have had it either. What it has answered to hold
    /// is handed in again when its store was opened anew, from whichever copy.
    pub(crate) fn plan_hand_ins(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        self.follow_refusals(turn);
        let is_centre = |link: &&mut Link| link.is_centre && link.stage == Talking::Scopes;
        for link in self.links.values_mut().filter(is_centre) {
            for document in &self.leaving {
                let stage = self.parted.get(document).map(|row| row.stage);
                let is_due = match stage {
                    Some(Stage::HandsIn) => true,
                    Some(Stage::Held(receipt)) => {
                        let said = link.backed_up();
                        said.is_some_and(|(opening, backups)| !receipt.is_of(opening, &backups))
                            || !self.outbox.waits_no_more(*document)
                    }
                    Some(Stage::Stays | Stage::Drops(_) | Stage::Gone) | None => false,
                };
                if !is_due || link.handed_in.contains_key(document) {
                    continue;
                }
                let row = unless_damaged(turn.draft.document(*document))?.flatten();
                let mut left = row.into_iter().flat_map(|row| row.left);
                let scope = left.find(|left| link.scopes.contains_key(&left.scope));
                if let Some(left) = scope {
                    link.handed_in.insert(*document, HandIn::default());
                    let all = Repair::whole(*document);
                    link.hand_ins.push_back((left.scope, all));
                }
            }
        }
        Ok(())
    }

    /// Writes down what of the hand-ins was refused and why, and tries it again in its time: what it
    /// builds on may be there by then, or a limit be another.
    fn follow_refusals(&mut self, turn: &mut Turn<S::Snapshot>) {
        let (soon, later) = (turn.soon(COMES_MS), turn.soon(AGAIN_MS));
        for link in self.links.values_mut() {
            link.handed_in.retain(|document, hand_in| {
                let Some(reason) = hand_in.refused.filter(|_| hand_in.is_answered()) else {
                    return true;
                };
                if let Some(row) = self.parted.get_mut(document)
                    && row.refused != Some(reason)
                {
                    row.refused = Some(reason);
                    turn.draft.put(Table::Transfer, document.0, 0, &*row);
                }
                let at = if may_come(reason) { soon } else { later };
                turn.now < *hand_in.again.get_or_insert(at)
            });
        }
    }

    /// When something that was refused is handed in again.
    pub(crate) fn hands_in_at(&self) -> Option<Moment> {
        let links = self.links.values();
        let all = links.flat_map(|link| &link.handed_in);
        let on_their_way = all.filter(|(document, _)| self.leaving.contains(document));
        on_their_way.filter_map(|(_, hand_in)| hand_in.again).min()
    }

    /// Hands in what was planned, as far as the credit of the fill goes.
    pub(crate) fn speak_hand_ins(
        &self,
        snapshot: &S::Snapshot,
        link: &mut Link,
        said: &mut Vec<(Lane, Frame)>,
    ) -> Result<(), StoreError> {
        loop {
            // The peer may not have greeted yet, and keeps little that overtakes it.
            let credit = match link.has_answered {
                true => FILL_FRAMES_IN_FLIGHT,
                false => 1,
            };
            if link.in_flight >= credit {
                return Ok(());
            }
            let Some((scope, mut repair)) = link.hand_ins.pop_front() else {
                return Ok(());
            };
            let Some(talk) = link.scopes.get_mut(&scope) else {
                // Neither side speaks of that scope any more; another may serve.
                link.handed_in.remove(&repair.document());
                continue;
            };
            let mut bytes = Gathering::new(&scope, self.audience(link.is_centre));
            let is_all = bytes.take_repair(snapshot, &mut repair)?;
            if !bytes.is_empty() {
                link.in_flight += 1;
                talk.frames_said += 1;
                let (batch, lines) = bytes.into_repair(link.batches);
                if let Some(hand_in) = link.handed_in.get_mut(&repair.document()) {
                    hand_in.unanswered.insert(batch.number);
                }
                self.await_answer(link, lines);
                said.push((Lane::Fill, Frame::Fill(batch)));
            } else if !is_all {
                link.unfinished = true;
            }
            if is_all {
                if let Some(hand_in) = link.handed_in.get_mut(&repair.document()) {
                    hand_in.is_sent = true;
                    // All of it may have been answered before it was known that nothing is left.
                    link.unfinished |= hand_in.is_done();
                }
            } else {
                link.hand_ins.push_front((scope, repair));
                if link.unfinished {
                    return Ok(());
                }
            }
        }
    }

    /// The centre has answered a batch: notes how far the documents in it are with being handed in.
    pub(crate) fn take_hand_in(&mut self, id: LinkId, held: &Held) {
        let (Some(link), Some(number)) = (self.links.get_mut(&id), held.number) else {
            return;
        };
        for (document, hand_in) in &mut link.handed_in {
            if hand_in.unanswered.remove(&number) {
                let of_it = |fault: &Fault| fault.document == *document;
                let first = held.refused.iter().find(|fault| of_it(fault));
                hand_in.refused = hand_in.refused.or(first.map(|fault| fault.reason));
            }
        }
    }

    /// In which opening of its store the centre speaks and what it says of its backups, if it has
    /// answered to hold all of a document in a conversation that goes on.
    pub(super) fn answered(&self, document: DocumentId) -> Option<(Nonce, Backups)> {
        let links = self.links.values().filter(|link| link.is_centre);
        let mut done = links.filter(|link| {
            let hand_in = link.handed_in.get(&document);
            hand_in.is_some_and(HandIn::is_done)
        });
        done.find_map(Link::backed_up)
    }

    pub(crate) fn audience(&self, is_centre: bool) -> Audience<'_> {
        Audience {
            parted: &self.parted,
            is_centre,
        }
    }
}
