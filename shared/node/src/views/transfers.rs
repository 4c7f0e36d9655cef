//! What a node shows of documents that it has handed over: where they went, and what of them is still
//! to be handed in. Nothing of what they say.

use std::collections::BTreeMap;

use names::{DocumentId, Kind, Moment, Reason, ScopeId, TransferReason, WorkerId};
use protocol::{
    codec,
    directory::Directory,
    placement::{Placement, stands},
};
use store::{Snapshot, StoreError, Table};

use crate::{
    admit::kept_of,
    draft::{read_row, unless_damaged},
    lines::read_line,
    rows::{DocumentRow, OutboxRow, Stage, TransferRow},
    transfer::read_transfers,
};

/// A document that this node may not read any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandedOver {
    /// Which.
    pub document: DocumentId,
    /// What kind.
    pub kind: Kind,
    /// The scopes it stands in now, as far as is known here; empty while a ruling on transfers made
    /// at the same time has not come.
    pub to: Vec<ScopeId>,
    /// Why, if one transfer put it there.
    pub reason: Option<TransferReason>,
    /// Who transferred it.
    pub by: Option<WorkerId>,
    /// When it left, by this node's clock.
    pub at: Moment,
    /// Entries written here that the centre has not yet said it holds: still to be sent.
    pub waiting: u64,
    /// Whether the centre has answered to hold all of it, and it stays here until a backup of the
    /// centre has it too.
    pub awaits_backup: bool,
    /// Whether its chunks are gone from this store.
    pub is_gone: bool,
    /// Why the centre does not take something of it, if that is so.
    pub refused: Option<Reason>,
}

/// The documents that were handed over, the latest first.
///
/// # Errors
/// When the store cannot be read.
pub fn handed_over<P: Snapshot>(
    snapshot: &P,
    directory: &Directory,
) -> Result<Vec<HandedOver>, StoreError> {
    let (parted, _) = read_transfers(snapshot, |_| true)?;
    let mut lines = Vec::new();
    store::each(snapshot, Table::Outbox, |row| {
        let Ok(kept) = codec::decode::<OutboxRow>(&row.value) else {
            return;
        };
        lines.extend(kept.slots.iter().map(|slot| (kept.document, *slot)));
    })?;
    let mut waiting: BTreeMap<DocumentId, u64> = BTreeMap::new();
    for (document, slot) in lines {
        let line = unless_damaged(read_line(snapshot, document, slot))?.flatten();
        let more = line.map_or(0, |line| line.seq.saturating_sub(line.centre));
        *waiting.entry(document).or_default() += more;
    }
    let mut handed = Vec::new();
    for (document, kept) in parted {
        let TransferRow { at, stage, refused } = kept;
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let Some(row) = row.filter(|_| stage != Stage::Stays) else {
            continue;
        };
        let known = kept_of(snapshot, document, &row)?;
        let now = stands(&known, |previous| directory.ruling(document, previous));
        let by = now.by.and_then(|id| known.get(&id));
        handed.push(HandedOver {
            document,
            kind: row.kind,
            to: row.placed,
            reason: by.and_then(|placement| placement.reason),
            by: by.map(|placement| placement.worker.clone()),
            at,
            waiting: waiting.get(&document).copied().unwrap_or(0),
            awaits_backup: matches!(stage, Stage::Held(_)),
            is_gone: matches!(stage, Stage::Drops(_) | Stage::Gone),
            refused,
        });
    }
    handed.sort_by_key(|one| (std::cmp::Reverse(one.at), one.document));
    Ok(handed)
}

/// The transfers that brought a document to where it stands.
pub(crate) fn transfers_of<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    directory: &Directory,
) -> Result<Vec<Placement>, StoreError> {
    let row = read_row(snapshot, Table::Document, document.as_ref(), 0)?;
    let Some(row) = row else {
        return Ok(Vec::new());
    };
    let mut known = kept_of(snapshot, document, &row)?;
    let stands = stands(&known, |previous| directory.ruling(document, previous));
    let (mut next, mut transfers) = (stands.by, Vec::new());
    while let Some(placement) = next.and_then(|id| known.remove(&id)) {
        next = placement.previous;
        transfers.extend(Some(placement).filter(|placement| placement.reason.is_some()));
    }
    Ok(transfers)
}

/// Whether a document's chunks were here and are not any more.
pub(super) fn is_dropped<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
) -> Result<bool, StoreError> {
    let row: Option<TransferRow> = read_row(snapshot, Table::Transfer, document.as_ref(), 0)?;
    Ok(row.is_some_and(|row| matches!(row.stage, Stage::Drops(_) | Stage::Gone)))
}
