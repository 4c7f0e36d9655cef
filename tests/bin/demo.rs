//! `cargo demo`: the whole service on this machine, with a week of work.

use std::process::ExitCode;

use harness::demo::{Wish, run, screen::Screen};

const USAGE: &str = "\
The whole service on this machine: the centre and five site edges as processes,
a made-up population that works for a week, the centre lost and back from a copy
that is days old, and the proofs that nothing is lost.

  cargo demo              ten to twenty seconds after the build
  cargo demo --fast       a shorter week
  cargo demo --seed N     another week; the same N is the same week
  cargo demo --keep       leave everything running afterwards

Exit codes: 0 all proofs hold, 1 one does not or something failed, 2 usage.
";

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
    let mut screen = Screen::new();
    match run(&wish, &mut screen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            screen.line("");
            screen.line(&format!("The demo failed: {problem}"));
            ExitCode::FAILURE
        }
    }
}

/// What the words ask for; none when they ask for help.
fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Wish>, String> {
    let mut wish = Wish {
        seed: 1,
        ..Wish::default()
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--keep" => wish.keep = true,
            "--fast" => wish.is_fast = true,
            "--help" | "-h" => return Ok(None),
            "--seed" => {
                let number = words.next().and_then(|number| number.parse().ok());
                wish.seed = number.ok_or("--seed needs a number")?;
            }
            other => return Err(format!("{other} is not known here")),
        }
    }
    Ok(Some(wish))
}
