//! Documents on their way out of a store: handed in first, then dropped.

use std::collections::BTreeMap;

use names::{DeviceId, DocumentId, Nonce, ScopeId, limits::FILL_FRAMES_IN_FLIGHT};
use protocol::{
    directory::Rights,
    message::{Fault, Frame, Held},
    placement::SignedPlacement,
};
use store::{Store, StoreError, Table};

use crate::{
    admit::{self, Judge},
    draft::{Shift, unless_damaged},
    gather::{Audience, Gathering, Repair},
    input::LinkId,
    link::{HandIn, Link, Stage as Talking},
    node::Node,
    output::{Lane, Output},
    rows::{DocumentRow, HeadRow, Stage, TransferRow},
    turn::Turn,
    verify::VerifiedBundle,
};

/// Rows that one turn deletes of documents that have left: some 10 ms.
const DROPPED_AT_ONCE: usize = 1_024;

impl<S: Store> Node<S> {
    /// Documents came into scopes or left them: what that means for this store.
    pub(crate) fn follow_shifts(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        shifts: BTreeMap<DocumentId, Shift>,
    ) -> Result<(), StoreError> {
        for document in shifts.into_keys() {
            let Some(row) = turn.draft.document(document)? else {
                continue;
            };
            if let Some(placed) = self.outbox.placed.get_mut(&document) {
                placed.clone_from(&row.placed);
            }
            let stage = match self.stage_of(document) {
                // What has begun to go goes wholly; then it comes back as it is at the centre.
                Some(stage @ Stage::Drops(_)) => stage,
                _ if self.is_readable(&row) => Stage::Stays,
                Some(Stage::Gone) => Stage::Gone,
                Some(Stage::Stays | Stage::HandsIn) | None => Stage::HandsIn,
            };
            if row.left.is_empty() && stage == Stage::Stays {
                if self.parted.remove(&document).is_some() {
                    turn.draft.delete(Table::Transfer, document.0, 0);
                }
                self.leaving.remove(&document);
                continue;
            }
            if stage == Stage::HandsIn {
                self.stale.remove(&document);
                self.stale_later.remove(&document);
                turn.say(Output::Forget(document));
                self.hand_in_again(document);
            }
            self.set_stage(turn, document, stage);
        }
        Ok(())
    }

    /// The directory has changed: what had left may be where this node reads now.
    pub(crate) fn follow_rights(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        let away = self
            .parted
            .iter()
            .filter(|(_, row)| matches!(row.stage, Stage::HandsIn | Stage::Gone));
        let away: Vec<DocumentId> = away.map(|(document, _)| *document).collect();
        for document in away {
            let row = unless_damaged(turn.draft.document(document))?.flatten();
            if row.is_some_and(|row| self.is_readable(&row)) {
                self.set_stage(turn, document, Stage::Stays);
            }
        }
        Ok(())
    }

    /// Whether a header row says that a document is in a scope that this device may read.
    fn is_readable(&self, row: &DocumentRow) -> bool {
        row.placed.iter().any(|scope| {
            let rights = self.directory.rights(&self.device, scope);
            rights.contains(Rights::READ)
        })
    }

    fn set_stage(&mut self, turn: &mut Turn<S::Snapshot>, document: DocumentId, stage: Stage) {
        let now = turn.now;
        let known = self.parted.get(&document).map_or(now, |row| row.at);
        let at = if stage == Stage::HandsIn { now } else { known };
        let row = TransferRow { at, stage };
        turn.draft.put(Table::Transfer, document.0, 0, &row);
        self.parted.insert(document, row);
        if matches!(stage, Stage::HandsIn | Stage::Drops(_)) {
            self.leaving.insert(document);
        } else {
            self.leaving.remove(&document);
        }
    }

    fn stage_of(&self, document: DocumentId) -> Option<Stage> {
        self.parted.get(&document).map(|row| row.stage)
    }

    /// Whether a document's rows are just being deleted: until they all are, nothing is taken of it.
    pub(crate) fn is_being_dropped(&self, document: DocumentId) -> bool {
        matches!(self.stage_of(document), Some(Stage::Drops(_)))
    }

    /// Whether a document's chunks are not here any more.
    pub(crate) fn is_dropped(&self, document: DocumentId) -> bool {
        matches!(self.stage_of(document), Some(Stage::Drops(_) | Stage::Gone))
    }

    /// The nonce that actors of a document are derived from. Where a document was dropped and has
    /// come back, those of before have numbers that nobody here remembers.
    pub(crate) fn nonce_of(&self, document: DocumentId) -> Nonce {
        self.nonces.get(&document).copied().unwrap_or(self.nonce)
    }

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
    /// and the site that has the document now may not have had it either.
    pub(crate) fn plan_hand_ins(&mut self, turn: &Turn<S::Snapshot>) -> Result<(), StoreError> {
        let waits = |document: &&DocumentId| self.stage_of(**document) == Some(Stage::HandsIn);
        let waiting: Vec<DocumentId> = self.leaving.iter().filter(waits).copied().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let is_centre = |link: &&mut Link| link.is_centre && link.stage == Talking::Scopes;
        for link in self.links.values_mut().filter(is_centre) {
            for document in &waiting {
                if link.handed_in.contains_key(document) {
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
                hand_in.is_refused |= held.refused.iter().any(of_it);
            }
        }
    }

    /// Whether the centre has answered to hold all of a document, in a conversation that goes on. It
    /// may come back from an older copy: then that one has ended, and all is handed in again.
    fn is_handed_in(&self, document: DocumentId) -> bool {
        let mut links = self.links.values();
        links.any(|link| {
            let hand_in = link.handed_in.get(&document);
            hand_in.is_some_and(HandIn::is_done)
        })
    }

    pub(crate) fn audience(&self, is_centre: bool) -> Audience<'_> {
        Audience {
            parted: &self.parted,
            is_centre,
        }
    }

    /// Whether deleting is to go on at once.
    pub(crate) fn has_to_drop(&self) -> bool {
        let mut leaving = self.leaving.iter();
        leaving.any(|document| self.is_being_dropped(*document))
    }

    /// Deletes some more of what has left and is held by the centre.
    pub(crate) fn drop_transferred(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<(), StoreError> {
        if self.leaving.is_empty() || self.is_centre() {
            return Ok(());
        }
        let mut budget = DROPPED_AT_ONCE;
        let leaving: Vec<DocumentId> = self.leaving.iter().copied().collect();
        for document in leaving {
            let from = match self.stage_of(document) {
                Some(Stage::Drops(from)) => from,
                Some(Stage::HandsIn) if self.may_drop(turn, document)? => 0,
                Some(Stage::HandsIn | Stage::Stays | Stage::Gone) | None => continue,
            };
            if budget == 0 {
                return Ok(());
            }
            if unless_damaged(self.drop_some(turn, document, from, &mut budget))?.is_none() {
                // Its header row is damaged; it is looked at again in the next opening.
                self.leaving.remove(&document);
            }
        }
        Ok(())
    }

    /// Whether all that is here of a document is at the centre, nobody is at work on it, and
    /// it is settled where it went.
    fn may_drop(&self, turn: &Turn<S::Snapshot>, document: DocumentId) -> Result<bool, StoreError> {
        let is_at_centre = self.is_handed_in(document) && self.outbox.waits_no_more(document);
        if !is_at_centre || self.is_at_work_on(document) {
            return Ok(false);
        }
        let row = unless_damaged(turn.draft.document(document))?.flatten();
        // This very turn may have brought it back.
        let Some(row) = row.filter(|row| !self.is_readable(row)) else {
            return Ok(false);
        };
        let known = unless_damaged(admit::kept_placements(&turn.draft, document, &row))?;
        let judge = Judge {
            directory: &self.directory,
            is_centre: false,
        };
        let standing = known.map(|known| judge.standing(document, &known));
        Ok(standing.is_some_and(|standing| standing.stands.open.is_empty()))
    }

    /// Deletes a document's bundles from an arrival on, and with the last of them the rest: but for
    /// where it went, which is put anew under a new key, as the one that all of it was sealed under
    /// is destroyed.
    fn drop_some(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        from: u64,
        budget: &mut usize,
    ) -> Result<(), StoreError> {
        let Some(mut row) = turn.draft.document(document)? else {
            return Ok(());
        };
        let mut next = from;
        while next < row.arrivals && *budget > 0 {
            turn.draft.delete(Table::Bundle, document.0, next);
            turn.draft.delete(Table::Index, document.0, next);
            *budget = budget.saturating_sub(1);
            next += 1;
        }
        if next < row.arrivals {
            self.set_stage(turn, document, Stage::Drops(next));
            return Ok(());
        }
        for slot in 0..row.actors.len() as u64 {
            turn.draft.delete(Table::Actor, document.0, slot);
            turn.draft.delete(Table::Outbox, document.0, slot);
        }
        for table in [Table::Summary, Table::Stale, Table::Job] {
            turn.draft.delete(table, document.0, 0);
        }
        turn.draft.destroy_key(document);
        for number in 0..row.placement_count {
            let name = document.as_ref();
            let kept = turn
                .draft
                .row::<SignedPlacement>(Table::Placement, name, number);
            match unless_damaged(kept)?.flatten() {
                Some(kept) => turn.draft.put(Table::Placement, document.0, number, &kept),
                // A peer gives back what is damaged here.
                None => turn.draft.delete(Table::Placement, document.0, number),
            }
        }
        // Its authors keep their slots, which entries made here are known by.
        let genesis = document::genesis::genesis(row.kind);
        let genesis = genesis.map(|fixed| HeadRow {
            hash: fixed.hash,
            max_op: fixed.max_op,
        });
        row.heads = genesis.into_iter().collect();
        (row.changes, row.bytes, row.loose) = (0, 0, 0);
        // Arrivals are counted on, so that nothing that was made from the old ones fits the new.
        turn.draft.put_document(document, &row)?;
        self.trying.forget(document);
        self.hand_in_again(document);
        self.nonces.insert(document, turn.nonce());
        let is_back = self.is_readable(&row);
        let stage = if is_back { Stage::Stays } else { Stage::Gone };
        self.set_stage(turn, document, stage);
        turn.say(Output::Forget(document));
        Ok(())
    }

    /// What was written here and comes from the centre is there: in a document that was dropped and
    /// has come back, nothing else tells it.
    pub(crate) fn came_back(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        bundles: &[VerifiedBundle],
    ) -> Result<(), StoreError> {
        if !self.links.get(&id).is_some_and(|link| link.is_centre) {
            return Ok(());
        }
        for bundle in bundles {
            for line in bundle.lines() {
                let last = line.runs.last().map(|(_, head)| head);
                let Some(last) = last.filter(|head| head.device == self.device) else {
                    continue;
                };
                let kept = admit::line(&turn.draft, bundle.document(), line.actor);
                let kept = unless_damaged(kept)?.flatten();
                let kept = kept.filter(|(_, kept)| kept.seq >= last.seq && kept.centre < last.seq);
                if let Some((slot, kept)) = kept {
                    self.arrived(turn, bundle.document(), slot, kept, last.seq);
                }
            }
        }
        Ok(())
    }
}
