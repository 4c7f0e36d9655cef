//! Stores that come back from an older copy, and copies that run side by side, are noticed.

use names::Reason;

use super::{transfer::four_edges, *};
use crate::{
    Errand,
    views::{Copied, CopyRow},
};

fn copies(world: &World, index: usize) -> Vec<CopyRow> {
    views::copies(&world.places[index].node.snapshot().unwrap()).unwrap()
}

#[test]
fn an_edge_from_an_older_copy_is_listed_with_the_time_of_which_nothing_is_known() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let copy = world.places[1].node.store.clone();
    world.note(1, case, "since the copy");
    world.run();
    let last_heard = world.now;
    world.cut(1);
    world.places[1] = world.place(1, copy);
    world.connect(1);
    world.note(1, case, "after it");
    world.run();
    assert_eq!(world.entries(0, case), 3);
    let [row] = copies(&world, 0)[..] else {
        panic!("{:?}", copies(&world, 0));
    };
    assert_eq!(
        (row.device, row.how),
        (world.places[1].node.device(), Copied::OlderCopy)
    );
    assert!(row.from.unwrap() <= last_heard && row.until > last_heard);
    // It is noticed once, and kept.
    world.cut(1);
    world.connect(1);
    world.reopen(0);
    assert_eq!(copies(&world, 0), [row]);
    (1..=4).for_each(|edge| assert_eq!(copies(&world, edge), []));
}

#[test]
fn a_centre_from_an_older_copy_is_listed_at_the_edges_that_knew_more() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let copy = world.places[0].node.store.clone();
    world.note(0, case, "by the centre, since the copy");
    world.run();
    (1..=4).for_each(|edge| world.cut(edge));
    world.places[0] = world.place(0, copy);
    (1..=4).for_each(|edge| world.connect(edge));
    assert_eq!(world.entries(0, case), 2, "an edge had it");
    let found = copies(&world, 1);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].device, world.places[0].node.device());
    assert_eq!(copies(&world, 2), [], "Bath was told nothing of it");
}

/// Before they are known to be two, neither is sent what the other wrote; it must not be called equal
/// for that.
#[test]
fn a_copy_that_is_not_noticed_yet_gets_what_the_other_wrote() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let copy = world.places[1].node.store.clone();
    let twin = world.place(1, copy);
    world.places.push(twin);
    world.link_up(5);
    world.run_for(3);
    world.note(1, case, "by one");
    world.run_for(12);
    assert_eq!(copies(&world, 0), [], "it is too early to tell");
    for index in [0, 1, 3, 5] {
        assert_eq!(world.entries(index, case), 2, "at {index}");
    }
    world.note(5, case, "by the other");
    world.run_for(12);
    for index in [0, 1, 3, 5] {
        assert_eq!(world.entries(index, case), 3, "at {index}");
    }
}

#[test]
fn two_copies_of_one_edge_are_noticed_and_all_that_they_write_is_kept() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    // Started again, it is no copy.
    world.reopen(1);
    world.connect(1);
    assert_eq!(copies(&world, 0), []);
    let copy = world.places[1].node.store.clone();
    let twin = world.place(1, copy);
    world.places.push(twin);
    world.connect(5);
    world.note(1, case, "by one");
    world.note(5, case, "by the other");
    world.run();
    world.run();
    world.cut(1);
    world.connect(1);
    world.note(1, case, "by one again");
    world.run();
    for index in [0, 1, 3, 5] {
        assert_eq!(world.entries(index, case), 4, "at {index}");
    }
    let found = copies(&world, 0);
    let twice = |rows: &[CopyRow]| {
        let rows = rows.iter();
        rows.filter(|row| row.how == Copied::RunsTwice).count()
    };
    assert_eq!(twice(&found), 1, "{found:?}");
    world.cut(5);
    world.connect(5);
    world.run();
    world.cut(1);
    world.connect(1);
    assert_eq!(twice(&copies(&world, 0)), 1, "once is enough");
}

/// Neither of two copies gets a new certificate until a person has said that one was stopped.
#[test]
fn a_person_says_which_copy_stays() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let copy = world.places[1].node.store.clone();
    let twin = world.place(1, copy);
    world.places.push(twin);
    world.connect(5);
    world.run();
    world.note(1, case, "by the first, a while after the other came");
    world.run();
    let device = world.places[1].node.device();
    let runs_twice = |world: &World| copies(world, 0).iter().any(|row| row.runs_twice(&device));
    assert!(runs_twice(&world));
    let mut ticket = 900;
    let mut one_stays = |world: &mut World| {
        ticket += 1;
        let ticket = Ticket(ticket);
        let errand = Errand::OneStays { device };
        let place = &mut world.places[0];
        let inputs = vec![Input::Errand { ticket, errand }];
        let outputs = place.node.turn(world.now, [7; 32], inputs).unwrap();
        outputs.into_iter().find_map(|output| match output {
            Output::Ran { result, .. } => Some(result.map(|_| ())),
            _ => None,
        })
    };
    assert_eq!(
        one_stays(&mut world),
        Some(Err(Reason::RunsTwice)),
        "both are there"
    );
    world.cut(5);
    world.run();
    assert_eq!(one_stays(&mut world), Some(Ok(())));
    assert_eq!(
        one_stays(&mut world),
        Some(Err(Reason::NotFound)),
        "there are no two"
    );
    // The one that stays goes on, and a start of it is none.
    for _ in 0..2 {
        world.run();
        world.run();
        world.note(1, case, "by the one that stays");
        world.run();
        assert!(!runs_twice(&world));
        world.reopen(1);
        world.connect(1);
    }
    let how: Vec<_> = copies(&world, 0).iter().map(|row| row.how).collect();
    assert!(how.contains(&Copied::RanTwice), "{how:?}");
    // Should the other one be started again, that is seen again.
    world.connect(5);
    world.run();
    world.run();
    world.note(1, case, "by the one that stays, beside the other");
    world.run();
    assert!(runs_twice(&world));
}
