//! What a revoked device hands in: all that the centre lacks, whatever was acknowledged, and nothing
//! left out without a word.

use names::Mark;
use protocol::{
    directory::HandedIn,
    message::{Frame, Ping},
};
use store::{Batch, Store as _, Table};

use super::{
    standing::{LATER, revocation},
    *,
};
use crate::{
    Errand, Ran, errand,
    review::{self, HandIn},
};

impl World {
    pub(super) fn errand(&mut self, index: usize, errand: Errand) -> Result<Ran, Reason> {
        self.next += 1;
        let ticket = Ticket(self.next);
        let errand = Input::Errand { ticket, errand };
        self.places[index].inbox.push_back(errand);
        while self.turn(index) {}
        self.places[index].ran.remove(&ticket).unwrap()
    }

    /// What an edge has that the centre lacks, as it would ask and be told.
    fn lacking(&self, edge: usize) -> HandIn {
        let [here, there] = [edge, 0].map(|index| self.places[index].node.snapshot().unwrap());
        let holding = review::holding(&here).unwrap();
        let lacking = review::beyond(&there, &holding.lines).unwrap();
        let device = self.places[edge].node.device();
        let more = review::unanswered(&here, device, &lacking).unwrap();
        let mut lacking = review::lacking(&here, &lacking).unwrap();
        lacking.parts.extend(more.parts);
        lacking.unread = (lacking.unread + holding.unread).max(more.unread);
        lacking
    }

    pub(super) fn hand_in(&mut self, edge: usize, part: Vec<u8>) -> Result<Ran, Reason> {
        let device = self.places[edge].node.device();
        self.errand(0, Errand::HandIn { device, part })
    }

    /// A person at the centre lets in what an edge has handed in.
    pub(super) fn let_in(&mut self, edge: usize) -> Vec<Result<Ran, Reason>> {
        let device = self.places[edge].node.device();
        let snapshot = self.places[0].node.snapshot().unwrap();
        let kept = review::kept(&snapshot, device).unwrap();
        assert_eq!(kept.unread, 0);
        let mut ran = Vec::new();
        for (position, part) in kept.parts {
            let frame = self.places[0].node.verifier().frame(&part).unwrap();
            let lines = review::beyond(&snapshot, &frame.lines_of(device)).unwrap();
            if !lines.is_empty() {
                self.say(LATER + 10, Statement::HandedIn(HandedIn { device, lines }));
            }
            ran.push(self.errand(
                0,
                Errand::LetIn {
                    device,
                    position,
                    frame: Box::new(frame),
                },
            ));
        }
        ran
    }
}

#[test]
fn what_was_never_sent_is_handed_in_and_let_in_marked() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let sent = world.note(1, case, "sent in time");
    world.connect(1);
    world.connect(2);
    world.cut(1);
    let unsent = world.note(1, case, "written offline");
    let other = world.open_case(1, "site:bath");
    world.say(LATER, revocation(1));
    world.run();
    let device = key(1).device_id();
    let HandIn { parts, unread } = world.lacking(1);
    assert!(!parts.is_empty() && unread == 0);
    for part in &parts {
        // Cut off and handed in again, it is one part.
        for _ in 0..2 {
            assert_eq!(world.hand_in(1, part.clone()), Ok(Ran::default()));
        }
    }
    let waiting =
        |world: &World| review::waiting(&world.places[0].node.snapshot().unwrap(), device).unwrap();
    assert_eq!(waiting(&world).parts, parts.len() as u64);
    for ran in world.let_in(1) {
        let ran = ran.unwrap();
        assert!(ran.refused.is_empty() && ran.admitted > 0, "{ran:?}");
    }
    assert_eq!(waiting(&world), review::Waiting::default());
    world.run();
    for index in [0, 2] {
        let marked = world.marks(index, case);
        assert_eq!(marked, [(unsent.entry, vec![Mark::ArrivedLate])]);
        assert_eq!(
            world.marks(index, other).len(),
            1,
            "the case it opened offline"
        );
    }
    let until = errand::written_until(&world.places[0].node.snapshot().unwrap(), device);
    assert!(until.unwrap().is_some());
    assert_ne!(sent.entry, unsent.entry);
}

/// A centre that came back from before lacks what it had acknowledged: of the revoked edge's, and of
/// a colleague's whose own copy is gone. Nothing of the edge's says so, since all was answered.
#[test]
fn what_a_restored_centre_lacks_is_handed_in_though_it_was_acknowledged() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    world.connect(1);
    world.connect(2);
    let case = world.open_case(2, "site:bath");
    world.run();
    let answer = world.note(1, case, "an answer");
    world.run();
    assert_eq!(world.places[1].node.waiting(), 0, "all was acknowledged");
    for edge in [1, 2] {
        world.cut(edge);
    }
    world.places[0] = world.place(0, MemoryStore::new());
    world.say(LATER, revocation(1));
    world.run();
    let HandIn { parts, unread } = world.lacking(1);
    assert_eq!(unread, 0);
    for part in parts {
        assert_eq!(world.hand_in(1, part), Ok(Ran::default()));
    }
    for ran in world.let_in(1) {
        assert_eq!(ran.unwrap().refused, BTreeMap::new());
    }
    // Its own came late; the colleague's is nobody's blame.
    let marked = world.marks(0, case);
    assert_eq!(marked, [(answer.entry, vec![Mark::ArrivedLate])]);
    assert_eq!(world.lacking(1), HandIn::default());
    let snapshot = world.places[0].node.snapshot().unwrap();
    assert!(views::document_of(&snapshot, case).unwrap().is_some());
}

/// Spoils a row of the first edge's as a flipped bit does.
fn spoil(world: &mut World, table: Table, document: DocumentId, position: u64) {
    let mut batch = Batch::new();
    batch.put(table, document.0, position, vec![0xFF; 3]);
    world.places[1].node.store.commit(batch).unwrap();
}

#[test]
fn nothing_is_left_out_of_what_is_handed_in_without_a_word() {
    let begin = || {
        let mut world = World::new(&[&["site:bath"]]);
        let case = world.open_case(1, "site:bath");
        world.note(1, case, "never sent");
        (world, case)
    };
    // What is damaged beside the bundles hides none of them.
    for table in [Table::Outbox, Table::Actor] {
        let (mut world, case) = begin();
        let whole = world.lacking(1);
        assert!(!whole.parts.is_empty() && whole.unread == 0);
        spoil(&mut world, table, case, 0);
        assert_eq!(world.lacking(1), whole, "{}", table.name());
    }
    for table in [
        Table::Document,
        Table::Index,
        Table::Bundle,
        Table::Placement,
    ] {
        let (mut world, case) = begin();
        spoil(&mut world, table, case, 0);
        assert_eq!(world.lacking(1).unread, 1, "{}", table.name());
    }
    // What the centre has already is no matter.
    let (mut world, case) = begin();
    world.connect(1);
    world.cut(1);
    spoil(&mut world, Table::Bundle, case, 0);
    assert_eq!(world.lacking(1), HandIn::default());
    world.note(1, case, "never sent either");
    let HandIn { parts, unread } = world.lacking(1);
    assert_eq!((parts.len(), unread), (1, 0));
}

#[test]
fn a_damaged_row_of_the_queue_hides_no_other() {
    let mut world = World::new(&[&["site:bath"]]);
    let device = key(1).device_id();
    let parts = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    for part in &parts {
        assert_eq!(world.hand_in(1, part.clone()), Ok(Ran::default()));
    }
    let spoil = |world: &mut World, position| {
        let mut batch = Batch::new();
        batch.put(Table::Review, device.0, position, vec![0xFF; 3]);
        world.places[0].node.store.commit(batch).unwrap();
    };
    let kept = |world: &World| review::kept(&world.places[0].node.snapshot().unwrap(), device);
    spoil(&mut world, 2);
    let read = kept(&world).unwrap();
    let whole = [(1, parts[0].clone()), (3, parts[2].clone())];
    assert_eq!((&read.parts[..], read.unread), (&whole[..], 1));
    // Nor does the row that says which there are: it is made again from them.
    spoil(&mut world, 0);
    assert_eq!(kept(&world).unwrap().parts.len(), 3);
    assert_eq!(world.hand_in(1, b"four".to_vec()), Ok(Ran::default()));
    assert_eq!(world.hand_in(1, b"one".to_vec()), Ok(Ran::default()));
    assert_eq!(kept(&world).unwrap().parts.len(), 4);
    // A person may have all of it forgotten, but not what comes meanwhile.
    let until = review::waiting(&world.places[0].node.snapshot().unwrap(), device);
    let until = until.unwrap().last;
    assert_eq!(world.hand_in(1, b"five".to_vec()), Ok(Ran::default()));
    let discarded = world.errand(0, Errand::Discard { device, until });
    assert_eq!(discarded, Ok(Ran::default()));
    let left = kept(&world).unwrap();
    assert_eq!(left.parts, [(5, b"five".to_vec())]);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let mut rows = 0;
    store::each(&snapshot, Table::Review, |_| rows += 1).unwrap();
    assert_eq!(rows, 2, "one part, and the row that names it");
}

/// What is no load is refused, and stays for a person to discard.
#[test]
fn a_part_that_is_no_load_is_refused() {
    let mut world = World::new(&[&["site:bath"]]);
    let part = Frame::Ping(Ping { token: 1 }).encode();
    assert_eq!(world.hand_in(1, part), Ok(Ran::default()));
    assert_eq!(world.let_in(1), [Err(Reason::Malformed)]);
}

#[test]
fn a_queue_for_review_is_bounded_and_unread() {
    let mut world = World::new(&[&["site:bath"]]);
    let large = vec![7; protocol::narrow::PART_BYTES_MAX + 1];
    assert_eq!(world.hand_in(1, large), Err(Reason::TooLarge));
    for number in 0..256_u16 {
        let part = number.to_be_bytes().to_vec();
        assert_eq!(world.hand_in(1, part), Ok(Ran::default()), "{number}");
    }
    assert_eq!(
        world.hand_in(1, b"one more".to_vec()),
        Err(Reason::TooLarge)
    );
}

/// A transfer is no change, so no line tells of it: it died with the device that had made it.
#[test]
fn a_transfer_made_offline_is_handed_in() {
    let mut world = World::new(&[&["site:bath", "site:devizes"], &["site:devizes"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.connect(2);
    assert_eq!(world.lacking(1), HandIn::default());
    world.cut(1);
    world.transfer(1, case, "bath", "devizes").unwrap();
    world.say(LATER, revocation(1));
    world.run();
    let HandIn { parts, unread } = world.lacking(1);
    assert!(!parts.is_empty() && unread == 0);
    for part in parts {
        assert_eq!(world.hand_in(1, part), Ok(Ran::default()));
    }
    for ran in world.let_in(1) {
        assert!(ran.unwrap().refused.is_empty());
    }
    world.run();
    let snapshot = world.places[0].node.snapshot().unwrap();
    let scopes = views::scopes_of(&snapshot, case).unwrap();
    assert_eq!(scopes, ["site:devizes".parse().unwrap()]);
}

/// By its number alone a line that the centre refused is one that it holds.
#[test]
fn what_waits_for_an_answer_is_handed_in_whatever_the_centre_has() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.connect(1);
    world.cut(1);
    world.note(1, case, "it took another under this number");
    let here = world.places[1].node.snapshot().unwrap();
    let device = key(1).device_id();
    let more = review::unanswered(&here, device, &[]).unwrap();
    assert_eq!((more.parts.len(), more.unread), (1, 0));
}
