//! A command's words, checked and in the form in which they are kept: an act that has seen
//! nothing yet. The same command gives the same act on every node and at every time.

mod session;

use names::limits;

use super::{settle, text};

use crate::code::{Field, Slot, Status};
use crate::command::Command;
use crate::entry::Act;
use crate::nhs::NhsNumber;
use crate::refusal::Refusal;
use crate::state::State;
use crate::text::Text;
use crate::time::Day;

/// The act a command asks for, before it has seen anything.
pub(super) fn draft(state: &State, command: &Command) -> Result<Act, Refusal> {
    if let Command::Settle {
        about,
        keep,
        reason,
        seen,
    } = command
    {
        let reason = needed(reason, "the reason")?;
        return settle::settle(state, about, *keep, reason, seen);
    }
    if let Some(typing) = command.typing() {
        return text::edit_text(state, &typing);
    }
    if let Command::SetField { field, value } = command {
        return set_field(state, *field, value);
    }
    let groups: &[Group] = match state {
        State::Case(_) => &[contact, safety, steering],
        State::Session(_) => &[session::running, session::attenders, session::cash],
    };
    for group in groups {
        if let Some(act) = group(command)? {
            return Ok(act);
        }
    }
    Err(Refusal::WrongKind)
}

/// Drafts the commands of one group; nothing for the others.
type Group = fn(&Command) -> Result<Option<Act>, Refusal>;

/// Who the person is and what was noted.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the commands of the other groups"
)]
fn contact(command: &Command) -> Result<Option<Act>, Refusal> {
    let seen = Vec::new();
    Ok(Some(match command.clone() {
        Command::Identify {
            slot,
            value,
            reason,
        } => {
            let value = identifier(slot, &value)?;
            Act::Identify {
                slot,
                value,
                reason: line(&reason)?,
                seen,
            }
        }
        Command::AddNote {
            happened,
            mode,
            minutes,
            text,
        } => {
            let text = note(text)?;
            Act::AddNote {
                happened,
                mode,
                minutes,
                text,
                seen,
            }
        }
        Command::CorrectNote {
            note: id,
            text,
            reason,
        } => {
            let reason = needed(&reason, "the reason")?;
            Act::CorrectNote {
                note: id,
                text: note(text)?,
                reason,
            }
        }
        Command::AddTheme { theme } => Act::AddTheme { theme },
        _ => return Ok(None),
    }))
}

/// Safety facts and outcome totals.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the commands of the other groups"
)]
fn safety(command: &Command) -> Result<Option<Act>, Refusal> {
    let seen = Vec::new();
    Ok(Some(match command.clone() {
        Command::RaiseAlert {
            code,
            detail,
            review_by,
        } => {
            let detail = long(detail)?;
            Act::RaiseAlert {
                code,
                detail,
                review_by,
                seen,
            }
        }
        Command::ReviewAlert {
            code,
            clear,
            reason,
            ..
        } => {
            let reason = needed(&reason, "the reason")?;
            Act::ReviewAlert {
                code,
                clear,
                reason,
                seen,
            }
        }
        Command::RecordOutcome {
            instrument,
            total,
            taken,
            point,
            replaces,
            reason,
        } => {
            let reason = if replaces.is_empty() {
                line(&reason)?
            } else {
                needed(&reason, "the reason")?
            };
            Act::RecordOutcome {
                instrument,
                total,
                taken,
                point,
                replaces,
                reason,
                seen,
            }
        }
        _ => return Ok(None),
    }))
}

/// How a case is steered.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the commands of the other groups"
)]
fn steering(command: &Command) -> Result<Option<Act>, Refusal> {
    let seen = Vec::new();
    Ok(Some(match command.clone() {
        Command::OpenCase { opened, source } => Act::OpenCase {
            opened,
            source: line(&source)?,
        },
        Command::AddTask { what, due, whom } => {
            let what = needed(&what, "what is to be done")?;
            Act::AddTask {
                what,
                due,
                whom,
                seen,
            }
        }
        Command::MoveTask { task, due, reason } => {
            let reason = line(&reason)?;
            Act::MoveTask {
                task,
                due,
                reason,
                seen,
            }
        }
        Command::CompleteTask { task, result } => Act::CompleteTask {
            task,
            result: long(result)?,
        },
        Command::SetStatus { status, reason } => {
            let reason = match status {
                Status::Closed => needed(&reason, "the reason for closing")?,
                Status::Open | Status::Waiting | Status::Paused => line(&reason)?,
            };
            Act::SetStatus {
                status,
                reason,
                seen,
            }
        }
        Command::SetLead { worker, reason } => {
            let reason = line(&reason)?;
            Act::SetLead {
                worker,
                reason,
                seen,
            }
        }
        Command::SetReviewDate { date, reason } => {
            let reason = line(&reason)?;
            Act::SetReviewDate { date, reason, seen }
        }
        _ => return Ok(None),
    }))
}

fn set_field(state: &State, field: Field, value: &Text) -> Result<Act, Refusal> {
    let of_case = match field {
        Field::Pronouns | Field::PreferredContact | Field::CommunicationNeeds => true,
        Field::Title | Field::Activities | Field::Room => false,
    };
    if of_case == matches!(state, State::Case(_)) {
        Ok(Act::SetField {
            field,
            value: line(value)?,
        })
    } else {
        Err(Refusal::NotAField)
    }
}

fn identifier(slot: Slot, value: &Text) -> Result<Text, Refusal> {
    let value = line(value)?;
    match slot {
        Slot::Name if value.is_empty() => Err(Refusal::Empty("the name")),
        _ if value.is_empty() => Ok(value),
        Slot::NhsNumber => NhsNumber::parse(value.as_str())
            .map(NhsNumber::to_text)
            .map_err(Refusal::NhsNumber),
        Slot::DateOfBirth => match value.as_str().parse::<Day>() {
            Ok(day) => Ok(Text::from(day.to_string())),
            Err(_) => Err(Refusal::BadDate("the date of birth")),
        },
        Slot::Name
        | Slot::KnownAs
        | Slot::Phone
        | Slot::OtherPhone
        | Slot::Email
        | Slot::Address
        | Slot::Postcode
        | Slot::GpPractice
        | Slot::Language => Ok(value),
    }
}

fn note(text: Text) -> Result<Text, Refusal> {
    if text.as_str().trim().is_empty() {
        return Err(Refusal::Empty("the note"));
    }
    long(text)
}

fn long(text: Text) -> Result<Text, Refusal> {
    if text.len() > limits::NOTE_BYTES_MAX {
        return Err(Refusal::TooLong("the text", limits::NOTE_BYTES_MAX));
    }
    Ok(text)
}

/// A short text without spaces around it.
fn line(text: &Text) -> Result<Text, Refusal> {
    let trimmed = text.as_str().trim();
    if trimmed.len() > limits::LINE_BYTES_MAX {
        return Err(Refusal::TooLong("the text", limits::LINE_BYTES_MAX));
    }
    Ok(Text::from(trimmed))
}

fn needed(text: &Text, what: &'static str) -> Result<Text, Refusal> {
    let line = line(text)?;
    if line.is_empty() {
        Err(Refusal::Empty(what))
    } else {
        Ok(line)
    }
}
