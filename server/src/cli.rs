//! The command line of the centre.
//!
//! Every command works whether or not the centre runs: it speaks to the running one over the
//! owner-only socket in its folder, or takes the folder and a turn. What is printed by `--json`
//! is one JSON value on stdout; what goes wrong is said on stderr. Exit codes: 0 done, 1 failure,
//! 2 usage, 3 not running or locked, 4 refused.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use api::program::{
    self, Failure, export, inspect,
    line::{self, Common, EXITS, Purpose, said},
    service::Ready,
    settings::Said,
};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use node::names::{DeviceId, DocumentId, SiteId, WorkerId};
use serde_json::{Value, json};

use crate::{backup, centre, config::Config, desk::Ask, invites::Invited, words};

const PROGRAM: &str = "ridgeway-server";

/// The centre of one organisation.
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
    /// Found an organisation: its authority, its certificates, its store
    Init {
        /// What it is called
        #[arg(long)]
        name: String,
        /// Where the recovery key goes, outside the folder [default: DIR.recovery beside DIR]
        #[arg(long, value_name = "FILE")]
        recovery: Option<PathBuf>,
    },
    /// Run until SIGINT or SIGTERM
    Run {
        /// Where edges are answered, by UDP [env: RIDGEWAY_QUIC=] [default: 0.0.0.0:7443]
        #[arg(long, value_name = "ADDR")]
        quic: Option<String>,
        /// Where HTTP is answered [env: RIDGEWAY_HTTP=] [default: 127.0.0.1:7480]
        #[arg(long, value_name = "ADDR")]
        http: Option<String>,
        /// Where edges reach the centre, for codes [env: RIDGEWAY_ADDRESSES=]
        #[arg(long = "address", value_name = "HOST:PORT")]
        addresses: Vec<String>,
        /// A name by which HTTP may be asked, besides this machine's [env: RIDGEWAY_HOSTS=]
        #[arg(long = "host", value_name = "NAME")]
        hosts: Vec<String>,
        /// Another store than redb (not in this version)
        #[arg(long, value_name = "URL")]
        store: Option<String>,
    },
    /// Sites
    #[command(subcommand)]
    Site(SiteCommand),
    /// Workers
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Make a one-time code, good for a day, that lets one device in
    Invite {
        /// For an edge of this site
        #[arg(long, value_name = "ID", required_unless_present = "phone")]
        site: Option<SiteId>,
        /// For a phone of this worker
        #[arg(long, value_name = "WORKER", conflicts_with = "site")]
        phone: Option<WorkerId>,
        /// Where the device reaches the centre
        #[arg(long = "address", value_name = "HOST:PORT")]
        addresses: Vec<String>,
    },
    /// Devices
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Tell how far the centre agrees with its edges
    Status,
    /// Compute every digest again from what is stored, and compare
    Verify,
    /// Write one document as a file that the public Automerge libraries load
    Export {
        /// Its id
        document: DocumentId,
        /// The form
        #[arg(long, default_value = "automerge", value_parser = ["automerge"])]
        format: String,
        /// Where to; stdout when left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Back the centre up into one file, also while it runs
    Backup {
        /// Where to
        file: PathBuf,
    },
    /// Bring a backup back into an empty folder
    Restore {
        /// From where
        file: PathBuf,
        /// The recovery key that `init` has written
        #[arg(long, value_name = "FILE")]
        recovery: PathBuf,
        /// Go on without what is refused, or not in the backup, and say what that is
        #[arg(long)]
        without_refused: bool,
    },
    /// Let a restored centre act again, and honour the codes made before its last start, although
    /// some devices have not been heard
    Resume,
    /// Erase a document everywhere (not in this version)
    Erase {
        /// Its id
        document: DocumentId,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Subcommand)]
enum SiteCommand {
    /// Add a site, or give it another name
    Add {
        /// Its code, as devizes
        id: SiteId,
        /// What it is called
        #[arg(long)]
        name: String,
    },
    /// List them
    List,
}

#[derive(Subcommand)]
enum WorkerCommand {
    /// Add a worker, or change what is known of one
    Add {
        /// The worker's code, as w-17; never a name
        id: WorkerId,
        /// The worker's name
        #[arg(long)]
        name: String,
        /// Where the worker belongs
        #[arg(long, value_name = "ID")]
        site: SiteId,
        /// What the worker is; may be given several times
        #[arg(long = "role", required = true, value_name = "ROLE")]
        roles: Vec<String>,
    },
    /// List them
    List,
    /// Say that a worker works here no more; nothing takes this back
    Disable {
        /// The worker's code
        id: WorkerId,
    },
}

#[derive(Subcommand)]
enum DeviceCommand {
    /// List them
    List,
    /// Take a device's rights away; nothing takes this back. It hands in what it never sent, and
    /// destroys its keys
    Revoke {
        /// Its id
        id: DeviceId,
        /// It is in nobody's hands: it destroys its keys first and hands in nothing
        #[arg(long)]
        lost: bool,
    },
    /// Let into the record what a revoked device has handed in; it is marked there. Ends with 4 when
    /// some of it still waits
    Accept {
        /// Its id
        id: DeviceId,
    },
    /// Discard what a revoked device has handed in and nobody has let in; nothing takes this back
    Reject {
        /// Its id
        id: DeviceId,
    },
    /// Say that one copy alone of a device's store runs now, after status named it as running twice
    Single {
        /// Its id
        id: DeviceId,
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

pub(crate) type Place = line::Place<Config>;

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    match command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut std::io::stdout());
            Ok(())
        }
        Command::Init { name, recovery } => init(
            &place(common, Said::new(), Purpose::Make)?,
            &name,
            recovery.as_deref(),
        ),
        Command::Run { store: Some(_), .. } => later("another store than redb"),
        Command::Run {
            quic,
            http,
            addresses,
            hosts,
            store: None,
        } => {
            let lists = [("addresses", addresses), ("hosts", hosts)];
            let flags =
                [("quic", quic), ("http", http)].map(|(name, said)| (name, Vec::from_iter(said)));
            run(place(
                common,
                said(flags.into_iter().chain(lists)),
                Purpose::Run,
            )?)
        }
        Command::Backup { file } => {
            backup::backup(&place(common, Said::new(), Purpose::Ask)?, &file)
        }
        Command::Restore {
            file,
            recovery,
            without_refused,
        } => {
            let place = place(common, Said::new(), Purpose::Make)?;
            backup::restore(&place, &file, &recovery, without_refused)
        }
        Command::Resume => answer(common, Ask::Resume, words::resumed),
        Command::Erase { .. } => later("erase"),
        Command::Export {
            document,
            format: _,
            out,
        } => save(
            &place(common, Said::new(), Purpose::Ask)?,
            document,
            out.as_deref(),
        ),
        Command::Site(command) => answer(common, site(command), words::rows),
        Command::Worker(command) => answer(common, worker(command), words::rows),
        Command::Device(command) => device(common, command),
        Command::Status => answer(common, Ask::Status, inspect::status_text),
        Command::Verify => answer(common, Ask::Verify, inspect::verify_text),
        Command::Invite {
            site,
            phone,
            addresses,
        } => {
            let whom = site.map(Invited::Site).or(phone.map(Invited::Phone));
            let whom = whom.ok_or_else(|| Failure::usage("say --site or --phone"))?;
            answer(common, Ask::Invite { whom, addresses }, words::code)
        }
    }
}

fn device(common: Common, command: DeviceCommand) -> Result<(), Failure> {
    match command {
        DeviceCommand::List => answer(common, Ask::DeviceList, words::rows),
        DeviceCommand::Revoke { id, lost } => {
            answer(common, Ask::DeviceRevoke { id, lost }, words::revoked)
        }
        DeviceCommand::Accept { id } => accept(common, id),
        DeviceCommand::Reject { id } => answer(common, Ask::DeviceReject { id }, words::rejected),
        DeviceCommand::Single { id } => answer(common, Ask::DeviceSingle { id }, words::single),
    }
}

fn site(command: SiteCommand) -> Ask {
    match command {
        SiteCommand::Add { id, name } => Ask::SiteAdd { id, name },
        SiteCommand::List => Ask::SiteList,
    }
}

fn worker(command: WorkerCommand) -> Ask {
    match command {
        WorkerCommand::Add {
            id,
            name,
            site,
            roles,
        } => Ask::WorkerAdd {
            id,
            name,
            site,
            roles,
        },
        WorkerCommand::List => Ask::WorkerList,
        WorkerCommand::Disable { id } => Ask::WorkerDisable { id },
    }
}

/// Where a command works.
fn place(common: Common, flags: Said, purpose: Purpose) -> Result<Place, Failure> {
    Place::find(common, flags, purpose, Config::read)
}

fn later(what: &str) -> Result<(), Failure> {
    Err(Failure::refused(format!(
        "{what} is not in this version; nothing was done"
    )))
}

fn init(place: &Place, name: &str, recovery: Option<&Path>) -> Result<(), Failure> {
    let recovery = match recovery {
        Some(path) => std::path::absolute(path)?,
        None => runtime::beside(&place.data, "recovery"),
    };
    let made_key = centre::init(&place.data, &place.key, name, &recovery)?;
    eprintln!(
        "{PROGRAM}: the recovery key is in {}. Move it off this machine and keep it safe: without \
         it no backup comes back, and with it and a backup anybody reads everything.",
        recovery.display()
    );
    let key = place.key_file();
    if made_key {
        place.warn_of_new_key(PROGRAM);
    }
    let done =
        json!({ "data": place.data, "key": key, "made_key": made_key, "recovery": recovery });
    place.print(&done, |_| {
        format!("The organisation is founded in {}.\n", place.data.display())
    })
}

fn run(place: Place) -> Result<(), Failure> {
    let Place {
        data,
        key,
        config,
        json,
    } = place;
    centre::run(&data, &key, config, |ready: &Ready| {
        // A reader that has gone away does not stop the centre.
        let _ = line::print(json, &ready.to_json(), |_| ready.to_text("centre"));
    })
}

/// Asks the centre, and prints what it answers.
fn answer(common: Common, ask: Ask, text: impl Fn(&Value) -> String) -> Result<(), Failure> {
    let place = place(common, Said::new(), Purpose::Ask)?;
    let value = centre::once(&place.data, &place.key, &place.config, ask)?;
    place.print(&value, text)
}

fn save(place: &Place, document: DocumentId, out: Option<&Path>) -> Result<(), Failure> {
    let name = export::spool_name();
    let ask = Ask::Export {
        document,
        name: name.clone(),
    };
    let answer = centre::once(&place.data, &place.key, &place.config, ask)?;
    export::collect(&place.data, &name, &answer, out, place.json)
}

/// Lets in what a device has handed in. What of it still waits is no success.
fn accept(common: Common, id: DeviceId) -> Result<(), Failure> {
    let place = place(common, Said::new(), Purpose::Ask)?;
    let ask = Ask::DeviceAccept { id };
    let value = centre::once(&place.data, &place.key, &place.config, ask)?;
    place.print(&value, words::accepted)?;
    words::not_accepted(&value).map_or(Ok(()), |left| Err(Failure::refused(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
