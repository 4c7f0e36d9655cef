//! A large scope is repaired by its sketch: what is sent grows with the difference.

use names::ScopeId;
use protocol::message::{Cells, Frame};

use super::*;

/// Greetings, directories and first rows cross one after another; then it is known.
const CROSSINGS: usize = 5;
/// More documents than a list is used for.
const CASES: usize = 520;

fn bath() -> ScopeId {
    "site:bath".parse().unwrap()
}

fn differing(world: &World) -> Vec<u64> {
    let notices = world.places[0].notices.iter();
    notices
        .filter_map(|notice| match notice {
            Notice::Differing { documents, .. } => Some(*documents),
            _ => None,
        })
        .collect()
}

/// The centre comes back from an old copy, and the edge that could have told it by its cursor is
/// gone: another one has what was lost, as if it had come from the centre.
fn restored(cases: usize, lost: usize) -> (World, Vec<DocumentId>) {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let cases: Vec<_> = (0..cases)
        .map(|_| world.open_case(1, "site:bath"))
        .collect();
    world.connect(1);
    world.connect(2);
    let copy = world.places[0].node.store.clone();
    for case in cases.iter().take(lost) {
        world.note(1, *case, "after the copy");
    }
    world.run();
    world.assert_equal("site:bath");
    world.cut(1);
    world.cut(2);
    world.places[0] = world.place(0, copy);
    world.bytes = 0;
    (world, cases)
}

#[test]
fn a_few_of_many_documents_are_found_by_the_sketch() {
    for lost in [1, 100] {
        let (mut world, _) = restored(CASES, lost);
        world.connect(2);
        assert_eq!(differing(&world), [lost as u64]);
        world.assert_equal("site:bath");
        // The list alone would have been longer than 20 KB and all that moved.
        let moved = 1_200 * lost as u64;
        assert!(world.bytes < 20_000 + moved, "{} bytes", world.bytes);
        // The sketch follows what is written afterwards.
        world.open_case(2, "site:bath");
        world.run();
        for place in [0, 2] {
            let node = &world.places[place].node;
            let sketch = node.sketches.get(&bath()).expect("it was needed");
            assert_eq!(sketch.count(), CASES as i64 + 1);
        }
    }
}

#[test]
fn so_much_differs_that_the_list_serves() {
    let (mut world, cases) = restored(CASES, CASES);
    world.connect(2);
    assert_eq!(differing(&world), [cases.len() as u64]);
    world.assert_equal("site:bath");
}

/// A peer that answers cells with nonsense, or sends them out of turn, is left.
#[test]
fn cells_out_of_turn_end_the_conversation() {
    for from in [1, 5] {
        let (mut world, _) = restored(3, 1);
        let link = LinkId(55);
        let node = &mut world.places[0].node;
        let up = Input::LinkUp {
            link,
            peer: key(2).public(),
            side: Side::Answered,
        };
        node.turn(world.now, [0; 32], vec![up]).unwrap();
        node.links
            .get_mut(&link)
            .unwrap()
            .scopes
            .entry(bath())
            .or_default();
        let cells = Cells {
            scope: bath(),
            round: 1,
            from,
            cells: vec![protocol::Cell::EMPTY; 3],
        };
        let frame = node
            .verifier()
            .frame(&Frame::Cells(cells).encode())
            .unwrap();
        let input = vec![Input::Frame { link, frame }];
        let outputs = node.turn(world.now, [0; 32], input).unwrap();
        let is_closed = |output: &Output| matches!(output, Output::Close { .. });
        assert!(outputs.iter().any(is_closed));
    }
}

/// A centre that is back as an older copy of its file, which lacks a note of its own, and to which the
/// edge has just dialled.
fn older_centre() -> (World, DocumentId) {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    let copy = world.places[0].node.store.clone();
    world.note(0, case, "the centre's own, after the copy");
    world.run();
    world.cut(1);
    world.places[0] = world.place(0, copy);
    world.places[1].notices.clear();
    world.link_up(1);
    (world, case)
}

/// No cursor knows what an older copy of the centre's file lacks, as both first rows tell. It is
/// looked for at once, and not only when the proofs have gone to and fro as well.
#[test]
fn what_no_cursor_knows_is_looked_for_at_once() {
    let (mut world, _) = older_centre();
    let looks = |world: &World| {
        let mut notices = world.places[1].notices.iter();
        notices.any(|notice| matches!(notice, Notice::Repairing { .. }))
    };
    let mut turns = 0;
    while !looks(&world) {
        // What is said in these two turns has crossed once when they are over.
        world.turn(1);
        world.turn(0);
        turns += 1;
        assert!(turns < CROSSINGS, "after {turns} crossings");
    }
    world.run();
    world.assert_equal("site:bath");
}

/// One turn of the edge's, of which the rows of its table stay under way.
fn turn_without_rows(world: &mut World, rows: &mut Vec<Input>) {
    let place = &mut world.places[1];
    let inputs: Vec<Input> = place.inbox.drain(..).collect();
    let outputs = place.node.turn(world.now, [5; 32], inputs).unwrap();
    for output in outputs {
        match output {
            Output::Send { link, frame, .. } => {
                let is_table = matches!(Frame::decode(&frame), Ok(Some(Frame::Table(_))));
                let frame = world.places[0].node.verifier().frame(&frame).unwrap();
                let input = Input::Frame { link, frame };
                match is_table {
                    true => rows.push(input),
                    false => world.places[0].inbox.push_back(input),
                }
            }
            Output::Notice(notice) => world.places[1].notices.push(notice),
            _ => {}
        }
    }
}

/// What is compared travels on another stream than the rows, and may come first. Whoever answers
/// must know all the same where it stands: it said nothing live any more, and counted as equal.
#[test]
fn a_list_that_overtakes_the_first_row_keeps_nothing_from_going_live() {
    let (mut world, case) = older_centre();
    let mut rows = Vec::new();
    for _ in 0..CROSSINGS + 2 {
        turn_without_rows(&mut world, &mut rows);
        world.turn(0);
    }
    let looks = |notice: &Notice| matches!(notice, Notice::Repairing { .. });
    assert!(world.places[1].notices.iter().any(looks) && !rows.is_empty());
    world.places[0].inbox.extend(rows);
    world.run();
    world.assert_equal("site:bath");
    world.note(0, case, "live, by the centre");
    world.run_for(2);
    world.assert_equal("site:bath");
}
