//! Reading is commutative, associative and idempotent, whatever the entries are; and no entry
//! ever disappears, not even one whose writer lied about what was seen.

use std::collections::{BTreeMap, BTreeSet};

use domain::merge::{EntryLog, Fact, Ledger, Made, MultiValue, ProtectiveSet, Sealed, Workflow};
use domain::{Entry, State, Status, Text};
use names::{EntryId, Kind, Moment};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::acts::{entries_and_shuffled, id};

pub(crate) fn fold(kind: Kind, entries: &[Entry]) -> State {
    State::fold(kind, entries, &BTreeMap::new(), "").unwrap()
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_read_the_same((entries, shuffled) in entries_and_shuffled()) {
        for kind in [Kind::CASE, Kind::SESSION] {
            let (one, other) = (fold(kind, &entries), fold(kind, &shuffled));
            prop_assert!(one == other);
            prop_assert_eq!(one.conflicts(), other.conflicts());
            prop_assert_eq!(one.flaws(), other.flaws());
            prop_assert_eq!(one.summary(0), other.summary(0));
            let json = |state: &State| serde_json::to_string(state).unwrap();
            prop_assert_eq!(json(&one), json(&other));
        }
    }

    #[test]
    fn no_entry_disappears_and_each_has_a_home((entries, _) in entries_and_shuffled()) {
        let (case, session) = (fold(Kind::CASE, &entries), fold(Kind::SESSION, &entries));
        let (State::Case(case_of), State::Session(session_of)) = (&case, &session) else {
            return Err(TestCaseError::fail("kinds"));
        };
        for entry in &entries {
            let words = entry.act.clone().with_seen(Vec::new());
            prop_assert!(case.journal().of(entry.id).any(|row| *row.value == words));
            prop_assert!(session.journal().of(entry.id).any(|row| *row.value == words));
        }
        // With one entry at a time a stray is told apart from its namesakes.
        for entry in &entries {
            let alone = std::slice::from_ref(entry);
            let strays = [Kind::CASE, Kind::SESSION].map(|kind| fold(kind, alone).flaws().len());
            prop_assert!(strays.iter().sum::<usize>() <= 1, "{} has no home", entry.act.code());
        }
        prop_assert!(case_of.journal.len() >= case_of.strays.len());
        prop_assert!(session_of.journal.len() >= session_of.strays.len());
    }
}

/// A row of a primitive: entry, value, what it has seen (anything, circles included), clock.
type Raw = (u8, u8, Vec<u8>, i64);

fn rows() -> impl Strategy<Value = Vec<Raw>> {
    vec((0..7u8, 0..3u8, vec(0..7u8, 0..4), 0..3i64), 0..9)
}

fn made(at: i64) -> Made {
    Made {
        at: Moment(at),
        by: "w-1".parse().unwrap(),
        site: "bath".parse().unwrap(),
    }
}

fn ids(seen: &[u8]) -> Vec<EntryId> {
    seen.iter().copied().map(id).collect()
}

/// The three laws, for a primitive that can be made from rows and joined.
fn laws<T: Clone + PartialEq>(
    parts: [&[Raw]; 3],
    make: impl Fn(&[Raw]) -> T,
    join: impl Fn(&mut T, &T),
) -> Result<(), TestCaseError> {
    let [a, b, c] = parts.map(&make);
    let joined = |x: &T, y: &T| {
        let mut all = x.clone();
        join(&mut all, y);
        all
    };
    prop_assert!(joined(&a, &b) == joined(&b, &a), "not commutative");
    prop_assert!(
        joined(&joined(&a, &b), &c) == joined(&a, &joined(&b, &c)),
        "not associative"
    );
    prop_assert!(joined(&a, &a) == a, "not idempotent");
    let whole: Vec<Raw> = parts.concat();
    prop_assert!(
        joined(&joined(&a, &b), &c) == make(&whole),
        "joining is not adding"
    );
    Ok(())
}

fn log(rows: &[Raw]) -> EntryLog<u8> {
    let mut log = EntryLog::default();
    for (entry, value, seen, at) in rows {
        log.add(id(*entry), made(*at), &ids(seen), *value);
    }
    log
}

fn many(rows: &[Raw]) -> MultiValue<u8> {
    let mut many = MultiValue::default();
    for (entry, value, seen, at) in rows {
        many.add(id(*entry), made(*at), &ids(seen), *value, Text::default());
    }
    many
}

/// Value 0 is a raise, 1 a clearing review, 2 a review that keeps it.
fn alert(rows: &[Raw]) -> ProtectiveSet<u8, u8> {
    let mut alert = ProtectiveSet::default();
    for (entry, value, seen, at) in rows {
        let fact = match value {
            0 => Fact::Raise(0),
            value => Fact::Review {
                clear: *value == 1,
                said: 0,
            },
        };
        alert.add(id(*entry), made(*at), &ids(seen), fact);
    }
    alert
}

fn flow(rows: &[Raw]) -> Workflow<Status> {
    let mut flow = Workflow::default();
    for (entry, value, seen, at) in rows {
        match value {
            0 => flow.add_activity(id(*entry), made(*at), &ids(seen)),
            value => {
                let status = Status::ALL[usize::from(*value) + 1];
                flow.add(id(*entry), made(*at), &ids(seen), status, Text::default());
            }
        }
    }
    flow
}

fn book(rows: &[Raw]) -> Ledger<u8> {
    let mut book = Ledger::default();
    for (entry, value, seen, at) in rows {
        match seen.first() {
            Some(line) => book.reverse(id(*entry), made(*at), id(*line), Text::default()),
            None => book.add(id(*entry), made(*at), i64::from(*value) - 1, 0),
        }
    }
    book
}

fn sealed(rows: &[Raw]) -> Sealed<u8> {
    let mut sealed = Sealed::default();
    for (entry, value, seen, at) in rows {
        sealed.add(id(*entry), made(*at), seen.first().copied().map(id), *value);
    }
    sealed
}

proptest! {
    #[test]
    fn every_primitive_keeps_the_three_laws(a in rows(), b in rows(), c in rows()) {
        let parts = [a.as_slice(), b.as_slice(), c.as_slice()];
        laws(parts, log, |x, y| x.join(y))?;
        laws(parts, many, |x, y| x.join(y))?;
        laws(parts, alert, |x, y| x.join(y))?;
        laws(parts, flow, |x, y| x.join(y))?;
        laws(parts, book, |x, y| x.join(y))?;
        laws(parts, sealed, |x, y| x.join(y))?;
    }

    #[test]
    fn something_stands_wherever_there_is_anything(rows in rows()) {
        let (many, sealed) = (many(&rows), sealed(&rows));
        prop_assert_eq!(many.standing().is_empty(), rows.is_empty());
        prop_assert_eq!(sealed.current().is_empty(), rows.is_empty());
        // A choice that covers all heads leaves one; one that misses a head does not.
        let heads = many.heads();
        let mut settled = many.clone();
        settled.add(id(99), made(0), &heads, 7, Text::default());
        prop_assert_eq!(settled.heads(), vec![id(99)]);
        prop_assert_eq!(settled.values().into_iter().collect::<Vec<_>>(), vec![&7]);
        for missed in &heads {
            let seen: Vec<EntryId> = heads.iter().copied().filter(|head| head != missed).collect();
            let mut settled = many.clone();
            settled.add(id(99), made(0), &seen, 7, Text::default());
            let expected: BTreeSet<EntryId> = [id(99), *missed].into();
            prop_assert_eq!(settled.heads().into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    /// From the raw rows, with nothing of the implementation: a raise that does not stand has a
    /// clearing review all of whose copies list it.
    #[test]
    fn a_raise_falls_only_to_a_clearing_review_that_lists_it(rows in rows()) {
        let alert = alert(&rows);
        let standing: BTreeSet<EntryId> = alert.standing().iter().map(|row| row.entry).collect();
        for (entry, _, _, _) in rows.iter().filter(|(_, value, _, _)| *value == 0) {
            let clearing: BTreeSet<u8> = rows
                .iter()
                .filter(|(review, value, seen, _)| {
                    *value == 1 && review != entry && seen.contains(entry)
                })
                .map(|(review, ..)| *review)
                .filter(|review| {
                    let mut copies = rows.iter().filter(|(id, v, ..)| id == review && *v == 1);
                    copies.all(|(_, _, seen, _)| seen.contains(entry))
                })
                .collect();
            if !standing.contains(&id(*entry)) {
                prop_assert!(!clearing.is_empty(), "fell without a review");
            }
            // The other way round only circles of lies may keep it standing.
            let honest = rows.iter().all(|(id, _, seen, _)| seen.iter().all(|seen| seen < id));
            if honest && !clearing.is_empty() {
                prop_assert!(!standing.contains(&id(*entry)), "stands in spite of a review");
            }
        }
    }

    #[test]
    fn a_status_is_always_a_legal_one(rows in rows()) {
        let flow = flow(&rows);
        let operational = flow.operational();
        let standing: BTreeSet<Status> =
            flow.standing().iter().map(|row| row.value.value).collect();
        if flow.overlooked().is_empty() {
            let expected = standing.iter().min().copied().unwrap_or(Status::Open);
            prop_assert_eq!(operational, expected);
            prop_assert_eq!(flow.is_contested(), standing.len() > 1);
        } else {
            prop_assert_eq!(operational, Status::Open);
            prop_assert!(flow.is_contested() && standing.contains(&Status::Closed));
        }
    }

    #[test]
    fn a_ledger_is_the_sum_of_what_nobody_took_back(rows in rows()) {
        let reversed: BTreeSet<u8> = rows.iter().filter_map(|row| row.2.first().copied()).collect();
        let lines: BTreeSet<(u8, u8)> = rows
            .iter()
            .filter(|(_, _, seen, _)| seen.is_empty())
            .map(|(entry, value, ..)| (*entry, *value))
            .collect();
        let counting = lines.iter().filter(|(entry, _)| !reversed.contains(entry));
        let sum: i64 = counting.map(|(_, value)| i64::from(*value) - 1).sum();
        prop_assert_eq!(book(&rows).total(|_| true), sum);
        prop_assert_eq!(book(&rows).lines().len(), lines.len());
    }
}
