//! `cargo sim`: simulated schedules, one seed each.
//!
//! `cargo sim --seed N [--trace]` runs one and tells what happened; `cargo sim --count N [--from M]`
//! runs many and prints medians. A single seed is run twice, of many seeds every tenth, to see that
//! a seed is one run. Both print the seed and the commit first, and exit with 1 when an
//! oracle fails.

use std::{
    collections::BTreeSet,
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use harness::{
    report::Totals,
    sim::{Outcome, SEEDS_OF_CI, run, run_twice},
    trace::Print,
};

const USAGE: &str = "\
Simulated schedules of the whole service, each from one number.

  cargo sim --seed N [--trace]        run seed N and tell what happened; all of it with --trace
  cargo sim --count N [--from M]      run N seeds, from M on (0), and print medians
";

/// Seeds run side by side.
const THREADS: usize = 2;
/// Of so many seeds one is run a second time, to see that it is the same run.
const REPEATED_EVERY: u64 = 10;

/// What was asked for.
enum Task {
    One { seed: u64, print: Print },
    Many { from: u64, count: u64 },
}

fn main() -> ExitCode {
    let task = match parse(std::env::args().skip(1)) {
        Ok(task) => task,
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let held = match task {
        Task::One { seed, print } => one(seed, print),
        Task::Many { from, count } => many(from, count),
    };
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Task, String> {
    let (mut seed, mut count, mut from, mut print) = (None, None, 0, Print::Summary);
    while let Some(word) = words.next() {
        let mut number = || {
            let value = words.next().ok_or(format!("{word} needs a number"))?;
            value
                .parse::<u64>()
                .map_err(|_| format!("{value} is not a number"))
        };
        match word.as_str() {
            "--seed" => seed = Some(number()?),
            "--count" => count = Some(number()?),
            "--from" => from = number()?,
            "--trace" => print = Print::Everything,
            other => return Err(format!("{other} is not known here")),
        }
    }
    match (seed, count) {
        (Some(seed), None) => Ok(Task::One { seed, print }),
        (None, Some(count)) => Ok(Task::Many { from, count }),
        _ => Err("say either --seed or --count".to_owned()),
    }
}

/// The commit that was built, and whether something was changed since.
fn commit() -> String {
    let git = |words: &[&str]| {
        let printed = Command::new("git").args(words).output().ok()?;
        let text = String::from_utf8(printed.stdout).ok()?;
        printed.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "not known".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} and changes"),
    }
}

fn one(seed: u64, print: Print) -> bool {
    println!("seed {seed}, commit {}", commit());
    let began = Instant::now();
    let outcome = run_twice(seed, print);
    let (tally, events) = (&outcome.tally, outcome.events);
    println!("trace {} over {events} events", hex(&outcome.trace));
    let held = outcome.failure.is_none();
    if let Some(failure) = &outcome.failure {
        println!("FAILED {}: {}", failure.oracle.name(), failure.words);
    }
    let mut totals = Totals::default();
    totals.add(tally.clone(), began.elapsed());
    println!("{totals}");
    held
}

fn many(from: u64, count: u64) -> bool {
    println!(
        "seeds {from} to {}, commit {}",
        from + count.saturating_sub(1),
        commit()
    );
    let began = Instant::now();
    let next = AtomicU64::new(from);
    let results = Mutex::new((Totals::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let began = Instant::now();
                    let again = seed.is_multiple_of(REPEATED_EVERY);
                    let outcome = (if again { run_twice } else { run })(seed, Print::Nothing);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    let (totals, failed) = &mut *results;
                    let took = began.elapsed() / (1 + u32::from(again));
                    totals.add(outcome.tally.clone(), took);
                    failed.extend(failure_of(&outcome));
                    let done = totals.len() as u64;
                    if done.is_multiple_of(25) || done == count {
                        println!("  {done} of {count}, {} failed", failed.len());
                    }
                }
            });
        }
    });
    let (totals, failed) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{totals}");
    let seconds = began.elapsed().as_secs_f64();
    let counted = totals.counted();
    println!("{counted} of {count} reached a repair, an exception and a restore");
    println!("{count} seeds in {seconds:.1} s on {THREADS} threads");
    let unfired = unfired(&totals, count);
    if !unfired.is_empty() {
        println!("FAILED fired: no seed had {unfired:?}");
    }
    failed.iter().for_each(|line| println!("{line}"));
    failed.is_empty() && unfired.is_empty()
}

/// What should have happened in some of so many seeds, and in none did: each kind of fault, a write
/// that was lost or torn with the power, work of a revoked device that came in late, and an entry in a
/// backup.
fn unfired(totals: &Totals, count: u64) -> BTreeSet<&'static str> {
    let crashed = totals.crashed();
    let others = [
        ("a write lost with the power", crashed.lost),
        ("a write torn by the power", crashed.torn),
        ("a part handed in", totals.all(|tally| tally.handed_in)),
        ("an entry marked as late", totals.all(|tally| tally.marked)),
        ("an entry backed up", totals.all(|tally| tally.backed_up)),
    ];
    let faults = totals.fired().into_iter();
    faults
        .map(|(kind, times)| (kind.name(), times))
        .chain(others)
        .filter(|(_, times)| *times == 0 && count >= SEEDS_OF_CI)
        .map(|(name, _)| name)
        .collect()
}

fn failure_of(outcome: &Outcome) -> Option<String> {
    let failure = outcome.failure.as_ref()?;
    let (seed, oracle, words) = (outcome.seed, failure.oracle.name(), &failure.words);
    let line = format!("FAILED {oracle}: {words}\n  again with: cargo sim --seed {seed}");
    println!("{line}");
    Some(line)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
