//! Loopback: real QUIC and real certificates between nodes of one process.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use std::time::Instant;

use node::{
    Lane,
    names::{DocumentId, EntryId, limits::FRAME_BYTES_MAX},
    protocol::{Frame, enrol::EnrolmentCode, message::Ping},
    store::{Config as StoreConfig, Epochs, MemoryStore, RedbStore, Sealed, StoreKey},
    views::EntryState,
};
use tokio::time::{sleep, timeout};

use super::*;
use crate::{
    Config, EnrolError, Handle, Material, Role, Running, enrol,
    link::{Outgoing, read_frame, read_lane, write_frame, write_lane},
    start, tell_purged,
    testing::{Folder, Kept, Organisation, add_note, open_case},
};

mod bomb;
mod refused;

const LONG: Duration = Duration::from_secs(30);

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn centre_on(organisation: &Arc<Organisation>, store: Kept, listen: SocketAddr) -> Running {
    bound(async || {
        let enrol: Arc<Organisation> = Arc::clone(organisation);
        let role = Role::Centre { listen, enrol };
        start(Config {
            store: store.clone(),
            material: organisation.centre(),
            role,
        })
        .await
    })
    .await
}

/// Binds until it succeeds. An address that was in use may be so for a moment more: a stopped
/// endpoint lets its socket go after its last word, and another test that asks for any port may
/// have been given this one for a while.
async fn bound<T, E: std::fmt::Debug>(mut binds: impl AsyncFnMut() -> Result<T, E>) -> T {
    let bound = timeout(LONG, async {
        loop {
            match binds().await {
                Ok(bound) => return bound,
                Err(error) if is_in_use(&error) => println!("not bound yet: {error:?}"),
                Err(error) => panic!("it cannot be bound: {error:?}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    bound.await.unwrap()
}

/// Whatever else is wrong is not mended by patience.
fn is_in_use(error: &impl std::fmt::Debug) -> bool {
    format!("{error:?}").contains("AddrInUse")
}

async fn edge_of(material: Material, centre: &Running) -> Running {
    let role = Role::Edge {
        centre: vec![centre.quic_addr().unwrap().to_string()],
    };
    start(Config {
        store: MemoryStore::default(),
        material,
        role,
    })
    .await
    .unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !holds().await {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} did not come about");
}

async fn at_the_centre(handle: &Handle, entry: EntryId) {
    until("the acknowledgement", async || {
        handle.entry_state(entry).await == Ok(Some(EntryState::AtTheCentre))
    })
    .await;
}

async fn has(handle: &Handle, document: DocumentId) {
    until("the document", async || {
        handle.listed(document).await.unwrap().is_some()
    })
    .await;
}

/// A caller that speaks QUIC and nothing more, as an edge of the organisation or as a stranger.
async fn call(
    tls: rustls::ClientConfig,
    centre: &Running,
) -> Result<quinn::Connection, &'static str> {
    let dialler = Dialler::new(client_config(tls).unwrap());
    dialler
        .dial(&[centre.quic_addr().unwrap().to_string()])
        .await
}

fn tls_of(material: &Material) -> rustls::ClientConfig {
    tls::client(&material.device, &material.chain, &material.ca).unwrap()
}

/// With what reason the centre ends a conversation.
async fn ended(connection: &quinn::Connection) -> Reason {
    match timeout(LONG, connection.closed()).await.unwrap() {
        ConnectionError::ApplicationClosed(close) => {
            Reason::from_code(u16::try_from(close.error_code.into_inner()).unwrap())
        }
        other => panic!("it ended otherwise: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_sync_and_stop() {
    let organisation = Arc::new(Organisation::new());
    let material = organisation.edge();
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    let edge = edge_of(material, &centre).await;
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    has(&centre.handle(), opened.document).await;
    let mut waits = Vec::new();
    for number in 0..50 {
        let began = Instant::now();
        let saved = edge
            .handle()
            .command(add_note(opened.document, "a line"))
            .await
            .unwrap();
        let kept = began.elapsed();
        at_the_centre(&edge.handle(), saved.entry).await;
        if number >= 10 {
            waits.push((began.elapsed(), kept));
        }
    }
    waits.sort_unstable();
    println!(
        "edge to centre and back, in memory: {:?} at the median",
        waits.get(waits.len() / 2)
    );
    let [_, live, _] = edge.handle().traffic();
    assert!(live.sent > 0, "what people write goes by its own lane");
    let began = Instant::now();
    edge.stop().await;
    assert!(
        began.elapsed() < crate::limits::FLUSH_MAX,
        "a stop took {:?}",
        began.elapsed()
    );
    until("the end of the conversation", async || {
        centre.handle().links().is_empty()
    })
    .await;
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_sync_from_sealed_stores() {
    let organisation = Arc::new(Organisation::new());
    let material = organisation.edge();
    let folder = Folder::new();
    let sealed = |name: &str| {
        let path = folder.path().join(name);
        let key = StoreKey::from_bytes(shell::entropy());
        RedbStore::create_file(&path, StoreConfig::default(), |store| {
            let id = node::names::StoreId(shell::entropy());
            Sealed::create(
                store,
                &key,
                Epochs::first(shell::entropy(), shell::entropy()),
                id,
                Box::new(shell::fill),
            )
        })
        .unwrap()
    };
    let enrol: Arc<Organisation> = Arc::clone(&organisation);
    let role = Role::Centre {
        listen: anywhere(),
        enrol,
    };
    let config = Config {
        store: sealed("centre.redb"),
        material: organisation.centre(),
        role,
    };
    let centre = start(config).await.unwrap();
    let role = Role::Edge {
        centre: vec![centre.quic_addr().unwrap().to_string()],
    };
    let edge = start(Config {
        store: sealed("edge.redb"),
        material,
        role,
    })
    .await
    .unwrap();
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    let mut waits = Vec::new();
    for _ in 0..40 {
        let began = Instant::now();
        let saved = edge
            .handle()
            .command(add_note(opened.document, "a line"))
            .await
            .unwrap();
        let kept = began.elapsed();
        at_the_centre(&edge.handle(), saved.entry).await;
        waits.push((began.elapsed(), kept));
    }
    waits.sort_unstable();
    println!(
        "edge to centre and back, sealed redb: {:?} at the median",
        waits.get(waits.len() / 2)
    );
    edge.stop().await;
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_comes_back_after_the_centre_restarts() {
    let organisation = Arc::new(Organisation::new());
    let material = organisation.edge();
    let store = Kept::default();
    let centre = centre_on(&organisation, store.clone(), anywhere()).await;
    let edge = edge_of(material, &centre).await;
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    let address = centre.quic_addr().unwrap();
    centre.stop().await;
    let alone = edge
        .handle()
        .command(add_note(opened.document, "alone"))
        .await
        .unwrap();
    assert_eq!(
        edge.handle().entry_state(alone.entry).await,
        Ok(Some(EntryState::SavedHere))
    );
    let centre = centre_on(&organisation, store, address).await;
    at_the_centre(&edge.handle(), alone.entry).await;
    edge.stop().await;
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_centre_that_is_back_says_so_at_once() {
    let organisation = Organisation::new();
    let (ours, theirs) = (organisation.centre(), organisation.edge());
    let chain = organisation
        .ca
        .issue_centre(&ours.device.public(), shell::now())
        .unwrap();
    let config = tls::server(&ours.device, &[chain], &ours.ca).unwrap();
    // A runtime of its own: what it drives can be stopped between two instructions, as a killed
    // process is, without a word to anybody.
    let process = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let killed = {
        let _inside = process.enter();
        bind(anywhere(), &ours.device, config.clone()).unwrap()
    };
    let address = killed.local_addr().unwrap();
    let accepted = process.spawn({
        let killed = killed.clone();
        async move { killed.accept().await.unwrap().await.unwrap() }
    });
    let dialler = Dialler::new(client_config(tls_of(&theirs)).unwrap());
    let dialled = dialler.dial(&[address.to_string()]).await.unwrap();
    let accepted = accepted.await.unwrap();
    tokio::task::spawn_blocking(move || drop(process))
        .await
        .unwrap();
    drop((accepted, killed));
    let _back = bound(async || bind(address, &ours.device, config.clone())).await;
    // Whatever is sent next brings the answer; the connection itself may have sent something already.
    if let Ok(mut stream) = dialled.open_uni().await {
        let _ = stream.write_all(&[0; 64]).await;
    }
    let noticed = timeout(Duration::from_secs(5), dialled.closed()).await;
    assert!(matches!(noticed, Ok(ConnectionError::Reset)), "{noticed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_once_and_then_works() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    assert!(organisation.handle.set(centre.handle()).is_ok());
    let address = centre.quic_addr().unwrap().to_string();
    let code = organisation.invite(address.clone());
    let key = DeviceKey::from_seed(&shell::entropy());
    let answer = enrol(&code, &key, "the office").await.unwrap();
    let device = key.device_id();
    let material = Material::enrolled(key, answer, vec![address]);
    let edge = edge_of(material, &centre).await;
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    assert!(
        centre
            .handle()
            .links()
            .iter()
            .any(|link| link.device == device)
    );
    let thief = DeviceKey::from_seed(&shell::entropy());
    let again = enrol(&code, &thief, "again").await;
    assert_eq!(again.err(), Some(EnrolError::Refused(Reason::NotAllowed)));
    edge.stop().await;
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_leads_only_to_the_centre_it_names() {
    let organisation = Arc::new(Organisation::new());
    let other = Organisation::new();
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    let key = DeviceKey::from_seed(&shell::entropy());
    let lured = other.invite(centre.quic_addr().unwrap().to_string());
    let refused = enrol(&lured, &key, "lured").await.err();
    assert!(
        matches!(refused, Some(EnrolError::Unreachable(_))),
        "{refused:?}"
    );
    let late = EnrolmentCode {
        expires: shell::now().plus_ms(-1),
        ..lured
    };
    assert_eq!(
        enrol(&late, &key, "late").await.err(),
        Some(EnrolError::Expired)
    );
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_let_in() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    // Another organisation's device, which trusts our centre.
    let mut other = Organisation::new().edge();
    other.ca = organisation.ca.certificate().to_vec();
    let connection = call(tls_of(&other), &centre).await;
    if let Ok(connection) = connection {
        // The client's side of a handshake may end before the server has judged it.
        let refused = timeout(LONG, connection.closed()).await.unwrap();
        assert!(
            matches!(refused, ConnectionError::ConnectionClosed(_)),
            "{refused}"
        );
    }
    // Nobody's device.
    let mut nobody = tls::enrolling(organisation.ca.fingerprint()).unwrap();
    nobody.alpn_protocols = vec![b"ridgeway/1".to_vec()];
    let connection = call(nobody, &centre).await.unwrap();
    assert_eq!(ended(&connection).await, Reason::NotAllowed);
    assert!(centre.handle().links().is_empty());
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enrolment_protocol_can_do_nothing_else() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    let new = tls::enrolling(organisation.ca.fingerprint()).unwrap();
    let connection = call(new, &centre).await.unwrap();
    let mut stream = connection.open_uni().await.unwrap();
    // The lane of a node's conversation, and a frame that a node would understand.
    stream.write_all(&[0]).await.unwrap();
    write_frame(&mut stream, &Frame::Ping(Ping { token: 7 }).encode())
        .await
        .unwrap();
    stream.finish().unwrap();
    let reason = ended(&connection).await;
    assert_eq!(reason, Reason::Malformed);
    assert!(centre.handle().links().is_empty());
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_breaks_the_rules_is_dropped_and_then_barred() {
    let organisation = Arc::new(Organisation::new());
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    let (first, second) = (organisation.edge(), organisation.edge());
    // What the same device says elsewhere ends with it.
    let beside = call(tls_of(&first), &centre).await.unwrap();
    let breaches: [&[u8]; 4] = [
        // No such lane; an endless frame; an empty one; a frame of no known type.
        &[9],
        &[0, 0xFF, 0xFF, 0xFF, 0xFF],
        &[1, 0, 0, 0, 0],
        &[0, 0, 0, 0, 1, 0x7F],
    ];
    for (breach, material) in breaches.into_iter().zip([&first, &first, &first, &second]) {
        let connection = call(tls_of(material), &centre).await.unwrap();
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(breach).await.unwrap();
        assert_eq!(ended(&connection).await, Reason::Malformed, "{breach:?}");
    }
    // One lane begun twice.
    let connection = call(tls_of(&second), &centre).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&[2]).await.unwrap();
        streams.push(stream);
    }
    assert_eq!(ended(&connection).await, Reason::Malformed);
    // Three times is enough, whatever comes then; twice is not.
    assert_eq!(ended(&beside).await, Reason::Barred);
    let connection = call(tls_of(&first), &centre).await.unwrap();
    assert_eq!(ended(&connection).await, Reason::Barred);
    let edge = edge_of(second, &centre).await;
    let opened = edge.handle().command(open_case()).await.unwrap();
    at_the_centre(&edge.handle(), opened.entry).await;
    edge.stop().await;
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_begins_from_nothing() {
    let organisation = Arc::new(Organisation::new());
    let material = organisation.edge();
    let centre = centre_on(&organisation, Kept::default(), anywhere()).await;
    let mut willing = tls_of(&material);
    willing.resumption = rustls::client::Resumption::in_memory_sessions(8);
    willing.enable_early_data = true;
    let config = client_config(willing).unwrap();
    let address = centre.quic_addr().unwrap();
    let endpoint = bind_client(address).unwrap();
    let mut took = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let connecting = endpoint
            .connect_with(config.clone(), address, tls::centre_name())
            .unwrap();
        // Early data needs a ticket of an earlier connection.
        let connecting = connecting
            .into_0rtt()
            .err()
            .expect("there is no ticket to begin with");
        let connection = connecting.await.unwrap();
        took.push(began.elapsed());
        close(&connection, Reason::Stopping);
    }
    took.sort_unstable();
    println!("a handshake: {:?} at the median", took.get(took.len() / 2));
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_frame_does_not_wait_behind_a_fill() {
    let organisation = Organisation::new();
    let (ours, theirs) = (organisation.centre(), organisation.edge());
    let config = tls::server(
        &ours.device,
        &[organisation
            .ca
            .issue_centre(&ours.device.public(), shell::now())
            .unwrap()],
        &ours.ca,
    );
    let answering = bind(anywhere(), &ours.device, config.unwrap()).unwrap();
    let address = answering.local_addr().unwrap();
    let accepted = tokio::spawn({
        let answering = answering.clone();
        async move { answering.accept().await.unwrap().await.unwrap() }
    });
    let dialler = Dialler::new(client_config(tls_of(&theirs)).unwrap());
    let dialled = dialler.dial(&[address.to_string()]).await.unwrap();
    let accepted = accepted.await.unwrap();
    // Far more fill than any window holds, and nobody reads it.
    let outgoing = Arc::new(Outgoing::default());
    for _ in 0..8 {
        outgoing.push(Lane::Fill, vec![1; FRAME_BYTES_MAX]).unwrap();
    }
    for lane in [Lane::Fill, Lane::Live] {
        let (outgoing, stream) = (Arc::clone(&outgoing), dialled.open_uni().await.unwrap());
        tokio::spawn(async move { write_lane(lane, stream, &outgoing).await.is_ok() });
    }
    let mut fill = accepted.accept_uni().await.unwrap();
    assert_eq!(read_lane(&mut fill).await, Ok(Lane::Fill));
    let mut live = accepted.accept_uni().await.unwrap();
    assert_eq!(read_lane(&mut live).await, Ok(Lane::Live));
    sleep(Duration::from_millis(200)).await;
    let mut took = Vec::new();
    for number in 0..50 {
        let began = Instant::now();
        outgoing.push(Lane::Live, vec![number]).unwrap();
        let frame = timeout(Duration::from_secs(2), read_frame(&mut live))
            .await
            .unwrap();
        assert_eq!(frame, Ok(Some(vec![number])));
        took.push(began.elapsed());
    }
    took.sort_unstable();
    println!(
        "a live frame past a stuck fill: {:?} at the median",
        took.get(took.len() / 2)
    );
    let [_, _, filled] = outgoing.traffic();
    assert!(
        filled.sent < 4 * FRAME_BYTES_MAX as u64,
        "the fill was not stuck"
    );
    // The same while the fill is read as fast as it comes.
    let reading =
        tokio::spawn(async move { while let Ok(Some(_)) = read_frame(&mut fill).await {} });
    outgoing.push(Lane::Live, vec![99]).unwrap();
    let frame = timeout(Duration::from_secs(2), read_frame(&mut live))
        .await
        .unwrap();
    assert_eq!(frame, Ok(Some(vec![99])));
    reading.abort();
}
