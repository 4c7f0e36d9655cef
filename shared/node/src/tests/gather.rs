//! What a frame says of itself is what is in it.

use names::limits::FILL_FRAME_BYTES;
use protocol::log::Position;
use store::Table;

use super::*;
use crate::{draft::read_row, gather::Gathering, lines::read_line, rows::DocumentRow};

fn bath() -> ScopeId {
    "site:bath".parse().unwrap()
}

fn header(world: &World, case: DocumentId) -> DocumentRow {
    let snapshot = world.places[1].node.snapshot().unwrap();
    let row = read_row(&snapshot, Table::Document, case.as_ref(), 0);
    row.unwrap().unwrap()
}

/// A document that fits as its changes were written and not as its bundles are kept: the frame went
/// without the new entry, which was then taken for acknowledged.
#[test]
fn a_frame_names_no_line_further_than_it_goes() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    // What a note costs beside its text is known after the first.
    while header(&world, case).bytes + 2_000 < FILL_FRAME_BYTES as u64 {
        world.note(1, case, &"seen".repeat(200));
    }
    let snapshot = world.places[1].node.snapshot().unwrap();
    let rows = snapshot.range(Table::Bundle, case.as_ref(), 0, 1_000);
    let kept: usize = rows.unwrap().iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(kept > FILL_FRAME_BYTES, "{kept} bytes are kept");

    let head = world.places[1].node.log_heads[&bath()].positions().next();
    let head = head.unwrap();
    let before = Position {
        writer: head.writer,
        number: head.number - 1,
    };
    let audience = world.places[1].node.audience(true);
    let mut frame = Gathering::new(&bath(), audience);
    let them = names::Incarnation([1; 16]);
    let reached = frame.take_log(&snapshot, (before, head.number), them, &mut BTreeMap::new());
    assert_eq!(reached, Ok(head.number));
    frame.whole_documents(&snapshot).unwrap();
    let (batch, lines) = frame.into_batch(1, before, head.number);
    let line = read_line(&snapshot, case, 0).unwrap().unwrap();
    let newest = batch.bundles.iter().any(|bundle| {
        let chunks = crate::bundle::chunks(bundle).unwrap();
        chunks.iter().any(|(hash, _)| *hash == line.hash)
    });
    assert!(newest, "the new entry is in it");
    assert_eq!(lines.get(&(case, 0)), Some(&line.seq));
}

/// A line with a gap is refused as a whole: what stands before the gap was never taken.
#[test]
fn what_stands_before_a_damaged_bundle_still_arrives() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.note(1, case, "before");
    world.note(1, case, "the damaged one");
    world.note(1, case, "after");
    let other = world.open_case(1, "site:bath");
    let mut batch = store::Batch::new();
    batch.put(Table::Bundle, case.0, 2, vec![0xFF; 3]);
    store::Store::commit(&mut world.places[1].node.store, batch).unwrap();
    world.connect(1);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let view = world.places[0].opener.view(&snapshot, case).unwrap();
    let text = serde_json::to_string(&view.state).unwrap();
    assert!(text.contains("\"before\""), "{text}");
    assert!(views::document_of(&snapshot, other).unwrap().is_some());
}

/// One bundle that did not open made the whole case unreadable, its alerts with it.
#[test]
fn a_damaged_bundle_costs_itself_and_what_builds_on_it() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.note(1, case, "before");
    world.note(1, case, "the damaged one");
    let mut batch = store::Batch::new();
    batch.put(Table::Bundle, case.0, 2, vec![0xFF; 3]);
    store::Store::commit(&mut world.places[1].node.store, batch).unwrap();
    world.places[1].opener.forget(case);
    let snapshot = world.places[1].node.snapshot().unwrap();
    let view = world.places[1].opener.view(&snapshot, case).unwrap();
    let text = serde_json::to_string(&view.state).unwrap();
    assert!(text.contains("\"before\""), "{text}");
    assert_eq!(view.flaws.len(), 1, "and it says that something is missing");
    let command = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    let refused = world.ask(1, Target::Document(case), command);
    assert_eq!(refused, Err(NotDone::Reason(Reason::CannotOpen)));
}

/// One turn of the centre's, of which what it fills in at the second edge stays under way.
fn turn_without_fill(world: &mut World, fill: &mut Vec<Input>) {
    let place = &mut world.places[0];
    let inputs: Vec<Input> = place.inbox.drain(..).collect();
    let outputs = place.node.turn(world.now, [5; 32], inputs).unwrap();
    for output in outputs {
        match output {
            Output::Send { link, lane, frame } => {
                let edge = world.links[&link];
                let frame = world.places[edge].node.verifier().frame(&frame).unwrap();
                let input = Input::Frame { link, frame };
                match lane {
                    Lane::Fill if edge == 2 => fill.push(input),
                    _ => world.places[edge].inbox.push_back(input),
                }
            }
            Output::Open(job) => {
                let place = &mut world.places[0];
                let opened = place.opener.run(&place.node.snapshot().unwrap(), &job);
                let job = job.id();
                place.inbox.push_back(Input::Opened { job, opened });
            }
            _ => {}
        }
    }
}

/// A week that one edge sends is passed on to another as a fill, and what is typed then goes live,
/// comes first, and cannot be taken. It must not wait for the proof that follows on a quiet time.
#[test]
fn what_overtakes_a_backlog_is_there_soon_after_it() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    for _ in 0..40 {
        world.note(1, case, &"n".repeat(30_000));
    }
    world.connect(2);
    world.link_up(1);
    let mut fill = Vec::new();
    let settle = |world: &mut World, fill: &mut Vec<Input>| {
        for _ in 0..20 {
            world.turn(1);
            turn_without_fill(world, fill);
            world.turn(2);
        }
    };
    settle(&mut world, &mut fill);
    assert!(!fill.is_empty());
    world.places[1].inbox.push_back(Input::Wake);
    let note =
        r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"typed now"}"#;
    world.next += 1;
    let ticket = Ticket(world.next);
    let request = Box::new(Request {
        target: Target::Document(case),
        entry: EntryId([0x77; 16]),
        by: By {
            worker: "w-1".parse().unwrap(),
            site: "bath".parse().unwrap(),
            roles: vec!["recovery-worker".parse().unwrap()],
        },
        command: serde_json::from_str(note).unwrap(),
    });
    let asked = Input::Command { ticket, request };
    world.places[1].inbox.push_back(asked);
    settle(&mut world, &mut fill);
    assert!(
        world.places[2]
            .node
            .counters()
            .keys()
            .any(|reason| crate::load::may_come(*reason))
    );
    world.places[2].inbox.extend(fill);
    world.run_for(3);
    world.assert_equal("site:bath");
}

/// Two sites of one edge: one has worked offline for a month, the other wrote a line.
#[test]
fn a_short_backlog_does_not_wait_behind_a_long_one() {
    let mut world = World::new(&[&["site:bath", "site:devizes"]]);
    let long: Vec<DocumentId> = (0..12).map(|_| world.open_case(1, "site:bath")).collect();
    for case in &long {
        (0..30).for_each(|_| {
            world.note(1, *case, &"seen".repeat(2_000));
        });
    }
    let short = world.open_case(1, "site:devizes");
    let is_there = |world: &World, case: &DocumentId| {
        let snapshot = world.places[0].node.snapshot().unwrap();
        let row = read_row(&snapshot, Table::Document, case.as_ref(), 0).unwrap();
        row.is_some_and(|row: DocumentRow| row.changes > 0)
    };
    world.link_up(1);
    for turn in 0.. {
        world.turn(turn % 2);
        if is_there(&world, &short) {
            break;
        }
    }
    let there = long.iter().filter(|case| is_there(&world, case)).count();
    assert!(there <= 2, "{there} of the long one came first");
    world.run();
    world.assert_equal("site:bath");
    world.assert_equal("site:devizes");
}
