//! Gathering the content of one frame from what is on disk.

use std::collections::{BTreeMap, BTreeSet};

use names::{
    ActorId, DocumentId, Incarnation, ScopeId,
    limits::{FILL_FRAME_BYTES, LIST_ROWS_MAX},
};
use protocol::{
    log::Position,
    message::{Batch, Difference},
    placement::{PlacementId, SignedPlacement},
    signed::Run,
};
use store::{Snapshot, StoreError, Table};

use crate::{
    admit::claim_of,
    draft::{decode_row, read_range, read_row, unless_damaged},
    link::Moved,
    rows::{DocumentRow, LogItem, LogRow, log_name},
};

/// A signed placement's bytes beside its payload: a signature and its envelope.
const PLACEMENT_ENVELOPE_BYTES: usize = 80;
/// Log rows read at once.
const LOG_ROWS: usize = 256;
/// Runs, or placements, in one frame: a list of them may have twice as many.
const ITEMS_MAX: usize = LIST_ROWS_MAX / 2;
/// Rows looked at for one frame of repairs, some 10 ms: the next turn goes on where this one ended.
const REPAIR_READS_MAX: usize = 2_048;

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
    /// Rows looked at to find what a peer lacks.
    reads: usize,
}

/// What a peer lacks of one document, and how far it was looked through.
#[derive(Clone, Debug)]
pub(crate) struct Repair {
    document: DocumentId,
    /// The last sequence number of each actor that the peer has.
    actors: BTreeMap<ActorId, u64>,
    placements: BTreeSet<PlacementId>,
    /// The next placement and the next run to look at.
    placement: u64,
    arrival: u64,
}

impl Repair {
    /// Everything of a document.
    fn whole(document: DocumentId) -> Repair {
        Repair {
            document,
            actors: BTreeMap::new(),
            placements: BTreeSet::new(),
            placement: 0,
            arrival: 0,
        }
    }

    fn lacks(&self, run: &Run) -> bool {
        last_of(run)
            .is_some_and(|(actor, last)| self.actors.get(&actor).is_none_or(|known| *known < last))
    }
}

impl From<Difference> for Repair {
    fn from(difference: Difference) -> Repair {
        Repair {
            actors: difference.actors.into_iter().collect(),
            placements: difference.placements.into_iter().collect(),
            ..Repair::whole(difference.document)
        }
    }
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
            reads: 0,
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
        self.is_empty() || (self.bytes + more <= FILL_FRAME_BYTES && items < ITEMS_MAX)
    }

    /// The documents met that have to be sent whole, each as a repair of everything.
    pub(crate) fn take_whole(&mut self) -> impl Iterator<Item = Repair> + use<> {
        let whole = std::mem::take(&mut self.whole);
        whole.into_iter().map(Repair::whole)
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
            let rows = read_range(snapshot, Table::Log, &name, reached + 1, LOG_ROWS)?;
            if rows.is_empty() {
                return Ok(end);
            }
            for (position, bytes) in rows {
                if position > end {
                    return Ok(reached);
                }
                // What a damaged row named is found by the proof that follows.
                let row = bytes.map(|bytes| decode_row::<LogRow>(Table::Log, &bytes));
                let row = row
                    .transpose()
                    .or_else(|error| unless_damaged(Err(error)))?;
                if let Some(row) = row.filter(|row| row.origin != Some(them)) {
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
        let Some(placement) = placement_at(snapshot, document, number)? else {
            return Ok(true);
        };
        let bytes = placement_bytes(&placement);
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
        let Some((run, bytes)) = run_at(snapshot, document, arrival)? else {
            return Ok(true);
        };
        if !self.fits(bytes) {
            return Ok(false);
        }
        self.bytes += bytes;
        self.runs.push((run, bytes));
        Ok(true)
    }

    /// While a fill is under way, a live entry takes its document along: what it builds on may
    /// still be waiting in the fill. A document that does not fit goes as it is; the proof mends it.
    pub(crate) fn whole_documents<P: Snapshot>(&mut self, snapshot: &P) -> Result<(), StoreError> {
        let documents: BTreeSet<DocumentId> = self.parts.iter().map(|part| part.document).collect();
        for document in documents {
            let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
            let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
            let Some(row) = row else {
                continue;
            };
            if !self.has_room_for(snapshot, document, &row)? {
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

    /// Whether all of a document fits, beside what is there already.
    fn has_room_for<P: Snapshot>(
        &self,
        snapshot: &P,
        document: DocumentId,
        row: &DocumentRow,
    ) -> Result<bool, StoreError> {
        let mut bytes = usize::try_from(row.bytes).unwrap_or(usize::MAX);
        for number in 0..row.placement_count {
            let placement = placement_at(snapshot, document, number)?;
            bytes = bytes.saturating_add(placement.as_ref().map_or(0, placement_bytes));
        }
        let items = (self.runs.len() as u64 + row.arrivals)
            .max(self.placements.len() as u64 + row.placement_count);
        Ok(self.bytes.saturating_add(bytes) <= FILL_FRAME_BYTES && items < ITEMS_MAX as u64)
    }

    /// Takes up what a peer lacks of one document; answers whether that is all of it. What was
    /// looked through is not looked at again.
    pub(crate) fn take_repair<P: Snapshot>(
        &mut self,
        snapshot: &P,
        repair: &mut Repair,
    ) -> Result<bool, StoreError> {
        let document = repair.document;
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
        let Some(row) = row.filter(|row| row.placed.contains(&self.scope)) else {
            return Ok(true);
        };
        while repair.placement < row.placement_count {
            if !self.may_read() {
                return Ok(false);
            }
            if let Some(kept) = placement_at(snapshot, document, repair.placement)? {
                let claim = unless_damaged(claim_of(&kept))?;
                let known = claim.is_none_or(|(id, _)| repair.placements.contains(&id));
                if !known && !self.take_placement(snapshot, document, repair.placement)? {
                    return Ok(false);
                }
            }
            repair.placement += 1;
        }
        while repair.arrival < row.arrivals {
            if !self.may_read() {
                return Ok(false);
            }
            if let Some((run, bytes)) = run_at(snapshot, document, repair.arrival)?
                && repair.lacks(&run)
            {
                if !self.fits(bytes) {
                    return Ok(false);
                }
                self.bytes += bytes;
                self.runs.push((run, bytes));
            }
            repair.arrival += 1;
        }
        Ok(true)
    }

    /// Whether another row may be looked at for this frame.
    fn may_read(&mut self) -> bool {
        self.reads += 1;
        self.reads <= REPAIR_READS_MAX
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

/// A kept placement; none when there is none, or it is damaged.
fn placement_at<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    number: u64,
) -> Result<Option<SignedPlacement>, StoreError> {
    let kept = read_row(snapshot, Table::Placement, document.as_ref(), number);
    Ok(unless_damaged(kept)?.flatten())
}

/// A kept run and its stored size; none when there is none, or it is damaged.
fn run_at<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    arrival: u64,
) -> Result<Option<(Run, usize)>, StoreError> {
    let bytes = snapshot.get(Table::Run, document.as_ref(), arrival);
    let Some(bytes) = unless_damaged(bytes)?.flatten() else {
        return Ok(None);
    };
    let run = unless_damaged(decode_row(Table::Run, &bytes))?;
    Ok(run.map(|run| (run, bytes.len())))
}

fn placement_bytes(placement: &SignedPlacement) -> usize {
    placement.payload.len() + PLACEMENT_ENVELOPE_BYTES
}

/// Whose line a stored run continues, and up to which number.
fn last_of(run: &Run) -> Option<(ActorId, u64)> {
    let header = document::preflight::header(run.changes.last()?).ok()?;
    Some((header.actor, header.seq))
}
