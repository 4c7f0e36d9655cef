//! A long path: every datagram takes the same time, and none overtakes another.
//!
//! What it adds to a meeting, counted in its round trips, is how often one side had to wait for
//! the other. Order matters: a datagram of a handshake that comes before its predecessor is
//! dropped by QUIC and comes again after a timeout, which would count as several round trips.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::failure::{Outcome, failed};

/// The largest datagram that UDP carries.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams under way in one direction: 25 ms at 200 MB/s. What is more waits in the socket.
const UNDER_WAY_MAX: usize = 4_096;
/// How often a thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// A datagram, and when it arrives.
type Sent = (Instant, Vec<u8>);

/// A path from an edge, which dials it, to a centre.
pub(crate) struct Path {
    address: SocketAddr,
    ends: Arc<Ends>,
    threads: Vec<JoinHandle<()>>,
}

/// The two sockets and where they lead.
struct Ends {
    near: UdpSocket,
    far: UdpSocket,
    /// The edge and the centre, once they are known.
    edge: Mutex<Option<SocketAddr>>,
    centre: Mutex<Option<SocketAddr>>,
    is_over: AtomicBool,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Path {
    /// A path on which a datagram takes so long.
    ///
    /// # Errors
    /// When there are no sockets or threads to be had.
    pub(crate) fn new(each_way: Duration) -> Outcome<Path> {
        let socket = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(LOOK)).map(|()| socket)
        };
        let ends = Arc::new(Ends {
            near: socket().map_err(failed("a socket"))?,
            far: socket().map_err(failed("a socket"))?,
            edge: Mutex::default(),
            centre: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let address = ends.near.local_addr().map_err(failed("a socket"))?;
        let mut threads = Vec::new();
        for way in [Way::Up, Way::Down] {
            let (enter, leave) = sync_channel(UNDER_WAY_MAX);
            let both = [Arc::clone(&ends), Arc::clone(&ends)];
            let [entering, leaving] = both;
            threads.push(thread::spawn(move || entering.take(way, each_way, &enter)));
            threads.push(thread::spawn(move || leaving.give(way, &leave)));
        }
        Ok(Path {
            address,
            ends,
            threads,
        })
    }

    /// From now on it leads to this centre; answers what the edge has to dial.
    pub(crate) fn lead_to(&self, centre: SocketAddr) -> SocketAddr {
        *lock(&self.ends.centre) = Some(centre);
        self.address
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.ends.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Ends {
    /// Takes datagrams at one end until the path is over.
    fn take(&self, way: Way, each_way: Duration, enter: &SyncSender<Sent>) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let socket = if way == Way::Up {
            &self.near
        } else {
            &self.far
        };
        while !self.is_over.load(Ordering::Relaxed) {
            // An error is a wait that was over, or an earlier datagram that nobody took.
            let Ok((bytes, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if way == Way::Up {
                *lock(&self.edge) = Some(from);
            }
            let datagram = buffer.get(..bytes).unwrap_or_default().to_vec();
            if enter.send((Instant::now() + each_way, datagram)).is_err() {
                return;
            }
        }
    }

    /// Lets them out at the other end, each at its time.
    fn give(&self, way: Way, leave: &Receiver<Sent>) {
        while let Ok((at, datagram)) = leave.recv() {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let (socket, to) = match way {
                Way::Up => (&self.far, *lock(&self.centre)),
                Way::Down => (&self.near, *lock(&self.edge)),
            };
            if let Some(to) = to {
                // A socket that will not take it loses it, as a network may.
                let _ = socket.send_to(&datagram, to);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
