//! A case, read from its entries.

/// A case.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Case {}
/// A note.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {}
/// A task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {}
