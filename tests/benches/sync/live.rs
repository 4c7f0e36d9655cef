//! What one person writes at one edge while another edge is in touch: how long until it is durable
//! there, by way of the centre.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use harness::chance::Chance;
use node::Target;

use crate::{
    author::ask,
    failure::{Outcome, must},
    made::Made,
    measure::must_have,
    organisation::site,
    pair::{PATIENCE, Pair, equal, ms, rest},
    set::{SEED, one_more_note},
    station::{Station, unchanged},
};

/// Notes written, each in a case of its own that nobody has opened since the nodes were started.
const NOTES: usize = 100;
/// The three must have been still for so long before the next note: a summary of the last one
/// would stand in its way.
const STILL: Duration = Duration::from_millis(40);
/// How often it is looked whether a note has come.
const LOOK: Duration = Duration::from_millis(2);

/// One note's way.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    /// From the asking until it was durable at the other edge.
    pub(crate) through_ms: f64,
    /// From the asking until it was durable where it was written.
    pub(crate) saved_ms: f64,
    /// The three commits on the way.
    pub(crate) commits_ms: f64,
}

/// Writes notes at one edge while a second one is in touch; both hold the whole set, and so does
/// the centre.
///
/// # Errors
/// When something cannot be carried out, or something was lost.
pub(crate) async fn run(pair: &Pair<'_>, made: &Made) -> Outcome<Vec<Note>> {
    fill(pair, made).await?;
    // Started anew, so that no document is held open anywhere.
    let centre = pair.centre().await?;
    let address = Some(centre.address()?);
    let mut edges = Vec::new();
    for number in [0, 1] {
        let edge = pair.edge_of(number, address).await?;
        wait_equal(&edge).await?;
        rest(&edge, &centre).await?;
        edges.push(edge);
    }
    let [from, to] = edges.as_slice() else {
        return Err("two edges are needed".to_owned());
    };
    let chosen: Vec<_> = made.written.cases.iter().take(NOTES).collect();
    let mut chance = Chance::new(SEED, "live");
    let (mut notes, mut changes) = (Vec::new(), BTreeSet::new());
    for case in &chosen {
        still(&[from, &centre, to]).await?;
        let step = one_more_note(&mut chance)?;
        let began = Instant::now();
        let saved = ask(&from.handle(), &site(0), Target::Document(**case), step).await?;
        changes.extend(saved.change);
        notes.push(follow(began, [from, &centre, to]).await?);
    }
    still(&[from, &centre, to]).await?;
    for station in [to, &centre] {
        must_have(station, &chosen, &changes).await?;
    }
    for edge in edges {
        edge.stop().await;
    }
    centre.stop().await;
    Ok(notes)
}

/// The set goes from the first edge to the centre and from there to the second.
async fn fill(pair: &Pair<'_>, made: &Made) -> Outcome<()> {
    pair.begin_from(&made.store)?;
    let centre = pair.centre().await?;
    let (first, _) = pair.meet(&centre, None, made.held).await?;
    first.stop().await;
    let second = pair.edge_of(1, Some(centre.address()?)).await?;
    wait_equal(&second).await?;
    rest(&second, &centre).await?;
    second.stop().await;
    centre.stop().await;
    Ok(())
}

async fn wait_equal(edge: &Station) -> Outcome<()> {
    let mut says = edge.handle().notices();
    if !edge.is_proved().await? {
        equal(edge, &mut says).await?;
    }
    Ok(())
}

/// Waits until none of them has written anything for a while.
async fn still(stations: &[&Station]) -> Outcome<()> {
    let look = || -> Vec<_> { stations.iter().map(|station| station.work()).collect() };
    unchanged(STILL, look).await.map(|_| ())
}

/// Waits for the first commit of each after a moment: the note's own, since all were still.
async fn follow(began: Instant, stations: [&Station; 3]) -> Outcome<Note> {
    loop {
        let commits = stations.map(|station| station.meter().first_after(began));
        if let [Some(from), Some(centre), Some(to)] = commits {
            return Ok(Note {
                through_ms: ms(to.at - began),
                saved_ms: ms(from.at - began),
                commits_ms: ms(from.took + centre.took + to.took),
            });
        }
        must(began.elapsed() < PATIENCE, || {
            "a note did not come to the other edge".to_owned()
        })?;
        tokio::time::sleep(LOOK).await;
    }
}
