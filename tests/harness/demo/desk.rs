//! The workers of one site at their edge, and what they do on a day.

use domain::{
    AlertCode, Attendance, Attender, ChecklistItem, Command, ContactMode, Day, Instrument,
    OutcomePoint, SessionForm, Slot, Splice, Text, Theme,
};
use names::{DocumentId, EntryId};
use serde_json::Value;

use super::switchboard::{BACK_MAX, Switchboard};
use crate::{
    chance::Chance,
    service::{person::Whereto, wait},
};

/// An entry that was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Its document.
    pub document: DocumentId,
    /// Its id.
    pub entry: EntryId,
}

/// One worker at a node, and everything the worker was told is saved.
#[derive(Debug)]
pub struct Worker<'a> {
    board: &'a Switchboard,
    /// The node.
    pub node: String,
    /// The worker's code.
    pub code: &'static str,
    chance: Chance,
    /// What was acknowledged.
    pub written: Vec<Written>,
    /// What was typed.
    pub typed: Vec<String>,
}

impl<'a> Worker<'a> {
    /// A worker who begins to work at a node. No two may have the same stream of chance.
    pub fn new(board: &'a Switchboard, node: &str, code: &'static str, chance: Chance) -> Self {
        let (written, typed) = (Vec::new(), Vec::new());
        Worker {
            board,
            node: node.to_owned(),
            code,
            chance,
            written,
            typed,
        }
    }

    /// Types words, which are remembered so that they can be searched for.
    pub fn types(&mut self, words: impl Into<String>) -> Text {
        let words = words.into();
        self.typed.push(words.clone());
        Text::from(words)
    }

    /// Begins a document, or does something with one.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn does(&mut self, whereto: Whereto, command: &Command) -> Result<DocumentId, String> {
        let entry = EntryId(self.chance.bytes());
        let document = self
            .board
            .send(&self.node, self.code, &whereto, entry, command)?;
        self.written.push(Written { document, entry });
        Ok(document)
    }

    /// Does something with a document.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn adds(&mut self, document: DocumentId, command: &Command) -> Result<(), String> {
        self.does(Whereto::Document(document), command).map(|_| ())
    }

    /// Looks at a document, as its node has it now.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn looks(&self, document: DocumentId) -> Result<Value, String> {
        let path = format!("/api/v1/views/documents/{document}");
        // The node may just have been killed, and be on its way back.
        let view = || self.board.client(&self.node).ok()?.get_json(&path).ok();
        wait::until(BACK_MAX, view).ok_or_else(|| format!("{} does not answer", self.node))
    }

    /// Registers somebody who walks in: who it is, what was said, what is to be done.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn meets(&mut self, name: &str, day: Day) -> Result<DocumentId, String> {
        let source = self.types(format!("{name} walked in"));
        let case = self.does(
            Whereto::New(Vec::new()),
            &Command::OpenCase {
                opened: day,
                source,
            },
        )?;
        let value = self.types(name);
        let reason = Text::default();
        self.adds(
            case,
            &Command::Identify {
                slot: Slot::Name,
                value,
                reason,
            },
        )?;
        self.adds(
            case,
            &Command::SetLead {
                worker: worker_id(self.code)?,
                reason: Text::default(),
            },
        )?;
        let text = self.types(format!(
            "{name} sleeps badly since the move and asks for company"
        ));
        let (mode, minutes) = (ContactMode::FaceToFace, 40);
        self.adds(
            case,
            &Command::AddNote {
                happened: day,
                mode,
                minutes,
                text,
            },
        )?;
        let what = self.types(format!("ring {name} about the Thursday group"));
        let due = Some(day.plus_days(2));
        self.adds(
            case,
            &Command::AddTask {
                what,
                due,
                whom: None,
            },
        )?;
        Ok(case)
    }

    /// One more thing about somebody who is known.
    fn goes_on(&mut self, case: DocumentId, name: &str, day: Day) -> Result<(), String> {
        let command = match self.chance.below(6) {
            0 | 1 => Command::AddNote {
                happened: day,
                mode: ContactMode::Phone,
                minutes: 15,
                text: self.types(format!(
                    "{name} rang; the neighbour helps with shopping now"
                )),
            },
            2 => Command::RecordOutcome {
                instrument: Instrument::Phq9,
                total: u32::try_from(self.chance.below(20)).unwrap_or(0),
                taken: day,
                point: OutcomePoint::Review,
                replaces: Vec::new(),
                reason: Text::default(),
            },
            3 => {
                let insert = self.types(format!("{name} will walk to the library twice a week. "));
                let insert = insert.as_str().to_owned();
                let splices = vec![Splice {
                    position: 0,
                    delete: 0,
                    insert,
                }];
                let plan = self.looks(case)?;
                let newest = plan.pointer("/state/plan_edits/newest").cloned();
                let seen = serde_json::from_value(newest.unwrap_or_default());
                Command::EditText {
                    splices,
                    seen: seen.map_err(|_| "a plan of no known form")?,
                    length: None,
                }
            }
            4 => Command::RaiseAlert {
                code: AlertCode::UnsafeToCall,
                detail: self.types(format!("{name} shares the telephone with others")),
                review_by: Some(day.plus_days(28)),
            },
            _ => Command::AddTheme {
                theme: Theme::Housing,
            },
        };
        self.adds(case, &command)
    }
}

/// The code of a worker.
fn worker_id(code: &str) -> Result<names::WorkerId, String> {
    code.parse()
        .map_err(|_| format!("{code} is no worker's code"))
}

/// A mark in a register, beside somebody who has a case.
pub fn mark(case: DocumentId, attendance: Attendance) -> Command {
    Command::Mark {
        attender: Attender::Person(case),
        attendance,
        arrived: None,
        left: None,
    }
}

/// The beginning of a session at ten in the morning; everybody who begins it begins the same.
///
/// # Errors
/// Never; ten in the morning is a time of day.
pub fn open_session(venue: &str, date: Day) -> Result<Command, String> {
    let start = "10:00"
        .parse()
        .map_err(|_| "not a time of day".to_owned())?;
    let (venue, form) = (Text::from(venue), SessionForm::PeerLed);
    Ok(Command::OpenSession {
        venue,
        date,
        start,
        end: None,
        form,
    })
}

/// A site's workers at their edge.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The site, whose edge has the same name.
    pub site: &'static str,
    /// Two workers, who run a register together.
    pub workers: [Worker<'a>; 2],
    chance: Chance,
    names: Vec<String>,
    cases: Vec<(DocumentId, String)>,
}

/// How much is done on a day.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// People who walk in.
    pub walk_ins: usize,
    /// Things done with cases that are there.
    pub others: usize,
    /// The last of these, which are done only once the centre stands still.
    pub held_back: usize,
    /// Whether a session is held.
    pub session: bool,
}

impl<'a> Desk<'a> {
    /// The workers of a site, and the names of all who will come.
    pub fn new(
        board: &'a Switchboard,
        site: &'static str,
        codes: [&'static str; 2],
        seed: u64,
        names: Vec<String>,
    ) -> Self {
        let stream = |code: &str| Chance::new(seed, &format!("{site} {code}"));
        let workers = codes.map(|code| Worker::new(board, site, code, stream(code)));
        Desk {
            site,
            workers,
            chance: stream("desk"),
            names,
            cases: Vec::new(),
        }
    }

    /// The first of the people who are known here.
    pub fn first_known(&self) -> Option<DocumentId> {
        self.cases.first().map(|(case, _)| *case)
    }

    /// What somebody who is known here is called.
    pub fn name_of(&self, case: DocumentId) -> Option<String> {
        let mut known = self.cases.iter();
        known
            .find(|(known, _)| *known == case)
            .map(|(_, name)| name.clone())
    }

    /// Somebody comes from another site, with a case.
    pub fn takes_over(&mut self, case: DocumentId, name: String) {
        self.cases.push((case, name));
    }

    /// Somebody goes to another site.
    pub fn gives_up(&mut self, case: DocumentId) {
        self.cases.retain(|(known, _)| *known != case);
    }

    /// A day's work. Answers the session that was held.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn day(&mut self, day: Day, venue: &str, load: Load) -> Result<Option<DocumentId>, String> {
        for _ in 0..load.walk_ins {
            let Some(name) = self.names.pop() else { break };
            let [first, second] = &mut self.workers;
            let worker = if self.chance.percent(50) {
                first
            } else {
                second
            };
            let case = worker.meets(&name, day)?;
            self.cases.push((case, name));
        }
        for left in (1..=load.others).rev() {
            if left == load.held_back {
                let [worker, _] = &self.workers;
                worker.board.waits_for_the_copy()?;
            }
            let Some((case, name)) = self.chance.pick(&self.cases).cloned() else {
                break;
            };
            let [first, second] = &mut self.workers;
            let worker = if self.chance.percent(50) {
                first
            } else {
                second
            };
            worker.goes_on(case, &name, day)?;
        }
        if load.session {
            self.session(day, venue).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A session whose register both workers run at once, once one of them has begun it.
    fn session(&mut self, day: Day, venue: &str) -> Result<DocumentId, String> {
        let mut known = self.cases.clone();
        known.truncate(6);
        let (one, other) = known.split_at(known.len() / 2);
        let [first, second] = &mut self.workers;
        let register = first.does(Whereto::New(Vec::new()), &open_session(venue, day)?)?;
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| run_register(second, register, other));
            run_register(first, register, one)?;
            beside
                .join()
                .map_err(|_| "a facilitator panicked".to_owned())?
        })?;
        let people = u32::try_from(known.len()).unwrap_or(0);
        first.adds(register, &Command::HeadCount { people })?;
        first.adds(
            register,
            &Command::Tick {
                item: ChecklistItem::ClearUp,
            },
        )?;
        Ok(register)
    }
}

/// One facilitator's half of a register: marks, and cash for the tea.
fn run_register(
    worker: &mut Worker<'_>,
    register: DocumentId,
    people: &[(DocumentId, String)],
) -> Result<(), String> {
    for (case, name) in people {
        worker.adds(register, &mark(*case, Attendance::Present))?;
        let what = worker.types(format!("tea, from {name}"));
        let from = Some(Attender::Person(*case));
        worker.adds(
            register,
            &Command::TakeCash {
                pence: 150,
                from,
                what,
            },
        )?;
    }
    Ok(())
}
