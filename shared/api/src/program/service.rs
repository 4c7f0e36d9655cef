//! A node that runs until it is asked to stop: its HTTP surface, its control socket, its end.

use std::{net::SocketAddr, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use axum::Router;
use runtime::{Answer, ControlServer, FolderLock, Handle, Life, Running, shell};
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};

use super::{
    Exit, Failure, export,
    http::{listen, serve},
    process::Stop,
    to_line,
};
use crate::{Access, token::Token};

/// How long requests under way may take to finish once the node stops.
const LAST_REQUESTS_MAX: Duration = Duration::from_secs(3);

/// What answers commands that come over the control socket.
pub trait Commands: Send + Sync + 'static {
    /// Carries out a command, given as the JSON that [`super::folder::reach`] was handed.
    fn carry_out(
        &self,
        command: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + '_>>;
}

/// What a running node needs besides its node.
pub struct Surface {
    /// Where HTTP listens.
    pub http: SocketAddr,
    /// Names by which it may be asked besides those of this machine.
    pub hosts: Vec<String>,
    /// The routes, given who may ask.
    pub router: Box<dyn FnOnce(Access) -> Router + Send>,
    /// What answers the control socket.
    pub commands: Arc<dyn Commands>,
}

/// Where a node that is ready can be reached.
#[derive(Clone, Debug)]
pub struct Ready {
    /// By HTTP.
    pub http: SocketAddr,
    /// By QUIC, if it listens.
    pub quic: Option<SocketAddr>,
    /// The file with the API's token.
    pub token: PathBuf,
    /// Which node it is.
    pub handle: Handle,
}

impl Ready {
    /// The same for a person: what may be asked where, and with what.
    pub fn to_text(&self, who: &str) -> String {
        let quic = self
            .quic
            .map_or_else(String::new, |quic| format!(", QUIC {quic}"));
        format!(
            "The {who} is ready: http://{}{quic}\nThe token of its API is in {}\n",
            self.http,
            self.token.display()
        )
    }

    /// The same for a program to read: one line.
    pub fn to_json(&self) -> Value {
        let me = self.handle.whoami();
        json!({
            "ready": true,
            "pid": std::process::id(),
            "http": self.http.to_string(),
            "url": format!("http://{}", self.http),
            "quic": self.quic.map(|quic| quic.to_string()),
            "token_file": self.token,
            "device": me.device,
            "store": me.store,
            "incarnation": me.incarnation,
        })
    }
}

/// Serves until the process is asked to stop or the node ends, then stops everything in order: no
/// new requests, those under way finish, the node takes its last turn, its peers hear the rest.
///
/// # Errors
/// When something cannot be started, or the node ends by itself.
pub async fn run(
    lock: FolderLock,
    running: Running,
    surface: Surface,
    stop: Stop,
    ready: impl FnOnce(&Ready),
) -> Result<(), Failure> {
    let served = serve_until_stopped(&lock, &running, surface, stop, ready).await;
    running.stop().await;
    export::clear_spool(lock.path());
    drop(lock);
    served
}

async fn serve_until_stopped(
    lock: &FolderLock,
    running: &Running,
    surface: Surface,
    mut stop: Stop,
    ready: impl FnOnce(&Ready),
) -> Result<(), Failure> {
    let Surface {
        http,
        hosts,
        router,
        commands,
    } = surface;
    let token = Token::in_folder(lock.path(), shell::entropy());
    let token_file = crate::token::path(lock.path());
    let token = token.map_err(|error| {
        Failure::failed(format!("{} cannot be used: {error}", token_file.display()))
    })?;
    let (listener, http) = listen(http).await?;
    if !http.ip().is_loopback() {
        tracing::warn!(%http, "HTTP is open to the network without TLS; put a proxy before it");
    }
    let router = router(Access::new(token, hosts));
    let (last, was_last) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, router, async {
        // Dropping the other end means the same as sending.
        let _ = was_last.await;
    }));
    let control = ControlServer::start(lock, Arc::new(Lines(commands)))?;
    ready(&Ready {
        http,
        quic: running.quic_addr(),
        token: token_file,
        handle: running.handle(),
    });
    let ended = tokio::select! {
        () = stop.asked() => Ok(()),
        life = running.ended() => Err(ended_by_itself(life)),
    };
    tracing::info!("stopping");
    drop(control);
    drop(last);
    if timeout(LAST_REQUESTS_MAX, server).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
    ended
}

fn ended_by_itself(life: Life) -> Failure {
    match life {
        Life::Failed(error) => error.into(),
        Life::Running | Life::Stopping | Life::Stopped => {
            Failure::new(Exit::Failure, "the node ended by itself: look at the log")
        }
    }
}

/// Commands as lines of the control socket.
struct Lines(Arc<dyn Commands>);

impl Answer for Lines {
    fn answer(&self, line: String) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async move {
            let unknown = "this command is not known to the running node: both must be of the same \
                           version";
            to_line(match serde_json::from_str(&line) {
                Ok(command) => self.0.carry_out(command).await,
                Err(_) => Err(Failure::usage(unknown)),
            })
        })
    }
}
