//! What a peer lacks of one document: sent piece by piece, as much as a frame takes.

use std::collections::{BTreeMap, BTreeSet};

use names::{ActorId, DocumentId};
use protocol::{message::Difference, placement::PlacementId};

use crate::rows::{DocumentRow, IndexChange};

/// What a peer lacks of one document, and how far it was looked through.
#[derive(Clone, Debug)]
pub(crate) struct Repair {
    pub(super) document: DocumentId,
    /// The last sequence number of each actor that the peer has.
    actors: BTreeMap<ActorId, u64>,
    pub(super) placements: BTreeSet<PlacementId>,
    /// The next placement and the next run to look at.
    pub(super) placement: u64,
    pub(super) arrival: u64,
}

impl Repair {
    /// Of which document.
    pub(crate) fn document(&self) -> DocumentId {
        self.document
    }

    /// Everything of a document.
    pub(crate) fn whole(document: DocumentId) -> Repair {
        Repair {
            document,
            actors: BTreeMap::new(),
            placements: BTreeSet::new(),
            placement: 0,
            arrival: 0,
        }
    }

    /// What of a document lies beyond these sequence numbers, and every placement.
    pub(crate) fn beyond(document: DocumentId, actors: BTreeMap<ActorId, u64>) -> Repair {
        Repair {
            actors,
            ..Repair::whole(document)
        }
    }

    pub(super) fn lacks(&self, row: &DocumentRow, change: &IndexChange) -> bool {
        let actor = usize::try_from(change.slot).ok();
        let actor = actor.and_then(|slot| row.actors.get(slot));
        let known = actor.and_then(|actor| self.actors.get(actor));
        known.is_none_or(|known| *known < change.seq)
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
