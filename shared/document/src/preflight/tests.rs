#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use automerge::{
    AutoCommit, Change, ObjId, ObjType, ROOT, ReadDoc, ScalarValue,
    marks::{ExpandMark, Mark},
    transaction::{CommitOptions, Transactable},
};

use super::*;
use crate::testing::{Chance, Raw, uleb};

/// A document somebody edits at random, with everything Automerge offers.
struct Author {
    doc: AutoCommit,
    maps: Vec<ObjId>,
    lists: Vec<ObjId>,
    texts: Vec<ObjId>,
}

impl Author {
    fn objects(&mut self) {
        let mut pending = vec![ROOT];
        (self.maps, self.lists, self.texts) = (vec![ROOT], vec![], vec![]);
        while let Some(parent) = pending.pop() {
            let children: Vec<_> = match self.doc.object_type(&parent).unwrap() {
                ObjType::Map | ObjType::Table => {
                    let keys: Vec<_> = self.doc.keys(&parent).collect();
                    keys.into_iter()
                        .flat_map(|key| {
                            self.doc
                                .get_all(&parent, key)
                                .unwrap()
                                .into_iter()
                                .map(|(v, id)| (v.to_objtype(), id))
                                .collect::<Vec<_>>()
                        })
                        .collect()
                }
                ObjType::List => (0..self.doc.length(&parent))
                    .flat_map(|at| {
                        self.doc
                            .get_all(&parent, at)
                            .unwrap()
                            .into_iter()
                            .map(|(v, id)| (v.to_objtype(), id))
                            .collect::<Vec<_>>()
                    })
                    .collect(),
                ObjType::Text => vec![],
            };
            for (kind, id) in children {
                match kind {
                    Some(ObjType::Map | ObjType::Table) => self.maps.push(id.clone()),
                    Some(ObjType::List) => self.lists.push(id.clone()),
                    Some(ObjType::Text) => {
                        self.texts.push(id);
                        continue;
                    }
                    None => continue,
                }
                pending.push(id);
            }
        }
    }

    fn act(&mut self, chance: &mut Chance) {
        self.objects();
        let map = chance.pick(&self.maps).clone();
        let key = format!("k{}", chance.below(6));
        let doc = &mut self.doc;
        // What Automerge refuses of these (incrementing what is no counter) is simply not done.
        let _ = match chance.below(14) {
            0 | 1 => doc.put(&map, key, scalar(chance)),
            2 => doc.put_object(&map, key, kind(chance)).map(drop),
            3 => doc.delete(&map, key),
            4 => doc.increment(&map, key, 3),
            5 if !self.lists.is_empty() => {
                let list = chance.pick(&self.lists).clone();
                let at = chance.below(doc.length(&list) + 1);
                doc.insert_object(&list, at, kind(chance)).map(drop)
            }
            6 | 7 if !self.lists.is_empty() => {
                let list = chance.pick(&self.lists).clone();
                let length = doc.length(&list);
                (0..chance.below(9))
                    .try_for_each(|_| doc.insert(&list, chance.below(length + 1), scalar(chance)))
            }
            8 if !self.lists.is_empty() => {
                let list = chance.pick(&self.lists).clone();
                match doc.length(&list) {
                    0 => Ok(()),
                    length if chance.below(2) == 0 => doc.delete(&list, chance.below(length)),
                    length => doc.put(&list, chance.below(length), scalar(chance)),
                }
            }
            9..=11 if !self.texts.is_empty() => {
                let text = chance.pick(&self.texts).clone();
                let length = doc.length(&text);
                let at = chance.below(length + 1);
                let delete = chance.below((length - at).min(6) + 1) as isize;
                let insert = ["", "a", "ää", "hello there", "😀 ok", "aaaaaaaaaaaa"];
                doc.splice_text(&text, at, delete, chance.pick::<&str>(&insert))
            }
            12 if !self.texts.is_empty() => {
                let text = chance.pick(&self.texts).clone();
                match doc.length(&text) {
                    0 => Ok(()),
                    length => {
                        let start = chance.below(length);
                        let end = start + 1 + chance.below(length - start);
                        doc.mark(
                            &text,
                            Mark::new("bold".into(), true, start, end),
                            ExpandMark::Both,
                        )
                    }
                }
            }
            _ => doc
                .put_object(ROOT, format!("t{}", chance.below(3)), ObjType::Text)
                .map(drop),
        };
    }
}

fn kind(chance: &mut Chance) -> ObjType {
    *chance.pick(&[ObjType::Map, ObjType::List, ObjType::Text])
}

fn scalar(chance: &mut Chance) -> ScalarValue {
    match chance.below(10) {
        0 => ScalarValue::Null,
        1 => true.into(),
        2 => false.into(),
        3 => ScalarValue::Uint(chance.next()),
        4 => ScalarValue::Int(chance.next() as i64),
        5 => 0.5f64.into(),
        6 => "some text, ünd more".into(),
        7 => ScalarValue::Bytes(vec![7; chance.below(40)]),
        8 => ScalarValue::counter(5),
        _ => ScalarValue::Timestamp(-3),
    }
}

/// The raw chunks of a few documents that several people edit at random and merge now and then.
fn random_changes(seed: u64, steps: usize) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(seed);
    let mut authors: Vec<Author> = (0..3u8)
        .map(|n| Author {
            doc: AutoCommit::new().with_actor(automerge::ActorId::from([n * 7 + 3; 16])),
            maps: vec![],
            lists: vec![],
            texts: vec![],
        })
        .collect();
    let mut chunks = Vec::new();
    for _ in 0..steps {
        let who = chance.below(3);
        for _ in 0..=chance.below(4) {
            authors[who].act(&mut chance);
        }
        let time = chance.next() as i64 >> (11 + chance.below(50));
        let mut options = CommitOptions::default().with_time(time);
        if chance.below(5) == 0 {
            options = options.with_message("something");
        }
        if authors[who].doc.commit_with(options).is_some() {
            chunks.push(
                authors[who]
                    .doc
                    .get_last_local_change()
                    .unwrap()
                    .raw_bytes()
                    .to_vec(),
            );
        }
        if chance.below(3) == 0 {
            let mut other = authors[chance.below(3)].doc.fork();
            authors[who].doc.merge(&mut other).unwrap();
        }
    }
    chunks
}

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
            assert_eq!(ours.time.0, theirs.timestamp());
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

#[test]
fn hostile_headers_are_refused() {
    let good = || repeated(2);
    assert!(format_only(&good().chunk()).is_ok());
    let check = |what: &str, change: &dyn Fn(&mut Raw), reason: Reason| {
        let mut raw = good();
        change(&mut raw);
        assert_eq!(format_only(&raw.chunk()), Err(reason), "{what}");
    };
    check(
        "a document chunk",
        &|raw| raw.chunk_type = 0,
        Reason::Malformed,
    );
    check(
        "a deflated change",
        &|raw| raw.chunk_type = 2,
        Reason::Malformed,
    );
    check("a bundle", &|raw| raw.chunk_type = 3, Reason::Malformed);
    check(
        "bytes after the columns",
        &|raw| raw.extra = vec![1, 0],
        Reason::Malformed,
    );
    check("sequence number 0", &|raw| raw.seq = 0, Reason::Malformed);
    check(
        "first counter 0",
        &|raw| raw.start_op = 0,
        Reason::Malformed,
    );
    check(
        "more changes than operations",
        &|raw| raw.seq = 9,
        Reason::Malformed,
    );
    check(
        "a counter of 2^32 - 1",
        &|raw| raw.start_op = u64::from(u32::MAX),
        Reason::TooLarge,
    );
    check(
        "a counter of 2^64 - 1",
        &|raw| raw.start_op = u64::MAX,
        Reason::TooLarge,
    );
    check(
        "the greatest counter passed",
        &|raw| raw.start_op = (1 << 31) - 1,
        Reason::TooLarge,
    );
    check(
        "a short actor",
        &|raw| raw.actor = vec![1; 15],
        Reason::Malformed,
    );
    check(
        "a long actor",
        &|raw| raw.actor = vec![1; 32],
        Reason::Malformed,
    );
    check(
        "65 dependencies",
        &|raw| raw.deps = (0..65).map(|n| [n; 32]).collect(),
        Reason::TooLarge,
    );
    check(
        "a dependency twice",
        &|raw| raw.deps = vec![[1; 32]; 2],
        Reason::Malformed,
    );
    check(
        "dependencies out of order",
        &|raw| raw.deps = vec![[2; 32], [1; 32]],
        Reason::Malformed,
    );
    check(
        "an unused actor",
        &|raw| raw.others = vec![vec![8; 16]],
        Reason::Malformed,
    );
    check(
        "its own actor again",
        &|raw| raw.others = vec![raw.actor.clone()],
        Reason::Malformed,
    );
    check(
        "a long message",
        &|raw| raw.message = vec![b'a'; 513],
        Reason::TooLarge,
    );
    check(
        "a message that is no text",
        &|raw| raw.message = vec![0xff],
        Reason::Malformed,
    );
    check(
        "a deflated column",
        &|raw| raw.columns[0].0 |= 8,
        Reason::Malformed,
    );
    check(
        "an unknown column",
        &|raw| raw.columns.push((0xb5, vec![2, 0])),
        Reason::Malformed,
    );
    check(
        "columns out of order",
        &|raw| raw.columns.swap(0, 1),
        Reason::Malformed,
    );
    check(
        "a column twice",
        &|raw| raw.columns.insert(0, raw.columns[0].clone()),
        Reason::Malformed,
    );
    check(
        "no operation",
        &|raw| raw.columns.clear(),
        Reason::Malformed,
    );
    check(
        "an unknown action",
        &|raw| raw.columns[2].1 = vec![2, 8],
        Reason::Malformed,
    );
    check(
        "a deletion of nothing",
        &|raw| raw.columns[2].1 = vec![2, 3],
        Reason::Malformed,
    );
    check(
        "a run of one",
        &|raw| raw.columns[2].1 = vec![1, 1, 1, 1],
        Reason::Malformed,
    );
    check(
        "a run as two",
        &|raw| raw.columns[2].1 = vec![0x7e, 1, 1],
        Reason::Malformed,
    );
    check(
        "a run of nothing",
        &|raw| raw.columns[2].1 = vec![0, 2],
        Reason::Malformed,
    );
    check(
        "a value too long",
        &|raw| raw.columns[3].1 = vec![2, 0x16],
        Reason::Malformed,
    );
    check(
        "a null with a length",
        &|raw| {
            raw.columns[3].1 = vec![2, 0x10];
            raw.columns.insert(4, (0x57, vec![0, 0]));
        },
        Reason::Malformed,
    );
    check(
        "an object of the future",
        &|raw| {
            raw.columns.insert(0, (0x01, vec![2, 0]));
            raw.columns.insert(1, (0x02, vec![2, 77]));
        },
        Reason::Malformed,
    );
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
