//! What a device with a key of its own could send that an honest one never would: forged
//! signatures by every way in, lines that do not follow, and what stands where its author may not
//! write. `cargo mutants-core` takes the checks out one by one, and these tests must notice.

mod craft;
mod hostile;

use names::{ChangeHash, TransferReason};
use protocol::{
    bundle::Bundle,
    codec,
    log::Cursor,
    message::{Frame, List, StatementBatch, Table as ScopeTable, TableRow, Wanted},
    placement::{Placement, SignedPlacement},
};
use store::Table;

use super::{standing::revocation, *};
use crate::{Piece, Ran};
use craft::{Crafted, batch, spoilt};

const BATH: &str = "site:bath";

/// A case of edge 2's at Bath in which edge 1 has not written; all are connected.
fn world() -> (World, DocumentId) {
    let mut world = World::new(&[&[BATH], &[BATH], &["site:devizes"]]);
    let case = world.open_case(2, BATH);
    for edge in 1..=3 {
        world.connect(edge);
    }
    (world, case)
}

/// Without this the tests below would show nothing: unspoilt, the same bytes come in.
#[test]
fn what_is_crafted_honestly_comes_in() {
    let (mut world, case) = world();
    let crafted = Crafted::new(case);
    let bundles = vec![crafted.bundle(), crafted.next("y").bundle()];
    world.say_as(1, &Frame::Live(batch(BATH, Vec::new(), bundles)));
    for index in [0, 2] {
        assert!(world.holds(index, case, crafted.next("y").hash()));
    }
    world.assert_equal(BATH);
}

/// A forged bundle is refused for its signature, and no change of it is kept.
#[track_caller]
fn assert_refused(world: &World, case: DocumentId, hash: ChangeHash) {
    assert_ne!(world.refused(Reason::BadSignature), 0);
    assert!(!world.holds(0, case, hash), "it was taken");
}

#[test]
fn a_forged_signature_does_not_come_in_live() {
    let (mut world, case) = world();
    let crafted = Crafted::new(case);
    let forged = batch(BATH, Vec::new(), vec![crafted.forged()]);
    world.say_as(1, &Frame::Live(forged));
    assert_refused(&world, case, crafted.hash());
}

#[test]
fn a_forged_signature_does_not_come_in_a_fill() {
    let (mut world, case) = world();
    let crafted = Crafted::new(case);
    let forged = batch(BATH, Vec::new(), vec![crafted.forged()]);
    world.say_as(1, &Frame::Fill(forged));
    assert_refused(&world, case, crafted.hash());
}

/// In a fill signatures are checked together: a wrong one among good ones comes in no more than
/// alone, and takes none of them with it.
#[test]
fn one_forged_signature_among_many_does_not_come_in() {
    let (mut world, case) = world();
    let first = Crafted::new(case);
    let (second, third) = (first.next("y"), first.next("y").next("z"));
    let forged = third.next("forged");
    let mut bundles: Vec<Bundle> = [&first, &second, &third].map(Crafted::bundle).into();
    bundles.push(forged.forged());
    world.say_as(1, &Frame::Fill(batch(BATH, Vec::new(), bundles)));
    assert_refused(&world, case, forged.hash());
    assert!(world.holds(0, case, third.hash()), "good ones were refused");
}

/// The centre came back from an old copy, and asks exactly for what an edge has forged meanwhile.
#[test]
fn a_forged_signature_does_not_come_in_a_repair() {
    let (mut world, case) = world();
    let copy = world.places[0].node.store.clone();
    world.note(1, case, "after the copy");
    world.run();
    (1..=3).for_each(|edge| world.cut(edge));
    world.places[0] = world.place(0, copy);
    let (position, bundle) = world.last_bundle(2, case);
    let chunks = crate::bundle::chunks(&bundle).unwrap();
    world.swap_bundle(2, case, (position, spoilt(bundle)));
    world.connect(2);
    let repaired = |notice: &Notice| matches!(notice, Notice::Differing { .. });
    assert!(world.places[0].notices.iter().any(repaired), "no repair");
    let (hash, _) = chunks.last().unwrap();
    assert_refused(&world, case, *hash);
}

#[test]
fn a_forged_signature_does_not_come_out_of_a_backup() {
    let (world, case) = world();
    let verifier = world.places[0].node.verifier();
    let crafted = Crafted::new(case);
    assert!(verifier.piece(Piece::Bundle(crafted.bundle())).is_ok());
    let refused = verifier.piece(Piece::Bundle(crafted.forged())).map(drop);
    assert_eq!(refused, Err(Reason::BadSignature));
}

#[test]
fn a_forged_signature_does_not_come_in_with_what_is_handed_in() {
    let (mut world, case) = world();
    let crafted = Crafted::new(case);
    let forged = batch(BATH, Vec::new(), vec![crafted.forged()]);
    let part = Frame::Fill(forged).encode();
    assert_eq!(world.hand_in(1, part), Ok(Ran::default()));
    let ran = world.let_in(1).pop().unwrap().unwrap();
    assert_eq!(ran.refused, [(Reason::BadSignature, 1)].into());
    assert_refused(&world, case, crafted.hash());
}

/// What got into the file by another way than the door.
#[test]
fn a_forged_signature_is_found_when_a_store_is_checked() {
    let (mut world, case) = world();
    let (position, bundle) = world.last_bundle(2, case);
    world.swap_bundle(2, case, (position, spoilt(bundle)));
    let node = &world.places[2].node;
    let found = crate::check(&node.snapshot().unwrap(), &node.verifier(), |_, _| {}).unwrap();
    assert_eq!(found.refused, [(case, Reason::BadSignature)]);
}

/// A placement by edge 1, which was never connected, with a signature that is none; and the case.
fn forged_placement(world: &mut World) -> (DocumentId, SignedPlacement) {
    world.cut(1);
    let case = world.open_case(1, BATH);
    let snapshot = world.places[1].node.snapshot().unwrap();
    let kept = crate::draft::read_row(&snapshot, Table::Placement, case.as_ref(), 0);
    let mut kept: SignedPlacement = kept.unwrap().unwrap();
    kept.signature.0[5] ^= 1;
    (case, kept)
}

#[track_caller]
fn assert_not_placed(world: &World, case: DocumentId) {
    assert_ne!(world.refused(Reason::BadSignature), 0);
    let snapshot = world.places[0].node.snapshot().unwrap();
    assert_eq!(views::scopes_of(&snapshot, case).unwrap(), []);
}

#[test]
fn a_forged_placement_does_not_come_in_live() {
    let (mut world, _) = world();
    let (case, forged) = forged_placement(&mut world);
    world.say_as(2, &Frame::Live(batch(BATH, vec![forged], Vec::new())));
    assert_not_placed(&world, case);
}

#[test]
fn a_forged_placement_does_not_come_in_a_fill() {
    let (mut world, _) = world();
    let (case, forged) = forged_placement(&mut world);
    world.say_as(2, &Frame::Fill(batch(BATH, vec![forged], Vec::new())));
    assert_not_placed(&world, case);
}

#[test]
fn a_forged_placement_does_not_come_out_of_a_backup() {
    let (mut world, _) = world();
    let (_, forged) = forged_placement(&mut world);
    let verifier = world.places[0].node.verifier();
    let refused = verifier.piece(Piece::Placement(forged)).map(drop);
    assert_eq!(refused, Err(Reason::BadSignature));
}

#[test]
fn a_forged_placement_does_not_come_in_with_what_is_handed_in() {
    let (mut world, _) = world();
    let (case, forged) = forged_placement(&mut world);
    let part = Frame::Fill(batch(BATH, vec![forged], Vec::new())).encode();
    assert_eq!(world.hand_in(1, part), Ok(Ran::default()));
    let ran = world.let_in(1).pop().unwrap().unwrap();
    assert_eq!(ran.refused, [(Reason::BadSignature, 1)].into());
    assert_not_placed(&world, case);
}

/// A revocation of edge 2 that edge 1 has signed, and not the authority.
fn forged_statement() -> SignedStatement {
    let issue = Issue {
        authority: names::Incarnation([9; 16]),
        number: 50,
        at: Moment(50),
        statement: revocation(2),
    };
    SignedStatement::sign(&key(1), &TENANT, &issue).unwrap()
}

#[test]
fn a_forged_statement_does_not_come_in_from_a_peer() {
    let (mut world, _) = world();
    let statements = StatementBatch {
        statements: vec![forged_statement()],
        last: true,
    };
    world.say_as(1, &Frame::Statements(statements));
    assert_ne!(world.refused(Reason::BadSignature), 0);
    let directory = world.places[0].node.directory();
    assert!(!directory.is_revoked(&key(2).device_id()));
}

/// What comes by the API, and out of a backup, is asked for here.
#[test]
fn a_forged_statement_is_stated_by_nobody() {
    let (world, _) = world();
    let verifier = world.places[0].node.verifier();
    let refused = verifier.statement(forged_statement()).map(drop);
    assert_eq!(refused, Err(Reason::BadSignature));
}

/// What an enrolment was answered, by whoever answered.
#[test]
fn a_forged_statement_does_not_come_in_at_an_opening() {
    let (mut world, _) = world();
    world.statements.push(forged_statement());
    let place = world.place(4, MemoryStore::new());
    let directory = place.node.directory();
    assert!(!directory.is_revoked(&key(2).device_id()));
    assert_eq!(directory.count() + 1, world.statements.len() as u64);
}

/// Edge 3 is of another site. What it writes into a case of Bath's comes in by no scope.
#[test]
fn nobody_writes_where_he_may_not() {
    let (mut world, case) = world();
    let crafted = Crafted {
        author: 3,
        signer: 3,
        ..Crafted::new(case)
    };
    for (scope, reason) in [
        (BATH, Reason::NotFound),
        ("site:devizes", Reason::NotPlaced),
    ] {
        let bundles = vec![crafted.bundle()];
        world.say_as(3, &Frame::Live(batch(scope, Vec::new(), bundles)));
        assert_ne!(world.refused(reason), 0, "{scope}");
        assert!(!world.holds(0, case, crafted.hash()), "{scope}");
    }
}

/// What the centre answers to a frame of edge 3's, in some turns.
fn answered(world: &mut World, frame: &Frame) -> Vec<Frame> {
    let link = *world.links.iter().find(|(_, end)| **end == 3).unwrap().0;
    let frame = world.places[0].node.verifier().frame(&frame.encode());
    let frame = frame.unwrap();
    let mut said = Vec::new();
    for input in [Input::Frame { link, frame }, Input::Wake, Input::Wake] {
        world.now = world.now.plus_ms(1_000);
        let node = &mut world.places[0].node;
        for output in node.turn(world.now, [0; 32], vec![input]).unwrap() {
            if let Output::Send { frame, .. } = output {
                said.extend(Frame::decode(&frame).unwrap());
            }
        }
    }
    said
}

/// Edge 3 may read nothing of Bath's. Whatever it asks, it hears the same as of a scope that does not
/// exist: nothing.
#[test]
fn nobody_is_told_what_he_may_not_read() {
    let asked = |scope: &str| {
        let scope: ScopeId = scope.parse().unwrap();
        // It cannot know how far the rounds have got, and tries.
        let rows = (0..16).map(|round| TableRow {
            scope: scope.clone(),
            digest: protocol::Digest([7; 32]),
            count: 0,
            mine: Cursor::new(),
            yours: Cursor::new(),
            round: 8 * round,
        });
        let tables = rows.map(|row| Frame::Table(ScopeTable { rows: vec![row] }));
        let mut frames: Vec<Frame> = tables.collect();
        let list = List {
            scope: scope.clone(),
            round: 1,
            rows: Vec::new(),
            last: true,
        };
        let wanted = Wanted {
            scope,
            round: 1,
            cells: 0,
        };
        frames.extend([Frame::List(list), Frame::Wanted(wanted)]);
        let (mut world, _) = world();
        let answers = frames.iter().map(|frame| answered(&mut world, frame));
        answers.collect::<Vec<_>>()
    };
    // A page of a list is answered, so that its sender goes on; by the name that he gave himself.
    let is_receipt = |frame: &Frame| matches!(frame, Frame::Held(held) if held.refused.is_empty());
    let [of_bath, of_nowhere] = [BATH, "site:nowhere"].map(|scope| {
        let answers = asked(scope);
        assert!(answers.iter().flatten().all(is_receipt), "{answers:?}");
        format!("{answers:?}").replace(scope, "")
    });
    assert_eq!(of_bath, of_nowhere);
}

/// Well formed, and the id follows from the root; but its device may not place there.
#[test]
fn nobody_places_where_he_may_not() {
    let (mut world, _) = world();
    let (case, kept) = forged_placement(&mut world);
    let (_, mut claim) = kept.claim().unwrap();
    claim.device = key(3).device_id();
    let stolen = SignedPlacement::sign(&key(3), &TENANT, &claim);
    let verifier = world.places[0].node.verifier();
    assert_eq!(
        verifier.placement(stolen.clone()).map(drop),
        Err(Reason::NotAllowed)
    );
    world.say_as(2, &Frame::Live(batch(BATH, vec![stolen], Vec::new())));
    let snapshot = world.places[0].node.snapshot().unwrap();
    assert_eq!(views::scopes_of(&snapshot, case).unwrap(), []);
}

/// Only who may place where a document stands may say where it goes, whatever reason he gives and
/// however long it may also stay.
#[test]
fn nobody_pulls_over_what_stands_elsewhere() {
    let (mut world, case) = world();
    let snapshot = world.places[0].node.snapshot().unwrap();
    let kept = crate::draft::read_row(&snapshot, Table::Placement, case.as_ref(), 0);
    let kept: SignedPlacement = kept.unwrap().unwrap();
    let (id, claim) = kept.claim().unwrap();
    for (scopes, reason) in [
        (vec!["site:devizes"], Some(TransferReason::MovedHome)),
        (vec![BATH, "site:devizes"], None),
    ] {
        let pulled = Placement {
            device: key(3).device_id(),
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            previous: Some(id),
            root: None,
            reason,
            ..claim.clone()
        };
        let pulled = SignedPlacement::sign(&key(3), &TENANT, &pulled);
        let frame = batch("site:devizes", vec![pulled], Vec::new());
        world.say_as(3, &Frame::Live(frame));
        let snapshot = world.places[0].node.snapshot().unwrap();
        let stands = views::scopes_of(&snapshot, case).unwrap();
        assert_eq!(stands, [BATH.parse().unwrap()], "{scopes:?}");
    }
}

/// A store that was put back from a copy would otherwise write under numbers that others have
/// already seen with something else in them.
#[test]
fn a_store_that_was_put_back_writes_as_another_actor() {
    let (mut world, case) = world();
    world.note(1, case, "before the copy");
    let copy = world.places[1].node.store.clone();
    world.note(1, case, "after the copy");
    world.run();
    world.cut(1);
    world.places[1] = world.place(1, copy);
    world.note(1, case, "in the other life");
    world.connect(1);
    assert_eq!(world.refused(Reason::Equivocation), 0);
    world.assert_equal(BATH);
}

/// The first thing a node must never do. Its disk fails in the middle of a turn: nobody may be
/// told anything of what the turn decided.
#[test]
fn what_is_not_on_disk_is_not_said() {
    let (mut world, case) = world();
    let note = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"lost"}"#;
    let command: Command = serde_json::from_str(note).unwrap();
    let by = By {
        worker: "w-1".parse().unwrap(),
        site: "bath".parse().unwrap(),
        roles: vec!["recovery-worker".parse().unwrap()],
    };
    let request = Box::new(Request {
        target: Target::Document(case),
        entry: EntryId([0xEE; 16]),
        by,
        command,
    });
    let ticket = Ticket(77_777);
    let place = &mut world.places[1];
    let asked = vec![Input::Command { ticket, request }];
    let outputs = place.node.turn(world.now, [0; 32], asked).unwrap();
    let job = outputs.into_iter().find_map(|output| match output {
        Output::Open(job) => Some(job),
        _ => None,
    });
    let job = job.expect("the command is carried out");
    let opened = place.opener.run(&place.node.snapshot().unwrap(), &job);
    let job = job.id();
    place.node.store.fails = true;
    let written = vec![Input::Opened { job, opened }];
    let said = place.node.turn(world.now, [0; 32], written);
    assert_eq!(said.map(|said| said.len()), Err(store::StoreError::Full));
    // It never speaks again: what is on disk is known to nobody before it is opened anew.
    place.node.store.fails = false;
    assert!(place.node.turn(world.now, [0; 32], Vec::new()).is_err());
    let snapshot = place.node.snapshot().unwrap();
    let state = views::entry_state(&snapshot, EntryId([0xEE; 16])).unwrap();
    assert_eq!(state, None);
}

/// What was answered is there when the store is opened again.
#[test]
fn what_was_said_is_on_disk() {
    let (mut world, case) = world();
    let saved = world.note(1, case, "kept");
    let disk = world.places[1].node.store.clone();
    let place = world.place(1, disk);
    let snapshot = place.node.snapshot().unwrap();
    let state = views::entry_state(&snapshot, saved.entry).unwrap();
    assert_ne!(state, None);
}

/// One device sends what the centre refuses, and somebody else goes on in the same document.
#[test]
fn what_is_refused_of_one_device_costs_nobody_else_an_entry() {
    let (mut world, case) = world();
    let other = world.open_case(2, BATH);
    world.run();
    world.cut(1);
    let forged = world.note(1, case, "its signature will be forged");
    let (position, bundle) = world.last_bundle(1, case);
    let bad = crate::bundle::chunks(&bundle).unwrap().pop().unwrap().0;
    world.swap_bundle(1, case, (position, spoilt(bundle)));
    world.connect(1);
    let innocent = world.note(2, case, "an innocent later note");
    world.note(2, other, "in another case");
    world.run();
    assert_refused(&world, case, bad);
    // Both are equal except in that one document, and say so of each other.
    assert_eq!(
        except::stands(&world, 1),
        [(true, vec![case]), (true, vec![case])]
    );
    assert_eq!(except::stands(&world, 2), [(true, vec![]), (true, vec![])]);
    for index in [0, 1, 2] {
        assert!(except::text(&mut world, index, case).contains("an innocent later note"));
        assert!(except::text(&mut world, index, other).contains("in another case"));
    }
    let state = |index: usize, saved: &Saved| {
        let snapshot = world.places[index].node.snapshot().unwrap();
        views::entry_state(&snapshot, saved.entry).unwrap()
    };
    let arrived = Some(views::EntryState::AtTheCentre);
    assert_eq!(state(2, &innocent), arrived);
    // What was refused is not called arrived where it was written.
    assert_ne!(state(1, &forged), arrived);
    assert_ne!(world.places[1].node.waiting(), 0);
}
