//! `ProtectiveSet`: what was raised stands until a review that has seen it clears it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use names::{EntryId, limits};

use super::links::{AT_ONCE, Links, bit_each};
use super::log::{EntryLog, Made, Row};

/// A raise or a review of one protective fact.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact<R, V> {
    /// Somebody says that it is so.
    Raise(R),
    /// Somebody looked at it again.
    Review {
        /// Whether the raises it has seen stand no longer.
        clear: bool,
        /// What the reviewer says.
        said: V,
    },
}

/// One protective fact: its raises and its reviews.
///
/// The invariant on which safety hangs: *a raise stands unless a clearing review lists it as
/// seen, and no review that keeps it was made apart from that one.* Knowing of a later raise is
/// not enough, nor is a later clock; a review that was made without a raise in view never clears
/// it, and one that says *gone* never outweighs one that says *I saw it* and of which it did not
/// know, however the two meet (`reference/domain.md` 1.2, M2, and 7.1).
#[derive(Clone, PartialEq, Eq)]
pub struct ProtectiveSet<R, V> {
    log: EntryLog<Fact<R, V>>,
}

/// A protective fact, weighed: what stands, and what a person must look at.
pub struct Weighed<'a, R, V> {
    /// The raises that stand.
    pub standing: Vec<Row<'a, Fact<R, V>>>,
    /// Cleared here, raised or kept there. Where a standing raise and a clearing review did not
    /// know of each other, or a keeping review upholds the raise, and nobody has reviewed it since
    /// who knew both: those clearing reviews, all that stands, and the last reviews that kept it,
    /// so that whoever looks at this has seen all that another review has to know. And, while
    /// anything stands, everything under an id that was used twice. Empty if there is nothing to
    /// look at.
    pub disputed: Vec<Row<'a, Fact<R, V>>>,
}

impl<R, V> Default for ProtectiveSet<R, V> {
    fn default() -> Self {
        ProtectiveSet {
            log: EntryLog::default(),
        }
    }
}

impl<R: Ord + Clone, V: Ord + Clone> ProtectiveSet<R, V> {
    /// Adds a raise or a review.
    pub fn add(&mut self, entry: EntryId, made: Made, seen: &[EntryId], fact: Fact<R, V>) {
        self.log.add(entry, made, seen, fact);
    }

    /// Adds all of another copy.
    pub fn join(&mut self, other: &ProtectiveSet<R, V>) {
        self.log.join(&other.log);
    }

    /// What stands, and what is in dispute.
    ///
    /// Looks for disputes among [`limits::SEEN_MAX`] standing raises; more than that stand anyway.
    pub fn weigh(&self) -> Weighed<'_, R, V> {
        let acts = Acts::of(&self.log);
        let mut disputed = BTreeSet::new();
        let mut standing = acts.raises.clone();
        if !acts.clears.is_empty() {
            let links = self.log.links();
            let upheld = acts.upheld(&links);
            let covered = acts.covered(&links, &upheld);
            standing.retain(|raise| !covered.contains(raise) || self.log.is_ambiguous(*raise));
            let some: Vec<EntryId> = standing.iter().copied().take(limits::SEEN_MAX).collect();
            let some = some.chunks(AT_ONCE);
            let clears = some.flat_map(|some| acts.disputed(&links, &upheld, some));
            let clears: BTreeSet<EntryId> = clears.collect();
            if !clears.is_empty() {
                disputed.extend(clears);
                disputed.extend(&standing);
                disputed.extend(acts.last_keeps(&links, &standing));
            }
        }
        // Where nothing stands there is nothing to decide; the flaw tells of the id all the same.
        if !standing.is_empty() {
            disputed.extend(self.log.ambiguous());
        }
        let rows = self.log.in_order();
        let is_raise = |row: &Row<'_, Fact<R, V>>| matches!(row.value, Fact::Raise(_));
        let of = |ids: &BTreeSet<EntryId>| {
            let rows = rows.iter().filter(|row| ids.contains(&row.entry));
            rows.copied().collect::<Vec<_>>()
        };
        let mut stands = of(&standing);
        stands.retain(is_raise);
        Weighed {
            standing: stands,
            disputed: of(&disputed),
        }
    }

    /// The raises that stand.
    pub fn standing(&self) -> Vec<Row<'_, Fact<R, V>>> {
        self.weigh().standing
    }

    /// Whether the fact stands.
    pub fn stands(&self) -> bool {
        !self.standing().is_empty()
    }

    /// What a person who looks at this has to have seen, at most [`limits::SEEN_MAX`] entries, the
    /// protective ones first: the raises that stand, what keeps them, the rest of a dispute, and the
    /// newest of all. What exceeds that stays standing, and comes into view once these are reviewed.
    pub fn in_view(&self) -> Vec<EntryId> {
        let weighed = self.weigh();
        let keeps =
            |row: &&Row<'_, Fact<R, V>>| !matches!(row.value, Fact::Review { clear: true, .. });
        let (kept, cleared): (Vec<_>, Vec<_>) = weighed.disputed.iter().partition(keeps);
        let standing = weighed.standing.iter();
        let rows = standing.chain(kept).chain(cleared).map(|row| row.entry);
        let mut known = BTreeSet::new();
        let all = rows.chain(self.newest().iter().copied());
        let new = all.filter(|entry| known.insert(*entry));
        new.take(limits::SEEN_MAX).collect()
    }

    /// The newest raises and reviews: together they have seen all that is known here.
    pub fn newest(&self) -> &BTreeSet<EntryId> {
        self.log.newest()
    }

    /// What a person must look at: see [`Weighed::disputed`].
    pub fn disputed(&self) -> Vec<Row<'_, Fact<R, V>>> {
        self.weigh().disputed
    }

    /// Everything ever raised or reviewed.
    pub fn history(&self) -> &EntryLog<Fact<R, V>> {
        &self.log
    }
}

/// The entries of a log by what they do.
#[derive(Default)]
struct Acts {
    raises: BTreeSet<EntryId>,
    clears: BTreeSet<EntryId>,
    /// What each keeping review says it has seen, whatever else is said of it: a circle of lies or
    /// an id used twice makes a list worthless where it would take something away, never here.
    keeps: BTreeMap<EntryId, BTreeSet<EntryId>>,
}

/// Of raises that somebody kept, the reviews that would have cleared them, made apart from that.
type Upheld = BTreeMap<EntryId, BTreeSet<EntryId>>;

impl Acts {
    /// An ambiguous id has seen nothing, so it clears nothing; what it keeps, it keeps.
    fn of<R: Ord + Clone, V: Ord + Clone>(log: &EntryLog<Fact<R, V>>) -> Acts {
        let mut acts = Acts::default();
        for row in log.rows() {
            match row.value {
                Fact::Raise(_) => {
                    acts.raises.insert(row.entry);
                }
                Fact::Review { clear: true, .. } => {
                    acts.clears.insert(row.entry);
                }
                Fact::Review { clear: false, .. } => {
                    acts.keeps.entry(row.entry).or_default().extend(row.seen);
                }
            }
        }
        acts
    }

    /// The raises that a keeping review has seen, against which clearing reviews, none of the two
    /// knowing of the other.
    fn upheld(&self, links: &Links) -> Upheld {
        let mut upheld = Upheld::new();
        let keeps: Vec<EntryId> = self.keeps.keys().copied().collect();
        for some in keeps.chunks(AT_ONCE) {
            let marks = links.marks(bit_each(some));
            let known = links.known_to_each(&marks);
            let knowing = links.knowing_each(&marks);
            let mut kept: BTreeMap<EntryId, u64> = BTreeMap::new();
            for (keep, bit) in bit_each(some) {
                for raise in self.keeps.get(&keep).into_iter().flatten() {
                    *kept.entry(*raise).or_default() |= bit;
                }
            }
            for clear in &self.clears {
                let aware = links.bits(&known, *clear) | links.bits(&knowing, *clear);
                for raise in links.saw(*clear) {
                    if kept.get(&raise).copied().unwrap_or(0) & !aware != 0 {
                        upheld.entry(raise).or_default().insert(*clear);
                    }
                }
            }
        }
        upheld
    }

    /// What some clearing review takes away.
    fn covered(&self, links: &Links, upheld: &Upheld) -> BTreeSet<EntryId> {
        let mut covered = BTreeSet::new();
        for clear in &self.clears {
            let seen = links.saw(*clear);
            covered.extend(seen.filter(|raise| !is_upheld(upheld, *raise, *clear)));
        }
        covered
    }

    /// The clearing reviews that are in dispute with some of these raises, which stand: at most
    /// [`AT_ONCE`] of them.
    fn disputed(&self, links: &Links, upheld: &Upheld, raises: &[EntryId]) -> BTreeSet<EntryId> {
        let marks = links.marks(bit_each(raises));
        let known = links.known_to_each(&marks);
        let knowing = links.knowing_each(&marks);
        // Only a review ends a dispute: one that knew the raise, and of the clearing.
        let reviews = self.clears.iter().chain(self.keeps.keys());
        let reviews = reviews.map(|review| (*review, links.bits(&known, *review)));
        let weighed = links.knowing_each(&links.marks(reviews));
        let is_disputed = |clear: &EntryId| {
            let aware = links.bits(&known, *clear) | links.bits(&knowing, *clear);
            let weighed = links.bits(&weighed, *clear);
            bit_each(raises).any(|(raise, bit)| {
                weighed & bit == 0 && (aware & bit == 0 || is_upheld(upheld, raise, *clear))
            })
        };
        self.clears.iter().copied().filter(is_disputed).collect()
    }

    /// The reviews that kept one of these raises and are not known to another that did.
    fn last_keeps(&self, links: &Links, raises: &BTreeSet<EntryId>) -> BTreeSet<EntryId> {
        let keeps = self.keeps.iter();
        let mut keeps: BTreeSet<EntryId> = keeps
            .filter(|(_, saw)| !saw.is_disjoint(raises))
            .map(|(keep, _)| *keep)
            .collect();
        let marks = links.marks(keeps.iter().map(|keep| (*keep, 1)));
        let knowing = links.knowing_each(&marks);
        keeps.retain(|keep| links.bits(&knowing, *keep) == 0);
        keeps
    }
}

fn is_upheld(upheld: &Upheld, raise: EntryId, against: EntryId) -> bool {
    let clears = upheld.get(&raise);
    clears.is_some_and(|clears| clears.contains(&against))
}

impl<R, V> fmt::Debug for ProtectiveSet<R, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtectiveSet({} rows)", self.log.len())
    }
}
