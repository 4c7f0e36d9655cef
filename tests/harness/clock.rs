//! Virtual time: what will happen, in order. Nothing here waits.

use std::collections::BTreeMap;

use names::Moment;

/// Everything that is still to happen, by moment and, within a moment, in the order in which it
/// was planned.
#[derive(Debug)]
pub struct Agenda<E> {
    now: Moment,
    planned: u64,
    events: BTreeMap<(Moment, u64), E>,
}

impl<E> Agenda<E> {
    /// An empty agenda that begins at `now`.
    pub fn new(now: Moment) -> Agenda<E> {
        Agenda {
            now,
            planned: 0,
            events: BTreeMap::new(),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Plans an event in `delay_ms` from now.
    pub fn after(&mut self, delay_ms: i64, event: E) {
        self.at(self.now.plus_ms(delay_ms.max(0)), event);
    }

    /// Plans an event at a moment; one that is past happens next.
    pub fn at(&mut self, moment: Moment, event: E) {
        self.planned += 1;
        self.events
            .insert((moment.max(self.now), self.planned), event);
    }

    /// The next event, if it is not after `until`; time moves to it.
    pub fn next(&mut self, until: Moment) -> Option<E> {
        let first = self.events.first_entry()?;
        let (moment, _) = *first.key();
        if moment > until {
            return None;
        }
        self.now = moment;
        Some(first.remove())
    }

    /// Lets time pass to `moment`, if nothing is planned before.
    pub fn advance(&mut self, moment: Moment) {
        self.now = self.now.max(moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_moment_and_then_as_planned() {
        let mut agenda = Agenda::new(Moment(0));
        agenda.after(5, 'c');
        agenda.after(1, 'a');
        agenda.after(5, 'd');
        agenda.at(Moment(-3), '0');
        agenda.after(1, 'b');
        let order: String = std::iter::from_fn(|| agenda.next(Moment(4))).collect();
        assert_eq!((order.as_str(), agenda.now()), ("0ab", Moment(1)));
        let order: String = std::iter::from_fn(|| agenda.next(Moment(9))).collect();
        assert_eq!((order.as_str(), agenda.now()), ("cd", Moment(5)));
    }
}
