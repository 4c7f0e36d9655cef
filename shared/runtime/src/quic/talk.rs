//! A conversation over one connection: three streams out, three streams in.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use node::{Lane, Side, names::Reason, protocol::PublicKey};
use quinn::{Connection, RecvStream, SendStream};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};

use super::{refusal::STOPPED, why};
use crate::{
    hub::{Hub, LinkGuard, Verifying},
    limits::{
        FINISH_MAX, FIRST_FRAME_MAX, FLUSH_MAX, SILENT_MIN, SILENT_ROUND_TRIPS, VERIFIED_AT_ONCE,
    },
    link::{LANES, LaneReader, LinkError, index, write_lane},
};

/// How long what came before a peer's end may take to be read.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Why a conversation ended.
enum End {
    /// The peer or the network ended it.
    Theirs(&'static str),
    /// This side ended it, and everything said before has arrived or will not.
    Ours(Reason),
    /// The peer broke the rules of the streams.
    Broken(LinkError),
}

/// How a conversation ended, for whoever began it.
pub(super) struct Ended {
    /// In words.
    pub(super) why: &'static str,
    /// What the peer is to be told.
    pub(super) reason: Reason,
    /// Whether the peer sent what no node sends.
    pub(super) is_breach: bool,
}

impl End {
    /// A stream that is cut short, a peer that is slow: that happens to the best.
    fn is_breach(&self) -> bool {
        match self {
            End::Theirs(_) => false,
            End::Ours(reason) => {
                matches!(
                    reason,
                    Reason::Malformed | Reason::OutOfTurn | Reason::TooLarge
                )
            }
            End::Broken(error) => matches!(
                error,
                LinkError::BadLane | LinkError::BadLength | LinkError::BadBytes
            ),
        }
    }
}

/// Streams of one conversation in one direction; each gives back how it ended.
type Streams = JoinSet<Result<(), End>>;

/// Holds a conversation until it ends, whoever ends it; answers why it did. The peer's key is
/// proved. The connection is then to be closed.
pub(super) async fn converse(
    connection: &Connection,
    peer: PublicKey,
    side: Side,
    hub: &Arc<Hub>,
) -> Ended {
    let Some(guard) = hub.link_up(peer, side) else {
        return Ended {
            why: Reason::Stopping.name(),
            reason: Reason::Stopping,
            is_breach: false,
        };
    };
    let guard = Arc::new(guard);
    let (link, device) = (guard.link.0, guard.device);
    tracing::info!(link, %device, ?side, "a conversation begins");
    let end = carry(connection, &guard).await;
    let is_breach = end.is_breach();
    let (reason, why) = match end {
        End::Theirs(why) => (Reason::Stopping, why),
        // A peer that stops ends its streams first, and this side follows.
        End::Ours(Reason::Stopping) if hub.is_running() => (Reason::Stopping, STOPPED),
        End::Ours(reason) => (reason, reason.name()),
        End::Broken(LinkError::Stalled | LinkError::TooFarBehind) => {
            (Reason::PeerTooSlow, "the peer made no progress")
        }
        End::Broken(LinkError::Ended) => (Reason::Stopping, "the connection ended"),
        End::Broken(_) => (Reason::Malformed, "the peer broke the rules of the streams"),
    };
    tracing::info!(link, %device, why, "a conversation has ended");
    Ended {
        why,
        reason,
        is_breach,
    }
}

async fn carry(connection: &Connection, guard: &Arc<LinkGuard>) -> End {
    let mut writers = Streams::new();
    let mut readers = Streams::new();
    let begun = Arc::new(AtomicU8::new(0));
    let heard = Arc::new(Notify::new());
    for lane in LANES {
        writers.spawn(write(connection.clone(), lane, Arc::clone(guard)));
        let (begun, heard) = (Arc::clone(&begun), Arc::clone(&heard));
        readers.spawn(read(connection.clone(), Arc::clone(guard), begun, heard));
    }
    let mut first = Some(Box::pin(sleep_until(
        tokio::time::Instant::now() + FIRST_FRAME_MAX,
    )));
    let mut overdue = Box::pin(guard.outgoing.overdue(FINISH_MAX));
    loop {
        tokio::select! {
            error = connection.closed() => {
                // What came before the end is still worth having, and what was wrong with it tells.
                let drain = async {
                    let mut breach = None;
                    while let Some(ended) = readers.join_next().await {
                        let end = ended.ok().and_then(Result::err);
                        breach = breach.or(end.filter(End::is_breach));
                    }
                    breach
                };
                let breach = timeout(DRAIN_MAX, drain).await.ok().flatten();
                return breach.unwrap_or(End::Theirs(why(&error)));
            }
            () = guard.outgoing.aborted() => {
                return End::Ours(guard.outgoing.reason().unwrap_or(Reason::Stopping));
            }
            () = &mut overdue => {
                return End::Ours(guard.outgoing.reason().unwrap_or(Reason::Stopping));
            }
            () = heard.notified(), if first.is_some() => first = None,
            () = async { if let Some(late) = &mut first { late.await } }, if first.is_some() => {
                return End::Broken(LinkError::Stalled);
            }
            Some(ended) = writers.join_next() => match ended {
                Ok(Err(end)) => return end,
                Ok(Ok(())) if writers.is_empty() => {
                    return End::Ours(guard.outgoing.reason().unwrap_or(Reason::Stopping));
                }
                Ok(Ok(())) | Err(_) => {}
            },
            Some(ended) = readers.join_next() => match ended {
                Ok(Err(end)) => return end,
                // The peer has said all it had to say; so does this side.
                Ok(Ok(())) => guard.outgoing.finish(Reason::Stopping),
                Err(_) => return End::Ours(Reason::Stopping),
            },
        }
    }
}

/// Writes one lane to its end, and waits until the peer has it.
async fn write(connection: Connection, lane: Lane, guard: Arc<LinkGuard>) -> Result<(), End> {
    let stream = connection
        .open_uni()
        .await
        .map_err(|error| End::Theirs(why(&error)))?;
    // What people write now goes first, a fill last.
    let priority = match lane {
        Lane::Live => 2,
        Lane::Control => 1,
        Lane::Fill => 0,
    };
    stream
        .set_priority(priority)
        .map_err(|_| End::Broken(LinkError::Ended))?;
    let stream: SendStream = match write_lane(lane, stream, &guard.outgoing).await {
        Ok(stream) => stream,
        // The connection's own end says why.
        Err(LinkError::Ended) => std::future::pending().await,
        Err(error) => return Err(End::Broken(error)),
    };
    delivered(&connection, &stream).await;
    Ok(())
}

/// Waits until the peer has all of a stream; not for one that is not heard of any more, as when it
/// was killed.
async fn delivered(connection: &Connection, stream: &SendStream) {
    let patience = (connection.rtt() * SILENT_ROUND_TRIPS).clamp(SILENT_MIN, FLUSH_MAX);
    let gone = async {
        let heard = || connection.stats().udp_rx.datagrams;
        let mut before = heard();
        loop {
            sleep(patience).await;
            let now = heard();
            if now == before {
                return;
            }
            before = now;
        }
    };
    let over = async {
        tokio::select! {
            _ = stream.stopped() => {}
            () = gone => {}
        }
    };
    let _ = timeout(FLUSH_MAX, over).await;
}

/// Reads one of the peer's streams, whichever lane it turns out to be.
async fn read(
    connection: Connection,
    guard: Arc<LinkGuard>,
    begun: Arc<AtomicU8>,
    heard: Arc<Notify>,
) -> Result<(), End> {
    let Ok(mut stream) = connection.accept_uni().await else {
        return std::future::pending().await;
    };
    match read_stream(&mut stream, &guard, &begun, &heard).await {
        // The connection's own end says why; what came before it has been read.
        Err(End::Broken(LinkError::Ended)) => {
            connection.closed().await;
            Ok(())
        }
        ended => ended,
    }
}

async fn read_stream(
    stream: &mut RecvStream,
    guard: &LinkGuard,
    begun: &AtomicU8,
    heard: &Notify,
) -> Result<(), End> {
    let mut reader = LaneReader::begin(stream).await.map_err(End::Broken)?;
    let lane = reader.lane();
    let bit = 1 << index(lane);
    if begun.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
        return Err(End::Broken(LinkError::BadLane));
    }
    let mut ahead = VecDeque::new();
    loop {
        let next = reader.next();
        let next = while_handing_on(next, lane, guard, &mut ahead).await?;
        let Some((frame, travelled)) = next.map_err(End::Broken)? else {
            break;
        };
        heard.notify_one();
        guard.outgoing.count_received(lane, travelled);
        while ahead.len() >= VERIFIED_AT_ONCE {
            hand_on_first(lane, guard, &mut ahead).await?;
        }
        let verifying = guard.verify(lane, frame);
        let verifying = while_handing_on(verifying, lane, guard, &mut ahead).await?;
        ahead.push_back(verifying.map_err(End::Ours)?);
    }
    while !ahead.is_empty() {
        hand_on_first(lane, guard, &mut ahead).await?;
    }
    Ok(())
}

/// Waits for something, and meanwhile hands on what is verified: no frame waits for the one behind
/// it, and none holds its room while the next waits for some.
async fn while_handing_on<T>(
    something: impl Future<Output = T>,
    lane: Lane,
    guard: &LinkGuard,
    ahead: &mut VecDeque<Verifying>,
) -> Result<T, End> {
    tokio::pin!(something);
    loop {
        tokio::select! {
            done = &mut something => return Ok(done),
            handed_on = hand_on_first(lane, guard, ahead), if !ahead.is_empty() => handed_on?,
        }
    }
}

/// Hands the first of the frames on, once it is verified. May be given up and begun again.
async fn hand_on_first(
    lane: Lane,
    guard: &LinkGuard,
    ahead: &mut VecDeque<Verifying>,
) -> Result<(), End> {
    if let Some(first) = ahead.front_mut() {
        first.wait().await;
    }
    match ahead.pop_front() {
        // It is verified, so that this waits for nothing.
        Some(first) => guard.hand_on(lane, first).await.map_err(End::Ours),
        None => Ok(()),
    }
}
