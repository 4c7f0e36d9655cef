//! A text is edited by somebody who has read what stands there.

use domain::{Act, Command, Refusal, Splice, State, Text};
use names::{EntryId, Kind};

use crate::people::{World, open_case};

fn edit(position: usize, delete: usize, insert: &str, seen: &[EntryId], length: usize) -> Command {
    let splice = Splice {
        position,
        delete,
        insert: insert.to_owned(),
    };
    Command::EditText {
        splices: vec![splice],
        seen: seen.to_vec(),
        length: Some(length),
    }
}

/// A text of the same length is not the same text.
#[test]
fn an_edit_of_a_text_that_has_become_another_is_refused() {
    let mut world = World::new(Kind::CASE, 2, &open_case());
    world.set_text("");
    let first = world.act(0, &edit(0, 0, "ring Ann", &[], 0), 1).unwrap();
    world.set_text("ring Ann");
    world.merge(1, 0);
    let second = world.act(1, &edit(5, 3, "Bob", &[first], 8), 2).unwrap();
    world.set_text("ring Bob");
    world.merge(0, 1);
    let stale = edit(5, 3, "Cy!", &[first], 8);
    assert_eq!(world.act(0, &stale, 3), Err(Refusal::TextChanged));
    assert_eq!(
        world.act(0, &edit(5, 3, "Cy!", &[second], 7), 3),
        Err(Refusal::TextChanged)
    );
    let third = world.act(0, &edit(5, 3, "Cy!", &[second], 8), 3).unwrap();
    let Act::EditText { removed, seen, .. } = &world.entries[&third].act else {
        unreachable!("an edit")
    };
    assert_eq!(
        (removed.as_str(), seen.as_slice()),
        ("Bob", [second].as_slice())
    );
    let view = serde_json::to_value(world.state(0)).unwrap();
    let edits = &view["plan_edits"];
    assert_eq!(edits["newest"], serde_json::json!([third]));
    let removed: Vec<&str> = edits["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| edit["removed"].as_str().unwrap())
        .collect();
    assert_eq!(removed, ["", "Ann", "Bob"]);
}

/// What goes is kept, whatever the alphabet and however many splices took it.
#[test]
fn the_words_that_go_are_kept_in_the_entry() {
    let mut world = World::new(Kind::CASE, 1, &open_case());
    world.set_text("naïve für 😀");
    let splices = [(0, 2), (2, 5)].map(|(position, delete)| Splice {
        position,
        delete,
        insert: String::new(),
    });
    let command = Command::EditText {
        splices: splices.to_vec(),
        seen: Vec::new(),
        length: None,
    };
    let entry = world.act(0, &command, 1).unwrap();
    let Act::EditText { removed, .. } = &world.entries[&entry].act else {
        unreachable!("an edit")
    };
    assert_eq!(*removed, Text::from("nae für"));
    let State::Case(case) = world.state(0) else {
        unreachable!("a case")
    };
    assert_eq!(case.plan.edits().len(), 1);
}

/// The crisis plan is a text of its own, and a case's alone.
#[test]
fn a_crisis_plan_is_another_text_than_the_plan() {
    let edit = |seen: &[EntryId]| Command::EditCrisisPlan {
        splices: vec![Splice {
            position: 0,
            delete: 0,
            insert: "Ring Ann first.".to_owned(),
        }],
        seen: seen.to_vec(),
        length: None,
    };
    let mut world = World::new(Kind::CASE, 1, &open_case());
    let first = world.act(0, &edit(&[]), 1).unwrap();
    assert_eq!(world.act(0, &edit(&[]), 2), Err(Refusal::TextChanged));
    let view = serde_json::to_value(world.state(0)).unwrap();
    assert_eq!(
        view["crisis_plan_edits"]["newest"],
        serde_json::json!([first])
    );
    assert_eq!(view["plan_edits"]["newest"], serde_json::json!([]));
    let open = Command::OpenSession {
        venue: Text::from("swanley"),
        date: crate::people::day("2026-01-15"),
        start: "10:00".parse().unwrap(),
        end: None,
        form: domain::SessionForm::PeerLed,
    };
    let mut session = World::new(Kind::SESSION, 1, &open);
    assert_eq!(session.act(0, &edit(&[]), 1), Err(Refusal::WrongKind));
}

/// Its words stand in the text once for each node it was sent through.
#[test]
fn the_view_says_that_an_edit_stands_twice() {
    let mut world = World::new(Kind::CASE, 1, &open_case());
    let edit = world.act(0, &edit(0, 0, "x", &[], 0), 1).unwrap();
    let mut entries: Vec<domain::Entry> = world.entries.values().cloned().collect();
    let twice = |entries: &[domain::Entry]| {
        let state = crate::lattice::fold(Kind::CASE, entries);
        let view = serde_json::to_value(state).unwrap();
        view["plan_edits"]["history"][0]["stands_twice"].clone()
    };
    assert_eq!(twice(&entries), false);
    let mut copy = world.entries[&edit].clone();
    copy.at = copy.at.plus_ms(7);
    entries.push(copy);
    assert_eq!(twice(&entries), true);
}
