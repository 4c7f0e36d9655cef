//! What a site has handed in stays until a backup of the centre has it.

use super::{
    transfer::{assert_settled, four_edges},
    *,
};

impl World {
    /// The centre comes back from a copy of its store.
    fn put_back(&mut self, copy: MemoryStore) {
        (1..=4).for_each(|edge| self.cut(edge));
        self.places[0] = self.place(0, copy);
        (1..=4).for_each(|edge| self.connect(edge));
    }

    /// A case that Devizes has written in, offline, and that has gone to Bath.
    fn gone_to_bath(&mut self) -> DocumentId {
        self.gone_to_bath_after(0)
    }

    /// The same, after so many notes that the centre has.
    fn gone_to_bath_after(&mut self, notes: usize) -> DocumentId {
        (1..=4).for_each(|edge| self.connect(edge));
        let case = self.open_case(1, "site:devizes");
        for _ in 0..notes {
            self.note(1, case, "in touch");
        }
        self.run();
        self.cut(1);
        self.note(1, case, "offline");
        self.transfer(1, case, "devizes", "bath").unwrap();
        case
    }

    fn awaits_backup(&self, edge: usize) -> bool {
        self.handed_over(edge)[0].awaits_backup
    }
}

#[test]
fn only_a_backup_that_was_begun_after_it_lets_go_what_was_handed_in() {
    let mut world = four_edges();
    // So many that there is a compacted form, which must go as well.
    let case = world.gone_to_bath_after(8);
    let early = world.begin_backup();
    world.connect(1);
    assert!(world.awaits_backup(1), "the centre has it all");
    world.keep_backup(early);
    assert!(world.chunks(1, case) > 0, "that backup has it not");
    let (next, last) = (world.begin_backup(), world.begin_backup());
    world.run();
    assert!(world.chunks(1, case) > 0, "it is not put away");
    world.keep_backup(last);
    world.keep_backup(next);
    assert_eq!((world.chunks(1, case), world.awaits_backup(1)), (0, false));
    assert!(world.handed_over(1)[0].is_gone);
    assert_settled(&world);
}

/// The story of a receipt, a copy let go, and a centre that came back from before both.
#[test]
fn a_centre_that_came_back_from_before_the_hand_in_is_given_it_again() {
    let mut world = four_edges();
    let case = world.gone_to_bath();
    world.back_up();
    let copy = world.places[0].node.store.clone();
    world.connect(1);
    assert!(world.awaits_backup(1));
    assert_eq!(world.entries(0, case), 2);
    world.cut(2);
    world.put_back(copy);
    assert_eq!(world.entries(0, case), 2, "handed in again");
    world.back_up();
    assert_eq!((world.chunks(1, case), world.entries(2, case)), (0, 2));
    assert_settled(&world);
}

/// A backup of the centre's older copy has nothing of what was handed in to the one of before, though
/// its number is higher.
#[test]
fn a_backup_of_another_opening_lets_nothing_go() {
    let mut world = four_edges();
    let case = world.gone_to_bath();
    world.connect(1);
    assert!(world.awaits_backup(1));
    world.cut(1);
    world.reopen(0);
    world.back_up();
    world.back_up();
    world.connect(1);
    assert!(world.chunks(1, case) > 0);
    assert!(world.awaits_backup(1), "handed in again");
    world.back_up();
    assert_eq!(world.chunks(1, case), 0);
}

/// The case was hidden at both sites until the ruling had come.
#[test]
fn a_transfer_from_elsewhere_does_not_take_a_case_from_who_was_given_it_first() {
    let mut world = four_edges();
    (1..=4).for_each(|edge| world.connect(edge));
    let case = world.open_case(1, "site:devizes");
    world.run();
    world.cut(1);
    world.cut(3);
    world.transfer(1, case, "devizes", "kent").unwrap();
    world.transfer(3, case, "devizes", "bath").unwrap();
    world.connect(3);
    world.note(2, case, "at Bath");
    world.is_silent = true;
    world.connect(1);
    world.note(2, case, "while nobody has ruled");
    assert_eq!(world.listed(2, "site:bath"), [case]);
    assert_eq!(world.chunks(4, case), 0, "Kent is told nothing of it");
    let third = world.transfer(2, case, "bath", "kent");
    assert_eq!(third, Err(NotDone::Reason(Reason::NotPlaced)));
    world.back_up();
    assert!(world.chunks(1, case) > 0, "where it went is not settled");
    (1..=4).for_each(|edge| world.cut(edge));
    world.is_silent = false;
    world.reopen(0);
    (1..=4).for_each(|edge| world.connect(edge));
    world.back_up();
    assert_settled(&world);
    assert_eq!((world.entries(0, case), world.entries(2, case)), (3, 3));
    assert_eq!((world.chunks(1, case), world.chunks(3, case)), (0, 0));
    world.transfer(2, case, "bath", "kent").unwrap();
}

#[test]
fn what_no_backup_is_made_of_goes_after_five_weeks() {
    let mut world = four_edges();
    let case = world.gone_to_bath();
    world.connect(1);
    world.cut(1);
    world.now = world.now.plus_ms(34 * 24 * 3_600_000);
    world.connect(1);
    assert!(world.chunks(1, case) > 0);
    world.cut(1);
    world.now = world.now.plus_ms(24 * 3_600_000);
    world.reopen(1);
    world.run();
    assert!(world.chunks(1, case) > 0, "the centre is asked first");
    world.connect(1);
    assert_eq!(world.chunks(1, case), 0);
}

/// A site that was away for five weeks, and a centre that came back from an older copy meanwhile.
#[test]
fn what_is_old_goes_only_from_a_centre_that_has_forgotten_nothing() {
    let mut world = four_edges();
    let case = world.gone_to_bath();
    let copy = world.places[0].node.store.clone();
    world.connect(1);
    assert!(world.awaits_backup(1));
    (1..=4).for_each(|edge| world.cut(edge));
    world.now = world.now.plus_ms(36 * 24 * 3_600_000);
    world.run();
    world.put_back(copy);
    assert!(world.awaits_backup(1) && world.chunks(1, case) > 0);
    assert_eq!((world.entries(0, case), world.entries(2, case)), (2, 2));
}

#[test]
fn what_the_centre_refuses_is_shown_and_handed_in_again() {
    let mut world = four_edges();
    let case = world.gone_to_bath();
    let whole = lines::spoil_for_good(&mut world, 0, case, 0);
    world.connect(1);
    let handed = world.handed_over(1);
    assert_eq!(handed[0].refused, Some(Reason::CannotOpen));
    assert!(!handed[0].awaits_backup);
    world.back_up();
    assert!(world.chunks(1, case) > 0);
    lines::put_back(&mut world, 0, case, whole);
    world.now = world.now.plus_ms(2 * 24 * 3_600_000);
    world.run();
    let handed = world.handed_over(1);
    assert_eq!((handed[0].refused, handed[0].awaits_backup), (None, true));
    world.back_up();
    assert_eq!((world.chunks(1, case), world.entries(2, case)), (0, 2));
}
