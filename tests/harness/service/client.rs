//! The JSON API from a person's side: just enough of HTTP/1.1, one connection per request.
//!
//! It is written by hand because a test must know what an HTTP library hides: whether a request
//! had left in full when the answer failed to come. Such a request may have been carried out; one
//! that never left cannot have been.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

/// How long a request may take. Above the 30 s after which a node itself gives up.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(40);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A way to one node's API. Clones are the same way.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    token: String,
    /// This side's ports of requests that have left in full and were not answered.
    unanswered: Arc<Mutex<BTreeSet<u16>>>,
}

impl Client {
    /// A client of the node at `address`, bearing its token.
    pub fn new(address: SocketAddr, token: impl Into<String>) -> Client {
        Client {
            address,
            token: token.into(),
            unanswered: Arc::default(),
        }
    }

    /// Requests that have left in full and were not answered: those that wait, and those whose
    /// node died. Each is told by the port on this side.
    pub fn unanswered(&self) -> BTreeSet<u16> {
        self.ports().clone()
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for what is at `path`.
    ///
    /// # Errors
    /// [`Failure`] when no answer came, or one that is not a success.
    pub fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.ask("GET", path, &[], b"")
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// As [`Client::get`], and when it is not JSON.
    pub fn get_json(&self, path: &str) -> Result<Value, Failure> {
        self.get(path)?.json()
    }

    /// Sends JSON under the name of an entry.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post(&self, path: &str, entry: &str, body: &Value) -> Result<Reply, Failure> {
        let headers = [
            ("Content-Type", "application/json"),
            ("Idempotency-Key", entry),
        ];
        self.ask("POST", path, &headers, body.to_string().as_bytes())
    }

    fn ports(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, Failure> {
        let not_sent = |error: io::Error| Failure::NotSent(error.kind());
        let mut stream = TcpStream::connect(self.address).map_err(not_sent)?;
        stream.set_nodelay(true).map_err(not_sent)?;
        stream
            .set_read_timeout(Some(REQUEST_TIME_MAX))
            .map_err(not_sent)?;
        stream
            .set_write_timeout(Some(REQUEST_TIME_MAX))
            .map_err(not_sent)?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\nContent-Length: {}\r\n",
            self.address,
            self.token,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        let port = stream.local_addr().map_err(not_sent)?.port();
        stream.write_all(&bytes).map_err(not_sent)?;
        self.ports().insert(port);
        let mut answer = Vec::new();
        let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        let Some(reply) = parse(&answer) else {
            let why = read.err().map(|error| error.kind());
            return Err(Failure::NoAnswer(
                why.unwrap_or(io::ErrorKind::UnexpectedEof),
            ));
        };
        self.ports().remove(&port);
        reply.or_problem(answer)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address)
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| Failure::NotUnderstood)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The reply if it is a success; `answer` is all of it as it came.
    fn or_problem(self, answer: Vec<u8>) -> Result<Reply, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let field = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let (kind, detail) = (field("type"), field("detail"));
        Err(Failure::Problem {
            status: self.status,
            kind,
            detail,
            answer,
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why a request was not answered as hoped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It did not leave in full, so it was not carried out.
    NotSent(io::ErrorKind),
    /// It left in full and no answer came: it was carried out, or not.
    NoAnswer(io::ErrorKind),
    /// The node says why not.
    Problem {
        /// The status.
        status: u16,
        /// The stable code.
        kind: String,
        /// A sentence for a person.
        detail: String,
        /// The whole answer as it came, headers and all.
        answer: Vec<u8>,
    },
    /// The answer is not what it should be.
    NotUnderstood,
}

impl Failure {
    /// Whether the request had left in full and stayed without any answer.
    pub fn was_in_flight(&self) -> bool {
        matches!(self, Failure::NoAnswer(_))
    }

    /// The stable code, when the node said one.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Failure::Problem { kind, .. } => Some(kind),
            Failure::NotSent(_) | Failure::NoAnswer(_) | Failure::NotUnderstood => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotSent(kind) => write!(f, "the request could not be sent ({kind})"),
            Failure::NoAnswer(kind) => write!(f, "no answer came ({kind})"),
            Failure::Problem {
                status,
                kind,
                detail,
                ..
            } => write!(f, "{status} {kind}: {detail}"),
            Failure::NotUnderstood => f.write_str("the answer is not what it should be"),
        }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        failure.to_string()
    }
}

/// A whole answer, or nothing: half an answer acknowledges nothing.
fn parse(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().ok()?);
        }
    }
    let body = answer.get(end + 4..)?;
    let body = body.get(..length?)?.to_vec();
    Some(Reply { status, body })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with `answer`, then closes.
    fn ask_one(answer: &'static str) -> Result<Reply, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap(), "secret");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            let bytes = stream.read(&mut request).unwrap();
            let said = String::from_utf8_lossy(request.get(..bytes).unwrap()).into_owned();
            stream.write_all(answer.as_bytes()).unwrap();
            said
        });
        let reply = client.get("/healthz");
        let answered = !reply.as_ref().is_err_and(Failure::was_in_flight);
        assert_eq!(client.unanswered().is_empty(), answered);
        assert!(
            server
                .join()
                .unwrap()
                .contains("Authorization: Bearer secret\r\n")
        );
        assert_eq!(
            format!("{client:?}"),
            format!("Client({})", client.address())
        );
        reply
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(
            ask_one(whole).unwrap().json().unwrap(),
            serde_json::json!({})
        );
        let cut_short = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}";
        assert!(ask_one(cut_short).unwrap_err().was_in_flight());
        assert!(ask_one("HTTP/1.1 200").unwrap_err().was_in_flight());
    }

    #[test]
    fn a_problem_is_told_by_its_code() {
        let problem =
            "HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n{\"type\":\"not-found\"}";
        let failure = ask_one(problem).unwrap_err();
        assert_eq!(failure.kind(), Some("not-found"));
        assert!(!failure.was_in_flight());
    }

    #[test]
    fn a_request_that_nobody_takes_was_not_sent() {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let failure = Client::new(address, "").get("/healthz").unwrap_err();
        assert!(matches!(failure, Failure::NotSent(_)));
    }
}
