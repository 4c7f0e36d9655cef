//! What a device learns when the centre does not take it, or is not there.

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
    let issued = |days: i64| {
        let mut material = organisation.edge();
        let at = shell::now().plus_ms(days * DAY_MS);
        let issued = organisation.ca.issue_device(&material.device.public(), at);
        material.chain = vec![issued.unwrap()];
        material
    };
    let mut other = Organisation::new().edge();
    other.ca = organisation.ca.certificate().to_vec();
    let cases = [
        (issued(-500), "has expired"),
        (issued(10), "not valid yet"),
        (other, "another organisation"),
    ];
    for (material, words) in cases {
        let edge = edge_of(material, &centre).await;
        says(&edge, words).await;
        edge.stop().await;
    }
    let edge = edge_of(organisation.edge(), &centre).await;
    until("a conversation", async || !edge.handle().links().is_empty()).await;
    assert_eq!(edge.handle().unreached(), None);
    // It said "stopping", as if the edge itself were about to.
    centre.stop().await;
    says(&edge, "it was stopped, or is restarting").await;
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
