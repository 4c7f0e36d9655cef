//! A damaged row of a scope is worked out again at the next opening.

use store::{Batch, Snapshot as _, Store as _, Table};

use super::{transfer::four_edges, *};
use crate::{draft::read_row, rows::ScopeRow};

const DEVIZES: &str = "site:devizes";

fn row(world: &World, index: usize) -> Option<ScopeRow> {
    let snapshot = world.places[index].node.snapshot().unwrap();
    read_row(&snapshot, Table::Scope, DEVIZES.as_bytes(), 0).ok()?
}

/// What a bad sector leaves of the row of a scope, or of all.
fn spoil(world: &mut World, index: usize, scopes: &[&str]) {
    let mut batch = Batch::new();
    for scope in scopes {
        batch.put(Table::Scope, scope.as_bytes().to_vec(), 0, vec![0xFF; 40]);
    }
    world.places[index].node.store.commit(batch).unwrap();
}

#[test]
fn a_damaged_scope_is_worked_out_again_and_nobody_is_kept_from_writing() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let cases: Vec<_> = (0..5).map(|_| world.open_case(1, DEVIZES)).collect();
    world.note(3, cases[0], "by another edge");
    // One of them has left the scope, which counts in the digest too.
    world.transfer(1, cases[4], "devizes", "bath").unwrap();
    world.run();
    for index in [1, 0] {
        let before = row(&world, index).unwrap();
        let scopes = if index == 0 {
            &[DEVIZES, "site:bath"][..]
        } else {
            &[DEVIZES][..]
        };
        spoil(&mut world, index, scopes);
        assert!(row(&world, index).is_none());
        if index == 0 {
            (1..=4).for_each(|edge| world.cut(edge));
        }
        world.reopen(index);
        let after = row(&world, index).unwrap();
        assert_eq!(after.value(), before.value(), "at {index}");
        assert_eq!((after.count, after.slots), (before.count, before.slots));
        assert_eq!(after.heads, before.heads);
    }
    // It goes on as if nothing had been: equal at once, and written in.
    (1..=4).for_each(|edge| world.connect(edge));
    let repaired = |notice: &Notice| matches!(notice, Notice::Differing { .. });
    assert!(!world.places[0].notices.iter().any(repaired));
    world.note(1, cases[0], "after the damage");
    world.note(0, cases[1], "by the centre");
    let new = world.open_case(1, DEVIZES);
    world.run();
    world.assert_equal(DEVIZES);
    world.assert_equal("site:bath");
    assert_eq!((world.entries(0, cases[0]), world.entries(3, new)), (3, 1));
}

#[test]
fn a_sound_row_is_left_as_it_is() {
    let mut world = four_edges();
    world.connect(1);
    world.open_case(1, DEVIZES);
    world.run();
    let before = world.places[1].node.snapshot().unwrap();
    let before = before.get(Table::Scope, DEVIZES.as_bytes(), 0).unwrap();
    spoil(&mut world, 1, &["site:bath"]);
    world.reopen(1);
    let after = world.places[1].node.snapshot().unwrap();
    let after = after.get(Table::Scope, DEVIZES.as_bytes(), 0).unwrap();
    assert_eq!(before, after);
}
