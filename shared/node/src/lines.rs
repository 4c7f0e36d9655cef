//! Authors' lines, and which of those written here wait for the centre.
//!
//! A row that is damaged is worked out again from the document's other rows ([`mended`]). Where those
//! are damaged too it costs its own document the authors that share it: nothing more is taken of them
//! there, and nothing of them is forgotten. Who writes beside them goes on.

mod mended;

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use names::{ChangeHash, DeviceId, DocumentId};
use protocol::codec;
use store::{Snapshot, StoreError, Table};

use crate::{
    draft::{Draft, read_row, unless_damaged},
    rows::{ActorRow, DocumentRow, LINES_PER_ROW, LinesRow, OutboxRow},
};

impl<P: Snapshot> Draft<P> {
    /// An author's line in a document, by the author's slot.
    pub(crate) fn line(
        &self,
        document: DocumentId,
        slot: u64,
    ) -> Result<Option<ActorRow>, StoreError> {
        let row = self.lines_row(document, slot)?;
        Ok(row.and_then(|mut row| row.lines.remove(&slot)))
    }

    /// Writes authors' lines: all of them, or none.
    ///
    /// # Errors
    /// When a row that they share with others is damaged, or the store cannot be read.
    pub(crate) fn put_lines(
        &mut self,
        document: DocumentId,
        lines: impl IntoIterator<Item = (u64, ActorRow)>,
    ) -> Result<(), StoreError> {
        let mut rows: BTreeMap<u64, LinesRow> = BTreeMap::new();
        for (slot, line) in lines {
            let row = match rows.entry(slot / LINES_PER_ROW) {
                Entry::Occupied(row) => row.into_mut(),
                Entry::Vacant(vacant) => {
                    let row = self.lines_row(document, slot)?;
                    vacant.insert(row.unwrap_or_default())
                }
            };
            row.lines.insert(slot, line);
        }
        for (position, row) in rows {
            self.put(Table::Actor, document.0, position, &row);
        }
        Ok(())
    }

    /// Changes lines of a document: `change` says of each whether it did. A row that they share is
    /// read and written once; lines in a damaged one are passed over, as are those that are not there.
    pub(crate) fn change_lines(
        &mut self,
        document: DocumentId,
        slots: impl IntoIterator<Item = u64>,
        mut change: impl FnMut(u64, &mut ActorRow) -> bool,
    ) -> Result<(), StoreError> {
        let mut rows: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for slot in slots {
            rows.entry(slot / LINES_PER_ROW).or_default().push(slot);
        }
        for (position, slots) in rows {
            let row = self.lines_row(document, position * LINES_PER_ROW);
            let Some(mut row) = unless_damaged(row)?.flatten() else {
                continue;
            };
            let mut has_changed = false;
            for slot in slots {
                let line = row.lines.get_mut(&slot);
                has_changed |= line.is_some_and(|line| change(slot, line));
            }
            if has_changed {
                self.put(Table::Actor, document.0, position, &row);
            }
        }
        Ok(())
    }

    /// Cuts authors' lines: each goes as far as is said, or is gone. All of them, or none.
    ///
    /// # Errors
    /// When a row that they share with others is damaged, or the store cannot be read.
    pub(crate) fn cut_lines(
        &mut self,
        document: DocumentId,
        cut: &BTreeMap<u64, Option<(u64, ChangeHash)>>,
    ) -> Result<(), StoreError> {
        let mut rows: BTreeMap<u64, LinesRow> = BTreeMap::new();
        for (slot, last) in cut {
            let row = match rows.entry(slot / LINES_PER_ROW) {
                Entry::Occupied(row) => row.into_mut(),
                Entry::Vacant(vacant) => {
                    let row = self.lines_row(document, *slot)?;
                    vacant.insert(row.unwrap_or_default())
                }
            };
            match (row.lines.get_mut(slot), last) {
                (Some(line), Some((seq, hash))) => {
                    (line.seq, line.hash) = (*seq, *hash);
                    line.centre = line.centre.min(*seq);
                    line.backed = line.backed.min(*seq);
                }
                (Some(_), None) => drop(row.lines.remove(slot)),
                (None, _) => {}
            }
        }
        for (position, row) in rows {
            self.put(Table::Actor, document.0, position, &row);
        }
        Ok(())
    }

    fn lines_row(&self, document: DocumentId, slot: u64) -> Result<Option<LinesRow>, StoreError> {
        let position = slot / LINES_PER_ROW;
        let read = self.row(Table::Actor, document.as_ref(), position);
        mended::or_mended(read, self.snapshot(), document, position)
    }
}

/// An author's line in a document, by the author's slot.
pub(crate) fn read_line<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    slot: u64,
) -> Result<Option<ActorRow>, StoreError> {
    let position = slot / LINES_PER_ROW;
    let read = read_row(snapshot, Table::Actor, document.as_ref(), position);
    let row = mended::or_mended(read, snapshot, document, position)?;
    Ok(row.and_then(|mut row| row.lines.remove(&slot)))
}

/// The lines written here that wait for the centre's answer, by document and slot, and of how many
/// rows that cannot be told.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn waiting<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
) -> Result<(BTreeSet<(DocumentId, u64)>, u64), StoreError> {
    let mut waiting = BTreeSet::new();
    let mut damaged = 0;
    damaged += store::each(snapshot, Table::Outbox, |row| {
        match codec::decode::<OutboxRow>(&row.value) {
            Ok(row) => waiting.extend(row.slots.iter().map(|slot| (row.document, *slot))),
            Err(_) => damaged += 1,
        }
    })?;
    if damaged == 0 {
        return Ok((waiting, 0));
    }
    // A damaged row does not even tell its document. The lines themselves do: each knows how far
    // the centre has it.
    let mut unread = 0;
    unread += store::each(snapshot, Table::Actor, |row| {
        let document = <[u8; 16]>::try_from(row.name.as_slice()).map(DocumentId);
        match (document, codec::decode::<LinesRow>(&row.value)) {
            (Ok(document), Ok(row)) => {
                let lines = row.lines.iter();
                let own = lines.filter(|(_, line)| line.device == device && line.centre < line.seq);
                waiting.extend(own.map(|(slot, _)| (document, *slot)));
            }
            (Ok(_) | Err(_), _) => unread += 1,
        }
    })?;
    if unread > 0 {
        unread = unread.saturating_sub(add_unread(snapshot, device, &mut waiting)?);
    }
    Ok((waiting, unread))
}

/// Adds what waits in damaged rows of lines, as they are worked out again. What cannot be read even
/// so counts as waiting, so that nobody is told that it has arrived. Answers how many rows they are.
fn add_unread<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
    waiting: &mut BTreeSet<(DocumentId, u64)>,
) -> Result<u64, StoreError> {
    let mut documents = Vec::new();
    store::each(snapshot, Table::Document, |row| {
        documents.extend(<[u8; 16]>::try_from(row.name.as_slice()).map(DocumentId));
    })?;
    let mut found = 0;
    for document in documents {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let slots = row.map_or(0, |row| row.actors.len() as u64);
        for position in 0..slots.div_ceil(LINES_PER_ROW) {
            let row = read_row::<LinesRow, _>(snapshot, Table::Actor, document.as_ref(), position);
            if unless_damaged(row)?.is_some() {
                continue;
            }
            found += 1;
            for slot in (position * LINES_PER_ROW..slots).take(LINES_PER_ROW as usize) {
                let waits = match unless_damaged(read_line(snapshot, document, slot))? {
                    Some(line) => {
                        line.is_some_and(|line| line.device == device && line.centre < line.seq)
                    }
                    None => true,
                };
                if waits {
                    waiting.insert((document, slot));
                }
            }
        }
    }
    Ok(found)
}
