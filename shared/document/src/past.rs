//! What a change builds on, directly or not.
//!
//! An actor's changes form one line, so all that is in a change's past is, for each actor, the
//! beginning of a line, and a number says how long it is. These are kept for every change; they
//! share what is the same in most of them.

use std::sync::Arc;

/// Lines on one page: a busy case has a dozen or two, so that two pages hold them.
const PAGE: usize = 16;

/// For each line, by its number, how many of its changes are in the past.
#[derive(Clone, Default)]
pub(crate) struct Past {
    pages: Vec<Arc<[u32; PAGE]>>,
}

impl Past {
    /// How many changes of a line are in it.
    pub(crate) fn reach(&self, line: usize) -> usize {
        let page = self.pages.get(line / PAGE);
        let reach = page.and_then(|page| page.get(line % PAGE)).copied();
        reach.and_then(|reach| reach.try_into().ok()).unwrap_or(0)
    }

    /// Takes in the first `reach` changes of a line. There are never 2^32 of them: each has an
    /// operation, and operations are counted up to less.
    pub(crate) fn extend(&mut self, line: usize, reach: usize) {
        let number = line / PAGE;
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, Arc::default);
        }
        let page = self.pages.get_mut(number).map(Arc::make_mut);
        if let Some(kept) = page.and_then(|page| page.get_mut(line % PAGE)) {
            *kept = (*kept).max(u32::try_from(reach).unwrap_or(u32::MAX));
        }
    }

    /// Takes in another past.
    pub(crate) fn join(&mut self, other: &Past) {
        for (mine, theirs) in self.pages.iter_mut().zip(&other.pages) {
            if Arc::ptr_eq(mine, theirs) {
                continue;
            }
            if mine.iter().zip(theirs.iter()).all(|(a, b)| a <= b) {
                *mine = Arc::clone(theirs);
            } else if mine.iter().zip(theirs.iter()).any(|(a, b)| a < b) {
                for (a, b) in Arc::make_mut(mine).iter_mut().zip(theirs.iter()) {
                    *a = (*a).max(*b);
                }
            }
        }
        let more = other.pages.iter().skip(self.pages.len()).cloned();
        self.pages.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(lines: &[(usize, usize)]) -> Past {
        let mut past = Past::default();
        lines
            .iter()
            .for_each(|(line, reach)| past.extend(*line, *reach));
        past
    }

    #[test]
    fn joined_pasts_hold_what_either_holds() {
        let mut joined = past(&[(0, 3), (1, 1), (40, 2)]);
        joined.join(&past(&[(0, 2), (1, 5), (100, 7)]));
        joined.join(&past(&[]));
        let reaches = [0, 1, 2, 40, 100, 101, 5_000].map(|line| joined.reach(line));
        assert_eq!(reaches, [3, 5, 0, 2, 7, 0, 0]);
    }

    #[test]
    fn what_is_the_same_is_shared() {
        let long = past(&[(0, 3), (20, 1)]);
        let mut joined = past(&[(0, 1)]);
        joined.join(&long);
        let shared = joined.pages.iter().zip(&long.pages);
        assert!(shared.into_iter().all(|(a, b)| Arc::ptr_eq(a, b)));
        joined.extend(20, 2);
        assert_eq!((joined.reach(20), long.reach(20)), (2, 1));
    }
}
