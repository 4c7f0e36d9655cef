//! What a node must be handed because it has none of its own: the time, and chance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node::names::Moment;

/// What the clock of this machine says. It may be wrong; nobody decides anything by it but when
/// to look again.
pub fn now() -> Moment {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Bytes that nobody can foresee.
///
/// # Panics
/// When the operating system has none to give: nothing that this program does would be safe then.
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills a buffer with such bytes; what a sealed store draws its nonces with.
///
/// # Panics
/// As [`entropy`].
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// How long until `then`, and no longer than `at_most`.
pub(crate) fn until(then: Moment, at_most: Duration) -> Duration {
    let left = then.0.saturating_sub(now().0).max(0);
    Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_both_ways() {
        let most = Duration::from_secs(30);
        assert_eq!(until(Moment(0), most), Duration::ZERO);
        assert_eq!(until(Moment(i64::MAX), most), most);
        let soon = until(now().plus_ms(5_000), most);
        assert!(soon > Duration::from_secs(4) && soon <= Duration::from_secs(5));
    }

    #[test]
    fn chance_does_not_repeat() {
        assert_ne!(entropy::<32>(), entropy::<32>());
    }
}
