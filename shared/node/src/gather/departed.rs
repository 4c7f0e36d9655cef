//! What is said in a scope of documents that have left it.

use std::collections::{BTreeMap, BTreeSet};

use names::DocumentId;
use protocol::placement::PlacementId;
use store::{Snapshot, StoreError};

use super::{Gathering, placement_at, placement_bytes};
use crate::{
    admit::{claim_of, told_in},
    rows::{DocumentRow, Stage, TransferRow},
};

/// For whom a frame is gathered.
#[derive(Clone, Copy)]
pub(crate) struct Audience<'a> {
    /// The documents that have left a scope here: what is said of them depends on the peer.
    pub(crate) parted: &'a BTreeMap<DocumentId, TransferRow>,
    /// The centre may read every document; whoever else speaks of a scope may read no more of those
    /// that have left it than where they went.
    pub(crate) is_centre: bool,
}

impl Gathering<'_> {
    /// Takes up where a document went that has left the scope, and nothing further. The peer may not
    /// have known it, and each placement builds on the one before.
    pub(super) fn take_departure<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
        row: &DocumentRow,
    ) -> Result<bool, StoreError> {
        if self.told.contains(&document) {
            return Ok(true);
        }
        let told = told_in(snapshot, document, row, &self.scope)?;
        let mut kept = Vec::new();
        for number in 0..row.placement_count {
            let placement = placement_at(snapshot, document, number)?;
            kept.extend(placement.filter(|kept| {
                let id = claim_of(kept).map(|(id, _)| id);
                id.is_ok_and(|id| self.audience.is_centre || told.contains(&id))
            }));
        }
        let bytes = kept.iter().map(placement_bytes).sum();
        if !self.fits(bytes, 1) {
            return Ok(false);
        }
        self.bytes += bytes;
        self.placements.extend(kept);
        self.told.insert(document);
        Ok(true)
    }

    /// Which placements of a document the peer may be told in this scope (none: every one), and
    /// whether its changes; nothing of one that was never spoken of there.
    #[expect(clippy::type_complexity, reason = "one answer of two parts, used once")]
    pub(super) fn may_tell<P: Snapshot>(
        &self,
        snapshot: &P,
        document: DocumentId,
        row: &DocumentRow,
    ) -> Result<Option<(Option<BTreeSet<PlacementId>>, bool)>, StoreError> {
        if row.placed.contains(&self.scope) {
            return Ok(Some((None, true)));
        }
        if !row.has_left(&self.scope) {
            return Ok(None);
        }
        if !self.audience.is_centre {
            let told = told_in(snapshot, document, row, &self.scope)?;
            return Ok(Some((Some(told), false)));
        }
        let stage = self.audience.parted.get(&document).map(|row| row.stage);
        let is_whole = matches!(stage, Some(Stage::Stays | Stage::HandsIn | Stage::Held(_)));
        Ok(Some((None, is_whole)))
    }
}
