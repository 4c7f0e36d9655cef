//! A fence round Automerge, which panics on some changes it should refuse.
//!
//! What runs inside may leave its document half altered when it fails: whoever calls must throw
//! that document away. A build that aborts on a panic (as in a browser) has no such fence; there
//! the *trying* mark of whoever opens the document sets it aside after some falls. Neither an abort
//! nor running out of memory can be caught anywhere.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something inside failed, or panicked; what it said is dropped, because it may quote people.
/// (The standard library prints a panic's words before anybody can catch it: whoever has threads
/// that open documents must see to it that they are not, as the programs do.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Failed;

/// Runs `work`; a panic in it is a failure like any other.
pub(crate) fn guard<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Failed> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(Failed),
    }
}
