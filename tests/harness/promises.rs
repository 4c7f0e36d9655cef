//! What a node has said is on its disk. Whatever it said must be there after any crash.
//!
//! The words are read from the frames and answers that left the node, not from the node: an
//! acknowledgement, a change it passed on, a command it called saved.

use std::collections::{BTreeMap, BTreeSet};

use names::{ActorId, ChangeHash, DocumentId};
use protocol::{Frame, message::Batch, signed::Run};

use crate::evidence::Evidence;

/// What one station has said.
#[derive(Debug, Default)]
pub struct Promises {
    /// For each author's line, how far it was said to go.
    lines: BTreeMap<(DocumentId, ActorId), u64>,
    /// Changes that were called saved.
    changes: BTreeSet<(DocumentId, ChangeHash)>,
}

impl Promises {
    /// Notes what a frame says that has left the node; answers what it brings of that which the
    /// peer had missed: the document of each change.
    pub fn sent(&mut self, frame: &[u8]) -> Vec<DocumentId> {
        match Frame::decode(frame) {
            Ok(Some(Frame::Held(held))) => {
                for run in held.runs {
                    self.reaches(run.document, run.actor, run.seq);
                }
                Vec::new()
            }
            Ok(Some(Frame::Fill(batch))) => {
                self.passed_on(&batch);
                let of = |run: &Run| std::iter::repeat_n(run.document, run.changes.len());
                batch.runs.iter().flat_map(of).collect()
            }
            Ok(Some(Frame::Live(batch))) => {
                self.passed_on(&batch);
                Vec::new()
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    fn passed_on(&mut self, batch: &Batch) {
        for run in &batch.runs {
            if let Ok(head) = run.head.claim() {
                self.changes.insert((run.document, head.hash));
            }
        }
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
    pub fn broken(&self, evidence: &Evidence) -> Option<String> {
        for ((document, actor), seq) in &self.lines {
            let there = evidence.line(*document, *actor);
            if there < *seq {
                let said = format!("said to hold {actor} of {document} up to {seq}");
                return Some(format!("{said}, and holds it up to {there}"));
            }
        }
        let gone = self
            .changes
            .iter()
            .find(|(document, change)| !evidence.has(*document, *change));
        gone.map(|(document, change)| format!("gave out {change} of {document}, and has it not"))
    }

    /// Forgets everything: the disk was replaced by an older copy, which knows nothing of it.
    pub fn forget(&mut self) {
        *self = Promises::default();
    }
}
