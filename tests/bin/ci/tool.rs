//! Running other programs: from the repository's root, announced, with an environment of our own.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

/// What `cargo run` sets for the program it starts. Build scripts of some dependencies ask to be
/// run again when one of these changes, so children that build must not see them.
const SET_BY_CARGO_RUN: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_",
    "CARGO_BIN_",
    "CARGO_PRIMARY_",
];

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let tests = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    tests.parent().map_or(tests.clone(), PathBuf::from)
}

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

/// The folder of shared material: `RIDGEWAY_SHARED`, or `../shared` beside the repository.
pub(crate) fn shared() -> Option<PathBuf> {
    let named = env::var_os("RIDGEWAY_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared"));
    folder.canonicalize().ok().filter(|folder| folder.is_dir())
}

/// A command that runs at the root, without what `cargo run` put into the environment.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if SET_BY_CARGO_RUN
            .iter()
            .any(|prefix| text.starts_with(prefix))
            || text == "OUT_DIR"
        {
            command.env_remove(&name);
        }
    }
    if let Some(shared) = shared() {
        command.env("RIDGEWAY_SHARED", shared);
    }
    command
}

/// `cargo` with these arguments.
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
