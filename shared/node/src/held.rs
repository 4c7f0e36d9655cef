//! How far what was written here has got: a peer's answers to our batches, and what still waits for
//! the centre's.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, ScopeId};
use protocol::message::Held;
use store::{Store, StoreError, Table};

use crate::{
    draft::unless_damaged,
    except::Exceptions,
    input::LinkId,
    node::Node,
    outbox::{LineKey, Waits},
    output::{Notice, Output},
    rows::{ActorRow, OutboxRow, peer_name},
    turn::Turn,
};

/// Lines that the centre is known to hold and of which that is not yet written down: some
/// tens of milliseconds, its commit among them.
const ARRIVED_KEPT_AT_ONCE: usize = 4_096;

impl<S: Store> Node<S> {
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
        link.has_answered = true;
        self.take_hand_in(id, held);
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let lines = held
            .number
            .and_then(|number| link.unanswered.remove(&number));
        let mut told = BTreeSet::new();
        for fault in &held.refused {
            let (document, reason) = (fault.document, fault.reason);
            if let Some(talk) = link.scopes.get_mut(&held.scope) {
                talk.note_refused(document, reason);
            }
            // One line for each reason: a peer must not fill the disk with ours.
            if told.insert(reason) {
                turn.say(Output::Notice(Notice::Declined {
                    link: id,
                    document,
                    reason,
                }));
            }
        }
        // An answer to a page of a list names no batch, and still frees the credit that others wait
        // for: what was answered before it is written down with it.
        let is_of_a_batch = lines.is_some();
        for ((document, slot), seq) in lines.unwrap_or_default() {
            if !Self::is_refused(turn, held, document, slot)? {
                let arrived = link.arrived.entry((document, slot)).or_default();
                *arrived = seq.max(*arrived);
            }
        }
        if let Some(after) = held.after.filter(|_| is_of_a_batch) {
            let given = link.given.entry(held.scope.clone()).or_default();
            given.advance(after);
        }
        // In the middle of a fill a commit for each answer would cost as much as the fill itself.
        // What is lost with this process until then is said again by the proof. Whoever has just
        // written something does not wait for the fill.
        let is_live = held.fills == 0;
        if is_live || link.in_flight == 0 || link.arrived.len() >= ARRIVED_KEPT_AT_ONCE {
            self.keep_arrived(turn, id)?;
        }
        Ok(())
    }

    /// Whether an answer refuses changes of one author's line.
    fn is_refused(
        turn: &Turn<S::Snapshot>,
        held: &Held,
        document: DocumentId,
        slot: u64,
    ) -> Result<bool, StoreError> {
        let mut faults = held.refused.iter();
        if !faults.any(|fault| fault.document == document && fault.placement.is_none()) {
            return Ok(false);
        }
        let line = turn.draft.line(document, slot);
        let actor = unless_damaged(line)?.flatten().map(|line| line.actor);
        Ok(held.refused.iter().any(|fault| {
            let whose = fault.run.is_none_or(|(whose, _)| Some(whose) == actor);
            fault.document == document && fault.placement.is_none() && whose
        }))
    }

    /// Writes down what the centre has said that it holds.
    pub(crate) fn keep_arrived(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (device, them) = (link.device, link.them);
        let arrived = std::mem::take(&mut link.arrived);
        let given = std::mem::take(&mut link.given);
        let Some(them) = them else {
            return Ok(());
        };
        for (scope, given) in given {
            let mut peer = self.peer_row(turn, device, them.store, &scope)?;
            let mut is_news = false;
            for position in given.positions() {
                is_news |= peer.given.advance(position);
            }
            if is_news {
                let name = peer_name(device, them.store, &scope);
                turn.draft.put(Table::Peer, name, 0, &peer);
            }
        }
        for (document, lines) in by_document(arrived) {
            self.arrived(turn, document, &lines)?;
        }
        Ok(())
    }

    /// Notes that the centre holds lines of a document, each up to a number. What a damaged row
    /// says of its lines stays as it is.
    pub(crate) fn arrived(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        lines: &BTreeMap<u64, u64>,
    ) -> Result<(), StoreError> {
        let stretch = self.backed.now();
        self.arrived_at(turn, document, lines, stretch)
    }

    /// The same, as was said in a stretch of this store's life ([`BackedRow`](crate::rows::BackedRow)).
    pub(crate) fn arrived_at(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        lines: &BTreeMap<u64, u64>,
        stretch: u64,
    ) -> Result<(), StoreError> {
        let (mut news, backed) = (Vec::new(), &self.backed);
        turn.draft
            .change_lines(document, lines.keys().copied(), |slot, line| {
                let seq = lines.get(&slot).copied().unwrap_or_default();
                let is_news = seq <= line.seq && seq > line.centre;
                if is_news {
                    backed.arrived(line, seq, stretch);
                    news.push((slot, seq));
                }
                is_news
            })?;
        let mut waits_less = false;
        for (slot, seq) in news {
            match self.outbox.get(&(document, slot)) {
                Some(waits) if waits.last <= seq => {
                    self.outbox.remove(&(document, slot));
                    waits_less = true;
                }
                Some(waits) => {
                    let first = waits.first.max(seq + 1);
                    self.outbox.set((document, slot), Waits { first, ..waits });
                }
                None => {}
            }
        }
        if waits_less {
            self.put_outbox(turn, document);
        }
        if self.outbox.waits_no_more(document) {
            self.outbox.placed.remove(&document);
        }
        Ok(())
    }

    /// Writes down which lines of a document wait.
    pub(crate) fn put_outbox(&self, turn: &mut Turn<S::Snapshot>, document: DocumentId) {
        let slots: Vec<u64> = self.outbox.slots(document).into_iter().collect();
        if slots.is_empty() {
            turn.draft.delete(Table::Outbox, document.0, 0);
        } else {
            let row = OutboxRow { document, slots };
            turn.draft.put(Table::Outbox, document.0, 0, &row);
        }
    }

    /// Notes that what was written here in a scope is at the centre, up to a number of the outbox:
    /// the two were found equal when it stood there, except in some documents.
    pub(crate) fn arrived_in(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        scope: &ScopeId,
        below: u64,
        except: &Exceptions,
    ) -> Result<(), StoreError> {
        let lines = self.outbox.lines_in(scope);
        let waiting: Vec<_> = lines
            .filter(|(_, waits)| waits.number < below)
            .filter(|((document, _), _)| !except.contains_key(document))
            .map(|(line, waits)| (line, waits.last))
            .collect();
        // A greeting tells before the centre's first word of its backups.
        let mut links = self.links.values();
        let is_in_order = !links.any(|link| link.is_centre && link.backups.is_none());
        let stretch = match is_in_order {
            true => self.backed.now(),
            false => self.backed.later(),
        };
        for (document, lines) in by_document(waiting) {
            self.arrived_at(turn, document, &lines, stretch)?;
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
    ) -> Result<(), StoreError> {
        let line = turn.draft.line(document, slot);
        let Some(line) = unless_damaged(line)?.flatten() else {
            return Ok(());
        };
        if line.centre < first {
            return Ok(());
        }
        let (ours, last) = (line.device == self.device, line.seq);
        // A backup that it came back from may be the last that there is.
        let centre = first.saturating_sub(1);
        let backed = line.backed.min(centre);
        let line = ActorRow {
            centre,
            backed,
            ..line
        };
        turn.draft.put_lines(document, [(slot, line)])?;
        if ours {
            self.wait_for_centre(turn, document, slot, (first, last))?;
            self.hand_in_again(document);
        }
        Ok(())
    }

    /// Notes that changes written here, from the first to the last of these numbers of a line, wait
    /// for the centre's acknowledgement; at the centre itself they have it.
    pub(crate) fn wait_for_centre(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        slot: u64,
        (first, last): (u64, u64),
    ) -> Result<(), StoreError> {
        let number = self.outbox.next;
        self.outbox.next += 1;
        if let Some(waits) = self.outbox.get(&(document, slot)) {
            let waits = Waits {
                first: waits.first.min(first),
                last: waits.last.max(last),
                number,
            };
            self.outbox.set((document, slot), waits);
            return Ok(());
        }
        let waits = Waits {
            first,
            last,
            number,
        };
        self.outbox.set((document, slot), waits);
        if let Some(row) = unless_damaged(turn.draft.document(document))?.flatten() {
            self.outbox.placed.insert(document, row.placed);
        }
        self.put_outbox(turn, document);
        Ok(())
    }
}

/// Numbers of lines, by document and slot: a document's lines share rows.
fn by_document(
    lines: impl IntoIterator<Item = (LineKey, u64)>,
) -> BTreeMap<DocumentId, BTreeMap<u64, u64>> {
    let mut documents: BTreeMap<DocumentId, BTreeMap<u64, u64>> = BTreeMap::new();
    for ((document, slot), seq) in lines {
        documents.entry(document).or_default().insert(slot, seq);
    }
    documents
}
