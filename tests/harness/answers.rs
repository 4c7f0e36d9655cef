//! What the centre answers in the narrow protocol, as the runtime has it do: what its node reads, and
//! that it has kept something, once it has.

use names::Reason;
use node::{Errand, Input, Ran, Ticket, review};
use protocol::{
    Statement,
    directory::Purge,
    narrow::{Answer, Ask, PartName, Told},
};

use crate::{
    evidence::changes_of,
    network::{End, WireId},
    swarm::CENTRE,
    world::World,
};

/// How often in a hundred a part comes twice, as when its answer was not heard.
const TWICE_PERCENT: u64 = 15;
impl World {
    /// The centre is asked something.
    pub(crate) fn answer_narrow(&mut self, wire: WireId, edge: usize, frame: &[u8]) {
        let asked = Ask::decode(frame).and_then(|ask| self.try_answer(wire, edge, ask));
        let answer = match asked {
            Ok(answer) => answer,
            Err(reason) => Some(Answer::Refused(reason)),
        };
        if let Some(answer) = answer {
            self.say_narrow(wire, End::Edge, answer.encode());
        }
    }

    /// What the centre answers; nothing while it has to keep something first.
    fn try_answer(
        &mut self,
        wire: WireId,
        edge: usize,
        ask: Ask,
    ) -> Result<Option<Answer>, Reason> {
        let now = self.agenda.now();
        let key = self.stations.get(edge + 1).map(|s| s.device().public());
        let device = key.map(|key| protocol::signed::device_id(&key));
        let centre = self.stations.first().ok_or(Reason::Stopping)?;
        let running = centre.running.as_ref().ok_or(Reason::Stopping)?;
        let (device, directory) = (device.ok_or(Reason::NotFound)?, running.node.directory());
        directory.signer(&device)?;
        match ask {
            Ask::Time => Ok(Some(Answer::Time(Told {
                now: centre.clock(now),
                revoked: directory.revocation(&device),
            }))),
            _ if !directory.is_revoked(&device) => Err(Reason::NotAllowed),
            Ask::Renew => Err(Reason::Revoked),
            Ask::Lacking(lines) => {
                let snapshot = centre.snapshot().ok_or(Reason::Stopping)?;
                let lacking = review::beyond(&snapshot, &lines);
                let lacking = lacking.map_err(|_| Reason::CannotOpen)?;
                Ok(Some(Answer::Lacking(lacking)))
            }
            Ask::HandIn(part) => {
                let changes = changes_of(&part).into_iter();
                let changes = changes.map(|(document, _, _, hash)| (document, hash));
                let answer = Answer::Received(PartName::of(&part));
                let ticket = self.ticket();
                let owed = (wire, answer, changes.collect());
                self.narrow.owed.insert(ticket, owed);
                let again = self.narrow.chance.percent(TWICE_PERCENT);
                let again = again.then(|| (self.ticket(), part.clone()));
                for (ticket, part) in [(ticket, part)].into_iter().chain(again) {
                    let errand = Errand::HandIn { device, part };
                    self.push(CENTRE, Input::Errand { ticket, errand });
                }
                Ok(None)
            }
            Ask::Purged(receipt) => {
                if receipt.verify(&directory.tenant())? != device {
                    return Err(Reason::NotAllowed);
                }
                if directory.purged(&device).is_some() {
                    return Ok(Some(Answer::Noted));
                }
                let said = Statement::DevicePurged(Purge { device });
                let said = self.authority.say(said, now);
                let ticket = self.tell(CENTRE, said).ok_or(Reason::NotSaved)?;
                let owed = (wire, Answer::Noted, Vec::new());
                self.narrow.owed.insert(ticket, owed);
                Ok(None)
            }
        }
    }

    /// The centre has kept a part, or has not.
    pub(crate) fn part_was_kept(&mut self, ticket: Ticket, result: &Result<Ran, Reason>) {
        let Some((wire, answer, changes)) = self.narrow.owed.remove(&ticket) else {
            return;
        };
        let answer = match result {
            Ok(_) => {
                self.tally.handed_in += 1;
                if let Some(promises) = self.promises.first_mut() {
                    promises.received(changes);
                }
                self.plan_review();
                answer
            }
            Err(reason) => Answer::Refused(*reason),
        };
        self.say_narrow(wire, End::Edge, answer.encode());
    }

    /// The centre has kept that a device has destroyed its keys.
    pub(crate) fn purge_was_kept(&mut self, ticket: Ticket) {
        if let Some((wire, answer, _)) = self.narrow.owed.remove(&ticket) {
            self.say_narrow(wire, End::Edge, answer.encode());
        }
    }
}
