//! A conversation with a device that says whatever it likes.

use node::Side;
use store::MemoryStore;

use crate::{
    craft::CENTRE,
    draw::{Draw, piece},
    record::{self, Party},
};

/// Frames in one input.
const FRAMES_MAX: usize = 24;

/// Whatever an edge says to the centre, and in whatever order, the centre takes its turns: none ends
/// in an error or a panic. Each frame is taken as it is or, where the input says so, with some bytes
/// altered.
pub(super) fn run(bytes: &[u8]) {
    let mut centre = Party::open(CENTRE, MemoryStore::new());
    centre.link_up(1, Side::Answered);
    let mut draw = Draw::new(bytes);
    for _ in 0..FRAMES_MAX {
        if draw.is_over() {
            break;
        }
        let mut frame = match draw.byte() % 2 {
            0 => draw.one_of(record::said()).cloned().unwrap_or_default(),
            _ => draw.piece().to_vec(),
        };
        let place = draw.below(frame.len());
        for (slot, byte) in frame.iter_mut().skip(place).zip(draw.piece()) {
            *slot ^= byte;
        }
        // Whoever says what is no frame is not listened to any longer.
        if !centre.hear(&frame) {
            return;
        }
        if draw.byte().is_multiple_of(2) {
            centre.work();
        }
    }
    centre.work();
    let _ = centre.said();
    let sync = centre.node().sync();
    assert!(sync.is_ok(), "its own rows are damaged");
}

/// The whole conversation of the record, in its order and with one frame altered; each frame alone
/// after the greeting.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let as_it_was = |number: usize| {
        let number = u16::try_from(number).unwrap_or(0).to_le_bytes();
        [&[0][..], &number, &[0, 0], &piece(&[]), &[0]].concat()
    };
    let all: Vec<Vec<u8>> = (0..record::said().len()).map(as_it_was).collect();
    let given = record::said().iter().map(|frame| {
        let own = [&[1][..], &piece(frame), &[0, 0], &piece(&[]), &[0]].concat();
        [as_it_was(0), own].concat()
    });
    given.chain([all.concat()]).collect()
}
