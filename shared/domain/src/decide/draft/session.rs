//! The commands of a session, as acts that have seen nothing yet.

use super::{line, needed};
use crate::command::Command;
use crate::entry::Act;
use crate::refusal::Refusal;
use crate::text::Text;

/// What goes on in a session.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the commands of the other groups"
)]
pub(super) fn running(command: &Command) -> Result<Option<Act>, Refusal> {
    let (seen, reason) = (Vec::new(), Text::default());
    Ok(Some(match command.clone() {
        Command::OpenSession {
            venue,
            date,
            start,
            end,
            form,
        } => {
            let venue = needed(&venue, "the venue")?;
            Act::OpenSession {
                venue,
                date,
                start,
                end,
                form,
            }
        }
        Command::SetPlan { end, form, reason } => {
            let reason = line(&reason)?;
            Act::SetPlan {
                end,
                form,
                reason,
                seen,
            }
        }
        Command::SetTimes { start, end, reason } => {
            let reason = line(&reason)?;
            Act::SetTimes {
                start,
                end,
                reason,
                seen,
            }
        }
        Command::HeadCount { people } => Act::HeadCount {
            people,
            reason,
            seen,
        },
        Command::Tick { item } => Act::Tick { item },
        _ => return Ok(None),
    }))
}

/// Who is there.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the commands of the other groups"
)]
pub(super) fn attenders(command: &Command) -> Result<Option<Act>, Refusal> {
    let seen = Vec::new();
    Ok(Some(match command.clone() {
        Command::Mark {
            attender,
            attendance,
            arrived,
            left,
        } => Act::Mark {
            attender,
            attendance,
            arrived,
            left,
            reason: Text::default(),
            seen,
        },
        Command::AddGuest {
            name,
            attendance,
            arrived,
            left,
        } => Act::AddGuest {
            name: needed(&name, "the guest's name")?,
            attendance,
            arrived,
            left,
        },
        Command::MatchGuest { guest, to, reason } => {
            let reason = needed(&reason, "the reason")?;
            Act::MatchGuest {
                guest,
                to,
                reason,
                seen,
            }
        }
        _ => return Ok(None),
    }))
}

/// A session's money.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the commands of the other groups"
)]
pub(super) fn cash(command: &Command) -> Result<Option<Act>, Refusal> {
    let (seen, reason) = (Vec::new(), Text::default());
    Ok(Some(match command.clone() {
        Command::TakeCash { pence, from, what } => {
            let what = line(&what)?;
            Act::TakeCash { pence, from, what }
        }
        Command::PayOut { pence, what } => {
            let what = needed(&what, "what it was for")?;
            Act::PayOut { pence, what }
        }
        Command::CountCash { pence } => Act::CountCash {
            pence,
            reason,
            seen,
        },
        Command::ReverseCash { cash, reason } => {
            let reason = needed(&reason, "the reason")?;
            let lines = None;
            Act::ReverseCash {
                cash,
                reason,
                lines,
            }
        }
        _ => return Ok(None),
    }))
}
