//! A compacted form is a cache: it is used where it fits, made anew where it does not, and never
//! asked for anything else.

use store::{Batch, Snapshot as _, Store as _, Table};

use super::*;
use crate::{draft::read_row, rows::CompactedRow};

/// A case at the edge with so many changes.
fn long_case(changes: u64) -> (World, DocumentId) {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    for number in 1..changes {
        world.note(1, case, &format!("note {number}"));
    }
    (world, case)
}

fn form(world: &World, index: usize, case: DocumentId) -> Option<Vec<u8>> {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let row: Option<CompactedRow> =
        read_row(&snapshot, Table::Compacted, case.as_ref(), 0).unwrap();
    row.map(|row| row.form)
}

fn put(world: &mut World, case: DocumentId, value: Vec<u8>) {
    let mut batch = Batch::new();
    batch.put(Table::Compacted, case.0, 0, value);
    world.places[1].node.store.commit(batch).unwrap();
}

/// As after a start: nothing is held open.
fn close_all(world: &mut World, index: usize) {
    world.places[index].opener = Opener::new(16);
}

fn entries(world: &mut World, index: usize, case: DocumentId) -> usize {
    let place = &mut world.places[index];
    let snapshot = place.node.snapshot().unwrap();
    let view = place.opener.view(&snapshot, case).unwrap();
    assert_eq!(view.flaws, []);
    view.state.journal().rows().count()
}

#[test]
fn a_document_is_opened_from_its_compacted_form() {
    let (mut world, case) = long_case(7);
    assert_eq!(form(&world, 1, case), None);
    world.note(1, case, "the eighth change");
    let kept = form(&world, 1, case).unwrap();
    close_all(&mut world, 1);
    assert_eq!(entries(&mut world, 1, case), 8);
    world.note(1, case, "later");
    // Made from its changes alone it would be compacted anew now.
    assert_eq!(form(&world, 1, case), Some(kept));
    assert_eq!(entries(&mut world, 1, case), 9);
}

#[test]
fn what_comes_from_others_is_compacted_with_its_summary() {
    let (mut world, case) = long_case(20);
    world.connect(1);
    world.run();
    assert!(form(&world, 0, case).is_some());
    close_all(&mut world, 0);
    assert_eq!(entries(&mut world, 0, case), 20);
    world.note(0, case, "at the centre");
    world.run();
    world.assert_equal("site:bath");
    assert_eq!(entries(&mut world, 1, case), 21);
}

/// Damaged, of another program, of another document, of changes that were never kept: the document
/// is made from its changes, and the form anew.
#[test]
fn a_form_that_does_not_fit_is_made_anew() {
    let (mut world, case) = long_case(8);
    let good = form(&world, 1, case).unwrap();
    let of = |program: &str, form: &[u8]| {
        protocol::codec::encode(&CompactedRow {
            program: program.to_owned(),
            changes: 8,
            form: form.to_vec(),
        })
    };
    let another = world.open_case(1, "site:bath");
    for _ in 1..8 {
        world.note(1, another, "of another case");
    }
    let foreign = form(&world, 1, another).unwrap();
    let misfits = [
        vec![0xFF; 3],
        of("0.0.0", &good),
        of(crate::trying::PROGRAM, b"no document"),
        of(crate::trying::PROGRAM, &foreign),
    ];
    let mut count = 8;
    for misfit in misfits {
        put(&mut world, case, misfit.clone());
        close_all(&mut world, 1);
        assert_eq!(entries(&mut world, 1, case), count);
        world.note(1, case, "one more");
        count += 1;
        assert_eq!(entries(&mut world, 1, case), count);
        let snapshot = world.places[1].node.snapshot().unwrap();
        let kept = snapshot.get(Table::Compacted, case.as_ref(), 0).unwrap();
        assert_ne!(kept, Some(misfit));
        assert!(form(&world, 1, case).is_some());
    }
}

/// A form that waited to be kept went with the summary beside it when somebody wrote just then, and
/// counted as made.
#[test]
fn a_form_that_waits_is_kept_though_somebody_writes() {
    let mut world = World::new(&[&["site:bath"]]);
    let mut cases = [(); 2].map(|()| world.open_case(1, "site:bath"));
    cases.sort_unstable();
    for case in cases {
        for _ in 1..8 {
            world.note(1, case, "at the edge");
        }
    }
    trying::meet_until_opening(&mut world);
    // The opening of the second takes longer than that of the first.
    let inputs = std::mem::take(&mut world.places[0].inbox).into_iter();
    let (mut opened, later): (Vec<Input>, Vec<Input>) =
        inputs.partition(|input| matches!(input, Input::Opened { .. }));
    let second = opened.pop().unwrap();
    world.places[0].inbox.extend(opened);
    world.turn(0);
    assert_eq!(form(&world, 0, cases[0]), None, "it waits");
    world.note(0, cases[0], "at the centre");
    assert!(form(&world, 0, cases[0]).is_some_and(|form| !form.is_empty()));
    world.places[0].inbox.extend(later);
    world.places[0].inbox.push_back(second);
    world.run();
    assert!(form(&world, 0, cases[1]).is_some());
    world.assert_equal("site:bath");
}
