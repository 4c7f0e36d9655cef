//! All that a node can ask of its shell. Nothing here is handed out before the turn that decided
//! it is on disk.

use domain::Refusal;
use names::{ChangeHash, DeviceId, DocumentId, EntryId, Moment, Reason, ScopeId};
use protocol::{directory::Statement, placement::PlacementId};

use crate::{
    errand::Ran,
    input::{LinkId, Ticket},
    opener::Job,
    rows::Copied,
};

/// Which stream of a conversation a frame goes by. Frames of one lane stay in order; lanes do not
/// wait for one another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Greetings, tables, acknowledgements, proofs.
    Control,
    /// What people write now.
    Live,
    /// What was missed.
    Fill,
}

/// A command that was carried out and is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saved {
    /// The document it was about.
    pub document: DocumentId,
    /// The entry's id.
    pub entry: EntryId,
    /// The change that carries it; `None` when it had been recorded before.
    pub change: Option<ChangeHash>,
}

/// A transfer that was made and is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transferred {
    /// The case.
    pub document: DocumentId,
    /// The placement that hands it over.
    pub placement: PlacementId,
    /// Entries written here that the centre has not yet said it holds.
    pub waiting: u64,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum NotDone {
    /// The rules of the service do not allow it.
    Refused(Refusal),
    /// The node could not, for a reason of its own.
    Reason(Reason),
}

/// Something an operator may want to know. Holds no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something of a peer's was not taken.
    Refused {
        /// On which conversation.
        link: LinkId,
        /// Why.
        reason: Reason,
    },
    /// Something of ours was not taken by a peer.
    Declined {
        /// On which conversation.
        link: LinkId,
        /// Of which document.
        document: DocumentId,
        /// Why.
        reason: Reason,
    },
    /// Both sides of a scope were found equal.
    Equal {
        /// With whom.
        link: LinkId,
        /// Which scope.
        scope: ScopeId,
        /// Documents in it.
        documents: u64,
        /// Documents in which they go on to differ, because one side refuses something of them.
        except: usize,
    },
    /// The cursors' hint was not enough, and an exact comparison has begun.
    Repairing {
        /// With whom.
        link: LinkId,
        /// Which scope.
        scope: ScopeId,
    },
    /// The exact comparison has named the documents that differ.
    Differing {
        /// With whom.
        link: LinkId,
        /// Which scope.
        scope: ScopeId,
        /// How many.
        documents: u64,
    },
    /// The directories of both sides have been merged, so that what the peer knew is known here.
    Heard {
        /// On which conversation.
        link: LinkId,
        /// The peer.
        device: DeviceId,
    },
    /// A peer's store came back from an older copy, or runs twice: a person should know.
    Copied {
        /// Whose.
        device: DeviceId,
        /// Which of both.
        how: Copied,
    },
    /// A document could not be opened, or not wholly.
    Unreadable {
        /// Which.
        document: DocumentId,
        /// Why.
        reason: Reason,
    },
}

/// What a node asks of its shell.
#[derive(Debug)]
pub enum Output {
    /// Send a frame.
    Send {
        /// On which conversation.
        link: LinkId,
        /// By which stream.
        lane: Lane,
        /// Its bytes.
        frame: Vec<u8>,
    },
    /// End a conversation; what was sent before may still go out.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        reason: Reason,
    },
    /// Open a document, off the turn, and answer with [`Input::Opened`](crate::Input::Opened).
    Open(Job),
    /// Forget what is held open of a document: something decided on it was not kept.
    Forget(DocumentId),
    /// A command has been carried out, or not.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// How it went.
        result: Result<Saved, NotDone>,
    },
    /// A transfer has been made, or not.
    Transferred {
        /// Whose.
        ticket: Ticket,
        /// How it went.
        result: Result<Transferred, NotDone>,
    },
    /// The authority is to say this; only at the centre. Asked once in an opening, and again in the
    /// next one as long as it was not said.
    Rule(Box<Statement>),
    /// A statement has been kept, or not.
    Stated {
        /// Whose.
        ticket: Ticket,
        /// How it went.
        result: Result<(), Reason>,
    },
    /// An errand has been run, or not.
    Ran {
        /// Whose.
        ticket: Ticket,
        /// How it went.
        result: Result<Ran, Reason>,
    },
    /// Something an operator may want to know.
    Notice(Notice),
    /// Take a turn with [`Input::Wake`](crate::Input::Wake) at this moment, if not sooner.
    WakeAt(Moment),
}
