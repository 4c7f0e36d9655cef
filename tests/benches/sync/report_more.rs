//! The tables of what is measured besides the three meetings.

use crate::{
    figures::{Spread, number},
    ingest::Ingest,
    large::{FORGOTTEN, Found, Large},
    live::Note,
    report::{ROUND_TRIP_MS, reconnects_alone},
    table::Row,
};

/// The bars.
mod bar {
    /// Round trips until the documents that differ are named.
    pub(super) const FOUND_TRIPS: f64 = 2.0;
    /// Bytes of frames until then. The exact list of a hundred thousand documents has 4.8 MB, so
    /// whoever keeps to this has used the sketch.
    pub(super) const FOUND_BYTES: f64 = 20_000.0;
    /// A note may be on its way for so many milliseconds besides the three commits.
    pub(super) const LIVE_MS: f64 = 3.0;
    /// Changes a second from eight edges: a target.
    pub(super) const INGEST: f64 = 10_000.0;
}

/// A hundred thousand documents.
pub(crate) fn large(measured: &Large) -> Vec<Row> {
    let mut rows = reconnects_alone(&measured.measured);
    let [near, far] = &measured.restored;
    rows.extend(behind("restored from its backup", near, far));
    let [near, far] = &measured.older;
    rows.extend(behind("back to an older file", near, far));
    rows
}

/// A centre that is a hundred documents behind, after so much: by a comparison if there had to be
/// one, else by the cursors alone.
fn behind(how: &str, near: &[Found], far: &[Found]) -> Vec<Row> {
    let compares = near.iter().all(|found| found.named.is_some());
    let known = |found: &Found| found.named.or(found.told);
    let found_ms = |found: &Found| known(found).map_or(found.equal_ms, |(ms, _)| ms);
    let found_bytes = |found: &Found| match found.named {
        Some((_, bytes)) => bytes as f64,
        // By cursors nothing is said but what is not in the fill.
        None => found.control_bytes as f64,
    };
    let after = |found: &Found| found_ms(found) - found.linked_ms;
    let way = if compares {
        "by its sketch"
    } else {
        "by cursors, nothing to compare"
    };
    let mut rows = vec![
        Row::new(
            format!("centre {how}, {FORGOTTEN} documents behind: found"),
            way,
        ),
        Row::of("  ms until found (by cursors: until told)", near, found_ms),
        Row::of("  of which handshake", near, |found| found.linked_ms),
        Row::of("  ms until both are equal", near, |found| found.equal_ms),
        Row::of("  bytes of frames in all, both ways", near, |found| {
            found.bytes as f64
        }),
    ];
    if !far.is_empty() {
        let more = Spread::of(far, after).least() - Spread::of(near, after).least();
        // By halves: what is known at the centre has not come back to the edge.
        let trips = (more.max(0.0) / ROUND_TRIP_MS * 2.0).round() / 2.0;
        rows.extend([
            Row::new(
                "  round trips after the handshake until found",
                number(trips),
            )
            .bar(trips, bar::FOUND_TRIPS),
            // On the long path nothing that follows is sent before the count is read.
            Row::judged(
                "  bytes of frames until found",
                far,
                found_bytes,
                bar::FOUND_BYTES,
            ),
            Row::of(
                "  at a 50 ms round trip: ms until both are equal",
                far,
                |found| found.equal_ms,
            ),
        ]);
    }
    rows
}

/// Notes on their way from one edge to the other.
pub(crate) fn live(notes: &[Note]) -> Vec<Row> {
    let commits = Spread::of(notes, |note| note.commits_ms);
    let through = Spread::of(notes, |note| note.through_ms);
    let most = commits.median() + bar::LIVE_MS;
    vec![
        Row::new(
            "live note: ms until durable at the other edge, p50",
            number(through.median()),
        )
        .bar(through.median(), most)
        .floor("4.2 (a sync at each hop)")
        .rival("1.53 (Hocuspocus, not durable)"),
        Row::new("  p90", number(through.part(0.9))),
        Row::new("  p99", number(through.part(0.99))),
        Row::new("  of it three commits, p50", number(commits.median())),
        Row::of("  besides the commits", notes, |note| {
            note.through_ms - note.commits_ms
        }),
        Row::of("  until durable where it was written", notes, |note| {
            note.saved_ms
        }),
    ]
}

/// Eight edges at once.
pub(crate) fn ingest(runs: &[Ingest]) -> Vec<Row> {
    let rate = Spread::of(runs, Ingest::rate);
    vec![
        Row::new(
            "ingest from 8 edges: changes a second, verified and durable",
            &rate,
        )
        .at_least(rate.median(), bar::INGEST)
        .only_a_target()
        .floor("16,900")
        .rival("958 (Hocuspocus)"),
        Row::of("  changes", runs, |run| run.changes as f64),
        Row::of("  ms until the centre has proved all eight", runs, |run| {
            run.ms
        }),
        Row::of("  CPU s of all nine until then", runs, |run| run.cpu_s),
        Row::of("  changes for each of these CPU s", runs, |run| {
            run.changes as f64 / run.cpu_s
        }),
        Row::of("  centre: commits", runs, |run| run.work.commits as f64),
        Row::of("  centre: sync_data calls", runs, |run| {
            run.work.syncs as f64
        }),
        Row::of("  centre: ms in the commits", runs, |run| {
            run.work.committing_us as f64 / 1e3
        }),
    ]
}
