//! Where the log goes: stderr, as text or as one JSON object a line. What the program itself
//! writes holds ids, counts and reasons, and never anything of a record.

use std::{
    io,
    panic::{self, PanicHookInfo},
    str::FromStr,
    sync::Once,
    thread,
};

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

/// Begins to log, once per process; a second call changes nothing. From then on a panic is a line
/// of the log like any other: where it was, and never what it said, which may quote a record.
pub fn begin(form: Form, filter: &str) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| panic::set_hook(Box::new(tell)));
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

/// Tells of a panic.
fn tell(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    let (at, thread) = (at.as_deref().unwrap_or("-"), thread::current());
    let thread = thread.name().unwrap_or("-");
    tracing::error!(at, thread, "a panic");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex, PoisonError},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_told_without_what_it_says() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        // Other tests that panic meanwhile are told in the log of their own threads, if they have
        // any; the usual hook comes back right after.
        let usual = panic::take_hook();
        panic::set_hook(Box::new(tell));
        let panicked = tracing::subscriber::with_default(log, || {
            panic::catch_unwind(|| panic!("Marker {}", "Person"))
        });
        panic::set_hook(usual);
        assert!(panicked.is_err());
        let told = written.0.lock().unwrap();
        let told = str::from_utf8(&told).unwrap();
        assert!(
            told.contains("a panic") && told.contains("log.rs"),
            "{told}"
        );
        assert!(!told.contains("Marker"), "{told}");
    }
}
