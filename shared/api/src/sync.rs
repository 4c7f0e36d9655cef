//! `GET /api/v1/sync`: how far this node agrees with its peers, per scope.

use axum::{Json, extract::State};

use crate::{Api, problem::Problem, record::SyncView};

/// Digests, counts, cursors, proofs, what waits, what was refused, and progress.
pub(crate) async fn get(State(api): State<Api>) -> Result<Json<SyncView>, Problem> {
    Ok(Json(api.record().sync().await?))
}
