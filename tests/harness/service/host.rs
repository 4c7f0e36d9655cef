//! A machine of the service: a folder with a node's data, whether or not its node is running.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    client::Client,
    process::{Process, Started},
    warden::{Group, Warden},
};

/// A machine with one node.
#[derive(Debug)]
pub struct Host {
    name: String,
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    /// What its nodes log, when it is not what they log by themselves.
    filter: Option<&'static str>,
    /// Where its commands are put: one that waits for a node must not outlive all of them.
    group: Option<Group>,
    running: Option<(Process, Started)>,
}

impl Host {
    /// A machine called `name` in `folder`, with nothing on it yet.
    pub fn new(name: &str, program: &Path, folder: &Path) -> Host {
        Host {
            name: name.to_owned(),
            program: program.to_owned(),
            data: folder.join(name),
            log: folder.join(format!("{name}.log")),
            filter: None,
            group: None,
            running: None,
        }
    }

    /// The same machine, whose nodes log what this filter lets through.
    #[must_use]
    pub fn logging(self, filter: Option<&'static str>) -> Host {
        Host { filter, ..self }
    }

    /// The same machine, whose commands end with this warden as its nodes do.
    #[must_use]
    pub fn kept_by(self, warden: &Warden) -> Host {
        let group = Some(warden.group());
        Host { group, ..self }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The folder of its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its key file: beside the folder, as the programs choose it themselves.
    pub fn key(&self) -> PathBuf {
        self.data.with_extension("key")
    }

    /// What its processes have said, commands included.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Runs one command of its program and reads what it prints as JSON. Whether or not the
    /// node is running makes no difference.
    ///
    /// # Errors
    /// When the command fails, with what it said.
    pub fn command(&self, words: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .arg("--data")
            .arg(&self.data)
            .arg("--json");
        if let Some(group) = self.group {
            group.put(&mut command);
        }
        let output = command.output();
        let output = output.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        self.note(&complained)?;
        if !output.status.success() {
            let words = words.first().unwrap_or(&"");
            return Err(format!(
                "{} {words}: {} {complained}",
                self.name, output.status
            ));
        }
        if said.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&said).map_err(|_| format!("{} {words:?}: no JSON", self.name))
    }

    /// Adds to the log what a command complained of.
    fn note(&self, words: &str) -> Result<(), String> {
        use std::io::Write as _;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log);
        let written = log.and_then(|mut log| log.write_all(words.as_bytes()));
        written.map_err(|error| format!("{}: {error}", self.log.display()))
    }

    /// Starts its node; `words` follow `run` and say where it listens.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub fn start(&mut self, warden: &Warden, words: &[&str]) -> Result<Started, String> {
        if self.is_running() {
            return Err(format!("{} is running already", self.name));
        }
        let mut command = Command::new(&self.program);
        command
            .arg("run")
            .arg("--data")
            .arg(&self.data)
            .args(words)
            .arg("--json");
        if let Some(filter) = self.filter {
            command.env("RIDGEWAY_LOG_FILTER", filter);
        }
        let mut process = Process::start(warden, &self.name, &mut command, &self.log)?;
        let started = process
            .started()
            .map_err(|error| format!("{error}\n{}", self.last_words()))?;
        self.running = Some((process, started));
        Ok(started)
    }

    /// Where its node answers, while it is running.
    pub fn started(&self) -> Option<Started> {
        self.running.as_ref().map(|(_, started)| *started)
    }

    /// Whether its node is running.
    pub fn is_running(&mut self) -> bool {
        self.running
            .as_mut()
            .is_some_and(|(process, _)| process.is_alive())
    }

    /// Stops time for its node, so that one moment of it can be looked at. A kill follows, or
    /// [`Host::thaw`].
    ///
    /// # Errors
    /// When it is not running, or does not stand still.
    pub fn freeze(&self) -> Result<(), String> {
        self.process()?.freeze()
    }

    /// Lets its node go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn thaw(&self) -> Result<(), String> {
        self.process()?.thaw()
    }

    fn process(&self) -> Result<&Process, String> {
        let running = self.running.as_ref();
        let running = running.map(|(process, _)| process);
        running.ok_or_else(|| format!("{} is not running", self.name))
    }

    /// Kills its node with SIGKILL.
    pub fn kill(&mut self) {
        if let Some((process, _)) = self.running.take() {
            process.kill();
        }
    }

    /// Stops its node gracefully.
    ///
    /// # Errors
    /// When it does not stop well, with the end of its log.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some((process, _)) = self.running.take() else {
            return Ok(());
        };
        process
            .stop()
            .map_err(|error| format!("{error}\n{}", self.last_words()))
    }

    /// A client of the running node, with the token from its folder.
    ///
    /// # Errors
    /// When it is not running or has no token.
    pub fn client(&self) -> Result<Client, String> {
        let (_, started) = self
            .running
            .as_ref()
            .ok_or_else(|| format!("{} is not running", self.name))?;
        let path = self.data.join("api-token");
        let token = fs::read_to_string(&path);
        let token = token.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Client::new(started.http, token.trim()))
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(20);
        lines.get(last..).unwrap_or_default().join("\n")
    }
}
