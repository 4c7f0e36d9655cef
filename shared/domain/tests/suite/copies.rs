//! One command through two nodes is one entry, and nobody can pass for another by its id.

use domain::{Act, Command, Entry, Flaw, FlawAt, State, Subject, Text};
use names::{EntryId, Kind, Moment, Reason};
use serde_json::json;

use crate::acts::id;
use crate::lattice::fold;
use crate::people::{START_MS, World, day, open_case};

fn note(entry: u8, at: i64, by: &str, site: &str) -> Entry {
    Entry {
        id: id(entry),
        at: Moment(START_MS + at),
        by: by.parse().unwrap(),
        site: site.parse().unwrap(),
        act: Act::AddNote {
            happened: day("2025-12-01"),
            mode: domain::ContactMode::Phone,
            minutes: 10,
            text: Text::from("called"),
            seen: Vec::new(),
        },
    }
}

#[test]
fn a_copy_by_another_person_replaces_nothing() {
    let (honest, copy) = (note(1, 5, "w-1", "bath"), note(1, 0, "w-2", "kent"));
    let state = fold(Kind::CASE, &[honest, copy]);
    let written: Vec<(&str, &str)> = state
        .journal()
        .of(id(1))
        .map(|row| (row.made.by.as_str(), row.made.site.as_str()))
        .collect();
    assert_eq!(written, [("w-1", "bath"), ("w-2", "kent")]);
    let flaw = Flaw {
        at: FlawAt::Entry(id(1)),
        reason: Reason::Equivocation,
    };
    assert_eq!(state.flaws(), [flaw]);
}

#[test]
fn every_copys_clock_and_site_are_kept() {
    let (late, early) = (note(1, 5, "w-1", "bath"), note(1, 0, "w-1", "kent"));
    let state = fold(Kind::CASE, &[late.clone(), early, late]);
    assert_eq!(state.journal().len(), 1);
    assert_eq!(state.journal().latest(), Some(Moment(START_MS + 5)));
    let shown = serde_json::to_value(&state).unwrap();
    let shown = &shown["notes"][0];
    assert_eq!(shown["site"], "kent");
    let also = json!([{ "at": START_MS + 5, "by": "w-1", "site": "bath" }]);
    assert_eq!(shown["also"], also);
}

#[test]
fn a_value_under_a_used_id_is_replaced_with_all_that_is_under_it() {
    let identify = |entry: u8, value: &str, seen: &[EntryId]| Entry {
        act: Act::Identify {
            slot: domain::Slot::NhsNumber,
            value: Text::from(value),
            reason: Text::default(),
            seen: seen.to_vec(),
        },
        ..note(entry, 0, "w-1", "bath")
    };
    let slot = domain::Slot::NhsNumber;
    let mut entries = vec![
        identify(1, "9434765919", &[]),
        identify(1, "9434765870", &[]),
    ];
    let state = fold(Kind::CASE, &entries);
    assert_eq!(state.conflicts()[0].about, Subject::Identifier { slot });
    assert_eq!(state.conflicts()[0].values.len(), 2);
    // Choosing one of them by its id says nothing; entering the right one does.
    let settle = Command::Settle {
        about: Subject::Identifier { slot },
        keep: id(1),
        reason: Text::from("asked"),
        seen: vec![id(1)],
    };
    let by = crate::people::by(0);
    let now = Moment(START_MS);
    entries.push(opened());
    let state = fold(Kind::CASE, &entries);
    let refused = domain::decide(&state, &settle, id(3), &by, now);
    assert_eq!(refused.err(), Some(domain::Refusal::UnclearChoice));
    assert!(domain::Refusal::UnclearChoice.words().contains("anew"));
    entries.push(identify(2, "9434765919", &[id(1)]));
    let State::Case(case) = fold(Kind::CASE, &entries) else {
        unreachable!("a case")
    };
    assert_eq!(case.identifier(slot), [Text::from("9434765919")]);
    assert_eq!(case.conflicts(), []);
    assert_eq!(case.identifiers[&slot].history().len(), 3);
}

fn opened() -> Entry {
    Entry {
        act: Act::OpenCase {
            opened: day("2025-12-01"),
            source: Text::default(),
        },
        ..note(9, 0, "w-1", "bath")
    }
}

/// Which of the two a reversal means nobody knows, unless its writer knew of both.
#[test]
fn lines_of_cash_under_a_used_id_are_taken_back_together() {
    let take = |pence: u32| Entry {
        act: Act::TakeCash {
            pence,
            from: None,
            what: Text::from("tea"),
        },
        ..note(1, 0, "w-1", "bath")
    };
    let back = |entry: u8, lines: Option<u32>| Entry {
        act: Act::ReverseCash {
            cash: id(1),
            reason: Text::from("entered twice"),
            lines,
        },
        ..note(entry, 0, "w-1", "bath")
    };
    let mut entries = vec![take(100), take(250), back(2, None)];
    let state = fold(Kind::SESSION, &entries);
    assert_eq!(state.summary(0).cash_pence, 350);
    let conflicts = state.conflicts();
    assert_eq!(conflicts[0].about, Subject::CashLine { cash: id(1) });
    let lines: Vec<&str> = conflicts[0]
        .values
        .iter()
        .map(|v| v.value.as_str())
        .collect();
    assert_eq!(lines, ["£1.00: tea", "£2.50: tea"]);
    // Whoever sees both takes both back.
    entries.push(Entry {
        act: Act::OpenSession {
            venue: Text::from("swanley"),
            date: day("2026-01-15"),
            start: "10:00".parse().unwrap(),
            end: None,
            form: domain::SessionForm::PeerLed,
        },
        ..note(8, 0, "w-1", "bath")
    });
    let state = fold(Kind::SESSION, &entries);
    let command = Command::ReverseCash {
        cash: id(1),
        reason: Text::from("entered under one name"),
    };
    let (by, now) = (crate::people::by(0), Moment(START_MS));
    let done = domain::decide(&state, &command, id(3), &by, now).unwrap();
    entries.extend(done.entries);
    let state = fold(Kind::SESSION, &entries);
    assert_eq!(state.summary(0).cash_pence, 0);
    assert_eq!(state.conflicts(), []);
    // Nobody had seen a third.
    entries.push(take(70));
    let state = fold(Kind::SESSION, &entries);
    assert_eq!(state.summary(0).cash_pence, 420);
    assert_eq!(state.conflicts().len(), 1);
}

/// Beginnings that differ: no clock picks one of them unseen.
#[test]
fn a_record_begun_differently_is_shown_so() {
    let begun = |entry: u8, at: i64, venue: &str| Entry {
        act: Act::OpenSession {
            venue: Text::from(venue),
            date: day("2026-01-15"),
            start: "10:00".parse().unwrap(),
            end: None,
            form: domain::SessionForm::PeerLed,
        },
        ..note(entry, at, "w-1", "bath")
    };
    let (one, other) = (begun(1, 0, "swanley"), begun(2, 9, "dartford"));
    let state = fold(Kind::SESSION, &[one.clone(), other]);
    assert_eq!(state.conflicts()[0].about, Subject::Opening);
    assert_eq!(state.summary(0).venue.unwrap().as_str(), "dartford");
    for same in ["swanley", " Swanley "] {
        let state = fold(Kind::SESSION, &[one.clone(), begun(2, 9, same)]);
        assert!(state.conflicts().is_empty(), "{same}");
    }
}

/// Two who set a field at once: what the document let fall can still be read.
#[test]
fn what_a_plain_field_was_is_in_the_view() {
    let mut world = World::new(Kind::CASE, 2, &open_case());
    for (place, value) in [(0, "she"), (1, "they")] {
        let set = Command::SetField {
            field: domain::Field::Pronouns,
            value: Text::from(value),
        };
        world.act(place, &set, 1).unwrap();
    }
    world.merge_all();
    let view = serde_json::to_value(world.state(0)).unwrap();
    let history = view["fields_history"].as_array().unwrap();
    let mut values: Vec<&str> = history
        .iter()
        .map(|v| v["value"].as_str().unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, ["she", "they"]);
}
