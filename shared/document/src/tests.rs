//! What must hold for documents as a whole: they converge, keep every entry, and survive whatever
//! a peer sends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod authored;
mod compacted;
mod converge;
mod crafted;
mod crowded;
mod hostile;
mod migrated;
mod named;
mod written;

use std::collections::BTreeMap;

use automerge::Automerge;
use domain::{
    Act, AlertCode, Attendance, Attender, By, Command, ContactMode, Day, Field, Role, SessionForm,
    Splice, Status, Text, TimeOfDay,
};
use names::{ActorId, ChangeHash, DocumentId, EntryId, Kind, Moment};

use crate::{Document, Performed, perform, testing::Chance};

const NOW: Moment = Moment(1_790_000_000_000);

fn day() -> Day {
    Day::of(NOW)
}

fn time(text: &str) -> TimeOfDay {
    text.parse().unwrap()
}

fn by(worker: usize) -> By {
    By {
        worker: format!("w-{worker}").parse().unwrap(),
        site: ["devizes", "bath"][worker % 2].parse().unwrap(),
        roles: vec![Role::Senior, Role::RecoveryWorker],
    }
}

fn entry(number: u64) -> EntryId {
    let mut id = [0xe0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    EntryId(id)
}

fn actor(number: usize) -> ActorId {
    ActorId([0xa0 + number as u8; 16])
}

fn open_case() -> Command {
    Command::OpenCase {
        opened: day(),
        source: Text::from("walk-in"),
    }
}

fn note(text: &str) -> Command {
    let (happened, mode) = (day(), ContactMode::Phone);
    Command::AddNote {
        happened,
        mode,
        minutes: 10,
        text: Text::from(text),
    }
}

fn edit(position: usize, delete: usize, insert: &str) -> Command {
    let splice = Splice {
        position,
        delete,
        insert: insert.to_owned(),
    };
    Command::EditText {
        splices: vec![splice],
        seen: Vec::new(),
        length: None,
    }
}

fn edit_crisis_plan(position: usize, delete: usize, insert: &str) -> Command {
    let splice = Splice {
        position,
        delete,
        insert: insert.to_owned(),
    };
    Command::EditCrisisPlan {
        splices: vec![splice],
        seen: Vec::new(),
        length: None,
    }
}

/// The command of somebody who has just looked at the document: what it has to have seen, it has.
fn looked_at(command: &Command, state: &domain::State) -> Command {
    let mut command = command.clone();
    match (&mut command, state) {
        (Command::EditText { seen, .. }, _) if seen.is_empty() => *seen = state.prose().newest(),
        (Command::EditCrisisPlan { seen, .. }, domain::State::Case(case)) if seen.is_empty() => {
            *seen = case.crisis_plan.newest();
        }
        (Command::ReviewAlert { code, seen, .. }, domain::State::Case(case)) if seen.is_none() => {
            let alert = case.alerts.get(code);
            let raises = alert.map(|alert| alert.standing()).unwrap_or_default();
            let newest = alert
                .map(|alert| alert.newest().clone())
                .unwrap_or_default();
            *seen = Some(raises.iter().map(|row| row.entry).chain(newest).collect());
        }
        _ => {}
    }
    command
}

/// A replica: a document, and who writes in it.
struct Replica {
    doc: Document,
    number: usize,
    chunks: BTreeMap<ChangeHash, Vec<u8>>,
}

impl Replica {
    fn new(kind: Kind, number: usize) -> Replica {
        Replica {
            doc: Document::new(kind).unwrap(),
            number,
            chunks: BTreeMap::new(),
        }
    }

    /// Performs a command, or does nothing when it is refused.
    fn perform(&mut self, command: &Command, id: EntryId) -> Option<Performed> {
        let command = &looked_at(command, self.doc.state());
        let done = perform(
            &mut self.doc,
            actor(self.number),
            command,
            id,
            &by(self.number),
            NOW,
        );
        let done = done.ok().flatten()?;
        self.chunks.insert(done.header.hash, done.chunk.clone());
        Some(done)
    }

    /// Takes what another has, in a random order and with some of it twice.
    fn merge(&mut self, other: &Replica, chance: &mut Chance) {
        let mut chunks: Vec<&[u8]> = other.chunks.values().map(Vec::as_slice).collect();
        for at in (1..chunks.len()).rev() {
            chunks.swap(at, chance.below(at + 1));
        }
        let again = chunks.len() / 4;
        chunks.extend_from_within(..again);
        let cut = chance.below(chunks.len() + 1);
        self.doc.apply(&chunks[..cut]);
        let flaws = self.doc.apply(&chunks[cut..]);
        assert_eq!(flaws, []);
        self.chunks.extend(other.chunks.clone());
    }
}

/// One of the things people do, whatever the kind of document: what does not fit is refused.
fn random_command(replica: &mut Replica, chance: &mut Chance) -> Command {
    let state = replica.doc.state();
    let length = state.prose().length();
    let rows: Vec<EntryId> = state.journal().rows().map(|row| row.entry).collect();
    let conflicts = state.conflicts();
    let some_entry = rows.get(chance.below(rows.len().max(1))).copied();
    let some_entry = some_entry.unwrap_or_default();
    let position = chance.below(length + 1);
    let delete = chance.below((length - position).min(4) + 1);
    let text = ["", "x", "für", "😀", "a longer piece of text"];
    let words = Text::from(*chance.pick(&text));
    let plan = state.prose_of(domain::Writing::CrisisPlan);
    let plan = plan.map_or(0, domain::merge::Prose::length);
    match chance.below(13) {
        12 => {
            let position = chance.below(plan + 1);
            let delete = chance.below((plan - position).min(4) + 1);
            edit_crisis_plan(position, delete, chance.pick::<&str>(&text))
        }
        0 | 1 => edit(position, delete, chance.pick::<&str>(&text)),
        2 => Command::SetField {
            field: *chance.pick(Field::ALL),
            value: words,
        },
        3 if !conflicts.is_empty() => {
            let conflict = chance.pick(&conflicts);
            let seen: Vec<EntryId> = conflict.values.iter().map(|value| value.entry).collect();
            Command::Settle {
                about: conflict.about.clone(),
                keep: *chance.pick(&seen),
                reason: Text::from("agreed"),
                seen,
            }
        }
        4..8 => in_case(some_entry, words, chance),
        _ => in_session(some_entry, words, chance),
    }
}

fn in_case(some_entry: EntryId, words: Text, chance: &mut Chance) -> Command {
    let alert = *chance.pick(&[AlertCode::DoNotVisitAlone, AlertCode::Weapons]);
    let later = day().plus_days(chance.below(9) as i64);
    let reason = Text::from("agreed");
    match chance.below(14) {
        0 => open_case(),
        1 => note("a note"),
        2 => Command::RaiseAlert {
            code: alert,
            detail: words,
            review_by: Some(later),
        },
        3 => Command::ReviewAlert {
            code: alert,
            clear: chance.below(2) == 0,
            reason,
            seen: None,
        },
        4 => Command::SetStatus {
            status: *chance.pick(Status::ALL),
            reason,
        },
        5 => Command::CorrectNote {
            note: some_entry,
            text: Text::from("better"),
            reason,
        },
        6 => Command::Identify {
            slot: *chance.pick(&[domain::Slot::Name, domain::Slot::Email]),
            value: words,
            reason,
        },
        7 => Command::AddTask {
            what: Text::from("ring"),
            due: Some(later),
            whom: None,
        },
        8 => Command::MoveTask {
            task: some_entry,
            due: later,
            reason,
        },
        9 => Command::CompleteTask {
            task: some_entry,
            result: words,
        },
        10 => Command::RecordOutcome {
            instrument: domain::Instrument::Phq9,
            total: chance.below(28) as u32,
            taken: day(),
            point: domain::OutcomePoint::Review,
            replaces: [some_entry][..chance.below(2)].to_vec(),
            reason,
        },
        11 => Command::SetLead {
            worker: by(chance.below(3)).worker,
            reason,
        },
        12 => Command::SetReviewDate {
            date: later,
            reason,
        },
        _ => Command::AddTheme {
            theme: *chance.pick(domain::Theme::ALL),
        },
    }
}

fn in_session(some_entry: EntryId, words: Text, chance: &mut Chance) -> Command {
    let person = Attender::Person(DocumentId([chance.below(3) as u8; 16]));
    let attender = *chance.pick(&[person, Attender::Guest(some_entry)]);
    let attendance = *chance.pick(Attendance::ALL);
    let arrived = Some(*chance.pick(&[time("10:00"), time("10:10"), time("10:40")]));
    let reason = Text::from("agreed");
    match chance.below(12) {
        0 => Command::OpenSession {
            venue: Text::from("dartford"),
            date: day(),
            start: time("10:00"),
            end: Some(time("12:00")),
            form: SessionForm::PeerLed,
        },
        1 => Command::SetPlan {
            end: None,
            form: *chance.pick(SessionForm::ALL),
            reason,
        },
        2 => Command::SetTimes {
            start: time("10:00"),
            end: *chance.pick(&[time("11:00"), time("12:00")]),
            reason,
        },
        3 | 4 => Command::Mark {
            attender,
            attendance,
            arrived,
            left: None,
        },
        5 => Command::AddGuest {
            name: Text::from("Sam"),
            attendance,
            arrived,
            left: None,
        },
        6 => Command::MatchGuest {
            guest: some_entry,
            to: Some(attender),
            reason,
        },
        7 => Command::TakeCash {
            pence: 250,
            from: Some(attender),
            what: words,
        },
        8 => Command::PayOut {
            pence: 120,
            what: Text::from("milk"),
        },
        9 => Command::ReverseCash {
            cash: some_entry,
            reason,
        },
        10 => Command::CountCash {
            pence: chance.below(3) as u32,
        },
        11 if chance.below(2) == 0 => Command::HeadCount {
            people: chance.below(3) as u32,
        },
        _ => Command::Tick {
            item: *chance.pick(domain::ChecklistItem::ALL),
        },
    }
}

/// Ids and acts of all entries, as `domain` keeps them.
fn journal(doc: &mut Document) -> Vec<(EntryId, Act)> {
    let state = doc.state();
    state
        .journal()
        .rows()
        .map(|row| (row.entry, row.value.clone()))
        .collect()
}
