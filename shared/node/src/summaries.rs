//! Summaries: the rows that lists need, made off the turn from what has come.
//!
//! What people write now comes first; what was missed waits until all of it is proved to be here, and
//! a moment longer.
//! Documents that may have brought the program down are opened before all others, one at a time.

use std::collections::BTreeSet;

use names::{DocumentId, Moment, Reason, limits::TURN_BYTES_MAX};
use store::{Store, StoreError, Table};

use crate::{
    desk::For,
    draft::unless_damaged,
    link::Link,
    node::Node,
    opener::{Ending, FormDue, Opened, Summarised, Task},
    output::{Notice, Output},
    rows::{CompactedRow, SummaryRow},
    trying,
    turn::Turn,
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
/// How long they wait after that proof, in milliseconds: it is on its way to the peer then, which has still
/// to write down what has arrived, and nobody misses a list of what nobody had a moment ago.
pub(crate) const FILL_REST_MS: i64 = 100;

impl<S: Store> Node<S> {
    /// Has a document opened before others, if anything of it never was: somebody wants to see it.
    pub(crate) fn want(
        &mut self,
        turn: &Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        // What another version of the program opened is in no list of what is stale.
        let is_unopened = trying::has_unopened(&turn.draft, document)?;
        if self.stale_later.remove(&document) || is_unopened {
            self.stale.insert(document);
        }
        if self.stale.contains(&document) {
            self.desk.wanted.insert(document);
        }
        Ok(())
    }

    /// Opens the next document that may have brought the program down, on its own. Answers whether
    /// there is any: then nothing else is opened.
    fn try_suspect(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<bool, StoreError> {
        while let Some(document) = self.trying.suspect() {
            if !self.trying.rests() {
                return Ok(true);
            }
            let row = unless_damaged(turn.draft.document(document))?.flatten();
            if let Some(row) = row.filter(|row| self.is_readable(row)) {
                self.stale.remove(&document);
                self.desk.summarising.insert(document);
                let task = Task::Summarise {
                    form: FormDue::GivenUp,
                    rests: false,
                };
                self.request(turn, document, row.kind, task)?;
                return Ok(true);
            }
            self.acquit(document);
        }
        if std::mem::take(&mut self.trying.holds_back) {
            // One that came in this very turn, after the last suspect was through, has begun.
            let jobs = self.desk.jobs.values();
            let begun: BTreeSet<DocumentId> = jobs
                .filter(|(_, what)| *what == For::Command)
                .map(|(document, _)| *document)
                .collect();
            let held = self.desk.queues.keys().filter(|id| !begun.contains(id));
            for document in held.copied().collect::<Vec<_>>() {
                self.begin(turn, document)?;
            }
        }
        Ok(false)
    }

    /// Has stale summaries made, while nothing more urgent is going on.
    pub(crate) fn assign_openings(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<(), StoreError> {
        self.tell_aside(turn);
        if self.desk.is_closing {
            return self.end_openings(turn);
        }
        self.keep_summaries(turn)?;
        self.release_stale(turn.now);
        self.trying.take_up(turn.now);
        if self.try_suspect(turn)? {
            return Ok(());
        }
        let is_backlog = self.stale.len() >= SUMMARIES_AT_ONCE;
        for document in self.next_to_summarise(turn)? {
            self.stale.remove(&document);
            let is_wanted = self.desk.wanted.remove(&document);
            let row = unless_damaged(turn.draft.document(document))?;
            if let Some(row) = row.flatten() {
                self.desk.summarising.insert(document);
                self.mark(turn, document)?;
                let is_marked = self.trying.is_marked(&document);
                let task = Task::Summarise {
                    form: if is_marked {
                        FormDue::Made
                    } else {
                        FormDue::Stays
                    },
                    rests: !is_wanted && !is_backlog,
                };
                self.request(turn, document, row.kind, task)?;
            }
        }
        Ok(())
    }

    /// Opens nothing more that nobody waits for. A mark must tell of an opening that began and was not
    /// seen to end, so what was marked to be opened next is marked no more.
    fn end_openings(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        self.trying.ready.clear();
        self.keep_summaries(turn)?;
        // Whoever waits for an answer may wait for suspects to be opened before.
        if !self.desk.queues.is_empty() {
            self.try_suspect(turn)?;
        }
        Ok(())
    }

    /// The documents whose summary is to be made next: those that somebody waits for, then those
    /// that were marked before, then others, which are marked together.
    fn next_to_summarise(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let free = SUMMARIES_AT_ONCE.saturating_sub(self.desk.summarising.len());
        let (desk, trying, stale) = (&self.desk, &mut self.trying, &self.stale);
        trying.ready.retain(|document| stale.contains(document));
        let idle = |document: &&DocumentId| {
            !desk.queues.contains_key(document) && !desk.summarising.contains(document)
        };
        let wanted = desk.wanted.intersection(stale);
        let next = wanted.chain(trying.ready.difference(&desk.wanted));
        let mut next: Vec<DocumentId> = next.filter(idle).take(free).copied().collect();
        if next.len() < free {
            let known = |document: &&DocumentId| {
                !trying.is_aside(document)
                    && !trying.ready.contains(document)
                    && !desk.wanted.contains(document)
            };
            let more = stale.iter().filter(known).filter(idle);
            let more: Vec<DocumentId> = more.take(SUMMARIES_KEPT_AT_ONCE).copied().collect();
            for document in more {
                self.mark_anyway(turn, document);
                self.trying.ready.insert(document);
                next.push(document);
            }
            next.truncate(free);
        }
        next.retain(|document| !self.trying.is_aside(document));
        Ok(next)
    }

    pub(crate) fn take_summary(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        opened: Opened,
    ) {
        match opened.0 {
            Ending::Summarised(summary) => {
                if summary.flaws > 0 {
                    let reason = Reason::CannotOpen;
                    turn.say(Output::Notice(Notice::Unreadable { document, reason }));
                }
                self.desk.summarised.push((document, summary));
            }
            Ending::Failed(reason) => {
                // Its row of what is stale stays, so that the next opening of the store tries again.
                self.count(reason);
                turn.say(Output::Notice(Notice::Unreadable { document, reason }));
            }
            Ending::Performed { .. }
            | Ending::Recorded
            | Ending::Rewritten(_)
            | Ending::Refused(_) => {}
        }
    }

    /// Keeps summaries that were made: with whatever else this turn writes, or once many have
    /// gathered or nothing more is being made. Until then their documents stay marked.
    fn keep_summaries(&mut self, turn: &mut Turn<S::Snapshot>) -> Result<(), StoreError> {
        let forms = self.desk.summarised.iter().map(|(_, summary)| {
            let form = summary.form.as_ref();
            form.map_or(0, |(_, form)| form.len())
        });
        let is_time = turn.draft.has_writes()
            || self.desk.is_closing
            || self.desk.summarising.is_empty()
            || self.desk.summarised.len() >= SUMMARIES_KEPT_AT_ONCE
            || forms.sum::<usize>() >= TURN_BYTES_MAX;
        if !is_time {
            return Ok(());
        }
        for (document, summary) in std::mem::take(&mut self.desk.summarised) {
            if self.is_dropped(document) {
                continue;
            }
            let row = unless_damaged(turn.draft.document(document))?.flatten();
            let fresh = row.is_some_and(|row| row.arrivals == summary.arrivals);
            let fresh = fresh && !summary.is_form_due;
            self.keep_summary(turn, document, &summary, summary.arrivals, fresh);
        }
        self.clear_marks(turn);
        Ok(())
    }

    /// Lets summaries of what was missed be made, once it is proved that all of it is here.
    fn release_stale(&mut self, now: Moment) {
        if self.stale_later.is_empty() {
            self.desk.waiting_since = None;
            self.desk.proved_since = None;
            return;
        }
        let since = *self.desk.waiting_since.get_or_insert(now);
        if self.links.values().any(Link::is_filling) {
            self.desk.proved_since = None;
        } else {
            self.desk.proved_since.get_or_insert(now);
        }
        let is_due = self.release_at().is_some_and(|at| now >= at);
        if is_due || now < since {
            self.stale.append(&mut self.stale_later);
            self.desk.waiting_since = None;
            self.desk.proved_since = None;
        }
    }

    /// When summaries that wait for a proof will wait no longer, as far as is known.
    pub(crate) fn release_at(&self) -> Option<Moment> {
        let since = self.desk.waiting_since.filter(|_| !self.desk.is_closing);
        let late = since?.plus_ms(FILL_PATIENCE_MS);
        let proved = self.desk.proved_since;
        let rested = proved.map(|proved| proved.plus_ms(FILL_REST_MS));
        Some(rested.map_or(late, |rested| rested.min(late)))
    }

    pub(crate) fn keep_summary(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        summary: &Summarised,
        arrivals: u64,
        fresh: bool,
    ) {
        // One that was made before a command on the same document must not follow it. The form that
        // came with it counts as made, and is kept now.
        let mut waiting = None;
        self.desk.summarised.retain_mut(|(other, summary)| {
            let stays = *other != document;
            if !stays {
                waiting = summary.form.take().or(waiting.take());
            }
            stays
        });
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
            program: trying::PROGRAM.to_owned(),
            json,
        };
        turn.draft.put(Table::Summary, document.0, 0, &row);
        if let Some((changes, form)) = summary.form.clone().or(waiting) {
            let row = CompactedRow {
                program: trying::PROGRAM.to_owned(),
                changes: changes as u64,
                form,
            };
            turn.draft.put(Table::Compacted, document.0, 0, &row);
        }
        if fresh {
            self.stale.remove(&document);
            self.stale_later.remove(&document);
            turn.draft.delete(Table::Stale, document.0, 0);
        } else {
            turn.draft
                .put_bytes(Table::Stale, document.0, 0, Vec::new());
            self.stale.insert(document);
        }
    }
}
