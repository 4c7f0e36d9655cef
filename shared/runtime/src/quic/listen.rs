//! Listening: who is let in, how many at once, and how long each phase may take.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex},
    time::Instant,
};

use node::{
    Side,
    names::{DeviceId, Reason},
    protocol::signed::device_id,
};
use quinn::{Endpoint, Incoming};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{admitted, close, narrow, strikes::Strikes, talk::converse, why};
use crate::{
    enrol::{Redeem, receive},
    hub::{Hub, lock},
    limits::{
        ENROLMENTS_MAX, HANDSHAKE_MAX, HANDSHAKES_MAX, HANDSHAKES_TRUSTING, LINKS_MAX,
        NARROW_PER_DEVICE_MAX, NARROW_PLACES_MAX, NARROW_TALK_MAX, STRANGERS_MAX,
        STRANGERS_PER_ADDRESS_MAX,
    },
    tls::Admitted,
};

/// Places that callers take.
struct Places {
    handshakes: Arc<Semaphore>,
    links: Arc<Semaphore>,
    strangers: Arc<Strangers>,
    narrow: Arc<Narrow>,
    enrolments: Arc<Semaphore>,
    strikes: Strikes,
}

/// Devices on the narrow protocol, and how often: they are known, so they take no stranger's place,
/// and none of them takes all.
#[derive(Debug, Default)]
struct Narrow(Mutex<BTreeMap<DeviceId, usize>>);

/// The place of one such device, for as long as this lives.
#[derive(Debug)]
struct Narrowed {
    among: Arc<Narrow>,
    device: DeviceId,
}

impl Narrow {
    /// A place for a device, if it may have another and there is any.
    fn enter(self: &Arc<Narrow>, device: DeviceId) -> Option<Narrowed> {
        let mut here = lock(&self.0);
        let (all, own) = (here.values().sum::<usize>(), here.get(&device).copied());
        let own = own.unwrap_or(0);
        if all >= NARROW_PLACES_MAX || own >= NARROW_PER_DEVICE_MAX {
            return None;
        }
        here.insert(device, own + 1);
        Some(Narrowed {
            among: Arc::clone(self),
            device,
        })
    }
}

impl Drop for Narrowed {
    fn drop(&mut self) {
        let mut here = lock(&self.among.0);
        match here.get_mut(&self.device) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => {
                here.remove(&self.device);
            }
        }
    }
}

/// Callers without a certificate, by where they call from.
#[derive(Debug, Default)]
struct Strangers(Mutex<BTreeMap<IpAddr, usize>>);

/// The place of one such caller, for as long as this lives.
#[derive(Debug)]
struct Stranger {
    among: Arc<Strangers>,
    origin: IpAddr,
}

impl Strangers {
    /// A place for one more, if there is any.
    fn enter(self: &Arc<Strangers>, address: IpAddr) -> Option<Stranger> {
        let origin = origin(address);
        let mut here = lock(&self.0);
        if here.values().sum::<usize>() >= STRANGERS_MAX {
            return None;
        }
        let same = here.entry(origin).or_default();
        if *same >= STRANGERS_PER_ADDRESS_MAX {
            return None;
        }
        *same += 1;
        Some(Stranger {
            among: Arc::clone(self),
            origin,
        })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut here = lock(&self.among.0);
        let left = here.get(&self.origin).map_or(0, |same| same - 1);
        if left == 0 {
            here.remove(&self.origin);
        } else {
            here.insert(self.origin, left);
        }
    }
}

/// Whoever has an IPv6 network has all of its addresses, so a network counts as one.
fn origin(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6(Ipv6Addr::from(u128::from(six) >> 64 << 64)),
        },
    }
}

/// By what callers are judged.
#[derive(Clone)]
pub(crate) struct Gate {
    /// The certificate of the authority.
    pub(crate) ca: Arc<[u8]>,
    /// Who makes devices known, and answers those that are let in nowhere else.
    pub(crate) authority: Arc<dyn Redeem>,
}

/// Lets callers in until the endpoint is closed.
pub(crate) async fn listen(endpoint: Endpoint, hub: Arc<Hub>, gate: Gate) {
    let places = Arc::new(Places {
        handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        links: Arc::new(Semaphore::new(LINKS_MAX)),
        strangers: Arc::default(),
        narrow: Arc::default(),
        enrolments: Arc::new(Semaphore::new(ENROLMENTS_MAX)),
        strikes: Strikes::default(),
    });
    while let Some(incoming) = endpoint.accept().await {
        let busy = HANDSHAKES_MAX - places.handshakes.available_permits();
        if busy >= HANDSHAKES_TRUSTING && !incoming.remote_address_validated() {
            // Whoever cannot be reached at the address it claims costs nothing more than this.
            let _ = incoming.retry();
            continue;
        }
        let Ok(place) = Arc::clone(&places.handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (hub, gate, places) = (Arc::clone(&hub), gate.clone(), Arc::clone(&places));
        tokio::spawn(async move { let_in(incoming, place, &places, &hub, gate).await });
    }
}

async fn let_in(
    incoming: Incoming,
    place: OwnedSemaphorePermit,
    places: &Places,
    hub: &Arc<Hub>,
    gate: Gate,
) {
    let connection = match timeout(HANDSHAKE_MAX, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::info!(why = why(&error), "a caller was not let in");
            return;
        }
        Err(_) => {
            tracing::info!("a caller's handshake took too long");
            return;
        }
    };
    drop(place);
    let kind = match admitted(&connection, Some(&gate.ca)) {
        Ok(kind) => kind,
        Err(error) => {
            tracing::info!(%error, "a caller was not let in");
            close(&connection, error.reason());
            return;
        }
    };
    match kind {
        Admitted::Node(peer) if hub.directory().is_revoked(&device_id(&peer)) => {
            tracing::info!(device = %device_id(&peer), "a revoked device was not let in");
            close(&connection, Reason::Revoked);
        }
        Admitted::Node(peer) if places.strikes.is_barred(&device_id(&peer), Instant::now()) => {
            close(&connection, Reason::Barred);
        }
        Admitted::Node(peer) => {
            let Ok(_place) = Arc::clone(&places.links).try_acquire_owned() else {
                close(&connection, Reason::Busy);
                return;
            };
            let ended = converse(&connection, peer, Side::Answered, hub).await;
            let device = device_id(&peer);
            if ended.is_breach && places.strikes.note(device, Instant::now()) {
                tracing::warn!(%device, "a device breaks the rules again and again: it is barred");
                hub.abort_links(Some(device), Reason::Barred);
            }
            close(&connection, ended.reason);
        }
        Admitted::Narrow(peer) => {
            let Some(_place) = places.narrow.enter(device_id(&peer)) else {
                close(&connection, Reason::Busy);
                return;
            };
            let served = narrow::serve(&connection, peer, hub, &gate.authority);
            let _ = timeout(NARROW_TALK_MAX, served).await;
            close(&connection, Reason::Stopping);
        }
        Admitted::Enrol => {
            let Some(_place) = places.strangers.enter(connection.remote_address().ip()) else {
                close(&connection, Reason::Busy);
                return;
            };
            receive(connection, gate.authority, Arc::clone(&places.enrolments)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_device_takes_all_places_of_the_narrow_protocol() {
        let narrow = Arc::new(Narrow::default());
        let device = |number: usize| DeviceId((number as u128).to_be_bytes());
        let mut own: Vec<_> = (0..NARROW_PER_DEVICE_MAX)
            .map(|_| narrow.enter(device(0)))
            .collect();
        assert!(own.iter().all(Option::is_some) && narrow.enter(device(0)).is_none());
        own.pop();
        assert!(narrow.enter(device(0)).is_some(), "one has gone");
        let others = (1..=NARROW_PLACES_MAX).filter_map(|number| narrow.enter(device(number)));
        let others: Vec<_> = others.collect();
        assert_eq!(others.len() + own.len(), NARROW_PLACES_MAX);
        drop((own, others));
        assert!(lock(&narrow.0).is_empty());
    }

    #[test]
    fn one_stranger_does_not_take_all_places() {
        let strangers = Arc::new(Strangers::default());
        let here = IpAddr::from([192, 0, 2, 1]);
        let mut inside: Vec<_> = (0..STRANGERS_PER_ADDRESS_MAX)
            .map(|_| strangers.enter(here))
            .collect();
        assert!(inside.iter().all(Option::is_some));
        assert!(strangers.enter(here).is_none());
        let six = |last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        assert_eq!(origin(six(1)), origin(six(2)));
        assert!(strangers.enter(six(1)).is_some());
        inside.pop();
        assert!(strangers.enter(here).is_some());
        drop(inside);
        assert!(lock(&strangers.0).is_empty());
    }
}
