//! The last act of every run: an edge holds what everybody else refuses, which costs that document
//! and nothing else.
//!
//! Honest nodes refuse nothing of one another, so this is planted once a run has been judged. Before
//! an entry has left its edge, the signature that closes it is spoilt on the edge's disk, as a
//! broken or a dishonest program would have written it. Then both sides must come to be *equal
//! except one*; what somebody else writes in that very document, and what the edge writes in
//! another one, arrives as ever.

use std::collections::BTreeSet;

use domain::{By, Command, ContactMode, Day, Role, Text};
use names::{ChangeHash, DocumentId, EntryId, Moment, ScopeId};
use node::{Request, Target, views, views::EntryState};
use protocol::{bundle::Bundle, codec};
use store::{Batch, Snapshot as _, Store as _, Table};

use crate::{
    network::End,
    oracle::Oracle,
    people::{Asked, Kept, MARKER},
    sim::{LOOK_MS, SETTLING_MS_MAX},
    station::Station,
    swarm::CENTRE,
    trace::station_name,
    world::World,
};

/// Arrivals of one document that are looked through for its newest.
const ARRIVALS: usize = 64;

/// What must hold.
type Holds<'h> = &'h dyn Fn(&World) -> Result<(), String>;

impl World {
    /// Plants a change that the centre refuses, and sees what it costs.
    pub(crate) fn refuse_one(&mut self) {
        if self.failure().is_none() {
            // The first thing that goes wrong is told, as everywhere.
            let _ = self.try_refuse_one();
        }
    }

    /// `None` when something has failed.
    fn try_refuse_one(&mut self) -> Option<()> {
        // Whoever is asked twice may write twice.
        self.plan.resends_percent = 0;
        let left = self.edges_left();
        let edge = self.people_chance.pick(&left).copied()?;
        let (station, centre) = (edge + 1, CENTRE);
        let scope = self.plan.scope(self.plan.edges.get(edge)?.site)?;
        let open = || Command::OpenCase {
            opened: Day::of(crate::world::BEGINS),
            source: text("walk-in"),
        };
        let begun = || Target::New(vec![scope.clone()]);
        let bad = self.writes(station, begun(), open())?.document;
        let good = self.writes(station, begun(), open())?.document;
        self.until("at rest again", &|world| match world.unsettled() {
            None => Ok(()),
            Some(why) => Err(why),
        })?;

        self.cut_off(edge);
        let refused = self.writes(station, Target::Document(bad), note("spoilt"))?;
        let whole = self.writes(station, Target::Document(good), note("whole"))?;
        if self.spoil_newest(station, bad).is_none() {
            let name = station_name(station);
            self.fail(Oracle::Fired, format!("nothing could be spoilt at {name}"));
            return None;
        }
        self.heal();
        self.started(station);
        let except_one = |world: &World| world.stand_except(edge, &scope, bad);
        self.until("equal except one", &except_one)?;

        let innocent = self.writes(centre, Target::Document(bad), note("innocent"))?;
        let another = self.writes(station, Target::Document(good), note("another"))?;
        self.until("what is innocent arrives", &|world| {
            for (at, kept) in [(station, &innocent), (centre, &whole), (centre, &another)] {
                let name = station_name(at);
                let why = || format!("{name} lacks {} of {}", kept.entry, kept.document);
                world.has(at, kept).then_some(()).ok_or_else(why)?;
            }
            world.stand_except(edge, &scope, bad)
        })?;
        self.judge_refused(station, &refused, &[whole, another]);
        self.tally.exceptions += 1;
        Some(())
    }

    /// Somebody writes something at a station and waits for the answer.
    fn writes(&mut self, station: usize, target: Target, command: Command) -> Option<Kept> {
        let edge = station.checked_sub(1);
        let site = edge.map_or(Some(0), |edge| self.plan.edges.get(edge).map(|e| e.site))?;
        let mut people = self.population.people().iter();
        let person = people.find(|person| person.site == edge.and(Some(site)))?;
        let by = By {
            worker: person.worker.clone(),
            site: self.plan.sites.get(site)?.id.clone(),
            roles: vec![Role::RecoveryWorker],
        };
        let entry = EntryId(self.people_chance.bytes());
        let request = Request {
            target,
            entry,
            by,
            command,
        };
        self.ask(Asked {
            station,
            since: self.agenda.now(),
            request,
            typed: None,
            tries: 0,
            saved_at: None,
        });
        self.until("an answer", &|world| match world.population.waiting() {
            None => Ok(()),
            Some(asked) => Err(format!("{} waits", asked.request.entry)),
        })?;
        let kept = self.population.kept().iter().rev();
        let kept = kept.clone().find(|kept| kept.entry == entry).cloned();
        if kept.is_none() {
            let name = station_name(station);
            self.fail(Oracle::Keep, format!("{name} did not save {entry}"));
        }
        kept
    }

    /// Lets time pass until something holds.
    fn until(&mut self, what: &str, holds: Holds<'_>) -> Option<()> {
        let begun = self.agenda.now();
        loop {
            let why = match holds(self) {
                Ok(()) => return self.failure().is_none().then_some(()),
                Err(why) => why,
            };
            let now = self.agenda.now();
            if now > begun.plus_ms(SETTLING_MS_MAX) {
                self.fail(Oracle::Converge, format!("{what}: not in time: {why}"));
            }
            if self.failure().is_some() {
                return None;
            }
            self.run_until(now.plus_ms(LOOK_MS));
        }
    }

    /// An edge is out of touch, and knows it.
    fn cut_off(&mut self, edge: usize) {
        self.network.block(edge, Moment(i64::MAX));
        if let Some(wire) = self.network.whole(edge) {
            self.network.cut(wire);
            self.notice(wire, End::Edge);
            self.notice(wire, End::Centre);
        }
    }

    /// Spoils the signature over what was last written in a document, behind the node's back, and
    /// starts the node again.
    fn spoil_newest(&mut self, station: usize, document: DocumentId) -> Option<()> {
        let now = self.agenda.now();
        let station = self.stations.get_mut(station)?;
        station.stop().ok()?;
        let mut store = station.open_store().ok()?;
        let rows = store.snapshot().ok()?;
        let rows = rows.range(Table::Bundle, document.as_ref(), 0, ARRIVALS);
        let (position, bytes) = rows.ok()?.pop()?;
        let mut bundle: Bundle = codec::decode(&bytes).ok()?;
        let last = bundle.closings.last_mut()?;
        *last.signature.0.last_mut()? ^= 1;
        let mut batch = Batch::new();
        batch.put(Table::Bundle, document.0, position, codec::encode(&bundle));
        store.commit(batch).ok()?;
        store.into_inner().close().ok()?;
        station.start(now, &[]).ok()
    }

    /// Whether an edge and the centre are proved equal in every scope, except in one document of one
    /// scope, as both have it; and all others in everything.
    fn stand_except(
        &self,
        edge: usize,
        scope: &ScopeId,
        document: DocumentId,
    ) -> Result<(), String> {
        for other in self.edges_left() {
            let name = station_name(other + 1);
            let wire = self.network.whole(other);
            let wire = wire.ok_or_else(|| format!("{name} is not connected"))?;
            for of in self.readable(other + 1) {
                let planted = other == edge && of == *scope;
                let expected: BTreeSet<_> = planted.then_some(document).into_iter().collect();
                for station in [other + 1, CENTRE] {
                    let found = self.except(station, wire.0, &of);
                    let at = station_name(station);
                    let found = found.ok_or_else(|| format!("{at} has not proved {of}"))?;
                    if found != expected {
                        return Err(format!("{at} excepts {found:?} of {of} with {name}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The documents in which a station goes on to differ from its peer on a wire, if it is proved
    /// that they do not in others.
    fn except(&self, station: usize, wire: u64, scope: &ScopeId) -> Option<BTreeSet<DocumentId>> {
        let running = self.stations.get(station)?.running.as_ref()?;
        let sync = running.node.sync().ok()?;
        let sync = sync.into_iter().find(|sync| sync.scope == *scope)?;
        let peer = sync.peers.into_iter().find(|peer| peer.link.0 == wire)?;
        peer.proved?;
        Some(peer.exceptions.into_keys().collect())
    }

    fn has(&self, station: usize, kept: &Kept) -> bool {
        let snapshot = self.stations.get(station).and_then(Station::snapshot);
        let evidence = snapshot.and_then(|snapshot| {
            let evidence = crate::evidence::Evidence::read(&snapshot);
            evidence.ok()
        });
        let change: Option<ChangeHash> = kept.change;
        evidence.is_some_and(|found| change.is_some_and(|it| found.has(kept.document, it)))
    }

    /// What was refused is where it was written and not at the centre, and its edge says so; what
    /// was not has arrived.
    fn judge_refused(&mut self, station: usize, refused: &Kept, arrived: &[Kept]) {
        let state = |kept: &Kept| {
            let snapshot = self.stations.get(station).and_then(Station::snapshot)?;
            views::entry_state(&snapshot, kept.entry).ok()?
        };
        let name = station_name(station);
        let at_centre = Some(EntryState::AtTheCentre);
        let late = arrived.iter().find(|kept| state(kept) < at_centre);
        let words = if self.has(CENTRE, refused) {
            Some("the centre took what no signature closes".to_owned())
        } else if !self.has(station, refused) || state(refused) != Some(EntryState::SavedHere) {
            Some(format!("{name} does not show what was refused as its own"))
        } else {
            late.map(|kept| format!("{name} does not know that {} has arrived", kept.entry))
        };
        if let Some(words) = words {
            self.fail(Oracle::Keep, words);
        }
    }
}

fn text(words: &str) -> Text {
    Text::from(format!("{MARKER}{words}"))
}

/// A note of a contact a month before, which has come whatever a station's clock says by now.
fn note(words: &str) -> Command {
    Command::AddNote {
        happened: Day::of(crate::world::BEGINS).plus_days(-30),
        mode: ContactMode::Phone,
        minutes: 5,
        text: text(words),
    }
}
