//! What was measured, beside the floors and the rivals, and whether it is good enough.
//!
//! Floors and rivals are quoted from the measurement of the rivals (`reference/rivals.md`): the
//! same set size, another machine on another day. They are in no way measured here.

use crate::{
    figures::{Spread, number},
    measure::{Far, Measured},
    pair::Meeting,
    table::Row,
};

/// The cases that the rivals were measured with.
pub(crate) const RIVALS_CASES: u64 = 1_000;
/// The saved form of the rivals' documents, in bytes.
pub(crate) const RIVALS_SAVED: f64 = 2_279_337.0;
/// The round trip of the long path, in milliseconds.
pub(crate) const ROUND_TRIP_MS: f64 = 50.0;
/// How far a count of round trips may be off a whole number and still be that number: threads are
/// woken late on a busy machine.
const TRIP_TOLERANCE: f64 = 0.25;

/// The bars that a later issue sets.
mod bar {
    /// First sync, in milliseconds, on a disk without extra delay.
    pub(super) const FIRST_MS: f64 = 300.0;
    /// Calls of `sync_data` for every turn that wrote: fewer, and something was acknowledged that
    /// was not durable.
    pub(super) const SYNCS_PER_TURN: f64 = 1.0;
    /// Reconnect, in milliseconds.
    pub(super) const AGAIN_MS: f64 = 5.0;
    /// Reconnect, in bytes of frames in both directions.
    pub(super) const AGAIN_BYTES: f64 = 400.0;
    /// Reconnect, in round trips after the handshake.
    pub(super) const AGAIN_TRIPS: f64 = 1.0;
    /// Reconnect, in `sync_data` calls of both, apart from those of the openings.
    pub(super) const AGAIN_SYNCS: f64 = 0.0;
    /// Ten and ten, in milliseconds.
    pub(super) const APART_MS: f64 = 20.0;
    /// Ten and ten, in round trips after the handshake.
    pub(super) const APART_TRIPS: f64 = 2.0;
    /// Ten and ten, in bytes: so many times the changes and signatures, and so much more.
    pub(super) const APART_BYTES: (f64, f64) = (1.5, 500.0);
}

/// One disk's table of the three meetings. `saved` is the saved form of the set, in bytes; `times`
/// how many times the rivals' set it is.
pub(crate) fn meetings(is_plain: bool, measured: &Measured, saved: u64, times: f64) -> Vec<Row> {
    let most_ms = is_plain.then_some(bar::FIRST_MS * times.max(1.0));
    let mut rows = first(&measured.first, most_ms, saved as f64);
    rows.extend(reconnects(measured));
    rows.extend(apart(&measured.apart));
    if let Some(far) = &measured.far {
        rows.extend(trips(measured, far));
        rows.extend(far_ms(far));
    }
    rows
}

/// One disk's table of reconnects alone.
pub(crate) fn reconnects_alone(measured: &Measured) -> Vec<Row> {
    let mut rows = reconnects(measured);
    if let Some(far) = &measured.far {
        rows.push(again_trips(&measured.again, far));
        rows.push(again_far_ms(far));
    }
    rows
}

fn reconnects(measured: &Measured) -> Vec<Row> {
    let mut rows = again(&measured.again);
    rows.extend(both_again(&measured.both_again));
    rows
}

/// What every meeting keeps to. That nothing is opened in order to agree is asserted where it is
/// measured: who misses it does not come here.
fn promises(runs: &[Meeting]) -> Vec<Row> {
    let calls = |run: &Meeting| {
        let (wrote, syncs) = run.durable;
        if wrote == 0 {
            f64::INFINITY
        } else {
            syncs as f64 / wrote as f64
        }
    };
    let wrote = runs.iter().any(|run| run.durable.0 > 0);
    let least = runs.iter().map(calls).fold(f64::INFINITY, f64::min);
    let measure = "  both: sync_data calls for each turn that wrote";
    let durable = if wrote {
        let some: Vec<Meeting> = runs
            .iter()
            .filter(|run| run.durable.0 > 0)
            .copied()
            .collect();
        Row::of(measure, &some, calls).at_least(least, bar::SYNCS_PER_TURN)
    } else {
        Row::new(measure, "no turn wrote")
    };
    vec![
        durable,
        Row::new("  both: documents opened before the proof", 0).so("= 0", true),
    ]
}

/// How far summaries are behind the proof. That none is behind in the end is asserted.
fn lag(runs: &[Meeting]) -> Vec<Row> {
    vec![
        Row::of("  summaries made after the proof", runs, |run| {
            run.summaries as f64
        }),
        Row::of(
            "  summaries' lag: ms until the last was kept",
            runs,
            |run| run.quiet_ms - run.proved_ms,
        ),
    ]
}

fn up(meeting: &Meeting) -> f64 {
    meeting.bytes().0 as f64
}

fn down(meeting: &Meeting) -> f64 {
    meeting.bytes().1 as f64
}

fn both_ways(meeting: &Meeting) -> f64 {
    up(meeting) + down(meeting)
}

/// Calls of `sync_data` at both while they spoke: the openings are not among them.
fn syncs_after_opening(meeting: &Meeting) -> f64 {
    let [_, proving, after] = meeting.edge;
    let [taking, later] = meeting.centre;
    (proving.syncs + after.syncs + taking.syncs + later.syncs) as f64
}

/// Bytes of one lane, up and down, as medians.
fn lane(measure: &str, runs: &[Meeting], index: usize) -> Row {
    let of = |run: &Meeting| run.traffic.get(index).copied().unwrap_or_default();
    let sent = Spread::of(runs, |run| of(run).sent as f64);
    let received = Spread::of(runs, |run| of(run).received as f64);
    let (sent, received) = (number(sent.median()), number(received.median()));
    Row::new(measure, format!("{sent} / {received}"))
}

/// What went by the lanes that carry something here, and what the disks were asked for.
fn details(runs: &[Meeting]) -> Vec<Row> {
    let [control, fill] = [0, 2];
    let committing = |work: crate::disk::Work| work.committing_us as f64 / 1e3;
    vec![
        lane("  bytes of the control lane, up / down", runs, control),
        lane("  bytes of the fill lane, up / down", runs, fill),
        Row::of("  centre: sync_data calls until proved", runs, |run| {
            run.centre[0].syncs as f64
        })
        .floor("1"),
        Row::of("  centre: ms in the commits until then", runs, |run| {
            committing(run.centre[0])
        }),
        Row::of("  edge: sync_data calls until proved", runs, |run| {
            run.edge[1].syncs as f64
        }),
        Row::of("  edge: ms in the commits until then", runs, |run| {
            committing(run.edge[1])
        }),
        Row::of("  both: sync_data calls after the proof", runs, |run| {
            (run.centre[1].syncs + run.edge[2].syncs) as f64
        }),
        Row::of("  ms until all is quiet", runs, |run| run.quiet_ms),
    ]
}

fn first(runs: &[Meeting], most_ms: Option<f64>, saved: f64) -> Vec<Row> {
    let measure = "first sync: ms until proved, all acknowledged";
    let total = match most_ms {
        Some(most) => Row::judged(measure, runs, |run| run.proved_ms, most),
        None => Row::of(measure, runs, |run| run.proved_ms),
    };
    let mut rows = vec![
        total.floor("43").rival("893 (PouchDB)"),
        Row::of("  of which handshake", runs, |run| run.linked_ms).floor("0.9"),
        Row::of("  before it: the edge's opening", runs, |run| {
            run.opening_ms
        }),
        Row::of("  CPU s of both until proved", runs, |run| run.cpu_s)
            .floor("0.016")
            .rival("0.94 (PouchDB)"),
        Row::judged("  bytes of frames up", runs, up, saved)
            .floor("2,279,337")
            .rival("2,609,394 (samod)"),
        Row::of("  bytes of frames down", runs, down)
            .floor("8")
            .rival("55,727 (PouchDB)"),
    ];
    rows.extend(details(runs));
    rows.extend(promises(runs));
    rows.extend(lag(runs));
    rows
}

fn again(runs: &[Meeting]) -> Vec<Row> {
    let measure = "reconnect, edge restarted: ms until proved";
    let mut rows = vec![
        Row::judged(measure, runs, |run| run.proved_ms, bar::AGAIN_MS)
            .floor("0.91")
            .rival("25 (PouchDB)"),
        Row::of("  of which handshake", runs, |run| run.linked_ms).floor("0.9"),
        Row::of("  until the centre has proved it too", runs, |run| {
            run.both_ms
        }),
        Row::of("  before it: the edge's opening", runs, |run| {
            run.opening_ms
        }),
        Row::judged(
            "  bytes of frames, both ways",
            runs,
            both_ways,
            bar::AGAIN_BYTES,
        )
        .floor("34")
        .rival("5,119 (PouchDB)"),
        Row::of("  edge: sync_data calls of its opening", runs, |run| {
            run.edge[0].syncs as f64
        }),
        Row::judged(
            "  both: sync_data calls after that",
            runs,
            syncs_after_opening,
            bar::AGAIN_SYNCS,
        )
        .floor("0"),
    ];
    rows.extend(promises(runs));
    rows
}

fn both_again(runs: &[Meeting]) -> Vec<Row> {
    let measure = "reconnect, both restarted: ms until proved";
    vec![
        Row::judged(measure, runs, |run| run.proved_ms, bar::AGAIN_MS)
            .floor("0.91")
            .rival("191 (PouchDB)"),
        Row::judged(
            "  bytes of frames, both ways",
            runs,
            both_ways,
            bar::AGAIN_BYTES,
        )
        .floor("34")
        .rival("11,082 (PouchDB, 10,000 cases)"),
        Row::judged(
            "  both: sync_data calls after the openings",
            runs,
            syncs_after_opening,
            bar::AGAIN_SYNCS,
        )
        .floor("0"),
    ]
}

fn apart(measured: &[(Meeting, u64)]) -> Vec<Row> {
    let runs: Vec<Meeting> = measured.iter().map(|(run, _)| *run).collect();
    let needed = Spread::of(measured, |(_, bytes)| *bytes as f64);
    let (times, more) = bar::APART_BYTES;
    let most = needed.median() * times + more;
    let measure = "10 + 10 changed: ms until proved, all acknowledged";
    let mut rows = vec![
        Row::judged(measure, &runs, |run| run.proved_ms, bar::APART_MS)
            .floor("3.7")
            .rival("69 (PouchDB)"),
        Row::of("  of which handshake", &runs, |run| run.linked_ms).floor("0.9"),
        Row::of("  until the centre has proved it too", &runs, |run| {
            run.both_ms
        }),
        Row::judged("  bytes of frames, both ways", &runs, both_ways, most)
            .floor("7,567")
            .rival("75,061 (PouchDB)"),
        Row::new("  bytes of the changes and signatures", &needed),
        Row::of(
            "  frames, times changes and signatures",
            measured,
            |(run, bytes)| both_ways(run) / (*bytes).max(1) as f64,
        ),
    ];
    rows.extend(details(&runs));
    rows.extend(promises(&runs));
    rows.extend(lag(&runs));
    rows
}

/// What the long path adds to the least, in units of its round trip.
fn added(near: &[Meeting], far: &[Meeting], of: fn(&Meeting) -> f64) -> f64 {
    let more = Spread::of(far, of).least() - Spread::of(near, of).least();
    let trips = more.max(0.0) / ROUND_TRIP_MS;
    let whole = trips.round();
    if (trips - whole).abs() <= TRIP_TOLERANCE {
        whole
    } else {
        trips
    }
}

/// Round trips after the handshake and with it, in words, and the former.
fn trips_of(near: &[Meeting], far: &[Meeting]) -> (String, f64) {
    let after = added(near, far, Meeting::after_handshake_ms);
    let all = added(near, far, |run| run.proved_ms);
    (format!("{}; {} with it", number(after), number(all)), after)
}

fn again_trips(near: &[Meeting], far: &Far) -> Row {
    let (words, after) = trips_of(near, &far.again);
    Row::new("reconnect: round trips after the handshake", words)
        .bar(after, bar::AGAIN_TRIPS)
        .floor("1 with it (0-RTT)")
        .rival("8 requests (PouchDB)")
}

fn trips(measured: &Measured, far: &Far) -> Vec<Row> {
    let apart: Vec<Meeting> = measured.apart.iter().map(|(run, _)| *run).collect();
    let (first, _) = trips_of(&measured.first, &far.first);
    let (ten, ten_trips) = trips_of(&apart, &far.apart);
    vec![
        Row::new("first sync: round trips after the handshake", first).rival("about 94 (PouchDB)"),
        again_trips(&measured.again, far),
        Row::new("10 + 10 changed: round trips after the handshake", ten)
            .bar(ten_trips, bar::APART_TRIPS)
            .floor("1 with it (0-RTT)")
            .rival("about 14 (PouchDB)"),
    ]
}

fn again_far_ms(far: &Far) -> Row {
    Row::of("reconnect at a 50 ms round trip: ms", &far.again, |run| {
        run.proved_ms
    })
    .floor("50-100")
    .rival("1,393 (Hocuspocus)")
}

/// Milliseconds over the long path.
fn far_ms(far: &Far) -> Vec<Row> {
    let row = |measure: &str, runs: &[Meeting]| Row::of(measure, runs, |run| run.proved_ms);
    vec![
        row("first sync at a 50 ms round trip: ms", &far.first).rival("2,143 (Hocuspocus)"),
        again_far_ms(far),
        row("10 + 10 changed at a 50 ms round trip: ms", &far.apart)
            .floor("50-100")
            .rival("767 (PouchDB)"),
    ]
}
