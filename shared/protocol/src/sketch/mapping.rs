//! Which cells an item is in.
//!
//! The mapping of the paper with its parameter alpha at 0.5 (section 4): an item is in cell 0, and
//! in cell *i* with probability 1/(1 + i/2), each cell independently of the others. So it is in
//! 2(H(n+1) - 1) of the first n cells, H being the harmonic numbers: 13 of 1,024, 20 of 32,768.
//!
//! From cell *i* one jumps straight to the item's next. That this lies beyond *n* has probability
//! (i+1)(i+2) / ((n+1)(n+2)), the product of what each cell between leaves out; so for a number
//! *v* drawn evenly from 1 to 2^64, the next cell is the least *n* with
//!
//! ```text
//! (n+1)(n+2) v > (i+1)(i+2) 2^64
//! ```
//!
//! The paper's own program solves this approximately, in floating point. Here it is solved exactly
//! and in integers, so that every platform finds the same cells: these are part of the protocol.

use super::CELLS_MAX;

/// The increment of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014): 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The cells that one item is in, ascending, as far as [`CELLS_MAX`].
#[derive(Clone)]
pub(super) struct Indices {
    chance: u64,
    next: Option<usize>,
}

impl Indices {
    /// Those of the item whose keyed hash gives this seed.
    pub(super) fn new(seed: u64) -> Indices {
        Indices {
            chance: seed,
            next: Some(0),
        }
    }

    /// The one that comes next.
    pub(super) fn peek(&self) -> Option<usize> {
        self.next
    }
}

impl Iterator for Indices {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let index = self.next?;
        self.chance = self.chance.wrapping_add(GOLDEN);
        self.next = after(index, mix(self.chance));
        Some(index)
    }
}

/// The finaliser of SplitMix64, which spreads a counter over all 64 bits.
fn mix(counter: u64) -> u64 {
    let mut z = counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The cell after `index` that a number drawn evenly from 64 bits leads to; none from
/// [`CELLS_MAX`] on.
fn after(index: usize, drawn: u64) -> Option<usize> {
    let index = index as u128;
    let even = u128::from(drawn) + 1;
    // The least n whose (n+1)(n+2) is greater than this; completing the square,
    // (2n+3)^2 > 4 floor + 1.
    let floor = u64::try_from((((index + 1) * (index + 2)) << 64) / even).ok()?;
    let root = floor.checked_mul(4)?.checked_add(1)?.isqrt();
    let next = usize::try_from((root - 1) / 2).ok()?;
    (next < CELLS_MAX).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn indices_keep_their_value_for_ever() {
        let first = |seed| -> Vec<usize> { Indices::new(seed).take(10).collect() };
        assert_eq!(first(0), [0, 1, 3, 27, 28, 89, 157, 379, 432, 874]);
        assert_eq!(first(1), [0, 1, 2, 3, 6, 10, 12, 13, 19, 37]);
        assert_eq!(first(u64::MAX), [0, 1, 2, 6, 10, 13, 15, 16, 34, 39]);
        assert_eq!(
            first(0x0123_4567_89AB_CDEF),
            [0, 4, 5, 14, 18, 278, 981, 1_155, 1_579, 1_600]
        );
        let ends = [0, 1, u64::MAX, 0x0123_4567_89AB_CDEF].map(|seed| {
            let indices: Vec<usize> = Indices::new(seed).collect();
            (indices.len(), indices.last().copied())
        });
        assert_eq!(
            ends,
            [
                (24, Some(27_173)),
                (24, Some(23_265)),
                (13, Some(3_405)),
                (17, Some(28_910))
            ]
        );
    }

    #[test]
    fn the_extremes_of_chance_lead_to_the_next_cell_and_to_none() {
        assert_eq!(after(0, u64::MAX), Some(1));
        assert_eq!(after(CELLS_MAX - 2, u64::MAX), Some(CELLS_MAX - 1));
        assert_eq!(after(CELLS_MAX - 1, u64::MAX), None);
        assert_eq!(after(0, 0), None);
        assert_eq!(after(CELLS_MAX - 1, 0), None);
    }

    #[test]
    fn an_item_is_in_a_cell_as_often_as_the_paper_says() {
        const SEEDS: u64 = 40_000;
        for cell in [1, 2, 3, 10, 40, 200] {
            let holds = |seed: &u64| {
                let mut indices = Indices::new(mix(*seed));
                indices.any(|index| index == cell)
            };
            let held = (0..SEEDS).filter(holds).count() as u64;
            // Its mean is 2 n / (2 + i); five of its standard deviations at most.
            let mean = 2 * SEEDS / (2 + cell as u64);
            assert!(
                held.abs_diff(mean) < 5 * mean.isqrt(),
                "cell {cell}: {held}"
            );
        }
    }

    proptest! {
        #[test]
        fn indices_begin_with_0_ascend_and_end(seed: u64) {
            let indices: Vec<usize> = Indices::new(seed).collect();
            prop_assert_eq!(indices.first(), Some(&0));
            prop_assert!(indices.is_sorted_by(|one, next| one < next));
            prop_assert!(indices.last().is_some_and(|last| *last < CELLS_MAX));
        }

        #[test]
        fn the_next_is_the_least_that_the_rule_allows(index in 0..CELLS_MAX, drawn: u64) {
            let allowed = |n: usize| {
                let [n, i] = [n as u128, index as u128];
                (n + 1) * (n + 2) * (u128::from(drawn) + 1) > ((i + 1) * (i + 2)) << 64
            };
            match after(index, drawn) {
                Some(next) => prop_assert!(next > index && allowed(next) && !allowed(next - 1)),
                None => prop_assert!(!allowed(CELLS_MAX - 1)),
            }
        }
    }
}
