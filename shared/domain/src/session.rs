//! A session, read from its entries.

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Session {}
