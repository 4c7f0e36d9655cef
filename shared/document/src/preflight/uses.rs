//! What a change makes, and what of others' it leans on: all that must be known of a change to
//! judge the next ones.

use std::sync::Arc;

use super::op::OpId;

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    /// Their actor's place in the change's own list.
    pub(crate) actor: usize,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) made: Made,
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
    /// direction or the other.
    pub(super) fn name(&mut self, id: OpId, made: Made) {
        let OpId { counter, actor } = id;
        if let Some(last) = self.names.last_mut()
            && last.actor == actor
            && last.made == made
            && last.first <= counter.saturating_add(1)
            && counter <= last.last.saturating_add(1)
        {
            last.first = last.first.min(counter);
            last.last = last.last.max(counter);
            return;
        }
        self.names.push(Reference {
            actor,
            first: counter,
            last: counter,
            made,
        });
    }
}
