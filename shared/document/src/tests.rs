//! What must hold for documents as a whole: they converge, keep every entry, and survive whatever
//! a peer sends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod converge;
mod hostile;
mod written;

use std::collections::BTreeMap;

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
        length: None,
    }
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
    let length = replica.doc.state().prose().length();
    let rows: Vec<EntryId> = replica
        .doc
        .state()
        .journal()
        .rows()
        .map(|row| row.entry)
        .collect();
    let some_entry = rows
        .get(chance.below(rows.len().max(1)))
        .copied()
        .unwrap_or_default();
    let position = chance.below(length + 1);
    let delete = chance.below((length - position).min(4) + 1);
    let text = ["", "x", "für", "😀", "a longer piece of text"];
    let alert = *chance.pick(&[AlertCode::DoNotVisitAlone, AlertCode::Weapons]);
    match chance.below(14) {
        0 => open_case(),
        1 => Command::OpenSession {
            venue: Text::from("dartford"),
            date: day(),
            start: time("10:00"),
            end: Some(time("12:00")),
            form: SessionForm::PeerLed,
        },
        2 => note("a note"),
        3 => Command::RaiseAlert {
            code: alert,
            detail: Text::from("seen"),
            review_by: None,
        },
        4 => Command::ReviewAlert {
            code: alert,
            clear: chance.below(2) == 0,
            reason: Text::from("reviewed"),
            seen: None,
        },
        5 => Command::SetStatus {
            status: *chance.pick(&[Status::Paused, Status::Closed, Status::Open]),
            reason: Text::from("agreed"),
        },
        6 => Command::SetField {
            field: *chance.pick(&[Field::Pronouns, Field::Title, Field::Room]),
            value: Text::from(*chance.pick(&text)),
        },
        7 => Command::Mark {
            attender: Attender::Person(DocumentId([chance.below(3) as u8; 16])),
            attendance: *chance.pick(Attendance::ALL),
            arrived: None,
            left: None,
        },
        8 => Command::TakeCash {
            pence: 250,
            from: None,
            what: Text::from("tea"),
        },
        9 => Command::ReverseCash {
            cash: some_entry,
            reason: Text::from("by mistake"),
        },
        10 => Command::CorrectNote {
            note: some_entry,
            text: Text::from("better"),
            reason: Text::from("wrong day"),
        },
        _ => edit(position, delete, chance.pick::<&str>(&text)),
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
