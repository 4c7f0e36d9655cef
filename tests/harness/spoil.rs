//! Violations planted on purpose, one for each oracle that might otherwise be blind: negative
//! controls. A harness that notices none of them proves nothing.

use domain::Command;
use store::{Batch, Snapshot as _, Store as _, Table};

use crate::{people::MARKER, world::World};

impl World {
    /// Makes every so-manieth sync of every disk a lie.
    pub fn let_disks_lie(&mut self, every: u64) {
        self.stations
            .iter()
            .for_each(|station| station.disk.lie_every(every));
    }

    /// The authority will grant an edge the scope of a site that is not its own, and the plan does
    /// not know. Only before the world begins.
    pub fn misgrant(&mut self, edge: usize, site: usize) {
        if let Some(scope) = self.plan.scope(site) {
            self.authority.misgrant(edge, scope);
        }
    }

    /// An edge never reaches the centre. Only before the world begins.
    pub fn bury_path(&mut self, edge: usize) {
        self.network.bury(edge);
    }

    /// What people typed stands in plain on a station's disk.
    pub fn leak(&mut self, station: usize) {
        if let Some(station) = self.stations.get(station) {
            station.disk.leak(MARKER);
        }
    }

    /// A station's store loses one stored bundle behind the node's back. Whether it did.
    pub fn lose_a_bundle(&mut self, station: usize) -> bool {
        let now = self.agenda.now();
        let lost = self.stations.get_mut(station).and_then(|station| {
            station.stop().ok()?;
            let mut store = station.open_store().ok()?;
            let page = store.snapshot().ok()?.names(Table::Bundle, None, 1).ok()?;
            let row = page.rows.into_iter().next()?;
            let mut batch = Batch::new();
            batch.delete(Table::Bundle, row.name, row.position);
            store.commit(batch).ok()?;
            store.into_inner().close().ok()?;
            station.start(now, &[]).ok()
        });
        lost.is_some()
    }

    /// The centre's store loses all that was handed in to it, behind the node's back. Whether there
    /// was something.
    pub fn lose_what_was_handed_in(&mut self) -> bool {
        let now = self.agenda.now();
        let lost = self.stations.first_mut().and_then(|station| {
            station.stop().ok()?;
            let mut store = station.open_store().ok()?;
            let mut batch = Batch::new();
            store::each(&store.snapshot().ok()?, Table::Review, |row| {
                batch.delete(Table::Review, row.name, row.position);
            })
            .ok()?;
            let is_something = !batch.is_empty();
            store.commit(batch).ok()?;
            store.into_inner().close().ok()?;
            station.start(now, &[]).ok()?;
            Some(is_something)
        });
        lost == Some(true)
    }

    /// Nobody remembers to have let anything in. Whether somebody had.
    pub fn forget_who_let_in(&mut self) -> bool {
        self.review.forget_who_let_in()
    }

    /// Somebody remembers another number than the one that was typed. Whether there was one.
    pub fn misremember(&mut self) -> bool {
        let mut numbers = self.population.kept_mut().iter_mut().filter_map(|kept| {
            let remembered = !kept.gone;
            match &mut kept.command {
                Command::TakeCash { pence, .. }
                | Command::PayOut { pence, .. }
                | Command::CountCash { pence } => Some(pence),
                Command::HeadCount { people } => Some(people),
                _ => None,
            }
            .filter(|_| remembered)
        });
        numbers.next().map(|number| *number += 1).is_some()
    }
}
