//! Chance that replays for ever: a small generator written down here, so that no update of a
//! library changes what a seed means.
//!
//! Each concern draws from a stream of its own, named by a word. A new draw in one of them then
//! leaves the others as they were.

/// A stream of drawn numbers: xoshiro256++ (Blackman and Vigna), seeded by splitmix64. Integers
/// only: floating-point functions may round differently elsewhere.
#[derive(Clone, Debug)]
pub struct Chance {
    state: [u64; 4],
}

/// What splitmix64 adds at each step.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

impl Chance {
    /// The stream called `stream` of a seed.
    pub fn new(seed: u64, stream: &str) -> Chance {
        // FNV-1a over the name keeps streams of one seed apart.
        let name = stream
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
            });
        let mut state = seed ^ name;
        Chance {
            state: std::array::from_fn(|_| splitmix(&mut state)),
        }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let drawn = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        drawn
    }

    /// A number from 0 to `bound` - 1; 0 if there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        let scaled = u128::from(self.any()) * u128::from(bound);
        u64::try_from(scaled >> 64).unwrap_or(0)
    }

    /// An index into something of `length`.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A length of time in milliseconds from `low` to `high`, each doubling as likely as the
    /// next, so that short ones and long ones both happen.
    pub fn span_ms(&mut self, low: u64, high: u64) -> i64 {
        let low = low.max(1);
        let doublings = u64::from((high / low).max(1).ilog2());
        let floor = low << self.below(doublings + 1);
        let span = self
            .between(floor, floor.saturating_mul(2))
            .min(high.max(low));
        i64::try_from(span).unwrap_or(i64::MAX)
    }

    /// One of `choices`; none if there are none.
    pub fn pick<'c, T>(&mut self, choices: &'c [T]) -> Option<&'c T> {
        choices.get(self.index(choices.len()))
    }

    /// One of the values, each as often as its weight says; the first if all weights are zero.
    pub fn weighted<T: Copy, const N: usize>(&mut self, first: T, choices: [(u64, T); N]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(total);
        for (weight, value) in choices {
            if left < weight {
                return value;
            }
            left -= weight;
        }
        first
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            for (slot, byte) in piece.iter_mut().zip(self.any().to_le_bytes()) {
                *slot = byte;
            }
        }
    }

    /// As many bytes as asked for.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut chance = Chance::new(1, "people");
        let drawn: [u64; 3] = std::array::from_fn(|_| chance.below(1_000_000));
        assert_eq!(drawn, [823_270, 958_997, 571_182]);
    }

    #[test]
    fn bounds_are_kept() {
        let mut chance = Chance::new(7, "bounds");
        for _ in 0..10_000 {
            assert!(chance.below(3) < 3);
            assert!((5..=9).contains(&chance.between(5, 9)));
            assert!((10..=5_000).contains(&chance.span_ms(10, 5_000)));
        }
        assert_eq!(chance.below(0), 0);
        assert_eq!(chance.pick::<u8>(&[]), None);
    }
}
