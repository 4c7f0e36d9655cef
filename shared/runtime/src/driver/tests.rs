//! Two nodes in one process, each with its thread and its openers, and streams of memory between
//! them: everything but sockets.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use node::{
    NotDone, Side,
    names::{DocumentId, Reason},
    protocol::{PublicKey, signed::device_id},
    store::{Batch, MemorySnapshot, MemoryStore, Store, StoreError},
    views::EntryState,
};
use tokio::{io::duplex, task::JoinSet, time::timeout};

use crate::{
    Handle, Life, PageOf,
    hub::{Hub, LinkGuard},
    link::{LANES, LaneReader, write_lane},
    running::{Core, open},
    testing::{Organisation, add_note, open_case, site_scope},
};

const LONG: Duration = Duration::from_secs(30);

/// Carries one conversation over streams of memory.
fn wire(one: (&Arc<Hub>, PublicKey), other: (&Arc<Hub>, PublicKey)) -> JoinSet<()> {
    let dialled = Arc::new(one.0.link_up(other.1, Side::Dialled).unwrap());
    let answered = Arc::new(other.0.link_up(one.1, Side::Answered).unwrap());
    let mut tasks = JoinSet::new();
    for (from, to) in [(&dialled, &answered), (&answered, &dialled)] {
        for lane in LANES {
            let (near, far) = duplex(64 << 10);
            let (from, to): (Arc<LinkGuard>, _) = (Arc::clone(from), Arc::clone(to));
            tasks.spawn(async move {
                let _ = write_lane(lane, near, &from.outgoing).await;
            });
            tasks.spawn(async move {
                let mut reader = LaneReader::begin(far).await.unwrap();
                let lane = reader.lane();
                while let Ok(Some((frame, _))) = reader.next().await {
                    let Ok(frame) = to.verify(lane, frame).await else {
                        return;
                    };
                    if to.hand_on(lane, frame).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
    tasks
}

struct Station {
    core: Core<MemorySnapshot>,
    handle: Handle,
    key: PublicKey,
}

impl Station {
    fn new(material: &crate::Material) -> Station {
        let (core, handle) = open(MemoryStore::default(), material).unwrap();
        Station {
            core,
            handle,
            key: material.device.public(),
        }
    }

    fn end(self) {
        self.handle.stop();
        self.core.join();
        assert_eq!(*self.handle.life().borrow(), Life::Stopped);
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} did not come about");
}

async fn digest(handle: &Handle) -> Option<(node::protocol::Digest, u64)> {
    let scopes = handle.sync().await.ok()?;
    let scope = scopes.iter().find(|scope| scope.scope == site_scope())?;
    Some((scope.digest, scope.count))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_writes_the_other_reads() {
    let organisation = Organisation::new();
    let centre = Station::new(&organisation.centre());
    let edge = Station::new(&organisation.edge());
    // The centre learns of the edge's device as it would at its enrolment.
    let early = edge.handle.command(open_case()).await.unwrap();
    for statement in &organisation.centre().statements {
        centre.handle.state(statement.clone()).await.unwrap();
    }
    let mut tasks = wire((&edge.core.hub, edge.key), (&centre.core.hub, centre.key));
    until("the first sync", async || {
        centre
            .handle
            .listed(early.document)
            .await
            .unwrap()
            .is_some()
    })
    .await;
    let note = edge
        .handle
        .command(add_note(early.document, "went well"))
        .await
        .unwrap();
    until("the acknowledgement", async || {
        edge.handle.entry_state(note.entry).await == Ok(Some(EntryState::AtTheCentre))
    })
    .await;
    assert_eq!(digest(&edge.handle).await, digest(&centre.handle).await);
    let there = centre.handle.view(early.document).await.unwrap();
    assert_eq!(
        there.state,
        edge.handle.view(early.document).await.unwrap().state
    );
    assert_eq!(edge.handle.waiting(), 0);
    assert_eq!(
        centre.handle.links().first().map(|link| link.device),
        Some(device_id(&edge.key))
    );
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    until("the end of the conversation", async || {
        centre.handle.links().is_empty()
    })
    .await;
    tokio::task::spawn_blocking(move || (edge.end(), centre.end()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asked_twice_is_carried_out_once() {
    let edge = Station::new(&Organisation::new().edge());
    let request = open_case();
    let first = edge.handle.command(request.clone()).await.unwrap();
    let again = edge.handle.command(request).await.unwrap();
    assert_eq!((first.document, first.entry), (again.document, again.entry));
    assert_eq!((first.change.is_some(), again.change), (true, None));
    edge.handle.stop();
    let late = edge
        .handle
        .command(add_note(first.document, "too late"))
        .await;
    assert_eq!(late, Err(NotDone::Reason(Reason::Stopping)));
    tokio::task::spawn_blocking(move || edge.end())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_things_stand_is_looked_up_once_a_turn() {
    let edge = Station::new(&Organisation::new().edge());
    assert_eq!(edge.handle.ready(), Ok(()));
    until("two questions between two turns", async || {
        let first = edge.handle.sync().await.unwrap();
        Arc::ptr_eq(&first, &edge.handle.sync().await.unwrap())
    })
    .await;
    let before = edge.handle.sync().await.unwrap();
    edge.handle.command(open_case()).await.unwrap();
    // Whoever was answered sees what they did; who asks in passing may see what was before.
    assert_eq!(digest(&edge.handle).await.unwrap().1, 1);
    let lately = edge.handle.sync_lately().await.unwrap();
    assert!(!Arc::ptr_eq(&before, &lately));
    let handle = edge.handle.clone();
    tokio::task::spawn_blocking(move || edge.end())
        .await
        .unwrap();
    assert_eq!(handle.ready(), Err(Reason::Stopping));
    assert_eq!(handle.sync().await.err(), Some(Reason::Stopping));
    assert_eq!(
        handle.view(DocumentId([1; 16])).await.err(),
        Some(Reason::Stopping)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_what_was_asked_for() {
    let edge = Station::new(&Organisation::new().edge());
    let mut opened = BTreeSet::new();
    for _ in 0..5 {
        opened.insert(edge.handle.command(open_case()).await.unwrap().document);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    for _ in 0..3 {
        let of = PageOf {
            scopes: [site_scope()].into(),
            after,
            limit: 2,
            keep: Box::new(|_| true),
        };
        let page = edge.handle.page(of).await.unwrap();
        seen.extend(page.iter().map(|row| row.document));
        after = seen.last().copied();
    }
    assert_eq!(seen, opened.into_iter().collect::<Vec<_>>());
    let elsewhere = PageOf {
        scopes: ["site:bath".parse().unwrap()].into(),
        after: None,
        limit: 2,
        keep: Box::new(|_| true),
    };
    assert_eq!(edge.handle.page(elsewhere).await, Ok(Vec::new()));
    assert_eq!(edge.handle.damaged().await, Ok(BTreeMap::new()));
    tokio::task::spawn_blocking(move || edge.end())
        .await
        .unwrap();
}

/// A store that fails after so many commits: with an error, or with a panic.
struct Failing(MemoryStore, usize, bool);

impl Store for Failing {
    type Snapshot = MemorySnapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        assert!(!self.2 || self.1 > 0, "this store panics");
        self.1 = self.1.checked_sub(1).ok_or(StoreError::Full)?;
        self.0.commit(batch)
    }

    fn snapshot(&self) -> Result<MemorySnapshot, StoreError> {
        self.0.snapshot()
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        self.0.verify()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_ends_the_node_and_nothing_is_said() {
    ends_by_itself(false, StoreError::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_node_and_nobody_waits_for_it() {
    ends_by_itself(true, StoreError::Dead).await;
}

async fn ends_by_itself(panics: bool, with: StoreError) {
    let material = Organisation::new().edge();
    let store = Failing(MemoryStore::default(), 1, panics);
    let (core, handle) = open(store, &material).unwrap();
    let asked = timeout(LONG, handle.command(open_case())).await.unwrap();
    assert_eq!(asked, Err(NotDone::Reason(Reason::NotSaved)));
    let mut life = handle.life();
    let ended = life.wait_for(|life| matches!(life, Life::Failed(_))).await;
    assert_eq!(*ended.unwrap(), Life::Failed(with));
    let late = timeout(LONG, handle.command(open_case())).await.unwrap();
    assert_eq!(late, Err(NotDone::Reason(Reason::Stopping)));
    assert_eq!(handle.ready(), Err(Reason::Stopping));
    tokio::task::spawn_blocking(move || core.join())
        .await
        .unwrap();
}
