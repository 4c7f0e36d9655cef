//! The streams of a conversation: lanes, lengths, and the fill lane inflated.

use std::sync::OnceLock;

use names::limits::FRAME_BYTES_MAX;
use runtime::{Compressor, LaneReader};
use tokio::runtime::{Builder, Runtime};

use crate::{
    draw::{Draw, piece},
    record,
};

/// The byte that begins the fill lane, which alone is compressed.
const FILL: u8 = 2;
/// What is in front of each frame.
const LENGTH_BYTES: usize = 4;
/// What a frame is made as long as, by saying it again: several steps of inflating.
const LONG: usize = 200 << 10;

/// No stream gives a frame that is longer than a frame may be, nor more bytes than came; and what was
/// compressed comes out as it went in. The first byte says whether the rest is a stream, or frames of
/// the fill lane and where that is damaged.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    if draw.byte().is_multiple_of(2) {
        read(draw.rest());
        return;
    }
    let damage = (draw.short(), draw.byte());
    let mut frames = Vec::new();
    while !draw.is_over() {
        // A frame that nobody would send is refused where it is sent.
        let frame = draw.piece();
        if !frame.is_empty() {
            let times = usize::from(draw.byte()).min(LONG / frame.len());
            frames.push(frame.repeat(1 + times));
        }
    }
    let mut stream = stream(&frames);
    let place = stream.get_mut(usize::from(damage.0));
    let is_damaged = damage.1 > 0 && place.is_some();
    if let Some(byte) = place {
        *byte ^= damage.1;
    }
    let read = read(&stream);
    assert!(is_damaged || read == frames, "it came out otherwise");
}

/// Frames as the fill lane carries them.
fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut compressor = Compressor::new().expect("there is memory");
    let mut stream = vec![FILL];
    for frame in frames {
        let compressed = compressor.frame(frame).expect("there is memory");
        let length = u32::try_from(compressed.len()).unwrap_or(u32::MAX);
        stream.extend(length.to_be_bytes());
        stream.extend(compressed);
    }
    stream
}

fn tokio() -> &'static Runtime {
    static TOKIO: OnceLock<Runtime> = OnceLock::new();
    TOKIO.get_or_init(|| {
        let tokio = Builder::new_current_thread().enable_time().build();
        tokio.expect("a runtime without sockets")
    })
}

/// Every frame of a stream, up to its end or to what is none.
fn read(stream: &[u8]) -> Vec<Vec<u8>> {
    tokio().block_on(async {
        let Ok(mut reader) = LaneReader::begin(stream).await else {
            return Vec::new();
        };
        let (mut frames, mut travelled) = (Vec::new(), 1);
        while let Ok(Some((frame, bytes))) = reader.next().await {
            assert!(frame.len() <= FRAME_BYTES_MAX, "longer than a frame");
            assert!(bytes > LENGTH_BYTES, "a frame of nothing");
            travelled += bytes;
            assert!(travelled <= stream.len(), "more than came");
            frames.push(frame);
        }
        frames
    })
}

/// The record's frames on each lane, and on the fill lane as they were before.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let some: Vec<Vec<u8>> = record::said().iter().take(6).cloned().collect();
    let plain = |lane: u8| {
        let framed = some.iter().flat_map(|frame| {
            let length = u32::try_from(frame.len()).unwrap_or(0).to_be_bytes();
            length.into_iter().chain(frame.iter().copied())
        });
        [0, lane].into_iter().chain(framed).collect::<Vec<u8>>()
    };
    let frames = some.iter().map(|frame| [piece(frame), vec![0]].concat());
    let frames: Vec<u8> = frames.flatten().collect();
    let long = [vec![1, 0, 0, 0], piece(&[7; 300]), vec![255]].concat();
    vec![
        plain(0),
        plain(1),
        [vec![0], stream(&some)].concat(),
        [vec![1, 0, 0, 0], frames.clone()].concat(),
        [vec![1, 40, 0, 1], frames].concat(),
        long,
    ]
}
