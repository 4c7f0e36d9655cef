//! What a newer version wrote and this one cannot read: shown as far as it can be, and never taken
//! for nothing.

use domain::{Act, Command, Entry, Refusal, State, Status, Text, decide};
use names::{EntryId, Kind, Moment, Reason};

use crate::acts::id;
use crate::lattice::fold;
use crate::people::{START_MS, by, day, open_case};

fn unread(entry: u8, code: &str, seen: &[EntryId]) -> Entry {
    Entry {
        id: id(entry),
        at: Moment(START_MS),
        by: "w-7".parse().unwrap(),
        site: "kent".parse().unwrap(),
        act: Act::Unread {
            code: Text::from(code),
            reason: Reason::NoCommonVersion,
            seen: seen.to_vec(),
        },
    }
}

fn opened() -> Vec<Entry> {
    let empty = fold(Kind::CASE, &[]);
    decide(&empty, &open_case(), id(1), &by(0), Moment(START_MS))
        .unwrap()
        .entries
}

#[test]
fn an_alert_of_an_unknown_kind_stands_and_is_shown() {
    let mut entries = opened();
    entries.push(unread(2, "raise-alert", &[]));
    let state = fold(Kind::CASE, &entries);
    assert_eq!(state.summary(1).unread_alerts, 1);
    let view = serde_json::to_value(&state).unwrap();
    let alert = &view["alerts"][0];
    assert!(alert["code"].is_null() && alert["stands"] == true);
    assert_eq!(alert["raises"][0]["by"], "w-7");
    let shown = &view["unread"][0];
    assert_eq!(
        (&shown["code"], &shown["site"]),
        (&"raise-alert".into(), &"kent".into())
    );
    let words = shown["words"].as_str().unwrap();
    assert!(words.starts_with("Recorded by a newer version"), "{words}");
}

/// A damaged alert is not one that an update would show.
#[test]
fn damage_is_not_called_newer() {
    let mut damaged = unread(2, "raise-alert", &[]);
    if let Act::Unread { reason, .. } = &mut damaged.act {
        *reason = Reason::Malformed;
    }
    let mut entries = opened();
    entries.push(damaged);
    let view = serde_json::to_value(fold(Kind::CASE, &entries)).unwrap();
    let shown = [
        &view["alerts"][0]["words"],
        &view["alerts"][0]["raises"][0]["detail"],
        &view["unread"][0]["words"],
    ];
    for words in shown.map(|words| words.as_str().unwrap()) {
        assert!(
            !words.contains("newer") && !words.contains("update"),
            "{words}"
        );
    }
    assert_eq!(view["unread"][0]["reason"], "malformed");
}

/// Somebody's edit that cannot be read has altered the text that others look at.
#[test]
fn an_edit_that_cannot_be_read_must_have_been_looked_at() {
    let mut entries = opened();
    entries.push(unread(2, "edit-text", &[]));
    let state = fold(Kind::CASE, &entries);
    let edit = |seen: Vec<EntryId>| Command::EditText {
        splices: vec![domain::Splice {
            position: 0,
            delete: 0,
            insert: "x".to_owned(),
        }],
        seen,
        length: None,
    };
    let by = by(0);
    let now = Moment(START_MS);
    let blind = decide(&state, &edit(Vec::new()), id(3), &by, now);
    assert_eq!(blind.err(), Some(Refusal::TextChanged));
    assert!(decide(&state, &edit(vec![id(2)]), id(3), &by, now).is_ok());
    let view = serde_json::to_value(&state).unwrap();
    assert_eq!(view["plan_edits"]["newest"], serde_json::json!([id(2)]));
}

#[test]
fn a_record_begun_by_a_newer_version_can_be_written_in() {
    for (kind, code, command) in [
        (Kind::CASE, "open-case", note()),
        (
            Kind::SESSION,
            "open-session",
            Command::HeadCount { people: 3 },
        ),
    ] {
        let state = fold(kind, &[unread(1, code, &[])]);
        let done = decide(&state, &command, id(2), &by(0), Moment(START_MS));
        assert_eq!(done.map(|edits| edits.entries.len()), Ok(1));
        assert_eq!(state.summary(0).site.unwrap().as_str(), "kent");
        let other = fold(kind, &[unread(1, "teleport", &[])]);
        let done = decide(&other, &command, id(2), &by(0), Moment(START_MS));
        assert_eq!(done.err(), Some(Refusal::NotOpen));
    }
}

/// A contact by an unknown means is a contact.
#[test]
fn what_cannot_be_read_is_something_a_closing_must_have_known_of() {
    let mut entries = opened();
    let close = Command::SetStatus {
        status: Status::Closed,
        reason: Text::from("moved away"),
    };
    let state = fold(Kind::CASE, &entries);
    let closed = decide(&state, &close, id(2), &by(0), Moment(START_MS)).unwrap();
    entries.extend(closed.entries);
    for (code, seen, status) in [
        ("add-note", vec![], Status::Open),
        ("add-note", vec![id(2)], Status::Closed),
        ("teleport", vec![], Status::Closed),
    ] {
        let mut entries = entries.clone();
        entries.push(unread(3, code, &seen));
        let State::Case(case) = fold(Kind::CASE, &entries) else {
            unreachable!("a case")
        };
        assert_eq!(case.status.weigh().operational(), status, "{code}");
    }
}

fn note() -> Command {
    Command::AddNote {
        happened: day("2025-12-01"),
        mode: domain::ContactMode::Phone,
        minutes: 1,
        text: Text::from("life goes on"),
    }
}
