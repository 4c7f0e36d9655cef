//! Reading is commutative, associative and idempotent, whatever the entries are; and no entry
//! ever disappears, not even one whose writer lied about what was seen.

use std::collections::{BTreeMap, BTreeSet};

use domain::merge::{EntryLog, Fact, Ledger, Made, MultiValue, ProtectiveSet, Sealed, Workflow};
use domain::{Activity, Entry, State, Status, Text};
use names::{EntryId, Kind, Moment};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

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
        for kind in [Kind::CASE, Kind::SESSION] {
            let state = fold(kind, &entries);
            let shown = shown(&serde_json::to_value(&state).unwrap());
            for entry in &entries {
                let words = entry.act.clone().as_asked();
                prop_assert!(state.journal().of(entry.id).any(|row| *row.value == words));
                prop_assert!(
                    shown.contains(&entry.id.to_string()),
                    "{} {} is not in the view",
                    entry.act.code(),
                    entry.id
                );
            }
        }
        // With one entry at a time a stray is told apart from its namesakes.
        for entry in &entries {
            let alone = std::slice::from_ref(entry);
            let strays = [Kind::CASE, Kind::SESSION].map(|kind| fold(kind, alone).flaws().len());
            prop_assert!(strays.iter().sum::<usize>() <= 1, "{} has no home", entry.act.code());
        }
    }
}

/// The entries that a view shows with who, where and when; those of its conflicts are shown
/// elsewhere, too.
fn shown(view: &Value) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    let mut open = vec![view];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let (Some(Value::String(entry)), true) =
                    (fields.get("entry"), fields.contains_key("by"))
                {
                    shown.insert(entry.clone());
                }
                open.extend(
                    fields
                        .iter()
                        .filter(|(key, _)| *key != "conflicts")
                        .map(|(_, v)| v),
                );
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    shown
}

/// A row of a primitive: entry, value, what it has seen (anything, circles included), clock.
type Raw = (u8, u8, Vec<u8>, i64);

fn rows() -> impl Strategy<Value = Vec<Raw>> {
    vec((0..7u8, 0..4u8, vec(0..7u8, 0..4), 0..3i64), 0..9)
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

/// The ids under which different things were said.
fn used_twice(rows: &[Raw]) -> BTreeSet<EntryId> {
    let differs = |entry: u8, value: u8| {
        let mut others = rows.iter().filter(|(other, ..)| *other == entry);
        others.any(|(_, other, ..)| *other != value)
    };
    let twice = rows
        .iter()
        .filter(|(entry, value, ..)| differs(*entry, *value));
    twice.map(|(entry, ..)| id(*entry)).collect()
}

/// What every entry has seen: what all its copies list, nothing where its id was used twice.
fn lists(rows: &[Raw]) -> BTreeMap<u8, BTreeSet<u8>> {
    let mut lists: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
    for (entry, _, seen, _) in rows {
        let seen: BTreeSet<u8> = seen.iter().copied().collect();
        let list = lists.entry(*entry).or_insert_with(|| seen.clone());
        list.retain(|earlier| seen.contains(earlier));
    }
    let twice = used_twice(rows);
    let unclear = lists
        .iter_mut()
        .filter(|(entry, _)| twice.contains(&id(**entry)));
    unclear.for_each(|(_, list)| list.clear());
    lists
}

/// What an entry knows of, directly or through others.
fn reach(lists: &BTreeMap<u8, BTreeSet<u8>>, entry: u8) -> BTreeSet<u8> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![entry];
    while let Some(entry) = waiting.pop() {
        for earlier in lists.get(&entry).into_iter().flatten() {
            if reached.insert(*earlier) {
                waiting.push(*earlier);
            }
        }
    }
    reached
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

/// Values 0 and 3 are raises, 1 is a clearing review, 2 a review that keeps it.
fn alert(rows: &[Raw]) -> ProtectiveSet<u8, u8> {
    let mut alert = ProtectiveSet::default();
    for (entry, value, seen, at) in rows {
        let fact = match value {
            0 | 3 => Fact::Raise(*value),
            value => Fact::Review {
                clear: *value == 1,
                said: 0,
            },
        };
        alert.add(id(*entry), made(*at), &ids(seen), fact);
    }
    alert
}

fn flow(rows: &[Raw]) -> Workflow<Status, Activity> {
    let mut flow = Workflow::default();
    for (entry, value, seen, at) in rows {
        match value {
            0 => flow.add_activity(id(*entry), made(*at), &ids(seen), Activity::Contact),
            value => {
                let status = Status::ALL[usize::from(*value)];
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
            Some(line) => {
                let lines = u32::from(*value);
                book.reverse(id(*entry), made(*at), id(*line), lines, Text::default());
            }
            None => book.add(id(*entry), made(*at), i64::from(*value) - 1, 0),
        }
    }
    book
}

fn sealed(rows: &[Raw]) -> Sealed<u8> {
    let mut sealed = Sealed::default();
    for (entry, value, seen, at) in rows {
        sealed.add(id(*entry), made(*at), &ids(seen), *value);
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
        // It covers all that stands under an id that was used twice.
        let heads = many.heads();
        let mut settled = many.clone();
        settled.add(id(99), made(0), &heads, 7, Text::default());
        prop_assert_eq!(settled.heads(), vec![id(99)]);
        prop_assert!(!settled.is_contested());
        for missed in &heads {
            let seen: Vec<EntryId> = heads.iter().copied().filter(|head| head != missed).collect();
            let mut settled = many.clone();
            settled.add(id(99), made(0), &seen, 7, Text::default());
            let expected: BTreeSet<EntryId> = [id(99), *missed].into();
            prop_assert_eq!(settled.heads().into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }

    /// From the raw rows, with nothing of the implementation: a raise that does not stand has a
    /// clearing review all of whose copies list it, and that no keeping one was made apart from.
    #[test]
    fn a_raise_falls_only_to_a_clearing_review_that_lists_it(rows in rows()) {
        let alert = alert(&rows);
        let weighed = alert.weigh();
        let standing: BTreeSet<EntryId> = weighed.standing.iter().map(|row| row.entry).collect();
        let disputed: BTreeSet<EntryId> = weighed.disputed.iter().map(|row| row.entry).collect();
        let (twice, lists) = (used_twice(&rows), lists(&rows));
        let of = |kind: u8| {
            let some = rows.iter().filter(move |(_, value, ..)| *value == kind);
            some.map(|(entry, ..)| *entry).collect::<BTreeSet<u8>>()
        };
        let knows = |one: u8, other: u8| reach(&lists, one).contains(&other);
        for entry in of(0).into_iter().chain(of(3)) {
            let against = |review: &u8| *review != entry && lists[review].contains(&entry);
            // What a keeping review says it has seen counts even where its id was used twice.
            let keeps_it = |keep: &u8| {
                let copies = rows.iter().filter(|(id, value, ..)| id == keep && *value == 2);
                *keep != entry && copies.clone().all(|(_, _, seen, _)| seen.contains(&entry))
            };
            let keeps: BTreeSet<u8> = of(2).into_iter().filter(keeps_it).collect();
            let apart = |clear: u8, keep: u8| !knows(clear, keep) && !knows(keep, clear);
            let mut clears = of(1).into_iter().filter(against);
            let falls = clears.any(|clear| !keeps.iter().any(|keep| apart(clear, *keep)));
            if !standing.contains(&id(entry)) {
                prop_assert!(falls && !twice.contains(&id(entry)), "fell without a review");
            }
            // The other way round only circles of lies may keep it standing.
            let honest = rows.iter().all(|(id, _, seen, _)| seen.iter().all(|seen| seen < id));
            if honest && falls && !twice.contains(&id(entry)) {
                prop_assert!(!standing.contains(&id(entry)), "stands in spite of a review");
            }
        }
        let shown = standing.is_empty() || twice.is_subset(&disputed);
        prop_assert!(shown, "an id used twice is not shown");
    }

    #[test]
    fn a_status_is_always_a_legal_one(rows in rows()) {
        let flow = flow(&rows);
        let flow = flow.weigh();
        let operational = flow.operational();
        let standing: BTreeSet<Status> =
            flow.standing.iter().map(|row| row.value.value).collect();
        if flow.overlooked.is_empty() {
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
        let lines: Vec<Raw> = rows.iter().filter(|row| row.2.is_empty()).cloned().collect();
        let lines: BTreeSet<(u8, u8)> = lines
            .iter()
            .map(|(entry, value, ..)| (*entry, *value))
            .collect();
        // Of several lines under one id all count, until somebody takes back as many.
        let under = |line: u8| lines.iter().filter(|(entry, _)| *entry == line).count();
        let reversed: BTreeSet<u8> = rows
            .iter()
            .filter_map(|(_, value, seen, _)| Some((*seen.first()?, usize::from(*value).max(1))))
            .filter(|(line, known)| under(*line) <= *known)
            .map(|(line, _)| line)
            .collect();
        let counting = lines.iter().filter(|(entry, _)| !reversed.contains(entry));
        let sum: i64 = counting.map(|(_, value)| i64::from(*value) - 1).sum();
        prop_assert_eq!(book(&rows).total(|_| true), sum);
        prop_assert_eq!(book(&rows).lines().len(), lines.len());
    }
}
