//! Documents that a node has set aside, since it ended again and again while one was opened.
//!
//! Nothing in this world brings a node down by being opened; but disks that fail and plugs that are
//! pulled can hit the same opening four times. Then the document must be taken up again by itself,
//! so nothing is at rest before it is.

use std::collections::BTreeSet;

use names::DocumentId;
use node::{
    Target,
    views::{self, Opening},
};

use crate::{oracle::Oracle, people::Asked, station::Station, trace::station_name, world::World};

/// How often a node must have ended before it may set a document aside, as its documentation
/// says; written here again, so that a node that gives up sooner is noticed.
const ENDS_MIN: u64 = 4;

/// What has been set aside, by station.
#[derive(Debug, Default)]
pub(crate) struct Aside(BTreeSet<(usize, DocumentId)>);

impl World {
    /// A node says that it has set a document aside. A copy of an edge has its marks.
    pub(crate) fn set_aside(&mut self, number: usize, document: DocumentId) {
        let edge = number
            .checked_sub(1)
            .and_then(|edge| self.plan.edges.get(edge));
        let of = edge.and_then(|edge| edge.copy_of);
        let lives = [Some(number), of.map(|edge| edge + 1)]
            .into_iter()
            .flatten();
        let lives = lives.filter_map(|number| self.stations.get(number));
        let ends: u64 = lives.map(|station| station.life / 2).sum();
        if ends < ENDS_MIN {
            let name = station_name(number);
            let words = format!("{name} sets {document} aside after {ends} ends");
            return self.fail(Oracle::Opens, words);
        }
        self.tally.set_aside += 1;
        self.aside.0.insert((number, document));
    }

    /// Whether something was asked of a document that its node has said to be set aside.
    pub(crate) fn is_known_aside(&self, asked: &Asked) -> bool {
        match asked.request.target {
            Target::Document(document) => self.aside.0.contains(&(asked.station, document)),
            Target::New(_) => false,
        }
    }

    /// A document that is still set aside somewhere, in words.
    pub(crate) fn still_aside(&self) -> Option<String> {
        let mut all = self.aside.0.iter();
        let (number, document) = all.find(|(number, document)| {
            let snapshot = self.stations.get(*number).and_then(Station::snapshot);
            let opening = snapshot.map(|snapshot| views::opening_of(&snapshot, *document));
            !matches!(
                opening,
                None | Some(Ok(Opening::Opened | Opening::Unopened))
            )
        })?;
        let name = station_name(*number);
        Some(format!("{name} has set {document} aside"))
    }
}
