//! How far entries are in backups of the centre.

use names::{ActorId, ChangeHash, DeviceId, Nonce};
use proptest::prelude::*;
use protocol::message::Backups;

use super::{standing::LATER, *};
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

/// An edge in touch with the centre, and a case of it that both have.
fn in_touch() -> (World, DocumentId) {
    let mut world = World::new(&[&["site:bath"]]);
    world.connect(1);
    let case = world.open_case(1, "site:bath");
    world.run();
    (world, case)
}

#[test]
fn an_entry_is_backed_up_by_a_backup_that_was_begun_after_it_came_and_is_put_away() {
    let (mut world, case) = in_touch();
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
    let (mut world, case) = in_touch();
    let note = world.note(0, case, "from the desk");
    assert_eq!(world.state(0, &note), EntryState::AtTheCentre);
    world.back_up();
    assert_eq!(world.state(0, &note), EntryState::BackedUp);
    world.reopen(0);
    assert_eq!(world.state(0, &note), EntryState::BackedUp);
}

#[test]
fn a_centre_that_was_only_started_again_backs_up_what_it_has() {
    let (mut world, case) = in_touch();
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
    let (mut world, case) = in_touch();
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
        let (mut world, case) = in_touch();
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

#[test]
fn a_backup_made_while_nobody_was_in_touch_has_what_had_come_before() {
    let (mut world, case) = in_touch();
    let note = world.note(1, case, "by day");
    world.run();
    world.cut(1);
    world.reopen(1);
    let late = world.note(1, case, "at night");
    world.back_up();
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
    world.connect(1);
    assert_eq!(world.state(1, &note), EntryState::BackedUp);
    assert_eq!(world.state(1, &late), EntryState::AtTheCentre);
    // Nothing new is said at the next greeting, and nothing written.
    let commits = |world: &World| world.places[1].node.commits;
    world.cut(1);
    let before = commits(&world);
    world.connect(1);
    assert_eq!(commits(&world), before);
}

/// The centre has lost what a device wrote that may not read it any more, and so finds that out with
/// nobody.
#[test]
fn what_is_compared_with_nobody_any_more_is_in_no_backup() {
    let mut world = World::new(&[&["site:bath", "site:devizes"]]);
    world.connect(1);
    let case = world.open_case(1, "site:bath");
    world.open_case(1, "site:devizes");
    world.run();
    let copy = world.places[0].node.store.clone();
    let lost = world.note(1, case, "lost with the disk");
    world.run();
    world.cut(1);
    world.places[0] = world.place(0, copy);
    world.say(LATER, device(1, DeviceKind::Edge, &["site:devizes"]));
    world.connect(1);
    world.back_up();
    world.back_up();
    assert_eq!(world.entries(0, case), 1, "the centre lacks it");
    assert_eq!(world.state(1, &lost), EntryState::AtTheCentre);
}

/// The greeting alone tells that the entry is there, before the centre has said a word of its backups.
#[test]
fn what_a_greeting_tells_is_in_no_backup_that_was_begun_before() {
    let (mut world, case) = in_touch();
    world.cut(1);
    let note = world.note(1, case, "while away");
    let copy = world.places[1].node.store.clone();
    let number = world.begin_backup();
    world.connect(1);
    world.cut(1);
    world.keep_backup(number);
    // Its answer is lost with the disk.
    world.places[1] = world.place(1, copy);
    assert_eq!(world.state(1, &note), EntryState::SavedHere);
    world.connect(1);
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
    world.back_up();
    world.back_up();
    assert_eq!(world.state(1, &note), EntryState::BackedUp);
}

/// The centre was started again, nothing is written any more, and the edge is closed.
#[test]
fn what_was_proved_last_thing_in_the_evening_is_in_the_backup_of_the_night() {
    let (mut world, case) = in_touch();
    let note = world.note(1, case, "by day");
    world.run();
    world.cut(1);
    world.reopen(0);
    world.connect(1);
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
    world.places[1].inbox.push_back(Input::Stop);
    world.run();
    world.cut(1);
    world.reopen(1);
    world.back_up();
    world.connect(1);
    assert_eq!(world.state(1, &note), EntryState::BackedUp);
}

#[test]
fn only_the_centre_counts_backups() {
    let (mut world, case) = in_touch();
    let note = world.note(1, case, "seen");
    world.run();
    let number = world.errand(1, Errand::BeginBackup).unwrap().backup;
    world.errand(1, Errand::KeepBackup { number }).unwrap();
    assert_eq!(world.state(1, &note), EntryState::AtTheCentre);
}

/// What happens to a line and to the centre's backups, in any order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Arrives,
    Begin,
    Keep(u64),
    /// The edge loses touch, or is in touch again.
    Touch,
    /// The centre is started again.
    Restart,
    /// It comes back from a copy of its disk that lacks so much.
    Lose(u64),
    /// The edge sends again what the centre lacks, and both are found equal.
    Prove,
    /// The row in which the edge has this is damaged.
    Damage,
    /// A word of the centre comes late, after one that was said later.
    Late,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Arrives),
        6 => Just(Step::Begin),
        6 => (0..4_u64).prop_map(Step::Keep),
        2 => Just(Step::Touch),
        1 => Just(Step::Restart),
        1 => (1..4_u64).prop_map(Step::Lose),
        3 => Just(Step::Prove),
        1 => Just(Step::Damage),
        1 => Just(Step::Late),
    ];
    prop::collection::vec(step, 0..80)
}

/// One line of an edge, and the centre it comes to.
struct Pair {
    row: BackedRow,
    line: ActorRow,
    is_in_touch: bool,
    /// The opening of the centre's store, and what it says of its backups.
    opening: u8,
    backups: Backups,
    /// How far the centre has the line, and how far each backup of this opening does.
    has: u64,
    begun: Vec<u64>,
    /// How far the best backup that was put away does.
    kept: u64,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            row: BackedRow::default(),
            line: a_line(),
            is_in_touch: true,
            opening: 1,
            backups: Backups { begun: 0, kept: 0 },
            has: 0,
            begun: Vec::new(),
            kept: 0,
        }
    }

    fn takes(&mut self, step: Step) {
        match step {
            // A centre that has lost something takes nothing that builds on it.
            Step::Arrives if self.is_in_touch && self.has == self.line.centre => {
                self.has += 1;
                self.row.arrived(&mut self.line, self.has, self.row.now());
            }
            Step::Begin => {
                self.backups.begun += 1;
                self.begun.push(self.has);
            }
            Step::Keep(back) if self.backups.begun.saturating_sub(back) > self.backups.kept => {
                self.backups.kept = self.backups.begun - back;
                let kept = self.begun[self.backups.kept as usize - 1];
                self.kept = self.kept.max(kept);
            }
            Step::Touch => self.is_in_touch = !self.is_in_touch,
            Step::Restart => self.opens_anew(),
            Step::Lose(lacks) => {
                self.has = self.has.saturating_sub(lacks);
                self.opens_anew();
            }
            Step::Prove if self.is_in_touch => {
                self.has = self.line.centre;
                self.hears();
                self.row.prove(Nonce([self.opening; 16]));
            }
            Step::Damage => self.row = BackedRow::default(),
            Step::Late if self.is_in_touch && self.has == self.line.centre => {
                let opening = Nonce([self.opening; 16]);
                let begun = self.backups.begun.saturating_sub(1);
                let kept = self.backups.kept.min(begun);
                self.row.hear(opening, Backups { begun, kept });
                self.row.prove(opening);
            }
            Step::Arrives | Step::Keep(_) | Step::Prove | Step::Late => {}
        }
        self.hears();
    }

    fn opens_anew(&mut self) {
        self.opening += 1;
        self.backups = Backups { begun: 0, kept: 0 };
        self.begun.clear();
    }

    fn hears(&mut self) {
        if self.is_in_touch {
            self.row.hear(Nonce([self.opening; 16]), self.backups);
        }
    }

    fn says(&self) -> u64 {
        let all = 1..=self.line.centre;
        all.filter(|seq| self.row.has(&self.line, *seq)).count() as u64
    }
}

proptest! {
    /// A change counts as backed up only if a backup that was put away has it; and all do after one
    /// that was begun when all was proved.
    #[test]
    fn only_what_is_in_a_backup_counts_as_backed_up(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.takes(step);
            prop_assert!(pair.says() <= pair.kept, "{} of {}", pair.says(), pair.kept);
        }
        pair.is_in_touch = true;
        let last = [Step::Prove, Step::Arrives, Step::Begin, Step::Begin, Step::Keep(0)];
        last.into_iter().for_each(|step| pair.takes(step));
        prop_assert_eq!(pair.says(), pair.line.centre);
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
