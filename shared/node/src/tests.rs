//! A centre and two edges in one thread, over memory stores and perfect links: the main ways
//! through a node, before the simulator makes the world worse.

mod backups;
mod bounds;
mod branch;
mod compacted;
mod copies;
mod except;
mod fold;
mod forged;
mod form;
mod gather;
mod handed;
mod kept;
mod leaving;
mod lines;
mod repair;
mod restored;
mod review;
mod scopes;
mod standing;
mod transfer;
mod trying;

use std::collections::{BTreeMap, VecDeque};

use domain::{By, Command};
use names::{DocumentId, EntryId, Kind, Moment, Reason, ScopeId, TenantId};
use protocol::{
    directory::{Device, DeviceKind, Grant, Issue, Rights, SignedStatement, Site, Statement},
    signed::DeviceKey,
};
use store::Snapshot as _;

use crate::{
    Identity, Input, Lane, LinkId, Node, NotDone, Notice, Opener, Output, Ran, Request, Saved,
    Side, Target, Ticket, Transferred, views,
};

use kept::MemoryStore;

const TENANT: TenantId = TenantId([7; 16]);

struct Place {
    node: Node<MemoryStore>,
    opener: Opener,
    inbox: VecDeque<Input>,
    key: u8,
    /// What it was opened with.
    entropy: [u8; 64],
    notices: Vec<Notice>,
    answers: BTreeMap<Ticket, Result<Saved, NotDone>>,
    transferred: BTreeMap<Ticket, Result<Transferred, NotDone>>,
    jobs: u64,
    ran: BTreeMap<Ticket, Result<Ran, Reason>>,
    /// Conversations that it ended with revoked devices.
    revoked: Vec<LinkId>,
}

struct World {
    places: Vec<Place>,
    /// (edge, link) pairs that are up; the centre is place 0.
    links: BTreeMap<LinkId, usize>,
    now: Moment,
    next: u64,
    statements: Vec<SignedStatement>,
    bytes: u64,
    largest: u64,
    /// Frames of a fill in one turn, at most.
    fills: usize,
    /// Bytes that went by the live lane.
    live: u64,
    /// Turns taken: no two are handed the same entropy.
    turns: u64,
    /// Rulings made.
    ruled: u64,
    /// Whether the authority cannot be asked.
    is_silent: bool,
}

/// The entropy of the next turn.
fn entropy(turns: &mut u64) -> [u8; 32] {
    let mut entropy = [5; 32];
    *turns += 1;
    entropy[16..24].copy_from_slice(&turns.to_le_bytes());
    entropy
}

fn key(number: u8) -> DeviceKey {
    DeviceKey::from_seed(&[number; 32])
}

fn device(number: u8, kind: DeviceKind, scopes: &[&str]) -> Statement {
    Statement::Device(Device {
        key: key(number).public(),
        kind,
        name: format!("device {number}"),
        grants: scopes
            .iter()
            .map(|scope| Grant {
                scope: scope.parse().unwrap(),
                rights: Rights::ALL,
            })
            .collect(),
        site: None,
        worker: None,
    })
}

/// Signs a statement as the authority.
fn issue(number: u64, statement: Statement) -> SignedStatement {
    let issue = Issue {
        authority: names::Incarnation([9; 16]),
        number,
        at: Moment(i64::try_from(number).unwrap()),
        statement,
    };
    SignedStatement::sign(&key(200), &TENANT, &issue).unwrap()
}

impl World {
    fn new(edges: &[&[&str]]) -> World {
        let mut what = vec![device(0, DeviceKind::Centre, &[])];
        for site in ["bath", "devizes", "kent"] {
            let site = Site {
                id: site.parse().unwrap(),
                name: site.to_owned(),
            };
            what.push(Statement::Site(site));
        }
        for (number, scopes) in edges.iter().enumerate() {
            what.push(device(number as u8 + 1, DeviceKind::Edge, scopes));
        }
        let statements: Vec<_> = what
            .into_iter()
            .enumerate()
            .map(|(number, statement)| issue(number as u64 + 1, statement))
            .collect();
        let mut world = World {
            places: Vec::new(),
            links: BTreeMap::new(),
            now: Moment(1_000_000),
            next: 0,
            statements,
            bytes: 0,
            largest: 0,
            fills: 0,
            live: 0,
            turns: 0,
            ruled: 0,
            is_silent: false,
        };
        for number in 0..=edges.len() as u8 {
            let place = world.place(number, MemoryStore::new());
            world.places.push(place);
        }
        world
    }

    fn place(&mut self, number: u8, store: MemoryStore) -> Place {
        self.next += 1;
        let mut entropy = [number; 64];
        entropy[..8].copy_from_slice(&self.next.to_le_bytes());
        self.place_drawn(number, store, entropy)
    }

    fn place_drawn(&mut self, number: u8, store: MemoryStore, entropy: [u8; 64]) -> Place {
        let identity = Identity {
            tenant: TENANT,
            tenant_key: [3; 32],
            authority: key(200).public(),
            device: key(number),
        };
        Place {
            node: Node::open(store, identity, &self.statements, self.now, entropy).unwrap(),
            opener: Opener::new(16),
            inbox: VecDeque::new(),
            key: number,
            entropy,
            notices: Vec::new(),
            answers: BTreeMap::new(),
            transferred: BTreeMap::new(),
            jobs: 0,
            ran: BTreeMap::new(),
            revoked: Vec::new(),
        }
    }

    fn connect(&mut self, edge: usize) {
        self.link_up(edge);
        self.run();
    }

    fn link_up(&mut self, edge: usize) {
        self.next += 1;
        let link = LinkId(self.next);
        self.links.insert(link, edge);
        let (centre_key, edge_key) = (key(0).public(), key(self.places[edge].key).public());
        let up = |peer, side| Input::LinkUp { link, peer, side };
        self.places[0].inbox.push_back(up(edge_key, Side::Answered));
        self.places[edge]
            .inbox
            .push_back(up(centre_key, Side::Dialled));
    }

    fn cut(&mut self, edge: usize) {
        self.links.retain(|link, end| {
            if *end == edge {
                self.places[0]
                    .inbox
                    .push_back(Input::LinkDown { link: *link });
                self.places[edge]
                    .inbox
                    .push_back(Input::LinkDown { link: *link });
            }
            *end != edge
        });
        self.run();
    }

    /// Turns until nothing happens, then lets a second pass, for as long as somebody waits.
    fn run(&mut self) {
        self.run_for(40);
    }

    fn run_for(&mut self, seconds: u32) {
        for _ in 0..seconds {
            while (0..self.places.len()).any(|index| self.turn(index)) {}
            self.now = self.now.plus_ms(1_000);
            for place in &mut self.places {
                place.inbox.push_back(Input::Wake);
            }
        }
        while (0..self.places.len()).any(|index| self.turn(index)) {}
    }

    fn turn(&mut self, index: usize) -> bool {
        let place = &mut self.places[index];
        let inputs: Vec<Input> = place.inbox.drain(..).collect();
        if inputs.is_empty() {
            return false;
        }
        let entropy = entropy(&mut self.turns);
        let outputs = place.node.turn(self.now, entropy, inputs).unwrap();
        let fills = outputs.iter().filter(|output| {
            let Output::Send { lane, .. } = output else {
                return false;
            };
            *lane == Lane::Fill
        });
        self.fills = self.fills.max(fills.count());
        for output in outputs {
            let place = &mut self.places[index];
            match output {
                Output::Send { link, lane, frame } => {
                    self.bytes += frame.len() as u64;
                    if lane == Lane::Live {
                        self.live += frame.len() as u64;
                    }
                    self.largest = self.largest.max(frame.len() as u64);
                    let Some(edge) = self.links.get(&link) else {
                        continue;
                    };
                    let other = if index == 0 { *edge } else { 0 };
                    let other = &mut self.places[other];
                    let frame = other.node.verifier().frame(&frame).unwrap();
                    other.inbox.push_back(Input::Frame { link, frame });
                }
                Output::Close {
                    link,
                    reason: Reason::Revoked,
                } => {
                    place.revoked.push(link);
                }
                Output::Close { link, reason } => panic!("{link:?} closed: {reason}"),
                Output::Open(job) => {
                    place.jobs += 1;
                    let snapshot = place.node.snapshot().unwrap();
                    let opened = place.opener.run(&snapshot, &job);
                    place.inbox.push_back(Input::Opened {
                        job: job.id(),
                        opened,
                    });
                }
                Output::Forget(document) => place.opener.forget(document),
                Output::Answer { ticket, result } => {
                    place.answers.insert(ticket, result);
                }
                Output::Notice(notice) => place.notices.push(notice),
                Output::Transferred { ticket, result } => {
                    place.transferred.insert(ticket, result);
                }
                Output::Rule(ruling) if !self.is_silent => {
                    self.ruled += 1;
                    let said = issue(100 + self.ruled, *ruling);
                    let statement = place.node.verifier().statement(said).unwrap();
                    let ticket = Ticket(1_000_000 + self.ruled);
                    place.inbox.push_back(Input::Stated { ticket, statement });
                }
                Output::Ran { ticket, result } => {
                    place.ran.insert(ticket, result);
                }
                Output::WakeAt(at) if at <= self.now => place.inbox.push_back(Input::Wake),
                Output::Rule(_) | Output::Stated { .. } | Output::WakeAt(_) => {}
            }
        }
        true
    }

    fn ask(&mut self, index: usize, target: Target, command: &str) -> Result<Saved, NotDone> {
        self.next += 1;
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&self.next.to_le_bytes());
        let worker = format!("w-{index}");
        self.ask_as(index, &worker, target, EntryId(entry), command)
    }

    fn ask_as(
        &mut self,
        index: usize,
        worker: &str,
        target: Target,
        entry: EntryId,
        command: &str,
    ) -> Result<Saved, NotDone> {
        let command: Command = serde_json::from_str(command).unwrap();
        self.next += 1;
        let ticket = Ticket(self.next);
        let by = By {
            worker: worker.parse().unwrap(),
            site: "bath".parse().unwrap(),
            roles: vec!["recovery-worker".parse().unwrap()],
        };
        let request = Box::new(Request {
            target,
            entry,
            by,
            command,
        });
        self.places[index]
            .inbox
            .push_back(Input::Command { ticket, request });
        while (0..self.places.len()).any(|index| self.turn(index)) {}
        self.places[index].answers.remove(&ticket).unwrap()
    }

    fn open_case(&mut self, index: usize, scope: &str) -> DocumentId {
        let target = Target::New(vec![scope.parse().unwrap()]);
        let command = r#"{"command":"open-case","opened":"2026-11-20"}"#;
        self.ask(index, target, command).unwrap().document
    }

    fn note(&mut self, index: usize, document: DocumentId, text: &str) -> Saved {
        let command = format!(
            r#"{{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"{text}"}}"#
        );
        self.ask(index, Target::Document(document), &command)
            .unwrap()
    }

    fn assert_equal(&self, scope: &str) {
        let scope: ScopeId = scope.parse().unwrap();
        let mut digests = BTreeMap::new();
        for place in &self.places {
            if !place
                .node
                .directory()
                .scopes_of(&place.node.device())
                .contains(&scope)
            {
                continue;
            }
            let sync = place.node.sync().unwrap();
            let kept = sync.iter().find(|sync| sync.scope == scope).unwrap();
            let recomputed = views::recompute(&place.node.snapshot().unwrap()).unwrap();
            if let Some(recomputed) = recomputed.get(&scope) {
                assert_eq!(
                    recomputed.digest, kept.digest,
                    "{} keeps its digest",
                    place.key
                );
                assert_eq!(recomputed.count, kept.count);
            }
            digests.insert(kept.digest, place.key);
        }
        assert_eq!(digests.len(), 1, "{scope} differs");
    }
}

#[test]
fn what_one_edge_writes_reaches_the_centre_and_the_other_edge() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"], &["site:devizes"]]);
    let case = world.open_case(1, "site:bath");
    let saved = world.note(1, case, "by the canal");
    let state = |world: &World| {
        views::entry_state(&world.places[1].node.snapshot().unwrap(), saved.entry).unwrap()
    };
    assert_eq!(state(&world), Some(views::EntryState::SavedHere));
    for edge in 1..=3 {
        world.connect(edge);
    }
    world.assert_equal("site:bath");
    assert_eq!(state(&world), Some(views::EntryState::AtTheCentre));
    assert_eq!(world.places[1].node.waiting(), 0);
    let late = world.note(2, case, "seen again");
    world.run();
    world.assert_equal("site:bath");
    assert_ne!(late.change, None);
    let snapshot = world.places[3].node.snapshot().unwrap();
    assert_eq!(
        snapshot
            .get(store::Table::Document, case.as_ref(), 0)
            .unwrap(),
        None
    );
}

#[test]
fn nothing_changed_commits_nothing_and_opens_nothing() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.note(1, case, "first");
    world.connect(1);
    world.cut(1);
    let commits: Vec<_> = world
        .places
        .iter()
        .map(|place| place.node.commits())
        .collect();
    let jobs: Vec<_> = world.places.iter().map(|place| place.jobs).collect();
    world.bytes = 0;
    world.connect(1);
    assert_eq!(
        commits,
        world
            .places
            .iter()
            .map(|place| place.node.commits())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        jobs,
        world
            .places
            .iter()
            .map(|place| place.jobs)
            .collect::<Vec<_>>()
    );
    assert!(world.bytes < 400, "{} bytes", world.bytes);
}

#[test]
fn a_session_opened_twice_offline_is_one_document_and_keeps_every_row() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let open = r#"{"command":"open-session","venue":"Guildhall","date":"2026-11-20","start":"10:00","form":"psychosocial"}"#;
    let target = || Target::New(vec!["site:bath".parse().unwrap()]);
    let first = world.ask(1, target(), open).unwrap().document;
    let second = world.ask(2, target(), open).unwrap().document;
    assert_eq!(first, second);
    for (edge, guest) in [(1, "Ann"), (2, "Bob")] {
        let mark = format!(r#"{{"command":"add-guest","name":"{guest}","attendance":"present"}}"#);
        world.ask(edge, Target::Document(first), &mark).unwrap();
    }
    world.connect(1);
    world.connect(2);
    world.assert_equal("site:bath");
    let snapshot = world.places[0].node.snapshot().unwrap();
    let view = world.places[0].opener.view(&snapshot, first).unwrap();
    let text = serde_json::to_string(&view.state).unwrap();
    assert!(text.contains("Ann") && text.contains("Bob"), "{text}");
    let listed = views::documents(&snapshot, &"site:bath".parse().unwrap()).unwrap();
    assert_eq!(
        (listed.len(), listed[0].kind, listed[0].stale),
        (1, Kind::SESSION, false)
    );
}

#[test]
fn the_same_entry_sent_through_two_edges_is_written_once() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.connect(2);
    world.cut(1);
    world.cut(2);
    let note = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"once"}"#;
    for edge in [1, 1, 2] {
        world
            .ask_as(
                edge,
                "w-1",
                Target::Document(case),
                EntryId([0xEE; 16]),
                note,
            )
            .unwrap();
    }
    world.connect(1);
    world.connect(2);
    world.assert_equal("site:bath");
    let snapshot = world.places[1].node.snapshot().unwrap();
    let view = world.places[1].opener.view(&snapshot, case).unwrap();
    let state = serde_json::to_string(&view.state).unwrap();
    assert_eq!(state.matches("\"once\"").count(), 1, "{state}");
}

/// The story of medic/cht-core#8093: the server comes back from an old copy, the devices believe
/// it has everything, and what was written since the copy never reaches it again.
#[test]
fn a_centre_restored_from_an_old_copy_gets_back_exactly_what_it_lost() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    world.connect(1);
    world.connect(2);
    let cases: Vec<_> = (0..20).map(|_| world.open_case(1, "site:bath")).collect();
    world.run();
    let copy = world.places[0].node.store.clone();
    let lost: Vec<_> = (0..3)
        .map(|index| world.note(1, cases[index], "after the copy"))
        .collect();
    let new = world.open_case(2, "site:bath");
    world.run();
    world.assert_equal("site:bath");
    // One of the edges that made them is gone for good; the other holds them all the same.
    world.cut(1);
    world.cut(2);
    let restored = world.place(0, copy);
    world.places[0] = restored;
    world.connect(2);
    let differing: Vec<_> = world.places[0]
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Differing { documents, .. } => Some(*documents),
            _ => None,
        })
        .collect();
    assert_eq!(
        differing,
        [3],
        "the new case came by the hint, the three by the exact list"
    );
    let (centre, edge) = (&world.places[0].node, &world.places[2].node);
    let digest = |node: &Node<MemoryStore>| node.sync().unwrap()[1].digest;
    assert_eq!(digest(centre), digest(edge));
    world.connect(1);
    world.assert_equal("site:bath");
    for saved in lost {
        let snapshot = world.places[1].node.snapshot().unwrap();
        let state = views::entry_state(&snapshot, saved.entry).unwrap();
        assert_eq!(state, Some(views::EntryState::AtTheCentre));
    }
    assert_ne!(new, cases[0]);
    assert_eq!(
        world.places[0]
            .node
            .counters()
            .get(&names::Reason::NotEqual),
        None
    );
}
