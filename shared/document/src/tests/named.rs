//! Nobody's entry is hidden by what a change names, and nothing is named that is not in its past.

use automerge::{
    Change,
    legacy::{ElementId, Key, Op, OpId},
};
use domain::{Flaw, FlawAt};
use names::Reason;
use proptest::prelude::*;

use super::{
    crafted::{as_performed, deleted, filled, in_name_of, inserted, on_top, op_id, set, typed},
    *,
};
use crate::preflight;

const HOSTILE: ActorId = ActorId([0x77; 16]);

fn flaw(chunk: &[u8], reason: Reason) -> Flaw {
    let hash = preflight::hash(chunk).unwrap();
    let at = FlawAt::Change(hash);
    Flaw { at, reason }
}

fn alert() -> Command {
    Command::RaiseAlert {
        code: AlertCode::DoNotVisitAlone,
        detail: Text::from("seen"),
        review_by: None,
    }
}

/// A case with an alert, a text and two fields; the change that each was made by.
fn case() -> (Replica, [Performed; 5]) {
    let field = |field, value| Command::SetField {
        field,
        value: Text::from(value),
    };
    let mut replica = Replica::new(Kind::CASE, 1);
    let mut number = 0;
    let changes = [
        open_case(),
        alert(),
        edit(0, 0, "plan"),
        field(Field::Pronouns, "they"),
        field(Field::PreferredContact, "phone"),
    ]
    .map(|command| {
        number += 1;
        replica.perform(&command, entry(number)).unwrap()
    });
    (replica, changes)
}

/// The last operation of a change: the field it sets, or the last character it types.
fn last_of(done: &Performed) -> OpId {
    op_id(done.header.max_op, done.header.actor)
}

fn entry_of(done: &Performed) -> OpId {
    op_id(done.header.start_op, done.header.actor)
}

/// Fields in place of what is no value of theirs, and what is wrong with each.
fn fields(changes: &[Performed; 5]) -> Vec<(&'static str, Vec<Op>)> {
    let [_, alert, plan, pronouns, contact] = changes;
    let (entry, inside) = (entry_of(alert), op_id(alert.header.start_op + 1, actor(1)));
    let in_place_of = |replaced: Vec<OpId>| set("pronouns", "x", replaced);
    let own = op_id(contact.header.max_op + 1, HOSTILE);
    vec![
        (
            "an alert",
            vec![inserted(None), in_place_of(vec![entry.clone()])],
        ),
        (
            "an alert, and nothing else in the change",
            vec![in_place_of(vec![entry.clone()])],
        ),
        ("what an alert says", vec![in_place_of(vec![inside])]),
        (
            "its value and an alert",
            vec![in_place_of(vec![last_of(pronouns), entry])],
        ),
        ("another field", vec![in_place_of(vec![last_of(contact)])]),
        ("a character", vec![in_place_of(vec![last_of(plan)])]),
        ("the text itself", vec![in_place_of(vec![genesis_op(4)])]),
        (
            "what the same change sets",
            vec![set("room", "x", vec![]), in_place_of(vec![own])],
        ),
    ]
}

/// Elements of the wrong place, and what is wrong with each.
fn elements(changes: &[Performed; 5]) -> Vec<(&'static str, Vec<Op>)> {
    let [_, alert, plan, ..] = changes;
    let (entry, n) = (entry_of(alert), last_of(plan));
    vec![
        (
            "a character deleted, and an alert with it",
            vec![deleted(n.clone(), vec![n.clone(), entry.clone()])],
        ),
        (
            "a character deleted in name, and an alert in deed",
            vec![deleted(n.clone(), vec![entry.clone()])],
        ),
        (
            "an alert deleted from the text",
            vec![deleted(entry.clone(), vec![entry.clone()])],
        ),
        ("a character behind an alert", vec![typed("x", Some(entry))]),
        ("an entry behind a character", vec![inserted(Some(n))]),
        (
            "a character behind one that never was",
            vec![typed("x", Some(op_id(1, actor(1))))],
        ),
    ]
}

/// Automerge looks up by its id alone what a change names.
#[test]
fn what_a_change_names_was_made_for_that_place() {
    let (replica, changes) = case();
    for (what, ops) in [fields(&changes), elements(&changes)].concat() {
        let [.., last] = &changes;
        let chunk = on_top(HOSTILE, &[last], ops);
        for hot in [true, false] {
            let mut doc = replica.doc.clone();
            if hot {
                doc.view();
            }
            let before = (doc.read().0, journal(&mut doc));
            let flaws = doc.apply(&[&chunk]);
            assert_eq!(flaws, [flaw(&chunk, Reason::Malformed)], "{what}");
            assert_eq!((doc.read().0, journal(&mut doc)), before, "{what}");
        }
    }
}

fn genesis_op(counter: u64) -> OpId {
    op_id(counter, crate::genesis::genesis(Kind::CASE).unwrap().actor)
}

/// The same with nothing wrong, so that the test above is one of what is.
#[test]
fn what_honest_changes_name_is_taken() {
    let (replica, [_, alert, plan, pronouns, title]) = case();
    let (p, n) = (op_id(plan.header.max_op - 3, actor(1)), last_of(&plan));
    let (map, x) = (title.header.max_op + 1, title.header.max_op + 3);
    let chunk = on_top(
        HOSTILE,
        &[&title],
        vec![
            inserted(Some(entry_of(&alert))),
            filled(op_id(map, HOSTILE), "id", "x".into()),
            typed("x", Some(n.clone())),
            typed("y", Some(op_id(x, HOSTILE))),
            deleted(op_id(x, HOSTILE), vec![op_id(x, HOSTILE)]),
            deleted(p.clone(), vec![p]),
            deleted(n.clone(), vec![n]),
            set("pronouns", "x", vec![last_of(&pronouns)]),
        ],
    );
    let mut doc = replica.doc.clone();
    assert_eq!(doc.apply(&[&chunk]), []);
    assert_eq!(doc.state().prose().text().as_str(), "lay");
}

/// Should an entry be hidden all the same, that is told.
#[test]
fn an_entry_that_is_missing_is_a_flaw() {
    let (mut replica, [opened, alert, .., title]) = case();
    assert_eq!(replica.doc.read().1, []);
    let both = vec![entry_of(&opened), entry_of(&alert)];
    let ops = vec![inserted(None), set("pronouns", "x", both)];
    let chunk = on_top(HOSTILE, &[&title], ops);
    let past_all_judging = Change::from_bytes(chunk).unwrap();
    replica.doc.auto.apply_changes([past_all_judging]).unwrap();
    replica.doc.reading = None;
    let cannot_open = Flaw {
        at: FlawAt::Document,
        reason: Reason::CannotOpen,
    };
    assert!(replica.doc.view().1.contains(&cannot_open));
}

#[test]
fn one_operation_is_one_character() {
    let (replica, [.., title]) = case();
    for text in ["", "ab", "e\u{301}", &"x".repeat(1 << 16)] {
        let chunk = on_top(HOSTILE, &[&title], vec![typed(text, None)]);
        assert_eq!(preflight::header(&chunk), Err(Reason::Malformed));
    }
    let chunk = on_top(HOSTILE, &[&title], vec![typed("😀", None)]);
    assert_eq!(replica.doc.clone().apply(&[&chunk]), []);
}

/// Every order of a few things.
pub(super) fn orders<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = of.split_first() else {
        return vec![vec![]];
    };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut longer = order.clone();
            longer.insert(at, first.clone());
            all.push(longer);
        }
    }
    all
}

/// However these come, the document says the same in the end, and of the same changes that they
/// are left out.
fn assert_same_in_every_order(chunks: &[&[u8]]) -> (Document, Vec<Flaw>) {
    let mut cold = Document::new(Kind::CASE).unwrap();
    cold.apply(chunks);
    let expected = cold.read();
    for order in orders(chunks) {
        let mut hot = Document::new(Kind::CASE).unwrap();
        for (at, chunk) in order.iter().enumerate() {
            hot.apply(&[chunk]);
            if at % 2 == 0 {
                hot.view();
            }
        }
        assert_eq!(hot.read(), expected);
        assert_eq!(hot.heads(), cold.heads());
        let mut cold = Document::new(Kind::CASE).unwrap();
        cold.apply(&order);
        assert_eq!(cold.read(), expected);
    }
    (cold, expected.1)
}

/// H names what one of `theirs` typed and does not build on it. Were it taken where that is here
/// already, later changes on top of it would open there and nowhere else.
#[test]
fn what_is_left_out_does_not_hang_on_what_came_first() {
    let mut replica = Replica::new(Kind::CASE, 1);
    let opened = replica.perform(&open_case(), entry(1)).unwrap();
    let counter = opened.header.max_op + 1;
    let theirs = as_performed(on_top(actor(5), &[&opened], vec![typed("a", None)]));
    let ops = vec![typed("b", None), typed("c", Some(op_id(counter, actor(5))))];
    let h = as_performed(on_top(HOSTILE, &[&opened], ops));
    let later = on_top(actor(6), &[&theirs, &h], vec![typed("d", None)]);
    replica.doc.apply(&[&theirs.chunk]);
    let honest = replica.perform(&note("innocent"), entry(2)).unwrap();
    let chunks: [&[u8]; 5] = [
        &opened.chunk,
        &theirs.chunk,
        &h.chunk,
        &later,
        &honest.chunk,
    ];
    let (mut doc, mut flaws) = assert_same_in_every_order(&chunks);
    flaws.sort_by_key(|flaw| flaw.reason);
    let malformed = flaw(&h.chunk, Reason::Malformed);
    assert_eq!(flaws, [malformed, flaw(&later, Reason::CannotOpen)]);
    assert_eq!(journal(&mut doc).len(), 2);
}

/// Two stores write as one actor (a clone). One branch is left out, with all that builds on it,
/// until the centre rules: the same whichever comes first. Everything else is merged.
#[test]
fn of_two_branches_of_one_actor_one_is_left_out() {
    let mut original = Replica::new(Kind::CASE, 1);
    let opened = original.perform(&open_case(), entry(1)).unwrap();
    let mut clone = Replica::new(Kind::CASE, 1);
    clone.merge(&original, &mut Chance::new(1));
    let mut bystander = Replica::new(Kind::CASE, 2);
    bystander.merge(&original, &mut Chance::new(1));
    let innocent = bystander.perform(&note("innocent"), entry(5)).unwrap();
    let here = original.perform(&note("here"), entry(2)).unwrap();
    let there = clone.perform(&note("there"), entry(3)).unwrap();
    let again = clone.perform(&note("there again"), entry(4)).unwrap();
    let chunks = [&opened, &innocent, &here, &there, &again].map(|done| done.chunk.as_slice());
    let (mut doc, flaws) = assert_same_in_every_order(&chunks);
    let reason = |done: &Performed| {
        let at = FlawAt::Change(done.header.hash);
        flaws.iter().find(|flaw| flaw.at == at).map(|f| f.reason)
    };
    let found = (reason(&here), reason(&there), reason(&again));
    if here.header.hash < there.header.hash {
        let (equivocation, cannot_open) = (Reason::Equivocation, Reason::CannotOpen);
        assert_eq!(found, (None, Some(equivocation), Some(cannot_open)));
    } else {
        assert_eq!(found, (Some(Reason::Equivocation), None, None));
    }
    assert_eq!(flaws.len(), found.1.map_or(1, |_| 2));
    let ids: Vec<EntryId> = journal(&mut doc).into_iter().map(|row| row.0).collect();
    assert!(ids.contains(&entry(1)) && ids.contains(&entry(5)));
}

/// Makes honest changes into hostile ones, and mixes them with honest ones.
fn assault(seed: u64) {
    let mut chance = Chance::new(seed);
    let (replicas, written) = converge::play(Kind::CASE, seed, 40);
    let honest: Vec<Vec<u8>> = replicas[0].chunks.values().cloned().collect();
    let everything: Vec<OpId> = honest
        .iter()
        .map(|chunk| preflight::header(chunk).unwrap())
        .flat_map(|header| (header.start_op..=header.max_op).map(move |n| op_id(n, header.actor)))
        .collect();
    let mut all = honest.clone();
    if everything.is_empty() {
        return;
    }
    for number in 0..30 {
        let who = ActorId([0x40 + number; 16]);
        let chunk = in_name_of(who, chance.pick(&honest).as_slice(), &mut |change| {
            for _ in 0..=chance.below(2) {
                let at = chance.below(change.operations.len());
                let named = chance.pick(&everything).clone();
                let op = &mut change.operations[at];
                match chance.below(5) {
                    0 => op.pred = vec![named].into(),
                    1 => op.pred = op.pred.iter().cloned().chain([named]).collect(),
                    2 => op.key = Key::Seq(ElementId::Id(named)),
                    3 => change.operations.push(deleted(named.clone(), vec![named])),
                    _ => change.operations.push(set("room", "x", vec![named])),
                }
            }
        });
        all.push(chunk);
    }
    let expected = replicas[0].doc.heads();
    let mut said = None;
    for _ in 0..4 {
        let mut doc = Document::new(Kind::CASE).unwrap();
        for at in (1..all.len()).rev() {
            all.swap(at, chance.below(at + 1));
        }
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (some, more) = rest.split_at(1 + chance.below(rest.len()));
            doc.apply(&some.iter().map(Vec::as_slice).collect::<Vec<_>>());
            if chance.below(2) == 0 {
                doc.view();
            }
            rest = more;
        }
        let journal = journal(&mut doc);
        for entry in &written {
            assert!(journal.contains(entry), "an entry is lost");
        }
        let kept = doc.read();
        assert!(kept.1.iter().all(|flaw| flaw.at != FlawAt::Document));
        let left_out = |hash| kept.1.iter().any(|flaw| flaw.at == FlawAt::Change(hash));
        assert!(!expected.iter().any(|head| left_out(*head)));
        assert!(automerge::Automerge::load(&doc.save()).is_ok());
        let said = said.get_or_insert_with(|| (kept.clone(), doc.heads()));
        assert_eq!(
            *said,
            (kept, doc.heads()),
            "another order, another document"
        );
        let done = perform(&mut doc, actor(9), &note("on"), entry(900), &by(1), NOW);
        assert!(matches!(done, Ok(Some(_)) | Err(domain::Refusal::NotOpen)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_hostile_changes_costs_an_honest_entry(seed in any::<u64>()) {
        assault(seed);
    }
}
