//! The merge rules, as types.
//!
//! Every one of them is a set of rows that only grows, read by a pure function: adding rows in
//! any order, adding one twice, and joining two sets in any order give the same set, so nodes
//! that hold the same entries read the same. Nothing here ever removes a row.
//!
//! A row may list the rows it has *seen*. Only what a row has seen can it replace or cover. The
//! clock of a row is shown and never picks a winner.
//!
//! | rule | reads as |
//! |---|---|
//! | [`EntryLog`] | everything, side by side |
//! | [`MultiValue`] | every value that no other has seen |
//! | [`ProtectiveSet`] | every raise that no clearing review has seen, or that one kept apart |
//! | [`Workflow`] | the standing statuses; the most protective operates |
//! | [`Ledger`] | the sum of signed amounts |
//! | [`Sealed`] | every version that no other replaces |
//! | [`Prose`] | a text merged by its characters elsewhere, and who edited it |
//! | [`Lww`] | fields merged elsewhere, and every value they had |
//! | [`Derived`] | what is computed on reading and never merged |

mod derived;
mod ledger;
mod links;
mod log;
mod lww;
mod multi_value;
mod prose;
mod protective;
mod sealed;
mod workflow;

pub use derived::Derived;
pub use ledger::{Ledger, Line, Reversal};
pub use links::Links;
pub use log::{EntryLog, Made, Row};
pub use lww::Lww;
pub use multi_value::{MultiValue, Said};
pub use prose::{Edited, Prose};
pub use protective::{Fact, ProtectiveSet, Weighed};
pub use sealed::Sealed;
pub use workflow::{Stage, Weighed as WeighedStatus, Workflow};
