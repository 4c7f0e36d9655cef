//! Where it is kept: one small trait, and the stores that hold its contract.
//!
//! [`contract`] says what a store promises; [`conformance`] checks it. The crate knows nothing of
//! documents, peers or time, and draws no randomness of its own.

mod aead;
pub mod conformance;
pub mod contract;
mod epoch;
mod error;
#[cfg(not(target_family = "wasm"))]
mod file;
mod key;
mod memory;
mod redb;
mod seal;

pub use contract::{
    Batch, Key, NAME_BYTES_MAX, Owner, Page, Row, Snapshot, Store, Table, VALUE_BYTES_MAX, each,
};
pub use epoch::{EPOCHS_MAX, Epochs};
pub use error::{Damage, StoreError};
pub use key::{InvalidKey, StoreKey};
pub use memory::{MemorySnapshot, MemoryStore};
pub use redb::{Config, RedbSnapshot, RedbStore};
pub use seal::{Entropy, Sealed, SealedSnapshot};
