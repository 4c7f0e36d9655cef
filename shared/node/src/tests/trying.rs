//! The program ends while it opens a document; and another version makes summaries anew.

use names::Reason;
use store::{Batch, Store as _, Table};

use super::*;
use crate::{
    draft::read_row,
    rows::{CompactedRow, MetaRow, SummaryRow, TryingRow},
    trying::{TRIES_MAX, WAITS_MS},
    views::Opening,
};

/// Shorter than anything waits that is set aside.
const SHORT_S: u32 = 8;

/// What passes between turns here: what has come is opened a moment after it was proved to be all.
const TURN_MS: i64 = 20;

/// Takes a turn at the centre, and opens nothing that it asks for: what that would have been.
fn turn_without_opening(world: &mut World) -> Vec<DocumentId> {
    let place = &mut world.places[0];
    let inputs: Vec<Input> = place.inbox.drain(..).collect();
    let outputs = place.node.turn(world.now, [5; 32], inputs).unwrap();
    let mut opened = Vec::new();
    for output in outputs {
        match output {
            Output::Open(job) => opened.push(job.document()),
            Output::Send { link, frame, .. } => {
                let edge = world.links[&link];
                let frame = world.places[edge].node.verifier().frame(&frame).unwrap();
                let inbox = &mut world.places[edge].inbox;
                inbox.push_back(Input::Frame { link, frame });
            }
            _ => {}
        }
    }
    opened
}

/// The centre's program ends, and is started again on the same store.
fn restart(world: &mut World) {
    for link in std::mem::take(&mut world.links).into_keys() {
        world.places[1].inbox.push_back(Input::LinkDown { link });
    }
    let place = world.places.remove(0);
    let fresh = world.place(0, place.node.into_store());
    world.places.insert(0, fresh);
    world.places[0].inbox.push_back(Input::Wake);
}

/// What an edge has written comes to the centre, which ends as soon as it begins to open any of it.
fn end_while_opening(world: &mut World) -> Vec<DocumentId> {
    world.next += 1;
    let link = LinkId(world.next);
    world.links.insert(link, 1);
    let up = |peer: u8, side| Input::LinkUp {
        link,
        peer: key(peer).public(),
        side,
    };
    world.places[0].inbox.push_back(up(1, Side::Answered));
    world.places[1].inbox.push_back(up(0, Side::Dialled));
    for _ in 0..40 {
        world.now = world.now.plus_ms(TURN_MS);
        let opened = turn_without_opening(world);
        if !opened.is_empty() {
            restart(world);
            return opened;
        }
        world.turn(1);
    }
    panic!("nothing is opened");
}

/// An edge and the centre meet until the centre opens what has come.
pub(super) fn meet_until_opening(world: &mut World) {
    world.link_up(1);
    for _ in 0..40 {
        if world.places[0].node.is_opening() {
            return;
        }
        world.now = world.now.plus_ms(TURN_MS);
        world.places[0].inbox.push_back(Input::Wake);
        world.turn(1);
        world.turn(0);
    }
    panic!("nothing is opened");
}

fn opening(world: &World, document: DocumentId) -> Opening {
    let snapshot = world.places[0].node.snapshot().unwrap();
    views::opening_of(&snapshot, document).unwrap()
}

fn mark(world: &World, document: DocumentId) -> Option<u8> {
    let snapshot = world.places[0].node.snapshot().unwrap();
    let row: Option<TryingRow> = read_row(&snapshot, Table::Job, document.as_ref(), 0).unwrap();
    row.map(|row| row.tries)
}

/// Two cases of an edge's that the centre was opening when it ended.
fn two_suspects() -> (World, [DocumentId; 2]) {
    let mut world = World::new(&[&["site:bath"]]);
    let mut cases = [(); 2].map(|()| world.open_case(1, "site:bath"));
    let mut opened = end_while_opening(&mut world);
    opened.sort_unstable();
    cases.sort_unstable();
    assert_eq!(opened, cases, "both were to be opened");
    assert_eq!(cases.map(|case| mark(&world, case)), [Some(1), Some(1)]);
    (world, cases)
}

/// The program ends in opening this one, alone, as often as it takes.
fn end_again_and_again(world: &mut World, bad: DocumentId) {
    for tries in 1..TRIES_MAX {
        assert_eq!(
            opening(world, bad),
            Opening::Unopened,
            "not for {tries} times"
        );
        assert_eq!(turn_without_opening(world), [bad], "alone");
        restart(world);
    }
    assert_eq!(opening(world, bad), Opening::Aside);
}

/// Somebody pulled the plug: nothing is set aside for that.
#[test]
fn what_was_not_at_fault_is_opened_again_one_at_a_time() {
    let (mut world, cases) = two_suspects();
    end_again_and_again(&mut world, cases[0]);
    // The first has brought it down every time, as far as anybody can tell; the other goes on.
    world.run_for(SHORT_S);
    assert_eq!(opening(&world, cases[0]), Opening::Aside);
    assert_eq!(opening(&world, cases[1]), Opening::Opened);
    let (mut world, cases) = two_suspects();
    world.run();
    assert_eq!(
        cases.map(|case| opening(&world, case)),
        [Opening::Opened; 2]
    );
    assert_eq!(cases.map(|case| mark(&world, case)), [None, None]);
}

/// A mark that is found at the start is to be blamed on one document, not on one that somebody
/// happened to write in.
#[test]
fn nothing_is_opened_ahead_while_there_is_a_mark() {
    let (mut world, [bad, good]) = two_suspects();
    let ahead = |world: &World, case| {
        let snapshot = world.places[0].node.snapshot().unwrap();
        views::may_open_ahead(&snapshot, case).unwrap()
    };
    end_again_and_again(&mut world, bad);
    world.run_for(SHORT_S);
    assert_eq!(opening(&world, good), Opening::Opened);
    assert!(!ahead(&world, good), "the other is still marked");
    world.places[0].inbox.push_back(Input::TryAgain);
    world.run();
    assert!(ahead(&world, bad) && ahead(&world, good));
}

/// The program may have ended in making a compacted form, which nobody needs: the document is opened
/// without, and it is not tried again with each entry.
#[test]
fn no_form_is_made_of_a_document_in_which_the_program_ended() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    for _ in 0..8 {
        world.note(1, case, "at the edge");
    }
    assert_eq!(end_while_opening(&mut world), [case]);
    world.run();
    assert_eq!(opening(&world, case), Opening::Opened);
    let form = |world: &World| {
        let snapshot = world.places[0].node.snapshot().unwrap();
        let row: Option<CompactedRow> =
            read_row(&snapshot, Table::Compacted, case.as_ref(), 0).unwrap();
        row.map(|row| (row.changes, row.form.is_empty()))
    };
    assert_eq!(form(&world), Some((9, true)));
    world.places[0].opener = Opener::new(16);
    for _ in 0..7 {
        world.note(0, case, "at the centre");
    }
    assert_eq!(form(&world), Some((9, true)));
    world.note(0, case, "the eighth since");
    assert_eq!(form(&world), Some((17, false)));
}

#[test]
fn what_is_set_aside_stops_nothing_and_is_taken_up_again() {
    let (mut world, [bad, good]) = two_suspects();
    end_again_and_again(&mut world, bad);
    world.link_up(1);
    world.run_for(SHORT_S);
    let told = Notice::Unreadable {
        document: bad,
        reason: Reason::SetAside,
    };
    assert!(world.places[0].notices.contains(&told));
    assert_eq!(
        world.places[0].node.counters().get(&Reason::SetAside),
        Some(&1)
    );
    // Its entries are kept and go on coming; everything else goes on.
    for case in [bad, good] {
        world.note(1, case, "from the edge");
    }
    world.run_for(SHORT_S);
    world.assert_equal("site:bath");
    assert_eq!(opening(&world, bad), Opening::Aside);
    assert_eq!(opening(&world, good), Opening::Opened);
    let command = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    let refused = world.ask(0, Target::Document(bad), command);
    assert_eq!(refused, Err(NotDone::Reason(Reason::SetAside)));
    world.note(0, good, "at the centre");
    // An operator asks for it.
    world.places[0].inbox.push_back(Input::TryAgain);
    world.run();
    assert_eq!(
        (opening(&world, bad), mark(&world, bad)),
        (Opening::Opened, None)
    );
    world.note(0, bad, "at the centre");
}

/// Whoever was killed two hundred times while it opened a document needs no hand afterwards.
#[test]
fn what_was_set_aside_is_opened_again_by_itself() {
    let (mut world, [one, other]) = two_suspects();
    end_again_and_again(&mut world, one);
    end_again_and_again(&mut world, other);
    world.run_for(SHORT_S);
    assert_eq!(
        [one, other].map(|case| opening(&world, case)),
        [Opening::Aside; 2]
    );
    world.run();
    for case in [one, other] {
        assert_eq!(
            (opening(&world, case), mark(&world, case)),
            (Opening::Opened, None)
        );
        world.note(0, case, "at the centre");
    }
}

/// What does bring the program down does so three times more, later and later, and then no further.
#[test]
fn a_document_that_ends_the_program_waits_longer_each_time() {
    let (mut world, [bad, good]) = two_suspects();
    end_again_and_again(&mut world, bad);
    for (wait, tries) in WAITS_MS.into_iter().zip(TRIES_MAX..) {
        world.run_for(SHORT_S);
        let [bad_stands, good_stands] = [bad, good].map(|case| opening(&world, case));
        assert_eq!((bad_stands, good_stands), (Opening::Aside, Opening::Opened));
        assert_eq!(mark(&world, bad), Some(tries));
        let wakes = world.places[0].node.wake_at(world.now).unwrap();
        assert_eq!(wakes, world.now.plus_ms(wait - i64::from(SHORT_S) * 1_000));
        // Its time comes: it is opened alone, and the program ends.
        world.now = wakes;
        world.places[0].inbox.push_back(Input::Wake);
        assert_eq!(turn_without_opening(&mut world), [bad]);
        restart(&mut world);
    }
    world.run_for(SHORT_S);
    world.now = world.now.plus_ms(365 * 86_400_000);
    world.run_for(SHORT_S);
    assert_eq!(opening(&world, bad), Opening::Aside);
    world.places[0].inbox.push_back(Input::TryAgain);
    world.run_for(SHORT_S);
    assert_eq!(opening(&world, bad), Opening::Opened);
}

/// Another version of the program may open what an older one could not.
#[test]
fn another_version_takes_up_what_was_set_aside() {
    let (mut world, [bad, _]) = two_suspects();
    let row = TryingRow {
        tries: TRIES_MAX,
        program: "0.0.0-older".to_owned(),
    };
    let mut batch = Batch::new();
    batch.put(Table::Job, bad.0, 0, protocol::codec::encode(&row));
    world.places[0].node.store.commit(batch).unwrap();
    restart(&mut world);
    world.run();
    assert_eq!(
        (opening(&world, bad), mark(&world, bad)),
        (Opening::Opened, None)
    );
}

/// A person's command on a document that was opened before costs one commit.
#[test]
fn a_command_on_a_document_opened_before_makes_no_mark() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    for _ in 0..3 {
        let before = world.places[1].node.commits();
        world.note(1, case, "one more");
        assert_eq!(world.places[1].node.commits(), before + 1);
    }
    world.connect(1);
    // What came from the edge was opened once, so the centre's own is no different.
    let before = world.places[0].node.commits();
    world.cut(1);
    world.note(0, case, "at the centre");
    assert_eq!(world.places[0].node.commits(), before + 1);
}

/// Another version of the code that makes summaries makes all of them anew.
#[test]
fn summaries_of_another_version_are_made_anew() {
    let mut world = World::new(&[&["site:bath"]]);
    let cases = [(); 5].map(|()| world.open_case(1, "site:bath"));
    world.connect(1);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let meta: MetaRow = read_row(&snapshot, Table::Meta, b"node", 0)
        .unwrap()
        .unwrap();
    let meta = MetaRow {
        summaries: Some(1),
        ..meta
    };
    let mut batch = Batch::new();
    batch.put(Table::Meta, b"node", 0, protocol::codec::encode(&meta));
    world.places[0].node.store.commit(batch).unwrap();
    restart(&mut world);
    assert_eq!(world.places[0].node.stale.len(), cases.len());
    world.run();
    assert!(world.places[0].jobs >= cases.len() as u64 && world.places[0].node.stale.is_empty());
    restart(&mut world);
    assert!(world.places[0].node.stale.is_empty(), "once");
}

/// Commands that came while suspects were opened waited, and one that came just then was begun
/// twice.
#[test]
fn commands_wait_for_the_suspects_and_are_carried_out_once() {
    let (mut world, [one, other]) = two_suspects();
    let command = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    assert_eq!(turn_without_opening(&mut world), [one]);
    restart(&mut world);
    // Nothing is opened for it before the other suspect is through.
    let saved = world.ask(0, Target::Document(other), command).unwrap();
    let again = world.ask(0, Target::Document(other), command).unwrap();
    assert!(saved.change.is_some() && again.change.is_some());
    world.run();
    let snapshot = world.places[0].node.snapshot().unwrap();
    let view = world.places[0].opener.view(&snapshot, other);
    assert_eq!(view.unwrap().state.journal().len(), 3);
}

/// What the version before could open may bring this one down, and no mark was made of it: the
/// program ended in it at each start, for ever.
#[test]
fn what_another_version_of_the_program_opened_is_opened_under_a_mark() {
    let mut world = World::new(&[&["site:bath"]]);
    let mut cases = [(); 2].map(|()| world.open_case(1, "site:bath"));
    cases.sort_unstable();
    world.connect(1);
    assert_eq!(
        cases.map(|case| (opening(&world, case), mark(&world, case))),
        [(Opening::Opened, None); 2]
    );
    let mut batch = Batch::new();
    let snapshot = world.places[0].node.snapshot().unwrap();
    for case in cases {
        let row: Option<SummaryRow> =
            read_row(&snapshot, Table::Summary, case.as_ref(), 0).unwrap();
        let row = SummaryRow {
            program: "0.0.0".to_owned(),
            ..row.unwrap()
        };
        batch.put(Table::Summary, case.0, 0, protocol::codec::encode(&row));
    }
    drop(snapshot);
    world.places[0].node.store.commit(batch).unwrap();
    restart(&mut world);
    assert_eq!(
        cases.map(|case| opening(&world, case)),
        [Opening::Unopened; 2]
    );
    // Nothing is stale for that; somebody wants to see them.
    let wants = cases.map(Input::Want);
    world.places[0].inbox.extend(wants);
    let mut opened = turn_without_opening(&mut world);
    opened.sort_unstable();
    assert_eq!(opened, cases);
    assert_eq!(cases.map(|case| mark(&world, case)), [Some(1), Some(1)]);
}

/// A stop that was asked for is no end of the program in an opening: four of them in a row would have
/// set an innocent document aside.
#[test]
fn a_stop_leaves_no_mark() {
    let mut world = World::new(&[&["site:bath"]]);
    let cases = [(); 12].map(|()| world.open_case(1, "site:bath"));
    meet_until_opening(&mut world);
    let marks = |world: &World| cases.map(|case| mark(world, case)).iter().flatten().count();
    let begun = world.places[0].jobs;
    assert_eq!(
        (marks(&world), begun),
        (12, 8),
        "what is next is marked too"
    );
    // The stop is heard while all eight are under way: their marks stay, those of what is next go.
    let later = std::mem::take(&mut world.places[0].inbox);
    world.places[0].inbox.push_back(Input::Stop);
    world.turn(0);
    assert!(world.places[0].node.is_opening());
    assert_eq!((marks(&world), world.places[0].jobs), (8, begun));
    world.places[0].inbox.extend(later);
    while world.turn(0) {}
    assert!(!world.places[0].node.is_opening());
    assert_eq!((marks(&world), world.places[0].jobs), (0, begun));
    let opened = |world: &World| {
        let all = cases.map(|case| opening(world, case));
        all.iter()
            .filter(|stands| **stands == Opening::Opened)
            .count()
    };
    assert_eq!(opened(&world), 8, "what was made is kept");
    restart(&mut world);
    world.run();
    assert_eq!((opened(&world), marks(&world)), (12, 0));
}

/// What the program did end in is not forgiven by a stop, and whoever waits behind it is answered.
#[test]
fn a_stop_leaves_the_marks_of_suspects_and_answers_who_waits() {
    let (mut world, [one, other]) = two_suspects();
    world.places[0].inbox.push_front(Input::Stop);
    while world.turn(0) {}
    let marks = |world: &World| [one, other].map(|case| mark(world, case));
    assert_eq!((marks(&world), world.places[0].jobs), ([Some(1); 2], 0));
    let command = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    assert!(world.ask(0, Target::Document(other), command).is_ok());
    assert_eq!(marks(&world), [None; 2]);
}
