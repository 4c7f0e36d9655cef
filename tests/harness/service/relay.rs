//! The network between an edge and the centre, where it can be cut: a relay of UDP datagrams in
//! this process. The edge dials the relay; the relay passes on, delays, drops and counts.
//!
//! It needs no rights on the machine, and it sees what a router would: sealed datagrams and their
//! sizes. The centre may come back at another address ([`Relay::lead_to`]); the edge never knows.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinHandle,
    time::Instant,
};

/// Datagrams that may wait in one direction, on a link with a delay: what a router keeps of some
/// tenths of a second. Those that come when so many wait are lost.
const WAITING_MAX: usize = 4_096;
/// The largest datagram that UDP carries.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A thread on which relays run.
#[derive(Debug)]
pub struct Network {
    runtime: Runtime,
}

impl Network {
    /// A network without links.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn new() -> Result<Network, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Ok(Network {
            runtime: runtime.map_err(|error| format!("no thread for relays: {error}"))?,
        })
    }

    /// A link to the node at `far`.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub fn link_to(&self, far: SocketAddr) -> Result<Relay, String> {
        let near = self.runtime.block_on(local_socket());
        let near = Arc::new(near.map_err(|error| format!("no port for a relay: {error}"))?);
        let address = near.local_addr().map_err(|error| error.to_string())?;
        let line = Arc::new(Line::to(far));
        let carrier = self.runtime.spawn(carry(near, Arc::clone(&line)));
        Ok(Relay {
            address,
            line,
            carrier,
        })
    }
}

/// One link: what an edge dials instead of the centre.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    line: Arc<Line>,
    carrier: JoinHandle<()>,
}

impl Relay {
    /// What is to be dialled.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.line.is_cut.store(true, Ordering::SeqCst);
    }

    /// From now on everything passes.
    pub fn mend(&self) {
        self.line.is_cut.store(false, Ordering::SeqCst);
    }

    /// Every datagram takes this long, in either direction.
    pub fn delay(&self, each_way: Duration) {
        let ms = u64::try_from(each_way.as_millis()).unwrap_or(u64::MAX);
        self.line.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// From now on the link leads to another address.
    pub fn lead_to(&self, far: SocketAddr) {
        *self.line.far.lock().unwrap_or_else(PoisonError::into_inner) = far;
    }

    /// What has passed since the beginning.
    pub fn passed(&self) -> Passed {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Passed {
            bytes_up: count(&self.line.up.bytes),
            bytes_down: count(&self.line.down.bytes),
            datagrams: count(&self.line.up.datagrams) + count(&self.line.down.datagrams),
            dropped: count(&self.line.dropped),
            round_trips: count(&self.line.round_trips),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.carrier.abort();
        self.line.is_cut.store(true, Ordering::SeqCst);
    }
}

/// What a link has carried. Bytes are those of UDP payloads, handshakes, acknowledgements and
/// keep-alives included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Bytes from the edge.
    pub bytes_up: u64,
    /// Bytes to the edge.
    pub bytes_down: u64,
    /// Datagrams in both directions.
    pub datagrams: u64,
    /// Datagrams that were lost: to a cut, or to a link on which too many waited.
    pub dropped: u64,
    /// How often the edge spoke after the far side had spoken: round trips at most, since an
    /// acknowledgement that nobody waits for counts like an answer.
    pub round_trips: u64,
}

impl Passed {
    /// Bytes in both directions.
    pub fn bytes(&self) -> u64 {
        self.bytes_up + self.bytes_down
    }

    /// What has passed since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Passed) -> Passed {
        Passed {
            bytes_up: self.bytes_up - earlier.bytes_up,
            bytes_down: self.bytes_down - earlier.bytes_down,
            datagrams: self.datagrams - earlier.datagrams,
            dropped: self.dropped - earlier.dropped,
            round_trips: self.round_trips - earlier.round_trips,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// From the edge.
    Up = 1,
    /// To the edge.
    Down = 2,
}

#[derive(Debug, Default)]
struct Carried {
    bytes: AtomicU64,
    datagrams: AtomicU64,
}

/// What both directions of a link share.
#[derive(Debug)]
struct Line {
    far: Mutex<SocketAddr>,
    is_cut: AtomicBool,
    delay_ms: AtomicU64,
    up: Carried,
    down: Carried,
    dropped: AtomicU64,
    round_trips: AtomicU64,
    /// Which direction the last datagram took.
    last: AtomicU8,
}

impl Line {
    fn to(far: SocketAddr) -> Line {
        Line {
            far: Mutex::new(far),
            is_cut: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            up: Carried::default(),
            down: Carried::default(),
            dropped: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            last: AtomicU8::new(0),
        }
    }

    fn far(&self) -> SocketAddr {
        *self.far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self) -> bool {
        let admits = !self.is_cut.load(Ordering::SeqCst);
        if !admits {
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
        admits
    }

    fn count(&self, direction: Direction, bytes: usize) {
        let carried = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        carried.bytes.fetch_add(bytes as u64, Ordering::SeqCst);
        carried.datagrams.fetch_add(1, Ordering::SeqCst);
        let before = self.last.swap(direction as u8, Ordering::SeqCst);
        if direction == Direction::Up && before == Direction::Down as u8 {
            self.round_trips.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// When a datagram that comes now may go on.
    fn due(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.delay_ms.load(Ordering::SeqCst))
    }

    /// Passes one datagram on. A socket that will not take it loses it, as a network may.
    async fn pass(&self, direction: Direction, datagram: &[u8], from: &UdpSocket, to: SocketAddr) {
        self.count(direction, datagram.len());
        let _ = from.send_to(datagram, to).await;
    }
}

/// Datagrams under way in one direction: first in, first out, each when it is due. What is under
/// way when the link is cut is lost, too.
#[derive(Clone)]
struct Way {
    direction: Direction,
    line: Arc<Line>,
    from: Arc<UdpSocket>,
    queue: mpsc::Sender<(Instant, Vec<u8>, SocketAddr)>,
    /// Those that wait in the queue.
    waiting: Arc<AtomicU64>,
    _carrier: Arc<Abort>,
}

impl Way {
    fn new(direction: Direction, line: Arc<Line>, from: Arc<UdpSocket>) -> Way {
        let (queue, mut taken) = mpsc::channel::<(Instant, Vec<u8>, SocketAddr)>(WAITING_MAX);
        let waiting = Arc::new(AtomicU64::new(0));
        let carrier = {
            let (line, from, waiting) =
                (Arc::clone(&line), Arc::clone(&from), Arc::clone(&waiting));
            tokio::spawn(async move {
                while let Some((due, datagram, to)) = taken.recv().await {
                    tokio::time::sleep_until(due).await;
                    if line.admits() {
                        line.pass(direction, &datagram, &from, to).await;
                    }
                    waiting.fetch_sub(1, Ordering::SeqCst);
                }
            })
        };
        Way {
            direction,
            line,
            from,
            queue,
            waiting,
            _carrier: Arc::new(Abort(carrier)),
        }
    }

    /// Takes a datagram. Without a delay, and with nothing before it, it goes on at once.
    async fn take(&self, datagram: &[u8], to: SocketAddr) {
        if !self.line.admits() {
            return;
        }
        let due = self.line.due();
        if due <= Instant::now() && self.waiting.load(Ordering::SeqCst) == 0 {
            self.line
                .pass(self.direction, datagram, &self.from, to)
                .await;
            return;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if self.queue.try_send((due, datagram.to_vec(), to)).is_err() {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.line.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn local_socket() -> io::Result<UdpSocket> {
    UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

/// Carries what comes from the near side; each address there has a socket of its own on the far
/// side, so that answers find their way back.
async fn carry(near: Arc<UdpSocket>, line: Arc<Line>) {
    let mut ways: BTreeMap<SocketAddr, (Way, Abort)> = BTreeMap::new();
    let down = Way::new(Direction::Down, Arc::clone(&line), Arc::clone(&near));
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error here is that of an earlier datagram (nobody listened there), never the end.
        let Ok((bytes, from)) = near.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Entry::Vacant(way) = ways.entry(from) {
            let Ok(socket) = local_socket().await else {
                continue;
            };
            let socket = Arc::new(socket);
            let back = answer(Arc::clone(&socket), down.clone(), from);
            let up = Way::new(Direction::Up, Arc::clone(&line), socket);
            way.insert((up, Abort(tokio::spawn(back))));
        }
        if let (Some((way, _)), Some(datagram)) = (ways.get(&from), buffer.get(..bytes)) {
            way.take(datagram, line.far()).await;
        }
    }
}

/// Carries what comes back from the far side to `to`.
async fn answer(far: Arc<UdpSocket>, down: Way, to: SocketAddr) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match far.recv_from(&mut buffer).await {
            Ok((bytes, _)) => {
                if let Some(datagram) = buffer.get(..bytes) {
                    down.take(datagram, to).await;
                }
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// A task that ends with this.
struct Abort(JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    /// Two sockets with a relay between them.
    struct Pair {
        near: UdpSocket,
        far: UdpSocket,
        relay: Relay,
        _network: Network,
    }

    fn pair() -> Pair {
        let network = Network::new().unwrap();
        let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for socket in [&near, &far] {
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
        }
        let relay = network.link_to(far.local_addr().unwrap()).unwrap();
        Pair {
            near,
            far,
            relay,
            _network: network,
        }
    }

    fn heard(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 64];
        let (bytes, from) = socket.recv_from(&mut buffer).ok()?;
        Some((buffer.get(..bytes)?.to_vec(), from))
    }

    #[test]
    fn datagrams_go_both_ways_and_are_counted() {
        let Pair {
            near,
            far,
            relay,
            _network,
        } = pair();
        for _ in 0..3 {
            near.send_to(b"hello", relay.address()).unwrap();
            let (said, from) = heard(&far).unwrap();
            assert_eq!(said, b"hello");
            far.send_to(b"hi", from).unwrap();
            assert_eq!(heard(&near).unwrap().0, b"hi");
        }
        let passed = relay.passed();
        assert_eq!(
            (passed.bytes_up, passed.bytes_down, passed.datagrams),
            (15, 6, 6)
        );
        assert_eq!((passed.round_trips, passed.dropped), (2, 0));
    }

    #[test]
    fn nothing_passes_a_cut_and_everything_after_it() {
        let Pair {
            near,
            far,
            relay,
            _network,
        } = pair();
        relay.cut();
        near.send_to(b"lost", relay.address()).unwrap();
        while relay.passed().dropped == 0 {
            std::thread::yield_now();
        }
        relay.mend();
        near.send_to(b"found", relay.address()).unwrap();
        assert_eq!(heard(&far).unwrap().0, b"found");
        assert_eq!(relay.passed().datagrams, 1);
    }

    #[test]
    fn a_delay_holds_and_the_far_side_may_move() {
        let Pair {
            near,
            relay,
            _network,
            ..
        } = pair();
        let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
        elsewhere
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        relay.lead_to(elsewhere.local_addr().unwrap());
        relay.delay(Duration::from_millis(50));
        let began = Instant::now();
        near.send_to(b"late", relay.address()).unwrap();
        assert_eq!(heard(&elsewhere).unwrap().0, b"late");
        assert!(began.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_delay_changes_no_order_not_even_when_it_ends() {
        let Pair {
            near,
            far,
            relay,
            _network,
        } = pair();
        relay.delay(Duration::from_millis(30));
        let send = |numbers: std::ops::Range<u8>| {
            numbers.for_each(|number| {
                near.send_to(&[number], relay.address()).unwrap();
            });
        };
        send(0..100);
        relay.delay(Duration::ZERO);
        send(100..200);
        let heard: Vec<Vec<u8>> = (0..200).map(|_| heard(&far).unwrap().0).collect();
        assert!(heard.is_sorted(), "{heard:?}");
    }
}
