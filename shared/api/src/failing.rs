//! The surface when something fails: every answer has the form of an error, and one failure hides
//! nothing else.

use std::sync::Arc;

use axum::{body::Body, http::StatusCode};
use node::names::DocumentId;
use serde_json::{Value, json};

use crate::{
    testing::Fake,
    tests::{ask, request, surface},
};

async fn get(fake: Fake, path: &str) -> (StatusCode, Value) {
    let request = request("GET", path).body(Body::empty()).unwrap();
    ask(&surface(Arc::new(fake)), request).await
}

#[tokio::test]
async fn what_no_route_foresees_is_a_problem_too() {
    // `ask` looks at the form of every error.
    for path in ["/api/v1/views/documents/%ff", "/api/v1/documents/%ff"] {
        let (status, body) = get(Fake::new(), path).await;
        assert_eq!(
            (status, &body["type"]),
            (StatusCode::BAD_REQUEST, &json!("bad-request")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_opened_hides_no_conflict() {
    let mut fake = Fake::new();
    let damaged = DocumentId(std::array::from_fn(|place| if place == 0 { 0 } else { 2 }));
    fake.damaged.push(damaged);
    let (status, page) = get(fake, "/api/v1/views/conflicts").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let rows = page["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["document"], damaged.to_string());
    assert_eq!(rows[0]["flaw"], "cannot-open");
    assert_eq!(rows[0]["conflicts"], json!([]));
    for row in &rows[1..] {
        assert!(
            row["flaw"].is_null() && row["conflicts"][0].is_object(),
            "{row}"
        );
    }
}

#[tokio::test]
async fn whether_a_node_is_ready_is_not_asked_of_its_thread() {
    let stuck = || Fake {
        stuck: true,
        ..Fake::new()
    };
    assert_eq!(get(stuck(), "/readyz").await.0, StatusCode::OK);
    let (status, body) = get(stuck(), "/metrics").await;
    assert_eq!(
        (status, &body["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("busy"))
    );
}
