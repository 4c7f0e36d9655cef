//! Reading bytes that somebody else wrote: every read is bounded by what is there.

use names::Reason;

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input { bytes }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(Reason::Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(Reason::Malformed)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Reason> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// An unsigned LEB128 in its shortest form; Automerge writes no other, and a longer one would
    /// come out differently when the change is rebuilt from a saved document.
    pub(crate) fn uleb(&mut self) -> Result<u64, Reason> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Reason::Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err(Reason::Malformed)
                };
            }
        }
        Err(Reason::Malformed)
    }

    /// A signed LEB128 in its shortest form.
    pub(crate) fn sleb(&mut self) -> Result<i64, Reason> {
        let mut value = 0i64;
        let mut previous = 0u8;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte != 0 && byte != 0x7f {
                return Err(Reason::Malformed);
            }
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let only_sign =
                    (byte == 0 && previous & 0x40 == 0) || (byte == 0x7f && previous & 0x40 != 0);
                if shift > 0 && only_sign {
                    return Err(Reason::Malformed);
                }
                if shift < 57 && byte & 0x40 != 0 {
                    value |= -1 << (shift + 7);
                }
                return Ok(value);
            }
            previous = byte;
        }
        Err(Reason::Malformed)
    }

    /// A length that must not pass `most`; passing it is [`Reason::TooLarge`].
    pub(crate) fn length(&mut self, most: usize) -> Result<usize, Reason> {
        let length = usize::try_from(self.uleb()?).map_err(|_| Reason::TooLarge)?;
        if length > most {
            Err(Reason::TooLarge)
        } else {
            Ok(length)
        }
    }

    /// Text behind its length; it cannot be longer than what is left.
    pub(crate) fn text(&mut self) -> Result<&'a str, Reason> {
        let length = usize::try_from(self.uleb()?).map_err(|_| Reason::Malformed)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Reason::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form_each() {
        let unsigned: &[(&[u8], Result<u64, Reason>)] = &[
            (&[0], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0x80, 1], Ok(128)),
            (&[0x80, 0], Err(Reason::Malformed)),
            (&[0x80], Err(Reason::Malformed)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                Ok(u64::MAX),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                Err(Reason::Malformed),
            ),
            (&[0xff; 11], Err(Reason::Malformed)),
        ];
        for (bytes, expected) in unsigned {
            assert_eq!(Input::new(bytes).uleb(), *expected, "{bytes:?}");
        }
        let signed: &[(&[u8], Result<i64, Reason>)] = &[
            (&[0], Ok(0)),
            (&[0x7f], Ok(-1)),
            (&[0x40], Ok(-64)),
            (&[0x80, 1], Ok(128)),
            (&[0x80, 0x40], Ok(-8192)),
            (&[0xff, 0x7f], Err(Reason::Malformed)),
            (&[0x80, 0], Err(Reason::Malformed)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
                Ok(i64::MAX),
            ),
            (
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f],
                Ok(i64::MIN),
            ),
        ];
        for (bytes, expected) in signed {
            assert_eq!(Input::new(bytes).sleb(), *expected, "{bytes:?}");
        }
    }
}
