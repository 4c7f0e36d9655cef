//! People write the set at the edge, while nobody can be reached: by commands alone, many at once,
//! so that one commit carries what several of them wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use automerge::Automerge;
use domain::{By, Role};
use names::{ChangeHash, DocumentId, Reason, ScopeId, SiteId};
use node::{NotDone, Request, Saved, Target};
use runtime::Handle;
use tokio::task::JoinSet;

use crate::{
    failure::{Outcome, failed, must},
    set::{self, Depth, Step},
};

/// Documents written at once. A node opens 64 at a time and keeps some of these for its own
/// summaries; whoever comes on top is told that it is busy.
const AUTHORS: usize = 48;
/// How long somebody waits who was told so.
const BUSY_WAIT: Duration = Duration::from_millis(2);

/// What was written.
#[derive(Default)]
pub(crate) struct Written {
    /// The cases, in the order of their numbers.
    pub(crate) cases: Vec<DocumentId>,
    /// The registers.
    pub(crate) registers: Vec<DocumentId>,
    /// Every change.
    pub(crate) changes: BTreeSet<ChangeHash>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// How large what was written is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Size {
    /// Documents.
    pub(crate) documents: u64,
    /// Changes that people made: the first change of a document is the same everywhere and is
    /// never sent, so it does not count.
    pub(crate) changes: u64,
    /// Their bytes, not packed.
    pub(crate) change_bytes: u64,
    /// Bytes of the documents as they are exported: each packed by itself.
    pub(crate) saved_bytes: u64,
}

/// What is to be written.
#[derive(Clone)]
pub(crate) struct Order {
    /// Cases; their registers come on top.
    pub(crate) cases: u64,
    /// The number of the first case and the first register: two edges draw the same by one number.
    pub(crate) first: u64,
    /// How much of each.
    pub(crate) depth: Depth,
    /// At which site.
    pub(crate) site: SiteId,
    /// The edge's scopes. Every document stands in the site's own, since no command opens one in a
    /// compartment alone; cases are dealt out among all and stand in that one as well.
    pub(crate) scopes: BTreeSet<ScopeId>,
}

impl Order {
    fn total(&self) -> u64 {
        self.cases + self.depth.registers(self.cases)
    }

    /// The scope that a document stands in beside the site's own; the same where it has none.
    fn beside(&self, number: u64) -> ScopeId {
        let place = number % self.scopes.len().max(1) as u64;
        let dealt = (0..).zip(&self.scopes).find(|(at, _)| *at == place);
        let dealt = dealt.filter(|_| number < self.cases);
        dealt.map_or_else(|| self.own(), |(_, scope)| scope.clone())
    }

    fn own(&self) -> ScopeId {
        ScopeId::Site(self.site.clone())
    }

    /// Documents, counted once in every scope that they stand in.
    pub(crate) fn held(&self) -> u64 {
        let all = 0..self.total();
        all.map(|number| {
            if self.beside(number) == self.own() {
                1
            } else {
                2
            }
        })
        .sum()
    }

    /// A document's steps, and the scopes where it begins.
    fn steps(&self, number: u64) -> Outcome<(Vec<Step>, Vec<ScopeId>)> {
        let scopes = BTreeSet::from([self.own(), self.beside(number)]);
        let steps = match number.checked_sub(self.cases) {
            Some(register) => set::register(self.first + register)?,
            None => set::case(self.first + number, self.depth)?,
        };
        Ok((steps, scopes.into_iter().collect()))
    }
}

/// Writes cases and their registers.
///
/// # Errors
/// When a command is refused.
pub(crate) async fn write(node: &Handle, order: &Order) -> Outcome<Written> {
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut authors = JoinSet::new();
    for _ in 0..AUTHORS {
        authors.spawn(write_some(node.clone(), Arc::clone(&next), order.clone()));
    }
    let mut documents = BTreeMap::new();
    let mut changes = BTreeSet::new();
    while let Some(author) = authors.join_next().await {
        for (number, saved) in author.map_err(failed("an author"))?? {
            documents.insert(number, saved.document);
            changes.extend(saved.change);
        }
    }
    let registers = documents.split_off(&order.cases);
    let count = order.depth.changes(order.cases);
    must(changes.len() as u64 == count, || {
        format!("{} changes were written and not {count}", changes.len())
    })?;
    Ok(Written {
        cases: documents.into_values().collect(),
        registers: registers.into_values().collect(),
        changes,
        took: began.elapsed(),
    })
}

/// Writes document after document until none is left; answers what was saved, by the document's
/// number.
async fn write_some(
    node: Handle,
    next: Arc<AtomicU64>,
    order: Order,
) -> Outcome<Vec<(u64, Saved)>> {
    let mut all = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= order.total() {
            return Ok(all);
        }
        let (steps, scopes) = order.steps(number)?;
        let mut target = Target::New(scopes);
        for step in steps {
            let saved = ask(&node, &order.site, target, step).await?;
            target = Target::Document(saved.document);
            all.push((number, saved));
        }
    }
}

/// Asks for one thing until it is saved.
///
/// # Errors
/// When it is refused.
pub(crate) async fn ask(
    node: &Handle,
    site: &SiteId,
    target: Target,
    step: Step,
) -> Outcome<Saved> {
    let request = Request {
        target,
        entry: step.entry,
        by: By {
            worker: step.worker,
            site: site.clone(),
            roles: vec![Role::Senior],
        },
        command: step.command,
    };
    loop {
        match node.command(request.clone()).await {
            Err(NotDone::Reason(Reason::Busy)) => tokio::time::sleep(BUSY_WAIT).await,
            answer => return answer.map_err(failed("a command")),
        }
    }
}

/// Measures what was written, by what the node exports: files that any Automerge opens.
///
/// # Errors
/// When a document cannot be exported or opened.
pub(crate) async fn size(node: &Handle, written: &Written) -> Outcome<Size> {
    let mut size = Size::default();
    for document in written.cases.iter().chain(&written.registers) {
        let file = node.export(*document).await.map_err(failed("an export"))?;
        let (changes, bytes) = changes_in(&file, &written.changes)?;
        size.documents += 1;
        size.changes += changes;
        size.change_bytes += bytes;
        size.saved_bytes += file.len() as u64;
    }
    must(size.changes == written.changes.len() as u64, || {
        "the exports lack changes".to_owned()
    })?;
    Ok(size)
}

/// Writes the set as the rivals' harness reads it: for each document its id, its saved form and
/// its changes, each with its length.
///
/// # Errors
/// When a document cannot be exported, or the file cannot be written.
pub(crate) async fn export(node: &Handle, written: &Written, path: &Path) -> Outcome<()> {
    let file = File::create(path).map_err(failed("the set's file"))?;
    let mut file = BufWriter::new(file);
    let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(failed("the set's file"));
    let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
    for document in written.cases.iter().chain(&written.registers) {
        let saved = node.export(*document).await.map_err(failed("an export"))?;
        let opened = Automerge::load(&saved).map_err(failed("an exported document"))?;
        let changes = opened.get_changes(&[]);
        put(document.as_ref())?;
        put(&length(saved.len()))?;
        put(&saved)?;
        put(&length(changes.len()))?;
        for change in changes {
            put(&length(change.raw_bytes().len()))?;
            put(change.raw_bytes())?;
        }
    }
    file.flush().map_err(failed("the set's file"))
}

/// How many of these changes a file holds, and their bytes.
///
/// # Errors
/// When it is not a document.
pub(crate) fn changes_in(file: &[u8], wanted: &BTreeSet<ChangeHash>) -> Outcome<(u64, u64)> {
    let document = Automerge::load(file).map_err(failed("an exported document"))?;
    let (mut count, mut bytes) = (0, 0);
    for change in document.get_changes(&[]) {
        if wanted.contains(&ChangeHash(change.hash().0)) {
            count += 1;
            bytes += change.raw_bytes().len() as u64;
        }
    }
    Ok((count, bytes))
}
