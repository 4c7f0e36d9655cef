//! What comes in: runs and placements of a peer's, and its acknowledgements of ours.

use names::{DocumentId, Reason, ScopeId};
use protocol::message::{Batch, Fault, Frame, Held, HeldRun, Refused};
use store::{Store, StoreError, Table};

use crate::{
    admit::{self, Verdict},
    input::LinkId,
    link::Stage,
    node::Node,
    output::Lane,
    rows::{ActorRow, OutboxRow, PeerRow, peer_name},
    turn::Turn,
    verify::{Rejected, VerifiedPlacement, VerifiedRun},
};

/// What became of the parts of one frame.
#[derive(Default)]
struct Outcome {
    held: Vec<HeldRun>,
    faults: Vec<Fault>,
    admitted: usize,
}

impl Outcome {
    fn fault(&mut self, document: DocumentId, reason: Reason) {
        self.faults.push(Fault {
            document,
            reason,
            run: None,
            placement: None,
        });
    }
}

impl<S: Store> Node<S> {
    #[expect(
        clippy::too_many_arguments,
        reason = "one frame's parts, taken apart by verification"
    )]
    pub(crate) fn take_load(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        lane: Lane,
        batch: &Batch,
        placements: &[VerifiedPlacement],
        runs: &[VerifiedRun],
        rejected: &[Rejected],
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get(&id) else {
            return Ok(());
        };
        // A live frame may overtake the greeting, which goes by another stream. It is passed over:
        // the cursor stays, and the next proof brings it again.
        let Some(them) = link.them.filter(|_| link.stage == Stage::Scopes) else {
            self.count(Reason::OutOfTurn);
            return Ok(());
        };
        if !link.scopes.contains_key(&batch.scope) {
            self.refuse(turn, id, Reason::NotFound);
            return Ok(());
        }
        let mut outcome = Outcome::default();
        for rejected in rejected {
            outcome.fault(rejected.document, rejected.reason);
        }
        let origin = Some(them.incarnation);
        for placement in placements {
            let claim = placement.placement();
            let verdict = if claim.scopes.contains(&batch.scope) {
                admit::placement(&mut turn.draft, placement, origin)?
            } else {
                Verdict::Refused(Reason::NotAllowed)
            };
            match verdict {
                Verdict::Admitted => outcome.admitted += 1,
                Verdict::Held => {}
                Verdict::Refused(reason) => outcome.fault(claim.document, reason),
            }
        }
        for run in runs {
            self.take_run(turn, &batch.scope, run, origin, &mut outcome)?;
        }
        for fault in &outcome.faults {
            self.refuse(turn, id, fault.reason);
        }
        self.answer_load(turn, id, lane, batch, runs, outcome)
    }

    fn take_run(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        scope: &ScopeId,
        run: &VerifiedRun,
        origin: Option<names::Incarnation>,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let document = run.document();
        let row = turn.draft.document(document)?;
        let verdict = if row.is_some_and(|row| row.placed.contains(scope)) {
            admit::run(&mut turn.draft, run, origin)?
        } else {
            Verdict::Refused(Reason::NotPlaced)
        };
        match verdict {
            Verdict::Admitted => {
                outcome.admitted += 1;
                self.stale.insert(document);
            }
            Verdict::Held => {}
            Verdict::Refused(reason) => {
                outcome.fault(document, reason);
                return Ok(());
            }
        }
        outcome.held.push(HeldRun {
            document,
            actor: run.actor(),
            seq: run.head().seq,
            signature: run.signature(),
        });
        Ok(())
    }

    /// Moves the cursor, and prepares what the peer is told once this turn is on disk.
    fn answer_load(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        lane: Lane,
        batch: &Batch,
        runs: &[VerifiedRun],
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let store = link.them.map(|them| them.store).unwrap_or_default();
        let Some(talk) = link.scopes.get_mut(&batch.scope) else {
            return Ok(());
        };
        for run in runs.iter().filter(|_| lane == Lane::Fill) {
            talk.received.add(run.bytes().len());
        }
        if outcome.admitted > 0 {
            talk.proved = None;
        }
        if outcome.faults.is_empty() {
            // Only a frame taken whole moves the cursor: what was refused is offered again.
            if let (Some(from), Some(after)) = (batch.from, batch.after)
                && from.writer == after.writer
                && talk.take(from, after.number)
            {
                let given = talk.told.clone().unwrap_or_default();
                let row = PeerRow {
                    taken: talk.taken.clone(),
                    given,
                };
                turn.draft
                    .put(Table::Peer, peer_name(store, &batch.scope), 0, &row);
            }
        } else {
            // Offering it again from the same cursors would be refused again: a peer that came
            // back from an older copy fills its logs anew, and the hint passes over the first of
            // it. So nothing counts as proved, and the proof calls for exact lists.
            talk.proved = None;
        }
        let held = Held {
            scope: batch.scope.clone(),
            runs: outcome.held,
            after: batch.after,
            fills: u32::from(lane == Lane::Fill),
        };
        link.ready.push((Lane::Control, Frame::Held(held)));
        if !outcome.faults.is_empty() {
            let refused = Refused {
                scope: batch.scope.clone(),
                faults: outcome.faults,
            };
            link.ready.push((Lane::Control, Frame::Refused(refused)));
        }
        Ok(())
    }

    /// A peer says what it holds: with the centre, that is how far an entry has got.
    pub(crate) fn take_held(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        held: &Held,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        link.in_flight = link.in_flight.saturating_sub(held.fills as usize);
        if !link.is_centre {
            return Ok(());
        }
        for run in &held.runs {
            let Some((slot, line)) = admit::line(&turn.draft, run.document, run.actor)? else {
                continue;
            };
            // An acknowledgement names the signature it saw: another one of the same number is
            // another store's, and says nothing of ours.
            let ours = run.seq < line.seq || run.signature == line.signature;
            if ours && run.seq <= line.seq && run.seq > line.centre {
                self.arrived(turn, run.document, slot, line, run.seq);
            }
        }
        Ok(())
    }

    /// Notes that the centre holds an author's line up to `seq`.
    fn arrived(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        slot: u64,
        line: ActorRow,
        seq: u64,
    ) {
        turn.draft.put(
            Table::Actor,
            document.0,
            slot,
            &ActorRow {
                centre: seq,
                ..line
            },
        );
        let span = (document, slot, 0)..=(document, slot, seq);
        let done: Vec<_> = self
            .outbox
            .rows
            .range(span)
            .map(|(key, number)| (*key, *number))
            .collect();
        for (key, number) in done {
            self.outbox.rows.remove(&key);
            turn.draft.delete(Table::Outbox, Vec::new(), number);
        }
    }

    /// Notes that everything written here in a scope is at the centre: the two were found equal.
    pub(crate) fn arrived_in(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        scope: &ScopeId,
    ) -> Result<(), StoreError> {
        let waiting: Vec<_> = self
            .outbox
            .rows
            .keys()
            .map(|(document, slot, _)| (*document, *slot))
            .collect();
        for (document, slot) in waiting {
            let placed = turn
                .draft
                .document(document)?
                .is_some_and(|row| row.placed.contains(scope));
            let line = turn
                .draft
                .row::<ActorRow>(Table::Actor, document.as_ref(), slot)?;
            if let Some(line) = line.filter(|_| placed) {
                let seq = line.seq;
                self.arrived(turn, document, slot, line, seq);
            }
        }
        Ok(())
    }

    /// Takes back what the centre had acknowledged of an author's line, from `first` on: it came
    /// back from an older copy and no longer holds it.
    pub(crate) fn send_again(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        slot: u64,
        first: u64,
        last: u64,
    ) -> Result<(), StoreError> {
        let Some(line) = turn
            .draft
            .row::<ActorRow>(Table::Actor, document.as_ref(), slot)?
        else {
            return Ok(());
        };
        let ours = line.device == self.device;
        if line.centre >= first {
            let centre = first.saturating_sub(1);
            turn.draft
                .put(Table::Actor, document.0, slot, &ActorRow { centre, ..line });
        }
        let known = self.outbox.rows.contains_key(&(document, slot, last));
        if ours && !known {
            self.wait_for_centre(turn, document, slot, last);
        }
        Ok(())
    }

    /// Notes that something written here waits for the centre's acknowledgement.
    pub(crate) fn wait_for_centre(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        slot: u64,
        seq: u64,
    ) {
        let number = self.outbox.next;
        self.outbox.next += 1;
        self.outbox.rows.insert((document, slot, seq), number);
        let row = OutboxRow {
            document,
            slot,
            seq,
            at: turn.now,
        };
        turn.draft.put(Table::Outbox, Vec::new(), number, &row);
    }
}
