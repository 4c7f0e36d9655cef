//! Commands of people, and the openings that carry them out.
//!
//! A command's way: its document is opened off the turn, the rules decide on what it says, the
//! change comes back, is signed, passes the same door as every other change, and is admitted.
//! At most one command per document is between opening and turn; the others wait in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::Refusal;
use names::{
    DocumentId, Kind, Moment, Reason,
    limits::{OPENINGS_MAX, WAITING_PER_DOCUMENT_MAX},
};
use protocol::signed::{Head, SignedHead, derive_actor};
use store::{Store, StoreError, Table};

use crate::{
    admit, bundle,
    draft::unless_damaged,
    input::{JobId, Request, Target, Ticket},
    link::Link,
    node::{Identity, Node},
    opener::{Ending, Job, Opened, Performance, Summarised, Task},
    output::{NotDone, Notice, Output, Saved},
    placing::Opening,
    rows::{ActorRow, EntryRow, SummaryRow},
    turn::Turn,
    verify::VerifiedBundle,
};

/// Summaries made at once while nobody waits for them.
const SUMMARIES_AT_ONCE: usize = 8;
/// Summaries that wait to be kept together: a commit each would be a thousand after a first fill.
const SUMMARIES_KEPT_AT_ONCE: usize = 32;
/// What one summary may take. The largest honest one has some hundred open tasks: 30 KB.
const SUMMARY_BYTES_MAX: usize = 256 << 10;
/// How long summaries of what was missed wait for the proof that it is all here. A peer that never
/// gives one must not keep lists behind for longer.
const FILL_PATIENCE_MS: i64 = 30_000;

/// What is being carried out, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Commands per document; the first one is being carried out.
    queues: BTreeMap<DocumentId, VecDeque<Pending>>,
    /// Openings under way, and whether each only makes a summary.
    jobs: BTreeMap<JobId, (DocumentId, bool)>,
    /// Documents whose summary is being made.
    summarising: BTreeSet<DocumentId>,
    /// Summaries that were made and wait to be kept.
    summarised: Vec<(DocumentId, Summarised)>,
    /// Since when summaries of what was missed wait.
    waiting_since: Option<Moment>,
    next_job: u64,
}

/// A command that was taken on.
#[derive(Debug)]
pub(crate) struct Pending {
    ticket: Ticket,
    pub(crate) request: Request,
    pub(crate) kind: Kind,
    /// Where a document that the command opens is to stand.
    pub(crate) opens: Option<Opening>,
}

impl<S: Store> Node<S> {
    pub(crate) fn take_command(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        ticket: Ticket,
        request: Request,
    ) -> Result<(), StoreError> {
        if let Some(saved) = self.saved_before(turn, &request)? {
            self.answer(turn, ticket, Ok(saved));
            return Ok(());
        }
        match self.accept(turn, ticket, request)? {
            Ok((document, pending)) if self.is_used(turn, document, &pending)? => {
                let refused = NotDone::Refused(Refusal::EntryIdUsed);
                self.answer(turn, pending.ticket, Err(refused));
            }
            Ok((document, pending)) => {
                let queue = self.desk.queues.entry(document).or_default();
                queue.push_back(pending);
                if queue.len() == 1 {
                    self.begin(turn, document);
                }
            }
            Err(reason) => self.answer(turn, ticket, Err(NotDone::Reason(reason))),
        }
        Ok(())
    }

    /// Whether a command or a summary of a document is under way.
    pub(crate) fn is_at_work_on(&self, document: DocumentId) -> bool {
        self.desk.queues.contains_key(&document) || self.desk.summarising.contains(&document)
    }

    /// Whether the entry's id stands for an entry in another document already: writing it again
    /// there would lose track of the first.
    fn is_used(
        &self,
        turn: &Turn<S::Snapshot>,
        document: DocumentId,
        pending: &Pending,
    ) -> Result<bool, StoreError> {
        let entry = pending.request.entry;
        let known = turn.draft.row::<EntryRow>(Table::Entry, entry.as_ref(), 0);
        let known = unless_damaged(known)?.flatten();
        let is_elsewhere = known.is_some_and(|known| known.document != document);
        // Another command of the same id may still be on its way.
        let waiting = self
            .desk
            .queues
            .iter()
            .filter(|(other, _)| **other != document);
        let mut waiting = waiting.flat_map(|(_, queue)| queue);
        Ok(is_elsewhere || waiting.any(|other| other.request.entry == entry))
    }

    /// Finds the document of a command, and whether this node may write there.
    fn accept(
        &mut self,
        turn: &Turn<S::Snapshot>,
        ticket: Ticket,
        request: Request,
    ) -> Result<Result<(DocumentId, Pending), Reason>, StoreError> {
        if self.directory.is_revoked(&self.device) {
            return Ok(Err(Reason::Revoked));
        }
        let (document, kind, opens) = match self.locate(&request) {
            Ok(Some((document, kind, opening))) => (document, kind, Some(opening)),
            Ok(None) => {
                let Target::Document(document) = request.target else {
                    return Ok(Err(Reason::Malformed));
                };
                let Some(row) = unless_damaged(turn.draft.document(document))? else {
                    return Ok(Err(Reason::CannotOpen));
                };
                let Some(row) = row else {
                    return Ok(Err(Reason::NotFound));
                };
                if let Err(reason) = self.may_write(&row) {
                    return Ok(Err(reason));
                }
                (document, row.kind, None)
            }
            Err(reason) => return Ok(Err(reason)),
        };
        let waiting = self.desk.queues.get(&document).map_or(0, VecDeque::len);
        if waiting >= WAITING_PER_DOCUMENT_MAX || self.desk.jobs.len() >= OPENINGS_MAX {
            return Ok(Err(Reason::Busy));
        }
        Ok(Ok((
            document,
            Pending {
                ticket,
                request,
                kind,
                opens,
            },
        )))
    }

    /// Asks for the document of the first waiting command to be opened.
    fn begin(&mut self, turn: &mut Turn<S::Snapshot>, document: DocumentId) {
        let Some(pending) = self.desk.queues.get(&document).and_then(VecDeque::front) else {
            return;
        };
        let Request {
            entry, by, command, ..
        } = &pending.request;
        let actor = derive_actor(
            &self.identity.tenant,
            &self.identity.device.public(),
            &document,
            &self.nonce_of(document),
            &by.worker,
        );
        let task = Task::Perform(Box::new(Performance {
            actor,
            entry: *entry,
            by: by.clone(),
            command: command.clone(),
            now: turn.now,
        }));
        let kind = pending.kind;
        self.request(turn, document, kind, task);
    }

    fn request(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        kind: Kind,
        task: Task,
    ) {
        let id = JobId(self.desk.next_job);
        self.desk.next_job += 1;
        let summarises = matches!(task, Task::Summarise);
        self.desk.jobs.insert(id, (document, summarises));
        turn.say(Output::Open(Job {
            id,
            document,
            kind,
            task,
        }));
    }

    /// Has stale summaries made, while nothing more urgent is going on.
    pub(crate) fn assign_openings(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<(), StoreError> {
        self.keep_summaries(turn)?;
        self.release_stale(turn.now);
        let free = SUMMARIES_AT_ONCE.saturating_sub(self.desk.summarising.len());
        let idle = |document: &&DocumentId| {
            !self.desk.queues.contains_key(document) && !self.desk.summarising.contains(document)
        };
        let chosen: Vec<DocumentId> = self.stale.iter().filter(idle).take(free).copied().collect();
        for document in chosen {
            self.stale.remove(&document);
            let row = unless_damaged(turn.draft.document(document))?;
            if let Some(row) = row.flatten() {
                self.desk.summarising.insert(document);
                self.request(turn, document, row.kind, Task::Summarise);
            }
        }
        Ok(())
    }

    pub(crate) fn take_opened(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        job: JobId,
        opened: Opened,
    ) -> Result<(), StoreError> {
        let Some((document, summarises)) = self.desk.jobs.remove(&job) else {
            return Ok(());
        };
        if summarises {
            self.desk.summarising.remove(&document);
            self.take_summary(turn, document, opened);
            return Ok(());
        }
        let queue = self.desk.queues.get_mut(&document);
        let Some(pending) = queue.and_then(VecDeque::pop_front) else {
            return Ok(());
        };
        let ticket = pending.ticket;
        let saved = |change| Saved {
            document,
            entry: pending.request.entry,
            change,
        };
        let result = match opened.0 {
            Ending::Performed { performed, summary } => {
                let kept = self.keep(turn, document, &pending, performed.chunk, &summary);
                let kept = unless_damaged(kept)?.unwrap_or(Err(Reason::CannotOpen));
                if kept.is_err() {
                    turn.say(Output::Forget(document));
                }
                kept.map(|()| saved(Some(performed.header.hash)))
                    .map_err(NotDone::Reason)
            }
            Ending::Recorded => Ok(saved(None)),
            Ending::Refused(refusal) => Err(NotDone::Refused(refusal)),
            Ending::Failed(reason) => {
                turn.say(Output::Notice(Notice::Unreadable { document, reason }));
                Err(NotDone::Reason(reason))
            }
            Ending::Summarised(_) => Err(NotDone::Reason(Reason::CannotOpen)),
        };
        self.answer(turn, ticket, result);
        match self.desk.queues.get(&document) {
            Some(queue) if queue.is_empty() => {
                self.desk.queues.remove(&document);
            }
            Some(_) => self.begin(turn, document),
            None => {}
        }
        Ok(())
    }

    fn answer(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        ticket: Ticket,
        result: Result<Saved, NotDone>,
    ) {
        if let Err(NotDone::Reason(reason)) = &result {
            self.count(*reason);
        }
        turn.say(Output::Answer { ticket, result });
    }

    fn take_summary(&mut self, turn: &mut Turn<S::Snapshot>, document: DocumentId, opened: Opened) {
        match opened.0 {
            Ending::Summarised(summary) => {
                if summary.flaws > 0 {
                    let reason = Reason::CannotOpen;
                    turn.say(Output::Notice(Notice::Unreadable { document, reason }));
                }
                self.desk.summarised.push((document, summary));
            }
            Ending::Failed(reason) => {
                // The mark stays, so that the next opening of the store tries again.
                self.count(reason);
                turn.say(Output::Notice(Notice::Unreadable { document, reason }));
            }
            Ending::Performed { .. } | Ending::Recorded | Ending::Refused(_) => {}
        }
    }

    /// Keeps summaries that were made: with whatever else this turn writes, or once many have
    /// gathered or nothing more is being made. Until then their documents stay marked.
    fn keep_summaries(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        let is_time = turn.draft.has_writes()
            || self.desk.summarising.is_empty()
            || self.desk.summarised.len() >= SUMMARIES_KEPT_AT_ONCE;
        if !is_time {
            return Ok(());
        }
        for (document, summary) in std::mem::take(&mut self.desk.summarised) {
            if self.is_dropped(document) {
                continue;
            }
            let row = unless_damaged(turn.draft.document(document))?.flatten();
            let fresh = row.is_some_and(|row| row.arrivals == summary.arrivals);
            self.keep_summary(turn, document, &summary, summary.arrivals, fresh);
        }
        Ok(())
    }

    /// Lets summaries of what was missed be made, once it is proved that all of it is here.
    fn release_stale(&mut self, now: Moment) {
        if self.stale_later.is_empty() {
            self.desk.waiting_since = None;
            return;
        }
        let since = *self.desk.waiting_since.get_or_insert(now);
        let is_late = now >= since.plus_ms(FILL_PATIENCE_MS) || now < since;
        if is_late || !self.links.values().any(Link::is_filling) {
            self.stale.append(&mut self.stale_later);
            self.desk.waiting_since = None;
        }
    }

    /// When summaries that wait for a proof will wait no longer.
    pub(crate) fn release_at(&self) -> Option<Moment> {
        self.desk
            .waiting_since
            .map(|since| since.plus_ms(FILL_PATIENCE_MS))
    }

    fn keep_summary(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        summary: &Summarised,
        arrivals: u64,
        fresh: bool,
    ) {
        // One that was made before a command on the same document must not follow it.
        self.desk.summarised.retain(|(other, _)| *other != document);
        let mut json = summary.json.clone();
        if json.len() > SUMMARY_BYTES_MAX {
            // Lists show the document without it, and say so.
            json.clear();
            self.count(Reason::TooLarge);
            let reason = Reason::TooLarge;
            turn.say(Output::Notice(Notice::Unreadable { document, reason }));
        }
        let row = SummaryRow {
            arrivals,
            version: summary.version,
            json,
        };
        turn.draft.put(Table::Summary, document.0, 0, &row);
        if fresh {
            self.stale.remove(&document);
            turn.draft.delete(Table::Stale, document.0, 0);
        } else {
            turn.draft
                .put_bytes(Table::Stale, document.0, 0, Vec::new());
            self.stale.insert(document);
        }
    }

    /// Signs a change made here and admits it like any other.
    fn keep(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        pending: &Pending,
        chunk: Vec<u8>,
        summary: &Summarised,
    ) -> Result<Result<(), Reason>, StoreError> {
        // It may have been revoked while the document was open: what is handed in is then all
        // there is.
        if self.directory.is_revoked(&self.device) {
            return Ok(Err(Reason::Revoked));
        }
        if let Err(reason) = self.place(turn, document, pending)? {
            return Ok(Err(reason));
        }
        // It may have left while it was open.
        if let Some(row) = turn.draft.document(document)?
            && let Err(reason) = self.may_write(&row)
        {
            return Ok(Err(reason));
        }
        let bundle = match self.sign(turn, document, pending, &chunk) {
            Ok(bundle) => bundle,
            Err(reason) => return Ok(Err(reason)),
        };
        let before = turn.draft.document(document)?.map_or(0, |row| row.arrivals);
        let admission = admit::bundle(&mut turn.draft, &bundle, None)?;
        let refused = admission.refused.first().map(|(.., reason)| *reason);
        if let Some(reason) = admission.nothing.or(refused) {
            return Ok(Err(reason));
        }
        if !admission.admitted {
            return Ok(Ok(()));
        }
        let actor = bundle.lines().first().map(|line| line.actor);
        let line = actor.map(|actor| admit::line(&turn.draft, document, actor));
        let Some((slot, line)) = line.transpose()?.flatten() else {
            return Ok(Err(Reason::NotFound));
        };
        let entry = EntryRow {
            document,
            slot,
            seq: line.seq,
        };
        turn.draft
            .put(Table::Entry, pending.request.entry.0, 0, &entry);
        if self.is_centre() {
            let (name, centre) = (document.0, line.seq);
            turn.draft
                .put(Table::Actor, name, slot, &ActorRow { centre, ..line });
        } else {
            let written = (line.seq, line.seq);
            self.wait_for_centre(turn, document, slot, written)?;
        }
        // The summary was made from what was open plus this change; if more has come since, it
        // is behind.
        let fresh = before == summary.arrivals;
        self.keep_summary(turn, document, summary, summary.arrivals + 1, fresh);
        Ok(Ok(()))
    }

    fn sign(
        &self,
        turn: &Turn<S::Snapshot>,
        document: DocumentId,
        pending: &Pending,
        chunk: &[u8],
    ) -> Result<VerifiedBundle, Reason> {
        let header = document::preflight::header(chunk)?;
        let head = Head {
            device: self.device,
            nonce: self.nonce_of(document),
            worker: pending.request.by.worker.clone(),
            seq: header.seq,
            hash: header.hash,
            directory_seen: self.directory.latest().unwrap_or(Moment(0)),
            floor: turn.now,
        };
        let Identity { tenant, device, .. } = &self.identity;
        let head = SignedHead::sign(device, tenant, &document, &header.actor, &head);
        let bundle = bundle::of_one(document, chunk, &head)?;
        let mut rejected = Vec::new();
        let verified = self.verifier().bundle(bundle, &mut rejected)?;
        match rejected.first() {
            Some(rejected) => Err(rejected.reason),
            None => Ok(verified),
        }
    }
}
