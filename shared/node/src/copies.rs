//! Stores that come back from an older copy of their files, and copies that run side by side.
//!
//! Nothing has to be done for the record's sake: actors are drawn at each opening, so no two copies
//! write as one author; logs are hints, and the digest finds what they hide. But a person has to
//! know. Of what was written on a disk after it was last heard and before it was replaced no copy may
//! survive: that span is listed, by device. And of two copies that run side by side one should not.

use minicbor::{Decode, Encode};
use names::{DeviceId, Moment, Nonce};
use protocol::codec;
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    draft::{read_row, unless_damaged},
    input::LinkId,
    node::Node,
    output::{Notice, Output},
    rows::{Copied, CopyRow},
    turn::Turn,
};

/// The name of the row in which they are kept.
const COPIES: &[u8] = b"copies";
/// How many are kept, the latest: some years of one a week.
const COPIES_MAX: usize = 256;
/// Openings of one device's store that are remembered: a store that is opened so often within the
/// life of this node shows a copy again soon.
const OPENINGS_MAX: usize = 16;
/// How long after a later opening has greeted something of an earlier one may still be on its way:
/// twice what a dead conversation lasts.
const LATE_MS: i64 = 60_000;

/// When a device was last heard, and the openings of its store that have greeted, the latest last.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    pub(crate) last: Moment,
    openings: Vec<(Nonce, Moment)>,
}

#[derive(Default, Encode, Decode)]
struct Copies {
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<COPIES_MAX, _, _>"
    )]
    rows: Vec<CopyRow>,
}

/// What is known of copies, the latest last. A damaged row is one that nobody can read any more.
///
/// # Errors
/// When the store cannot be read.
pub fn read<P: Snapshot>(snapshot: &P) -> Result<Vec<CopyRow>, StoreError> {
    let kept = read_row(snapshot, Table::Meta, COPIES, 0);
    let kept: Option<Copies> = unless_damaged(kept)?.flatten();
    Ok(kept.unwrap_or_default().rows)
}

impl<S: Store> Node<S> {
    /// A peer has said something.
    pub(crate) fn note_contact(&mut self, turn: &mut Turn<S::Snapshot>, id: LinkId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let (device, opening) = (link.device, link.them.map(|them| them.opening));
        let Some(contact) = self.contacts.get_mut(&device) else {
            return;
        };
        contact.last = turn.now;
        let later = contact.openings.last().filter(|(last, since)| {
            opening.is_some_and(|opening| opening != *last) && turn.now >= since.plus_ms(LATE_MS)
        });
        if later.is_some() {
            self.note_copy(turn, device, Copied::RunsTwice, None);
        }
    }

    /// A peer greets in this opening of its store.
    pub(crate) fn note_opening(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
        opening: Nonce,
    ) {
        let contact = self.contacts.entry(device).or_insert_with(|| Contact {
            last: turn.now,
            openings: Vec::new(),
        });
        contact.last = turn.now;
        let known = contact
            .openings
            .iter()
            .position(|(known, _)| *known == opening);
        let is_last = known.is_some_and(|place| place + 1 == contact.openings.len());
        if is_last {
            return;
        }
        if contact.openings.len() >= OPENINGS_MAX {
            contact.openings.remove(0);
        }
        contact.openings.push((opening, turn.now));
        if known.is_some() {
            // No opening comes back once a later one was there.
            self.note_copy(turn, device, Copied::RunsTwice, None);
        }
    }

    /// A peer's logs end before what was taken of them: its store came back from an older copy.
    pub(crate) fn note_older_copy(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        device: DeviceId,
    ) {
        let link = self.links.get_mut(&id);
        if link.is_none_or(|link| std::mem::replace(&mut link.is_older_copy, true)) {
            return;
        }
        let before = self.links.get(&id).and_then(|link| link.heard_before);
        self.note_copy(turn, device, Copied::OlderCopy, before);
    }

    /// Writes down what was noticed. Of one store that runs twice it is written once: each of both
    /// seems to come back from an older copy whenever the other was there.
    fn note_copy(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
        how: Copied,
        from: Option<Moment>,
    ) {
        if self.runs_twice(&device) {
            return;
        }
        if self.copies.len() >= COPIES_MAX {
            self.copies.remove(0);
        }
        self.copies.push(CopyRow {
            device,
            how,
            from,
            until: turn.now,
        });
        let rows = self.copies.clone();
        turn.draft.put(Table::Meta, COPIES, 0, &Copies { rows });
        turn.say(Output::Notice(Notice::Copied { device, how }));
        if how == Copied::OlderCopy {
            return;
        }
        // Until now neither was sent what the other had written.
        for link in self.links.values_mut().filter(|link| link.device == device) {
            link.is_twice = true;
            for talk in link.scopes.values_mut() {
                talk.begin(talk.round.saturating_add(1));
            }
        }
    }

    /// Whether two copies of a device's store are known to run.
    pub(crate) fn runs_twice(&self, device: &DeviceId) -> bool {
        let mut rows = self.copies.iter();
        rows.any(|row| row.device == *device && row.how == Copied::RunsTwice)
    }
}
