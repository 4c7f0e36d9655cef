//! The centre of one organisation: it holds every document, says who is who, and answers edges
//! by QUIC and administrators by HTTP.
//!
//! In reading order: [`cli`] says what can be asked on the command line, `config` how it is
//! configured, `desk` what each command does, `authority` and `invites` who may join,
//! `backup` how the record is put away and comes back, `centre`
//! how all of it is put together, `record` and `http` what is answered over HTTP.
//!
//! Nothing here writes to the store: every change is a turn of the node's.

mod authority;
mod backup;
mod centre;
pub mod cli;
mod config;
mod desk;
mod http;
mod invites;
mod record;
mod revoke;
mod room;
mod words;

use std::process::ExitCode;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    cli::main()
}
