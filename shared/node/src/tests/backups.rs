//! How far entries are in backups of the centre.

use std::collections::BTreeMap;

use names::{ActorId, ChangeHash, DeviceId, Nonce};
use proptest::prelude::*;

use super::*;
use crate::{
    Errand,
    rows::{ActorRow, BackedRow},
    views::EntryState,
};

impl World {
    /// A backup of the centre is begun; answers its number.
    pub(super) fn begin_backup(&mut self) -> u64 {
        self.errand(0, Errand::BeginBackup).unwrap().backup
    }

    /// It lies where it was wanted.
    pub(super) fn keep_backup(&mut self, number: u64) {
        self.errand(0, Errand::KeepBackup { number }).unwrap();
        self.run();
    }

    /// The centre is backed up, and what was handed in before may go.
    pub(super) fn back_up(&mut self) {
        let number = self.begin_backup();
        self.run();
        self.keep_backup(number);
    }

    fn state(&self, place: usize, of: &Saved) -> EntryState {
        let snapshot = self.places[place].node.snapshot().unwrap();
        views::entry_state(&snapshot, of.entry).unwrap().unwrap()
    }
}

#[test]
fn an_entry_is_backed_up_by_a_backup_that_was_begun_after_it_came_and_is_put_away() {
    let mut world = World::new(&[&["site:bath"]]);
    world.connect(1);
    let case = world.open_case(1, "site:bath");
    world.run();
    let early = world.begin_backup();
    world.run();
    let note = world.note(1, case, "in none yet");
    world.run();
    world.keep_backup(early);
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
    let number = world.begin_backup();
    world.run();
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
    world.keep_backup(number);
    assert_eq!(world.state(1, &note), EntryState::BackedUp);

    // What the same worker writes afterwards takes nothing back.
    let late = world.note(1, case, "afterwards");
    assert_eq!(world.state(1, &note), EntryState::BackedUp);
    assert_eq!(world.state(1, &late), EntryState::AtTheCentre);
    world.reopen(1);
    world.connect(1);
    world.back_up();
    assert_eq!(world.state(1, &late), EntryState::BackedUp);
}

#[test]
fn what_is_written_at_the_centre_is_backed_up_there() {
    let mut world = World::new(&[&["site:bath"]]);
    world.connect(1);
    let case = world.open_case(1, "site:bath");
    world.run();
    let note = world.note(0, case, "from the desk");
    assert_eq!(world.state(0, &note), EntryState::AtTheCentre);
    world.back_up();
    assert_eq!(world.state(0, &note), EntryState::BackedUp);
    world.reopen(0);
    assert_eq!(world.state(0, &note), EntryState::BackedUp);
}

#[test]
fn a_centre_that_was_only_started_again_backs_up_what_it_has() {
    let mut world = World::new(&[&["site:bath"]]);
    world.connect(1);
    let case = world.open_case(1, "site:bath");
    let note = world.note(1, case, "before the start");
    world.run();
    let unfinished = world.begin_backup();
    world.run();
    world.cut(1);
    world.reopen(0);
    // Its first backup has the number of the unfinished one, and was begun while nobody was there.
    assert_eq!(world.begin_backup(), unfinished);
    world.connect(1);
    world.keep_backup(unfinished);
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
    world.back_up();
    assert_eq!(world.state(1, &note), EntryState::BackedUp);
}

#[test]
fn what_a_restored_centre_has_lost_is_in_no_backup_of_it() {
    let mut world = World::new(&[&["site:bath"]]);
    world.connect(1);
    let case = world.open_case(1, "site:bath");
    let note = world.note(1, case, "in the copy");
    world.run();
    let copy = world.places[0].node.store.clone();
    let lost = world.note(1, case, "lost with the disk");
    world.run();
    world.back_up();
    assert_eq!(world.state(1, &lost), EntryState::BackedUp);
    world.cut(1);
    world.places[0] = world.place(0, copy);
    // Until they have compared, the edge goes by what it was told; no backup counts meanwhile.
    world.back_up();
    world.connect(1);
    assert_eq!(world.state(1, &lost), EntryState::AtTheCentre, "sent again");
    assert_eq!(world.state(1, &note), EntryState::BackedUp);
    world.back_up();
    assert_eq!(world.state(1, &lost), EntryState::BackedUp);
}

/// However far the two have got when the backup is begun, and at any moment from then on.
#[test]
fn a_backup_that_is_begun_before_a_restored_centre_has_all_again_counts_for_nothing() {
    let mut said = 0;
    for turns in 0..16 {
        let mut world = World::new(&[&["site:bath"]]);
        world.connect(1);
        let case = world.open_case(1, "site:bath");
        world.run();
        let copy = world.places[0].node.store.clone();
        let lost = world.note(1, case, "lost with the disk");
        world.run();
        world.cut(1);
        world.places[0] = world.place(0, copy);
        world.link_up(1);
        (0..turns).for_each(|turn| {
            world.turn(turn % 2);
        });
        let has_it = world.entries(0, case) == 2;
        let number = world.begin_backup();
        world.errand(0, Errand::KeepBackup { number }).unwrap();
        for turn in 0..16 {
            world.turn(turn % 2);
            let is_said = world.state(1, &lost) == EntryState::BackedUp;
            assert!(has_it || !is_said, "{turns} turns before it, {turn} after");
            said += u64::from(is_said);
        }
    }
    assert!(said > 0, "it was never backed up");
}

/// What happens to a line and to the centre's backups, in any order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Arrives,
    Begin,
    Keep(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Arrives),
        3 => Just(Step::Begin),
        3 => (0..6_u64).prop_map(Step::Keep),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// A change counts as backed up only if a backup was begun after it came, in an opening of the
    /// centre in which it was put away; and it does so if that was the latest that was begun.
    #[test]
    fn only_what_is_in_a_backup_counts_as_backed_up(steps in steps()) {
        let (mut row, mut line) = (BackedRow::default(), a_line());
        let (mut opening, mut begun, mut arrivals) = (0_u8, 0_u64, 0_u64);
        // How far the line was when each backup was begun, by opening and number.
        let mut held = BTreeMap::new();
        let mut in_backups = 0;
        for step in steps {
            let mut latest = None;
            match step {
                Step::Arrives => {
                    arrivals += 1;
                    row.arrived(&mut line, arrivals);
                }
                Step::Begin => {
                    begun += 1;
                    row.begin(Nonce([opening; 16]), begun);
                    held.insert((opening, begun), arrivals);
                }
                Step::Keep(back) => {
                    let number = begun.saturating_sub(back);
                    row.keep(Nonce([opening; 16]), number);
                    if let Some(had) = held.get(&(opening, number)) {
                        in_backups = in_backups.max(*had);
                        latest = (number == begun).then_some(*had);
                    }
                }
                Step::Restart => (opening, begun) = (opening + 1, 0),
            }
            let counted = (1..=arrivals).filter(|seq| row.has(&line, *seq)).count() as u64;
            prop_assert!(counted <= in_backups, "{} of {}", counted, in_backups);
            if let Some(had) = latest.filter(|had| *had == arrivals) {
                prop_assert_eq!(counted, had, "the latest has all");
            }
        }
    }
}

fn a_line() -> ActorRow {
    ActorRow {
        actor: ActorId::default(),
        device: DeviceId::default(),
        worker: "m-1".parse().unwrap(),
        seq: 1_000,
        hash: ChangeHash::default(),
        centre: 0,
        at: Moment(0),
        stretch: 0,
        backed: 0,
    }
}
