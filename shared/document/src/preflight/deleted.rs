//! The characters a change takes away, none of them twice.

use super::op::Ids;

/// Elements at equal steps.
struct Stretch {
    /// Their actor's place in the change's own list.
    actor: usize,
    first: u64,
    last: u64,
    count: u64,
}

impl Stretch {
    fn elements(&self) -> impl Iterator<Item = u64> {
        let step = (self.last - self.first).checked_div(self.count - 1);
        let step = step.unwrap_or(0);
        (0..self.count).map(move |place| self.first + place * step)
    }
}

/// What is deleted, as it is told.
#[derive(Default)]
pub(super) struct Deleted(Vec<Stretch>);

impl Deleted {
    pub(super) fn add(&mut self, elements: Ids) {
        let (first, last) = elements.bounds();
        self.0.push(Stretch {
            actor: elements.first.actor,
            first,
            last,
            count: elements.count,
        });
    }

    /// Whether one of them is deleted twice.
    pub(super) fn has_one_twice(mut self) -> bool {
        self.0.sort_unstable_by_key(|of| (of.actor, of.first));
        let mut actors = self.0.chunk_by(|one, next| one.actor == next.actor);
        actors.any(cross)
    }
}

/// The same of one actor's, in the order of their first elements.
///
/// Stretches that lie one behind the other are not taken apart: twenty thousand elements stand in a
/// hundred bytes. Stretches that lie across each other are.
fn cross(stretches: &[Stretch]) -> bool {
    let mut pairs = stretches.iter().zip(stretches.iter().skip(1));
    if pairs.all(|(one, next)| one.last < next.first) {
        return stretches
            .iter()
            .any(|of| of.count > 1 && of.first == of.last);
    }
    let count: u64 = stretches.iter().map(|of| of.count).sum();
    let mut elements = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    stretches
        .iter()
        .for_each(|of| elements.extend(of.elements()));
    // Stable, because that is the sort that makes use of the order within each stretch.
    elements.sort();
    elements
        .iter()
        .zip(elements.iter().skip(1))
        .any(|(one, next)| one == next)
}
