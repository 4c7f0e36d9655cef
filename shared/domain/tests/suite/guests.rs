//! Guests of a session: two of one name are two, until a person says that they are one.

use domain::{Attendance, Attender, Command, Refusal, Session, State, Subject, Text};
use names::{DocumentId, EntryId, Kind};

use crate::people::{World, day};

const PERSON: Attender = Attender::Person(DocumentId([7; 16]));

fn world() -> World {
    let open = Command::OpenSession {
        venue: Text::from("gravesham"),
        date: day("2026-01-15"),
        start: "10:00".parse().unwrap(),
        end: None,
        form: domain::SessionForm::PeerLed,
    };
    World::new(Kind::SESSION, 2, &open)
}

fn session_at(world: &World, place: usize) -> Session {
    match world.state(place) {
        State::Session(session) => *session,
        State::Case(_) => unreachable!("a session"),
    }
}

fn sam(attendance: Attendance) -> Command {
    Command::AddGuest {
        name: Text::from(" Sam "),
        attendance,
        arrived: None,
        left: None,
    }
}

fn mark(attender: Attender, attendance: Attendance, arrived: Option<&str>) -> Command {
    Command::Mark {
        attender,
        attendance,
        arrived: arrived.map(|time| time.parse().unwrap()),
        left: None,
    }
}

fn same(guest: EntryId, to: Option<Attender>) -> Command {
    Command::MatchGuest {
        guest,
        to,
        reason: Text::from("she said so"),
    }
}

#[test]
fn two_guests_of_one_name_are_two_rows_until_somebody_says_they_are_one() {
    let mut world = world();
    let one = world.act(0, &sam(Attendance::Present), 1).unwrap();
    let two = world.act(1, &sam(Attendance::Apology), 2).unwrap();
    world.merge_all();
    let session = session_at(&world, 0);
    assert_eq!((session.rows().len(), session.attended().0), (2, 1));
    assert!(
        session.conflicts().is_empty(),
        "two people did different things"
    );
    // The second mark of a guest is about that guest's row.
    let (one_row, two_row) = (Attender::Guest(one), Attender::Guest(two));
    world
        .act(0, &mark(two_row, Attendance::Late, None), 3)
        .unwrap();
    assert_eq!(session_at(&world, 0).attended().0, 2);
    assert_eq!(
        session_at(&world, 0).mark(one_row).unwrap().attendance,
        Attendance::Present
    );

    world.act(0, &same(two, Some(one_row)), 4).unwrap();
    let session = session_at(&world, 0);
    assert_eq!((session.rows().len(), session.attended().0), (1, 1));
    let conflict = &session.conflicts()[0];
    assert_eq!(conflict.about, Subject::Attendance { attender: one_row });
    assert_eq!(conflict.operational.as_str(), "present");
    assert!(conflict.values[0].value.as_str().starts_with("Sam: "));
    let seen: Vec<EntryId> = conflict
        .values
        .iter()
        .map(|version| version.entry)
        .collect();
    let settle = Command::Settle {
        about: conflict.about.clone(),
        keep: seen[1],
        reason: Text::from("she came at ten past"),
        seen,
    };
    world.act(0, &settle, 5).unwrap();
    let session = session_at(&world, 0);
    assert!(session.conflicts().is_empty());
    assert_eq!(session.mark(two_row).unwrap().attendance, Attendance::Late);
    let view = serde_json::to_value(world.state(0)).unwrap();
    assert_eq!(view["register"][0]["guests"].as_array().unwrap().len(), 2);
    assert_eq!(view["register"][0]["guests"][0]["names"][0], "Sam");
    // And it can be taken back.
    world.act(0, &same(two, None), 6).unwrap();
    assert_eq!(session_at(&world, 0).rows().len(), 2);
}

#[test]
fn a_guest_turns_out_to_be_somebody_with_a_case() {
    let mut world = world();
    let guest = world.act(0, &sam(Attendance::Present), 1).unwrap();
    world.merge(1, 0);
    world
        .act(1, &mark(PERSON, Attendance::Absent, None), 2)
        .unwrap();
    world.act(1, &same(guest, Some(PERSON)), 3).unwrap();
    let session = session_at(&world, 1);
    assert_eq!(session.rows().keys().copied().collect::<Vec<_>>(), [PERSON]);
    assert_eq!(
        session.mark(PERSON).unwrap().attendance,
        Attendance::Present
    );
    // Somebody else thinks otherwise, apart: shown, and two rows meanwhile.
    let other = Attender::Person(DocumentId([8; 16]));
    world.act(0, &same(guest, Some(other)), 4).unwrap();
    world.merge_all();
    let session = session_at(&world, 0);
    let about = Subject::Guest { guest };
    assert!(
        session
            .conflicts()
            .iter()
            .any(|conflict| conflict.about == about)
    );
    assert_eq!(
        session.whoever(Attender::Guest(guest)),
        Attender::Guest(guest)
    );
}

#[test]
fn what_cannot_be_said_of_guests_is_refused() {
    let mut world = world();
    let guest = world.act(0, &sam(Attendance::Present), 1).unwrap();
    let unknown = EntryId([9; 16]);
    for (command, refusal) in [
        (sam_without_a_name(), Refusal::Empty("the guest's name")),
        (
            mark(Attender::Guest(unknown), Attendance::Late, None),
            Refusal::UnknownEntry,
        ),
        (same(unknown, None), Refusal::UnknownEntry),
        (
            same(guest, Some(Attender::Guest(unknown))),
            Refusal::UnknownEntry,
        ),
        (
            same(guest, Some(Attender::Guest(guest))),
            Refusal::SameAlready,
        ),
    ] {
        assert_eq!(world.act(0, &command, 2), Err(refusal));
    }
}

fn sam_without_a_name() -> Command {
    Command::AddGuest {
        name: Text::from("  "),
        attendance: Attendance::Late,
        arrived: None,
        left: None,
    }
}

/// Two matches that meet make a circle; it is one row all the same, and two persons never are.
#[test]
fn guests_who_are_said_to_be_each_other_are_one_row() {
    let mut world = world();
    let one = world.act(0, &sam(Attendance::Present), 1).unwrap();
    let two = world.act(0, &sam(Attendance::Late), 2).unwrap();
    world.merge(1, 0);
    world
        .act(0, &same(one, Some(Attender::Guest(two))), 3)
        .unwrap();
    world
        .act(1, &same(two, Some(Attender::Guest(one))), 4)
        .unwrap();
    world.merge_all();
    let session = session_at(&world, 0);
    let rows: Vec<Attender> = session.rows().keys().copied().collect();
    assert_eq!(rows, [Attender::Guest(one.min(two))]);
    assert_eq!(
        session
            .row(Attender::Guest(one.max(two)))
            .unwrap()
            .guests
            .len(),
        2
    );
}

/// Two clocks on two walls are no conflict, and a noted time goes before none.
#[test]
fn times_that_lie_close_are_one_and_a_noted_one_is_preferred() {
    for (here, there, conflicts, arrived) in [
        (Some("10:00"), Some("10:01"), 0, Some("10:00")),
        (Some("10:00"), Some("10:15"), 0, Some("10:00")),
        (Some("10:00"), Some("10:16"), 1, Some("10:00")),
        (None, Some("10:40"), 0, Some("10:40")),
        (None, None, 0, None),
    ] {
        let mut world = world();
        world
            .act(0, &mark(PERSON, Attendance::Late, here), 1)
            .unwrap();
        world
            .act(1, &mark(PERSON, Attendance::Late, there), 2)
            .unwrap();
        world.merge_all();
        let session = session_at(&world, 0);
        assert_eq!(session.conflicts().len(), conflicts, "{here:?} {there:?}");
        let operational = session.mark(PERSON).unwrap().arrived;
        assert_eq!(operational.map(|time| time.to_string()).as_deref(), arrived);
    }
}
