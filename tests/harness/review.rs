//! What a revoked device has handed in waits at the centre; here a person lets it in, as the server
//! has it done: what is new of the device's own is stated first, then each part passes the one door.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use names::{ChangeHash, DocumentId, Reason};
use node::{Errand, Input, Ran, Ticket, review};
use protocol::{
    Statement, StatementId,
    directory::{Directory, HANDED_IN_LINES_MAX, HandedIn, HandedInLine},
};

use crate::{
    evidence::changes_of,
    oracle::Oracle,
    people::Kept,
    swarm::CENTRE,
    world::{Event, World},
};

/// A change.
type Change = (DocumentId, ChangeHash);

/// What is being let in, and what was.
#[derive(Debug, Default)]
pub(crate) struct Review {
    /// Whether a person will come.
    is_planned: bool,
    /// Parts that are still to be let in, with where each is kept.
    parts: VecDeque<(u64, Vec<u8>)>,
    /// What the centre was asked last, about the first of them.
    waits_for: Option<Ticket>,
    /// Changes in parts that were let in.
    let_in: BTreeSet<Change>,
    /// Those of them that were stated to have come late, with the statements that say so.
    late: BTreeMap<Change, BTreeSet<StatementId>>,
}

impl Review {
    /// Forgets what was let in, for a negative control. Whether anything was that came late.
    pub(crate) fn forget_who_let_in(&mut self) -> bool {
        self.let_in.clear();
        !self.late.is_empty()
    }

    /// Whether a person has let a change in.
    pub(crate) fn has_let_in(&self, change: &Change) -> bool {
        self.let_in.contains(change)
    }
}

impl World {
    /// A person will look what was handed in, if the plan has one.
    pub(crate) fn plan_review(&mut self) {
        let Some(after_ms) = self.plan.revocation.let_in_after_ms else {
            return;
        };
        if !std::mem::replace(&mut self.review.is_planned, true) {
            self.agenda.after(after_ms, Event::LetIn);
        }
    }

    /// The centre has died: what it was asked dies with it, and is asked again.
    pub(crate) fn forget_reviews(&mut self) {
        self.revoked.not_kept();
        self.narrow.forget_owed();
        self.review.parts.clear();
        self.review.waits_for = None;
    }

    /// How many parts wait at the centre.
    pub(crate) fn parts_that_wait(&self) -> u64 {
        let snapshot = self.stations.first().and_then(|s| s.snapshot());
        let (Some(snapshot), Some(device)) = (snapshot, self.revoked.device()) else {
            return 0;
        };
        review::waiting(&snapshot, device).map_or(0, |waiting| waiting.parts)
    }

    /// A person lets in all that waits now.
    pub(crate) fn let_in(&mut self) {
        self.review.is_planned = false;
        if !self.review.parts.is_empty() {
            return;
        }
        let snapshot = self.stations.first().and_then(|s| s.snapshot());
        let (Some(snapshot), Some(device)) = (snapshot, self.revoked.device()) else {
            return;
        };
        match review::kept(&snapshot, device) {
            Ok(kept) if kept.unread == 0 => self.review.parts = kept.parts.into(),
            Ok(_) | Err(_) => {
                let words = "what was handed in cannot be read".to_owned();
                return self.fail(Oracle::Opens, words);
            }
        }
        self.state_what_is_new();
    }

    /// Says what of the first part is new of the device's own, so that it is marked everywhere.
    fn state_what_is_new(&mut self) {
        let Some((_, part)) = self.review.parts.front() else {
            if self.parts_that_wait() > 0 {
                self.plan_review();
            }
            return;
        };
        let (part, now) = (part.clone(), self.agenda.now());
        let centre = self.stations.first();
        let running = centre.and_then(|centre| centre.running.as_ref());
        let snapshot = centre.and_then(|centre| centre.snapshot());
        let (Some(running), Some(snapshot), Some(device)) =
            (running, snapshot, self.revoked.device())
        else {
            return self.forget_reviews();
        };
        let frame = match running.verifier.frame(&part) {
            Ok(frame) => frame,
            Err(reason) => {
                let words = format!("what was handed in is {reason}");
                return self.fail(Oracle::Honest, words);
            }
        };
        let Ok(new) = review::beyond(&snapshot, &frame.lines_of(device)) else {
            return self.fail(Oracle::Opens, "a line cannot be read".to_owned());
        };
        self.review.waits_for = None;
        for lines in new.chunks(HANDED_IN_LINES_MAX) {
            let lines = lines.to_vec();
            let said = Statement::HandedIn(HandedIn {
                device,
                lines: lines.clone(),
            });
            let said = self.authority.say(said, now);
            self.note_late(&part, &lines, said.id());
            self.review.waits_for = self.tell(CENTRE, said);
        }
        if new.is_empty() {
            self.let_first_part_in();
        }
    }

    fn note_late(&mut self, part: &[u8], lines: &[HandedInLine], said: StatementId) {
        for (document, actor, seq, hash) in changes_of(part) {
            let is_of = |line: &HandedInLine| {
                let stretch = line.first..=line.last;
                (line.document, line.actor) == (document, actor) && stretch.contains(&seq)
            };
            if lines.iter().any(is_of) {
                let late = self.review.late.entry((document, hash)).or_default();
                late.insert(said);
            }
        }
    }

    /// The centre has kept a statement: the part that it is about comes in.
    pub(crate) fn stated_in_review(&mut self, ticket: Ticket) {
        if self.review.waits_for == Some(ticket) {
            self.let_first_part_in();
        }
    }

    fn let_first_part_in(&mut self) {
        let running = self.stations.first().and_then(|s| s.running.as_ref());
        let first = self.review.parts.front();
        let (Some(running), Some((position, part)), Some(device)) =
            (running, first, self.revoked.device())
        else {
            return;
        };
        let Ok(frame) = running.verifier.frame(part) else {
            return;
        };
        let errand = Errand::LetIn {
            device,
            position: *position,
            frame: Box::new(frame),
        };
        let changes = changes_of(part).into_iter();
        let changes = changes.map(|(document, _, _, hash)| (document, hash));
        self.review.let_in.extend(changes);
        let ticket = self.ticket();
        self.review.waits_for = Some(ticket);
        self.push(CENTRE, Input::Errand { ticket, errand });
    }

    /// The centre has done what it was asked about a part.
    pub(crate) fn ran_for_revoked(&mut self, ticket: Ticket, result: Result<Ran, Reason>) {
        self.part_was_kept(ticket, &result);
        if self.review.waits_for != Some(ticket) {
            return;
        }
        let now = self.agenda.now();
        match result {
            Ok(ran) => {
                self.trace
                    .tell(now, CENTRE, "lets in", || format!("{ran:?}"));
                self.tally.let_in += ran.admitted;
            }
            Err(reason) => {
                let words = format!("what was handed in is {reason}");
                return self.fail(Oracle::Honest, words);
            }
        }
        self.review.parts.pop_front();
        self.state_what_is_new();
    }

    /// Whether an entry came late, and the directory says so. A centre that came back from an older
    /// copy may have forgotten that it said so.
    pub(crate) fn came_late(&self, kept: &Kept, directory: &Directory) -> bool {
        let change = kept.change.map(|change| (kept.document, change));
        let late = change.and_then(|change| self.review.late.get(&change));
        let mut late = late.into_iter().flatten();
        late.any(|id| directory.statement(id).is_some())
    }
}
