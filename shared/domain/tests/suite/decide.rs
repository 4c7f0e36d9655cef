//! What a person may ask, and what is refused and why.

use domain::{
    Act, Attendance, Attender, By, Command, ContactMode, Entry, Field, Instrument, NhsProblem,
    OutcomePoint, Power, Refusal, Role, Slot, Splice, State, Status, Text, decide,
};
use names::{EntryId, Kind, Moment, limits};

use crate::acts::id;
use crate::lattice::fold;
use crate::people::{START_MS, by, day, open_case};

const NOW: Moment = Moment(START_MS);

/// A case in which entry 1 opened it, 2 is a note, 3 a task and 4 an outcome.
fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let commands = [
        open_case(),
        note("first contact"),
        Command::AddTask {
            what: Text::from("ring back"),
            due: None,
            whom: None,
        },
        outcome(Instrument::Phq9, 12, &[]),
    ];
    for (number, command) in commands.iter().enumerate() {
        let state = fold(Kind::CASE, &entries);
        let edits = decide(&state, command, id(number as u8 + 1), &by(0), NOW).unwrap();
        entries.extend(edits.entries);
    }
    entries
}

fn case() -> State {
    fold(Kind::CASE, &entries())
}

fn ask(command: &Command) -> Result<Act, Refusal> {
    let edits = decide(&case(), command, id(50), &by(0), NOW)?;
    Ok(edits.entries[0].act.clone())
}

fn note(text: &str) -> Command {
    Command::AddNote {
        happened: day("2025-12-31"),
        mode: ContactMode::FaceToFace,
        minutes: 50,
        text: Text::from(text),
    }
}

fn outcome(instrument: Instrument, total: u32, replaces: &[EntryId]) -> Command {
    Command::RecordOutcome {
        instrument,
        total,
        taken: day("2025-12-31"),
        point: OutcomePoint::Start,
        replaces: replaces.to_vec(),
        reason: Text::from("typing error"),
    }
}

fn identify(slot: Slot, value: &str) -> Command {
    Command::Identify {
        slot,
        value: Text::from(value),
        reason: Text::default(),
    }
}

#[test]
fn identifiers_are_kept_in_one_form() {
    for (slot, typed, kept) in [
        (Slot::NhsNumber, " 943 476 5919 ", Ok("9434765919")),
        (Slot::NhsNumber, "", Ok("")),
        (
            Slot::NhsNumber,
            "943 476 5918",
            Err(Refusal::NhsNumber(NhsProblem::WrongCheckDigit)),
        ),
        (
            Slot::NhsNumber,
            "1111111111",
            Err(Refusal::NhsNumber(NhsProblem::Repeated)),
        ),
        (
            Slot::NhsNumber,
            "94347",
            Err(Refusal::NhsNumber(NhsProblem::NotTenDigits)),
        ),
        (Slot::DateOfBirth, "1990-02-28", Ok("1990-02-28")),
        (
            Slot::DateOfBirth,
            "28/02/1990",
            Err(Refusal::BadDate("the date of birth")),
        ),
        (
            Slot::DateOfBirth,
            "2026-01-03",
            Err(Refusal::BadDate("the date of birth")),
        ),
        (
            Slot::DateOfBirth,
            "1879-12-31",
            Err(Refusal::BadDate("the date of birth")),
        ),
        (Slot::Name, "  Ann Example ", Ok("Ann Example")),
        (Slot::Name, "   ", Err(Refusal::Empty("the name"))),
        (Slot::Phone, "", Ok("")),
    ] {
        let act = ask(&identify(slot, typed));
        let value = act.map(|act| match act {
            Act::Identify { value, .. } => value,
            _ => unreachable!("an identifier"),
        });
        assert_eq!(value, kept.map(Text::from), "{slot} {typed}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let long = "x".repeat(limits::NOTE_BYTES_MAX + 1);
    let late = Command::AddNote {
        happened: day("2026-01-03"),
        mode: ContactMode::None,
        minutes: 0,
        text: Text::from("x"),
    };
    let close = |reason: &str| Command::SetStatus {
        status: Status::Closed,
        reason: Text::from(reason),
    };
    for (command, refusal) in [
        (note("  \n "), Refusal::Empty("the note")),
        (
            note(&long),
            Refusal::TooLong("the text", limits::NOTE_BYTES_MAX),
        ),
        (late, Refusal::BadDate("the day of the contact")),
        (close(""), Refusal::Empty("the reason for closing")),
        (
            outcome(Instrument::Phq9, 28, &[]),
            Refusal::NoSuchTotal(Instrument::Phq9),
        ),
        (
            outcome(Instrument::Swemwbs, 6, &[]),
            Refusal::NoSuchTotal(Instrument::Swemwbs),
        ),
        (
            outcome(Instrument::Phq9, 3, &[id(2)]),
            Refusal::UnknownEntry,
        ),
        (
            outcome(Instrument::Gad7, 3, &[id(4)]),
            Refusal::UnknownEntry,
        ),
        (open_case(), Refusal::AlreadyOpen),
        (Command::HeadCount { people: 3 }, Refusal::WrongKind),
        (
            Command::CompleteTask {
                task: id(2),
                result: Text::default(),
            },
            Refusal::UnknownEntry,
        ),
        (
            Command::SetField {
                field: Field::Room,
                value: Text::from("2"),
            },
            Refusal::NotAField,
        ),
        (
            Command::SetStatus {
                status: Status::Open,
                reason: Text::default(),
            },
            Refusal::IllegalMove(Status::Open, Status::Open),
        ),
    ] {
        assert_eq!(ask(&command), Err(refusal), "{}", command.code());
    }
    assert!(ask(&outcome(Instrument::Phq9, 3, &[id(4)])).is_ok());
    assert!(ask(&close("moved away")).is_ok());
}

#[test]
fn a_clock_that_was_never_set_keeps_nobody_from_writing() {
    let edits = decide(&case(), &note("x"), id(50), &by(0), Moment(0));
    assert_eq!(edits.map(|edits| edits.entries.len()), Ok(1));
}

#[test]
fn an_entry_is_recorded_once_and_its_id_used_for_nothing_else() {
    let state = case();
    let again = decide(
        &state,
        &note("first contact"),
        id(2),
        &by(0),
        Moment(START_MS + 9),
    );
    assert!(again.unwrap().is_empty());
    let other = decide(&state, &note("something else"), id(2), &by(0), NOW);
    assert_eq!(other, Err(Refusal::EntryIdUsed));
    let somebody = decide(&state, &note("first contact"), id(2), &by(1), NOW);
    assert_eq!(somebody, Err(Refusal::EntryIdUsed));
}

#[test]
fn one_command_through_two_nodes_is_one_entry_that_saw_what_both_showed() {
    let mut entries = entries();
    let name = identify(Slot::Name, "Ann");
    let first = decide(&case(), &name, id(60), &by(1), NOW).unwrap();
    // The second node knows another name already; the first did not.
    let known = decide(&case(), &identify(Slot::Name, "Anne"), id(61), &by(2), NOW).unwrap();
    entries.extend(known.entries);
    let second = decide(
        &fold(Kind::CASE, &entries),
        &name,
        id(60),
        &by(1),
        Moment(START_MS + 1),
    )
    .unwrap();
    entries.extend(first.entries);
    entries.extend(second.entries);
    let State::Case(case) = fold(Kind::CASE, &entries) else {
        unreachable!("a case")
    };
    let names: Vec<Text> = case.identifier(Slot::Name);
    assert_eq!(
        names,
        [Text::from("Ann"), Text::from("Anne")],
        "the unseen name was replaced"
    );
    assert_eq!(case.identifiers[&Slot::Name].history().len(), 2);
}

#[test]
fn each_role_has_its_powers() {
    let (lead_self, lead_other) = (
        Command::SetLead {
            worker: "w-0".parse().unwrap(),
            reason: Text::default(),
        },
        Command::SetLead {
            worker: "w-9".parse().unwrap(),
            reason: Text::default(),
        },
    );
    let wait = Command::SetStatus {
        status: Status::Waiting,
        reason: Text::default(),
    };
    use Role::{Admin, BankWorker, Coordinator, Practitioner, RecoveryWorker, Senior};
    for (command, power, who) in [
        (
            note("x"),
            Power::WriteNotes,
            vec![
                RecoveryWorker,
                Senior,
                Coordinator,
                Practitioner,
                BankWorker,
            ],
        ),
        (
            identify(Slot::Phone, "1"),
            Power::Register,
            Role::ALL.to_vec(),
        ),
        (
            wait,
            Power::SteerCase,
            vec![RecoveryWorker, Senior, Coordinator, Practitioner, Admin],
        ),
        (lead_self, Power::AssignLead, {
            vec![RecoveryWorker, Senior, Coordinator, Practitioner, Admin]
        }),
        (
            lead_other,
            Power::AssignLead,
            vec![Senior, Coordinator, Admin],
        ),
    ] {
        for role in Role::ALL {
            let by = By {
                roles: vec![*role],
                ..by(0)
            };
            let result = decide(&case(), &command, id(50), &by, NOW);
            let refused = result.err();
            let expected = (!who.contains(role)).then_some(Refusal::NotAllowed(power));
            assert_eq!(refused, expected, "{role} {}", command.code());
        }
        let nobody = By {
            roles: Vec::new(),
            ..by(0)
        };
        let result = decide(&case(), &command, id(50), &nobody, NOW);
        assert_eq!(result.err(), Some(Refusal::NotAllowed(power)));
    }
}

#[test]
fn edits_stay_within_the_text() {
    let mut state = case();
    state.set_text("naïve");
    let splice = |position, delete, insert: &str| Splice {
        position,
        delete,
        insert: insert.to_owned(),
    };
    let many = "x".repeat(limits::CHANGE_OPS_MAX as usize);
    let edit = |splices: Vec<Splice>, seen: Vec<EntryId>, length: usize| Command::EditText {
        splices,
        seen,
        length: Some(length),
    };
    for (splices, length, refusal) in [
        (vec![splice(5, 0, "!")], 5, None),
        (vec![splice(0, 5, "ab"), splice(2, 0, "c")], 5, None),
        (
            vec![splice(0, 5, "ab"), splice(3, 0, "c")],
            5,
            Some(Refusal::TextChanged),
        ),
        (vec![splice(6, 0, "!")], 5, Some(Refusal::TextChanged)),
        (
            vec![splice(usize::MAX, 2, "")],
            5,
            Some(Refusal::TextChanged),
        ),
        (vec![splice(0, 0, "!")], 6, Some(Refusal::TextChanged)),
        (vec![], 5, Some(Refusal::Empty("the edit"))),
        (
            vec![splice(0, 0, &many)],
            5,
            Some(Refusal::TooMany("characters", limits::PLAN_INSERT_MAX)),
        ),
        (
            vec![splice(0, usize::MAX, "x")],
            5,
            Some(Refusal::TooMany("characters", limits::PLAN_INSERT_MAX)),
        ),
    ] {
        let command = edit(splices, Vec::new(), length);
        let result = decide(&state, &command, id(50), &by(0), NOW);
        assert_eq!(result.err(), refusal);
    }
}

#[test]
fn what_a_reviewer_saw_must_be_of_that_alert() {
    use domain::AlertCode::{Allergy, Weapons};
    let mut entries = entries();
    for (number, code) in [(70, Allergy), (71, Weapons)] {
        let raise = Command::RaiseAlert {
            code,
            detail: Text::default(),
            review_by: None,
        };
        let state = fold(Kind::CASE, &entries);
        entries.extend(
            decide(&state, &raise, id(number), &by(0), NOW)
                .unwrap()
                .entries,
        );
    }
    let state = fold(Kind::CASE, &entries);
    let review = |seen: Option<Vec<EntryId>>| {
        let reason = Text::from("outgrown");
        let command = Command::ReviewAlert {
            code: Allergy,
            clear: true,
            reason,
            seen,
        };
        decide(&state, &command, id(72), &by(0), NOW).map(|edits| edits.entries)
    };
    assert_eq!(review(Some(vec![id(71)])), Err(Refusal::UnknownEntry));
    assert_eq!(review(Some(vec![id(99)])), Err(Refusal::UnknownEntry));
    assert_eq!(review(Some(Vec::new())), Err(Refusal::NotLookedAt));
    assert_eq!(review(Some(vec![id(70)])).unwrap()[0].act.seen(), [id(70)]);
    assert_eq!(review(None), Err(Refusal::NotLookedAt));
}

/// An act with a seen-list that nobody fills would replace nothing and conflict with itself.
#[test]
fn whoever_says_it_again_has_seen_it_the_first_time() {
    let session = [
        Command::SetTimes {
            start: "10:00".parse().unwrap(),
            end: "11:00".parse().unwrap(),
            reason: Text::default(),
        },
        Command::SetPlan {
            end: None,
            form: domain::SessionForm::PeerLed,
            reason: Text::default(),
        },
        Command::Mark {
            attender: Attender::Person(names::DocumentId([9; 16])),
            attendance: Attendance::Late,
            arrived: None,
            left: None,
        },
        Command::CountCash { pence: 0 },
        Command::HeadCount { people: 1 },
    ];
    let open = Command::OpenSession {
        venue: Text::from("medway"),
        date: day("2026-01-15"),
        start: "10:00".parse().unwrap(),
        end: None,
        form: domain::SessionForm::PeerLed,
    };
    let case = [
        identify(Slot::Phone, "1"),
        note("x"),
        Command::RaiseAlert {
            code: domain::AlertCode::Weapons,
            detail: Text::default(),
            review_by: None,
        },
        Command::MoveTask {
            task: id(3),
            due: day("2026-01-15"),
            reason: Text::default(),
        },
        Command::SetLead {
            worker: "w-0".parse().unwrap(),
            reason: Text::default(),
        },
        Command::SetReviewDate {
            date: day("2026-03-01"),
            reason: Text::default(),
        },
    ];
    let opened = decide(&fold(Kind::SESSION, &[]), &open, id(1), &by(0), NOW)
        .unwrap()
        .entries;
    for (kind, begun, commands) in [
        (Kind::CASE, entries(), &case[..]),
        (Kind::SESSION, opened, &session[..]),
    ] {
        for command in commands {
            let mut entries = begun.clone();
            for number in [50, 51] {
                let state = fold(kind, &entries);
                let edits = decide(&state, command, id(number), &by(0), NOW).unwrap();
                entries.extend(edits.entries);
            }
            let last = entries.last().unwrap();
            assert!(last.act.seen().contains(&id(50)), "{}", command.code());
        }
    }
}

#[test]
fn refusals_speak_plainly_and_repeat_nothing() {
    let refusals = [
        Refusal::NotAllowed(Power::WriteNotes),
        Refusal::Empty("the note"),
        Refusal::TooLong("the text", 512),
        Refusal::NhsNumber(NhsProblem::WrongCheckDigit),
        Refusal::NoSuchTotal(Instrument::Phq9),
        Refusal::IllegalMove(Status::Closed, Status::Paused),
        Refusal::TextChanged,
    ];
    for refusal in refusals {
        assert!(refusal.words().ends_with('.'), "{refusal}");
        assert!(
            refusal
                .code()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-')
        );
    }
    let json = serde_json::to_value(Refusal::NotOpen).unwrap();
    assert_eq!(json["code"], "not-open");
}
