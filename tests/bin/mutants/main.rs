//! `cargo mutants-core`: each check that this record stands on is taken out by itself, and the tests
//! that stand for it have to fail.
//!
//! The mutants stand in `tests/harness/mutants/list.rs`. They are built in a copy of the tree below
//! `target/mutants`, one after another, each with a target folder kept between runs, so that the
//! first run builds everything and the later ones what a mutant touches. A mutant that does not
//! build shows nothing, and counts as not caught.

mod lab;
mod tree;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use harness::{
    cargo::root,
    mutants::{MUTANTS, Mutant, misfits},
};

use lab::{Lab, Verdict};

const HELP: &str = "\
Usage: cargo mutants-core [--list] [--only NAME]...

Takes the checks that the record stands on out one by one, in a copy of the tree, and sees that the
tests that stand for them fail.

  --list        print the mutants, what each breaks and what must notice
  --only NAME   try this mutant (may be repeated)
";

/// What was asked for on the command line.
#[derive(Default)]
struct Asked {
    list: bool,
    help: bool,
    only: Vec<String>,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => asked.list = true,
            "--help" | "-h" => asked.help = true,
            "--only" => asked.only.push(mutant_name(args.next())?),
            other => return Err(format!("unknown argument '{other}'\n\n{HELP}")),
        }
    }
    Ok(asked)
}

fn mutant_name(name: Option<String>) -> Result<String, String> {
    let names: Vec<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    match name {
        Some(name) if names.contains(&name.as_str()) => Ok(name),
        Some(name) => Err(format!(
            "no mutant '{name}': there are {}",
            names.join(", ")
        )),
        None => Err(format!("which mutant? There are {}", names.join(", "))),
    }
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("cargo mutants-core: {message}");
            return ExitCode::from(2);
        }
    };
    if asked.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if asked.list {
        list();
        return ExitCode::SUCCESS;
    }
    let named = |mutant: &&Mutant| {
        let mut only = asked.only.iter();
        asked.only.is_empty() || only.any(|name| name == mutant.name)
    };
    let mutants: Vec<&Mutant> = MUTANTS.iter().filter(named).collect();
    match run(&mutants) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("cargo mutants-core: {message}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for mutant in MUTANTS {
        println!("{:<23} {}", mutant.name, mutant.breaks);
        for proof in mutant.proofs {
            println!("{:<23}   {}", "", lab::name_of(proof));
        }
    }
}

/// One line of the table at the end.
struct Row {
    name: &'static str,
    verdict: Verdict,
    took: Duration,
}

/// Tries these mutants; answers whether every one was caught.
fn run(mutants: &[&Mutant]) -> Result<bool, String> {
    let misfits = misfits(&root()).map_err(|error| format!("a mutant's file: {error}"))?;
    if !misfits.is_empty() {
        return Err(misfits.join("\n"));
    }
    let lab = Lab::new(&root())?;
    println!(
        "{} mutants; first, their tests where nothing is taken out",
        mutants.len()
    );
    let begun = Instant::now();
    lab.baseline(mutants)?;
    println!("  they pass, after {}", seconds(begun.elapsed()));
    let mut rows: Vec<Row> = Vec::new();
    for (number, mutant) in (1..).zip(mutants) {
        let (name, breaks) = (mutant.name, mutant.breaks);
        println!("mutant {number} of {}: {name} ({breaks})", mutants.len());
        let begun = Instant::now();
        let verdict = lab.try_mutant(mutant)?;
        let took = begun.elapsed();
        println!("  {verdict}, {}", seconds(took));
        rows.push(Row {
            name,
            verdict,
            took,
        });
    }
    println!();
    for Row {
        name,
        verdict,
        took,
    } in &rows
    {
        println!("{name:<23} {:>6}  {verdict}", seconds(*took));
    }
    let caught = rows.iter().filter(|row| row.verdict.is_caught()).count();
    let all = seconds(begun.elapsed());
    println!("{caught} of {} mutants were caught, in {all}", rows.len());
    Ok(caught == rows.len())
}

fn seconds(took: Duration) -> String {
    format!("{:.0} s", took.as_secs_f64())
}
