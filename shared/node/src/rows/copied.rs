//! Rows of stores that were copied.

use minicbor::{Decode, Encode};
use names::{DeviceId, Moment, Nonce};
use protocol::codec;

/// A store that came back from an older copy, or of which a copy runs beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct CopyRow {
    /// Whose store.
    #[cbor(n(0), with = "codec::wire")]
    pub device: DeviceId,
    /// Which of both.
    #[n(1)]
    pub how: Copied,
    /// The opening of its store in which it was noticed.
    #[cbor(n(4), with = "codec::wire")]
    pub(crate) opening: Nonce,
    /// When it was last heard before that opening; none when that was before this node's opening.
    #[cbor(n(2), with = "codec::wire", has_nil)]
    pub from: Option<Moment>,
    /// When it was noticed, by this node's clock; of one that runs twice, when that was last seen.
    #[cbor(n(3), with = "codec::wire")]
    pub until: Moment,
}

codec::wire_struct!(CopyRow);

impl CopyRow {
    /// Whether it says that two copies of this device's store run, of which nobody has said yet that
    /// one was stopped.
    pub fn runs_twice(&self, device: &DeviceId) -> bool {
        self.device == *device && self.how == Copied::RunsTwice
    }
}

/// How a copy of a store came to be noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Copied {
    /// It came back from an older copy.
    #[n(0)]
    OlderCopy,
    /// Two copies of it run side by side.
    #[n(1)]
    RunsTwice,
    /// Two copies of it ran, until somebody said that one was stopped.
    #[n(2)]
    RanTwice,
}
