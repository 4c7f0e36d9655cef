//! `cargo fuzz-all`: every decoder is tried with what a fuzzer makes up, for a given time each.
//!
//! The targets stand in `tests/fuzz`. They are built with what libFuzzer needs to see which ways
//! through the code an input takes, which a stable compiler can do, in a folder below `target/fuzz`, so
//! that nothing else is built anew for it. There lie the inputs too that took new ways: each run goes
//! on from those of the runs before. What makes a target fail is kept, and the command says how it is
//! tried again.

mod engine;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use fuzz::{TARGETS, Target};

use engine::{Engine, Tried, Verdict};

/// How long each target is tried when nothing else is asked for.
const SECONDS: u64 = 10;

const HELP: &str = "\
Usage: cargo fuzz-all [--list] [--seconds N] [--seed N] [--target NAME]... [--replay FILE]

Tries every decoder with inputs that a fuzzer makes up, and goes on from those of earlier runs. Needs
a C++ compiler.

  --list          print the targets and what each of them tries
  --seconds N     try each for so long (10)
  --seed N        draw from this seed, so that runs of one kind try the same (another each time)
  --target NAME   try this target (may be repeated)
  --replay FILE   try this one input, with the one target that is named
";

/// What was asked for on the command line.
#[derive(Debug)]
struct Asked {
    list: bool,
    help: bool,
    seconds: u64,
    seed: Option<u64>,
    targets: Vec<Target>,
    replay: Option<PathBuf>,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked {
        list: false,
        help: false,
        seconds: SECONDS,
        seed: None,
        targets: Vec::new(),
        replay: None,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => asked.list = true,
            "--help" | "-h" => asked.help = true,
            "--seconds" => asked.seconds = number(args.next())?,
            "--seed" => asked.seed = Some(number(args.next())?),
            "--target" => asked.targets.push(target(args.next())?),
            "--replay" => asked.replay = Some(args.next().ok_or("which file?")?.into()),
            other => return Err(format!("unknown argument '{other}'\n\n{HELP}")),
        }
    }
    if asked.replay.is_some() && asked.targets.len() != 1 {
        return Err("an input is tried with one target: name it by --target".to_owned());
    }
    if asked.targets.is_empty() {
        asked.targets = TARGETS.to_vec();
    }
    Ok(asked)
}

fn number(said: Option<String>) -> Result<u64, String> {
    let said = said.ok_or("which number?")?;
    let number = said.parse().ok().filter(|number| *number > 0);
    number.ok_or(format!("'{said}' is no number from 1 on"))
}

fn target(name: Option<String>) -> Result<Target, String> {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let names = names.join(", ");
    let name = name.ok_or(format!("which target? There are {names}"))?;
    fuzz::named(&name).ok_or(format!("no target '{name}': there are {names}"))
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(message) => {
            eprintln!("cargo fuzz-all: {message}");
            return ExitCode::from(2);
        }
    };
    let done = if asked.help {
        print!("{HELP}");
        Ok(true)
    } else if asked.list {
        for target in TARGETS {
            println!("{:<14} {}", target.name, target.tries);
        }
        Ok(true)
    } else {
        run(&asked)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("cargo fuzz-all: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Tries what was asked for; answers whether all of it held.
fn run(asked: &Asked) -> Result<bool, String> {
    let begun = Instant::now();
    let engine = Engine::build()?;
    println!("built in {}", in_seconds(begun.elapsed()));
    if let (Some(input), [target]) = (&asked.replay, asked.targets.as_slice()) {
        let held = engine.replay(target, input)?;
        println!("{}", if held { "it holds" } else { "it fails" });
        return Ok(held);
    }
    let count = asked.targets.len();
    println!("{count} targets, {} s each", asked.seconds);
    let mut all: Vec<Tried> = Vec::new();
    for (number, target) in (1..).zip(&asked.targets) {
        print!("{number:>2} of {count}  {:<14}", target.name);
        let tried = engine.run(target, asked.seconds, asked.seed)?;
        println!(
            "{:>10} inputs {:>8} a second {:>6} ways {:>8}",
            tried.inputs,
            tried.a_second(),
            tried.ways,
            in_seconds(tried.took),
        );
        let failed = matches!(tried.verdict, Verdict::Failed { .. });
        if let Verdict::Failed { input, said } = &tried.verdict {
            println!(
                "{said}\n\n{} does not hold for {}",
                target.name,
                input.display()
            );
            println!("Try it again with:\n  {}", again(target, input));
        }
        all.push(tried);
        if failed {
            break;
        }
    }
    let inputs: u64 = all.iter().map(|tried| tried.inputs).sum();
    let held = all
        .iter()
        .filter(|tried| matches!(tried.verdict, Verdict::Held));
    let held = held.count();
    println!(
        "\n{held} of {count} targets held for {inputs} inputs, in {}",
        in_seconds(begun.elapsed())
    );
    Ok(held == count)
}

/// The command that tries an input again.
fn again(target: &Target, input: &std::path::Path) -> String {
    let input = input.display();
    format!("cargo fuzz-all --target {} --replay {input}", target.name)
}

fn in_seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn names(line: &str) -> Vec<&'static str> {
        let asked = asked(line).expect("what may be asked");
        asked.targets.iter().map(|target| target.name).collect()
    }

    #[test]
    fn targets_are_chosen_by_name() {
        assert_eq!(names("").len(), TARGETS.len());
        assert_eq!(names("--target frames --seconds 3"), ["frames"]);
        assert_eq!(names("--target rows --replay x"), ["rows"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in [
            "--target",
            "--target nothing",
            "--seconds",
            "--seconds 0",
            "--replay x",
            "--replay x --target rows --target frames",
            "frames",
        ] {
            assert!(asked(line).is_err(), "{line} was taken");
        }
    }
}
