//! What people do in the world, and what they are told.

use domain::{By, Day};
use names::{DocumentId, EntryId, Kind, Reason, ScopeId};
use node::{Input, NotDone, Opener, Request, Saved, Target, Ticket, views};

use crate::{
    habits::Drawn,
    oracle::Oracle,
    people::{Asked, Person},
    station::{SimSnapshot, Station},
    swarm::{CENTRE, Joint},
    trace::station_name,
    world::{Event, World},
};

/// How often somebody tries again what was not answered before giving up.
const TRIES_MAX: u32 = 5;

impl World {
    /// People begin.
    pub(crate) fn open_the_doors(&mut self) {
        self.acting = true;
        self.agenda.after(1_000, Event::Act);
    }

    /// Somebody does something, and what was waiting for this many acts happens. Where nobody can
    /// do anything, because nothing runs, nothing is counted.
    pub(crate) fn act(&mut self) {
        if !self.acting {
            return;
        }
        let pause_ms = self.people_chance.below(2 * self.plan.pace_ms + 1);
        self.agenda
            .after(i64::try_from(pause_ms).unwrap_or(0), Event::Act);
        let people = self.population.people();
        let Some(person) = self.people_chance.pick(people).cloned() else {
            return;
        };
        if self.is_time_to_transfer() && self.transfer_a_case(&person) {
            self.tally.acts += 1;
            self.follow_act();
            return;
        }
        let Some((station, request, typed)) = self.draw_act(&person) else {
            return;
        };
        self.tally.acts += 1;
        self.follow_act();
        self.ask(Asked {
            station,
            since: self.agenda.now(),
            request,
            typed,
            tries: 0,
            saved_at: None,
        });
    }

    /// What was waiting for so many acts happens.
    fn follow_act(&mut self) {
        let acts = self.tally.acts;
        self.plan_what_follows_act(acts);
        if acts.is_multiple_of(5) {
            self.check_a_receipt(acts.wrapping_mul(37));
        }
        for (edge, plan) in self.plan.edges.iter().enumerate() {
            if plan.enrolled_after_act == acts {
                self.agenda.after(0, Event::Enrol { edge });
            }
        }
    }

    /// What a person does, and where: nothing if no station of theirs runs.
    fn draw_act(&mut self, person: &Person) -> Option<(usize, Request, Option<String>)> {
        let site = match person.site {
            Some(site) => site,
            None => self.people_chance.index(self.plan.sites.len()),
        };
        let station = self.station_for(person.site)?;
        let snapshot = self.stations.get(station).and_then(Station::snapshot)?;
        let by = person.by(&self.plan.sites.get(site)?.id);
        let (home, shared) = self.documents_of(&snapshot, site);
        let few = home.len() < self.plan.documents_per_site;
        if home.is_empty() || self.people_chance.percent(if few { 30 } else { 2 }) {
            let (scopes, drawn) = self.draw_opening(site);
            return Some(self.request(station, Target::New(scopes), by, drawn));
        }
        let joint = !shared.is_empty() && self.people_chance.percent(40);
        let (document, kind) = *self
            .people_chance
            .pick(if joint { &shared } else { &home })?;
        let cases: Vec<DocumentId> = home
            .iter()
            .filter(|(_, kind)| *kind == Kind::CASE)
            .map(|(case, _)| *case)
            .collect();
        let (clock, memory) = (self.clock_at(station), self.population.memory(document));
        // Opens it as this station has it now; by the time it is asked there may be more.
        let mut look = || {
            let seen = Opener::new(1).view(&snapshot, document);
            seen.ok().map(|view| view.state)
        };
        let drawn = self.habits.go_on(kind, memory, &cases, clock, &mut look);
        Some(self.request(station, Target::Document(document), by, drawn))
    }

    fn request(
        &mut self,
        station: usize,
        target: Target,
        by: By,
        drawn: Drawn,
    ) -> (usize, Request, Option<String>) {
        let entry = EntryId(self.people_chance.bytes());
        (
            station,
            Request {
                target,
                entry,
                by,
                command: drawn.command,
            },
            drawn.typed,
        )
    }

    /// A station at which a site's people (or the centre's) can work now: mostly the first.
    pub(crate) fn station_for(&mut self, site: Option<usize>) -> Option<usize> {
        let places = site.map_or_else(|| vec![CENTRE], |site| self.plan.stations_of(site));
        let runs = |number: &usize| {
            self.stations
                .get(*number)
                .is_some_and(|s| s.running.is_some())
        };
        let running: Vec<usize> = places.into_iter().filter(runs).collect();
        if self.people_chance.percent(self.plan.wanders_percent) {
            self.people_chance.pick(&running).copied()
        } else {
            running.first().copied()
        }
    }

    fn clock_at(&self, station: usize) -> names::Moment {
        let now = self.agenda.now();
        self.stations
            .get(station)
            .map_or(now, |station| station.clock(now))
    }

    /// The documents a site's people see: their own, and those they share with another site.
    #[expect(clippy::type_complexity, reason = "two lists of the same thing")]
    fn documents_of(
        &self,
        snapshot: &SimSnapshot,
        site: usize,
    ) -> (Vec<(DocumentId, Kind)>, Vec<(DocumentId, Kind)>) {
        let listed = |scope: &ScopeId| {
            let listed = views::documents(snapshot, scope).unwrap_or_default();
            listed
                .into_iter()
                .map(|listed| (listed.document, listed.kind))
                .collect::<Vec<_>>()
        };
        let home = self
            .plan
            .scope(site)
            .map(|scope| listed(&scope))
            .unwrap_or_default();
        let shared = self.plan.joints.iter().filter_map(|joint| match joint {
            Joint::Compartment {
                owner,
                guest,
                scope,
            } if *owner == site || *guest == site => Some(listed(scope)),
            Joint::Compartment { .. } | Joint::Referral { .. } => None,
        });
        let shared: Vec<_> = shared.flatten().collect();
        // What two sites were both placed in is seen at home, too.
        (home, shared)
    }

    /// The beginning of a document: a case, perhaps shared with another site, or a session.
    fn draw_opening(&mut self, site: usize) -> (Vec<ScopeId>, Drawn) {
        let now = self.agenda.now();
        let mut scopes: Vec<ScopeId> = self.plan.scope(site).into_iter().collect();
        let sessions = self
            .plan
            .sites
            .get(site)
            .map(|plan| (plan.venues, plan.sessions.as_slice()));
        if let Some((venues, sessions)) = sessions
            && self.people_chance.percent(45)
            && let Some((venue, day, hour)) = self.people_chance.pick(sessions)
        {
            let venue = venues.get(*venue).copied().unwrap_or("hall");
            // The day is that of the plan, whatever a station's clock says.
            let date = Day::of(crate::world::BEGINS).plus_days(*day);
            return (scopes, self.habits.open_session(venue, date, *hour));
        }
        let joints: Vec<Joint> = self
            .plan
            .joints
            .iter()
            .filter(|joint| match joint {
                Joint::Referral { from, .. } => *from == site,
                Joint::Compartment { owner, guest, .. } => *owner == site || *guest == site,
            })
            .cloned()
            .collect();
        if self.people_chance.percent(50)
            && let Some(joint) = self.people_chance.pick(&joints)
        {
            match joint {
                Joint::Referral { to, .. } => scopes.extend(self.plan.scope(*to)),
                Joint::Compartment { scope, .. } => scopes = vec![scope.clone()],
            }
        }
        (scopes, self.habits.open_case(now))
    }

    /// Hands a question to a station.
    pub(crate) fn ask(&mut self, asked: Asked) {
        let (now, station) = (self.agenda.now(), asked.station);
        let request = Box::new(asked.request.clone());
        let (entry, code) = (request.entry, request.command.code());
        let tries = asked.tries;
        let ticket = self.population.ask(asked);
        self.trace.note(now, station, "asks", entry.as_ref(), || {
            format!("{code} {entry} try {tries} as {ticket:?}")
        });
        self.push(station, Input::Command { ticket, request });
    }

    /// Somebody sends again what was not answered, or what was saved already.
    pub(crate) fn ask_again(&mut self, asked: Asked) {
        let site = self
            .plan
            .sites
            .iter()
            .position(|site| site.id == asked.request.by.site);
        let of_centre = asked.station == CENTRE;
        match self.station_for(if of_centre { None } else { site }) {
            Some(station) => {
                let since = self.agenda.now();
                self.tally.resent += 1;
                self.ask(Asked {
                    station,
                    since,
                    tries: asked.tries + 1,
                    ..asked
                });
            }
            None => self.later(asked),
        }
    }

    /// Somebody will try again, unless it was too often already.
    pub(crate) fn later(&mut self, mut asked: Asked) {
        asked.tries += 1;
        if asked.tries < TRIES_MAX {
            let wait_ms = self.people_chance.span_ms(500, 120_000);
            self.agenda.after(wait_ms, Event::Again(Box::new(asked)));
        }
    }

    /// Questions that died with a station: most people ask again.
    pub(crate) fn unanswered(&mut self, station: usize) {
        for asked in self.population.unanswered(station) {
            if self.people_chance.percent(70) {
                self.later(asked);
            }
        }
    }

    /// A person is told how it went.
    pub(crate) fn answered(
        &mut self,
        number: usize,
        ticket: Ticket,
        result: Result<Saved, NotDone>,
    ) {
        let Some(asked) = self.population.answered(ticket) else {
            let name = station_name(number);
            return self.fail(
                Oracle::Answered,
                format!("{name} answered {ticket:?} unasked"),
            );
        };
        match result {
            Ok(saved) => self.was_saved(asked, saved),
            Err(NotDone::Refused(refusal)) => self.was_refused(&asked, &format!("{refusal}")),
            Err(NotDone::Reason(reason)) => {
                let is_aside = reason == Reason::SetAside && self.is_known_aside(&asked);
                if matches!(reason, Reason::CannotOpen | Reason::SetAside) && !is_aside {
                    let name = station_name(number);
                    self.fail(Oracle::Opens, format!("{name} could not open a document"));
                }
                self.was_refused(&asked, reason.name());
            }
        }
    }

    fn was_saved(&mut self, asked: Asked, saved: Saved) {
        let (now, number) = (self.agenda.now(), asked.station);
        let target = match &asked.request.target {
            Target::Document(document) => Some(*document),
            Target::New(_) => None,
        };
        if saved.entry != asked.request.entry || target.is_some_and(|t| t != saved.document) {
            return self.fail(Oracle::Answered, "an answer names another entry".to_owned());
        }
        self.tally.saved += 1;
        self.population.saved(&asked, saved, now);
        if let (Some(change), Some(promises)) = (saved.change, self.promises.get_mut(number)) {
            promises.saved(saved.document, change);
        }
        if self.people_chance.percent(self.plan.resends_percent) {
            let again = Asked {
                saved_at: Some(number),
                tries: 0,
                ..asked
            };
            let wait_ms = self.people_chance.span_ms(10, 60_000);
            self.agenda.after(wait_ms, Event::Again(Box::new(again)));
        }
    }

    fn was_refused(&mut self, asked: &Asked, why: &str) {
        // What a station has called saved it cannot refuse when it is sent once more, unless its
        // disk was replaced since.
        let same = asked.saved_at == Some(asked.station);
        // What came there from elsewhere may have been handed over since, and what was open may have
        // been set aside.
        let is_revoked = why == "revoked" && self.knows_itself_revoked(asked.station);
        let excused = matches!(why, "busy" | "transferred" | "set-aside") || is_revoked;
        if same && !self.restored.was(asked.station) && !excused {
            let name = station_name(asked.station);
            let entry = asked.request.entry;
            self.fail(
                Oracle::Keep,
                format!("{name} saved {entry} and then refused it: {why}"),
            );
        }
    }

    /// The authority makes an edge known at the centre, and the edge is set up with its answer.
    pub(crate) fn enrol(&mut self, edge: usize) {
        let now = self.agenda.now();
        let station = self.stations.get(edge + 1);
        let Some(key) = station
            .filter(|s| !s.enrolled && !s.gone)
            .map(|s| s.device().public())
        else {
            return;
        };
        let signed = match self.invited.get(&edge) {
            Some(signed) => signed.clone(),
            None => self.authority.enrol(&self.plan, edge, key, now),
        };
        self.invited.insert(edge, signed.clone());
        let centre = self
            .stations
            .first()
            .and_then(|centre| centre.running.as_ref());
        match centre.map(|running| running.verifier.statement(signed)) {
            Some(Ok(statement)) => {
                let ticket = self.ticket();
                self.enrolling.insert(ticket, edge);
                self.push(CENTRE, Input::Stated { ticket, statement });
            }
            Some(Err(reason)) => self.fail(Oracle::Honest, format!("a statement is {reason}")),
            None => self.agenda.after(1_000, Event::Enrol { edge }),
        }
    }

    /// The centre has kept a statement: the edge it is about gets its answer.
    pub(crate) fn stated(&mut self, number: usize, ticket: Ticket, result: Result<(), Reason>) {
        let edge = self.enrolling.remove(&ticket);
        match (edge, result) {
            (Some(edge), Ok(())) => {
                let own = self.invited.get(&edge).cloned();
                let told = own.map_or_else(Vec::new, |own| self.authority.introduction(own));
                if self
                    .stations
                    .get(edge + 1)
                    .is_some_and(|station| !station.enrolled)
                {
                    self.set_up(edge + 1, &told);
                }
            }
            (_, Err(reason)) => self.fail(Oracle::Honest, format!("a statement is {reason}")),
            (None, Ok(())) => self.stated_of_revoked(number, ticket),
        }
    }

    /// Enrolments that died with the centre are begun again.
    pub(crate) fn enrol_again(&mut self) {
        for edge in std::mem::take(&mut self.enrolling).into_values() {
            self.agenda.after(1_000, Event::Enrol { edge });
        }
    }
}
