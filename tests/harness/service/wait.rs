//! Waiting for something to become true: the one place of these tests that pauses.

use std::time::{Duration, Instant};

/// Between two looks. Short against everything that is waited for, long against a look.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something to be seen; `None` when `at_most` has passed.
pub fn until<T>(at_most: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + at_most;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks until a condition holds.
///
/// # Errors
/// When it does not within `at_most`; `what` names it, and the last look says what was seen.
pub fn for_it<T>(
    what: &str,
    at_most: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let mut last = String::new();
    let seen = until(at_most, || look().map_err(|seen| last = seen).ok());
    seen.ok_or_else(|| format!("{what}: not within {} s: {last}", at_most.as_secs()))
}
