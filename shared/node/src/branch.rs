//! Branches: two lines of one author in one document, which begin alike and then part.
//!
//! An actor is drawn at each opening of a store, so copies of files never write as one author. But
//! whoever copies a *running* program (a snapshot of a virtual machine, with its memory) has two that
//! do. A document can hold one branch of a line only. The centre refuses the one that comes second,
//! and the authority rules that the other stands. Whoever holds the branch that does not stand then
//! has it **written again** ([`rewrite`]): by the device that wrote it, as another author of its own,
//! with the same entries, under names that everybody who holds the branch can work out. Once all of it
//! is here under these, the branch itself is **taken out** ([`removal`]), and what stands comes from
//! the peers like everything that is missing. What builds on a branch goes with it.
//!
//! Nothing is taken out before what stands in its place is in the same commit or before it; and so a
//! node that holds a branch of another's device keeps it until that device has written it again.

pub(crate) mod removal;
mod rewrite;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use names::{ActorId, ChangeHash, DeviceId, DocumentId, Reason};
use protocol::{
    bundle::{Bundle, Closing, Dep, PackedChange},
    directory::{BranchName, BranchRuling, Directory, Statement},
    signed::{SignedHead, derive_actor},
};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    admit,
    draft::{Draft, unless_damaged},
    input::LinkId,
    node::Node,
    opener::{Ending, Opened, Task},
    outbox::Waits,
    output::{Notice, Output},
    rows::{DocumentRow, EntryRow},
    turn::Turn,
    verify::VerifiedBundle,
};
pub(crate) use rewrite::{Branched, Rewrite, Run};

/// Rulings on one device's branches in an opening of the centre: its whole caseload, each case with two of
/// its workers. A device that makes more of them is no copy, and everybody keeps every ruling for ever.
const RULINGS_PER_DEVICE_MAX: usize = 4_096;
/// Branches that are written again at once: people's commands wait for the same openers.
const REWRITING_AT_ONCE: usize = 4;

/// What is known of branches that may not stand.
#[derive(Debug, Default)]
pub(crate) struct Branches {
    /// Documents in which one may be, to be looked after.
    pub(crate) due: BTreeSet<DocumentId>,
    /// Those in which one was found.
    pub(crate) losing: BTreeSet<DocumentId>,
    /// Those on which the authority was asked to rule in this opening, by their device.
    asked: BTreeMap<DeviceId, BTreeSet<(DocumentId, ActorId, u64)>>,
}

impl Branches {
    /// All on which there are rulings, at an opening.
    pub(crate) fn of(directory: &Directory) -> Branches {
        Branches {
            due: directory.branched().collect(),
            ..Branches::default()
        }
    }
}

/// Where a line that has come parts from the one that is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fork {
    pub(crate) actor: ActorId,
    /// Whose line it is.
    pub(crate) device: DeviceId,
    /// The first number of which there are two changes,
    pub(crate) seq: u64,
    /// and the one that is held.
    pub(crate) held: ChangeHash,
}

impl<S: Store> Node<S> {
    /// The authors of a bundle whose changes in it cannot stand, by what the authority has ruled.
    pub(crate) fn ruled_out(&self, bundle: &VerifiedBundle) -> BTreeSet<ActorId> {
        let document = bundle.document();
        let rulings = self.directory.branches(document);
        let ruled_out = rulings.filter(|ruling| {
            let mut of = bundle.headers().iter();
            of.any(|header| {
                header.actor == ruling.actor
                    && header.seq == ruling.seq
                    && self.branch_name(document, ruling.actor, &header.hash) != ruling.stands
            })
        });
        ruled_out.map(|ruling| ruling.actor).collect()
    }

    fn branch_name(&self, document: DocumentId, actor: ActorId, change: &ChangeHash) -> BranchName {
        BranchName::of(&self.identity.tenant_key, &document, &actor, change)
    }

    /// A line has come that parts from the one that is here. At the centre, which witnessed this one
    /// first, the authority is asked to say so; and if the writer itself has sent it, two copies of it
    /// run.
    pub(crate) fn note_fork(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        from: LinkId,
        document: DocumentId,
        fork: Fork,
    ) {
        if !self.is_centre() {
            return;
        }
        if let Some(link) = self.links.get(&from)
            && let Some(them) = link.them
            && link.device == fork.device
        {
            self.note_twice(turn, fork.device, them.opening);
        }
        let ruling = BranchRuling {
            document,
            actor: fork.actor,
            seq: fork.seq,
            stands: self.branch_name(document, fork.actor, &fork.held),
        };
        let mut known = self.directory.branches(document);
        let is_ruled = known.any(|known| (known.actor, known.seq) == (ruling.actor, ruling.seq));
        drop(known);
        let asked = self.branches.asked.entry(fork.device).or_default();
        let is_asked = asked.contains(&(document, fork.actor, fork.seq));
        if !is_ruled && !is_asked && asked.len() < RULINGS_PER_DEVICE_MAX {
            asked.insert((document, fork.actor, fork.seq));
            turn.outputs
                .push(Output::Rule(Box::new(Statement::Branch(ruling))));
        }
    }

    /// Looks after documents in which a branch may not stand.
    pub(crate) fn follow_branches(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<(), StoreError> {
        let waiting: Vec<DocumentId> = self.branches.due.iter().copied().collect();
        for document in waiting {
            let has_room = self.desk.rewriting.len() < REWRITING_AT_ONCE;
            let may_open = self.trying.suspect().is_none() && !self.trying.is_aside(&document);
            // What is being written there now would build on what is to be taken out.
            let is_idle = !self.is_at_work_on(document) && !self.is_being_dropped(document);
            if has_room && may_open && is_idle {
                self.branches.due.remove(&document);
                unless_damaged(self.look_at_branches(turn, document))?;
            }
        }
        Ok(())
    }

    fn look_at_branches(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        let Some(row) = turn.draft.document(document)? else {
            return Ok(());
        };
        let directory = self.directory();
        let rulings: Vec<BranchRuling> = directory.branches(document).collect();
        let lines = lines_of(&turn.draft, document, &row)?;
        let mut losing = Vec::new();
        for ruling in rulings {
            let slot = row.actors.iter().position(|actor| *actor == ruling.actor);
            let Some(slot) = slot.map(|slot| slot as u64) else {
                continue;
            };
            self.draw_anew(turn, document, slot)?;
            let held = lines.get(&slot).and_then(|line| line.get(&ruling.seq));
            let stands =
                |hash: &ChangeHash| self.branch_name(document, ruling.actor, hash) == ruling.stands;
            if held.is_some_and(|hash| !stands(hash)) {
                losing.push((ruling.actor, ruling.seq));
            }
        }
        if losing.is_empty() {
            self.branches.losing.remove(&document);
            return Ok(());
        }
        self.branches.losing.insert(document);
        if directory.is_revoked(&self.device) {
            return Ok(());
        }
        self.desk.rewriting.insert(document);
        let task = Task::Rewrite(Box::new(Rewrite {
            losing,
            tenant: self.identity.tenant,
            device: self.device,
            directory: Arc::clone(&self.directory),
        }));
        self.request(turn, document, row.kind, task)
    }

    /// Whoever still writes as an author that another copy writes as too does so no longer.
    fn draw_anew(
        &mut self,
        turn: &Turn<S::Snapshot>,
        document: DocumentId,
        slot: u64,
    ) -> Result<(), StoreError> {
        let Some(line) = turn.draft.line(document, slot)? else {
            return Ok(());
        };
        let now = derive_actor(
            &self.identity.tenant,
            &self.identity.device.public(),
            &document,
            &self.nonce_of(document),
            &line.worker,
        );
        if line.device == self.device && line.actor == now {
            self.nonce = turn.nonce();
            // Those of documents that were dropped and came back are the other's too.
            self.nonces.clear();
        }
        Ok(())
    }

    /// Writing a branch again has ended. Where it could not be, it stays as it is until something more
    /// comes to the document, or the store is opened again.
    pub(crate) fn take_branch(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        opened: Opened,
    ) -> Result<(), StoreError> {
        match opened.0 {
            Ending::Rewritten(branched) => {
                unless_damaged(self.take_rewritten(turn, document, *branched)).map(drop)
            }
            Ending::Failed(reason) => {
                self.count(reason);
                turn.say(Output::Notice(Notice::Unreadable { document, reason }));
                Ok(())
            }
            Ending::Summarised(_)
            | Ending::Performed { .. }
            | Ending::Recorded
            | Ending::Refused(_) => Ok(()),
        }
    }

    /// A branch was written again: keeps that, and takes the branch out once all of it is here so.
    pub(crate) fn take_rewritten(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        branched: Branched,
    ) -> Result<(), StoreError> {
        let row = turn.draft.document(document)?;
        let is_as_it_was = row.is_some_and(|row| row.arrivals == branched.arrivals);
        if !is_as_it_was || self.is_at_work_on(document) || self.is_being_dropped(document) {
            self.branches.due.insert(document);
            return Ok(());
        }
        if !branched.runs.is_empty() {
            turn.draft
                .put_bytes(Table::Stale, document.0, 0, Vec::new());
            self.stale.insert(document);
            self.hand_in_again(document);
        }
        for run in &branched.runs {
            if let Err(reason) = self.keep_run(turn, document, run)? {
                self.count(reason);
                turn.say(Output::Notice(Notice::Unreadable { document, reason }));
                return Ok(());
            }
        }
        if branched.is_partly {
            self.branches.due.insert(document);
        }
        if !branched.is_whole {
            return Ok(());
        }
        for (entry, actor, seq) in branched.entries {
            if let Some((slot, _)) = admit::line(&turn.draft, document, actor)? {
                let row = EntryRow {
                    document,
                    slot,
                    seq,
                };
                turn.draft.put(Table::Entry, entry.0, 0, &row);
            }
        }
        self.take_out(turn, document, &branched.lost)
    }

    /// Signs a run that was written again and admits it like any other.
    fn keep_run(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        run: &Run,
    ) -> Result<Result<(), Reason>, StoreError> {
        let bundle = match self.signed_run(document, run) {
            Ok(bundle) => bundle,
            Err(reason) => return Ok(Err(reason)),
        };
        let admission = admit::bundle(&mut turn.draft, &bundle, None, &BTreeSet::new())?;
        let refused = admission.refused.first().map(|(.., reason)| *reason);
        if let Some(reason) = admission.nothing.or(refused) {
            return Ok(Err(reason));
        }
        let Some((slot, mut line)) = admit::line(&turn.draft, document, run.actor)? else {
            return Ok(Err(Reason::NotFound));
        };
        if self.is_centre() {
            let seq = line.seq;
            self.backed.arrived(&mut line, seq, self.backed.now());
            turn.draft.put_lines(document, [(slot, line)])?;
        } else {
            let first = (run.head.seq + 1).saturating_sub(run.chunks.len() as u64);
            let written = (first, run.head.seq);
            self.wait_for_centre(turn, document, slot, written)?;
        }
        Ok(Ok(()))
    }

    fn signed_run(&self, document: DocumentId, run: &Run) -> Result<VerifiedBundle, Reason> {
        let mut changes = Vec::with_capacity(run.chunks.len());
        for chunk in &run.chunks {
            let parts = document::packed::take_apart(chunk)?;
            let deps = parts.deps.into_iter();
            changes.push(PackedChange {
                author: 0,
                deps: deps.map(|hash| Dep::Far(Box::new(hash))).collect(),
                rest: parts.rest.to_vec(),
            });
        }
        let last = changes.len().checked_sub(1).ok_or(Reason::Malformed)?;
        let last = u16::try_from(last).map_err(|_| Reason::TooLarge)?;
        let (tenant, key) = (&self.identity.tenant, &self.identity.device);
        let head = SignedHead::sign(key, tenant, &document, &run.actor, &run.head);
        let bundle = Bundle {
            document,
            authors: vec![run.actor],
            changes,
            closings: vec![Closing::new(last, &run.head.hash, &head)?],
        };
        let mut rejected = Vec::new();
        let verified = self.verifier().bundle(bundle, &mut rejected)?;
        match rejected.first() {
            Some(rejected) => Err(rejected.reason),
            None => Ok(verified),
        }
    }

    /// Takes changes out of a document; all of it, or nothing if a row of it is damaged.
    fn take_out(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        lost: &BTreeSet<ChangeHash>,
    ) -> Result<(), StoreError> {
        let Some(cut) = removal::take_out(&mut turn.draft, document, lost)? else {
            return Ok(());
        };
        self.branches.losing.remove(&document);
        for (slot, last) in cut {
            let line = (document, slot);
            match self.outbox.get(&line) {
                Some(waits) if waits.first > last => self.outbox.remove(&line),
                Some(waits) if waits.last > last => {
                    self.outbox.set(line, Waits { last, ..waits });
                }
                Some(_) | None => {}
            }
        }
        self.put_outbox(turn, document);
        turn.draft.delete(Table::Compacted, document.0, 0);
        turn.draft
            .put_bytes(Table::Stale, document.0, 0, Vec::new());
        self.stale.insert(document);
        turn.say(Output::Forget(document));
        self.compare_anew(turn, document)
    }

    /// No cursor knows of what was taken out, and an exception that it was the cause of is none any
    /// more: the scopes in which the document stands are compared anew.
    fn compare_anew(
        &mut self,
        turn: &Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        let Some(row) = turn.draft.document(document)? else {
            return Ok(());
        };
        for link in self.links.values_mut() {
            for (scope, talk) in &mut link.scopes {
                if row.is_known_in(scope) {
                    talk.refused.remove(&document);
                    talk.exceptions.remove(&document);
                    talk.begin(talk.round.saturating_add(1));
                }
            }
        }
        Ok(())
    }
}

/// The changes of a document's authors, by slot and number.
pub(crate) type Lines = BTreeMap<u64, BTreeMap<u64, ChangeHash>>;

/// The changes that are here of every author's line in a document. Reads the whole index.
pub(crate) fn lines_of<P: Snapshot>(
    draft: &Draft<P>,
    document: DocumentId,
    row: &DocumentRow,
) -> Result<Lines, StoreError> {
    let mut lines = Lines::new();
    for position in 0..row.arrivals {
        let index = draft.index(document, position)?;
        for change in index.into_iter().flat_map(|index| index.changes) {
            let line = lines.entry(change.slot).or_default();
            line.insert(change.seq, change.hash);
        }
    }
    Ok(lines)
}
