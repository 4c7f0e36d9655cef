//! Where a document stands: what its placements and the rulings on them say together.
//!
//! A set of placements is a tree: each but the first names the one that it supersedes. Where one has
//! several that follow it, these were made at the same time: a *fork*. The authority rules which of
//! them stands; the others, and all that follows them, wait for a person. Until it has, the scopes here
//! are those that all branches name, so that this depends on nothing but the two sets. (A node then
//! takes the first that came to it as if it were ruled: `standing_by` in `node`.)

use std::collections::{BTreeMap, BTreeSet};

use names::ScopeId;

use super::{Placement, PlacementId};

/// Several placements that follow the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fork {
    /// What they follow; none when they are first ones.
    pub previous: Option<PlacementId>,
    /// Themselves.
    pub branches: BTreeSet<PlacementId>,
}

/// Where a document stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stands {
    /// The scopes it is in. None at all when a fork's branches have none in common, or the one that
    /// stands has not come yet.
    pub scopes: BTreeSet<ScopeId>,
    /// The placement that put it there; none while a fork is open.
    pub by: Option<PlacementId>,
    /// Forks that nobody has ruled on and that need it.
    pub open: Vec<Fork>,
    /// Placements without a follower that were ruled against: each waits for a person.
    pub waiting: BTreeSet<PlacementId>,
}

/// The scopes that some placement of a document names and that it is not in, each with what took it
/// out: for the digests of these scopes.
pub fn left(
    placements: &BTreeMap<PlacementId, Placement>,
    scopes: &BTreeSet<ScopeId>,
) -> BTreeMap<ScopeId, BTreeSet<PlacementId>> {
    let named = placements.values().flat_map(|placement| &placement.scopes);
    let left: BTreeSet<&ScopeId> = named.filter(|scope| !scopes.contains(scope)).collect();
    left.into_iter()
        .map(|scope| (scope.clone(), exits(placements, scope)))
        .collect()
}

/// The placements that took a document out of a scope: each follows one that names it.
pub fn exits(
    placements: &BTreeMap<PlacementId, Placement>,
    scope: &ScopeId,
) -> BTreeSet<PlacementId> {
    let leaves = |placement: &Placement| {
        let previous = placement.previous.and_then(|id| placements.get(&id));
        let was_in = previous.is_some_and(|previous| previous.scopes.contains(scope));
        was_in && !placement.scopes.contains(scope)
    };
    let mut found = BTreeSet::new();
    for (id, placement) in placements {
        if leaves(placement) {
            found.insert(*id);
        }
    }
    found
}

/// What those who speak of a scope are told of a document that has left it: the placements that name
/// the scope, those that took it out, and all that these follow. Where it went later they are not
/// told.
pub fn told_in(
    placements: &BTreeMap<PlacementId, Placement>,
    scope: &ScopeId,
) -> BTreeSet<PlacementId> {
    let mut told = BTreeSet::new();
    let naming = placements.iter().filter(|(_, p)| p.scopes.contains(scope));
    let ends = naming.map(|(id, _)| *id).chain(exits(placements, scope));
    for end in ends {
        let mut next = Some(end);
        while let Some(id) = next.filter(|id| told.insert(*id)) {
            next = placements.get(&id).and_then(|placement| placement.previous);
        }
    }
    told
}

/// Says where a document with these placements stands; `ruled` tells which of those that follow a
/// placement (none: which of the first ones) the authority has ruled to stand.
pub fn stands(
    placements: &BTreeMap<PlacementId, Placement>,
    ruled: impl Fn(Option<PlacementId>) -> Option<PlacementId>,
) -> Stands {
    let mut followers: BTreeMap<Option<PlacementId>, BTreeSet<PlacementId>> = BTreeMap::new();
    for (id, placement) in placements {
        followers.entry(placement.previous).or_default().insert(*id);
    }
    let tree = Tree {
        placements,
        followers,
    };
    tree.after(None, &ruled)
}

struct Tree<'p> {
    placements: &'p BTreeMap<PlacementId, Placement>,
    followers: BTreeMap<Option<PlacementId>, BTreeSet<PlacementId>>,
}

impl Tree<'_> {
    /// Where the document stands by what follows `previous`. A placement names the hash of the one
    /// it follows, so there are no circles, and admission bounds how deep this goes.
    fn after(
        &self,
        previous: Option<PlacementId>,
        ruled: &impl Fn(Option<PlacementId>) -> Option<PlacementId>,
    ) -> Stands {
        let Some(branches) = self.followers.get(&previous) else {
            return self.at(previous);
        };
        let mut answers = branches
            .iter()
            .map(|id| (*id, self.after(Some(*id), ruled)));
        if let Some(chosen) = ruled(previous) {
            let mut found = Stands::default();
            for (id, answer) in answers {
                if id == chosen {
                    found.waiting.extend(answer.waiting);
                    found = Stands {
                        waiting: found.waiting,
                        ..answer
                    };
                } else {
                    self.ends(id, &mut found.waiting);
                }
            }
            return found;
        }
        let Some((first, mut found)) = answers.next() else {
            return self.at(previous);
        };
        let own = |id| self.placements.get(&id);
        let (mut is_open, mut alone) = (false, true);
        for (id, answer) in answers {
            alone = false;
            is_open |= answer.scopes != found.scopes || is_open_between(own(first), own(id));
            found.scopes.retain(|scope| answer.scopes.contains(scope));
            found.open.extend(answer.open);
            found.waiting.extend(answer.waiting);
        }
        if !alone {
            found.by = None;
        }
        if is_open {
            // What is open further up in a branch matters only once the branch stands.
            found.open = vec![Fork {
                previous,
                branches: branches.clone(),
            }];
        }
        found
    }

    /// Where a placement that nothing follows puts the document.
    fn at(&self, id: Option<PlacementId>) -> Stands {
        let placement = id.and_then(|id| self.placements.get(&id));
        Stands {
            scopes: placement.map(|p| p.scopes.clone()).unwrap_or_default(),
            by: id.filter(|_| placement.is_some()),
            ..Stands::default()
        }
    }

    /// Adds the placements at the ends of a branch.
    fn ends(&self, id: PlacementId, to: &mut BTreeSet<PlacementId>) {
        match self.followers.get(&Some(id)) {
            Some(followers) => followers.iter().for_each(|id| self.ends(*id, to)),
            None => {
                to.insert(id);
            }
        }
    }
}

/// Whether two branches need a ruling whatever follows them. Branches that name different scopes do
/// also when they lead to the same place in the end: who may know of the branches alone cannot tell.
/// Of a case even two that say the same do, for the next transfer must know which of them it follows.
fn is_open_between(one: Option<&Placement>, other: Option<&Placement>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    one.scopes != other.scopes || one.kind.may_leave_its_site()
}

/// The placements of one document that no other of them supersedes: what the digest covers.
pub fn standing(placements: &BTreeMap<PlacementId, Placement>) -> BTreeSet<PlacementId> {
    let superseded: BTreeSet<&PlacementId> = placements
        .values()
        .filter_map(|placement| placement.previous.as_ref())
        .collect();
    placements
        .keys()
        .filter(|id| !superseded.contains(id))
        .copied()
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use names::Moment;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        placement::SignedPlacement,
        signed::DeviceKey,
        testing::{TENANT, key, placement, scope},
    };

    fn id(key: &DeviceKey, placement: &Placement) -> PlacementId {
        SignedPlacement::sign(key, &TENANT, placement)
            .claim()
            .unwrap()
            .0
    }

    #[test]
    fn what_no_other_supersedes_stands() {
        let device = key(1);
        let first = placement(&device);
        let first_id = id(&device, &first);
        let after = |at| Placement {
            at: Moment(at),
            previous: Some(first_id),
            ..first.clone()
        };
        let [one, two] = [after(2), after(3)];
        let mut known = BTreeMap::from([(first_id, first.clone())]);
        assert_eq!(standing(&known), BTreeSet::from([first_id]));
        known.insert(id(&device, &one), one.clone());
        assert_eq!(standing(&known), BTreeSet::from([id(&device, &one)]));
        known.insert(id(&device, &two), two.clone());
        assert_eq!(
            standing(&known),
            BTreeSet::from([id(&device, &one), id(&device, &two)])
        );
    }

    type Set = BTreeMap<PlacementId, Placement>;

    /// A placement that follows another of a list (none: a first one), and its scopes as bits.
    type Drawn = (Option<prop::sample::Index>, u8);

    fn scopes(bits: u8) -> BTreeSet<ScopeId> {
        let all = ["site:a", "site:b", "site:c", "caseload:w"];
        let some = all.iter().enumerate();
        some.filter(|(bit, _)| bits & (1 << bit) != 0)
            .map(|(_, text)| scope(text))
            .collect()
    }

    /// Placements in an order in which each follows what came before it.
    fn tree(drawn: &[Drawn]) -> Vec<(PlacementId, Placement)> {
        let mut made: Vec<(PlacementId, Placement)> = Vec::new();
        for (number, (after, bits)) in (0u8..).zip(drawn) {
            let previous = after.filter(|_| !made.is_empty());
            let previous = previous.map(|after| after.get(&made).0);
            let placement = Placement {
                scopes: scopes(*bits),
                at: Moment(i64::from(number)),
                previous,
                ..placement(&key(1))
            };
            made.push((PlacementId([number + 1; 16]), placement));
        }
        made
    }

    fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
        vec(
            (
                prop::option::weighted(0.9, any::<prop::sample::Index>()),
                1u8..16,
            ),
            1..9,
        )
    }

    /// A ruling for each fork that some of the numbers choose to rule on.
    fn rulings(set: &Set, choices: &[u8]) -> BTreeMap<Option<PlacementId>, PlacementId> {
        let mut followers: BTreeMap<_, Vec<PlacementId>> = BTreeMap::new();
        for (id, placement) in set {
            followers.entry(placement.previous).or_default().push(*id);
        }
        let forks = followers.into_iter().zip(choices.iter().cycle());
        forks
            .filter(|(_, choice)| *choice % 3 > 0)
            .map(|((previous, ids), choice)| (previous, ids[usize::from(*choice) % ids.len()]))
            .collect()
    }

    #[test]
    fn two_transfers_at_once_widen_no_reading_until_one_is_ruled_to_stand() {
        let of = |n: u8, after: Option<u8>, texts: &[&str]| {
            let placement = Placement {
                scopes: texts.iter().map(|text| scope(text)).collect(),
                previous: after.map(|n| PlacementId([n; 16])),
                ..placement(&key(1))
            };
            (PlacementId([n; 16]), placement)
        };
        let set = Set::from([
            of(1, None, &["site:devizes"]),
            of(2, Some(1), &["site:bath"]),
            of(3, Some(1), &["site:kent"]),
        ]);
        let [one, two, three] = [1, 2, 3].map(|n| PlacementId([n; 16]));
        let fork = Fork {
            previous: Some(one),
            branches: BTreeSet::from([two, three]),
        };
        let open = stands(&set, |_| None);
        assert_eq!(open.scopes, BTreeSet::new());
        assert_eq!((open.by, &open.open), (None, &vec![fork]));
        let ruled = |previous| (previous == Some(one)).then_some(three);
        let settled = stands(&set, ruled);
        assert_eq!(settled.scopes, BTreeSet::from([scope("site:kent")]));
        assert_eq!((settled.by, settled.open), (Some(three), vec![]));
        assert_eq!(settled.waiting, BTreeSet::from([two]));
        // Somebody settles it by placing it anew after the one that stands.
        let mut later = set.clone();
        later.extend([of(4, Some(3), &["site:bath", "site:kent"])]);
        assert_eq!(stands(&later, ruled).by, Some(PlacementId([4; 16])));
        // What the losing side does without knowing changes nothing.
        later.extend([of(5, Some(2), &["site:swindon"])]);
        assert_eq!(stands(&later, ruled).by, Some(PlacementId([4; 16])));
        // The ruling may come before what it is about.
        let mut early = set;
        early.remove(&three);
        assert_eq!(stands(&early, ruled).scopes, BTreeSet::new());
    }

    #[test]
    fn two_ways_to_one_place_need_a_ruling_too() {
        let of = |n: u8, after: Option<u8>, texts: &[&str]| {
            let placement = Placement {
                scopes: texts.iter().map(|text| scope(text)).collect(),
                previous: after.map(|n| PlacementId([n; 16])),
                ..placement(&key(1))
            };
            (PlacementId([n; 16]), placement)
        };
        // Whoever speaks of Devizes alone hears of the two that left it, and of no more.
        let told = Set::from([
            of(1, None, &["site:devizes"]),
            of(2, Some(1), &["site:bath"]),
            of(3, Some(1), &["site:kent"]),
        ]);
        let mut all = told.clone();
        all.extend([of(4, Some(2), &["site:kent"])]);
        for known in [&told, &all] {
            assert_eq!(stands(known, |_| None).open.len(), 1);
        }
        assert_eq!(stands(&all, |_| None).scopes, scopes_of(&["site:kent"]));
        // Two who say the same at once widen nothing, but what follows must know which of them.
        let same = Set::from([
            of(1, None, &["site:devizes"]),
            of(2, Some(1), &["site:bath"]),
            of(3, Some(1), &["site:bath"]),
        ]);
        let open = stands(&same, |_| None);
        assert_eq!((open.by, open.open.len()), (None, 1));
        assert_eq!(open.scopes, scopes_of(&["site:bath"]));
    }

    fn scopes_of(texts: &[&str]) -> BTreeSet<ScopeId> {
        texts.iter().map(|text| scope(text)).collect()
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_changes_nothing(
            drawn in drawn(), choices in vec(any::<u8>(), 1..6), seed in any::<prop::sample::Index>(),
        ) {
            let made = tree(&drawn);
            let one: Set = made.iter().cloned().collect();
            let cut = seed.index(made.len());
            let other: Set = made[cut..].iter().chain(&made[..cut]).rev().cloned().collect();
            let rulings = rulings(&one, &choices);
            let ruled = |previous: Option<PlacementId>| rulings.get(&previous).copied();
            prop_assert_eq!(stands(&one, ruled), stands(&other, ruled));
            prop_assert_eq!(standing(&one), standing(&other));
        }

        #[test]
        fn a_fork_that_nobody_ruled_on_widens_no_reading(drawn in drawn()) {
            let set: Set = tree(&drawn).into_iter().collect();
            let found = stands(&set, |_| None);
            for id in standing(&set) {
                prop_assert!(found.scopes.is_subset(&set[&id].scopes));
            }
            prop_assert_eq!(found.by.is_none(), standing(&set).len() > 1);
        }

        #[test]
        fn once_every_fork_is_ruled_on_one_placement_stands(drawn in drawn()) {
            let set: Set = tree(&drawn).into_iter().collect();
            let first = |previous: Option<PlacementId>| {
                let of = |p: &(&PlacementId, &Placement)| p.1.previous == previous;
                set.iter().find(of).map(|(id, _)| *id)
            };
            let found = stands(&set, first);
            let by = found.by.unwrap();
            prop_assert_eq!(&found.scopes, &set[&by].scopes);
            let mut ends = found.waiting.clone();
            ends.insert(by);
            prop_assert_eq!(ends, standing(&set));
            prop_assert!(found.open.is_empty());
        }

        #[test]
        fn who_is_told_only_what_concerns_a_scope_agrees_on_what_left_it(
            drawn in drawn(), choices in vec(any::<u8>(), 1..6),
        ) {
            let set: Set = tree(&drawn).into_iter().collect();
            let rulings = rulings(&set, &choices);
            let ruled = |previous: Option<PlacementId>| rulings.get(&previous).copied();
            let here = stands(&set, ruled).scopes;
            for (scope, exits) in left(&set, &here) {
                let told = told_in(&set, &scope);
                let theirs: Set = set.clone().into_iter().filter(|(id, _)| told.contains(id)).collect();
                for placement in theirs.values() {
                    prop_assert!(placement.previous.is_none_or(|id| told.contains(&id)));
                }
                prop_assert_eq!(&exits, &super::exits(&theirs, &scope));
                // With what they know it is not in the scope either, unless a fork that they do not
                // see is open.
                if stands(&set, ruled).open.is_empty() {
                    let there = stands(&theirs, ruled);
                    prop_assert!(!there.scopes.contains(&scope));
                }
            }
        }

        #[test]
        fn what_follows_a_losing_placement_changes_nothing(
            drawn in drawn(), bits in 1u8..16, which in any::<prop::sample::Index>(),
        ) {
            let set: Set = tree(&drawn).into_iter().collect();
            let first = |previous: Option<PlacementId>| {
                let of = |p: &(&PlacementId, &Placement)| p.1.previous == previous;
                set.iter().find(of).map(|(id, _)| *id)
            };
            let before = stands(&set, first);
            let losers: Vec<PlacementId> = before.waiting.iter().copied().collect();
            prop_assume!(!losers.is_empty());
            let late = Placement {
                scopes: scopes(bits),
                previous: Some(*which.get(&losers)),
                ..placement(&key(1))
            };
            let mut more = set.clone();
            more.insert(PlacementId([0xFF; 16]), late);
            let after = stands(&more, first);
            prop_assert_eq!((before.by, before.scopes), (after.by, after.scopes));
        }
    }
}
