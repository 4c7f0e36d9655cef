//! An input read as a list of choices.
//!
//! What a fuzzer changes is bytes. Where a checksum or a signature would stop it at the door, a target
//! reads its input as choices instead (which change, which key, what stands in it), and makes of them
//! something that is signed as it must be. Choices are read from the front and are nought where the
//! input has ended, so that a small change of the input is a small change of what is made of it, and
//! seeds can be written by [`piece`].

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    /// Of all of an input.
    pub fn new(input: &'a [u8]) -> Draw<'a> {
        Draw(input)
    }

    /// Whether nothing is left: every further choice is nought.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes, filled up with noughts.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        for (slot, byte) in bytes.iter_mut().zip(taken) {
            *slot = *byte;
        }
        self.0 = rest;
        bytes
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// A number of two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// A number of eight bytes.
    pub fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `bound`, or nought.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.short()).checked_rem(bound).unwrap_or(0)
    }

    /// One of these; none if there are none.
    pub fn one_of<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        of.get(self.below(of.len()))
    }

    /// Bytes that say their length in front, as far as they are there.
    pub fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.short()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// What [`Draw::piece`] reads back as these bytes, if they are no more than its length can say.
pub fn piece(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let bytes = bytes.iter().take(usize::from(length));
    length.to_le_bytes().iter().chain(bytes).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_drawn_and_noughts_follow() {
        let input = [piece(b"abc"), vec![5, 1, 0]].concat();
        let mut draw = Draw::new(&input);
        assert_eq!(draw.piece(), b"abc");
        assert_eq!(draw.byte(), 5);
        assert_eq!(draw.one_of(&["a", "b"]), Some(&"b"));
        assert!(draw.is_over());
        assert_eq!((draw.long(), draw.piece(), draw.below(0)), (0, &[][..], 0));
    }
}
