//! How a case or a session is written down, and read back.
//!
//! A document of ours is an Automerge document that begins with a fixed change and to which people
//! add *entries* (immutable, each with an id of its own), set plain fields and edit one text.
//! What the entries mean together is `domain`'s business: nothing here decides a conflict.
//!
//! This crate knows no peer, no store, no clock and no chance. Bytes that a peer sent are judged
//! by [`preflight`] before Automerge sees them, and Automerge itself is kept behind a guard.

mod authors;
mod branch;
mod compacted;
pub mod derived;
pub mod genesis;
mod guard;
mod history;
mod open;
pub mod packed;
mod past;
mod perform;
pub mod preflight;
mod read;
mod schema;
mod settle;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod write;

pub use authors::Stretch;
pub use branch::{Rewriting, Rewritten};
pub use compacted::COMPACTED_BYTES_MAX;
pub use open::Document;
pub use perform::{Performed, perform};
