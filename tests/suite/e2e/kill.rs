//! `kill -9` of the centre or an edge at random moments under load: whatever was acknowledged is
//! there afterwards, whatever was not may be sent again, and nobody repairs anything by hand.
//!
//! A kill between the receipt of an input and its release cannot be seen in the process, which
//! says nothing of it. It is measured from outside: a request that had left in full when its node
//! was killed, and that was never answered. Sent again under the same id, some of these turn out
//! to have been saved already: their node died between its commit and its answer.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{Scope, scope},
    time::{Duration, Instant},
};

use harness::{
    chance::Chance,
    service::{
        Service,
        client::{Client, Failure},
        person::{Whereto, send},
        town::Site,
        wait,
    },
};
use names::{DocumentId, EntryId};

use super::{begin_case, document, list, note};

const SEED: u64 = 60;
const KILLS: usize = 60;
/// People who type without pause at each node.
const WRITERS: usize = 4;
/// How long a node is under load before it is killed, in milliseconds.
const LOAD_MS: (u64, u64) = (5, 120);
/// How long a writer waits for its node to come back.
const BACK_MAX: Duration = Duration::from_secs(30);

const TOWN: &[Site] = &[Site {
    id: "devizes",
    name: "Devizes",
    edges: &["devizes"],
    workers: &[("wilma", "Wilma West", "recovery-worker")],
}];

/// A node under load.
struct Target {
    name: &'static str,
    /// Its API in this life; `None` while it is down.
    client: Mutex<Option<Client>>,
    /// Writers that wait for it to come back.
    parked: AtomicUsize,
    /// Requests that had left and were never answered, since the last look.
    in_flight: AtomicUsize,
}

impl Target {
    fn new(name: &'static str) -> Target {
        Target {
            name,
            client: Mutex::new(None),
            parked: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    fn client(&self) -> Option<Client> {
        self.client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, client: Option<Client>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

/// What the writers were told.
#[derive(Default)]
struct Told {
    /// What is saved.
    saved: Mutex<Vec<(DocumentId, EntryId)>>,
    /// Entries that turned out to be saved when they were sent again.
    already: AtomicUsize,
}

/// Types until told to stop. What was not acknowledged is sent again under the same id.
fn type_on(target: &Target, case: DocumentId, mut chance: Chance, said: &Told, stop: &AtomicBool) {
    let (mut number, mut entry) = (0, EntryId(chance.bytes()));
    while !stop.load(Ordering::SeqCst) {
        let Some(client) = target.client() else {
            target.parked.fetch_add(1, Ordering::SeqCst);
            let back = wait::until(BACK_MAX, || {
                (target.client().is_some() || stop.load(Ordering::SeqCst)).then_some(())
            });
            target.parked.fetch_sub(1, Ordering::SeqCst);
            assert!(back.is_some(), "{} does not come back", target.name);
            continue;
        };
        let command = note(&format!("note {number}"));
        match send(&client, "wilma", &Whereto::Document(case), entry, &command) {
            Ok(done) => {
                said.already
                    .fetch_add(usize::from(!done.written), Ordering::SeqCst);
                let mut saved = said.saved.lock().unwrap_or_else(PoisonError::into_inner);
                saved.push((case, entry));
                drop(saved);
                (number, entry) = (number + 1, EntryId(chance.bytes()));
            }
            Err(failure) => {
                let killed = wait::until(BACK_MAX, || target.client().is_none().then_some(()));
                assert!(killed.is_some(), "{} answers {failure}", target.name);
                if let Failure::NoAnswer(_) = failure {
                    target.in_flight.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// What the kills came to.
#[derive(Default, Debug)]
struct Tally {
    kills: usize,
    with_an_input_in_flight: usize,
    unanswered: usize,
    slowest_start: Duration,
}

impl Tally {
    fn kill(&mut self, service: &mut Service, target: &Target) {
        let is_centre = target.name == "centre";
        // From here on a writer that fails knows why.
        if is_centre {
            service.centre.kill();
        } else {
            service.edge(target.name).unwrap().host.kill();
        }
        target.set(None);
        let parked = || (target.parked.load(Ordering::SeqCst) == WRITERS).then_some(());
        assert!(
            wait::until(BACK_MAX, parked).is_some(),
            "a writer of {} hangs",
            target.name
        );
        let unanswered = target.in_flight.swap(0, Ordering::SeqCst);
        self.kills += 1;
        self.unanswered += unanswered;
        self.with_an_input_in_flight += usize::from(unanswered > 0);
        let began = Instant::now();
        if is_centre {
            service.start_centre().unwrap();
        } else {
            service.start_edge(target.name).unwrap();
        }
        self.slowest_start = self.slowest_start.max(began.elapsed());
        target.set(Some(service.client(target.name).unwrap()));
    }
}

#[test]
fn what_was_acknowledged_survives_sixty_kills() {
    let mut service = Service::begin("ridgeway-e2e-kill", TOWN, SEED, |_| {}).unwrap();
    let mut wilma = service.person("devizes", "wilma", "wilma").unwrap();
    let cases: Vec<DocumentId> = (0..2 * WRITERS)
        .map(|number| begin_case(&mut wilma, &format!("case {number}")))
        .collect();
    service.rest().unwrap();

    let targets = [Target::new("centre"), Target::new("devizes")];
    let (said, stop) = (Told::default(), AtomicBool::new(false));
    let mut tally = Tally::default();
    let began = Instant::now();
    for target in &targets {
        target.set(Some(service.client(target.name).unwrap()));
    }
    scope(|scope| {
        begin_typing(scope, &targets, &cases, &said, &stop);
        // A failed assertion must not leave the writers running for ever.
        let _stop = StopAtEnd(&stop);
        let mut chance = Chance::new(SEED, "kills");
        for _ in 0..KILLS {
            let target = &targets[chance.index(targets.len())];
            let load = Duration::from_millis(chance.between(LOAD_MS.0, LOAD_MS.1));
            wait::until(load, || None::<()>);
            tally.kill(&mut service, target);
        }
    });
    println!("{tally:?} in {:?}", began.elapsed());
    assert_eq!(tally.kills, KILLS);
    assert!(tally.with_an_input_in_flight * 2 >= KILLS, "{tally:?}");

    service.rest().unwrap();
    let already = said.already.load(Ordering::SeqCst);
    let said = said.saved.into_inner().unwrap();
    assert!(
        said.len() > KILLS,
        "{} entries are hardly a load",
        said.len()
    );
    for at in ["centre", "devizes"] {
        assert_holds(&service.client(at).unwrap(), &cases, &said);
    }
    service.stop().unwrap();
    println!(
        "{} acknowledged entries, all at both nodes; {already} were found saved when sent again",
        said.len()
    );
}

fn begin_typing<'s>(
    scope: &'s Scope<'s, '_>,
    targets: &'s [Target],
    cases: &'s [DocumentId],
    said: &'s Told,
    stop: &'s AtomicBool,
) {
    for (writer, case) in cases.iter().enumerate() {
        let target = &targets[writer % targets.len()];
        let chance = Chance::new(SEED, &format!("writer {writer}"));
        scope.spawn(move || type_on(target, *case, chance, said, stop));
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Every acknowledged entry stands in its document, once.
fn assert_holds(client: &Client, cases: &[DocumentId], said: &[(DocumentId, EntryId)]) {
    for case in cases {
        let view = document(client, *case);
        assert_eq!(list(&view["flaws"]).len(), 0);
        let notes: Vec<&str> = list(&view["state"]["notes"])
            .iter()
            .map(|note| note["entry"].as_str().unwrap())
            .collect();
        for (_, entry) in said.iter().filter(|(document, _)| document == case) {
            let entry = entry.to_string();
            let times = notes.iter().filter(|note| **note == entry).count();
            assert_eq!(times, 1, "{entry} of {case}");
        }
    }
}
