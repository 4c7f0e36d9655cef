//! Copies of a machine's files as anybody would make them, file by file; and a machine that falls
//! back to one.

use std::{fs, path::Path, time::Instant};

use super::{Service, client::Client, folder::owners_only};

/// Copies the files of a node's folder into a new one; answers their bytes. It does not matter
/// whether the node is running.
///
/// # Errors
/// When a file cannot be copied.
pub fn copy(from: &Path, to: &Path) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", to.display());
    fs::create_dir(to).map_err(failed)?;
    owners_only(to).map_err(failed)?;
    let mut bytes = 0;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            bytes += fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
    }
    Ok(bytes)
}

/// Commits of a node in this life.
///
/// # Errors
/// When it does not say.
pub fn commits(client: &Client) -> Result<u64, String> {
    let metrics = client.get("/metrics")?.text();
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("ridgeway_commits_total "));
    let count = count.and_then(|count| count.parse().ok());
    count.ok_or_else(|| "a node does not say how often it has committed".to_owned())
}

/// What it took until everything was equal again.
#[derive(Clone, Copy, Debug)]
pub struct CaughtUp {
    /// Bytes that went by the links.
    pub bytes: u64,
    /// Seconds from the start of the centre.
    pub seconds: f64,
}

impl Service {
    /// Kills the centre, puts an older copy in place of its files, starts it, and waits until all
    /// is equal; `meanwhile` happens before it can have caught up. Nobody does anything else.
    ///
    /// # Errors
    /// When it does not start or become equal, or the copy is taken for a store that was closed.
    pub fn fall_back(
        &mut self,
        copied: &Path,
        meanwhile: impl FnOnce(&mut Service) -> Result<(), String>,
    ) -> Result<CaughtUp, String> {
        self.centre.kill();
        let data = self.centre.data();
        let failed = |error: std::io::Error| format!("{}: {error}", data.display());
        fs::remove_dir_all(data).map_err(failed)?;
        fs::rename(copied, data).map_err(failed)?;
        let (before, began) = (self.carried(), Instant::now());
        let said = self.centre_log()?.len();
        self.start_centre()?;
        meanwhile(self)?;
        self.rest()?;
        let seconds = began.elapsed().as_secs_f64();
        let log = self.centre_log()?;
        let since = log.get(said..).unwrap_or_default();
        if !since.contains("unclean; everything was checked") {
            return Err(format!(
                "the copy was taken for a store that had been closed: {since}"
            ));
        }
        let bytes = self.carried() - before;
        Ok(CaughtUp { bytes, seconds })
    }

    fn centre_log(&self) -> Result<String, String> {
        let log = self.centre.log();
        fs::read_to_string(log).map_err(|error| format!("{}: {error}", log.display()))
    }

    /// Bytes that every edge's link has carried so far.
    fn carried(&self) -> u64 {
        let edges = self.edges.values();
        edges.map(|edge| edge.relay.passed().bytes()).sum()
    }
}
