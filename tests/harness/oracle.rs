//! What must hold, whatever the seed.

use std::collections::BTreeSet;

use names::{DocumentId, Reason, ScopeId};
use node::{views, views::EntryState};
use store::StoreError;

use crate::{
    evidence::{Evidence, Found},
    people::Kept,
    station::Station,
    swarm::{CENTRE, Joint},
    trace::station_name,
    world::World,
};

/// What can turn out not to hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Oracle {
    /// After the faults everything becomes equal, in bounded time, and is proved equal.
    Converge,
    /// What people were told is saved is there.
    Keep,
    /// What a node has said it holds, it holds after any crash.
    Durable,
    /// No store holds a document outside its device's scopes.
    Scope,
    /// Nothing that people typed can be read on any disk.
    Sealed,
    /// One seed is one run.
    Replay,
    /// Every fault that was drawn took effect.
    Fired,
    /// Honest nodes never refuse one another for what only a forger would send.
    Honest,
    /// Every question is answered once, unless its station died.
    Answered,
    /// A store opens after any crash, and its documents do.
    Opens,
    /// What was written on a revoked device is accepted, kept unread, refused and marked by what
    /// was known where, and by nothing else.
    Standing,
    /// Nothing panics.
    Panics,
}

impl Oracle {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Oracle::Converge => "converge",
            Oracle::Keep => "keep",
            Oracle::Durable => "durable",
            Oracle::Scope => "scope",
            Oracle::Sealed => "sealed",
            Oracle::Replay => "replay",
            Oracle::Fired => "fired",
            Oracle::Honest => "honest",
            Oracle::Answered => "answered",
            Oracle::Opens => "opens",
            Oracle::Standing => "standing",
            Oracle::Panics => "panics",
        }
    }
}

/// An oracle that failed, and what it saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which.
    pub oracle: Oracle,
    /// What it saw. Holds no words of people.
    pub words: String,
}

/// What only damage, a forger or a bug can make one honest node refuse another for.
const NEVER: [Reason; 12] = [
    Reason::Malformed,
    Reason::TooLarge,
    Reason::WrongHash,
    Reason::BadSignature,
    Reason::WrongActor,
    Reason::Equivocation,
    Reason::NoCommonVersion,
    Reason::WrongTenant,
    Reason::CannotOpen,
    Reason::SetAside,
    Reason::OutOfTurn,
    Reason::NotSaved,
];

/// Whether this reason may never be met among honest nodes.
pub fn is_never_honest(reason: Reason) -> bool {
    NEVER.contains(&reason)
}

impl World {
    /// What a node's disk tells, or nothing if the node does not run.
    pub(crate) fn evidence(&mut self, number: usize) -> Option<Evidence> {
        let snapshot = self
            .stations
            .get(number)
            .and_then(|station| station.snapshot())?;
        match Evidence::read(&snapshot) {
            Ok(evidence) if evidence.unreadable.is_empty() => Some(evidence),
            Ok(evidence) => {
                let words = evidence.unreadable.join(", ");
                self.fail(Oracle::Opens, format!("{}: {words}", station_name(number)));
                None
            }
            Err(error) => {
                self.fail(
                    Oracle::Opens,
                    format!("{}: {error:?}", station_name(number)),
                );
                None
            }
        }
    }

    /// A station has started again: all it ever said must be there.
    pub(crate) fn check_after_start(&mut self, number: usize) {
        let Some(evidence) = self.evidence(number) else {
            return;
        };
        let broken = self.promises.get(number).and_then(|promises| {
            // Of a branch that does not stand the entries stay, and its changes go; whether the
            // entries are there is judged in the end.
            let mut let_go = self.let_go(number, &evidence);
            let_go.extend(&self.branched);
            promises.broken(&evidence, &let_go)
        });
        if let Some(broken) = broken {
            self.fail(
                Oracle::Durable,
                format!("{} {broken}", station_name(number)),
            );
        }
        self.check_scopes(number, &evidence, false);
        self.mark_after_start(number);
    }

    /// The scopes whose documents a station may read, from the plan and not from its node.
    pub(crate) fn readable(&self, number: usize) -> BTreeSet<ScopeId> {
        let edge = number
            .checked_sub(1)
            .and_then(|edge| self.plan.edges.get(edge));
        let site = edge.map(|edge| edge.site);
        let is_mine = |of: usize| site.is_none_or(|site| site == of);
        let shared = self.plan.joints.iter().filter_map(|joint| match joint {
            Joint::Compartment {
                owner,
                guest,
                scope,
            } if is_mine(*owner) || is_mine(*guest) => Some(scope.clone()),
            Joint::Compartment { .. } | Joint::Referral { .. } => None,
        });
        let sites = (0..self.plan.sites.len()).filter(|site| is_mine(*site));
        shared
            .chain(sites.filter_map(|site| self.plan.scope(site)))
            .collect()
    }

    /// The documents that a station may have let go: it has been told that they were placed where it
    /// may not read them.
    pub(crate) fn let_go(&self, number: usize, evidence: &Evidence) -> BTreeSet<DocumentId> {
        let readable = self.readable(number);
        let is_elsewhere = |found: &Found| found.scopes().is_disjoint(&readable);
        let documents = evidence.documents().iter().filter(|_| number != CENTRE);
        documents
            .filter(|(_, found)| is_elsewhere(found))
            .map(|(document, _)| *document)
            .collect()
    }

    /// What a station has let go it could read once, and at rest it holds nothing of it.
    pub(crate) fn check_scopes(&mut self, number: usize, evidence: &Evidence, at_rest: bool) {
        let readable = self.readable(number);
        let stray = self.let_go(number, evidence).into_iter().find(|document| {
            let found = evidence.documents().get(document);
            found.is_some_and(|found| {
                let was_here = !found.ever_in().is_disjoint(&readable);
                !was_here || (at_rest && !found.changes.is_empty())
            })
        });
        if let Some(document) = stray {
            let name = station_name(number);
            self.fail(
                Oracle::Scope,
                format!("{name} holds {document}, which it may not read"),
            );
        }
    }

    /// Why the world is not at rest yet; `None` when every scope is proved equal.
    pub(crate) fn unsettled(&self) -> Option<String> {
        if let Some(asked) = self.population.waiting() {
            let (name, entry) = (station_name(asked.station), asked.request.entry);
            return Some(format!("{name} has not answered {entry}"));
        }
        let running = |number: usize| self.stations.get(number)?.running.as_ref();
        let Some(centre) = running(CENTRE) else {
            return Some("the centre does not run".to_owned());
        };
        let Ok(at_centre) = centre.node.sync() else {
            return Some("the centre does not say what it proved".to_owned());
        };
        let why = self.unsettled_revocation().or_else(|| self.still_aside());
        if why.is_some() {
            return why;
        }
        for edge in self.edges_left() {
            let name = station_name(edge + 1);
            let (Some(running), Some(wire)) = (running(edge + 1), self.network.whole(edge)) else {
                return Some(format!("{name} is not connected"));
            };
            if running.node.waiting() > 0 {
                return Some(format!(
                    "{name} waits for {} receipts",
                    running.node.waiting()
                ));
            }
            if let Some(document) = self.still_held(edge + 1) {
                return Some(format!("{name} still holds {document}"));
            }
            if running.node.directory().digest() != centre.node.directory().digest() {
                return Some(format!("{name} has another directory"));
            }
            let Ok(at_edge) = running.node.sync() else {
                return Some(format!("{name} does not say what it proved"));
            };
            for scope in self.readable(edge + 1) {
                let proved = |all: &[views::ScopeSync]| {
                    let mut peers = all
                        .iter()
                        .filter(|sync| sync.scope == scope)
                        .flat_map(|sync| &sync.peers)
                        .filter(|peer| peer.link.0 == wire.0);
                    peers.any(|peer| peer.proved.is_some())
                };
                if !proved(&at_edge) || !proved(&at_centre) {
                    return Some(format!("{name} has not proved {scope}"));
                }
            }
        }
        None
    }

    /// Somebody looks how far an entry has got. What is said to be at the centre is there, unless
    /// the centre's disk was replaced and the edge was not yet proved equal with it since. What is
    /// said to be backed up was on the centre's disk when one of its backups was begun.
    pub(crate) fn check_a_receipt(&mut self, nth: u64) {
        let length = self.population.kept().len() as u64;
        let index = usize::try_from(nth.checked_rem(length).unwrap_or(0)).unwrap_or(0);
        let kept = self.population.kept();
        let Some(line) = kept.get(index) else {
            return;
        };
        // An entry that was lost with its disk and sent again is another change, and it is the last
        // that its station speaks of.
        let same = |other: &&Kept| other.station == line.station && other.entry == line.entry;
        let Some(line) = kept
            .iter()
            .rev()
            .filter(same)
            .find(|line| line.change.is_some())
            .cloned()
        else {
            return;
        };
        let snapshot = |number: usize| self.stations.get(number).and_then(Station::snapshot);
        let here = snapshot(line.station);
        let (Some(change), Some(here), Some(centre)) = (line.change, here, snapshot(CENTRE)) else {
            return;
        };
        let Ok(Some(said)) = views::entry_state(&here, line.entry) else {
            return;
        };
        let is_branched = self.branched.contains(&line.document);
        if said == EntryState::BackedUp && !is_branched {
            self.tally.backed_up += 1;
            if !self.restored.is_backed_up(line.document, change) {
                let name = station_name(line.station);
                let words = format!("{name} says {} is backed up, and it is not", line.entry);
                return self.fail(Oracle::Keep, words);
            }
        }
        let misleads = line.station == CENTRE || self.restored.misleads(line.station);
        if said < EntryState::AtTheCentre || misleads {
            return;
        }
        let evidence = match Evidence::read(&centre) {
            // Its disk fails just now: what is on it cannot be told.
            Err(StoreError::Io(_) | StoreError::Dead) => return,
            evidence => evidence,
        };
        self.tally.receipts += 1;
        let is_there = evidence.is_ok_and(|evidence| match is_branched {
            true => evidence.tells_of(line.document, line.entry),
            false => evidence.has(line.document, change),
        });
        if !is_there {
            let name = station_name(line.station);
            let words = format!("{name} says {} is at the centre, and it is not", line.entry);
            self.fail(Oracle::Keep, words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{swarm::Plan, trace::Print};

    #[test]
    fn nothing_is_at_rest_while_the_centre_is_down() {
        let mut world = World::new(1, Plan::draw(1).without_faults(), Print::Nothing);
        world.begin();
        world.come_to_rest();
        assert_eq!(world.unsettled(), None);
        let disk = world.copy_of(CENTRE).expect("a disk");
        world.restore(CENTRE, 20_000, &disk);
        assert!(world.unsettled().is_some());
        world.come_to_rest();
        assert_eq!(world.failure(), None);
        assert!(world.look_at(CENTRE).is_some(), "the centre does not run");
    }
}
