//! What both command lines share: the options that every command takes, where a command works, and
//! how its answer is printed.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use runtime::{KeySource, Passphrase};
use serde_json::Value;

use super::{
    Failure, log,
    settings::{General, Said},
};

/// What the help says of exit codes.
pub const EXITS: &str =
    "Exit codes: 0 done, 1 failure, 2 usage, 3 not running or locked, 4 refused.";

/// The options that every command takes.
#[derive(Args, Debug)]
pub struct Common {
    /// The node's folder
    #[arg(long, global = true, env = "RIDGEWAY_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The key file, outside the folder [env: RIDGEWAY_KEY=] [default: DIR.key beside DIR]
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<String>,
    /// Ask for a passphrase on the terminal instead of using a key file
    #[arg(long, global = true, conflicts_with = "key")]
    passphrase: bool,
    /// Read the passphrase from this open file descriptor
    #[arg(long, global = true, value_name = "N", conflicts_with_all = ["key", "passphrase"])]
    passphrase_fd: Option<u32>,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    json: bool,
    /// The log's form, text or json [env: RIDGEWAY_LOG=]
    #[arg(long, global = true, value_name = "FORM")]
    log: Option<String>,
    /// What is logged, as info,ridgeway_runtime=debug [env: RIDGEWAY_LOG_FILTER=]
    #[arg(long, global = true, value_name = "FILTER")]
    log_filter: Option<String>,
}

/// What a command needs its place for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To make a store there.
    Make,
    /// To run there.
    Run,
    /// To ask for something, and end.
    Ask,
}

/// Where a command works: the folder of a node, what opens its store, and its configuration.
#[derive(Debug)]
pub struct Place<C> {
    /// The node's folder.
    pub data: PathBuf,
    /// What opens its store.
    pub key: KeySource,
    /// How the program is configured.
    pub config: C,
    /// Whether answers are printed as JSON.
    pub json: bool,
}

impl<C: AsRef<General>> Place<C> {
    /// Where the command works, once its configuration is found to be in order; from then on the
    /// process logs as it says. `flags` are the command's own, besides the common ones.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration, or with the passphrase.
    pub fn find(
        common: Common,
        mut flags: Said,
        purpose: Purpose,
        read: impl FnOnce(&Path, Said) -> Result<C, Failure>,
    ) -> Result<Place<C>, Failure> {
        let data = common.data.ok_or_else(|| {
            Failure::usage("name the node's folder: --data DIR, or the variable RIDGEWAY_DATA")
        })?;
        let data = std::path::absolute(data)?;
        flags.extend(said([
            ("key", Vec::from_iter(common.key)),
            ("log", Vec::from_iter(common.log)),
            ("log_filter", Vec::from_iter(common.log_filter)),
        ]));
        let config = read(&data, flags)?;
        let general = config.as_ref();
        let filter = match purpose {
            Purpose::Run => log::RUN,
            Purpose::Make | Purpose::Ask => log::COMMAND,
        };
        log::begin(general.log, general.log_filter.as_deref().unwrap_or(filter));
        let key = match (common.passphrase_fd, common.passphrase) {
            (Some(number), _) => KeySource::Passphrase(Passphrase::from_descriptor(number)?),
            (None, true) => KeySource::Passphrase(Passphrase::ask(purpose == Purpose::Make)?),
            (None, false) => match &general.key {
                Some(path) => KeySource::File(std::path::absolute(path)?),
                None => KeySource::beside(&data),
            },
        };
        Ok(Place {
            data,
            key,
            config,
            json: common.json,
        })
    }

    /// The key file, where the store is opened with one.
    pub fn key_file(&self) -> Option<&Path> {
        match &self.key {
            KeySource::File(path) => Some(path),
            KeySource::Passphrase(_) => None,
        }
    }

    /// Says on stderr that a key file was made, and what that means.
    pub fn warn_of_new_key(&self, program: &str) {
        if let Some(key) = self.key_file() {
            eprintln!(
                "{program}: the key file {} was made. Without it nobody can open this store: keep \
                 a copy in another place.",
                key.display()
            );
        }
    }

    /// Prints an answer: as one JSON value on a line, or as text.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn print(&self, value: &Value, text: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        print(self.json, value, text)
    }
}

/// What the flags say; one that was not given says nothing.
pub fn said(flags: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> Said {
    let given = flags.into_iter().filter(|(_, values)| !values.is_empty());
    given
        .map(|(name, values)| (name.to_owned(), values))
        .collect()
}

/// Prints an answer: as one JSON value on a line, or as text.
///
/// # Errors
/// When nobody reads it any more.
pub fn print(
    json: bool,
    value: &Value,
    text: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let words = if json {
        format!("{value}\n")
    } else {
        text(value)
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(words.as_bytes())?;
    Ok(stdout.flush()?)
}

/// What is said on stderr meanwhile: on a terminal how far it has got, elsewhere the total once.
#[derive(Debug)]
pub struct Told {
    what: &'static str,
    quiet: bool,
    terminal: bool,
    said: bool,
}

impl Told {
    /// Nothing is said when `quiet`.
    pub fn new(what: &'static str, quiet: bool) -> Told {
        let terminal = std::io::stderr().is_terminal();
        Told {
            what,
            quiet,
            terminal,
            said: false,
        }
    }

    /// So many of so many documents are done; goes on whatever becomes of the words.
    pub fn note(&mut self, done: u64, of: u64) -> bool {
        if self.quiet {
            return true;
        }
        let what = self.what;
        // Nobody has to read it.
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r{what}: {done} of {of} documents ");
        } else if !self.said && of > 0 {
            let _ = writeln!(std::io::stderr(), "{what}: {of} documents");
        }
        self.said |= of > 0;
        true
    }

    /// It is done.
    pub fn end(&self) {
        if self.said && self.terminal && !self.quiet {
            let _ = writeln!(std::io::stderr());
        }
    }
}
