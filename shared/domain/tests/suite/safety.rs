//! The first promise of the product: no alert disappears unless a review that had seen it says
//! so; every true conflict is shown. And the same for a case's status, names and dates.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Act, AlertCode, Case, Command, ContactMode, Refusal, Slot, State, Status, Subject, Text,
};
use names::{EntryId, Kind};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::people::{World, day, open_case};

const PLACES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Merge(usize),
    Raise(usize),
    /// Reviews; with a mask, showing only some of what there is.
    Review(usize, bool, Option<u8>),
    /// A contact, a note without one, an outcome, a task.
    Do(usize),
    Move(usize),
    Identify(usize, u8),
    Review2(u8),
    /// Settles; with a mask, having looked at only some of the conflict.
    Settle(u8, u8, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..PLACES).prop_map(Step::Merge),
        4 => (0..2usize).prop_map(Step::Raise),
        4 => (0..2usize, prop::bool::weighted(0.8), prop::option::weighted(0.3, any::<u8>()))
            .prop_map(|(code, clear, mask)| Step::Review(code, clear, mask)),
        3 => (0..4usize).prop_map(Step::Do),
        3 => (0..Status::ALL.len()).prop_map(Step::Move),
        2 => (0..2usize, 0..3u8).prop_map(|(slot, value)| Step::Identify(slot, value)),
        2 => (0..3u8).prop_map(Step::Review2),
        3 => (any::<u8>(), any::<u8>(), prop::option::weighted(0.3, any::<u8>()))
            .prop_map(|(which, value, mask)| Step::Settle(which, value, mask)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(usize, i64, Step)>> {
    vec((0..PLACES, 0..1_000_000i64, step()), 1..40)
}

fn case_at(world: &World, place: usize) -> Case {
    match world.state(place) {
        State::Case(case) => *case,
        State::Session(_) => unreachable!("a case"),
    }
}

/// What the model remembers of an alert's entries.
#[derive(Default)]
struct Alerts {
    raises: BTreeMap<EntryId, AlertCode>,
    /// Reviews: which alert, whether it clears, and what it was about.
    reviews: BTreeMap<EntryId, (AlertCode, bool, BTreeSet<EntryId>)>,
    /// Of every entry about an alert, what its writer knew of that alert.
    knew: BTreeMap<EntryId, BTreeSet<EntryId>>,
}

impl Alerts {
    fn about(&self, code: AlertCode, held: &BTreeSet<EntryId>, world: &World) -> BTreeSet<EntryId> {
        let about = |entry: &&EntryId| match &world.entries[*entry].act {
            Act::RaiseAlert { code: of, .. } | Act::ReviewAlert { code: of, .. } => *of == code,
            _ => false,
        };
        held.iter().filter(about).copied().collect()
    }

    /// The reviews that clear (or keep) this alert and were about that raise.
    fn reviews_of(
        &self,
        raise: EntryId,
        clearing: bool,
        held: &BTreeSet<EntryId>,
    ) -> BTreeSet<EntryId> {
        let of = self.reviews.iter().filter(|(review, (_, clear, about))| {
            held.contains(review) && *clear == clearing && about.contains(&raise)
        });
        of.map(|(review, _)| *review).collect()
    }

    fn apart(&self, one: &EntryId, other: &EntryId) -> bool {
        !self.knew[one].contains(other) && !self.knew[other].contains(one)
    }

    /// Whether somebody kept this raise apart from that clearing.
    fn upheld(&self, raise: EntryId, clear: &EntryId, held: &BTreeSet<EntryId>) -> bool {
        let keeps = self.reviews_of(raise, false, held);
        let clears = self.reviews[clear].2.contains(&raise);
        clears && keeps.iter().any(|keep| self.apart(keep, clear))
    }

    fn standing(&self, code: AlertCode, held: &BTreeSet<EntryId>) -> BTreeSet<EntryId> {
        let raised = self
            .raises
            .iter()
            .filter(|(raise, of)| **of == code && held.contains(raise));
        let stands = |raise: &EntryId| {
            let clears = self.reviews_of(*raise, true, held);
            clears.iter().all(|clear| self.upheld(*raise, clear, held))
        };
        raised.map(|(raise, _)| *raise).filter(stands).collect()
    }

    /// What a conflict about this alert has to show.
    fn disputed(&self, code: AlertCode, held: &BTreeSet<EntryId>) -> BTreeSet<EntryId> {
        let standing = self.standing(code, held);
        let reviews: BTreeSet<EntryId> = self
            .reviews
            .iter()
            .filter(|(review, (of, ..))| *of == code && held.contains(review))
            .map(|(review, _)| *review)
            .collect();
        let mut disputed = BTreeSet::new();
        for (raise, review) in standing
            .iter()
            .flat_map(|raise| reviews.iter().map(move |review| (*raise, *review)))
            .filter(|(_, review)| self.reviews[review].1)
        {
            let met = self.apart(&raise, &review) || self.upheld(raise, &review, held);
            // Raising it once more is no look at the dispute.
            let looked = reviews.iter().any(|later| {
                self.knew[later].contains(&raise) && self.knew[later].contains(&review)
            });
            if met && !looked {
                disputed.insert(review);
            }
        }
        if !disputed.is_empty() {
            let keeps = standing
                .iter()
                .flat_map(|raise| self.reviews_of(*raise, false, held));
            let keeps: BTreeSet<EntryId> = keeps.collect();
            let known = |keep: &EntryId| keeps.iter().any(|other| self.knew[other].contains(keep));
            disputed.extend(keeps.iter().copied().filter(|keep| !known(keep)));
            disputed.extend(standing);
        }
        disputed
    }
}

fn perform(
    world: &mut World,
    alerts: &mut Alerts,
    place: usize,
    clock: i64,
    step: &Step,
) -> Result<(), TestCaseError> {
    let case = case_at(world, place);
    let reason = Text::from("because");
    let command = match step {
        Step::Merge(from) => {
            world.merge(place, *from);
            return Ok(());
        }
        Step::Raise(code) => Command::RaiseAlert {
            code: AlertCode::ALL[*code],
            detail: Text::from("seen"),
            review_by: None,
        },
        Step::Review(code, clear, mask) => {
            let code = AlertCode::ALL[*code];
            return review(world, alerts, place, clock, (code, *clear, *mask));
        }
        Step::Do(what) => something(*what),
        Step::Move(status) => Command::SetStatus {
            status: Status::ALL[*status],
            reason,
        },
        Step::Identify(slot, value) => Command::Identify {
            slot: [Slot::Name, Slot::Phone][*slot],
            value: Text::from(format!("value {value}")),
            reason,
        },
        Step::Review2(days) => Command::SetReviewDate {
            date: day("2026-02-01").plus_days(i64::from(*days)),
            reason,
        },
        Step::Settle(which, value, mask) => {
            let conflicts = case.conflicts();
            let Some(conflict) = conflicts.get(usize::from(*which) % conflicts.len().max(1)) else {
                return Ok(());
            };
            let keep = conflict.values[usize::from(*value) % conflict.values.len()].entry;
            let numbered = conflict
                .values
                .iter()
                .map(|version| version.entry)
                .enumerate();
            let seen = numbered.filter(|(number, entry)| {
                *entry == keep || mask.is_none_or(|mask| mask >> (number % 8) & 1 == 1)
            });
            let seen: Vec<EntryId> = seen.map(|(_, entry)| entry).collect();
            let settle = Command::Settle {
                about: conflict.about.clone(),
                keep,
                reason,
                seen: seen.clone(),
            };
            if let Subject::Alert { code } = conflict.about {
                let clear = alerts.reviews.get(&keep).is_some_and(|review| review.1);
                let seen = seen.into_iter().collect();
                let asked = (code, clear, &settle);
                return look(world, alerts, place, clock, asked, &seen, mask.is_none());
            }
            settle
        }
    };
    carry_out(world, alerts, place, clock, &command)
}

fn carry_out(
    world: &mut World,
    alerts: &mut Alerts,
    place: usize,
    clock: i64,
    command: &Command,
) -> Result<(), TestCaseError> {
    let case = case_at(world, place);
    let held = world.held(place);
    match world.act(place, command, clock) {
        Ok(entry) => {
            if let Command::RaiseAlert { code, .. } = *command {
                let knew = alerts.about(code, &held, world);
                alerts.raises.insert(entry, code);
                alerts.knew.insert(entry, knew);
            }
            if let Command::Settle { about, seen, .. } = command {
                let before = case.conflicts();
                let before = before.iter().find(|conflict| conflict.about == *about);
                let looked_at_all = before.is_some_and(|it| it.values.len() == seen.len());
                let left = case_at(world, place).conflicts();
                let is_left = left.iter().any(|conflict| conflict.about == *about);
                prop_assert!(!(looked_at_all && is_left));
            }
        }
        Err(refusal) => {
            let illegal = matches!(
                (command, refusal),
                (Command::SetStatus { .. }, Refusal::IllegalMove(..))
            );
            prop_assert!(illegal, "{} was refused: {refusal}", command.code());
            prop_assert!(!legal(&case, command));
        }
    }
    Ok(())
}

/// The table of steps, written down a second time.
fn legal(case: &Case, command: &Command) -> bool {
    let Command::SetStatus { status: next, .. } = command else {
        return true;
    };
    let mut from: BTreeSet<Status> = case
        .status
        .weigh()
        .standing
        .iter()
        .map(|row| row.value.value)
        .collect();
    if from.is_empty() {
        from.insert(Status::Open);
    }
    let contested = case.status.weigh().is_contested();
    let step = |from: &Status| match from {
        Status::Closed => *next == Status::Open,
        _ => from != next,
    };
    from.iter().any(step) || (contested && (from.contains(next) || *next == Status::Open))
}

/// A contact, a note without one, an outcome or a task.
fn something(what: usize) -> Command {
    let note = |mode| Command::AddNote {
        happened: day("2025-12-01"),
        mode,
        minutes: 10,
        text: Text::from("called"),
    };
    match what {
        0 => note(ContactMode::Phone),
        1 => note(ContactMode::None),
        2 => Command::RecordOutcome {
            instrument: domain::Instrument::Phq9,
            total: 9,
            taken: day("2025-12-01"),
            point: domain::OutcomePoint::Review,
            replaces: Vec::new(),
            reason: Text::default(),
        },
        _ => Command::AddTask {
            what: Text::from("ring back"),
            due: None,
            whom: None,
        },
    }
}

fn review(
    world: &mut World,
    alerts: &mut Alerts,
    place: usize,
    clock: i64,
    (code, clear, mask): (AlertCode, bool, Option<u8>),
) -> Result<(), TestCaseError> {
    let held = world.held(place);
    let about = alerts.about(code, &held, world);
    let shown: Option<BTreeSet<EntryId>> = mask.map(|mask| {
        let numbered = about.iter().copied().enumerate();
        numbered
            .filter(|(n, _)| mask >> (n % 8) & 1 == 1)
            .map(|(_, entry)| entry)
            .collect()
    });
    // Who clears says what was looked at; who keeps may leave it to the record.
    let said = shown.clone().or_else(|| clear.then(|| about.clone()));
    let command = Command::ReviewAlert {
        code,
        clear,
        reason: Text::from("looked at it"),
        seen: said.map(|said| said.into_iter().collect()),
    };
    let in_view = shown.unwrap_or(about);
    let asked = (code, clear, &command);
    look(world, alerts, place, clock, asked, &in_view, false)
}

/// Somebody who has these entries in view reviews an alert, by the one command or the other.
fn look(
    world: &mut World,
    alerts: &mut Alerts,
    place: usize,
    clock: i64,
    (code, clear, command): (AlertCode, bool, &Command),
    in_view: &BTreeSet<EntryId>,
    settles: bool,
) -> Result<(), TestCaseError> {
    let held = world.held(place);
    let standing = alerts.standing(code, &held);
    let result = world.act(place, command, clock);
    if standing.is_disjoint(in_view) {
        let nothing = [Refusal::NothingToReview, Refusal::NotLookedAt];
        prop_assert!(result.is_err_and(|refusal| nothing.contains(&refusal)));
        return Ok(());
    }
    let entry = result.map_err(|refusal| TestCaseError::fail(refusal.code()))?;
    let mut knew = in_view.clone();
    knew.extend(in_view.iter().flat_map(|entry| alerts.knew[entry].clone()));
    alerts.knew.insert(entry, knew);
    alerts.reviews.insert(entry, (code, clear, in_view.clone()));
    if settles {
        let held = world.held(place);
        prop_assert_eq!(alerts.disputed(code, &held), BTreeSet::new());
        let left = alerts.standing(code, &held);
        prop_assert_eq!(left.is_disjoint(in_view), clear);
    }
    Ok(())
}

fn check(world: &World, alerts: &Alerts, place: usize) -> Result<(), TestCaseError> {
    let (case, held) = (case_at(world, place), world.held(place));
    let summary = world.state(place).summary(0);
    for code in &AlertCode::ALL[..2] {
        let set = case.alerts.get(code);
        let of = |rows: Vec<EntryId>| rows.into_iter().collect::<BTreeSet<_>>();
        let standing = set.map(|set| of(set.standing().iter().map(|row| row.entry).collect()));
        let expected = alerts.standing(*code, &held);
        prop_assert_eq!(&standing.unwrap_or_default(), &expected);
        prop_assert_eq!(summary.alerts.contains(code), !expected.is_empty());
        let disputed = set.map(|set| of(set.disputed().iter().map(|row| row.entry).collect()));
        let expected = alerts.disputed(*code, &held);
        prop_assert_eq!(&disputed.unwrap_or_default(), &expected);
        let shown = case
            .conflicts()
            .into_iter()
            .find(|c| c.about == Subject::Alert { code: *code });
        let shown = shown.map(|conflict| of(conflict.values.iter().map(|v| v.entry).collect()));
        prop_assert_eq!(shown.unwrap_or_default(), expected);
    }
    check_status(world, &case, &held)?;
    check_values(world, &case, &held)
}

/// The moves of a place and what an ending must have known of, by what they are.
fn check_status(world: &World, case: &Case, held: &BTreeSet<EntryId>) -> Result<(), TestCaseError> {
    let mut moves = BTreeMap::new();
    let mut active = BTreeSet::new();
    for entry in held {
        match &world.entries[entry].act {
            Act::SetStatus { status, .. } => {
                moves.insert(*entry, *status);
            }
            Act::AddNote { mode, .. } if *mode == ContactMode::None => {}
            Act::AddNote { .. }
            | Act::RaiseAlert { .. }
            | Act::RecordOutcome { .. }
            | Act::AddTask { .. } => {
                active.insert(*entry);
            }
            _ => {}
        }
    }
    let standing = world.unreplaced(&moves.keys().copied().collect());
    let rows: BTreeSet<EntryId> = case
        .status
        .weigh()
        .standing
        .iter()
        .map(|row| row.entry)
        .collect();
    prop_assert_eq!(&rows, &standing);
    let closings = standing
        .iter()
        .filter(|entry| moves[entry] == Status::Closed);
    let mut overlooked = BTreeSet::new();
    for closing in closings {
        let apart = |note: &&EntryId| {
            !world.past[closing].contains(note) && !world.past[*note].contains(closing)
        };
        overlooked.extend(active.iter().filter(apart).copied());
    }
    let rows: BTreeSet<EntryId> = case
        .status
        .weigh()
        .overlooked
        .iter()
        .map(|row| row.entry)
        .collect();
    prop_assert_eq!(&rows, &overlooked);
    let values: BTreeSet<Status> = standing.iter().map(|entry| moves[entry]).collect();
    let contested = values.len() > 1 || !overlooked.is_empty();
    prop_assert_eq!(case.status.weigh().is_contested(), contested);
    let operational = match values.iter().next() {
        Some(first) if overlooked.is_empty() => *first,
        _ => Status::Open,
    };
    prop_assert_eq!(case.status.weigh().operational(), operational);
    Ok(())
}

fn check_values(world: &World, case: &Case, held: &BTreeSet<EntryId>) -> Result<(), TestCaseError> {
    for slot in [Slot::Name, Slot::Phone] {
        let given: BTreeMap<EntryId, &Text> = held
            .iter()
            .filter_map(|entry| match &world.entries[entry].act {
                Act::Identify {
                    slot: of, value, ..
                } if *of == slot => Some((*entry, value)),
                _ => None,
            })
            .collect();
        let heads = world.unreplaced(&given.keys().copied().collect());
        let values: BTreeSet<&Text> = heads.iter().map(|entry| given[entry]).collect();
        let field = case.identifiers.get(&slot);
        let read = field.map(|field| field.values()).unwrap_or_default();
        prop_assert_eq!(&read, &values);
        let shown = case
            .conflicts()
            .iter()
            .any(|c| c.about == Subject::Identifier { slot });
        prop_assert_eq!(shown, values.len() > 1);
        let history = field.map_or(0, |field| field.history().len());
        prop_assert_eq!(history, given.len(), "a value is gone");
    }
    let dates = held
        .iter()
        .filter_map(|entry| match &world.entries[entry].act {
            Act::SetReviewDate { date, .. } => Some((*entry, *date)),
            _ => None,
        });
    let dates: BTreeMap<EntryId, domain::Day> = dates.collect();
    let heads = world.unreplaced(&dates.keys().copied().collect());
    let earliest = heads.iter().map(|entry| dates[entry]).min();
    prop_assert_eq!(case.review.least().copied(), earliest);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_protective_is_lost_however_people_part_and_meet(steps in steps()) {
        let mut world = World::new(Kind::CASE, PLACES, &open_case());
        let mut alerts = Alerts::default();
        for (place, clock, step) in &steps {
            perform(&mut world, &mut alerts, *place, *clock, step)?;
            check(&world, &alerts, *place)?;
        }
        world.merge_all();
        for place in 0..PLACES {
            check(&world, &alerts, place)?;
            prop_assert!(world.state(place) == world.state(0));
            prop_assert_eq!(world.state(place).journal().len(), world.entries.len());
        }
    }
}

/// The story of the demo: one clears what the other has raised again meanwhile.
#[test]
fn cleared_here_raised_there_stands_and_is_shown_with_both() {
    let mut world = World::new(Kind::CASE, 2, &open_case());
    let code = AlertCode::DoNotVisitAlone;
    let raise = |detail: &str| Command::RaiseAlert {
        code,
        detail: Text::from(detail),
        review_by: None,
    };
    let review = |clear: bool, seen: &[EntryId]| Command::ReviewAlert {
        code,
        clear,
        reason: Text::from("visited twice, calm"),
        seen: Some(seen.to_vec()),
    };
    let dog = world.act(0, &raise("dog"), 1).unwrap();
    world.merge(1, 0);
    let cleared = world.act(0, &review(true, &[dog]), 900_000).unwrap();
    assert!(case_at(&world, 0).standing_alerts().is_empty());
    let raised = world.act(1, &raise("threats at the door"), 2).unwrap();
    world.merge_all();
    for place in 0..2 {
        let case = case_at(&world, place);
        assert_eq!(case.standing_alerts(), [code]);
        let conflicts = case.conflicts();
        assert_eq!(conflicts.len(), 1);
        assert_eq!(conflicts[0].about, Subject::Alert { code });
        let told: Vec<(EntryId, &str, &str, &str)> = conflicts[0]
            .values
            .iter()
            .map(|v| (v.entry, v.value.as_str(), v.by.as_str(), v.site.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (raised, "raised: threats at the door", "w-1", "swindon"),
                (cleared, "cleared: visited twice, calm", "w-0", "devizes"),
            ]
        );
    }
    // Somebody who sees both keeps it: the conflict is settled and the alert stands.
    let kept = world.act(1, &review(false, &[raised, cleared]), 3).unwrap();
    assert_eq!(case_at(&world, 1).standing_alerts(), [code]);
    assert!(case_at(&world, 1).conflicts().is_empty());
    world.act(1, &review(true, &[raised, kept]), 4).unwrap();
    assert!(case_at(&world, 1).standing_alerts().is_empty());
}
