//! Wires in the world: dialling, frames, and how each end learns that a wire is dead.

use names::Reason;
use node::{Input, Lane, LinkId, Side};

use crate::{
    network::{Arrival, End, WireId},
    oracle::Oracle,
    swarm::CENTRE,
    trace::station_name,
    world::{Event, World},
};

/// The first wait before an edge dials again, and the longest.
const REDIAL_MS: u64 = 500;
const REDIAL_MAX_MS: u64 = 60_000;

impl World {
    pub(crate) fn deliver(&mut self, wire: WireId, to: End, lane: Lane) {
        let now = self.agenda.now();
        let frame = match self.network.arrive(wire, to, lane, now) {
            Arrival::Frame(frame) => frame,
            Arrival::Later(at) => return self.agenda.at(at, Event::Deliver { wire, to, lane }),
            Arrival::Lost => return,
        };
        if self.narrow.is_of(wire) {
            return self.deliver_narrow(wire, to, &frame);
        }
        let Some(number) = self.station_at(wire, to) else {
            return;
        };
        let running = self.stations.get(number).and_then(|s| s.running.as_ref());
        let Some(running) = running else { return };
        if let Some(promises) = self.promises.get_mut(number) {
            promises.comes(wire.0, &frame);
        }
        match running.verifier.frame(&frame) {
            Ok(frame) => self.push(
                number,
                Input::Frame {
                    link: LinkId(wire.0),
                    frame,
                },
            ),
            Err(reason) => {
                let name = station_name(number);
                self.fail(
                    Oracle::Honest,
                    format!("{name} was sent a frame that is {reason}"),
                );
            }
        }
    }

    pub(crate) fn station_at(&self, wire: WireId, end: End) -> Option<usize> {
        match end {
            End::Centre => Some(CENTRE),
            End::Edge => self.network.edge(wire).map(|edge| edge + 1),
        }
    }

    /// An end has noticed that its wire is dead.
    pub(crate) fn notice(&mut self, wire: WireId, end: End) {
        if !self.network.believes(wire, end) {
            return;
        }
        let number = self.station_at(wire, end);
        self.network.give_up(wire, end);
        let Some(number) = number else { return };
        if !self.narrow.is_of(wire) {
            let link = LinkId(wire.0);
            self.push(number, Input::LinkDown { link });
        }
        match number.checked_sub(1) {
            Some(edge) if self.narrow.was_turned_away(wire) => self.consult(edge),
            Some(edge) => self.dial_soon(edge),
            None => {}
        }
    }

    pub(crate) fn closed(&mut self, number: usize, wire: WireId, reason: Reason) {
        let now = self.agenda.now();
        self.trace.tell(now, number, "closes", || {
            format!("wire {}: {reason}", wire.0)
        });
        *self.tally.closes.entry(reason).or_default() += 1;
        if reason == Reason::Revoked && self.network.is_whole(wire) {
            self.narrow.turned_away(wire);
        }
        self.network.close(wire);
        self.notice(wire, end_of(number));
        // What was sent before still goes out first.
        self.agenda.after(
            5_000,
            Event::Notice {
                wire,
                end: end_of(number).other(),
            },
        );
    }

    /// An edge tries to reach the centre, in a while that grows with each failure.
    pub(crate) fn dial_soon(&mut self, edge: usize) {
        let Some(dialling) = self.dialling.get_mut(edge).filter(|d| !d.under_way) else {
            return;
        };
        dialling.under_way = true;
        let longest = (REDIAL_MS << dialling.attempts.min(10)).min(REDIAL_MAX_MS);
        dialling.attempts += 1;
        let delay_ms = self.shell_chance.between(longest / 2, longest);
        self.agenda
            .after(i64::try_from(delay_ms).unwrap_or(0), Event::Dial { edge });
    }

    pub(crate) fn life(&self, number: usize) -> Option<u64> {
        self.stations
            .get(number)
            .filter(|s| s.running.is_some())
            .map(|s| s.life)
    }

    pub(crate) fn dial(&mut self, edge: usize) {
        if let Some(dialling) = self.dialling.get_mut(edge) {
            dialling.under_way = false;
        }
        let Some(own) = self.life(edge + 1) else {
            return;
        };
        if !self.network.believed(End::Edge, Some(edge)).is_empty() {
            return;
        }
        let handshake_ms = self.network.handshake_ms(edge, self.agenda.now());
        match (self.life(CENTRE), handshake_ms) {
            (Some(centre), Some(takes_ms)) => {
                if let Some(dialling) = self.dialling.get_mut(edge) {
                    dialling.under_way = true;
                }
                self.agenda.after(
                    takes_ms,
                    Event::Connect {
                        edge,
                        lives: [own, centre],
                    },
                );
            }
            _ => self.dial_soon(edge),
        }
    }

    pub(crate) fn connect(&mut self, edge: usize, lives: [u64; 2]) {
        if let Some(dialling) = self.dialling.get_mut(edge) {
            dialling.under_way = false;
        }
        if [self.life(edge + 1), self.life(CENTRE)] != lives.map(Some) {
            return self.dial_soon(edge);
        }
        let now = self.agenda.now();
        let wire = self.network.open(edge);
        if let Some(dialling) = self.dialling.get_mut(edge) {
            dialling.attempts = 0;
        }
        self.trace
            .tell(now, edge + 1, "connects", || format!("wire {}", wire.0));
        self.tally.connections += 1;
        for (number, peer, side) in [
            (edge + 1, CENTRE, Side::Dialled),
            (CENTRE, edge + 1, Side::Answered),
        ] {
            if let Some(peer) = self
                .stations
                .get(peer)
                .map(|station| station.device().public())
            {
                self.push(
                    number,
                    Input::LinkUp {
                        link: LinkId(wire.0),
                        peer,
                        side,
                    },
                );
            }
        }
    }
}

/// Which end of its wires a station is.
pub(crate) fn end_of(number: usize) -> End {
    if number == CENTRE {
        End::Centre
    } else {
        End::Edge
    }
}
