//! The steps, in the order in which they run: what fails fastest first, what another step needs
//! before it.

use harness::{cargo::NO_JAVASCRIPT, sim::SEEDS_OF_CI};

use crate::{Outcome, tool, wasm};

/// One thing that must hold.
pub(crate) struct Step {
    /// What `--only` and `--skip` call it.
    pub(crate) name: &'static str,
    /// What it checks, in one line.
    pub(crate) checks: &'static str,
    /// Runs it, its set-up included.
    pub(crate) run: fn() -> Result<Outcome, String>,
}

/// Every step.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        checks: "the code is formatted",
        run: fmt,
    },
    Step {
        name: "js",
        checks: "the .automerge reader (public npm package) works",
        run: js,
    },
    Step {
        name: "clippy",
        checks: "no warning in any crate, test or command",
        run: clippy,
    },
    Step {
        name: "test",
        checks: "unit tests and the suite, tidy among them",
        run: test,
    },
    Step {
        name: "sim",
        checks: "simulated schedules with faults",
        run: sim,
    },
    Step {
        name: "fuzz",
        checks: "every decoder holds for what a fuzzer makes up in some seconds",
        run: fuzz,
    },
    Step {
        name: "docs",
        checks: "the documentation builds without a warning",
        run: docs,
    },
    Step {
        name: "deny",
        checks: "licences, sources and banned versions",
        run: deny,
    },
    Step {
        name: "wasm",
        checks: "every shared crate but runtime and api compiles for wasm32 (a check, nothing is linked)",
        run: wasm::step,
    },
];

/// The version of cargo-deny that is installed where there is none.
const DENY_VERSION: &str = "0.20.2";

fn fmt() -> Result<Outcome, String> {
    tool::run(&mut tool::cargo(&["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome, String> {
    let args = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    tool::run(&mut tool::cargo(&args))?;
    Ok(Outcome::Passed)
}

fn test() -> Result<Outcome, String> {
    let mut cargo = tool::cargo(&["test", "--workspace", "--locked"]);
    let mut without = Vec::new();
    if !has_javascript() {
        cargo.env(NO_JAVASCRIPT, "1");
        without.push("no npm package read an export");
    }
    if tool::trace().is_none() {
        without.push("no recorded trace was replayed");
    }
    tool::run(&mut cargo)?;
    Ok(if without.is_empty() {
        Outcome::Passed
    } else {
        Outcome::PassedExcept(without.join("; "))
    })
}

fn sim() -> Result<Outcome, String> {
    let args = [
        "run",
        "--quiet",
        "--locked",
        "--package",
        "ridgeway-tests",
        "--bin",
        "sim",
        "--",
    ];
    let count = SEEDS_OF_CI.to_string();
    tool::run(tool::cargo(&args).args(["--count", &count]))?;
    Ok(Outcome::Passed)
}

/// How long each target is tried here: after the first run they go on from what the runs before have
/// found, and `cargo fuzz-all --seconds N` tries them for longer.
const FUZZ_SECONDS: &str = "4";
/// What is drawn from here: whether a change lands should hang on the change, and not on chance.
const FUZZ_SEED: &str = "1";

fn fuzz() -> Result<Outcome, String> {
    if !tool::has("c++") {
        return Ok(Outcome::Skipped("there is no C++ compiler".into()));
    }
    let args = [
        "run",
        "--quiet",
        "--locked",
        "--package",
        "ridgeway-tests",
        "--bin",
        "fuzz-all",
        "--",
    ];
    tool::run(tool::cargo(&args).args(["--seconds", FUZZ_SECONDS, "--seed", FUZZ_SEED]))?;
    Ok(Outcome::Passed)
}

fn docs() -> Result<Outcome, String> {
    let args = ["doc", "--quiet", "--workspace", "--no-deps", "--locked"];
    tool::run(tool::cargo(&args).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

/// Installs cargo-deny where there is none, then checks all that needs no network, and the advisories
/// where their database can be had. It is not optimised: that would take some minutes more on two
/// cores, and it runs for two seconds.
fn deny() -> Result<Outcome, String> {
    if tool::answer(&mut tool::cargo(&["deny", "--version"])).is_none() {
        let install = [
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "cargo-deny",
            "--version",
            DENY_VERSION,
        ];
        if let Err(message) = tool::run(&mut tool::cargo(&install)) {
            return Ok(Outcome::Skipped(format!(
                "cargo-deny cannot be installed: {message}"
            )));
        }
    }
    // Packages of other systems are judged too; a build for this one has not fetched them.
    tool::run(&mut tool::cargo(&["fetch", "--quiet", "--locked"]))?;
    let args = ["deny", "--offline", "check", "--hide-inclusion-graph"];
    tool::run(tool::cargo(&args).args(["bans", "licenses", "sources"]))?;
    if tool::answer(&mut tool::cargo(&["deny", "fetch", "db"])).is_none() {
        let note = "no advisories: their database cannot be fetched here, \
                    the floors in .deny.toml stand in";
        println!("{note}");
        return Ok(Outcome::PassedExcept(note.into()));
    }
    tool::run(&mut tool::cargo(&[
        "deny",
        "check",
        "--disable-fetch",
        "advisories",
    ]))?;
    Ok(Outcome::Passed)
}

/// Whether documents can be read in JavaScript here.
fn has_javascript() -> bool {
    tool::has("node") && tool::has("npm")
}

/// Installs the npm package that reads exported documents; later steps hold exports against it.
fn js() -> Result<Outcome, String> {
    if !has_javascript() {
        return Ok(Outcome::Skipped("node and npm are not here".into()));
    }
    let folder = tool::root().join("tests/js");
    let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    tool::run(tool::command("npm").args(install).current_dir(&folder))?;
    tool::run(
        tool::command("npm")
            .args(["test", "--silent"])
            .current_dir(&folder),
    )?;
    Ok(Outcome::Passed)
}
