//! Bundles that have come to a document since it was last opened.

use std::ops::Range;

use names::{ChangeHash, DocumentId, Reason};
use protocol::bundle::Bundle;
use store::{Snapshot, Table};

use crate::{
    bundle,
    draft::{decode_row, read_arrivals},
};

/// Bundles read at once while a document is brought up to date: 32 MiB at the worst.
const BUNDLES_READ: usize = 32;
/// Bytes of changes from which on no more bundles are read before these are merged.
const BYTES_MERGED: usize = 8 << 20;

/// Bundles that have come, with the places of their changes among all of these.
#[derive(Default)]
pub(crate) struct Arrived {
    pub(crate) bundles: Vec<(Bundle, Range<usize>)>,
    pub(crate) changes: Chunks,
    /// Bundles that could not be read.
    pub(crate) unread: usize,
    /// Where to read on.
    pub(crate) next: u64,
}

impl Arrived {
    /// Reads those from a place on, as many as are merged at once: all of them, but of the largest
    /// documents. A compacted form fits only what comes together.
    pub(crate) fn read<P: Snapshot>(
        snapshot: &P,
        document: DocumentId,
        from: u64,
    ) -> Result<Arrived, Reason> {
        let mut arrived = Arrived {
            next: from,
            ..Arrived::default()
        };
        let mut bytes = 0;
        while bytes < BYTES_MERGED {
            let next = arrived.next;
            let rows = read_arrivals(snapshot, Table::Bundle, document, next, BUNDLES_READ)
                .map_err(|_| Reason::CannotOpen)?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            arrived.next = last + 1;
            for (_, row) in &rows {
                let Some((bundle, of)) = row.as_ref().and_then(|row| read_bundle(row)) else {
                    arrived.unread += 1;
                    continue;
                };
                bytes += of.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
                let first = arrived.changes.len();
                arrived.bundles.push((bundle, first..first + of.len()));
                arrived.changes.extend(of);
            }
        }
        Ok(arrived)
    }
}

/// Changes as they were written.
type Chunks = Vec<(ChangeHash, Vec<u8>)>;

/// A kept bundle and its changes; none when it is damaged.
fn read_bundle(bytes: &[u8]) -> Option<(Bundle, Chunks)> {
    let bundle = decode_row::<Bundle>(Table::Bundle, bytes).ok()?;
    let changes = bundle::chunks(&bundle).ok()?;
    Some((bundle, changes))
}
