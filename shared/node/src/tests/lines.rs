//! Authors' lines share rows: no line takes another with it, whatever becomes of either.

use store::{Snapshot as _, Store as _, Table};

use super::*;
use crate::{
    draft::{Draft, read_row},
    lines::read_line,
    rows::LINES_PER_ROW,
    turn::Turn,
    views::EntryState,
};

const NOTE: &str =
    r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"by one of many"}"#;

/// More authors than share a row, and then some.
const AUTHORS: u64 = 2 * LINES_PER_ROW + 3;

fn rows(world: &World, index: usize, table: Table, document: DocumentId) -> usize {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let rows = snapshot.range(table, document.as_ref(), 0, 1_000);
    rows.unwrap().len()
}

/// Notes of an edge's by many workers in one case; the entries, in the order of their authors.
fn by_many(world: &mut World, case: DocumentId, from: u64, to: u64) -> Vec<EntryId> {
    let entries = (from..to).map(|number| {
        let entry = EntryId([number as u8 + 100; 16]);
        let worker = format!("m-{number}");
        let target = Target::Document(case);
        world.ask_as(1, &worker, target, entry, NOTE).unwrap();
        entry
    });
    entries.collect()
}

fn assert_states(world: &World, entries: &[EntryId], state: EntryState) {
    let snapshot = world.places[1].node.snapshot().unwrap();
    for entry in entries {
        let is = views::entry_state(&snapshot, *entry).unwrap();
        assert_eq!(is, Some(state), "{entry}");
    }
}

#[test]
fn many_authors_of_a_case_share_rows_and_each_arrives() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let early = by_many(&mut world, case, 0, AUTHORS / 2);
    // A start in between: what waits is read back, from one row.
    world.reopen(1);
    let late = by_many(&mut world, case, AUTHORS / 2, AUTHORS);
    let lines = AUTHORS as usize + 1;
    assert_eq!(
        rows(&world, 1, Table::Actor, case),
        lines.div_ceil(LINES_PER_ROW as usize)
    );
    assert_eq!(rows(&world, 1, Table::Outbox, case), 1);
    assert_eq!(world.places[1].node.waiting(), lines as u64);
    assert_states(&world, &early, EntryState::SavedHere);
    world.reopen(1);
    assert_eq!(world.places[1].node.waiting(), lines as u64);

    world.connect(1);
    world.assert_equal("site:bath");
    assert_eq!(world.places[1].node.waiting(), 0);
    assert_eq!(rows(&world, 1, Table::Outbox, case), 0);
    assert_states(&world, &early, EntryState::AtTheCentre);
    assert_states(&world, &late, EntryState::AtTheCentre);
    let kept = [0, 1].map(|index| {
        let snapshot = world.places[index].node.snapshot().unwrap();
        let lines =
            (0..lines as u64).map(|slot| read_line(&snapshot, case, slot).unwrap().unwrap());
        let mut lines: Vec<_> = lines
            .map(|line| (line.actor, line.seq, line.hash))
            .collect();
        lines.sort_unstable();
        lines
    });
    assert_eq!(kept[0], kept[1]);
}

/// One more entry by one author, when all others have arrived, makes that one wait and no other.
#[test]
fn a_line_waits_by_itself() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let before = by_many(&mut world, case, 0, AUTHORS);
    world.connect(1);
    world.cut(1);
    let target = Target::Document(case);
    let more = EntryId([99; 16]);
    world.ask_as(1, "m-12", target, more, NOTE).unwrap();
    world.reopen(1);
    assert_eq!(world.places[1].node.waiting(), 1);
    assert_states(&world, &before, EntryState::AtTheCentre);
    assert_states(&world, &[more], EntryState::SavedHere);
    world.connect(1);
    assert_states(&world, &[more], EntryState::AtTheCentre);
    assert_eq!(rows(&world, 1, Table::Outbox, case), 0);
}

/// Some of a document's lines arrive, and the program starts anew before the others do.
#[test]
fn what_has_not_arrived_waits_after_a_start() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    by_many(&mut world, case, 0, AUTHORS);
    world.connect(1);
    world.cut(1);
    let target = |world: &mut World, author: u64, entry: u8| {
        let (worker, entry) = (format!("m-{author}"), EntryId([entry; 16]));
        let saved = world.ask_as(1, &worker, Target::Document(case), entry, NOTE);
        saved.unwrap();
        entry
    };
    let entries =
        [(2, 97), (11, 98), (18, 99)].map(|(author, entry)| target(&mut world, author, entry));
    let [arrived, waits, also] = entries;
    // The centre says of one of them that it holds it.
    let snapshot = world.places[1].node.snapshot().unwrap();
    let row: crate::rows::EntryRow = read_row(&snapshot, Table::Entry, arrived.as_ref(), 0)
        .unwrap()
        .unwrap();
    drop(snapshot);
    let node = &mut world.places[1].node;
    let draft = Draft::new(node.store.snapshot().unwrap());
    let mut turn = Turn::new(draft, world.now, [0; 32]);
    let lines = [(row.slot, row.seq)].into();
    node.arrived(&mut turn, case, &lines).unwrap();
    node.store.commit(turn.draft.into_batch()).unwrap();

    world.reopen(1);
    assert_eq!(world.places[1].node.waiting(), 2);
    assert_states(&world, &[arrived], EntryState::AtTheCentre);
    assert_states(&world, &[waits, also], EntryState::SavedHere);
    let snapshot = world.places[1].node.snapshot().unwrap();
    let device = world.places[1].node.device();
    let (lines, unread) = crate::lines::waiting(&snapshot, device).unwrap();
    assert_eq!((lines.len(), unread), (2, 0));
    // The same is known from the lines themselves when the outbox cannot be read.
    drop(snapshot);
    spoil(&mut world, 1, Table::Outbox, case, 0);
    let snapshot = world.places[1].node.snapshot().unwrap();
    assert_eq!(crate::lines::waiting(&snapshot, device), Ok((lines, 0)));
    drop(snapshot);
    world.reopen(1);
    assert_eq!(world.places[1].node.waiting(), 2);
    world.connect(1);
    assert_states(&world, &entries, EntryState::AtTheCentre);
    assert_eq!(rows(&world, 1, Table::Outbox, case), 0);
}

fn spoil(
    world: &mut World,
    index: usize,
    table: Table,
    document: DocumentId,
    position: u64,
) -> Vec<u8> {
    let store = &mut world.places[index].node.store;
    let whole = store
        .snapshot()
        .unwrap()
        .get(table, document.as_ref(), position);
    let mut batch = store::Batch::new();
    batch.put(table, document.0, position, vec![0xFF; 3]);
    store.commit(batch).unwrap();
    whole.unwrap().unwrap()
}

/// Rows as they were before they were spoiled.
pub(super) type Whole = Vec<(Table, u64, Vec<u8>)>;

/// Spoils a row of lines, and what it could be worked out from.
pub(super) fn spoil_for_good(
    world: &mut World,
    index: usize,
    document: DocumentId,
    position: u64,
) -> Whole {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let told = snapshot.range(Table::Bundle, document.as_ref(), 0, 1_000);
    let told = told.unwrap().into_iter().map(|(place, _)| place);
    let mut whole = Vec::new();
    for place in told {
        let bytes = spoil(world, index, Table::Bundle, document, place);
        whole.push((Table::Bundle, place, bytes));
    }
    let bytes = spoil(world, index, Table::Actor, document, position);
    whole.push((Table::Actor, position, bytes));
    whole
}

pub(super) fn put_back(world: &mut World, index: usize, document: DocumentId, whole: Whole) {
    let mut batch = store::Batch::new();
    for (table, position, bytes) in whole {
        batch.put(table, document.0, position, bytes);
    }
    world.places[index].node.store.commit(batch).unwrap();
}

/// What a row of lines says of each author, but for how far the centre has it.
fn said(world: &World, index: usize, case: DocumentId, slots: u64) -> Vec<String> {
    let snapshot = world.places[index].node.snapshot().unwrap();
    let lines = (0..slots).map(|slot| read_line(&snapshot, case, slot).unwrap());
    let lines = lines.flatten().map(|line| {
        let about = (line.actor, line.device, line.seq, line.hash, line.at);
        format!("{about:?} {}", line.worker)
    });
    lines.collect()
}

/// A flipped bit in a row of lines, at the centre and at an edge: all it said is said by the
/// document's other rows too, so nobody is kept from writing, and nothing that is here counts as
/// lost or as sent.
#[test]
fn a_damaged_row_of_lines_is_worked_out_again() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let early = by_many(&mut world, case, 0, AUTHORS);
    world.connect(1);
    world.cut(1);
    let late = EntryId([98; 16]);
    let target = || Target::Document(case);
    world.ask_as(1, "m-3", target(), late, NOTE).unwrap();
    for index in [0, 1] {
        let before = said(&world, index, case, AUTHORS + 1);
        assert_eq!(before.len() as u64, AUTHORS + 1);
        for position in 0..=AUTHORS / LINES_PER_ROW {
            spoil(&mut world, index, Table::Actor, case, position);
        }
        assert_eq!(said(&world, index, case, AUTHORS + 1), before);
    }
    world.reopen(1);
    assert_states(&world, &[late], EntryState::SavedHere);
    // Of that author's line all is offered again; of the others' nothing is.
    assert_eq!(world.places[1].node.waiting(), 2);
    let others = [&early[..3], &early[4..]].concat();
    assert_states(&world, &others, EntryState::AtTheCentre);

    let new = EntryId([99; 16]);
    world.ask_as(1, "m-77", target(), new, NOTE).unwrap();
    world.connect(1);
    world.assert_equal("site:bath");
    assert_eq!(world.places[1].node.waiting(), 0);
    assert_states(
        &world,
        &[&early[..], &[late, new]].concat(),
        EntryState::AtTheCentre,
    );
    let counters = world.places[0].node.counters();
    assert!(!counters.contains_key(&Reason::CannotOpen), "{counters:?}");
}

/// The outbox's row and one of lines are damaged, so that nothing tells what waits. What somebody
/// writes beside it must not make it look as if it had arrived.
#[test]
fn what_nothing_tells_of_counts_as_waiting() {
    for for_good in [false, true] {
        let mut world = World::new(&[&["site:bath"]]);
        let case = world.open_case(1, "site:bath");
        by_many(&mut world, case, 0, LINES_PER_ROW - 1);
        world.connect(1);
        world.cut(1);
        let late = EntryId([98; 16]);
        let target = || Target::Document(case);
        world.ask_as(1, "m-3", target(), late, NOTE).unwrap();
        spoil(&mut world, 1, Table::Outbox, case, 0);
        let whole = match for_good {
            true => spoil_for_good(&mut world, 1, case, 0),
            false => {
                spoil(&mut world, 1, Table::Actor, case, 0);
                Whole::new()
            }
        };
        world.reopen(1);
        // A new author, whose line stands in another row.
        if !for_good {
            let beside = EntryId([99; 16]);
            world.ask_as(1, "m-77", target(), beside, NOTE).unwrap();
            assert_states(&world, &[beside], EntryState::SavedHere);
            assert_states(&world, &[late], EntryState::SavedHere);
        }
        put_back(&mut world, 1, case, whole);
        world.reopen(1);
        assert_states(&world, &[late], EntryState::SavedHere);
        world.connect(1);
        world.assert_equal("site:bath");
        assert_states(&world, &[late], EntryState::AtTheCentre);
        assert_eq!(world.places[1].node.waiting(), 0);
    }
}

/// A row of lines is damaged at the centre, and what tells of it too. What comes of the authors in it is refused, and nothing
/// of that is kept by halves: once the row is whole again, all of it comes in.
#[test]
fn a_damaged_row_of_lines_costs_its_authors_and_leaves_nothing_half_written() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    by_many(&mut world, case, 0, LINES_PER_ROW + 2);
    world.connect(1);
    world.cut(1);
    let whole = spoil_for_good(&mut world, 0, case, 1);
    let known = |world: &World, slot: u64| {
        let snapshot = world.places[0].node.snapshot().unwrap();
        read_line(&snapshot, case, slot).unwrap().unwrap().seq
    };
    // The case's first author, and one that is new and shares the damaged row.
    let before = known(&world, 0);
    let target = Target::Document(case);
    world
        .ask_as(1, "w-1", target.clone(), EntryId([98; 16]), NOTE)
        .unwrap();
    world
        .ask_as(1, "m-77", target, EntryId([99; 16]), NOTE)
        .unwrap();
    world.connect(1);
    // Whoever stands in another row is not held up, though all of it comes in one bundle.
    assert_eq!(known(&world, 0), before + 1);
    assert_ne!(world.places[1].node.waiting(), 0, "what is refused waits");
    put_back(&mut world, 0, case, whole);
    world.cut(1);
    world.now = world.now.plus_ms(25 * 3_600_000);
    world.connect(1);
    world.assert_equal("site:bath");
    assert_eq!(
        (known(&world, 0), world.places[1].node.waiting()),
        (before + 1, 0)
    );
}

/// Every row of a document goes with its key, however many its authors were, and it comes back.
#[test]
fn a_case_of_many_authors_goes_and_comes_back() {
    let mut world = transfer::four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    let entries = by_many(&mut world, case, 0, AUTHORS);
    world.transfer(1, case, "devizes", "bath").unwrap();
    world.run();
    world.back_up();
    assert_eq!(
        (world.chunks(1, case), rows(&world, 1, Table::Actor, case)),
        (0, 0)
    );
    world.transfer(2, case, "bath", "devizes").unwrap();
    world.run();
    assert_eq!(
        rows(&world, 1, Table::Actor, case),
        rows(&world, 0, Table::Actor, case)
    );
    let saved = world.ask_as(1, "m-3", Target::Document(case), EntryId([97; 16]), NOTE);
    saved.unwrap();
    world.run();
    world.assert_equal("site:devizes");
    assert_states(&world, &entries, EntryState::AtTheCentre);
    assert_eq!(rows(&world, 1, Table::Outbox, case), 0);
}
