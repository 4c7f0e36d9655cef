//! Bundles of a bad form: what is kept is passed on and backed up as it came.

use names::{ActorId, Reason};
use protocol::{
    bundle::{Bundle, Dep},
    codec,
    message::{Batch, Frame},
};
use store::Table;

use super::*;
use crate::verify::{Checked, Rejected};

/// A good bundle of one note, and whoever would verify it.
fn good() -> (Bundle, crate::Verifier) {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let bytes = snapshot.get(Table::Bundle, case.as_ref(), 0).unwrap();
    let bundle = codec::decode(&bytes.unwrap()).unwrap();
    (bundle, world.places[0].node.verifier())
}

fn verified(spoil: impl Fn(&mut Bundle)) -> Result<(), Reason> {
    let (mut bundle, verifier) = good();
    spoil(&mut bundle);
    let mut rejected = Vec::new();
    let verified = verifier.bundle(bundle, &mut rejected);
    assert!(rejected.is_empty(), "{rejected:?}");
    verified.map(drop)
}

/// It was admitted and kept, and no backup that held it could be restored.
#[test]
fn an_author_who_wrote_nothing_has_no_place_in_a_bundle() {
    assert_eq!(verified(|_| ()), Ok(()));
    let refused = verified(|bundle| bundle.authors.push(ActorId([9; 16])));
    assert_eq!(refused, Err(Reason::Malformed));
}

/// It was looked at by nobody, and kept.
#[test]
fn a_head_closes_a_change_that_is_there() {
    let refused = verified(|bundle| {
        let mut more = bundle.closings[0].clone();
        more.change = 1;
        bundle.closings.push(more);
    });
    assert_eq!(refused, Err(Reason::Malformed));
}

/// It could be sent once, and was too long to be passed on: nobody else got anything any more.
#[test]
fn a_bundle_leaves_room_for_what_is_said_around_it() {
    let refused = verified(|bundle| {
        let mut long = bundle.closings[0].clone();
        long.after = vec![0; 15_000];
        bundle.closings = vec![long; 80];
    });
    assert_eq!(refused, Err(Reason::TooLarge));
}

/// Changes name one another in a byte, and are put together with a hash each: a small frame took
/// thirty times its size.
#[test]
fn a_frame_is_bounded_by_what_becomes_of_it() {
    let (bundle, verifier) = good();
    let mut change = bundle.changes[0].clone();
    change.deps = vec![Dep::Near(1); 4_000];
    let large = Bundle {
        changes: vec![change; 8],
        ..bundle.clone()
    };
    let frame = Frame::Fill(Batch {
        scope: "site:bath".parse().unwrap(),
        placements: Vec::new(),
        bundles: vec![large; 30],
        number: 1,
        after: None,
        from: None,
    });
    let bytes = frame.encode();
    assert!(bytes.len() <= names::limits::FRAME_BYTES_MAX);
    let Checked::Load(load) = verifier.frame(&bytes).unwrap().0 else {
        panic!("a load");
    };
    let too_large = |rejected: &&Rejected| rejected.reason == Reason::TooLarge;
    assert!(load.rejected.iter().filter(too_large).count() >= 20);
}
