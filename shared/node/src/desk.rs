//! Commands of people, and the openings that carry them out.
//!
//! A command's way: its document is opened off the turn, the rules decide on what it says, the
//! change comes back, is signed, passes the same door as every other change, and is admitted.
//! At most one command per document is between opening and turn; the others wait in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::Refusal;
use names::{
    DocumentId, Kind, Moment, Nonce, Reason,
    limits::{OPENINGS_MAX, WAITING_PER_DOCUMENT_MAX},
};
use protocol::signed::{Head, SignedHead, derive_actor};
use store::{Store, StoreError, Table};

use crate::{
    admit, bundle,
    draft::unless_damaged,
    input::{JobId, Request, Target, Ticket},
    node::{Identity, Node},
    opener::{Ending, Job, Opened, Performance, Summarised, Task},
    output::{NotDone, Notice, Output, Saved},
    placing::Opening,
    rows::EntryRow,
    turn::Turn,
    verify::VerifiedBundle,
};

/// What is being carried out, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Commands per document; the first one is being carried out.
    pub(crate) queues: BTreeMap<DocumentId, VecDeque<Pending>>,
    /// Openings under way, and what for.
    pub(crate) jobs: BTreeMap<JobId, (DocumentId, For)>,
    /// Documents of which a branch is being written again.
    pub(crate) rewriting: BTreeSet<DocumentId>,
    /// Documents that somebody waits to see.
    pub(crate) wanted: BTreeSet<DocumentId>,
    /// Documents whose summary is being made.
    pub(crate) summarising: BTreeSet<DocumentId>,
    /// Summaries that were made and wait to be kept.
    pub(crate) summarised: Vec<(DocumentId, Summarised)>,
    /// Since when summaries of what was missed wait.
    pub(crate) waiting_since: Option<Moment>,
    /// Since when nothing that was missed is on its way, while they do.
    pub(crate) proved_since: Option<Moment>,
    /// The program is about to end: what is due is left to its next start.
    pub(crate) is_closing: bool,
    next_job: u64,
}

/// What a document is being opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum For {
    Summary,
    Command,
    Branch,
}

/// A command that was taken on.
#[derive(Debug)]
pub(crate) struct Pending {
    ticket: Ticket,
    pub(crate) request: Request,
    pub(crate) kind: Kind,
    /// What its author is made of, once it is being carried out.
    nonce: Nonce,
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
        if matches!(request.target, Target::New(_)) && !request.command.begins() {
            let refused = NotDone::Refused(Refusal::BeginsNothing);
            self.answer(turn, ticket, Err(refused));
            return Ok(());
        }
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
                    self.begin(turn, document)?;
                }
            }
            Err(reason) => self.answer(turn, ticket, Err(NotDone::Reason(reason))),
        }
        Ok(())
    }

    /// Whether a command or a summary of a document is under way.
    pub(crate) fn is_at_work_on(&self, document: DocumentId) -> bool {
        let desk = &self.desk;
        desk.queues.contains_key(&document)
            || desk.summarising.contains(&document)
            || desk.rewriting.contains(&document)
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
        if self.trying.is_aside(&document) {
            return Ok(Err(Reason::SetAside));
        }
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
                nonce: Nonce::default(),
                opens,
            },
        )))
    }

    /// Asks for the document of the first waiting command to be opened.
    pub(crate) fn begin(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        if self.trying.suspect().is_some() {
            self.trying.holds_back = true;
            return Ok(());
        }
        let nonce = self.nonce_of(document);
        let queue = self.desk.queues.get_mut(&document);
        let Some(pending) = queue.and_then(VecDeque::front_mut) else {
            return Ok(());
        };
        pending.nonce = nonce;
        let Request {
            entry, by, command, ..
        } = &pending.request;
        let actor = derive_actor(
            &self.identity.tenant,
            &self.identity.device.public(),
            &document,
            &nonce,
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
        self.request(turn, document, kind, task)
    }

    pub(crate) fn request(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        kind: Kind,
        task: Task,
    ) -> Result<(), StoreError> {
        self.try_opening(turn, document)?;
        let id = JobId(self.desk.next_job);
        self.desk.next_job += 1;
        let what = match task {
            Task::Summarise { .. } => For::Summary,
            Task::Perform(_) => For::Command,
            Task::Rewrite(_) => For::Branch,
        };
        self.desk.jobs.insert(id, (document, what));
        turn.say(Output::Open(Job {
            id,
            document,
            kind,
            task,
        }));
        Ok(())
    }

    pub(crate) fn take_opened(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        job: JobId,
        opened: Opened,
    ) -> Result<(), StoreError> {
        let Some((document, what)) = self.desk.jobs.remove(&job) else {
            return Ok(());
        };
        self.trying.ended(document);
        match what {
            For::Summary => {
                self.desk.summarising.remove(&document);
                self.take_summary(turn, document, opened);
                Ok(())
            }
            For::Branch => {
                self.desk.rewriting.remove(&document);
                self.take_branch(turn, document, opened)
            }
            For::Command => self.take_performed(turn, document, opened),
        }
    }

    fn take_performed(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        opened: Opened,
    ) -> Result<(), StoreError> {
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
            Ending::Summarised(_) | Ending::Rewritten(_) => {
                Err(NotDone::Reason(Reason::CannotOpen))
            }
        };
        self.answer(turn, ticket, result);
        match self.desk.queues.get(&document) {
            Some(queue) if queue.is_empty() => {
                self.desk.queues.remove(&document);
            }
            Some(_) => self.begin(turn, document)?,
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
        let admission = admit::bundle(&mut turn.draft, &bundle, None, &BTreeSet::new())?;
        let refused = admission.refused.first().map(|(.., reason)| *reason);
        if let Some(reason) = admission.nothing.or(refused) {
            return Ok(Err(reason));
        }
        if !admission.admitted {
            return Ok(Ok(()));
        }
        let actor = bundle.lines().first().map(|line| line.actor);
        let line = actor.map(|actor| admit::line(&turn.draft, document, actor));
        let Some((slot, mut line)) = line.transpose()?.flatten() else {
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
            let seq = line.seq;
            self.backed.arrived(&mut line, seq, self.backed.now());
            turn.draft.put_lines(document, [(slot, line)])?;
        } else {
            let written = (line.seq, line.seq);
            self.wait_for_centre(turn, document, slot, written)?;
        }
        // The summary was made from what was open plus this change; if more has come since, it
        // is behind. A compacted form that is due is made with the next one, not while a person waits.
        let fresh = before == summary.arrivals && !summary.is_form_due;
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
            nonce: pending.nonce,
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
