//! What a node has said is on its disk. Whatever it said must be there after any crash.
//!
//! The words are read from the frames and answers that left the node, not from the node: an
//! acknowledgement, a change it passed on, a command it called saved.

use std::collections::{BTreeMap, BTreeSet};

use names::{ActorId, ChangeHash, DocumentId};
use protocol::{
    Frame,
    message::{Batch, Held},
};

use crate::evidence::{Change, Evidence, changes_in};

/// How far an author's line in a document goes.
type Line = (DocumentId, ActorId, u64);

/// What one station has said.
#[derive(Debug, Default)]
pub struct Promises {
    /// What came to it in batches that it has not answered, by conversation and number.
    came: BTreeMap<(u64, u64), Vec<Line>>,
    /// For each author's line, how far it was said to go.
    lines: BTreeMap<(DocumentId, ActorId), u64>,
    /// Changes that were called saved.
    changes: BTreeSet<(DocumentId, ChangeHash)>,
    /// Changes that a revoked device has handed in.
    handed_in: BTreeSet<(DocumentId, ChangeHash)>,
}

impl Promises {
    /// Notes a frame that comes to the station.
    pub fn comes(&mut self, link: u64, frame: &[u8]) {
        if let Ok(Some(Frame::Fill(batch) | Frame::Live(batch))) = Frame::decode(frame) {
            let lines = each(&batch).map(|(document, actor, seq, _)| (document, actor, seq));
            self.came.insert((link, batch.number), lines.collect());
        }
    }

    /// Notes what a frame says that has left the node; answers what it brings of that which the
    /// peer had missed: the document of each change.
    pub fn sent(&mut self, link: u64, frame: &[u8]) -> Vec<DocumentId> {
        match Frame::decode(frame) {
            Ok(Some(Frame::Held(held))) => {
                self.holds(link, &held);
                Vec::new()
            }
            Ok(Some(Frame::Fill(batch))) => {
                self.passed_on(&batch);
                each(&batch).map(|(document, ..)| document).collect()
            }
            Ok(Some(Frame::Live(batch))) => {
                self.passed_on(&batch);
                Vec::new()
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// An answer to a batch promises all in it that is not refused.
    fn holds(&mut self, link: u64, held: &Held) {
        let came = held
            .number
            .and_then(|number| self.came.remove(&(link, number)));
        for (document, actor, seq) in came.unwrap_or_default() {
            let is_refused = held.refused.iter().any(|fault| {
                fault.document == document && fault.run.is_none_or(|(whose, _)| whose == actor)
            });
            if !is_refused {
                self.reaches(document, actor, seq);
            }
        }
    }

    fn passed_on(&mut self, batch: &Batch) {
        let changes = each(batch).map(|(document, _, _, hash)| (document, hash));
        self.changes.extend(changes);
    }

    fn reaches(&mut self, document: DocumentId, actor: ActorId, seq: u64) {
        let line = self.lines.entry((document, actor)).or_default();
        *line = seq.max(*line);
    }

    /// Notes a change that was called saved.
    pub fn saved(&mut self, document: DocumentId, change: ChangeHash) {
        self.changes.insert((document, change));
    }

    /// The first promise that is not kept by what is on the disk.
    /// What it has handed over since it need not hold.
    pub fn broken(&self, evidence: &Evidence, let_go: &BTreeSet<DocumentId>) -> Option<String> {
        for ((document, actor), seq) in &self.lines {
            if let_go.contains(document) {
                continue;
            }
            let there = evidence.line(*document, *actor);
            if there < *seq {
                let said = format!("said to hold {actor} of {document} up to {seq}");
                return Some(format!("{said}, and holds it up to {there}"));
            }
        }
        let gone = self.changes.iter().find(|(document, change)| {
            !let_go.contains(document) && !evidence.has(*document, *change)
        });
        if let Some((document, change)) = gone {
            return Some(format!("gave out {change} of {document}, and has it not"));
        }
        let mut handed_in = self.handed_in.iter();
        let lost = handed_in.find(|(document, change)| !evidence.keeps(*document, *change));
        lost.map(|(document, change)| format!("was handed {change} of {document}, and lost it"))
    }

    /// Notes changes that were handed in, and are said to be kept.
    pub fn received(&mut self, changes: impl IntoIterator<Item = (DocumentId, ChangeHash)>) {
        self.handed_in.extend(changes);
    }

    /// Forgets everything: the disk was replaced by an older copy, which knows nothing of it.
    pub fn forget(&mut self) {
        *self = Promises::default();
    }
}

/// Each change of a batch. What cannot be read promises nothing.
fn each(batch: &Batch) -> impl Iterator<Item = Change> {
    changes_in(batch).into_iter()
}
