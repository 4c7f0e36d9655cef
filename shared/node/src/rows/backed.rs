//! How far what is at the centre is in its backups.

use minicbor::{Decode, Encode};
use names::Nonce;
use protocol::codec;

use super::ActorRow;

/// Backups that were begun and are not put away: one is made at a time, and whoever breaks one off
/// begins another. Of more the oldest are forgotten, and a later one has all that they would have had.
const BEGUN_MAX: usize = 16;

/// Stretches of a store's life: a new one begins with each backup of the centre. A line that reached
/// the centre in one is in every backup that was begun after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct BackedRow {
    /// The stretch that it is now.
    #[n(0)]
    pub(crate) stretch: u64,
    /// What reached the centre in stretches below this one is in a backup.
    #[n(1)]
    below: u64,
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<BEGUN_MAX, _, _>"
    )]
    begun: Vec<Begun>,
}

/// A backup that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Begun {
    /// It has what reached the centre up to the end of this stretch.
    #[n(0)]
    stretch: u64,
    /// In which opening of the centre's store,
    #[cbor(n(1), with = "codec::wire")]
    opening: Nonce,
    /// and its number there.
    #[n(2)]
    number: u64,
}

codec::wire_struct!(Begun);

impl BackedRow {
    /// Notes a backup that was begun, in an opening of the centre's store: a new stretch begins.
    pub(crate) fn begin(&mut self, opening: Nonce, number: u64) {
        if self.begun.len() >= BEGUN_MAX {
            self.begun.remove(0);
        }
        let stretch = self.stretch;
        self.begun.push(Begun {
            stretch,
            opening,
            number,
        });
        self.stretch = stretch.saturating_add(1);
    }

    /// Notes that a backup was put away, in an opening of the centre's store. Whether that is news.
    pub(crate) fn keep(&mut self, opening: Nonce, number: u64) -> bool {
        let is_kept = |begun: &&Begun| begun.opening == opening && begun.number <= number;
        let last = self.begun.iter().filter(is_kept).map(|begun| begun.stretch);
        let Some(last) = last.max() else {
            return false;
        };
        self.below = self.below.max(last.saturating_add(1));
        self.begun.retain(|begun| begun.stretch > last);
        true
    }

    /// Whether all of a line that is at the centre is in a backup of it.
    fn has_all(&self, line: &ActorRow) -> bool {
        line.stretch < self.below
    }

    /// Whether a change of a line that is at the centre is in a backup of it.
    pub(crate) fn has(&self, line: &ActorRow, seq: u64) -> bool {
        seq <= line.centre && (seq <= line.backed || self.has_all(line))
    }

    /// Notes in a line that the centre holds it up to a number.
    pub(crate) fn arrived(&self, line: &mut ActorRow, seq: u64) {
        if self.has_all(line) {
            line.backed = line.centre;
        }
        line.centre = seq;
        line.stretch = self.stretch;
    }
}
