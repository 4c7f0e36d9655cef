//! What a change makes, and what of others' it leans on: all that must be known of a change to
//! judge the next ones.

use std::sync::Arc;

use super::op::{Ids, OpId};

/// What an operation names at most by turns: the object it is about, and an element of it.
const NAMED_IN_TURN: usize = 2;

/// What an operation makes, by the place it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Made {
    /// An entry.
    Entry,
    /// A scalar inside an entry.
    Inside,
    /// A value of the plain field with this name.
    Field(Arc<str>),
    /// A character of the text that this version of the layout made.
    Character(u16),
    /// A text, made by a migration.
    Text,
    /// Something in an object of a fixed change this program does not know.
    Later,
    /// Nothing: it takes a character away.
    Nothing,
}

/// Operations with consecutive counters that make the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// The counter after the last one's.
    pub(crate) end: u64,
    pub(crate) made: Made,
}

/// Operations of an earlier change that this one names, and what they must have made.
///
/// They stand at equal steps: a change of a hundred bytes may name twenty thousand operations, and
/// must not be kept as so many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    /// Their actor's place in the change's own list.
    pub(crate) actor: usize,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// From one to the next; nought when there is one.
    pub(crate) step: u64,
    pub(crate) made: Made,
}

impl Reference {
    fn to(ids: Ids, made: Made) -> Reference {
        let (first, last) = ids.bounds();
        Reference {
            actor: ids.first.actor,
            first,
            last,
            step: ids.step.unsigned_abs(),
            made,
        }
    }

    /// Takes an operation up, if it is one of these already or stands a step before or behind them.
    fn take(&mut self, counter: u64) -> bool {
        if self.step == 0 {
            self.step = counter.abs_diff(self.first);
        }
        let is_next = counter == self.last.saturating_add(self.step);
        let is_before = counter.checked_add(self.step) == Some(self.first);
        let is_inside = (self.first..=self.last).contains(&counter)
            && (counter == self.first || (counter - self.first).is_multiple_of(self.step));
        if is_next || is_before {
            self.first = self.first.min(counter);
            self.last = self.last.max(counter);
        }
        is_next || is_before || is_inside
    }

    /// Takes several operations up, if they stand at the same steps before or behind these.
    fn take_all(&mut self, all: &Reference) -> bool {
        let is_next = all.first == self.last.saturating_add(all.step);
        let is_before = all.last.saturating_add(all.step) == self.first;
        let taken = (self.step == 0 || self.step == all.step) && (is_next || is_before);
        if taken {
            self.step = all.step;
            self.first = self.first.min(all.first);
            self.last = self.last.max(all.last);
        }
        taken
    }

    /// The first counter named that is not before this one, which is not before the first.
    pub(crate) fn from(&self, counter: u64) -> Option<u64> {
        debug_assert!(counter >= self.first, "or all would count as found");
        let step = self.step.max(1);
        let steps = counter.checked_sub(self.first)?.div_ceil(step);
        let found = self.first.checked_add(steps.checked_mul(step)?)?;
        (found <= self.last).then_some(found)
    }
}

/// What a change makes, and what of earlier changes it names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Uses {
    /// In the order of their counters, without a gap.
    pub(crate) makes: Vec<Span>,
    pub(crate) names: Vec<Reference>,
    /// How many entries it makes.
    pub(crate) entries: u64,
    /// How many characters it makes.
    pub(crate) characters: u64,
    /// How many operations it replaces.
    pub(crate) replaced: u64,
}

impl Uses {
    /// Notes what `count` operations make, the first of which has this counter.
    pub(super) fn make(&mut self, counter: u64, count: u64, made: Made) {
        match made {
            Made::Entry => self.entries += count,
            Made::Character(_) => self.characters += count,
            Made::Inside | Made::Field(_) | Made::Text | Made::Later | Made::Nothing => {}
        }
        let end = counter.saturating_add(count);
        match self.makes.last_mut() {
            Some(last) if last.made == made => last.end = end,
            Some(_) | None => self.makes.push(Span { end, made }),
        }
    }

    /// Notes an operation that is named. Those of a text stand mostly one after the other, in one
    /// direction or the other; beside each, the text itself may be named.
    pub(super) fn name(&mut self, id: OpId, made: Made) {
        let OpId { counter, actor } = id;
        let mut latest = self.names.iter_mut().rev().take(NAMED_IN_TURN);
        let taken =
            latest.any(|named| named.actor == actor && named.made == made && named.take(counter));
        if !taken {
            self.names.push(Reference::to(Ids::one(id), made));
        }
    }

    /// Notes operations that are named.
    pub(super) fn name_all(&mut self, ids: Ids, made: Made) {
        if ids.count == 1 {
            return self.name(ids.first, made);
        }
        let all = Reference::to(ids, made);
        let mut latest = self.names.iter_mut().rev().take(NAMED_IN_TURN);
        let taken = latest.any(|named| {
            named.actor == all.actor && named.made == all.made && named.take_all(&all)
        });
        if !taken {
            self.names.push(all);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::Chance;

    /// Whatever is named in whatever order: neither more nor less is kept.
    #[test]
    fn what_is_named_is_what_is_kept() {
        let mut chance = Chance::new(11);
        let mades = [Made::Entry, Made::Later, Made::Field("room".into())];
        for _ in 0..3_000 {
            let (mut uses, mut named) = (Uses::default(), BTreeSet::new());
            for _ in 0..chance.below(12) {
                let (made, actor) = (chance.below(3), chance.below(2));
                let (mut counter, step) = (1 + chance.below(30) as u64, chance.below(4) as u64);
                for _ in 0..1 + chance.below(6) {
                    uses.name(OpId { counter, actor }, mades.get(made).unwrap().clone());
                    named.insert((actor, made, counter));
                    counter = match chance.below(8) {
                        0 => counter.saturating_sub(step).max(1),
                        _ => counter + step,
                    };
                }
            }
            let mut kept = BTreeSet::new();
            for of in &uses.names {
                let made = mades.iter().position(|made| *made == of.made).unwrap();
                let mut next = of.from(of.first);
                while let Some(counter) = next {
                    kept.insert((of.actor, made, counter));
                    next = of.from(counter + 1);
                }
            }
            assert_eq!(kept, named);
        }
    }

    #[test]
    fn what_stands_at_equal_steps_is_kept_as_one() {
        for step in [1, 2, 7] {
            let mut uses = Uses::default();
            for place in 0..1_000 {
                // The text, which is named with each of its characters.
                let text = OpId {
                    counter: 5,
                    actor: 1,
                };
                uses.name(text, Made::Text);
                let counter = 9_000 - step * place;
                uses.name(OpId { counter, actor: 0 }, Made::Character(2));
            }
            assert_eq!(uses.names.len(), 2);
        }
    }
}
