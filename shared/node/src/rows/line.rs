//! Authors' lines: how far each goes here and at the centre, and which of them wait for it.
//!
//! Lines share rows, because a row costs more than what stands in it: a case has three authors
//! mostly, and a first sync writes all of them on both sides.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use names::{ActorId, ChangeHash, DeviceId, DocumentId, Moment, WorkerId};
use protocol::codec;

/// Lines that share a row: some 100 bytes each, so that a row stays small against a page of the
/// file (4 KiB) while a document with many authors is written a part at a time.
pub(crate) const LINES_PER_ROW: u64 = 8;

/// One author's line of changes in one document.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct ActorRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) actor: ActorId,
    #[cbor(n(1), with = "codec::wire")]
    pub(crate) device: DeviceId,
    #[cbor(n(2), with = "codec::wire")]
    pub(crate) worker: WorkerId,
    /// The last sequence number admitted.
    #[n(3)]
    pub(crate) seq: u64,
    /// The change that has it.
    #[cbor(n(4), with = "codec::wire")]
    pub(crate) hash: ChangeHash,
    /// The last sequence number the centre has said it holds.
    #[n(5)]
    pub(crate) centre: u64,
    /// When its last run was closed, by its device's clock.
    #[cbor(n(7), with = "codec::wire")]
    pub(crate) at: Moment,
    /// In which stretch of this store's life the centre said the last of that
    /// ([`BackedRow`](super::BackedRow)).
    #[n(8)]
    pub(crate) stretch: u64,
    /// The last sequence number that was in a backup of the centre before that.
    #[n(9)]
    pub(crate) backed: u64,
}

/// The lines of a document whose slots, divided by [`LINES_PER_ROW`], give the row's position.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(crate) struct LinesRow {
    /// By slot. After a document was dropped and has come back some may be missing.
    #[n(0)]
    pub(crate) lines: BTreeMap<u64, ActorRow>,
}

/// The lines of a document written here of which the centre has not yet said that it holds all.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct OutboxRow {
    #[cbor(n(0), with = "codec::wire")]
    pub(crate) document: DocumentId,
    /// Their slots, in order.
    #[n(1)]
    pub(crate) slots: Vec<u64>,
}
