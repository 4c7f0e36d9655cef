//! Documents on their way out of a store: handed in first, kept until a backup of the centre has them
//! too, then dropped.

use std::collections::BTreeMap;

use names::{DocumentId, Moment, Nonce};
use protocol::{directory::Rights, placement::SignedPlacement};
use store::{Store, StoreError, Table};

use crate::{
    admit,
    draft::{Shift, unless_damaged},
    input::LinkId,
    node::Node,
    output::Output,
    rows::{DocumentRow, HeadRow, LINES_PER_ROW, Receipt, Stage, TransferRow},
    turn::Turn,
    verify::VerifiedBundle,
};

/// How long what the centre has answered to hold stays here at least, where no backup is known to have
/// it: five weeks, a month of backups that failed and a week to notice (DESIGN section 5).
const HELD_MS: i64 = 35 * 24 * 3_600_000;
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
                Some(stage @ (Stage::Held(_) | Stage::Gone)) => stage,
                Some(Stage::Stays | Stage::HandsIn) | None => Stage::HandsIn,
            };
            if row.left.is_empty() && stage == Stage::Stays {
                if self.parted.remove(&document).is_some() {
                    turn.draft.delete(Table::Transfer, document.0, 0);
                    // Its summary may have been due when it left.
                    self.stale.insert(document);
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
            .filter(|(_, row)| matches!(row.stage, Stage::HandsIn | Stage::Held(_) | Stage::Gone));
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
    pub(crate) fn is_readable(&self, row: &DocumentRow) -> bool {
        row.placed.iter().any(|scope| {
            let rights = self.directory.rights(&self.device, scope);
            rights.contains(Rights::READ)
        })
    }

    fn set_stage(&mut self, turn: &mut Turn<S::Snapshot>, document: DocumentId, stage: Stage) {
        let now = turn.now;
        let known = self.parted.get(&document).map_or(now, |row| row.at);
        let at = if stage == Stage::HandsIn { now } else { known };
        let refused = None;
        let row = TransferRow { at, stage, refused };
        turn.draft.put(Table::Transfer, document.0, 0, &row);
        self.parted.insert(document, row);
        if matches!(stage, Stage::HandsIn | Stage::Held(_) | Stage::Drops(_)) {
            self.leaving.insert(document);
        } else {
            self.leaving.remove(&document);
            self.hand_in_again(document);
        }
        if stage == Stage::Stays {
            self.stale.insert(document);
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
            if matches!(
                self.stage_of(document),
                Some(Stage::HandsIn | Stage::Held(_))
            ) {
                self.note_receipt(turn, document)?;
            }
            let from = match self.stage_of(document) {
                Some(Stage::Drops(from)) => from,
                Some(Stage::Held(receipt))
                    if self.may_drop(&receipt) && self.is_settled(turn, document)? =>
                {
                    0
                }
                Some(Stage::HandsIn | Stage::Held(_) | Stage::Stays | Stage::Gone) | None => {
                    continue;
                }
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

    /// Writes down that the centre has answered to hold all that is here of a document.
    fn note_receipt(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        let Some((opening, backups)) = self.answered(document) else {
            return Ok(());
        };
        let before = self.parted.get(&document);
        let known = before
            .filter(|row| row.refused.is_none())
            .map(|row| row.stage);
        if matches!(known, Some(Stage::Held(known)) if known.is_of(opening, &backups))
            || !self.is_settled(turn, document)?
        {
            return Ok(());
        }
        let receipt = Receipt {
            at: self.centre_time(turn.now),
            opening,
            begun: backups.begun,
        };
        self.set_stage(turn, document, Stage::Held(receipt));
        Ok(())
    }

    /// Whether what the centre has answered to hold may go from here: a backup has it, or the centre
    /// had it long enough, by its own clock, when it greeted last. Only a centre that is in touch
    /// lets anything go.
    fn may_drop(&self, receipt: &Receipt) -> bool {
        let mut centres = self.links.values().filter(|link| link.is_centre);
        centres.any(|link| {
            let (Some(them), Some((opening, backups))) = (link.them, link.backed_up()) else {
                return false;
            };
            // A centre of another opening may have forgotten it; it is asked first.
            let is_old = them.now >= receipt.at.plus_ms(HELD_MS);
            receipt.is_backed_up(opening, &backups) || (is_old && receipt.is_of(opening, &backups))
        })
    }

    /// The time by the clock of the centre: what it said in its greeting, and what has passed since.
    /// This node's own may be put right at any moment.
    fn centre_time(&self, now: Moment) -> Moment {
        let centre = self.links.values().find(|link| link.is_centre);
        let them = centre.and_then(|link| link.them);
        them.map_or(now, |them| {
            let passed = now.0.saturating_sub(them.greeted.0).max(0);
            them.now.plus_ms(passed)
        })
    }

    /// Whether nothing of a document waits, nobody is at work on it, and it is settled where it
    /// went.
    fn is_settled(
        &self,
        turn: &Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<bool, StoreError> {
        if !self.outbox.waits_no_more(document) || self.is_at_work_on(document) {
            return Ok(false);
        }
        let row = unless_damaged(turn.draft.document(document))?.flatten();
        // This very turn may have brought it back.
        let Some(row) = row.filter(|row| !self.is_readable(row)) else {
            return Ok(false);
        };
        let known = unless_damaged(admit::kept_placements(&turn.draft, document, &row))?;
        let standing = known.map(|known| admit::standing_of(&self.directory, document, &known));
        Ok(standing.is_some_and(|standing| standing.rulings.is_empty()))
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
        for position in 0..(row.actors.len() as u64).div_ceil(LINES_PER_ROW) {
            turn.draft.delete(Table::Actor, document.0, position);
        }
        for table in [
            Table::Outbox,
            Table::Summary,
            Table::Compacted,
            Table::Stale,
            Table::Job,
        ] {
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
        self.outbox.forget(document);
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
            let document = bundle.document();
            let lines = bundle.lines().iter();
            let lines = lines.filter_map(|line| Some((line, &line.runs.last()?.1)));
            let mut own = lines
                .filter(|(_, last)| last.device == self.device)
                .peekable();
            // Mostly it is what others wrote.
            if own.peek().is_none() {
                continue;
            }
            let Some(row) = unless_damaged(turn.draft.document(document))?.flatten() else {
                continue;
            };
            let mut here = BTreeMap::new();
            for (line, last) in own {
                // A number alone does not tell: it may be of another branch, which was refused.
                let is_here = turn.draft.change(document, &row, &last.hash);
                if unless_damaged(is_here)?.flatten().is_none() {
                    continue;
                }
                let kept = admit::line(&turn.draft, document, line.actor);
                let kept = unless_damaged(kept)?.flatten();
                here.extend(kept.map(|(slot, _)| (slot, last.seq)));
            }
            let later = self.backed.later();
            self.arrived_at(turn, document, &here, later)?;
        }
        Ok(())
    }
}
