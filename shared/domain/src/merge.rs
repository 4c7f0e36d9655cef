//! The merge rules.
