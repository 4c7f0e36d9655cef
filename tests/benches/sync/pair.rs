//! A centre and an edge on one machine, with a file each, and what a meeting of theirs cost.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use names::ScopeId;
use node::{Notice, views::ScopeSync};
use runtime::{Config, Handle, Role, Running, Traffic};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

use crate::{
    disk::{self, Meter, Work},
    failure::{Outcome, failed, must},
    figures::cpu_seconds,
    organisation::{Nobody, Organisation, scope},
};

/// How long anything may take before a run counts as failed.
const PATIENCE: Duration = Duration::from_secs(180);
/// When nothing was sent or written for so long, nothing follows: every wait of a node that is
/// left over after a proof is longer than a run.
const QUIET: Duration = Duration::from_millis(400);
/// How often it is looked whether a handshake is over: far below what one takes.
const LOOK: Duration = Duration::from_micros(50);

/// One of the two nodes, running.
pub(crate) struct Station {
    running: Running,
    meter: Arc<Meter>,
}

impl Station {
    /// A way to the node.
    pub(crate) fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// What its disk was asked for since it was opened.
    pub(crate) fn work(&self) -> Work {
        self.meter.read()
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        let address = self.running.quic_addr();
        address.ok_or_else(|| "the centre listens nowhere".to_owned())
    }

    /// Stops it and closes its store.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }

    /// How the site's scope stands here.
    async fn scope(&self) -> Outcome<ScopeSync> {
        let scopes = self.handle().sync().await.map_err(failed("the scopes"))?;
        let ours = scopes.iter().find(|row| row.scope == scope()).cloned();
        ours.ok_or_else(|| "the site's scope is not known".to_owned())
    }
}

/// The two nodes' files, and how long their disk takes for every `sync_data` on top.
pub(crate) struct Pair<'o> {
    organisation: &'o Organisation,
    folder: PathBuf,
    extra: Duration,
}

/// What one meeting of the two cost, from the moment the edge began to dial.
#[derive(Clone, Copy, Default)]
pub(crate) struct Meeting {
    /// Milliseconds before it, in which the edge opened its store and its node.
    pub(crate) opening_ms: f64,
    /// Until the handshake was over, as the edge sees it.
    pub(crate) linked_ms: f64,
    /// Until the edge had proved that both are equal and nothing waited there any more.
    pub(crate) proved_ms: f64,
    /// Until the centre had proved it, too.
    pub(crate) both_ms: f64,
    /// Until neither sent or wrote anything more.
    pub(crate) quiet_ms: f64,
    /// Seconds of processor time of both nodes until the edge's proof.
    pub(crate) cpu_s: f64,
    /// Bytes of frames until all was quiet, as the edge counts them: control, live, fill.
    pub(crate) traffic: [Traffic; 3],
    /// What the edge's disk was asked for by its opening, then until its proof, then until quiet.
    pub(crate) edge: [Work; 3],
    /// What the centre's disk was asked for until the edge's proof, then until quiet.
    pub(crate) centre: [Work; 2],
    /// Runs and bytes that the edge announced.
    pub(crate) announced: (u64, u64),
}

impl Meeting {
    /// Bytes of frames up and down.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let all = self.traffic.iter().copied();
        let all = all.fold(Traffic::default(), Traffic::with);
        (all.sent, all.received)
    }

    /// From the end of the handshake until the edge's proof.
    pub(crate) fn after_handshake_ms(&self) -> f64 {
        self.proved_ms - self.linked_ms
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

impl<'o> Pair<'o> {
    /// Two nodes whose files lie in a folder.
    pub(crate) fn new(organisation: &'o Organisation, folder: &Path, extra: Duration) -> Pair<'o> {
        Pair {
            organisation,
            folder: folder.to_owned(),
            extra,
        }
    }

    /// The edge's file.
    pub(crate) fn edge_file(&self) -> PathBuf {
        self.folder.join("edge.redb")
    }

    /// Puts the edge's file back to a copy, and takes the centre's away.
    ///
    /// # Errors
    /// When files cannot be copied or removed.
    pub(crate) fn begin_from(&self, pristine: &Path) -> Outcome<()> {
        let centre = self.folder.join("centre.redb");
        if centre.exists() {
            fs::remove_file(&centre).map_err(failed("the centre's file"))?;
        }
        let copied = fs::copy(pristine, self.edge_file());
        copied.map(|_| ()).map_err(failed("the edge's file"))
    }

    /// Starts the centre.
    ///
    /// # Errors
    /// When its store or its sockets cannot be opened.
    pub(crate) async fn centre(&self) -> Outcome<Station> {
        let role = Role::Centre {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            enrol: Arc::new(Nobody),
        };
        self.start("centre.redb", role).await
    }

    /// Starts the edge, to call the centre here; without an address it works alone.
    ///
    /// # Errors
    /// When its store or its sockets cannot be opened.
    pub(crate) async fn edge(&self, centre: Option<SocketAddr>) -> Outcome<Station> {
        let centre = centre.iter().map(SocketAddr::to_string).collect();
        self.start("edge.redb", Role::Edge { centre }).await
    }

    async fn start(&self, file: &str, role: Role) -> Outcome<Station> {
        let material = match role {
            Role::Centre { .. } => self.organisation.centre()?,
            Role::Edge { .. } => self.organisation.edge()?,
        };
        let meter = Meter::new(self.extra);
        let key = self.organisation.store_key();
        let store = disk::open(&self.folder.join(file), &key, &meter)?;
        let config = Config {
            store,
            material,
            role,
        };
        let running = runtime::start(config).await.map_err(failed("a node"))?;
        Ok(Station { running, meter })
    }

    /// Starts the edge and measures what comes until both are equal. It dials `through`, or the
    /// centre itself.
    ///
    /// # Errors
    /// When the two do not come to be equal, or something was lost.
    pub(crate) async fn meet(
        &self,
        centre: &Station,
        through: Option<SocketAddr>,
        documents: u64,
    ) -> Outcome<(Station, Meeting)> {
        let address = through.map_or_else(|| centre.address(), Ok)?;
        let mut centre_says = centre.handle().notices();
        let before = centre.work();
        let began = Instant::now();
        let edge = self.edge(Some(address)).await?;
        let (opened, cpu) = (edge.work(), cpu_seconds());
        // Dialling begins as soon as the opening is on disk. Whoever waits for the start may be
        // woken when the handshake is half over, so the clock starts with that commit.
        let dials = edge.meter.last_commit().unwrap_or(began);
        let mut edge_says = edge.handle().notices();
        let linked = watch_handshake(edge.handle());
        // A reconnect may be over before anybody could listen.
        if !is_proved(&edge.handle()).await? {
            equal(&mut edge_says).await?;
        }
        while edge.handle().waiting() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        let proved = Instant::now();
        let cpu_s = cpu_seconds().zip(cpu).map(|(now, then)| now - then);
        let (edge_then, centre_then) = (edge.work(), centre.work());
        equal(&mut centre_says).await?;
        let both = Instant::now();
        let quiet = silence(&edge, centre).await?;
        let linked = linked.join().map_err(failed("the handshake"))?;
        // Whoever looks may be woken late; the handshake was over before the proof.
        let linked = linked.clamp(dials, proved);
        let ours = edge.scope().await?;
        let announced = ours.peers.first().map(|peer| peer.announced);
        check(&edge, centre, documents).await?;
        let meeting = Meeting {
            opening_ms: ms(dials - began),
            linked_ms: ms(linked - dials),
            proved_ms: ms(proved - dials),
            both_ms: ms(both - dials),
            quiet_ms: ms(quiet - dials),
            cpu_s: cpu_s.unwrap_or(f64::NAN),
            traffic: edge.handle().traffic(),
            edge: [
                opened,
                edge_then.since(opened),
                edge.work().since(edge_then),
            ],
            centre: [centre_then.since(before), centre.work().since(centre_then)],
            announced: announced.map_or((0, 0), |sent| (sent.changes, sent.bytes)),
        };
        Ok((edge, meeting))
    }
}

/// Says when the edge has a conversation, from a thread of its own: a task might be looked at late.
fn watch_handshake(edge: Handle) -> thread::JoinHandle<Instant> {
    thread::spawn(move || {
        let at_most = Instant::now() + PATIENCE;
        while edge.links().is_empty() && Instant::now() < at_most {
            thread::sleep(LOOK);
        }
        Instant::now()
    })
}

/// Whether the scope was found equal with a peer.
async fn is_proved(handle: &Handle) -> Outcome<bool> {
    let sync = handle.sync().await.map_err(|reason| reason.to_string())?;
    let own = sync.iter().find(|sync| sync.scope == scope());
    Ok(own.is_some_and(|sync| sync.peers.iter().any(|peer| peer.proved.is_some())))
}

/// Waits until a node says that the site's scope was found equal.
async fn equal(notices: &mut Receiver<Notice>) -> Outcome<()> {
    let is_ours = |said: &ScopeId| *said == scope();
    let heard = async {
        loop {
            match notices.recv().await {
                Ok(Notice::Equal { scope, .. }) if is_ours(&scope) => return Ok(()),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err("a node has ended".to_owned()),
            }
        }
    };
    let heard = timeout(PATIENCE, heard).await;
    heard.map_err(|_| "the two were not found equal".to_owned())?
}

/// Waits until neither node has sent or written anything for a while; answers when the last was.
///
/// # Errors
/// When it does not end.
pub(crate) async fn silence(edge: &Station, centre: &Station) -> Outcome<Instant> {
    let look = || (edge.handle().traffic(), edge.work(), centre.work());
    let at_most = Instant::now() + PATIENCE;
    let (mut seen, mut since) = (look(), Instant::now());
    while since.elapsed() < QUIET {
        must(Instant::now() < at_most, || "no end of it".to_owned())?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = look();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(since)
}

/// Both have the same documents, by their digests, and nothing waits.
async fn check(edge: &Station, centre: &Station, documents: u64) -> Outcome<()> {
    let (ours, theirs) = (edge.scope().await?, centre.scope().await?);
    must(ours.digest == theirs.digest, || {
        "the digests differ".to_owned()
    })?;
    let counts = (ours.count, theirs.count);
    must(counts == (documents, documents), || {
        format!("{counts:?} documents and not {documents} at both")
    })?;
    let proved = |row: &ScopeSync| row.peers.iter().all(|peer| peer.proved.is_some());
    must(proved(&ours) && proved(&theirs), || {
        "a proof did not last".to_owned()
    })?;
    must(ours.waiting == 0, || "entries wait at the edge".to_owned())
}

/// The centre's digests recomputed from every stored change, in a path of its own.
///
/// # Errors
/// When they are not those that the centre goes by.
pub(crate) async fn recompute(centre: &Station) -> Outcome<()> {
    let all = centre.handle().recompute().await;
    let all = all.map_err(failed("the recomputed digests"))?;
    let (kept, found) = (centre.scope().await?, all.get(&scope()).copied());
    must(
        found.is_some_and(|found| found.digest == kept.digest),
        || "the centre does not hold what its digest says".to_owned(),
    )
}
