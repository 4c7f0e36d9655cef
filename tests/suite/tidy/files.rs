//! The files: where they stand, how long they are, and what none of them may say.

use super::{assert_none, texts, tracked};

/// The whole top level, besides dot-files and licences.
const TOP: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "server",
    "edge",
    "shared",
];

/// Lines of a file before its tests.
const LINES_MAX: usize = 500;

/// Files that were longer when the rule came, with their length then: they may shrink, not grow.
const LONG_BEFORE: &[(&str, usize)] = &[];

/// Words that would give a person one grade of risk, which no field, score or export may.
const GRADES: [&str; 10] = [
    "risk_level",
    "risk_grade",
    "risk_score",
    "risk_rating",
    "risklevel",
    "riskgrade",
    "riskscore",
    "riskrating",
    "high risk",
    "low risk",
];

/// First parts of host names that package clients write into files by themselves.
const MIRRORS: [&str; 9] = [
    "registry", "index", "static", "mirror", "mirrors", "deb", "security", "pypi", "files",
];

/// This file names what it forbids.
const HERE: &str = "tests/suite/tidy/files.rs";

fn is_code(name: &str) -> bool {
    [".rs", ".ts", ".tsx", ".js", ".mjs", ".sql"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Every line of the chosen files that `wrong` says something about.
fn lines(chosen: fn(&str) -> bool, wrong: fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, text) in texts().filter(|(name, _)| name != HERE && chosen(name)) {
        for (number, line) in text.lines().enumerate() {
            findings.extend(wrong(line).map(|what| format!("{name}:{}: {what}", number + 1)));
        }
    }
    findings
}

#[test]
fn the_top_level_holds_only_what_it_may() {
    let mut top: Vec<String> = tracked()
        .iter()
        .filter_map(|name| name.split('/').next())
        .filter(|top| !TOP.contains(top) && *top != "tests")
        .filter(|top| !top.starts_with('.') && !top.starts_with("LICENSE"))
        .map(str::to_owned)
        .collect();
    top.dedup();
    assert_none(top, "move these into the part they are about:");
}

/// Whether a file holds tests and nothing else.
fn is_tests(name: &str) -> bool {
    name.starts_with("tests/suite/") || name.ends_with("/tests.rs") || name.contains("/tests/")
}

/// Lines before the tests at the end of a file.
fn lines_of_code(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.iter().enumerate().position(|(at, line)| {
        let after = lines.iter().skip(at + 1);
        let mut after = after.skip_while(|line| line.starts_with("#["));
        *line == "#[cfg(test)]" && after.next().is_some_and(|line| line.starts_with("mod "))
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let mut findings = Vec::new();
    for (name, text) in texts().filter(|(name, _)| name.ends_with(".rs") && !is_tests(name)) {
        let before = LONG_BEFORE.iter().find(|(long, _)| *long == name);
        let most = before.map_or(LINES_MAX, |(_, lines)| *lines);
        let lines = lines_of_code(&text);
        if lines > most {
            findings.push(format!("{name}: {lines} lines, at most {most}"));
        }
        if before.is_some() && lines <= LINES_MAX {
            findings.push(format!("{name}: short enough now, take it off LONG_BEFORE"));
        }
    }
    assert_none(findings, "a file is one noun; give each its own:");
}

#[test]
fn tests_at_the_end_do_not_count() {
    assert_eq!(lines_of_code("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(
        lines_of_code("a\n#[cfg(test)]\n#[allow(b)]\nmod tests {\n}\n"),
        1
    );
    assert_eq!(lines_of_code("#[cfg(test)]\nuse a;\nb\nc\n"), 4);
}

#[test]
fn nothing_is_left_for_later_in_code() {
    let findings = lines(is_code, |line| {
        let marks = ["todo!", "unimplemented!", "FIXME", "XXX", "TODO"];
        marks
            .iter()
            .find(|mark| line.contains(**mark))
            .map(|mark| (*mark).to_owned())
    });
    assert_none(findings, "do it, or write an issue:");
}

/// A folder of one machine, wherever it begins a path.
fn machine_path(line: &str) -> Option<String> {
    ["/work", "/root", "/home"].iter().find_map(|folder| {
        let at = line.match_indices(folder).find(|(at, _)| {
            let before = line[..*at].chars().next_back();
            let after = line[at + folder.len()..].chars().next();
            let goes_on = |c: char| c.is_alphanumeric() || "-_.~/}".contains(c);
            !before.is_some_and(goes_on) && after.is_none_or(|c| c == '/' || !goes_on(c))
        });
        at.map(|_| format!("names {folder}"))
    })
}

#[test]
fn no_file_names_a_machines_folders() {
    let findings = lines(|_| true, machine_path);
    assert_none(findings, "a path of one machine means nothing on another:");
}

#[test]
fn machine_paths_are_told_from_routes() {
    for named in ["see /work/a", "\"/root\"", "in /home/x", "(/home/x)"] {
        assert!(machine_path(named).is_some(), "{named}");
    }
    for innocent in [
        "/workers",
        "api/v1/work",
        "$HOME/x",
        "../home/x",
        "{base}/root",
    ] {
        assert!(machine_path(innocent).is_none(), "{innocent}");
    }
}

#[test]
fn no_file_names_a_mirror() {
    let findings = lines(
        |_| true,
        |line| {
            let host = line.split("://").skip(1).find(|rest| {
                MIRRORS.iter().any(|mirror| {
                    rest.strip_prefix(mirror)
                        .is_some_and(|rest| rest.starts_with('.'))
                })
            });
            host.map(|_| "names the host a package came from".to_owned())
        },
    );
    assert_none(
        findings,
        "each machine has its own sources; leave them out:",
    );
}

#[test]
fn no_package_lock_records_where_packages_came_from() {
    let findings = lines(
        |name| name.ends_with("package-lock.json"),
        |line| {
            line.contains("\"resolved\"")
                .then(|| "\"resolved\"".to_owned())
        },
    );
    assert_none(
        findings,
        "npm install with omit-lockfile-registry-resolved=true:",
    );
}

#[test]
fn nobody_is_given_a_grade_of_risk() {
    let findings = lines(is_code, |line| {
        let line = line.to_lowercase();
        GRADES
            .iter()
            .find(|grade| line.contains(**grade))
            .map(|grade| (*grade).to_owned())
    });
    assert_none(findings, "safety is explicit facts, never one grade:");
}
