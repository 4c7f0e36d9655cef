//! What runs amounted to: figures of one, totals and medians of many.

use std::{collections::BTreeMap, fmt, io::Write as _, time::Duration};

use names::Reason;

use crate::{disk::Crashed, faults::FaultKind};

/// Says something that is to be read even when a test passes: a count, or what was left out. What
/// `println!` prints is captured then; this is not. A reader who has gone away does not matter.
pub fn say(words: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{words}");
}

/// What happened in one run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Acts of people.
    pub acts: u64,
    /// Questions sent again.
    pub resent: u64,
    /// Commands that were called saved.
    pub saved: u64,
    /// Faults that took effect.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Turns, and those that wrote something.
    pub turns: u64,
    /// See `turns`.
    pub commits: u64,
    /// Starts after the first.
    pub restarts: u64,
    /// Documents that were set aside since openings of them were cut off too often.
    pub set_aside: u64,
    /// What became of unsynced writes when the power was cut.
    pub crashed: Crashed,
    /// Wires opened.
    pub connections: u64,
    /// Frames that arrived, and their bytes.
    pub frames: u64,
    /// See `frames`.
    pub frame_bytes: u64,
    /// Frames that went down with their wire.
    pub frames_lost: u64,
    /// Changes that edges sent the centre because it had missed them.
    pub filled: u64,
    /// Changes that the centre sent edges because they had missed them.
    pub filled_down: u64,
    /// Repairs begun, the batches of cells that they took, and documents that they named.
    pub repairs: u64,
    /// See `repairs`.
    pub sketched: u64,
    /// See `repairs`.
    pub repaired: u64,
    /// Conversations closed by a node, by reason.
    pub closes: BTreeMap<Reason, u64>,
    /// What nodes did not take, by reason.
    pub refused: BTreeMap<Reason, u64>,
    /// Transfers of cases, and rulings on such as were made at the same time.
    pub transfers: u64,
    /// See `transfers`.
    pub rulings: u64,
    /// Rulings on what two copies of a running program wrote as one author.
    pub branches: u64,
    /// Repairs before the last act, in which one is certain.
    pub repairs_in_life: u64,
    /// Documents of which one side refused something, on which both agreed.
    pub exceptions: u64,
    /// Documents at the centre in the end, and changes in them.
    pub documents: u64,
    /// See `documents`.
    pub changes: u64,
    /// Entries lost with the only disk that held them: outside the budget, and counted.
    pub gone: u64,
    /// Parts that revoked devices handed in, and changes let in of them that were new.
    pub handed_in: u64,
    /// See `handed_in`.
    pub let_in: u64,
    /// Conversations of revoked devices that were broken off on purpose, and writes that they
    /// refused once they had heard.
    pub broken_off: u64,
    /// See `broken_off`.
    pub refused_late: u64,
    /// Entries that bear a mark at the centre since they came late, and entries that nobody has let
    /// in.
    pub marked: u64,
    /// See `marked`.
    pub held: u64,
    /// Devices that have destroyed their keys, and of which the centre knows that.
    pub purged: u64,
    /// See `purged`.
    pub told_purged: u64,
    /// Entries that were said to be at the centre, looked up there at that moment.
    pub receipts: u64,
    /// Entries of which somebody looked and was told that they are backed up.
    pub backed_up: u64,
    /// Virtual time, in milliseconds: the whole run, and from the last fault to the proof.
    pub virtual_ms: i64,
    /// See `virtual_ms`.
    pub settling_ms: i64,
}

impl Tally {
    /// Whether the run reached all that a run is for: a repair, an exception, and a disk that was
    /// replaced by an older copy.
    pub fn counts(&self) -> bool {
        let restores = [FaultKind::Restore, FaultKind::RestoreEdge];
        let is_restored = restores.iter().any(|kind| self.faults.contains_key(kind));
        self.repairs_in_life > 0 && self.exceptions > 0 && is_restored
    }

    /// Acts and faults together.
    pub fn steps(&self) -> u64 {
        self.acts + self.faults.values().sum::<u64>()
    }

    /// Faults between the receipt of an input and the release of its answer.
    pub fn before_release(&self) -> u64 {
        let counted = self
            .faults
            .iter()
            .filter(|(kind, _)| kind.is_before_release());
        counted.map(|(_, count)| count).sum()
    }
}

/// What many runs amounted to.
#[derive(Debug, Default)]
pub struct Totals {
    runs: Vec<(Tally, Duration)>,
}

impl Totals {
    /// Adds a run and the time it took.
    pub fn add(&mut self, tally: Tally, took: Duration) {
        self.runs.push((tally, took));
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Runs that reached all that a run is for.
    pub fn counted(&self) -> usize {
        self.runs.iter().filter(|(tally, _)| tally.counts()).count()
    }

    /// How often each kind of fault took effect.
    pub fn fired(&self) -> BTreeMap<FaultKind, u64> {
        let mut fired: BTreeMap<FaultKind, u64> =
            FaultKind::ALL.into_iter().map(|kind| (kind, 0)).collect();
        for (kind, count) in self.runs.iter().flat_map(|(tally, _)| &tally.faults) {
            *fired.entry(*kind).or_default() += count;
        }
        fired
    }

    /// What became of unsynced writes in all runs.
    pub fn crashed(&self) -> Crashed {
        let all = self.runs.iter().map(|(tally, _)| tally.crashed);
        all.fold(Crashed::default(), Crashed::with)
    }

    /// One figure of every run, summed up.
    pub fn all(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.runs.iter().map(|(tally, _)| of(tally)).sum()
    }

    /// What came of the work of revoked devices.
    fn say_of_revoked(&self, row: &mut Row<'_>) -> fmt::Result {
        row("parts that were handed in", self.column(|t| t.handed_in))?;
        row("hand-ins broken off", self.column(|t| t.broken_off))?;
        row("changes let in late", self.column(|t| t.let_in))?;
        row("entries marked as late", self.column(|t| t.marked))?;
        row("entries that nobody let in", self.column(|t| t.held))?;
        row("writes refused as revoked", self.column(|t| t.refused_late))?;
        row("devices purged", self.column(|t| t.purged))?;
        row(
            "  of which the centre knows",
            self.column(|t| t.told_purged),
        )
    }

    fn column(&self, of: impl Fn(&Tally) -> u64) -> Column {
        let mut values: Vec<u64> = self.runs.iter().map(|(tally, _)| of(tally)).collect();
        values.sort_unstable();
        Column(values)
    }
}

/// Says one row of the table: its name, and the figure of every run.
type Row<'r> = dyn FnMut(&str, Column) -> fmt::Result + 'r;

/// One figure of every run, in order.
struct Column(Vec<u64>);

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |index: usize| self.0.get(index).copied().unwrap_or(0);
        let (least, median) = (at(0), at(self.0.len() / 2));
        let most = at(self.0.len().saturating_sub(1));
        let total: u64 = self.0.iter().sum();
        write!(f, "{median:>9} {least:>9} {most:>9} {total:>12}")
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: i64| u64::try_from(ms / 1_000).unwrap_or(0);
        let heading = "per seed";
        writeln!(
            f,
            "  {heading:<34} {:>9} {:>9} {:>9} {:>12}",
            "median", "least", "most", "all"
        )?;
        let mut row = |name: &str, column: Column| writeln!(f, "  {name:<34} {column}");
        row("steps (acts of people, faults)", self.column(Tally::steps))?;
        let faults = self.column(|t| t.faults.values().sum());
        row("faults that took effect", faults)?;
        row(
            "  between receipt and release",
            self.column(Tally::before_release),
        )?;
        row("commands called saved", self.column(|t| t.saved))?;
        row("questions sent again", self.column(|t| t.resent))?;
        row("commits of all nodes", self.column(|t| t.commits))?;
        row("starts after a stop or crash", self.column(|t| t.restarts))?;
        row("documents set aside", self.column(|t| t.set_aside))?;
        row("unsynced writes kept", self.column(|t| t.crashed.kept))?;
        row("unsynced writes lost", self.column(|t| t.crashed.lost))?;
        row("unsynced writes torn", self.column(|t| t.crashed.torn))?;
        row("wires opened", self.column(|t| t.connections))?;
        row("frames", self.column(|t| t.frames))?;
        row(
            "frames lost with their wire",
            self.column(|t| t.frames_lost),
        )?;
        row("changes filled in at the centre", self.column(|t| t.filled))?;
        row("changes filled in at edges", self.column(|t| t.filled_down))?;
        row("repairs", self.column(|t| t.repairs))?;
        row("batches of cells for them", self.column(|t| t.sketched))?;
        row("documents they named", self.column(|t| t.repaired))?;
        row("exceptions agreed on", self.column(|t| t.exceptions))?;
        row("cases transferred", self.column(|t| t.transfers))?;
        row("rulings on transfers", self.column(|t| t.rulings))?;
        row("rulings on branches", self.column(|t| t.branches))?;
        row("documents at the centre", self.column(|t| t.documents))?;
        row("changes at the centre", self.column(|t| t.changes))?;
        row("entries lost with their only disk", self.column(|t| t.gone))?;
        self.say_of_revoked(&mut row)?;
        let receipts = self.column(|t| t.receipts);
        row("receipts looked up at the centre", receipts)?;
        row("  looked up in its backups", self.column(|t| t.backed_up))?;
        row("virtual seconds", self.column(|t| seconds(t.virtual_ms)))?;
        row(
            "virtual seconds until proved",
            self.column(|t| seconds(t.settling_ms)),
        )?;
        let mut wall: Vec<u128> = self.runs.iter().map(|(_, took)| took.as_millis()).collect();
        wall.sort_unstable();
        let wall = wall
            .into_iter()
            .map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
        row("milliseconds of this machine", Column(wall.collect()))?;
        for (kind, count) in self.fired() {
            writeln!(f, "  fault {:<28} {count:>42}", kind.name())?;
        }
        let mut refused: BTreeMap<Reason, u64> = BTreeMap::new();
        for (reason, count) in self.runs.iter().flat_map(|(tally, _)| &tally.refused) {
            *refused.entry(*reason).or_default() += count;
        }
        for (reason, count) in refused {
            writeln!(f, "  not taken: {:<23} {count:>42}", reason.name())?;
        }
        Ok(())
    }
}
