//! Frames in and out of streams.
//!
//! A conversation has three streams in each direction, one per lane, each begun with one byte
//! that names the lane: a live edit never waits behind a fill. On a stream a frame is its length
//! in four bytes, most significant first, and its bytes; those of the fill lane are compressed
//! ([`crate::compress`]). The length is checked before anything is reserved, and what is reserved
//! grows with what has come.
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
    time::Duration,
};

use node::{Lane, names::Reason};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    compress::{COMPRESSED_MAX, Compressor, Decompressor},
    limits::{LANE_QUEUE_BYTES_MAX, STALL_MAX},
};

/// The lanes, in the order of their numbers.
pub(crate) const LANES: [Lane; 3] = [Lane::Control, Lane::Live, Lane::Fill];

/// What is reserved for a frame before any of it has come: most frames fit.
const FIRST_RESERVE: usize = 16 << 10;

/// Why a conversation's streams failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkError {
    /// A stream began with no lane's number, or with one that was begun before.
    BadLane,
    /// A frame longer than any node sends, or an empty one.
    BadLength,
    /// Compressed bytes that are none.
    BadBytes,
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
            LinkError::BadBytes => "the peer sent a frame that cannot be unpacked",
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

/// Whether a lane's frames are compressed: what is said live is too short to gain by it.
fn is_compressed(lane: Lane) -> bool {
    lane == Lane::Fill
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
    /// Told when there is a reason.
    ending: Notify,
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
        self.ending.notify_one();
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

    /// The node ends the conversation. A device that was revoked gets nothing of what waits for it;
    /// everybody else does.
    pub(crate) fn end(&self, reason: Reason) {
        if reason == Reason::Revoked {
            self.abort(reason);
        } else {
            self.finish(reason);
        }
    }

    /// Waits until the conversation should have been over for this long: whoever reads slowly does
    /// not keep it for ever.
    pub(crate) async fn overdue(&self, patience: Duration) {
        while self.reason.get().is_none() {
            self.ending.notified().await;
        }
        sleep(patience).await;
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
    /// Bytes of frames sent, as they travel and with their lengths.
    pub sent: u64,
    /// Bytes of frames received, as they travel and with their lengths.
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
    let mut compressor = is_compressed(lane).then(Compressor::new).transpose()?;
    while let Some(mut frame) = outgoing.next(lane).await {
        if let Some(compressor) = &mut compressor {
            frame = compressor.frame(&frame)?;
        }
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

/// What reads one of a peer's streams, frame by frame.
pub struct LaneReader<R> {
    lane: Lane,
    stream: R,
    decompressor: Option<Decompressor>,
}

impl<R: AsyncRead + Unpin> LaneReader<R> {
    /// Reads which lane a stream is for.
    ///
    /// # Errors
    /// [`LinkError::BadLane`], [`LinkError::Ended`].
    pub async fn begin(mut stream: R) -> Result<LaneReader<R>, LinkError> {
        let lane = read_lane(&mut stream).await?;
        Ok(LaneReader {
            lane,
            stream,
            decompressor: is_compressed(lane).then(Decompressor::new).transpose()?,
        })
    }

    /// Which lane it is.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The next frame, and how many bytes it took to travel; none when the stream has ended.
    ///
    /// # Errors
    /// [`LinkError`], after which the stream is of no more use.
    pub async fn next(&mut self) -> Result<Option<(Vec<u8>, usize)>, LinkError> {
        let Some(frame) = read_frame(&mut self.stream).await? else {
            return Ok(None);
        };
        let travelled = frame.len() + 4;
        let frame = match &mut self.decompressor {
            Some(decompressor) => decompressor.frame(&frame)?,
            None => frame,
        };
        Ok(Some((frame, travelled)))
    }
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
    if length == 0 || length > COMPRESSED_MAX {
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
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
