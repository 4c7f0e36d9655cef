//! What a device learns when the centre does not take it, or is not there.

use node::{
    Saved,
    names::DeviceId,
    protocol::narrow::PurgeReceipt,
    store::{Batch, Store as _, Table},
};

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Waits until an edge says why it does not reach the centre, in words that hold these.
async fn says(edge: &Running, words: &str) {
    until(words, async || {
        let said = edge.handle().unreached();
        said.is_some_and(|unreached| unreached.why.contains(words))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_says_why_the_centre_does_not_take_it() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    assert!(organisation.handle.set(centre.handle()).is_ok());
    let issued = |days: i64| {
        let mut material = organisation.edge();
        let at = shell::now().plus_ms(days * DAY_MS);
        let issued = organisation.ca.issue_device(&material.device.public(), at);
        material.chain = vec![issued.unwrap()];
        material
    };
    let mut other = Organisation::new().edge();
    other.ca = organisation.ca.certificate().to_vec();
    let edge = edge_of(other, &centre).await;
    says(&edge, "another organisation").await;
    edge.stop().await;
    // One whose time has passed, or not come, gets another certificate over it.
    for days in [-500, 10] {
        let material = issued(days);
        organisation.tell_all().await;
        let edge = edge_of(material, &centre).await;
        let soon = shell::now().plus_ms(50 * DAY_MS);
        until("another certificate", async || {
            let ends = edge.handle().certificate_ends();
            ends.is_some_and(|ends| ends > soon)
        })
        .await;
        until("a conversation", async || !edge.handle().links().is_empty()).await;
        edge.stop().await;
    }
    let edge = edge_of(organisation.edge(), &centre).await;
    until("a conversation", async || !edge.handle().links().is_empty()).await;
    assert_eq!(edge.handle().unreached(), None);
    // It said "stopping", as if the edge itself were about to. The wait before it dials again may be
    // drawn so short that what that dial met is said already.
    centre.stop().await;
    until("a word of the end", async || {
        edge.handle().unreached().is_some()
    })
    .await;
    let said = edge.handle().unreached().map(|unreached| unreached.why);
    assert!(
        said.is_some_and(|why| !why.contains("stopping")),
        "{said:?}"
    );
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_centre_that_is_not_there() {
    // Nobody reads what comes here.
    let silent = std::net::UdpSocket::bind(anywhere()).unwrap();
    let role = Role::Edge {
        centre: vec![silent.local_addr().unwrap().to_string()],
    };
    let edge = start(Config {
        store: MemoryStore::default(),
        material: Organisation::new().edge(),
        role,
    })
    .await
    .unwrap();
    // The dial is under way once something has come.
    let dialled = tokio::task::spawn_blocking(move || silent.recv(&mut [0; 2_048]).map(|_| silent));
    let _silent = timeout(LONG, dialled).await.unwrap().unwrap().unwrap();
    let began = Instant::now();
    edge.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "a stop took {:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_hands_in_what_it_never_sent_and_leaves() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    assert!(organisation.handle.set(centre.handle()).is_ok());
    let material = organisation.edge();
    let (device, store) = (material.device.device_id(), Kept::default());
    let alone = start(Config {
        store: store.clone(),
        material,
        role: Role::Edge { centre: Vec::new() },
    });
    let alone = alone.await.unwrap();
    let case = alone.handle().command(open_case()).await.unwrap();
    alone.stop().await;
    organisation.revoke(device, false).await;
    let material = organisation.known(device);
    let edge = start(Config {
        store,
        material,
        role: Role::Edge {
            centre: vec![centre.quic_addr().unwrap().to_string()],
        },
    });
    let edge = edge.await.unwrap();
    assert_eq!(
        timeout(LONG, edge.ended()).await.unwrap(),
        crate::Life::Stopped
    );
    let leaving = edge.handle().leaving().unwrap();
    assert!(leaving.parts > 0 && !leaving.lost, "{leaving:?}");
    edge.stop().await;
    let waits = centre.handle().in_review(vec![device]).await.unwrap();
    assert_eq!(waits.first().unwrap().parts, leaving.parts);
    assert_eq!(
        centre.handle().listed(case.document).await.unwrap(),
        None,
        "nobody let it in"
    );
    // It says that its keys are destroyed, and nobody else can.
    let address = [centre.quic_addr().unwrap().to_string()];
    let (mine, other) = (organisation.known(device), organisation.edge());
    organisation.tell_all().await;
    let receipt = |key: &DeviceKey| PurgeReceipt::sign(key, &mine.tenant, shell::now());
    let told = tell_purged(&other, &address, receipt(&mine.device)).await;
    assert_eq!(told, Err(Reason::NotAllowed.words()));
    let told = tell_purged(&mine, &address, receipt(&other.device)).await;
    assert_eq!(told, Err(Reason::NotAllowed.words()));
    assert_eq!(centre.handle().directory().purged(&device), None);
    assert_eq!(
        tell_purged(&mine, &address, receipt(&mine.device)).await,
        Ok(())
    );
    assert!(centre.handle().directory().purged(&device).is_some());
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_ends_at_once_and_a_lost_device_hands_in_nothing() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    assert!(organisation.handle.set(centre.handle()).is_ok());
    let material = organisation.edge();
    let device = material.device.device_id();
    let edge = edge_of(material, &centre).await;
    until("a conversation", async || !edge.handle().links().is_empty()).await;
    let began = Instant::now();
    organisation.revoke(device, true).await;
    until("the end", async || centre.handle().links().is_empty()).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    timeout(LONG, edge.ended()).await.unwrap();
    let leaving = edge.handle().leaving().unwrap();
    assert!(leaving.lost && leaving.parts == 0, "{leaving:?}");
    edge.stop().await;
    centre.stop().await;
}

/// An edge whose centre has forgotten what it had acknowledged, and its store.
async fn forgotten(organisation: &Arc<Organisation>) -> (DeviceId, Kept, Saved, Running) {
    let before = centre_on(organisation, Kept::default(), anywhere()).await;
    let (material, store) = (organisation.edge(), Kept::default());
    let device = material.device.device_id();
    let role = Role::Edge {
        centre: vec![before.quic_addr().unwrap().to_string()],
    };
    let edge = start(Config {
        store: store.clone(),
        material,
        role,
    });
    let edge = edge.await.unwrap();
    let case = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), case.entry).await;
    assert_eq!(edge.handle().waiting(), 0, "nothing is left to be sent");
    edge.stop().await;
    before.stop().await;
    let centre = centre_on(organisation, Kept::default(), anywhere()).await;
    assert!(organisation.handle.set(centre.handle()).is_ok());
    organisation.revoke(device, false).await;
    (device, store, case, centre)
}

async fn again(
    organisation: &Organisation,
    device: DeviceId,
    store: Kept,
    to: &Running,
) -> Running {
    let edge = start(Config {
        store,
        material: organisation.known(device),
        role: Role::Edge {
            centre: vec![to.quic_addr().unwrap().to_string()],
        },
    });
    edge.await.unwrap()
}

/// The centre had it once, and lost it: the only copy died with the device's keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_hands_in_what_the_centre_has_forgotten() {
    let organisation = Arc::new(Organisation::new());
    let (device, store, _, centre) = forgotten(&organisation).await;
    let edge = again(&organisation, device, store, &centre).await;
    let ended = timeout(LONG, edge.ended()).await.unwrap();
    assert_eq!(ended, crate::Life::Stopped);
    let leaving = edge.handle().leaving().unwrap();
    assert!(leaving.parts > 0, "{leaving:?}");
    edge.stop().await;
    let waits = centre.handle().in_review(vec![device]).await.unwrap();
    assert_eq!(waits.first().unwrap().parts, leaving.parts);
    centre.stop().await;
}

/// What cannot be read may be saved yet: the keys are not destroyed before a person says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_that_cannot_read_all_stays_until_it_counts_as_lost() {
    let organisation = Arc::new(Organisation::new());
    let (device, mut store, case, centre) = forgotten(&organisation).await;
    let mut batch = Batch::new();
    batch.put(Table::Bundle, case.document.0, 0, vec![0xFF; 3]);
    store.commit(batch).unwrap();
    let edge = again(&organisation, device, store, &centre).await;
    says(&edge, "cannot read all that the centre lacks").await;
    assert_eq!(edge.handle().leaving(), None);
    organisation.revoke(device, true).await;
    // Whoever is in a hurry starts it again: it asks at once.
    timeout(LONG, edge.ended()).await.unwrap();
    assert!(edge.handle().leaving().unwrap().lost);
    edge.stop().await;
    centre.stop().await;
}
