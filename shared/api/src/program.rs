//! What both binaries do alike besides answering HTTP: how they are configured, what their command
//! lines share, how they end, how a command is told to a running node, and how they listen.

pub mod export;
mod file;
pub mod folder;
pub mod http;
pub mod inspect;
pub mod leave;
pub mod line;
pub mod log;
pub mod process;
pub mod service;
pub mod settings;

use std::{fmt, io, process::ExitCode};

use node::{
    domain::Refusal,
    names::{Reason, limits::LINE_BYTES_MAX},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a command ended when it did not do what it was asked. The numbers are part of what scripts
/// rely on: 1 failure, 2 usage, 3 not running or locked, 4 refused. (0 is success.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// The world failed: a disk, a file, a network.
    Failure,
    /// The command or the configuration says something that cannot be meant.
    Usage,
    /// Nothing runs where something should, or something does where nothing should.
    NotRunning,
    /// The rules do not allow it.
    Refused,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::NotRunning => 3,
            Exit::Refused => 4,
        }
    }
}

/// Why a command was not carried out, and what to do. Holds no personal data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What is wrong and what to do.
    pub words: String,
}

impl Failure {
    /// A failure in these words.
    pub fn new(exit: Exit, words: impl Into<String>) -> Failure {
        Failure {
            exit,
            words: words.into(),
        }
    }

    /// The world failed.
    pub fn failed(error: impl fmt::Display) -> Failure {
        Failure::new(Exit::Failure, error.to_string())
    }

    /// The rules do not allow it.
    pub fn refused(error: impl fmt::Display) -> Failure {
        Failure::new(Exit::Refused, error.to_string())
    }

    /// The command or the configuration is wrong.
    pub fn usage(error: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, error.to_string())
    }

    /// Something runs that should not, or the other way round.
    pub fn not_running(error: impl fmt::Display) -> Failure {
        Failure::new(Exit::NotRunning, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Failure {}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        let exit = match reason {
            Reason::Stopping => Exit::NotRunning,
            Reason::NotSaved
            | Reason::CannotOpen
            | Reason::SetAside
            | Reason::Busy
            | Reason::PeerTooSlow => Exit::Failure,
            Reason::Malformed
            | Reason::TooLarge
            | Reason::WrongHash
            | Reason::BadSignature
            | Reason::UnknownSigner
            | Reason::WrongActor
            | Reason::MissingDependency
            | Reason::WrongSequence
            | Reason::Equivocation
            | Reason::NotFound
            | Reason::NotAllowed
            | Reason::NoCommonVersion
            | Reason::WrongTenant
            | Reason::NotEqual
            | Reason::NotPlaced
            | Reason::Transferred
            | Reason::OutOfTurn
            | Reason::Barred
            | Reason::RunsTwice
            | Reason::Revoked
            | Reason::Expired
            | Reason::NotResumed => Exit::Refused,
        };
        if reason == Reason::NotSaved {
            return Failure::new(
                exit,
                "it is not known whether this was saved: look whether it is there, and do it again \
                 if it is not",
            );
        }
        Failure::new(exit, reason.words())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::refused(refusal.words())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        if error == StoreError::Locked {
            Failure::not_running(error)
        } else {
            Failure::failed(error)
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::failed(error)
    }
}

/// Ends a process: says on stderr what went wrong, and answers the code.
pub fn end(program: &str, ended: Result<(), Failure>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{program}: {}", failure.words);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// What a running node answers to a command: one line of JSON over its control socket.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Done(Value),
    Failed(Failure),
}

/// One line that says how a command went.
pub fn to_line(result: Result<Value, Failure>) -> String {
    let reply = result.map_or_else(Reply::Failed, Reply::Done);
    serde_json::to_string(&reply).unwrap_or_default()
}

/// How a command went, from one line.
///
/// # Errors
/// The failure that the line tells of, or that it is not such a line.
pub fn from_line(line: &str) -> Result<Value, Failure> {
    match serde_json::from_str(line) {
        Ok(Reply::Done(value)) => Ok(value),
        Ok(Reply::Failed(failure)) => Err(failure),
        Err(_) => Err(Failure::failed(
            "the running node answered in a form this program does not know: both must be of the \
             same version",
        )),
    }
}

/// Refuses what cannot be a name: a person reads names in lists on a terminal, one to a line.
///
/// # Errors
/// When it is empty or longer than a line, or holds a character that is not shown or that turns the line round.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.trim().is_empty() {
        return Err(Failure::usage("a name must not be empty"));
    }
    if name.len() > LINE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "a name is too long: keep it within {LINE_BYTES_MAX} bytes"
        )));
    }
    if name.chars().any(|c| c.is_control() || turns(c)) {
        return Err(Failure::usage(
            "a name must not hold line breaks, tabs or other characters that are not shown",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_command_s_end_survives_its_line() {
        let done = serde_json::json!({ "id": "devizes" });
        assert_eq!(from_line(&to_line(Ok(done.clone()))), Ok(done));
        let failure = Failure::refused("there is such a site already");
        assert_eq!(from_line(&to_line(Err(failure.clone()))), Err(failure));
        assert_eq!(from_line("nonsense").unwrap_err().exit, Exit::Failure);
    }

    #[test]
    fn a_name_is_one_line_that_can_be_read() {
        for name in ["Bath", "St Mary's, 2nd floor", "\u{dc}bungsraum"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "n".repeat(LINE_BYTES_MAX + 1);
        for name in ["", "  ", "a\tb", "a\nb", "\u{1b}[2J", "a\u{202e}b", &long] {
            assert_eq!(check_name(name).unwrap_err().exit, Exit::Usage, "{name:?}");
        }
    }
}
