//! How two nodes agree: what they sign, what they compare, and the frames they say it with.
//!
//! Everything here is a value or a pure function of bytes. The conversation itself (who says what
//! when, what is stored) belongs to `node`; what the changes *mean* belongs to `document`, whose
//! bytes pass through here unread.
//!
//! In reading order:
//! - [`codec`]: values to bytes and back, total and bounded.
//! - [`digest`]: the additive digest that proves two scopes equal.
//! - [`signed`]: keys, actors, and the signed head that closes a run of changes.
//! - [`together`]: many signatures checked at once.
//! - [`bundle`]: changes of a document as they travel and are kept.
//! - [`placement`]: which scopes a document belongs to, signed.
//! - [`directory`]: who is who, as a growing set of statements signed by the authority.
//! - [`log`]: positions in a store's logs, and the cursors that name them.
//! - [`sketch`]: the repair, a set sketch that tells which documents differ.
//! - [`message`]: every frame.
//! - [`enrol`]: the one-time code, and the exchange that makes a device known.
//! - [`narrow`]: what a device may still say that is let in nowhere else.
//!
//! Signatures are always checked over the bytes that arrived; nothing is encoded again to be
//! verified. Each signed or hashed thing begins with a name of its own (`hash`), so that no
//! signature or hash can be passed off as one of another kind.

pub mod bundle;
mod bytes;
pub mod codec;
pub mod digest;
pub mod directory;
pub mod enrol;
mod hash;
pub mod log;
pub mod message;
pub mod narrow;
pub mod placement;
pub mod signed;
pub mod sketch;
#[cfg(test)]
mod testing;
pub mod together;

pub use bundle::Bundle;
pub use digest::{Digest, DocState, Element, LtHash};
pub use directory::{Directory, Rights, SignedStatement, Statement, StatementId};
pub use log::{Cursor, Position};
pub use message::Frame;
pub use placement::{Placement, PlacementId, SignedPlacement};
pub use signed::{DeviceKey, Head, PublicKey, Signature, SignedHead};
pub use sketch::{Cell, Sketch, SketchKey};
