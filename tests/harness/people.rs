//! The people of the service: who they are, and the list each keeps of what was saved.
//!
//! The list is theirs, not a node's. What a person was told is saved stands in it, and in the end
//! the oracle *keep* reads it against the documents.

use std::collections::BTreeMap;

use domain::{By, Command, Flaw, FlawAt, Role};
use names::{ChangeHash, DocumentId, EntryId, Moment, Reason, SiteId, WorkerId};
use node::{Request, Saved, Ticket};

use crate::{chance::Chance, swarm::Plan};

/// Stands at the beginning of everything that people type, so that one search finds any of it.
pub const MARKER: &str = "typed-by-a-person-";

/// A worker.
#[derive(Clone, Debug)]
pub struct Person {
    /// The worker's code.
    pub worker: WorkerId,
    /// Where the worker belongs; the centre's staff have no site.
    pub site: Option<usize>,
    /// What the worker is.
    pub roles: Vec<Role>,
}

impl Person {
    /// The worker, asking at a site.
    pub fn by(&self, site: &SiteId) -> By {
        By {
            worker: self.worker.clone(),
            site: site.clone(),
            roles: self.roles.clone(),
        }
    }
}

/// A question that a person waits to be answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// At which station.
    pub station: usize,
    /// Since when.
    pub since: Moment,
    /// The question.
    pub request: Request,
    /// What was typed into it, if anything that stays as it was typed.
    pub typed: Option<String>,
    /// How often it was sent before.
    pub tries: u32,
    /// The station that has called it saved already.
    pub saved_at: Option<usize>,
}

/// One line of a person's own list: this was saved, I was told.
#[derive(Clone, Debug)]
pub struct Kept {
    /// In which document.
    pub document: DocumentId,
    /// The entry.
    pub entry: EntryId,
    /// What was asked.
    pub command: Command,
    /// What was typed.
    pub typed: Option<String>,
    /// Which station said so.
    pub station: usize,
    /// When.
    pub at: Moment,
    /// The change that carries it, unless it had been recorded before.
    pub change: Option<ChangeHash>,
    /// The only disk that held it was replaced by an older copy. What no copy survives of is
    /// lost, and outside the budget.
    pub gone: bool,
}

/// What a team remembers of a document: what later commands can be about.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Notes that can be corrected.
    pub notes: Vec<EntryId>,
    /// Tasks that can be moved or completed.
    pub tasks: Vec<EntryId>,
    /// Cash that can be taken back.
    pub cash: Vec<EntryId>,
    /// Guests in the register.
    pub guests: Vec<EntryId>,
    /// Somebody deleted from the text, so that words typed earlier need not be there.
    pub rough: bool,
}

/// Everybody.
#[derive(Debug)]
pub struct Population {
    people: Vec<Person>,
    asked: BTreeMap<Ticket, Asked>,
    asked_ever: u64,
    kept: Vec<Kept>,
    memory: BTreeMap<DocumentId, Memory>,
    /// How often each edit of a text was asked for.
    edits: BTreeMap<EntryId, u32>,
}

const ROLES: [Role; 6] = [
    Role::RecoveryWorker,
    Role::Senior,
    Role::Coordinator,
    Role::Practitioner,
    Role::BankWorker,
    Role::Admin,
];

impl Population {
    /// Two to four people at each site, one or two at the centre.
    pub fn draw(plan: &Plan, chance: &mut Chance) -> Population {
        let mut people = Vec::new();
        let places = (0..plan.sites.len()).map(Some).chain([None]);
        for site in places {
            let team = if site.is_some() {
                chance.between(2, 4)
            } else {
                chance.between(1, 2)
            };
            for _ in 0..team {
                let worker = format!("w-{}", people.len() + 1);
                people.push(Person {
                    worker: worker.parse().expect("a code"),
                    site,
                    roles: chance.pick(&ROLES).copied().into_iter().collect(),
                });
            }
        }
        Population {
            people,
            edits: BTreeMap::new(),
            asked: BTreeMap::new(),
            asked_ever: 0,
            kept: Vec::new(),
            memory: BTreeMap::new(),
        }
    }

    /// Everybody.
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Somebody asks something.
    pub fn ask(&mut self, asked: Asked) -> Ticket {
        self.asked_ever += 1;
        if let Command::EditText { .. } = asked.request.command {
            *self.edits.entry(asked.request.entry).or_default() += 1;
        }
        let ticket = Ticket(self.asked_ever);
        self.asked.insert(ticket, asked);
        ticket
    }

    /// Whether a flaw is what people are owed: an edit of a text that was sent through two nodes, or
    /// again after a disk was lost, stands in the text twice, and that must be told.
    pub fn explains(&self, flaw: &Flaw) -> bool {
        let is_repeated = |entry: &EntryId| self.edits.get(entry).is_some_and(|times| *times > 1);
        match flaw.at {
            FlawAt::Entry(entry) => flaw.reason == Reason::Equivocation && is_repeated(&entry),
            FlawAt::Document | FlawAt::Change(_) | FlawAt::Row(_) => false,
        }
    }

    /// Takes back what a ticket asked, when its answer has come.
    pub fn answered(&mut self, ticket: Ticket) -> Option<Asked> {
        self.asked.remove(&ticket)
    }

    /// Takes back everything that was asked at a station that has died.
    pub fn unanswered(&mut self, station: usize) -> Vec<Asked> {
        let of_station = |asked: &Asked| asked.station == station;
        let tickets: Vec<Ticket> = self
            .asked
            .iter()
            .filter(|(_, asked)| of_station(asked))
            .map(|(t, _)| *t)
            .collect();
        tickets
            .into_iter()
            .filter_map(|ticket| self.asked.remove(&ticket))
            .collect()
    }

    /// The oldest question that waits.
    pub fn waiting(&self) -> Option<&Asked> {
        self.asked.values().min_by_key(|asked| asked.since)
    }

    /// Writes down what was saved.
    pub fn saved(&mut self, asked: &Asked, saved: Saved, at: Moment) {
        let act = asked.request.command.code();
        let memory = self.memory.entry(saved.document).or_default();
        let list = match act {
            "add-note" => Some(&mut memory.notes),
            "add-task" => Some(&mut memory.tasks),
            "take-cash" | "pay-out" => Some(&mut memory.cash),
            "add-guest" => Some(&mut memory.guests),
            _ => None,
        };
        if let Some(list) = list {
            list.push(saved.entry);
        }
        self.kept.push(Kept {
            document: saved.document,
            entry: saved.entry,
            command: asked.request.command.clone(),
            typed: asked.typed.clone(),
            station: asked.station,
            at,
            change: saved.change,
            gone: false,
        });
    }

    /// The list of everything that was saved.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The same list, to be marked.
    pub fn kept_mut(&mut self) -> &mut [Kept] {
        &mut self.kept
    }

    /// What is remembered of a document.
    pub fn memory(&mut self, document: DocumentId) -> &mut Memory {
        self.memory.entry(document).or_default()
    }
}
