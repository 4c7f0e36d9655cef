//! `POST /api/v1/commands`: what a person wants done.
//!
//! The request names the worker; what the worker may do comes from the directory and never from
//! the request. Until phones sign for themselves, the token stands for the node's own screens,
//! whose word this is.

use std::{collections::BTreeSet, fmt};

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use node::{
    Request, Saved, Target,
    domain::{By, Command},
    names::{ChangeHash, DocumentId, EntryId, Reason, ScopeId, SiteId, WorkerId},
    protocol::Directory,
};
use serde::{Deserialize, Serialize};

use crate::{
    Api,
    problem::Problem,
    record::{Reach, Role, Who},
};

/// Bytes of one request's body. The longest text of one command is a note of 65,536 bytes
/// (`limits::NOTE_BYTES_MAX`), each at most six bytes when JSON writes it with escapes; an edit of
/// a text has at most 19,000 characters (`limits::PLAN_INSERT_MAX`) of at most twelve.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The header in which a client names its entry.
const KEY_HEADER: &str = "idempotency-key";

/// A request's body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The document it is about, if there is one already.
    document: Option<DocumentId>,
    /// Where the document that the command opens is to be placed.
    new: Option<New>,
    /// Who asks.
    worker: WorkerId,
    /// The entry's id, when the header does not say it.
    entry: Option<String>,
    /// What is asked.
    command: Command,
}

/// Where a new document is placed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    /// In these scopes; in the site's own when nothing is said.
    #[serde(default)]
    scopes: Vec<ScopeId>,
}

/// What was done, and how far it has got.
#[derive(Serialize)]
struct Done {
    document: DocumentId,
    entry: EntryId,
    /// The change that carries it; null when it had been recorded before.
    change: Option<ChangeHash>,
    state: Reach,
}

/// Carries a command out: 201 when it was written now, 200 when it had been written before.
pub(crate) async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|_| Problem::from(Reason::TooLarge))?;
    if !is_json(&headers) {
        return Err(Problem::wrong_media_type());
    }
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| not_understood(&error))?;
    let request = request(&api, &headers, asked)?;
    let entry = request.entry;
    let Saved {
        document,
        entry: saved,
        change,
    } = api.record().perform(request).await?;
    debug_assert_eq!(
        saved, entry,
        "the node answers for the entry it was asked for"
    );
    let state = api.record().reach(entry).await?.unwrap_or(Reach::SavedHere);
    let status = if change.is_some() {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let done = Done {
        document,
        entry,
        change,
        state,
    };
    Ok((status, axum::Json(done)).into_response())
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let said = headers
        .get(header::CONTENT_TYPE)
        .and_then(|said| said.to_str().ok());
    let essence = said.and_then(|said| said.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// Where the body is wrong. What the parser says may repeat what a person typed, so only the
/// place is passed on, and the name of a field that is missing.
pub(crate) fn not_understood(error: &serde_json::Error) -> Problem {
    let words = error.to_string();
    if let Some(rest) = words.strip_prefix("missing field `") {
        let field: String = rest
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect();
        return Problem::bad_request(format!("The body lacks the field `{field}`."));
    }
    Problem::bad_request(format!(
        "The body is not what /api/openapi.json describes; the trouble is near line {}, column {}.",
        error.line(),
        error.column(),
    ))
}

fn request(api: &Api, headers: &HeaderMap, asked: Asked) -> Result<Request, Problem> {
    let entry = entry(headers, asked.entry.as_deref())?;
    let who = api.record().who();
    let by = by(&api.record().directory(), &who, asked.worker)?;
    let target = match (asked.document, asked.new) {
        (Some(document), None) => Target::Document(document),
        (None, Some(New { scopes })) if scopes.is_empty() => {
            Target::New(vec![ScopeId::Site(by.site.clone())])
        }
        (None, Some(New { scopes })) => Target::New(scopes),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::bad_request("Say either `document` or `new`."));
        }
    };
    Ok(Request {
        target,
        entry,
        by,
        command: asked.command,
    })
}

/// The entry's id, from the header or the body. Without one a repeated request would be written
/// twice, so there is no default.
fn entry(headers: &HeaderMap, in_body: Option<&str>) -> Result<EntryId, Problem> {
    let form = "The header Idempotency-Key must be a UUID or 32 hexadecimal digits.";
    let wrong = || Problem::bad_request(form);
    let header = headers.get(KEY_HEADER);
    let header = header
        .map(|key| key.to_str().map_err(|_| wrong()))
        .transpose()?;
    let read = |text: &str| parse_key(text).ok_or_else(wrong);
    match (
        header.map(read).transpose()?,
        in_body.map(read).transpose()?,
    ) {
        (Some(header), Some(body)) if header != body => Err(Problem::bad_request(
            "The header Idempotency-Key and the field `entry` differ; say it once.",
        )),
        (Some(entry), _) | (None, Some(entry)) => Ok(entry),
        (None, None) => Err(Problem::bad_request(
            "Draw an id for this entry (a random UUID) and send it in the header Idempotency-Key; \
             send the same one when you try again.",
        )),
    }
}

/// A UUID or 32 hexadecimal digits, with or without the quotes of a structured header.
fn parse_key(text: &str) -> Option<EntryId> {
    let text = text.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    match groups.as_slice() {
        [32] => text.parse().ok(),
        [8, 4, 4, 4, 12] => text.replace('-', "").parse().ok(),
        _ => None,
    }
}

/// Who asks, as the directory has it. An unknown worker, a disabled one and one of another site
/// are one answer.
pub(crate) fn by(directory: &Directory, who: &Who, worker: WorkerId) -> Result<By, Problem> {
    let known = directory
        .worker(&worker)
        .filter(|_| !directory.is_disabled(&worker));
    let known = known.filter(|known| works_here(directory, who, &known.site));
    let known = known.ok_or_else(Problem::no_worker)?;
    // A role this version does not know carries no power.
    let roles = known
        .roles
        .iter()
        .filter_map(|role| role.as_str().parse().ok())
        .collect();
    let site = who.site.clone().unwrap_or_else(|| known.site.clone());
    Ok(By {
        worker,
        site,
        roles,
    })
}

/// Whether the workers of a site work at this node: at the centre all do.
fn works_here(directory: &Directory, who: &Who, site: &SiteId) -> bool {
    let scopes: BTreeSet<ScopeId> = directory.scopes_of(&who.device);
    match who.role {
        Role::Centre => true,
        Role::Edge => scopes.contains(&ScopeId::Site(site.clone())),
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({:?})", self.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_uuid_or_hexadecimal() {
        let plain = "00112233445566778899aabbccddeeff";
        let same = [
            plain,
            "00112233-4455-6677-8899-aabbccddeeff",
            "\"00112233-4455-6677-8899-AABBCCDDEEFF\"",
            " 00112233445566778899AABBCCDDEEFF ",
        ];
        for text in same {
            assert_eq!(
                parse_key(text).map(|id| id.to_string()).as_deref(),
                Some(plain),
                "{text}"
            );
        }
        let wrong = [
            "",
            "1",
            "0011-2233445566778899aabbccddeeff",
            "zz112233445566778899aabbccddeeff",
        ];
        for text in wrong {
            assert_eq!(parse_key(text), None, "{text}");
        }
    }
}
