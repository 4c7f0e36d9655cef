//! Copies of a running program, which write as one author until they are known to be two.

use std::collections::BTreeSet;

use protocol::bundle::Bundle;
use store::Table;

use super::*;
use crate::{
    branch::{lines_of, removal::take_out},
    draft::Draft,
};

const BATH: &str = "site:bath";

impl World {
    /// A copy of a place as it runs, with what it has drawn; it stands behind all others.
    fn twin(&mut self, index: usize) -> usize {
        let (number, entropy) = (self.places[index].key, self.places[index].entropy);
        let store = self.places[index].node.store.clone();
        let twin = self.place_drawn(number, store, entropy);
        self.places.push(twin);
        self.places.len() - 1
    }

    /// A note by a worker, wherever it is written.
    fn note_by(&mut self, index: usize, worker: &str, case: DocumentId, text: &str) -> Saved {
        self.next += 1;
        let mut entry = [0xAA; 16];
        entry[..8].copy_from_slice(&self.next.to_le_bytes());
        let command = format!(
            r#"{{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"{text}"}}"#
        );
        let target = Target::Document(case);
        self.ask_as(index, worker, target, EntryId(entry), &command)
            .unwrap()
    }

    /// A note by the same worker at each of these places.
    fn note_at(&mut self, places: &[usize], case: DocumentId) -> Vec<(usize, Saved, String)> {
        let notes = places.iter().map(|index| {
            let text = format!("at {index}");
            (*index, self.note_by(*index, "w-1", case, &text), text)
        });
        notes.collect()
    }

    fn text(&mut self, index: usize, case: DocumentId) -> String {
        let place = &mut self.places[index];
        let snapshot = place.node.snapshot().unwrap();
        let view = place.opener.view(&snapshot, case).unwrap();
        assert_eq!(view.flaws, [], "at {index}");
        serde_json::to_string(&view.state).unwrap()
    }

    /// That everybody has each of these once, that nobody is left with an exception, and that who wrote
    /// them is told that they have arrived.
    fn assert_all_have(&mut self, case: DocumentId, notes: &[(usize, Saved, String)]) {
        self.assert_equal(BATH);
        for index in 0..self.places.len() {
            let text = self.text(index, case);
            for (_, _, note) in notes {
                let times = text.matches(&format!("\"{note}\"")).count();
                assert_eq!(times, 1, "{note} at {index}: {text}");
            }
            let sync = self.places[index].node.sync().unwrap();
            let excepted = sync.iter().flat_map(|sync| &sync.peers);
            let excepted: Vec<_> = excepted.flat_map(|peer| &peer.exceptions).collect();
            assert!(excepted.is_empty(), "at {index}: {excepted:?}");
            assert_eq!(self.places[index].node.waiting(), 0, "at {index}");
        }
        for (index, saved, note) in notes {
            let snapshot = self.places[*index].node.snapshot().unwrap();
            let state = views::entry_state(&snapshot, saved.entry).unwrap();
            assert_eq!(state, Some(views::EntryState::AtTheCentre), "{note}");
        }
    }
}

/// Two edges at Bath, the first of which is copied while it runs, after it has written in a case; the
/// number of the copy.
fn copied() -> (World, DocumentId, usize) {
    let mut world = World::new(&[&[BATH], &[BATH]]);
    world.connect(1);
    world.connect(2);
    let case = world.open_case(2, BATH);
    world.note_by(1, "w-1", case, "before");
    world.run();
    world.cut(1);
    let twin = world.twin(1);
    (world, case, twin)
}

#[test]
fn what_two_copies_of_a_running_program_write_is_kept_whichever_comes_first() {
    for (ones, others) in [(1, 1), (1, 3), (3, 1), (2, 2)] {
        for first in [true, false] {
            let (mut world, case, twin) = copied();
            let mut notes = Vec::new();
            for (index, count) in [(1, ones), (twin, others)] {
                for number in 0..count {
                    let text = format!("{number} at {index}");
                    notes.push((index, world.note_by(index, "w-1", case, &text), text));
                }
            }
            let order = if first { [1, twin] } else { [twin, 1] };
            order.into_iter().for_each(|index| world.connect(index));
            world.run();
            world.assert_all_have(case, &notes);
            assert_eq!(world.ruled, 1, "{ones} and {others}");
            // From now on they are two authors.
            for index in [1, twin, 1] {
                let text = format!("later {} at {index}", world.next);
                notes.push((index, world.note_by(index, "w-1", case, &text), text));
            }
            world.run();
            world.assert_all_have(case, &notes);
            assert_eq!(world.ruled, 1, "{ones} and {others}");
        }
    }
}

#[test]
fn what_builds_on_a_branch_goes_along_with_it() {
    let (mut world, case, twin) = copied();
    let mut notes = Vec::new();
    for (number, worker) in ["w-1", "w-9", "w-1", "w-9", "w-1"].into_iter().enumerate() {
        for index in [1, twin] {
            let text = format!("{number} at {index} by {worker}");
            notes.push((index, world.note_by(index, worker, case, &text), text));
        }
    }
    // Nobody else has written as this one, and yet this builds on the branch.
    let text = "by somebody new".to_owned();
    notes.push((twin, world.note_by(twin, "w-5", case, &text), text));
    world.connect(1);
    world.connect(twin);
    world.run();
    world.assert_all_have(case, &notes);
}

#[test]
fn two_copies_that_write_in_a_case_from_its_first_change_lose_nothing() {
    let mut world = World::new(&[&[BATH], &[BATH]]);
    world.connect(2);
    let case = world.open_case(2, BATH);
    world.connect(1);
    world.run();
    world.cut(1);
    let twin = world.twin(1);
    let mut notes = Vec::new();
    for index in [1, twin, 1] {
        let text = format!("{} at {index}", world.next);
        notes.push((index, world.note_by(index, "w-1", case, &text), text));
    }
    world.connect(twin);
    world.connect(1);
    world.run();
    world.assert_all_have(case, &notes);
}

#[test]
fn two_copies_that_run_side_by_side_are_noticed() {
    let (mut world, case, twin) = copied();
    world.connect(1);
    world.connect(twin);
    let mut notes = Vec::new();
    for index in [1, twin, 1, twin] {
        let text = format!("{} at {index}", world.next);
        notes.push((index, world.note_by(index, "w-1", case, &text), text));
        world.run_for(1);
    }
    world.run();
    world.assert_all_have(case, &notes);
    let copies = views::copies(&world.places[0].node.snapshot().unwrap()).unwrap();
    let twice = copies
        .iter()
        .filter(|row| row.how == views::Copied::RunsTwice);
    assert_eq!(twice.count(), 1, "{copies:?}");
}

#[test]
fn a_centre_that_has_forgotten_its_ruling_takes_it_back_and_follows_it() {
    let (mut world, case, twin) = copied();
    let copy = world.places[0].node.store.clone();
    let notes = world.note_at(&[1, twin], case);
    world.connect(1);
    // The copy does not hear of the ruling that it calls for.
    world.is_silent = true;
    world.connect(twin);
    let everybody = [1, 2, twin];
    everybody.into_iter().for_each(|edge| world.cut(edge));
    world.is_silent = false;
    let ruled = world.ruled;
    world.reopen(0);
    everybody.into_iter().for_each(|edge| world.connect(edge));
    // It had left it at an exception, which it looks at again in some minutes.
    world.run_for(520);
    assert_eq!(world.ruled, ruled + 1);
    everybody.into_iter().for_each(|edge| world.cut(edge));
    world.places[0] = world.place(0, copy);
    everybody
        .into_iter()
        .rev()
        .for_each(|edge| world.connect(edge));
    world.run();
    world.assert_all_have(case, &notes);
}

/// The centre came back from a copy of before a branch, and takes the other one first.
#[test]
fn a_branch_that_does_not_stand_is_kept_until_whoever_wrote_it_has_written_it_again() {
    let (mut world, case, twin) = copied();
    let copy = world.places[0].node.store.clone();
    let mut notes = world.note_at(&[1, twin], case);
    let unaware = world.places[twin].node.store.clone();
    world.connect(1);
    world.connect(twin);
    world.run();
    assert_eq!(world.ruled, 1);
    for edge in [1, 2, twin] {
        world.cut(edge);
    }
    // The centre and the second copy both forget; only the first edge knows the ruling.
    world.places[0] = world.place(0, copy);
    let entropy = world.places[twin].entropy;
    world.places[twin] = world.place_drawn(1, unaware, entropy);
    let other = world.place(2, MemoryStore::new());
    world.places[2] = other;
    world.connect(twin);
    world.connect(2);
    let text = "on top of the branch".to_owned();
    notes.push((2, world.note_by(2, "w-2", case, &text), text));
    world.run();
    world.cut(twin);
    world.connect(1);
    world.run();
    let text = world.text(0, case);
    assert!(
        text.contains(&format!("at {twin}")),
        "nothing is lost: {text}"
    );
    world.connect(twin);
    world.run();
    world.run();
    world.assert_all_have(case, &notes);
}

/// The centre sends what the other copy wrote under the same number. That this is at the centre says
/// nothing of what was written here.
#[test]
fn a_refused_branch_is_never_shown_as_having_arrived() {
    let (mut world, case, twin) = copied();
    world.is_silent = true;
    world.connect(1);
    world.connect(twin);
    let first = world.note_by(1, "w-1", case, "by one");
    world.run_for(2);
    let second = world.note_by(twin, "w-1", case, "by the other");
    world.note_by(1, "w-1", case, "by one again");
    for _ in 0..20 {
        world.run_for(1);
        let state = |index: usize, saved: &Saved| {
            let snapshot = world.places[index].node.snapshot().unwrap();
            views::entry_state(&snapshot, saved.entry).unwrap()
        };
        assert_eq!(state(twin, &second), Some(views::EntryState::SavedHere));
        assert_ne!(state(1, &first), None);
    }
    assert_eq!(world.places[twin].node.waiting(), 1);
}

/// What is left of a line must be closed by a head, or nobody could take it from here any more.
#[test]
fn nothing_is_taken_out_that_leaves_changes_without_a_head() {
    let (mut world, case, _) = copied();
    world.note_by(2, "w-2", case, "after");
    let draft = || Draft::new(world.places[2].node.snapshot().unwrap());
    let row = draft().document(case).unwrap().unwrap();
    let lines = lines_of(&draft(), case, &row).unwrap();
    let (slot, line) = lines.iter().find(|(_, line)| line.len() == 2).unwrap();
    let (_, other) = lines.iter().find(|(_, line)| line.len() == 1).unwrap();
    let last = BTreeSet::from([line[&2]]);
    let mut whole = draft();
    let cut = take_out(&mut whole, case, &last).unwrap();
    assert_eq!(cut, Some(BTreeMap::from([(*slot, 1)])));
    let left = whole.document(case).unwrap().unwrap();
    assert_eq!(
        (left.changes, left.hashes()),
        (row.changes - 1, vec![other[&1]])
    );
    let mut without = draft();
    for arrival in 0..row.arrivals {
        let kept = without.row::<Bundle>(Table::Bundle, case.as_ref(), arrival);
        if let Some(mut bundle) = kept.unwrap() {
            bundle.closings.clear();
            without.put(Table::Bundle, case.0, arrival, &bundle);
        }
    }
    assert_eq!(take_out(&mut without, case, &last).unwrap(), None);
    let left = without.document(case).unwrap().unwrap();
    assert_eq!(left.changes, row.changes);
}
