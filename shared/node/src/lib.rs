//! One node taking turns: the place where *meaning* and *bytes* meet.
//!
//! [`Node`] is a state machine without IO, clock or chance of its own. A shell (a thread natively,
//! a worker in the browser, the simulator in tests) drives it:
//!
//! 1. Whatever comes from a peer goes through [`Verifier::frame`], on any thread. What is not
//!    verified cannot be handed to a node: the types have no other constructor.
//! 2. Inputs wait in an [`Inbox`]; [`Inbox::next_turn`] gives a bounded batch, people first.
//! 3. [`Node::turn`] decides all of them, commits once, and answers what to do. Whatever it
//!    answers is already on disk. If it answers an error, the node is dead: the shell drops it
//!    with its links and openers, and opens the store again.
//! 4. The shell does what was answered: sends, closes, opens documents with an [`Opener`] (on a
//!    snapshot taken after the turn) and hands [`Opened`] back as an input.
//!
//! Nothing here reads a clock, draws a number, opens a socket or starts a thread. Reads do not
//! queue behind turns: [`Node::snapshot`] and [`views`] serve them.

mod admit;
pub mod backup;
mod backups;
mod branch;
pub mod bundle;
mod check;
mod compare;
mod copies;
mod desk;
mod draft;
pub mod errand;
mod exact;
mod except;
mod fold;
mod gather;
mod greet;
mod held;
mod inbox;
mod input;
mod lines;
mod link;
mod load;
mod logs;
mod node;
mod opener;
mod outbox;
mod output;
mod packing;
mod placing;
mod progress;
mod recount;
mod repair;
pub mod review;
mod rows;
mod scopes;
mod send;
mod standing;
mod summaries;
mod transfer;
mod trying;
mod turn;
mod verify;
pub mod views;

pub use backup::{Piece, VerifiedPiece};
pub use check::{Checked, check};
pub use errand::{Errand, Ran};
pub use inbox::Inbox;
pub use input::{Input, JobId, LinkId, Request, Side, Target, Ticket, Transfer};
pub use node::{Identity, Node};
pub use opener::{DocumentView, Job, Opened, Opener};
pub use output::{Lane, NotDone, Notice, Output, Saved, Transferred};
pub use progress::Progress;
pub use recount::Recount;
pub use verify::{VerifiedBundle, VerifiedFrame, VerifiedPlacement, VerifiedStatement, Verifier};

// The shell speaks these crates' words without depending on them itself.
pub use domain;
pub use names;
pub use protocol;
pub use store;

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]
mod tests;
