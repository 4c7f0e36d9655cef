//! A centre and an edge on one machine, with a file each, and what a meeting of theirs cost.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use names::ScopeId;
use node::{Notice, views::ScopeSync};
use runtime::{Config, Handle, Material, Role, Traffic};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::timeout,
};

use crate::{
    disk::{self, Meter, Work},
    failure::{Outcome, failed, must},
    figures::cpu_seconds,
    organisation::{Nobody, Organisation},
    station::{QUIET, Station, unchanged},
};

/// How long anything may take before a run counts as failed: on a busy machine a hundred thousand
/// documents take minutes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);
/// How often it is looked whether all of many scopes are equal: first, since a reconnect takes
/// milliseconds, and then, so that a long fill is not disturbed.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];
/// When the first of these becomes the second.
const LOOK_SELDOM_AFTER: Duration = Duration::from_millis(100);
/// How often it is looked whether a handshake is over: far below what one takes.
const LOOK: Duration = Duration::from_micros(50);

/// The two nodes' files, and how long their disk takes for every `sync_data` on top.
pub(crate) struct Pair<'o> {
    organisation: &'o Organisation,
    folder: PathBuf,
    extra: Duration,
    /// Where the centre listens; any port that is free when it is none.
    port: u16,
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
    /// Turns until quiet that wrote something, and `sync_data` calls, of both; the edge's opening
    /// is in neither.
    pub(crate) durable: (u64, u64),
    /// Documents opened after the proof, for summaries, by both.
    pub(crate) summaries: u64,
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

/// Milliseconds.
pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

impl<'o> Pair<'o> {
    /// Two nodes whose files lie in a folder.
    pub(crate) fn new(organisation: &'o Organisation, folder: &Path, extra: Duration) -> Pair<'o> {
        Pair {
            organisation,
            folder: folder.to_owned(),
            extra,
            port: 0,
        }
    }

    /// The same with a port on which the centre listens.
    pub(crate) fn on_port(self, port: u16) -> Pair<'o> {
        Pair { port, ..self }
    }

    /// Where the files lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The first edge's file.
    pub(crate) fn edge_file(&self) -> PathBuf {
        self.file_of(0)
    }

    /// An edge's file.
    pub(crate) fn file_of(&self, edge: usize) -> PathBuf {
        self.folder.join(format!("edge-{edge}.redb"))
    }

    /// The centre's file.
    pub(crate) fn centre_file(&self) -> PathBuf {
        self.folder.join("centre.redb")
    }

    /// Takes away every file.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn clear(&self) -> Outcome<()> {
        let entries = fs::read_dir(&self.folder).map_err(failed("the folder"))?;
        for entry in entries.flatten().map(|entry| entry.path()) {
            if entry.extension().is_some_and(|end| end == "redb") {
                fs::remove_file(entry).map_err(failed("an old file"))?;
            }
        }
        Ok(())
    }

    /// Puts the first edge's file back to a copy, and takes all others away.
    ///
    /// # Errors
    /// When files cannot be copied or removed.
    pub(crate) fn begin_from(&self, pristine: &Path) -> Outcome<()> {
        self.clear()?;
        let copied = fs::copy(pristine, self.edge_file());
        copied.map(|_| ()).map_err(failed("the edge's file"))
    }

    /// Starts the centre.
    ///
    /// # Errors
    /// When its store or its sockets cannot be opened.
    pub(crate) async fn centre(&self) -> Outcome<Station> {
        let role = Role::Centre {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            enrol: Arc::new(Nobody),
        };
        let material = self.organisation.centre()?;
        let scopes = self.organisation.all_scopes();
        self.start(&self.centre_file(), material, role, scopes)
            .await
    }

    /// Starts the first edge, to call the centre here; without an address it works alone.
    ///
    /// # Errors
    /// When its store or its sockets cannot be opened.
    pub(crate) async fn edge(&self, centre: Option<SocketAddr>) -> Outcome<Station> {
        self.edge_of(0, centre).await
    }

    /// Starts an edge, in the same way.
    ///
    /// # Errors
    /// When its store or its sockets cannot be opened.
    pub(crate) async fn edge_of(
        &self,
        number: usize,
        centre: Option<SocketAddr>,
    ) -> Outcome<Station> {
        let centre = centre.iter().map(SocketAddr::to_string).collect();
        let (file, material) = (self.file_of(number), self.organisation.edge(number)?);
        let role = Role::Edge { centre };
        let scopes = self.organisation.scopes(number);
        self.start(&file, material, role, scopes).await
    }

    async fn start(
        &self,
        file: &Path,
        material: Material,
        role: Role,
        scopes: BTreeSet<ScopeId>,
    ) -> Outcome<Station> {
        let meter = Meter::new(self.extra);
        let key = self.organisation.store_key();
        let store = disk::open(file, &key, &meter)?;
        let config = Config {
            store,
            material,
            role,
        };
        let running = runtime::start(config).await.map_err(failed("a node"))?;
        Ok(Station {
            running,
            meter,
            scopes,
        })
    }

    /// Starts the first edge and measures what comes until both are equal. It dials `through`, or
    /// the centre itself.
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
        let opened_before = centre.handle().openings().0;
        let wrote_before = centre.handle().turns().1;
        let began = Instant::now();
        let edge = self.edge(Some(address)).await?;
        let (opened, cpu) = (edge.work(), cpu_seconds());
        // Dialling begins as soon as the opening is on disk. Whoever waits for the start may be
        // woken when the handshake is half over, so the clock starts with that commit.
        let dials = edge.meter.last_commit().unwrap_or(began);
        let mut edge_says = edge.handle().notices();
        let linked = watch_handshake(edge.handle());
        // A reconnect may be over before anybody could listen.
        if !edge.is_proved().await? {
            equal(&edge, &mut edge_says).await?;
        }
        while edge.handle().waiting() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        let proved = Instant::now();
        let cpu_s = cpu_seconds().zip(cpu).map(|(now, then)| now - then);
        let (edge_then, centre_then) = (edge.work(), centre.work());
        equal(centre, &mut centre_says).await?;
        let both = Instant::now();
        let quiet = rest(&edge, centre).await?;
        let linked = linked.join().map_err(failed("the handshake"))?;
        // Whoever looks may be woken late; the handshake was over before the proof.
        let linked = linked.clamp(dials, proved);
        let announced = check(&edge, centre, documents).await?;
        let summaries = opened_none(&edge, centre, opened_before)?;
        let wrote = centre.handle().turns().1 - wrote_before + edge.handle().turns().1;
        let syncs = centre.work().since(before).syncs + edge.work().since(opened).syncs;
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
            announced,
            durable: (wrote, syncs),
            summaries,
        };
        Ok((edge, meeting))
    }
}

/// Nothing may have been opened before the proofs; answers how many documents were after them.
fn opened_none(edge: &Station, centre: &Station, before: u64) -> Outcome<u64> {
    let ((all, at_proof), (theirs, their_proof)) =
        (edge.handle().openings(), centre.handle().openings());
    let opened = (at_proof, their_proof.saturating_sub(before));
    must(opened == (0, 0), || {
        format!("{opened:?} documents were opened in order to agree")
    })?;
    Ok(all + theirs - before)
}

/// Says when the edge has a conversation, from a thread of its own: a task might be looked at late.
pub(crate) fn watch_handshake(edge: Handle) -> thread::JoinHandle<Instant> {
    thread::spawn(move || {
        let at_most = Instant::now() + PATIENCE;
        while edge.links().is_empty() && Instant::now() < at_most {
            thread::sleep(LOOK);
        }
        Instant::now()
    })
}

/// Waits until all scopes of a node were found equal.
pub(crate) async fn equal(at: &Station, notices: &mut Receiver<Notice>) -> Outcome<()> {
    let mut waited: BTreeSet<&ScopeId> = at.scopes.iter().collect();
    let (is_many, began) = (waited.len() > 1, Instant::now());
    let [often, seldom] = LOOK_AGAIN;
    while !waited.is_empty() {
        must(began.elapsed() < PATIENCE, || {
            "the two were not found equal".to_owned()
        })?;
        // Where there are many, some may have been equal before anybody listened.
        let look = match (is_many, began.elapsed() < LOOK_SELDOM_AFTER) {
            (false, _) => PATIENCE,
            (true, true) => often,
            (true, false) => seldom,
        };
        match timeout(look, notices.recv()).await {
            Ok(Ok(Notice::Equal { scope, .. })) => {
                waited.remove(&scope);
            }
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
            Ok(Err(RecvError::Closed)) => return Err("a node has ended".to_owned()),
            Err(_) if at.is_proved().await? => return Ok(()),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Waits until neither sends or writes anything more and no summary is behind; answers when the
/// last of it was. On a busy machine a summary may take longer than any silence.
pub(crate) async fn rest(edge: &Station, centre: &Station) -> Outcome<Instant> {
    let at_most = Instant::now() + PATIENCE;
    loop {
        let since = silence(edge, centre).await?;
        let behind = edge.behind().await? + centre.behind().await?;
        if behind == 0 {
            return Ok(since);
        }
        must(Instant::now() < at_most, || {
            format!("{behind} summaries stay behind")
        })?;
    }
}

/// Waits until neither node has sent or written anything for a while; answers when the last was.
///
/// # Errors
/// When it does not end.
pub(crate) async fn silence(edge: &Station, centre: &Station) -> Outcome<Instant> {
    unchanged(QUIET, || {
        (edge.handle().traffic(), edge.work(), centre.work())
    })
    .await
}

/// Both have the same documents, by their digests, all of it durable, and nothing waits. Answers
/// what the edge announced, in runs and bytes.
async fn check(edge: &Station, centre: &Station, documents: u64) -> Outcome<(u64, u64)> {
    let (ours, theirs) = (edge.stands().await?, centre.stands().await?);
    let digests = |rows: &[ScopeSync]| rows.iter().map(|row| row.digest).collect::<Vec<_>>();
    must(digests(&ours) == digests(&theirs), || {
        "the digests differ".to_owned()
    })?;
    let count = |rows: &[ScopeSync]| rows.iter().map(|row| row.count).sum::<u64>();
    let counts = (count(&ours), count(&theirs));
    must(counts == (documents, documents), || {
        format!("{counts:?} documents and not {documents} at both")
    })?;
    must(edge.is_proved().await? && centre.is_proved().await?, || {
        "a proof did not last".to_owned()
    })?;
    must(ours.iter().all(|row| row.waiting == 0), || {
        "entries wait at the edge".to_owned()
    })?;
    edge.must_be_durable()?;
    centre.must_be_durable()?;
    let sent = ours.iter().filter_map(|row| row.peers.first());
    Ok(sent.fold((0, 0), |(runs, bytes), peer| {
        (runs + peer.announced.changes, bytes + peer.announced.bytes)
    }))
}

/// The centre's digests recomputed from every stored change, in a path of its own.
///
/// # Errors
/// When they are not those that the centre goes by.
pub(crate) async fn recompute(centre: &Station) -> Outcome<()> {
    let all = centre.handle().recompute().await;
    let all = all.map_err(failed("the recomputed digests"))?;
    let kept = centre.stands().await?;
    let same = |row: &ScopeSync| match all.get(&row.scope) {
        Some(found) => found.digest == row.digest,
        // What was never written in is in no row.
        None => row.count == 0,
    };
    must(kept.iter().all(same), || {
        "the centre does not hold what its digest says".to_owned()
    })
}
