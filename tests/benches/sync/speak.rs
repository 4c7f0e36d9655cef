//! This service behind the line protocol of the rivals' harness, so that all can be driven alike:
//! one command a line comes in, one JSON object a line goes out, with the command's name and the
//! monotonic time in nanoseconds.
//!
//! What the client is given is the folder of a set: people wrote it by commands, and `import` puts
//! that store in place. There is no way in for changes that nobody signed.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use harness::chance::Chance;
use names::DocumentId;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    failure::{Outcome, failed},
    measure::write_notes,
    organisation::Organisation,
    pair::{PATIENCE, Pair, equal, ms},
    set::SEED,
    station::Station,
};

/// When nothing was sent or written for so long, all is stored.
const QUIET: Duration = Duration::from_millis(300);

/// One side of a conversation, and what it is told.
struct Speaker<'o> {
    pair: Pair<'o>,
    /// Where a client finds its set; none at the server.
    data: Option<PathBuf>,
    centre: SocketAddr,
    /// Which edge a client is: the second begins with nothing.
    edge: usize,
    station: Option<Station>,
    chance: Chance,
}

/// Speaks until the input ends: `server PORT DIR`, or `client PORT DIR DATA`.
///
/// # Errors
/// When the words are others, or a node cannot be started.
pub(crate) fn run(tokio: &Runtime, organisation: &Organisation, words: &[String]) -> Outcome<()> {
    let usage = "server PORT DIR, or client PORT DIR DATA";
    let [side, port, folder, data @ ..] = words else {
        return Err(usage.to_owned());
    };
    let port: u16 = port.parse().map_err(failed("a port"))?;
    fs::create_dir_all(folder).map_err(failed("the folder"))?;
    let pair = Pair::new(organisation, folder.as_ref(), Duration::ZERO).on_port(port);
    let mut speaker = Speaker {
        pair,
        data: data.first().map(PathBuf::from),
        centre: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        edge: 0,
        station: None,
        chance: Chance::new(SEED, &format!("spoken {}", std::process::id())),
    };
    if side == "server" {
        speaker.station = Some(tokio.block_on(speaker.pair.centre())?);
    } else if speaker.data.is_none() {
        return Err(usage.to_owned());
    }
    say("ready", json!({ "ready": true }));
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(failed("the input"))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [command, rest @ ..] = words.as_slice() else {
            continue;
        };
        match tokio.block_on(speaker.carry_out(command, rest)) {
            Ok(answer) => say(command, answer),
            Err(error) => say(command, json!({ "error": error })),
        }
    }
    tokio.block_on(speaker.stop());
    Ok(())
}

fn say(command: &str, mut answer: Value) {
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("cmd".to_owned(), json!(command));
        answer.insert("t".to_owned(), json!(nanoseconds(Instant::now())));
    }
    println!("{answer}");
    // Whoever reads it has gone when this fails.
    let _ = std::io::stdout().flush();
}

/// The monotonic clock's reading. The standard library tells it in words alone; the harness
/// compares it with what other processes say.
fn nanoseconds(moment: Instant) -> u64 {
    let words = format!("{moment:?}");
    let mut figures = words
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|figure| figure.parse::<u64>().ok());
    let (seconds, rest) = (figures.next(), figures.next());
    seconds.unwrap_or_default() * 1_000_000_000 + rest.unwrap_or_default()
}

impl Speaker<'_> {
    async fn carry_out(&mut self, command: &str, rest: &[&str]) -> Outcome<Value> {
        match command {
            "import" => self.import(),
            "load" => {
                let began = Instant::now();
                self.alone().await?;
                let ready = self.count().await?;
                Ok(json!({ "ms": ms(began.elapsed()), "ready": ready }))
            }
            "sync" => self.sync().await,
            "find" => {
                self.edge = 1;
                self.sync().await
            }
            "disconnect" => {
                self.stop().await;
                Ok(json!({}))
            }
            "edit" => {
                self.edit(rest).await?;
                Ok(json!({}))
            }
            "stats" => Ok(self.stats()),
            "flush" => {
                let since = self.quiet().await;
                Ok(json!({ "docs": self.count().await?, "t": nanoseconds(since) }))
            }
            "digest" => self.digest().await,
            _ => Err("not spoken here".to_owned()),
        }
    }

    /// The store that people wrote, in place.
    fn import(&self) -> Outcome<Value> {
        let data = self.data.as_ref().ok_or("only a client has a set")?;
        let copied = fs::copy(data.join("edge.redb"), self.pair.edge_file());
        copied.map_err(failed("the set"))?;
        Ok(json!({ "ready": true }))
    }

    async fn stop(&mut self) {
        if let Some(station) = self.station.take() {
            station.stop().await;
        }
    }

    /// The node, without anybody to call when it was not running.
    async fn alone(&mut self) -> Outcome<&Station> {
        if self.station.is_none() {
            self.station = Some(self.pair.edge_of(self.edge, None).await?);
        }
        self.station.as_ref().ok_or_else(|| "no node".to_owned())
    }

    /// Calls the centre, and waits until both are equal and all is acknowledged.
    async fn sync(&mut self) -> Outcome<Value> {
        self.stop().await;
        let began = Instant::now();
        let edge = self.pair.edge_of(self.edge, Some(self.centre)).await?;
        let dials = edge.meter().last_commit().unwrap_or(began);
        let mut says = edge.handle().notices();
        if !edge.is_proved().await? {
            equal(&edge, &mut says).await?;
        }
        while edge.handle().waiting() > 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        let took = dials.elapsed();
        self.station = Some(edge);
        Ok(json!({
            "t0": nanoseconds(dials),
            "ms": ms(took),
            "durable_ms": ms(took),
            "ok": true,
            "ready": self.count().await?,
        }))
    }

    /// One note in each of some cases.
    async fn edit(&mut self, ids: &[&str]) -> Outcome<()> {
        let ids: Result<Vec<DocumentId>, _> = ids.iter().map(|id| id.parse()).collect();
        let ids = ids.map_err(failed("a document's id"))?;
        let ids: Vec<&DocumentId> = ids.iter().collect();
        self.alone().await?;
        let Some(station) = &self.station else {
            return Ok(());
        };
        let written: BTreeSet<_> = write_notes(station, &ids, &mut self.chance).await?;
        if written.len() == ids.len() {
            Ok(())
        } else {
            Err("a note was not written".to_owned())
        }
    }

    fn stats(&self) -> Value {
        let Some(station) = &self.station else {
            return json!({});
        };
        let lanes = station.handle().traffic();
        let work = station.work();
        json!({
            "bytes_in": lanes.iter().map(|lane| lane.received).sum::<u64>(),
            "bytes_out": lanes.iter().map(|lane| lane.sent).sum::<u64>(),
            "saves": work.commits,
            "syncs": work.syncs,
            "opened": station.handle().openings().1,
        })
    }

    /// Waits until nothing was sent or written for a while; answers since when.
    async fn quiet(&self) -> Instant {
        let look = || {
            let station = self.station.as_ref();
            station.map(|station| (station.handle().traffic(), station.work()))
        };
        let (began, mut seen, mut since) = (Instant::now(), look(), Instant::now());
        while since.elapsed() < QUIET && began.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = look();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        since
    }

    async fn count(&self) -> Outcome<u64> {
        let Some(station) = &self.station else {
            return Ok(0);
        };
        Ok(station.stands().await?.iter().map(|row| row.count).sum())
    }

    async fn digest(&self) -> Outcome<Value> {
        let Some(station) = &self.station else {
            return Err("the node does not run".to_owned());
        };
        let rows = station.stands().await?;
        let digests: Vec<String> = rows.iter().map(|row| format!("{:?}", row.digest)).collect();
        Ok(json!({ "digest": digests.join(" ") }))
    }
}
