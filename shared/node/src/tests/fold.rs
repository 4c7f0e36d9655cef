//! Folding: fewer rows, the same changes, and nobody is sent what they have.

use store::Table;

use super::*;
use crate::{draft::read_row, rows::IndexRow};

/// More than one fold's worth of notes, of some length.
fn write_notes(world: &mut World, index: usize, case: DocumentId, count: usize) -> Vec<Saved> {
    (0..count)
        .map(|number| world.note(index, case, &format!("{number} {}", "seen ".repeat(200))))
        .collect()
}

fn index_rows(world: &World, index: usize, document: DocumentId) -> Vec<(u64, IndexRow)> {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let rows = snapshot.range(Table::Index, document.as_ref(), 0, 1_000);
    let row = |(position, _)| {
        let row = read_row(&snapshot, Table::Index, document.as_ref(), position);
        (position, row.unwrap().unwrap())
    };
    rows.unwrap().into_iter().map(row).collect()
}

/// What a document says, read anew from what is on disk.
fn reread(world: &World, index: usize, document: DocumentId) -> String {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let view = Opener::new(1).view(&snapshot, document).unwrap();
    assert_eq!(view.flaws, []);
    serde_json::to_string(&view.state).unwrap()
}

fn assert_whole(world: &World, index: usize, document: DocumentId, changes: usize) {
    let rows = index_rows(world, index, document);
    let arrivals = rows.iter().flat_map(|(_, row)| &row.changes);
    let arrivals: Vec<u64> = arrivals.map(|change| change.arrival).collect();
    assert!(arrivals.is_sorted(), "{arrivals:?}");
    assert_eq!(arrivals.len(), changes);
    for (position, row) in &rows {
        let last = row.changes.iter().map(|change| change.arrival).max();
        assert_eq!(last, Some(*position));
    }
}

#[test]
fn what_comes_one_by_one_is_folded() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    write_notes(&mut world, 1, case, 100);
    let rows = index_rows(&world, 1, case);
    assert!(rows.len() <= 16, "{} rows", rows.len());
    assert_whole(&world, 1, case, 101);
    let written = reread(&world, 1, case);
    world.connect(1);
    world.connect(2);
    world.assert_equal("site:bath");
    for index in 0..3 {
        assert_eq!(reread(&world, index, case), written);
        // An opener that has been there all along has taken nothing in twice.
        let place = &mut world.places[index];
        let snapshot = place.node.snapshot().unwrap();
        let view = place.opener.view(&snapshot, case).unwrap();
        assert_eq!(serde_json::to_string(&view.state).unwrap(), written);
    }
}

#[test]
fn two_sites_changes_are_folded_together_and_keep_where_they_came_from() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.connect(2);
    for _ in 0..20 {
        write_notes(&mut world, 1, case, 1);
        write_notes(&mut world, 2, case, 1);
        world.run();
    }
    world.assert_equal("site:bath");
    for index in 0..3 {
        assert!(index_rows(&world, index, case).len() <= 12);
        assert_whole(&world, index, case, 41);
    }
    let rows = index_rows(&world, 1, case);
    let own = rows.iter().flat_map(|(_, row)| {
        let origins = row.changes.iter().map(|change| row.origin(change));
        origins.filter(Option::is_none).collect::<Vec<_>>()
    });
    assert_eq!(own.count(), 21, "opened here, and twenty notes");
}

#[test]
fn a_fold_gives_a_peer_only_what_it_lacks() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    write_notes(&mut world, 1, case, 20);
    world.bytes = 0;
    world.connect(1);
    let first = world.bytes;
    world.cut(1);
    // The fold that these bring about reaches back over what the centre holds.
    write_notes(&mut world, 1, case, 3);
    let rows = index_rows(&world, 1, case);
    let straddles = |row: &IndexRow| {
        let first = row.first();
        first.is_some_and(|first| first < 21) && row.changes.iter().any(|c| c.arrival > 21)
    };
    assert!(rows.iter().any(|(_, row)| straddles(row)), "{rows:?}");
    world.bytes = 0;
    world.connect(1);
    assert!(world.bytes * 4 < first, "{} of {first}", world.bytes);
    world.assert_equal("site:bath");
    assert_whole(&world, 0, case, 24);
}

#[test]
fn what_a_restored_centre_lost_is_sent_again_out_of_a_fold() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    write_notes(&mut world, 1, case, 4);
    world.connect(1);
    let copy = world.places[0].node.store.clone();
    let lost = write_notes(&mut world, 1, case, 30);
    world.run();
    world.cut(1);
    world.places[0] = world.place(0, copy);
    world.connect(1);
    world.assert_equal("site:bath");
    assert_whole(&world, 0, case, 35);
    for saved in lost {
        let snapshot = world.places[1].node.snapshot().unwrap();
        let state = views::entry_state(&snapshot, saved.entry).unwrap();
        assert_eq!(state, Some(views::EntryState::AtTheCentre));
    }
}

/// A damaged row is read one by one with its neighbours, and those are no longer side by side.
#[test]
fn a_damaged_row_among_folds_hides_nothing_else() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    write_notes(&mut world, 1, case, 11);
    let rows = index_rows(&world, 1, case);
    let (folded, loose): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, row)| row.changes.len() > 1);
    assert!(!folded.is_empty() && loose.len() >= 2, "{rows:?}");
    let spoilt = loose.first().unwrap().0;
    let mut batch = store::Batch::new();
    batch.put(Table::Index, case.0, spoilt, vec![0xFF]);
    store::Store::commit(&mut world.places[1].node.store, batch).unwrap();
    world.connect(1);
    let there: usize = index_rows(&world, 0, case)
        .iter()
        .map(|(_, row)| row.changes.len())
        .sum();
    assert!(there >= 8, "{there} of what stands before the damage");
}
