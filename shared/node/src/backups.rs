//! How far what the centre holds is in backups: said to those who let go what they have handed in, and
//! who tell people how far their entries have got.
//!
//! A backup has what was durable when its snapshot was taken, and so all that was said to be held
//! before it was begun. They are counted in memory, from each opening of the store: an older copy of
//! it does not know what was made after it, and whoever let go something on the word of the centre
//! of before would not be told. So a new opening is a new count, and what was not yet let go is
//! handed in again.
//!
//! An entry counts as backed up when it was at the centre before a backup was begun that has been put
//! away. What an edge was told by the centre of before may be gone, so a backup counts for it only if
//! every scope had been proved equal in the same conversation when it was begun.

use names::{DocumentId, Nonce};
use protocol::message::{Backups, Frame};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    draft::{read_row, unless_damaged},
    input::LinkId,
    link::{Link, Stage},
    node::Node,
    output::Lane,
    rows::{self, ActorRow, BackedRow, TransferRow},
    turn::Turn,
};

/// The name of the row in which it is kept how far what is at the centre is in its backups.
const BACKED: &[u8] = b"backed";

/// How far what is at the centre is in its backups. Nothing is known after damage, so that what was
/// in one counts as in none until the next.
pub(crate) fn read<P: Snapshot>(snapshot: &P) -> Result<BackedRow, StoreError> {
    let kept = read_row(snapshot, Table::Meta, BACKED, 0);
    let kept: Option<BackedRow> = unless_damaged(kept)?.flatten();
    Ok(kept.unwrap_or_default())
}

/// Whether a change of a line is in a backup of the centre. What is on its way out of this store is
/// compared with nobody, so of that it is not said.
pub(crate) fn is_backed_up<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    line: &ActorRow,
    seq: u64,
) -> Result<bool, StoreError> {
    if !read(snapshot)?.has(line, seq) {
        return Ok(false);
    }
    let left = read_row(snapshot, Table::Transfer, document.as_ref(), 0);
    let left: Option<Option<TransferRow>> = unless_damaged(left)?;
    let stays = |row: Option<TransferRow>| row.is_none_or(|row| row.stage == rows::Stage::Stays);
    Ok(left.is_some_and(stays))
}

impl Link {
    /// Whether this is the centre, and every scope was proved equal with it.
    fn has_all_proved(&self) -> bool {
        self.is_centre
            && self.stage == Stage::Scopes
            && self.scopes.values().all(|talk| talk.was_equal)
    }
}

impl<S: Store> Node<S> {
    /// Counts a backup that is to be made of the next snapshot.
    pub(crate) fn begin_backup(&mut self, turn: &mut Turn<S::Snapshot>) -> u64 {
        self.backups.begun += 1;
        self.note_begun(turn, self.nonce, self.backups.begun);
        self.say_backups();
        self.backups.begun
    }

    /// Notes that a backup was put away. One that is not of this opening says nothing.
    pub(crate) fn keep_backup(&mut self, turn: &mut Turn<S::Snapshot>, number: u64) {
        if number > self.backups.kept && number <= self.backups.begun {
            self.backups.kept = number;
            self.note_kept(turn, self.nonce, number);
            self.say_backups();
        }
    }

    /// The centre says how far its backups are.
    pub(crate) fn take_backups(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        backups: Backups,
    ) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_centre) else {
            return;
        };
        let before = link.backups.replace(backups);
        let Some(opening) = link.them.map(|them| them.opening) else {
            return;
        };
        // What was begun before this conversation may have been begun before the centre had all.
        let is_begun = before.is_some_and(|before| before.begun < backups.begun);
        let has_all = link.has_all_proved();
        self.note_kept(turn, opening, backups.kept);
        if is_begun && has_all {
            self.note_begun(turn, opening, backups.begun);
        }
    }

    fn note_begun(&mut self, turn: &mut Turn<S::Snapshot>, opening: Nonce, number: u64) {
        self.backed.begin(opening, number);
        turn.draft
            .put(Table::Meta, BACKED.to_vec(), 0, &self.backed);
    }

    fn note_kept(&mut self, turn: &mut Turn<S::Snapshot>, opening: Nonce, number: u64) {
        if self.backed.keep(opening, number) {
            turn.draft
                .put(Table::Meta, BACKED.to_vec(), 0, &self.backed);
        }
    }

    fn say_backups(&mut self) {
        let links = self.links.values_mut();
        for link in links.filter(|link| link.stage == Stage::Scopes) {
            link.ready
                .push((Lane::Control, Frame::Backups(self.backups)));
        }
    }
}
