//! What the HTTP surface asks of the node behind it.
//!
//! The routes know this trait and nothing of threads, sockets or stores, so that they can be
//! tested without any. The module `handle` implements it on the running node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
};

use node::{
    NotDone, Request, Saved, Transfer, Transferred,
    domain::{Conflict, Flaw},
    names::{
        DeviceId, DocumentId, EntryId, Incarnation, Kind, Mark, Moment, Reason, ScopeId, SiteId,
        StoreId, WriterId,
    },
    protocol::{Digest, Directory},
    views::HandedOver,
};
use serde::Serialize;

/// An answer that takes its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The record of one node, as the HTTP surface needs it.
///
/// None of these blocks the thread it is called on. Answers hold personal data and are never
/// logged.
pub trait Record: Send + Sync + 'static {
    /// Which node this is.
    fn who(&self) -> Who;

    /// Who is who, as known here.
    fn directory(&self) -> Arc<Directory>;

    /// Carries a person's command out. When this has answered `Ok`, it is on disk.
    fn perform(&self, request: Request) -> Answer<'_, Result<Saved, NotDone>>;

    /// Hands a case over to another site. When this has answered `Ok`, that is on disk.
    fn transfer(&self, transfer: Transfer) -> Answer<'_, Result<Transferred, NotDone>>;

    /// Documents that were handed over, the latest first.
    fn handed_over(&self) -> Answer<'_, Result<Vec<HandedOver>, Reason>>;

    /// How far an entry has got; `None` when there is none of that id here.
    fn reach(&self, entry: EntryId) -> Answer<'_, Result<Option<Reach>, Reason>>;

    /// The rows of a scope's documents, or of all scopes readable here, by document id. Opens
    /// none of them.
    fn rows(&self, scope: Option<ScopeId>) -> Answer<'_, Result<Vec<Listed>, Reason>>;

    /// A part of them, by document id.
    fn page(&self, of: PageOf) -> Answer<'_, Result<Vec<Listed>, Reason>>;

    /// Opens one document.
    fn document(&self, document: DocumentId) -> Answer<'_, Result<Opened, Reason>>;

    /// One document as a file that the public Automerge libraries load.
    fn export(&self, document: DocumentId) -> Answer<'_, Result<Vec<u8>, Reason>>;

    /// How far each scope agrees with whom.
    fn sync(&self) -> Answer<'_, Result<SyncView, Reason>>;

    /// Whether commands and views are answered. Nothing is asked of the node for it.
    ///
    /// # Errors
    /// Why they are not.
    fn ready(&self) -> Result<(), Reason>;

    /// What has been counted since the start, a second old at most.
    fn tally(&self) -> Answer<'_, Result<Tally, Reason>>;
}

/// A part of a list.
pub struct PageOf {
    /// The documents of this scope, or of all scopes readable here.
    pub scope: Option<ScopeId>,
    /// Those behind this one.
    pub after: Option<DocumentId>,
    /// Rows at most.
    pub limit: usize,
    /// Those rows alone.
    pub keep: Box<dyn Fn(&Listed) -> bool + Send>,
}

impl fmt::Debug for PageOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageOf({})", self.limit)
    }
}

/// Which node this is.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// `centre` or `edge`.
    pub role: Role,
    /// Its device.
    pub device: DeviceId,
    /// Its store.
    pub store: StoreId,
    /// This life of the store.
    pub incarnation: Incarnation,
    /// Where it stands; the centre stands nowhere.
    pub site: Option<SiteId>,
}

/// What kind of node answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The organisation's centre.
    Centre,
    /// A site's edge.
    Edge,
}

/// How far an entry has got, from what was acknowledged and never from a guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// On this node's disk.
    SavedHere,
    /// Written at another node; it has come here.
    Received,
    /// On the centre's disk, as the centre has said.
    AtTheCentre,
    /// In a backup of the centre that has been put away, as the centre has said.
    BackedUp,
}

/// The row that lists have of one document.
#[derive(Clone, Serialize)]
pub struct Listed {
    /// Which.
    pub document: DocumentId,
    /// What kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: Kind,
    /// Whether something has arrived since the summary was made.
    pub stale: bool,
    /// What `domain` says in lists; null until the first summary is made.
    pub summary: serde_json::Value,
}

/// One document, opened.
#[derive(Serialize)]
pub struct Opened {
    /// Which.
    pub document: DocumentId,
    /// What kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: Kind,
    /// Where it is placed.
    pub scopes: Vec<ScopeId>,
    /// All it says, with what stands, what came before, and what is in conflict.
    pub state: serde_json::Value,
    /// What waits for a person; the same as in `state`.
    #[serde(skip)]
    pub conflicts: Vec<Conflict>,
    /// What could not be read.
    pub flaws: Vec<Flaw>,
    /// What is to be said beside entries: why a person should look at how they came here.
    pub marks: BTreeMap<EntryId, BTreeSet<Mark>>,
    /// How far each entry has got.
    pub reach: BTreeMap<EntryId, Reach>,
}

/// How far a node agrees with its peers.
#[derive(Clone, Debug, Serialize)]
pub struct SyncView {
    /// Which node this is.
    pub node: Who,
    /// Entries written here that the centre has not yet said it holds.
    pub waiting: u64,
    /// Every scope this node reads, the directory first.
    pub scopes: Vec<ScopeSync>,
    /// Everyone it is talking to.
    pub links: Vec<Link>,
    /// What was refused, by reason.
    pub exceptions: Vec<Exception>,
    /// Why the centre is not reached; null while it is, and at a node that dials nobody.
    pub unreached: Option<Unreached>,
    /// Nodes whose store came back from an older copy or runs twice, the latest last.
    pub copies: Vec<CopiedStore>,
}

/// A node whose store came back from an older copy, or runs twice.
#[derive(Clone, Debug, Serialize)]
pub struct CopiedStore {
    /// Which node.
    pub device: DeviceId,
    /// Which of them: `older-copy`, `runs-twice` or `ran-twice`.
    pub how: &'static str,
    /// When it was last heard before; null when that is not known.
    pub from: Option<Moment>,
    /// When it was noticed. What was written there in between may be on no disk any more.
    pub until: Moment,
    /// What that means and what to do, for a screen.
    pub words: &'static str,
}

/// Why the centre is not reached.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Unreached {
    /// When it was last tried, by this node's clock.
    pub at: Moment,
    /// Why that failed, in words for a screen.
    pub why: &'static str,
}

/// A digest, and what it is over.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// Equal digests mean equal contents.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// How many documents, or statements, it is over.
    pub count: u64,
}

/// One scope.
#[derive(Clone, Debug, Serialize)]
pub struct ScopeSync {
    /// Which.
    pub scope: ScopeId,
    /// Its proof.
    #[serde(flatten)]
    pub proof: Proof,
    /// How far this node's own logs of it go.
    pub cursor: BTreeMap<WriterId, u64>,
    /// When it was last found equal to somebody's, and whose.
    pub proved: Option<Proved>,
    /// Entries of it written here that the centre has not yet said it holds.
    pub waiting: u64,
    /// Who it is being compared with, and how far that has come.
    pub peers: Vec<PeerSync>,
}

/// When two nodes were last found equal in a scope.
#[derive(Clone, Debug, Serialize)]
pub struct Proved {
    /// When, by this node's clock, in milliseconds since 1970.
    pub at: Moment,
    /// The other one.
    pub peer: DeviceId,
}

/// How far one scope has come with one peer.
#[derive(Clone, Debug, Serialize)]
pub struct PeerSync {
    /// With whom.
    pub peer: DeviceId,
    /// Whether the peer is the centre.
    pub is_centre: bool,
    /// How far it has come.
    pub stage: Stage,
    /// When both sides were last found equal, if nothing has come since.
    pub proved_at: Option<Moment>,
    /// What the peer said it would send, and what has come.
    pub incoming: Progress,
    /// What this node said it would send, and what has gone.
    pub outgoing: Progress,
    /// Why the last comparison ended unequal.
    pub trouble: Option<Exception>,
    /// The documents in which both go on to differ although all else is equal, and why.
    pub exceptions: Vec<DocumentException>,
}

/// A document of which one of two nodes refuses something: what only the other has of it goes no
/// further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DocumentException {
    /// Which document.
    pub document: DocumentId,
    /// Why: the stable code.
    pub reason: Reason,
    /// Why: in words for a screen.
    pub words: &'static str,
}

/// How far one scope has come with one peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// In touch, and not proved equal since the last entry came or went.
    Unproved,
    /// What one side lacks is on its way.
    Filling,
    /// Both sides were found equal, and nothing has come since.
    Equal,
    /// Both sides were found equal except in the documents that are listed as exceptions.
    EqualExcept,
    /// The last comparison ended unequal; another follows.
    Different,
}

/// Progress in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Progress {
    /// Known before it began.
    pub announced: Amount,
    /// So far.
    pub done: Amount,
}

/// An amount of record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Amount {
    /// Documents touched.
    pub documents: u64,
    /// Changes: one for each command.
    pub changes: u64,
    /// Bytes of the changes, as they were written.
    pub bytes: u64,
}

/// A conversation.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    /// With whom.
    pub peer: DeviceId,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Since when.
    pub since: Moment,
    /// Bytes of frames sent.
    pub sent: u64,
    /// Bytes of frames received.
    pub received: u64,
}

/// Something that was refused, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Exception {
    /// Why: the stable code.
    pub reason: Reason,
    /// Why: in words for a screen.
    pub words: &'static str,
    /// How often since the start.
    pub count: u64,
}

impl Exception {
    /// A reason met `count` times.
    pub fn new(reason: Reason, count: u64) -> Exception {
        Exception {
            reason,
            words: reason.words(),
            count,
        }
    }
}

/// What a node has counted since its start. No personal data.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Turns taken.
    pub turns: u64,
    /// Turns that wrote something.
    pub commits: u64,
    /// What went by each lane in each direction.
    pub lanes: Vec<LaneTally>,
    /// Refusals by reason.
    pub refusals: BTreeMap<Reason, u64>,
    /// Entries written here that the centre has not yet said it holds.
    pub waiting: u64,
    /// Documents in each scope.
    pub documents: BTreeMap<ScopeId, u64>,
    /// Conversations under way.
    pub links: u64,
}

/// What went by one lane in one direction.
#[derive(Clone, Copy, Debug)]
pub struct LaneTally {
    /// `control`, `live` or `fill`.
    pub lane: &'static str,
    /// `in` or `out`.
    pub direction: &'static str,
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listed({})", self.document)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (conflicts, entries) = (self.conflicts.len(), self.reach.len());
        write!(
            f,
            "Opened({}, {entries} entries, {conflicts} conflicts)",
            self.document
        )
    }
}

fn kind_name<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn as_text<T: fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
