//! Lives of stations: how one dies or stops, what that does to its wires, and how it starts again.

use store::StoreError;

use crate::{
    mischief::IDLE_TIMEOUT_MS,
    oracle::Oracle,
    station::Station,
    swarm::CENTRE,
    trace::station_name,
    wires::end_of,
    world::{Event, World},
};

impl World {
    /// A station dies in some way, and starts again after a while.
    pub(crate) fn die(&mut self, number: usize, down_ms: i64, how: impl FnOnce(&mut Station)) {
        let Some(station) = self.stations.get_mut(number) else {
            return;
        };
        how(station);
        let edge = number.checked_sub(1);
        for wire in self.network.believed(end_of(number), edge) {
            self.tally.frames_lost += self.network.cut(wire);
            self.network.give_up(wire, end_of(number));
            let after_ms = self
                .mischief
                .chance
                .span_ms(200, IDLE_TIMEOUT_MS.unsigned_abs());
            self.agenda.after(
                after_ms,
                Event::Notice {
                    wire,
                    end: end_of(number).other(),
                },
            );
        }
        self.dead(number, down_ms);
    }

    /// A station is stopped in order: its wires are closed, and the other ends hear of it.
    pub(crate) fn stop(&mut self, number: usize, down_ms: i64) {
        let stopped = self.stations.get_mut(number).map(Station::stop);
        if let Some(Err(error)) = stopped {
            let name = station_name(number);
            return self.fail(Oracle::Opens, format!("{name} could not stop: {error:?}"));
        }
        for wire in self.network.believed(end_of(number), number.checked_sub(1)) {
            self.network.close(wire);
            self.network.give_up(wire, end_of(number));
            self.agenda.after(
                2_000,
                Event::Notice {
                    wire,
                    end: end_of(number).other(),
                },
            );
        }
        self.dead(number, down_ms);
    }

    fn dead(&mut self, number: usize, down_ms: i64) {
        self.unanswered(number);
        if number == CENTRE {
            self.enrol_again();
            self.forget_reviews();
        }
        self.agenda.after(down_ms, Event::Start { station: number });
    }

    /// A station starts again, and must hold everything it ever said it held.
    pub(crate) fn start(&mut self, number: usize) {
        let now = self.agenda.now();
        let Some(station) = self.stations.get_mut(number) else {
            return;
        };
        if station.running.is_some() || station.gone {
            return;
        }
        match station.start(now, &[]) {
            Ok(()) => {
                self.trace.tell(now, number, "starts", String::new);
                self.tally.restarts += 1;
                // A second cut that found nothing to strike in the opening strikes later.
                self.check_after_start(number);
                self.started(number);
                if number == CENTRE {
                    self.look_after_revoked();
                }
            }
            Err(error) => self.did_not_start(number, error),
        }
    }

    fn did_not_start(&mut self, number: usize, error: StoreError) {
        let now = self.agenda.now();
        self.trace
            .tell(now, number, "cannot start", || format!("{error:?}"));
        if !self.planted_fault_fired(number) {
            let name = station_name(number);
            self.fail(
                Oracle::Opens,
                format!("{name} does not open after a crash: {error:?}"),
            );
        }
    }
}
