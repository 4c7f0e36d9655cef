//! The lint files. Clippy reads only the nearest one, so a fence that forgot a line of the root's
//! would quietly lift it.

use std::{collections::BTreeSet, fs};

use super::{PURE, assert_none, root};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn fence(pure: &str) -> String {
    format!("shared/{pure}/.clippy.toml")
}

/// The lines that say something.
fn rules(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn every_pure_crate_has_the_same_fence() {
    let first = read(&fence(PURE[0]));
    let others = PURE.iter().filter(|pure| read(&fence(pure)) != first);
    let findings = others.map(|pure| fence(pure)).collect();
    assert_none(findings, &format!("these differ from {}:", fence(PURE[0])));
}

#[test]
fn fences_repeat_the_roots_lines() {
    let root = read(".clippy.toml");
    let mut findings = Vec::new();
    for pure in PURE {
        let text = read(&fence(pure));
        let held: BTreeSet<&str> = rules(&text).collect();
        let missing = rules(&root).filter(|rule| !held.contains(rule));
        findings.extend(missing.map(|rule| format!("{}: {rule}", fence(pure))));
    }
    assert_none(
        findings,
        "lines of the root's .clippy.toml that a fence lacks:",
    );
}

#[test]
fn every_ban_has_a_reason() {
    let files = PURE
        .iter()
        .map(|pure| fence(pure))
        .chain([".clippy.toml".to_owned()]);
    let mut findings = Vec::new();
    for file in files {
        let text = read(&file);
        let bare =
            rules(&text).filter(|rule| rule.contains("path =") && !rule.contains("reason ="));
        findings.extend(bare.map(|rule| format!("{file}: {rule}")));
    }
    assert_none(findings, "bans without a reason:");
}
