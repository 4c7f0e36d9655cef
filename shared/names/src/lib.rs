//! The words both pillars share: ids, moments, reason codes and limits.
//!
//! *Meaning* (`domain`, `document`) and *bytes* (`protocol`, `store`) meet only in `node`; what
//! they must call by the same name stands here and nowhere else. This crate knows no hash, no
//! clock, no codec: ids are bytes that somebody else drew or derived.

mod id;
pub mod limits;
mod mark;
mod moment;
mod reason;
mod transfer;

pub use id::{
    ActorId, ChangeHash, Code, DeviceId, DocumentId, EntryId, Incarnation, InvalidName, Kind,
    Nonce, ScopeId, SiteId, StoreId, TenantId, WorkerId, WriterId,
};
pub use mark::Mark;
pub use moment::Moment;
pub use reason::Reason;
pub use transfer::{TransferReason, UnknownTransferReason};
