//! Regressions, each with its story.

use names::{Reason, limits::FILL_FRAME_BYTES};
use protocol::{
    message::{Batch, Frame},
    placement::{Placement, SignedPlacement},
};

use super::*;

/// An entry written after our greeting was made and before the peer's came was called *at the
/// centre*, because the two roots were equal: the peer had never seen it.
#[test]
fn an_entry_written_between_the_greetings_is_not_called_arrived() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.cut(1);
    let link = LinkId(900);
    world.links.insert(link, 1);
    let up = |peer: u8, side| Input::LinkUp {
        link,
        peer: key(peer).public(),
        side,
    };
    world.places[1].inbox.push_back(up(0, Side::Dialled));
    world.turn(1);
    let held_back: Vec<_> = world.places[0].inbox.drain(..).collect();
    world.places[0].inbox.push_back(up(1, Side::Answered));
    world.turn(0);
    let greeting: Vec<_> = world.places[1].inbox.drain(..).collect();
    let saved = world.note(1, case, "between the greetings");
    world.places[1].inbox.extend(greeting);
    world.turn(1);
    let state = |world: &World| {
        views::entry_state(&world.places[1].node.snapshot().unwrap(), saved.entry).unwrap()
    };
    assert_eq!(state(&world), Some(views::EntryState::SavedHere));
    assert_eq!(world.places[1].node.waiting(), 1);
    let early: Vec<_> = world.places[0].inbox.drain(..).collect();
    world.places[0].inbox.extend(held_back);
    world.places[0].inbox.extend(early);
    world.run();
    assert_eq!(state(&world), Some(views::EntryState::AtTheCentre));
    world.assert_equal("site:bath");
}

/// Every edge holds the tenant's key and can compute another site's ids. A placement that only
/// its author's own scope had to allow would have pulled the document over.
#[test]
fn no_edge_can_place_another_sites_document() {
    let mut world = World::new(&[&["site:bath"], &["site:devizes"]]);
    world.connect(1);
    world.connect(2);
    let case = world.open_case(1, "site:bath");
    world.run();
    let snapshot = world.places[0].node.snapshot().unwrap();
    let kept: SignedPlacement =
        crate::draft::read_row(&snapshot, store::Table::Placement, case.as_ref(), 0)
            .unwrap()
            .unwrap();
    let (id, claim) = kept.claim().unwrap();
    let steal = |previous, root| Placement {
        device: key(2).device_id(),
        scopes: ["site:devizes".parse().unwrap()].into(),
        previous,
        root,
        ..claim.clone()
    };
    let verifier = world.places[0].node.verifier();
    let sign = |placement| SignedPlacement::sign(&key(2), &TENANT, &placement);
    for (previous, root) in [(None, None), (None, claim.root.clone())] {
        let refused = verifier.placement(sign(steal(previous, root))).map(|_| ());
        assert!(refused.is_err(), "{refused:?}");
    }
    // Well formed, but only somebody who may place at Bath may add a scope to what stands there.
    let batch = Batch {
        scope: "site:devizes".parse().unwrap(),
        placements: vec![sign(steal(Some(id), None))],
        bundles: Vec::new(),
        number: 0,
        after: None,
        from: None,
    };
    let frame = verifier.frame(&Frame::Live(batch).encode()).unwrap();
    let link = *world.links.iter().find(|(_, edge)| **edge == 2).unwrap().0;
    world.places[0]
        .inbox
        .push_back(Input::Frame { link, frame });
    world.run();
    // The answer is that of a document which does not exist: another site learns nothing from it.
    let counters = world.places[0].node.counters();
    assert_eq!(counters.get(&Reason::MissingDependency), Some(&1));
    assert_eq!(counters.get(&Reason::NotAllowed), None);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let placed = views::scopes_of(&snapshot, case).unwrap();
    assert_eq!(placed, ["site:bath".parse().unwrap()]);
}

/// A document of two sites has two placements, the second adding a scope; the other site refused
/// the first, which did not name it, and so everything after it.
#[test]
fn a_document_placed_at_two_sites_reaches_both() {
    let mut world = World::new(&[
        &["site:bath", "site:devizes"],
        &["site:bath"],
        &["site:devizes"],
    ]);
    for edge in 1..=3 {
        world.connect(edge);
    }
    let scopes = vec![
        "site:bath".parse().unwrap(),
        "site:devizes".parse().unwrap(),
    ];
    let open = r#"{"command":"open-case","opened":"2026-11-20"}"#;
    let case = world.ask(1, Target::New(scopes), open).unwrap().document;
    world.run();
    for edge in [2, 3] {
        world.note(edge, case, "seen from here");
    }
    world.run();
    world.assert_equal("site:bath");
    world.assert_equal("site:devizes");
    assert_eq!(
        world.places[0].node.counters().get(&Reason::NotAllowed),
        None
    );
}

/// A frame was full only after the item that filled it: a long note after a nearly full frame
/// made one that the peer refused, for ever.
#[test]
fn frames_stay_within_their_bound_whatever_the_runs_are() {
    let mut world = World::new(&[&["site:bath"]]);
    for number in 0..12 {
        let case = world.open_case(1, "site:bath");
        world.note(
            1,
            case,
            &"n".repeat(if number % 2 == 0 { 60_000 } else { 10 }),
        );
    }
    world.largest = 0;
    world.connect(1);
    world.assert_equal("site:bath");
    assert!(
        world.largest <= FILL_FRAME_BYTES as u64 + 1_024,
        "{} bytes",
        world.largest
    );
}

/// Sixty-five fill frames with a writer of their own each made a cursor that could be written and
/// not be read: the node died at every greeting of that peer.
#[test]
fn a_peer_cannot_make_a_cursor_that_cannot_be_read_back() {
    let mut world = World::new(&[&["site:bath"]]);
    world.connect(1);
    let link = *world.links.keys().next().unwrap();
    for number in 0..100u8 {
        let writer = names::WriterId([number; 16]);
        let batch = Batch {
            scope: "site:bath".parse().unwrap(),
            placements: Vec::new(),
            bundles: Vec::new(),
            number: 0,
            from: Some(protocol::Position { writer, number: 0 }),
            after: Some(protocol::Position { writer, number: 5 }),
        };
        let frame = world.places[0]
            .node
            .verifier()
            .frame(&Frame::Fill(batch).encode())
            .unwrap();
        world.places[0]
            .inbox
            .push_back(Input::Frame { link, frame });
        world.turn(0);
    }
    world.cut(1);
    world.connect(1);
    world.open_case(1, "site:bath");
    world.run();
    world.assert_equal("site:bath");
}

/// One id was taken for two entries in two documents, and how far the first had got was then read
/// from the second.
#[test]
fn an_entrys_id_stands_for_one_document() {
    let mut world = World::new(&[&["site:bath"]]);
    let (one, other) = (
        world.open_case(1, "site:bath"),
        world.open_case(1, "site:bath"),
    );
    let note = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    let entry = EntryId([0xCD; 16]);
    let mut ask = |document| world.ask_as(1, "w-1", Target::Document(document), entry, note);
    ask(one).unwrap();
    assert_eq!(
        ask(other),
        Err(NotDone::Refused(domain::Refusal::EntryIdUsed))
    );
    // Asking again for the same is no other entry.
    assert_eq!(ask(one).unwrap().change, None);
}

/// The directory was merged before anything else, and shown as not proved for ever.
#[test]
fn the_directory_is_proved_and_proved_again_when_it_has_changed() {
    let mut world = World::new(&[&["site:bath"]]);
    world.statements.pop();
    let edge = key(1);
    let fresh = world.place(0, MemoryStore::new());
    world.places[0] = fresh;
    let proved = |world: &World, place: usize| {
        let sync = world.places[place].node.sync().unwrap();
        let directory = sync.iter().find(|sync| sync.scope == ScopeId::Directory);
        let peers = directory.unwrap().peers.iter();
        peers.map(|peer| peer.proved.is_some()).collect::<Vec<_>>()
    };
    world.connect(1);
    assert_eq!(
        world.places[0]
            .node
            .directory()
            .device(&edge.device_id())
            .map(|_| ()),
        Some(())
    );
    assert_eq!(
        (proved(&world, 0), proved(&world, 1)),
        (vec![true], vec![true])
    );
    let issue = Issue {
        authority: names::Incarnation([9; 16]),
        number: 90,
        at: Moment(90),
        statement: Statement::Site(Site {
            id: "salisbury".parse().unwrap(),
            name: "Salisbury".to_owned(),
        }),
    };
    let signed = SignedStatement::sign(&key(200), &TENANT, &issue).unwrap();
    let statement = world.places[0].node.verifier().statement(signed).unwrap();
    let stated = Input::Stated {
        ticket: Ticket(90),
        statement,
    };
    world.places[0].inbox.push_back(stated);
    world.turn(0);
    assert_eq!(
        proved(&world, 0),
        [false],
        "it has changed here, and not there"
    );
    world.run();
    assert_eq!(
        (proved(&world, 0), proved(&world, 1)),
        (vec![true], vec![true])
    );
}

/// It was called damaged data.
#[test]
fn a_note_begins_no_document() {
    let mut world = World::new(&[&["site:bath"]]);
    let target = Target::New(vec!["site:bath".parse().unwrap()]);
    let note = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    let refused = world.ask(1, target, note);
    let expected = NotDone::Refused(domain::Refusal::BeginsNothing);
    assert_eq!(refused, Err(expected));
}
