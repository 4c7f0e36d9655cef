//! Revocation: what ends at once, what is still admitted, what is marked.

use names::Mark;
use protocol::directory::{HandedIn, HandedInLine, Revocation, Written};

use super::*;

/// Long after everything that a world begins with.
pub(super) const LATER: i64 = 2_000_000;

impl World {
    /// The authority says something, and the centre is told; not yet anybody else.
    pub(super) fn say(&mut self, at: i64, statement: Statement) {
        let issue = Issue {
            authority: names::Incarnation([9; 16]),
            number: self.next + 1_000,
            at: Moment(at),
            statement,
        };
        self.next += 1;
        let signed = SignedStatement::sign(&key(200), &TENANT, &issue).unwrap();
        self.tell(0, &signed);
        self.statements.push(signed);
    }

    fn tell(&mut self, index: usize, signed: &SignedStatement) {
        self.next += 1;
        let verifier = self.places[index].node.verifier();
        self.places[index].inbox.push_back(Input::Stated {
            ticket: Ticket(self.next),
            statement: verifier.statement(signed.clone()).unwrap(),
        });
    }

    pub(super) fn marks(
        &mut self,
        index: usize,
        document: DocumentId,
    ) -> Vec<(EntryId, Vec<Mark>)> {
        let place = &mut self.places[index];
        let (snapshot, directory) = (place.node.snapshot().unwrap(), place.node.directory());
        let view = place.opener.view_marked(&snapshot, document, &directory);
        let marks = view.unwrap().marks.into_iter();
        marks
            .map(|(entry, marks)| (entry, marks.into_iter().collect()))
            .collect()
    }
}

pub(super) fn revocation(number: u8) -> Statement {
    Statement::DeviceRevoked(Revocation {
        device: key(number).device_id(),
        lost: false,
        held: None,
    })
}

#[test]
fn a_conversation_ends_in_the_turn_in_which_its_device_is_revoked() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    world.connect(1);
    world.connect(2);
    world.say(LATER, revocation(1));
    assert!(world.turn(0), "one turn");
    assert_eq!(world.places[0].revoked.len(), 1);
    let ended = world.places[0].revoked.clone();
    assert_eq!(world.links.get(&ended[0]), Some(&1));
    // It dials again, and is not even greeted.
    world.cut(1);
    world.connect(1);
    assert_eq!(world.places[0].revoked.len(), 2);
    // The other edge goes on, and knows.
    let case = world.open_case(2, "site:bath");
    world.run();
    assert!(
        world.places[2]
            .node
            .directory()
            .is_revoked(&key(1).device_id())
    );
    assert_eq!(world.marks(0, case), []);
}

#[test]
fn a_device_that_knows_it_is_revoked_writes_no_more() {
    let mut world = World::new(&[&["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.say(LATER, revocation(1));
    let signed = world.statements.last().cloned().unwrap();
    world.note(1, case, "it could not know yet");
    world.tell(1, &signed);
    let command = r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"x"}"#;
    let refused = world.ask(1, Target::Document(case), command);
    assert_eq!(refused, Err(NotDone::Reason(Reason::Revoked)));
    assert_eq!(world.places[1].node.waiting(), 2, "what it wrote is kept");
}

#[test]
fn work_before_a_revocation_was_seen_is_neither_refused_nor_marked() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    world.note(1, case, "before");
    world.connect(1);
    world.connect(2);
    world.say(LATER, revocation(1));
    world.run();
    world.assert_equal("site:bath");
    for index in [0, 2] {
        assert_eq!(world.marks(index, case), []);
    }
}

#[test]
fn what_was_handed_in_and_who_had_left_are_marked_alike_everywhere() {
    let mut world = World::new(&[&["site:bath"], &["site:bath"]]);
    let case = world.open_case(1, "site:bath");
    let first = world.note(1, case, "first");
    let second = world.note(1, case, "second");
    world.connect(1);
    world.connect(2);
    let snapshot = world.places[0].node.snapshot().unwrap();
    let bundle: protocol::Bundle = protocol::codec::decode(
        &snapshot
            .get(store::Table::Bundle, case.as_ref(), 0)
            .unwrap()
            .unwrap(),
    )
    .unwrap();
    let (_, chunk) = crate::bundle::chunks(&bundle).unwrap().pop().unwrap();
    let header = document::preflight::header(&chunk).unwrap();
    let late = HandedInLine {
        document: case,
        actor: header.actor,
        first: header.seq,
        last: header.seq,
    };
    let lines = vec![late];
    let device = key(1).device_id();
    world.say(LATER, Statement::HandedIn(HandedIn { device, lines }));
    let worker = "w-2".parse().unwrap();
    world.say(LATER + 1, Statement::WorkerDisabled { worker });
    world.run();
    let third = world.note(2, case, "for somebody who has left");
    world.run();
    let mut expected = vec![
        (second.entry, vec![Mark::ArrivedLate]),
        (third.entry, vec![Mark::WorkerDisabled]),
    ];
    expected.sort();
    for index in 0..=2 {
        assert_eq!(world.marks(index, case), expected, "at {index}");
    }
    assert_ne!(first.entry, second.entry);
    // What the marks hang on is signed: the same for whoever asks.
    let written = Written {
        document: case,
        actor: header.actor,
        first: 1,
        last: header.seq,
        device,
        worker: "w-1".parse().unwrap(),
        directory_seen: Moment(0),
    };
    let marks = world.places[2].node.directory().marks(&written);
    assert_eq!(marks.into_iter().collect::<Vec<_>>(), [Mark::ArrivedLate]);
}
