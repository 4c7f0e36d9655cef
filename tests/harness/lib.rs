//! The harness.

pub mod disk;
