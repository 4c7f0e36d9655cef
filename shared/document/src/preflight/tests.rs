#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod stretches;

use automerge::Change;

use super::*;
use crate::testing::{Chance, Raw, random_changes, uleb};

#[test]
fn it_agrees_with_automerge_on_thousands_of_real_changes() {
    let mut seen = 0;
    for seed in 0..40 {
        for chunk in random_changes(seed, 120) {
            let theirs = Change::from_bytes(chunk.clone()).unwrap();
            let ours = format_only(&chunk)
                .unwrap_or_else(|reason| panic!("seed {seed}: {reason}: {theirs:#?}"));
            assert_eq!(ours.hash.0, theirs.hash().0);
            let deps: Vec<_> = theirs.deps().iter().map(|dep| dep.0).collect();
            assert_eq!(ours.deps.iter().map(|dep| dep.0).collect::<Vec<_>>(), deps);
            assert_eq!(ours.actor.as_ref(), theirs.actor_id().to_bytes());
            assert_eq!(ours.named.len(), theirs.other_actor_ids().len());
            assert_eq!(ours.seq, theirs.seq());
            assert_eq!(ours.start_op, theirs.start_op().get());
            assert_eq!(ours.max_op, theirs.max_op());
            assert_eq!(ours.time.0, theirs.timestamp() * 1_000);
            assert_eq!(ours.ops, theirs.len() as u64);
            seen += 1;
        }
    }
    assert!(seen > 2_500, "only {seen} changes were made");
}

/// Whatever pre-flight lets pass after its bytes were altered (with the checksum mended), Automerge
/// can at least parse.
#[test]
fn altered_bytes_never_panic_and_what_passes_can_be_parsed() {
    let mut chance = Chance::new(99);
    let (mut passed, mut refused) = (0, 0);
    for chunk in random_changes(7, 200) {
        for _ in 0..120 {
            let mut altered = chunk.clone();
            for _ in 0..=chance.below(3) {
                let at = chance.below(altered.len());
                altered[at] ^= 1 << chance.below(8);
            }
            let _ = format_only(&altered);
            let Some(mended) = crate::testing::mend(&altered) else {
                continue;
            };
            match format_only(&mended) {
                Err(_) => refused += 1,
                Ok(_) => {
                    passed += 1;
                    let change = Change::from_bytes(mended.clone()).unwrap();
                    // Its form is the one Automerge would write again: the hash is stable.
                    let again = Change::from(change.decode());
                    assert_eq!(again.raw_bytes(), mended);
                }
            }
        }
        for end in 0..chunk.len() {
            assert!(format_only(&chunk[..end]).is_err());
        }
    }
    assert!(
        passed > 100 && refused > 1_000,
        "{passed} passed, {refused} were refused"
    );
}

#[test]
fn random_bytes_never_panic() {
    let mut chance = Chance::new(5);
    for _ in 0..50_000 {
        let mut bytes: Vec<u8> = (0..chance.below(120))
            .map(|_| chance.next() as u8)
            .collect();
        let _ = header(&bytes);
        bytes.splice(0..0, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        let _ = crate::testing::mend(&bytes).map(|bytes| format_only(&bytes));
    }
}

/// A change that puts one key over and over, `ops` times, in about a hundred bytes.
fn repeated(ops: u64) -> Raw {
    let mut insert = Vec::new();
    uleb(&mut insert, ops);
    let run = |value: &[u8]| {
        let mut column = crate::testing::sleb(ops as i64);
        column.extend_from_slice(value);
        column
    };
    Raw {
        columns: vec![
            (0x15, run(&[1, b'a'])),
            (0x34, insert),
            (0x42, run(&[1])),
            (0x56, run(&[0])),
            (0x70, run(&[0])),
        ],
        ..Raw::default()
    }
}

#[test]
fn a_hundred_bytes_that_cost_automerge_45_seconds_are_refused_unexpanded() {
    let bomb = repeated(10_000_000).chunk();
    assert!(bomb.len() < 120);
    assert_eq!(header(&bomb), Err(Reason::TooLarge));
    assert_eq!(
        header(&repeated(u64::MAX >> 2).chunk()),
        Err(Reason::TooLarge)
    );
    assert_eq!(
        format_only(&repeated(20_001).chunk()),
        Err(Reason::TooLarge)
    );
    assert_eq!(
        format_only(&repeated(20_000).chunk()).map(|h| h.ops),
        Ok(20_000)
    );
}

#[test]
fn one_operation_that_claims_to_replace_ten_million_is_refused() {
    let mut raw = repeated(2);
    raw.start_op = 20_000_000;
    let ten_million = crate::testing::sleb(10_000_000);
    let mut count = vec![2];
    uleb(&mut count, 5_000_000);
    raw.columns.pop();
    raw.columns.push((0x70, count));
    raw.columns
        .push((0x71, [ten_million.as_slice(), &[0]].concat()));
    raw.columns
        .push((0x73, [ten_million.as_slice(), &[1]].concat()));
    assert_eq!(format_only(&raw.chunk()), Err(Reason::TooLarge));
}

/// A change that sets one field, whose name is `length` bytes long, in place of ten thousand values
/// that do not stand beside each other.
fn replacing_thousands(length: usize) -> Raw {
    let all = crate::testing::sleb(10_000);
    let (mut name, mut replaces) = (vec![0x7f], vec![0x7f]);
    uleb(&mut name, length as u64);
    name.extend(vec![b'a'; length]);
    uleb(&mut replaces, 10_000);
    Raw {
        start_op: 50_000,
        others: vec![genesis::genesis(Kind::CASE).unwrap().actor.0.to_vec()],
        columns: vec![
            (0x01, vec![0x7f, 1]),
            (0x02, vec![0x7f, genesis::FIELDS_OP as u8]),
            (0x15, name),
            (0x34, vec![1]),
            (0x42, vec![0x7f, 1]),
            (0x56, vec![0x7f, 0]),
            (0x70, replaces),
            (0x71, [all.as_slice(), &[0]].concat()),
            (0x73, [all.as_slice(), &[2]].concat()),
        ],
        ..Raw::default()
    }
}

/// Before names had a bound a frame of a megabyte made twenty gigabytes; before references had steps,
/// ten thousand times its bytes.
#[test]
fn thousands_that_are_replaced_are_kept_as_few() {
    let chunk = replacing_thousands(limits::KEY_NAME_BYTES_MAX).chunk();
    let (_, uses) = judged(&chunk, Shape::default()).unwrap();
    // They are kept as what the columns say, and not one by one.
    let [named] = uses.names.as_slice() else {
        panic!("{} references", uses.names.len());
    };
    assert_eq!((named.first, named.step, named.last), (2, 2, 20_000));
    assert!(matches!(&named.made, Made::Field(name) if name.len() == limits::KEY_NAME_BYTES_MAX));
    let chunk = replacing_thousands(limits::KEY_NAME_BYTES_MAX + 1).chunk();
    assert_eq!(header(&chunk), Err(Reason::TooLarge));
}

/// One name for thousands of operations, each of which would be compared with the others.
#[test]
fn a_long_name_that_is_set_again_and_again_is_refused_at_once() {
    let often = |length: usize| {
        let [all, rest] = [20_000, 19_999].map(crate::testing::sleb);
        let (mut name, mut insert) = (vec![0, 1], vec![0, 1]);
        name.extend(&rest);
        uleb(&mut name, length as u64);
        name.extend(vec![b'a'; length]);
        uleb(&mut insert, 19_999);
        let mut nulls = vec![0x7f, 0, 0];
        uleb(&mut nulls, 19_999);
        let first = |value: u8, then: u8| [&[0x7f, value], rest.as_slice(), &[then]].concat();
        let raw = Raw {
            start_op: 6,
            others: vec![genesis::genesis(Kind::CASE).unwrap().actor.0.to_vec()],
            columns: vec![
                (0x01, first(1, 0)),
                (0x02, first(genesis::ENTRIES_OP as u8, 6)),
                (0x13, nulls),
                (0x15, name),
                (0x34, insert),
                (0x42, first(0, 1)),
                (0x56, [all.as_slice(), &[0]].concat()),
                (0x70, [all.as_slice(), &[0]].concat()),
            ],
            ..Raw::default()
        };
        raw.chunk()
    };
    // Its form is good: what is wrong is that a few bytes set so much.
    assert_eq!(format_only(&often(1)).map(|header| header.ops), Ok(20_000));
    assert_eq!(header(&often(1)), Err(Reason::TooLarge));
    assert_eq!(header(&often(1_000_000)), Err(Reason::TooLarge));
}

type Alter = fn(&mut Raw);

/// What is wrong with a change, how a good one is made into it, and how it is refused.
const BAD: &[(&str, Alter, Reason)] = &[
    (
        "a document chunk",
        |raw| raw.chunk_type = 0,
        Reason::Malformed,
    ),
    (
        "a deflated change",
        |raw| raw.chunk_type = 2,
        Reason::Malformed,
    ),
    ("a bundle", |raw| raw.chunk_type = 3, Reason::Malformed),
    (
        "bytes after the columns",
        |raw| raw.extra = vec![1, 0],
        Reason::Malformed,
    ),
    ("sequence number 0", |raw| raw.seq = 0, Reason::Malformed),
    ("first counter 0", |raw| raw.start_op = 0, Reason::Malformed),
    (
        "more changes than operations",
        |raw| raw.seq = 9,
        Reason::Malformed,
    ),
    (
        "a counter of 2^32 - 1",
        |raw| raw.start_op = u64::from(u32::MAX),
        Reason::TooLarge,
    ),
    (
        "a counter of 2^64 - 1",
        |raw| raw.start_op = u64::MAX,
        Reason::TooLarge,
    ),
    (
        "the greatest counter passed",
        |raw| raw.start_op = (1 << 31) - 1,
        Reason::TooLarge,
    ),
    (
        "a short actor",
        |raw| raw.actor = vec![1; 15],
        Reason::Malformed,
    ),
    (
        "a long actor",
        |raw| raw.actor = vec![1; 32],
        Reason::Malformed,
    ),
    (
        "more dependencies than there may be actors",
        |raw| raw.deps = vec![[1; 32]; limits::CHANGE_DEPS_MAX + 1],
        Reason::TooLarge,
    ),
    (
        "a dependency twice",
        |raw| raw.deps = vec![[1; 32]; 2],
        Reason::Malformed,
    ),
    (
        "dependencies out of order",
        |raw| raw.deps = vec![[2; 32], [1; 32]],
        Reason::Malformed,
    ),
    (
        "an unused actor",
        |raw| raw.others = vec![vec![8; 16]],
        Reason::Malformed,
    ),
    (
        "its own actor again",
        |raw| raw.others = vec![raw.actor.clone()],
        Reason::Malformed,
    ),
    (
        "a long message",
        |raw| raw.message = vec![b'a'; 513],
        Reason::TooLarge,
    ),
    (
        "a message that is no text",
        |raw| raw.message = vec![0xff],
        Reason::Malformed,
    ),
    (
        "a deflated column",
        |raw| raw.columns[0].0 |= 8,
        Reason::Malformed,
    ),
    (
        "an unknown column",
        |raw| raw.columns.push((0xb5, vec![2, 0])),
        Reason::Malformed,
    ),
    (
        "columns out of order",
        |raw| raw.columns.swap(0, 1),
        Reason::Malformed,
    ),
    (
        "a column twice",
        |raw| raw.columns.insert(0, raw.columns[0].clone()),
        Reason::Malformed,
    ),
    ("no operation", |raw| raw.columns.clear(), Reason::Malformed),
    (
        "an unknown action",
        |raw| raw.columns[2].1 = vec![2, 8],
        Reason::Malformed,
    ),
    (
        "a deletion of nothing",
        |raw| raw.columns[2].1 = vec![2, 3],
        Reason::Malformed,
    ),
    (
        "a run of one",
        |raw| raw.columns[2].1 = vec![1, 1, 1, 1],
        Reason::Malformed,
    ),
    (
        "a run as two",
        |raw| raw.columns[2].1 = vec![0x7e, 1, 1],
        Reason::Malformed,
    ),
    (
        "a run of nothing",
        |raw| raw.columns[2].1 = vec![0, 2],
        Reason::Malformed,
    ),
    (
        "a value too long",
        |raw| raw.columns[3].1 = vec![2, 0x16],
        Reason::Malformed,
    ),
    (
        "a null with a length",
        |raw| {
            raw.columns[3].1 = vec![2, 0x10];
            raw.columns.insert(4, (0x57, vec![0, 0]));
        },
        Reason::Malformed,
    ),
    (
        "an object of the future",
        |raw| {
            raw.columns.insert(0, (0x01, vec![2, 0]));
            raw.columns.insert(1, (0x02, vec![2, 77]));
        },
        Reason::Malformed,
    ),
];

#[test]
fn hostile_headers_are_refused() {
    assert!(format_only(&repeated(2).chunk()).is_ok());
    for (what, alter, reason) in BAD {
        let mut raw = repeated(2);
        alter(&mut raw);
        assert_eq!(format_only(&raw.chunk()), Err(*reason), "{what}");
    }
}

#[test]
fn the_envelope_is_checked() {
    let chunk = repeated(2).chunk();
    assert!(format_only(&chunk).is_ok());
    assert_eq!(
        format_only(&[chunk.as_slice(), &[0]].concat()),
        Err(Reason::Malformed)
    );
    let mut damaged = chunk.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(format_only(&damaged), Err(Reason::WrongHash));
    assert_eq!(
        format_only(&vec![0; limits::CHANGE_BYTES_MAX + 1]),
        Err(Reason::TooLarge)
    );
    // The length once more, in a longer form: the same change under another name.
    let mut longer = chunk.clone();
    longer[9] |= 0x80;
    longer.insert(10, 0);
    assert_eq!(
        format_only(&crate::testing::mend(&longer).unwrap_or(longer)),
        Err(Reason::Malformed)
    );
}

#[test]
fn an_actors_changes_form_one_chain() {
    let first = format_only(&repeated(2).chunk()).unwrap();
    let mut raw = repeated(2);
    (raw.seq, raw.start_op, raw.deps) = (2, 3, vec![first.hash.0]);
    let second = format_only(&raw.chunk()).unwrap();
    raw.deps = vec![];
    let loose = format_only(&raw.chunk()).unwrap();
    assert_eq!(follows(&first, None), Ok(()));
    assert_eq!(follows(&second, Some((1, first.hash))), Ok(()));
    assert_eq!(
        follows(&loose, Some((1, first.hash))),
        Err(Reason::WrongSequence)
    );
    assert_eq!(follows(&second, None), Err(Reason::WrongSequence));
    assert_eq!(
        follows(&first, Some((1, first.hash))),
        Err(Reason::Equivocation)
    );
}
