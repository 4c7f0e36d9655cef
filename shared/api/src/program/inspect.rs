//! What both binaries tell about their node: how far it agrees with its peers, and whether its
//! proofs hold when they are computed again from what is stored.

use std::{collections::BTreeMap, fmt::Write as _, io::IsTerminal as _};

use node::{
    Checked,
    domain::Day,
    names::{Moment, ScopeId},
    views::Recomputed,
};
use runtime::Handle;
use serde_json::{Value, json};

use super::{Exit, Failure, line::Told};
use crate::Record;

/// How far the node agrees with its peers.
///
/// # Errors
/// When the node is stopping, or its store cannot be read.
pub async fn status(handle: &Handle) -> Result<Value, Failure> {
    let view = Record::sync(handle).await?;
    serde_json::to_value(view).map_err(Failure::failed)
}

/// The digest of every scope beside the same computed again from the stored chunks and
/// placements, by a path of its own; before that, every row of the store is read, and every
/// signature is verified. What the file's
/// own structure says can be checked only while nothing runs: [`super::folder::check`]. Documents
/// that were set aside are taken up again.
///
/// # Errors
/// When the store cannot be read, a row is not what was written, something would not be let in
/// today, or a digest does not hold.
pub async fn verify(handle: &Handle) -> Result<Value, Failure> {
    // Whoever verifies has perhaps mended something.
    handle.try_again()?;
    whole(&handle.damaged().await?)?;
    let mut told = Told::new("verify", !std::io::stderr().is_terminal());
    let checked = handle
        .check(move |done, of| {
            told.note(done, of);
            if done + 1 == of {
                told.end();
            }
        })
        .await?;
    refusals(&checked)?;
    let again = &checked.scopes;
    let mut rows = Vec::new();
    let mut differing = 0;
    for (scope, Recomputed { digest, count }) in checked
        .kept
        .iter()
        .filter(|(scope, _)| **scope != ScopeId::Directory)
    {
        let found = again.get(scope);
        let (digest, count) = (*digest, *count);
        let equal = match found {
            Some(found) => (found.digest, found.count) == (digest, count),
            None => count == 0,
        };
        differing += usize::from(!equal);
        rows.push(json!({
            "scope": scope,
            "digest": digest.to_string(),
            "count": count,
            "recomputed": found.map(|found| found.digest.to_string()),
            "equal": equal,
        }));
    }
    if differing == 0 {
        return Ok(json!({
            "scopes": rows,
            "documents": checked.documents,
            "pieces": checked.pieces,
            "statements": checked.statements,
        }));
    }
    let words = format!(
        "{differing} of {} scopes do not hold what their digests say: keep the folder as it is, \
         and tell whoever looks after this program",
        rows.len()
    );
    Err(Failure::new(Exit::Failure, words))
}

/// Fails when something stands in the store that would not be let in, and names the first of it.
fn refusals(checked: &Checked) -> Result<(), Failure> {
    if checked.refusals == 0 {
        return Ok(());
    }
    let named = checked.refused.iter();
    let mut named: Vec<String> = named
        .map(|(document, reason)| format!("{document}: {reason}"))
        .collect();
    if named.is_empty() {
        named.push("statements of the directory".to_owned());
    }
    Err(Failure::new(
        Exit::Failure,
        format!(
            "{} signed things in the store are not what they say ({}): keep the folder as it is, \
             and restore a backup or enrol again",
            checked.refusals,
            named.join(", ")
        ),
    ))
}

/// Fails when rows are damaged, and says how many of what.
pub(super) fn whole(damaged: &BTreeMap<&'static str, u64>) -> Result<(), Failure> {
    if damaged.is_empty() {
        return Ok(());
    }
    let tables = damaged
        .iter()
        .map(|(table, count)| format!("{count} of {table}"));
    let tables = tables.collect::<Vec<_>>().join(", ");
    Err(Failure::new(
        Exit::Failure,
        format!(
            "rows are not what was written ({tables}): keep the folder as it is, check the disk, \
             and tell whoever looks after this program"
        ),
    ))
}

/// [`status`] for a person.
pub fn status_text(view: &Value) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_status(&mut text, view);
    text
}

/// A field as a person reads it.
fn said(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// A moment, in milliseconds since 1970, as a person reads it.
pub fn time_text(ms: i64) -> String {
    let minute = ms.div_euclid(60_000).rem_euclid(24 * 60);
    let day = Day::of(Moment(ms));
    format!("{day} {:02}:{:02} UTC", minute / 60, minute % 60)
}

fn write_status(out: &mut String, view: &Value) -> std::fmt::Result {
    let node = view.get("node").unwrap_or(&Value::Null);
    writeln!(
        out,
        "{} {}, site {}",
        said(node, "role"),
        said(node, "device"),
        said(node, "site")
    )?;
    let list = |key: &str| {
        view.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    writeln!(out, "waiting for the centre: {}", said(view, "waiting"))?;
    writeln!(out, "in touch with: {}", list("links").count())?;
    if let Some(unreached) = view
        .get("unreached")
        .filter(|unreached| unreached.is_object())
    {
        writeln!(out, "the centre is not reached: {}", said(unreached, "why"))?;
        writeln!(
            out,
            "  it is tried again and again; what is written here is kept meanwhile"
        )?;
    }
    for warning in list("warnings").filter_map(Value::as_str) {
        writeln!(out, "{warning}")?;
    }
    for scope in list("scopes") {
        write_scope(out, scope)?;
    }
    for copy in list("copies") {
        let (device, words) = (said(copy, "device"), said(copy, "words"));
        let time = |key: &str| copy.get(key).and_then(Value::as_i64).map(time_text);
        let from = time("from").unwrap_or("a time that is not known".to_owned());
        let until = time("until").unwrap_or_default();
        writeln!(out, "device {device}, between {from} and {until}: {words}")?;
    }
    for exception in list("exceptions") {
        let (reason, count) = (said(exception, "reason"), said(exception, "count"));
        writeln!(out, "  {count} x {reason}: {}", said(exception, "words"))?;
    }
    Ok(())
}

/// How one scope stands with everybody who is in touch.
fn write_scope(out: &mut String, scope: &Value) -> std::fmt::Result {
    let digest: String = said(scope, "digest").chars().take(16).collect();
    let peers = scope
        .get("peers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let excepted = |peer: &Value| {
        let list = peer.get("exceptions").and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let (mut stages, mut exceptions): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
    for peer in peers {
        let of_peer = excepted(peer);
        stages.push(match of_peer.len() {
            0 => said(peer, "stage"),
            count => format!("equal except {count}"),
        });
        exceptions.extend(of_peer);
    }
    let stages = if stages.is_empty() {
        "not in touch".to_owned()
    } else {
        stages.join(", ")
    };
    let (name, count) = (said(scope, "scope"), said(scope, "count"));
    writeln!(out, "  {name:<32} {count:>7}  {digest}  {stages}")?;
    for exception in exceptions {
        let (document, words) = (said(&exception, "document"), said(&exception, "words"));
        writeln!(out, "    not in document {document}: {words}")?;
    }
    Ok(())
}

/// [`verify`] for a person.
pub fn verify_text(view: &Value) -> String {
    let count = |key: &str| view.get(key).and_then(Value::as_u64).unwrap_or(0);
    let scopes = view
        .get("scopes")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    format!(
        "{scopes} scopes hold what their digests say: {} documents, with {} signatures, and {} \
         statements\n",
        count("documents"),
        count("pieces"),
        count("statements"),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn damaged_rows_are_counted_by_table() {
        assert_eq!(whole(&BTreeMap::new()), Ok(()));
        let damaged = [("run", 2), ("summary", 1)].into();
        let words = whole(&damaged).unwrap_err().words;
        assert!(words.contains("2 of run, 1 of summary"), "{words}");
    }

    #[test]
    fn a_status_says_why_nobody_is_in_touch() {
        let view = json!({
            "node": { "role": "edge" }, "links": [], "scopes": [],
            "unreached": { "at": 1, "why": "nobody answers" },
            "warnings": ["look here"],
        });
        let text = status_text(&view);
        assert!(text.contains("not reached: nobody answers\n"), "{text}");
        assert!(
            text.contains("tried again") && text.contains("kept"),
            "{text}"
        );
        assert!(text.contains("look here\n"), "{text}");
    }
}
