//! The narrow protocol in the world: a device that was turned away asks how it stands, hands in what
//! the centre lacks, and destroys its keys.
//!
//! Questions and answers are the frames of the service, over wires like all others, and both sides
//! read and keep through the node as the runtime has it do. Besides what may befall any wire, these
//! conversations break off on purpose, before a frame comes, behind it and with the death of either
//! side, and parts come twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use names::{ChangeHash, DocumentId, Reason};
use node::{Lane, Ticket, review};
use protocol::{
    directory::HandedInLine,
    narrow::{Answer, Ask, LACKING_LINES_MAX, PartName, PurgeReceipt},
};

use crate::{
    chance::Chance,
    network::{End, WireId},
    oracle::Oracle,
    station::Station,
    swarm::CENTRE,
    trace::station_name,
    world::{Event, Inner, World},
};

/// Conversations broken off on purpose in one run, so that every run ends.
const BREAKS_MAX: u64 = 8;
/// How long at most one of both sides is down that dies in a conversation: where people are quick, no
/// fault would find anything to strike while the centre is away for longer.
const DOWN_MAX_MS: u64 = 5_000;
/// How often a device that has destroyed its keys tries to tell the centre, and how long it waits.
const TELLS_MAX: u32 = 8;
const TELLS_AGAIN_MS: i64 = 5_000;
/// The other end of a conversation that is closed hears of it after this long.
pub(crate) const HEARD_MS: i64 = 2_000;

/// What a device waits for.
#[derive(Debug)]
enum Step {
    /// How it stands.
    Time,
    /// That its own node has taken that in.
    Stating(Ticket),
    /// What the centre lacks of the lines it has named.
    Lacking,
    /// That the first part is kept.
    HandingIn,
    /// Nothing: it is about to destroy its keys.
    Leaving,
    /// That the centre knows that they are destroyed.
    Purged,
}

/// One conversation, as the device has it.
#[derive(Debug)]
struct Talk {
    wire: WireId,
    step: Step,
    questions: VecDeque<Vec<HandedInLine>>,
    /// What the centre has said that it lacks.
    asked_for: Vec<HandedInLine>,
    parts: VecDeque<Vec<u8>>,
    /// Documents of which something could not be read.
    unread: u64,
    /// Whether the last parts are among those that are left.
    is_last: bool,
    /// How often the centre's disk had been replaced when it began.
    restores: u64,
}

/// All conversations.
#[derive(Debug)]
pub(crate) struct Narrow {
    wires: BTreeSet<WireId>,
    /// Wires of the wide protocol that the centre has closed since their device is revoked.
    turned_away: BTreeSet<WireId>,
    /// The conversation of each edge, as far as it has one.
    talks: BTreeMap<usize, Talk>,
    /// How often the centre's disk had been replaced when the conversation began in which an edge has
    /// handed in all. It may have begun another since, in which nothing was handed in.
    handed_in: BTreeMap<usize, u64>,
    /// What the centre answers once it has kept something.
    pub(crate) owed: BTreeMap<Ticket, Owed>,
    broken: u64,
    pub(crate) chance: Chance,
}

/// What the centre will have answered: on which wire, what, and which changes it then has.
pub(crate) type Owed = (WireId, Answer, Vec<(DocumentId, ChangeHash)>);

impl Narrow {
    /// Nobody speaks.
    pub(crate) fn new(chance: Chance) -> Narrow {
        Narrow {
            wires: BTreeSet::new(),
            turned_away: BTreeSet::new(),
            talks: BTreeMap::new(),
            handed_in: BTreeMap::new(),
            owed: BTreeMap::new(),
            broken: 0,
            chance,
        }
    }

    /// Whether a wire carries the narrow protocol.
    pub(crate) fn is_of(&self, wire: WireId) -> bool {
        self.wires.contains(&wire)
    }

    /// The centre has closed a wire because its device is revoked, and the other end will hear why.
    pub(crate) fn turned_away(&mut self, wire: WireId) {
        self.turned_away.insert(wire);
    }

    /// Whether the edge hears now that this was why a wire was closed.
    pub(crate) fn was_turned_away(&mut self, wire: WireId) -> bool {
        self.turned_away.remove(&wire)
    }

    /// Whether the conversation in which a station has handed in its work began before the centre's
    /// disk was replaced for the last time.
    pub(crate) fn handed_in_before(&self, station: usize, restores: u64) -> bool {
        let edge = station.checked_sub(1);
        let then = edge.and_then(|edge| self.handed_in.get(&edge));
        then.is_some_and(|then| *then != restores)
    }

    /// The centre has died, and answers nothing that it was asked.
    pub(crate) fn forget_owed(&mut self) {
        self.owed.clear();
    }
}

impl World {
    /// An edge was turned away, and asks how it stands.
    pub(crate) fn consult(&mut self, edge: usize) {
        let lives = [self.life(edge + 1), self.life(CENTRE)];
        let handshake_ms = self.network.handshake_ms(edge, self.agenda.now());
        let ([Some(own), Some(centre)], Some(takes_ms)) = (lives, handshake_ms) else {
            return self.dial_soon(edge);
        };
        if let Some(dialling) = self.dialling.get_mut(edge) {
            dialling.under_way = true;
        }
        let lives = [own, centre];
        self.agenda.after(takes_ms, Event::Consult { edge, lives });
    }

    pub(crate) fn begin_to_consult(&mut self, edge: usize, lives: [u64; 2]) {
        if let Some(dialling) = self.dialling.get_mut(edge) {
            dialling.under_way = false;
        }
        if [self.life(edge + 1), self.life(CENTRE)] != lives.map(Some) {
            return self.dial_soon(edge);
        }
        self.begin_talk(edge, Step::Time, &Ask::Time);
    }

    fn begin_talk(&mut self, edge: usize, step: Step, ask: &Ask) {
        self.end_talk(edge);
        let wire = self.network.open(edge);
        self.narrow.wires.insert(wire);
        let talk = Talk {
            wire,
            step,
            questions: VecDeque::new(),
            asked_for: Vec::new(),
            parts: VecDeque::new(),
            unread: 0,
            is_last: false,
            restores: self.restored.of_centre(),
        };
        self.narrow.talks.insert(edge, talk);
        self.say_narrow(wire, End::Centre, ask.encode());
    }

    pub(crate) fn say_narrow(&mut self, wire: WireId, to: End, frame: Vec<u8>) {
        let now = self.agenda.now();
        let number = self.station_at(wire, to.other()).unwrap_or(CENTRE);
        self.trace.note(now, number, "says narrowly", &frame, || {
            let words = match to {
                End::Centre => Ask::decode(&frame).map(|ask| format!("{ask:?}")),
                End::Edge => Answer::decode(&frame).map(|answer| format!("{answer:?}")),
            };
            format!("wire {} {}", wire.0, words.unwrap_or_default())
        });
        let lane = Lane::Control;
        if let Some(due) = self.network.send(wire, to, lane, frame, now) {
            self.agenda.at(due, Event::Deliver { wire, to, lane });
        }
    }

    /// A frame of the narrow protocol has come, unless the conversation breaks off.
    pub(crate) fn deliver_narrow(&mut self, wire: WireId, to: End, frame: &[u8]) {
        let Some(edge) = self.network.edge(wire) else {
            return;
        };
        if self.breaks_off(wire, edge) {
            return;
        }
        match to {
            End::Centre => self.answer_narrow(wire, edge, frame),
            End::Edge => self.hear_narrow(wire, edge, frame),
        }
    }

    /// Whether a conversation breaks off before a frame has come.
    fn breaks_off(&mut self, wire: WireId, edge: usize) -> bool {
        let is_over = self.mischief.healing || self.narrow.broken >= BREAKS_MAX;
        let percent = self.plan.revocation.breaks_percent;
        if is_over || !self.narrow.chance.percent(percent) {
            return false;
        }
        self.narrow.broken += 1;
        self.tally.broken_off += 1;
        let down_ms = self.narrow.chance.span_ms(100, DOWN_MAX_MS);
        let dies = match self.narrow.chance.below(4) {
            0 => edge + 1,
            1 => CENTRE,
            how => {
                self.tally.frames_lost += self.network.cut(wire);
                self.both_ends_notice(wire);
                // Else it comes, and nobody hears the answer.
                return how == 2;
            }
        };
        if !self.can_strike(dies) {
            return false;
        }
        let how = match self.narrow.chance.percent(50) {
            true => Station::kill,
            false => Station::power_cut,
        };
        self.die(dies, down_ms, how);
        true
    }

    /// A device's node has kept that it is revoked.
    pub(crate) fn stated_in_narrow(&mut self, number: usize, ticket: Ticket) {
        let Some(edge) = number.checked_sub(1) else {
            return;
        };
        let talk = self.narrow.talks.get(&edge);
        let is_mine =
            talk.is_some_and(|talk| matches!(talk.step, Step::Stating(it) if it == ticket));
        if is_mine {
            self.look_through(edge);
        }
    }

    /// The device knows that it is revoked, and looks how far every line goes that it holds. One that
    /// counts as lost hands in nothing.
    fn look_through(&mut self, edge: usize) {
        if self.plan.revocation.is_lost {
            return self.leave(edge);
        }
        let snapshot = self.stations.get(edge + 1).and_then(Station::snapshot);
        let holding = snapshot.map(|snapshot| review::holding(&snapshot));
        let Some(Ok(holding)) = holding else {
            return self.hang_up(edge);
        };
        if let Some(talk) = self.narrow.talks.get_mut(&edge) {
            talk.unread = holding.unread;
            let lines = holding.lines.chunks(LACKING_LINES_MAX);
            talk.questions = lines.map(<[HandedInLine]>::to_vec).collect();
        }
        self.ask_next(edge);
    }

    /// A device hears an answer.
    fn hear_narrow(&mut self, wire: WireId, edge: usize, frame: &[u8]) {
        let Some(talk) = self.narrow.talks.get_mut(&edge).filter(|t| t.wire == wire) else {
            return;
        };
        let answer = Answer::decode(frame);
        match (&talk.step, answer) {
            (Step::Time, Ok(Answer::Time(told))) => {
                let mut ticket = None;
                for signed in told.revoked {
                    ticket = self.tell(edge + 1, signed);
                }
                match (ticket, self.narrow.talks.get_mut(&edge)) {
                    (Some(ticket), Some(talk)) => talk.step = Step::Stating(ticket),
                    // A centre that came back has forgotten it.
                    _ => self.hang_up(edge),
                }
            }
            (Step::Lacking, Ok(Answer::Lacking(lacking))) => self.gather(edge, lacking),
            (Step::HandingIn, Ok(Answer::Received(name))) => {
                let kept = talk.parts.pop_front();
                if kept.is_none_or(|part| PartName::of(&part) != name) {
                    let words = format!("{} is told of another part", station_name(edge + 1));
                    return self.fail(Oracle::Answered, words);
                }
                self.ask_next(edge);
            }
            (Step::Purged, Ok(Answer::Noted)) => {
                self.tally.told_purged += 1;
                self.hang_up(edge);
            }
            // Whoever is not known, or not revoked any more, asks again.
            (_, Ok(Answer::Refused(Reason::UnknownSigner | Reason::NotAllowed))) => {
                self.hang_up(edge);
            }
            (step, answer) => {
                let name = station_name(edge + 1);
                let words = format!("{name} waits for {step:?} and is told {answer:?}");
                self.fail(Oracle::Answered, words);
            }
        }
    }

    /// What the centre lacks is gathered, to be handed in.
    fn gather(&mut self, edge: usize, lacking: Vec<HandedInLine>) {
        let snapshot = self.stations.get(edge + 1).and_then(Station::snapshot);
        let gathered = snapshot.map(|snapshot| review::lacking(&snapshot, &lacking));
        let (Some(Ok(gathered)), Some(talk)) = (gathered, self.narrow.talks.get_mut(&edge)) else {
            return self.hang_up(edge);
        };
        talk.asked_for.extend(lacking);
        talk.unread += gathered.unread;
        talk.parts.extend(gathered.parts);
        self.ask_next(edge);
    }

    /// What comes after an answer: the next part, the next question, what waits for an answer that
    /// was never heard, and the end.
    fn ask_next(&mut self, edge: usize) {
        let Some(talk) = self.narrow.talks.get_mut(&edge) else {
            return;
        };
        let wire = talk.wire;
        if let Some(part) = talk.parts.front() {
            talk.step = Step::HandingIn;
            let ask = Ask::HandIn(part.clone());
            return self.say_narrow(wire, End::Centre, ask.encode());
        }
        if let Some(lines) = talk.questions.pop_front() {
            talk.step = Step::Lacking;
            return self.say_narrow(wire, End::Centre, Ask::Lacking(lines).encode());
        }
        if std::mem::replace(&mut talk.is_last, true) {
            return self.leave(edge);
        }
        let station = self.stations.get(edge + 1);
        let device = station
            .and_then(|s| s.running.as_ref())
            .map(|r| r.node.device());
        let snapshot = station.and_then(Station::snapshot);
        let (Some(device), Some(snapshot)) = (device, snapshot) else {
            return self.hang_up(edge);
        };
        let Ok(more) = review::unanswered(&snapshot, device, &talk.asked_for) else {
            return self.hang_up(edge);
        };
        talk.unread = talk.unread.max(more.unread);
        talk.parts.extend(more.parts);
        self.ask_next(edge);
    }

    /// All is handed in. The keys are destroyed once the node has stopped.
    fn leave(&mut self, edge: usize) {
        let Some(talk) = self.narrow.talks.get_mut(&edge) else {
            return;
        };
        talk.step = Step::Leaving;
        self.narrow.handed_in.insert(edge, talk.restores);
        if talk.unread > 0 {
            let (name, unread) = (station_name(edge + 1), talk.unread);
            let words = format!("{name} cannot read {unread} of what the centre lacks");
            return self.fail(Oracle::Opens, words);
        }
        let after_ms = match self.mischief.healing {
            true => 0,
            false => self.plan.revocation.purges_after_ms,
        };
        self.plan_within(edge + 1, after_ms, Inner::Purge);
    }

    /// A device that has destroyed its keys says so, with the key that it still has in memory.
    pub(crate) fn tell_purged(&mut self, edge: usize, tries: u32) {
        let talk = self.narrow.talks.get(&edge);
        let is_told = tries > 0 && talk.is_none();
        if is_told || tries >= TELLS_MAX {
            return;
        }
        let again = Event::TellPurged {
            edge,
            tries: tries + 1,
        };
        self.agenda.after(TELLS_AGAIN_MS << tries, again);
        let now = self.agenda.now();
        let is_reached =
            self.life(CENTRE).is_some() && self.network.handshake_ms(edge, now).is_some();
        let station = self.stations.get(edge + 1);
        let Some(station) = station.filter(|_| is_reached) else {
            return;
        };
        let tenant = self.authority.organisation().tenant;
        let receipt = PurgeReceipt::sign(&station.device(), &tenant, station.clock(now));
        self.begin_talk(edge, Step::Purged, &Ask::Purged(receipt));
    }

    /// A device ends its conversation, and tries again if it has not yet come to its end.
    fn hang_up(&mut self, edge: usize) {
        self.end_talk(edge);
        self.dial_soon(edge);
    }

    /// A device ends its conversation, if it has one.
    fn end_talk(&mut self, edge: usize) {
        let Some(Talk { wire, .. }) = self.narrow.talks.remove(&edge) else {
            return;
        };
        self.network.close(wire);
        self.network.give_up(wire, End::Edge);
        let end = End::Centre;
        self.agenda.after(HEARD_MS, Event::Notice { wire, end });
    }
}
