//! The rivals on the documents that people wrote here, by this service's own commands: each in
//! processes of its own, driven by the same lines, this service among them.
//!
//! The rivals' harness is in a folder of its own (`RIVALS_DIR`, see its README.md for how it is set
//! up). What it has no set-up for is told and left out.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    child::{Child, Program},
    failure::{Outcome, failed, must},
    figures::{Spread, number},
    made::Made,
    memory::node,
    table::Row,
};

/// How often each product is measured: a run of the slowest takes a minute.
const RUNS: usize = 3;
/// Where servers listen; each product has a port of its own.
const PORT: u16 = 21_700;
/// How many times faster a first sync must be than samod's, and than automerge-repo's.
const FASTER: [f64; 2] = [12.0, 25.0];

/// A product that takes part.
struct Product {
    name: &'static str,
    port: u16,
    /// What a `sync` is told: how long, in milliseconds, to wait for a server that says nothing
    /// more.
    sync: [&'static str; 2],
}

const PRODUCTS: [Product; 3] = [
    Product {
        name: "here",
        port: PORT,
        sync: ["sync", "sync"],
    },
    Product {
        name: "samod",
        port: PORT + 1,
        sync: ["sync", "sync"],
    },
    Product {
        name: "automerge-repo",
        port: PORT + 2,
        sync: ["sync 25000", "sync 2500"],
    },
];

/// One product's run.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Until the client knew that all had arrived, and until it was stored.
    knows_ms: f64,
    stored_ms: f64,
    up: f64,
    down: f64,
    /// A reconnect with nothing changed, and its bytes both ways.
    again_ms: f64,
    again_bytes: f64,
    /// Whether the client could tell that nothing was missing then.
    again_ok: bool,
}

/// Measures every product that is set up, on the documents of a set.
///
/// # Errors
/// When this service cannot be measured. A rival that fails is told and left out.
pub(crate) fn run(folder: &Path, made: &Made) -> Outcome<Vec<Row>> {
    let data = made.store.parent().unwrap_or(folder);
    let mut rows = Vec::new();
    let mut ours = 0.0;
    for product in &PRODUCTS {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            match once(product, folder, data) {
                Ok(run) => runs.push(run),
                Err(problem) if product.port == PORT => return Err(problem),
                Err(problem) => {
                    rows.push(Row::new(product.name, format!("not measured: {problem}")));
                    break;
                }
            }
        }
        if runs.is_empty() {
            continue;
        }
        let stored = Spread::of(&runs, |run| run.stored_ms).median();
        rows.extend(rows_of(product, &runs));
        match product.name {
            "here" => ours = stored,
            name => rows.push(ratio(name, stored / ours)),
        }
    }
    Ok(rows)
}

fn rows_of(product: &Product, runs: &[Run]) -> Vec<Row> {
    let name = product.name;
    let again = if runs.iter().all(|run| run.again_ok) {
        Row::of(
            format!("{name}: reconnect, nothing changed: ms"),
            runs,
            |run| run.again_ms,
        )
    } else {
        Row::new(
            format!("{name}: reconnect, nothing changed: ms"),
            "the client cannot tell that it is over",
        )
    };
    vec![
        Row::of(
            format!("{name}: first sync: ms until all is stored"),
            runs,
            |run| run.stored_ms,
        ),
        Row::of("  ms until the client knows", runs, |run| run.knows_ms),
        Row::of("  bytes up", runs, |run| run.up),
        Row::of("  bytes down", runs, |run| run.down),
        again,
        Row::of("  bytes, both ways", runs, |run| run.again_bytes),
    ]
}

fn ratio(name: &str, times: f64) -> Row {
    let [samod, repo] = FASTER;
    let least = if name == "samod" { samod } else { repo };
    let measure = format!("first sync here is so many times faster than {name}'s");
    Row::new(measure, number(times)).at_least(times, least)
}

/// The programs of a product's server and client.
fn programs(product: &Product, place: &Path, data: &Path) -> Outcome<[Program; 2]> {
    let (server, client) = (place.join("s"), place.join("c"));
    if product.name == "here" {
        let port = product.port;
        return Ok([
            node("server", port, &server, data)?,
            node("client", port, &client, data)?,
        ]);
    }
    let rivals = env::var_os("RIVALS_DIR").map(PathBuf::from);
    let rivals = rivals.ok_or("RIVALS_DIR does not say where the rivals' harness is set up")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (file, folder, needs) = if product.name == "samod" {
        let file = rivals.join("floor/target/release/rivals-floor");
        (file.clone(), rivals, file)
    } else {
        let folder = rivals.join("node");
        let needs = folder.join("node_modules");
        (PathBuf::from("node"), folder, needs)
    };
    must(needs.exists(), || {
        format!("{} is not there: see the harness's README", needs.display())
    })?;
    let words = |side: &str| match (product.name, side) {
        ("samod", side) => format!("samod-{side}"),
        (_, side) => format!("{side}.mjs"),
    };
    let port = product.port.to_string();
    Ok([
        Program {
            file: file.clone(),
            words: vec![words("server"), port.clone(), text(&server)],
            folder: folder.clone(),
        },
        Program {
            file,
            words: vec![words("client"), port, text(&client), text(data)],
            folder,
        },
    ])
}

/// One run: everything is at the client, nothing at the server.
fn once(product: &Product, folder: &Path, data: &Path) -> Outcome<Run> {
    let place = folder.join(format!("rival-{}", product.name));
    let _ = fs::remove_dir_all(&place);
    for side in ["s", "c"] {
        fs::create_dir_all(place.join(side)).map_err(failed("a folder"))?;
    }
    let [server, client] = programs(product, &place, data)?;
    // Imported by a process of its own: what it then has open is no part of a sync.
    let mut importing = Child::start(&client, &place.join("import.log"))?;
    importing.ask("import")?;
    importing.stop();
    let mut server = Child::start(&server, &place.join("server.log"))?;
    let mut client = Child::start(&client, &place.join("client.log"))?;
    client.ask("load")?;
    let [first, again] = product.sync;
    let before = server.ask("stats")?;
    let said = client.ask(first)?;
    let stored = server.ask("flush")?;
    let after = server.ask("stats")?;
    let mut run = Run {
        knows_ms: figure(&said, "ms"),
        stored_ms: figure(&said, "ms"),
        up: figure(&after, "bytes_in") - figure(&before, "bytes_in"),
        down: figure(&after, "bytes_out") - figure(&before, "bytes_out"),
        ..Run::default()
    };
    // What was acknowledged here is durable; the others store on after they have answered.
    if product.name != "here" {
        let stored_ms = (figure(&stored, "t") - figure(&said, "t0")) / 1e6;
        run.stored_ms = run.stored_ms.max(stored_ms);
    }
    client.ask("disconnect")?;
    let before = server.ask("stats")?;
    let said = client.ask(again)?;
    server.ask("flush")?;
    let after = server.ask("stats")?;
    run.again_ms = figure(&said, "ms");
    run.again_ok = said.get("ok").and_then(Value::as_bool) == Some(true);
    let bytes = |name: &str| figure(&after, name) - figure(&before, name);
    run.again_bytes = bytes("bytes_in") + bytes("bytes_out");
    client.stop();
    server.stop();
    Ok(run)
}

fn figure(said: &Value, name: &str) -> f64 {
    said.get(name).and_then(Value::as_f64).unwrap_or_default()
}
