//! libFuzzer, built with the targets in it: how it is built, run, and asked what it did.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fuzz::{TARGET, Target};
use harness::cargo::{command, root};

/// What has the compiler note each way through the code, and what was compared on it: what `cargo
/// fuzz` asks for too. No sanitizer is asked for: they need a nightly compiler, and what they find
/// cannot be written in Rust without `unsafe`, of which we have none.
const NOTED: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// What no target calls is not optimised: that costs a minute.
const PLAIN: [&str; 3] = [
    "profile.dev.package.quinn-proto.opt-level=0",
    "profile.dev.package.rustls.opt-level=0",
    "profile.dev.package.argon2.opt-level=0",
];
/// How long one input may take: many times what the slowest should. An input that takes longer is a
/// finding.
const INPUT_SECONDS_MAX: u64 = 10;
/// The memory that a target may take, in MiB: what it holds by itself is below a fifth of it.
const MEMORY_MIB_MAX: u64 = 1_024;
/// Lines of what the engine said, that are shown when a target fails.
const SAID_LINES: usize = 40;

/// The program, and where its inputs lie.
pub(crate) struct Engine {
    program: PathBuf,
    folder: PathBuf,
}

/// What came of a target.
pub(crate) enum Verdict {
    /// It held for every input.
    Held,
    /// It did not hold for one.
    Failed {
        /// The file that the input is kept in.
        input: PathBuf,
        /// The end of what was said.
        said: String,
    },
}

/// A target that was tried.
pub(crate) struct Tried {
    pub(crate) verdict: Verdict,
    pub(crate) inputs: u64,
    /// Ways through the code that were seen, as the engine counts them.
    pub(crate) ways: u64,
    pub(crate) took: Duration,
}

impl Tried {
    /// Inputs tried in a second.
    pub(crate) fn a_second(&self) -> u64 {
        self.inputs / self.took.as_secs().max(1)
    }
}

impl Engine {
    /// Builds the program.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn build() -> Result<Engine, String> {
        let folder = root().join("target").join("fuzz");
        // Said by name, so that macros and build scripts, which run here and now, are not altered.
        let machine = machine()?;
        // Said as configuration, they stand beside what flags the repository may ask for.
        let noted = format!("build.rustflags={NOTED:?}");
        let mut cargo = command("cargo");
        cargo
            .args(["build", "--quiet", "--locked", "--config", &noted])
            .args(PLAIN.iter().flat_map(|plain| ["--config", plain]))
            .args(["--package", "ridgeway-fuzz", "--features", "libfuzzer"])
            .args(["--bin", "decoders", "--target", &machine])
            .env("CARGO_TARGET_DIR", &folder)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err("the fuzzer cannot be built".to_owned());
        }
        let program = folder.join(&machine).join("debug").join("decoders");
        let scratch = folder.join("scratch");
        // Of an earlier run; there may be none.
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).map_err(|error| words(&scratch, &error))?;
        Ok(Engine { program, folder })
    }

    /// The engine with a target.
    fn with(&self, target: &Target) -> Command {
        let mut engine = command(&self.program.display().to_string());
        // Where it writes what it needs for a moment; it ends without clearing that away.
        let scratch = self.folder.join("scratch");
        engine.env(TARGET, target.name).env("TMPDIR", scratch);
        engine.stdin(Stdio::null());
        engine
    }

    /// Tries one input, and shows what is said.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn replay(&self, target: &Target, input: &Path) -> Result<bool, String> {
        let input = fs::canonicalize(input).map_err(|error| words(input, &error))?;
        let ended = self.with(target).arg(input).status();
        let ended = ended.map_err(|error| words(&self.program, &error))?;
        Ok(ended.success())
    }

    /// Tries a target for so long, drawing from a seed if one is given.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn run(
        &self,
        target: &Target,
        seconds: u64,
        seed: Option<u64>,
    ) -> Result<Tried, String> {
        let of = |what: &str| self.folder.join(what).join(target.name);
        let (corpus, seeds, found) = (of("corpus"), of("seeds"), of("found"));
        for folder in [&corpus, &found] {
            fs::create_dir_all(folder).map_err(|error| words(folder, &error))?;
        }
        write_seeds(target, &seeds)?;
        let kept = root().join("tests/fuzz/regressions").join(target.name);
        let mut engine = self.with(target);
        engine
            .arg(format!("-max_total_time={seconds}"))
            .args(seed.map(|seed| format!("-seed={seed}")))
            .arg(format!("-max_len={}", target.length_max))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .arg("-print_final_stats=1")
            .args([corpus, seeds])
            .args(Some(kept).filter(|kept| kept.is_dir()));
        let begun = Instant::now();
        let output = engine
            .output()
            .map_err(|error| words(&self.program, &error))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let verdict = if output.status.success() {
            Verdict::Held
        } else {
            let input =
                written(&said).ok_or(format!("it ended, and nobody knows of what:\n{said}"))?;
            Verdict::Failed {
                input,
                said: end_of(&said),
            }
        };
        Ok(Tried {
            verdict,
            inputs: counted(&said).unwrap_or(0),
            ways: ways(&said).unwrap_or(0),
            took: begun.elapsed(),
        })
    }
}

/// The triple of this machine, as its compiler says it.
fn machine() -> Result<String, String> {
    let said = command("rustc").arg("-vV").output();
    let said = said.map_err(|error| format!("rustc: {error}"))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or("rustc does not say for which machine it compiles".to_owned())
}

/// Writes what a target begins with, in place of what it began with before.
fn write_seeds(target: &Target, folder: &Path) -> Result<(), String> {
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(|error| words(folder, &error))?;
    }
    fs::create_dir_all(folder).map_err(|error| words(folder, &error))?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let file = folder.join(format!("{number:03}"));
        fs::write(&file, seed).map_err(|error| words(&file, &error))?;
    }
    Ok(())
}

fn words(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

/// How many inputs the engine has tried, by its own count at the end.
fn counted(said: &str) -> Option<u64> {
    let count = said
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    count?.trim().parse().ok()
}

/// How many ways it has seen, by its last line of progress.
fn ways(said: &str) -> Option<u64> {
    let last = said.lines().rev().find(|line| line.contains(" cov: "))?;
    let (_, after) = last.split_once(" ft: ")?;
    after.split_whitespace().next()?.parse().ok()
}

/// The file that it has written an input to.
fn written(said: &str) -> Option<PathBuf> {
    let (_, path) = said.split_once("Test unit written to ")?;
    path.lines().next().map(PathBuf::from)
}

fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let from = lines.len().saturating_sub(SAID_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of a run, as libFuzzer of LLVM 20 tells it.
    const SAID: &str = "\
#75272\tREDUCE cov: 115 ft: 331 corp: 61/8k lim: 511 exec/s: 25090 rss: 71Mb L: 9/511 MS: 1 EraseBytes-
thread 'main' panicked at tests/fuzz/src/targets/frames.rs:33:5
SUMMARY: libFuzzer: deadly signal
artifact_prefix='/x/found/frames/'; Test unit written to /x/found/frames/crash-db19
Base64: YWJ4eXpiGQ==
stat::number_of_executed_units: 75272
";

    #[test]
    fn what_the_engine_says_is_understood() {
        assert_eq!((counted(SAID), ways(SAID)), (Some(75_272), Some(331)));
        assert_eq!(written(SAID), Some("/x/found/frames/crash-db19".into()));
        assert_eq!((counted(""), ways(""), written("")), (None, None, None));
    }
}
