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
mod disk;
mod failure;
mod figures;
mod measure;
mod organisation;
mod pair;
mod path;
mod report;
mod set;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use harness::chance::Chance;

use crate::{
    author::{Size, Written},
    failure::{Outcome, failed},
    figures::{Spread, number},
    measure::{Bench, CHANGED, EACH_WAY},
    organisation::Organisation,
    pair::Pair,
    report::{RIVALS_CASES, RIVALS_SAVED},
    set::SEED,
};

const USAGE: &str = "\
How fast an edge and the centre come to agree: first sync, reconnect with nothing changed, and
with ten documents changed at each, beside the rivals' figures and the physical floors.

  cargo bench-sync                      the rivals' set size, a few minutes after the build
  cargo bench-sync --cases N            so many cases, and one register for twenty of them (1000)
  cargo bench-sync --runs R             every meeting so often (5)
  cargo bench-sync --disk plain|slow|both   on this disk, with 4 ms more per sync_data, or both

Exit codes: 0 measured, 1 something was lost or failed, 2 usage.
";

/// What the slow disk takes longer for every `sync_data`: the median of a small commit where the
/// rivals were measured.
const SLOW: Duration = Duration::from_millis(4);
/// What was asked for.
#[derive(Clone, Copy)]
struct Wish {
    cases: u64,
    runs: usize,
    plain: bool,
    slow: bool,
}

fn main() -> ExitCode {
    let wish = match parse(std::env::args().skip(1)) {
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
    let measured = run(wish, &folder);
    // What is left of a failed run is for somebody to look at; the next one clears it away.
    if let Err(problem) = measured {
        eprintln!("The bench failed: {problem}");
        return ExitCode::FAILURE;
    }
    let _ = fs::remove_dir_all(&folder);
    ExitCode::SUCCESS
}

/// What the words ask for; none when they ask for help.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Wish>, String> {
    let mut wish = Wish {
        cases: RIVALS_CASES,
        runs: 5,
        plain: true,
        slow: true,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            // What `cargo bench` says to every bench.
            "--bench" => {}
            "--help" | "-h" => return Ok(None),
            "--cases" => wish.cases = value()?.parse().map_err(|_| "--cases needs a number")?,
            "--runs" => wish.runs = value()?.parse().map_err(|_| "--runs needs a number")?,
            "--disk" => {
                (wish.plain, wish.slow) = match value()?.as_str() {
                    "plain" => (true, false),
                    "slow" => (false, true),
                    "both" => (true, true),
                    _ => return Err("--disk is plain, slow or both".to_owned()),
                }
            }
            other => return Err(format!("{other} is not known here")),
        }
    }
    if wish.cases < 2 * CHANGED as u64 || wish.runs == 0 {
        return Err("it takes 20 cases and one run".to_owned());
    }
    Ok(Some(wish))
}

/// Where the stores lie: beside what was built, since a folder for temporary files may be memory.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-sync")
}

fn run(wish: Wish, folder: &Path) -> Outcome<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed("the old folder"))?;
    }
    fs::create_dir_all(folder).map_err(failed("the folder"))?;
    println!(
        "seed {SEED}, {} cases, {} runs",
        number(wish.cases as f64),
        wish.runs
    );
    let probes = Spread::of(&disk::probe(folder)?, |ms| *ms);
    println!("this disk makes 4 KiB durable in {probes} ms");
    println!("floors and rivals: quoted, another machine and day, a disk of about 4 ms; the");
    println!("rivals speak plain TCP and make nothing durable before they acknowledge it");
    let path = path::Path::new(EACH_WAY)?;
    // As the service's own binaries have it; both nodes share its threads.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed("the runtime"))?;
    let organisation = Organisation::found(&mut Chance::new(SEED, "organisation"))?;
    let pristine = folder.join("pristine.redb");
    tokio.block_on(async {
        let (written, size) = prepare(wish, &organisation, folder, &pristine).await?;
        for (is_plain, title, extra) in [
            (true, "Plain disk", Duration::ZERO),
            (false, "Slow disk: 4 ms more for every sync_data", SLOW),
        ] {
            if is_plain && !wish.plain || !is_plain && !wish.slow {
                continue;
            }
            let bench = Bench {
                pair: Pair::new(&organisation, folder, extra),
                pristine: &pristine,
                written: &written,
                size,
                runs: wish.runs,
            };
            let measured = bench.run(is_plain.then_some(&path)).await?;
            report::print(title, is_plain, &measured, size.saved_bytes);
        }
        Ok(())
    })
}

/// Lets people write the set at the edge, while it is alone, and keeps a copy of its store.
async fn prepare(
    wish: Wish,
    organisation: &Organisation,
    folder: &Path,
    pristine: &Path,
) -> Outcome<(Written, Size)> {
    let pair = Pair::new(organisation, folder, Duration::ZERO);
    let edge = pair.edge(None).await?;
    let written = author::write(&edge.handle(), wish.cases).await?;
    let work = edge.work();
    let size = author::size(&edge.handle(), &written).await?;
    edge.stop().await;
    let bytes = fs::copy(pair.edge_file(), pristine).map_err(failed("the copy"))?;
    let whole = |count: u64| number(count as f64);
    println!(
        "the set: {} documents, {} changes in as many runs, {} bytes of changes, {} bytes saved",
        whole(size.documents),
        whole(size.changes),
        whole(size.change_bytes),
        whole(size.saved_bytes),
    );
    let rate = size.changes as f64 / written.took.as_secs_f64();
    println!(
        "written by commands at the edge in {} s ({} a second, {} commits, {} sync_data calls); \
         its store: {} bytes",
        number(written.took.as_secs_f64()),
        number(rate.round()),
        whole(work.commits),
        whole(work.syncs),
        whole(bytes),
    );
    if wish.cases == RIVALS_CASES {
        let times = size.saved_bytes as f64 / RIVALS_SAVED;
        println!(
            "saved, it is {times:.2} times the rivals' {} bytes",
            number(RIVALS_SAVED)
        );
    } else {
        println!("the rivals' figures are for {} cases", whole(RIVALS_CASES));
    }
    Ok((written, size))
}
