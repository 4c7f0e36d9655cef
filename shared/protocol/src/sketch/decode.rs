//! From the difference of two sketches to the items that only one side has.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    fmt,
};

use names::{DocumentId, Reason};

use super::{
    CELLS_MAX,
    cell::Cell,
    item::{Item, Marked, SketchKey},
    mapping::Indices,
};

/// Steps, which is items taken out of cells, allowed for each cell that has come. Of two sets
/// there are fewer items than cells, and an item is in 20 cells of [`CELLS_MAX`] in the mean; only
/// items that were searched for to be in more can need as many.
pub(super) const STEPS_PER_CELL_MAX: usize = 32;

/// Takes the differences of two sketches' cells in order, in batches of any length, and finds the
/// items that only one side has.
///
/// It peels, as the paper calls it: a cell with one item in it gives that item away, which is then
/// taken out of the other cells that it is in, also of those still to come, whereby more cells
/// come to have one item. A queue says which to look at, so that all work together grows with the
/// number of items taken out of cells. The answer does not depend on how the cells were batched.
///
/// Whatever the cells, it holds at most [`CELLS_MAX`] of them, finds at most as many items as cells
/// have come (about 8 MB in all), and takes at most 32 steps and as many hashes for each cell that
/// has come, over all batches together.
pub struct Decoder {
    key: SketchKey,
    cells: Vec<Cell>,
    /// How many of these are not empty.
    unsolved: usize,
    found: Vec<Found>,
    known: BTreeSet<Item>,
    /// For each item found the next cell that it is in and that is still to come.
    later: BinaryHeap<Reverse<(usize, usize)>>,
    /// Cells to look at, within one batch.
    queue: BTreeSet<usize>,
    pub(super) steps: usize,
    failed: Option<Unsolvable>,
}

/// An item found.
struct Found {
    marked: Marked,
    /// 1 if it is ours, -1 if it is theirs.
    side: i64,
    /// The cells out of which it has not been taken yet.
    indices: Indices,
}

/// What the cells taken so far say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// More cells are needed: [`super::cells_next`] says how many.
    More,
    /// This is the whole difference.
    Complete(Differing),
}

/// The items that only one side has, each list ascending.
///
/// A peer that makes up its cells can make up what is in here, so whoever reads it asks its own
/// store whether it has the items that are said to be its own.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Differing {
    /// Those that only we have.
    pub ours: Vec<Item>,
    /// Those that only they have.
    pub theirs: Vec<Item>,
}

impl Differing {
    /// The documents that differ: changed, missing here or missing there.
    pub fn documents(&self) -> BTreeSet<DocumentId> {
        let both = self.ours.iter().chain(&self.theirs);
        both.map(Item::document).collect()
    }
}

/// Why cells have no answer. The exact list takes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Unsolvable {
    /// Not even [`CELLS_MAX`] cells sufficed, or more were sent.
    TooManyCells,
    /// No two sets have these cells under this key.
    Contradiction,
    /// The items were chosen so as to make work.
    TooMuchWork,
}

impl Unsolvable {
    /// The reason for counters and frames.
    pub fn reason(self) -> Reason {
        match self {
            Unsolvable::TooManyCells | Unsolvable::TooMuchWork => Reason::TooLarge,
            Unsolvable::Contradiction => Reason::Malformed,
        }
    }
}

impl fmt::Display for Unsolvable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsolvable::TooManyCells => "the sketches differ in more than cells can tell",
            Unsolvable::Contradiction => "the cells contradict each other",
            Unsolvable::TooMuchWork => "the cells take too many steps",
        })
    }
}

impl std::error::Error for Unsolvable {}

impl Decoder {
    /// A decoder for cells under `key`, before the first.
    pub fn new(key: SketchKey) -> Decoder {
        Decoder {
            key,
            cells: Vec::new(),
            unsolved: 0,
            found: Vec::new(),
            known: BTreeSet::new(),
            later: BinaryHeap::new(),
            queue: BTreeSet::new(),
            steps: 0,
            failed: None,
        }
    }

    /// How many cells it has taken, which is the index of the one that it takes next.
    pub fn position(&self) -> usize {
        self.cells.len()
    }

    /// Takes the next cells, ours less theirs ([`super::subtract`]). Whoever has the whole
    /// difference stops there: it is put together anew for each answer.
    ///
    /// # Errors
    /// [`Unsolvable`] when no further cells can help; from then on always the same.
    pub fn take(&mut self, cells: &[Cell]) -> Result<Answer, Unsolvable> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let answer = self
            .append(cells)
            .and_then(|()| self.peel())
            .and_then(|()| self.answer());
        self.failed = answer.as_ref().err().copied();
        answer
    }

    /// Takes in cells, without the items that are known to be in them.
    fn append(&mut self, cells: &[Cell]) -> Result<(), Unsolvable> {
        let from = self.cells.len();
        if cells.len() > CELLS_MAX - from {
            return Err(Unsolvable::TooManyCells);
        }
        self.cells.extend_from_slice(cells);
        self.unsolved += cells.iter().filter(|cell| !cell.is_empty()).count();
        self.queue.extend(from..self.cells.len());
        while let Some(Reverse((index, number))) = self.later.peek().copied()
            && index < self.cells.len()
        {
            self.later.pop();
            self.take_out(number)?;
        }
        Ok(())
    }

    /// Looks at every queued cell, and at those that this changes, until none gives an item away.
    fn peel(&mut self) -> Result<(), Unsolvable> {
        while let Some(index) = self.queue.pop_first() {
            let Some(found) = self.single(index) else {
                continue;
            };
            let number = self.found.len();
            let full = number >= self.cells.len();
            if full || !self.known.insert(found.marked.item) {
                return Err(Unsolvable::Contradiction);
            }
            self.found.push(found);
            self.take_out(number)?;
            // Unless the item really belongs to the cell that gave it away, it is still there.
            if !self.cells.get(index).is_some_and(Cell::is_empty) {
                return Err(Unsolvable::Contradiction);
            }
        }
        Ok(())
    }

    /// The item in a cell, if there is one alone. A sum of several passes for one with
    /// probability 2^-64.
    fn single(&self, index: usize) -> Option<Found> {
        let cell = self.cells.get(index)?;
        if cell.count.unsigned_abs() != 1 {
            return None;
        }
        let marked = self.key.mark(&Item(cell.sum));
        (marked.check == cell.check).then(|| Found {
            indices: marked.indices(),
            marked,
            side: cell.count,
        })
    }

    /// Takes an item found out of all cells that have come and in which it still is.
    fn take_out(&mut self, number: usize) -> Result<(), Unsolvable> {
        let steps_max = self.cells.len() * STEPS_PER_CELL_MAX;
        let Some(found) = self.found.get_mut(number) else {
            return Ok(());
        };
        while let Some(index) = found.indices.peek() {
            let Some(cell) = self.cells.get_mut(index) else {
                self.later.push(Reverse((index, number)));
                break;
            };
            if self.steps >= steps_max {
                return Err(Unsolvable::TooMuchWork);
            }
            self.steps += 1;
            self.unsolved -= usize::from(!cell.is_empty());
            cell.put(&found.marked, found.side.wrapping_neg());
            self.unsolved += usize::from(!cell.is_empty());
            if cell.count.unsigned_abs() == 1 {
                self.queue.insert(index);
            }
            found.indices.next();
        }
        Ok(())
    }

    /// What stands when nothing is left to peel. Every item is in cell 0: once that is empty all
    /// are found, and whatever is left elsewhere is not of this world.
    fn answer(&self) -> Result<Answer, Unsolvable> {
        match self.cells.first() {
            None => Ok(Answer::More),
            Some(_) if self.unsolved == 0 => Ok(Answer::Complete(self.differing())),
            Some(first) if first.is_empty() => Err(Unsolvable::Contradiction),
            Some(_) if self.cells.len() >= CELLS_MAX => Err(Unsolvable::TooManyCells),
            Some(_) => Ok(Answer::More),
        }
    }

    fn differing(&self) -> Differing {
        let side = |side| {
            let found = self.found.iter().filter(|found| found.side == side);
            let mut items: Vec<Item> = found.map(|found| found.marked.item).collect();
            items.sort_unstable();
            items
        };
        Differing {
            ours: side(1),
            theirs: side(-1),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("cells", &self.cells.len())
            .field("unsolved", &self.unsolved)
            .field("found", &self.found.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
