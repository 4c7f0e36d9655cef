//! Eight edges that come back at once with what they wrote while they were alone.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use names::ScopeId;

use crate::{
    author::{self, Order},
    disk::Work,
    failure::{Outcome, must},
    figures::cpu_seconds,
    organisation::site,
    pair::{Pair, equal, ms},
    set::Depth,
};

/// Edges, as many as the rivals had clients.
pub(crate) const EDGES: usize = 8;
/// Cases of each.
const CASES: u64 = 100;

/// What came of it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ingest {
    /// Changes that the centre took.
    pub(crate) changes: u64,
    /// From the start of the edges until the centre had proved all of their scopes.
    pub(crate) ms: f64,
    /// Processor time of all nine meanwhile.
    pub(crate) cpu_s: f64,
    /// What the centre's disk was asked for.
    pub(crate) work: Work,
}

impl Ingest {
    /// Changes verified and durable at the centre, a second.
    pub(crate) fn rate(&self) -> f64 {
        self.changes as f64 * 1e3 / self.ms
    }
}

/// Lets people write at every edge, and then all edges meet the centre at once.
///
/// # Errors
/// When something cannot be carried out, or something was lost.
pub(crate) async fn run(pair: &Pair<'_>) -> Outcome<Ingest> {
    pair.clear()?;
    let mut changes = 0;
    for (number, place) in (0..EDGES).zip(0..) {
        let edge = pair.edge_of(number, None).await?;
        let order = Order {
            cases: CASES,
            first: place * CASES,
            depth: Depth::Whole,
            site: site(place),
            scopes: BTreeSet::from([ScopeId::Site(site(place))]),
        };
        changes += author::write(&edge.handle(), &order).await?.changes.len() as u64;
        edge.stop().await;
    }
    let centre = pair.centre().await?;
    let (before, opened) = (centre.work(), centre.handle().openings().0);
    let mut centre_says = centre.handle().notices();
    let address = Some(centre.address()?);
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut edges = Vec::new();
    for number in 0..EDGES {
        edges.push(pair.edge_of(number, address).await?);
    }
    equal(&centre, &mut centre_says).await?;
    let took = began.elapsed();
    let cpu_s = cpu_seconds().zip(cpu).map(|(now, then)| now - then);
    let work = centre.work().since(before);
    for edge in &edges {
        while edge.handle().waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let held: u64 = centre.stands().await?.iter().map(|row| row.count).sum();
    let each = CASES + Depth::Whole.registers(CASES);
    must(held == each * EDGES as u64, || {
        format!("the centre holds {held} documents")
    })?;
    must(work.syncs >= work.commits && opened == 0, || {
        "the centre acknowledged what was not durable".to_owned()
    })?;
    for edge in edges {
        edge.stop().await;
    }
    centre.stop().await;
    Ok(Ingest {
        changes,
        ms: ms(took),
        cpu_s: cpu_s.unwrap_or(f64::NAN),
        work,
    })
}
