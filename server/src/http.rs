//! The centre's HTTP surface: what both binaries give, and what only the centre can tell.

use std::sync::Arc;

use api::{Access, Api, More, Problem, Record, Route};
use axum::{
    Extension, Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde_json::Value;

use crate::{
    desk::{self, Desk},
    record::{self, Overview},
};

/// What only the centre has.
const DESCRIPTION: &str = include_str!("openapi.json");

/// Every route of the centre.
pub(crate) fn router(record: Arc<dyn Record>, access: Access, desk: Arc<Desk>) -> Router {
    let router = api::router(
        record,
        access,
        More {
            routes: routes(),
            description: DESCRIPTION,
        },
    );
    router.layer(Extension(desk))
}

fn routes() -> Vec<Route> {
    vec![
        Route {
            method: "GET",
            path: "/api/v1/record",
            handler: get(overview),
        },
        Route {
            method: "GET",
            path: "/api/v1/sites",
            handler: get(sites),
        },
        Route {
            method: "GET",
            path: "/api/v1/workers",
            handler: get(workers),
        },
        Route {
            method: "GET",
            path: "/api/v1/devices",
            handler: get(devices),
        },
        Route {
            method: "POST",
            path: "/api/v1/devices/{device}/accept",
            handler: post(accept),
        },
        Route {
            method: "POST",
            path: "/api/v1/devices/{device}/reject",
            handler: post(reject),
        },
        Route {
            method: "POST",
            path: "/api/v1/devices/{device}/single",
            handler: post(single),
        },
    ]
}

async fn overview(State(api): State<Api>) -> Result<Json<Overview>, Problem> {
    Ok(Json(record::overview(api.record()).await?))
}

async fn sites(State(api): State<Api>) -> Json<Value> {
    Json(desk::sites(&api.record().directory()))
}

async fn workers(State(api): State<Api>) -> Json<Value> {
    Json(desk::workers(&api.record().directory()))
}

async fn devices(Extension(desk): Extension<Arc<Desk>>) -> Result<Json<Value>, Problem> {
    Ok(Json(desk::devices(&desk.node).await?))
}

/// A person lets into the record what a revoked device has handed in.
async fn accept(
    Extension(desk): Extension<Arc<Desk>>,
    Path(device): Path<String>,
) -> Result<Json<Value>, Problem> {
    let device = device.parse().map_err(|_| Problem::not_found())?;
    Ok(Json(desk.accept(device).await?))
}

/// A person discards what a revoked device has handed in.
async fn reject(
    Extension(desk): Extension<Arc<Desk>>,
    Path(device): Path<String>,
) -> Result<Json<Value>, Problem> {
    let device = device.parse().map_err(|_| Problem::not_found())?;
    Ok(Json(desk.reject(device).await?))
}

/// A person says that of two copies of a device's store one was stopped.
async fn single(
    Extension(desk): Extension<Arc<Desk>>,
    Path(device): Path<String>,
) -> Result<Json<Value>, Problem> {
    let device = device.parse().map_err(|_| Problem::not_found())?;
    Ok(Json(desk.single(device).await?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_every_route_and_no_other() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let paths = description.get("paths").and_then(Value::as_object).unwrap();
        let described: Vec<&str> = paths.keys().map(String::as_str).collect();
        let mut served: Vec<&str> = routes().iter().map(|route| route.path).collect();
        served.sort_unstable();
        assert_eq!(described, served);
    }
}
