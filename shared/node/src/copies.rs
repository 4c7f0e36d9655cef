//! Stores that come back from an older copy of their files, and copies that run side by side.
//!
//! Nothing has to be done for the record's sake: actors are drawn at each opening, so no two copies
//! write as one author; logs are hints, and the digest finds what they hide. But a person has to
//! know. Of what was written on a disk after it was last heard and before it was replaced no copy may
//! survive: that span is listed, by device. And of two copies that run side by side one should not.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use names::{DeviceId, Moment, Nonce, Reason, ScopeId};
use protocol::codec;
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    draft::{read_row, unless_damaged},
    input::LinkId,
    link::Due,
    node::Node,
    output::{Notice, Output},
    rows::{Copied, CopyRow},
    turn::{PROOF_INTERVAL_MS, Turn},
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
/// How long two copies count as running after that was last seen: a week, so that one that is seldom
/// in touch is not forgotten.
const TWICE_MS: i64 = 7 * 24 * 3_600_000;
/// How often it is written down that two copies still run.
const SEEN_AGAIN_MS: i64 = 24 * 3_600_000;

/// When a device was last heard, and the openings of its store that have greeted, the latest last.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    last: Moment,
    /// When it was last heard before its latest opening greeted, if it was.
    before: Option<Moment>,
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
        // Its greeting is another's affair: that tells which opening it is.
        let said = self.links.get(&id);
        let said = said.and_then(|link| Some((link.device, link.them?.opening)));
        let Some((device, opening)) = said else {
            return;
        };
        let Some(contact) = self.contacts.get_mut(&device) else {
            return;
        };
        contact.last = turn.now;
        let last = contact.openings.last();
        let is_late = |since: &Moment| turn.now < since.plus_ms(LATE_MS);
        if last.is_some_and(|(last, since)| *last != opening && !is_late(since)) {
            self.note_twice(turn, device, opening);
        }
    }

    /// Something has come from a device in a scope. It is not sent back there, so if another
    /// conversation is with a copy of the same store, which is not known to be one yet, it would lack
    /// it and still count as equal: that is proved anew.
    pub(crate) fn doubt_copies(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        scope: &ScopeId,
    ) {
        let Some(device) = self.links.get(&id).map(|link| link.device) else {
            return;
        };
        let others = self.links.iter_mut();
        let others = others.filter(|(other, link)| **other != id && link.device == device);
        for (_, link) in others {
            if let Some(talk) = link.scopes.get_mut(scope) {
                talk.proved = None;
                let due = (turn.soon(PROOF_INTERVAL_MS), Due::Proof);
                talk.due = talk.due.or(Some(due));
            }
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
            before: None,
            openings: Vec::new(),
        });
        let heard = contact.last;
        contact.last = turn.now;
        let known = contact
            .openings
            .iter()
            .position(|(known, _)| *known == opening);
        let last = contact.openings.last().copied();
        if last.is_some_and(|(last, _)| last == opening) {
            return;
        }
        if known.is_none() {
            contact.before = last.map(|_| heard);
        }
        if contact.openings.len() >= OPENINGS_MAX {
            contact.openings.remove(0);
        }
        contact.openings.push((opening, turn.now));
        // No opening comes back once a later one was there; only its last words may be late.
        let is_late = last.is_some_and(|(_, since)| turn.now < since.plus_ms(LATE_MS));
        if known.is_some() && !is_late {
            self.note_twice(turn, device, opening);
        }
    }

    /// A peer's logs end before what was taken of them: its store came back from an older copy. That
    /// is written down once for each opening of it.
    pub(crate) fn note_older_copy(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
        opening: Nonce,
    ) {
        let mut rows = self.copies.iter();
        if rows.any(|row| row.device == device && row.opening == opening) {
            return;
        }
        let before = self
            .contacts
            .get(&device)
            .and_then(|contact| contact.before);
        self.keep_copy(turn, (device, opening), Copied::OlderCopy, before);
    }

    /// Two copies of a store run side by side.
    pub(crate) fn note_twice(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
        opening: Nonce,
    ) {
        let known = self.copies.iter().find(|row| row.runs_twice(&device));
        let known = known.copied();
        if known.is_some_and(|row| turn.now < row.until.plus_ms(SEEN_AGAIN_MS)) {
            return;
        }
        self.copies.retain(|row| !row.runs_twice(&device));
        let from = known.map_or(Some(turn.now), |row| row.from);
        self.keep_copy(turn, (device, opening), Copied::RunsTwice, from);
        // Until now neither was sent what the other had written.
        for link in self.links.values_mut().filter(|link| link.device == device) {
            if !std::mem::replace(&mut link.is_twice, true) {
                for talk in link.scopes.values_mut() {
                    talk.begin(talk.round.saturating_add(1));
                }
            }
        }
    }

    fn keep_copy(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        (device, opening): (DeviceId, Nonce),
        how: Copied,
        from: Option<Moment>,
    ) {
        if self.copies.len() >= COPIES_MAX {
            // Of what runs twice something follows; of the others the oldest is let go.
            let oldest = |row: &CopyRow| row.how != Copied::RunsTwice;
            let oldest = self.copies.iter().position(oldest);
            self.copies.remove(oldest.unwrap_or(0));
        }
        self.copies.push(CopyRow {
            device,
            opening,
            how,
            from,
            until: turn.now,
        });
        let rows = self.copies.clone();
        turn.draft.put(Table::Meta, COPIES, 0, &Copies { rows });
        turn.say(Output::Notice(Notice::Copied { device, how }));
    }

    /// Somebody says that one copy alone of a device's store runs now.
    ///
    /// # Errors
    /// [`Reason::NotFound`] when there were not two; [`Reason::RunsTwice`] while both are in touch.
    pub(crate) fn one_stays(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        device: DeviceId,
    ) -> Result<(), Reason> {
        let mut rows = self.copies.iter_mut();
        let row = rows.find(|row| row.runs_twice(&device));
        let row = row.ok_or(Reason::NotFound)?;
        let links = self.links.values().filter(|link| link.device == device);
        let openings = links.filter_map(|link| Some(link.them?.opening));
        let openings: BTreeSet<Nonce> = openings.collect();
        if openings.len() > 1 {
            return Err(Reason::RunsTwice);
        }
        (row.how, row.until) = (Copied::RanTwice, turn.now);
        // Whichever stays, it is not the one that comes back behind a later one.
        if let Some(contact) = self.contacts.get_mut(&device) {
            let stays = openings.into_iter().map(|opening| (opening, turn.now));
            contact.openings = stays.collect();
        }
        for link in self.links.values_mut() {
            link.is_twice &= link.device != device;
        }
        let rows = self.copies.clone();
        turn.draft.put(Table::Meta, COPIES, 0, &Copies { rows });
        Ok(())
    }

    /// Whether two copies of a device's store were seen to run not long ago.
    pub(crate) fn runs_twice(&self, device: &DeviceId, now: Moment) -> bool {
        let mut rows = self.copies.iter();
        rows.any(|row| {
            let is_recent = now < row.until.plus_ms(TWICE_MS);
            row.runs_twice(device) && is_recent
        })
    }
}
