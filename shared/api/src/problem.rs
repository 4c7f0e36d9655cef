//! Errors as `application/problem+json` (RFC 9457).
//!
//! `type` is a short stable code, `detail` is a sentence for a person. Neither ever repeats what
//! was sent: words typed into a record must not come back in an error.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use node::{NotDone, domain::Refusal, names::Reason};
use serde::Serialize;

/// The content type of every error.
const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not answered as hoped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// The stable code: that of a [`Reason`] or a [`Refusal`], or one of this module's.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: Cow<'static, str>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(
        kind: &'static str,
        title: &'static str,
        status: StatusCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem {
            kind,
            title,
            status,
            detail: detail.into(),
        }
    }

    /// The stable code.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The request says something that this program does not understand.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Problem {
        let title = "The request could not be understood";
        Problem::new("bad-request", title, StatusCode::BAD_REQUEST, detail)
    }

    /// What a layer beneath the routes answered, which did not know this form: a part of an address
    /// that is no text, a body that broke off.
    pub(crate) fn of_status(status: StatusCode) -> Problem {
        if status.is_server_error() {
            let words = "Something failed that should not. Look at the node's log.";
            return Problem::new("failed", "This failed", status, words);
        }
        let words = "The request is not what /api/openapi.json describes.";
        Problem::new(
            "bad-request",
            "The request could not be understood",
            status,
            words,
        )
    }

    /// Whether an answer tells of a failure in another form than this one.
    pub(crate) fn is_missing_in(response: &Response) -> bool {
        let status = response.status();
        let form = response.headers().get(header::CONTENT_TYPE);
        let failed = status.is_client_error() || status.is_server_error();
        failed && form.is_none_or(|form| form != PROBLEM_JSON)
    }

    /// There is no such route.
    pub(crate) fn no_route() -> Problem {
        Problem::new(
            "no-such-route",
            "There is nothing at this address",
            StatusCode::NOT_FOUND,
            "See /api/openapi.json for what there is.",
        )
    }

    /// The route is there, the method is not.
    pub(crate) fn wrong_method() -> Problem {
        Problem::new(
            "wrong-method",
            "This address does not take this method",
            StatusCode::METHOD_NOT_ALLOWED,
            "See /api/openapi.json for what it takes.",
        )
    }

    /// The token is missing or wrong; the two are not told apart.
    pub(crate) fn no_token() -> Problem {
        Problem::new(
            "no-token",
            "A token is needed",
            StatusCode::UNAUTHORIZED,
            "Send the header `Authorization: Bearer …` with the content of the file api-token in \
             the node's data folder.",
        )
    }

    /// The request was sent to a name this node does not go by.
    pub(crate) fn wrong_host() -> Problem {
        Problem::new(
            "wrong-host",
            "This node does not go by that name",
            StatusCode::MISDIRECTED_REQUEST,
            "Use a loopback address, or add the name to `hosts` in the node's configuration.",
        )
    }

    /// A page of somebody else's asks.
    pub(crate) fn wrong_origin() -> Problem {
        Problem::new(
            "wrong-origin",
            "Pages from elsewhere may not ask here",
            StatusCode::FORBIDDEN,
            "Only pages that this node served itself may use its API from a browser.",
        )
    }

    /// It took too long; it may yet be done.
    pub(crate) fn timed_out() -> Problem {
        Problem::new(
            "timed-out",
            "This took too long",
            StatusCode::GATEWAY_TIMEOUT,
            "It may yet be carried out. Send it again with the same Idempotency-Key: it is \
             written once at most.",
        )
    }

    /// The body is not JSON by its content type.
    pub(crate) fn wrong_media_type() -> Problem {
        Problem::new(
            "wrong-media-type",
            "The body must be JSON",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send the header `Content-Type: application/json`.",
        )
    }

    /// The worker is not known, disabled, or of another site; the three are not told apart.
    pub(crate) fn no_worker() -> Problem {
        Problem::new(
            "no-such-worker",
            "No such worker here",
            StatusCode::FORBIDDEN,
            "Nobody of that code works at this node. Check the code, or ask the centre to add it.",
        )
    }

    /// One body for all that is not there and all that may not be seen.
    pub fn not_found() -> Problem {
        Problem::from(Reason::NotFound)
    }
}

impl From<Reason> for Problem {
    fn from(reason: Reason) -> Problem {
        let (title, status) = match reason {
            Reason::NotFound | Reason::NotAllowed => ("Not here", StatusCode::NOT_FOUND),
            Reason::Malformed => ("Not readable", StatusCode::BAD_REQUEST),
            Reason::TooLarge => ("Too large", StatusCode::PAYLOAD_TOO_LARGE),
            Reason::Busy => ("Busy", StatusCode::SERVICE_UNAVAILABLE),
            Reason::Stopping => ("Stopping", StatusCode::SERVICE_UNAVAILABLE),
            Reason::NotSaved => ("Perhaps not saved", StatusCode::INSUFFICIENT_STORAGE),
            Reason::CannotOpen => ("Cannot be opened", StatusCode::INTERNAL_SERVER_ERROR),
            Reason::SetAside => ("Set aside", StatusCode::SERVICE_UNAVAILABLE),
            Reason::Transferred => ("Handed over", StatusCode::GONE),
            Reason::WrongHash
            | Reason::BadSignature
            | Reason::UnknownSigner
            | Reason::WrongActor
            | Reason::MissingDependency
            | Reason::WrongSequence
            | Reason::Equivocation
            | Reason::NoCommonVersion
            | Reason::WrongTenant
            | Reason::PeerTooSlow
            | Reason::NotEqual
            | Reason::NotPlaced
            | Reason::OutOfTurn
            | Reason::Barred
            | Reason::RunsTwice
            | Reason::Revoked
            | Reason::Expired
            | Reason::NotResumed => ("Not possible now", StatusCode::CONFLICT),
        };
        // Not there and not allowed are one answer, so that it tells nothing.
        let barred = reason == Reason::NotAllowed;
        let said = if barred { Reason::NotFound } else { reason };
        Problem::new(said.name(), title, status, said.words())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match refusal {
            Refusal::NotAllowed(_) => StatusCode::FORBIDDEN,
            Refusal::NotOpen
            | Refusal::AlreadyOpen
            | Refusal::EntryIdUsed
            | Refusal::NothingToReview
            | Refusal::NothingToSettle
            | Refusal::UnclearChoice
            | Refusal::IllegalMove(..)
            | Refusal::AlreadyDone
            | Refusal::AlreadyReversed
            | Refusal::SameAlready
            | Refusal::StaysAtItsSite
            | Refusal::NotAtThatSite
            | Refusal::TextChanged => StatusCode::CONFLICT,
            Refusal::WrongKind
            | Refusal::BeginsNothing
            | Refusal::NotLookedAt
            | Refusal::UnknownEntry
            | Refusal::Empty(_)
            | Refusal::TooLong(..)
            | Refusal::TooMany(..)
            | Refusal::NhsNumber(_)
            | Refusal::BadDate(_)
            | Refusal::EndsBeforeStart
            | Refusal::BadAmount
            | Refusal::BadNumber(_)
            | Refusal::NoSuchTotal(_)
            | Refusal::NoSuchSite
            | Refusal::NotAField => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::NotWritten => StatusCode::INSUFFICIENT_STORAGE,
        };
        Problem::new(refusal.code(), "Not carried out", status, refusal.words())
    }
}

impl From<NotDone> for Problem {
    fn from(not_done: NotDone) -> Problem {
        match not_done {
            NotDone::Refused(refusal) => refusal.into(),
            NotDone::Reason(reason) => reason.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static(PROBLEM_JSON);
        headers.insert(header::CONTENT_TYPE, json);
        if self.status == StatusCode::SERVICE_UNAVAILABLE && self.kind() != Reason::SetAside.name()
        {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let how = HeaderValue::from_static("Bearer realm=\"ridgeway\"");
            headers.insert(header::WWW_AUTHENTICATE, how);
        }
        response
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn not_there_and_not_allowed_are_one_answer() {
        let [absent, barred] = [Reason::NotFound, Reason::NotAllowed].map(Problem::from);
        assert_eq!(absent, barred);
    }

    #[test]
    fn a_problem_has_the_form_of_rfc_9457() {
        let problem = Problem::from(Refusal::EntryIdUsed);
        let body: serde_json::Value = serde_json::to_value(&problem).unwrap();
        assert_eq!(body["type"], "entry-id-used");
        assert_eq!(body["status"], 409);
        assert!(
            body["detail"]
                .as_str()
                .is_some_and(|words| words.ends_with('.'))
        );
    }
}
