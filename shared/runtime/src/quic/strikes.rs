//! Devices that broke the rules of the conversation: who does so three times is not listened to for
//! a while. It still costs a handshake to find out who calls, but no turn and no place among those
//! that are let in.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use node::names::DeviceId;

use crate::hub::lock;

/// Breaches until a device is barred. One may be a broken machine's accident.
const STRIKES_MAX: u32 = 3;
/// How long a device is barred, and how long a breach is remembered (`reference/reliability.md`,
/// H2). In memory only: a restart forgives.
const BARRED: Duration = Duration::from_secs(600);

/// Who broke the rules, how often, and when last. Only devices with a certificate get here, so there
/// are no more than the directory has.
#[derive(Debug, Default)]
pub(super) struct Strikes(Mutex<BTreeMap<DeviceId, (u32, Instant)>>);

impl Strikes {
    /// Notes a breach; answers whether the device is barred from now on.
    pub(super) fn note(&self, device: DeviceId, now: Instant) -> bool {
        let mut struck = lock(&self.0);
        struck.retain(|_, (_, last)| now.duration_since(*last) < BARRED);
        let (count, last) = struck.entry(device).or_insert((0, now));
        (*count, *last) = (*count + 1, now);
        *count >= STRIKES_MAX
    }

    /// Whether a device is barred.
    pub(super) fn is_barred(&self, device: &DeviceId, now: Instant) -> bool {
        let struck = lock(&self.0);
        let known = struck.get(device);
        known.is_some_and(|(count, last)| {
            *count >= STRIKES_MAX && now.duration_since(*last) < BARRED
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: DeviceId = DeviceId([1; 16]);
    const GOOD: DeviceId = DeviceId([2; 16]);

    #[test]
    fn a_device_is_barred_for_its_third_breach_and_for_a_while() {
        let (strikes, begun) = (Strikes::default(), Instant::now());
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert!(!strikes.note(BAD, at(0)) && !strikes.note(BAD, at(1)));
        assert!(!strikes.is_barred(&BAD, at(2)));
        assert!(strikes.note(BAD, at(2)));
        assert!(strikes.is_barred(&BAD, at(3)) && strikes.is_barred(&BAD, at(601)));
        assert!(!strikes.is_barred(&GOOD, at(3)), "nobody else");
        assert!(!strikes.is_barred(&BAD, at(602)));
        // What is over is forgotten: it begins from nothing.
        assert!(!strikes.note(BAD, at(603)));
        assert_eq!(lock(&strikes.0).len(), 1);
    }

    #[test]
    fn breaches_far_apart_bar_nobody() {
        let (strikes, begun) = (Strikes::default(), Instant::now());
        for number in 0..20 {
            let now = begun + BARRED * number;
            assert!(!strikes.note(BAD, now), "breach {number}");
        }
    }
}
