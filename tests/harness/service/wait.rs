//! Time on this machine, and waiting for something to become true: the one place of these tests
//! that pauses.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use names::Moment;

/// Between two looks. Short against everything that is waited for, long against a look.
const PAUSE: Duration = Duration::from_millis(10);

/// This machine's present moment, as its nodes see it too.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Moment(i64::try_from(ms).unwrap_or(i64::MAX))
}

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
