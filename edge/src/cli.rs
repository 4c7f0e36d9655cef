//! The command line of an edge.
//!
//! Every command works whether or not the edge runs: it speaks to the running one over the
//! owner-only socket in its folder, or takes the folder itself. What is printed by `--json` is one
//! JSON value on stdout; what goes wrong is said on stderr. Exit codes: 0 done, 1 failure, 2
//! usage, 3 not running or locked, 4 refused.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use api::program::{
    self, Failure, check_name, export, folder, inspect,
    line::{self, Common, EXITS, Purpose, said},
    service::Ready,
    settings::Said,
};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use node::{
    names::{DocumentId, SiteId},
    protocol::enrol::EnrolmentCode,
};
use serde_json::{Value, json};

use crate::{
    config::Config,
    site::{self, Ask, Enrolled},
};

const PROGRAM: &str = "ridgeway-edge";

/// Bytes of a code that are read.
const CODE_BYTES_MAX: u64 = 8 << 10;

/// The edge of one site.
#[derive(Parser)]
#[command(name = PROGRAM, version, about, after_help = EXITS)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make this machine known to the centre; an attempt that broke off goes on where it was, and a
    /// certificate that ends soon is replaced
    Enrol {
        /// The one-time code, as `ridgeway-server invite` printed it; - reads it from stdin, so
        /// that it stands in no list of processes
        code: String,
        /// What the centre is to call this machine; the folder's name when left out
        #[arg(long)]
        name: Option<String>,
    },
    /// Run until SIGINT or SIGTERM
    Run {
        /// Where HTTP is answered [env: RIDGEWAY_HTTP=] [default: 127.0.0.1:7481]
        #[arg(long, value_name = "ADDR")]
        http: Option<String>,
        /// A name by which HTTP may be asked, besides this machine's [env: RIDGEWAY_HOSTS=]
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// Where the centre is, if it has moved since enrolment [env: RIDGEWAY_CENTRE=]
        #[arg(long = "centre", value_name = "HOST:PORT")]
        centre: Vec<String>,
    },
    /// Tell how far this edge agrees with the centre
    Status,
    /// Compute every digest again from what is stored, and compare
    Verify,
    /// Write one document as a file that the public Automerge libraries load
    Export {
        /// Its id
        document: DocumentId,
        /// Where to; stdout when left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => program::end(PROGRAM, dispatch(cli)),
        Err(error) => {
            // Help and the version come this way too, and go to stdout.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}

type Place = line::Place<Config>;

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    match command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut std::io::stdout());
            Ok(())
        }
        Command::Enrol { code, name } => {
            let code = if code == "-" { typed()? } else { code };
            let code: EnrolmentCode = code.parse().map_err(Failure::usage)?;
            enrol(&place(common, Said::new(), Purpose::Make)?, &code, name)
        }
        Command::Run {
            http,
            hosts,
            centre,
        } => {
            let flags = [
                ("http", Vec::from_iter(http)),
                ("hosts", hosts),
                ("centre", centre),
            ];
            run(place(common, said(flags), Purpose::Run)?)
        }
        Command::Status => answer(common, Ask::Status, inspect::status_text),
        Command::Verify => answer(common, Ask::Verify, inspect::verify_text),
        Command::Export { document, out } => save(
            &place(common, Said::new(), Purpose::Ask)?,
            document,
            out.as_deref(),
        ),
    }
}

/// Where a command works.
fn place(common: Common, flags: Said, purpose: Purpose) -> Result<Place, Failure> {
    Place::find(common, flags, purpose, Config::read)
}

/// What is typed or piped, up to a bound above the longest code.
fn typed() -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(CODE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn enrol(place: &Place, code: &EnrolmentCode, name: Option<String>) -> Result<(), Failure> {
    let name = match name {
        Some(name) => check_name(&name).map(|()| name)?,
        None => named_after(&place.data),
    };
    // Key and store come first: a code is used up by the attempt.
    let begun = folder::begin(&place.data, &place.key)?;
    let (key, made_key) = (place.key_file(), begun.made_key);
    if made_key {
        place.warn_of_new_key(PROGRAM);
    }
    let Enrolled { site, device } = site::enrol(begun, code, &name)?;
    let done = json!({
        "data": place.data, "key": key, "made_key": made_key, "device": device, "site": site,
    });
    place.print(&done, |_| {
        let site = site.as_ref().map_or("no site", SiteId::as_str);
        format!("This machine is an edge of {site} now.\n")
    })
}

/// What an edge is called when nobody says so: as its folder, if that can be read in a list.
fn named_after(data: &Path) -> String {
    let folder = data.file_name().and_then(|name| name.to_str());
    let folder = folder.filter(|name| check_name(name).is_ok());
    folder.unwrap_or("edge").to_owned()
}

fn run(place: Place) -> Result<(), Failure> {
    let Place {
        data,
        key,
        config,
        json,
    } = place;
    site::run(&data, &key, config, |ready: &Ready| {
        // A reader that has gone away does not stop the edge.
        let _ = line::print(json, &ready.to_json(), |_| ready.to_text("edge"));
    })
}

/// Asks the edge, and prints what it answers.
fn answer(common: Common, ask: Ask, text: impl Fn(&Value) -> String) -> Result<(), Failure> {
    let place = place(common, Said::new(), Purpose::Ask)?;
    let value = site::once(&place.data, &place.key, ask)?;
    place.print(&value, text)
}

fn save(place: &Place, document: DocumentId, out: Option<&Path>) -> Result<(), Failure> {
    let name = export::spool_name();
    let ask = Ask::Export {
        document,
        name: name.clone(),
    };
    let answer = site::once(&place.data, &place.key, ask)?;
    export::collect(&place.data, &name, &answer, out, place.json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
