//! Cases go from site to site: by chance, while their site is cut off, and from two places at once.

use domain::Role;
use names::{DocumentId, Kind, TransferReason};
use node::{Input, NotDone, Ticket, Transfer, Transferred, views};
use protocol::{PlacementId, Statement};

use crate::{
    evidence::Evidence, oracle::Oracle, people::Person, station::Station, swarm::CENTRE,
    trace::station_name, world::World,
};

/// How often in a hundred somebody else transfers the same case at the same time, elsewhere.
const AT_ONCE_PERCENT: u64 = 35;

/// A transfer that somebody was told is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) document: DocumentId,
    pub(crate) placement: PlacementId,
    pub(crate) station: usize,
    /// The only disk that held it is lost.
    pub(crate) gone: bool,
}

impl World {
    /// Every transfer of which somebody was told that it is made is known at the centre.
    pub(crate) fn judge_transfers(&mut self, centre: &Evidence) {
        let moved = self.moved.iter().filter(|moved| !moved.gone);
        let mut lost = moved.filter(|moved| !centre.has_placed(moved.document, moved.placement));
        if let Some(moved) = lost.next() {
            let (name, document) = (station_name(moved.station), moved.document);
            let words = format!("{name} has transferred {document}, and the centre does not know");
            self.fail(Oracle::Keep, words);
        }
    }

    /// Whether somebody transfers a case now.
    pub(crate) fn is_time_to_transfer(&mut self) -> bool {
        let plan = &self.plan;
        let is_late = self.tally.transfers == 0 && self.tally.acts >= plan.transfer_after_act;
        is_late || self.people_chance.percent(plan.transfers_percent)
    }

    /// A person transfers one of the site's cases; answers whether there was one to transfer.
    pub(crate) fn transfer_a_case(&mut self, person: &Person) -> bool {
        let from = match person.site {
            Some(site) => site,
            None => self.people_chance.index(self.plan.sites.len()),
        };
        let Some(station) = self.station_for(person.site) else {
            return false;
        };
        let Some(document) = self.a_case_at(station, from) else {
            return false;
        };
        self.ask_to_transfer(person, station, document, from);
        if self.people_chance.percent(AT_ONCE_PERCENT) {
            let others = self.plan.stations_of(from).into_iter().chain([CENTRE]);
            let others: Vec<usize> = others.filter(|other| *other != station).collect();
            if let Some(other) = self.people_chance.pick(&others).copied() {
                self.ask_to_transfer(person, other, document, from);
            }
        }
        true
    }

    fn a_case_at(&mut self, station: usize, site: usize) -> Option<DocumentId> {
        let snapshot = self.stations.get(station).and_then(Station::snapshot)?;
        let listed = views::documents(&snapshot, &self.plan.scope(site)?).unwrap_or_default();
        let cases: Vec<DocumentId> = listed
            .iter()
            .filter(|listed| listed.kind == Kind::CASE)
            .map(|listed| listed.document)
            .collect();
        self.people_chance.pick(&cases).copied()
    }

    fn ask_to_transfer(
        &mut self,
        person: &Person,
        station: usize,
        document: DocumentId,
        from: usize,
    ) {
        let step = 1 + self.people_chance.index(self.plan.sites.len() - 1);
        let to = (from + step) % self.plan.sites.len();
        let id = |site: usize| self.plan.sites.get(site).map(|site| site.id.clone());
        let (Some(from), Some(to)) = (id(from), id(to)) else {
            return;
        };
        let mut by = person.by(&from);
        by.roles = vec![Role::Senior];
        self.transfers_asked += 1;
        let ticket = Ticket(self.transfers_asked);
        let now = self.agenda.now();
        self.trace
            .note(now, station, "transfers", document.as_ref(), || {
                format!("{document} from {from} to {to} as {ticket:?}")
            });
        let reason = TransferReason::MovedHome;
        let transfer = Box::new(Transfer {
            document,
            from,
            to,
            reason,
            by,
        });
        self.push(station, Input::Transfer { ticket, transfer });
    }

    /// A person is told how a transfer went.
    pub(crate) fn transferred(
        &mut self,
        number: usize,
        ticket: Ticket,
        result: Result<Transferred, NotDone>,
    ) {
        let now = self.agenda.now();
        self.trace.tell(now, number, "has transferred", || {
            format!("{ticket:?}: {result:?}")
        });
        match result {
            Ok(Transferred {
                document,
                placement,
                ..
            }) => {
                self.tally.transfers += 1;
                self.moved.push(Moved {
                    document,
                    placement,
                    station: number,
                    gone: false,
                });
            }
            Err(NotDone::Reason(names::Reason::CannotOpen | names::Reason::SetAside)) => {
                let name = station_name(number);
                self.fail(Oracle::Opens, format!("{name} could not transfer a case"));
            }
            Err(_) => {}
        }
    }

    /// The centre's node asks the authority for a ruling.
    pub(crate) fn rule(&mut self, ruling: Statement) {
        let now = self.agenda.now();
        if let Statement::Branch(ruling) = &ruling {
            self.tally.branches += 1;
            self.branched.insert(ruling.document);
        } else {
            self.tally.rulings += 1;
        }
        let signed = self.authority.say(ruling, now);
        self.tell(CENTRE, signed);
    }

    /// Whether a station waits for a backup of the centre to let something go.
    pub(crate) fn awaits_backup(&self) -> bool {
        let running = self.stations.iter().filter_map(|s| s.running.as_ref());
        running.into_iter().any(|running| {
            let snapshot = running.node.snapshot().ok();
            let handed = snapshot
                .and_then(|snapshot| views::handed_over(&snapshot, &running.node.directory()).ok());
            let mut handed = handed.into_iter().flatten();
            handed.any(|handed| handed.awaits_backup)
        })
    }

    /// A document that a station should have let go by now.
    pub(crate) fn still_held(&self, number: usize) -> Option<DocumentId> {
        let running = self.stations.get(number)?.running.as_ref()?;
        let snapshot = running.node.snapshot().ok()?;
        let handed = views::handed_over(&snapshot, &running.node.directory()).ok()?;
        let held = handed.into_iter().find(|handed| !handed.is_gone);
        held.map(|held| held.document)
    }
}
