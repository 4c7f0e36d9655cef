//! Dialling: from address to address, again and again, never in step with others.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use node::{Side, names::Reason};
use quinn::{Connection, Endpoint};
use tokio::{net::lookup_host, time::timeout};

use super::{Consult, admitted, bind_client, close, talk::converse, why};
use crate::{
    hub::{Hub, Life, lock},
    limits::{BACKOFF_MAX, BACKOFF_MIN, BACKOFF_RESET, HANDSHAKE_MAX, RESOLVE_MAX, RESOLVED_MAX},
    shell,
    tls::{Admitted, centre_name},
};

/// How long to wait before the next attempt after `failures` in a row: twice as long each time,
/// up to a bound, and spread evenly over the upper half, so that those who lost the same centre
/// do not come back at the same moment.
fn backoff(failures: u32, chance: u64) -> Duration {
    let whole = BACKOFF_MIN
        .saturating_mul(1 << failures.min(16))
        .min(BACKOFF_MAX);
    let half = whole / 2;
    let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(chance % spread)
}

/// What dials: one socket per family of addresses, opened when first needed.
#[derive(Debug)]
pub(crate) struct Dialler {
    config: Mutex<quinn::ClientConfig>,
    endpoints: Mutex<[Option<Endpoint>; 2]>,
}

impl Dialler {
    pub(crate) fn new(config: quinn::ClientConfig) -> Dialler {
        Dialler {
            config: Mutex::new(config),
            endpoints: Mutex::default(),
        }
    }

    /// Dials with another certificate from now on.
    pub(crate) fn reconfigure(&self, config: quinn::ClientConfig) {
        *lock(&self.config) = config;
    }

    /// Tries the addresses in turn until one answers; or why none did, for a log.
    pub(crate) async fn dial(&self, addresses: &[String]) -> Result<Connection, &'static str> {
        let mut refused = "there is no address to dial";
        for address in addresses {
            let resolved = timeout(RESOLVE_MAX, lookup_host(address.as_str())).await;
            let Ok(Ok(resolved)) = resolved else {
                refused = "the address could not be resolved";
                continue;
            };
            for target in resolved.take(RESOLVED_MAX) {
                match self.dial_one(target).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => refused = error,
                }
            }
        }
        Err(refused)
    }

    async fn dial_one(&self, target: SocketAddr) -> Result<Connection, &'static str> {
        let endpoint = self.endpoint(target).ok_or("no socket could be opened")?;
        let connecting = endpoint.connect_with(lock(&self.config).clone(), target, centre_name());
        let connecting = connecting.map_err(|_| "the address cannot be dialled")?;
        match timeout(HANDSHAKE_MAX, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err("nobody answers"),
        }
    }

    fn endpoint(&self, target: SocketAddr) -> Option<Endpoint> {
        let mut endpoints = lock(&self.endpoints);
        let [four, six] = &mut *endpoints;
        let slot = if target.is_ipv4() { four } else { six };
        if slot.is_none() {
            *slot = bind_client(target).ok();
        }
        slot.clone()
    }

    /// The sockets, to be closed and waited for.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        lock(&self.endpoints).iter().flatten().cloned().collect()
    }
}

/// Keeps one conversation with the centre until the node stops. A dial that is under way then is
/// given up.
pub(crate) async fn keep_dialling(
    dialler: Arc<Dialler>,
    centre: Vec<String>,
    hub: Arc<Hub>,
    consult: Arc<Consult>,
) {
    let mut life = hub.life.subscribe();
    let mut failures: u32 = 0;
    while hub.is_running() {
        let dialled = tokio::select! {
            dialled = dialler.dial(&centre) => dialled,
            _ = life.wait_for(|life| *life != Life::Running) => return,
        };
        let lasted = match dialled {
            Ok(connection) => talk(connection, &hub, &consult).await,
            Err(error) => {
                tracing::info!(failures, error, "the centre is not reached");
                hub.note_dial(Some(error));
                Duration::ZERO
            }
        };
        failures = failures_after(failures, lasted);
        let chance = u64::from_le_bytes(shell::entropy());
        let wait = backoff(failures.saturating_sub(1), chance);
        // Either the wait is over, or there is nothing to wait for any more.
        let _ = timeout(wait, life.wait_for(|life| *life != Life::Running)).await;
    }
}

/// Holds the conversation that a dial began; answers how long it lasted. When the centre ends it
/// because of what this device is, the device asks how it stands.
async fn talk(connection: Connection, hub: &Arc<Hub>, consult: &Consult) -> Duration {
    let began = Instant::now();
    let ended = match admitted(&connection, None) {
        Ok(Admitted::Node(peer)) => {
            hub.note_dial(None);
            let ended = converse(&connection, peer, Side::Dialled, hub).await;
            close(&connection, ended.reason);
            ended.why
        }
        Ok(Admitted::Narrow(_) | Admitted::Enrol) | Err(_) => {
            tracing::warn!("the centre shows no certificate");
            "the centre shows no certificate"
        }
    };
    hub.note_dial(Some(ended));
    let lasted = began.elapsed();
    if [Reason::Revoked, Reason::Expired]
        .map(Reason::name)
        .contains(&ended)
    {
        consult.ask().await;
    }
    lasted
}

/// Failures in a row after a conversation that lasted so long. A dial that took long is no
/// conversation: where nobody answers every dial takes long, and the wait must grow all the same.
fn failures_after(failures: u32, lasted: Duration) -> u32 {
    if lasted >= BACKOFF_RESET {
        0
    } else {
        failures.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_conversation_makes_the_wait_short_again() {
        assert_eq!(failures_after(3, Duration::ZERO), 4);
        assert_eq!(failures_after(u32::MAX, Duration::ZERO), u32::MAX);
        assert_eq!(failures_after(3, BACKOFF_RESET), 0);
    }

    #[test]
    fn waits_grow_to_a_bound_and_are_spread() {
        for (failures, whole) in [(0, 500), (1, 1_000), (4, 8_000), (7, 60_000), (900, 60_000)] {
            let whole = Duration::from_millis(whole);
            let waits = (0..1_000).map(|chance| backoff(failures, chance * 7_919));
            let (least, most) = waits
                .fold((Duration::MAX, Duration::ZERO), |(least, most), wait| {
                    (least.min(wait), most.max(wait))
                });
            assert!(
                least >= whole / 2 && most < whole,
                "{failures}: {least:?} to {most:?}"
            );
            assert!(
                most - least > whole / 4,
                "{failures}: {least:?} to {most:?}"
            );
        }
    }
}
