//! Regressions about bounds: what one peer, or one damaged row, may cost.

use names::{
    Reason, ScopeId,
    limits::{LIST_ROWS_MAX, LIVE_FRAME_BYTES},
};
use protocol::message::{Frame, StatementIds};
use store::{Batch, Store as _, Table};

use super::*;
use crate::{
    link::Talk,
    rows::{MemberRow, SummaryRow, scope_name},
    summaries::FILL_REST_MS,
};

fn bath() -> ScopeId {
    "site:bath".parse().unwrap()
}

/// Spoils a row as a flipped bit does.
fn spoil(place: &mut Place, table: Table, document: DocumentId, position: u64) {
    let mut batch = Batch::new();
    batch.put(table, document.0, position, vec![0xFF; 3]);
    place.node.store.commit(batch).unwrap();
}

/// An edge named more documents in one page than its reader takes: the conversation ended as
/// malformed, and again after each reconnect.
#[test]
fn a_page_of_differences_is_never_too_long_to_be_read() {
    let mut world = World::new(&[&["site:bath"]]);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let due = (0..LIST_ROWS_MAX as u64 + 5).map(|number| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        DocumentId(id)
    });
    let mut talk = Talk {
        differ_due: Some(due.collect()),
        ..Talk::default()
    };
    let mut pages = Vec::new();
    while let Some(Frame::Differ(page)) =
        Node::<MemoryStore>::differ_page(&snapshot, &bath(), &mut talk).unwrap()
    {
        pages.push((page.documents.len(), page.last));
        let bytes = Frame::Differ(page).encode();
        world.places[0].node.verifier().frame(&bytes).unwrap();
    }
    assert_eq!(pages, [(LIST_ROWS_MAX, false), (5, true)]);
    world.now = world.now.plus_ms(1);
}

/// Each answer to the ids of a directory may hold all of it: a thousand empty questions of a few
/// bytes took the centre's memory.
#[test]
fn the_directory_is_told_once_for_each_conversation() {
    let mut world = World::new(&[&["site:bath"]]);
    let node = &mut world.places[0].node;
    let link = LinkId(77);
    let up = Input::LinkUp {
        link,
        peer: key(1).public(),
        side: Side::Answered,
    };
    let outputs = node.turn(world.now, [0; 32], vec![up]).unwrap();
    let Some(Output::Send { frame, .. }) = outputs.first() else {
        panic!("no greeting");
    };
    let Ok(Some(Frame::Hello(mut hello))) = Frame::decode(frame) else {
        panic!("no greeting");
    };
    hello.device = key(1).device_id();
    hello.directory = protocol::digest::Digest([1; 32]);
    let ids = || {
        Frame::StatementIds(StatementIds {
            ids: Vec::new(),
            last: true,
        })
    };
    let frames = [Frame::Hello(hello), ids(), ids(), ids()];
    let inputs = frames.iter().map(|frame| Input::Frame {
        link,
        frame: node.verifier().frame(&frame.encode()).unwrap(),
    });
    let inputs = inputs.collect();
    let outputs = node.turn(world.now, [0; 32], inputs).unwrap();
    let closed = outputs.iter().any(
        |output| matches!(output, Output::Close { reason, .. } if *reason == Reason::OutOfTurn),
    );
    assert!(closed, "a second question is out of turn");
}

/// One row that failed its seal ended the turn, and so the node, at every start.
#[test]
fn a_damaged_row_costs_its_document_and_nothing_else() {
    let tables = [
        Table::Document,
        Table::Actor,
        Table::Bundle,
        Table::Placement,
        Table::Summary,
    ];
    for table in tables {
        let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
        let bad = world.open_case(1, "site:bath");
        world.note(1, bad, "first");
        world.connect(1);
        spoil(&mut world.places[0], table, bad, 0);
        let good = world.open_case(1, "site:bath");
        world.note(1, bad, "second");
        world.note(1, good, "another");
        world.run();
        world.connect(2);
        world.run();
        let held = |world: &World, index: usize| {
            let snapshot = world.places[index].node.snapshot().unwrap();
            views::document_of(&snapshot, good).unwrap().is_some()
        };
        assert!(held(&world, 0) && held(&world, 2), "{table:?}");
        // A command on it is answered, and so is one on another document.
        let note = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
        let _ = world.ask(0, Target::Document(bad), note);
        world.ask(0, Target::Document(good), note).unwrap();
        let listed = views::documents(&world.places[0].node.snapshot().unwrap(), &bath());
        assert!(listed.unwrap().iter().any(|listed| listed.document == good));
        // And it opens again.
        let store = world.places[0].node.store.clone();
        world.cut(1);
        world.cut(2);
        world.places[0] = world.place(0, store);
        world.connect(1);
        world.note(1, good, "after the restart");
        world.run();
    }
}

/// Members and logs are read in ranges, which a damaged row made fail as a whole.
#[test]
fn a_damaged_member_or_log_row_is_passed_over() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let cases: Vec<_> = (0..3).map(|_| world.open_case(1, "site:bath")).collect();
    world.connect(1);
    let (members, next) =
        views::members_from(&world.places[0].node.snapshot().unwrap(), &bath(), 0, 2).unwrap();
    assert_eq!((members.len(), next), (2, Some(2)));
    // Lists hide nobody for one that is missing, nor for one that is damaged.
    let near = |world: &World| {
        let snapshot = world.places[0].node.snapshot().unwrap();
        views::documents_near(&snapshot, [&bath()].into_iter()).unwrap()
    };
    let snapshot = world.places[0].node.snapshot().unwrap();
    let last = snapshot
        .get(Table::Member, &scope_name(&bath()), 2)
        .unwrap();
    let mut batch = Batch::new();
    batch.delete(Table::Member, scope_name(&bath()), 2);
    world.places[0].node.store.commit(batch).unwrap();
    assert_eq!(near(&world), cases.iter().copied().collect());
    let mut batch = Batch::new();
    batch.put(Table::Member, scope_name(&bath()), 2, last.unwrap());
    batch.put(Table::Member, scope_name(&bath()), 1, vec![0xFF]);
    world.places[0].node.store.commit(batch).unwrap();
    let snapshot = world.places[0].node.snapshot().unwrap();
    let members: Vec<MemberRow> = views::members_from(&snapshot, &bath(), 0, 10).unwrap().0;
    assert_eq!(members.len(), cases.len() - 1);
    assert_eq!(near(&world), cases.iter().copied().collect());
    spoil(&mut world.places[0], Table::Document, cases[0], 0);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let scopes = [bath()].into();
    let listed = |case: &DocumentId| views::stands_in(&snapshot, *case, &scopes);
    let listed: Vec<_> = cases.iter().map(listed).collect();
    assert_eq!(listed, [Ok(false), Ok(true), Ok(true)]);
    world.connect(2);
    world.open_case(1, "site:bath");
    world.run();
}

/// A week that one edge sends was passed on to the others by the live lane, without credit and
/// ahead of what people were typing.
#[test]
fn a_backlog_is_passed_on_as_a_fill() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    for _ in 0..40 {
        world.note(1, case, &"n".repeat(30_000));
    }
    world.connect(2);
    world.live = 0;
    world.connect(1);
    world.assert_equal("site:bath");
    assert!(
        world.live <= LIVE_FRAME_BYTES as u64,
        "{} bytes went live",
        world.live
    );
    world.note(1, case, "typed now");
    world.run();
    world.assert_equal("site:bath");
    assert!(world.live > 0);
}

/// What somebody writes now goes live, however long it is and however much older is folded with it.
#[test]
fn a_long_note_is_no_backlog() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.connect(2);
    for number in 0..20 {
        let before = world.live;
        let text = "n".repeat(LIVE_FRAME_BYTES / 2 + number * 1_000);
        world.note(1, case, &text);
        world.run();
        world.assert_equal("site:bath");
        let live = world.live - before;
        assert!(
            live > 2 * text.len() as u64,
            "note {number}: {live} bytes, there and on"
        );
    }
}

/// The first frame of a fill waited until eight of them were gathered.
#[test]
fn a_fill_is_on_its_way_while_it_is_gathered() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    for _ in 0..40 {
        world.note(1, case, &"n".repeat(30_000));
    }
    world.connect(1);
    world.assert_equal("site:bath");
    assert_eq!(world.fills, 1);
}

/// What came in a fill is opened a moment after it was proved to be all, and not while the peer is
/// writing down that it has arrived.
#[test]
fn what_came_in_a_fill_is_opened_a_moment_after_its_proof() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.link_up(1);
    while (0..2).any(|index| world.turn(index)) {}
    world.assert_equal("site:bath");
    let centre = |world: &World| (world.places[0].jobs, world.places[0].node.is_opening());
    assert_eq!(centre(&world), (0, false), "it rests");
    for (ms, jobs) in [(FILL_REST_MS - 1, 0), (1, 1)] {
        world.now = world.now.plus_ms(ms);
        world.places[0].inbox.push_back(Input::Wake);
        while world.turn(0) {}
        assert_eq!(world.places[0].jobs, jobs);
    }
    let snapshot = world.places[0].node.snapshot().unwrap();
    let summary = snapshot.get(Table::Summary, case.as_ref(), 0).unwrap();
    assert!(summary.is_some());
}

/// A summary made before a command was kept after it, and the mark that it was old was gone.
#[test]
fn an_older_summary_never_follows_a_newer_one() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.connect(2);
    // Something of edge 1's arrives at edge 2, whose summary job is held back.
    world.note(1, case, "from the other edge");
    world.run();
    let place = &mut world.places[2];
    place.node.stale.insert(case);
    let outputs = place
        .node
        .turn(world.now, [0; 32], vec![Input::Wake])
        .unwrap();
    let summarise = outputs.into_iter().find_map(|output| match output {
        Output::Open(job) => Some(job),
        _ => None,
    });
    let summarise = summarise.expect("a summary is asked for");
    let snapshot = place.node.snapshot().unwrap();
    let old = place.opener.run(&snapshot, &summarise);
    let command: Command = serde_json::from_str(
        r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"mine"}"#,
    )
    .unwrap();
    let by = By {
        worker: "w-2".parse().unwrap(),
        site: "bath".parse().unwrap(),
        roles: vec!["recovery-worker".parse().unwrap()],
    };
    let request = Box::new(Request {
        target: Target::Document(case),
        entry: EntryId([0xAB; 16]),
        by,
        command,
    });
    let ticket = Ticket(9_999);
    let asked = vec![Input::Command { ticket, request }];
    let outputs = place.node.turn(world.now, [0; 32], asked).unwrap();
    let perform = outputs.into_iter().find_map(|output| match output {
        Output::Open(job) => Some(job),
        _ => None,
    });
    let perform = perform.expect("the command is carried out");
    let new = place.opener.run(&snapshot, &perform);
    let ended = |job: &crate::Job, opened| Input::Opened {
        job: job.id(),
        opened,
    };
    let both = vec![ended(&summarise, old), ended(&perform, new)];
    place.node.turn(world.now, [0; 32], both).unwrap();
    let snapshot = place.node.snapshot().unwrap();
    let row: Option<SummaryRow> =
        crate::draft::read_row(&snapshot, Table::Summary, case.as_ref(), 0).unwrap();
    let listed = views::document_of(&snapshot, case).unwrap().unwrap();
    assert_eq!((row.unwrap().arrivals, listed.stale), (3, false));
}

/// A restored centre stands behind what it had acknowledged: an edge that could not read the header
/// of one of those documents died at every greeting.
#[test]
fn a_damaged_header_does_not_meet_a_restored_centre_badly() {
    let mut world = World::new(&[&["site:bath"]]);
    let cases: Vec<_> = (0..3).map(|_| world.open_case(1, "site:bath")).collect();
    world.connect(1);
    let copy = world.places[0].node.store.clone();
    for case in &cases {
        world.note(1, *case, "after the copy");
    }
    world.run();
    world.cut(1);
    spoil(&mut world.places[1], Table::Document, cases[0], 0);
    world.places[0] = world.place(0, copy);
    world.connect(1);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let listed = views::documents(&snapshot, &bath()).unwrap();
    assert_eq!(listed.len(), cases.len());
    world.open_case(1, "site:bath");
}
