//! What is read together is what is read one by one.

use std::{cell::RefCell, collections::BTreeSet};

use names::{ActorId, Kind, Reason, limits};

use crate::{
    genesis,
    preflight::{
        self,
        columns::Columns,
        input::Input,
        op::{Action, Ids, Key, Object, Op, OpId, Reader, Value},
        shape::Shape,
        uses::{Made, Uses},
    },
    testing::{Chance, Raw, random_changes, sleb, uleb},
};

/// What is read of one operation.
#[derive(PartialEq)]
struct Seen<'a> {
    counter: u64,
    object: Object,
    key: Key<'a>,
    insert: bool,
    action: Action,
    is_text: bool,
    replaced: Vec<OpId>,
}

/// All operations of a change, and how often several came together.
struct Seens<'a> {
    all: Vec<Seen<'a>>,
    several: usize,
}

impl<'a> Seens<'a> {
    fn note(&mut self, op: &Op<'a>, replaced: &[Ids]) {
        let is_character = matches!(op.value, Value::Text(text) if text.chars().count() == 1);
        self.several += usize::from(op.count > 1);
        for place in 0..op.count {
            let after = |id: OpId| OpId {
                counter: id
                    .counter
                    .strict_add_signed(op.step * i64::try_from(place).unwrap()),
                ..id
            };
            let key = match op.key {
                Key::Element(element) if !op.insert => Key::Element(after(element)),
                key if place == 0 => key,
                Key::Element(_) | Key::Name(_) | Key::Head => Key::Element(OpId {
                    counter: op.counter + place - 1,
                    actor: 0,
                }),
            };
            self.all.push(Seen {
                counter: op.counter + place,
                object: op.object,
                key,
                insert: op.insert,
                action: op.action,
                is_text: is_character || (place > 0 && op.insert),
                replaced: replaced.iter().flat_map(each).map(after).collect(),
            });
        }
    }
}

fn each(ids: &Ids) -> impl Iterator<Item = OpId> {
    let Ids { first, count, step } = *ids;
    (0..i64::try_from(count).unwrap()).map(move |place| OpId {
        counter: first.counter.strict_add_signed(place * step),
        ..first
    })
}

type Visit<'a, 'v> = dyn FnMut(&Op<'a>, &[Ids], &[ActorId], u64) -> Result<(), Reason> + 'v;

/// Reads the operations of a change, each alone or as they come together.
fn read<'a>(chunk: &'a [u8], together: bool, visit: &mut Visit<'a, '_>) -> Result<(), Reason> {
    let (_, body) = preflight::bounded_envelope(chunk)?;
    let mut input = Input::new(body);
    preflight::read_deps(&mut input)?;
    let actor = preflight::read_actor(&mut input)?;
    let (_, start) = (input.uleb()?, input.uleb()?);
    preflight::read_time(&mut input)?;
    let message = input.length(limits::LINE_BYTES_MAX)?;
    input.take(message)?;
    let actors = [vec![actor], preflight::read_named(&mut input, actor)?].concat();
    let columns = Columns::read(&mut input)?;
    let (count, _) = columns.count()?;
    if together {
        return Reader::read(&columns, &actors, start, count, &mut |op, replaced| {
            visit(op, replaced, &actors, start)
        });
    }
    let mut reader = Reader::new(&columns, &actors, start)?;
    for counter in start..start.saturating_add(count) {
        let op = reader.next(counter)?;
        visit(&op, &reader.replacing, &actors, start)?;
        reader.note(&op);
    }
    reader.finish()
}

fn operations(chunk: &[u8], together: bool) -> Result<Seens<'_>, Reason> {
    let seens = RefCell::new(Seens {
        all: Vec::new(),
        several: 0,
    });
    read(chunk, together, &mut |op, replaced, _, _| {
        seens.borrow_mut().note(op, replaced);
        Ok(())
    })?;
    Ok(seens.into_inner())
}

fn uses(chunk: &[u8], together: bool) -> Result<Uses, Reason> {
    let mut shape = Shape::default();
    read(chunk, together, &mut |op, replaced, actors, start| {
        shape.take(op, replaced, actors, start)
    })?;
    shape.finish()
}

/// What is named, one by one.
fn named(uses: &Uses) -> BTreeSet<(usize, String, u64)> {
    let mut all = BTreeSet::new();
    for of in &uses.names {
        let counters = (of.first..=of.last).step_by(of.step.max(1) as usize);
        all.extend(counters.map(|counter| (of.actor, format!("{:?}", of.made), counter)));
    }
    all
}

/// Both ways of reading give the same; how often operations came together, where it is one to read.
fn assert_alike(chunk: &[u8]) -> Option<usize> {
    let (together, alone) = (operations(chunk, true), operations(chunk, false));
    assert_eq!(together.as_ref().err(), alone.as_ref().err());
    match (uses(chunk, true), uses(chunk, false)) {
        (Ok(together), Ok(alone)) => {
            assert_eq!(named(&together), named(&alone));
            assert_eq!(together.makes, alone.makes);
            assert_eq!(together.replaced, alone.replaced);
            assert_eq!(together.characters, alone.characters);
        }
        (together, alone) => assert_eq!(together.err(), alone.err()),
    }
    let (together, alone) = (together.ok()?, alone.ok()?);
    assert!(together.all == alone.all);
    Some(together.several)
}

#[test]
fn real_changes_are_read_alike_together_and_one_by_one() {
    let mut chance = Chance::new(17);
    let (mut several, mut refused) = (0, 0);
    for chunk in (0..8).flat_map(|seed| random_changes(seed, 120)) {
        for altered in 0..20 {
            let mut chunk = chunk.clone();
            if altered > 0 {
                let at = chance.below(chunk.len());
                chunk[at] ^= 1 << chance.below(8);
            }
            if let Some(chunk) = crate::testing::mend(&chunk) {
                match assert_alike(&chunk) {
                    Some(times) => several += times,
                    None => refused += 1,
                }
            }
        }
    }
    assert!(
        several > 300 && refused > 1_000,
        "{several}, {refused} refused"
    );
}

/// Elements that are deleted: whose, the first, how many, and how far each is from the one before.
type Stretch = (usize, u64, u64, i64);

/// A column of steps, or of numbers below 64, in the form Automerge writes: the same again is a run.
fn column(values: &[i64]) -> Vec<u8> {
    let runs: Vec<&[i64]> = values.chunk_by(|one, next| one == next).collect();
    let mut column = Vec::new();
    let mut rest = runs.as_slice();
    while let Some(run) = rest.first() {
        let literal = rest.iter().take_while(|run| run.len() == 1).count();
        let taken = literal.max(1);
        match literal {
            0 => column.extend([sleb(run.len() as i64), sleb(run[0])].concat()),
            _ => column.extend(sleb(-(literal as i64))),
        }
        let literals = rest.iter().take(literal);
        literals.for_each(|run| column.extend(sleb(run[0])));
        rest = &rest[taken..];
    }
    column
}

fn steps(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut last = 0;
    values
        .map(|value| value - std::mem::replace(&mut last, value))
        .collect()
}

/// A change from counter `start` that types `typed` characters into a text and deletes these; the last
/// `askew` of them each replace one a step further away than their own.
fn deleting(start: u64, typed: u64, stretches: &[Stretch], askew: usize) -> Vec<u8> {
    let behind = |place| match place {
        0 => 0,
        _ => start as i64 + place - 1,
    };
    let keys: Vec<i64> = (0..typed as i64).map(behind).collect();
    let genesis = genesis::genesis(Kind::CASE).unwrap().actor.0;
    let objects = vec![genesis::TEXT_OP as i64; keys.len()];
    changed(start, genesis, &objects, &keys, stretches, askew)
}

/// The same in two texts of a migration that nobody knows, by turns, each at the beginning of its text.
fn deleting_across(start: u64, typed: u64, stretches: &[Stretch], askew: usize) -> Vec<u8> {
    let mut unknown = genesis::genesis(Kind::CASE).unwrap().actor.0;
    unknown[15] = 9;
    let objects: Vec<i64> = (0..typed as i64).map(|place| 9 + place % 2).collect();
    let keys = vec![0; objects.len()];
    changed(start, unknown, &objects, &keys, stretches, askew)
}

/// Characters typed into these objects behind these keys, then deletions in the first of them.
fn changed(
    start: u64,
    maker: [u8; 16],
    objects: &[i64],
    keys: &[i64],
    stretches: &[Stretch],
    askew: usize,
) -> Vec<u8> {
    let mut deleted = Vec::new();
    for (actor, first, count, step) in stretches {
        let places = 0..i64::try_from(*count).unwrap();
        deleted.extend(places.map(|place| (*actor as i64, *first as i64 + place * step)));
    }
    let length = keys.len();
    let all = length + deleted.len();
    let elements = || deleted.iter().map(|(_, counter)| *counter);
    let mut replaced = steps(elements());
    replaced
        .iter_mut()
        .rev()
        .take(askew)
        .for_each(|step| *step += 1);
    let runs = |typed: i64, deleted: i64| {
        column(&[vec![typed; length], vec![deleted; all - length]].concat())
    };
    let actors: Vec<i64> = deleted.iter().map(|(actor, _)| *actor).collect();
    // The beginning of a text is nobody's element.
    let heads = keys.iter().filter(|key| **key == 0).count();
    let mut key_actors = column(&[vec![0; length - heads], actors.clone()].concat());
    if heads > 0 {
        let mut nulls = vec![0];
        uleb(&mut nulls, heads as u64);
        key_actors.splice(0..0, nulls);
    }
    let mut insert = Vec::new();
    match length {
        0 => uleb(&mut insert, all as u64),
        _ => [0, length, all - length]
            .into_iter()
            .for_each(|count| uleb(&mut insert, count as u64)),
    }
    let object = objects.first().copied();
    let object = object.unwrap_or(genesis::TEXT_OP as i64);
    let objects = [objects, &vec![object; deleted.len()]].concat();
    let keys: Vec<i64> = keys.iter().copied().chain(elements()).collect();
    let mut columns = vec![
        (0x01, column(&vec![1; all])),
        (0x02, column(&objects)),
        (0x11, key_actors),
        (0x13, column(&steps(keys.into_iter()))),
        (0x34, insert),
        (0x42, runs(1, 3)),
        (0x56, runs(0x16, 0)),
        (0x57, vec![b'a'; length]),
        (0x70, runs(0, 1)),
        (0x71, column(&actors)),
        (0x73, column(&replaced)),
    ];
    columns.retain(|(_, bytes)| !bytes.is_empty());
    let mut others = vec![maker.to_vec()];
    if stretches.iter().any(|(actor, ..)| *actor == 2) {
        others.push(vec![0xff; 16]);
    }
    let raw = Raw {
        start_op: start,
        others,
        columns,
        ..Raw::default()
    };
    raw.chunk()
}

#[test]
fn twenty_thousand_deletions_in_a_hundred_bytes_are_read_as_one() {
    for step in [1, 2, -1, -7, 1_000] {
        let first = if step < 0 { 200_000 } else { 7 };
        let chunk = deleting(50_000_000, 0, &[(2, first, 20_000, step)], 0);
        assert!(chunk.len() < 150, "{} bytes", chunk.len());
        assert_eq!(assert_alike(&chunk), Some(1));
        let (header, uses) = preflight::judged(&chunk, Shape::default()).unwrap();
        assert_eq!((header.ops, uses.replaced), (20_000, 20_000));
        let [of] = uses.names.as_slice() else {
            panic!("{} references", uses.names.len());
        };
        assert_eq!(
            (of.step, of.made.clone()),
            (step.unsigned_abs(), Made::Character(1))
        );
    }
}

#[test]
fn no_character_goes_twice() {
    let twice: &[&[Stretch]] = &[
        &[(2, 7, 1, 0), (2, 7, 1, 0)],
        &[(2, 7, 20_000, 0)],
        &[(2, 7, 100, 1), (2, 106, 50, 1)],
        &[(2, 7, 100, 2), (2, 206, 50, -3)],
        &[(0, 7, 100, 1), (2, 3, 2, 1), (0, 7, 1, 0)],
        &[(2, 10, 3, 3), (2, 11, 4, 1)],
    ];
    for stretches in twice {
        let chunk = deleting(100_000, 0, stretches, 0);
        assert_alike(&chunk);
        assert_eq!(
            preflight::header(&chunk),
            Err(Reason::Malformed),
            "{stretches:?}"
        );
    }
    let once: &[&[Stretch]] = &[
        &[(2, 7, 100, 1), (0, 7, 100, 1)],
        &[(2, 7, 100, 2), (2, 8, 100, 2)],
        &[(2, 7, 100, 2), (2, 206, 100, -2)],
    ];
    for stretches in once {
        let chunk = deleting(100_000, 0, stretches, 0);
        assert_eq!(
            preflight::header(&chunk).map(|header| header.ops),
            Ok(200),
            "{stretches:?}"
        );
    }
}

#[test]
fn each_deletion_replaces_the_character_that_it_deletes() {
    for askew in [1, 19, 20] {
        let chunk = deleting(100, 0, &[(2, 7, 20, 1)], askew);
        assert_alike(&chunk);
        assert_eq!(preflight::header(&chunk), Err(Reason::Malformed), "{askew}");
    }
    // Two characters typed behind others' let the deleted ones, 3, 4 and 5, count on from theirs: those
    // that are replaced, 3, 6 and 9, begin alike and do not.
    let raw = Raw {
        start_op: 100,
        others: vec![
            genesis::genesis(Kind::CASE).unwrap().actor.0.to_vec(),
            vec![0xff; 16],
        ],
        columns: vec![
            (0x01, column(&[1; 5])),
            (0x02, column(&[genesis::TEXT_OP as i64; 5])),
            (0x11, column(&[2; 5])),
            (0x13, column(&[1; 5])),
            (0x34, vec![0, 2, 3]),
            (0x42, column(&[1, 1, 3, 3, 3])),
            (0x56, column(&[0x16, 0x16, 0, 0, 0])),
            (0x57, b"ab".to_vec()),
            (0x70, column(&[0, 0, 1, 1, 1])),
            (0x71, column(&[2; 3])),
            (0x73, column(&[3; 3])),
        ],
        ..Raw::default()
    };
    let refused = |raw: &Raw| {
        assert_alike(&raw.chunk());
        preflight::header(&raw.chunk()).err()
    };
    assert_eq!(refused(&raw), Some(Reason::Malformed));
    let mut good = raw.clone();
    good.columns[10].1 = column(&[3, 1, 1]);
    assert_eq!(refused(&good), None);
}

/// Deletions of others' characters, of one's own before and of those of this change, at the edges of
/// what there can be.
#[test]
fn whatever_is_deleted_is_read_alike_together_and_one_by_one() {
    let mut chance = Chance::new(23);
    for deleting in [deleting, deleting_across] {
        let (mut several, mut passed, mut refused) = (0, 0, 0);
        for _ in 0..20_000 {
            let start = 1 + chance.below(60) as u64;
            let typed = chance.below(3) as u64 * chance.below(20) as u64;
            let mut stretches = Vec::new();
            for _ in 0..1 + chance.below(3) {
                let (actor, step) = (2 * chance.below(2), chance.below(9) as i64 - 4);
                let (first, count) = match chance.below(2) {
                    0 => (1 + chance.below(90) as i64, 1 + chance.below(25) as i64),
                    _ => (
                        start as i64 + chance.below(9) as i64,
                        1 + chance.below(9) as i64,
                    ),
                };
                // A counter below nought cannot be written at all.
                let count = match step < 0 {
                    true => count.min(first / -step + 1),
                    false => count,
                };
                stretches.push((actor, first as u64, count as u64, step));
            }
            let askew = match chance.below(8) {
                0 => chance.below(25),
                _ => 0,
            };
            let chunk = deleting(start, typed, &stretches, askew);
            several += assert_alike(&chunk).unwrap_or(0);
            match preflight::header(&chunk) {
                Ok(_) => passed += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(
            several > 1_000 && passed > 500 && refused > 5_000,
            "{several} together, {passed} passed, {refused} were refused"
        );
    }
}

/// Each of a few characters over and over, in steps that no two of them stand beside each other for:
/// found out when there are more deletions than characters, not after twenty thousand.
#[test]
fn what_a_change_made_itself_goes_no_oftener_than_it_was_made() {
    let sweeps: Vec<Stretch> = (0..80)
        .map(|sweep| match sweep % 2 {
            0 => (0, 100, 100, 2),
            _ => (0, 298, 100, -2),
        })
        .collect();
    let chunk = deleting_across(100, 200, &sweeps, 0);
    let mut seen = 0;
    let mut shape = Shape::default();
    let refused = read(&chunk, true, &mut |op, replaced, actors, start| {
        seen += op.count;
        shape.take(op, replaced, actors, start)
    });
    assert_eq!(refused, Err(Reason::Malformed));
    assert!((300..=401).contains(&seen), "{seen} operations were read");
    // Each once is no more than there is.
    let chunk = deleting_across(100, 200, &sweeps[..1], 0);
    assert_eq!(preflight::header(&chunk).map(|header| header.ops), Ok(300));
}

/// A change from counter `start` that sets as many fields as there are names, the last of them in place
/// of these.
fn setting(start: u64, names: &[&str], replaced: &[(usize, u64)]) -> Vec<u8> {
    let all = names.len();
    let actors: Vec<i64> = replaced.iter().map(|(actor, _)| *actor as i64).collect();
    let counters = replaced.iter().map(|(_, counter)| *counter as i64);
    let mut counts = vec![0; all - 1];
    counts.push(replaced.len() as i64);
    let mut named = sleb(-(all as i64));
    for name in names {
        uleb(&mut named, name.len() as u64);
        named.extend(name.as_bytes());
    }
    let mut others = vec![genesis::genesis(Kind::CASE).unwrap().actor.0.to_vec()];
    if actors.contains(&2) {
        others.push(vec![0xff; 16]);
    }
    let raw = Raw {
        start_op: start,
        others,
        columns: vec![
            (0x01, column(&vec![1; all])),
            (0x02, column(&vec![genesis::FIELDS_OP as i64; all])),
            (0x15, named),
            (0x34, vec![all as u8]),
            (0x42, column(&vec![1; all])),
            (0x56, column(&vec![0; all])),
            (0x70, column(&counts)),
            (0x71, column(&actors)),
            (0x73, column(&steps(counters))),
        ],
        ..Raw::default()
    };
    raw.chunk()
}

/// A value replaces those of earlier changes, in ascending order, whether they are read together or not.
#[test]
fn what_a_value_replaces_is_read_as_it_was_written() {
    let mut chance = Chance::new(29);
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let start = 20 + chance.below(60) as u64;
        let (mut replaced, mut counter) = (Vec::new(), chance.below(9) as u64);
        for _ in 0..1 + chance.below(4) {
            let (actor, step) = (2 * chance.below(2), chance.below(4) as u64);
            for _ in 0..1 + chance.below(8) {
                replaced.push((actor, counter));
                counter += step;
            }
        }
        let key = |(actor, counter): &(usize, u64)| (*counter, *actor);
        let is_sorted = replaced.is_sorted_by(|one, next| key(one) < key(next));
        let names = &["alert", "risk", "room"][chance.below(3)..];
        let in_reach = |(actor, counter): &(usize, u64)| match actor {
            0 => (1..start).contains(counter),
            _ => (1..start + names.len() as u64 - 1).contains(counter),
        };
        let chunk = setting(start, names, &replaced);
        match preflight::judged(&chunk, Shape::default()) {
            Ok((_, uses)) => {
                assert!(is_sorted && replaced.iter().all(in_reach));
                let field = format!("{:?}", Made::Field("room".into()));
                let all = replaced.iter();
                let all = all.map(|(actor, counter)| (*actor, field.clone(), *counter));
                assert_eq!(named(&uses), all.collect());
                assert_eq!(uses.replaced, replaced.len() as u64);
                passed += 1;
            }
            Err(_) => {
                assert!(!is_sorted || !replaced.iter().all(in_reach));
                refused += 1;
            }
        }
    }
    assert!(
        passed > 1_000 && refused > 1_000,
        "{passed} passed, {refused} were refused"
    );
}
