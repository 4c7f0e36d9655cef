//! Two facilitators, one register, one tin: present wins, every mark is kept, the money adds up.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Act, Attendance, Attender, Command, Refusal, Session, SessionForm, State, Subject, Text,
    TimeOfDay,
};
use names::{DocumentId, EntryId, Kind};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::people::{World, day};

const PLACES: usize = 3;

fn time(text: &str) -> TimeOfDay {
    text.parse().unwrap()
}

fn open_session() -> Command {
    Command::OpenSession {
        venue: Text::from("gravesham"),
        date: day("2026-01-15"),
        start: time("10:00"),
        end: Some(time("12:00")),
        form: SessionForm::PeerLed,
    }
}

fn session_at(world: &World, place: usize) -> Session {
    match world.state(place) {
        State::Session(session) => *session,
        State::Case(_) => unreachable!("a session"),
    }
}

fn attender(number: u8) -> Attender {
    Attender::Person(DocumentId([number; 16]))
}

fn mark(number: u8, attendance: Attendance) -> Command {
    Command::Mark {
        attender: attender(number),
        attendance,
        arrived: None,
        left: None,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Merge(usize),
    Mark(u8, usize),
    Take(u32),
    Pay(u32),
    Reverse(u8),
    Count(u32),
    Heads(u32),
    Settle(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..PLACES).prop_map(Step::Merge),
        5 => (0..3u8, 0..Attendance::ALL.len()).prop_map(|(who, how)| Step::Mark(who, how)),
        2 => (1..500u32).prop_map(Step::Take),
        2 => (1..500u32).prop_map(Step::Pay),
        2 => any::<u8>().prop_map(Step::Reverse),
        1 => (0..900u32).prop_map(Step::Count),
        1 => (0..9u32).prop_map(Step::Heads),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(which, value)| Step::Settle(which, value)),
    ]
}

fn perform(world: &mut World, place: usize, clock: i64, step: &Step) -> Result<(), TestCaseError> {
    let session = session_at(world, place);
    let what = Text::from("tea");
    let command = match step {
        Step::Merge(from) => {
            world.merge(place, *from);
            return Ok(());
        }
        Step::Mark(who, how) => mark(*who, Attendance::ALL[*how]),
        Step::Take(pence) => Command::TakeCash {
            pence: *pence,
            from: None,
            what,
        },
        Step::Pay(pence) => Command::PayOut {
            pence: *pence,
            what,
        },
        Step::Reverse(which) => {
            let lines: Vec<EntryId> = session.cash.lines().rows().map(|row| row.entry).collect();
            let Some(cash) = lines.get(usize::from(*which) % lines.len().max(1)) else {
                return Ok(());
            };
            let known = session.cash.reversed().contains(cash);
            let result = world.act(
                place,
                &Command::ReverseCash {
                    cash: *cash,
                    reason: what,
                },
                clock,
            );
            prop_assert_eq!(result.err(), known.then_some(Refusal::AlreadyReversed));
            return Ok(());
        }
        Step::Count(pence) => Command::CountCash { pence: *pence },
        Step::Heads(people) => Command::HeadCount { people: *people },
        Step::Settle(which, value) => {
            let conflicts = session.conflicts();
            let Some(conflict) = conflicts.get(usize::from(*which) % conflicts.len().max(1)) else {
                return Ok(());
            };
            let keep = conflict.values[usize::from(*value) % conflict.values.len()].entry;
            Command::Settle {
                about: conflict.about.clone(),
                keep,
                reason: what,
                seen: conflict
                    .values
                    .iter()
                    .map(|version| version.entry)
                    .collect(),
            }
        }
    };
    let made = world.act(place, &command, clock);
    prop_assert!(made.is_ok());
    if let Command::Settle { about, .. } = &command {
        let left = session_at(world, place).conflicts();
        prop_assert!(left.iter().all(|conflict| conflict.about != *about));
    }
    Ok(())
}

fn check(world: &World, place: usize) -> Result<(), TestCaseError> {
    let (session, held) = (session_at(world, place), world.held(place));
    let mut marks: BTreeMap<Attender, BTreeMap<EntryId, Attendance>> = BTreeMap::new();
    let (mut amounts, mut reversed) = (BTreeMap::new(), BTreeSet::new());
    for entry in &held {
        match &world.entries[entry].act {
            Act::Mark {
                attender,
                attendance,
                ..
            } => {
                marks
                    .entry(*attender)
                    .or_default()
                    .insert(*entry, *attendance);
            }
            Act::TakeCash { pence, .. } => {
                amounts.insert(*entry, i64::from(*pence));
            }
            Act::PayOut { pence, .. } => {
                amounts.insert(*entry, -i64::from(*pence));
            }
            Act::ReverseCash { cash, .. } => {
                reversed.insert(*cash);
            }
            _ => {}
        }
    }
    let mut attended = 0;
    for (attender, marks) in &marks {
        let heads = world.unreplaced(&marks.keys().copied().collect());
        // Present before late, left early, apology, absent: the declared order.
        let strongest = heads.iter().map(|entry| marks[entry]).min().unwrap();
        prop_assert_eq!(session.mark(*attender).unwrap().attendance, strongest);
        attended += u32::from(strongest <= Attendance::LeftEarly);
        let row = &session.register[attender];
        prop_assert_eq!(row.history().len(), marks.len(), "a mark is gone");
        let values: BTreeSet<Attendance> = heads.iter().map(|entry| marks[entry]).collect();
        let about = Subject::Attendance {
            attender: *attender,
        };
        let shown = session
            .conflicts()
            .iter()
            .any(|conflict| conflict.about == about);
        prop_assert_eq!(shown, values.len() > 1);
    }
    check_heads(world, &session, &held)?;
    prop_assert_eq!(session.attended().0, attended);
    prop_assert_eq!(session.register.len(), marks.len());
    let counting = amounts
        .iter()
        .filter(|(entry, _)| !reversed.contains(entry));
    let total: i64 = counting.map(|(_, pence)| *pence).sum();
    prop_assert_eq!(session.expected_cash().0, total);
    prop_assert_eq!(session.received().0 - session.paid_out().0, total);
    prop_assert_eq!(session.variance(100).0, 100 - total);
    prop_assert_eq!(world.state(place).summary(0).cash_pence, total);
    Ok(())
}

/// The people counted by hand: every count that nobody replaced knowingly, and the most of them
/// in the meantime.
fn check_heads(
    world: &World,
    session: &Session,
    held: &BTreeSet<EntryId>,
) -> Result<(), TestCaseError> {
    let counts = held
        .iter()
        .filter_map(|entry| match world.entries[entry].act {
            Act::HeadCount { people, .. } => Some((*entry, people)),
            _ => None,
        });
    let counts: BTreeMap<EntryId, u32> = counts.collect();
    let heads = world.unreplaced(&counts.keys().copied().collect());
    let values: BTreeSet<u32> = heads.iter().map(|entry| counts[entry]).collect();
    let read: BTreeSet<u32> = session.head_counts.values().into_iter().copied().collect();
    prop_assert_eq!(&read, &values);
    let conflicts = session.conflicts();
    let shown = conflicts
        .iter()
        .find(|conflict| conflict.about == Subject::HeadCount);
    prop_assert_eq!(shown.is_some(), values.len() > 1);
    if let (Some(shown), Some(most)) = (shown, values.last()) {
        prop_assert_eq!(shown.operational.as_str(), most.to_string());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn registers_and_tins_agree_however_facilitators_part_and_meet(
        steps in vec((0..PLACES, 0..1_000_000i64, step()), 1..40),
    ) {
        let mut world = World::new(Kind::SESSION, PLACES, &open_session());
        for (place, clock, step) in &steps {
            perform(&mut world, *place, *clock, step)?;
            check(&world, *place)?;
        }
        world.merge_all();
        for place in 0..PLACES {
            check(&world, place)?;
            prop_assert!(world.state(place) == world.state(0));
        }
    }
}

#[test]
fn the_same_person_marked_differently_is_present_and_shown_with_both() {
    let mut world = World::new(Kind::SESSION, 2, &open_session());
    let absent = world.act(0, &mark(0, Attendance::Absent), 900_000).unwrap();
    let present = world.act(1, &mark(0, Attendance::Present), 1).unwrap();
    world.merge_all();
    let session = session_at(&world, 0);
    assert_eq!(
        session.mark(attender(0)).unwrap().attendance,
        Attendance::Present
    );
    let conflicts = session.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].operational.as_str(), "present");
    let told: Vec<EntryId> = conflicts[0]
        .values
        .iter()
        .map(|version| version.entry)
        .collect();
    assert_eq!(told, [present, absent]);
    // A correction by somebody who has seen both may say absent: present wins ties, not people.
    world.act(0, &mark(0, Attendance::Absent), 2).unwrap();
    let session = session_at(&world, 0);
    assert_eq!(
        session.mark(attender(0)).unwrap().attendance,
        Attendance::Absent
    );
    assert!(session.conflicts().is_empty());
}

#[test]
fn two_who_begin_the_same_register_apart_have_one() {
    let first = |place: usize, number: u8| {
        let by = crate::people::by(place);
        let state = crate::lattice::fold(Kind::SESSION, &[]);
        let now = names::Moment(crate::people::START_MS);
        let entry = crate::acts::id(number);
        domain::decide(&state, &open_session(), entry, &by, now)
            .unwrap()
            .entries
    };
    let entries = [first(0, 1), first(1, 2)].concat();
    let state = crate::lattice::fold(Kind::SESSION, &entries);
    assert!(state.conflicts().is_empty() && state.is_open());
    assert_eq!(state.summary(0).venue.unwrap().as_str(), "gravesham");
}

#[test]
fn times_a_quarter_of_an_hour_apart_are_the_same() {
    for (start, conflicts) in [("10:15", 0), ("10:16", 1)] {
        let mut world = World::new(Kind::SESSION, 2, &open_session());
        let times = |start: &str| Command::SetTimes {
            start: time(start),
            end: time("12:00"),
            reason: Text::default(),
        };
        world.act(0, &times("10:00"), 1).unwrap();
        world.act(1, &times(start), 2).unwrap();
        world.merge_all();
        let session = session_at(&world, 0);
        assert_eq!(session.conflicts().len(), conflicts, "{start}");
        assert_eq!(session.widest_times().unwrap().start, time("10:00"));
    }
}
