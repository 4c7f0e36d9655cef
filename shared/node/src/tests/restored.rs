//! A store that comes back from a backup.

use names::{Incarnation, Reason, WriterId};
use store::{Batch, Store as _, Table};

use super::*;
use crate::{
    Piece, Recount,
    backup::{self, Manifest},
};

/// All pieces of a state, and what a backup says of it.
pub(super) fn read(place: &Place) -> (Manifest, Vec<Piece>) {
    let snapshot = place.node.snapshot().unwrap();
    let mut pieces = Vec::new();
    for document in backup::documents(&snapshot).unwrap() {
        backup::each_piece(&snapshot, document, |piece| {
            pieces.push(piece);
            Ok::<_, store::StoreError>(())
        })
        .unwrap();
    }
    (backup::manifest(&snapshot).unwrap(), pieces)
}

/// Brings the centre back from what was read of it.
pub(super) fn restore(world: &mut World, manifest: &Manifest, pieces: Vec<Piece>) {
    let mut store = MemoryStore::new();
    let (incarnation, writer) = (Incarnation([77; 16]), WriterId([78; 16]));
    backup::begin(&mut store, manifest, incarnation, writer).unwrap();
    let mut place = world.place(0, store);
    let verifier = place.node.verifier();
    let pieces: Vec<_> = pieces
        .into_iter()
        .map(|piece| verifier.piece(piece).unwrap())
        .collect();
    for some in pieces.chunks(3) {
        assert_eq!(place.node.take_back(some, Moment(1_000)), Ok(Vec::new()));
    }
    place.node.end_take_back(manifest).unwrap();
    world.places[0] = place;
}

fn organisation() -> (World, Vec<DocumentId>) {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let cases: Vec<_> = (0..4).map(|_| world.open_case(1, "site:bath")).collect();
    for case in &cases {
        world.note(1, *case, "before the backup");
    }
    world.connect(1);
    world.connect(2);
    world.note(2, cases[0], "from the other edge");
    world.run();
    (world, cases)
}

#[test]
fn a_centre_comes_back_and_hears_only_what_it_lacks() {
    let (mut world, cases) = organisation();
    let (manifest, pieces) = read(&world.places[0]);
    let lost = world.note(1, cases[1], "acknowledged and lost with the disk");
    let new = world.open_case(2, "site:bath");
    world.run();
    world.cut(1);
    world.cut(2);
    let state = |world: &World, entry| {
        let snapshot = world.places[1].node.snapshot().unwrap();
        views::entry_state(&snapshot, entry).unwrap()
    };
    assert_eq!(
        state(&world, lost.entry),
        Some(views::EntryState::AtTheCentre)
    );

    let was = world.places[0].node.incarnation();
    let store = world.places[0].node.store_id();
    restore(&mut world, &manifest, pieces);
    let centre = &world.places[0].node;
    assert!(centre.is_restored() && centre.store_id() == store);
    assert_ne!(centre.incarnation(), was);
    let stand = &manifest.scopes[0];
    let sync = centre.sync().unwrap();
    let kept = sync.iter().find(|kept| kept.scope == stand.scope).unwrap();
    assert_eq!((kept.digest, kept.count), (stand.digest, stand.count));

    let before = world.bytes;
    world.connect(1);
    world.connect(2);
    world.assert_equal("site:bath");
    let sync = world.places[0].node.sync().unwrap();
    let kept = sync.iter().find(|kept| kept.scope == stand.scope).unwrap();
    assert_eq!(kept.count, 5, "the new case came back");
    assert!(views::scopes_of(&world.places[0].node.snapshot().unwrap(), new).is_ok());
    assert_eq!(
        state(&world, lost.entry),
        Some(views::EntryState::AtTheCentre)
    );
    // Two documents differ; six stand in the store. What moved is far less than all.
    let moved = world.bytes - before;
    assert!(moved < 6_000, "{moved} bytes");
    assert_eq!(
        world.places[0]
            .notices
            .iter()
            .filter(|notice| matches!(notice, Notice::Repairing { .. }))
            .count(),
        0,
        "the cursors knew what was missing"
    );
    // Its own life goes on: what is written now reaches everybody.
    world.note(1, cases[2], "after");
    world.run();
    world.assert_equal("site:bath");
}

#[test]
fn a_restored_store_stays_marked_when_it_is_opened_again() {
    let (mut world, _) = organisation();
    let (manifest, pieces) = read(&world.places[0]);
    restore(&mut world, &manifest, pieces);
    let place = world.places.remove(0);
    let again = world.place(0, place.node.into_store());
    assert!(again.node.is_restored());
    assert!(!world.places[0].node.is_restored());
}

#[test]
fn the_digests_follow_from_the_pieces_alone() {
    let (world, _) = organisation();
    let (manifest, pieces) = read(&world.places[0]);
    let mut recount = Recount::default();
    let mut at = None;
    for piece in &pieces {
        let document = piece.document().unwrap();
        if let Some(before) = at.filter(|before| *before != document) {
            recount.close(before);
        }
        at = Some(document);
        recount.piece(piece).unwrap();
    }
    recount.close(at.unwrap());
    let scopes = recount.scopes();
    for stand in &manifest.scopes {
        let found = scopes[&stand.scope];
        assert_eq!((found.digest, found.count), (stand.digest, stand.count));
    }
}

/// What was altered does not pass the door, and what lacks its beginning is refused in the turn.
#[test]
fn a_backup_passes_the_one_door() {
    let (mut world, _) = organisation();
    let (manifest, pieces) = read(&world.places[0]);
    let verifier = world.places[0].node.verifier();
    for piece in &pieces {
        let spoilt = match piece.clone() {
            Piece::Placement(mut signed) => {
                signed.signature.0[5] ^= 1;
                Piece::Placement(signed)
            }
            Piece::Bundle(mut bundle) => {
                bundle.document.0[0] ^= 1;
                Piece::Bundle(bundle)
            }
        };
        assert!(verifier.piece(spoilt).is_err());
    }
    let mut store = MemoryStore::new();
    let (incarnation, writer) = (Incarnation([77; 16]), WriterId([78; 16]));
    backup::begin(&mut store, &manifest, incarnation, writer).unwrap();
    let mut place = world.place(0, store);
    let bundle = pieces
        .iter()
        .find(|piece| matches!(piece, Piece::Bundle(_)));
    let unplaced = verifier.piece(bundle.unwrap().clone()).unwrap();
    let refused = place.node.take_back(&[unplaced], Moment(1_000)).unwrap();
    assert!(matches!(refused[..], [(_, Reason::NotPlaced)]));
}

#[test]
fn a_damaged_row_is_no_backup() {
    let (world, cases) = organisation();
    let mut store = MemoryStore::new();
    let snapshot = world.places[0].node.snapshot().unwrap();
    let mut batch = Batch::new();
    for table in Table::ALL {
        store::each(&snapshot, *table, |row| {
            batch.put(*table, row.name, row.position, row.value);
        })
        .unwrap();
    }
    batch.put(Table::Bundle, cases[0].0, 0, b"spoilt");
    store.commit(batch).unwrap();
    let snapshot = store.snapshot().unwrap();
    let read = backup::each_piece(&snapshot, cases[0], |_| Ok::<_, store::StoreError>(()));
    assert!(read.is_err());
}
