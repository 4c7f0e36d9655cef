//! The run-length-encoded columns of a change, read value by value and never expanded.
//!
//! Each cursor also insists on the one form Automerge writes. A change in any other form is
//! accepted by Automerge, but it is rebuilt differently from a saved document, gets another hash,
//! and the saved document cannot be loaded any more.

use names::Reason;

use super::input::Input;

/// A value that stands in a run-length-encoded column.
pub(crate) trait Cell<'a>: Copy + PartialEq {
    fn read(input: &mut Input<'a>) -> Result<Self, Reason>;
}

impl<'a> Cell<'a> for u64 {
    fn read(input: &mut Input<'a>) -> Result<Self, Reason> {
        input.uleb()
    }
}

impl<'a> Cell<'a> for i64 {
    fn read(input: &mut Input<'a>) -> Result<Self, Reason> {
        input.sleb()
    }
}

impl<'a> Cell<'a> for &'a str {
    fn read(input: &mut Input<'a>) -> Result<Self, Reason> {
        input.text()
    }
}

/// One segment of a column, as its head says.
#[derive(Clone, Copy, PartialEq)]
enum Segment<T> {
    Start,
    Nulls,
    /// One value, repeated.
    Run(T),
    /// Values of their own; the one read last, if any.
    Literal(Option<T>),
}

/// A column of values, some of which may be null. An absent column is null throughout.
#[derive(Clone, Copy)]
pub(crate) struct Rle<'a, T> {
    input: Input<'a>,
    absent: bool,
    /// Something but null was met. A column of nulls alone is left out by its writer.
    some: bool,
    segment: Segment<T>,
    left: u64,
}

impl<'a, T: Cell<'a>> Rle<'a, T> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Rle {
            input: Input::new(bytes),
            absent: bytes.is_empty(),
            some: false,
            segment: Segment::Start,
            left: 0,
        }
    }

    /// The next value, or null.
    pub(crate) fn next(&mut self) -> Result<Option<T>, Reason> {
        if self.absent {
            return Ok(None);
        }
        if self.left == 0 {
            self.enter()?;
        }
        self.left -= 1;
        match self.segment {
            Segment::Start => Err(Reason::Malformed),
            Segment::Nulls => Ok(None),
            Segment::Run(value) => Ok(Some(value)),
            Segment::Literal(last) => {
                let value = T::read(&mut self.input)?;
                if last == Some(value) {
                    return Err(Reason::Malformed);
                }
                self.segment = Segment::Literal(Some(value));
                Ok(Some(value))
            }
        }
    }

    /// The value that the next ones have, and how many: none where that must be read first.
    pub(crate) fn ahead(&self) -> Option<(Option<T>, u64)> {
        if self.absent {
            return Some((None, u64::MAX));
        }
        match self.segment {
            Segment::Nulls if self.left > 0 => Some((None, self.left)),
            Segment::Run(value) if self.left > 0 => Some((Some(value), self.left)),
            Segment::Nulls | Segment::Run(_) | Segment::Start | Segment::Literal(_) => None,
        }
    }

    /// Passes over as many values as [`Rle::ahead`] told of, or fewer.
    pub(crate) fn pass(&mut self, count: u64) {
        debug_assert!(self.ahead().is_some_and(|(_, ahead)| count <= ahead));
        if !self.absent {
            self.left = self.left.saturating_sub(count);
        }
    }

    /// A whole run at once: its value and how often it stands there. Literal values come one by
    /// one; they cost their writer a byte each.
    pub(crate) fn next_run(&mut self) -> Result<Option<(Option<T>, u64)>, Reason> {
        if self.left == 0 && self.input.is_empty() {
            return Ok(None);
        }
        let value = self.next()?;
        if matches!(self.segment, Segment::Literal(_)) {
            return Ok(Some((value, 1)));
        }
        let count = self.left.saturating_add(1);
        self.left = 0;
        Ok(Some((value, count)))
    }

    /// All was read: a column has no more values than there are operations.
    pub(crate) fn finish(&self) -> Result<(), Reason> {
        let needed = self.absent || self.some;
        if self.left == 0 && self.input.is_empty() && needed {
            Ok(())
        } else {
            Err(Reason::Malformed)
        }
    }

    fn enter(&mut self) -> Result<(), Reason> {
        let last = match self.segment {
            Segment::Start | Segment::Nulls => None,
            Segment::Run(value) => Some(value),
            Segment::Literal(value) => value,
        };
        match self.input.sleb()? {
            0 => {
                self.left = self.input.uleb()?;
                if self.left == 0 || matches!(self.segment, Segment::Nulls) {
                    return Err(Reason::Malformed);
                }
                self.segment = Segment::Nulls;
            }
            count if count > 0 => {
                let value = T::read(&mut self.input)?;
                if count == 1 || last == Some(value) {
                    return Err(Reason::Malformed);
                }
                self.some = true;
                self.left = count.unsigned_abs();
                self.segment = Segment::Run(value);
            }
            count => {
                if matches!(self.segment, Segment::Literal(_)) {
                    return Err(Reason::Malformed);
                }
                self.some = true;
                self.left = count.unsigned_abs();
                self.segment = Segment::Literal(last);
            }
        }
        Ok(())
    }
}

/// A column of numbers, each written as its distance from the one before.
#[derive(Clone, Copy)]
pub(crate) struct Delta<'a> {
    steps: Rle<'a, i64>,
    value: i64,
}

impl<'a> Delta<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Delta {
            steps: Rle::new(bytes),
            value: 0,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<u64>, Reason> {
        let Some(step) = self.steps.next()? else {
            return Ok(None);
        };
        self.value = self.value.checked_add(step).ok_or(Reason::Malformed)?;
        u64::try_from(self.value)
            .map(Some)
            .map_err(|_| Reason::Malformed)
    }

    /// The value read last, how far each next one is from the one before it, and how many are.
    pub(crate) fn counts_on(&self) -> Option<(u64, i64, u64)> {
        let (step, count) = self.steps.ahead()?;
        Some((u64::try_from(self.value).ok()?, step?, count))
    }

    /// Passes over as many values as [`Delta::counts_on`] told of, or fewer.
    pub(crate) fn pass(&mut self, count: u64) {
        if let Some((Some(step), _)) = self.steps.ahead() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.value = self.value.saturating_add(step.saturating_mul(count));
        }
        self.steps.pass(count);
    }

    pub(crate) fn finish(&self) -> Result<(), Reason> {
        self.steps.finish()
    }
}

/// A column of truth values: how many are false, how many then true, and so on.
#[derive(Clone, Copy)]
pub(crate) struct Flags<'a> {
    input: Input<'a>,
    absent: bool,
    first: bool,
    value: bool,
    left: u64,
}

impl<'a> Flags<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Flags {
            input: Input::new(bytes),
            absent: bytes.is_empty(),
            first: true,
            value: true,
            left: 0,
        }
    }

    pub(crate) fn next(&mut self) -> Result<bool, Reason> {
        if self.absent {
            return Ok(false);
        }
        while self.left == 0 {
            self.left = self.input.uleb()?;
            self.value = !self.value;
            // Only the very first count may be nought: it says that the column begins with true.
            if self.left == 0 && !self.first {
                return Err(Reason::Malformed);
            }
            self.first = false;
        }
        self.left -= 1;
        Ok(self.value)
    }

    /// How many next ones are known to be `value`.
    pub(crate) fn ahead(&self, value: bool) -> Option<u64> {
        match self.absent {
            true => (!value).then_some(u64::MAX),
            false => (self.value == value && self.left > 0).then_some(self.left),
        }
    }

    /// Passes over as many values as [`Flags::ahead`] told of, or fewer.
    pub(crate) fn pass(&mut self, count: u64) {
        if !self.absent {
            self.left = self.left.saturating_sub(count);
        }
    }

    pub(crate) fn finish(&self) -> Result<(), Reason> {
        if self.left == 0 && self.input.is_empty() {
            Ok(())
        } else {
            Err(Reason::Malformed)
        }
    }
}
