//! `Derived`: what is computed on reading.

use serde::Serialize;

/// A value computed from entries whenever it is read, the same on every node that holds the
/// same entries. It is never written down and so never merged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct Derived<T>(pub T);
