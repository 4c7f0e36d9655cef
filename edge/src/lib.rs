//! The edge of one site: it holds the site's documents, works for days without the centre, and
//! brings everything together when it is reached again.
//!
//! In reading order: [`cli`] says what can be asked on the command line, `config` how it is
//! configured, `site` how all of it is put together, `http` what is answered over HTTP.
//!
//! Nothing here writes to the store: every change is a turn of the node's.

pub mod cli;
mod config;
mod http;
mod site;

use std::process::ExitCode;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    cli::main()
}
