//! The stores, put through their contract, through what sealing promises, and over files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the report"
)]

mod file;
mod keeping;
mod keys;
mod medium;
