//! The judgement over a world at rest: digests, documents, people's own lists, disks.

use std::collections::{BTreeMap, BTreeSet};

use domain::Command;
use names::{DocumentId, EntryId, Reason};
use node::{Opener, views, views::EntryState};
use serde_json::Value;

use crate::{
    evidence::Evidence,
    oracle::{Oracle, is_never_honest},
    people::{Kept, MARKER},
    reader::{self, Line, Pages},
    swarm::CENTRE,
    trace::station_name,
    world::World,
};

impl World {
    /// Judges a world at rest.
    pub(crate) fn judge(&mut self) {
        // What is on the disk of a device whose keys are destroyed is nobody's.
        let mut evidence: Vec<Evidence> = Vec::new();
        for number in 0..self.stations.len() {
            match self.is_gone(number) {
                true => evidence.push(Evidence::default()),
                false => evidence.extend(self.evidence(number)),
            }
        }
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
        let left = evidence.iter().enumerate();
        let left: Vec<_> = left.filter(|(number, _)| !self.is_gone(*number)).collect();
        for (number, own) in left {
            self.check_scopes(number, own, true);
            self.judge_digests(number, own, centre);
        }
        self.judge_reading(&evidence);
        self.judge_standing(&evidence);
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
        for scope in &self.readable(number) {
            let Some(kept) = sync.iter().find(|sync| sync.scope == *scope) else {
                let words = format!("{name} does not keep {scope}, which it may read");
                return self.fail(Oracle::Converge, words);
            };
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
            if self.is_gone(number) {
                continue;
            }
            let name = station_name(number);
            let Some(snapshot) = self.stations.get(number).and_then(|s| s.snapshot()) else {
                return;
            };
            let mut opener = Opener::new(1);
            let let_go = self.let_go(number, own);
            let held = own.documents().keys();
            for document in held.filter(|document| !let_go.contains(document)) {
                let view = match opener.view(&snapshot, *document) {
                    Ok(view) if view.flaws.iter().all(|flaw| self.population.explains(flaw)) => {
                        view
                    }
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
        evidence
            .iter()
            .take(1)
            .for_each(|centre| self.judge_transfers(centre));
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
            let told = format!("{} of {entry} in {document}", line.command.code());
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
            let here = here || self.is_gone(line.station);
            let in_record = found.is_some() && listed;
            let waits = |centre| self.waits_for_a_person(&line, centre);
            if !in_record && evidence.first().is_some_and(waits) {
                self.tally.held += 1;
                continue;
            }
            let name = station_name(line.station);
            if !in_record || !here {
                let words = format!("{name} called {told} saved, and it is not there");
                return self.fail(Oracle::Keep, words);
            }
            self.judge_state(&line);
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
        // An edge whose disk was replaced does not know any more what it wrote since the copy.
        let forgot = matches!(state, Ok(None)) && self.restored.was(line.station);
        let made_here = line.change.is_some() && !forgot;
        let arrived = matches!(state, Ok(Some(said)) if said >= EntryState::AtTheCentre);
        if made_here && !arrived {
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
            .filter(|reason| !self.has_twin || *reason != Reason::Equivocation)
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
    let typed = line.typed.as_deref().unwrap_or_default().trim();
    let there = match &line.command {
        Command::EditText { .. } => {
            entry.act == line.command.code() && (rough || pages.text.contains(typed))
        }
        Command::Settle { keep, .. } => {
            entry.words.contains(typed) && says_again(entry, pages.entries.get(keep)?)
        }
        command => {
            entry.act == command.code()
                && entry.words.contains(typed)
                && says_what_was_asked(entry, command)
        }
    };
    there.then_some(())
}

/// What an entry can give as its value, by name.
const VALUES: [&str; 12] = [
    "value",
    "status",
    "worker",
    "date",
    "due",
    "start",
    "end",
    "form",
    "attendance",
    "pence",
    "people",
    "total",
];

/// Whether an entry that settles gives the value of the one that was chosen.
fn says_again(entry: &Line, chosen: &Line) -> bool {
    VALUES.iter().all(|key| {
        let (said, before) = (entry.said.get(*key), chosen.said.get(*key));
        said.is_none() || before.is_none() || said == before
    })
}

/// Whether every plain value of the command stands in its entry under the same name: how somebody
/// was marked, how many pence, people and points, what was ticked.
fn says_what_was_asked(entry: &Line, command: &Command) -> bool {
    let Ok(Value::Object(mut asked)) = serde_json::to_value(command) else {
        return false;
    };
    asked.remove("command");
    asked.into_iter().all(|(key, value)| match value {
        // What holds nothing is not written.
        Value::String(words) if words.trim().is_empty() => !entry.said.contains_key(&key),
        Value::String(words) => {
            let said = entry.said.get(&key).and_then(Value::as_str);
            said.is_some_and(|said| said.trim() == words.trim())
        }
        Value::Number(_) | Value::Bool(_) => entry.said.get(&key) == Some(&value),
        Value::Null | Value::Array(_) | Value::Object(_) => true,
    })
}
