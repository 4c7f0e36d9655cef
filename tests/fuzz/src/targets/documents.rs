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
/// Below this an operation is one that an honest change might have.
const HONEST: u8 = 210;
/// The objects of the genesis, by the counters of the operations that make them.
const ENTRIES: u64 = 2;
const FIELDS: u64 = 3;
const TEXT: u64 = 4;
const OBJECTS: [u64; 3] = [ENTRIES, FIELDS, TEXT];
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

/// An operation that somebody may name.
struct Made {
    id: OpId,
    sort: Sort,
    /// The number of its change; none of a fixed one.
    by: Option<usize>,
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Makes an entry.
    Entry,
    /// Fills one.
    Fill,
    /// Sets a field.
    Set,
    /// Types a character.
    Type,
    /// Deletes one.
    Delete,
    /// What nobody honest does.
    Other,
}

/// Several people writing.
struct Writing {
    kind: Kind,
    genesis: &'static genesis::Fixed,
    written: Vec<Written>,
    /// Operations that somebody may name.
    made: Vec<Made>,
    chunks: Vec<Vec<u8>>,
}

fn of_genesis(counter: u64, actor: &AutoActorId) -> Made {
    Made {
        id: OpId(counter, actor.clone()),
        sort: Sort::Other,
        by: None,
    }
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
            made: OBJECTS.map(|counter| of_genesis(counter, &fixed)).into(),
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
        let (mut operations, before) = (Vec::new(), self.made.len());
        for counter in (start..).take(count) {
            let (sort, op) = self.op(draw, &past);
            operations.push(op);
            self.made.push(Made {
                id: OpId(counter, own.clone()),
                sort,
                by: Some(self.written.len()),
            });
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
        } else {
            self.made.truncate(before);
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

    /// What a change builds on: its author's last, and all that is there or one other.
    fn deps(&self, draw: &mut Draw<'_>, author: usize, how: u8) -> BTreeSet<ChangeHash> {
        let of_author = |written: &&Written| written.author == author;
        let own = self.written.iter().rev().find(of_author);
        let mut deps: BTreeSet<ChangeHash> = own.map(|own| own.hash).into_iter().collect();
        if how.is_multiple_of(2) {
            let named: BTreeSet<ChangeHash> = self
                .written
                .iter()
                .flat_map(|written| written.past.iter().filter(|hash| **hash != written.hash))
                .copied()
                .collect();
            let all = self.written.iter().map(|written| written.hash);
            deps.extend(all.filter(|hash| !named.contains(hash)));
        } else {
            deps.extend(draw.one_of(&self.written).map(|other| other.hash));
        }
        if deps.is_empty() {
            deps.insert(self.genesis.hash);
        }
        deps
    }

    /// What was made of these sorts by a change of this past, or by the one that is being written.
    fn seen(&self, past: &BTreeSet<ChangeHash>, sorts: &[Sort]) -> Vec<&Made> {
        let is_seen = |number: usize| {
            let by = self.written.get(number);
            by.is_none_or(|by| past.contains(&by.hash))
        };
        let made = self.made.iter().filter(|made| sorts.contains(&made.sort));
        made.filter(|made| made.by.is_some_and(is_seen)).collect()
    }

    /// An operation: mostly one that an honest change might have, on what its author has seen.
    fn op(&self, draw: &mut Draw<'_>, past: &BTreeSet<ChangeHash>) -> (Sort, Op) {
        let what = draw.byte();
        if what >= HONEST {
            return (Sort::Other, self.strange(draw, what));
        }
        let mut pick = |sorts: &[Sort]| {
            let seen = self.seen(past, sorts);
            draw.one_of(&seen).map(|made| made.id.clone())
        };
        let none = Vec::new();
        match what % 7 {
            0 => (Sort::Entry, self.at(ENTRIES, None, None)),
            1 => (Sort::Entry, self.at(ENTRIES, pick(&[Sort::Entry]), None)),
            2 => {
                // An entry is filled by the change that makes it.
                let own =
                    self.made.iter().rev().find(|made| {
                        made.sort == Sort::Entry && made.by == Some(self.written.len())
                    });
                let Some(entry) = own.map(|made| made.id.clone()) else {
                    return (Sort::Entry, self.at(ENTRIES, None, None));
                };
                let name = draw.one_of(&NAMES).copied().unwrap_or_default();
                let op = op(ObjectId::Id(entry), name, OpType::Put(scalar(draw)), none);
                (Sort::Fill, op)
            }
            3 => {
                let replaced = pick(&[Sort::Set]).into_iter().collect();
                let value = OpType::Put(scalar(draw));
                (Sort::Set, op(self.object(FIELDS), "room", value, replaced))
            }
            4 => (Sort::Type, self.at(TEXT, None, Some(character(draw)))),
            5 => {
                let before = pick(&[Sort::Type]);
                (Sort::Type, self.at(TEXT, before, Some(character(draw))))
            }
            _ => match pick(&[Sort::Type]) {
                Some(character) => (Sort::Delete, self.deletion(character)),
                None => (Sort::Type, self.at(TEXT, None, Some(character(draw)))),
            },
        }
    }

    fn object(&self, counter: u64) -> ObjectId {
        ObjectId::Id(OpId(counter, AutoActorId::from(self.genesis.actor.0)))
    }

    /// A character behind another, or a map where none is given.
    fn at(&self, object: u64, before: Option<OpId>, typed: Option<ScalarValue>) -> Op {
        Op {
            action: typed.map_or(OpType::Make(ObjType::Map), OpType::Put),
            obj: self.object(object),
            key: behind(before),
            pred: Vec::new().into(),
            insert: true,
        }
    }

    fn deletion(&self, character: OpId) -> Op {
        Op {
            action: OpType::Delete,
            obj: self.object(TEXT),
            key: behind(Some(character.clone())),
            pred: vec![character].into(),
            insert: false,
        }
    }

    /// Any operation on anything, whether it was seen or not.
    fn strange(&self, draw: &mut Draw<'_>, what: u8) -> Op {
        let mut pick = || draw.one_of(&self.made).map(|made| made.id.clone());
        let (named, other, third) = (pick(), pick(), pick());
        let obj = match what % 4 {
            0 => self.object(ENTRIES),
            1 => self.object(FIELDS),
            2 => self.object(TEXT),
            _ => named.map_or(ObjectId::Root, ObjectId::Id),
        };
        let insert = draw.byte().is_multiple_of(2);
        let key = if draw.byte() < 128 {
            behind(other)
        } else {
            Key::Map(draw.one_of(&NAMES).copied().unwrap_or_default().into())
        };
        let action = match draw.byte() % 6 {
            0 => OpType::Make(ObjType::List),
            1 => OpType::Make(ObjType::Text),
            2 => OpType::Make(ObjType::Map),
            3 => OpType::Delete,
            4 => OpType::Increment(i64::from(what)),
            _ => OpType::Put(scalar(draw)),
        };
        let replaced = draw.byte().is_multiple_of(2).then_some(third).flatten();
        Op {
            action,
            obj,
            key,
            pred: replaced.into_iter().collect::<Vec<_>>().into(),
            insert,
        }
    }
}

fn behind(id: Option<OpId>) -> Key {
    Key::Seq(id.map_or(ElementId::Head, ElementId::Id))
}

/// Something under a name.
fn op(obj: ObjectId, name: &str, action: OpType, replaced: Vec<OpId>) -> Op {
    Op {
        action,
        obj,
        key: Key::Map(name.into()),
        pred: replaced.into(),
        insert: false,
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
        let deps: &[u8] = if how.is_multiple_of(2) { &[] } else { &[0, 0] };
        [&[how, author, 0][..], deps, &[0, 0], op].concat()
    };
    let typed = |letter: u8| vec![4, letter];
    let behind = |place: u8, letter: u8| vec![5, place, 0, letter];
    let deleted = |place: u8| vec![6, place, 0];
    let entry = vec![0];
    let set = [&[3, 0, 0, 4][..], &piece(b"five")].concat();
    let apart = [
        change(32, 0, &typed(1)),
        change(33, 1, &typed(2)),
        change(34, 0, &behind(0, 3)),
        change(34, 1, &deleted(1)),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Were what is drawn mostly refused, the target would try little.
    #[test]
    fn what_is_drawn_is_taken_and_merged() {
        let seeds = seeds();
        for (seed, changes) in seeds.iter().zip([8, 7]) {
            let chunks =
                Writing::new(Kind::CASE).write(&mut Draw::new(seed.get(1..).unwrap_or_default()));
            let mut document = Document::new(Kind::CASE).expect("a kind of ours");
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let flaws = document.apply(&chunks);
            let merged = document.changes();
            assert!(merged > changes, "{merged} of {}: {flaws:?}", chunks.len());
        }
    }
}
