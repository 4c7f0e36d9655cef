//! Where it is kept: one small trait, and the stores that hold its contract.
//!
//! [`contract`] says what a store promises; [`conformance`] checks it. The crate knows nothing of
//! documents, peers or time, and draws no randomness of its own.

pub mod contract;
mod error;

pub use contract::{
    Batch, Key, NAME_BYTES_MAX, Page, Row, Snapshot, Store, Table, VALUE_BYTES_MAX, each,
};
pub use error::{Damage, StoreError};
