//! An act held against the state: what it refers to must be there, numbers and dates must be
//! such that they can be meant, and steps must be legal.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each function looks at the acts its question concerns"
)]

use names::{EntryId, Moment, limits};

use super::text;

use crate::attender::Attender;
use crate::case::{Activity, Case};
use crate::code::{Slot, Status};
use crate::command::Command;
use crate::conflict::Subject;
use crate::entry::Act;
use crate::merge::{MultiValue, Workflow};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::state::State;
use crate::time::{Day, TimeOfDay};

/// £10,000: no tin holds more; above it a comma was forgotten.
const PENCE_MAX: u32 = 1_000_000;
/// A day of minutes.
const MINUTES_MAX: u32 = 24 * 60;
/// More people than any venue has room for.
const PEOPLE_MAX: u32 = 10_000;
/// Nobody alive was born before this year.
const YEAR_MIN: i64 = 1880;
/// Nothing is planned further ahead.
const AHEAD_DAYS_MAX: i64 = 3_660;
/// A clock that shows less than this (2025-01-01) is not set; it proves no date wrong.
const CLOCK_SET: Moment = Moment(1_735_689_600_000);

/// Checks an act against the state.
pub(super) fn check(
    state: &State,
    command: &Command,
    act: &Act,
    now: Moment,
) -> Result<(), Refusal> {
    let begins = matches!(act, Act::OpenCase { .. } | Act::OpenSession { .. });
    match (begins, state.is_open()) {
        (true, true) => return Err(Refusal::AlreadyOpen),
        (false, false) => return Err(Refusal::NotOpen),
        _ => {}
    }
    check_dates(act, now)?;
    check_numbers(act)?;
    if let Command::Settle {
        about, keep, seen, ..
    } = command
    {
        check_settles(state, about, *keep, seen)?;
    }
    if let Some(typing) = command.typing() {
        text::check_edit(state, &typing)?;
    }
    match state {
        State::Case(case) => check_case(case, act),
        State::Session(session) => check_session(session, act),
    }
}

/// The conflict must be there, and the chosen value among those that stand in it and that the
/// person has looked at.
fn check_settles(
    state: &State,
    about: &Subject,
    keep: EntryId,
    seen: &[EntryId],
) -> Result<(), Refusal> {
    if !seen.contains(&keep) {
        return Err(Refusal::NotLookedAt);
    }
    if seen.len() > limits::SEEN_MAX {
        return Err(Refusal::TooMany("entries", limits::SEEN_MAX));
    }
    let conflict = state
        .conflicts()
        .into_iter()
        .find(|found| found.about == *about);
    let values = conflict.map(|conflict| conflict.values).unwrap_or_default();
    let stands = |entry: &EntryId| values.iter().any(|version| version.entry == *entry);
    if seen.iter().all(stands) {
        Ok(())
    } else {
        Err(Refusal::NothingToSettle)
    }
}

fn check_dates(act: &Act, now: Moment) -> Result<(), Refusal> {
    match act {
        Act::OpenCase { opened, .. } => past(*opened, now, "the day of opening"),
        Act::AddNote { happened, .. } => past(*happened, now, "the day of the contact"),
        Act::RecordOutcome { taken, .. } => past(*taken, now, "the day of the measure"),
        Act::Identify {
            slot: Slot::DateOfBirth,
            value,
            ..
        } => {
            let day = value.as_str().parse::<Day>().ok();
            day.map_or(Ok(()), |day| past(day, now, "the date of birth"))
        }
        Act::RaiseAlert { review_by, .. } => {
            review_by.map_or(Ok(()), |day| ahead(day, now, "the review date"))
        }
        Act::AddTask { due, .. } => due.map_or(Ok(()), |day| ahead(day, now, "the due date")),
        Act::MoveTask { due, .. } => ahead(*due, now, "the due date"),
        Act::SetReviewDate { date, .. } => ahead(*date, now, "the review date"),
        Act::OpenSession {
            date, start, end, ..
        } => {
            end.map_or(Ok(()), |end| in_order(*start, end))?;
            ahead(*date, now, "the day of the session")
        }
        Act::SetTimes { start, end, .. } => in_order(*start, *end),
        Act::Mark {
            arrived: Some(arrived),
            left: Some(left),
            ..
        }
        | Act::AddGuest {
            arrived: Some(arrived),
            left: Some(left),
            ..
        } => in_order(*arrived, *left),
        _ => Ok(()),
    }
}

/// A day that must have come. The moment is UTC's and the day is local, so tomorrow is taken.
fn past(day: Day, now: Moment, what: &'static str) -> Result<(), Refusal> {
    let known = now >= CLOCK_SET;
    if day.year() < YEAR_MIN || (known && day > Day::of(now).plus_days(1)) {
        return Err(Refusal::BadDate(what));
    }
    Ok(())
}

/// A day for which something is planned; it may have passed, for what is entered late.
fn ahead(day: Day, now: Moment, what: &'static str) -> Result<(), Refusal> {
    let known = now >= CLOCK_SET;
    if day.year() < YEAR_MIN || (known && day > Day::of(now).plus_days(AHEAD_DAYS_MAX)) {
        return Err(Refusal::BadDate(what));
    }
    Ok(())
}

fn in_order(start: TimeOfDay, end: TimeOfDay) -> Result<(), Refusal> {
    if end < start {
        Err(Refusal::EndsBeforeStart)
    } else {
        Ok(())
    }
}

fn check_numbers(act: &Act) -> Result<(), Refusal> {
    match act {
        Act::AddNote { minutes, .. } if *minutes > MINUTES_MAX => {
            Err(Refusal::BadNumber("the minutes"))
        }
        Act::HeadCount { people, .. } if *people > PEOPLE_MAX => {
            Err(Refusal::BadNumber("the number of people"))
        }
        Act::TakeCash { pence, .. } | Act::PayOut { pence, .. }
            if !(1..=PENCE_MAX).contains(pence) =>
        {
            Err(Refusal::BadAmount)
        }
        // An empty tin can be counted.
        Act::CountCash { pence, .. } if *pence > PENCE_MAX => Err(Refusal::BadAmount),
        Act::RecordOutcome {
            instrument, total, ..
        } if !instrument.admits(*total) => Err(Refusal::NoSuchTotal(*instrument)),
        _ => Ok(()),
    }
}

fn check_case(case: &Case, act: &Act) -> Result<(), Refusal> {
    match act {
        Act::CorrectNote { note, .. } => known(case.notes.contains(*note)),
        Act::MoveTask { task, .. } => known(case.tasks.contains(*task)),
        Act::CompleteTask { task, .. } => {
            known(case.tasks.contains(*task))?;
            if case.is_done(*task) {
                Err(Refusal::AlreadyDone)
            } else {
                Ok(())
            }
        }
        Act::RecordOutcome {
            instrument,
            replaces,
            ..
        } if !replaces.is_empty() => {
            if replaces.len() > limits::SEEN_MAX {
                return Err(Refusal::TooMany("entries", limits::SEEN_MAX));
            }
            let current = case.outcomes.current();
            let is_current = |earlier: &EntryId| {
                let mut replaced = current.iter().filter(|row| row.entry == *earlier);
                replaced.any(|row| row.value.instrument == *instrument)
            };
            known(replaces.iter().all(is_current))
        }
        Act::SetStatus { status, .. } => check_move(&case.status, *status),
        Act::ReviewAlert { code, .. } => {
            let stands = case.alerts.get(code).is_some_and(|alert| alert.stands());
            if stands {
                Ok(())
            } else {
                Err(Refusal::NothingToReview)
            }
        }
        _ => Ok(()),
    }
}

fn check_move(status: &Workflow<Status, Activity>, next: Status) -> Result<(), Refusal> {
    let status = status.weigh();
    if status.may_become(next) {
        Ok(())
    } else {
        Err(Refusal::IllegalMove(status.operational(), next))
    }
}

fn check_session(session: &Session, act: &Act) -> Result<(), Refusal> {
    match act {
        Act::ReverseCash { cash, .. } => {
            known(session.cash.lines().contains(*cash))?;
            let reversed = session.cash.reversed().contains(cash);
            if reversed {
                Err(Refusal::AlreadyReversed)
            } else {
                Ok(())
            }
        }
        Act::Mark {
            attender: Attender::Guest(guest),
            ..
        }
        | Act::TakeCash {
            from: Some(Attender::Guest(guest)),
            ..
        } => known(session.guests.contains(*guest)),
        Act::MatchGuest { guest, to, .. } => check_match(session, *guest, *to),
        Act::SetPlan { end: Some(end), .. } => {
            let starts = session.openings.rows().map(|row| row.value.start);
            starts.max().map_or(Ok(()), |start| in_order(start, *end))
        }
        _ => Ok(()),
    }
}

/// A guest can be said to be a person, or another guest who does not stand in the same row.
fn check_match(session: &Session, guest: EntryId, to: Option<Attender>) -> Result<(), Refusal> {
    known(session.guests.contains(guest))?;
    let Some(other) = to else { return Ok(()) };
    if let Attender::Guest(other) = other {
        known(session.guests.contains(other))?;
    }
    let contested = session
        .matches
        .get(&guest)
        .is_some_and(MultiValue::is_contested);
    let guest = Attender::Guest(guest);
    if other == guest || (!contested && session.whoever(other) == session.whoever(guest)) {
        return Err(Refusal::SameAlready);
    }
    Ok(())
}

fn known(is_there: bool) -> Result<(), Refusal> {
    if is_there {
        Ok(())
    } else {
        Err(Refusal::UnknownEntry)
    }
}
