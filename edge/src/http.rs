//! The edge's HTTP surface: what both binaries give, and nothing besides. The phones' socket and
//! the app's files come here.

use std::sync::Arc;

use api::{Access, More, Record};
use axum::Router;

/// Every route of an edge.
pub(crate) fn router(record: Arc<dyn Record>, access: Access) -> Router {
    api::router(record, access, More::default())
}
