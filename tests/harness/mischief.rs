//! What goes wrong in the world: each planned fault strikes when its moment has come, and tries
//! again for as long as it has hit nothing. A fault that never took effect proves nothing, so the
//! oracle *fired* counts what really happened.

use std::collections::BTreeMap;

use names::Moment;

use crate::{
    chance::Chance,
    disk::Fault,
    faults::{FaultKind, FaultPlan},
    network::{End, Quality, WireId},
    station::Station,
    swarm::Plan,
    world::{Event, World},
};

/// Both ends give a wire up when nothing has passed for this long, as a QUIC idle timeout does.
pub(crate) const IDLE_TIMEOUT_MS: i64 = 30_000;
/// Writes and syncs that one commit takes, roughly: a power cut strikes within so many.
const OPERATIONS_OF_COMMIT: u64 = 24;
/// Writes and syncs that an opening takes at least.
const OPERATIONS_OF_OPENING: u64 = 6;
/// A shell whose disk is full opens the store again after this long.
const REOPENS_MS: i64 = 10_000;
/// A fault that found nothing to strike tries again after this long.
const AGAIN_MS: i64 = 400;

/// How far a planned fault has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not due yet, or due and nothing struck so far.
    Waiting,
    /// It lies in wait at its station.
    Planted,
    /// It goes on for a while.
    Lasting,
    /// It is over.
    Over,
}

#[derive(Debug)]
struct State {
    plan: FaultPlan,
    stage: Stage,
}

/// All faults of a run.
#[derive(Debug)]
pub struct Mischief {
    faults: Vec<State>,
    /// The fault that lies in wait or goes on at each station: one at a time.
    planted: BTreeMap<usize, usize>,
    pub(crate) healing: bool,
    pub(crate) chance: Chance,
}

impl Mischief {
    /// The faults of a plan.
    pub fn new(plan: &Plan, chance: Chance) -> Mischief {
        let state = |plan: &FaultPlan| State {
            plan: plan.clone(),
            stage: Stage::Waiting,
        };
        Mischief {
            faults: plan.faults.iter().map(state).collect(),
            planted: BTreeMap::new(),
            healing: false,
            chance,
        }
    }

    /// Whether every fault has fired and is over.
    pub fn is_over(&self) -> bool {
        self.faults.iter().all(|fault| fault.stage == Stage::Over)
    }

    /// Faults that have not fired, with what each is to strike: a station, or an edge's path.
    pub fn unfired(&self) -> Vec<(FaultKind, usize)> {
        let waits = |state: &&State| matches!(state.stage, Stage::Waiting | Stage::Planted);
        self.faults
            .iter()
            .filter(waits)
            .map(|state| (state.plan.kind, state.plan.at))
            .collect()
    }

    fn plan(&self, number: usize) -> Option<FaultPlan> {
        self.faults.get(number).map(|state| state.plan.clone())
    }

    fn set(&mut self, number: usize, stage: Stage) {
        if let Some(state) = self.faults.get_mut(number) {
            state.stage = stage;
        }
    }

    /// The fault that lies in wait at a station.
    fn planted_at(&self, station: usize) -> Option<(usize, FaultPlan)> {
        let number = *self.planted.get(&station)?;
        Some((number, self.plan(number)?))
    }
}

impl World {
    /// Plans the faults and copies that belong after this many acts.
    pub(crate) fn plan_what_follows_act(&mut self, acts: u64) {
        for (number, state) in self.mischief.faults.iter().enumerate() {
            let kind = state.plan.kind;
            let restores = matches!(kind, FaultKind::Restore | FaultKind::RestoreEdge);
            if restores && state.plan.copied_after_act + 1 == acts {
                self.agenda.after(0, Event::BackUp(number, state.plan.at));
            }
            if state.plan.after_act == acts {
                self.agenda.after(0, Event::Fault(number));
            }
        }
    }

    /// A fault is due: it strikes, or tries again.
    pub(crate) fn fault(&mut self, number: usize) {
        let Some(plan) = self.aimed(number) else {
            return;
        };
        let struck = match plan.kind {
            FaultKind::Cut | FaultKind::Stall | FaultKind::Slow => self.strike_path(number, &plan),
            FaultKind::PowerInCommit
            | FaultKind::KillInCommit
            | FaultKind::KillBeforeRelease
            | FaultKind::PowerInRecovery
            | FaultKind::SyncFails
            | FaultKind::DiskFull => self.plant(number, &plan),
            FaultKind::PowerWhileIdle
            | FaultKind::Restart
            | FaultKind::Restore
            | FaultKind::RestoreEdge => self.strike_node(number, &plan),
            FaultKind::CloneEdge => self.clone_edge(number, &plan),
            FaultKind::Revoke => self.begin_to_revoke(number, &plan),
            FaultKind::ClockJump => self.jump(number, &plan),
        };
        if !struck && !self.mischief.healing {
            self.agenda.after(AGAIN_MS, Event::Fault(number));
        }
    }

    pub(crate) fn fired(&mut self, plan: &FaultPlan, place: usize) {
        let now = self.agenda.now();
        *self.tally.faults.entry(plan.kind).or_default() += 1;
        self.trace.tell(now, place, plan.kind.name(), || {
            format!("for {} ms", plan.lasts_ms)
        });
    }

    /// A fault with what it is to strike: where a device was revoked nothing is left to be struck,
    /// or no wire, or nothing more is promised that an older copy could lack, so it strikes the next
    /// edge instead. `None` when there is no such fault, or nothing to copy.
    fn aimed(&mut self, number: usize) -> Option<FaultPlan> {
        let plan = self.mischief.plan(number)?;
        let shows_nothing = |edge: &usize| match plan.kind {
            FaultKind::RestoreEdge => {
                self.knows_itself_revoked(edge + 1) && !self.lacks_a_promise(number, edge + 1)
            }
            kind => {
                let is_cut_off = self.network.whole(*edge).is_none();
                kind.is_of_path() && self.is_revoked(edge + 1) && is_cut_off
            }
        };
        let edge = plan.edge();
        let edge = edge.filter(|edge| self.is_gone(edge + 1) || shows_nothing(edge));
        let Some(edge) = edge else {
            return Some(plan);
        };
        if plan.kind == FaultKind::CloneEdge {
            self.mischief.set(number, Stage::Over);
            return None;
        }
        let edges = self.plan.edges.len();
        let mut others = (1..edges).map(|step| (edge + step) % edges);
        let there = |edge: &usize| self.stations.get(edge + 1).is_some_and(|s| s.enrolled);
        let next = others.find(there)?;
        // What was copied of the other is nothing to be put back here.
        self.restored.forget_copy(number);
        let state = self.mischief.faults.get_mut(number)?;
        state.plan.at += next;
        state.plan.at -= edge;
        Some(state.plan.clone())
    }

    /// What lay in wait at a station that is no more, and struck nothing, strikes elsewhere.
    pub(crate) fn aim_elsewhere(&mut self, station: usize) {
        let Some((number, _)) = self.mischief.planted_at(station) else {
            return;
        };
        let state = self.mischief.faults.get_mut(number);
        if let Some(state) = state.filter(|state| state.stage == Stage::Planted) {
            state.stage = Stage::Waiting;
            self.mischief.planted.remove(&station);
            self.agenda.after(AGAIN_MS, Event::Fault(number));
        }
    }

    /// A device is revoked, and the centre knows.
    pub(crate) fn has_revoked(&mut self, number: usize) {
        let Some(plan) = self.mischief.plan(number) else {
            return;
        };
        self.mischief.set(number, Stage::Over);
        self.fired(&plan, plan.at);
    }

    /// An edge's wire is cut with frames under way, and its path stays down until then.
    pub(crate) fn cut_path(&mut self, edge: usize, until: Moment) {
        self.network.block(edge, until);
        if let Some(wire) = self.network.whole(edge) {
            self.tally.frames_lost += self.network.cut(wire);
            self.both_ends_notice(wire);
        }
    }

    fn strike_path(&mut self, number: usize, plan: &FaultPlan) -> bool {
        let (now, edge) = (self.agenda.now(), plan.at);
        let Some(wire) = self.network.whole(edge) else {
            return false;
        };
        match plan.kind {
            FaultKind::Cut => {
                self.cut_path(edge, now.plus_ms(plan.lasts_ms));
                self.mischief.set(number, Stage::Over);
                self.fired(plan, edge + 1);
                return true;
            }
            FaultKind::Stall => {
                self.network.stall(edge, now.plus_ms(plan.lasts_ms));
                self.agenda
                    .after(IDLE_TIMEOUT_MS, Event::TimesOut { edge, wire });
            }
            _ => {
                let quality = Quality {
                    latency_ms: self.mischief.chance.span_ms(500, 4_000),
                    jitter_ms: 200,
                    bytes_per_ms: 1,
                };
                self.network.slow(edge, now.plus_ms(plan.lasts_ms), quality);
            }
        }
        self.mischief.set(number, Stage::Lasting);
        self.agenda.after(plan.lasts_ms, Event::FaultEnds(number));
        true
    }

    /// What lasts is over; if nothing was hit by it, it begins again.
    pub(crate) fn fault_ends(&mut self, number: usize) {
        let Some(plan) = self.mischief.plan(number) else {
            return;
        };
        let hit = match plan.kind {
            FaultKind::Stall => self.network.stalled(plan.at) > 0,
            FaultKind::Slow => self.network.slowed(plan.at) > 0,
            FaultKind::DiskFull => {
                if let Some(station) = self.stations.get(plan.at) {
                    station.disk.mend();
                }
                self.mischief.planted.remove(&plan.at);
                self.mischief.set(number, Stage::Over);
                return;
            }
            _ => true,
        };
        if hit {
            self.fired(&plan, plan.at + 1);
            self.mischief.set(number, Stage::Over);
        } else {
            self.mischief.set(number, Stage::Waiting);
            self.agenda.after(AGAIN_MS, Event::Fault(number));
        }
    }

    /// A wire over a path that stands still is given up after a while.
    pub(crate) fn times_out(&mut self, edge: usize, wire: WireId) {
        if self.network.is_stalled(edge, self.agenda.now()) {
            self.tally.frames_lost += self.network.cut(wire);
            self.notice(wire, End::Edge);
            self.notice(wire, End::Centre);
        }
    }

    /// The ends of a wire that was cut notice it at different moments.
    pub(crate) fn both_ends_notice(&mut self, wire: WireId) {
        for end in [End::Edge, End::Centre] {
            let after_ms = self
                .mischief
                .chance
                .span_ms(50, IDLE_TIMEOUT_MS.unsigned_abs());
            self.agenda.after(after_ms, Event::Notice { wire, end });
        }
    }

    /// Whether a node runs at which no other fault lies in wait.
    pub(crate) fn can_strike(&self, station: usize) -> bool {
        let running = self
            .stations
            .get(station)
            .is_some_and(|s| s.running.is_some());
        running && !self.mischief.planted.contains_key(&station)
    }

    /// Lays a fault in wait in a station's disk, for one of its next commits.
    fn plant(&mut self, number: usize, plan: &FaultPlan) -> bool {
        if !self.can_strike(plan.at) {
            return false;
        }
        let Some(station) = self.stations.get(plan.at) else {
            return false;
        };
        let within = self.mischief.chance.below(OPERATIONS_OF_COMMIT);
        match plan.kind {
            FaultKind::PowerInCommit | FaultKind::KillInCommit | FaultKind::PowerInRecovery => {
                station.disk.fail_after(within, Fault::Cut);
            }
            FaultKind::SyncFails => station.disk.fail_after(0, Fault::Sync),
            FaultKind::DiskFull => station.disk.fail_after(0, Fault::Full),
            _ => {}
        }
        self.mischief.planted.insert(plan.at, number);
        self.mischief.set(number, Stage::Planted);
        true
    }

    /// A turn was committed and nothing of it said: where a kill lies in wait, it strikes.
    pub(crate) fn killed_before_release(&mut self, station: usize) -> bool {
        match self.mischief.planted_at(station) {
            Some((number, plan)) if plan.kind == FaultKind::KillBeforeRelease => {
                self.is_over(number, &plan);
                self.die(station, plan.lasts_ms, Station::kill);
                true
            }
            _ => false,
        }
    }

    fn is_over(&mut self, number: usize, plan: &FaultPlan) {
        self.mischief.planted.remove(&plan.at);
        self.mischief.set(number, Stage::Over);
        self.fired(plan, plan.at);
    }

    /// A store has failed a node or would not open. `false` when no fault explains it.
    pub(crate) fn planted_fault_fired(&mut self, station: usize) -> bool {
        let Some((number, plan)) = self.mischief.planted_at(station) else {
            return false;
        };
        match plan.kind {
            FaultKind::PowerInCommit | FaultKind::SyncFails => {
                self.is_over(number, &plan);
                self.die(station, plan.lasts_ms, Station::power_cut);
            }
            FaultKind::KillInCommit => {
                self.is_over(number, &plan);
                self.die(station, plan.lasts_ms, Station::kill);
            }
            FaultKind::PowerInRecovery => {
                let running = self
                    .stations
                    .get(station)
                    .is_some_and(|s| s.running.is_some());
                if running {
                    // The first cut; the second one waits in the disk for the opening.
                    self.die(station, 1_000, Station::power_cut);
                    let within = self.mischief.chance.below(OPERATIONS_OF_OPENING);
                    if let Some(station) = self.stations.get(station) {
                        station.disk.fail_after(within, Fault::Cut);
                    }
                } else {
                    self.is_over(number, &plan);
                    self.die(station, plan.lasts_ms, Station::power_cut);
                }
            }
            FaultKind::DiskFull => {
                if self
                    .mischief
                    .faults
                    .get(number)
                    .is_some_and(|f| f.stage == Stage::Planted)
                {
                    self.fired(&plan, station);
                    self.mischief.set(number, Stage::Lasting);
                    self.agenda.after(plan.lasts_ms, Event::FaultEnds(number));
                }
                // The shell opens the store again and again until there is room.
                self.die(station, REOPENS_MS, Station::kill);
                if let Some(station) = self.stations.get(station) {
                    station.disk.fail_after(0, Fault::Full);
                }
            }
            FaultKind::KillBeforeRelease
            | FaultKind::PowerWhileIdle
            | FaultKind::Restart
            | FaultKind::Restore
            | FaultKind::RestoreEdge
            | FaultKind::CloneEdge
            | FaultKind::ClockJump
            | FaultKind::Revoke
            | FaultKind::Cut
            | FaultKind::Stall
            | FaultKind::Slow => return false,
        }
        true
    }

    /// A copy of a station's disk, made beside its running node, starts on a machine of its own; in every
    /// other world it is a copy of the running program too.
    fn clone_edge(&mut self, number: usize, plan: &FaultPlan) -> bool {
        let edges = self.plan.edges.iter();
        let copy = edges.map(|edge| edge.copy_of.map(|of| of + 1));
        let copy = copy.clone().position(|of| of == Some(plan.at));
        let Some(copy) = copy.map(|edge| edge + 1) else {
            return false;
        };
        let Ok([of, beside]) = self.stations.get_disjoint_mut([plan.at, copy]) else {
            return false;
        };
        if of.running.is_none() {
            return false;
        }
        let as_it_runs = plan.lasts_ms % 2 == 0;
        beside.become_copy_of(of, as_it_runs);
        self.has_twin |= as_it_runs;
        self.agenda
            .after(plan.lasts_ms, Event::Start { station: copy });
        self.mischief.set(number, Stage::Over);
        self.fired(plan, plan.at);
        true
    }

    /// A clock jumps, under a node that runs or one that does not.
    fn jump(&mut self, number: usize, plan: &FaultPlan) -> bool {
        let size_ms = self.mischief.chance.span_ms(1_000, 86_400_000);
        let forwards = self.mischief.chance.percent(50);
        if let Some(station) = self.stations.get_mut(plan.at) {
            station.skew_ms += if forwards { size_ms } else { -size_ms };
        }
        self.mischief.set(number, Stage::Over);
        self.fired(plan, plan.at);
        true
    }

    fn strike_node(&mut self, number: usize, plan: &FaultPlan) -> bool {
        let running = self.stations.get(plan.at).and_then(|s| s.running.as_ref());
        if !self.can_strike(plan.at) || running.is_some_and(|running| running.releasing) {
            return false;
        }
        match plan.kind {
            FaultKind::PowerWhileIdle => self.die(plan.at, plan.lasts_ms, Station::power_cut),
            FaultKind::Restart => self.ask_to_stop(plan.at, plan.lasts_ms),
            _ => {
                if !self.put_back(number, plan) {
                    return false;
                }
            }
        }
        self.mischief.set(number, Stage::Over);
        self.fired(plan, plan.at);
        true
    }

    /// Ends everything that is wrong, so that all can come together.
    pub(crate) fn heal(&mut self) {
        self.mischief.healing = true;
        self.network.heal();
        if self.revoked.was_begun() {
            self.agenda.after(0, Event::Revoke);
        }
        for (number, station) in self.stations.iter().enumerate() {
            station.disk.mend();
            if station.running.is_none() && station.enrolled {
                self.agenda.after(0, Event::Start { station: number });
            }
        }
        self.mischief.planted.clear();
    }
}
