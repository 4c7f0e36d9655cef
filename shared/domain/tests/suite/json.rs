//! The written forms: what the API takes and shows, and what never shows.

use domain::{Act, Attender, Command, Entry, RULES, State, Text};
use names::{DocumentId, EntryId, Kind};
use proptest::prelude::*;

use crate::acts::{any_entry, entries_and_shuffled};
use crate::lattice::fold;

proptest! {
    #[test]
    fn entries_read_back_what_they_write(entry in any_entry()) {
        let json = serde_json::to_string(&entry).unwrap();
        let back: Entry = serde_json::from_str(&json).unwrap();
        prop_assert!(back == entry);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(value["act"].as_str(), Some(entry.act.code()));
    }

    #[test]
    fn attenders_read_back_what_they_write(number: [u8; 16]) {
        for attender in [Attender::Guest(EntryId(number)), Attender::Person(DocumentId(number))] {
            prop_assert_eq!(attender.to_string().parse(), Ok(attender));
        }
    }

    #[test]
    fn any_state_can_be_shown((entries, _) in entries_and_shuffled()) {
        for kind in [Kind::CASE, Kind::SESSION] {
            let state = fold(kind, &entries);
            let json = serde_json::to_value(&state).unwrap();
            prop_assert_eq!(json["kind"].as_str(), Some(kind.name()));
            prop_assert_eq!(
                json["conflicts"].as_array().map(Vec::len),
                Some(state.conflicts().len())
            );
        }
    }
}

#[test]
fn commands_are_taken_as_the_api_writes_them() {
    for (json, code) in [
        (
            r#"{"command":"open-case","opened":"2026-01-05"}"#,
            "open-case",
        ),
        (
            r#"{"command":"identify","slot":"nhs-number","value":"9434765919"}"#,
            "identify",
        ),
        (
            r#"{"command":"review-alert","code":"do-not-visit-alone","clear":true,"reason":"calm"}"#,
            "review-alert",
        ),
        (
            r#"{"command":"mark","attender":"guest:01010101010101010101010101010101",
                "attendance":"late","arrived":"10:20"}"#,
            "mark",
        ),
        (
            r#"{"command":"add-guest","name":"Sam","attendance":"late","arrived":"10:20"}"#,
            "add-guest",
        ),
        (
            r#"{"command":"settle","about":{"kind":"identifier","slot":"name"},
                "keep":"01010101010101010101010101010101","reason":"asked",
                "seen":["01010101010101010101010101010101"]}"#,
            "settle",
        ),
        (
            r#"{"command":"edit-text","splices":[{"position":0,"insert":"x"}],"seen":[],"length":0}"#,
            "edit-text",
        ),
    ] {
        let command: Command = serde_json::from_str(json).unwrap();
        assert_eq!(command.code(), code);
        let again = serde_json::to_string(&command).unwrap();
        assert!(serde_json::from_str::<Command>(&again).unwrap() == command);
    }
    for json in [
        r#"{"command":"open-case","opened":"2026-13-05"}"#,
        r#"{"command":"review-alert","code":"weapons","clear":true,"reason":"x","sen":[]}"#,
        r#"{"command":"raise-alert","code":"high-risk","detail":""}"#,
        r#"{"command":"mark","attender":"guest:Sam","attendance":"late"}"#,
        r#"{"command":"edit-text","splices":[{"position":0,"insert":"x"}],"length":0}"#,
        r#"{"command":"settle","about":{"kind":"lead"},
            "keep":"01010101010101010101010101010101","reason":"asked"}"#,
        r#"{"command":"erase"}"#,
    ] {
        assert!(
            serde_json::from_str::<Command>(json).is_err(),
            "{json} was taken"
        );
    }
}

#[test]
fn debug_shows_no_words_of_people() {
    let marker = "MARKER";
    let act = Act::Identify {
        slot: domain::Slot::Name,
        value: Text::from(marker),
        reason: Text::from(marker),
        seen: Vec::new(),
    };
    let mark = Act::AddGuest {
        name: Text::from(marker),
        attendance: domain::Attendance::Late,
        arrived: None,
        left: None,
    };
    let entry = |number: u8, act: Act| Entry {
        id: crate::acts::id(number),
        at: names::Moment(0),
        by: "w-1".parse().unwrap(),
        site: "bath".parse().unwrap(),
        act,
    };
    let entries = [
        entry(1, act.clone()),
        entry(2, act),
        entry(3, mark.clone()),
        entry(4, mark),
    ];
    for kind in [Kind::CASE, Kind::SESSION] {
        let mut state = fold(kind, &entries);
        state.set_text(marker);
        state.set_field("title", marker);
        let shown = format!("{state:?} {:?} {:?}", state.conflicts(), state.summary(0));
        assert!(!shown.contains(marker));
        assert!(serde_json::to_string(&state).unwrap().contains(marker));
        if let State::Session(session) = &state {
            assert!(!format!("{:?}{:?}", session.register, session.guests).contains(marker));
        }
    }
    assert!(!format!("{entries:?}").contains(marker));
    let command = Command::SetField {
        field: domain::Field::Title,
        value: Text::from(marker),
    };
    assert!(!format!("{command:?}").contains(marker));
}

/// The declaration of merge rules names every field that a view shows from entries.
#[test]
fn every_field_has_a_declared_rule() {
    for (kind, source) in [
        (Kind::CASE, include_str!("../../src/case.rs")),
        (Kind::SESSION, include_str!("../../src/session.rs")),
    ] {
        let name = if kind == Kind::CASE {
            "pub struct Case {"
        } else {
            "pub struct Session {"
        };
        let body = source
            .split_once(name)
            .unwrap()
            .1
            .split_once("\n}")
            .unwrap()
            .0;
        for line in body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub "))
        {
            let (field, kind_of) = line.split_once(": ").unwrap();
            if field == "strays" {
                continue;
            }
            let row = RULES
                .iter()
                .find(|row| row.kind == kind && row.field == field);
            let rule = row.unwrap_or_else(|| panic!("{field} has no rule")).rule;
            assert!(
                kind_of.contains(&rule.to_string()),
                "{field} is not a {rule}"
            );
        }
    }
}
