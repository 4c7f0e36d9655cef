//! The network, modelled at the level of its promise.
//!
//! QUIC gives each stream reliable order, and nothing between streams. So a *wire* (one
//! conversation) has three ordered lanes each way; they delay, stall and can be cut at any
//! moment, but never drop, repeat or reorder a frame within a lane. Lost packets are quinn's to
//! test. Wires run only between an edge and the centre, each over its edge's *path*.

use std::collections::{BTreeMap, VecDeque};

use names::Moment;
use node::Lane;

use crate::chance::Chance;

/// One of the two ends of a wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// The site edge, which dials.
    Edge,
    /// The centre, which answers.
    Centre,
}

impl End {
    /// The other end.
    #[must_use]
    pub fn other(self) -> End {
        match self {
            End::Edge => End::Centre,
            End::Centre => End::Edge,
        }
    }
}

/// How good a path is.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// One way, in milliseconds.
    pub latency_ms: i64,
    /// Up to this much is added to each frame's latency.
    pub jitter_ms: u64,
    /// What one lane carries, in bytes per millisecond.
    pub bytes_per_ms: u64,
}

/// A wire's number, which is also both nodes' number of the conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct WireId(pub u64);

/// What comes of a frame whose time has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is there.
    Frame(Vec<u8>),
    /// The path stands still; look again at this moment.
    Later(Moment),
    /// It went down with its wire.
    Lost,
}

/// What the network has done so far, for the oracle *fired*.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Frames that arrived.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that were on their way when their wire was cut, and never arrived.
    pub lost: u64,
}

#[derive(Debug)]
struct Path {
    quality: Quality,
    slow: Option<(Moment, Quality)>,
    stalled_until: Moment,
    down_until: Moment,
    /// No wire will ever go over it.
    is_gone: bool,
    /// Frames sent while slow, and frames held up by a stall, since the fault began.
    slowed: u64,
    stalled: u64,
}

#[derive(Debug, Default)]
struct Stream {
    /// When the last frame has left the sender, in microseconds.
    sent_us: i64,
    /// When the last frame arrives; the next cannot overtake it.
    last: Moment,
    frames: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
struct Wire {
    edge: usize,
    cut: bool,
    /// Whether each end still believes in the wire.
    edge_up: bool,
    centre_up: bool,
    streams: BTreeMap<(End, Lane), Stream>,
}

/// All paths and wires.
#[derive(Debug)]
pub struct Network {
    paths: Vec<Path>,
    wires: BTreeMap<WireId, Wire>,
    opened: u64,
    chance: Chance,
    tally: Tally,
}

const LANES: [Lane; 3] = [Lane::Control, Lane::Live, Lane::Fill];

impl Network {
    /// A network with one path per edge, all of them well.
    pub fn new(qualities: impl IntoIterator<Item = Quality>, chance: Chance) -> Network {
        let well = |quality| Path {
            quality,
            slow: None,
            stalled_until: Moment(0),
            down_until: Moment(0),
            is_gone: false,
            slowed: 0,
            stalled: 0,
        };
        Network {
            paths: qualities.into_iter().map(well).collect(),
            wires: BTreeMap::new(),
            opened: 0,
            chance,
            tally: Tally::default(),
        }
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether an edge's path can carry a new wire now, and how long a handshake takes.
    pub fn handshake_ms(&self, edge: usize, now: Moment) -> Option<i64> {
        let path = self.paths.get(edge)?;
        let passable = !path.is_gone && path.down_until <= now && path.stalled_until <= now;
        passable.then(|| path.now(now).latency_ms.saturating_mul(2))
    }

    /// Opens a wire over an edge's path.
    pub fn open(&mut self, edge: usize) -> WireId {
        self.opened += 1;
        let id = WireId(self.opened);
        let wire = Wire {
            edge,
            cut: false,
            edge_up: true,
            centre_up: true,
            streams: BTreeMap::new(),
        };
        self.wires.insert(id, wire);
        id
    }

    /// The wire that was opened last.
    pub fn last_opened(&self) -> WireId {
        WireId(self.opened)
    }

    /// The edge whose path a wire runs over.
    pub fn edge(&self, wire: WireId) -> Option<usize> {
        self.wires.get(&wire).map(|wire| wire.edge)
    }

    /// Whether this end still believes in the wire.
    pub fn believes(&self, wire: WireId, end: End) -> bool {
        self.wires.get(&wire).is_some_and(|wire| match end {
            End::Edge => wire.edge_up,
            End::Centre => wire.centre_up,
        })
    }

    /// Whether nothing has cut a wire.
    pub fn is_whole(&self, wire: WireId) -> bool {
        self.wires.get(&wire).is_some_and(|wire| !wire.cut)
    }

    /// The whole wire of an edge, if it has one.
    pub fn whole(&self, edge: usize) -> Option<WireId> {
        let mut wires = self.wires.iter().rev();
        wires
            .find(|(_, wire)| wire.edge == edge && !wire.cut)
            .map(|(id, _)| *id)
    }

    /// Wires in which this end still believes: of one edge, or at the centre of all.
    pub fn believed(&self, end: End, edge: Option<usize>) -> Vec<WireId> {
        let mine = |wire: &Wire| edge.is_none_or(|edge| wire.edge == edge);
        let ids = self
            .wires
            .iter()
            .filter(|(_, wire)| mine(wire))
            .map(|(id, _)| *id);
        ids.filter(|id| self.believes(*id, end)).collect()
    }

    /// Hands a frame to a lane; answers when it is due at the other end. A wire that is cut
    /// swallows it.
    pub fn send(
        &mut self,
        wire: WireId,
        to: End,
        lane: Lane,
        frame: Vec<u8>,
        now: Moment,
    ) -> Option<Moment> {
        let wire = self.wires.get_mut(&wire).filter(|wire| !wire.cut)?;
        let path = self.paths.get_mut(wire.edge)?;
        let quality = path.now(now);
        path.slowed += u64::from(path.slow.is_some_and(|(until, _)| until > now));
        let stream = wire.streams.entry((to, lane)).or_default();
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let takes_us = length.saturating_mul(1_000) / quality.bytes_per_ms.max(1);
        let begins_us = stream.sent_us.max(now.0.saturating_mul(1_000));
        stream.sent_us = begins_us.saturating_add_unsigned(takes_us);
        let jitter_ms = self.chance.below(quality.jitter_ms + 1);
        let there = Moment(stream.sent_us / 1_000)
            .plus_ms(quality.latency_ms)
            .plus_ms(i64::try_from(jitter_ms).unwrap_or(0));
        stream.last = stream.last.max(there);
        stream.frames.push_back(frame);
        Some(stream.last)
    }

    /// What comes of the next frame of a lane, now that its time has come.
    pub fn arrive(&mut self, wire: WireId, to: End, lane: Lane, now: Moment) -> Arrival {
        if !self.believes(wire, to) {
            return Arrival::Lost;
        }
        let Some(wire) = self.wires.get_mut(&wire) else {
            return Arrival::Lost;
        };
        let Some(path) = self.paths.get_mut(wire.edge) else {
            return Arrival::Lost;
        };
        if path.stalled_until > now && !wire.cut {
            path.stalled += 1;
            return Arrival::Later(path.stalled_until);
        }
        let stream = wire.streams.get_mut(&(to, lane));
        match stream.and_then(|stream| stream.frames.pop_front()) {
            Some(frame) => {
                self.tally.frames += 1;
                self.tally.bytes += u64::try_from(frame.len()).unwrap_or(0);
                Arrival::Frame(frame)
            }
            None => Arrival::Lost,
        }
    }

    /// Cuts a wire. Of the frames under way in each lane, those behind a drawn point are lost;
    /// those before it still arrive unless their end gives the wire up first.
    pub fn cut(&mut self, wire: WireId) -> u64 {
        let Some(wire) = self.wires.get_mut(&wire).filter(|wire| !wire.cut) else {
            return 0;
        };
        wire.cut = true;
        let mut lost = 0;
        for to in [End::Edge, End::Centre] {
            for lane in LANES {
                if let Some(stream) = wire.streams.get_mut(&(to, lane)) {
                    let under_way = stream.frames.len();
                    let arrive = self.chance.below(under_way as u64 + 1);
                    stream.frames.truncate(usize::try_from(arrive).unwrap_or(0));
                    lost += (under_way - stream.frames.len()) as u64;
                }
            }
        }
        self.tally.lost += lost;
        lost
    }

    /// An end that is being closed in order: what it sent before still arrives, nothing follows.
    pub fn close(&mut self, wire: WireId) {
        if let Some(wire) = self.wires.get_mut(&wire) {
            wire.cut = true;
        }
    }

    /// An end gives a wire up; when both have, it is forgotten.
    pub fn give_up(&mut self, wire: WireId, end: End) {
        let Some(known) = self.wires.get_mut(&wire) else {
            return;
        };
        match end {
            End::Edge => known.edge_up = false,
            End::Centre => known.centre_up = false,
        }
        if !known.edge_up && !known.centre_up {
            self.wires.remove(&wire);
        }
    }

    /// Nothing passes an edge's path until then; wires live on.
    pub fn stall(&mut self, edge: usize, until: Moment) {
        if let Some(path) = self.paths.get_mut(edge) {
            path.stalled_until = path.stalled_until.max(until);
            path.stalled = 0;
        }
    }

    /// An edge's path is this bad until then.
    pub fn slow(&mut self, edge: usize, until: Moment, quality: Quality) {
        if let Some(path) = self.paths.get_mut(edge) {
            path.slow = Some((until, quality));
            path.slowed = 0;
        }
    }

    /// No new wire over an edge's path until then.
    pub fn block(&mut self, edge: usize, until: Moment) {
        if let Some(path) = self.paths.get_mut(edge) {
            path.down_until = path.down_until.max(until);
        }
    }

    /// No new wire over an edge's path ever again, whatever is healed: for a negative control.
    pub fn bury(&mut self, edge: usize) {
        if let Some(path) = self.paths.get_mut(edge) {
            path.is_gone = true;
        }
    }

    /// Whether an edge's path stands still.
    pub fn is_stalled(&self, edge: usize, now: Moment) -> bool {
        self.paths
            .get(edge)
            .is_some_and(|path| path.stalled_until > now)
    }

    /// How many frames the last stall of an edge's path has held up.
    pub fn stalled(&self, edge: usize) -> u64 {
        self.paths.get(edge).map_or(0, |path| path.stalled)
    }

    /// How many frames have gone slowly since an edge's path became slow.
    pub fn slowed(&self, edge: usize) -> u64 {
        self.paths.get(edge).map_or(0, |path| path.slowed)
    }

    /// Ends every fault of every path.
    pub fn heal(&mut self) {
        for path in &mut self.paths {
            path.slow = None;
            path.stalled_until = Moment(0);
            path.down_until = Moment(0);
        }
    }
}

impl Path {
    fn now(&self, now: Moment) -> Quality {
        match self.slow {
            Some((until, slow)) if until > now => slow,
            Some(_) | None => self.quality,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000);

    fn network() -> Network {
        let quality = Quality {
            latency_ms: 20,
            jitter_ms: 50,
            bytes_per_ms: 10,
        };
        Network::new([quality], Chance::new(3, "network"))
    }

    #[test]
    fn a_lane_keeps_its_order_and_lanes_do_not_wait_for_one_another() {
        let mut network = network();
        let wire = network.open(0);
        let mut due = Vec::new();
        for number in 0..20u8 {
            let frame = vec![number; 100];
            due.extend(network.send(wire, End::Centre, Lane::Fill, frame, NOW));
        }
        assert_eq!(due.len(), 20);
        assert!(due.is_sorted() && due.last() >= Some(&NOW.plus_ms(220)));
        let live = network.send(wire, End::Centre, Lane::Live, vec![1], NOW);
        assert!(live < Some(NOW.plus_ms(80)));
        for number in 0..20u8 {
            let arrived = network.arrive(wire, End::Centre, Lane::Fill, NOW.plus_ms(900));
            assert_eq!(arrived, Arrival::Frame(vec![number; 100]));
        }
    }

    #[test]
    fn a_cut_wire_loses_the_end_of_each_lane_and_nothing_from_the_middle() {
        let mut network = network();
        let wire = network.open(0);
        for number in 0..100u8 {
            network.send(wire, End::Edge, Lane::Live, vec![number], NOW);
        }
        let lost = network.cut(wire);
        assert_eq!(
            network.send(wire, End::Edge, Lane::Live, vec![0], NOW),
            None
        );
        for number in 0..100u8 {
            let arrived = network.arrive(wire, End::Edge, Lane::Live, NOW.plus_ms(900));
            let expected = u64::from(number) + lost < 100;
            assert_eq!(arrived == Arrival::Frame(vec![number]), expected);
        }
        network.give_up(wire, End::Edge);
        network.give_up(wire, End::Centre);
        assert_eq!(network.edge(wire), None);
    }

    #[test]
    fn a_stalled_path_delivers_nothing_and_loses_nothing() {
        let mut network = network();
        let wire = network.open(0);
        network.send(wire, End::Edge, Lane::Control, vec![7], NOW);
        network.stall(0, NOW.plus_ms(5_000));
        let early = network.arrive(wire, End::Edge, Lane::Control, NOW.plus_ms(100));
        assert_eq!(early, Arrival::Later(NOW.plus_ms(5_000)));
        let late = network.arrive(wire, End::Edge, Lane::Control, NOW.plus_ms(5_000));
        assert_eq!((late, network.stalled(0)), (Arrival::Frame(vec![7]), 1));
    }
}
