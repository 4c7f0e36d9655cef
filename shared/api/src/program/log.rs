//! Where the log goes: stderr, as text or as one JSON object a line. What the program itself
//! writes holds ids, counts and reasons, and never anything of a record.

use std::{io, str::FromStr};

use tracing_subscriber::EnvFilter;

/// What is logged when nobody says otherwise: our own progress, and what goes wrong beneath.
pub const RUN: &str = "info,quinn=warn,quinn_proto=warn,rustls=warn";
/// The same for a command that does one thing and ends.
pub const COMMAND: &str = "warn";

/// The form of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

impl FromStr for Form {
    type Err = ();
    fn from_str(text: &str) -> Result<Form, ()> {
        match text {
            "text" => Ok(Form::Text),
            "json" => Ok(Form::Json),
            _ => Err(()),
        }
    }
}

/// Whether a text is a filter such as `info,ridgeway_runtime=debug`.
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

/// Begins to log, once per process; a second call changes nothing.
pub fn begin(form: Form, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(RUN));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // Whoever embeds this program has set a log of its own up.
    let _ = match form {
        Form::Text => log.with_ansi(false).try_init(),
        Form::Json => log.json().try_init(),
    };
}
