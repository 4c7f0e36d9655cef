//! People write the set at the edge, while nobody can be reached: by commands alone, many at once,
//! so that one commit carries what several of them wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use automerge::Automerge;
use domain::{By, Role};
use names::{ChangeHash, DocumentId, Reason};
use node::{NotDone, Request, Saved, Target};
use runtime::Handle;
use tokio::task::JoinSet;

use crate::{
    failure::{Outcome, failed, must},
    organisation::{scope, site},
    set::{self, CASE_CHANGES, REGISTER_CHANGES, Step},
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

/// Writes `cases` cases and their registers.
///
/// # Errors
/// When a command is refused.
pub(crate) async fn write(node: &Handle, cases: u64) -> Outcome<Written> {
    let began = Instant::now();
    let total = cases + set::registers(cases);
    let next = Arc::new(AtomicU64::new(0));
    let mut authors = JoinSet::new();
    for _ in 0..AUTHORS {
        authors.spawn(write_some(node.clone(), Arc::clone(&next), cases, total));
    }
    let mut documents = BTreeMap::new();
    let mut changes = BTreeSet::new();
    while let Some(author) = authors.join_next().await {
        for (number, saved) in author.map_err(failed("an author"))?? {
            documents.insert(number, saved.document);
            changes.extend(saved.change);
        }
    }
    let registers = documents.split_off(&cases);
    let count = cases * CASE_CHANGES as u64 + set::registers(cases) * REGISTER_CHANGES as u64;
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
    cases: u64,
    total: u64,
) -> Outcome<Vec<(u64, Saved)>> {
    let mut all = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= total {
            return Ok(all);
        }
        let steps = if number < cases {
            set::case(number)?
        } else {
            set::register(number - cases)?
        };
        let mut target = Target::New(vec![scope()]);
        for step in steps {
            let saved = ask(&node, target, step).await?;
            target = Target::Document(saved.document);
            all.push((number, saved));
        }
    }
}

/// Asks for one thing until it is saved.
///
/// # Errors
/// When it is refused.
pub(crate) async fn ask(node: &Handle, target: Target, step: Step) -> Outcome<Saved> {
    let request = Request {
        target,
        entry: step.entry,
        by: By {
            worker: step.worker,
            site: site(),
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
