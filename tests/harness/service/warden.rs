//! Processes that end with this one, however it ends.
//!
//! All of them are in one process group whose first member is a shell that reads a pipe from here.
//! When this process ends, even by SIGKILL, the pipe closes and the shell kills its group.

use std::process::{Child, Command, Stdio};

/// Waits until nobody can write to its input any more, then kills its group, itself included.
const WATCH: &str = "trap '' INT TERM HUP; while read -r line; do :; done; kill -s KILL 0";

/// Keeps a group of processes.
#[derive(Debug)]
pub struct Warden {
    watch: Child,
}

/// The group that a warden keeps.
#[derive(Clone, Copy, Debug)]
pub struct Group(i32);

impl Group {
    /// Has a process, once it is started, end with the warden's.
    pub fn put(self, command: &mut Command) {
        group(command, self.0);
    }
}

impl Warden {
    /// A group with nobody in it.
    ///
    /// # Errors
    /// When there is no shell.
    pub fn new() -> Result<Warden, String> {
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH]).stdin(Stdio::piped());
        watch.stdout(Stdio::null()).stderr(Stdio::null());
        group(&mut watch, 0);
        let watch = watch
            .spawn()
            .map_err(|error| format!("sh cannot be started: {error}"))?;
        Ok(Warden { watch })
    }

    /// Its group.
    pub fn group(&self) -> Group {
        Group(i32::try_from(self.watch.id()).unwrap_or(0))
    }

    /// Starts a process that ends with this one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, command: &mut Command) -> Result<Child, String> {
        self.group().put(command);
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {error}"))
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

#[cfg(unix)]
fn group(command: &mut Command, group: i32) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(group);
}

/// Elsewhere processes end when their owner drops them, and outlive one that is killed.
#[cfg(not(unix))]
fn group(_: &mut Command, _: i32) {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_group_ends_with_its_warden() {
        let warden = Warden::new().unwrap();
        let mut one = warden.start(Command::new("sleep").arg("600")).unwrap();
        assert!(one.try_wait().unwrap().is_none());
        drop(warden);
        assert!(!one.wait().unwrap().success());
    }
}
