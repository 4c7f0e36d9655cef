//! Transfers over perfect links: the ways of one case.

use domain::Role;
use names::{Mark, TransferReason};
use store::{Batch, Store as _, Table};

use super::{
    restored::{read, restore},
    *,
};
use crate::{Recount, Transfer, views::HandedOver};

impl World {
    pub(super) fn transfer(
        &mut self,
        index: usize,
        document: DocumentId,
        from: &str,
        to: &str,
    ) -> Result<Transferred, NotDone> {
        self.transfer_as(index, document, from, to, Role::Senior)
    }

    fn transfer_as(
        &mut self,
        index: usize,
        document: DocumentId,
        from: &str,
        to: &str,
        role: Role,
    ) -> Result<Transferred, NotDone> {
        self.next += 1;
        let ticket = Ticket(self.next);
        let transfer = Box::new(Transfer {
            document,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            reason: TransferReason::MovedHome,
            by: By {
                worker: format!("w-{index}").parse().unwrap(),
                site: from.parse().unwrap(),
                roles: vec![role],
            },
        });
        self.places[index]
            .inbox
            .push_back(Input::Transfer { ticket, transfer });
        while (0..self.places.len()).any(|index| self.turn(index)) {}
        self.places[index].transferred.remove(&ticket).unwrap()
    }

    /// Entries that bear the mark of a transfer, at a place.
    fn unseen(&mut self, index: usize, document: DocumentId) -> Vec<EntryId> {
        let place = &mut self.places[index];
        let (snapshot, directory) = (place.node.snapshot().unwrap(), place.node.directory());
        let view = place.opener.view_marked(&snapshot, document, &directory);
        let marks = view.unwrap().marks.into_iter();
        let unseen = marks.filter(|(_, marks)| marks.contains(&Mark::TransferUnseen));
        unseen.map(|(entry, _)| entry).collect()
    }

    pub(super) fn listed(&self, index: usize, scope: &str) -> Vec<DocumentId> {
        let snapshot = self.places[index].node.snapshot().unwrap();
        let listed = views::documents(&snapshot, &scope.parse().unwrap()).unwrap();
        listed.iter().map(|listed| listed.document).collect()
    }

    pub(super) fn handed_over(&self, index: usize) -> Vec<HandedOver> {
        let node = &self.places[index].node;
        views::handed_over(&node.snapshot().unwrap(), &node.directory()).unwrap()
    }

    /// How many entries a document has at a place.
    pub(super) fn entries(&mut self, index: usize, document: DocumentId) -> usize {
        let place = &mut self.places[index];
        let snapshot = place.node.snapshot().unwrap();
        let view = place.opener.view(&snapshot, document).unwrap();
        assert_eq!(view.flaws, []);
        view.state.journal().rows().count()
    }

    /// Rows of a document's chunks at a place.
    pub(super) fn chunks(&self, index: usize, document: DocumentId) -> usize {
        let snapshot = self.places[index].node.snapshot().unwrap();
        let name = document.as_ref();
        let runs = snapshot
            .range(store::Table::Bundle, name, 0, 10_000)
            .unwrap();
        let lines = snapshot.range(store::Table::Actor, name, 0, 10_000);
        let mut changes = 0;
        store::each(&snapshot, store::Table::Index, |row| {
            changes += usize::from(row.name.starts_with(name));
        })
        .unwrap();
        runs.len() + lines.unwrap().len() + changes
    }

    pub(super) fn reopen(&mut self, index: usize) {
        self.cut(index);
        let key = self.places[index].key;
        let place = self.places.remove(index);
        let store = place.node.into_store();
        let place = self.place(key, store);
        self.places.insert(index, place);
    }
}

/// Two edges at Devizes (1 and 3), one at Bath (2), one in Kent (4).
pub(super) fn four_edges() -> World {
    World::new(&[
        &["site:devizes"],
        &["site:bath"],
        &["site:devizes"],
        &["site:kent"],
    ])
}

pub(super) fn assert_settled(world: &World) {
    for scope in ["site:devizes", "site:bath", "site:kent"] {
        world.assert_equal(scope);
    }
}

#[test]
fn a_case_goes_to_another_site_with_all_its_entries() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let cases: Vec<_> = (0..5).map(|_| world.open_case(1, "site:devizes")).collect();
    let case = cases[1];
    world.note(1, case, "before the move");
    world.note(3, case, "by a colleague");
    world.run();
    let done = world.transfer(1, case, "devizes", "bath").unwrap();
    assert_eq!((done.document, done.waiting), (case, 0));
    world.run();
    world.back_up();
    assert_settled(&world);
    for edge in [1, 3] {
        let mut left = cases.clone();
        left.retain(|other| *other != case);
        let mut listed = world.listed(edge, "site:devizes");
        listed.sort_unstable();
        left.sort_unstable();
        assert_eq!(listed, left);
        assert_eq!(
            world.chunks(edge, case),
            0,
            "edge {edge} holds nothing of it"
        );
        assert_eq!(world.places[edge].node.store.destroyed, [case]);
        let handed = world.handed_over(edge);
        assert_eq!(handed.len(), 1);
        let one = &handed[0];
        assert_eq!((one.document, one.waiting, one.is_gone), (case, 0, true));
        assert_eq!(one.to, ["site:bath".parse().unwrap()]);
        assert_eq!(one.reason, Some(TransferReason::MovedHome));
        let asked = world.ask(
            edge,
            Target::Document(case),
            r#"{"command":"open-case","opened":"2026-11-20"}"#,
        );
        assert_eq!(asked, Err(NotDone::Reason(Reason::Transferred)));
    }
    assert_eq!(world.listed(2, "site:bath"), [case]);
    assert_eq!((world.entries(0, case), world.entries(2, case)), (3, 3));
    world.note(2, case, "carried on at Bath");
    world.run();
    assert_eq!((world.entries(0, case), world.chunks(1, case)), (4, 0));
    // Asked again, because the answer was lost, it is done already.
    let again = world.transfer(1, case, "devizes", "bath").unwrap();
    assert_eq!(again.placement, done.placement);
    assert!(world.handed_over(0).is_empty() && world.handed_over(2).is_empty());
    assert!(world.places[0].node.store.destroyed.is_empty());
}

#[test]
fn what_was_written_before_the_transfer_was_seen_is_handed_in_and_passed_on() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    world.cut(1);
    let written: Vec<Saved> = (0..3)
        .map(|n| world.note(1, case, &format!("offline {n}")))
        .collect();
    world.transfer(0, case, "devizes", "bath").unwrap();
    world.note(2, case, "meanwhile at Bath");
    world.run();
    world.back_up();
    assert_eq!(world.chunks(3, case), 0);
    assert_eq!(
        world.listed(1, "site:devizes"),
        [case],
        "it has not heard yet"
    );
    let last = world.note(1, case, "offline still");
    let mut unseen: Vec<EntryId> = written
        .iter()
        .chain([&last])
        .map(|saved| saved.entry)
        .collect();
    unseen.sort_unstable();
    world.connect(1);
    world.run();
    world.back_up();
    assert_settled(&world);
    assert_eq!((world.entries(0, case), world.entries(2, case)), (6, 6));
    for place in [0, 2] {
        assert_eq!(world.unseen(place, case), unseen, "marked at {place}");
    }
    assert!(world.listed(1, "site:devizes").is_empty());
    assert_eq!(world.chunks(1, case), 0);
    assert_eq!(world.places[1].node.waiting(), 0);
    let snapshot = world.places[1].node.snapshot().unwrap();
    for saved in written {
        let state = views::entry_state(&snapshot, saved.entry).unwrap();
        assert_eq!(state, Some(views::EntryState::AtTheCentre));
    }
    // Of what Bath wrote Devizes has seen nothing: nothing came down but the placements.
    let placed = snapshot.range(store::Table::Placement, case.as_ref(), 0, 100);
    assert_eq!(placed.unwrap().len(), 2);
}

#[test]
fn until_all_is_handed_in_the_case_stays_and_nobody_is_shown_it() {
    let mut world = four_edges();
    world.connect(1);
    let case = world.open_case(1, "site:devizes");
    world.run();
    world.cut(1);
    let saved = world.note(1, case, "offline");
    let done = world.transfer(1, case, "devizes", "bath").unwrap();
    assert_eq!(done.waiting, 1);
    assert!(world.listed(1, "site:devizes").is_empty());
    let handed = world.handed_over(1);
    assert_eq!((handed[0].waiting, handed[0].is_gone), (1, false));
    assert!(world.chunks(1, case) > 0);
    // Sent again, it is saved still; anything new is refused and says where to ask.
    let command =
        r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"offline"}"#;
    let again = world.ask_as(1, "w-1", Target::Document(case), saved.entry, command);
    assert_eq!(again.unwrap().change, None);
    let new = world.ask(1, Target::Document(case), command);
    assert_eq!(new, Err(NotDone::Reason(Reason::Transferred)));
    // A crash changes nothing of that.
    world.reopen(1);
    assert_eq!(world.handed_over(1)[0].waiting, 1);
    (1..=4).for_each(|edge| world.connect(edge));
    world.back_up();
    assert_settled(&world);
    assert_eq!(world.entries(2, case), 2);
    assert_eq!(world.chunks(1, case), 0);
    assert_eq!(world.handed_over(1)[0].waiting, 0);
}

#[test]
fn of_two_transfers_at_once_the_first_that_the_centre_witnessed_stands() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    world.cut(1);
    world.cut(3);
    world.transfer(1, case, "devizes", "kent").unwrap();
    world.note(3, case, "before it goes to Bath");
    world.transfer(3, case, "devizes", "bath").unwrap();
    world.connect(3);
    assert_eq!(world.listed(2, "site:bath"), [case]);
    assert_eq!(world.ruled, 0, "nothing to rule on yet");
    world.connect(1);
    world.run();
    assert_eq!(world.ruled, 1);
    world.back_up();
    assert_settled(&world);
    assert_eq!(world.listed(2, "site:bath"), [case]);
    assert!(world.listed(4, "site:kent").is_empty());
    assert_eq!((world.entries(0, case), world.entries(2, case)), (2, 2));
    for edge in [1, 3, 4] {
        assert_eq!(world.chunks(edge, case), 0, "edge {edge}");
    }
    let bath: ScopeId = "site:bath".parse().unwrap();
    for edge in [1, 3] {
        assert_eq!(world.handed_over(edge)[0].to, std::slice::from_ref(&bath));
    }
    // A person settles it by another transfer, after the one that stands.
    world.transfer(2, case, "bath", "kent").unwrap();
    world.run();
    world.back_up();
    assert_settled(&world);
    assert_eq!(world.listed(4, "site:kent"), [case]);
    assert_eq!(world.chunks(2, case), 0);
}

#[test]
fn a_case_that_comes_back_is_written_in_by_another_actor() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.note(1, case, "first stay");
    world.run();
    world.transfer(1, case, "devizes", "bath").unwrap();
    world.run();
    world.back_up();
    assert_eq!(world.chunks(1, case), 0);
    world.note(2, case, "at Bath");
    world.transfer(2, case, "bath", "devizes").unwrap();
    world.run();
    world.back_up();
    assert_settled(&world);
    assert_eq!(world.listed(1, "site:devizes"), [case]);
    assert!(world.handed_over(1).is_empty());
    world.note(1, case, "second stay");
    world.run();
    world.back_up();
    assert_settled(&world);
    assert_eq!(world.entries(1, case), 4);
    assert_eq!(world.entries(0, case), 4);
    assert_eq!(world.chunks(2, case), 0);
}

#[test]
fn only_who_may_transfers_and_only_what_can_be() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let refused = |result: Result<Transferred, NotDone>| match result {
        Err(NotDone::Refused(refusal)) => refusal.code(),
        other => panic!("{other:?}"),
    };
    let worker = world.transfer_as(1, case, "devizes", "bath", Role::RecoveryWorker);
    assert_eq!(refused(worker), "not-allowed");
    assert_eq!(
        refused(world.transfer(1, case, "devizes", "york")),
        "no-such-site"
    );
    assert_eq!(
        refused(world.transfer(1, case, "bath", "kent")),
        "not-at-that-site"
    );
    assert_eq!(
        refused(world.transfer(1, case, "devizes", "devizes")),
        "not-at-that-site"
    );
    // Another site's case is as little there as none.
    let elsewhere = world.transfer(2, case, "devizes", "bath");
    assert_eq!(elsewhere, Err(NotDone::Reason(Reason::NotFound)));
    let target = Target::New(vec!["site:devizes".parse().unwrap()]);
    let command = r#"{"command":"open-session","venue":"hall","date":"2026-11-20","start":"10:00","end":"11:00","form":"psychosocial"}"#;
    let session = world.ask(1, target, command).unwrap().document;
    assert_eq!(
        refused(world.transfer(1, session, "devizes", "bath")),
        "stays-at-its-site"
    );
    assert_eq!(world.listed(1, "site:devizes").len(), 2);
}

#[test]
fn a_centre_that_came_back_from_before_the_transfer_gets_everything_back() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let copy = world.places[0].node.store.clone();
    world.note(1, case, "since the backup");
    world.transfer(1, case, "devizes", "bath").unwrap();
    world.run();
    assert!(world.handed_over(1)[0].awaits_backup);
    (1..=4).for_each(|edge| world.cut(edge));
    world.places[0] = world.place(0, copy);
    (1..=4).for_each(|edge| world.connect(edge));
    assert_settled(&world);
    assert_eq!(world.entries(0, case), 2);
    assert_eq!(world.listed(2, "site:bath"), [case]);
    assert!(world.listed(1, "site:devizes").is_empty());
}

#[test]
fn a_backup_tells_where_cases_went_and_what_is_to_be_ruled() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let gone = world.open_case(1, "site:devizes");
    let forked = world.open_case(1, "site:devizes");
    world.run();
    world.transfer(1, gone, "devizes", "bath").unwrap();
    world.cut(1);
    world.cut(3);
    world.transfer(1, forked, "devizes", "kent").unwrap();
    world.transfer(3, forked, "devizes", "bath").unwrap();
    world.connect(3);
    world.connect(1);
    world.run();
    assert_eq!(world.ruled, 1);

    // The ruling is not in it: it was still owed when the backup was made.
    let (manifest, pieces) = read(&world.places[0]);
    let mut recount = Recount::default();
    for document in [gone, forked] {
        let own = pieces
            .iter()
            .filter(|piece| piece.document() == Some(document));
        own.for_each(|piece| recount.piece(piece).unwrap());
        recount.close(document);
    }
    for stand in &manifest.scopes {
        let found = recount.scopes()[&stand.scope];
        assert_eq!((found.digest, found.count), (stand.digest, stand.count));
    }
    (1..=4).for_each(|edge| world.cut(edge));
    restore(&mut world, &manifest, pieces);
    (1..=4).for_each(|edge| world.connect(edge));
    world.run();
    assert_settled(&world);
    let mut listed = world.listed(2, "site:bath");
    listed.sort_unstable();
    let mut both = [gone, forked];
    both.sort_unstable();
    assert_eq!(listed, both);
    assert!(world.listed(4, "site:kent").is_empty());
    assert!(world.listed(1, "site:devizes").is_empty());
}

/// A summary that was due when the case left was never made once it was back, until the next start.
#[test]
fn a_case_that_comes_back_before_it_was_dropped_has_its_summary_made() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    let node = &mut world.places[1].node;
    node.stale_later.insert(case);
    let mut batch = Batch::new();
    batch.put(Table::Stale, case.0, 0, Vec::new());
    node.store.commit(batch).unwrap();
    world.transfer(1, case, "devizes", "bath").unwrap();
    assert!(!world.places[1].node.stale_later.contains(&case));
    world.transfer(2, case, "bath", "devizes").unwrap();
    world.run();
    let snapshot = world.places[1].node.snapshot().unwrap();
    let stale = snapshot.get(Table::Stale, case.as_ref(), 0).unwrap();
    assert_eq!(stale, None);
    assert_eq!(world.listed(1, "site:devizes"), [case]);
}

#[test]
fn who_may_read_where_a_case_went_has_it_back() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.note(1, case, "before the move");
    world.transfer(1, case, "devizes", "bath").unwrap();
    world.note(2, case, "at Bath");
    world.run();
    world.back_up();
    assert_eq!((world.chunks(1, case), world.handed_over(1).len()), (0, 1));
    let wider = device(1, DeviceKind::Edge, &["site:devizes", "site:bath"]);
    world.say(2_000_000, wider);
    world.run();
    assert_settled(&world);
    assert_eq!(world.listed(1, "site:bath"), [case]);
    assert_eq!(world.entries(1, case), 3);
    assert!(world.handed_over(1).is_empty());
    world.note(1, case, "from Devizes, which helps out");
    world.run();
    assert_settled(&world);
    assert_eq!((world.entries(0, case), world.entries(2, case)), (4, 4));
}

/// What was written at the new site was told to the former one, once a row of the centre's that says
/// that the case has left could not be read.
#[test]
fn no_damaged_row_tells_a_site_of_a_case_that_has_left_it() {
    for table in [store::Table::Transfer, store::Table::Document] {
        let mut world = four_edges();
        (1..=4).for_each(|edge| world.connect(edge));
        let case = world.open_case(1, "site:devizes");
        world.run();
        world.cut(3);
        world.transfer(1, case, "devizes", "bath").unwrap();
        world.run();
        let before = world.entries(3, case);
        world.note(2, case, "written at Bath");
        world.run();
        (1..=4)
            .filter(|edge| *edge != 3)
            .for_each(|edge| world.cut(edge));
        let mut batch = store::Batch::new();
        batch.put(table, case.0, 0, vec![0xFF; 3]);
        store::Store::commit(&mut world.places[0].node.store, batch).unwrap();
        world.reopen(0);
        world.connect(3);
        assert!(world.entries(3, case) <= before, "{}", table.name());
    }
}
