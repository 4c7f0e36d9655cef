//! What comes in: runs and placements of a peer's, and its acknowledgements of ours.

use std::collections::BTreeSet;

use names::{DocumentId, Incarnation, Reason, ScopeId, limits::LIST_ROWS_MAX};
use protocol::message::{Batch, Fault, Frame, Held, HeldRun, Refused};
use store::{Store, StoreError, Table};

use crate::{
    admit::{self, Verdict},
    draft::unless_damaged,
    input::LinkId,
    link::{EarlyLoad, Stage, Talk},
    node::Node,
    output::{Lane, Notice, Output},
    rows::{ActorRow, OutboxRow, PeerRow, peer_name},
    turn::Turn,
    verify::{Rejected, VerifiedPlacement, VerifiedRun},
};

/// Live frames that may wait for the greetings: a second's worth at the busiest site. What is
/// dropped beyond it, or beyond their bytes, is found by the proof.
const EARLY_FRAMES_MAX: usize = 64;
const EARLY_BYTES_MAX: usize = 1 << 20;

/// What became of the parts of one frame.
#[derive(Default)]
struct Outcome {
    held: Vec<HeldRun>,
    faults: Vec<Fault>,
    admitted: usize,
    placements: usize,
    /// Documents whose placement can never be taken by this version.
    unplaceable: BTreeSet<DocumentId>,
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

/// Whether something refused for this reason may be taken once more has arrived.
fn may_come(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MissingDependency
            | Reason::WrongSequence
            | Reason::UnknownSigner
            | Reason::NotPlaced
    )
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
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let Some(them) = link.them.filter(|_| link.stage == Stage::Scopes) else {
            // A live frame may overtake the greeting, which goes by another stream. It waits.
            let bytes: usize = runs.iter().map(|run| run.bytes().len()).sum();
            let has_room = link.early.len() < EARLY_FRAMES_MAX
                && link.early_bytes.saturating_add(bytes) <= EARLY_BYTES_MAX;
            if lane == Lane::Live && has_room {
                link.early_bytes += bytes;
                link.early.push(EarlyLoad {
                    batch: batch.clone(),
                    placements: placements.to_vec(),
                    runs: runs.to_vec(),
                    rejected: rejected.to_vec(),
                });
            } else {
                self.count(Reason::OutOfTurn);
            }
            return Ok(());
        };
        let mut outcome = Outcome {
            placements: placements.len(),
            ..Outcome::default()
        };
        for rejected in rejected {
            outcome.fault(rejected.document, rejected.reason);
        }
        let origin = Some(them.incarnation);
        if link.scopes.contains_key(&batch.scope) {
            self.take_placements(turn, &batch.scope, placements, origin, &mut outcome)?;
            for run in runs {
                self.take_run(turn, lane, &batch.scope, run, origin, &mut outcome)?;
            }
            self.never_to_come(id, &batch.scope, &mut outcome);
        } else {
            // Not allowed and not existing are one answer; the frame's credit goes back with it.
            outcome.fault(DocumentId::default(), Reason::NotFound);
        }
        self.tell_faults(turn, id, &outcome.faults);
        self.answer_load(turn, id, lane, batch, runs, outcome)
    }

    /// Runs of a document that this version can never place are no reason to wait for anything.
    fn never_to_come(&mut self, id: LinkId, scope: &ScopeId, outcome: &mut Outcome) {
        let talk = self
            .links
            .get_mut(&id)
            .and_then(|link| link.scopes.get_mut(scope));
        let Some(talk) = talk else {
            return;
        };
        if talk.unplaceable.len() < LIST_ROWS_MAX {
            talk.unplaceable.append(&mut outcome.unplaceable);
        }
        for fault in &mut outcome.faults {
            if fault.reason == Reason::NotPlaced && talk.unplaceable.contains(&fault.document) {
                fault.reason = Reason::NoCommonVersion;
            }
        }
    }

    /// Counts what was not taken of a frame, and tells the operator once for each reason.
    fn tell_faults(&mut self, turn: &mut Turn<S::Snapshot>, link: LinkId, faults: &[Fault]) {
        let mut told = BTreeSet::new();
        for fault in faults {
            self.count(fault.reason);
            if told.insert(fault.reason) {
                let reason = fault.reason;
                turn.say(Output::Notice(Notice::Refused { link, reason }));
            }
        }
    }

    /// Takes up the live frames that overtook the greetings.
    pub(crate) fn take_early(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
    ) -> Result<(), StoreError> {
        let early = self
            .links
            .get_mut(&id)
            .map(|link| std::mem::take(&mut link.early));
        for EarlyLoad {
            batch,
            placements,
            runs,
            rejected,
        } in early.unwrap_or_default()
        {
            self.take_load(turn, id, Lane::Live, &batch, &placements, &runs, &rejected)?;
        }
        Ok(())
    }

    /// Admits the placements of one frame. A document's placements are judged together: one of
    /// them must put it into the scope that is spoken of, and the others came before it.
    fn take_placements(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        scope: &ScopeId,
        placements: &[VerifiedPlacement],
        origin: Option<Incarnation>,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let named = placements.iter().map(VerifiedPlacement::placement);
        let here: BTreeSet<DocumentId> = named
            .filter(|claim| claim.scopes.contains(scope))
            .map(|claim| claim.document)
            .collect();
        let directory = self.directory();
        for placement in placements {
            let document = placement.placement().document;
            let Some(known) = unless_damaged(turn.draft.document(document))? else {
                outcome.fault(document, Reason::CannotOpen);
                continue;
            };
            let is_here = known.as_ref().is_some_and(|row| row.placed.contains(scope));
            let is_hidden = known.is_some() && !is_here;
            let belongs = here.contains(&document) || is_here;
            let verdict = if belongs {
                let admitted = admit::placement(&mut turn.draft, &directory, placement, origin);
                unless_damaged(admitted)?.unwrap_or(Verdict::Refused(Reason::CannotOpen))
            } else {
                Verdict::Refused(Reason::NotAllowed)
            };
            match verdict {
                Verdict::Admitted => {
                    outcome.admitted += 1;
                    self.note_placed(turn, document)?;
                }
                Verdict::Held => {}
                // Of a document that stands elsewhere nothing is told, not even that it exists.
                Verdict::Refused(_) if is_hidden => {
                    outcome.fault(document, Reason::MissingDependency);
                }
                Verdict::Refused(reason) => {
                    if reason == Reason::NoCommonVersion {
                        outcome.unplaceable.insert(document);
                    }
                    outcome.fault(document, reason);
                }
            }
        }
        Ok(())
    }

    fn take_run(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        lane: Lane,
        scope: &ScopeId,
        run: &VerifiedRun,
        origin: Option<Incarnation>,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let document = run.document();
        let verdict = match unless_damaged(turn.draft.document(document))? {
            Some(Some(row)) if row.placed.contains(scope) => {
                let admitted = admit::run(&mut turn.draft, run, origin);
                unless_damaged(admitted)?.unwrap_or(Verdict::Refused(Reason::CannotOpen))
            }
            Some(_) => Verdict::Refused(Reason::NotPlaced),
            None => Verdict::Refused(Reason::CannotOpen),
        };
        match verdict {
            Verdict::Admitted => {
                outcome.admitted += 1;
                // Summaries of what is written now come first; those of what was missed wait
                // until it is all here.
                if lane == Lane::Live {
                    self.stale.insert(document);
                } else {
                    self.stale_later.insert(document);
                }
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
        let (device, them) = (link.device, link.them);
        let store = them.map(|them| them.store).unwrap_or_default();
        let mut nowhere = Talk::default();
        let talk = link.scopes.get_mut(&batch.scope).unwrap_or(&mut nowhere);
        if lane == Lane::Fill {
            talk.received.add_placements(outcome.placements);
        }
        for run in runs.iter().filter(|_| lane == Lane::Fill) {
            talk.received.add(run.document(), run.bytes().len());
        }
        if outcome.admitted > 0 {
            talk.proved = None;
        }
        talk.frames_come += 1;
        let mut moved = false;
        if outcome.faults.iter().any(|fault| may_come(fault.reason)) {
            // Offering it again from the same cursors would be refused again: a peer that came
            // back from an older copy fills its logs anew, and the hint passes over the first of
            // it. So nothing counts as proved, and the proof calls for exact lists.
            talk.proved = None;
        } else if let (Some(from), Some(after)) = (batch.from, batch.after)
            && from.writer == after.writer
        {
            moved = talk.take(from, after.number);
        }
        let after = batch.after.filter(|after| talk.taken.contains(*after));
        let taken = talk.taken.clone();
        let held = Held {
            scope: batch.scope.clone(),
            runs: outcome.held,
            after,
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
        if moved {
            let peer = self.peer_row(turn, device, store, &batch.scope)?;
            let name = peer_name(device, store, &batch.scope);
            turn.draft
                .put(Table::Peer, name, 0, &PeerRow { taken, ..peer });
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
        let (device, them) = (link.device, link.them);
        let (true, Some(them)) = (link.is_centre, them) else {
            return Ok(());
        };
        if let Some(after) = held.after {
            let mut peer = self.peer_row(turn, device, them.store, &held.scope)?;
            if peer.given.advance(after) {
                let name = peer_name(device, them.store, &held.scope);
                turn.draft.put(Table::Peer, name, 0, &peer);
            }
        }
        for run in &held.runs {
            let line = admit::line(&turn.draft, run.document, run.actor);
            let Some((slot, line)) = unless_damaged(line)?.flatten() else {
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
        if self.outbox.waits_no_more(document) {
            self.outbox.placed.remove(&document);
        }
    }

    /// Notes that what was written here in a scope is at the centre, up to a number of the outbox:
    /// the two were found equal when it stood there.
    pub(crate) fn arrived_in(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        scope: &ScopeId,
        below: u64,
    ) -> Result<(), StoreError> {
        let waiting: Vec<_> = self
            .outbox
            .rows_in(scope)
            .filter(|(_, number)| *number < below)
            .map(|(key, _)| key)
            .collect();
        for (document, slot, seq) in waiting {
            let line = turn
                .draft
                .row::<ActorRow>(Table::Actor, document.as_ref(), slot);
            let line = unless_damaged(line)?.flatten();
            if let Some(line) = line.filter(|line| line.centre < seq) {
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
        let line = turn
            .draft
            .row::<ActorRow>(Table::Actor, document.as_ref(), slot);
        let Some(line) = unless_damaged(line)?.flatten() else {
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
            self.wait_for_centre(turn, document, slot, last)?;
        }
        Ok(())
    }

    /// Notes that something written here waits for the centre's acknowledgement; at the centre
    /// itself it has it.
    pub(crate) fn wait_for_centre(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        slot: u64,
        seq: u64,
    ) -> Result<(), StoreError> {
        let number = self.outbox.next;
        self.outbox.next += 1;
        self.outbox.rows.insert((document, slot, seq), number);
        if let Some(row) = unless_damaged(turn.draft.document(document))?.flatten() {
            self.outbox.placed.insert(document, row.placed);
        }
        let row = OutboxRow {
            document,
            slot,
            seq,
            at: turn.now,
        };
        turn.draft.put(Table::Outbox, Vec::new(), number, &row);
        Ok(())
    }
}
