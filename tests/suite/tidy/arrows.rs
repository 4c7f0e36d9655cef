//! Who may know what: the table of crates, held against `cargo metadata`.
//!
//! Two pillars meet only in `node`: *meaning* (`domain`, `document`) knows nothing of peers or
//! disks, *bytes* (`protocol`, `store`) know nothing of cases. Nothing points upwards, nothing goes
//! round in a circle. A new arrow is a line here, in a commit of its own, with its reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

use super::{PURE, assert_none, printed};

/// What one crate may import.
struct Row {
    name: &'static str,
    ours: &'static [&'static str],
    /// Other people's crates, each with what it is for.
    others: &'static [(&'static str, &'static str)],
}

const TABLE: &[Row] = &[
    Row {
        name: "names",
        ours: &[],
        others: &[("serde", "ids in the API's JSON")],
    },
    Row {
        name: "domain",
        ours: &["names"],
        others: &[("serde", "commands and views as JSON")],
    },
    Row {
        name: "document",
        ours: &["names", "domain"],
        others: &[
            ("automerge", "the documents"),
            ("blake3", "derived document ids"),
            ("sha2", "the hash that names a change"),
            ("miniz_oxide", "the bounded inflater"),
        ],
    },
    Row {
        name: "protocol",
        ours: &["names"],
        others: &[
            ("minicbor", "the codec"),
            ("blake3", "digests and ids"),
            ("ed25519-dalek", "signatures"),
            ("ed25519-zebra", "many signatures checked together"),
            ("rand_core", "the form in which it takes its weights"),
            ("zeroize", "wipes the device key"),
        ],
    },
    Row {
        name: "store",
        ours: &["names"],
        others: &[
            ("redb", "the embedded store"),
            ("ring", "seals every value"),
            ("chacha20", "makes ring's nonce of a longer one"),
            ("chacha20poly1305", "the same in a browser"),
            ("blake3", "keyed names"),
            ("zeroize", "wipes keys"),
            ("postgres", "the store of a large centre, behind a feature"),
        ],
    },
    Row {
        name: "node",
        ours: &["names", "domain", "document", "protocol", "store"],
        others: &[
            ("minicbor", "the codec derive for its rows"),
            ("serde", "views as JSON"),
            ("serde_json", "summaries as it keeps them"),
        ],
    },
    Row {
        name: "runtime",
        ours: &["node"],
        others: &[
            ("tokio", "timers and sockets"),
            ("quinn", "QUIC"),
            ("rustls", "mutual TLS"),
            ("rustls-pki-types", "certificates as types"),
            ("rcgen", "makes certificates"),
            ("getrandom", "the only source of chance"),
            ("argon2", "a store key from a passphrase"),
            ("zstd", "the fill lane compressed, as the design asks"),
            ("blake3", "the keys of a backup"),
            ("chacha20poly1305", "seals backups"),
            ("curve25519-dalek", "X25519: what a backup is sealed to"),
            ("minicbor", "the codec derive for a backup's header"),
            ("zeroize", "wipes keys"),
            ("tracing", "logs without personal data"),
        ],
    },
    Row {
        name: "api",
        ours: &["names", "domain", "protocol", "node", "runtime"],
        others: &[
            ("axum", "routes"),
            ("clap", "the options that both command lines share"),
            (
                "hyper",
                "how long a request may take to be said; axum's own server does not ask",
            ),
            ("hyper-util", "hyper on tokio, as axum uses it"),
            ("serde", "bodies"),
            ("serde_json", "bodies"),
            ("tokio", "the runtime axum needs"),
            ("toml", "the configuration file"),
            ("tracing", "logs without personal data"),
            ("tracing-subscriber", "where logs go"),
        ],
    },
    Row {
        name: "edge",
        ours: &["node", "runtime", "api"],
        others: SHELL,
    },
    Row {
        name: "server",
        ours: &["node", "runtime", "api"],
        others: SHELL,
    },
];

/// What both binaries may import.
const SHELL: &[(&str, &str)] = &[
    ("argon2", "a store key from a passphrase"),
    ("axum", "the HTTP API"),
    ("clap", "arguments"),
    ("clap_complete", "shell completions"),
    ("serde", "configuration and API bodies"),
    ("serde_json", "API bodies"),
    ("tokio", "the runtime axum needs"),
    ("tracing", "logs without personal data"),
    ("x509-parser", "certificates shown to an operator"),
];

/// What any crate's own tests may import besides.
const IN_TESTS: [&str; 5] = [
    "proptest",
    "serde_json",
    "tower",
    // Signatures that no honest key makes.
    "curve25519-dalek",
    "sha2",
];

/// What brings sockets, timers or a runtime: none of it may reach a pure crate, however far away.
const IO: [&str; 8] = [
    "tokio",
    "mio",
    "socket2",
    "quinn",
    "quinn-proto",
    "quinn-udp",
    "rustls",
    "async-std",
];

/// The proof imports all and is imported by nobody else, so it has no row.
const PROOF: [&str; 2] = ["tests", "fuzz"];

/// One run of `cargo metadata` for all tests here. Only packages of this host are resolved: they
/// are the ones a build has fetched, so no network is needed.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let version = printed(Command::new("rustc").arg("-vV"));
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let args = [
        "metadata",
        "--format-version",
        "1",
        "--offline",
        "--filter-platform",
        host,
    ];
    serde_json::from_str(&printed(Command::new(env!("CARGO")).args(args))).unwrap()
});

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

/// Our packages by their short names.
fn members() -> BTreeMap<&'static str, &'static Value> {
    let ids: BTreeSet<&str> = list(&METADATA["workspace_members"]).map(text).collect();
    let ours = list(&METADATA["packages"]).filter(|package| ids.contains(text(&package["id"])));
    ours.map(|package| (short(text(&package["name"])), package))
        .collect()
}

fn short(name: &str) -> &str {
    name.strip_prefix("ridgeway-").unwrap_or(name)
}

#[test]
fn every_crate_has_one_row() {
    let rows = TABLE.iter().map(|row| row.name).chain(PROOF);
    assert_eq!(
        members().into_keys().collect::<BTreeSet<_>>(),
        rows.collect()
    );
}

#[test]
fn every_arrow_is_in_the_table() {
    let members = members();
    let mut findings = Vec::new();
    for row in TABLE {
        for arrow in list(&members[row.name]["dependencies"]) {
            let name = text(&arrow["name"]);
            let allowed = if arrow["path"].is_string() {
                row.ours.contains(&short(name))
            } else {
                let in_tests = arrow["kind"] == "dev" && IN_TESTS.contains(&name);
                in_tests || row.others.iter().any(|(other, _)| *other == name)
            };
            if !allowed {
                findings.push(format!("{} -> {name}", row.name));
            }
        }
    }
    assert_none(
        findings,
        "arrows that are not in the table of tests/suite/tidy/arrows.rs:",
    );
}

#[test]
fn nobody_imports_the_proof() {
    let is_proof = |named: &Value| PROOF.contains(&short(text(&named["name"])));
    let others = list(&METADATA["packages"]).filter(|package| !is_proof(package));
    let importers = others.filter(|package| list(&package["dependencies"]).any(is_proof));
    let findings = importers
        .map(|package| text(&package["name"]).to_owned())
        .collect();
    assert_none(
        findings,
        "these packages import the tests, which nobody may:",
    );
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    let without = members().into_iter().filter(|(_, package)| {
        let manifest = std::fs::read_to_string(text(&package["manifest_path"])).unwrap();
        !manifest.contains("[lints]\nworkspace = true")
    });
    let findings = without.map(|(name, _)| name.to_owned()).collect();
    assert_none(
        findings,
        "add '[lints] workspace = true' to the manifest of:",
    );
}

#[test]
fn no_pure_crate_reaches_a_socket() {
    let nodes: BTreeMap<&str, &Value> = list(&METADATA["resolve"]["nodes"])
        .map(|node| (text(&node["id"]), node))
        .collect();
    let names: BTreeMap<&str, &str> = list(&METADATA["packages"])
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let members = members();
    let mut findings = Vec::new();
    for pure in PURE {
        let start = text(&members[pure]["id"]);
        let mut seen = BTreeSet::new();
        let mut open = vec![(start, pure.to_owned())];
        while let Some((id, way)) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if IO.contains(&names[id]) {
                findings.push(way.clone());
            }
            for arrow in list(&nodes[id]["deps"]).filter(|arrow| is_normal(arrow)) {
                let next = text(&arrow["pkg"]);
                open.push((next, format!("{way} -> {}", names[next])));
            }
        }
    }
    assert_none(
        findings,
        "pure crates that reach what only a shell may have:",
    );
}

/// Whether an arrow is there in the finished program, not only in a test or a build script.
fn is_normal(arrow: &Value) -> bool {
    list(&arrow["dep_kinds"]).any(|kind| kind["kind"].is_null())
}
