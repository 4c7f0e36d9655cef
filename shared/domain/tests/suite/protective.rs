//! What a critical reading found about alerts: each of these stood or fell wrongly once.

use domain::{AlertCode, Case, Command, Refusal, State, Subject, Text};
use names::{EntryId, Kind};

use crate::lattice::fold;
use crate::people::{World, open_case};

const CODE: AlertCode = AlertCode::Weapons;

fn case_at(world: &World, place: usize) -> Case {
    match world.state(place) {
        State::Case(case) => *case,
        State::Session(_) => unreachable!("a case"),
    }
}

fn raise(detail: &str) -> Command {
    Command::RaiseAlert {
        code: CODE,
        detail: Text::from(detail),
        review_by: None,
    }
}

fn review(clear: bool, reason: &str, seen: &[EntryId]) -> Command {
    Command::ReviewAlert {
        code: CODE,
        clear,
        reason: Text::from(reason),
        seen: Some(seen.to_vec()),
    }
}

fn settle(keep: EntryId, seen: &[EntryId]) -> Command {
    Command::Settle {
        about: Subject::Alert { code: CODE },
        keep,
        reason: Text::from("talked it over"),
        seen: seen.to_vec(),
    }
}

/// The entries of the conflict about the alert; nothing if there is none.
fn in_conflict(case: &Case) -> Vec<EntryId> {
    let mut conflicts = case.conflicts().into_iter();
    let about = Subject::Alert { code: CODE };
    let found = conflicts.find(|conflict| conflict.about == about);
    let values = found.map(|conflict| conflict.values).unwrap_or_default();
    values.iter().map(|version| version.entry).collect()
}

/// Two places that hold one raise.
fn raised() -> (World, EntryId) {
    let mut world = World::new(Kind::CASE, 3, &open_case());
    let first = world.act(0, &raise("a knife"), 1).unwrap();
    world.merge(1, 0);
    world.merge(2, 0);
    (world, first)
}

#[test]
fn kept_here_cleared_there_stands_and_is_shown_with_all_three() {
    let (mut world, first) = raised();
    let kept = world
        .act(1, &review(false, "saw the knife today", &[first]), 2)
        .unwrap();
    let cleared = world
        .act(0, &review(true, "no knife here", &[first]), 3)
        .unwrap();
    assert!(case_at(&world, 0).standing_alerts().is_empty());
    world.merge_all();
    for place in 0..3 {
        let case = case_at(&world, place);
        assert_eq!(case.standing_alerts(), [CODE]);
        assert_eq!(in_conflict(&case), [first, kept, cleared]);
    }
    // Whoever has looked at all three decides.
    let mut keeps = world;
    keeps
        .act(0, &settle(kept, &[first, kept, cleared]), 4)
        .unwrap();
    assert_eq!(case_at(&keeps, 0).standing_alerts(), [CODE]);
    assert!(case_at(&keeps, 0).conflicts().is_empty());
    keeps
        .act(1, &settle(cleared, &[first, kept, cleared]), 5)
        .unwrap();
    assert!(case_at(&keeps, 1).standing_alerts().is_empty());
    // And now these two meet.
    keeps.merge_all();
    assert_eq!(case_at(&keeps, 2).standing_alerts(), [CODE]);
}

#[test]
fn whoever_clears_says_what_was_looked_at() {
    let (mut world, first) = raised();
    let blind = Command::ReviewAlert {
        code: CODE,
        clear: true,
        reason: Text::from("all calm"),
        seen: None,
    };
    assert_eq!(world.act(0, &blind, 2), Err(Refusal::NotLookedAt));
    // It came in while the person looked at the older view.
    let later = world.act(1, &raise("a gun"), 3).unwrap();
    world.merge(0, 1);
    world
        .act(0, &review(true, "all calm", &[first]), 4)
        .unwrap();
    let case = case_at(&world, 0);
    assert_eq!(case.standing_alerts(), [CODE]);
    let standing = case.alerts[&CODE].standing();
    assert_eq!(
        standing.iter().map(|row| row.entry).collect::<Vec<_>>(),
        [later]
    );
}

#[test]
fn settling_clears_no_raise_that_nobody_looked_at() {
    let (mut world, first) = raised();
    let cleared = world
        .act(0, &review(true, "no knife here", &[first]), 2)
        .unwrap();
    let again = world.act(1, &raise("a knife once more"), 3).unwrap();
    world.merge(0, 1);
    let looked_at = in_conflict(&case_at(&world, 0));
    assert_eq!(looked_at, [cleared, again]);
    // Meanwhile somebody else raises it, and that arrives before the decision is made.
    let unseen = world.act(2, &raise("a gun"), 4).unwrap();
    world.merge(0, 2);
    assert_eq!(
        world.act(0, &settle(cleared, &[again]), 5),
        Err(Refusal::NotLookedAt),
        "the chosen one was not looked at"
    );
    world.act(0, &settle(cleared, &looked_at), 5).unwrap();
    let case = case_at(&world, 0);
    assert_eq!(case.standing_alerts(), [CODE]);
    assert!(
        in_conflict(&case).contains(&unseen),
        "shown against the clearing"
    );
    assert!(!in_conflict(&case).contains(&again));
}

#[test]
fn raising_it_again_does_not_end_a_dispute() {
    let (mut world, first) = raised();
    let cleared = world
        .act(0, &review(true, "no knife here", &[first]), 2)
        .unwrap();
    let again = world.act(1, &raise("a knife once more"), 3).unwrap();
    world.merge_all();
    let third = world.act(2, &raise("me too"), 4).unwrap();
    let disputed = in_conflict(&case_at(&world, 2));
    for party in [cleared, again, third] {
        assert!(disputed.contains(&party));
    }
    world.act(2, &settle(again, &disputed), 5).unwrap();
    assert!(case_at(&world, 2).conflicts().is_empty());
}

/// Somebody draws an id twice, or copies one: a review that saw the one raise says nothing of the
/// other.
#[test]
fn a_raise_under_a_used_id_is_cleared_by_nobody() {
    let (mut world, first) = raised();
    world
        .act(0, &review(true, "no knife here", &[first]), 2)
        .unwrap();
    let mut entries: Vec<domain::Entry> = world.entries.values().cloned().collect();
    let mut other = world.entries[&first].clone();
    if let domain::Act::RaiseAlert { detail, .. } = &mut other.act {
        *detail = Text::from("a gun in the car");
    }
    entries.push(other);
    let State::Case(case) = fold(Kind::CASE, &entries) else {
        unreachable!("a case")
    };
    assert_eq!(case.standing_alerts(), [CODE]);
    assert_eq!(in_conflict(&case), [first, first], "both are shown");
    assert_eq!(State::Case(case).flaws().len(), 1);
}

/// As many alerts as a hostile writer likes: all are read in one walk for every 64 of them. With
/// a walk for each, this test would take minutes.
#[test]
fn a_long_history_of_an_alert_is_read_in_one_walk() {
    use domain::merge::{Fact, Made, ProtectiveSet};
    let id = |number: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        EntryId(id)
    };
    let made = Made {
        at: names::Moment(0),
        by: "w-1".parse().unwrap(),
        site: "bath".parse().unwrap(),
    };
    let mut set: ProtectiveSet<u32, u32> = ProtectiveSet::default();
    let many: u32 = 6_000;
    for number in 0..many {
        let seen: Vec<EntryId> = (number.saturating_sub(200)..number).map(id).collect();
        let fact = match number % 3 {
            0 => Fact::Raise(number),
            kind => Fact::Review {
                clear: kind == 1,
                said: number,
            },
        };
        set.add(id(number), made.clone(), &seen, fact);
    }
    assert!(set.disputed().is_empty() && !set.stands());
}

/// Nobody has to open a case to learn that its alert was to be looked at again.
#[test]
fn a_review_that_is_due_is_in_the_row_for_lists() {
    let mut world = World::new(Kind::CASE, 2, &open_case());
    let by = |date: &str| Command::RaiseAlert {
        code: CODE,
        detail: Text::from("a knife"),
        review_by: Some(crate::people::day(date)),
    };
    let late = world.act(0, &by("2026-03-01"), 1).unwrap();
    let early = world.act(1, &by("2026-02-01"), 2).unwrap();
    world.merge_all();
    let due = |world: &World| {
        let reviews = world.state(0).summary(0).alert_reviews;
        reviews
            .iter()
            .map(|review| (review.due, review.raise))
            .collect::<Vec<_>>()
    };
    assert_eq!(due(&world), [(crate::people::day("2026-02-01"), early)]);
    world
        .act(0, &review(false, "still there", &[early]), 3)
        .unwrap();
    assert_eq!(due(&world), [(crate::people::day("2026-03-01"), late)]);
    world
        .act(0, &review(false, "still there", &[early, late]), 4)
        .unwrap();
    assert_eq!(due(&world), []);
    assert_eq!(case_at(&world, 0).standing_alerts(), [CODE]);
}

/// Two reviews that claim to have seen each other made everything they had seen count as having
/// seen nothing: what a keeping review had upheld then fell, and nobody was shown anything.
#[test]
fn no_circle_of_lies_makes_a_kept_alert_fall() {
    use domain::merge::{Fact, Made, ProtectiveSet};
    let made = |at| Made {
        at: names::Moment(at),
        by: "w-1".parse().unwrap(),
        site: "bath".parse().unwrap(),
    };
    let id = |number| EntryId([number; 16]);
    let [raised, kept, cleared, one, other] = [1, 2, 3, 4, 5].map(id);
    let mut alert: ProtectiveSet<u8, u8> = ProtectiveSet::default();
    let review = |clear| Fact::Review { clear, said: 0 };
    alert.add(raised, made(1), &[], Fact::Raise(0));
    alert.add(kept, made(2), &[raised], review(false));
    alert.add(cleared, made(3), &[raised], review(true));
    assert!(alert.stands() && alert.disputed().len() == 3);
    let mut lied = alert.clone();
    lied.add(one, made(4), &[other, kept], review(false));
    lied.add(other, made(5), &[one], review(false));
    assert!(lied.stands() && !lied.disputed().is_empty());
    // The same where the id of the keeping review was used again.
    alert.add(
        kept,
        made(6),
        &[raised],
        Fact::Review {
            clear: false,
            said: 1,
        },
    );
    assert!(alert.stands() && !alert.disputed().is_empty());
}

/// The list that a screen shows was longer than any review may say it has seen, so that nobody
/// could review at all.
#[test]
fn what_is_in_view_is_what_a_review_may_have_seen_and_protects_first() {
    use domain::merge::{Fact, Made, ProtectiveSet};
    use names::limits::SEEN_MAX;
    let id = |number: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        EntryId(id)
    };
    let made = Made {
        at: names::Moment(0),
        by: "w-1".parse().unwrap(),
        site: "bath".parse().unwrap(),
    };
    let mut set: ProtectiveSet<u32, u32> = ProtectiveSet::default();
    // Reviews have the least ids, so that an order by id would show them alone.
    let raises: Vec<EntryId> = (1_000..1_100).map(id).collect();
    for raise in &raises {
        set.add(*raise, made.clone(), &[], Fact::Raise(0));
    }
    for number in 0..400 {
        let keep = Fact::Review {
            clear: false,
            said: number,
        };
        set.add(id(number), made.clone(), &raises[..1], keep);
    }
    let view = set.in_view();
    assert_eq!(view.len(), SEEN_MAX);
    assert_eq!(view[..raises.len()], raises);
}
