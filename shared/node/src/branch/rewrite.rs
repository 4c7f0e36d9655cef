//! Writing a branch again, off the turn: Automerge reads and writes changes here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use document::{Rewriting, preflight::Header};
use names::{
    ActorId, ChangeHash, DeviceId, DocumentId, EntryId, Kind, Nonce, Reason, TenantId,
    limits::TURN_BYTES_MAX,
};
use protocol::{
    bundle::Bundle,
    codec,
    directory::Directory,
    signed::{Head, branch_nonce, derive_actor},
};
use store::{Snapshot, Table};

use crate::{
    draft::read_row,
    opener::Arrived,
    rows::{DocumentRow, EntryRow},
};

/// Changes that are written again for one turn, which keeps them: as many as a turn takes.
const REWRITTEN_MAX: usize = 1_000;

/// Lines of a document that part from what stands, to be written again.
#[derive(Clone)]
pub(crate) struct Rewrite {
    /// Whose, and from which number on.
    pub(crate) losing: Vec<(ActorId, u64)>,
    pub(crate) tenant: TenantId,
    /// Whose changes are to be written again here.
    pub(crate) device: DeviceId,
    pub(crate) directory: Arc<Directory>,
}

/// What was written again.
#[derive(Debug)]
pub(crate) struct Branched {
    /// The bundles that the document had.
    pub(crate) arrivals: u64,
    /// The changes that cannot stand, and those that build on them.
    pub(crate) lost: BTreeSet<ChangeHash>,
    /// Runs of this device in their place that are not here yet, each after what it builds on.
    pub(crate) runs: Vec<Run>,
    /// Entries made here that are in these, with the author and number that they are under then.
    pub(crate) entries: Vec<(EntryId, ActorId, u64)>,
    /// Whether with these runs all that is lost is here in another place.
    pub(crate) is_whole: bool,
    /// Whether more is to be written again than was.
    pub(crate) is_partly: bool,
}

/// One author's changes up to a head, which is still to be signed.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) actor: ActorId,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) head: Head,
}

impl Rewrite {
    /// Writes again what this device wrote of a branch and of what builds on it.
    ///
    /// # Errors
    /// [`Reason::CannotOpen`] when the document cannot be read wholly, or Automerge fails on it.
    pub(crate) fn run<P: Snapshot>(
        &self,
        snapshot: &P,
        document: DocumentId,
    ) -> Result<Branched, Reason> {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = row.map_err(|_| Reason::CannotOpen)?;
        let row = row.ok_or(Reason::NotFound)?;
        let whole = Whole::read(snapshot, document)?;
        let mut writer = Writer {
            asked: self,
            document,
            kind: row.kind,
            whole: &whole,
            known: whole.chunks.iter().map(|(hash, _)| *hash).collect(),
            lines: BTreeMap::new(),
            rewriting: Rewriting::default(),
            changes: 0,
            bytes: 0,
            branched: Branched {
                arrivals: row.arrivals,
                lost: BTreeSet::new(),
                runs: Vec::new(),
                entries: Vec::new(),
                is_whole: true,
                is_partly: false,
            },
        };
        for (hash, chunk) in &whole.chunks {
            writer.take(hash, chunk)?;
        }
        let Writer {
            lines,
            mut branched,
            ..
        } = writer;
        let mut own = lines.values();
        branched.is_whole &= !branched.is_partly && own.all(|line| line.open.is_empty());
        branched.entries = entries(snapshot, document, &row, &lines)?;
        Ok(branched)
    }
}

/// A document's changes, in an order in which each comes after what it builds on.
#[derive(Default)]
struct Whole {
    chunks: Vec<(ChangeHash, Vec<u8>)>,
    /// What was signed for them, by the change that a head closes.
    heads: BTreeMap<ChangeHash, Head>,
    /// A head of each author, which says who that is.
    authors: BTreeMap<ActorId, Head>,
}

impl Whole {
    fn read<P: Snapshot>(snapshot: &P, document: DocumentId) -> Result<Whole, Reason> {
        let (mut whole, mut from) = (Whole::default(), 0);
        loop {
            let arrived = Arrived::read(snapshot, document, from)?;
            if arrived.unread > 0 {
                return Err(Reason::CannotOpen);
            }
            if arrived.bundles.is_empty() {
                return Ok(whole);
            }
            from = arrived.next;
            for (bundle, of) in &arrived.bundles {
                let changes = arrived.changes.get(of.clone()).unwrap_or_default();
                whole.take_heads(bundle, changes)?;
            }
            whole.chunks.extend(arrived.changes);
        }
    }

    fn take_heads(
        &mut self,
        bundle: &Bundle,
        changes: &[(ChangeHash, Vec<u8>)],
    ) -> Result<(), Reason> {
        for closing in &bundle.closings {
            let place = usize::from(closing.change);
            let change = bundle.changes.get(place).zip(changes.get(place));
            let (change, (hash, _)) = change.ok_or(Reason::CannotOpen)?;
            let actor = bundle.authors.get(usize::from(change.author));
            let actor = actor.ok_or(Reason::CannotOpen)?;
            let head = closing.head(hash).claim()?;
            self.authors.insert(*actor, head.clone());
            self.heads.insert(*hash, head);
        }
        Ok(())
    }
}

/// An author's changes that are lost where they are.
struct Line {
    /// Whose device it is.
    device: DeviceId,
    /// The author they are written under instead, and the nonce that makes it.
    actor: ActorId,
    nonce: Nonce,
    /// The number of the first of them.
    first: u64,
    /// Those since the last head, as they are written again, and what they build on.
    open: Vec<Vec<u8>>,
    deps: BTreeSet<ChangeHash>,
    /// Their own names.
    names: BTreeSet<ChangeHash>,
}

/// A document on its way through [`Rewrite::run`], change by change.
struct Writer<'r> {
    asked: &'r Rewrite,
    document: DocumentId,
    whole: &'r Whole,
    kind: Kind,
    /// The changes that are here, or come with the runs.
    known: BTreeSet<ChangeHash>,
    lines: BTreeMap<ActorId, Line>,
    rewriting: Rewriting,
    /// What the runs come to.
    changes: usize,
    bytes: usize,
    branched: Branched,
}

impl Writer<'_> {
    fn take(&mut self, hash: &ChangeHash, chunk: &[u8]) -> Result<(), Reason> {
        let header = document::preflight::header(chunk)?;
        let parts = |(actor, from): &(ActorId, u64)| header.actor == *actor && header.seq >= *from;
        let builds_on = |dep: &ChangeHash| self.branched.lost.contains(dep);
        if !self.asked.losing.iter().any(parts) && !header.deps.iter().any(builds_on) {
            return Ok(());
        }
        self.branched.lost.insert(*hash);
        if !self.lines.contains_key(&header.actor) {
            let line = self.line(&header)?;
            self.lines.insert(header.actor, line);
        }
        let line = self.lines.get_mut(&header.actor);
        let line = line.ok_or(Reason::CannotOpen)?;
        let again = self.rewriting.add(chunk, |_| line.actor)?;
        let is_here = self.known.contains(&again.header.hash);
        if line.device != self.asked.device {
            self.branched.is_whole &= is_here;
            return Ok(());
        }
        line.open.push(again.chunk);
        line.deps.extend(&again.header.deps);
        line.names.insert(again.header.hash);
        let Some(head) = self.whole.heads.get(hash) else {
            return Ok(());
        };
        let run = Run {
            actor: line.actor,
            chunks: std::mem::take(&mut line.open),
            head: Head {
                nonce: line.nonce,
                seq: again.header.seq,
                hash: again.header.hash,
                ..head.clone()
            },
        };
        let (deps, names) = (
            std::mem::take(&mut line.deps),
            std::mem::take(&mut line.names),
        );
        if !is_here {
            self.add(run, &deps, names);
        }
        Ok(())
    }

    /// Where a line goes on whose first lost change is this one.
    fn line(&self, header: &Header) -> Result<Line, Reason> {
        let author = self.whole.authors.get(&header.actor);
        let author = author.ok_or(Reason::CannotOpen)?;
        let key = self.asked.directory.signer(&author.device)?;
        let nonce = branch_nonce(&header.actor, &header.hash);
        let (tenant, worker) = (&self.asked.tenant, &author.worker);
        Ok(Line {
            device: author.device,
            actor: derive_actor(tenant, &key, &self.document, &nonce, worker),
            nonce,
            first: header.seq,
            open: Vec::new(),
            deps: BTreeSet::new(),
            names: BTreeSet::new(),
        })
    }

    /// Takes a run along, if there is room, and if what it builds on is here or comes with it: it may
    /// build on what another device has still to write again.
    fn add(&mut self, run: Run, deps: &BTreeSet<ChangeHash>, names: BTreeSet<ChangeHash>) {
        let fixed = |dep: &&ChangeHash| document::genesis::fixed(self.kind, dep).is_none();
        let mut deps = deps.iter().filter(fixed);
        if !deps.all(|dep| self.known.contains(dep) || names.contains(dep)) {
            self.branched.is_whole = false;
            return;
        }
        self.changes += run.chunks.len();
        self.bytes += run.chunks.iter().map(Vec::len).sum::<usize>();
        let is_room = self.changes <= REWRITTEN_MAX && self.bytes <= TURN_BYTES_MAX;
        if is_room || self.branched.runs.is_empty() {
            self.known.extend(names);
            self.branched.runs.push(run);
        } else {
            self.branched.is_partly = true;
        }
    }
}

/// Entries made here that are in lost changes, with the author and number that they are under then.
fn entries<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    row: &DocumentRow,
    lines: &BTreeMap<ActorId, Line>,
) -> Result<Vec<(EntryId, ActorId, u64)>, Reason> {
    let mut entries = Vec::new();
    let read = store::each(snapshot, Table::Entry, |kept| {
        let entry = <[u8; 16]>::try_from(kept.name.as_slice()).map(EntryId);
        let place = codec::decode::<EntryRow>(&kept.value);
        let (Ok(entry), Ok(place)) = (entry, place) else {
            return;
        };
        let actor = usize::try_from(place.slot).ok();
        let actor = actor.and_then(|slot| row.actors.get(slot));
        let line = actor.and_then(|actor| lines.get(actor));
        let line = line.filter(|line| place.document == document && line.first <= place.seq);
        entries.extend(line.map(|line| (entry, line.actor, place.seq - line.first + 1)));
    });
    read.map_err(|_| Reason::CannotOpen)?;
    Ok(entries)
}
