//! Gathering the content of one frame from what is on disk.

mod departed;
mod repair;

use std::collections::{BTreeMap, BTreeSet};

use names::{
    DocumentId, Incarnation, ScopeId,
    limits::{FILL_FRAME_BYTES, LIST_ROWS_MAX, LIVE_FRAME_BYTES},
};
use protocol::{
    bundle::Bundle,
    log::Position,
    message::Batch,
    placement::{PlacementId, SignedPlacement},
};
use store::{Snapshot, StoreError, Table};

pub(crate) use departed::Audience;
pub(crate) use repair::Repair;

use crate::{
    admit::claim_of,
    draft::{decode_row, read_arrivals, read_row, unless_damaged},
    logs::Log,
    packing::{Heads, Packed, Packing},
    progress::Moved,
    rows::{DocumentRow, IndexChange, IndexRow, LogEntry, LogItem},
};

/// A signed placement's bytes beside its payload: a signature and its envelope.
const PLACEMENT_ENVELOPE_BYTES: usize = 80;
/// Index rows read at once: a document that two people work on has some dozens.
const INDEX_ROWS: usize = 64;
/// Bundles, or placements, in one frame: a list of them may have twice as many.
const ITEMS_MAX: usize = LIST_ROWS_MAX / 2;
/// Rows looked at for one frame, some 10 ms: the next frame goes on where this one ended.
const REPAIR_READS_MAX: usize = 2_048;

/// How far each author's line in a document goes in a frame, by the author's slot.
pub(crate) type Lines = BTreeMap<(DocumentId, u64), u64>;

/// The content of one frame while it is gathered.
pub(crate) struct Gathering<'a> {
    scope: ScopeId,
    audience: Audience<'a>,
    /// Documents of which something was met.
    documents: BTreeSet<DocumentId>,
    placements: Vec<SignedPlacement>,
    bundles: Vec<Packed>,
    /// Documents that came into the scope with all they had: too much for one frame, they are
    /// sent piece by piece, as a repair is.
    whole: Vec<DocumentId>,
    /// Documents of which it was said that they have left the scope.
    told: BTreeSet<DocumentId>,
    bytes: usize,
    /// Whether it is about what people write now.
    is_live: bool,
    /// Rows looked at to find what a peer lacks.
    reads: usize,
}

impl<'a> Gathering<'a> {
    /// An empty frame for what people write now.
    pub(crate) fn live(scope: &ScopeId, audience: Audience<'a>) -> Gathering<'a> {
        Gathering {
            is_live: true,
            ..Gathering::new(scope, audience)
        }
    }

    /// An empty frame about a scope.
    pub(crate) fn new(scope: &ScopeId, audience: Audience<'a>) -> Gathering<'a> {
        Gathering {
            scope: scope.clone(),
            audience,
            documents: BTreeSet::new(),
            placements: Vec::new(),
            bundles: Vec::new(),
            whole: Vec::new(),
            told: BTreeSet::new(),
            bytes: 0,
            is_live: false,
            reads: 0,
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.bundles.is_empty() && self.placements.is_empty()
    }

    /// Whether `more` bytes may still be added. The first item always may, none is larger than a
    /// frame; but what makes several changes of a live one is no entry that somebody writes now.
    fn fits(&self, more: usize, changes: usize) -> bool {
        let items = self.bundles.len().max(self.placements.len());
        let (room, is_alone) = match self.is_live {
            true => (LIVE_FRAME_BYTES, changes <= 1),
            false => (FILL_FRAME_BYTES, true),
        };
        let is_first = self.bytes == 0 && is_alone;
        is_first || (self.bytes + more <= room && items < ITEMS_MAX)
    }

    /// What a bundle costs of the frame, and how many of its changes are wanted: in a live frame
    /// those alone, since what is written now may have been folded with much that is older.
    fn cost(
        &self,
        index: &IndexRow,
        stored: usize,
        wanted: impl Fn(&IndexRow, &IndexChange) -> bool,
    ) -> (usize, usize) {
        let news = index.changes.iter().filter(|change| wanted(index, change));
        let (bytes, count) = news.fold((0u64, 0), |(bytes, count), change| {
            (bytes.saturating_add(change.bytes), count + 1)
        });
        match self.is_live {
            true => (usize::try_from(bytes).unwrap_or(stored).min(stored), count),
            false => (stored, count),
        }
    }

    /// The documents met that have to be sent whole, each as a repair of everything.
    pub(crate) fn take_whole(&mut self) -> impl Iterator<Item = Repair> + use<> {
        let whole = std::mem::take(&mut self.whole);
        whole.into_iter().map(Repair::whole)
    }

    /// Takes up log entries after `from`, up to `end` or until the frame is full; answers the
    /// position reached. An entry takes its document's later bundles along, so that each author's
    /// changes travel together; `done` says how far each document has gone so already.
    pub(crate) fn take_log<P: Snapshot>(
        &mut self,
        snapshot: &P,
        (from, end): (Position, u64),
        them: Incarnation,
        done: &mut BTreeMap<DocumentId, u64>,
    ) -> Result<u64, StoreError> {
        let log = Log::new(snapshot, &self.scope, from.writer);
        let mut reached = from.number;
        while reached < end {
            let stretches = log.after(reached, end)?;
            if stretches.is_empty() {
                return Ok(end);
            }
            for stretch in stretches {
                for (position, entry) in stretch.entries {
                    let is_news = entry.origin != Some(them);
                    if is_news && !self.take_entry(snapshot, &entry, them, done)? {
                        return Ok(reached);
                    }
                    reached = position;
                }
                reached = stretch.last;
            }
        }
        Ok(reached)
    }

    /// Takes up one log entry; answers whether there was room for all of it.
    fn take_entry<P: Snapshot>(
        &mut self,
        snapshot: &P,
        entry: &LogEntry,
        them: Incarnation,
        done: &mut BTreeMap<DocumentId, u64>,
    ) -> Result<bool, StoreError> {
        let document = entry.document;
        self.documents.insert(document);
        if self.audience.parted.contains_key(&document) {
            let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
            let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
            // Whether it has left cannot be told of a row that cannot be read: so nothing is told.
            let Some(row) = row else {
                return Ok(true);
            };
            if row.has_left(&self.scope)
                && (!self.audience.is_centre || entry.item == LogItem::Left)
            {
                return self.take_departure(snapshot, document, &row);
            }
        }
        match entry.item {
            LogItem::Placement(number) => self.take_placement(snapshot, document, number),
            LogItem::Bundle(arrival) => {
                let next = done.get(&document).copied().unwrap_or(0);
                if next > arrival {
                    return Ok(true);
                }
                let from = arrival;
                let wanted = |index: &IndexRow, change: &IndexChange| {
                    change.arrival >= from && index.origin(change) != Some(them)
                };
                let mut arrival = arrival;
                let packing = Packing::new(document, Heads::Last);
                let all = self.take_bundles(snapshot, packing, &mut arrival, wanted)?;
                done.insert(document, arrival);
                Ok(all)
            }
            LogItem::Whole => {
                self.whole.push(document);
                Ok(true)
            }
            // It has come back since, and that is told further on in the log.
            LogItem::Left => Ok(true),
        }
    }

    /// Takes up what is `wanted` of a document's bundles, from `arrival` on, put together; answers
    /// whether that was all, and moves `arrival` to where it goes on.
    fn take_bundles<P: Snapshot>(
        &mut self,
        snapshot: &P,
        mut packing: Packing,
        arrival: &mut u64,
        wanted: impl Fn(&IndexRow, &IndexChange) -> bool,
    ) -> Result<bool, StoreError> {
        let all = self.pack(snapshot, arrival, wanted, &mut packing);
        self.bundles.extend(packing.finish());
        all
    }

    fn pack<P: Snapshot>(
        &mut self,
        snapshot: &P,
        arrival: &mut u64,
        wanted: impl Fn(&IndexRow, &IndexChange) -> bool,
        packing: &mut Packing,
    ) -> Result<bool, StoreError> {
        let document = packing.document();
        loop {
            let rows = read_arrivals(snapshot, Table::Index, document, *arrival, INDEX_ROWS)?;
            if rows.is_empty() {
                return Ok(true);
            }
            // Until a row is through, what is folded in it may be named by any arrival before.
            for (position, bytes) in rows {
                if !self.may_read() {
                    return Ok(false);
                }
                let index = bytes.map(|bytes| decode_row::<IndexRow>(Table::Index, &bytes));
                let index = index
                    .transpose()
                    .or_else(|error| unless_damaged(Err(error)))?;
                let is_lost = index.is_none();
                let index = index.filter(|index| {
                    let mut changes = index.changes.iter();
                    changes.any(|change| wanted(index, change))
                });
                let bundle = match &index {
                    Some(_) => bundle_at(snapshot, document, position)?,
                    None => None,
                };
                if let (Some(index), Some((bundle, bytes))) = (&index, bundle) {
                    let (bytes, changes) = self.cost(index, bytes, &wanted);
                    if !self.fits(bytes, changes) {
                        return Ok(false);
                    }
                    if !packing.has_room(&bundle) {
                        self.begin_anew(packing);
                    }
                    self.bytes += bytes;
                    packing.add(bundle, index, |change| wanted(index, change));
                } else if is_lost || index.is_some() {
                    // A line with a gap in it would be refused as a whole.
                    self.begin_anew(packing);
                }
                *arrival = position + 1;
            }
        }
    }

    /// Puts a bundle into the frame, and begins another of the same document.
    fn begin_anew(&mut self, packing: &mut Packing) {
        self.bundles.extend(packing.take());
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
        if !self.fits(bytes, 1) {
            return Ok(false);
        }
        self.bytes += bytes;
        self.placements.push(placement);
        Ok(true)
    }

    /// While a fill is under way, a live entry takes its document along: what it builds on may
    /// still be waiting in the fill. A document that does not fit goes as it is; the proof mends it.
    pub(crate) fn whole_documents<P: Snapshot>(&mut self, snapshot: &P) -> Result<(), StoreError> {
        for document in self.documents.clone() {
            let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
            let row: Option<DocumentRow> = unless_damaged(row)?.flatten();
            let Some(row) = row.filter(|row| row.placed.contains(&self.scope)) else {
                continue;
            };
            if !self.has_room_for(snapshot, document, &row)? {
                continue;
            }
            let mut whole = Gathering::new(&self.scope, self.audience);
            whole.bytes = self.bytes;
            let mut all = true;
            for number in 0..row.placement_count {
                all &= whole.take_placement(snapshot, document, number)?;
            }
            let packing = Packing::new(document, Heads::Last);
            all &= whole.take_bundles(snapshot, packing, &mut 0, |_, _| true)?;
            if !all {
                continue;
            }
            self.bundles
                .retain(|packed| packed.bundle.document != document);
            self.placements.retain(|placement| {
                claim_of(placement).map(|(_, claim)| claim.document) != Ok(document)
            });
            self.bundles.append(&mut whole.bundles);
            self.placements.append(&mut whole.placements);
            self.bytes = whole.bytes;
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
        let items = (self.bundles.len() as u64 + row.arrivals)
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
        let Some(row) = row else {
            return Ok(true);
        };
        let Some((told, is_whole)) = self.may_tell(snapshot, document, &row)? else {
            return Ok(true);
        };
        while repair.placement < row.placement_count {
            if !self.may_read() {
                return Ok(false);
            }
            if let Some(kept) = placement_at(snapshot, document, repair.placement)? {
                let claim = unless_damaged(claim_of(&kept))?;
                let may = |id: &PlacementId| told.as_ref().is_none_or(|told| told.contains(id));
                let known =
                    claim.is_none_or(|(id, _)| repair.placements.contains(&id) || !may(&id));
                if !known && !self.take_placement(snapshot, document, repair.placement)? {
                    return Ok(false);
                }
            }
            repair.placement += 1;
        }
        if !is_whole {
            return Ok(true);
        }
        let mut arrival = repair.arrival;
        let lacks = |_: &IndexRow, change: &IndexChange| repair.lacks(&row, change);
        // Bytes matter less here than that each author's sound beginning gets through.
        let packing = Packing::new(document, Heads::Every);
        let all = self.take_bundles(snapshot, packing, &mut arrival, lacks)?;
        repair.arrival = arrival;
        Ok(all)
    }

    /// Whether another row may be looked at for this frame.
    fn may_read(&mut self) -> bool {
        self.reads += 1;
        self.reads <= REPAIR_READS_MAX
    }

    /// Counts what is in it.
    pub(crate) fn count_into(&self, moved: &mut Moved) {
        for packed in &self.bundles {
            let (bundle, bytes) = (&packed.bundle, packed.bytes);
            moved.add(bundle.document, bundle.changes.len(), bytes);
        }
        moved.add_placements(self.placements.len());
    }

    /// The frame's body, for a stretch of the log, and whose lines go how far in it.
    pub(crate) fn into_batch(self, number: u64, from: Position, reached: u64) -> (Batch, Lines) {
        let after = Position {
            writer: from.writer,
            number: reached,
        };
        let (batch, lines) = self.into_repair(number);
        let batch = Batch {
            after: Some(after),
            from: Some(from),
            ..batch
        };
        (batch, lines)
    }

    /// The frame's body, outside any log, and whose lines go how far in it.
    pub(crate) fn into_repair(self, number: u64) -> (Batch, Lines) {
        let mut lines = Lines::new();
        let mut bundles = Vec::with_capacity(self.bundles.len());
        for packed in self.bundles {
            let document = packed.bundle.document;
            for (slot, seq) in packed.lines {
                let line = lines.entry((document, slot)).or_default();
                *line = seq.max(*line);
            }
            bundles.push(packed.bundle);
        }
        let batch = Batch {
            scope: self.scope,
            placements: self.placements,
            bundles,
            number,
            after: None,
            from: None,
        };
        (batch, lines)
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

/// A kept bundle and its stored size; none when there is none, or it is damaged.
fn bundle_at<P: Snapshot>(
    snapshot: &P,
    document: DocumentId,
    arrival: u64,
) -> Result<Option<(Bundle, usize)>, StoreError> {
    let bytes = snapshot.get(Table::Bundle, document.as_ref(), arrival);
    let Some(bytes) = unless_damaged(bytes)?.flatten() else {
        return Ok(None);
    };
    let bundle = unless_damaged(decode_row(Table::Bundle, &bytes))?;
    Ok(bundle.map(|bundle| (bundle, bytes.len())))
}

fn placement_bytes(placement: &SignedPlacement) -> usize {
    placement.payload.len() + PLACEMENT_ENVELOPE_BYTES
}
