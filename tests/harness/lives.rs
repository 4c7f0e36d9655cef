//! Lives of stations: how one dies or stops, what that does to its wires, and how it starts again.

use names::Moment;
use node::Input;
use store::StoreError;

use crate::{
    mischief::IDLE_TIMEOUT_MS,
    oracle::Oracle,
    station::Station,
    swarm::CENTRE,
    trace::station_name,
    wires::end_of,
    world::{Event, Inner, World},
};

/// How long a node that was asked to stop may go on at most, and how often it is looked whether it must.
const STOP_MAX_MS: i64 = 5_000;
const STOP_LOOK_MS: i64 = 1;

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

    /// A station is asked to stop, as its supervisor does: it is stopped once what it has begun to open
    /// has ended.
    pub(crate) fn ask_to_stop(&mut self, number: usize, down_ms: i64) {
        self.push(number, Input::Stop);
        let by = self.agenda.now().plus_ms(STOP_MAX_MS);
        self.plan_within(number, STOP_LOOK_MS, Inner::Stop(down_ms, by));
    }

    pub(crate) fn stop_once_over(&mut self, number: usize, down_ms: i64, by: Moment) {
        let is_late = self.agenda.now() >= by;
        if is_late || self.stations.get(number).is_none_or(Station::is_over) {
            return self.stop(number, down_ms);
        }
        self.plan_within(number, STOP_LOOK_MS, Inner::Stop(down_ms, by));
    }

    /// A station is stopped in order: its wires are closed, and the other ends hear of it.
    fn stop(&mut self, number: usize, down_ms: i64) {
        let stopped = self.stations.get_mut(number).map(Station::stop);
        if let Some(Err(error)) = stopped {
            // It has ended all the same, and as badly as in any other commit.
            return self.store_failed(number, error);
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
