//! What comes in: changes and placements of a peer's.

use std::collections::BTreeSet;

use names::{ActorId, DocumentId, Incarnation, Reason, ScopeId, limits::LIST_ROWS_MAX};
use protocol::message::{Fault, Frame, Held};
use store::{Store, StoreError, Table};

use crate::{
    admit::{self, Admission, Verdict},
    draft::unless_damaged,
    input::LinkId,
    link::{Due, Stage, Talk},
    node::Node,
    output::{Lane, Notice, Output},
    rows::{PeerRow, peer_name},
    turn::{PROOF_AGAIN_MS, Turn},
    verify::{Load, VerifiedBundle, VerifiedPlacement},
};

/// Frames that may wait for the greetings: a second's worth at the busiest site. What is
/// dropped beyond it, or beyond their bytes, is found by the proof.
const EARLY_FRAMES_MAX: usize = 64;
const EARLY_BYTES_MAX: usize = 1 << 20;

/// What became of the parts of one frame.
#[derive(Default)]
struct Outcome {
    faults: Vec<Fault>,
    admitted: usize,
    /// Documents whose placement can never be taken by this version.
    unplaceable: BTreeSet<DocumentId>,
}

impl Outcome {
    fn fault(&mut self, document: DocumentId, reason: Reason) {
        self.refuse(document, None, reason);
    }

    fn refuse(&mut self, document: DocumentId, run: Option<(ActorId, u64)>, reason: Reason) {
        self.faults.push(Fault {
            document,
            reason,
            run,
            placement: None,
        });
    }
}

/// Whether something refused for this reason may be taken once more has arrived.
pub(crate) fn may_come(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MissingDependency
            | Reason::WrongSequence
            | Reason::UnknownSigner
            | Reason::NotPlaced
            | Reason::Busy
    )
}

impl<S: Store> Node<S> {
    /// Takes what a frame brings: all of it that may be admitted, and answers for the rest.
    pub(crate) fn take_load(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        load: &Load,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let Some(them) = link.them.filter(|_| link.stage == Stage::Scopes) else {
            // What goes by another stream may overtake the greeting: live frames, and what is handed
            // in. It waits.
            let bytes = load.bytes;
            let has_room = link.early.len() < EARLY_FRAMES_MAX
                && link.early_bytes.saturating_add(bytes) <= EARLY_BYTES_MAX;
            if has_room {
                link.early_bytes += bytes;
                link.early.push(load.clone());
            } else {
                self.count(Reason::OutOfTurn);
            }
            return Ok(());
        };
        let scope = &load.batch.scope;
        let mut outcome = Outcome::default();
        for rejected in &load.rejected {
            outcome.refuse(rejected.document, rejected.run, rejected.reason);
        }
        let origin = Some(them.incarnation);
        if link.scopes.contains_key(scope) {
            self.take_placements(turn, scope, &load.placements, origin, &mut outcome)?;
            for bundle in &load.bundles {
                self.take_bundle(turn, (id, load.lane), scope, bundle, origin, &mut outcome)?;
            }
            self.never_to_come(id, scope, &mut outcome);
            self.came_back(turn, id, &load.bundles)?;
        } else {
            // Not allowed and not existing are one answer; the frame's credit goes back with it.
            for bundle in &load.bundles {
                outcome.refuse(bundle.document(), None, Reason::NotFound);
            }
            outcome.fault(DocumentId::default(), Reason::NotFound);
        }
        self.tell_faults(turn, id, &outcome.faults);
        self.answer_load(turn, id, load, outcome)
    }

    /// Changes of a document that this version can never place are no reason to wait for anything.
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

    /// Takes up the frames that overtook the greetings.
    pub(crate) fn take_early(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
    ) -> Result<(), StoreError> {
        let early = self
            .links
            .get_mut(&id)
            .map(|link| std::mem::take(&mut link.early));
        for load in early.unwrap_or_default() {
            self.take_load(turn, id, &load)?;
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
            // A document that has left may have been placed by somebody who did not know that.
            let is_here = known.as_ref().is_some_and(|row| row.is_known_in(scope));
            let is_hidden = known.is_some() && !is_here;
            let belongs = here.contains(&document) || is_here;
            let verdict = if self.is_being_dropped(document) {
                Verdict::Refused(Reason::Busy)
            } else if belongs {
                let admitted = admit::placement(&mut turn.draft, &directory, placement, origin);
                unless_damaged(admitted)?.unwrap_or(Verdict::Refused(Reason::CannotOpen))
            } else {
                Verdict::Refused(Reason::NotAllowed)
            };
            match verdict {
                Verdict::Admitted => {
                    outcome.admitted += 1;
                    self.owe_rulings(turn, document)?;
                }
                Verdict::Held => {}
                // Of a document that stands elsewhere nothing is told, not even that it exists.
                Verdict::Refused(_) if is_hidden || !belongs => {
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

    fn take_bundle(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        (id, lane): (LinkId, Lane),
        scope: &ScopeId,
        bundle: &VerifiedBundle,
        origin: Option<Incarnation>,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let document = bundle.document();
        let nothing = |reason| Admission {
            nothing: Some(reason),
            ..Admission::default()
        };
        let admission = match unless_damaged(turn.draft.document(document))? {
            Some(Some(_)) if self.is_being_dropped(document) => nothing(Reason::Busy),
            Some(Some(row))
                if row.placed.contains(scope) || self.may_hand_in(&row, scope, bundle) =>
            {
                let ruled_out = self.ruled_out(bundle);
                let admitted = admit::bundle(&mut turn.draft, bundle, origin, &ruled_out);
                unless_damaged(admitted)?.unwrap_or_else(|| nothing(Reason::CannotOpen))
            }
            Some(Some(row)) if row.has_left(scope) => nothing(Reason::Transferred),
            Some(_) => nothing(Reason::NotPlaced),
            None => nothing(Reason::CannotOpen),
        };
        for fork in &admission.forks {
            self.note_fork(turn, id, document, *fork);
        }
        if admission.admitted {
            outcome.admitted += 1;
            if self.branches.losing.contains(&document) {
                self.branches.due.insert(document);
            }
            // Summaries of what is written now come first; those of what was missed wait until it
            // is all here.
            if lane == Lane::Live {
                self.stale.insert(document);
                self.stale_later.remove(&document);
            } else {
                self.stale_later.insert(document);
            }
        }
        if let Some(reason) = admission.nothing {
            outcome.fault(document, reason);
        }
        for (actor, seq, reason) in admission.refused {
            outcome.refuse(document, Some((actor, seq)), reason);
        }
        Ok(())
    }

    /// Moves the cursor, and prepares what the peer is told once this turn is on disk.
    fn answer_load(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        load: &Load,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        if outcome.admitted > 0 {
            self.doubt_copies(turn, id, &load.batch.scope);
        }
        let again = turn.soon(PROOF_AGAIN_MS);
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let batch = &load.batch;
        let (device, them) = (link.device, link.them);
        let store = them.map(|them| them.store).unwrap_or_default();
        let mut nowhere = Talk::default();
        let talk = link.scopes.get_mut(&batch.scope).unwrap_or(&mut nowhere);
        if load.lane == Lane::Fill {
            talk.received.add_placements(load.placements.len());
            for bundle in &load.bundles {
                let (changes, bytes) = (bundle.headers().len(), bundle.bytes() as u64);
                talk.received.add(bundle.document(), changes, bytes);
            }
        }
        if outcome.admitted > 0 {
            talk.proved = None;
        }
        for fault in &outcome.faults {
            talk.note_refused(fault.document, fault.reason);
        }
        talk.frames_come += 1;
        let mut moved = false;
        if outcome.faults.iter().any(|fault| may_come(fault.reason)) {
            // Offering it again from the same cursors would be refused again: a peer that came
            // back from an older copy fills its logs anew, and the hint passes over the first of
            // it. So nothing counts as proved, and the proof calls for exact lists; soon, since
            // somebody waits for what was written just now and overtook what it builds on.
            talk.proved = None;
            talk.due = match talk.due {
                Some((at, Due::Proof)) => Some((at.min(again), Due::Proof)),
                None => Some((again, Due::Proof)),
                round @ Some((_, Due::Round)) => round,
            };
        } else if let (Some(from), Some(after)) = (batch.from, batch.after)
            && from.writer == after.writer
        {
            moved = talk.take(from, after.number);
        }
        let after = batch.after.filter(|after| talk.taken.contains(*after));
        let taken = talk.taken.clone();
        let mut refused = outcome.faults;
        // What cannot be named in full is no acknowledgement at all.
        let is_named = refused.len() <= LIST_ROWS_MAX;
        refused.truncate(LIST_ROWS_MAX);
        let held = Held {
            scope: batch.scope.clone(),
            fills: u32::from(load.lane == Lane::Fill),
            refused,
            number: is_named.then_some(batch.number),
            after,
        };
        link.ready.push((Lane::Control, Frame::Held(held)));
        if moved {
            let peer = self.peer_row(turn, device, store, &batch.scope)?;
            let name = peer_name(device, store, &batch.scope);
            turn.draft
                .put(Table::Peer, name, 0, &PeerRow { taken, ..peer });
        }
        Ok(())
    }
}
