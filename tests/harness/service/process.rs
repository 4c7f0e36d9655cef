//! One process of the service: started, listened to, stopped or killed.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{moment, wait, warden::Warden};

/// How long a process may take until it says that it has started: a store is checked first.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How long a frozen process may take to stand still: its threads stop when they next run.
const FREEZE_MAX: Duration = Duration::from_secs(10);
/// Lines of JSON that may wait to be read here.
const LINES_MAX: usize = 64;

/// What a process says when it has started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it answers QUIC, if it does.
    pub quic: Option<SocketAddr>,
}

/// A running process. Everything that it says goes into its log file as well.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command`; what it says is added to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        warden: &Warden,
        name: &str,
        command: &mut Command,
        log: &Path,
    ) -> Result<Process, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", log.display());
        let open = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .map_err(failed)
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(open()?));
        let mut child = warden.start(command)?;
        let said = child.stdout.take().ok_or("a process without stdout")?;
        let copy = open()?;
        let (sender, lines) = sync_channel(LINES_MAX);
        let reader = std::thread::spawn(move || {
            copy_lines(said, copy, |line| {
                // Nobody reads on after the start; then the log alone has the rest.
                let _ = sender.try_send(line);
            });
        });
        Ok(Process {
            name: name.to_owned(),
            child,
            lines,
            reader: Some(reader),
        })
    }

    /// Waits until the process says in one line of JSON that it has started, and where.
    ///
    /// # Errors
    /// When it ends instead, or says nothing for too long.
    pub fn started(&mut self) -> Result<Started, String> {
        let until = Instant::now() + START_MAX;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(started) = parse(&line) {
                        return Ok(started);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} does not say that it has started", self.name));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().map_err(|error| error.to_string())?;
                    return Err(format!(
                        "{} ended before it had started: {status}",
                        self.name
                    ));
                }
            }
        }
    }

    /// Whether it has not ended by itself.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it with SIGKILL: no destructor runs, no buffer is written.
    pub fn kill(mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }

    /// Stops time for it with SIGSTOP, so that one moment of it can be looked at. A kill follows, or
    /// [`Process::thaw`].
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn freeze(&self) -> Result<(), String> {
        let id = self.child.id();
        signal(id, "STOP")?;
        let frozen = wait::until(FREEZE_MAX, || moment::is_frozen(id).then_some(()));
        frozen.ok_or_else(|| format!("{} does not stand still", self.name))
    }

    /// Lets it go on with SIGCONT.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn thaw(&self) -> Result<(), String> {
        signal(self.child.id(), "CONT")
    }

    /// Asks it to stop with SIGTERM, and waits until it has.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub fn stop(mut self) -> Result<(), String> {
        signal(self.child.id(), "TERM")?;
        let ended = wait::until(STOP_MAX, || self.child.try_wait().ok().flatten());
        let Some(status) = ended else {
            let name = self.name.clone();
            self.kill();
            return Err(format!("{name} does not stop"));
        };
        self.join();
        well(&self.name, status)
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            // It ends with the pipe, which has ended with the process.
            let _ = reader.join();
        }
    }
}

/// Sends a signal with the shell's own `kill`: there need be no program of that name.
fn signal(process: u32, name: &str) -> Result<(), String> {
    let line = format!("kill -s {name} {process}");
    let sent = Command::new("sh").args(["-c", &line]).status();
    match sent {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("SIG{name} was not sent: {status}")),
        Err(error) => Err(format!("sh cannot be run: {error}")),
    }
}

fn well(name: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} ended badly: {status}"))
    }
}

/// Copies what is said into a file, and hands every line on.
fn copy_lines(said: ChildStdout, mut copy: File, mut hand_on: impl FnMut(String)) {
    for line in BufReader::new(said).lines() {
        let Ok(line) = line else { return };
        // A log that cannot be written is missed when it is searched.
        let _ = writeln!(copy, "{line}");
        hand_on(line);
    }
}

/// A line like `{"http":"127.0.0.1:7480","quic":"127.0.0.1:7443",…}`.
fn parse(line: &str) -> Option<Started> {
    let said: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| said.get(name)?.as_str()?.parse().ok();
    Some(Started {
        http: address("http")?,
        quic: address("quic"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::service::folder::Folder;

    fn shell(script: &str) -> (Process, Folder, Warden) {
        let folder = Folder::new("ridgeway-process-test").unwrap();
        let warden = Warden::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = folder.path().join("log");
        (
            Process::start(&warden, "sh", &mut command, &log).unwrap(),
            folder,
            warden,
        )
    }

    #[test]
    fn a_process_tells_where_it_listens_and_is_stopped() {
        let said = r#"echo starting; echo oops >&2; echo '{"http":"127.0.0.1:1"}'; exec sleep 600"#;
        let (mut process, folder, _warden) = shell(said);
        let started = process.started().unwrap();
        assert_eq!((started.http.port(), started.quic), (1, None));
        assert!(process.is_alive());
        assert!(
            process.stop().unwrap_err().contains("ended badly"),
            "sleep dies of SIGTERM"
        );
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.contains("starting") && log.contains("oops"));
    }

    #[test]
    fn one_that_ends_early_has_not_started() {
        let (mut process, _folder, _warden) = shell("exit 3");
        assert!(process.started().unwrap_err().contains("ended before"));
    }
}
