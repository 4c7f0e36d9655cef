//! Real changes of real Automerge documents, edited at random with everything Automerge offers.

use std::collections::BTreeMap;

use automerge::{
    AutoCommit, ObjId, ObjType, ROOT, ReadDoc, ScalarValue,
    marks::{ExpandMark, Mark},
    transaction::{CommitOptions, Transactable},
};

use names::ActorId;

use super::Chance;

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

/// A document in which two people have written, and which was then copied while both were at work.
pub(crate) struct Branches {
    /// What was written before.
    pub(crate) before: Vec<Vec<u8>>,
    /// What the copies wrote, as the same authors.
    pub(crate) branch: Vec<Vec<u8>>,
    pub(crate) other_branch: Vec<Vec<u8>>,
    /// What the first would have written, had its people been others from then on, and who.
    pub(crate) as_others: Vec<Vec<u8>>,
    pub(crate) renamed: BTreeMap<ActorId, ActorId>,
}

/// Branches of a document that is edited at random.
pub(crate) fn branches(seed: u64) -> Branches {
    let people = [ActorId([20; 16]), ActorId([30; 16])];
    // On either side of those that were there, so that renaming turns their order round too.
    let others = [ActorId([40; 16]), ActorId([10; 16])];
    let mut chance = Chance::new(seed);
    let mut author = Author {
        doc: AutoCommit::new(),
        maps: vec![],
        lists: vec![],
        texts: vec![],
    };
    let before = edited(&mut author, people, &mut chance, 12);
    let copy = |chance: u64, people, author: &mut Author| {
        let mut copy = Author {
            doc: author.doc.fork(),
            maps: vec![],
            lists: vec![],
            texts: vec![],
        };
        edited(&mut copy, people, &mut Chance::new(chance), 12)
    };
    let [one, two] = [chance.next(), chance.next()];
    Branches {
        branch: copy(one, people, &mut author),
        other_branch: copy(two, people, &mut author),
        as_others: copy(one, others, &mut author),
        before,
        renamed: people.into_iter().zip(others).collect(),
    }
}

/// What two people write in turns, one after another.
fn edited(
    author: &mut Author,
    people: [ActorId; 2],
    chance: &mut Chance,
    steps: usize,
) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    for _ in 0..steps {
        let actor = chance.pick(&people).0;
        author.doc.set_actor(automerge::ActorId::from(actor));
        for _ in 0..=chance.below(6) {
            author.act(chance);
        }
        if author
            .doc
            .commit_with(CommitOptions::default().with_time(7))
            .is_some()
        {
            let change = author.doc.get_last_local_change().unwrap();
            chunks.push(change.raw_bytes().to_vec());
        }
    }
    chunks
}

/// The raw chunks of a few documents that several people edit at random and merge now and then.
pub(crate) fn random_changes(seed: u64, steps: usize) -> Vec<Vec<u8>> {
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
