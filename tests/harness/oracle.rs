//! What must hold, whatever the seed.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, EntryId, Reason, ScopeId};
use node::{Opener, views, views::EntryState};

use crate::{
    evidence::Evidence,
    people::{Kept, MARKER},
    reader::{self, Pages},
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
const NEVER: [Reason; 10] = [
    Reason::Malformed,
    Reason::TooLarge,
    Reason::WrongHash,
    Reason::BadSignature,
    Reason::WrongActor,
    Reason::Equivocation,
    Reason::NoCommonVersion,
    Reason::WrongTenant,
    Reason::CannotOpen,
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
        let broken = self
            .promises
            .get(number)
            .and_then(|promises| promises.broken(&evidence));
        if let Some(broken) = broken {
            self.fail(
                Oracle::Durable,
                format!("{} {broken}", station_name(number)),
            );
        }
        self.check_scopes(number, &evidence);
        if self.mischief.was_restored(number) {
            self.mark_what_is_gone(&evidence);
        }
    }

    /// The centre's disk was replaced: what it alone held, and no edge has, is gone.
    fn mark_what_is_gone(&mut self, centre: &Evidence) {
        let edges: Vec<Evidence> = (1..self.stations.len())
            .filter_map(|number| self.evidence(number))
            .collect();
        let mut gone = 0;
        for kept in self.population.kept_mut() {
            let survives = kept.change.is_some_and(|change| {
                let has = |evidence: &Evidence| evidence.has(kept.document, change);
                has(centre) || edges.iter().any(has)
            });
            if kept.station == CENTRE && !kept.gone && !survives {
                kept.gone = true;
                gone += 1;
            }
        }
        self.tally.gone += gone;
    }

    /// The scopes whose documents an edge may read, from the plan and not from its node.
    fn readable(&self, number: usize) -> BTreeSet<ScopeId> {
        let edge = number
            .checked_sub(1)
            .and_then(|edge| self.plan.edges.get(edge));
        let Some(site) = edge.map(|edge| edge.site) else {
            return BTreeSet::new();
        };
        let shared = self.plan.joints.iter().filter_map(|joint| match joint {
            Joint::Compartment {
                owner,
                guest,
                scope,
            } if *owner == site || *guest == site => Some(scope.clone()),
            Joint::Compartment { .. } | Joint::Referral { .. } => None,
        });
        shared.chain(self.plan.scope(site)).collect()
    }

    fn check_scopes(&mut self, number: usize, evidence: &Evidence) {
        if number == CENTRE {
            return;
        }
        let readable = self.readable(number);
        let stray = evidence
            .documents()
            .iter()
            .find(|(_, found)| found.scopes().is_disjoint(&readable));
        if let Some((document, _)) = stray {
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
        let centre = self
            .stations
            .first()
            .and_then(|station| station.running.as_ref())?;
        let at_centre = centre.node.sync().ok()?;
        for edge in 0..self.plan.edges.len() {
            let name = station_name(edge + 1);
            let station = self.stations.get(edge + 1).and_then(|s| s.running.as_ref());
            let (Some(running), Some(wire)) = (station, self.network.whole(edge)) else {
                return Some(format!("{name} is not connected"));
            };
            if running.node.waiting() > 0 {
                return Some(format!(
                    "{name} waits for {} receipts",
                    running.node.waiting()
                ));
            }
            if running.node.directory().digest() != centre.node.directory().digest() {
                return Some(format!("{name} has another directory"));
            }
            for sync in running.node.sync().ok()? {
                if sync.scope == ScopeId::Directory {
                    continue;
                }
                let other = at_centre.iter().find(|other| other.scope == sync.scope);
                let proved = |sync: &views::ScopeSync| {
                    let mut peers = sync.peers.iter().filter(|peer| peer.link.0 == wire.0);
                    peers.any(|peer| peer.proved.is_some())
                };
                if !proved(&sync) || !other.is_some_and(proved) {
                    return Some(format!("{name} has not proved {}", sync.scope));
                }
            }
        }
        None
    }

    /// Judges a world at rest.
    pub(crate) fn judge(&mut self) {
        let evidence: Vec<Evidence> = (0..self.stations.len())
            .filter_map(|number| self.evidence(number))
            .collect();
        let Some((centre, edges)) = evidence.split_first() else {
            return;
        };
        if edges.len() + 1 != self.stations.len() {
            return;
        }
        self.tally.documents = centre.documents().len() as u64;
        let changes = centre
            .documents()
            .values()
            .map(|found| found.changes.len() as u64);
        self.tally.changes = changes.sum();
        for (number, own) in evidence.iter().enumerate() {
            self.check_scopes(number, own);
            self.judge_digests(number, own, centre);
        }
        self.judge_reading(&evidence);
        self.judge_sealing();
        self.judge_counters();
    }

    /// A station's digests, as it keeps them, as it recomputes them, and as recomputed here, are
    /// those of the centre.
    fn judge_digests(&mut self, number: usize, own: &Evidence, centre: &Evidence) {
        let name = station_name(number);
        let Some(running) = self.stations.get(number).and_then(|s| s.running.as_ref()) else {
            return;
        };
        let (Ok(sync), Ok(snapshot)) = (running.node.sync(), running.node.snapshot()) else {
            return;
        };
        let Ok(recomputed) = views::recompute(&snapshot) else {
            return self.fail(Oracle::Opens, format!("{name} cannot be recomputed"));
        };
        for kept in sync.iter().filter(|sync| sync.scope != ScopeId::Directory) {
            let scope = &kept.scope;
            let (digest, count) = own.digest(scope);
            let differing = own.differing(centre, scope).len();
            if differing > 0 {
                let words = format!("{name} and the centre differ in {differing} of {scope}");
                return self.fail(Oracle::Converge, words);
            }
            let again = recomputed
                .get(scope)
                .map(|again| (again.digest, again.count));
            let again = again.unwrap_or((protocol::LtHash::new().value(), 0));
            if (kept.digest, kept.count) != (digest, count) || again != (digest, count) {
                let words = format!("{name} keeps a digest of {scope} that its chunks do not give");
                return self.fail(Oracle::Converge, words);
            }
        }
    }

    /// Every document reads alike wherever it is held, and holds what people were told is saved.
    fn judge_reading(&mut self, evidence: &[Evidence]) {
        let mut read: BTreeMap<DocumentId, domain::State> = BTreeMap::new();
        let mut pages: BTreeMap<DocumentId, Pages> = BTreeMap::new();
        for (number, own) in evidence.iter().enumerate() {
            let name = station_name(number);
            let Some(snapshot) = self.stations.get(number).and_then(|s| s.snapshot()) else {
                return;
            };
            let mut opener = Opener::new(1);
            for document in own.documents().keys() {
                let view = match opener.view(&snapshot, *document) {
                    Ok(view) if view.flaws.is_empty() => view,
                    Ok(view) => {
                        let words = format!("{name} reads {document} with {:?}", view.flaws);
                        return self.fail(Oracle::Opens, words);
                    }
                    Err(reason) => {
                        let words = format!("{name} cannot open {document}: {reason}");
                        return self.fail(Oracle::Opens, words);
                    }
                };
                if number != CENTRE {
                    if read.get(document) != Some(&view.state) {
                        let words = format!("{name} and the centre read {document} differently");
                        return self.fail(Oracle::Converge, words);
                    }
                    continue;
                }
                read.insert(*document, view.state);
                let file = opener
                    .export(&snapshot, *document)
                    .map_err(|r| r.to_string());
                match file.and_then(|file| reader::read(&file)) {
                    Ok(found) => pages.insert(*document, found),
                    Err(words) => {
                        let words = format!("the file of {document} has {words}");
                        return self.fail(Oracle::Opens, words);
                    }
                };
            }
        }
        self.judge_lists(evidence, &read, &pages);
    }

    /// The people's own lists against the documents.
    fn judge_lists(
        &mut self,
        evidence: &[Evidence],
        read: &BTreeMap<DocumentId, domain::State>,
        pages: &BTreeMap<DocumentId, Pages>,
    ) {
        let kept: Vec<Kept> = self
            .population
            .kept()
            .iter()
            .filter(|kept| !kept.gone)
            .cloned()
            .collect();
        let journals: BTreeMap<DocumentId, BTreeSet<EntryId>> = read
            .iter()
            .map(|(document, state)| {
                (
                    *document,
                    state.journal().rows().map(|row| row.entry).collect(),
                )
            })
            .collect();
        for line in kept {
            let (entry, document) = (line.entry, line.document);
            let told = format!("{} of {entry} in {document}", line.act);
            let rough = self.population.memory(document).rough;
            let found = pages
                .get(&document)
                .and_then(|pages| found_in(pages, &line, rough));
            let listed = journals
                .get(&document)
                .is_some_and(|journal| journal.contains(&entry));
            // The edge reads the same as the centre, which was judged before; that it has the
            // document at all remains to be seen.
            let here = evidence.get(line.station);
            let here = here.is_some_and(|own| own.documents().contains_key(&document));
            let name = station_name(line.station);
            if found.is_none() || !listed || !here {
                let words = format!("{name} called {told} saved, and it is not there");
                return self.fail(Oracle::Keep, words);
            }
            self.judge_state(&line);
        }
    }

    /// Somebody looks how far an entry has got. What is said to be at the centre is there, unless
    /// the centre's disk was replaced and the edge cannot know it yet.
    pub(crate) fn check_a_receipt(&mut self, nth: u64) {
        let length = self.population.kept().len() as u64;
        let index = usize::try_from(nth.checked_rem(length).unwrap_or(0)).unwrap_or(0);
        let Some(line) = self.population.kept().get(index).cloned() else {
            return;
        };
        let Some(change) = line.change.filter(|_| line.station != CENTRE) else {
            return;
        };
        let snapshot = |number: usize| self.stations.get(number).and_then(Station::snapshot);
        let (Some(here), Some(centre)) = (snapshot(line.station), snapshot(CENTRE)) else {
            return;
        };
        let said = views::entry_state(&here, line.entry);
        if !matches!(said, Ok(Some(EntryState::AtTheCentre))) || self.mischief.was_restored(CENTRE)
        {
            return;
        }
        self.tally.receipts += 1;
        let evidence = Evidence::read(&centre);
        if !evidence.is_ok_and(|evidence| evidence.has(line.document, change)) {
            let name = station_name(line.station);
            let words = format!("{name} says {} is at the centre, and it is not", line.entry);
            self.fail(Oracle::Keep, words);
        }
    }

    /// What was written at an edge is shown as having reached the centre.
    fn judge_state(&mut self, line: &Kept) {
        let snapshot = self
            .stations
            .get(line.station)
            .and_then(|station| station.snapshot());
        let Some(snapshot) = snapshot.filter(|_| line.station != CENTRE) else {
            return;
        };
        let state = views::entry_state(&snapshot, line.entry);
        let made_here = line.change.is_some();
        if made_here && !matches!(state, Ok(Some(EntryState::AtTheCentre))) {
            let name = station_name(line.station);
            let words = format!(
                "{name} shows {} as {state:?}, and the centre has it",
                line.entry
            );
            self.fail(Oracle::Converge, words);
        }
    }

    /// Nothing that people typed stands readable on any disk.
    fn judge_sealing(&mut self) {
        for number in 0..self.stations.len() {
            let bytes = self
                .stations
                .get(number)
                .map(|station| station.disk.bytes());
            let bytes = bytes.unwrap_or_default();
            if memchr::memmem::find(&bytes, MARKER.as_bytes()).is_some() {
                let name = station_name(number);
                self.fail(
                    Oracle::Sealed,
                    format!("words of people can be read on {name}'s disk"),
                );
            }
        }
    }

    fn judge_counters(&mut self) {
        let closes = self.tally.closes.keys().copied();
        let refused = self.tally.refused.keys().copied();
        let never = closes
            .chain(refused)
            .find(|reason| is_never_honest(*reason));
        if let Some(reason) = never {
            self.fail(
                Oracle::Honest,
                format!("one honest node told another: {reason}"),
            );
        }
    }
}

/// Whether a line of somebody's list stands in a document as it was typed.
fn found_in(pages: &Pages, line: &Kept, rough: bool) -> Option<()> {
    let entry = pages.entries.get(&line.entry)?;
    let in_text = line.act == "edit-text";
    let typed = line.typed.as_deref().unwrap_or_default().trim();
    let there = if in_text {
        rough || pages.text.contains(typed)
    } else {
        entry.words.contains(typed)
    };
    (entry.act == line.act && there).then_some(())
}
