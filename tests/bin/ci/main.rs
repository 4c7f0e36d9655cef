//! `cargo ci`: everything that must hold before a change lands, with its own set-up.
//!
//! Runs the steps in order, prints each with its time, stops at the first that fails and says how
//! to run that one again. What a machine lacks and nobody could install is skipped with a line
//! that says so, never silently; `--strict` turns such a skip, of a step or of a part of one, into a
//! failure.

mod steps;
mod tool;
mod wasm;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use steps::{STEPS, Step};

/// How a step ended when it did not fail.
enum Outcome {
    /// All of it ran and held.
    Passed,
    /// It held, but part of it could not run here: which part, and why.
    PassedExcept(String),
    /// It could not run here: why.
    Skipped(String),
}

/// What was asked for on the command line.
#[derive(Default)]
struct Asked {
    list: bool,
    help: bool,
    strict: bool,
    only: Vec<String>,
    skip: Vec<String>,
}

const HELP: &str = "\
Usage: cargo ci [--list] [--only STEP]... [--skip STEP]... [--strict]

Runs everything .ci/run checks, set-up included.

  --list        print the steps and what each of them checks
  --only STEP   run this step (may be repeated)
  --skip STEP   leave this step out (may be repeated)
  --strict      a step of which a part cannot run here is a failure
";

fn parse(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => asked.list = true,
            "--help" | "-h" => asked.help = true,
            "--strict" => asked.strict = true,
            "--only" => asked.only.push(step_name(args.next())?),
            "--skip" => asked.skip.push(step_name(args.next())?),
            other => return Err(format!("unknown argument '{other}'\n\n{HELP}")),
        }
    }
    Ok(asked)
}

fn step_name(name: Option<String>) -> Result<String, String> {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    match name {
        Some(name) if names.contains(&name.as_str()) => Ok(name),
        Some(name) => Err(format!("no step '{name}': there are {}", names.join(", "))),
        None => Err(format!("which step? There are {}", names.join(", "))),
    }
}

impl Asked {
    fn wants(&self, step: &Step) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == step.name);
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("cargo ci: {message}");
            return ExitCode::from(2);
        }
    };
    if asked.help {
        print!("{HELP}");
    } else if asked.list {
        for step in STEPS {
            println!("{:<8} {}", step.name, step.checks);
        }
    } else {
        return run(&asked);
    }
    ExitCode::SUCCESS
}

/// One line of the table at the end.
struct Row {
    name: &'static str,
    word: &'static str,
    took: Duration,
    note: String,
}

fn run(asked: &Asked) -> ExitCode {
    match tool::trace() {
        Some(_) => println!("shared: the recorded trace is there; a test replays it"),
        None => println!(
            "shared: {} is not in ../shared (RIDGEWAY_SHARED names another place); \
             the test that needs it says so and passes without",
            harness::cargo::TRACE
        ),
    }
    let mut rows = Vec::new();
    for step in STEPS.iter().filter(|step| asked.wants(step)) {
        println!("\n== {}: {}", step.name, step.checks);
        let begun = Instant::now();
        let result = (step.run)();
        let row = row(step, begun.elapsed(), result, asked.strict);
        println!("== {}: {} in {}", row.name, row.word, seconds(row.took));
        let failed = row.word == "FAILED";
        rows.push(row);
        if failed {
            break;
        }
    }
    summary(&rows)
}

fn row(step: &Step, took: Duration, result: Result<Outcome, String>, strict: bool) -> Row {
    let (word, note) = match result {
        Ok(Outcome::Passed) => ("passed", String::new()),
        Ok(Outcome::PassedExcept(note)) if strict => ("FAILED", format!("strictly: {note}")),
        Ok(Outcome::PassedExcept(note)) => ("passed", note),
        Ok(Outcome::Skipped(why)) if strict => ("FAILED", format!("could not run here: {why}")),
        Ok(Outcome::Skipped(why)) => ("skipped", why),
        Err(message) => ("FAILED", message),
    };
    Row {
        name: step.name,
        word,
        took,
        note,
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// Prints the table and the closing line; the exit code says whether anything failed.
fn summary(rows: &[Row]) -> ExitCode {
    println!("\n{:<8} {:<8} {:>9}", "step", "result", "time");
    for row in rows {
        println!(
            "{:<8} {:<8} {:>9}  {}",
            row.name,
            row.word,
            seconds(row.took),
            row.note
        );
    }
    let total: Duration = rows.iter().map(|row| row.took).sum();
    println!("{:<8} {:<8} {:>9}", "all", "", seconds(total));
    let count = |word: &str| rows.iter().filter(|row| row.word == word).count();
    let failed = rows.iter().find(|row| row.word == "FAILED");
    if let Some(row) = failed {
        println!("\n{} failed: {}", row.name, row.note);
        println!("Run it again with: cargo ci --only {}", row.name);
    }
    println!(
        "\nsteps: {} passed, {} failed, {} skipped",
        count("passed"),
        count("FAILED"),
        count("skipped")
    );
    if failed.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Asked, Outcome, STEPS, parse, row};

    fn asked(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn steps(line: &str) -> Vec<&'static str> {
        let asked = asked(line).unwrap_or_default();
        STEPS
            .iter()
            .filter(|step| asked.wants(step))
            .map(|step| step.name)
            .collect()
    }

    #[test]
    fn steps_are_chosen_by_name() {
        assert_eq!(steps("").len(), STEPS.len());
        assert_eq!(steps("--only fmt --only wasm"), ["fmt", "wasm"]);
        assert_eq!(steps("--only fmt --only wasm --skip fmt"), ["wasm"]);
        assert!(!steps("--skip sim").contains(&"sim"));
    }

    #[test]
    fn strictly_nothing_may_be_left_out() {
        let left_out: [fn() -> Outcome; 2] = [
            || Outcome::Skipped("not here".to_owned()),
            || Outcome::PassedExcept("a part was not here".to_owned()),
        ];
        for outcome in left_out {
            for (strict, failed) in [(false, false), (true, true)] {
                let Some(step) = STEPS.first() else { return };
                let row = row(step, Duration::ZERO, Ok(outcome()), strict);
                assert_eq!(row.word == "FAILED", failed, "{}", row.note);
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in [
            "--only",
            "--only nothing",
            "--skip nothing",
            "fmt",
            "--quiet",
        ] {
            assert!(asked(line).is_err(), "{line} was taken");
        }
    }
}
