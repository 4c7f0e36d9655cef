//! The rivals' set, said in this service's own commands: what people ask for, drawn from a seed.
//!
//! The rivals' cases have one change that creates them, twelve notes and four totals, by three
//! actors. Here a case is opened, named and given its plan by commands of their own, so it has
//! eleven notes and three totals: seventeen changes all the same, with texts of the same length
//! drawn from a vocabulary of the same size. A register is opened and gets fifteen marks.

use domain::{
    Attendance, Command, ContactMode, Day, Instrument, OutcomePoint, SessionForm, Slot, Splice,
    Text, TimeOfDay,
};
use harness::chance::Chance;
use names::{EntryId, WorkerId};

use crate::failure::{Outcome, failed};

/// The seed of everything that is drawn.
pub(crate) const SEED: u64 = 1;
/// Workers of the site. Three of them write in a case, one keeps a register.
pub(crate) const WORKERS: u64 = 40;
/// Changes of a case.
const CASE_CHANGES: usize = 17;
/// Changes of a register.
const REGISTER_CHANGES: usize = 16;
/// There is a register for so many cases.
const CASES_PER_REGISTER: u64 = 20;
/// Bytes of a plan.
const PLAN_BYTES: usize = 600;
/// Bytes of the shortest note.
const NOTE_BYTES: usize = 200;
/// How much longer notes are, in turn.
const NOTE_SPREAD: usize = 41;
/// The change with which the second worker of a case takes over, and the third.
const TAKES_OVER: [usize; 2] = [6, 12];

const FIRST_NAMES: [&str; 10] = [
    "Aisha", "Ben", "Chloe", "Dev", "Ella", "Femi", "Grace", "Harun", "Isla", "Jack",
];
const LAST_NAMES: [&str; 10] = [
    "Smith", "Patel", "Okafor", "Jones", "Khan", "Evans", "Nowak", "Brown", "Begum", "Taylor",
];

/// The words of notes and plans: as many different ones as in the rivals' set, because that
/// decides how well they can be packed.
const WORDS: &str = "the and to of a in was with for that is he she they on at not but this had \
    has have been from will would could family mother father sister school session visit home \
    call called left message agreed plan next week reviewed change changed noted today yesterday \
    morning evening support worker nurse doctor clinic attended missed late early calm upset \
    tired better worse same reported said asked told wants needs help money housing benefit \
    letter form signed consent shared referral team meeting lead manager duty out hours hospital \
    ward discharge admission medication dose tablets daily weekly monthly pain sleep eating \
    walking exercise group therapy talk listening anxious low mood stable improving harm thoughts \
    safe safety contact number phone text email offered declined accepted booked cancelled \
    rescheduled arranged transport bus taxi lift weather rain cold garden shop shopping food \
    cooking cleaning neighbour friend partner children baby toddler teenager uncle aunt \
    grandparent court police solicitor hearing date order report statement evidence concern \
    concerns raised escalate monitor outcome goals progress review due completed pending urgent \
    routine follow up action owner deadline record recorded updated checked confirmed";

/// One thing that somebody asks for.
pub(crate) struct Step {
    /// Who.
    pub(crate) worker: WorkerId,
    /// The entry's id.
    pub(crate) entry: EntryId,
    /// What.
    pub(crate) command: Command,
}

/// How much of its history every document has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// All of the rivals' set.
    Whole,
    /// Cases with their opening alone, and no registers: where a hundred thousand documents are to
    /// be held, their number counts and not what is in them.
    Openings,
}

impl Depth {
    /// How many registers go with so many cases.
    pub(crate) fn registers(self, cases: u64) -> u64 {
        match self {
            Depth::Whole => cases / CASES_PER_REGISTER,
            Depth::Openings => 0,
        }
    }

    /// How many changes so many cases have, with their registers.
    pub(crate) fn changes(self, cases: u64) -> u64 {
        match self {
            Depth::Whole => {
                cases * CASE_CHANGES as u64 + self.registers(cases) * REGISTER_CHANGES as u64
            }
            Depth::Openings => cases,
        }
    }
}

/// A worker by number.
pub(crate) fn worker(number: u64) -> WorkerId {
    format!("worker-{number}").parse().expect("a code")
}

/// A text of `bytes` bytes.
fn text(chance: &mut Chance, bytes: usize) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(chance.pick(&words).copied().unwrap_or_default());
        if chance.below(12) == 0 {
            text.push('.');
        }
    }
    text.truncate(bytes);
    text
}

fn day(text: &str) -> Outcome<Day> {
    text.parse().map_err(failed("a day"))
}

fn step(chance: &mut Chance, worker: WorkerId, command: Command) -> Step {
    Step {
        worker,
        entry: EntryId(chance.bytes()),
        command,
    }
}

/// A note of the usual length about some day. `turn` makes lengths differ.
fn note(chance: &mut Chance, happened: Day, turn: usize) -> Command {
    let mode = chance.pick(ContactMode::ALL).copied();
    Command::AddNote {
        happened,
        mode: mode.unwrap_or(ContactMode::Phone),
        minutes: u32::try_from(chance.below(90)).unwrap_or(0),
        text: Text::from(text(chance, NOTE_BYTES + (turn * 3) % NOTE_SPREAD)),
    }
}

/// One more note for a case that exists: what changes while two nodes are apart.
///
/// # Errors
/// None in practice: the day is a fixed one.
pub(crate) fn one_more_note(chance: &mut Chance) -> Outcome<Step> {
    let author = worker(chance.below(WORKERS));
    let command = note(chance, day("2025-02-03")?, 7);
    Ok(step(chance, author, command))
}

/// A case from its opening to its last note, or its opening alone.
///
/// # Errors
/// None in practice: days are drawn within the calendar.
pub(crate) fn case(number: u64, depth: Depth) -> Outcome<Vec<Step>> {
    let turns = match depth {
        Depth::Whole => CASE_CHANGES,
        Depth::Openings => 1,
    };

    let chance = &mut Chance::new(SEED, &format!("case {number}"));
    let first = chance.below(WORKERS);
    let team = [0, 1, 2].map(|more| worker((first + more) % WORKERS));
    let opened = day("2024-01-08")?.plus_days(i64::try_from(chance.below(200)).unwrap_or(0));
    let name = [
        chance.pick(&FIRST_NAMES).copied().unwrap_or_default(),
        chance.pick(&LAST_NAMES).copied().unwrap_or_default(),
    ];
    let mut steps = Vec::with_capacity(turns);
    for turn in 0..turns {
        let writer = TAKES_OVER.iter().filter(|from| turn >= **from).count();
        let on = opened.plus_days(i64::try_from(turn * 7).unwrap_or(0));
        let command = match turn {
            0 => Command::OpenCase {
                opened,
                source: Text::from(text(chance, 40)),
            },
            1 => Command::Identify {
                slot: Slot::Name,
                value: Text::from(name.join(" ")),
                reason: Text::default(),
            },
            2 => Command::EditText {
                splices: vec![Splice {
                    position: 0,
                    delete: 0,
                    insert: text(chance, PLAN_BYTES),
                }],
                seen: Vec::new(),
                length: Some(0),
            },
            5 => total(chance, Instrument::Phq9, OutcomePoint::Start, on),
            10 => total(chance, Instrument::Gad7, OutcomePoint::Review, on),
            15 => total(chance, Instrument::Phq9, OutcomePoint::End, on),
            _ => note(chance, on, turn),
        };
        let by = team.get(writer).cloned().unwrap_or_else(|| worker(first));
        steps.push(step(chance, by, command));
    }
    Ok(steps)
}

fn total(chance: &mut Chance, instrument: Instrument, point: OutcomePoint, taken: Day) -> Command {
    let (least, most) = instrument.range();
    let total = chance.between(u64::from(least), u64::from(most));
    Command::RecordOutcome {
        instrument,
        total: u32::try_from(total).unwrap_or(least),
        taken,
        point,
        replaces: Vec::new(),
        reason: Text::default(),
    }
}

/// A session's register: its opening and fifteen marks.
///
/// # Errors
/// None in practice: the day and the times are fixed ones.
pub(crate) fn register(number: u64) -> Outcome<Vec<Step>> {
    let chance = &mut Chance::new(SEED, &format!("register {number}"));
    let keeper = worker(chance.below(WORKERS));
    let time = |text: &str| text.parse::<TimeOfDay>().map_err(failed("a time"));
    let open = Command::OpenSession {
        venue: Text::from(format!("hall-{number}")),
        date: day("2024-06-03")?,
        start: time("10:00")?,
        end: Some(time("12:00")?),
        form: SessionForm::PeerLed,
    };
    let marks = [Attendance::Present, Attendance::Absent, Attendance::Late];
    let mut steps = vec![step(chance, keeper.clone(), open)];
    for place in 1..REGISTER_CHANGES as u64 {
        let guest = format!("person-{:04}", number * 15 + place);
        let mark = Command::AddGuest {
            name: Text::from(guest),
            attendance: chance.pick(&marks).copied().unwrap_or(Attendance::Present),
            arrived: None,
            left: None,
        };
        steps.push(step(chance, keeper.clone(), mark));
    }
    Ok(steps)
}
