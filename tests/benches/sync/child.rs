//! A product in a process of its own, spoken to by the line protocol of the rivals' harness.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child as Process, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::failure::{Outcome, failed};

/// How long any answer may take: the slowest rival imports for minutes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Answers that wait to be read: each command has one, and a few say more.
const ANSWERS_MAX: usize = 64;
/// How long a process may take to end by itself.
const END: Duration = Duration::from_secs(10);

/// A program, its words, and where it is run.
pub(crate) struct Program {
    pub(crate) file: PathBuf,
    pub(crate) words: Vec<String>,
    pub(crate) folder: PathBuf,
}

/// A running one. It is killed when it is dropped.
pub(crate) struct Child {
    process: Process,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
}

impl Child {
    /// Starts a program and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come to be.
    pub(crate) fn start(program: &Program, log: &Path) -> Outcome<Child> {
        let log = std::fs::File::create(log).map_err(failed("a log"))?;
        let process = Command::new(&program.file)
            .args(&program.words)
            .current_dir(&program.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let mut process = process.map_err(failed("a program"))?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or("no output")?;
        let (tell, answers) = sync_channel(ANSWERS_MAX);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Whatever else a program prints is no answer.
                if let Ok(value) = serde_json::from_str(&line)
                    && tell.send(value).is_err()
                {
                    return;
                }
            }
        });
        let child = Child {
            process,
            input,
            answers,
        };
        child.answer(|said| said.get("ready").is_some())?;
        Ok(child)
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    /// What the program says went wrong, or that it says nothing.
    pub(crate) fn ask(&mut self, line: &str) -> Outcome<Value> {
        let input = self.input.as_mut().ok_or("it is being stopped")?;
        writeln!(input, "{line}").map_err(failed("a command"))?;
        input.flush().map_err(failed("a command"))?;
        let name = line.split_whitespace().next().unwrap_or_default();
        let said = self.answer(|said| said.get("cmd").and_then(Value::as_str) == Some(name))?;
        match said.get("error").and_then(Value::as_str) {
            Some(error) => Err(format!("{name}: {error}")),
            None => Ok(said),
        }
    }

    fn answer(&self, wanted: impl Fn(&Value) -> bool) -> Outcome<Value> {
        let at_most = Instant::now() + PATIENCE;
        loop {
            let left = at_most.saturating_duration_since(Instant::now());
            let said = self.answers.recv_timeout(left);
            let said = said.map_err(|_| "the program says nothing".to_owned())?;
            if wanted(&said) {
                return Ok(said);
            }
        }
    }

    /// MiB of memory that it has now, and that it had at most; none where that is not told.
    pub(crate) fn memory(&self) -> Option<(f64, f64)> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).ok()?;
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kib / 1024.0)
        };
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Milliseconds of processors that its threads have had, and how often one of them was put on a
    /// processor; none where that is not told.
    pub(crate) fn scheduled(&self) -> Option<(f64, f64)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).ok()?;
        let mut sum = (0.0, 0.0);
        for task in tasks {
            // A thread may end while it is looked at.
            let Ok(told) = std::fs::read_to_string(task.ok()?.path().join("schedstat")) else {
                continue;
            };
            let mut fields = told.split_whitespace().map(str::parse::<f64>);
            let (ran, _, times) = (fields.next()?, fields.next()?, fields.next()?);
            sum = (sum.0 + ran.ok()? / 1e6, sum.1 + times.ok()?);
        }
        Some(sum)
    }

    /// Lets it end, and sees to it that it does.
    pub(crate) fn stop(mut self) {
        drop(self.input.take());
        let at_most = Instant::now() + END;
        while Instant::now() < at_most {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has ended already, most often.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
