//! What a case and a session *are*: entries, the rules by which they merge, what a person may
//! ask and what is refused.
//!
//! Everything a person does is one immutable [`Entry`]. A document is the set of its entries
//! (plus a text and some low-harm fields that are merged elsewhere); [`State::fold`] reads that
//! set with the named rules of [`merge`], and [`decide()`] turns a person's [`Command`] into new
//! entries or a [`Refusal`]. Both are pure: the order in which entries arrived, repeated arrival
//! and who holds a copy change nothing about what is read.
//!
//! Causality is explicit. An act that replaces, reviews or settles something lists the entries
//! it has *seen*; nothing here looks at a clock to find out which of two entries is newer.
//! Moments are shown, never compared to pick a winner.
//!
//! This crate knows no document format, no peer, no disk, no clock and no chance.

mod attender;
mod case;
mod code;
mod command;
mod conflict;
mod decide;
mod entry;
mod flaw;
mod measure;
pub mod merge;
mod nhs;
mod refusal;
mod role;
mod rules;
mod session;
mod state;
mod summary;
mod text;
mod time;
mod unread;
mod view;

pub use attender::Attender;
pub use case::{Activity, Case, Completion, Correction, Note, Opening, Outcome, Raise, Task};
pub use code::{
    AlertCode, Attendance, ChecklistItem, ContactMode, Field, Instrument, OutcomePoint,
    SessionForm, Slot, Status, Theme, UnknownCode,
};
pub use command::{By, Command, Edits, Splice, Typing, Writing};
pub use conflict::{Conflict, Subject, Version};
pub use decide::decide;
pub use entry::{Act, Entry};
pub use flaw::{Flaw, FlawAt};
pub use measure::swemwbs_metric;
pub use nhs::{NhsNumber, NhsProblem};
pub use refusal::Refusal;
pub use role::{Power, Role};
pub use rules::{RULES, Rule, RuleRow};
pub use session::{Attended, Cash, Marked, Opening as SessionOpening, Plan, Session, Times};
pub use state::State;
pub use summary::{AlertReview, SUMMARY_VERSION, Summary, TaskRow};
pub use text::Text;
pub use time::{Day, InvalidTime, TimeOfDay};
pub use unread::Unread;
