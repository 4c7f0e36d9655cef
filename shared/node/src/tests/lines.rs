//! Authors' lines share rows: no line takes another with it, whatever becomes of either.

use store::{Snapshot as _, Table};

use super::*;
use crate::{draft::read_line, rows::LINES_PER_ROW, views::EntryState};

const NOTE: &str =
    r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"by one of many"}"#;

/// More authors than share a row, and then some.
const AUTHORS: u64 = 2 * LINES_PER_ROW + 3;

fn rows(world: &World, index: usize, table: Table, document: DocumentId) -> usize {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let rows = snapshot.range(table, document.as_ref(), 0, 1_000);
    rows.unwrap().len()
}

/// Notes of an edge's by many workers in one case; the entries, in the order of their authors.
fn by_many(world: &mut World, case: DocumentId, from: u64, to: u64) -> Vec<EntryId> {
    let entries = (from..to).map(|number| {
        let entry = EntryId([number as u8 + 100; 16]);
        let worker = format!("m-{number}");
        let target = Target::Document(case);
        world.ask_as(1, &worker, target, entry, NOTE).unwrap();
        entry
    });
    entries.collect()
}

fn assert_states(world: &World, entries: &[EntryId], state: EntryState) {
    let snapshot = world.places[1].node.snapshot().unwrap();
    for entry in entries {
        let is = views::entry_state(&snapshot, *entry).unwrap();
        assert_eq!(is, Some(state), "{entry}");
    }
}

#[test]
fn many_authors_of_a_case_share_rows_and_each_arrives() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let early = by_many(&mut world, case, 0, AUTHORS / 2);
    // A start in between: what waits is read back, from one row.
    world.reopen(1);
    let late = by_many(&mut world, case, AUTHORS / 2, AUTHORS);
    let lines = AUTHORS as usize + 1;
    assert_eq!(
        rows(&world, 1, Table::Actor, case),
        lines.div_ceil(LINES_PER_ROW as usize)
    );
    assert_eq!(rows(&world, 1, Table::Outbox, case), 1);
    assert_eq!(world.places[1].node.waiting(), lines as u64);
    assert_states(&world, &early, EntryState::SavedHere);
    world.reopen(1);
    assert_eq!(world.places[1].node.waiting(), lines as u64);

    world.connect(1);
    world.assert_equal("site:bath");
    assert_eq!(world.places[1].node.waiting(), 0);
    assert_eq!(rows(&world, 1, Table::Outbox, case), 0);
    assert_states(&world, &early, EntryState::AtTheCentre);
    assert_states(&world, &late, EntryState::AtTheCentre);
    let kept = [0, 1].map(|index| {
        let snapshot = world.places[index].node.snapshot().unwrap();
        let lines =
            (0..lines as u64).map(|slot| read_line(&snapshot, case, slot).unwrap().unwrap());
        let mut lines: Vec<_> = lines
            .map(|line| (line.actor, line.seq, line.hash))
            .collect();
        lines.sort_unstable();
        lines
    });
    assert_eq!(kept[0], kept[1]);
}

/// One more entry by one author, when all others have arrived, makes that one wait and no other.
#[test]
fn a_line_waits_by_itself() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let before = by_many(&mut world, case, 0, AUTHORS);
    world.connect(1);
    world.cut(1);
    let target = Target::Document(case);
    let more = EntryId([99; 16]);
    world.ask_as(1, "m-12", target, more, NOTE).unwrap();
    world.reopen(1);
    assert_eq!(world.places[1].node.waiting(), 1);
    assert_states(&world, &before, EntryState::AtTheCentre);
    assert_states(&world, &[more], EntryState::SavedHere);
    world.connect(1);
    assert_states(&world, &[more], EntryState::AtTheCentre);
    assert_eq!(rows(&world, 1, Table::Outbox, case), 0);
}
