//! What a supervisor and a scraper ask. No personal data, no token.

use std::fmt::{self, Write as _};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use node::names::ScopeId;
use serde::Serialize;

use crate::{
    Api,
    problem::Problem,
    record::{LaneTally, Tally},
};

/// That the program runs.
#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
}

/// The program runs and answers.
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health {
        status: "alive",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// The node takes turns: commands and views are answered. Nothing is asked of it for this, since
/// anybody may ask, as often as they like.
pub(crate) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    api.record().ready()?;
    Ok(Json(Health {
        status: "ready",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// Counters in the text form of Prometheus.
pub(crate) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let tally = api.record().tally().await?;
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write(&mut text, &tally);
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, form)], text).into_response())
}

fn write(out: &mut String, tally: &Tally) -> fmt::Result {
    family(out, "build_info", "gauge", "The program's version.")?;
    writeln!(
        out,
        "ridgeway_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    )?;
    let help = "Turns taken since the start.";
    single(out, "turns_total", "counter", help, tally.turns)?;
    let help = "Turns that wrote something.";
    single(out, "commits_total", "counter", help, tally.commits)?;
    let help = "Frames by lane and direction.";
    lanes(out, "frames_total", help, tally, |lane| lane.frames)?;
    let help = "Bytes of frames by lane and direction.";
    lanes(out, "frame_bytes_total", help, tally, |lane| lane.bytes)?;
    family(
        out,
        "refusals_total",
        "counter",
        "What was not taken or done, by reason.",
    )?;
    for (reason, count) in &tally.refusals {
        writeln!(
            out,
            "ridgeway_refusals_total{{reason=\"{reason}\"}} {count}"
        )?;
    }
    let help = "Entries written here that the centre has not yet said it holds.";
    single(out, "waiting_entries", "gauge", help, tally.waiting)?;
    scopes(out, tally)?;
    single(
        out,
        "links",
        "gauge",
        "Conversations under way.",
        tally.links,
    )
}

fn lanes(
    out: &mut String,
    name: &str,
    help: &str,
    tally: &Tally,
    value: impl Fn(&LaneTally) -> u64,
) -> fmt::Result {
    family(out, name, "counter", help)?;
    for lane in &tally.lanes {
        let (which, direction, value) = (lane.lane, lane.direction, value(lane));
        let labels = format_args!("lane=\"{which}\",direction=\"{direction}\"");
        writeln!(out, "ridgeway_{name}{{{labels}}} {value}")?;
    }
    Ok(())
}

fn scopes(out: &mut String, tally: &Tally) -> fmt::Result {
    family(
        out,
        "scope_documents",
        "gauge",
        "Documents by scope; caseloads together.",
    )?;
    let mut caseloads = 0;
    for (scope, count) in &tally.documents {
        match scope {
            // A worker's code is about a person, so it is no label.
            ScopeId::Caseload(_) => caseloads += count,
            ScopeId::Directory | ScopeId::Site(_) | ScopeId::Compartment(..) => {
                writeln!(out, "ridgeway_scope_documents{{scope=\"{scope}\"}} {count}")?;
            }
        }
    }
    writeln!(
        out,
        "ridgeway_scope_documents{{scope=\"caseloads\"}} {caseloads}"
    )
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(
        out,
        "# HELP ridgeway_{name} {help}\n# TYPE ridgeway_{name} {kind}"
    )
}

fn single(out: &mut String, name: &str, kind: &str, help: &str, value: u64) -> fmt::Result {
    family(out, name, kind, help)?;
    writeln!(out, "ridgeway_{name} {value}")
}
