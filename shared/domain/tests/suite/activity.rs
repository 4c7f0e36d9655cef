//! What an ending must have known of, and what it may overlook.

use domain::{
    AlertCode, Command, ContactMode, Instrument, OutcomePoint, State, Status, Subject, Text,
};
use names::Kind;

use crate::people::{World, day, open_case};

fn note(mode: ContactMode) -> Command {
    Command::AddNote {
        happened: day("2025-12-01"),
        mode,
        minutes: 10,
        text: Text::from("called"),
    }
}

#[test]
fn whatever_is_done_apart_from_a_closing_opens_the_case_again() {
    let raise = Command::RaiseAlert {
        code: AlertCode::SuicidalThoughts,
        detail: Text::from("said so at the group"),
        review_by: None,
    };
    let outcome = Command::RecordOutcome {
        instrument: Instrument::Phq9,
        total: 20,
        taken: day("2025-12-01"),
        point: OutcomePoint::Review,
        replaces: Vec::new(),
        reason: Text::default(),
    };
    let task = Command::AddTask {
        what: Text::from("ring the GP"),
        due: None,
        whom: None,
    };
    for (done, words) in [
        (note(ContactMode::Phone), "contact noted"),
        (raise, "alert raised"),
        (outcome, "outcome recorded"),
        (task, "task added"),
    ] {
        let mut world = World::new(Kind::CASE, 2, &open_case());
        let close = Command::SetStatus {
            status: Status::Closed,
            reason: Text::from("moved away"),
        };
        let closed = world.act(0, &close, 1).unwrap();
        let entry = world.act(1, &done, 2).unwrap();
        world.merge_all();
        let summary = world.state(0).summary(0);
        assert_eq!(summary.status, Some(Status::Open), "{words}");
        assert!(summary.contested, "{words}");
        let conflicts = world.state(0).conflicts();
        let values = &conflicts[0].values;
        assert_eq!(conflicts[0].about, Subject::Status);
        assert_eq!(values[0].entry, closed);
        assert_eq!((values[1].entry, values[1].value.as_str()), (entry, words));
        // Whoever has seen both may close it after all.
        let settle = Command::Settle {
            about: Subject::Status,
            keep: closed,
            reason: Text::from("the GP knows"),
            seen: vec![closed, entry],
        };
        world.act(0, &settle, 3).unwrap();
        assert_eq!(world.state(0).summary(0).status, Some(Status::Closed));
        // And what is done in knowledge of that does not open it again.
        world.act(0, &done, 4).unwrap();
        assert!(!world.state(0).summary(0).contested, "{words}");
    }
}

/// A letter that is filed is no contact.
#[test]
fn a_note_without_contact_opens_nothing() {
    let mut world = World::new(Kind::CASE, 2, &open_case());
    let close = Command::SetStatus {
        status: Status::Closed,
        reason: Text::from("moved away"),
    };
    world.act(0, &close, 1).unwrap();
    world.act(1, &note(ContactMode::None), 2).unwrap();
    world.merge_all();
    assert_eq!(world.state(0).summary(0).status, Some(Status::Closed));
    assert!(world.state(0).conflicts().is_empty());
}

#[test]
fn nobody_needs_to_agree_by_when_a_finished_task_was_due() {
    let mut world = World::new(Kind::CASE, 2, &open_case());
    let task = Command::AddTask {
        what: Text::from("ring the GP"),
        due: None,
        whom: None,
    };
    let task = world.act(0, &task, 1).unwrap();
    world.merge(1, 0);
    for (place, due) in [(0, "2026-01-05"), (1, "2026-01-06")] {
        let due = Command::MoveTask {
            task,
            due: day(due),
            reason: Text::default(),
        };
        world.act(place, &due, 2).unwrap();
    }
    world.merge_all();
    assert_eq!(world.state(0).conflicts().len(), 1);
    let done = Command::CompleteTask {
        task,
        result: Text::default(),
    };
    world.act(0, &done, 3).unwrap();
    assert!(world.state(0).conflicts().is_empty());
}

/// A correction that two made apart is a conflict, and one that replaces both settles it.
#[test]
fn an_outcome_corrected_twice_is_shown_and_can_be_settled() {
    let outcome = |total, replaces: &[names::EntryId]| Command::RecordOutcome {
        instrument: Instrument::Phq9,
        total,
        taken: day("2025-12-01"),
        point: OutcomePoint::Review,
        replaces: replaces.to_vec(),
        reason: Text::from("added up wrongly"),
    };
    let mut world = World::new(Kind::CASE, 2, &open_case());
    let first = world.act(0, &outcome(9, &[]), 1).unwrap();
    let another = world.act(0, &outcome(4, &[]), 1).unwrap();
    world.merge(1, 0);
    let one = world.act(0, &outcome(10, &[first]), 2).unwrap();
    let two = world.act(1, &outcome(11, &[first]), 3).unwrap();
    world.merge_all();
    let conflicts = world.state(0).conflicts();
    assert_eq!(conflicts.len(), 1);
    let parties: Vec<_> = conflicts[0].values.iter().map(|v| v.entry).collect();
    assert_eq!(parties, [one, two]);
    assert_eq!(
        conflicts[0].values[0].value.as_str(),
        "PHQ-9 10 on 2025-12-01: added up wrongly"
    );
    let settle = Command::Settle {
        about: conflicts[0].about.clone(),
        keep: two,
        reason: Text::from("counted together"),
        seen: parties,
    };
    let settled = world.act(0, &settle, 4).unwrap();
    let State::Case(case) = world.state(0) else {
        unreachable!("a case")
    };
    assert!(case.conflicts().is_empty());
    let current: Vec<_> = case.outcomes.current_entries().into_iter().collect();
    assert!(current.len() == 2 && current.contains(&settled) && current.contains(&another));
}
