//! Tidy: what must hold of the repository itself, as ordinary tests.
//!
//! [`arrows`] holds the crates against the table of who may know what, [`fences`] the lint files
//! against each other, [`files`] every file against the rules of the house, [`mutants`] the list of
//! mutants against the files they are about. Each test reports all it found, one line per finding,
//! with what to do.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod arrows;
mod fences;
mod files;
mod mutants;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The crates without clock, chance, thread, file or socket; each has a fence.
const PURE: [&str; 6] = ["names", "domain", "document", "protocol", "store", "node"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every file that is, or is about to be, part of the repository, by its path from the root.
fn tracked() -> Vec<String> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let names = printed(Command::new("git").args(list));
    let names = names.split('\0').filter(|name| !name.is_empty());
    names
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect()
}

/// The tracked files that are text, with their content.
fn texts() -> impl Iterator<Item = (String, String)> {
    tracked().into_iter().filter_map(|name| {
        let text = std::fs::read_to_string(root().join(&name)).ok()?;
        Some((name, text))
    })
}

fn printed(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn assert_none(findings: Vec<String>, what_to_do: &str) {
    assert!(
        findings.is_empty(),
        "{what_to_do}\n  {}\n",
        findings.join("\n  ")
    );
}
