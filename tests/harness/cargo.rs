//! Starting other programs from one that cargo runs.

use std::{env, path::PathBuf, process::Command};

/// What cargo tells a program that it runs, about that program. Build scripts of some dependencies
/// look at it, and would run again, with everything that depends on them.
const ABOUT_THE_PROGRAM: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_",
    "CARGO_BIN_",
    "CARGO_PRIMARY_",
];

/// The repository's root.
pub fn root() -> PathBuf {
    let tests = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    tests.parent().map_or(tests.clone(), PathBuf::from)
}

/// A command that runs at the root, without what cargo has told this program of itself.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_about = |prefix: &&str| text.starts_with(*prefix);
        if ABOUT_THE_PROGRAM.iter().any(is_about) || text == "OUT_DIR" {
            command.env_remove(&name);
        }
    }
    command
}

/// A file of the shared material, where there is one: below `RIDGEWAY_SHARED`, or in `../shared`
/// beside the repository.
pub fn shared(file: &str) -> Option<PathBuf> {
    let named = env::var_os("RIDGEWAY_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared"));
    Some(folder.join(file)).filter(|file| file.is_file())
}

/// The recorded trace that the suite replays, within the shared material.
pub const TRACE: &str = "traces/friendsforever.json.gz";

/// Set by `cargo ci` where there is no JavaScript: what needs it is then left out, and says so.
pub const NO_JAVASCRIPT: &str = "RIDGEWAY_NO_JAVASCRIPT";
