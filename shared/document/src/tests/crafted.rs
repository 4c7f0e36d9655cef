//! Changes built by hand, operation by operation, as a signed device could send them.

use automerge::{
    ActorId as AutoActorId, Change, ChangeHash as AutoHash, ExpandedChange, ObjType, ScalarValue,
    legacy::{ElementId, Key, ObjectId, Op, OpId, OpType},
};

use super::*;
use crate::{genesis, preflight};

pub(super) use crate::genesis::{ENTRIES_OP, FIELDS_OP, TEXT_OP};

/// The id of an operation.
pub(super) fn op_id(counter: u64, actor: ActorId) -> OpId {
    OpId(counter, AutoActorId::from(actor.0))
}

/// One of the objects the genesis of a case makes.
fn place(counter: u64) -> ObjectId {
    ObjectId::Id(op_id(counter, genesis::genesis(Kind::CASE).unwrap().actor))
}

fn behind(element: Option<OpId>) -> Key {
    Key::Seq(element.map_or(ElementId::Head, ElementId::Id))
}

fn put(value: &str) -> OpType {
    OpType::Put(ScalarValue::Str(value.into()))
}

/// A field is set.
pub(super) fn set(field: &str, value: &str, replaces: Vec<OpId>) -> Op {
    Op {
        action: put(value),
        obj: place(FIELDS_OP),
        key: Key::Map(field.into()),
        pred: replaces.into(),
        insert: false,
    }
}

/// Something is inserted into the text.
pub(super) fn typed(text: &str, after: Option<OpId>) -> Op {
    Op {
        action: put(text),
        obj: place(TEXT_OP),
        key: behind(after),
        pred: vec![].into(),
        insert: true,
    }
}

/// Something is taken from the text.
pub(super) fn deleted(element: OpId, replaces: Vec<OpId>) -> Op {
    Op {
        action: OpType::Delete,
        obj: place(TEXT_OP),
        key: behind(Some(element)),
        pred: replaces.into(),
        insert: false,
    }
}

/// An entry is made.
pub(super) fn inserted(after: Option<OpId>) -> Op {
    Op {
        action: OpType::Make(ObjType::Map),
        obj: place(ENTRIES_OP),
        key: behind(after),
        pred: vec![].into(),
        insert: true,
    }
}

/// Something is put into an entry.
pub(super) fn filled(entry: OpId, name: &str, value: ScalarValue) -> Op {
    Op {
        action: OpType::Put(value),
        obj: ObjectId::Id(entry),
        key: Key::Map(name.into()),
        pred: vec![].into(),
        insert: false,
    }
}

/// The first change of somebody's, on top of these.
pub(super) fn on_top(who: ActorId, of: &[&Performed], ops: Vec<Op>) -> Vec<u8> {
    let genesis = genesis::genesis(Kind::CASE).unwrap();
    let last = of.iter().map(|done| done.header.max_op).max();
    let mut deps: Vec<AutoHash> = of.iter().map(|done| AutoHash(done.header.hash.0)).collect();
    if deps.is_empty() {
        deps.push(AutoHash(genesis.hash.0));
    }
    deps.sort_unstable();
    let change = ExpandedChange {
        operations: ops,
        actor_id: AutoActorId::from(who.0),
        hash: None,
        seq: 1,
        start_op: (last.unwrap_or(genesis.max_op) + 1).try_into().unwrap(),
        time: 0,
        message: None,
        deps,
        extra_bytes: vec![],
        author: None,
    };
    let chunk = Change::from(change).raw_bytes().to_vec();
    assert!(preflight::format_only(&chunk).is_ok(), "Automerge's form");
    chunk
}

/// A change as it would be had a person made it.
pub(super) fn as_performed(chunk: Vec<u8>) -> Performed {
    let header = preflight::format_only(&chunk).unwrap();
    Performed { chunk, header }
}

/// The same change in another's name, as the first of its line, after `alter`.
pub(super) fn in_name_of(
    who: ActorId,
    chunk: &[u8],
    alter: &mut dyn FnMut(&mut ExpandedChange),
) -> Vec<u8> {
    let mut change = Change::from_bytes(chunk.to_vec()).unwrap().decode();
    let (before, start) = (change.actor_id.clone(), change.start_op.get());
    (change.actor_id, change.seq) = (AutoActorId::from(who.0), 1);
    let own = |id: &mut OpId| {
        if id.1 == before && id.0 >= start {
            id.1 = AutoActorId::from(who.0);
        }
    };
    for op in &mut change.operations {
        if let ObjectId::Id(id) = &mut op.obj {
            own(id);
        }
        if let Key::Seq(ElementId::Id(id)) = &mut op.key {
            own(id);
        }
        let replaces = op.pred.iter().cloned().map(|mut id| {
            own(&mut id);
            id
        });
        op.pred = replaces.collect::<Vec<_>>().into();
    }
    alter(&mut change);
    Change::from(change).raw_bytes().to_vec()
}
