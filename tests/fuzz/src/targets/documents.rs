//! Documents made of changes that pre-flight may take: operation by operation, by people who see
//! each other's work or do not, and of changes of the record in which a few bytes were altered.

use std::{collections::BTreeSet, num::NonZeroU64};

use automerge::{
    ActorId as AutoActorId, Automerge, Change, ChangeHash as AutoHash, ExpandedChange, ObjType,
    ScalarValue,
    legacy::{ElementId, Key, ObjectId, Op, OpId, OpType},
};
use document::{Document, genesis, preflight::Header};
use names::{ActorId, ChangeHash, Kind};

use crate::{
    craft::{body, chunk},
    draw::{Draw, piece},
    record,
};

/// Changes in one input: more take long, and are no different.
const CHANGES_MAX: usize = 24;
/// Operations in one of them.
const OPS_MAX: usize = 10;
/// People who write.
const AUTHORS: usize = 4;
/// The objects of the genesis, by the counters of the operations that make them.
const OBJECTS: [u64; 3] = [2, 3, 4];
/// Names that stand in entries and fields.
const NAMES: [&str; 8] = ["id", "type", "by", "at", "text", "room", "seen", "kind"];

/// Whatever pre-flight takes is opened: the document comes out the same in whatever order its changes
/// came, it is read and summed up, and what is exported can be loaded. What is left out is said.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let kind = if draw.byte() % 4 == 3 {
        Kind::SESSION
    } else {
        Kind::CASE
    };
    let chunks = Writing::new(kind).write(&mut draw);
    let all: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let mut together = Document::new(kind).expect("a kind of ours");
    together.apply(&all);
    let mut backwards = Document::new(kind).expect("a kind of ours");
    for chunk in all.iter().rev() {
        backwards.apply(&[*chunk]);
        let _ = backwards.summary();
    }
    assert_eq!(together.heads(), backwards.heads(), "the order counts");
    assert_eq!(together.changes(), backwards.changes(), "the order counts");
    assert_eq!(together.read(), backwards.read(), "the order counts");
    let saved = together.save();
    let loaded = Automerge::load(&saved).expect("what is exported loads");
    let heads: BTreeSet<_> = loaded
        .get_heads()
        .iter()
        .map(|head| ChangeHash(head.0))
        .collect();
    assert_eq!(heads, together.heads().into_iter().collect());
}

/// A change that was written, as those who build on it know it.
struct Written {
    hash: ChangeHash,
    author: usize,
    seq: u64,
    max_op: u64,
    /// What it builds on, itself among it.
    past: BTreeSet<ChangeHash>,
}

/// Several people writing.
struct Writing {
    kind: Kind,
    genesis: &'static genesis::Fixed,
    written: Vec<Written>,
    /// Ids of operations that somebody may name.
    ops: Vec<OpId>,
    chunks: Vec<Vec<u8>>,
}

fn actor(author: usize) -> ActorId {
    ActorId([u8::try_from(author).unwrap_or(0) | 0x40; 16])
}

impl Writing {
    fn new(kind: Kind) -> Writing {
        let genesis = genesis::genesis(kind).expect("a kind of ours");
        let fixed = AutoActorId::from(genesis.actor.0);
        Writing {
            kind,
            genesis,
            written: Vec::new(),
            ops: OBJECTS.map(|counter| OpId(counter, fixed.clone())).to_vec(),
            chunks: Vec::new(),
        }
    }

    fn write(mut self, draw: &mut Draw<'_>) -> Vec<Vec<u8>> {
        while !draw.is_over() && self.chunks.len() < CHANGES_MAX {
            match draw.byte() {
                // What nobody wrote by hand: a change of the record, altered.
                0..32 => self.alter(draw),
                // Of those who honestly write, most see all that is there.
                how => self.add(draw, how),
            }
        }
        self.chunks
    }

    fn alter(&mut self, draw: &mut Draw<'_>) {
        let written = record::chunks();
        let fixed = genesis::migrations(self.kind).iter();
        let fixed = fixed.map(|fixed| &fixed.chunk);
        let all: Vec<&Vec<u8>> = written.iter().chain(fixed).collect();
        let Some(altered) = draw.one_of(&all) else {
            return;
        };
        let mut altered = body(altered);
        let place = draw.below(altered.len());
        for (slot, byte) in altered.iter_mut().skip(place).zip(draw.piece()) {
            *slot ^= byte;
        }
        self.chunks.push(chunk(&altered));
    }

    fn add(&mut self, draw: &mut Draw<'_>, how: u8) {
        let author = draw.below(AUTHORS);
        let deps = self.deps(draw, author, how);
        let past: BTreeSet<ChangeHash> = self
            .of(&deps)
            .flat_map(|before| before.past.iter().copied())
            .collect();
        let own = self.of(&past).filter(|before| before.author == author);
        let seq = 1 + own.map(|before| before.seq).max().unwrap_or(0);
        let last = self.of(&past).map(|before| before.max_op).max();
        let start = 1 + last.unwrap_or(self.genesis.max_op);
        // A few tell of a number that is not theirs.
        let (seq, start) = match how {
            250..=252 => (seq + u64::from(draw.byte()), start),
            253.. => (seq, start + u64::from(draw.byte())),
            _ => (seq, start),
        };
        let count = 1 + draw.below(OPS_MAX);
        let own = AutoActorId::from(actor(author).0);
        let mut operations = Vec::new();
        for counter in (start..).take(count) {
            operations.push(self.op(draw));
            self.ops.push(OpId(counter, own.clone()));
        }
        let mut deps: Vec<AutoHash> = deps.iter().map(|dep| AutoHash(dep.0)).collect();
        deps.sort_unstable();
        let expanded = ExpandedChange {
            operations,
            actor_id: own,
            hash: None,
            seq,
            start_op: NonZeroU64::new(start).unwrap_or(NonZeroU64::MIN),
            time: 0,
            message: None,
            deps,
            extra_bytes: Vec::new(),
            author: None,
        };
        let chunk = Change::from(expanded).raw_bytes().to_vec();
        if let Ok(header) = document::preflight::header_for(self.kind, &chunk) {
            self.keep(author, past, &header);
            self.chunks.push(chunk);
        }
    }

    fn keep(&mut self, author: usize, mut past: BTreeSet<ChangeHash>, header: &Header) {
        past.insert(header.hash);
        self.written.push(Written {
            hash: header.hash,
            author,
            seq: header.seq,
            max_op: header.max_op,
            past,
        });
    }

    /// What of these was written here.
    fn of<'w>(&'w self, hashes: &'w BTreeSet<ChangeHash>) -> impl Iterator<Item = &'w Written> {
        self.written
            .iter()
            .filter(|written| hashes.contains(&written.hash))
    }

    /// What a change builds on: all that is there, or the author's last and one other.
    fn deps(&self, draw: &mut Draw<'_>, author: usize, how: u8) -> BTreeSet<ChangeHash> {
        let mut deps: BTreeSet<ChangeHash> = if how % 2 == 0 {
            let named: BTreeSet<ChangeHash> = self
                .written
                .iter()
                .flat_map(|written| written.past.iter().filter(|hash| **hash != written.hash))
                .copied()
                .collect();
            let all = self.written.iter().map(|written| written.hash);
            all.filter(|hash| !named.contains(hash)).collect()
        } else {
            let own = self
                .written
                .iter()
                .rev()
                .find(|written| written.author == author);
            let other = draw.one_of(&self.written);
            own.into_iter()
                .chain(other)
                .map(|written| written.hash)
                .collect()
        };
        if deps.is_empty() {
            deps.insert(self.genesis.hash);
        }
        deps
    }

    /// An operation: mostly one of those that an honest change has.
    fn op(&self, draw: &mut Draw<'_>) -> Op {
        let fixed =
            |counter: u64| ObjectId::Id(OpId(counter, AutoActorId::from(self.genesis.actor.0)));
        let name = || Key::Map("room".into());
        let what = draw.byte();
        let named = draw.one_of(&self.ops).cloned();
        let other = draw.one_of(&self.ops).cloned();
        let behind = |id: Option<OpId>| Key::Seq(id.map_or(ElementId::Head, ElementId::Id));
        let [entries, fields, text] = OBJECTS;
        let (obj, key, insert, action) = match what % 10 {
            0 => (
                fixed(entries),
                behind(None),
                true,
                OpType::Make(ObjType::Map),
            ),
            1 => (
                fixed(entries),
                behind(named),
                true,
                OpType::Make(ObjType::Map),
            ),
            2 | 3 => {
                let key = Key::Map(draw.one_of(&NAMES).copied().unwrap_or_default().into());
                let obj = named.map_or(ObjectId::Root, ObjectId::Id);
                (obj, key, false, OpType::Put(scalar(draw)))
            }
            4 => (fixed(fields), name(), false, OpType::Put(scalar(draw))),
            5 => (
                fixed(text),
                behind(None),
                true,
                OpType::Put(character(draw)),
            ),
            6 => (
                fixed(text),
                behind(named),
                true,
                OpType::Put(character(draw)),
            ),
            7 => (fixed(text), behind(named), false, OpType::Delete),
            8 => (
                fixed(fields),
                name(),
                false,
                OpType::Increment(i64::from(what)),
            ),
            _ => {
                let obj = named.map_or(ObjectId::Root, ObjectId::Id);
                (
                    obj,
                    behind(other.clone()),
                    what > 127,
                    OpType::Make(ObjType::List),
                )
            }
        };
        let replaces = match (what % 10, &key) {
            (7, Key::Seq(ElementId::Id(element))) if what < 200 => vec![element.clone()],
            (4 | 7 | 8, _) => other.into_iter().collect(),
            _ => Vec::new(),
        };
        Op {
            action,
            obj,
            key,
            pred: replaces.into(),
            insert,
        }
    }
}

fn scalar(draw: &mut Draw<'_>) -> ScalarValue {
    match draw.byte() % 6 {
        0 => ScalarValue::Null,
        1 => ScalarValue::Int(draw.long().cast_signed()),
        2 => ScalarValue::Uint(draw.long()),
        3 => ScalarValue::Bytes(draw.piece().to_vec()),
        _ => ScalarValue::Str(String::from_utf8_lossy(draw.piece()).as_ref().into()),
    }
}

fn character(draw: &mut Draw<'_>) -> ScalarValue {
    let one = char::from(b'a' + draw.byte() % 26).to_string();
    ScalarValue::Str(one.as_str().into())
}

/// People who type, set and delete together and apart; and the record's changes as they were.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let alter = |change: u16| [&[0][..], &change.to_le_bytes(), &[0, 0], &piece(&[])].concat();
    let record: Vec<u8> = (0..16).flat_map(alter).collect();
    // Each choice is two bytes where it is a number below a bound, and one byte else.
    let change = |how: u8, author: u8, op: &[u8]| {
        let deps: &[u8] = if how % 2 == 0 { &[] } else { &[0, 0] };
        [&[how, author, 0][..], deps, &[0, 0], op].concat()
    };
    let typed = |letter: u8| [5, 0, 0, 0, 0, letter];
    let behind = |op: u8, letter: u8| [6, op, 0, 0, 0, letter];
    let deleted = |op: u8| [7, op, 0, 0, 0];
    let entry = [0, 0, 0, 0, 0];
    let set = [&[4, 0, 0, 3, 0, 4][..], &piece(b"five")].concat();
    let apart = [
        change(32, 0, &typed(1)),
        change(33, 1, &typed(2)),
        change(34, 0, &behind(3, 3)),
        change(34, 1, &deleted(3)),
        change(35, 2, &entry),
        change(34, 3, &set),
        change(34, 3, &set),
    ];
    let apart = apart.concat();
    vec![
        [vec![0], record.clone()].concat(),
        [vec![0], apart.clone()].concat(),
        [vec![3], apart.clone()].concat(),
        [vec![0], record, apart].concat(),
    ]
}
