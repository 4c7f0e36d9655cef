//! Changes that are signed by a device of the record and are not what an honest one writes. Each is
//! refused for a reason of its own, none is kept, and the document and all others go on.

use super::{craft::together, *};

type Make = fn(DocumentId) -> Vec<Bundle>;

/// What is sent, of a case in which its author has not written, and how it is refused.
const HOSTILE: &[(&str, Make, Reason)] = &[
    (
        "it builds on nothing, not even the genesis",
        |case| {
            let crafted = Crafted {
                deps: Vec::new(),
                start_op: 1,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::Malformed,
    ),
    (
        "its counters jump ahead",
        |case| {
            let crafted = Crafted {
                start_op: 1_000,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::Malformed,
    ),
    (
        "its counters overlap those it builds on",
        |case| {
            let crafted = Crafted {
                start_op: 2,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::Malformed,
    ),
    (
        "a number of its author's is left out",
        |case| {
            let crafted = Crafted {
                seq: 2,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::WrongSequence,
    ),
    (
        "what it builds on was left out of what is sent",
        |case| {
            let crafted = Crafted {
                deps: vec![ChangeHash([0xEE; 32])],
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::MissingDependency,
    ),
    (
        "it is in the name of another's device",
        |case| {
            let crafted = Crafted {
                author: 2,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::BadSignature,
    ),
    (
        "it is of another's line, under an own head",
        |case| {
            let mut own = Crafted::new(case).bundle();
            let others = Crafted {
                author: 2,
                ..Crafted::new(case)
            };
            own.authors = vec![others.actor()];
            vec![own]
        },
        Reason::WrongActor,
    ),
    (
        "it was signed for another document",
        |case| {
            let elsewhere = DocumentId([0x77; 16]);
            let mut bundle = Crafted::new(elsewhere).bundle();
            bundle.document = case;
            vec![bundle]
        },
        Reason::WrongActor,
    ),
    (
        "ten million deletions in a hundred bytes",
        |case| {
            let crafted = Crafted {
                ops: 10_000_000,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::TooLarge,
    ),
    (
        "its signer is not in the directory",
        |case| {
            let crafted = Crafted {
                author: 99,
                signer: 99,
                ..Crafted::new(case)
            };
            vec![crafted.bundle()]
        },
        Reason::UnknownSigner,
    ),
];

/// Sends them as edge 1, and sees that nothing is kept and everybody goes on.
#[track_caller]
fn assert_harmless(what: &str, bundles: &[Bundle], reason: Reason, bad: &[ChangeHash]) {
    let (mut world, case) = world();
    let mut bundles = bundles.to_vec();
    for bundle in &mut bundles {
        // The world is made anew, and its case has the same id each time.
        assert_eq!(bundle.document, case, "{what}");
    }
    let frame = Frame::Live(batch(BATH, Vec::new(), std::mem::take(&mut bundles)));
    let was = world.refused(reason);
    world.say_as(1, &frame);
    assert_eq!(world.refused(reason), was + 1, "{what}");
    for hash in bad {
        assert!(!world.holds(0, case, *hash), "{what}: it was taken");
    }
    let (here, there) = (world.note(2, case, "goes on"), world.open_case(1, BATH));
    world.run();
    world.assert_equal(BATH);
    for index in [0, 1, 2] {
        let snapshot = world.places[index].node.snapshot().unwrap();
        assert!(views::document_of(&snapshot, there).unwrap().is_some());
        assert!(world.holds(index, case, here.change.unwrap()), "{what}");
    }
}

#[test]
fn each_hostile_change_is_refused_for_its_own_reason() {
    let (_, case) = world();
    for (what, make, reason) in HOSTILE {
        let bundles = make(case);
        let hashes = bundles.iter().filter_map(|bundle| {
            let chunks = crate::bundle::chunks(bundle).ok()?;
            Some(chunks.last()?.0)
        });
        let hashes: Vec<ChangeHash> = hashes.collect();
        assert_harmless(what, &bundles, *reason, &hashes);
    }
}

/// It builds on the genesis of a case and writes into an object of a session's. Nothing is there to
/// be written in, wherever the case is opened.
#[test]
fn a_change_keeps_to_the_genesis_of_its_kind() {
    let (_, case) = world();
    let crafted = Crafted {
        kind: names::Kind::SESSION,
        ..Crafted::new(case)
    };
    let (bundles, bad) = ([crafted.bundle()], [crafted.hash()]);
    assert_harmless("another kind's", &bundles, Reason::Malformed, &bad);
}

/// One signature covers all before it only where each names its author's one before.
#[test]
fn an_authors_next_change_names_his_last() {
    let (_, case) = world();
    let first = Crafted::new(case);
    let loose = Crafted {
        deps: Crafted::new(case).deps,
        start_op: first.start_op,
        ..first.next("y")
    };
    let bundles = [first.bundle(), loose.bundle()];
    assert_harmless("apart", &bundles, Reason::WrongSequence, &[loose.hash()]);
    let bundles = [together(first.bundle(), loose.bundle())];
    let bad = [first.hash(), loose.hash()];
    assert_harmless("together", &bundles, Reason::WrongSequence, &bad);
}

/// A second branch under a number that is taken.
#[test]
fn an_author_has_one_line() {
    let (_, case) = world();
    let first = Crafted::new(case);
    let second = Crafted {
        room: "y",
        ..first.clone()
    };
    let bundles = [first.bundle(), second.bundle()];
    assert_harmless("a branch", &bundles, Reason::Equivocation, &[second.hash()]);
}

#[test]
fn what_no_signature_closes_is_not_taken() {
    let (_, case) = world();
    let first = Crafted::new(case);
    let second = first.next("y");
    let mut open = together(first.bundle(), second.bundle());
    open.closings.pop();
    let bad = [first.hash(), second.hash()];
    assert_harmless("an open end", &[open], Reason::BadSignature, &bad);
}

/// What was recorded on the wire and is played again is no news.
#[test]
fn what_is_sent_again_changes_nothing() {
    let (mut world, case) = world();
    let crafted = Crafted::new(case);
    let frame = Frame::Live(batch(BATH, Vec::new(), vec![crafted.bundle()]));
    world.say_as(1, &frame);
    let commits = world.places[0].node.commits();
    let digest = world.places[0].node.sync().unwrap()[1].digest;
    for _ in 0..10 {
        world.say_as(1, &frame);
    }
    assert_eq!(world.places[0].node.commits(), commits, "no news");
    assert_eq!(world.places[0].node.sync().unwrap()[1].digest, digest);
}
