//! The HTTP surface that both binaries give, as a router that is a value.
//!
//! [`router`] takes a [`Record`] (what the node behind it can do) and an [`Access`] (who may
//! ask), and answers an axum router; binding it to a socket is the binary's business, and tests
//! need none. Every error is a [`Problem`]; every route is described in `openapi.json`, which a
//! test holds against the routes.
//!
//! What this crate does not know: what a case or a session means (views and commands pass through
//! in `domain`'s own JSON), and how a node works.

mod commands;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod failing;
mod guard;
mod handle;
mod health;
mod openapi;
mod problem;
pub mod program;
mod query;
pub mod record;
mod routes;
mod sync;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
pub mod token;
mod transfers;
mod views;

use std::{fmt, sync::Arc};

pub use commands::BODY_BYTES_MAX;
pub use guard::{Access, REQUEST_TIME_MAX, REQUESTS_MAX};
pub use problem::Problem;
pub use query::{LIMIT_DEFAULT, LIMIT_MAX};
pub use record::Record;
pub use routes::{More, Route, router};

/// What every route is handed: the record behind it, and the description it gives of itself.
#[derive(Clone)]
pub struct Api {
    record: Arc<dyn Record>,
    description: Arc<str>,
}

impl Api {
    /// The record behind the routes.
    pub fn record(&self) -> &dyn Record {
        &*self.record
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}
