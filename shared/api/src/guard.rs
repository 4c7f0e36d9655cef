//! Who may ask at all: the name a request was sent to, the page it comes from, the token it
//! bears; and how much may be asked at once.
//!
//! A browser on the same machine can be made to send requests by any page it shows. The list of
//! hosts stops a page that has its own name resolve to this machine (DNS rebinding), the check
//! of `Origin` stops pages that post across sites, and the token stops everybody else.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use node::names::Reason;
use tokio::{sync::Semaphore, time::Instant};

use crate::{problem::Problem, token::Token};

/// Requests answered at once; more are told to come back. A site's few screens need a handful.
pub const REQUESTS_MAX: usize = 128;

/// How long one request may take, its body included.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Names that always mean this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What a request must show, and how many may be under way.
#[derive(Clone)]
pub struct Access {
    token: Arc<Token>,
    hosts: Arc<[String]>,
    places: Arc<Semaphore>,
}

impl Access {
    /// Access with this token, by loopback names and by `hosts`: names or addresses, an IPv6
    /// address in brackets, without a port.
    pub fn new(token: Token, hosts: Vec<String>) -> Access {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase());
        Access {
            token: Arc::new(token),
            hosts: hosts.collect(),
            places: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }

    #[cfg(test)]
    pub(crate) fn take_all(&self, places: usize) -> tokio::sync::OwnedSemaphorePermit {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.places).try_acquire_many_owned(places);
        taken.expect("nobody else has a place")
    }

    fn knows_host(&self, authority: &str) -> bool {
        let name = without_port(authority).to_ascii_lowercase();
        LOOPBACK.contains(&name.as_str()) || self.hosts.contains(&name)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// `name`, `name:port`, `[v6]` or `[v6]:port` without its port.
fn without_port(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Refuses requests to other names and from other pages. For every route.
pub(crate) async fn place(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    // HTTP/2 says the name in its target, HTTP/1.1 in a header.
    let target = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    let header = request.headers().get(header::HOST);
    let host = target.or_else(|| header.and_then(|host| host.to_str().ok()));
    let host = host
        .filter(|host| access.knows_host(host))
        .ok_or_else(Problem::wrong_host)?;
    if !is_same_origin(request.headers(), host) {
        return Err(Problem::wrong_origin());
    }
    Ok(next.run(request).await)
}

/// Whether a request comes from a page of this very host and port, or from no page at all.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let authority = origin.to_str().ok().and_then(|origin| {
        let (scheme, authority) = origin.split_once("://")?;
        matches!(scheme, "http" | "https").then_some(authority)
    });
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Refuses requests without the token. For every route but the open ones.
pub(crate) async fn bearer(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let said = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|said| said.to_str().ok());
    let said = said.and_then(|said| {
        let (scheme, token) = said.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    if said.is_some_and(|said| access.token.is(said)) {
        Ok(next.run(request).await)
    } else {
        Err(Problem::no_token())
    }
}

/// Bounds what is asked at once and how long it takes, notes it in the log without any of its
/// content, and forbids every cache to keep it.
pub(crate) async fn bounds(State(access): State<Access>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let began = Instant::now();
    let mut response = match access.places.try_acquire() {
        Err(_) => Problem::from(Reason::Busy).into_response(),
        Ok(_place) => match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::timed_out().into_response(),
        },
    };
    if Problem::is_missing_in(&response) {
        response = Problem::of_status(response.status()).into_response();
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // The route's pattern, never the address: ids are no secret, but addresses may hold anything.
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let (status, took) = (response.status().as_u16(), began.elapsed());
    if response.status().is_server_error() {
        tracing::warn!(%method, route, status, ?took, "request failed");
    } else {
        tracing::debug!(%method, route, status, ?took, "request");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_with_any_port_and_in_any_case() {
        let access = Access::new(Token::of("t"), vec!["Box.example.org".to_owned()]);
        for known in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:1",
            "[::1]:443",
            "box.example.org",
        ] {
            assert!(access.knows_host(known), "{known}");
        }
        for strange in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:1",
        ] {
            assert!(!access.knows_host(strange), "{strange}");
        }
    }

    #[test]
    fn only_the_very_same_page_may_ask() {
        let from = |origin: &'static str| {
            let headers = [(header::ORIGIN, HeaderValue::from_static(origin))];
            is_same_origin(&headers.into_iter().collect(), "localhost:7480")
        };
        assert!(from("http://localhost:7480"));
        assert!(from("http://LOCALHOST:7480"));
        let others = [
            "null",
            "http://localhost:1",
            "http://localhost",
            "file://localhost:7480",
        ];
        for other in others {
            assert!(!from(other), "{other}");
        }
        assert!(is_same_origin(&HeaderMap::new(), "localhost:7480"));
    }
}
