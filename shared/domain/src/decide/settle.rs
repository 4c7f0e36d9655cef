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
) -> Result<Act, Refusal> {
    let chosen = match state {
        State::Case(case) => settle_case(case, about, keep, reason),
        State::Session(session) => settle_session(session, about, keep, reason),
    };
    chosen.ok_or(Refusal::NothingToSettle)
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
            // A contact that a closing overlooked stands for the case being open.
            let open = case.notes.contains(keep).then_some(Status::Open);
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
        Subject::Plan
        | Subject::Times
        | Subject::Attendance { .. }
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
            let marked = given(session.register.get(attender)?, keep)?;
            Some(Act::Mark {
                attender: attender.clone(),
                attendance: marked.attendance,
                arrived: marked.arrived,
                left: marked.left,
                reason,
                seen,
            })
        }
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
