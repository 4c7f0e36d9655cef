//! A damaged row of authors' lines, worked out again from the document's other rows.
//!
//! Everything in it but how far it got is said by what was signed: the index knows each author's last
//! change here, and the bundle that has it the head that closed it. How far the centre has a line is
//! said by the outbox: a line that does not wait there has arrived, and one that does counts as if
//! nothing of it had, so that it is offered again from its beginning. The row is written anew with
//! the next change of any author in it.

use std::collections::BTreeMap;

use names::{ActorId, DocumentId};
use protocol::{bundle::Bundle, signed::Head};
use store::{Damage, Snapshot, StoreError, Table};

use crate::{
    backups,
    draft::{damaged, decode_row, read_arrivals, read_row, unless_damaged},
    rows::{ActorRow, DocumentRow, IndexChange, IndexRow, LINES_PER_ROW, LinesRow, OutboxRow},
};

/// Index rows read at once: a document that two people work on has some dozens.
const INDEX_ROWS: usize = 64;

/// A row of lines as it was read, or as it must have been.
///
/// # Errors
/// That of `read`, when it is no damage or the other rows do not tell enough.
pub(super) fn or_mended<P: Snapshot>(
    read: Result<Option<LinesRow>, StoreError>,
    snapshot: &P,
    document: DocumentId,
    position: u64,
) -> Result<Option<LinesRow>, StoreError> {
    match read {
        Err(StoreError::Corrupt(Damage::Row(_))) => {
            let mended = mended(snapshot, document, position)?;
            mended.map(Some).ok_or(damaged(Table::Actor))
        }
        read => read,
    }
}

/// What a row of lines must have said; none when another row that tells of it is damaged too.
fn mended<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    position: u64,
) -> Result<Option<LinesRow>, StoreError> {
    let name = document.as_ref();
    let row = unless_damaged(read_row(snapshot, Table::Document, name, 0))?.flatten();
    let (Some(row), Some(last)) = (row, last_changes(snapshot, document, position)?) else {
        return Ok(None);
    };
    let row: DocumentRow = row;
    let outbox: Option<Option<OutboxRow>> =
        unless_damaged(read_row(snapshot, Table::Outbox, name, 0))?;
    let stretch = backups::read(snapshot)?.now();
    let mut lines = LinesRow::default();
    for (slot, (change, arrival)) in last {
        let place = usize::try_from(slot).ok();
        let actor = place.and_then(|place| row.actors.get(place));
        let bundle = unless_damaged(read_row(snapshot, Table::Bundle, name, arrival))?.flatten();
        let head = actor.zip(bundle);
        let head = head.and_then(|(actor, bundle)| closed_by(&bundle, *actor, &change));
        let (Some(actor), Some(head)) = (actor, head) else {
            return Ok(None);
        };
        let waits = outbox.as_ref().is_none_or(|outbox| {
            outbox
                .as_ref()
                .is_some_and(|outbox| outbox.slots.contains(&slot))
        });
        let line = ActorRow {
            actor: *actor,
            device: head.device,
            worker: head.worker,
            seq: head.seq,
            hash: change.hash,
            centre: if waits { 0 } else { head.seq },
            at: head.floor,
            // Which backups have it nobody knows any more.
            stretch,
            backed: 0,
        };
        lines.lines.insert(slot, line);
    }
    Ok(Some(lines))
}

/// Changes by their authors' slots, and the arrival under which each is kept.
type Last = BTreeMap<u64, (IndexChange, u64)>;

/// The last change of each author of a row; none when that cannot be read.
fn last_changes<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    position: u64,
) -> Result<Option<Last>, StoreError> {
    let mut last = Last::new();
    let mut from = 0;
    loop {
        let rows = read_arrivals(snapshot, Table::Index, document, from, INDEX_ROWS)?;
        if rows.is_empty() {
            return Ok(Some(last));
        }
        for (arrival, bytes) in rows {
            from = arrival + 1;
            let index = bytes.map(|bytes| decode_row::<IndexRow>(Table::Index, &bytes));
            let Some(Ok(index)) = index else {
                return Ok(None);
            };
            for change in index.changes {
                let known = last.get(&change.slot).map_or(0, |(known, _)| known.seq);
                if change.slot / LINES_PER_ROW == position && change.seq > known {
                    last.insert(change.slot, (change, arrival));
                }
            }
        }
    }
}

/// The head that closes an author's change in a bundle.
fn closed_by(bundle: &Bundle, actor: ActorId, change: &IndexChange) -> Option<Head> {
    bundle.closings.iter().find_map(|closing| {
        let closed = bundle.changes.get(usize::from(closing.change))?;
        let author = bundle.authors.get(usize::from(closed.author))?;
        let head = closing.head(&change.hash).claim().ok()?;
        (*author == actor && head.seq == change.seq).then_some(head)
    })
}
