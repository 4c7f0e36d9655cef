//! What nodes with many documents take in memory, and how large the programs are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    child::{Child, Program},
    failure::{Outcome, failed},
    idle,
    table::Row,
};

/// Memory that a centre with a hundred thousand cases may take, in MiB: a target.
const CENTRE_MIB: f64 = 150.0;
/// Memory that an edge with three thousand may take, in MiB: a target.
const EDGE_MIB: f64 = 40.0;
/// The size of each program, in MiB: a target.
const PROGRAM_MIB: f64 = 20.0;
/// Cases at the edge.
pub(crate) const EDGE_CASES: u64 = 3_000;
/// Where the two speak with one another; nobody else may meanwhile.
const PORT: u16 = 21_600;

/// This program as a node behind the line protocol.
///
/// # Errors
/// When it cannot be told where this program lies.
pub(crate) fn node(side: &str, port: u16, folder: &Path, data: &Path) -> Outcome<Program> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let port = port.to_string();
    Ok(Program {
        file: env::current_exe().map_err(failed("this program"))?,
        words: vec![
            "--speak".to_owned(),
            side.to_owned(),
            port,
            text(folder),
            text(data),
        ],
        folder: folder.to_owned(),
    })
}

/// A centre in a process of its own that holds the documents of `centre`, met by an edge in
/// another that holds the same ones in `edge`. Answers what both take, and what they cost when they
/// have nothing more to say.
///
/// # Errors
/// When something cannot be carried out.
pub(crate) fn pair(folder: &Path, centre: &Path, edge: &Path, title: &str) -> Outcome<Vec<Row>> {
    let (server, client) = (folder.join("m-server"), folder.join("m-client"));
    for place in [&server, &client] {
        let _ = fs::remove_dir_all(place);
        fs::create_dir_all(place).map_err(failed("a folder"))?;
    }
    fs::copy(centre, server.join("centre.redb")).map_err(failed("the centre's store"))?;
    fs::copy(edge, client.join("edge-0.redb")).map_err(failed("the edge's store"))?;
    let log = |name: &str| folder.join(name);
    let mut centre = Child::start(&node("server", PORT, &server, &server)?, &log("server.log"))?;
    let started = centre.memory();
    let mut edge = Child::start(&node("client", PORT, &client, &client)?, &log("client.log"))?;
    edge.ask("sync")?;
    edge.ask("flush")?;
    centre.ask("flush")?;
    let rows = [
        (
            format!("{title}: centre, when started"),
            started,
            CENTRE_MIB,
        ),
        (
            format!("{title}: centre, after a reconnect"),
            centre.memory(),
            CENTRE_MIB,
        ),
        (
            format!("{title}: edge, after a reconnect"),
            edge.memory(),
            EDGE_MIB,
        ),
    ];
    let mut rows: Vec<Row> = rows
        .map(|(name, memory, most)| row(&name, memory, most))
        .into();
    rows.extend(idle::rows(title, &centre, &edge));
    edge.stop();
    centre.stop();
    Ok(rows)
}

fn row(measure: &str, memory: Option<(f64, f64)>, most: f64) -> Row {
    let measure = format!("{measure}: MiB resident, and at most so far");
    match memory {
        Some((now, peak)) => Row::new(measure, format!("{now:.1}, {peak:.1}"))
            .bar(peak, most)
            .only_a_target(),
        None => Row::new(measure, "not told by this system"),
    }
}

/// The sizes of both programs, if they were built for release: without what is in them for
/// debuggers, as they would be installed.
pub(crate) fn programs(folder: &Path) -> Vec<Row> {
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let release = scratch.parent().unwrap_or(&scratch).join("release");
    let mut rows = Vec::new();
    for name in ["ridgeway-server", "ridgeway-edge"] {
        let measure = format!("{name}: MiB of the release program, stripped");
        let (program, stripped) = (release.join(name), folder.join(name));
        rows.push(match size(&program, &stripped) {
            Some(mib) => Row::new(measure, format!("{mib:.1}"))
                .bar(mib, PROGRAM_MIB)
                .only_a_target(),
            None => Row::new(measure, "not built for release, or no `strip` here"),
        });
    }
    rows
}

fn size(program: &Path, stripped: &Path) -> Option<f64> {
    let strip = Command::new("strip")
        .arg("-o")
        .arg(stripped)
        .arg(program)
        .output();
    strip.ok().filter(|done| done.status.success())?;
    let about = fs::metadata(stripped).ok()?;
    Some(about.len() as f64 / f64::from(1 << 20))
}
