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
    link::Moved,
    rows::{DocumentRow, LogItem, LogRow, log_name},
};

/// A signed placement's bytes beside its payload: a signature and its envelope.
const PLACEMENT_ENVELOPE_BYTES: usize = 80;
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
    /// Each with its stored size.
    runs: Vec<(Run, usize)>,
    /// Documents that came into the scope with all they had: too much for one frame, they are
    /// sent piece by piece, as a repair is.
    whole: Vec<DocumentId>,
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
            whole: Vec::new(),
            bytes: 0,
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.placements.is_empty()
    }

    /// Whether `more` bytes may still be added. The first item always may: none is larger than a
    /// frame.
    fn fits(&self, more: usize) -> bool {
        let items = self.runs.len().max(self.placements.len());
        self.is_empty() || (self.bytes + more <= FILL_FRAME_BYTES && items < LIST_ROWS_MAX / 2)
    }

    /// The documents met that have to be sent whole, each as a repair of everything.
    pub(crate) fn take_whole(&mut self) -> impl Iterator<Item = Difference> + use<> {
        let whole = std::mem::take(&mut self.whole);
        whole.into_iter().map(|document| Difference {
            document,
            actors: Vec::new(),
            placements: Vec::new(),
        })
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
        while reached < end {
            let rows = snapshot.range(Table::Log, &name, reached + 1, LOG_ROWS)?;
            if rows.is_empty() {
                return Ok(end);
            }
            for (position, bytes) in rows {
                if position > end {
                    return Ok(reached);
                }
                let row: LogRow = decode_row(Table::Log, &bytes)?;
                if row.origin != Some(them) {
                    let part = Part {
                        document: row.document,
                        item: row.item,
                    };
                    if !self.take_part(snapshot, part)? {
                        return Ok(reached);
                    }
                }
                reached = position;
            }
        }
        Ok(reached)
    }

    /// Takes up one log entry; answers whether there was room for it.
    fn take_part<P: Snapshot>(&mut self, snapshot: &P, part: Part) -> Result<bool, StoreError> {
        let room = match part.item {
            LogItem::Placement(number) => self.take_placement(snapshot, part.document, number)?,
            LogItem::Run { arrival, .. } => self.take_run(snapshot, part.document, arrival)?,
            LogItem::Whole(_) => {
                self.whole.push(part.document);
                true
            }
        };
        if room {
            self.parts.push(part);
        }
        Ok(room)
    }

    fn take_placement<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        number: u64,
    ) -> Result<bool, StoreError> {
        let kept: Option<SignedPlacement> =
            read_row(snapshot, Table::Placement, document.as_ref(), number)?;
        let Some(placement) = kept else {
            return Ok(true);
        };
        let bytes = placement.payload.len() + PLACEMENT_ENVELOPE_BYTES;
        if !self.fits(bytes) {
            return Ok(false);
        }
        self.bytes += bytes;
        self.placements.push(placement);
        Ok(true)
    }

    fn take_run<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        arrival: u64,
    ) -> Result<bool, StoreError> {
        let Some(bytes) = snapshot.get(Table::Run, document.as_ref(), arrival)? else {
            return Ok(true);
        };
        if !self.fits(bytes.len()) {
            return Ok(false);
        }
        self.bytes += bytes.len();
        self.runs
            .push((decode_row(Table::Run, &bytes)?, bytes.len()));
        Ok(true)
    }

    /// While a fill is under way, a live entry takes its document along: what it builds on may
    /// still be waiting in the fill.
    pub(crate) fn whole_documents<P: Snapshot>(&mut self, snapshot: &P) -> Result<(), StoreError> {
        let documents: BTreeSet<DocumentId> = self.parts.iter().map(|part| part.document).collect();
        for document in documents {
            let row: Option<DocumentRow> =
                read_row(snapshot, Table::Document, document.as_ref(), 0)?;
            let Some(row) = row else {
                continue;
            };
            let bytes = usize::try_from(row.bytes).unwrap_or(usize::MAX);
            if self.bytes.saturating_add(bytes) > FILL_FRAME_BYTES {
                continue;
            }
            self.runs.retain(|(run, _)| run.document != document);
            self.placements.retain(|placement| {
                claim_of(placement).map(|(_, claim)| claim.document) != Ok(document)
            });
            for number in 0..row.placement_count {
                self.take_placement(snapshot, document, number)?;
            }
            for arrival in 0..row.arrivals {
                self.take_run(snapshot, document, arrival)?;
            }
        }
        Ok(())
    }

    /// Takes up what a peer lacks of one document; answers what did not fit.
    pub(crate) fn take_repair<P: Snapshot>(
        &mut self,
        snapshot: &P,
        mut repair: Difference,
    ) -> Result<Option<Difference>, StoreError> {
        let document = repair.document;
        let row: Option<DocumentRow> = read_row(snapshot, Table::Document, document.as_ref(), 0)?;
        let Some(row) = row.filter(|row| row.placed.contains(&self.scope)) else {
            return Ok(None);
        };
        for number in 0..row.placement_count {
            let kept: Option<SignedPlacement> =
                read_row(snapshot, Table::Placement, document.as_ref(), number)?;
            let Some(kept) = kept else { continue };
            let (id, _) = claim_of(&kept)?;
            if repair.placements.contains(&id) {
                continue;
            }
            if !self.take_placement(snapshot, document, number)? {
                return Ok(Some(repair));
            }
            repair.placements.push(id);
        }
        for arrival in 0..row.arrivals {
            let Some(bytes) = snapshot.get(Table::Run, document.as_ref(), arrival)? else {
                continue;
            };
            let run: Run = decode_row(Table::Run, &bytes)?;
            let Some((actor, last)) = last_of(&run) else {
                continue;
            };
            let known = repair.actors.iter().find(|(known, _)| *known == actor);
            if known.is_some_and(|(_, seq)| *seq >= last) {
                continue;
            }
            if !self.fits(bytes.len()) {
                return Ok(Some(repair));
            }
            self.bytes += bytes.len();
            self.runs.push((run, bytes.len()));
            repair.actors.retain(|(known, _)| *known != actor);
            repair.actors.push((actor, last));
        }
        Ok(None)
    }

    /// Counts what is in it.
    pub(crate) fn count_into(&self, moved: &mut Moved) {
        for (run, bytes) in &self.runs {
            moved.add(run.document, *bytes);
        }
        moved.add_placements(self.placements.len());
    }

    /// The frame's body, for a stretch of the log.
    pub(crate) fn into_batch(self, from: Position, reached: u64) -> Batch {
        let after = Position {
            writer: from.writer,
            number: reached,
        };
        Batch {
            after: Some(after),
            from: Some(from),
            ..self.into_repair()
        }
    }

    /// The frame's body, outside any log.
    pub(crate) fn into_repair(self) -> Batch {
        Batch {
            scope: self.scope,
            placements: self.placements,
            runs: self.runs.into_iter().map(|(run, _)| run).collect(),
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
