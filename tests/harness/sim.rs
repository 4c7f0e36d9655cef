//! One run from one seed, from the first morning to the judgement.

use std::panic::{AssertUnwindSafe, catch_unwind};

use names::Reason;
use node::{Notice, views};

use crate::{
    disk::{Crashed, Disk},
    evidence::Evidence,
    oracle::{Failure, Oracle},
    report::Tally,
    swarm::{CENTRE, Plan},
    trace::Print,
    world::{Filled, World},
};

/// How long the world may take to come to rest after the last fault: a node waits at most ten
/// minutes between two rounds that ended unequal, and three such waits would mean that it does
/// not get on.
pub(crate) const SETTLING_MS_MAX: i64 = 30 * 60_000;
/// For how long at least faults wait for something to strike: the centre may be away for minutes, and
/// an edge dials again only some time after.
const FAULTS_WAIT_MS: i64 = 10 * 60_000;
/// How often it is looked whether the world is at rest.
pub(crate) const LOOK_MS: i64 = 500;

/// Seeds that `cargo ci` runs; `cargo sim --count 500` is the release figure. Among so many every
/// kind of fault must have taken effect.
pub const SEEDS_OF_CI: u64 = 60;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The oracle that failed, if one did.
    pub failure: Option<Failure>,
    /// What happened.
    pub tally: Tally,
    /// The hash over everything that every node said, in order.
    pub trace: [u8; 32],
    /// Events in the trace.
    pub events: u64,
}

/// Runs a seed. A panic anywhere in it is a failure like any other.
pub fn run(seed: u64, print: Print) -> Outcome {
    let ran = catch_unwind(AssertUnwindSafe(|| run_unguarded(seed, print)));
    ran.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome {
            seed,
            failure: Some(Failure {
                oracle: Oracle::Panics,
                words: words.unwrap_or_else(|| "a panic without words".to_owned()),
            }),
            tally: Tally::default(),
            trace: [0; 32],
            events: 0,
        }
    })
}

/// Runs a seed, and once more without printing: a seed that goes two ways has failed.
pub fn run_twice(seed: u64, print: Print) -> Outcome {
    let (mut first, second) = (run(seed, print), run(seed, Print::Nothing));
    let same = (first.trace, first.events) == (second.trace, second.events);
    if !same && first.failure.is_none() {
        let words = format!(
            "{} events, and {} when it was run again",
            first.events, second.events
        );
        first.failure = Some(Failure {
            oracle: Oracle::Replay,
            words,
        });
    }
    first
}

fn run_unguarded(seed: u64, print: Print) -> Outcome {
    play(seed, World::new(seed, Plan::draw(seed), print))
}

/// Plays a world from its first morning to the judgement.
pub fn play(seed: u64, world: World) -> Outcome {
    play_and_spoil(seed, world, |_| {})
}

/// Plays a world, and does something to it just before the judgement: for negative controls.
pub fn play_and_spoil(seed: u64, mut world: World, spoil: impl FnOnce(&mut World)) -> Outcome {
    world.begin();
    world.open_the_doors();
    world.live();
    world.come_to_rest();
    if world.failure().is_none() {
        spoil(&mut world);
        world.judge();
        world.tally.repairs_in_life = world.tally.repairs;
        world.refuse_one();
    }
    world.outcome(seed)
}

impl World {
    /// People act and faults strike until there has been enough of both.
    pub(crate) fn live(&mut self) {
        // Faults that lie in wait for a commit need people who write.
        let acts_max = self.plan.acts * 4 + 400;
        while self.failure().is_none() {
            let moved = self.tally.transfers > 0 || self.plan.transfer_after_act == u64::MAX;
            if self.tally.acts >= self.plan.acts && self.mischief.is_over() && moved {
                return;
            }
            let has_waited = self.agenda.now() > crate::world::BEGINS.plus_ms(FAULTS_WAIT_MS);
            if self.tally.acts >= acts_max && has_waited {
                let unfired = self.mischief.unfired();
                let words = format!("never took effect: {unfired:?}, or no case was transferred");
                return self.fail(Oracle::Fired, words);
            }
            if !self.step() {
                return;
            }
        }
    }

    /// People act this many times more, whatever goes wrong.
    pub fn work(&mut self, acts: u64) {
        let enough = self.tally.acts + acts;
        self.open_the_doors();
        while self.failure().is_none() && self.tally.acts < enough && self.step() {}
        self.acting = false;
    }

    /// The faults end, people go home, and everything must become equal.
    pub fn come_to_rest(&mut self) {
        let begun = self.agenda.now();
        self.acting = false;
        self.heal();
        self.trace.tell(begun, 0, "healed", String::new);
        while self.failure().is_none() {
            let now = self.agenda.now();
            self.run_until(now.plus_ms(LOOK_MS));
            let unsettled = self.unsettled();
            if unsettled.is_some() && self.awaits_backup() {
                self.back_up(CENTRE, None);
            }
            self.tally.settling_ms = self.agenda.now().0 - begun.0;
            match unsettled {
                None => {
                    self.trace
                        .tell(self.agenda.now(), 0, "at rest", String::new);
                    return;
                }
                Some(why) if self.tally.settling_ms > SETTLING_MS_MAX => {
                    let minutes = SETTLING_MS_MAX / 60_000;
                    self.fail(Oracle::Converge, format!("after {minutes} minutes {why}"));
                }
                Some(_) => {}
            }
        }
    }

    /// What an operator would be told.
    pub(crate) fn noticed(&mut self, number: usize, notice: &Notice) {
        let now = self.agenda.now();
        match notice {
            Notice::Refused { link, reason } => {
                *self.tally.refused.entry(*reason).or_default() += 1;
                self.trace.tell(now, number, "refuses", || {
                    format!("wire {}: {reason}", link.0)
                });
            }
            Notice::Repairing { link, scope } => {
                self.tally.repairs += 1;
                self.trace.tell(now, number, "compares", || {
                    format!("wire {}: {scope}", link.0)
                });
            }
            Notice::Differing {
                link,
                scope,
                documents,
            } => {
                self.tally.repaired += documents;
                self.trace.tell(now, number, "differs", || {
                    format!("wire {}: {documents} documents of {scope}", link.0)
                });
            }
            Notice::Unreadable {
                document,
                reason: Reason::SetAside,
            } => self.set_aside(number, *document),
            Notice::Unreadable { document, reason } => {
                self.fail(Oracle::Opens, format!("{document} is {reason}"));
            }
            Notice::Declined {
                link,
                document,
                reason,
            } => {
                self.trace.tell(now, number, "is declined", || {
                    format!("wire {}: {document}: {reason}", link.0)
                });
            }
            Notice::Copied { device, how } => {
                let stations = self.stations.iter().enumerate();
                let mut whose = stations
                    .filter(|(_, s)| protocol::signed::device_id(&s.device().public()) == *device);
                let copied = |(number, _): (usize, &_)| {
                    let edge = number.checked_sub(1);
                    let edge = edge.and_then(|edge| self.plan.edges.get(edge));
                    self.restored.was(number) || edge.is_some_and(|edge| edge.copy_of.is_some())
                };
                if *how == views::Copied::OlderCopy && !whose.any(copied) {
                    let words = format!("{device} is called an older copy, and is none");
                    self.fail(Oracle::Honest, words);
                }
                self.trace
                    .tell(now, number, "finds copied", || format!("{device}: {how:?}"));
            }
            Notice::Heard { link, device } => {
                self.trace.tell(now, number, "hears", || {
                    format!("wire {}: {device}", link.0)
                });
            }
            Notice::Equal { link, scope, .. } => self.restored.proved(number, *link, scope),
        }
    }

    /// What has happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A copy of a station's disk, as `cp` makes it beside the running node.
    pub fn copy_of(&self, station: usize) -> Option<Disk> {
        self.stations
            .get(station)
            .map(|station| station.disk.copy())
    }

    /// What is on the disk of a station that runs.
    pub fn look_at(&mut self, station: usize) -> Option<Evidence> {
        self.evidence(station)
    }

    /// The documents of which something was filled in, since this was asked last.
    pub fn take_filled(&mut self) -> Filled {
        std::mem::take(&mut self.filled)
    }

    fn outcome(mut self, seed: u64) -> Outcome {
        let network = self.network.tally();
        self.tally.frames = network.frames;
        let crashed = self.stations.iter().map(|station| station.disk.crashed());
        self.tally.crashed = crashed.fold(Crashed::default(), Crashed::with);
        self.tally.frame_bytes = network.bytes;
        self.tally.virtual_ms = self.agenda.now().0 - crate::world::BEGINS.0;
        Outcome {
            seed,
            failure: self.failure,
            tally: self.tally,
            trace: self.trace.hash_of_all(),
            events: self.trace.events(),
        }
    }
}
