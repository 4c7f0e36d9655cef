//! What people do: commands drawn as the service would give them.

use domain::{
    AlertCode, Attendance, Attender, ChecklistItem, Command, ContactMode, Day, Field, Instrument,
    OutcomePoint, SessionForm, Slot, Splice, State, Status, Text, Theme, TimeOfDay,
};
use names::{DocumentId, EntryId, Kind, Moment, WorkerId};

use crate::{
    chance::Chance,
    people::{MARKER, Memory},
};

/// A command, and what was typed into it if that must be found again as it was typed.
pub struct Drawn {
    /// The command.
    pub command: Command,
    /// What was typed.
    pub typed: Option<String>,
}

/// Somebody looks at the record before deciding: what it says there, if it can be opened.
pub type Look<'a> = dyn FnMut() -> Option<State> + 'a;

/// Draws commands. Every text typed is different.
#[derive(Debug)]
pub struct Habits {
    chance: Chance,
    typed: u64,
    long_percent: u64,
    workers: Vec<WorkerId>,
}

/// Bytes of the longest texts: below what a note may have.
const LONG_BYTES: u64 = 60_000;

impl Habits {
    /// Habits of people who know these workers, and write at length so often in a hundred times.
    pub fn new(chance: Chance, workers: Vec<WorkerId>, long_percent: u64) -> Habits {
        Habits {
            chance,
            typed: 0,
            long_percent,
            workers,
        }
    }

    fn words(&mut self) -> String {
        self.sized_words(60)
    }

    /// What is written into a note, which may be long.
    fn long_words(&mut self) -> String {
        let long = self.chance.percent(self.long_percent);
        self.sized_words(if long { LONG_BYTES } else { 300 })
    }

    fn sized_words(&mut self, most: u64) -> String {
        self.typed += 1;
        let length = self.chance.index(usize::try_from(most).unwrap_or(60));
        format!(
            "{MARKER}{:06} {}",
            self.typed,
            "and so on ".repeat(length / 10)
        )
    }

    fn day(&mut self, now: Moment) -> Day {
        Day::of(now).plus_days(i64::try_from(self.chance.below(30)).unwrap_or(0) - 10)
    }

    fn time(&mut self, from: u16) -> TimeOfDay {
        let hour = from.min(22) + u16::try_from(self.chance.below(2)).unwrap_or(0);
        let minute = u16::try_from(self.chance.below(12) * 5).unwrap_or(0);
        TimeOfDay::new(hour, minute).expect("an hour below 24 and a minute below 60")
    }

    fn one<T: Copy>(&mut self, first: T, all: &[T]) -> T {
        self.chance.pick(all).copied().unwrap_or(first)
    }

    /// Somebody in a register: a person with a case, or a guest who was entered. There are few, so
    /// that two facilitators mark the same one.
    fn attender(&mut self, memory: &Memory, cases: &[DocumentId]) -> Option<Attender> {
        let person = self.chance.pick(cases).copied().map(Attender::Person);
        let guest = self
            .chance
            .pick(&memory.guests)
            .copied()
            .map(Attender::Guest);
        if self.chance.percent(50) {
            person.or(guest)
        } else {
            guest.or(person)
        }
    }

    fn add_guest(&mut self, name: Text) -> Command {
        Command::AddGuest {
            name,
            attendance: self.one(Attendance::Present, Attendance::ALL),
            arrived: None,
            left: None,
        }
    }

    /// One of the values of a conflict, by somebody who has looked at all of them.
    fn settle(&mut self, reason: Text, look: &mut Look<'_>) -> Option<Command> {
        let conflicts = look()?.conflicts();
        let conflict = self.chance.pick(&conflicts)?;
        let seen: Vec<EntryId> = conflict.values.iter().map(|value| value.entry).collect();
        Some(Command::Settle {
            about: conflict.about.clone(),
            keep: self.chance.pick(&seen).copied()?,
            reason,
            seen,
        })
    }

    /// A review of an alert, by somebody who has looked at all that was said of it.
    fn review(&mut self, reason: Text, look: &mut Look<'_>) -> Option<Command> {
        let (code, clear) = (self.alert(), self.chance.percent(60));
        let Some(State::Case(case)) = look() else {
            return None;
        };
        let alert = case.alerts.get(&code)?;
        let standing = alert.standing().into_iter().map(|raise| raise.entry);
        let seen = standing.chain(alert.newest().iter().copied()).collect();
        Some(Command::ReviewAlert {
            code,
            clear,
            reason,
            seen: Some(seen),
        })
    }

    fn splices(&mut self, memory: &mut Memory) -> (Vec<Splice>, Option<String>) {
        let mut insert = self.long_words();
        insert.push('\n');
        // Rarely somebody also deletes; from then on words typed earlier need not be there.
        let delete = usize::from(self.chance.percent(5));
        memory.rough |= delete > 0;
        let typed = (delete == 0).then(|| insert.clone());
        (
            vec![Splice {
                position: 0,
                delete,
                insert,
            }],
            typed,
        )
    }

    /// The beginning of a case.
    pub fn open_case(&mut self, now: Moment) -> Drawn {
        let source = self.words();
        let command = Command::OpenCase {
            opened: Day::of(now),
            source: Text::from(&*source),
        };
        Drawn {
            command,
            typed: Some(source),
        }
    }

    /// The beginning of a session.
    pub fn open_session(&mut self, venue: &str, date: Day, hour: u16) -> Drawn {
        let start = TimeOfDay::new(hour, 0).expect("an hour of the day");
        let form = self.one(SessionForm::PeerLed, SessionForm::ALL);
        let venue = Text::from(venue);
        let command = Command::OpenSession {
            venue,
            date,
            start,
            end: None,
            form,
        };
        Drawn {
            command,
            typed: None,
        }
    }

    /// Something to do with a document that is there. `cases` are people who may attend.
    pub fn go_on(
        &mut self,
        kind: Kind,
        memory: &mut Memory,
        cases: &[DocumentId],
        now: Moment,
        look: &mut Look<'_>,
    ) -> Drawn {
        if kind == Kind::CASE && self.chance.percent(25) {
            return self.note(now);
        }
        let words = self.words();
        let text = Text::from(&*words);
        let command = if kind == Kind::SESSION {
            self.in_session(&text, memory, cases, look)
        } else {
            self.in_case(&text, memory, now, look)
        };
        match command {
            Some(command) => Drawn {
                command,
                typed: Some(words),
            },
            None => self.plain(kind, memory, cases, now, look),
        }
    }

    fn note(&mut self, now: Moment) -> Drawn {
        let words = self.long_words();
        let command = Command::AddNote {
            happened: Day::of(now),
            mode: self.one(ContactMode::Phone, ContactMode::ALL),
            minutes: u32::try_from(self.chance.below(90)).unwrap_or(0),
            text: Text::from(&*words),
        };
        Drawn {
            command,
            typed: Some(words),
        }
    }

    /// A command of a case, other than a note, into which something is typed.
    fn in_case(
        &mut self,
        text: &Text,
        memory: &Memory,
        now: Moment,
        look: &mut Look<'_>,
    ) -> Option<Command> {
        let note = self.chance.pick(&memory.notes).copied();
        let task = self.chance.pick(&memory.tasks).copied();
        let text = text.clone();
        let reason = text.clone();
        Some(match self.chance.between(24, 99) {
            24..35 => Command::RaiseAlert {
                code: self.alert(),
                detail: text,
                review_by: Some(self.day(now)),
            },
            35..43 => self.review(reason, look)?,
            43..51 => Command::AddTask {
                what: text,
                due: Some(self.day(now)),
                whom: self.chance.pick(&self.workers).cloned(),
            },
            51..56 => Command::CompleteTask {
                task: task?,
                result: text,
            },
            56..59 => Command::MoveTask {
                task: task?,
                due: self.day(now),
                reason,
            },
            59..63 => Command::CorrectNote {
                note: note?,
                text,
                reason: Text::from("a slip"),
            },
            63..69 => Command::SetStatus {
                status: self.one(Status::Open, Status::ALL),
                reason,
            },
            69..72 => Command::SetLead {
                worker: self.chance.pick(&self.workers).cloned()?,
                reason,
            },
            72..76 => Command::SetReviewDate {
                date: self.day(now),
                reason,
            },
            76..83 => {
                let slots = [Slot::Name, Slot::KnownAs, Slot::Address, Slot::GpPractice];
                Command::Identify {
                    slot: self.one(Slot::Name, &slots),
                    value: text,
                    reason: Text::default(),
                }
            }
            83..86 => {
                let fields = [
                    Field::Pronouns,
                    Field::PreferredContact,
                    Field::CommunicationNeeds,
                ];
                Command::SetField {
                    field: self.one(Field::Pronouns, &fields),
                    value: text,
                }
            }
            86..91 => self.settle(reason, look)?,
            _ => return None,
        })
    }

    fn alert(&mut self) -> AlertCode {
        let often = [AlertCode::DoNotVisitAlone, AlertCode::SuicidalThoughts];
        if self.chance.percent(70) {
            self.one(AlertCode::DoNotVisitAlone, &often)
        } else {
            self.one(AlertCode::Weapons, AlertCode::ALL)
        }
    }

    /// A command of a session into which something is typed.
    fn in_session(
        &mut self,
        text: &Text,
        memory: &Memory,
        cases: &[DocumentId],
        look: &mut Look<'_>,
    ) -> Option<Command> {
        let pence = u32::try_from(self.chance.between(50, 2_000)).unwrap_or(50);
        let cash = self.chance.pick(&memory.cash).copied();
        let text = text.clone();
        Some(match self.chance.below(100) {
            0..25 => {
                let named = self.chance.percent(50);
                let from = self.attender(memory, cases).filter(|_| named);
                Command::TakeCash {
                    pence,
                    from,
                    what: text,
                }
            }
            25..32 => Command::PayOut { pence, what: text },
            32..37 => Command::ReverseCash {
                cash: cash?,
                reason: text,
            },
            37..42 => {
                let fields = [Field::Title, Field::Activities, Field::Room];
                Command::SetField {
                    field: self.one(Field::Title, &fields),
                    value: text,
                }
            }
            42..46 => Command::SetTimes {
                start: self.time(9),
                end: self.time(12),
                reason: text,
            },
            46..48 => Command::SetPlan {
                end: Some(self.time(19)),
                form: self.one(SessionForm::PeerLed, SessionForm::ALL),
                reason: text,
            },
            48..54 => self.add_guest(text),
            54..56 => Command::MatchGuest {
                guest: self.chance.pick(&memory.guests).copied()?,
                to: self.attender(memory, cases),
                reason: text,
            },
            56..60 => self.settle(text, look)?,
            _ => return None,
        })
    }

    /// A command that says something by codes and numbers, or an edit of the text.
    fn plain(
        &mut self,
        kind: Kind,
        memory: &mut Memory,
        cases: &[DocumentId],
        now: Moment,
        look: &mut Look<'_>,
    ) -> Drawn {
        let command = match (kind == Kind::SESSION, self.chance.below(100)) {
            (_, 0..35) => {
                let (splices, typed) = self.splices(memory);
                let text = look()
                    .map(|state| state.prose().clone())
                    .unwrap_or_default();
                let command = Command::EditText {
                    splices,
                    seen: text.newest(),
                    length: Some(text.length()),
                };
                return Drawn { command, typed };
            }
            (true, 35..75) => {
                let Some(attender) = self.attender(memory, cases) else {
                    let name = self.words();
                    let command = self.add_guest(Text::from(&*name));
                    let typed = Some(name);
                    return Drawn { command, typed };
                };
                Command::Mark {
                    attender,
                    attendance: self.one(Attendance::Present, Attendance::ALL),
                    arrived: None,
                    left: None,
                }
            }
            (true, 75..83) => Command::CountCash {
                pence: u32::try_from(self.chance.below(5_000)).unwrap_or(0),
            },
            (true, 83..90) => Command::HeadCount {
                people: u32::try_from(self.chance.below(40)).unwrap_or(0),
            },
            (true, _) => Command::Tick {
                item: self.one(ChecklistItem::SetUp, ChecklistItem::ALL),
            },
            (false, 35..70) => Command::RecordOutcome {
                instrument: self.one(Instrument::Phq9, &[Instrument::Phq9, Instrument::Gad7]),
                total: u32::try_from(self.chance.below(22)).unwrap_or(0),
                taken: Day::of(now),
                point: self.one(OutcomePoint::Start, OutcomePoint::ALL),
                replaces: Vec::new(),
                reason: Text::default(),
            },
            (false, _) => Command::AddTheme {
                theme: self.one(Theme::Housing, Theme::ALL),
            },
        };
        Drawn {
            command,
            typed: None,
        }
    }
}
