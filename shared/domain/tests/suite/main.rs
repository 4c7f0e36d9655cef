//! What cases and sessions promise, held against independent models of the same promises.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

// Called here as the other crates call it.
extern crate ridgeway_domain as domain;

mod activity;
mod acts;
mod copies;
mod decide;
mod guests;
mod json;
mod lattice;
mod people;
mod protective;
mod register;
mod safety;
mod text;
mod unread;
