//! The demo's week: who does what on which day, which links fail and which edge is killed.
//!
//! Most of it is drawn from the seed. A few things are told, so that every run shows what the
//! service is for: one case that two sites edit while they cannot hear one another, one register
//! that a facilitator and somebody on the telephone keep at once, a centre that is copied and an edge
//! that is killed while people type, a case that goes to another site, two laptops.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
    time::Duration,
};

use domain::{AlertCode, Attendance, Command, Day, Slot, Status, Text};
use names::{DocumentId, ScopeId};

use super::{
    desk::{Desk, Load, Worker, Written, mark, open_session},
    fall::{self, Copy},
    handover::{self, FROM, Handover},
    laptops::{Devices, Laptops, REVOKED},
    mishaps::{self, KILLED},
    screen::Screen,
    switchboard::Switchboard,
    town::{DAYS, Names, TOWN, venues},
};
use crate::{
    chance::Chance,
    service::{Service, client::Client, person::Whereto, wait},
};

/// What the week came to.
#[derive(Debug)]
pub struct Record {
    /// What was acknowledged, by node.
    pub written: BTreeMap<String, Vec<Written>>,
    /// Everything that was typed.
    pub typed: BTreeSet<String>,
    /// The case that went from Devizes to Bath.
    pub moved: DocumentId,
}

impl Record {
    /// The node that tells how far got what was written in a document at `node`: the centre, where
    /// that node has handed the case over or is no more.
    pub fn teller<'n>(&self, node: &'n str, document: DocumentId) -> &'n str {
        let has_left = node == FROM && document == self.moved;
        if has_left || node == REVOKED {
            "centre"
        } else {
            node
        }
    }
}

/// A week that is over.
#[derive(Debug)]
pub struct Past {
    /// What it came to.
    pub record: Record,
    /// The copy of the centre that was made on Tuesday.
    pub copy: Copy,
    /// The devices that came and went.
    pub devices: Devices,
}

/// A week under way.
struct Week<'a> {
    service: &'a mut Service,
    screen: &'a mut Screen,
    board: &'a Switchboard,
    desks: Vec<Desk<'a>>,
    /// Those who work at the centre: on duty, and on the telephone.
    duty: Worker<'a>,
    phone: Worker<'a>,
    laptops: Laptops<'a>,
    is_fast: bool,
    /// The case of somebody who moves between Devizes and Swindon.
    moving: Option<DocumentId>,
    /// The copy of the centre, once it is made.
    copy: Option<Copy>,
    /// The case that goes to Bath, once it does.
    handover: Option<Handover>,
}

/// Lets the week pass.
///
/// # Errors
/// What did not work, in words.
pub fn run(
    service: &mut Service,
    screen: &mut Screen,
    seed: u64,
    is_fast: bool,
) -> Result<Past, String> {
    let board = Switchboard::default();
    for host in service.hosts() {
        board.set(host.name(), host.client()?);
    }
    let mut chance = Chance::new(seed, "week");
    let mut names = Names::new(&mut chance);
    let mut desks = Vec::new();
    for site in TOWN {
        let [(one, ..), (other, ..), ..] = site.workers else {
            return Err(format!("{} has too few workers", site.name));
        };
        desks.push(Desk::new(
            &board,
            site.id,
            [*one, *other],
            seed,
            names.draw(20),
        ));
    }
    let stream = |who: &str| Chance::new(seed, who);
    let [one, other] = [names.draw(1).concat(), names.draw(1).concat()];
    let mut week = Week {
        service,
        screen,
        board: &board,
        desks,
        duty: Worker::new(&board, "centre", "tom", stream("on duty")),
        phone: Worker::new(&board, "centre", "vera", stream("on the telephone")),
        laptops: Laptops::new(&board, seed, [one, other]),
        is_fast,
        moving: None,
        copy: None,
        handover: None,
    };
    week.pass()?;
    week.over()
}

impl Week<'_> {
    fn pass(&mut self) -> Result<(), String> {
        for (number, (name, date)) in DAYS.into_iter().enumerate() {
            let day: Day = date.parse().map_err(|_| format!("{date} is no day"))?;
            let before = self.board.written.load(Ordering::SeqCst);
            let mut news = self.morning(name, day)?;
            let register = self.everybody_works(number, name, day)?;
            match (name, register) {
                ("Wed", Some(register)) => self.both_sides_of_a_cut(day, register)?,
                ("Sun", _) => self.somebody_settles()?,
                _ => {}
            }
            match name {
                "Tue" => news.extend(self.copy.as_ref().map(Copy::news)),
                "Thu" => news.push(mishaps::after_the_kill(self.board)?),
                "Sat" => news.extend(self.saturday_evening()?),
                _ => {}
            }
            self.tell(name, before, &news);
            if name == "Fri" {
                self.friday_evening()?;
            }
        }
        self.screen
            .progress("waiting until everything is at the centre ...");
        self.service.rest()
    }

    /// What happens before anybody works.
    fn morning(&mut self, name: &str, day: Day) -> Result<Vec<String>, String> {
        let news = match name {
            "Mon" => {
                self.laptops.monday(day)?;
                self.monday(day)?
            }
            "Wed" => mishaps::cut(self.service, self.board)?,
            "Fri" => {
                self.handover = Some(handover::goes(self.board, &mut self.desks, day)?);
                "The centre hands a case of Devizes' over to Bath, which goes on with it. Devizes \
                 has not heard, and goes on with it too."
                    .to_owned()
            }
            "Sat" => {
                mishaps::slow_down(self.service, self.board)?;
                self.laptops.saturday(self.service, day)?
            }
            "Sun" => self.laptops.sunday(self.service, day)?,
            _ => return Ok(Vec::new()),
        };
        Ok(vec![news])
    }

    /// The links are back, and what Devizes wrote in the case that has gone to Bath arrives there.
    fn friday_evening(&mut self) -> Result<(), String> {
        self.screen.progress("       the links are back ...");
        let news = mishaps::mend(self.service)?;
        self.screen.prose(7, &news);
        let handover = self.handover.as_ref().ok_or("no case has gone to Bath")?;
        let news = handover.arrives(self.board, &mut self.desks)?;
        self.screen.prose(7, &news);
        Ok(())
    }

    /// The centre is backed up, so that Devizes may let the case go.
    fn saturday_evening(&mut self) -> Result<[String; 2], String> {
        let slow = mishaps::after_the_slow_day(self.board);
        let handover = self.handover.as_ref().ok_or("no case has gone to Bath")?;
        Ok([slow, handover.is_let_go(self.service, self.board)?])
    }

    /// What the week came to.
    fn over(self) -> Result<Past, String> {
        let (at_laptops, devices) = self.laptops.over()?;
        let workers = self.desks.into_iter().flat_map(|desk| desk.workers);
        let workers = workers.chain([self.duty, self.phone]).chain(at_laptops);
        let handover = self.handover.ok_or("no case has gone to Bath")?;
        let mut record = Record {
            written: BTreeMap::new(),
            typed: BTreeSet::new(),
            moved: handover.case,
        };
        for worker in workers {
            let written = record.written.entry(worker.node).or_default();
            written.extend(worker.written);
            record.typed.extend(worker.typed);
        }
        Ok(Past {
            record,
            copy: self.copy.ok_or("the centre was not copied")?,
            devices,
        })
    }

    /// A line for a day, and what happened on it.
    fn tell(&mut self, name: &str, before: usize, news: &[String]) {
        let entries = self.board.written.load(Ordering::SeqCst) - before;
        self.screen.line(&format!("  {name}  {entries:>3} entries"));
        for news in news {
            self.screen.prose(7, news);
        }
    }

    /// All five sites at once, each at its edge. Answers the session that Kent held.
    fn everybody_works(
        &mut self,
        number: usize,
        name: &str,
        day: Day,
    ) -> Result<Option<DocumentId>, String> {
        let weekend = matches!(name, "Sat" | "Sun");
        let load = Load {
            walk_ins: if weekend {
                0
            } else {
                1 + usize::from(!self.is_fast)
            },
            others: if self.is_fast { 3 } else { 8 },
            held_back: 0,
            session: matches!(name, "Tue" | "Wed" | "Sat"),
        };
        let before = self.board.written.load(Ordering::SeqCst);
        self.board.begin_anew(KILLED);
        let Week {
            service,
            screen,
            board,
            desks,
            copy,
            ..
        } = self;
        std::thread::scope(|scope| {
            let mut working = Vec::new();
            for desk in desks.iter_mut() {
                let halls = venues(desk.site);
                let venue = halls
                    .get(number % halls.len())
                    .copied()
                    .unwrap_or("the hall");
                let load = mishaps::load_on(name, desk.site, load);
                working.push(scope.spawn(move || Ok((desk.site, desk.day(day, venue, load)?))));
            }
            match name {
                "Tue" => *copy = Some(fall::copy_under_load(service, board)?),
                "Thu" => mishaps::kill_one(service, board)?,
                _ => {}
            }
            while working.iter().any(|thread| !thread.is_finished()) {
                let entries = board.written.load(Ordering::SeqCst) - before;
                screen.progress(&format!("  {name}  {entries:>3} entries ..."));
                let all = || {
                    working
                        .iter()
                        .all(|thread| thread.is_finished())
                        .then_some(())
                };
                wait::until(Duration::from_millis(100), all);
            }
            let mut kents = None;
            for thread in working {
                let done: Result<_, String> = thread
                    .join()
                    .map_err(|_| "somebody panicked at work".to_owned())?;
                let (site, register) = done?;
                kents = if site == "kent" { register } else { kents };
            }
            Ok(kents)
        })
    }

    /// At the centre a case is opened that two sites will share.
    fn monday(&mut self, day: Day) -> Result<String, String> {
        let scopes = ["site:devizes", "site:swindon"].map(str::parse::<ScopeId>);
        let scopes: Result<Vec<_>, _> = scopes.into_iter().collect();
        let scopes = scopes.map_err(|error| error.to_string())?;
        let duty = &mut self.duty;
        let source = duty.types("Quentin Inkpen-Vellacott, by letter");
        let open = Command::OpenCase {
            opened: day,
            source,
        };
        let case = duty.does(Whereto::New(scopes), &open)?;
        let value = duty.types("Quentin Inkpen-Vellacott");
        let reason = Text::default();
        duty.adds(
            case,
            &Command::Identify {
                slot: Slot::Name,
                value,
                reason,
            },
        )?;
        let detail = duty.types("the brother's dog bit a visitor");
        let code = AlertCode::DoNotVisitAlone;
        duty.adds(
            case,
            &Command::RaiseAlert {
                code,
                detail,
                review_by: None,
            },
        )?;
        self.moving = Some(case);
        for site in ["devizes", "swindon"] {
            let client = self.board.client(site)?;
            wait::for_it(
                "the shared case at its sites",
                crate::service::REST_MAX,
                || Ok(client.get(&format!("/api/v1/views/documents/{case}"))?),
            )?;
        }
        Ok("The centre opens a case that Devizes and Swindon share.".to_owned())
    }

    /// What is done on both sides of a cut, with the same case and the same register.
    #[expect(
        clippy::too_many_lines,
        reason = "one scene, told in the order in which it happens"
    )]
    fn both_sides_of_a_cut(&mut self, day: Day, register: DocumentId) -> Result<(), String> {
        let case = self.moving.ok_or("no case is shared")?;
        let (code, slot) = (AlertCode::DoNotVisitAlone, Slot::Phone);
        let said = |digits: &str| Text::from(digits);
        let mut attends = None;
        for desk in &mut self.desks {
            let known = desk.first_known();
            let [worker, senior] = &mut desk.workers;
            match desk.site {
                "devizes" => {
                    let reason = worker.types("the dog lives elsewhere now");
                    let view = worker.looks(case)?;
                    let seen = view.pointer("/state/alerts/0/in_view").cloned();
                    let seen = serde_json::from_value(seen.unwrap_or_default())
                        .map_err(|_| "an alert of no known form")?;
                    worker.adds(
                        case,
                        &Command::ReviewAlert {
                            code,
                            clear: true,
                            reason,
                            seen: Some(seen),
                        },
                    )?;
                    let value = worker.types("01380 496 0123");
                    worker.adds(
                        case,
                        &Command::Identify {
                            slot,
                            value,
                            reason: said(""),
                        },
                    )?;
                    let reason = senior.types("away until Easter");
                    senior.adds(
                        case,
                        &Command::SetStatus {
                            status: Status::Paused,
                            reason,
                        },
                    )?;
                }
                "swindon" => {
                    let detail = worker.types("the brother threatened the postman");
                    worker.adds(
                        case,
                        &Command::RaiseAlert {
                            code,
                            detail,
                            review_by: None,
                        },
                    )?;
                    let value = worker.types("01793 496 0456");
                    worker.adds(
                        case,
                        &Command::Identify {
                            slot,
                            value,
                            reason: said(""),
                        },
                    )?;
                    let reason = senior.types("waits for a flat");
                    senior.adds(
                        case,
                        &Command::SetStatus {
                            status: Status::Waiting,
                            reason,
                        },
                    )?;
                }
                "kent" => {
                    let somebody = known.ok_or("nobody is known in Kent")?;
                    worker.adds(register, &mark(somebody, Attendance::Present))?;
                    attends = Some(somebody);
                }
                _ => {}
            }
        }
        let halls = venues("kent");
        let venue = halls.get(2).copied().unwrap_or("Swanley");
        let scope = "site:kent".parse().map_err(|_| "no scope".to_owned())?;
        let phone = &mut self.phone;
        let same = phone.does(Whereto::New(vec![scope]), &open_session(venue, day)?)?;
        let somebody = attends.ok_or("Kent has no desk")?;
        phone.adds(register, &mark(somebody, Attendance::Apology))?;
        if same == register {
            Ok(())
        } else {
            Err("two registers of one session".to_owned())
        }
    }

    /// Somebody who may looks at one of the conflicts and settles it.
    fn somebody_settles(&mut self) -> Result<(), String> {
        self.service.rest()?;
        let case = self.moving.ok_or("no case is shared")?;
        let client = self.board.client("centre")?;
        let settle = settle_phone(&client, case, &mut self.duty)?;
        self.duty.adds(case, &settle)?;
        mishaps::speed_up(self.service)
    }
}

/// Keeps the number that Swindon was given.
fn settle_phone(
    client: &Client,
    case: DocumentId,
    worker: &mut Worker<'_>,
) -> Result<Command, String> {
    let view = client.get_json(&format!("/api/v1/views/documents/{case}"))?;
    let conflicts = view
        .pointer("/state/conflicts")
        .and_then(|list| list.as_array());
    let phone = conflicts.into_iter().flatten().find(|conflict| {
        conflict
            .pointer("/about/kind")
            .is_some_and(|kind| kind == "identifier")
    });
    let phone = phone.ok_or("the two telephone numbers are no conflict")?;
    let values = phone.get("values").and_then(|values| values.as_array());
    let swindons = values
        .into_iter()
        .flatten()
        .find(|value| value["site"] == "swindon");
    let keep = swindons.and_then(|value| value.get("entry")?.as_str()?.parse().ok());
    let about = phone.get("about").cloned().unwrap_or_default();
    let values = phone.get("values").and_then(|values| values.as_array());
    let entries = values
        .into_iter()
        .flatten()
        .filter_map(|value| value.get("entry")?.as_str());
    let seen = entries.filter_map(|entry| entry.parse().ok()).collect();
    Ok(Command::Settle {
        about: serde_json::from_value(about).map_err(|_| "a subject of no known form")?,
        keep: keep.ok_or("Swindon's number is not there")?,
        reason: worker.types("rang both numbers; only this one answers"),
        seen,
    })
}
