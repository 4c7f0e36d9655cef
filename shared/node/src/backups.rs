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
//! away. A centre that came back from an older copy may lack what the one of before had said to hold,
//! so its backups count only once every scope was found equal with it, or equal but for what one side
//! refuses. A device that may not read any more what it still holds cannot find that out, so for it no
//! backup of a later opening counts. A line keeps one moment at which it came, so an entry to which
//! others are added while a backup is made may say so one backup later; one whose row of lines was
//! damaged says so after the next entry of its author. A backup that lacks a damaged row is not put
//! away, and counts for nothing.

use names::{DocumentId, Nonce};
use protocol::{
    codec,
    directory::Rights,
    message::{Backups, Frame},
};
use store::{Batch, Snapshot, Store, StoreError, Table};

use crate::{
    draft::{read_row, unless_damaged},
    input::LinkId,
    link::Stage,
    node::Node,
    output::Lane,
    rows::{self, ActorRow, BackedRow, ScopeRow, TransferRow, scope_name},
    turn::Turn,
};

/// The name of the row in which it is kept how far what is at the centre is in its backups.
const BACKED: &[u8] = b"backed";

/// How far what is at the centre is in its backups. After damage nothing is known before the next.
pub(crate) fn read<P: Snapshot>(snapshot: &P) -> Result<BackedRow, StoreError> {
    let kept = read_row(snapshot, Table::Meta, BACKED, 0);
    let kept: Option<BackedRow> = unless_damaged(kept)?.flatten();
    Ok(kept.unwrap_or_default())
}

/// Whether a change of a line is in a backup of the centre. What is on its way out of this store is in
/// no scope that is compared, so of that it is not said.
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

impl<S: Store> Node<S> {
    /// Counts a backup that is to be made of the next snapshot.
    pub(crate) fn begin_backup(&mut self, turn: &mut Turn<S::Snapshot>) -> u64 {
        self.note_own_backups(turn);
        self.backups.begun += 1;
        self.note_own_backups(turn);
        self.say_backups();
        self.backups.begun
    }

    /// Notes that a backup was put away. One that is not of this opening says nothing.
    pub(crate) fn keep_backup(&mut self, turn: &mut Turn<S::Snapshot>, number: u64) {
        if number > self.backups.kept && number <= self.backups.begun {
            self.backups.kept = number;
            self.note_own_backups(turn);
            self.say_backups();
        }
    }

    /// The centre has what is written there.
    fn note_own_backups(&mut self, turn: &mut Turn<S::Snapshot>) {
        if self.is_centre() {
            self.hear_of_backups(turn, self.nonce, self.backups);
            self.backed.prove(self.nonce);
        }
    }

    /// The centre says how far its backups are.
    pub(crate) fn take_backups(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        backups: Backups,
    ) -> Result<(), StoreError> {
        let link = self.links.get_mut(&id).filter(|link| link.is_centre);
        let Some((link, them)) = link.and_then(|link| link.them.map(|them| (link, them))) else {
            return Ok(());
        };
        link.backups = Some(backups);
        if self.is_latest(id) {
            self.hear_of_backups(turn, them.opening, backups);
            self.prove_backed(turn, id)?;
        }
        Ok(())
    }

    /// Whether no later conversation with the centre has begun: what is said in an earlier one may be
    /// of an opening that is over.
    fn is_latest(&self, id: LinkId) -> bool {
        let mut later = self.links.range(id..).filter(|(other, _)| **other != id);
        !later.any(|(_, link)| link.is_centre)
    }

    /// What is known anew at every greeting goes with the next thing that is written
    /// ([`Node::turn`]): a greeting in which nothing is new commits nothing.
    fn hear_of_backups(&mut self, turn: &mut Turn<S::Snapshot>, opening: Nonce, backups: Backups) {
        let before = self.backed.clone();
        let is_news = self.backed.hear(opening, backups);
        self.backed_changed |= before != self.backed;
        if is_news {
            self.backed_changed = false;
            let name = BACKED.to_vec();
            turn.draft.put(Table::Meta, name, 0, &self.backed);
        }
    }

    /// Notes it if every scope is found equal with the centre in this conversation, those among them of
    /// which this store holds documents that its device could read once.
    pub(crate) fn prove_backed(
        &mut self,
        turn: &Turn<S::Snapshot>,
        id: LinkId,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get(&id).filter(|_| self.is_latest(id)) else {
            return Ok(());
        };
        // Before the centre's first word of its backups some may have been begun that nobody here has
        // heard of.
        let (Some((opening, _)), true) = (link.backed_up(), link.stage == Stage::Scopes) else {
            return Ok(());
        };
        if !link.is_centre || !link.scopes.values().all(|talk| talk.was_equal) {
            return Ok(());
        }
        for scope in self.log_heads.keys() {
            let rights = self.directory.ever(&self.device, scope);
            if link.scopes.contains_key(scope) || !rights.contains(Rights::READ) {
                continue;
            }
            let row = turn.draft.row(Table::Scope, &scope_name(scope), 0);
            let row: Option<ScopeRow> = unless_damaged(row)?.flatten();
            if row.is_none_or(|row| row.count > 0) {
                return Ok(());
            }
        }
        self.backed_changed |= self.backed.prove(opening);
        Ok(())
    }

    /// Has it written down how far backups are, if that has changed, with what else is written; and by
    /// itself before the node stops.
    pub(crate) fn keep_backed(&mut self, batch: &mut Batch) {
        let is_due = !batch.is_empty() || self.desk.is_closing;
        if is_due && std::mem::take(&mut self.backed_changed) {
            let row = codec::encode(&self.backed);
            batch.put(Table::Meta, BACKED.to_vec(), 0, row);
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
