//! Listening for HTTP: how many connections at once, how long each may take for what.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::Failure;

/// Connections at once; the next one is taken when one of them ends. Twice the requests that are
/// answered at once, since screens keep theirs open between two requests.
pub const CONNECTIONS_MAX: usize = 256;

/// How long the head of a request may take, counted from the end of the one before: a connection on
/// which nothing is asked gives its place back within it.
const HEAD_MAX: Duration = Duration::from_secs(15);

/// How long one connection may be used. After that it ends between two requests, and a screen opens
/// another; one whose caller does not read its answer ends in the middle.
const CONNECTION_MAX: Duration = Duration::from_secs(600);

/// How long a connection that is to end may take to finish its last answer.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long to wait when nobody can be let in: a process has too many files open, and some of them
/// are closed within it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens for HTTP. Port 0 takes a free one; the answer says which.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let refused = |error: io::Error| {
        Failure::failed(format!(
            "cannot listen on {address} ({}): choose another address with --http",
            error.kind()
        ))
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// Answers HTTP until `stop` is done, then lets what is under way finish.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (ending, end) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let caller = tokio::select! {
            () = &mut stop => break,
            caller = next(&listener, &places) => caller,
        };
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        if let Some((stream, place)) = caller {
            connections.spawn(converse(stream, router.clone(), end.clone(), place));
        }
    }
    drop((listener, ending));
    while connections.join_next().await.is_some() {}
}

/// The next caller, once there is a place for one; none when it could not be let in.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(kind = %error.kind(), "a caller could not be let in");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Answers on one connection until its caller, its time or the node ends it.
async fn converse(
    stream: TcpStream,
    router: Router,
    mut end: watch::Receiver<()>,
    place: OwnedSemaphorePermit,
) {
    // An answer is written in pieces; none of them should wait for the one before to be confirmed.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        // A caller that breaks off has only itself to tell.
        _ = &mut connection => return,
        () = sleep(CONNECTION_MAX) => {}
        // Nothing is ever sent: the other end is dropped.
        _ = end.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_ANSWER_MAX, connection).await;
    drop(place);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
    };

    use super::*;

    /// A surface with one route, and what stops it.
    async fn surface() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let (listener, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().route("/", get(|| async { "here" }));
        let served = tokio::spawn(serve(listener, router, async {
            let _ = stopped.await;
        }));
        (address, stop, served)
    }

    async fn ask(address: SocketAddr, words: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    // Time stands still in these tests, and leaps to the next deadline when everybody waits.
    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_finish_asking_is_dropped() {
        let (address, stop, served) = surface().await;
        assert_eq!(ask(address, b"GET / HTTP/1.1\r\nHost: ").await, "");
        assert_eq!(ask(address, b"").await, "");
        drop(stop);
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_answered_and_a_stop_ends_what_is_open() {
        let (address, stop, served) = surface().await;
        let whole = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        assert!(ask(address, whole).await.ends_with("here"));
        let mut open = TcpStream::connect(address).await.unwrap();
        open.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert!(open.read(&mut [0; 512]).await.unwrap() > 0);
        drop(stop);
        served.await.unwrap();
        assert_eq!(open.read(&mut [0; 512]).await.unwrap(), 0);
    }
}
