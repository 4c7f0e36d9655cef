//! The fill lane is compressed: one zstd stream for as long as the conversation lasts, so that
//! what documents have in common is said once.
//!
//! Each frame is flushed, and can be read as soon as it has come. What a peer's bytes can make a
//! reader reserve is bounded twice: by the window that is accepted, and by the longest frame.

use node::names::limits::FRAME_BYTES_MAX;
use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use crate::link::LinkError;

/// zstd's fastest ordinary level: it is the processors that a first sync waits for. Of a thousand
/// cases it makes 2.33 MB, level 3 makes 2.07.
const LEVEL: i32 = 1;
/// How far back a frame may refer, as a power of two: 2 MiB hold some hundred documents, and a
/// centre with a hundred edges has 200 MiB at the most for it.
const WINDOW_LOG: u32 = 21;
/// What is produced at once.
const STEP: usize = 64 << 10;
/// The most that compression adds to a frame of bytes that cannot be compressed: zstd's own bound,
/// and the ends of its blocks.
const OVERHEAD_MAX: usize = (FRAME_BYTES_MAX >> 8) + (4 << 10);
/// The longest compressed frame.
pub(crate) const COMPRESSED_MAX: usize = FRAME_BYTES_MAX + OVERHEAD_MAX;

/// One direction's compression.
pub struct Compressor(Encoder<'static>);

impl Compressor {
    /// A stream that has said nothing yet.
    ///
    /// # Errors
    /// [`LinkError::Ended`] when there is no memory for it.
    pub fn new() -> Result<Compressor, LinkError> {
        let mut encoder = Encoder::new(LEVEL).map_err(|_| LinkError::Ended)?;
        encoder
            .set_parameter(CParameter::WindowLog(WINDOW_LOG))
            .map_err(|_| LinkError::Ended)?;
        Ok(Compressor(encoder))
    }

    /// The bytes of the next frame.
    ///
    /// # Errors
    /// [`LinkError::Ended`] when there is no memory for it.
    pub fn frame(&mut self, frame: &[u8]) -> Result<Vec<u8>, LinkError> {
        let mut input = InBuffer::around(frame);
        let mut compressed = Vec::with_capacity(frame.len() / 2);
        let mut step = vec![0; STEP];
        let mut left = 1;
        while left > 0 {
            let mut output = OutBuffer::around(step.as_mut_slice());
            let more = input.pos() < frame.len();
            let done = if more {
                self.0.run(&mut input, &mut output).map(|_| 1)
            } else {
                self.0.flush(&mut output)
            };
            left = done.map_err(|_| LinkError::Ended)?;
            compressed.extend_from_slice(output.as_slice());
        }
        Ok(compressed)
    }
}

/// The other end of a [`Compressor`].
pub(crate) struct Decompressor(Decoder<'static>);

impl Decompressor {
    /// A stream of which nothing has come yet.
    ///
    /// # Errors
    /// [`LinkError::Ended`] when there is no memory for it.
    pub(crate) fn new() -> Result<Decompressor, LinkError> {
        let mut decoder = Decoder::new().map_err(|_| LinkError::Ended)?;
        decoder
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG))
            .map_err(|_| LinkError::Ended)?;
        Ok(Decompressor(decoder))
    }

    /// The frame in the next compressed bytes.
    ///
    /// # Errors
    /// [`LinkError::BadLength`] when it is longer than a frame may be, [`LinkError::BadBytes`] when
    /// it is not what a [`Compressor`] makes.
    pub(crate) fn frame(&mut self, compressed: &[u8]) -> Result<Vec<u8>, LinkError> {
        let mut input = InBuffer::around(compressed);
        let mut frame = Vec::with_capacity(compressed.len());
        let mut step = vec![0; STEP];
        loop {
            let before = input.pos();
            let mut output = OutBuffer::around(step.as_mut_slice());
            let ran = self.0.run(&mut input, &mut output);
            ran.map_err(|_| LinkError::BadBytes)?;
            let produced = output.as_slice();
            if frame.len() + produced.len() > FRAME_BYTES_MAX {
                return Err(LinkError::BadLength);
            }
            frame.extend_from_slice(produced);
            let (read, made) = (input.pos() > before, produced.len());
            if input.pos() == compressed.len() && made < STEP {
                return Ok(frame);
            }
            if !read && made == 0 {
                return Err(LinkError::BadBytes);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn frames_come_out_as_they_went_in_and_refer_to_earlier_ones() {
        let (mut there, mut here) = (Compressor::new().unwrap(), Decompressor::new().unwrap());
        let once = noise(7, 50_000);
        let frames = [
            vec![1],
            once.clone(),
            once,
            vec![5; FRAME_BYTES_MAX],
            noise(9, FRAME_BYTES_MAX),
            noise(11, STEP),
            vec![0; STEP * 2],
        ];
        let mut sizes = Vec::new();
        for frame in &frames {
            let compressed = there.frame(frame).unwrap();
            assert!(compressed.len() <= COMPRESSED_MAX);
            assert!(here.frame(&compressed).as_ref() == Ok(frame));
            sizes.push(compressed.len());
        }
        assert!(sizes[2] < 200, "said before: {sizes:?}");
        assert!(sizes[3] < 2_000, "{sizes:?}");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_held() {
        let mut there = Compressor::new().unwrap();
        let bomb = there.frame(&vec![0; 512 << 20]).unwrap();
        assert!(bomb.len() < 64 << 10);
        let refused = Decompressor::new().unwrap().frame(&bomb);
        assert!(refused == Err(LinkError::BadLength));
    }

    #[test]
    fn what_asks_for_a_larger_window_is_refused() {
        let mut wide = Encoder::new(LEVEL).unwrap();
        wide.set_parameter(CParameter::WindowLog(WINDOW_LOG + 4))
            .unwrap();
        let compressed = Compressor(wide).frame(&noise(3, 1_000)).unwrap();
        let refused = Decompressor::new().unwrap().frame(&compressed);
        assert!(refused == Err(LinkError::BadBytes));
    }

    #[test]
    fn damaged_and_foreign_bytes_give_an_answer() {
        let mut there = Compressor::new().unwrap();
        let whole = there.frame(&noise(5, 3_000)).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            let _ = Decompressor::new().unwrap().frame(&damaged);
            let cut = Decompressor::new().unwrap().frame(&whole[..place]);
            assert!(cut.is_ok_and(|frame| frame.len() < 3_000));
        }
        for seed in 0..200 {
            let _ = Decompressor::new().unwrap().frame(&noise(seed, 300));
        }
    }
}
