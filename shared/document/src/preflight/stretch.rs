//! Operations that differ from the one before by rule alone, read at once.
//!
//! Most operations of a case are the characters of its text. Read one by one they took half of what
//! pre-flight takes (`tests/benches/README.md`). In a stretch of typing each character stands behind
//! the one before, and but for that and the characters themselves every column repeats itself, so
//! that what holds of the first holds of all.
//!
//! A stretch of deletions takes away elements that stand at equal steps, as a paragraph's do, and a
//! value may replace others that do. A few runs say so: a hundred bytes hold twenty thousand, and
//! reading them one by one let anybody who may connect buy six seconds of a node's time with a
//! megabyte.

use super::op::{Action, Ids, Key, Object, Op, OpId, Reader};

/// The type and length of a text of one byte.
const ONE_BYTE: u64 = 1 << 4 | 6;
/// The type and length of no value.
const NO_VALUE: u64 = 0;

/// What the columns hold in which every operation of a stretch is alike.
struct Alike {
    object: OpId,
    key_actor: u64,
    insert: bool,
    action: u64,
    value_meta: u64,
    replaces: u64,
}

impl<'a> Reader<'a, '_> {
    /// Reads those of the operations behind `op`, `most` at most, that follow from it, and adds them
    /// to it.
    pub(super) fn read_on(&mut self, op: &mut Op<'a>, most: u64) {
        let Object::Made(object) = op.object else {
            return;
        };
        if op.insert && op.action == Action::Put {
            op.count += self.typed_on(op.counter, object, most);
        } else if let (Action::Delete, Key::Element(element)) = (op.action, op.key) {
            let deleted = self.deleted_on(op.counter, object, element, most);
            op.count = deleted.count;
            op.step = deleted.step;
        }
    }

    /// Passes over characters of one byte in the same object, each behind the one before and the first
    /// behind the operation with this counter: `most` at most. Says how many.
    fn typed_on(&mut self, counter: u64, object: OpId, most: u64) -> u64 {
        let alike = Alike {
            object,
            key_actor: 0,
            insert: true,
            action: Action::PUT,
            value_meta: ONE_BYTE,
            replaces: 0,
        };
        let alike = self.alike(&alike).unwrap_or(0).min(most);
        let Some((behind, 1, on)) = self.key.1.counts_on() else {
            return 0;
        };
        if behind.checked_add(1) != Some(counter) {
            return 0;
        }
        let bytes = self.value.rest().iter();
        let alike = usize::try_from(alike.min(on)).unwrap_or(0);
        let length = bytes.take(alike).take_while(|byte| byte.is_ascii()).count();
        if length == 0 || self.value.take(length).is_err() {
            return 0;
        }
        self.pass(length as u64);
        length as u64
    }

    /// Passes over deletions of elements of the same object that stand at equal steps from `element`,
    /// which the operation with this counter deletes: `most` at most. Gives them with `element`.
    fn deleted_on(&mut self, counter: u64, object: OpId, element: OpId, most: u64) -> Ids {
        let only = Ids::one(element);
        let alike = Alike {
            object,
            key_actor: element.actor as u64,
            insert: false,
            action: Action::DELETE,
            value_meta: NO_VALUE,
            replaces: 1,
        };
        let (Some(alike), Some((_, step, keys)), Some((also_step, replaces))) = (
            self.alike(&alike),
            self.key.1.counts_on(),
            self.replaced_ahead(element),
        ) else {
            return only;
        };
        if self.replacing != [only] || also_step != step {
            return only;
        }
        // The deletions' own counters grow by one a step.
        let width = u64::try_from(step).map_or(0, |step| step.saturating_sub(1));
        let room = steps(counter.saturating_sub(element.counter + 1), width);
        let reach = self.reach(element, step).min(room);
        let count = [alike, keys, replaces, reach, most];
        let count = count.into_iter().min().unwrap_or(0);
        if count == 0 {
            return only;
        }
        self.pass(count);
        self.replaced.0.pass(count);
        self.replaced.1.pass(count);
        Ids {
            first: element,
            count: count + 1,
            step,
        }
    }

    /// Passes over what an operation with the counter `before` replaces besides `id`, as far as it stands
    /// at equal steps behind `id` and as much is known of it: `most` at most. Gives it with `id`.
    pub(super) fn replaced_on(&mut self, before: u64, id: OpId, most: u64) -> Ids {
        let (count, step) = match self.replaced_ahead(id) {
            Some((step, count)) if step > 0 => (count, step),
            Some(_) | None => return Ids::one(id),
        };
        let room = steps(before.saturating_sub(id.counter + 1), step.unsigned_abs());
        let count = count.min(self.reach(id, step)).min(room).min(most);
        if count == 0 {
            return Ids::one(id);
        }
        self.replaced.0.pass(count);
        self.replaced.1.pass(count);
        Ids {
            first: id,
            count: count + 1,
            step,
        }
    }

    /// How far the ids behind this one, the last that was replaced, are from each other, and how many.
    fn replaced_ahead(&self, id: OpId) -> Option<(i64, u64)> {
        let (_, step, count) = self.replaced.1.counts_on()?;
        match self.replaced.0.ahead()? {
            (Some(actor), actors) if actor == id.actor as u64 => Some((step, count.min(actors))),
            (_, _) => None,
        }
    }

    /// How many operations behind the one read last are alike, as far as is known without reading on.
    fn alike(&self, alike: &Alike) -> Option<u64> {
        let same = |ahead: Option<(Option<u64>, u64)>, value: u64| match ahead? {
            (Some(next), count) if next == value => Some(count),
            (_, _) => None,
        };
        let (None, unnamed) = self.key.2.ahead()? else {
            return None;
        };
        let (None, unmarked) = self.mark_name.ahead()? else {
            return None;
        };
        let counts = [
            same(self.object.0.ahead(), alike.object.actor as u64)?,
            same(self.object.1.ahead(), alike.object.counter)?,
            same(self.key.0.ahead(), alike.key_actor)?,
            unnamed,
            self.insert.ahead(alike.insert)?,
            same(self.action.ahead(), alike.action)?,
            same(self.value_meta.ahead(), alike.value_meta)?,
            same(self.replaces.ahead(), alike.replaces)?,
            self.expand.ahead(false)?,
            unmarked,
        ];
        counts.into_iter().min()
    }

    /// Passes over operations that are alike.
    fn pass(&mut self, count: u64) {
        self.object.0.pass(count);
        self.object.1.pass(count);
        self.key.0.pass(count);
        self.key.1.pass(count);
        self.key.2.pass(count);
        self.insert.pass(count);
        self.action.pass(count);
        self.value_meta.pass(count);
        self.replaces.pass(count);
        self.expand.pass(count);
        self.mark_name.pass(count);
    }

    /// How many steps can be taken from an operation so that what is known of it is known of all: they
    /// are of this change, or not, and alike.
    fn reach(&self, id: OpId, step: i64) -> u64 {
        let (least, end) = self.around(id);
        let room = match step < 0 {
            true => id.counter.saturating_sub(least),
            false => end.saturating_sub(id.counter + 1),
        };
        steps(room, step.unsigned_abs())
    }
}

/// How often a step of this width can be taken.
fn steps(room: u64, width: u64) -> u64 {
    room.checked_div(width).unwrap_or(u64::MAX)
}
