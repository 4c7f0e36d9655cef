//! What cases and sessions promise, held against independent models of the same promises.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

// Called here as the other crates call it.
extern crate ridgeway_domain as domain;

mod acts;
mod decide;
mod json;
mod lattice;
mod people;
mod register;
mod safety;
