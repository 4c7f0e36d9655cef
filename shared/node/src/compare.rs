//! Rounds: how two sides of a scope find out what differs, and prove that nothing does.
//!
//! *The cursor is the hint*: a row of the table says how far each side has taken the other's
//! logs, and what lies beyond is sent. *The digest is the proof*: once both have sent what they
//! believed lacking, each says its digest, and equal digests mean equal. *The exact list is the
//! repair*: when digests still differ (a restored copy, a clone, a bug), the dialling side lists
//! its documents with their states, the other names those that differ, and only they move.

use std::collections::BTreeSet;

use names::{DocumentId, Reason, ScopeId};
use protocol::{
    log::{Cursor, Position},
    message::{Done, Frame, Sent, Table as ScopeTable, TableRow},
};
use store::{Snapshot as _, Store, StoreError, Table};

use crate::{
    draft::{decode_row, unless_damaged},
    except::{self, Exceptions},
    input::{LinkId, Side},
    link::{Due, Measure, Talk},
    logs::Log,
    node::Node,
    progress::Progress,
    rows::{IndexRow, LogEntry, LogItem, PeerRow, ScopeRow, peer_name, scope_name},
    turn::{PROOF_AGAIN_MS, Turn},
};

/// How far a peer's round may be ahead of ours: both open one now and then, never many at once.
pub(crate) const ROUNDS_AHEAD_MAX: u32 = 16;

impl<S: Store> Node<S> {
    pub(crate) fn take_plain(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        frame: Frame,
    ) -> Result<(), StoreError> {
        match frame {
            Frame::Hello(hello) => self.take_hello(turn, id, &hello),
            Frame::StatementIds(ids) => {
                self.take_statement_ids(turn, id, &ids);
                Ok(())
            }
            Frame::Table(table) => self.take_table(turn, id, table),
            Frame::Totals(totals) => {
                self.with_talk(id, &totals.scope, totals.round, |talk| {
                    talk.expected.documents = totals.documents;
                    talk.expected.changes = totals.changes;
                    talk.expected.bytes = totals.bytes;
                });
                Ok(())
            }
            Frame::Sent(sent) => {
                self.with_talk(id, &sent.scope, sent.round, |talk| talk.they_sent = true);
                Ok(())
            }
            Frame::Done(done) => {
                self.take_proof(id, done);
                Ok(())
            }
            Frame::List(list) => {
                self.take_list(turn, id, list);
                Ok(())
            }
            Frame::Differ(differ) => self.take_differ(turn, id, differ),
            Frame::Cells(cells) => self.take_cells(turn, id, &cells),
            Frame::Wanted(wanted) => {
                self.take_wanted(id, &wanted);
                Ok(())
            }
            Frame::Held(held) => self.take_held(turn, id, &held),
            Frame::Backups(backups) => self.take_backups(turn, id, backups),
            Frame::Bye(bye) => {
                // What a peer holds against us is no breach of its own.
                let breaches = [Reason::Malformed, Reason::OutOfTurn, Reason::TooLarge];
                let is_breach = breaches.contains(&bye.reason);
                let reason = if is_breach {
                    Reason::Stopping
                } else {
                    bye.reason
                };
                self.close(turn, id, reason);
                Ok(())
            }
            Frame::Ping(ping) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.ready
                        .push((crate::output::Lane::Control, Frame::Pong(ping)));
                }
                Ok(())
            }
            Frame::Pong(_) => Ok(()),
            // These are verified on the way in and never come here unverified.
            Frame::Statements(_) | Frame::Fill(_) | Frame::Live(_) => {
                self.close(turn, id, Reason::OutOfTurn);
                Ok(())
            }
        }
    }

    /// Does something to the conversation about a scope, if it is in that round.
    fn with_talk(&mut self, id: LinkId, scope: &ScopeId, round: u32, act: impl FnOnce(&mut Talk)) {
        let talk = self
            .links
            .get_mut(&id)
            .and_then(|link| link.scopes.get_mut(scope));
        if let Some(talk) = talk.filter(|talk| talk.round == round) {
            act(talk);
        }
    }

    fn take_table(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        table: ScopeTable,
    ) -> Result<(), StoreError> {
        for row in table.rows {
            let Some(link) = self.links.get_mut(&id) else {
                return Ok(());
            };
            let (Some(them), is_centre, device) = (link.them, link.is_centre, link.device) else {
                return Ok(());
            };
            // A scope that we may not speak of is passed over like one that does not exist.
            let Some(talk) = link.scopes.get_mut(&row.scope) else {
                continue;
            };
            // Of a round that is over only the first row still tells something: how far the logs of
            // both go.
            let is_over = row.round < talk.round || (row.round == talk.round && talk.exact);
            if is_over && talk.taken_before.is_none() {
                continue;
            }
            if row.round.abs_diff(talk.round) > ROUNDS_AHEAD_MAX {
                self.close(turn, id, Reason::OutOfTurn);
                return Ok(());
            }
            if row.round > talk.round {
                talk.begin(row.round);
            }
            let (scope, mine, yours) = (row.scope.clone(), row.mine.clone(), row.yours.clone());
            talk.their_row = (!is_over).then_some(row);
            // Later rows may be overtaken by what was written after them and went live.
            let before = talk.taken_before.take();
            if before.is_some_and(|before| !mine.covers(&before)) {
                self.note_older_copy(turn, device, them.opening);
            }
            let peer = self.peer_row(turn, device, them.store, &scope)?;
            if is_centre && !yours.covers(&peer.given) {
                self.went_back(turn, &scope, &yours, &peer.given)?;
            }
            if peer.given != yours {
                let (name, given) = (peer_name(device, them.store, &scope), yours);
                let row = PeerRow { given, ..peer };
                turn.draft.put(Table::Peer, name, 0, &row);
            }
        }
        Ok(())
    }

    /// The centre stands behind what it had acknowledged: it came back from an older copy. What
    /// it lost goes back to *sending again*.
    fn went_back(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        scope: &ScopeId,
        now_at: &Cursor,
        was_at: &Cursor,
    ) -> Result<(), StoreError> {
        let writer = self.meta.writer;
        let mut reached = now_at.number(&writer);
        // What it said that it had taken is its word; the log's own end is not.
        let heads = self.log_heads.get(scope);
        let last = heads.map_or(0, |heads| heads.number(&writer));
        let end = was_at.number(&writer).min(last);
        while reached < end {
            let stretches = Log::new(turn.draft.snapshot(), scope, writer).after(reached, end)?;
            let Some(last) = stretches.last() else { break };
            reached = last.last;
            for (_, entry) in stretches.into_iter().flat_map(|stretch| stretch.entries) {
                if let LogEntry {
                    document,
                    item: LogItem::Bundle(arrival),
                    origin: None,
                    ..
                } = entry
                {
                    self.bundle_again(turn, document, arrival)?;
                }
            }
        }
        Ok(())
    }

    /// What the centre had acknowledged of a bundle goes back to *sending again*.
    fn bundle_again(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        arrival: u64,
    ) -> Result<(), StoreError> {
        // Bundles may have been folded since: what came with an arrival stands there or behind it.
        let rows = turn
            .draft
            .snapshot()
            .range(Table::Index, document.as_ref(), arrival, 1);
        let row = unless_damaged(rows)?.and_then(|rows| rows.into_iter().next());
        let index = row.map(|(_, bytes)| decode_row::<IndexRow>(Table::Index, &bytes));
        let Some(index) = index.and_then(|index| unless_damaged(index).transpose()) else {
            return Ok(());
        };
        for (slot, first) in index?.lines(arrival) {
            self.send_again(turn, document, slot, first)?;
        }
        Ok(())
    }

    fn take_proof(&mut self, id: LinkId, done: Done) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if done.scope == ScopeId::Directory {
            link.directory.theirs = Some(done.digest);
            return;
        }
        let Some(talk) = link.scopes.get_mut(&done.scope) else {
            return;
        };
        if talk.round != done.round {
            return;
        }
        talk.proof_due |= done.ask && talk.sent;
        talk.their_proof = Some(done);
    }

    /// Looks for what differs where the first rows have told that no cursor knows it.
    fn repair_at_once(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        let mut due = Vec::new();
        for (id, link) in &mut self.links {
            for (scope, talk) in &mut link.scopes {
                if std::mem::take(&mut talk.repair_due) {
                    due.push((*id, scope.clone()));
                }
            }
        }
        for (id, scope) in due {
            let row: Option<ScopeRow> = turn.draft.row(Table::Scope, &scope_name(&scope), 0)?;
            self.begin_repair(turn, id, &scope, row.map_or(0, |row| row.count))?;
        }
        Ok(())
    }

    /// Compares the proofs that have come with what this turn has made of our own scopes.
    pub(crate) fn judge_proofs(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        self.repair_at_once(turn)?;
        let mut waiting = Vec::new();
        for (id, link) in &self.links {
            for (scope, talk) in &link.scopes {
                if talk.their_proof.is_some() {
                    waiting.push((*id, scope.clone()));
                }
            }
        }
        for (id, scope) in waiting {
            self.judge_proof(turn, id, &scope)?;
        }
        Ok(())
    }

    fn judge_proof(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        scope: &ScopeId,
    ) -> Result<(), StoreError> {
        let row: ScopeRow = turn
            .draft
            .row(Table::Scope, &scope_name(scope), 0)?
            .unwrap_or_default();
        let again = turn.soon(PROOF_AGAIN_MS);
        // Something was written in this very turn, and the peer could not have seen it.
        let is_news = self.log_heads.get(scope).cloned().unwrap_or_default() != row.heads;
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let leads = link.side == Side::Dialled;
        let Some(talk) = link.scopes.get_mut(scope) else {
            return Ok(());
        };
        let Some(proof) = talk.their_proof.take() else {
            return Ok(());
        };
        if proof.digest == row.value() {
            return self.take_equal(turn, id, scope, row.heads, proof.logs);
        }
        talk.proved = None;
        let known = (&proof, leads, turn.now);
        if let Some(exceptions) = except::agreed(&turn.draft, scope, talk, &row, known)? {
            return self.take_equal_except(turn, id, scope, exceptions);
        }
        if matches!(talk.due, Some((_, Due::Round))) {
            // Found unequal before, and looked at again in its time; a peer that goes on asking does
            // not put that off.
            return Ok(());
        }
        if !talk.they_sent {
            // Equal is equal whenever it is said, but what differs may still be on its way.
            talk.their_proof = Some(proof);
            return Ok(());
        }
        if !talk.proof_said || !talk.sent {
            // The peer has not yet seen all of ours; it could not have given another proof.
            return Ok(());
        }
        if !leads {
            return Ok(());
        }
        if talk.is_under_way(&proof, is_news, turn.now) {
            talk.due = Some(
                talk.due
                    .map_or((again, Due::Proof), |due| due.min((again, Due::Proof))),
            );
            if !talk.is_behind(&proof) {
                return Ok(());
            }
            // What is missing comes by itself; then this proof may hold.
            talk.their_proof = Some(proof);
        } else if talk.was_equal {
            // They were equal, and live frames went astray: the cursors know where.
            talk.begin(talk.round.saturating_add(1));
        } else if talk.exact {
            talk.failures += 1;
            talk.trouble = Some(Reason::NotEqual);
            let wait = Self::unequal_wait_ms(talk.failures);
            talk.due = Some((turn.soon(wait), Due::Round));
            self.refuse(turn, id, Reason::NotEqual);
        } else {
            return self.begin_repair(turn, id, scope, row.count);
        }
        Ok(())
    }

    /// Both sides of a scope are equal: so much is known of the peer, and of what is at the centre.
    fn take_equal(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        scope: &ScopeId,
        given: Cursor,
        taken: Cursor,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (device, is_centre) = (link.device, link.is_centre);
        let store = link.them.map(|them| them.store).unwrap_or_default();
        let Some(talk) = link.scopes.get_mut(scope) else {
            return Ok(());
        };
        let was_proved = talk.proved.is_some();
        // Equal means that everything in the peer's logs is here, so they are taken to exactly
        // their ends: also backwards, where the peer came back from an older copy.
        let mut is_news = talk.taken != taken || talk.has_moved() || !talk.exceptions.is_empty();
        talk.taken.clone_from(&taken);
        // A peer that was told of exceptions may have left it at them, and looks again in a day only.
        let said_exceptions = !talk.exceptions.is_empty() || !talk.refused.is_empty();
        talk.proof_due |= !talk.proof_said || said_exceptions;
        talk.equal(turn.now);
        // What the centre has must be known, or its loss would not be noticed after a restore.
        if is_centre && !is_news {
            is_news = self.peer_row(turn, device, store, scope)?.given != given;
        }
        // Equal sides commit nothing: cursors are written only where something has moved.
        if is_news {
            let name = peer_name(device, store, scope);
            let row = PeerRow {
                taken,
                given,
                exceptions: Vec::new(),
            };
            turn.draft.put(Table::Peer, name, 0, &row);
        }
        if was_proved {
            return Ok(());
        }
        let below = self.outbox.next;
        self.note_equal(turn, id, scope, below, &Exceptions::new())
    }

    /// Opens a round with the peer's row and ours, both said: decides what goes to the peer.
    pub(crate) fn open_round(talk: &mut Talk, ours: &TableRow, side: Side) {
        let Some(theirs) = talk.their_row.take() else {
            return;
        };
        let is_first = talk.told.is_none();
        talk.told = Some(ours.mine.clone());
        talk.covered = ours.mine.clone();
        talk.fill.marker_due = true;
        talk.due = None;
        if theirs.digest == ours.digest {
            // Nothing to send; the proofs follow at once and settle it on both sides.
            return;
        }
        // Before the first rows nothing goes live, so these two tell of one state each. If the peer
        // has nothing for us by them, and we turn out to have nothing for it, then no cursor knows
        // what differs, and to wait for the proofs would cost two round trips.
        let is_known = !talk.exceptions.is_empty() || !talk.refused.is_empty();
        talk.hint_is_void =
            side == Side::Dialled && is_first && !is_known && ours.yours.covers(&theirs.mine);
        for head in ours.mine.positions() {
            // A peer that claims more than there is was told it by a life of this store that is
            // gone: the hint is void, and the proof will find what differs.
            let from = theirs.yours.number(&head.writer).min(head.number);
            if from < head.number {
                let start = Position {
                    writer: head.writer,
                    number: from,
                };
                talk.fill.ranges.push_back((start, head.number));
            }
        }
        talk.measure = Some(Measure {
            ranges: talk.fill.ranges.clone(),
            documents: BTreeSet::new(),
            found: Progress::default(),
        });
    }

    /// The marker that everything a peer lacked, as far as known, has been sent.
    pub(crate) fn marker(scope: &ScopeId, round: u32) -> Frame {
        Frame::Sent(Sent {
            scope: scope.clone(),
            round,
        })
    }
}
