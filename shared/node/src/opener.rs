//! Opening documents, off the turn.
//!
//! Automerge documents are loaded, read and edited here and nowhere else. A node asks with a
//! [`Job`] and hears with [`Opened`]; the shell only chooses the thread. What is open stays open
//! for a while, with the number of bundles it was made from, so that the next job on it reads only
//! what has come since.

mod arrived;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use document::{Document, Performed};
use domain::{By, Command, Flaw, FlawAt, Refusal, State};
use names::{ActorId, ChangeHash, DocumentId, EntryId, Kind, Mark, Moment, Reason};
use protocol::directory::Directory;
use store::{Snapshot, Table};

pub(crate) use self::arrived::Arrived;
use crate::{
    branch::{Branched, Rewrite},
    draft::read_row,
    input::JobId,
    rows::{CompactedRow, DocumentRow},
    standing::Authored,
    trying::PROGRAM,
    views,
};

/// A document to be opened, and what for.
#[derive(Clone)]
pub struct Job {
    pub(crate) id: JobId,
    pub(crate) document: DocumentId,
    pub(crate) kind: Kind,
    pub(crate) task: Task,
}

/// What a document is opened for.
#[derive(Clone)]
pub(crate) enum Task {
    /// To bring its summary up to date.
    Summarise {
        /// What becomes of a compacted form that is due.
        form: FormDue,
        /// Whether it may wait a little for what is being passed on.
        rests: bool,
    },
    /// To carry out a person's command.
    Perform(Box<Performance>),
    /// To write a branch again that cannot stand. The document itself is not opened for that.
    Rewrite(Box<Rewrite>),
}

/// What becomes of a compacted form that is due. To make one is to have Automerge do with a peer's
/// changes what it never did before, so it is made under a mark alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FormDue {
    /// It is made.
    Made,
    /// It stays due.
    Stays,
    /// It is gone without: the program ended while this document was opened, or its form made.
    GivenUp,
}

/// A person's command on its way to become a change.
#[derive(Clone)]
pub(crate) struct Performance {
    pub(crate) actor: ActorId,
    pub(crate) entry: EntryId,
    pub(crate) by: By,
    pub(crate) command: Command,
    pub(crate) now: Moment,
}

/// How an opening ended.
#[derive(Debug)]
pub struct Opened(pub(crate) Ending);

/// How an opening ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The summary of the document as it is.
    Summarised(Summarised),
    /// The command has become a change, which is not kept yet.
    Performed {
        performed: Performed,
        summary: Summarised,
    },
    /// The command had been carried out before.
    Recorded,
    /// A branch was written again, which is not kept yet.
    Rewritten(Box<Branched>),
    /// The rules of the service do not allow the command.
    Refused(Refusal),
    /// The document could not be opened.
    Failed(Reason),
}

/// A summary, and what it was made from.
#[derive(Clone)]
pub(crate) struct Summarised {
    /// Bundles it was made from.
    pub(crate) arrivals: u64,
    pub(crate) version: u16,
    pub(crate) json: Vec<u8>,
    /// Changes that could not be opened and were left out.
    pub(crate) flaws: usize,
    /// A compacted form of the document and how many changes it has, to be kept; empty when there is
    /// none of these.
    pub(crate) form: Option<(usize, Vec<u8>)>,
    /// Whether a compacted form should be made.
    pub(crate) is_form_due: bool,
}

/// A document as it is shown.
#[derive(Clone)]
pub struct DocumentView {
    /// Which document.
    pub document: DocumentId,
    /// What it says.
    pub state: State,
    /// What in it could not be made sense of.
    pub flaws: Vec<Flaw>,
    /// What is to be said beside entries, by the directory; those without a mark are left out.
    pub marks: BTreeMap<EntryId, BTreeSet<Mark>>,
}

/// A document held open.
struct Hot {
    document: Document,
    /// Bundles applied to it.
    arrivals: u64,
    /// When it was last used, in jobs.
    used: u64,
    /// Changes left out when they were applied.
    left_out: usize,
    /// Bundles that could not be read.
    unread: usize,
    /// The last change made here, until it has come back as a stored one.
    tentative: Option<ChangeHash>,
    /// Who wrote what was applied to it.
    authored: Authored,
}

/// Opens documents and holds the last ones open. One opener must see all jobs of a document, in
/// order.
pub struct Opener {
    hot: BTreeMap<DocumentId, Hot>,
    documents_max: usize,
    jobs: u64,
}

impl Opener {
    /// An opener that holds up to `documents_max` documents open: about 30 KB each.
    pub fn new(documents_max: usize) -> Opener {
        Opener {
            hot: BTreeMap::new(),
            documents_max: documents_max.max(1),
            jobs: 0,
        }
    }

    /// Does a job on the state in `snapshot`, which must be taken after the turn that asked.
    pub fn run<P: Snapshot>(&mut self, snapshot: &P, job: &Job) -> Opened {
        let ending = match &job.task {
            Task::Summarise { form, .. } => self
                .open(snapshot, job.document, job.kind)
                .map(|hot| Ending::Summarised(hot.summarise(*form))),
            Task::Perform(performance) => self
                .open(snapshot, job.document, job.kind)
                .map(|hot| hot.perform(performance)),
            Task::Rewrite(rewrite) => rewrite
                .run(snapshot, job.document)
                .map(|again| Ending::Rewritten(Box::new(again))),
        };
        Opened(ending.unwrap_or_else(Ending::Failed))
    }

    /// Opens a document ahead of the command that is on its way to it. What cannot be opened is
    /// told to that command.
    pub fn prepare<P: Snapshot>(&mut self, snapshot: &P, document: DocumentId) {
        let may_open = views::may_open_ahead(snapshot, document).unwrap_or(false);
        if let (true, Ok(kind)) = (may_open, kind_of(snapshot, document))
            && let Ok(hot) = self.open(snapshot, document, kind)
        {
            hot.document.view();
        }
    }

    /// Forgets a document, so that the next job reads it anew.
    pub fn forget(&mut self, document: DocumentId) {
        self.hot.remove(&document);
    }

    /// A document as it is in `snapshot`.
    ///
    /// # Errors
    /// [`Reason::NotFound`] when it is not there, [`Reason::CannotOpen`] when it cannot be read.
    pub fn view<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
    ) -> Result<DocumentView, Reason> {
        let hot = self.open_durable(snapshot, document)?;
        let (state, mut flaws) = hot.document.view();
        let state = state.clone();
        if hot.unread > 0 {
            flaws.push(Flaw {
                at: FlawAt::Document,
                reason: Reason::CannotOpen,
            });
        }
        Ok(DocumentView {
            document,
            state,
            flaws,
            marks: BTreeMap::new(),
        })
    }

    /// The same, with what the directory has to say of those who wrote it.
    ///
    /// # Errors
    /// As [`Opener::view`].
    pub fn view_marked<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        directory: &Directory,
    ) -> Result<DocumentView, Reason> {
        let mut view = self.view(snapshot, document)?;
        let hot = self.open_durable(snapshot, document)?;
        // What cannot be read marks nothing.
        let transfers = views::transfers_of(snapshot, document, directory).unwrap_or_default();
        view.marks = hot.authored.marks(&hot.document, directory, &transfers);
        Ok(view)
    }

    /// A document as the bytes of an `.automerge` file, which the public libraries load.
    ///
    /// # Errors
    /// As [`Opener::view`].
    pub fn export<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
    ) -> Result<Vec<u8>, Reason> {
        let hot = self.open_durable(snapshot, document)?;
        if hot.unread > 0 {
            return Err(Reason::CannotOpen);
        }
        Ok(hot.document.save())
    }

    /// The document as it is in `snapshot`, without a change that was made here and is not on disk:
    /// what is shown must be what is saved.
    fn open_durable<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
    ) -> Result<&mut Hot, Reason> {
        let kind = kind_of(snapshot, document)?;
        if self.open(snapshot, document, kind)?.tentative.is_some() {
            self.forget(document);
        }
        self.open(snapshot, document, kind)
    }

    /// The document, open and up to date with `snapshot`.
    fn open<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        kind: Kind,
    ) -> Result<&mut Hot, Reason> {
        self.jobs += 1;
        if !self.hot.contains_key(&document) {
            self.make_room();
            let mut new = Document::new(kind)?;
            if let Some(row) = compacted(snapshot, document) {
                new.offer(usize::try_from(row.changes).unwrap_or(usize::MAX), row.form);
            }
            let empty = Hot {
                document: new,
                arrivals: 0,
                used: 0,
                left_out: 0,
                unread: 0,
                tentative: None,
                authored: Authored::default(),
            };
            self.hot.insert(document, empty);
        }
        let used = self.jobs;
        let hot = self.hot.get_mut(&document).ok_or(Reason::CannotOpen)?;
        hot.used = used;
        hot.catch_up(snapshot, document)?;
        Ok(hot)
    }

    /// Closes the document that was not used for longest, if there is no room for another.
    fn make_room(&mut self) {
        if self.hot.len() < self.documents_max {
            return;
        }
        let oldest = self
            .hot
            .iter()
            .min_by_key(|(_, hot)| hot.used)
            .map(|(document, _)| *document);
        if let Some(document) = oldest {
            self.hot.remove(&document);
        }
    }
}

impl Hot {
    /// Applies the bundles that came since it was last used. What cannot be read is left out, and
    /// what builds on it stays early: better most of a document than nothing of it.
    fn catch_up<P: Snapshot>(&mut self, snapshot: &P, document: DocumentId) -> Result<(), Reason> {
        loop {
            let from = self.arrivals;
            let Arrived {
                bundles,
                changes,
                unread,
                next,
            } = Arrived::read(snapshot, document, from)?;
            self.arrivals = next;
            self.unread += unread;
            if bundles.is_empty() {
                return Ok(());
            }
            // What was folded since it was last used comes once more.
            let new = changes
                .iter()
                .filter(|(hash, _)| !self.document.knows(hash));
            let chunks: Vec<&[u8]> = new.map(|(_, chunk)| chunk.as_slice()).collect();
            self.left_out += self.document.apply(&chunks).len();
            for (bundle, of) in &bundles {
                let of = changes.get(of.clone()).unwrap_or_default();
                self.authored.add(bundle, of);
            }
            if changes
                .iter()
                .any(|(hash, _)| Some(*hash) == self.tentative)
            {
                self.tentative = None;
            }
        }
    }

    fn summarise(&mut self, form: FormDue) -> Summarised {
        let summary = self.document.summary();
        // What is not seen may be in the form that is kept.
        let is_whole = self.unread == 0;
        let form = match form {
            FormDue::Made if is_whole => self.document.compact(),
            FormDue::GivenUp if is_whole => {
                let changes = self.document.skip_form();
                changes.map(|changes| (changes, Vec::new()))
            }
            FormDue::Made | FormDue::GivenUp | FormDue::Stays => None,
        };
        Summarised {
            arrivals: self.arrivals,
            version: summary.version,
            // A summary is plain data; what cannot be written as JSON is not in it.
            json: serde_json::to_vec(&summary).unwrap_or_default(),
            flaws: self.left_out + self.unread,
            form,
            is_form_due: is_whole && self.document.is_form_due(),
        }
    }

    fn perform(&mut self, performance: &Performance) -> Ending {
        let Performance {
            actor,
            entry,
            by,
            command,
            now,
        } = performance;
        if self.unread > 0 {
            // What is not seen may be of this very author: a change now could take its number.
            return Ending::Failed(Reason::CannotOpen);
        }
        match document::perform(&mut self.document, *actor, command, *entry, by, *now) {
            Ok(Some(performed)) => {
                self.tentative = Some(performed.header.hash);
                let summary = self.summarise(FormDue::Stays);
                Ending::Performed { performed, summary }
            }
            Ok(None) => Ending::Recorded,
            Err(refusal) => Ending::Refused(refusal),
        }
    }
}

impl Job {
    /// Which job it is.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Which document it is about. One opener must see all jobs of a document.
    pub fn document(&self) -> DocumentId {
        self.document
    }

    /// Whether it may wait a little for what is being passed on.
    pub fn rests(&self) -> bool {
        matches!(self.task, Task::Summarise { rests: true, .. })
    }

    /// Whether a person is waiting for it.
    pub fn is_urgent(&self) -> bool {
        matches!(self.task, Task::Perform(_))
    }
}

/// The compacted form that this program has kept of a document. One that is damaged is passed over:
/// the document is made from its changes, and the form anew.
fn compacted<P: Snapshot>(snapshot: &P, document: DocumentId) -> Option<CompactedRow> {
    let row: Option<CompactedRow> =
        read_row(snapshot, Table::Compacted, document.as_ref(), 0).ok()?;
    row.filter(|row| row.program == PROGRAM)
}

fn kind_of<P: Snapshot>(snapshot: &P, document: DocumentId) -> Result<Kind, Reason> {
    match read_row::<DocumentRow, _>(snapshot, Table::Document, document.as_ref(), 0) {
        Ok(Some(row)) => Ok(row.kind),
        Ok(None) => Err(Reason::NotFound),
        Err(_) => Err(Reason::CannotOpen),
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = match self.task {
            Task::Summarise { .. } => "summarise",
            Task::Perform(_) => "perform",
            Task::Rewrite(_) => "rewrite",
        };
        write!(f, "Job({:?}, {task}, {})", self.id, self.document)
    }
}

impl fmt::Debug for Summarised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Summarised({} bundles, {} bytes)",
            self.arrivals,
            self.json.len()
        )
    }
}

impl fmt::Debug for DocumentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DocumentView({}, {} flaws)",
            self.document,
            self.flaws.len()
        )
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({} open)", self.hot.len())
    }
}
