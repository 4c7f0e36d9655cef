//! A person's choice among the values of a conflict, as the act that says it anew.

use names::EntryId;

use crate::case::Case;
use crate::code::Status;
use crate::conflict::Subject;
use crate::entry::Act;
use crate::merge::{Fact, MultiValue};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::state::State;
use crate::text::Text;

/// The act that gives the chosen value again. Whether the conflict is still there is checked
/// later, so that a choice that was carried out already is recognised.
pub(super) fn settle(
    state: &State,
    about: &Subject,
    keep: EntryId,
    reason: Text,
    seen: &[EntryId],
) -> Result<Act, Refusal> {
    // Nobody can tell which of several values under one id was meant.
    if state.journal().is_ambiguous(keep) {
        return Err(Refusal::UnclearChoice);
    }
    let chosen = match state {
        State::Case(case) if matches!(about, Subject::Outcome { .. }) => {
            settle_outcome(case, keep, reason, seen)
        }
        State::Case(case) => settle_case(case, about, keep, reason),
        State::Session(session) => settle_session(session, about, keep, reason),
    };
    chosen.ok_or(Refusal::NothingToSettle)
}

/// The outcome that is right, once more, in the place of all that were looked at.
fn settle_outcome(case: &Case, keep: EntryId, reason: Text, seen: &[EntryId]) -> Option<Act> {
    let outcome = case.outcomes.history().of(keep).next()?.value;
    Some(Act::RecordOutcome {
        instrument: outcome.instrument,
        total: outcome.total,
        taken: outcome.taken,
        point: outcome.point,
        replaces: seen.to_vec(),
        reason,
        seen: Vec::new(),
    })
}

fn settle_case(case: &Case, about: &Subject, keep: EntryId, reason: Text) -> Option<Act> {
    let seen = Vec::new();
    match about {
        Subject::Identifier { slot } => {
            let value = given(case.identifiers.get(slot)?, keep)?;
            Some(Act::Identify {
                slot: *slot,
                value,
                reason,
                seen,
            })
        }
        Subject::Alert { code } => {
            let row = case.alerts.get(code)?.history().of(keep).next()?;
            let clear = matches!(row.value, Fact::Review { clear: true, .. });
            Some(Act::ReviewAlert {
                code: *code,
                clear,
                reason,
                seen,
            })
        }
        Subject::Status => {
            let moved = case
                .status
                .history()
                .of(keep)
                .next()
                .map(|row| row.value.value);
            // What a closing overlooked stands for the case being open.
            let open = case
                .status
                .activity()
                .contains(keep)
                .then_some(Status::Open);
            Some(Act::SetStatus {
                status: moved.or(open)?,
                reason,
                seen,
            })
        }
        Subject::Lead => Some(Act::SetLead {
            worker: given(&case.lead, keep)?,
            reason,
            seen,
        }),
        Subject::ReviewDate => Some(Act::SetReviewDate {
            date: given(&case.review, keep)?,
            reason,
            seen,
        }),
        Subject::TaskDue { task } => {
            let due = given(case.due.get(task)?, keep)??;
            Some(Act::MoveTask {
                task: *task,
                due,
                reason,
                seen,
            })
        }
        Subject::Opening
        | Subject::Outcome { .. }
        | Subject::Plan
        | Subject::Times
        | Subject::Attendance { .. }
        | Subject::Guest { .. }
        | Subject::CashLine { .. }
        | Subject::CashCount
        | Subject::HeadCount => None,
    }
}

fn settle_session(session: &Session, about: &Subject, keep: EntryId, reason: Text) -> Option<Act> {
    let seen = Vec::new();
    match about {
        Subject::Plan => {
            let plan = given(&session.plan, keep)?;
            Some(Act::SetPlan {
                end: plan.end,
                form: plan.form,
                reason,
                seen,
            })
        }
        Subject::Times => {
            let times = given(&session.times, keep)?;
            Some(Act::SetTimes {
                start: times.start,
                end: times.end,
                reason,
                seen,
            })
        }
        Subject::Attendance { attender } => {
            let marked = given(&session.row(*attender)?.marks, keep)?;
            Some(Act::Mark {
                attender: *attender,
                attendance: marked.attendance,
                arrived: marked.arrived,
                left: marked.left,
                reason,
                seen,
            })
        }
        Subject::Guest { guest } => Some(Act::MatchGuest {
            guest: *guest,
            to: given(session.matches.get(guest)?, keep)?,
            reason,
            seen,
        }),
        Subject::CashCount => Some(Act::CountCash {
            pence: given(&session.counts, keep)?,
            reason,
            seen,
        }),
        Subject::HeadCount => Some(Act::HeadCount {
            people: given(&session.head_counts, keep)?,
            reason,
            seen,
        }),
        Subject::Identifier { .. }
        | Subject::Opening
        | Subject::Outcome { .. }
        | Subject::CashLine { .. }
        | Subject::Alert { .. }
        | Subject::Status
        | Subject::Lead
        | Subject::ReviewDate
        | Subject::TaskDue { .. } => None,
    }
}

/// The value an entry gave, standing or not: whether it still stands is checked later, so that
/// a command that was carried out already is recognised.
fn given<T: Ord + Clone>(field: &MultiValue<T>, entry: EntryId) -> Option<T> {
    field
        .history()
        .of(entry)
        .next()
        .map(|row| row.value.value.clone())
}
