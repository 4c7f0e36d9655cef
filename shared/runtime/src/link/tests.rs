use std::sync::Arc;

use node::names::limits::FRAME_BYTES_MAX;
use tokio::io::duplex;

use super::*;

async fn arrive_whole_in_order_and_counted(lane: Lane) {
    let (near, far) = duplex(64);
    let outgoing = Arc::new(Outgoing::default());
    let frames: Vec<Vec<u8>> = vec![
        vec![1],
        vec![2; 63],
        vec![3; FRAME_BYTES_MAX],
        vec![4; 100_000],
    ];
    for frame in &frames {
        outgoing.push(lane, frame.clone()).unwrap();
    }
    outgoing.finish(Reason::Stopping);
    let writer = tokio::spawn({
        let outgoing = Arc::clone(&outgoing);
        async move { write_lane(lane, near, &outgoing).await }
    });
    let mut reader = LaneReader::begin(far).await.unwrap();
    assert_eq!(reader.lane(), lane);
    let mut travelled = 0;
    for frame in &frames {
        let (read, bytes) = reader.next().await.unwrap().unwrap();
        assert!(read == *frame);
        travelled += bytes as u64;
    }
    assert_eq!(reader.next().await, Ok(None));
    assert!(writer.await.unwrap().is_ok());
    let bytes: u64 = frames.iter().map(|frame| frame.len() as u64 + 4).sum();
    let sent = outgoing.traffic().map(|traffic| traffic.sent);
    let mut expected = [0; 3];
    expected[index(lane)] = travelled;
    assert_eq!(sent, expected);
    assert_eq!(travelled < bytes / 10, is_compressed(lane));
}

#[tokio::test]
async fn frames_arrive_whole_in_order_and_counted() {
    arrive_whole_in_order_and_counted(Lane::Live).await;
    arrive_whole_in_order_and_counted(Lane::Fill).await;
}

async fn read_all(bytes: &[u8]) -> Result<Option<Vec<u8>>, LinkError> {
    let (mut near, mut far) = duplex(bytes.len().max(1));
    near.write_all(bytes).await.unwrap();
    drop(near);
    read_frame(&mut far).await
}

#[tokio::test]
async fn what_is_no_frame_is_refused() {
    let too_long = u32::try_from(COMPRESSED_MAX + 1).unwrap().to_be_bytes();
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
    outgoing.push(Lane::Live, vec![0; 1_000]).unwrap();
    let written = timeout(
        Duration::from_secs(600),
        write_lane(Lane::Live, near, &outgoing),
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

/// What waited for a revoked device was written to it for as long as it cared to read.
#[tokio::test]
async fn a_revoked_device_gets_nothing_of_what_waits() {
    let waits = || {
        let outgoing = Outgoing::default();
        outgoing.push(Lane::Fill, vec![1, 2, 3]).unwrap();
        outgoing
    };
    let soon = Duration::from_millis(50);
    let cut = waits();
    cut.end(Reason::Revoked);
    assert!(timeout(soon, cut.aborted()).await.is_ok());
    assert_eq!(cut.reason(), Some(Reason::Revoked));
    let rest = waits();
    let over = timeout(soon, rest.overdue(Duration::ZERO)).await;
    assert!(over.is_err(), "nobody has ended it");
    rest.end(Reason::Stopping);
    assert!(timeout(soon, rest.aborted()).await.is_err());
    assert_eq!(rest.next(Lane::Fill).await, Some(vec![1, 2, 3]));
    assert_eq!(rest.next(Lane::Fill).await, None);
    let over = timeout(soon, rest.overdue(Duration::ZERO)).await;
    assert!(over.is_ok(), "however slowly it is read");
}
