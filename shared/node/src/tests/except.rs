//! Exceptions: a document of which something is refused costs itself and nothing else.

use store::Table;

use super::*;

/// An edge whose disk has lost one of its entries before it was ever sent: what its author wrote
/// after it cannot be taken by anybody.
fn damaged() -> (World, DocumentId, DocumentId) {
    let (world, case, other, _) = damaged_with();
    (world, case, other)
}

/// The same, with the bytes that were lost.
fn damaged_with() -> (World, DocumentId, DocumentId, Vec<u8>) {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.note(1, case, "before");
    world.note(1, case, "the damaged one");
    world.note(1, case, "after");
    let other = world.open_case(1, "site:bath");
    let snapshot = world.places[1].node.snapshot().unwrap();
    let whole = snapshot.get(Table::Bundle, case.as_ref(), 2).unwrap();
    keep(&mut world, case, vec![0xFF; 3]);
    world.connect(1);
    world.connect(2);
    (world, case, other, whole.unwrap())
}

fn keep(world: &mut World, case: DocumentId, bytes: Vec<u8>) {
    let mut batch = store::Batch::new();
    batch.put(Table::Bundle, case.0, 2, bytes);
    store::Store::commit(&mut world.places[1].node.store, batch).unwrap();
}

/// How the scope stands between an edge and the centre, as each of them has it: whether it is
/// proved, and except in what.
pub(super) fn stands(world: &World, edge: usize) -> [(bool, Vec<DocumentId>); 2] {
    let bath: ScopeId = "site:bath".parse().unwrap();
    let of = |index: usize, peer: u8| {
        let sync = world.places[index].node.sync().unwrap();
        let scope = sync.into_iter().find(|sync| sync.scope == bath).unwrap();
        let device = key(peer).device_id();
        let peer = scope.peers.into_iter().find(|peer| peer.device == device);
        let peer = peer.unwrap();
        let documents = peer.exceptions.into_keys().collect();
        (peer.proved.is_some() && peer.trouble.is_none(), documents)
    };
    [of(edge, 0), of(0, u8::try_from(edge).unwrap())]
}

pub(super) fn text(world: &mut World, index: usize, document: DocumentId) -> String {
    let place = &mut world.places[index];
    let snapshot = place.node.snapshot().unwrap();
    let view = place.opener.view(&snapshot, document).unwrap();
    serde_json::to_string(&view.state).unwrap()
}

#[test]
fn two_sides_are_proved_equal_except_in_what_one_refuses() {
    let (world, case, other) = damaged();
    assert_eq!(stands(&world, 1), [(true, vec![case]), (true, vec![case])]);
    assert_eq!(stands(&world, 2), [(true, vec![]), (true, vec![])]);
    let snapshot = world.places[2].node.snapshot().unwrap();
    assert!(views::document_of(&snapshot, other).unwrap().is_some());
}

#[test]
fn everything_else_of_such_a_document_goes_on() {
    let (mut world, case, other) = damaged();
    world.note(2, case, "an innocent later note");
    let late = world.note(1, other, "in another case");
    world.run();
    for index in [0, 1] {
        assert!(text(&mut world, index, case).contains("an innocent later note"));
    }
    assert_eq!(stands(&world, 1), [(true, vec![case]), (true, vec![case])]);
    assert_eq!(stands(&world, 2), [(true, vec![]), (true, vec![])]);
    let snapshot = world.places[1].node.snapshot().unwrap();
    let state = |entry| views::entry_state(&snapshot, entry).unwrap();
    assert_eq!(state(late.entry), Some(views::EntryState::AtTheCentre));
    assert_ne!(world.places[1].node.waiting(), 0, "what is refused waits");
}

/// Both sides keep what they differ in, so that a greeting does not look for it again.
#[test]
fn the_next_greeting_does_not_look_for_it_again() {
    let (mut world, case, _) = damaged();
    world.cut(1);
    for index in [0, 1] {
        world.places[index].notices.clear();
    }
    world.connect(1);
    assert_eq!(stands(&world, 1), [(true, vec![case]), (true, vec![case])]);
    let again = |index: usize| {
        let notices = world.places[index].notices.iter();
        notices
            .filter(|notice| matches!(notice, Notice::Repairing { .. }))
            .count()
    };
    assert_eq!((again(0), again(1)), (0, 0));
}

/// What was refused may come whole one day: then nothing is excepted any more.
#[test]
fn an_exception_ends_when_what_was_lost_is_back() {
    let (mut world, case, _, whole) = damaged_with();
    keep(&mut world, case, whole);
    world.places[1].opener.forget(case);
    world.cut(1);
    world.connect(1);
    world.note(1, case, "and on");
    world.run();
    assert_eq!(stands(&world, 1), [(true, vec![]), (true, vec![])]);
    world.assert_equal("site:bath");
    assert_eq!(world.places[1].node.waiting(), 0);
}

/// The cursor is past what was refused, so nothing would ever offer it again.
#[test]
fn an_exception_is_looked_at_again_after_a_day() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.note(1, case, "before");
    world.connect(1);
    let whole = lines::spoil_for_good(&mut world, 0, case, 0);
    world.note(1, case, "refused while a row is damaged");
    world.run();
    assert_eq!(stands(&world, 1), [(true, vec![case]), (true, vec![case])]);
    lines::put_back(&mut world, 0, case, whole);
    world.cut(1);
    world.now = world.now.plus_ms(25 * 3_600_000);
    world.connect(1);
    assert_eq!(stands(&world, 1), [(true, vec![]), (true, vec![])]);
    world.assert_equal("site:bath");
    assert_eq!(world.places[1].node.waiting(), 0);
}
