//! Which entries stand in which changes, so that what is known of a change's author can be said
//! beside what it says.

use std::collections::{BTreeMap, BTreeSet};

use automerge::{ObjId, ReadDoc};
use names::{ActorId, ChangeHash, EntryId};

use crate::{
    open::Document,
    read,
    schema::{self, Found},
};

/// A stretch of one author's changes: the first and the last sequence number.
pub type Stretch = (ActorId, u64, u64);

impl Document {
    /// How far each author's changes are among these heads or before them: the last sequence number,
    /// 0 where none is.
    pub fn reach(&self, heads: &[ChangeHash]) -> BTreeMap<ActorId, u64> {
        self.history.reach(heads)
    }

    /// The entries that changes of these stretches made, each with the places in `stretches` that
    /// made it. An entry that reached the document by several ways may have several.
    pub fn made_in(&self, stretches: &[Stretch]) -> BTreeMap<EntryId, BTreeSet<usize>> {
        let mut found: BTreeMap<EntryId, BTreeSet<usize>> = BTreeMap::new();
        let spans = self.spans(stretches);
        if spans.is_empty() {
            return found;
        }
        for item in self.auto.list_range(&self.places.entries, ..) {
            // What made an object is told by its name: an operation's counter, and whose it is.
            let ObjId::Id(counter, actor, _) = item.id() else {
                continue;
            };
            let Ok(actor) = <[u8; 16]>::try_from(actor.to_bytes()).map(ActorId) else {
                continue;
            };
            let of = spans.get(&actor).into_iter().flatten();
            let of = of.filter(|(first, last, _)| (*first..=*last).contains(&counter));
            let of: BTreeSet<usize> = of.map(|(_, _, stretch)| *stretch).collect();
            if of.is_empty() {
                continue;
            }
            let entry = match schema::from_row(read::row(&self.auto, &item.id())) {
                Found::Whole(entry) | Found::Partly(entry, _) => entry.id,
                Found::Unreadable(entry, _) => entry,
                Found::Nameless => continue,
            };
            found.entry(entry).or_default().extend(of);
        }
        found
    }

    /// The counters of the operations in these stretches, by author: first, last, which stretch.
    fn spans(&self, stretches: &[Stretch]) -> BTreeMap<ActorId, Vec<(u64, u64, usize)>> {
        let mut spans: BTreeMap<ActorId, Vec<(u64, u64, usize)>> = BTreeMap::new();
        for (place, (actor, first, last)) in stretches.iter().enumerate() {
            if let Some((first, last)) = self.history.counters(actor, *first, *last) {
                spans.entry(*actor).or_default().push((first, last, place));
            }
        }
        spans
    }
}
