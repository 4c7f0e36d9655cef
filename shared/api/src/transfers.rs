//! `POST /api/v1/transfers`: a case is handed over to another site; and the view of what was.

use std::fmt;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::HeaderMap,
};
use node::{
    Transfer,
    names::{DocumentId, Moment, Reason, ScopeId, SiteId, TransferReason, WorkerId},
    protocol::PlacementId,
    views,
};
use serde::{Deserialize, Serialize};

use crate::{
    Api,
    commands::{by, is_json, not_understood},
    problem::Problem,
    query::{Page, Query},
    views::Said,
};

/// A request's body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    document: DocumentId,
    worker: WorkerId,
    from: Option<SiteId>,
    to: SiteId,
    reason: TransferReason,
}

/// What was done.
#[derive(Serialize)]
pub(crate) struct Done {
    document: DocumentId,
    #[serde(serialize_with = "as_text")]
    placement: PlacementId,
    to: SiteId,
    waiting: u64,
}

/// Hands a case over.
pub(crate) async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Done>, Problem> {
    let body = body.map_err(|_| Problem::from(Reason::TooLarge))?;
    if !is_json(&headers) {
        return Err(Problem::wrong_media_type());
    }
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| not_understood(&error))?;
    let by = by(&api.record().directory(), &api.record().who(), asked.worker)?;
    let transfer = Transfer {
        document: asked.document,
        from: asked.from.unwrap_or_else(|| by.site.clone()),
        to: asked.to.clone(),
        reason: asked.reason,
        by,
    };
    let done = api.record().transfer(transfer).await?;
    Ok(Json(Done {
        document: done.document,
        placement: done.placement,
        to: asked.to,
        waiting: done.waiting,
    }))
}

/// A document that was handed over.
#[derive(Serialize)]
pub(crate) struct HandedOver {
    document: DocumentId,
    kind: &'static str,
    to: Vec<SiteId>,
    reason: Option<TransferReason>,
    by: Option<WorkerId>,
    at: Moment,
    waiting: u64,
    held: bool,
    awaits_backup: bool,
    refused: Option<&'static str>,
    words: String,
}

/// What was handed over, the latest first.
pub(crate) async fn view(
    State(api): State<Api>,
    Said { 0: said }: Said,
) -> Result<Json<Page<HandedOver>>, Problem> {
    let query = Query::new(said, &["after", "limit"])?;
    let limit = query.limit()?;
    let rows = api.record().handed_over().await?;
    let rows: Vec<HandedOver> = rows.into_iter().map(told).collect();
    Ok(Json(Page::of(rows, query.after(), limit, mark)))
}

/// A row's place in the list: the latest first.
fn mark(row: &HandedOver) -> String {
    let before = i64::MAX.saturating_sub(row.at.0);
    format!("{before:020}.{}", row.document)
}

fn told(row: views::HandedOver) -> HandedOver {
    let site = |scope: &ScopeId| match scope {
        ScopeId::Site(site) => Some(site.clone()),
        ScopeId::Directory | ScopeId::Caseload(_) | ScopeId::Compartment(..) => None,
    };
    let to: Vec<SiteId> = row.to.iter().filter_map(site).collect();
    let words = words(&to, &row);
    HandedOver {
        document: row.document,
        kind: row.kind.name(),
        to,
        reason: row.reason,
        by: row.by,
        at: row.at,
        waiting: row.waiting,
        held: !row.is_gone,
        awaits_backup: row.awaits_backup,
        refused: row.refused.map(Reason::name),
        words,
    }
}

fn words(to: &[SiteId], row: &views::HandedOver) -> String {
    let whom = match to {
        [] => "Handed over; the centre has yet to say to which site".to_owned(),
        sites => {
            let sites: Vec<String> = sites.iter().map(ToString::to_string).collect();
            format!("Handed over to {}", sites.join(" and "))
        }
    };
    let rest = match (row.waiting, row.refused) {
        (_, Some(reason)) => format!(
            "; the centre does not take all of it ({}), it is sent again every few minutes",
            reason.words().trim_end_matches('.')
        ),
        (0, None) if row.awaits_backup => {
            "; the centre has all of it, and it is kept here until a backup has it too".to_owned()
        }
        (0, None) => String::new(),
        (1, None) => "; still sending 1 entry".to_owned(),
        (many, None) => format!("; still sending {many} entries"),
    };
    format!("{whom}{rest}.")
}

fn as_text<S: serde::Serializer>(id: &PlacementId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({} to {})", self.document, self.to)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;

    use axum::{body::Body, http::StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        testing::{DOCUMENT, Fake},
        tests::{ask, request, surface},
    };

    async fn get(path: &str) -> (StatusCode, Value) {
        let request = request("GET", path).body(Body::empty()).unwrap();
        ask(&surface(Arc::new(Fake::new())), request).await
    }

    #[tokio::test]
    async fn a_case_is_handed_over_and_the_view_says_what_is_still_sent() {
        let transfer = |body: Value| {
            let request = request("POST", "/api/v1/transfers")
                .header("content-type", "application/json")
                .body(Body::from(body.to_string()))
                .unwrap();
            async move { ask(&surface(Arc::new(Fake::new())), request).await }
        };
        let body = |document: DocumentId, to: &str| {
            json!({
                "document": document, "worker": "w-1", "to": to, "reason": "moved-home",
            })
        };
        let (status, done) = transfer(body(DOCUMENT, "bath")).await;
        assert_eq!(status, StatusCode::OK, "{done}");
        assert_eq!((&done["to"], &done["waiting"]), (&json!("bath"), &json!(2)));
        let (status, problem) = transfer(body(DOCUMENT, "york")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem["type"], "no-such-site");
        let (status, problem) = transfer(body(DocumentId([9; 16]), "bath")).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::GONE, &json!("transferred"))
        );
        let (status, problem) = transfer(json!({ "document": DOCUMENT })).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::BAD_REQUEST, &json!("bad-request"))
        );
        let (status, page) = get("/api/v1/views/transfers?limit=2").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(page["rows"][0]["refused"], "wrong-sequence");
        assert_eq!(page["rows"][1]["held"], true);
        let words = "Handed over; the centre has yet to say to which site; still sending 1 entry.";
        assert_eq!(page["rows"][1]["words"], words);
        let next = page["next"].as_str().unwrap();
        let (_, page) = get(&format!("/api/v1/views/transfers?after={next}")).await;
        assert_eq!(page["rows"][0]["words"], "Handed over to bath and kent.");
        assert_eq!(page["rows"][1]["awaits_backup"], true);
        assert_eq!(
            (page["rows"].as_array().unwrap().len(), &page["next"]),
            (2, &Value::Null)
        );
    }
}
