//! Two nodes in one process, each with its thread and its openers, and streams of memory between
//! them: everything but sockets.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use node::{
    NotDone, Side,
    names::Reason,
    protocol::{PublicKey, signed::device_id},
    store::{Batch, MemorySnapshot, MemoryStore, Store, StoreError},
    views::EntryState,
};
use tokio::{io::duplex, task::JoinSet, time::timeout};

use crate::{
    Handle, Life,
    hub::{Hub, LinkGuard},
    link::{LANES, read_frame, read_lane, write_lane},
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
            let (near, mut far) = duplex(64 << 10);
            let (from, to): (Arc<LinkGuard>, _) = (Arc::clone(from), Arc::clone(to));
            tasks.spawn(async move {
                let _ = write_lane(lane, near, &from.outgoing).await;
            });
            tasks.spawn(async move {
                let lane = read_lane(&mut far).await.unwrap();
                while let Ok(Some(frame)) = read_frame(&mut far).await {
                    if to.receive(lane, frame).await.is_err() {
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
    let scope = scopes
        .into_iter()
        .find(|scope| scope.scope == site_scope())?;
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

/// A store that fails after so many commits.
struct Failing(MemoryStore, usize);

impl Store for Failing {
    type Snapshot = MemorySnapshot;

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
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
    let material = Organisation::new().edge();
    let (core, handle) = open(Failing(MemoryStore::default(), 1), &material).unwrap();
    let asked = timeout(LONG, handle.command(open_case())).await.unwrap();
    assert_eq!(asked, Err(NotDone::Reason(Reason::NotSaved)));
    let mut life = handle.life();
    let ended = life.wait_for(|life| matches!(life, Life::Failed(_))).await;
    assert_eq!(*ended.unwrap(), Life::Failed(StoreError::Full));
    tokio::task::spawn_blocking(move || core.join())
        .await
        .unwrap();
}
