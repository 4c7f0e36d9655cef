//! Backups, and stations whose disk is replaced by an older copy: what is gone with the old one, and,
//! where it was the centre's, for how long its edges cannot know.

use std::collections::{BTreeMap, BTreeSet};

use names::{ChangeHash, DocumentId, EntryId, ScopeId};
use node::{Errand, Input, LinkId, Ran, Ticket};

use crate::{
    disk::Disk,
    evidence::Evidence,
    faults::FaultPlan,
    network::WireId,
    oracle::Oracle,
    station::Station,
    swarm::CENTRE,
    trace::station_name,
    world::{Event, World},
};

/// How often the centre is backed up.
const BACKUP_EVERY_MS: i64 = 120_000;

/// A copy of a station's disk, and what is on it.
#[derive(Clone, Debug)]
struct Copy {
    station: usize,
    disk: Disk,
    evidence: Evidence,
}

/// What restores have left open.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// Copies of disks, and what is on each, by the fault that will put it back.
    copies: BTreeMap<usize, Copy>,
    /// Backups that were begun, and the faults that will put them back.
    begun: BTreeMap<Ticket, Option<usize>>,
    /// What was on the centre's disk when a backup was begun that was put away.
    backed_up: BTreeSet<(DocumentId, ChangeHash)>,
    /// How often the centre's disk was replaced.
    of_centre: u64,
    /// The stations whose disk was ever replaced.
    ever: BTreeSet<usize>,
    /// Those of them that have not started since.
    unmarked: BTreeSet<usize>,
    /// The scopes in which an edge was not proved equal with the centre since, by its station.
    unproved: BTreeSet<(usize, ScopeId)>,
    /// The last wire that was opened before: what is proved over it says nothing.
    last_wire: WireId,
}

impl Restored {
    /// Whether a station's disk was ever replaced by an older copy.
    pub(crate) fn was(&self, station: usize) -> bool {
        self.ever.contains(&station)
    }

    /// Whether an edge may still believe what it was told by the centre of before.
    pub(crate) fn misleads(&self, station: usize) -> bool {
        self.unproved.iter().any(|(edge, _)| *edge == station)
    }

    /// How often the centre's disk was replaced by an older copy.
    pub(crate) fn of_centre(&self) -> u64 {
        self.of_centre
    }

    /// Whether a change is in a backup of the centre.
    pub(crate) fn is_backed_up(&self, document: DocumentId, change: ChangeHash) -> bool {
        self.backed_up.contains(&(document, change))
    }

    /// Forgets what was copied for a fault that is to strike another station now.
    pub(crate) fn forget_copy(&mut self, number: usize) {
        self.copies.remove(&number);
    }

    /// What is on the copies that may be put back.
    pub(crate) fn on_copies(&self) -> impl Iterator<Item = (usize, &Evidence)> {
        let copies = self.copies.values();
        copies.map(|copy| (copy.station, &copy.evidence))
    }

    /// A station has been proved equal over a wire.
    pub(crate) fn proved(&mut self, station: usize, link: LinkId, scope: &ScopeId) {
        if WireId(link.0) > self.last_wire {
            self.unproved.remove(&(station, scope.clone()));
        }
    }
}

impl World {
    /// The centre is backed up, and again after a while. While a fault waits to put an older copy
    /// back, no further backup is made: whoever restores takes the last one.
    pub(crate) fn back_up_again(&mut self) {
        self.agenda.after(BACKUP_EVERY_MS, Event::BackUpAgain);
        let mut copies = self.restored.copies.values();
        if !self.acting || copies.all(|copy| copy.station != CENTRE) {
            self.back_up(CENTRE, None);
        }
    }

    /// A station is backed up; `wanted` is the fault that will put the backup back.
    pub(crate) fn back_up(&mut self, station: usize, wanted: Option<usize>) {
        let runs = |station: &Station| station.running.is_some();
        if station != CENTRE || !self.stations.first().is_some_and(runs) {
            if let Some(number) = wanted {
                self.copy_disk(station, number);
            }
            return;
        }
        let ticket = self.ticket();
        self.restored.begun.insert(ticket, wanted);
        let errand = Errand::BeginBackup;
        self.push(CENTRE, Input::Errand { ticket, errand });
    }

    /// The centre has counted a backup that is begun: it is made at once, and put away.
    pub(crate) fn backup_begun(&mut self, ticket: Ticket, ran: &Ran) {
        let Some(wanted) = self.restored.begun.remove(&ticket) else {
            return;
        };
        if let Some(number) = wanted {
            self.copy_disk(CENTRE, number);
        }
        if let Some(evidence) = self.evidence(CENTRE) {
            self.restored.backed_up.extend(evidence.changes());
        }
        let (number, ticket) = (ran.backup, Ticket(0));
        let errand = Errand::KeepBackup { number };
        self.push(CENTRE, Input::Errand { ticket, errand });
    }

    /// A station's disk is copied, as `cp` does beside the running node. The copy must open.
    fn copy_disk(&mut self, station: usize, number: usize) {
        let Some(of) = self.stations.get(station).filter(|of| of.enrolled) else {
            return;
        };
        let disk = of.disk.copy();
        let evidence = match of.look_at(&disk) {
            Ok(evidence) => evidence,
            Err(error) => {
                let words = format!("a copy of {}: {error:?}", station_name(station));
                return self.fail(Oracle::Opens, words);
            }
        };
        let copy = Copy {
            station,
            disk,
            evidence,
        };
        // Earlier ones are not put back any more, now that there is a later one.
        let older = self.restored.copies.values_mut();
        for older in older.filter(|older| older.station == station) {
            older.clone_from(&copy);
        }
        self.restored.copies.insert(number, copy);
    }

    /// Puts the copy back that was made for a fault, once it lacks something that the station has
    /// promised since: one that lacks nothing would show nothing.
    pub(crate) fn put_back(&mut self, number: usize, plan: &FaultPlan) -> bool {
        let copies = &self.restored.copies;
        if !copies.contains_key(&number) {
            // The station died while it was made, or was not there yet.
            self.back_up(plan.at, Some(number));
            return false;
        }
        if !self.lacks_a_promise(number, plan.at) {
            return false;
        }
        let Some(Copy { disk: copy, .. }) = self.restored.copies.remove(&number) else {
            return false;
        };
        self.restore(plan.at, plan.lasts_ms, &copy);
        true
    }

    /// Whether the copy that was made for a fault lacks something that its station has promised
    /// since; it does not when there is no copy.
    pub(crate) fn lacks_a_promise(&self, number: usize, station: usize) -> bool {
        let copy = self.restored.copies.get(&number);
        let promises = self.promises.get(station);
        copy.zip(promises).is_some_and(|(copy, promises)| {
            let broken = promises.broken(&copy.evidence, &BTreeSet::new());
            broken.is_some()
        })
    }

    /// A station's disk is replaced by an older copy of itself, and the node started again.
    pub fn restore(&mut self, station: usize, down_ms: i64, copy: &Disk) {
        self.die(station, down_ms, |station| station.restore(copy));
        if let Some(promises) = self.promises.get_mut(station) {
            promises.forget();
        }
        self.restored.ever.insert(station);
        self.restored.unmarked.insert(station);
        if station != CENTRE {
            return;
        }
        self.restored.of_centre += 1;
        let edges = 1..self.stations.len();
        let scopes = |edge| {
            self.readable(edge)
                .into_iter()
                .map(move |scope| (edge, scope))
        };
        self.restored.unproved = edges.flat_map(scopes).collect();
        self.restored.last_wire = self.network.last_opened();
    }

    /// At the first start after a restore: what stood on that disk alone is gone.
    pub(crate) fn mark_after_start(&mut self, number: usize) {
        if self.restored.unmarked.remove(&number) {
            self.mark_what_is_gone();
        }
    }

    /// What stands on no disk any more is gone, where a disk was lost that held it: replaced by an
    /// older copy, or a revoked device's. What waits at the centre for a person is not gone.
    pub(crate) fn mark_what_is_gone(&mut self) {
        let mut disks = Vec::new();
        for station in 0..self.stations.len() {
            disks.extend(self.evidence_of_any(station));
        }
        let lost: Vec<bool> = (0..self.stations.len())
            .map(|station| self.restored.was(station) || self.is_gone(station))
            .collect();
        let carried: BTreeMap<EntryId, ChangeHash> = self
            .population
            .kept()
            .iter()
            .filter_map(|kept| Some((kept.entry, kept.change?)))
            .collect();
        let mut gone = 0;
        for kept in self.population.kept_mut() {
            let survives = carried.get(&kept.entry).is_some_and(|change| {
                let mut disks = disks.iter();
                disks.any(|evidence| evidence.keeps(kept.document, *change))
            });
            let lost = lost.get(kept.station).copied().unwrap_or(false);
            if lost && !kept.gone && !survives {
                kept.gone = true;
                gone += 1;
            }
        }
        for moved in &mut self.moved {
            let mut disks = disks.iter();
            let survives = disks.any(|disk| disk.has_placed(moved.document, moved.placement));
            moved.gone |= !survives && lost.get(moved.station).copied().unwrap_or(false);
        }
        self.tally.gone += gone;
    }

    /// What is on the disk of a station, whether it runs or not.
    pub(crate) fn evidence_of_any(&mut self, number: usize) -> Option<Evidence> {
        let evidence = self.evidence(number);
        evidence.or_else(|| self.evidence_of_stopped(number))
    }

    /// What is on the disk of a station that does not run just now.
    fn evidence_of_stopped(&mut self, number: usize) -> Option<Evidence> {
        let station = self.stations.get(number)?;
        if !station.enrolled || station.running.is_some() {
            return None;
        }
        match station.look_at(&station.disk.copy()) {
            Ok(evidence) => Some(evidence),
            Err(error) => {
                self.fail(Oracle::Opens, format!("a stopped station: {error:?}"));
                None
            }
        }
    }
}
