//! Points in time, handed in from outside: nothing in the core reads a clock.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, as some node's shell read it.
///
/// Clocks lie (`medic/cht-core#6284`), so a `Moment` is shown beside who wrote it and never
/// decides which of two entries wins.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// This moment moved by `milliseconds`, saturating at both ends.
    #[must_use]
    pub fn plus_ms(self, milliseconds: i64) -> Moment {
        Moment(self.0.saturating_add(milliseconds))
    }
}
