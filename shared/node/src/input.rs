//! All that can happen to a node.

use domain::{By, Command};
use names::{DocumentId, EntryId, ScopeId, SiteId, TransferReason};
use protocol::signed::PublicKey;

use crate::{errand::Errand, opener::Opened, verify::VerifiedFrame, verify::VerifiedStatement};

/// A conversation with one peer, from its beginning to its end. The shell numbers them and never
/// uses a number twice while the node lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// A question of the shell's that wants an answer; the shell numbers them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// An opening under way; the node numbers them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);

/// Who began a conversation. The dialling side leads a repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// This node dialled.
    Dialled,
    /// The peer dialled.
    Answered,
}

/// What a person wants done.
#[derive(Clone, Debug)]
pub struct Request {
    /// On which document.
    pub target: Target,
    /// The entry's id, drawn where the entry was made: asking twice with one id writes once.
    pub entry: EntryId,
    /// Who asks.
    pub by: By,
    /// What.
    pub command: Command,
}

/// A person's wish that a case be carried on at another site.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Which case.
    pub document: DocumentId,
    /// The site that hands it over.
    pub from: SiteId,
    /// The site that takes it on.
    pub to: SiteId,
    /// Why.
    pub reason: TransferReason,
    /// Who asks.
    pub by: By,
}

/// Which document a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One that is here.
    Document(DocumentId),
    /// One that the command opens, to be placed in these scopes. Its id follows from the command:
    /// a session's from where and when it is held, a case's from the entry's id.
    New(Vec<ScopeId>),
}

/// What can happen to a node. A node learns of nothing else.
#[derive(Debug)]
pub enum Input {
    /// A conversation has begun with a peer whose key the transport has proved.
    LinkUp {
        /// Its number.
        link: LinkId,
        /// The key that the peer proved to hold.
        peer: PublicKey,
        /// Who began it.
        side: Side,
    },
    /// A conversation has ended, for whatever reason.
    LinkDown {
        /// Its number.
        link: LinkId,
    },
    /// A frame has come, and was verified on its way in.
    Frame {
        /// On which conversation.
        link: LinkId,
        /// What it says.
        frame: VerifiedFrame,
    },
    /// A person asks for something.
    Command {
        /// Where the answer goes.
        ticket: Ticket,
        /// What is asked.
        request: Box<Request>,
    },
    /// A person transfers a case to another site.
    Transfer {
        /// Where the answer goes.
        ticket: Ticket,
        /// What is asked.
        transfer: Box<Transfer>,
    },
    /// An opening has ended.
    Opened {
        /// Which.
        job: JobId,
        /// How.
        opened: Opened,
    },
    /// The authority has made a statement; only at the centre.
    Stated {
        /// Where the answer goes.
        ticket: Ticket,
        /// The statement, verified like any other.
        statement: VerifiedStatement,
    },
    /// Somebody wants to see a document: what was never opened of it is opened first of all.
    Want(DocumentId),
    /// An operator wants what was set aside to be taken up again.
    TryAgain,
    /// The shell has something to have kept or done.
    Errand {
        /// Where the answer goes.
        ticket: Ticket,
        /// What.
        errand: Errand,
    },
    /// The shell is stopping: nothing is opened any more that nobody waits for.
    Stop,
    /// Time has passed: the moment a node asked to be woken at, or any other.
    Wake,
}
