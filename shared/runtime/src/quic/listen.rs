//! Listening: who is let in, how many at once, and how long each phase may take.

use std::sync::Arc;

use node::{Side, names::Reason};
use quinn::{Endpoint, Incoming};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{admitted, close, talk::converse, why};
use crate::{
    enrol::{Redeem, receive},
    hub::Hub,
    limits::{ENROLMENTS_MAX, HANDSHAKE_MAX, HANDSHAKES_MAX, HANDSHAKES_TRUSTING, LINKS_MAX},
    tls::Admitted,
};

/// Places that callers take.
struct Places {
    handshakes: Arc<Semaphore>,
    links: Arc<Semaphore>,
    enrolments: Arc<Semaphore>,
}

/// Lets callers in until the endpoint is closed.
pub(crate) async fn listen(endpoint: Endpoint, hub: Arc<Hub>, enrol: Arc<dyn Redeem>) {
    let places = Arc::new(Places {
        handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        links: Arc::new(Semaphore::new(LINKS_MAX)),
        enrolments: Arc::new(Semaphore::new(ENROLMENTS_MAX)),
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
        let (hub, enrol, places) = (Arc::clone(&hub), Arc::clone(&enrol), Arc::clone(&places));
        tokio::spawn(async move { let_in(incoming, place, &places, &hub, enrol).await });
    }
}

async fn let_in(
    incoming: Incoming,
    place: OwnedSemaphorePermit,
    places: &Places,
    hub: &Arc<Hub>,
    enrol: Arc<dyn Redeem>,
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
    let kind = match admitted(&connection) {
        Ok(kind) => kind,
        Err(error) => {
            tracing::info!(%error, "a caller was not let in");
            close(&connection, Reason::NotAllowed);
            return;
        }
    };
    let places = match kind {
        Admitted::Node(_) => &places.links,
        Admitted::Enrol => &places.enrolments,
    };
    let Ok(_place) = Arc::clone(places).try_acquire_owned() else {
        close(&connection, Reason::Busy);
        return;
    };
    match kind {
        Admitted::Node(peer) => converse(connection, peer, Side::Answered, hub).await,
        Admitted::Enrol => receive(connection, enrol).await,
    }
}
