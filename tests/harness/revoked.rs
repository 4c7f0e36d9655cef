//! Revocation: the authority takes an edge's device its rights away, mostly while people work there
//! out of touch.
//!
//! They go on until the device hears, which it does in the narrow protocol ([`crate::narrow`]). It
//! hands in what the centre lacks, which waits for a person ([`crate::review`]), and destroys its
//! keys. What must hold meanwhile, and what of its people's work is where in the end, is here.

use std::collections::{BTreeMap, BTreeSet};

use names::{ChangeHash, DeviceId, DocumentId, EntryId, Mark, Reason};
use node::{NotDone, Opener, Output, Saved, Ticket, errand};
use protocol::{Frame, Statement, directory::Revocation, signed::device_id};

use crate::{
    chance::Chance,
    evidence::{Evidence, signed_by},
    faults::FaultPlan,
    narrow::HEARD_MS,
    network::WireId,
    oracle::Oracle,
    people::Kept,
    swarm::CENTRE,
    trace::station_name,
    wires::end_of,
    world::{Event, World},
};

/// Where the centre does not run, the authority tries again after this long.
const AGAIN_MS: i64 = 1_000;
/// How soon somebody sees at the latest that a centre which came back has forgotten a revocation.
const SEEN_MS: u64 = 600_000;

/// What there is of the revocation of a run.
#[derive(Debug)]
pub(crate) struct Revoked {
    /// The station whose device it is, once it has begun, and the fault.
    begun: Option<(usize, usize)>,
    device: Option<DeviceId>,
    /// A statement that the centre has not kept yet.
    saying: Option<Ticket>,
    /// Whether the centre knew after its last turn.
    known: bool,
    /// Changes that other disks than the device's had when the centre came to know: whatever more
    /// of the device comes into the record has to be let in.
    elsewhere: BTreeSet<(DocumentId, ChangeHash)>,
    chance: Chance,
}

impl Revoked {
    /// Nothing is revoked.
    pub(crate) fn new(chance: Chance) -> Revoked {
        Revoked {
            begun: None,
            device: None,
            saying: None,
            known: false,
            elsewhere: BTreeSet::new(),
            chance,
        }
    }

    /// Whether the authority has something to say, or has said it.
    pub(crate) fn was_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The device that is revoked.
    pub(crate) fn device(&self) -> Option<DeviceId> {
        self.device
    }

    /// The centre has died: what it was to keep is said again.
    pub(crate) fn not_kept(&mut self) {
        self.saying = None;
    }
}

impl World {
    /// Whether a station is no more: its device has destroyed its keys, or it was to be a copy of
    /// such a one.
    pub(crate) fn is_gone(&self, number: usize) -> bool {
        self.stations
            .get(number)
            .is_some_and(|station| station.gone)
    }

    /// The edges that are still there.
    pub(crate) fn edges_left(&self) -> Vec<usize> {
        let edges = 0..self.plan.edges.len();
        edges.filter(|edge| !self.is_gone(edge + 1)).collect()
    }

    /// Whether a station's device is the one that is revoked; a copy of an edge has the same.
    pub(crate) fn is_revoked(&self, number: usize) -> bool {
        let Some((at, _)) = self.revoked.begun else {
            return false;
        };
        let edge = number.checked_sub(1);
        let edge = edge.and_then(|edge| self.plan.edges.get(edge));
        number == at || edge.is_some_and(|edge| edge.copy_of == at.checked_sub(1))
    }

    /// A revocation begins: mostly its edge loses touch first, and people go on there.
    pub(crate) fn begin_to_revoke(&mut self, number: usize, plan: &FaultPlan) -> bool {
        let station = self.stations.get(plan.at);
        let station = station.filter(|station| station.running.is_some());
        let (Some(edge), Some(station)) = (plan.edge(), station) else {
            return false;
        };
        if self.revoked.was_begun() {
            return true;
        }
        self.revoked.begun = Some((plan.at, number));
        self.revoked.device = Some(device_id(&station.device().public()));
        let out_of_touch_ms = self.plan.revocation.out_of_touch_ms;
        if let Some(before_ms) = out_of_touch_ms {
            let until = self.agenda.now().plus_ms(before_ms + plan.lasts_ms);
            self.cut_path(edge, until);
        }
        self.agenda
            .after(out_of_touch_ms.unwrap_or(0), Event::Revoke);
        true
    }

    /// The authority revokes the device, unless the centre knows of that. It can only revoke what
    /// the centre knows: one that came back from before the enrolment hears of that first.
    pub(crate) fn revoke(&mut self) {
        let Some(device) = self.revoked.device else {
            return;
        };
        let centre = self.stations.first().and_then(|s| s.running.as_ref());
        let directory = centre.map(|running| running.node.directory());
        let Some(directory) = directory.filter(|known| known.device(&device).is_some()) else {
            return self.agenda.after(AGAIN_MS, Event::Revoke);
        };
        if directory.is_revoked(&device) || self.revoked.saying.is_some() {
            return;
        }
        let snapshot = self.stations.first().and_then(|s| s.snapshot());
        let held = snapshot.and_then(|snapshot| errand::written_until(&snapshot, device).ok());
        let revocation = Revocation {
            device,
            lost: self.plan.revocation.is_lost,
            held: held.flatten(),
        };
        let now = self.agenda.now();
        let said = self
            .authority
            .say(Statement::DeviceRevoked(revocation), now);
        self.revoked.saying = self.tell(CENTRE, said);
    }

    /// The centre has started. If it came back from before the revocation, somebody sees that after
    /// a while.
    pub(crate) fn look_after_revoked(&mut self) {
        if !self.revoked.was_begun() {
            return;
        }
        let seen_ms = match self.mischief.healing {
            true => AGAIN_MS,
            false => self.revoked.chance.span_ms(1, SEEN_MS),
        };
        self.agenda.after(seen_ms, Event::Revoke);
        self.plan_review();
    }

    /// A node has kept a statement about the device.
    pub(crate) fn stated_of_revoked(&mut self, number: usize, ticket: Ticket) {
        if number == CENTRE && self.revoked.saying == Some(ticket) {
            self.revoked.saying = None;
        }
        self.purge_was_kept(ticket);
        self.stated_in_narrow(number, ticket);
        self.stated_in_review(ticket);
    }

    /// A station has taken a turn, before which it knew or did not know that its device is revoked.
    pub(crate) fn check_revoked(&mut self, number: usize, knew: bool, outputs: &[Output]) {
        if !self.revoked.was_begun() {
            return;
        }
        if number == CENTRE {
            return self.note_what_is_known();
        }
        for output in outputs.iter().filter(|_| knew) {
            let why = match output {
                Output::Answer { result, .. } => match result {
                    Ok(Saved {
                        change: Some(_), ..
                    }) => "has written",
                    Err(NotDone::Reason(Reason::Revoked)) => {
                        self.tally.refused_late += 1;
                        continue;
                    }
                    Err(NotDone::Reason(reason)) if *reason != Reason::Busy => reason.name(),
                    // It was saved before, or was being decided on.
                    Ok(_) | Err(_) => continue,
                },
                Output::Transferred { result: Ok(_), .. } => "has transferred a case",
                _ => continue,
            };
            let name = station_name(number);
            let words = format!("{name} knows that it is revoked, and answers: {why}");
            self.fail(Oracle::Standing, words);
        }
    }

    /// The centre has taken a turn. When it has come to know of the revocation, what the device has
    /// sent is all that comes without being let in.
    fn note_what_is_known(&mut self) {
        let (Some((_, fault)), Some(device)) = (self.revoked.begun, self.revoked.device) else {
            return;
        };
        let centre = self.stations.first().and_then(|s| s.running.as_ref());
        let known = centre.is_some_and(|running| running.node.directory().is_revoked(&device));
        if std::mem::replace(&mut self.revoked.known, known) || !known {
            return;
        }
        let mut elsewhere = Vec::new();
        for station in 0..self.stations.len() {
            if !self.is_revoked(station) {
                elsewhere.extend(self.evidence_of_any(station));
            }
        }
        let copies = self.restored.on_copies();
        let of_others = copies.filter(|(station, _)| !self.is_revoked(*station));
        let all = of_others.map(|(_, evidence)| evidence).chain(&elsewhere);
        let all = all.flat_map(Evidence::changes).collect::<BTreeSet<_>>();
        self.revoked.elsewhere.extend(all);
        self.has_revoked(fault);
    }

    /// The centre says something on a wire. A device is told nothing once it knows of its
    /// revocation, but that the conversation is over.
    pub(crate) fn check_told(&mut self, wire: WireId, frame: &[u8]) {
        let edge = self.network.edge(wire).filter(|_| self.revoked.known);
        let Some(edge) = edge.filter(|edge| self.is_revoked(edge + 1)) else {
            return;
        };
        let frame = Frame::decode(frame);
        if !matches!(frame, Ok(Some(Frame::Bye(_)))) {
            let name = station_name(edge + 1);
            let what = frame
                .ok()
                .flatten()
                .map_or("something", |frame| frame.name());
            let words = format!("{name} is told {what}, and the centre knows that it is revoked");
            self.fail(Oracle::Scope, words);
        }
    }

    /// Whether a station runs and knows that its device was revoked.
    pub(crate) fn knows_itself_revoked(&self, number: usize) -> bool {
        let running = self.stations.get(number).and_then(|s| s.running.as_ref());
        running.is_some_and(|running| running.knows_itself_revoked())
    }

    /// A revoked device has handed in what it had to, and destroys its keys. Where the centre came
    /// back from an older copy meanwhile, it may have forgotten what it had answered for; and who
    /// counts as lost has handed in nothing.
    pub(crate) fn purge(&mut self, number: usize) {
        let Some(edge) = number.checked_sub(1) else {
            return;
        };
        self.aim_elsewhere(number);
        for wire in self.network.believed(end_of(number), Some(edge)) {
            self.network.close(wire);
            self.network.give_up(wire, end_of(number));
            let end = end_of(number).other();
            self.agenda.after(HEARD_MS, Event::Notice { wire, end });
        }
        if let Some(station) = self.stations.get_mut(number) {
            station.purge();
        }
        self.unanswered(number);
        self.bury_unborn_copies(edge);
        let forgets = self
            .narrow
            .handed_in_before(number, self.restored.of_centre());
        if forgets || self.plan.revocation.is_lost {
            self.mark_what_is_gone();
        }
        self.tally.purged += 1;
        let now = self.agenda.now();
        self.trace.tell(now, number, "is no more", String::new);
        self.agenda.after(0, Event::TellPurged { edge, tries: 0 });
    }

    /// A copy that was to be made of an edge's disk will never be.
    fn bury_unborn_copies(&mut self, edge: usize) {
        let edges = self.plan.edges.iter().zip(self.stations.iter_mut().skip(1));
        let copies =
            edges.filter(|(plan, station)| plan.copy_of == Some(edge) && !station.enrolled);
        copies.for_each(|(_, station)| station.gone = true);
    }

    /// Why the revocation is not over yet, if it was begun.
    pub(crate) fn unsettled_revocation(&self) -> Option<String> {
        if !self.revoked.was_begun() {
            return None;
        }
        if !self.revoked.known {
            return Some("the centre does not know what it revoked".to_owned());
        }
        let left = self.edges_left().into_iter();
        let mut left = left.filter(|edge| self.is_revoked(edge + 1));
        if let Some(edge) = left.next() {
            let name = station_name(edge + 1);
            return Some(format!("{name} is revoked and has not destroyed its keys"));
        }
        let waits = self.parts_that_wait();
        let is_let_in = self.plan.revocation.let_in_after_ms.is_some();
        // What it wrote beside a copy of itself, as one author, waits for ever.
        let is_let_in = is_let_in && !self.has_twin;
        (is_let_in && waits > 0).then(|| format!("{waits} parts wait to be let in"))
    }

    /// Whether an entry waits unread at the centre, for a person who never comes.
    pub(crate) fn waits_for_a_person(&self, line: &Kept, centre: &Evidence) -> bool {
        let waits = self.has_twin || self.plan.revocation.let_in_after_ms.is_none();
        waits
            && match line.change {
                Some(change) => centre.handed_in.contains(&(line.document, change)),
                // It was recorded before, by a change that is kept so, or of which nobody was told.
                None => {
                    let mut others = self.population.kept().iter();
                    let is_handed_in = others.any(|other| {
                        let change = other.change.filter(|_| other.entry == line.entry);
                        let change = change.map(|change| (other.document, change));
                        change.is_some_and(|change| centre.handed_in.contains(&change))
                    });
                    is_handed_in || self.is_revoked(line.station)
                }
            }
    }

    /// What of the device's stands in the record was there before the centre knew, or was let in;
    /// and what came late is marked as that wherever it is shown, and nothing else is.
    pub(crate) fn judge_standing(&mut self, evidence: &[Evidence]) {
        let Some(centre) = evidence.first().filter(|_| self.revoked.known) else {
            return;
        };
        let mut written: BTreeMap<EntryId, Vec<Kept>> = BTreeMap::new();
        for kept in self.population.kept() {
            let stands = |change| centre.has(kept.document, change);
            if self.is_revoked(kept.station) && kept.change.is_some_and(stands) {
                written.entry(kept.entry).or_default().push(kept.clone());
            }
        }
        let snapshot = self.stations.first().and_then(|s| s.snapshot());
        let device = self.revoked.device();
        let signed = snapshot
            .zip(device)
            .map(|(snapshot, device)| signed_by(&snapshot, device));
        let Some(Ok(signed)) = signed else {
            let words = "nobody can read what the revoked device has signed".to_owned();
            return self.fail(Oracle::Opens, words);
        };
        let mut signed = signed.difference(&self.revoked.elsewhere);
        if let Some((document, change)) = signed.find(|change| !self.review.has_let_in(change)) {
            let words = format!("{change} of {document} came in, and nobody has let it in");
            return self.fail(Oracle::Standing, words);
        }
        for (number, own) in evidence.iter().enumerate() {
            let held = own.documents().keys();
            let shown: BTreeSet<DocumentId> = held.copied().collect();
            let let_go = self.let_go(number, own);
            let shown = shown.difference(&let_go).copied().collect();
            self.judge_marks(number, &shown, &written);
        }
    }

    fn judge_marks(
        &mut self,
        number: usize,
        shown: &BTreeSet<DocumentId>,
        written: &BTreeMap<EntryId, Vec<Kept>>,
    ) {
        let running = self.stations.get(number).and_then(|s| s.running.as_ref());
        let Some(directory) = running.map(|running| running.node.directory()) else {
            return;
        };
        let Some(snapshot) = self.stations.get(number).and_then(|s| s.snapshot()) else {
            return;
        };
        let name = station_name(number);
        let documents: BTreeSet<DocumentId> = written
            .values()
            .flatten()
            .map(|kept| kept.document)
            .collect();
        let (mut opener, mut marked) = (Opener::new(1), 0);
        for document in documents.intersection(shown) {
            let Ok(view) = opener.view_marked(&snapshot, *document, &directory) else {
                return self.fail(Oracle::Opens, format!("{name} cannot open {document}"));
            };
            for (entry, lines) in written {
                if lines.iter().all(|kept| kept.document != *document) {
                    continue;
                }
                let bears = |mark| view.marks.get(entry).is_some_and(|it| it.contains(&mark));
                let expected = lines.iter().any(|kept| self.came_late(kept, &directory));
                // Who asked twice, or anew after a disk was lost, may have written it twice.
                let is_one =
                    lines.len() == 1 && !lines.iter().any(|k| self.restored.was(k.station));
                let late = bears(Mark::ArrivedLate);
                if (expected && !late) || (late && !expected && is_one) {
                    let words = format!("{name}: {entry} is marked as late: {late}");
                    return self.fail(Oracle::Standing, words);
                }
                if bears(Mark::DeviceRevoked) {
                    let words = format!("{name}: {entry} was written by who knew better");
                    return self.fail(Oracle::Standing, words);
                }
                marked += u64::from(late);
            }
        }
        if number == CENTRE {
            self.tally.marked += marked;
        }
    }
}
