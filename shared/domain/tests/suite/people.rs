//! People at several places, each with their own part of a record, who decide, part and meet.
//!
//! The world remembers of every entry everything its writer held when it was written. That is
//! the truth the models in the other files are built on; the code under test sees only entries.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Act, By, Command, Day, Entry, Refusal, Role, State, Text, decide};
use names::{EntryId, Kind, Moment};

use crate::lattice::fold;

/// 2026-01-01, before which none of these people act.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

pub(crate) struct World {
    kind: Kind,
    places: Vec<BTreeMap<EntryId, Entry>>,
    /// What the writer of each entry held.
    pub(crate) past: BTreeMap<EntryId, BTreeSet<EntryId>>,
    pub(crate) entries: BTreeMap<EntryId, Entry>,
    drawn: u64,
    /// The text that every place shows; it is merged elsewhere.
    text: String,
}

impl World {
    /// A world in which every place holds the same first entry.
    pub(crate) fn new(kind: Kind, places: usize, first: &Command) -> World {
        let mut world = World {
            kind,
            places: vec![BTreeMap::new(); places],
            past: BTreeMap::new(),
            entries: BTreeMap::new(),
            drawn: 0,
            text: String::new(),
        };
        world.act(0, first, 0).unwrap();
        (1..places).for_each(|place| world.merge(place, 0));
        world
    }

    pub(crate) fn state(&self, place: usize) -> State {
        let entries: Vec<Entry> = self.places[place].values().cloned().collect();
        let mut state = fold(self.kind, &entries);
        state.set_text(&self.text);
        state
    }

    pub(crate) fn set_text(&mut self, text: &str) {
        text.clone_into(&mut self.text);
    }

    /// Somebody at a place asks for something, by a clock that may show anything from the start
    /// of 2026 on.
    pub(crate) fn act(
        &mut self,
        place: usize,
        command: &Command,
        clock: i64,
    ) -> Result<EntryId, Refusal> {
        self.drawn += 1;
        // Spread over the id space, so that the order of ids is not the order of events.
        let spread = self.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&spread.to_be_bytes());
        let id = EntryId(id);
        let by = by(place);
        let now = Moment(START_MS + clock);
        let edits = decide(&self.state(place), command, id, &by, now)?;
        let held = self.in_view(place, command);
        for entry in edits.entries {
            self.past.insert(entry.id, held.clone());
            self.entries.insert(entry.id, entry.clone());
            self.places[place].insert(entry.id, entry);
        }
        // Asked again, it is there already.
        let again = decide(&self.state(place), command, id, &by, now.plus_ms(5));
        assert!(
            again.unwrap().is_empty(),
            "{} was not recognised",
            command.code()
        );
        Ok(id)
    }

    /// What somebody at a place knows who asks for this: all that is there, unless only some of a
    /// conflict was looked at.
    fn in_view(&self, place: usize, command: &Command) -> BTreeSet<EntryId> {
        let held = self.held(place);
        let Command::Settle { about, seen, .. } = command else {
            return held;
        };
        let mut conflicts = self.state(place).conflicts().into_iter();
        let values = conflicts
            .find(|conflict| conflict.about == *about)
            .unwrap()
            .values;
        let shown = values.into_iter().map(|version| version.entry);
        let unseen: BTreeSet<EntryId> = shown.filter(|entry| !seen.contains(entry)).collect();
        let is_in_view = |entry: &&EntryId| {
            let past = &self.past[*entry];
            seen.contains(entry)
                || !(unseen.contains(*entry) || past.intersection(&unseen).count() > 0)
        };
        let looked_at: BTreeSet<EntryId> = held.iter().filter(is_in_view).copied().collect();
        let before = looked_at.iter().flat_map(|entry| self.past[entry].clone());
        let mut known: BTreeSet<EntryId> = before.chain(looked_at.iter().copied()).collect();
        // Through others one may know of a value; it is replaced only by who looked at it.
        known.retain(|entry| {
            let is_move = matches!(self.entries[entry].act, Act::SetStatus { .. });
            !(is_move && unseen.contains(entry))
        });
        known
    }

    pub(crate) fn merge(&mut self, into: usize, from: usize) {
        let theirs = self.places[from].clone();
        self.places[into].extend(theirs);
    }

    pub(crate) fn merge_all(&mut self) {
        for from in 1..self.places.len() {
            self.merge(0, from);
        }
        for into in 1..self.places.len() {
            self.merge(into, 0);
        }
    }

    pub(crate) fn held(&self, place: usize) -> BTreeSet<EntryId> {
        self.places[place].keys().copied().collect()
    }

    /// Of `entries`, those that no other of them was written in knowledge of.
    pub(crate) fn unreplaced(&self, entries: &BTreeSet<EntryId>) -> BTreeSet<EntryId> {
        let replaced =
            |entry: &EntryId| entries.iter().any(|later| self.past[later].contains(entry));
        entries
            .iter()
            .copied()
            .filter(|entry| !replaced(entry))
            .collect()
    }
}

pub(crate) fn by(place: usize) -> By {
    let sites = ["devizes", "swindon", "bath", "kent"];
    By {
        worker: format!("w-{place}").parse().unwrap(),
        site: sites[place % sites.len()].parse().unwrap(),
        roles: vec![Role::Senior],
    }
}

pub(crate) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

pub(crate) fn open_case() -> Command {
    Command::OpenCase {
        opened: day("2025-11-03"),
        source: Text::from("self"),
    }
}
