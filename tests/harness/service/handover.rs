//! Cases that are handed over to another site, as the API takes and tells it.

use std::collections::BTreeSet;

use names::{DocumentId, EntryId};
use serde_json::{Value, json};

use super::client::{Client, Failure};

/// Hands a case over to another site, because who it is about has moved.
///
/// # Errors
/// [`Failure`] when it is not done.
pub fn transfer(
    client: &Client,
    case: DocumentId,
    worker: &str,
    to: &str,
) -> Result<Value, Failure> {
    let body = json!({ "document": case, "worker": worker, "to": to, "reason": "moved-home" });
    // A transfer is no entry; the same one asked for again is the same whatever it is called.
    let key = EntryId([0; 16]).to_string();
    client.post("/api/v1/transfers", &key, &body)?.json()
}

/// What a node says of a case that it has handed over.
///
/// # Errors
/// When it says nothing of it; the whole of what it says.
pub fn row(client: &Client, case: DocumentId) -> Result<Value, String> {
    let view = client.get_json("/api/v1/views/transfers")?;
    let rows = view.get("rows").and_then(Value::as_array);
    let mut rows = rows.into_iter().flatten();
    let row = rows.find(|row| row.get("document") == Some(&json!(case)));
    row.cloned().ok_or_else(|| view.to_string())
}

/// The entries of a document that bear a mark, as a node shows it.
pub fn marked(view: &Value, mark: &str) -> BTreeSet<String> {
    let marks = view.get("marks").and_then(Value::as_object);
    let bears = |marks: &Value| {
        let marks = marks.as_array();
        marks.is_some_and(|marks| marks.contains(&json!(mark)))
    };
    let marks = marks.into_iter().flatten();
    let marks = marks.filter(|(_, marks)| bears(marks));
    marks.map(|(entry, _)| entry.clone()).collect()
}

/// The entries of a document, as a node shows it.
pub fn entries(view: &Value) -> BTreeSet<String> {
    let reach = view.get("reach").and_then(Value::as_object);
    reach
        .into_iter()
        .flatten()
        .map(|(id, _)| id.clone())
        .collect()
}
