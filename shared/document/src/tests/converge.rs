//! However work is spread over replicas and merged, all end with the same.

use automerge::{
    Automerge, AutomergeError, ObjId, ObjType, ROOT, ReadDoc, transaction::Transactable,
};
use proptest::prelude::*;

use super::*;

/// Three people work in their own replicas and merge now and then; then everybody merges.
pub(super) fn play(kind: Kind, seed: u64, steps: usize) -> (Vec<Replica>, Vec<(EntryId, Act)>) {
    let mut chance = Chance::new(seed);
    let mut replicas: Vec<Replica> = (0..3).map(|number| Replica::new(kind, number)).collect();
    let mut written = Vec::new();
    for step in 0..steps {
        let who = chance.below(3);
        if chance.below(4) == 0 {
            let from = chance.below(3);
            merge(&mut replicas, who, from, &mut chance);
        }
        let replica = &mut replicas[who];
        let command = random_command(replica, &mut chance);
        let id = entry(step as u64);
        if replica.perform(&command, id).is_some() {
            written.extend(
                journal(&mut replica.doc)
                    .into_iter()
                    .filter(|row| row.0 == id),
            );
        }
    }
    for round in 0..2 {
        for who in 0..3 {
            for from in [(who + 1 + round) % 3, (who + 2 - round) % 3] {
                merge(&mut replicas, who, from, &mut chance);
            }
        }
    }
    (replicas, written)
}

/// One replica takes what another has.
fn merge(replicas: &mut [Replica], one: usize, other: usize, chance: &mut Chance) {
    if let Ok([one, other]) = replicas.get_disjoint_mut([one, other]) {
        one.merge(other, chance);
    }
}

fn check(kind: Kind, seed: u64) {
    let (mut replicas, written) = play(kind, seed, 60);
    let heads = replicas[0].doc.heads();
    let read = replicas[0].doc.read();
    for replica in &mut replicas {
        assert_eq!(replica.doc.heads(), heads);
        assert_eq!(replica.doc.read(), read);
        assert_eq!(replica.doc.read().1, [], "flaws");
        let mut anew = Document::new(kind).unwrap();
        let chunks: Vec<&[u8]> = replica.chunks.values().map(Vec::as_slice).collect();
        assert_eq!(anew.apply(&chunks), []);
        assert_eq!(anew.read(), read, "what was followed is what is read anew");
        assert_eq!(anew.summary(), replica.doc.summary());
        assert_no_two_objects(&replica.doc.auto);
    }
    let journal = journal(&mut replicas[0].doc);
    for entry in &written {
        assert!(journal.contains(entry), "an entry is lost");
    }
    assert_eq!(journal.len(), written.len());
    let saved = replicas[0].doc.save();
    let loaded = Automerge::load(&saved).unwrap();
    assert_eq!(loaded.get_heads(), replicas[0].doc.auto.get_heads());
}

/// Nowhere in a document do two objects stand under one key or index: one would be hidden.
fn assert_no_two_objects(auto: &Automerge) {
    let objects = |values: Vec<(automerge::Value<'_>, ObjId)>| -> Vec<ObjId> {
        let found: Vec<_> = values
            .into_iter()
            .filter(|(value, _)| value.is_object())
            .map(|(_, id)| id)
            .collect();
        assert!(found.len() < 2, "two objects in one place");
        found
    };
    let mut pending = vec![(ROOT, ObjType::Map)];
    while let Some((parent, kind)) = pending.pop() {
        let children: Vec<ObjId> = match kind {
            ObjType::Map | ObjType::Table => auto
                .keys(&parent)
                .flat_map(|key| objects(auto.get_all(&parent, key).unwrap()))
                .collect(),
            ObjType::List | ObjType::Text => (0..auto.length(&parent))
                .flat_map(|at| objects(auto.get_all(&parent, at).unwrap()))
                .collect(),
        };
        for child in children {
            let kind = auto.object_type(&child).unwrap();
            pending.push((child, kind));
        }
    }
}

/// Two people make an object under one key, which no change of ours may.
#[test]
#[should_panic(expected = "two objects in one place")]
fn two_objects_in_one_place_would_be_found() {
    let mut one = Automerge::new();
    let mut other = one.fork();
    for side in [&mut one, &mut other] {
        side.transact::<_, _, AutomergeError>(|tx| tx.put_object(ROOT, "register", ObjType::List))
            .unwrap();
    }
    one.merge(&mut other).unwrap();
    assert_no_two_objects(&one);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn cases_converge_and_keep_every_entry(seed in any::<u64>()) {
        check(Kind::CASE, seed);
    }

    #[test]
    fn sessions_converge_and_keep_every_entry(seed in any::<u64>()) {
        check(Kind::SESSION, seed);
    }
}

/// Two people type in one text at once, letter by letter, as in a trace of a real session.
#[test]
fn a_text_typed_by_two_people_at_once_converges() {
    for seed in 0..6 {
        let mut chance = Chance::new(seed);
        let mut replicas: Vec<Replica> = (0..2).map(|n| Replica::new(Kind::CASE, n)).collect();
        let opened = replicas[0].perform(&open_case(), entry(u64::MAX)).unwrap();
        replicas[1].doc.apply(&[&opened.chunk]);
        let mut on_the_way: [Vec<Vec<u8>>; 2] = [vec![], vec![]];
        for step in 0..400 {
            let who = chance.below(2);
            if chance.below(5) == 0 {
                for chunk in on_the_way[who].drain(..) {
                    assert_eq!(replicas[who].doc.apply(&[&chunk]), []);
                }
            }
            let length = replicas[who].doc.state().prose().length();
            let at = chance.below(length + 1);
            let delete = usize::from(at < length && chance.below(3) == 0);
            let letters = ["a", "é", "😀", "\n", "word "];
            let command = edit(at, delete, chance.pick::<&str>(&letters));
            let done = replicas[who].perform(&command, entry(step)).unwrap();
            on_the_way[1 - who].push(done.chunk);
        }
        for (replica, chunks) in replicas.iter_mut().zip(&on_the_way) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            assert_eq!(replica.doc.apply(&chunks), []);
            let kept = replica.doc.state().prose().text().clone();
            let text = replica.doc.auto.text(&replica.doc.places.text).unwrap();
            assert_eq!(kept.as_str(), text);
        }
        assert_eq!(replicas[0].doc.read(), replicas[1].doc.read());
        assert_eq!(replicas[0].doc.heads(), replicas[1].doc.heads());
    }
}

/// Two facilitators open the same register offline, mark the same person differently and take
/// cash: under one genesis, every row is there afterwards.
#[test]
fn a_register_opened_twice_keeps_both_sides() {
    let mut chance = Chance::new(1);
    let person = Attender::Person(DocumentId([9; 16]));
    let mut sides: Vec<Replica> = (0..2).map(|n| Replica::new(Kind::SESSION, n)).collect();
    for (n, side) in sides.iter_mut().enumerate() {
        let id = |k: u64| entry(100 * n as u64 + k);
        side.perform(
            &Command::OpenSession {
                venue: Text::from("medway"),
                date: day(),
                start: time("10:00"),
                end: None,
                form: SessionForm::PeerLed,
            },
            id(0),
        )
        .unwrap();
        side.perform(
            &Command::Mark {
                attender: person,
                attendance: [Attendance::Present, Attendance::Absent][n],
                arrived: None,
                left: None,
            },
            id(1),
        )
        .unwrap();
        let cash = Command::TakeCash {
            pence: 250,
            from: None,
            what: Text::from("tea"),
        };
        side.perform(&cash, id(2)).unwrap();
    }
    merge(&mut sides, 0, 1, &mut chance);
    assert_eq!(sides[0].doc.summary().cash_pence, 500);
    assert_eq!(sides[0].doc.summary().attended, 1);
    assert_eq!(sides[0].doc.state().conflicts().len(), 1);
    assert_eq!(journal(&mut sides[0].doc).len(), 6);
}
