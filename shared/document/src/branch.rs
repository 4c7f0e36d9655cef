//! Branches: changes that are written again under other authors.
//!
//! An author's changes form one line. Where two copies of one running program have written as the same
//! author, there are two lines that begin alike, and a document can hold only one of them: what the
//! other says is written again as if its copy had drawn an author of its own when the two parted. The
//! operations are the same, with the same counters; only who made them, and the hashes that follow
//! from that, are others. So every entry keeps its id, and every edit means what it meant.

use std::collections::BTreeMap;

use automerge::{
    Change, ExpandedChange, LoadChangeError,
    legacy::{ElementId, Key, ObjectId, Op, OpId},
};
use names::{ActorId, ChangeHash, Reason};

use crate::{
    guard::{Failed, guard},
    preflight::{self, Header},
};

/// One author's changes that are written again.
#[derive(Clone, Copy)]
struct Line {
    /// Who writes them now.
    actor: ActorId,
    /// The counter of the first of their operations.
    first_op: u64,
    /// How many of them there are.
    seq: u64,
}

/// Writes a branch again, change by change.
#[derive(Default)]
pub struct Rewriting {
    lines: BTreeMap<ActorId, Line>,
    hashes: BTreeMap<ChangeHash, ChangeHash>,
}

/// A change, written again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rewritten {
    /// Its bytes.
    pub chunk: Vec<u8>,
    /// What it says of itself.
    pub header: Header,
}

impl Rewriting {
    /// Writes the next change again. Each has to come after all that it builds on, and every later
    /// change of its author has to come too. `author` tells who writes instead of this one's author,
    /// asked once for each.
    ///
    /// # Errors
    /// Those of [`preflight::header`], for the change as it was and as it would be, and
    /// [`Reason::CannotOpen`] when Automerge fails on it.
    pub fn add(
        &mut self,
        chunk: &[u8],
        author: impl FnOnce(&Header) -> ActorId,
    ) -> Result<Rewritten, Reason> {
        let header = preflight::header(chunk)?;
        let line = self.lines.entry(header.actor).or_insert_with(|| Line {
            actor: author(&header),
            first_op: header.start_op,
            seq: 0,
        });
        line.seq += 1;
        let line = *line;
        let chunk = guard(|| self.write(chunk, line)).map_err(|Failed| Reason::CannotOpen)?;
        let rewritten = preflight::header(&chunk)?;
        self.hashes.insert(header.hash, rewritten.hash);
        Ok(Rewritten {
            chunk,
            header: rewritten,
        })
    }

    /// One change, as the author of that line would have written it.
    fn write(&self, chunk: &[u8], line: Line) -> Result<Vec<u8>, LoadChangeError> {
        let mut change = Change::try_from(chunk)?.decode();
        self.rename(&mut change, line);
        Ok(Change::from(change).raw_bytes().to_vec())
    }

    fn rename(&self, change: &mut ExpandedChange, line: Line) {
        change.actor_id = automerge_actor(line.actor);
        change.seq = line.seq;
        for dep in &mut change.deps {
            if let Some(hash) = self.hashes.get(&ChangeHash(dep.0)) {
                dep.0 = hash.0;
            }
        }
        // Whoever saw both the branch and what stands for it now may have named both.
        change.deps.sort_unstable();
        change.deps.dedup();
        for operation in &mut change.operations {
            self.rename_in(operation);
        }
    }

    fn rename_in(&self, operation: &mut Op) {
        if let ObjectId::Id(id) = &mut operation.obj {
            self.rename_id(id);
        }
        if let Key::Seq(ElementId::Id(id)) = &mut operation.key {
            self.rename_id(id);
        }
        let mut replaced: Vec<OpId> = Vec::with_capacity(operation.pred.len());
        for mut id in operation.pred.iter().cloned() {
            self.rename_id(&mut id);
            if !replaced.contains(&id) {
                replaced.push(id);
            }
        }
        operation.pred = replaced.into();
    }

    /// What an author had made before the branch began stays that author's.
    fn rename_id(&self, OpId(counter, actor): &mut OpId) {
        let known = <[u8; 16]>::try_from(actor.to_bytes()).map(ActorId);
        let line = known.ok().and_then(|actor| self.lines.get(&actor));
        if let Some(line) = line.filter(|line| line.first_op <= *counter) {
            *actor = automerge_actor(line.actor);
        }
    }
}

fn automerge_actor(actor: ActorId) -> automerge::ActorId {
    automerge::ActorId::from(actor.0)
}

#[cfg(test)]
#[path = "tests/branch.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
