//! A migration is one change, however many write it, and nobody has it who does not need it.

use automerge::{ROOT, ReadDoc};
use domain::FlawAt;
use names::Reason;

use super::{
    crafted::{as_performed, op_id, typed},
    *,
};
use crate::{
    genesis::{self, Fixed},
    preflight, schema,
};

fn migration() -> &'static Fixed {
    &genesis::migrations(Kind::CASE)[0]
}

/// Two nodes that hold one case.
fn two_with_a_case() -> [Replica; 2] {
    let mut sides = [1, 2].map(|number| Replica::new(Kind::CASE, number));
    sides[0].perform(&open_case(), entry(1)).unwrap();
    let [one, other] = &mut sides;
    other.merge(one, &mut Chance::new(1));
    sides
}

fn crisis_plan(replica: &mut Replica) -> String {
    let prose = replica.doc.state().prose_of(domain::Writing::CrisisPlan);
    prose.unwrap().text().as_str().to_owned()
}

#[test]
fn two_nodes_that_migrate_apart_make_one_change_and_hide_nothing() {
    let mut sides = two_with_a_case();
    for (number, side) in sides.iter_mut().enumerate() {
        let words = ["Ring Ann. ", "Ring Bob. "][number];
        let done = side.perform(&edit_crisis_plan(0, 0, words), entry(10 + number as u64));
        let done = done.unwrap();
        assert!(done.header.deps.contains(&migration().hash));
        assert!(side.doc.history.holds(&migration().hash));
        // It is an edit that every node takes, whether it knows the migration or not.
        assert_eq!(preflight::header(&done.chunk), Ok(done.header.clone()));
        // Nobody sends a fixed change.
        assert!(!side.chunks.contains_key(&migration().hash));
    }
    let mut chance = Chance::new(2);
    let [one, other] = &mut sides;
    one.merge(other, &mut chance);
    other.merge(one, &mut chance);
    assert_eq!(one.doc.heads(), other.doc.heads());
    assert_eq!(one.doc.read(), other.doc.read());
    assert_eq!(one.doc.read().1, []);
    let text = crisis_plan(one);
    assert!(
        text.contains("Ring Ann. ") && text.contains("Ring Bob. "),
        "{text}"
    );
    for side in [one, other] {
        let all = side.doc.auto.get_all(ROOT, schema::CRISIS_PLAN).unwrap();
        assert_eq!(all.len(), 1, "one object");
        let loaded = automerge::Automerge::load(&side.doc.save()).unwrap();
        assert_eq!(loaded.get_heads(), side.doc.auto.get_heads());
    }
}

#[test]
fn nobody_is_migrated_who_does_not_write_there() {
    let [mut one, _] = two_with_a_case();
    let done = one.perform(&note("nothing of a plan"), entry(2)).unwrap();
    assert!(!done.header.deps.contains(&migration().hash));
    one.perform(&edit(0, 0, "plan"), entry(3)).unwrap();
    assert!(!one.doc.history.holds(&migration().hash));
    let (changes, heads) = (one.doc.changes(), one.doc.heads());
    // What was refused leaves nothing behind, either.
    let too_long = "x".repeat(names::limits::PLAN_INSERT_MAX);
    for number in 0..4 {
        let refused = one.perform(&edit_crisis_plan(9, 0, &too_long), entry(20 + number));
        assert!(refused.is_none());
    }
    assert_eq!((one.doc.changes(), one.doc.heads()), (changes, heads));
    assert!(
        one.perform(&edit_crisis_plan(0, 0, "x"), entry(30))
            .is_some()
    );
    assert_eq!(one.doc.changes(), changes + 2);
}

/// An edit that came to nothing after its document was migrated for it.
#[test]
fn a_migration_for_nothing_is_taken_back() {
    let [mut one, _] = two_with_a_case();
    let (heads, read) = (one.doc.heads(), one.doc.read());
    one.doc.migrate(genesis::CRISIS_PLAN_VERSION).unwrap();
    assert_ne!(one.doc.heads(), heads);
    one.doc.take_back();
    assert_eq!((one.doc.heads(), one.doc.read()), (heads, read));
    assert!(one.doc.places.crisis_plan.is_none());
}

/// Automerge looks up by its id alone what a change names: a change must have the migration in its
/// past, and name in its text what was made for it.
#[test]
fn a_hostile_use_of_a_migration_is_left_out() {
    let [mut one, _] = two_with_a_case();
    let main = one.perform(&edit(0, 0, "a"), entry(2)).unwrap();
    let done = one.perform(&edit_crisis_plan(0, 0, "b"), entry(3)).unwrap();
    let text = op_id(genesis::CRISIS_PLAN_OP, migration().actor);
    let in_plan = |after| automerge::legacy::Op {
        obj: automerge::legacy::ObjectId::Id(text.clone()),
        ..typed("x", after)
    };
    let last = |done: &Performed| Some(op_id(done.header.max_op, done.header.actor));
    let hostile = ActorId([0x77; 16]);
    let cases = [
        (
            "behind a character of the plan",
            vec![&done],
            in_plan(last(&main)),
        ),
        ("without the migration", vec![&main], in_plan(None)),
        (
            "in the plan, behind a character of this",
            vec![&done],
            typed("x", last(&done)),
        ),
    ];
    for (what, deps, op) in cases {
        let chunk = super::crafted::on_top(hostile, &deps, vec![op]);
        let flaws = one.doc.clone().apply(&[&chunk]);
        let reasons: Vec<_> = flaws.iter().map(|flaw| flaw.reason).collect();
        assert_eq!(reasons, [Reason::Malformed], "{what}");
    }
    // And the same with nothing wrong.
    let honest = super::crafted::on_top(hostile, &[&done], vec![in_plan(last(&done))]);
    assert_eq!(one.doc.apply(&[&honest]), []);
    assert_eq!(
        one.doc
            .auto
            .text(one.doc.places.crisis_plan.as_ref().unwrap())
            .unwrap(),
        "bx"
    );
}

/// A program that does not know a migration admits what uses it, and waits for it.
#[test]
fn what_uses_an_unknown_migration_is_admitted_and_not_opened() {
    let [mut one, _] = two_with_a_case();
    let mut actor = migration().actor;
    actor.0[15] = 9;
    let unknown = automerge::legacy::Op {
        obj: automerge::legacy::ObjectId::Id(op_id(5, actor)),
        ..typed("x", None)
    };
    let opened = one.chunks.values().next().unwrap().clone();
    let opened = as_performed(opened);
    let chunk = super::crafted::on_top(ActorId([0x77; 16]), &[&opened], vec![unknown]);
    assert!(preflight::header(&chunk).is_ok());
    let flaws = one.doc.apply(&[&chunk]);
    assert_eq!(flaws.len(), 1);
    assert!(matches!(flaws[0].at, FlawAt::Change(_)));
}
