//! Frames in and out of streams.
//!
//! A conversation has three streams in each direction, one per lane, each begun with one byte
//! that names the lane: a live edit never waits behind a fill. On a stream a frame is its length
//! in four bytes, most significant first, and its bytes. The length is checked before anything is
//! reserved, and what is reserved grows with what has come.
//!
//! A writer per lane takes frames from an [`Outgoing`], to which the node's thread adds without
//! ever waiting. What a peer does not read fills first its window, then this queue; then, or
//! after a while without any progress, the peer is dropped. Its cursor stays, so nothing is lost.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use node::{
    Lane,
    names::{Reason, limits::FRAME_BYTES_MAX},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    time::timeout,
};

use crate::limits::{LANE_QUEUE_BYTES_MAX, STALL_MAX};

/// The lanes, in the order of their numbers.
pub(crate) const LANES: [Lane; 3] = [Lane::Control, Lane::Live, Lane::Fill];

/// What is reserved for a frame before any of it has come: most frames fit.
const FIRST_RESERVE: usize = 16 << 10;

/// Why a conversation's streams failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkError {
    /// A stream began with no lane's number, or with one that was begun before.
    BadLane,
    /// A frame longer than any node sends, or an empty one.
    BadLength,
    /// A stream ended within a frame.
    CutShort,
    /// The peer did not read, or did not go on with a frame, for too long.
    Stalled,
    /// More waits for the peer than may wait.
    TooFarBehind,
    /// The stream failed: the connection ended.
    Ended,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LinkError::BadLane => "the peer opened a stream of no known kind",
            LinkError::BadLength => "the peer sent a frame of impossible length",
            LinkError::CutShort => "a frame was cut short",
            LinkError::Stalled => "the peer made no progress for too long",
            LinkError::TooFarBehind => "the peer does not read what it is sent",
            LinkError::Ended => "the connection ended",
        })
    }
}

impl std::error::Error for LinkError {}

/// The number that a lane's stream begins with.
fn number(lane: Lane) -> u8 {
    match lane {
        Lane::Control => 0,
        Lane::Live => 1,
        Lane::Fill => 2,
    }
}

/// A lane's place in arrays.
pub(crate) fn index(lane: Lane) -> usize {
    usize::from(number(lane))
}

/// What waits to be written in one lane.
#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

/// One lane's queue.
#[derive(Debug, Default)]
struct LaneQueue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    sent: Count,
    received: Count,
}

/// Frames that went one way, and their bytes.
#[derive(Debug, Default)]
struct Count {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    fn add(&self, bytes: u64) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What is to be said to one peer, and how much was. Adding never waits.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    lanes: [LaneQueue; 3],
    /// Told when the conversation must end now, without the rest.
    aborted: AtomicBool,
    abort: Notify,
    /// Why it ends: what was said first.
    reason: OnceLock<Reason>,
}

impl Outgoing {
    fn lane(&self, lane: Lane) -> &LaneQueue {
        let [control, live, fill] = &self.lanes;
        match lane {
            Lane::Control => control,
            Lane::Live => live,
            Lane::Fill => fill,
        }
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`LinkError::TooFarBehind`] when the peer leaves too much unread; the conversation should
    /// end.
    pub(crate) fn push(&self, lane: Lane, frame: Vec<u8>) -> Result<(), LinkError> {
        let queue = self.lane(lane);
        let mut waiting = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return Ok(());
        }
        if waiting.bytes + frame.len() > LANE_QUEUE_BYTES_MAX {
            return Err(LinkError::TooFarBehind);
        }
        waiting.bytes += frame.len();
        waiting.frames.push_back(frame);
        drop(waiting);
        queue.changed.notify_one();
        Ok(())
    }

    /// No more will be added; the writers end when all is written.
    pub(crate) fn finish(&self, reason: Reason) {
        self.reason.get_or_init(|| reason);
        for queue in &self.lanes {
            queue
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .closed = true;
            queue.changed.notify_one();
        }
    }

    /// Ends the conversation now; what was not written is dropped.
    pub(crate) fn abort(&self, reason: Reason) {
        self.aborted.store(true, Ordering::Release);
        self.finish(reason);
        self.abort.notify_one();
    }

    /// Why the conversation ends, if this side ends it.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// Waits until somebody aborts.
    pub(crate) async fn aborted(&self) {
        while !self.aborted.load(Ordering::Acquire) {
            self.abort.notified().await;
        }
    }

    /// The next frame of a lane; none when there will be none any more.
    pub(crate) async fn next(&self, lane: Lane) -> Option<Vec<u8>> {
        let queue = self.lane(lane);
        loop {
            {
                let mut waiting = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(frame) = waiting.frames.pop_front() {
                    waiting.bytes -= frame.len();
                    return Some(frame);
                }
                if waiting.closed {
                    return None;
                }
            }
            queue.changed.notified().await;
        }
    }

    /// Counts what came from the peer.
    pub(crate) fn count_received(&self, lane: Lane, bytes: usize) {
        self.lane(lane).received.add(bytes as u64);
    }

    /// What was sent and received so far, by lane, in the order of [`LANES`].
    pub(crate) fn traffic(&self) -> [Traffic; 3] {
        LANES.map(|lane| {
            let LaneQueue { sent, received, .. } = self.lane(lane);
            Traffic {
                sent: sent.bytes.load(Ordering::Relaxed),
                received: received.bytes.load(Ordering::Relaxed),
                frames_sent: sent.frames.load(Ordering::Relaxed),
                frames_received: received.frames.load(Ordering::Relaxed),
            }
        })
    }
}

/// What went by one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Bytes of frames sent, lengths included.
    pub sent: u64,
    /// Bytes of frames received, lengths included.
    pub received: u64,
    /// Frames sent.
    pub frames_sent: u64,
    /// Frames received.
    pub frames_received: u64,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub fn with(self, other: Traffic) -> Traffic {
        Traffic {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            frames_sent: self.frames_sent + other.frames_sent,
            frames_received: self.frames_received + other.frames_received,
        }
    }
}

/// Writes one lane until its queue is closed and empty, then ends the stream and gives it back:
/// whether the peer has all of it, only the transport can tell.
///
/// # Errors
/// [`LinkError::Stalled`], [`LinkError::Ended`].
pub(crate) async fn write_lane<W: AsyncWrite + Unpin>(
    lane: Lane,
    mut stream: W,
    outgoing: &Outgoing,
) -> Result<W, LinkError> {
    write(&mut stream, &[number(lane)]).await?;
    while let Some(frame) = outgoing.next(lane).await {
        let sent = write_frame(&mut stream, &frame).await?;
        outgoing.lane(lane).sent.add(sent);
    }
    let ended = timeout(STALL_MAX, stream.shutdown()).await;
    ended
        .map_err(|_| LinkError::Stalled)?
        .map_err(|_| LinkError::Ended)?;
    Ok(stream)
}

/// Writes one frame; answers how many bytes it took.
pub(crate) async fn write_frame<W: AsyncWrite + Unpin>(
    stream: &mut W,
    frame: &[u8],
) -> Result<u64, LinkError> {
    let length = u32::try_from(frame.len()).map_err(|_| LinkError::BadLength)?;
    let mut whole = Vec::with_capacity(4 + frame.len());
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(frame);
    write(stream, &whole).await?;
    Ok(whole.len() as u64)
}

/// Writes all bytes, with patience for a slow peer and none for one that stands still.
async fn write<W: AsyncWrite + Unpin>(stream: &mut W, mut bytes: &[u8]) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let written = timeout(STALL_MAX, stream.write(bytes)).await;
        let written = written
            .map_err(|_| LinkError::Stalled)?
            .map_err(|_| LinkError::Ended)?;
        bytes = bytes
            .get(written..)
            .filter(|_| written > 0)
            .ok_or(LinkError::Ended)?;
    }
    Ok(())
}

/// Which lane a stream is for, by its first byte.
///
/// # Errors
/// [`LinkError::BadLane`], [`LinkError::Ended`].
pub(crate) async fn read_lane<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Lane, LinkError> {
    let begun = stream.read_u8().await.map_err(|_| LinkError::Ended)?;
    LANES
        .into_iter()
        .find(|lane| number(*lane) == begun)
        .ok_or(LinkError::BadLane)
}

/// The next frame of a stream; none when the stream has ended between two frames. A peer may be
/// silent between frames for as long as the connection lives, but not within one.
///
/// # Errors
/// [`LinkError`], after which the stream is of no more use.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(
    stream: &mut R,
) -> Result<Option<Vec<u8>>, LinkError> {
    let mut length = [0; 4];
    let begun = stream
        .read(&mut length)
        .await
        .map_err(|_| LinkError::Ended)?;
    if begun == 0 {
        return Ok(None);
    }
    let (_, rest) = length.split_at_mut(begun);
    let whole = timeout(STALL_MAX, stream.read_exact(rest)).await;
    whole
        .map_err(|_| LinkError::Stalled)?
        .map_err(|_| LinkError::CutShort)?;
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 || length > FRAME_BYTES_MAX {
        return Err(LinkError::BadLength);
    }
    let mut frame = Vec::with_capacity(length.min(FIRST_RESERVE));
    while frame.len() < length {
        let left = (length - frame.len()) as u64;
        let mut rest = (&mut *stream).take(left);
        let read = timeout(STALL_MAX, rest.read_buf(&mut frame)).await;
        let read = read
            .map_err(|_| LinkError::Stalled)?
            .map_err(|_| LinkError::Ended)?;
        if read == 0 {
            return Err(LinkError::CutShort);
        }
    }
    Ok(Some(frame))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn frames_arrive_whole_in_order_and_counted() {
        let (near, mut far) = duplex(64);
        let outgoing = Arc::new(Outgoing::default());
        let frames: Vec<Vec<u8>> = vec![
            vec![1],
            vec![2; 63],
            vec![3; FRAME_BYTES_MAX],
            vec![4; 100_000],
        ];
        for frame in &frames {
            outgoing.push(Lane::Live, frame.clone()).unwrap();
        }
        outgoing.finish(Reason::Stopping);
        let writer = tokio::spawn({
            let outgoing = Arc::clone(&outgoing);
            async move { write_lane(Lane::Live, near, &outgoing).await }
        });
        assert_eq!(read_lane(&mut far).await, Ok(Lane::Live));
        for frame in &frames {
            assert!(read_frame(&mut far).await.unwrap().as_ref() == Some(frame));
        }
        assert_eq!(read_frame(&mut far).await, Ok(None));
        assert!(writer.await.unwrap().is_ok());
        let bytes: usize = frames.iter().map(|frame| frame.len() + 4).sum();
        let [control, live, fill] = outgoing.traffic();
        assert_eq!((control.sent, live.sent, fill.sent), (0, bytes as u64, 0));
    }

    async fn read_all(bytes: &[u8]) -> Result<Option<Vec<u8>>, LinkError> {
        let (mut near, mut far) = duplex(bytes.len().max(1));
        near.write_all(bytes).await.unwrap();
        drop(near);
        read_frame(&mut far).await
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        let too_long = u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_be_bytes();
        assert_eq!(read_all(&too_long).await, Err(LinkError::BadLength));
        assert_eq!(read_all(&[0xFF; 4]).await, Err(LinkError::BadLength));
        assert_eq!(read_all(&[0; 4]).await, Err(LinkError::BadLength));
        assert_eq!(read_all(&[0, 0]).await, Err(LinkError::CutShort));
        assert_eq!(read_all(&[0, 0, 0, 2, 7]).await, Err(LinkError::CutShort));
        assert_eq!(read_all(&[0, 0, 0, 1, 7]).await, Ok(Some(vec![7])));
        assert_eq!(read_all(&[]).await, Ok(None));
    }

    #[tokio::test]
    async fn a_stream_of_no_known_kind_is_refused() {
        let (mut near, mut far) = duplex(8);
        near.write_all(&[3]).await.unwrap();
        assert_eq!(read_lane(&mut far).await, Err(LinkError::BadLane));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (near, _far) = duplex(64);
        let outgoing = Outgoing::default();
        outgoing.push(Lane::Fill, vec![0; 1_000]).unwrap();
        let written = timeout(
            Duration::from_secs(600),
            write_lane(Lane::Fill, near, &outgoing),
        );
        assert_eq!(written.await.unwrap().err(), Some(LinkError::Stalled));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_within_a_frame_is_given_up() {
        let (mut near, mut far) = duplex(64);
        near.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        let read = timeout(Duration::from_secs(600), read_frame(&mut far));
        assert_eq!(read.await.unwrap(), Err(LinkError::Stalled));
        near.write_all(&[0]).await.unwrap();
    }

    #[test]
    fn what_may_wait_is_bounded_and_lanes_do_not_share() {
        let outgoing = Outgoing::default();
        let frame = vec![0; 1 << 20];
        let mut taken = 0;
        while outgoing.push(Lane::Fill, frame.clone()).is_ok() {
            taken += frame.len();
        }
        assert_eq!(taken, LANE_QUEUE_BYTES_MAX);
        assert_eq!(outgoing.push(Lane::Live, vec![1]), Ok(()));
        // After its end nothing is kept, and nothing is an error.
        outgoing.finish(Reason::Stopping);
        assert_eq!(outgoing.push(Lane::Fill, frame), Ok(()));
    }
}
