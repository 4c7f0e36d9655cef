//! Every key of the CRDT.

/// Root: the kind's name, a scalar.
pub(crate) const KIND: &str = "kind";
/// Root: the list of entries; one map each, added at the end and never altered.
pub(crate) const ENTRIES: &str = "entries";
/// Root: the map of plain fields, scalars only; of concurrent ones the last in Automerge's own
/// order stands.
pub(crate) const FIELDS: &str = "fields";
/// Root: the text people write together: a case's plan, a session's notes.
pub(crate) const TEXT: &str = "text";
