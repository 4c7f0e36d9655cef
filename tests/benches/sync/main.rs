//! `cargo bench-sync`: how fast an edge and the centre come to agree, on the rivals' set size.
//!
//! One centre and one edge in this process, as the service runs them: real QUIC with mutual TLS
//! over the loopback, real sealed redb in files, durable on both sides before anything is
//! acknowledged. Three meetings are measured: the first, one with nothing changed, and one after
//! ten documents changed at each. Every table is made twice, on this machine's disk and with a
//! delay added to every `sync_data`, because a fast disk hides what is done too often.
//!
//! It is a report: it succeeds where a bar is missed, and fails where something was lost.
//! `tests/benches/README.md` says what each figure means.

mod author;
mod child;
mod disk;
mod failure;
mod figures;
mod idle;
mod ingest;
mod large;
mod live;
mod made;
mod measure;
mod memory;
mod organisation;
mod pair;
mod path;
mod report;
mod report_more;
mod rivals;
mod set;
mod speak;
mod station;
mod table;
mod wish;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use harness::chance::Chance;
use tokio::runtime::Runtime;

use crate::{
    author::Order,
    failure::{Outcome, failed},
    figures::{Spread, number},
    made::Made,
    measure::{Bench, EACH_WAY},
    organisation::{Organisation, Shape, site},
    pair::Pair,
    report::{RIVALS_CASES, RIVALS_SAVED},
    set::{Depth, SEED},
    table::Verdicts,
    wish::{Part, USAGE, Wish},
};

/// What the slow disk takes longer for every `sync_data`: the median of a small commit where the
/// rivals were measured.
const SLOW: Duration = Duration::from_millis(4);
/// Runs at most of what takes long.
const LARGE_RUNS_MAX: usize = 3;
/// Compartments of the edge that has forty scopes: the site's own is the fortieth.
const COMPARTMENTS: u64 = 39;
/// Documents that are held where a live note is written.
const LIVE_CASES: u64 = 10_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--speak", rest)) = words
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return match speak(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                eprintln!("{problem}");
                ExitCode::FAILURE
            }
        };
    }
    let wish = match Wish::parse(words.into_iter()) {
        Ok(Some(wish)) => wish,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let folder = folder();
    let measured = run(&wish, &folder);
    // What is left of a failed run is for somebody to look at; the next one clears it away.
    match measured {
        Err(problem) => {
            eprintln!("The bench failed: {problem}");
            return ExitCode::FAILURE;
        }
        Ok(verdicts) => println!("\n{} bars met, {} missed", verdicts.met, verdicts.missed),
    }
    let _ = fs::remove_dir_all(&folder);
    ExitCode::SUCCESS
}

/// This program as one node behind the line protocol.
fn speak(words: &[String]) -> Outcome<()> {
    speak::run(&runtime()?, &found(Shape::TWO_EDGES)?, words)
}

/// As the service's own binaries have it; all nodes of a process share its threads.
fn runtime() -> Outcome<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed("the runtime"))
}

/// Where the stores lie: beside what was built, since a folder for temporary files may be memory.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-sync")
}

/// What every part needs.
struct Stage<'w> {
    wish: &'w Wish,
    folder: &'w Path,
    path: path::Path,
}

fn run(wish: &Wish, folder: &Path) -> Outcome<Verdicts> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed("the old folder"))?;
    }
    fs::create_dir_all(folder).map_err(failed("the folder"))?;
    let probes = Spread::of(&disk::probe(folder)?, |ms| *ms);
    println!("this disk makes 4 KiB durable in {probes} ms");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = figures::load().unwrap_or_else(|| "not told".to_owned());
    println!("{cores} cores, load before the bench: {load}");
    println!("floors and rivals: quoted, another machine and day, a disk of about 4 ms; the");
    println!("rivals speak plain TCP and make nothing durable before they acknowledge it");
    let stage = Stage {
        wish,
        folder,
        path: path::Path::new(EACH_WAY)?,
    };
    runtime()?.block_on(async {
        let mut verdicts = Verdicts::default();
        for part in &wish.parts {
            verdicts += match part {
                Part::Meetings => stage.meetings(wish.cases).await?,
                Part::Scopes => stage.scopes().await?,
                Part::Live => stage.live().await?,
                Part::Ten => stage.meetings(10 * RIVALS_CASES).await?,
                Part::Large => stage.large().await?,
                Part::Ingest => stage.ingest().await?,
                Part::Memory => stage.memory().await?,
                Part::Rivals => stage.rivals().await?,
            };
        }
        Ok(verdicts)
    })
}

fn found(shape: Shape) -> Outcome<Organisation> {
    Organisation::found(&mut Chance::new(SEED, "organisation"), shape)
}

/// The set of the rivals, so many cases of it, in these scopes.
fn order(cases: u64, depth: Depth, organisation: &Organisation) -> Order {
    Order {
        cases,
        first: 0,
        depth,
        site: site(0),
        scopes: organisation.scopes(0),
    }
}

impl Stage<'_> {
    /// The disks that were asked for: whether it is the plain one, its name, and what it takes
    /// longer for a `sync_data`.
    fn disks(&self) -> Vec<(bool, &'static str, Duration)> {
        let both = [
            (true, "plain disk", Duration::ZERO),
            (false, "slow disk, 4 ms more for every sync_data", SLOW),
        ];
        let asked = |(is_plain, ..): &(bool, &str, Duration)| {
            if *is_plain {
                self.wish.plain
            } else {
                self.wish.slow
            }
        };
        both.into_iter().filter(asked).collect()
    }

    /// The long path, on the plain disk: what it adds is the same on both.
    fn far(&self, is_plain: bool) -> Option<&path::Path> {
        is_plain.then_some(&self.path)
    }

    async fn make(&self, organisation: &Organisation, order: &Order) -> Outcome<Made> {
        let pair = Pair::new(organisation, self.folder, Duration::ZERO);
        let made = made::make(&pair, self.folder, order).await?;
        made.tell()?;
        Ok(made)
    }

    /// First sync, reconnect, ten and ten changed.
    async fn meetings(&self, cases: u64) -> Outcome<Verdicts> {
        // Where the sync of one set takes seconds, few runs say as much.
        let runs = if cases > RIVALS_CASES {
            self.wish.runs.min(3)
        } else {
            self.wish.runs
        };
        let whole = number(cases as f64);
        println!(
            "\nFirst sync, reconnect, 10 + 10 changed: seed {SEED}, {whole} cases, {runs} runs"
        );
        let organisation = found(Shape::TWO_EDGES)?;
        let made = self
            .make(&organisation, &order(cases, Depth::Whole, &organisation))
            .await?;
        if cases == RIVALS_CASES {
            let times = made.size.saved_bytes as f64 / RIVALS_SAVED;
            let theirs = number(RIVALS_SAVED);
            println!("saved, it is {times:.2} times the rivals' {theirs} bytes");
        } else {
            println!("the rivals' figures are for {RIVALS_CASES} cases");
        }
        let mut verdicts = Verdicts::default();
        for (is_plain, name, extra) in self.disks() {
            let bench = Bench {
                pair: Pair::new(&organisation, self.folder, extra),
                made: &made,
                runs,
            };
            let measured = bench.run(self.far(is_plain)).await?;
            let times = cases as f64 / RIVALS_CASES as f64;
            let rows = report::meetings(is_plain, &measured, made.size.saved_bytes, times);
            verdicts += table::print(&format!("{whole} cases, {name}"), &rows);
        }
        Ok(verdicts)
    }

    /// Reconnects of an edge that has forty scopes.
    async fn scopes(&self) -> Outcome<Verdicts> {
        println!("\nReconnect with forty scopes");
        let organisation = found(Shape {
            compartments: COMPARTMENTS,
            ..Shape::ONE_EDGE
        })?;
        let order = order(RIVALS_CASES, Depth::Openings, &organisation);
        let made = self.make(&organisation, &order).await?;
        let mut verdicts = Verdicts::default();
        for (is_plain, name, extra) in self.disks() {
            let pair = Pair::new(&organisation, self.folder, extra);
            let bench = Bench {
                pair,
                made: &made,
                runs: self.wish.runs,
            };
            let (centre, _) = bench.first(None).await?;
            centre.stop().await;
            let measured = bench.reconnects(self.far(is_plain)).await?;
            let rows = report::reconnects_alone(&measured);
            let scopes = COMPARTMENTS + 1;
            verdicts += table::print(&format!("{scopes} scopes, {name}"), &rows);
        }
        Ok(verdicts)
    }

    /// Live notes from one edge to another.
    async fn live(&self) -> Outcome<Verdicts> {
        let cases = self.wish.live_cases.unwrap_or(LIVE_CASES);
        let whole = number(cases as f64);
        println!("\nLive notes, {whole} cases held");
        let organisation = found(Shape::TWO_EDGES)?;
        let made = self
            .make(&organisation, &order(cases, Depth::Whole, &organisation))
            .await?;
        let mut verdicts = Verdicts::default();
        for (_, name, extra) in self.disks() {
            let pair = Pair::new(&organisation, self.folder, extra);
            let notes = live::run(&pair, &made).await?;
            verdicts += table::print(&format!("live notes, {name}"), &report_more::live(&notes));
        }
        Ok(verdicts)
    }

    /// A hundred thousand documents.
    async fn large(&self) -> Outcome<Verdicts> {
        let documents = self.wish.large;
        // Each begins with copies of stores of some hundred MB.
        let runs = self.wish.runs.min(LARGE_RUNS_MAX);
        println!(
            "\n{} documents, each a case's opening",
            number(documents as f64)
        );
        let organisation = found(Shape::TWO_EDGES)?;
        let stores = large::prepare(&organisation, self.folder, documents).await?;
        let mut verdicts = Verdicts::default();
        for (is_plain, name, extra) in self.disks() {
            let pair = Pair::new(&organisation, self.folder, extra);
            let measured = large::run(pair, &stores, runs, self.far(is_plain)).await?;
            let title = format!("{} documents, {name}", number(documents as f64));
            verdicts += table::print(&title, &report_more::large(&measured));
        }
        Ok(verdicts)
    }

    /// Eight edges at once.
    async fn ingest(&self) -> Outcome<Verdicts> {
        println!("\nEight edges come back at once; all nine nodes share this machine");
        let organisation = found(Shape {
            more_sites: ingest::EDGES as u64 - 1,
            ..Shape::ONE_EDGE
        })?;
        let mut verdicts = Verdicts::default();
        for (_, name, extra) in self.disks() {
            let pair = Pair::new(&organisation, self.folder, extra);
            let runs = vec![ingest::run(&pair).await?];
            verdicts += table::print(&format!("ingest, {name}"), &report_more::ingest(&runs));
        }
        Ok(verdicts)
    }

    /// What nodes take in memory.
    async fn memory(&self) -> Outcome<Verdicts> {
        println!("\nMemory of nodes in processes of their own, after they have met again");
        let organisation = found(Shape::TWO_EDGES)?;
        let stores = large::prepare(&organisation, self.folder, self.wish.large).await?;
        let [centre, edge] = stores.equal();
        let title = format!("{} documents", number(self.wish.large as f64));
        let mut rows = memory::pair(self.folder, &centre, &edge, &title)?;
        let cases = memory::EDGE_CASES;
        let made = self
            .make(&organisation, &order(cases, Depth::Whole, &organisation))
            .await?;
        let pair = Pair::new(&organisation, self.folder, Duration::ZERO);
        let bench = Bench {
            pair,
            made: &made,
            runs: 1,
        };
        let (centre, _) = bench.first(None).await?;
        centre.stop().await;
        let (centre, edge) = (bench.pair.centre_file(), bench.pair.edge_file());
        let title = format!("{} whole cases", number(cases as f64));
        rows.extend(memory::pair(self.folder, &centre, &edge, &title)?);
        rows.extend(memory::programs(self.folder));
        Ok(table::print("memory and programs", &rows))
    }

    /// The rivals on the same documents.
    async fn rivals(&self) -> Outcome<Verdicts> {
        println!("\nThis service and the rivals, driven alike, on documents written here");
        let organisation = found(Shape::TWO_EDGES)?;
        let cases = self.wish.cases;
        let made = self
            .make(&organisation, &order(cases, Depth::Whole, &organisation))
            .await?;
        let pair = Pair::new(&organisation, self.folder, Duration::ZERO);
        made.export(&pair).await?;
        let (folder, made) = (self.folder.to_owned(), made);
        let rows = tokio::task::spawn_blocking(move || rivals::run(&folder, &made));
        let rows = rows.await.map_err(failed("the rivals"))??;
        Ok(table::print(
            &format!("{} cases", number(cases as f64)),
            &rows,
        ))
    }
}
