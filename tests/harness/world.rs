//! A world: the centre and its edges with their people, links and disks, in virtual time, on one
//! thread. Everything that happens comes from one seed.
//!
//! This file keeps time and runs the shells; `acts` is what people do, `mischief` what goes
//! wrong, `oracle` what must hold.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, Moment};
use node::{Input, Lane, Output, Ticket};
use protocol::SignedStatement;

use crate::{
    aside::Aside,
    authority::Authority,
    chance::Chance,
    clock::Agenda,
    habits::Habits,
    mischief::Mischief,
    moves::Moved,
    narrow::Narrow,
    network::{End, Network, WireId},
    oracle::{Failure, Oracle},
    people::{Asked, Population},
    promises::Promises,
    report::Tally,
    restored::Restored,
    review::Review,
    revoked::Revoked,
    station::Station,
    swarm::{CENTRE, Plan},
    trace::{Print, Trace, station_name},
};

/// When every run begins: a Monday morning.
pub(crate) const BEGINS: Moment = Moment(1_795_424_400_000);

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody does something.
    Act,
    /// Somebody sends again what was not answered, or was.
    Again(Box<Asked>),
    /// Something within a station, unless it has died since.
    Within {
        station: usize,
        life: u64,
        what: Inner,
    },
    /// An edge tries to reach the centre.
    Dial { edge: usize },
    /// The handshake is over, unless one of both has died since.
    Connect { edge: usize, lives: [u64; 2] },
    /// A frame reaches the other end.
    Deliver { wire: WireId, to: End, lane: Lane },
    /// An end notices that its wire is dead.
    Notice { wire: WireId, end: End },
    /// A fault is due.
    Fault(usize),
    /// A fault is over.
    FaultEnds(usize),
    /// A wire that was stalled for too long times out.
    TimesOut { edge: usize, wire: WireId },
    /// A station is backed up, for a fault that will put the backup back: its number, the station.
    BackUp(usize, usize),
    /// The centre is backed up, as it is now and then.
    BackUpAgain,
    /// A station starts.
    Start { station: usize },
    /// The authority makes an edge known, and it starts.
    Enrol { edge: usize },
    /// The authority revokes a device, unless the centre knows of that.
    Revoke,
    /// The handshake of a conversation in the narrow protocol is over, unless one of both has died
    /// since.
    Consult { edge: usize, lives: [u64; 2] },
    /// A device that has destroyed its keys tells the centre, for so-manieth time.
    TellPurged { edge: usize, tries: u32 },
    /// A person lets in what was handed in.
    LetIn,
}

/// Something that will happen within a station.
#[derive(Debug)]
pub(crate) enum Inner {
    /// A turn.
    Turn,
    /// The turn's commit is over, and its outputs may go.
    Release(Vec<Output>),
    /// An opener begins with what waits for it.
    Open(usize),
    /// An opener has opened something.
    Opened(usize, node::JobId, Box<node::Opened>),
    /// A revoked device destroys its keys.
    Purge,
    /// It is looked whether a node that was asked to stop may be stopped, for so many milliseconds; at
    /// this moment it is in any case.
    Stop(i64, Moment),
    /// The node wanted to be woken at this moment of its own clock.
    Wake(Moment),
}

/// How far an edge is with reaching the centre.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dialling {
    pub(crate) attempts: u32,
    pub(crate) under_way: bool,
}

/// Documents of which one side was sent what it had missed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filled {
    /// By edges, to the centre.
    pub up: BTreeSet<DocumentId>,
    /// By the centre, to edges.
    pub down: BTreeSet<DocumentId>,
}

/// The centre, its edges, and everything between them.
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) agenda: Agenda<Event>,
    pub(crate) network: Network,
    pub(crate) stations: Vec<Station>,
    pub(crate) dialling: Vec<Dialling>,
    pub(crate) authority: Authority,
    /// Whether people still act.
    pub(crate) acting: bool,
    /// What the authority said of edges that come late, and the centre's answers awaited.
    pub(crate) invited: BTreeMap<usize, SignedStatement>,
    pub(crate) enrolling: BTreeMap<Ticket, usize>,
    pub(crate) tickets: u64,
    pub(crate) transfers_asked: u64,
    pub(crate) moved: Vec<Moved>,
    /// Whether a running program was copied, and the documents on whose branches the authority ruled.
    pub(crate) has_twin: bool,
    pub(crate) branched: BTreeSet<DocumentId>,
    pub(crate) population: Population,
    pub(crate) habits: Habits,
    pub(crate) aside: Aside,
    pub(crate) mischief: Mischief,
    pub(crate) restored: Restored,
    pub(crate) revoked: Revoked,
    pub(crate) narrow: Narrow,
    pub(crate) review: Review,
    pub(crate) promises: Vec<Promises>,
    pub(crate) filled: Filled,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) people_chance: Chance,
    pub(crate) shell_chance: Chance,
    pub(crate) failure: Option<Failure>,
}

impl World {
    /// A world that has not begun.
    pub fn new(seed: u64, plan: Plan, print: Print) -> World {
        let mut chance = Chance::new(seed, "authority");
        let mut authority = Authority::new(&mut chance);
        let stations: Vec<Station> = (0..plan.stations())
            .map(|number| {
                let skew_ms = plan.skew_ms.get(number).copied().unwrap_or(0);
                let own = Chance::new(seed, &station_name(number));
                Station::new(authority.organisation(), skew_ms, own)
            })
            .collect();
        let mut people_chance = Chance::new(seed, "people");
        let population = Population::draw(&plan, &mut people_chance);
        if let Some(centre) = stations.first() {
            authority.found(&plan, population.people(), centre.device().public(), BEGINS);
        }
        let workers = population
            .people()
            .iter()
            .map(|person| person.worker.clone())
            .collect();
        let long_percent = plan.long_texts_percent;
        let qualities = plan.edges.iter().map(|edge| edge.quality);
        World {
            agenda: Agenda::new(BEGINS),
            network: Network::new(qualities, Chance::new(seed, "network")),
            dialling: vec![Dialling::default(); plan.edges.len()],
            promises: (0..plan.stations()).map(|_| Promises::default()).collect(),
            restored: Restored::default(),
            aside: Aside::default(),
            revoked: Revoked::new(Chance::new(seed, "revoked")),
            narrow: Narrow::new(Chance::new(seed, "narrow")),
            review: Review::default(),
            mischief: Mischief::new(&plan, Chance::new(seed, "mischief")),
            habits: Habits::new(Chance::new(seed, "habits"), workers, long_percent),
            trace: Trace::new(BEGINS, print),
            tally: Tally::default(),
            shell_chance: Chance::new(seed, "shell"),
            acting: false,
            invited: BTreeMap::new(),
            enrolling: BTreeMap::new(),
            tickets: 0,
            transfers_asked: 0,
            moved: Vec::new(),
            has_twin: false,
            branched: BTreeSet::new(),
            filled: Filled::default(),
            failure: None,
            people_chance,
            population,
            authority,
            stations,
            plan,
        }
    }

    /// Sets up the centre and the edges that are there from the beginning.
    pub fn begin(&mut self) {
        let now = self.agenda.now();
        let early: Vec<usize> = (0..self.plan.edges.len())
            .filter(|edge| {
                self.plan
                    .edges
                    .get(*edge)
                    .is_some_and(|e| e.enrolled_after_act == 0)
            })
            .collect();
        let mut own = Vec::new();
        for edge in early {
            if let Some(station) = self.stations.get(edge + 1) {
                let key = station.device().public();
                own.push((edge, self.authority.enrol(&self.plan, edge, key, now)));
            }
        }
        let all = self.authority.said().to_vec();
        self.set_up(CENTRE, &all);
        self.back_up_again();
        for (edge, statement) in own {
            // Some edges are told everything when they enrol, some only who they are and who the
            // centre is; the rest then comes with the first sync.
            let told = if self.shell_chance.percent(50) {
                all.clone()
            } else {
                self.authority.introduction(statement)
            };
            self.set_up(edge + 1, &told);
        }
    }

    /// Starts a station for the first time.
    pub(crate) fn set_up(&mut self, number: usize, told: &[SignedStatement]) {
        let now = self.agenda.now();
        let Some(station) = self.stations.get_mut(number) else {
            return;
        };
        if let Err(error) = station.start(now, told) {
            return self.fail(
                Oracle::Opens,
                format!("{}: {error:?}", station_name(number)),
            );
        }
        self.trace.tell(now, number, "set up", || {
            format!("{} statements", told.len())
        });
        self.started(number);
    }

    /// What follows on every start.
    pub(crate) fn started(&mut self, number: usize) {
        self.poke(number);
        if let Some(edge) = number.checked_sub(1) {
            self.dial_soon(edge);
        }
    }

    /// A number for a question to a node, which no other has.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Hands a node what the authority has said; answers under which number, if it runs.
    pub(crate) fn tell(&mut self, number: usize, signed: SignedStatement) -> Option<Ticket> {
        let running = self.stations.get(number)?.running.as_ref()?;
        match running.verifier.statement(signed) {
            Ok(statement) => {
                let ticket = self.ticket();
                self.push(number, Input::Stated { ticket, statement });
                Some(ticket)
            }
            Err(reason) => {
                self.fail(Oracle::Honest, format!("a statement is {reason}"));
                None
            }
        }
    }

    /// Says that an oracle has failed; the first one counts.
    pub(crate) fn fail(&mut self, oracle: Oracle, words: String) {
        let now = self.agenda.now();
        self.trace.tell(now, CENTRE, "FAILED", || {
            format!("{}: {words}", oracle.name())
        });
        if self.failure.is_none() {
            self.failure = Some(Failure { oracle, words });
        }
    }

    /// What has failed, if anything has.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Lets everything happen that is planned until `until`, or until something fails.
    pub fn run_until(&mut self, until: Moment) {
        while self.failure.is_none() {
            match self.agenda.next(until) {
                Some(event) => self.happen(event),
                None => return self.agenda.advance(until),
            }
        }
    }

    /// Lets one thing happen; `false` when nothing is planned.
    pub(crate) fn step(&mut self) -> bool {
        match self.agenda.next(Moment(i64::MAX)) {
            Some(event) => {
                self.happen(event);
                true
            }
            None => false,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act => self.act(),
            Event::Again(asked) => self.ask_again(*asked),
            Event::Within {
                station,
                life,
                what,
            } => {
                if self.stations.get(station).is_some_and(|s| s.life == life) {
                    self.within(station, what);
                }
            }
            Event::Dial { edge } => self.dial(edge),
            Event::Connect { edge, lives } => self.connect(edge, lives),
            Event::Deliver { wire, to, lane } => self.deliver(wire, to, lane),
            Event::Notice { wire, end } => self.notice(wire, end),
            Event::Fault(number) => self.fault(number),
            Event::FaultEnds(number) => self.fault_ends(number),
            Event::TimesOut { edge, wire } => self.times_out(edge, wire),
            Event::BackUp(number, station) => self.back_up(station, Some(number)),
            Event::BackUpAgain => self.back_up_again(),
            Event::Start { station } => self.start(station),
            Event::Enrol { edge } => self.enrol(edge),
            Event::Revoke => self.revoke(),
            Event::Consult { edge, lives } => self.begin_to_consult(edge, lives),
            Event::TellPurged { edge, tries } => self.tell_purged(edge, tries),
            Event::LetIn => self.let_in(),
        }
    }
}
