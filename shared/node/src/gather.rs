//! Gathering the content of one frame from what is on disk.

use std::collections::BTreeSet;

use names::{
    DocumentId, Incarnation, ScopeId,
    limits::{FILL_FRAME_BYTES, LIST_ROWS_MAX},
};
use protocol::{
    log::Position,
    message::{Batch, Difference},
    placement::SignedPlacement,
    signed::Run,
};
use store::{Snapshot, StoreError, Table};

use crate::{
    admit::claim_of,
    draft::{decode_row, read_row},
    rows::{DocumentRow, LogItem, LogRow, log_name},
};

/// Log rows read at once.
const LOG_ROWS: usize = 256;

/// Something to send: part of a document.
#[derive(Clone, Copy)]
struct Part {
    document: DocumentId,
    item: LogItem,
}

/// The content of one frame while it is gathered.
pub(crate) struct Gathering {
    scope: ScopeId,
    parts: Vec<Part>,
    placements: Vec<SignedPlacement>,
    runs: Vec<Run>,
    bytes: usize,
}

impl Gathering {
    /// An empty frame about a scope.
    pub(crate) fn new(scope: &ScopeId) -> Gathering {
        Gathering {
            scope: scope.clone(),
            parts: Vec::new(),
            placements: Vec::new(),
            runs: Vec::new(),
            bytes: 0,
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.placements.is_empty()
    }

    /// Whether it is large enough to be sent.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= FILL_FRAME_BYTES
            || self.runs.len() >= LIST_ROWS_MAX / 2
            || self.placements.len() >= LIST_ROWS_MAX / 2
    }

    /// Takes up log entries after `from`, up to `end` or until the frame is full; answers the
    /// position reached.
    pub(crate) fn take_log<P: Snapshot>(
        &mut self,
        snapshot: &P,
        from: Position,
        end: u64,
        them: Incarnation,
    ) -> Result<u64, StoreError> {
        let name = log_name(&self.scope, from.writer);
        let mut reached = from.number;
        while reached < end && !self.is_full() {
            let rows = snapshot.range(Table::Log, &name, reached + 1, LOG_ROWS)?;
            if rows.is_empty() {
                return Ok(end);
            }
            for (position, bytes) in rows {
                if position > end || self.is_full() {
                    return Ok(reached);
                }
                let row: LogRow = decode_row(Table::Log, &bytes)?;
                if row.origin != Some(them) {
                    let part = Part {
                        document: row.document,
                        item: row.item,
                    };
                    self.take_part(snapshot, part)?;
                }
                reached = position;
            }
        }
        Ok(reached)
    }

    fn take_part<P: Snapshot>(&mut self, snapshot: &P, part: Part) -> Result<(), StoreError> {
        self.parts.push(part);
        match part.item {
            LogItem::Placement(number) => self.take_placement(snapshot, part.document, number),
            LogItem::Run { arrival, .. } => {
                self.take_runs(snapshot, part.document, arrival, arrival + 1)
            }
            LogItem::Whole(arrivals) => {
                self.take_placements(snapshot, part.document)?;
                self.take_runs(snapshot, part.document, 0, arrivals)
            }
        }
    }

    fn take_placements<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        let row: Option<DocumentRow> = read_row(snapshot, Table::Document, document.as_ref(), 0)?;
        for number in 0..row.map_or(0, |row| row.placement_count) {
            self.take_placement(snapshot, document, number)?;
        }
        Ok(())
    }

    fn take_placement<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        number: u64,
    ) -> Result<(), StoreError> {
        let kept: Option<SignedPlacement> =
            read_row(snapshot, Table::Placement, document.as_ref(), number)?;
        if let Some(placement) = kept {
            self.bytes += placement.payload.len();
            self.placements.push(placement);
        }
        Ok(())
    }

    fn take_runs<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        first: u64,
        end: u64,
    ) -> Result<(), StoreError> {
        let limit = usize::try_from(end.saturating_sub(first)).unwrap_or(usize::MAX);
        for (_, bytes) in snapshot.range(Table::Run, document.as_ref(), first, limit)? {
            self.bytes += bytes.len();
            self.runs.push(decode_row(Table::Run, &bytes)?);
        }
        Ok(())
    }

    /// While a fill is under way, a live entry takes its document along: what it builds on may
    /// still be waiting in the fill.
    pub(crate) fn whole_documents<P: Snapshot>(&mut self, snapshot: &P) -> Result<(), StoreError> {
        let documents: BTreeSet<DocumentId> = self.parts.iter().map(|part| part.document).collect();
        for document in documents {
            let row: Option<DocumentRow> =
                read_row(snapshot, Table::Document, document.as_ref(), 0)?;
            let Some(row) = row.filter(|row| row.bytes <= FILL_FRAME_BYTES as u64) else {
                continue;
            };
            self.runs.retain(|run| run.document != document);
            self.placements.retain(|placement| {
                claim_of(placement).map(|(_, claim)| claim.document) != Ok(document)
            });
            self.take_placements(snapshot, document)?;
            self.take_runs(snapshot, document, 0, row.arrivals)?;
        }
        Ok(())
    }

    /// Takes up what a peer lacks of one document; answers what did not fit.
    pub(crate) fn take_repair<P: Snapshot>(
        &mut self,
        snapshot: &P,
        repair: Difference,
    ) -> Result<Option<Difference>, StoreError> {
        let document = repair.document;
        let row: Option<DocumentRow> = read_row(snapshot, Table::Document, document.as_ref(), 0)?;
        let Some(row) = row.filter(|row| row.placed.contains(&self.scope)) else {
            return Ok(None);
        };
        for number in 0..row.placement_count {
            let kept: Option<SignedPlacement> =
                read_row(snapshot, Table::Placement, document.as_ref(), number)?;
            let lacking = kept.filter(|kept| {
                claim_of(kept).is_ok_and(|(id, _)| !repair.placements.contains(&id))
            });
            self.placements.extend(lacking);
        }
        let mut rest = repair.clone();
        for arrival in 0..row.arrivals {
            let Some(bytes) = snapshot.get(Table::Run, document.as_ref(), arrival)? else {
                continue;
            };
            let run: Run = decode_row(Table::Run, &bytes)?;
            let Some((actor, last)) = last_of(&run) else {
                continue;
            };
            if repair
                .actors
                .iter()
                .any(|(known, seq)| *known == actor && *seq >= last)
            {
                continue;
            }
            if self.is_full() {
                return Ok(Some(rest));
            }
            self.bytes += bytes.len();
            self.runs.push(run);
            rest.actors.retain(|(known, _)| *known != actor);
            rest.actors.push((actor, last));
        }
        Ok(None)
    }

    /// How many runs and bytes are in it.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.runs.len() as u64, self.bytes as u64)
    }

    /// The frame's body, for a stretch of the log.
    pub(crate) fn into_batch(self, from: Position, reached: u64) -> Batch {
        let after = Position {
            writer: from.writer,
            number: reached,
        };
        Batch {
            scope: self.scope,
            placements: self.placements,
            runs: self.runs,
            after: Some(after),
            from: Some(from),
        }
    }

    /// The frame's body, outside any log.
    pub(crate) fn into_repair(self) -> Batch {
        Batch {
            scope: self.scope,
            placements: self.placements,
            runs: self.runs,
            after: None,
            from: None,
        }
    }
}

/// Whose line a stored run continues, and up to which number.
fn last_of(run: &Run) -> Option<(names::ActorId, u64)> {
    let header = document::preflight::header(run.changes.last()?).ok()?;
    Some((header.actor, header.seq))
}
