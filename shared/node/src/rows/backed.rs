//! How far what is at the centre is in its backups.

use minicbor::{Decode, Encode};
use names::Nonce;
use protocol::{codec, message::Backups};

use super::ActorRow;

/// Stretches that wait for a backup: one is made at a time, and whoever breaks one off begins another.
/// Of more the oldest are forgotten: a later backup has what theirs would have had.
const WAITING_MAX: usize = 16;

/// Stretches of a store's life: a new one begins when the centre has begun a backup. Whatever reached
/// the centre in one is in every backup that was begun after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct BackedRow {
    /// The stretch that it is now.
    #[n(0)]
    stretch: u64,
    /// What reached the centre in stretches below this one is in a backup.
    #[n(1)]
    below: u64,
    /// The opening of the centre's store that was heard last,
    #[cbor(n(2), with = "codec::wire")]
    opening: Nonce,
    /// and how many backups it had begun.
    #[n(3)]
    begun: u64,
    /// Whether all that ever reached the centre was proved to be in that opening's store: one that came
    /// back from an older copy may lack some of it.
    #[n(4)]
    is_proved: bool,
    #[cbor(
        n(5),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<WAITING_MAX, _, _>"
    )]
    waiting: Vec<Waiting>,
}

/// A stretch that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Waiting {
    #[n(0)]
    stretch: u64,
    /// How many backups had been begun when it was: later ones have what reached the centre in it.
    #[n(1)]
    begun: u64,
}

codec::wire_struct!(Waiting);

impl BackedRow {
    /// Takes in what the centre says of its backups, in an opening of its store. Whether a stretch is
    /// over or in a backup now, or what was known of this opening is not: the rest is known anew at
    /// the next greeting, and may be lost.
    pub(crate) fn hear(&mut self, opening: Nonce, backups: Backups) -> bool {
        let before = (self.stretch, self.below);
        let mut is_doubted = false;
        if opening != self.opening {
            (self.opening, self.begun, self.is_proved) = (opening, backups.begun, false);
            self.waiting.clear();
        } else if backups.begun < self.begun {
            // Whoever runs a machine's memory from a copy runs an opening twice, and counts again.
            is_doubted = self.is_proved || !self.waiting.is_empty();
            self.is_proved = false;
            self.waiting.clear();
        } else if backups.begun > self.begun {
            self.end_stretch();
            self.begun = backups.begun;
        }
        let is_in_one = |waiting: &&Waiting| waiting.begun < backups.kept;
        if let Some(last) = self.waiting.iter().rfind(is_in_one).copied() {
            self.below = last.stretch.saturating_add(1);
            self.waiting
                .retain(|waiting| waiting.stretch > last.stretch);
        }
        is_doubted || before != (self.stretch, self.below)
    }

    fn end_stretch(&mut self) {
        if !self.is_proved {
            return;
        }
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.remove(0);
        }
        let (stretch, begun) = (self.stretch, self.begun);
        self.waiting.push(Waiting { stretch, begun });
        self.stretch = stretch.saturating_add(1);
    }

    /// Notes that all that reached the centre is in its store of this opening. Whether that is news.
    pub(crate) fn prove(&mut self, opening: Nonce) -> bool {
        let is_news = opening == self.opening && !self.is_proved;
        self.is_proved |= is_news;
        is_news
    }

    /// Whether all of a line that is at the centre is in a backup of it.
    fn has_all(&self, line: &ActorRow) -> bool {
        // What was said in a stretch that this row does not know was said before the row was damaged.
        let is_lost = line.stretch > self.later();
        self.below > if is_lost { 0 } else { line.stretch }
    }

    /// Whether a change of a line that is at the centre is in a backup of it.
    pub(crate) fn has(&self, line: &ActorRow, seq: u64) -> bool {
        seq <= line.centre && (seq <= line.backed || self.has_all(line))
    }

    /// The stretch in which something reaches the centre that it says now.
    pub(crate) fn now(&self) -> u64 {
        self.stretch
    }

    /// The stretch in which it does when that is not said in order with what is said of backups: one
    /// may have been begun of which nobody here has heard.
    pub(crate) fn later(&self) -> u64 {
        self.stretch.saturating_add(1)
    }

    /// Notes in a line that the centre holds it up to a number, as was said in a stretch.
    pub(crate) fn arrived(&self, line: &mut ActorRow, seq: u64, stretch: u64) {
        if self.has_all(line) {
            line.backed = line.centre;
        }
        line.centre = seq;
        line.stretch = stretch;
    }
}
