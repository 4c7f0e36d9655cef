//! What waits for the node's thread.
//!
//! Everybody else only adds here; the node's thread alone takes. Two queues keep people ahead of
//! what was missed even before the node's own inbox sorts them, and the thread takes no more at
//! once than a few turns can hold, so that a flood stays in the streams where its sender feels
//! it. Every kind of arrival has a bound of its own before it comes here: frames by permits of
//! bytes, commands by permits of number, openings by the node, conversations by the listener.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use node::{
    Errand, JobId, LinkId, NotDone, Opened, Ran, Request, Saved, Side, Transfer, Transferred,
    VerifiedFrame, VerifiedStatement,
    names::{DocumentId, Reason, limits::TURN_BYTES_MAX},
    protocol::PublicKey,
    views::ScopeSync,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::link::Outgoing;

/// Places that a frame takes while it waits: its lane's, and everybody's. Dropping frees them.
#[derive(Debug)]
pub(crate) struct Permits(
    #[expect(dead_code, reason = "held to be dropped")] pub(crate) [OwnedSemaphorePermit; 2],
);

/// Something that the node's thread should see.
pub(crate) enum Arrival {
    /// A conversation has begun.
    Up {
        link: LinkId,
        peer: PublicKey,
        side: Side,
        outgoing: Arc<Outgoing>,
    },
    /// A conversation has ended.
    Down { link: LinkId },
    /// A verified frame has come.
    Frame {
        link: LinkId,
        frame: VerifiedFrame,
        bytes: usize,
        permits: Permits,
    },
    /// A person asks for something.
    Command {
        request: Box<Request>,
        answer: oneshot::Sender<Result<Saved, NotDone>>,
        permit: OwnedSemaphorePermit,
    },
    /// A person transfers a case.
    Transfer {
        transfer: Box<Transfer>,
        answer: oneshot::Sender<Result<Transferred, NotDone>>,
        permit: OwnedSemaphorePermit,
    },
    /// The authority has made a statement.
    State {
        statement: VerifiedStatement,
        answer: oneshot::Sender<Result<(), Reason>>,
    },
    /// The shell has something to have kept or done.
    Errand {
        errand: Errand,
        answer: oneshot::Sender<Result<Ran, Reason>>,
    },
    /// An opening has ended.
    Opened { job: JobId, opened: Opened },
    /// Somebody wants to see a document of which something was never opened.
    Want(DocumentId),
    /// What was set aside is to be taken up again.
    TryAgain,
    /// Somebody wants to know how things stand.
    Sync {
        answer: oneshot::Sender<Result<Arc<Vec<ScopeSync>>, Reason>>,
    },
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arrival::Up { .. } => "Up",
            Arrival::Down { .. } => "Down",
            Arrival::Frame { .. } => "Frame",
            Arrival::Command { .. } => "Command",
            Arrival::Transfer { .. } => "Transfer",
            Arrival::State { .. } => "State",
            Arrival::Errand { .. } => "Errand",
            Arrival::Opened { .. } => "Opened",
            Arrival::Want(_) => "Want",
            Arrival::TryAgain => "TryAgain",
            Arrival::Sync { .. } => "Sync",
        })
    }
}

impl Arrival {
    fn bytes(&self) -> usize {
        match self {
            Arrival::Frame { bytes, .. } => *bytes,
            Arrival::Errand { errand, .. } => errand.weight().0,
            Arrival::Up { .. }
            | Arrival::Down { .. }
            | Arrival::Command { .. }
            | Arrival::Transfer { .. }
            | Arrival::State { .. }
            | Arrival::Opened { .. }
            | Arrival::Want(_)
            | Arrival::TryAgain
            | Arrival::Sync { .. } => 0,
        }
    }
}

/// Which of the two queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Haste {
    /// People, and what people write now.
    First,
    /// What was missed, and what keeps its order with it.
    Then,
}

#[derive(Debug, Default)]
struct Waiting {
    first: VecDeque<Arrival>,
    then: VecDeque<Arrival>,
    stopping: bool,
    closed: bool,
}

/// What the node's thread took.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// In the order in which they should be looked at.
    pub(crate) arrivals: Vec<Arrival>,
    /// Bytes of the frames among them.
    pub(crate) bytes: usize,
    /// Whether the node is to stop.
    pub(crate) stopping: bool,
}

/// The node's thread has ended; what was to be put here is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closed;

/// Where everything waits for the node's thread.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Mailbox {
    /// Adds something.
    ///
    /// # Errors
    /// [`Closed`] when nobody will ever take it.
    pub(crate) fn put(&self, haste: Haste, arrival: Arrival) -> Result<(), Closed> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Closed);
        }
        match haste {
            Haste::First => waiting.first.push_back(arrival),
            Haste::Then => waiting.then.push_back(arrival),
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Asks the thread to stop.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_one();
    }

    /// Whether the thread was asked to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// From now on nothing is taken any more; what waits is dropped, and with it whoever waits
    /// for an answer hears that there will be none.
    pub(crate) fn close(&self) {
        let left = {
            let mut waiting = self.lock();
            waiting.closed = true;
            (
                std::mem::take(&mut waiting.first),
                std::mem::take(&mut waiting.then),
            )
        };
        drop(left);
    }

    /// What the next turn may see, waiting up to `patience` for anything to come. `held` are the
    /// bytes that the node's own inbox holds already.
    pub(crate) fn take(&self, held: usize, patience: Duration) -> Taken {
        let until = Instant::now() + patience;
        let mut waiting = self.lock();
        while waiting.first.is_empty() && waiting.then.is_empty() && !waiting.stopping {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut taken = Taken {
            stopping: waiting.stopping,
            ..Taken::default()
        };
        // Two turns' worth of what people write, one of what was missed.
        taken.fill(&mut waiting.first, held, 2 * TURN_BYTES_MAX);
        taken.fill(&mut waiting.then, held, TURN_BYTES_MAX);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn fill(&mut self, queue: &mut VecDeque<Arrival>, held: usize, bytes_max: usize) {
        while held + self.bytes < bytes_max {
            let Some(arrival) = queue.pop_front() else {
                return;
            };
            self.bytes += arrival.bytes();
            self.arrivals.push(arrival);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn down(number: u64) -> Arrival {
        Arrival::Down {
            link: LinkId(number),
        }
    }

    fn numbers(taken: &Taken) -> Vec<u64> {
        let number = |arrival: &Arrival| {
            let Arrival::Down { link } = arrival else {
                panic!("only ends were put here")
            };
            link.0
        };
        taken.arrivals.iter().map(number).collect()
    }

    #[test]
    fn people_go_first_and_everyone_in_order() {
        let mailbox = Mailbox::default();
        for number in [1, 2] {
            mailbox.put(Haste::Then, down(number)).unwrap();
        }
        for number in [3, 4] {
            mailbox.put(Haste::First, down(number)).unwrap();
        }
        let taken = mailbox.take(0, Duration::ZERO);
        assert_eq!(numbers(&taken), [3, 4, 1, 2]);
        assert!(mailbox.take(0, Duration::ZERO).arrivals.is_empty());
    }

    #[test]
    fn what_was_missed_waits_while_the_inbox_is_full() {
        let mailbox = Mailbox::default();
        mailbox.put(Haste::Then, down(1)).unwrap();
        mailbox.put(Haste::First, down(2)).unwrap();
        assert_eq!(numbers(&mailbox.take(TURN_BYTES_MAX, Duration::ZERO)), [2]);
        assert_eq!(numbers(&mailbox.take(0, Duration::ZERO)), [1]);
    }

    #[test]
    fn nothing_is_taken_by_a_closed_mailbox() {
        let mailbox = Mailbox::default();
        mailbox.put(Haste::First, down(1)).unwrap();
        mailbox.stop();
        mailbox.close();
        assert!(mailbox.put(Haste::First, down(2)).is_err());
        let taken = mailbox.take(0, Duration::from_secs(600));
        assert!(taken.stopping && taken.arrivals.is_empty());
    }
}
