//! The measurements of one disk: first sync, reconnect with nothing changed, ten and ten changed.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use harness::chance::Chance;
use names::ChangeHash;
use node::{Target, names::DocumentId};

use crate::{
    author::{ask, changes_in},
    failure::{Outcome, failed, must},
    made::Made,
    organisation::site,
    pair::{Meeting, Pair, recompute},
    path::Path,
    set::{SEED, one_more_note},
    station::Station,
};

/// Documents that change at each of the two nodes while they are apart.
pub(crate) const CHANGED: usize = 10;
/// Bytes of a signature.
const SIGNATURE_BYTES: u64 = 64;
/// How long a datagram takes on the long path: half of the 50 ms that the rivals were measured
/// with.
pub(crate) const EACH_WAY: Duration = Duration::from_millis(25);

/// All that was measured on one disk.
#[derive(Default)]
pub(crate) struct Measured {
    /// First syncs to an empty centre.
    pub(crate) first: Vec<Meeting>,
    /// Reconnects after the edge alone was started again.
    pub(crate) again: Vec<Meeting>,
    /// Reconnects after both were.
    pub(crate) both_again: Vec<Meeting>,
    /// Reconnects after ten documents had changed at each, with the bytes that had to move.
    pub(crate) apart: Vec<(Meeting, u64)>,
    /// The same over a long path.
    pub(crate) far: Option<Far>,
}

/// What was measured over a long path.
#[derive(Default)]
pub(crate) struct Far {
    /// One first sync.
    pub(crate) first: Vec<Meeting>,
    /// Reconnects after the edge alone was started again.
    pub(crate) again: Vec<Meeting>,
    /// Reconnects after ten documents had changed at each.
    pub(crate) apart: Vec<Meeting>,
}

/// What is measured, and where from.
pub(crate) struct Bench<'b> {
    /// The nodes.
    pub(crate) pair: Pair<'b>,
    /// What the first edge holds.
    pub(crate) made: &'b Made,
    /// How often everything is measured.
    pub(crate) runs: usize,
}

impl Bench<'_> {
    /// Measures everything; over the long path, too, where there is one.
    ///
    /// # Errors
    /// When something cannot be carried out, or something was lost.
    pub(crate) async fn run(&self, path: Option<&Path>) -> Outcome<Measured> {
        let mut measured = Measured::default();
        for run in 0..self.runs {
            let (centre, meeting) = self.first(None).await?;
            measured.first.push(meeting);
            if run == 0 {
                recompute(&centre).await?;
            }
            centre.stop().await;
        }
        self.reconnect(&mut measured).await?;
        let centre = self.pair.centre().await?;
        for run in 0..self.runs {
            measured.apart.push(self.apart(&centre, run, None).await?);
        }
        recompute(&centre).await?;
        centre.stop().await;
        if let Some(path) = path {
            measured.far = Some(self.far(path).await?);
        }
        Ok(measured)
    }

    /// Reconnects with nothing changed.
    async fn reconnect(&self, measured: &mut Measured) -> Outcome<()> {
        let centre = self.pair.centre().await?;
        for _ in 0..self.runs {
            measured.again.push(self.meet(&centre, None).await?);
        }
        centre.stop().await;
        for _ in 0..self.runs {
            let centre = self.pair.centre().await?;
            measured.both_again.push(self.meet(&centre, None).await?);
            centre.stop().await;
        }
        Ok(())
    }

    /// Reconnects alone, of two that have met before.
    ///
    /// # Errors
    /// When something cannot be carried out, or something was lost.
    pub(crate) async fn reconnects(&self, path: Option<&Path>) -> Outcome<Measured> {
        let mut measured = Measured::default();
        self.reconnect(&mut measured).await?;
        if let Some(path) = path {
            let mut far = Far::default();
            let centre = self.pair.centre().await?;
            for _ in 0..self.runs {
                far.again
                    .push(self.meet(&centre, lead(Some(path), &centre)?).await?);
            }
            centre.stop().await;
            measured.far = Some(far);
        }
        Ok(measured)
    }

    /// Lets the edge meet the centre and stops it again.
    async fn meet(&self, centre: &Station, through: Option<SocketAddr>) -> Outcome<Meeting> {
        let documents = self.made.held;
        let (edge, meeting) = self.pair.meet(centre, through, documents).await?;
        edge.stop().await;
        Ok(meeting)
    }

    /// A first sync: everything is at the edge, nothing at the centre, which is left running.
    pub(crate) async fn first(&self, path: Option<&Path>) -> Outcome<(Station, Meeting)> {
        self.pair.begin_from(&self.made.store)?;
        let centre = self.pair.centre().await?;
        let meeting = self.meet(&centre, lead(path, &centre)?).await?;
        let [taking, _] = meeting.centre;
        must(taking.commits > 0 && taking.syncs >= taking.commits, || {
            "the centre acknowledged what it had not made durable".to_owned()
        })?;
        let (runs, _) = meeting.announced;
        // A document that stands in two scopes is announced in both.
        let is_once = self.made.held == self.made.size.documents;
        let least = self.made.size.changes;
        must(runs == least || runs > least && !is_once, || {
            format!("{runs} runs were announced for {least}")
        })?;
        Ok((centre, meeting))
    }

    /// Ten cases get a note at the edge, ten others one at the centre, and then they meet. Also
    /// answers how many bytes these notes are as changes, with their signatures.
    async fn apart(
        &self,
        centre: &Station,
        run: usize,
        path: Option<&Path>,
    ) -> Outcome<(Meeting, u64)> {
        let cases = self.made.written.cases.iter().cycle();
        let chosen: Vec<_> = cases.skip(run * 2 * CHANGED).take(2 * CHANGED).collect();
        let (here, there) = chosen.split_at(CHANGED);
        let mut chance = Chance::new(SEED, &format!("apart {run} {}", path.is_some()));
        let edge = self.pair.edge(None).await?;
        let mut changes = write_notes(&edge, here, &mut chance).await?;
        edge.stop().await;
        changes.append(&mut write_notes(centre, there, &mut chance).await?);
        let through = lead(path, centre)?;
        let documents = self.made.held;
        let (edge, meeting) = self.pair.meet(centre, through, documents).await?;
        let bytes = must_have(&edge, &chosen, &changes).await?;
        must_have(centre, &chosen, &changes).await?;
        edge.stop().await;
        let [taking, _] = meeting.centre;
        let [_, taken, _] = meeting.edge;
        must(taking.syncs > 0 && taken.syncs > 0, || {
            "something was acknowledged that was not durable".to_owned()
        })?;
        let signatures = changes.len() as u64 * SIGNATURE_BYTES;
        Ok((meeting, bytes + signatures))
    }

    /// The three over the long path. Where the path is what takes the time, one first sync says
    /// enough.
    async fn far(&self, path: &Path) -> Outcome<Far> {
        let (centre, first) = self.first(Some(path)).await?;
        let (mut again, mut apart) = (Vec::new(), Vec::new());
        for run in 0..self.runs {
            again.push(self.meet(&centre, lead(Some(path), &centre)?).await?);
            apart.push(self.apart(&centre, run, Some(path)).await?.0);
        }
        centre.stop().await;
        Ok(Far {
            first: vec![first],
            again,
            apart,
        })
    }
}

/// Leads a path to the centre; answers what the edge has to dial.
pub(crate) fn lead(path: Option<&Path>, centre: &Station) -> Outcome<Option<SocketAddr>> {
    let address = centre.address()?;
    Ok(path.map(|path| path.lead_to(address)))
}

/// Writes one note in each of some cases.
pub(crate) async fn write_notes(
    at: &Station,
    cases: &[&DocumentId],
    chance: &mut Chance,
) -> Outcome<BTreeSet<ChangeHash>> {
    let mut changes = BTreeSet::new();
    for case in cases {
        let target = Target::Document(**case);
        let saved = ask(&at.handle(), &site(0), target, one_more_note(chance)?).await?;
        changes.extend(saved.change);
    }
    must(changes.len() == cases.len(), || {
        "a note was not written".to_owned()
    })?;
    at.caught_up().await?;
    Ok(changes)
}

/// Some documents at a node must hold all of these changes; answers their bytes.
pub(crate) async fn must_have(
    at: &Station,
    documents: &[&DocumentId],
    changes: &BTreeSet<ChangeHash>,
) -> Outcome<u64> {
    let (mut count, mut bytes) = (0, 0);
    for document in documents {
        let file = at.handle().export(**document).await;
        let (more, more_bytes) = changes_in(&file.map_err(failed("an export"))?, changes)?;
        count += more;
        bytes += more_bytes;
    }
    must(count == changes.len() as u64, || {
        format!("{count} of {} notes are there", changes.len())
    })?;
    Ok(bytes)
}
