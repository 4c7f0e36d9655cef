//! The characters a change takes away, none of them twice.

use super::op::Ids;

/// What is deleted, as it is told.
#[derive(Default)]
pub(super) struct Deleted(Vec<Ids>);

impl Deleted {
    pub(super) fn add(&mut self, elements: Ids) {
        self.0.push(elements);
    }

    /// Whether one of them is deleted twice.
    pub(super) fn has_one_twice(mut self) -> bool {
        self.0
            .sort_unstable_by_key(|of| (of.first.actor, of.bounds().0));
        let mut actors = self
            .0
            .chunk_by(|one, next| one.first.actor == next.first.actor);
        actors.any(cross)
    }
}

/// The same of one actor's, in the order of their least elements.
///
/// Stretches that lie one behind the other are not taken apart: twenty thousand elements stand in a
/// hundred bytes. Stretches that lie across each other are.
fn cross(stretches: &[Ids]) -> bool {
    let mut pairs = stretches.iter().zip(stretches.iter().skip(1));
    if pairs.all(|(one, next)| one.bounds().1 < next.bounds().0) {
        return stretches.iter().any(|of| of.count > 1 && of.step == 0);
    }
    let count: u64 = stretches.iter().map(|of| of.count).sum();
    let mut elements = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    stretches
        .iter()
        .for_each(|of| elements.extend(of.counters()));
    // Stable, because that is the sort that makes use of the order within each stretch.
    elements.sort();
    elements
        .iter()
        .zip(elements.iter().skip(1))
        .any(|(one, next)| one == next)
}
