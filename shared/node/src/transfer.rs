//! Transfers: a case goes from one site to another.
//!
//! Who may place where the case stands signs a placement that takes it out of there. *Losing a scope
//! stops reading, never handing in*: a node that may not read the case any more shows it in no list
//! and takes no command on it; what was written there and is not at the centre yet is handed in, in
//! the scope that the case has left, which both sides still share. (So there is no frame of its own:
//! a fill of that scope carries it, on the same credit, and the centre looks whether the author's
//! device once had the right to write there.) When the centre holds all of it, and a backup of the
//! centre has it too, the chunks are dropped, so many rows a turn; the placements stay, and tell
//! whoever asks where the case went.

mod handing;
mod leaving;
mod ruling;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use domain::{Power, Refusal};
use names::{DocumentId, Kind, Moment, Reason, ScopeId, SiteId, limits::PLACEMENT_HEADS_MAX};
use protocol::{codec, directory::Ruling, placement::Placement};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    admit,
    draft::unless_damaged,
    input::{Ticket, Transfer},
    node::Node,
    output::{NotDone, Output, Transferred},
    rows::{DocumentRow, Stage, TransferRow},
    turn::Turn,
};
pub(crate) use handing::HandIn;
pub(crate) use ruling::Owed;

impl<S: Store> Node<S> {
    pub(crate) fn take_transfer(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        ticket: Ticket,
        transfer: &Transfer,
    ) -> Result<(), StoreError> {
        let result = unless_damaged(self.transfer(turn, transfer))?;
        let result = result.unwrap_or(Err(NotDone::Reason(Reason::CannotOpen)));
        if let Err(NotDone::Reason(reason)) = &result {
            self.count(*reason);
        }
        turn.say(Output::Transferred { ticket, result });
        Ok(())
    }

    fn transfer(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        transfer: &Transfer,
    ) -> Result<Result<Transferred, NotDone>, StoreError> {
        let document = transfer.document;
        let Some(row) = turn.draft.document(document)? else {
            return Ok(Err(NotDone::Reason(Reason::NotFound)));
        };
        let known = admit::kept_placements(&turn.draft, document, &row)?;
        let directory = self.directory();
        let standing = admit::standing_of(&directory, document, &known);
        let by = standing.stands.by.filter(|_| {
            // At the centre it is ruled already.
            standing.rulings.is_empty() || self.is_centre()
        });
        let before = known.into_iter().find(|(id, _)| Some(*id) == by);
        if self.has_left(document) {
            // Asked again, perhaps because the answer was lost.
            let same = before.filter(|(_, last)| {
                let there = ScopeId::Site(transfer.to.clone());
                last.worker == transfer.by.worker && last.scopes.contains(&there)
            });
            let again = same.map(|(id, _)| self.transferred(document, id));
            return Ok(again.ok_or(NotDone::Reason(Reason::Transferred)));
        }
        if let Err(reason) = self.may_write(&row) {
            return Ok(Err(NotDone::Reason(reason)));
        }
        // While two placements wait for a ruling, nobody can say which of them a third follows.
        let Some((previous, before)) = before else {
            return Ok(Err(NotDone::Reason(Reason::NotPlaced)));
        };
        let scopes = match self.transferred_scopes(row.kind, &before, transfer) {
            Ok(scopes) => scopes,
            Err(refusal) => return Ok(Err(NotDone::Refused(refusal))),
        };
        if !directory.may_place(&self.device, &before.scopes) {
            return Ok(Err(NotDone::Reason(Reason::NotAllowed)));
        }
        let mut heads = row.hashes();
        heads.truncate(PLACEMENT_HEADS_MAX);
        let placement = Placement {
            scopes,
            device: self.device,
            worker: transfer.by.worker.clone(),
            at: turn.now,
            root: None,
            previous: Some(previous),
            reason: Some(transfer.reason),
            heads,
            ..before
        };
        let kept = self.keep_placement(turn, &placement)?;
        let done = kept.map(|id| self.transferred(document, id));
        Ok(done.map_err(NotDone::Reason))
    }

    /// The scopes of a case once a site has handed it over: the other site's instead of its own, of
    /// its compartments, and of the caseloads of those who work there.
    fn transferred_scopes(
        &self,
        kind: Kind,
        before: &Placement,
        transfer: &Transfer,
    ) -> Result<BTreeSet<ScopeId>, Refusal> {
        let may = |role: &domain::Role| role.may(Power::TransferCase);
        if !transfer.by.roles.iter().any(may) {
            return Err(Refusal::NotAllowed(Power::TransferCase));
        }
        if !kind.may_leave_its_site() {
            return Err(Refusal::StaysAtItsSite);
        }
        if self.directory.site(&transfer.to).is_none() {
            return Err(Refusal::NoSuchSite);
        }
        let kept = before.scopes.iter();
        let mut scopes: BTreeSet<ScopeId> = kept
            .filter(|scope| !self.is_of(scope, &transfer.from))
            .cloned()
            .collect();
        if transfer.from == transfer.to || scopes.len() == before.scopes.len() {
            return Err(Refusal::NotAtThatSite);
        }
        scopes.insert(ScopeId::Site(transfer.to.clone()));
        Ok(scopes)
    }

    fn is_of(&self, scope: &ScopeId, site: &SiteId) -> bool {
        match scope {
            ScopeId::Site(owner) | ScopeId::Compartment(owner, _) => owner == site,
            ScopeId::Caseload(worker) => {
                let worker = self.directory.worker(worker);
                worker.is_some_and(|worker| worker.site == *site)
            }
            ScopeId::Directory => false,
        }
    }

    fn transferred(
        &self,
        document: DocumentId,
        placement: protocol::placement::PlacementId,
    ) -> Transferred {
        Transferred {
            document,
            placement,
            waiting: self.outbox.waiting_of(document),
        }
    }

    /// Whether a document has gone to where this node may not read it.
    pub(crate) fn has_left(&self, document: DocumentId) -> bool {
        use crate::rows::Stage;
        let stage = self.parted.get(&document).map(|row| row.stage);
        stage.is_some_and(|stage| stage != Stage::Stays)
    }
}

/// What a store has of transfers: documents that have left a scope, and rulings that are owed.
pub(crate) type Transfers = (
    BTreeMap<DocumentId, TransferRow>,
    BTreeMap<(DocumentId, u64), Owed>,
);

/// Reads the documents that have left a scope, and the rulings that are owed; `reads` tells which
/// scopes this node may read. Where a row is damaged, what it said is worked out again from the
/// documents themselves: who has left must not be told of, whatever became of one row. A ruling
/// is owed again by the next placement.
pub(crate) fn read_transfers<P: Snapshot>(
    snapshot: &P,
    reads: impl Fn(&ScopeId) -> bool,
) -> Result<Transfers, StoreError> {
    let (mut parted, mut owed, mut spoilt) = (BTreeMap::new(), BTreeMap::new(), 0);
    let unread = store::each(snapshot, Table::Transfer, |row| {
        let Ok(id) = <[u8; 16]>::try_from(row.name.as_slice()) else {
            return;
        };
        let document = DocumentId(id);
        if row.position == 0 {
            match codec::decode::<TransferRow>(&row.value) {
                Ok(kept) => drop(parted.insert(document, kept)),
                Err(_) => spoilt += 1,
            }
        } else {
            let kept = codec::decode::<Ruling>(&row.value);
            let kept = kept.map(|ruling| ((document, row.position), Owed::new(ruling)));
            owed.extend(kept);
        }
    })?;
    if unread + spoilt > 0 {
        store::each(snapshot, Table::Document, |row| {
            let id = <[u8; 16]>::try_from(row.name.as_slice()).map(DocumentId);
            let kept = codec::decode::<DocumentRow>(&row.value);
            let (Ok(document), Ok(kept)) = (id, kept) else {
                return;
            };
            if !kept.left.is_empty() {
                parted.entry(document).or_insert_with(|| TransferRow {
                    at: Moment::default(),
                    stage: stage_of(&kept, &reads),
                    refused: None,
                });
            }
        })?;
    }
    Ok((parted, owed))
}

/// How far a document is with leaving, by what there is of it.
fn stage_of(row: &DocumentRow, reads: impl Fn(&ScopeId) -> bool) -> Stage {
    if row.placed.iter().any(reads) {
        Stage::Stays
    } else if row.changes == 0 && row.arrivals > 0 {
        Stage::Gone
    } else {
        Stage::HandsIn
    }
}
