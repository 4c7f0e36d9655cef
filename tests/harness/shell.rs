//! The shell of every station: what a runtime is to a node. It gathers inputs, takes turns, and
//! performs what they answer once their commit is over; it decides nothing.

use names::{DocumentId, Moment};
use node::{Input, Output};
use protocol::Frame;
use store::StoreError;

use crate::{
    network::{End, WireId},
    oracle::Oracle,
    station::{Desk, Station, Work, work_of},
    swarm::CENTRE,
    trace::station_name,
    wires::end_of,
    world::{Event, Inner, World},
};

impl World {
    /// Plans something within a station, unless it does not run.
    pub(crate) fn plan_within(&mut self, number: usize, delay_ms: i64, what: Inner) {
        if let Some(station) = self.stations.get(number) {
            let event = Event::Within {
                station: number,
                life: station.life,
                what,
            };
            self.agenda.after(delay_ms, event);
        }
    }

    /// Hands a node an input.
    pub(crate) fn push(&mut self, number: usize, input: Input) {
        let running = self
            .stations
            .get_mut(number)
            .and_then(|s| s.running.as_mut());
        if let Some(running) = running {
            running.inbox.push(input);
            self.poke(number);
        }
    }

    /// Plans the next turn, if something waits for it and no turn is under way.
    pub(crate) fn poke(&mut self, number: usize) {
        let running = self
            .stations
            .get_mut(number)
            .and_then(|s| s.running.as_mut());
        let Some(running) = running else { return };
        if running.turn_planned || running.releasing || running.inbox.is_empty() {
            return;
        }
        running.turn_planned = true;
        // What arrives within this time becomes one turn.
        let gathers_ms = i64::try_from(self.shell_chance.below(3)).unwrap_or(0);
        self.plan_within(number, gathers_ms, Inner::Turn);
    }

    pub(crate) fn within(&mut self, number: usize, what: Inner) {
        match what {
            Inner::Turn => self.turn(number),
            Inner::Release(outputs) => self.release(number, outputs),
            Inner::Open(desk) => self.open(number, desk),
            Inner::Opened(desk, job, opened) => {
                if let Some(desk) = self.desk(number, desk) {
                    desk.busy = false;
                }
                self.push(
                    number,
                    Input::Opened {
                        job,
                        opened: *opened,
                    },
                );
                self.hire(number, desk);
            }
            Inner::Purge => self.purge(number),
            Inner::Stop(down_ms, by) => self.stop_once_over(number, down_ms, by),
            Inner::Wake(at) => {
                let running = self
                    .stations
                    .get_mut(number)
                    .and_then(|s| s.running.as_mut());
                if let Some(running) = running.filter(|running| running.wake == Some(at)) {
                    running.wake = None;
                    self.push(number, Input::Wake);
                }
            }
        }
    }

    fn turn(&mut self, number: usize) {
        let now = self.agenda.now();
        let Some(station) = self.stations.get_mut(number) else {
            return;
        };
        let (clock, entropy, syncs) = (station.clock(now), station.entropy(), station.disk.syncs());
        let Some(running) = station.running.as_mut() else {
            return;
        };
        running.turn_planned = false;
        let knew = running.knows_itself_revoked();
        let inputs = running.inbox.next_turn();
        if inputs.is_empty() {
            return;
        }
        let outputs = running.node.turn(clock, entropy, inputs);
        running.verifier = running.node.verifier();
        let committed = station.disk.syncs() > syncs;
        self.tally.turns += 1;
        match outputs {
            Ok(outputs) => {
                self.check_revoked(number, knew, &outputs);
                self.turned(number, outputs, committed);
            }
            Err(error) => self.store_failed(number, error),
        }
    }

    /// A turn is decided and on disk, but nothing of it was said yet.
    fn turned(&mut self, number: usize, outputs: Vec<Output>, committed: bool) {
        let (low, high) = self.plan.commit_ms.get(number).copied().unwrap_or((1, 1));
        let takes_ms = if committed {
            self.shell_chance.between(low, high)
        } else {
            0
        };
        self.tally.commits += u64::from(committed);
        if committed && !outputs.is_empty() && self.killed_before_release(number) {
            return;
        }
        let running = self
            .stations
            .get_mut(number)
            .and_then(|s| s.running.as_mut());
        if let Some(running) = running {
            running.releasing = true;
        }
        let takes_ms = i64::try_from(takes_ms).unwrap_or(0);
        self.plan_within(number, takes_ms, Inner::Release(outputs));
    }

    fn release(&mut self, number: usize, outputs: Vec<Output>) {
        let running = self
            .stations
            .get_mut(number)
            .and_then(|s| s.running.as_mut());
        if let Some(running) = running {
            running.releasing = false;
        }
        for output in outputs {
            self.note_output(number, &output);
            match work_of(output) {
                Ok((document, work)) => self.put_on_desk(number, document, work),
                Err(output) => self.perform(number, output),
            }
        }
        self.poke(number);
    }

    /// Does what a node asked for.
    fn perform(&mut self, number: usize, output: Output) {
        let now = self.agenda.now();
        match output {
            Output::Send { link, lane, frame } => {
                let (wire, to) = (WireId(link.0), end_of(number).other());
                if number == CENTRE {
                    self.check_told(wire, &frame);
                }
                self.tally.sketched += u64::from(is_cells(&frame));
                if let Some(promises) = self.promises.get_mut(number) {
                    let filled = promises.sent(link.0, &frame);
                    let (count, documents) = match to {
                        End::Centre => (&mut self.tally.filled, &mut self.filled.up),
                        End::Edge => (&mut self.tally.filled_down, &mut self.filled.down),
                    };
                    *count += filled.len() as u64;
                    documents.extend(filled);
                }
                if let Some(due) = self.network.send(wire, to, lane, frame, now) {
                    self.agenda.at(due, Event::Deliver { wire, to, lane });
                }
            }
            Output::Close { link, reason } => self.closed(number, WireId(link.0), reason),
            Output::Answer { ticket, result } => self.answered(number, ticket, result),
            Output::Transferred { ticket, result } => self.transferred(number, ticket, result),
            Output::Rule(ruling) => self.rule(*ruling),
            Output::Stated { ticket, result } => self.stated(number, ticket, result),
            Output::Notice(notice) => self.noticed(number, &notice),
            Output::WakeAt(at) => self.wake_at(number, at),
            Output::Ran { ticket, result } => {
                if let Ok(ran) = &result {
                    self.backup_begun(ticket, ran);
                }
                self.ran_for_revoked(ticket, result);
            }
            Output::Open(_) | Output::Forget(_) => {}
        }
    }

    fn wake_at(&mut self, number: usize, at: Moment) {
        let now = self.agenda.now();
        let Some(station) = self.stations.get_mut(number) else {
            return;
        };
        let delay_ms = at.0 - station.clock(now).0;
        let Some(running) = station.running.as_mut() else {
            return;
        };
        if running.wake != Some(at) {
            running.wake = Some(at);
            self.plan_within(number, delay_ms, Inner::Wake(at));
        }
    }

    fn desk(&mut self, number: usize, desk: usize) -> Option<&mut Desk> {
        let running = self.stations.get_mut(number)?.running.as_mut()?;
        running.desks.get_mut(desk)
    }

    fn put_on_desk(&mut self, number: usize, document: DocumentId, work: Work) {
        let running = self
            .stations
            .get_mut(number)
            .and_then(|s| s.running.as_mut());
        let Some(running) = running else { return };
        let place = running.desk_of(document);
        if let Some(desk) = running.desks.get_mut(place) {
            desk.queue.push_back(work);
        }
        self.hire(number, place);
    }

    /// Sets an opener to work, if it is free and something waits for it.
    fn hire(&mut self, number: usize, place: usize) {
        let delay_ms = self.opener_delay_ms();
        let idle = self
            .desk(number, place)
            .filter(|desk| !desk.busy && !desk.queue.is_empty());
        if let Some(desk) = idle {
            desk.busy = true;
            self.plan_within(number, delay_ms, Inner::Open(place));
        }
    }

    /// Openers are mostly quick; now and then other threads have the processor.
    fn opener_delay_ms(&mut self) -> i64 {
        let longest = if self.shell_chance.percent(10) {
            500
        } else {
            3
        };
        i64::try_from(self.shell_chance.below(longest)).unwrap_or(0)
    }

    fn open(&mut self, number: usize, place: usize) {
        let delay_ms = self.opener_delay_ms();
        let snapshot = self.stations.get(number).and_then(Station::snapshot);
        let Some(desk) = self.desk(number, place) else {
            return;
        };
        let opened = snapshot.and_then(|snapshot| desk.next(&snapshot));
        match opened {
            Some((job, opened)) => {
                self.plan_within(
                    number,
                    delay_ms,
                    Inner::Opened(place, job, Box::new(opened)),
                );
            }
            None => desk.busy = false,
        }
    }

    /// A store has failed a node. That is expected only where a fault was planted.
    pub(crate) fn store_failed(&mut self, number: usize, error: StoreError) {
        let now = self.agenda.now();
        self.trace
            .tell(now, number, "store fails", || format!("{error:?}"));
        if !self.planted_fault_fired(number) {
            self.fail(
                Oracle::Opens,
                format!("{}: {error:?}", station_name(number)),
            );
        }
    }

    /// Notes an output in the trace.
    fn note_output(&mut self, number: usize, output: &Output) {
        let now = self.agenda.now();
        let words = || format!("{output:?}");
        match output {
            Output::Send { link, lane, frame } => {
                // A frame's debug form names ids, positions and sizes, never words of people.
                let said = || protocol::Frame::decode(frame).ok().flatten();
                self.trace.note(now, number, "sends", frame, || {
                    let said = said().map_or_else(|| "?".to_owned(), |said| format!("{said:?}"));
                    format!("wire {} {lane:?} {} bytes {said}", link.0, frame.len())
                });
            }
            Output::Answer { ticket, .. } => {
                self.trace
                    .note(now, number, "answers", &ticket.0.to_le_bytes(), words);
            }
            Output::Notice(_) => {
                self.trace
                    .note(now, number, "notices", words().as_bytes(), words);
            }
            Output::Open(job) => {
                self.trace
                    .note(now, number, "opens", job.document().as_ref(), words);
            }
            Output::Forget(document) => {
                self.trace
                    .note(now, number, "forgets", document.as_ref(), words);
            }
            Output::WakeAt(at) => {
                self.trace
                    .note(now, number, "wakes at", &at.0.to_le_bytes(), words);
            }
            Output::Close { .. }
            | Output::Stated { .. }
            | Output::Ran { .. }
            | Output::Transferred { .. }
            | Output::Rule(_) => {
                self.trace
                    .note(now, number, "says", words().as_bytes(), words);
            }
        }
    }
}

/// Whether a frame carries cells of a sketch.
fn is_cells(frame: &[u8]) -> bool {
    matches!(Frame::decode(frame), Ok(Some(Frame::Cells(_))))
}
