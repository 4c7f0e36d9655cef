//! How a process lives and ends: the runtime it works on, and the signals that ask it to stop.

use std::{future::Future, io, time::Duration};

use tokio::{runtime::Builder, sync::watch};

use super::{Exit, Failure};

/// How long threads may take to end after everything else has. A reading of a large table ends in
/// less; one that hangs in its disk never does, and the process ends without it.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// Does the whole of a process's work on a runtime of its own.
///
/// # Errors
/// Those of the work, or that there is no runtime to be had.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Dropping it would wait for every thread that may block, however long.
    runtime.shutdown_timeout(LEAVE_MAX);
    done
}

/// Whether this process was asked to stop, by SIGINT or SIGTERM. The first signal is remembered
/// from the moment this is made; a second one ends the process where it stands, which a store
/// survives as it does a power cut.
#[derive(Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on. To be made before anything that takes time.
    ///
    /// # Errors
    /// When the operating system does not let this process listen.
    pub fn listen() -> io::Result<Stop> {
        let mut signals = Signals::listen()?;
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            tell.send_replace(true);
            signals.next().await;
            tracing::warn!("asked to stop a second time; ending at once");
            end_at_once();
        });
        Ok(Stop(told))
    }

    /// Waits until the process is asked to stop.
    pub async fn asked(&mut self) {
        // Whoever tells lives as long as the runtime does.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "somebody asked twice: what does not end by itself is not waited for"
)]
fn end_at_once() {
    std::process::exit(i32::from(Exit::Failure.code()));
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_before_anybody_waits_is_not_lost() {
        let asked = block_on(async {
            let mut stop = Stop::listen()?;
            let mut kill = std::process::Command::new("kill");
            kill.args(["-s", "TERM", &std::process::id().to_string()]);
            assert!(kill.status()?.success());
            stop.asked().await;
            Ok(())
        });
        assert_eq!(asked, Ok(()));
    }

    #[test]
    fn a_thread_that_hangs_does_not_keep_the_process() {
        let (release, hangs) = std::sync::mpsc::sync_channel::<()>(0);
        let left = block_on(async move {
            tokio::task::spawn_blocking(move || hangs.recv());
            Ok(7)
        });
        assert_eq!(left, Ok(7));
        // It hung until here.
        assert!(release.send(()).is_ok());
    }
}
