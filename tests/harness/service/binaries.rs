//! The two binaries, built by the cargo that runs us.

use std::{path::PathBuf, process::Stdio, sync::OnceLock};

use serde_json::Value;

use crate::cargo;

/// Where the binaries are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `ridgeway-server`.
    pub server: PathBuf,
    /// `ridgeway-edge`.
    pub edge: PathBuf,
}

impl Binaries {
    /// Builds them, once per process; what cargo has to say goes to stderr.
    ///
    /// # Errors
    /// When they do not build.
    pub fn build() -> Result<&'static Binaries, String> {
        static BUILT: OnceLock<Result<Binaries, String>> = OnceLock::new();
        BUILT.get_or_init(build).as_ref().map_err(Clone::clone)
    }
}

/// This package is named too, so that dependencies have the features they were already built
/// with; only the two programs are built.
const ARGUMENTS: [&str; 13] = [
    "build",
    "--quiet",
    "--message-format=json-render-diagnostics",
    "-p",
    "ridgeway-tests",
    "-p",
    "ridgeway-server",
    "-p",
    "ridgeway-edge",
    "--bin",
    "ridgeway-server",
    "--bin",
    "ridgeway-edge",
];

fn build() -> Result<Binaries, String> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = cargo::command(&program);
    command
        .args(ARGUMENTS)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err("the binaries do not build; cargo has said why".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Binaries {
        server: find(&messages, "server")?,
        edge: find(&messages, "edge")?,
    })
}

/// The program that cargo says it has built.
fn find(messages: &str, which: &str) -> Result<PathBuf, String> {
    let name = format!("ridgeway-{which}");
    let built = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let named = message.get("target")?.get("name")?.as_str()? == name;
        let path = message.get("executable")?.as_str()?;
        named.then(|| PathBuf::from(path))
    });
    built.ok_or_else(|| format!("cargo did not say where {name} is"))
}
