//! Why a bench could not be carried out: words, since only a person reads them.

use std::fmt::Debug;

/// What something came to, or why it failed.
pub(crate) type Outcome<T> = Result<T, String>;

/// Puts what was being done before an error.
pub(crate) fn failed<E: Debug>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error:?}")
}

/// Fails with these words unless something holds.
///
/// # Errors
/// When it does not.
pub(crate) fn must(holds: bool, words: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(words()) }
}
