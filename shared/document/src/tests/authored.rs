//! Which entries stand in which changes.

use std::collections::BTreeSet;

use super::*;

/// Two people write by turns, merging now and then; whatever stretch of one's changes is asked for, it is
/// told by the entries that were written in it and by no others.
#[test]
fn a_stretch_of_changes_is_told_by_its_entries() {
    let mut chance = Chance::new(31);
    for _ in 0..30 {
        let mut replicas = [1, 2].map(|number| Replica::new(Kind::CASE, number));
        let mut wrote: Vec<(ActorId, u64, EntryId)> = Vec::new();
        for number in 0..40 {
            let who = chance.below(2);
            let [one, other] = &mut replicas;
            let (own, others) = match who {
                0 => (one, other),
                _ => (other, one),
            };
            if chance.below(3) == 0 {
                own.merge(others, &mut chance);
            }
            let command = match number {
                0 => open_case(),
                _ => note("written"),
            };
            // Whoever has not seen the case opened can write nothing in it.
            if let Some(done) = own.perform(&command, entry(number)) {
                wrote.push((done.header.actor, done.header.seq, entry(number)));
            }
        }
        let [mut one, other] = replicas;
        one.merge(&other, &mut chance);
        let stretches: Vec<(ActorId, u64, u64)> = (0..5)
            .map(|_| {
                let first = chance.below(12) as u64;
                let last = first + chance.below(40) as u64;
                (actor(1 + chance.below(3)), first, last)
            })
            .collect();
        let mut expected: BTreeMap<EntryId, BTreeSet<usize>> = BTreeMap::new();
        for (who, seq, entry) in &wrote {
            for (place, (actor, first, last)) in stretches.iter().enumerate() {
                if actor == who && (first..=last).contains(&seq) {
                    expected.entry(*entry).or_default().insert(place);
                }
            }
        }
        assert!(wrote.len() > 10, "{} entries", wrote.len());
        assert_eq!(one.doc.made_in(&stretches), expected);
    }
}
