//! Running other programs: from the repository's root, announced, with an environment of our own.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use harness::cargo;

pub(crate) use harness::cargo::root;

/// Where build output goes: what the builder says, or `target`.
pub(crate) fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Where things that outlive a clone are kept, or nowhere when this user has no home.
pub(crate) fn cache() -> Option<PathBuf> {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
}

/// The recorded trace, where there is one.
pub(crate) fn trace() -> Option<PathBuf> {
    cargo::shared(cargo::TRACE)
}

/// A command that runs at the root, without what `cargo run` put into the environment.
pub(crate) fn command(program: &str) -> Command {
    let mut command = cargo::command(program);
    command.stdin(Stdio::null());
    // A test does not run where this does, so a path from here would mean another one there.
    let shared = env::var_os("RIDGEWAY_SHARED").and_then(|named| fs::canonicalize(named).ok());
    if let Some(shared) = shared {
        command.env("RIDGEWAY_SHARED", shared);
    }
    command
}

/// Cargo with these arguments.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = command("cargo");
    command.args(args);
    command
}

/// Whether this program can be started here.
pub(crate) fn has(program: &str) -> bool {
    answer(command(program).arg("--version")).is_some()
}

/// What a command prints when it succeeds, without the last line's end.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}

/// Says the command, runs it with its output shown, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let said = said(command);
    println!("$ {said}");
    let status = command
        .status()
        .map_err(|error| format!("cannot start '{said}': {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("'{said}' ended with {status}"))
    }
}

fn said(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
