//! Characters typed one behind the other, read at once.
//!
//! Most operations of a case are the characters of its text. Read one by one they took half of what
//! pre-flight takes (`tests/benches/README.md`). In a stretch of typing each character stands behind
//! the one before, and but for that and the characters themselves every column repeats itself, so
//! that what holds of the first holds of all.

use super::op::{Action, Object, Op, Reader};

/// The action of an operation that sets or inserts a value.
const PUT: u64 = 1;
/// The type and length of a text of one byte.
const ONE_BYTE: u64 = 1 << 4 | 6;

impl<'a> Reader<'a, '_> {
    /// Reads those of the operations behind `op`, `most` at most, that are characters of one byte in
    /// the same object, each behind the one before and the first behind `op`; says how many.
    pub(super) fn typed_on(&mut self, op: &Op<'a>, most: u64) -> u64 {
        let alike = self.alike(op).unwrap_or(0).min(most);
        let bytes = self.value.rest().iter();
        let alike = usize::try_from(alike).unwrap_or(0);
        let length = bytes.take(alike).take_while(|byte| byte.is_ascii()).count();
        if length == 0 || self.value.take(length).is_err() {
            return 0;
        }
        let count = length as u64;
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
        count
    }

    /// How many operations behind `op` differ from it in their character alone, as far as is known
    /// without reading on.
    fn alike(&self, op: &Op<'a>) -> Option<u64> {
        let Object::Made(object) = op.object else {
            return None;
        };
        if !op.insert || op.action != Action::Put {
            return None;
        }
        let same = |ahead: Option<(Option<u64>, u64)>, value: u64| match ahead? {
            (Some(next), count) if next == value => Some(count),
            (_, _) => None,
        };
        let (behind, count) = self.key.1.counts_on()?;
        if behind.checked_add(1)? != op.counter {
            return None;
        }
        let (None, unnamed) = self.key.2.ahead()? else {
            return None;
        };
        let (None, unmarked) = self.mark_name.ahead()? else {
            return None;
        };
        let counts = [
            same(self.object.0.ahead(), object.actor as u64)?,
            same(self.object.1.ahead(), object.counter)?,
            same(self.key.0.ahead(), 0)?,
            count,
            unnamed,
            self.insert.ahead(true)?,
            same(self.action.ahead(), PUT)?,
            same(self.value_meta.ahead(), ONE_BYTE)?,
            same(self.replaces.ahead(), 0)?,
            self.expand.ahead(false)?,
            unmarked,
        ];
        counts.into_iter().min()
    }
}
