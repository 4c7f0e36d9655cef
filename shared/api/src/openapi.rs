//! `GET /api/openapi.json`: the description of every route, written by hand.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::Api;

/// What both binaries give.
const BASE: &str = include_str!("openapi.json");

/// The description of this very program.
pub(crate) async fn get(State(api): State<Api>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], api.description.to_string()).into_response()
}

/// The base with the paths and schemas of `more`, itself an OpenAPI document or empty.
pub(crate) fn with(more: &str) -> String {
    if more.is_empty() {
        return BASE.to_owned();
    }
    let [mut base, more] =
        [BASE, more].map(|text| serde_json::from_str::<Value>(text).unwrap_or_default());
    merge(&mut base, more);
    base.to_string()
}

/// Adds what `more` has and `base` has not; a value that both have stays the base's.
fn merge(base: &mut Value, more: Value) {
    if let (Value::Object(base), Value::Object(more)) = (base, more) {
        for (key, value) in more {
            match base.get_mut(&key) {
                Some(known) => merge(known, value),
                None => {
                    base.insert(key, value);
                }
            }
        }
    }
}
