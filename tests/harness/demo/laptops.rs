//! Two laptops. Swindon's is there from the beginning, is switched off on Saturday with what only
//! it has, and revoked on Sunday. Salisbury's is enrolled on Sunday.

use std::collections::BTreeSet;

use domain::{Command, ContactMode, Day};
use names::DocumentId;
use serde_json::{Value, json};

use super::{desk::Worker, screen::Screen, switchboard::Switchboard, town::TOWN};
use crate::{
    chance::Chance,
    service::{Edge, Service, devices, handover::marked},
};

/// The one that is revoked.
pub const REVOKED: &str = "swindon-laptop";
/// The one that is enrolled.
pub const ENROLLED: &str = "salisbury-laptop";
/// Notes that are typed on the one that is revoked, while nobody hears it.
const UNHEARD: usize = 2;

/// Who works at the two.
#[derive(Debug)]
pub struct Laptops<'a> {
    board: &'a Switchboard,
    /// Who works at the one that is revoked.
    pub rob: Worker<'a>,
    /// Who works at the one that is enrolled.
    pub jon: Worker<'a>,
    /// Somebody for each of them.
    names: [String; 2],
    case: Option<DocumentId>,
    /// The one that is switched off, and the id of its device.
    off: Option<(Edge, String)>,
    enrolled: String,
}

/// What became of the two devices.
#[derive(Debug)]
pub struct Devices {
    /// The one that is switched off, and was revoked meanwhile.
    pub off: Edge,
    /// Its id.
    pub revoked: String,
    /// What only it has.
    pub unheard: BTreeSet<String>,
    /// The case in which that is.
    pub case: DocumentId,
    /// The id of the one that was enrolled.
    pub enrolled: String,
}

impl<'a> Laptops<'a> {
    /// Before the week.
    pub fn new(board: &'a Switchboard, seed: u64, names: [String; 2]) -> Laptops<'a> {
        let stream = |who: &str| Chance::new(seed, who);
        Laptops {
            board,
            rob: Worker::new(board, REVOKED, "rob", stream("on Swindon's laptop")),
            jon: Worker::new(board, ENROLLED, "jon", stream("on Salisbury's laptop")),
            names,
            case: None,
            off: None,
            enrolled: String::new(),
        }
    }

    /// Somebody is registered on Swindon's laptop.
    ///
    /// # Errors
    /// When it refuses.
    pub fn monday(&mut self, day: Day) -> Result<(), String> {
        let [name, _] = &self.names;
        self.case = Some(self.rob.meets(name, day)?);
        Ok(())
    }

    /// Swindon's laptop is out of reach, is worked at all the same, and switched off.
    ///
    /// # Errors
    /// When it does not start again on its side of the cut, or refuses.
    pub fn saturday(&mut self, service: &mut Service, day: Day) -> Result<String, String> {
        let case = self.case.ok_or("nobody is known on Swindon's laptop")?;
        service.cut_off(REVOKED)?;
        let client = service.client(REVOKED)?;
        let device = devices::of(&client)?;
        self.board.set(REVOKED, client);
        let [name, _] = &self.names;
        for _ in 0..UNHEARD {
            let (happened, mode, minutes) = (day, ContactMode::FaceToFace, 30);
            let text = self.rob.types(format!("{name} was at home; I go again"));
            let note = Command::AddNote {
                happened,
                mode,
                minutes,
                text,
            };
            self.rob.adds(case, &note)?;
        }
        let edge = service.edges.remove(REVOKED);
        let mut edge = edge.ok_or("Swindon has no laptop")?;
        edge.host.stop()?;
        self.off = Some((edge, device));
        Ok(format!(
            "Rob takes Swindon's laptop to where there is no signal, types {UNHEARD} entries and \
             switches it off."
        ))
    }

    /// Salisbury's laptop is enrolled and worked at; Swindon's is revoked.
    ///
    /// # Errors
    /// When a node refuses.
    pub fn sunday(&mut self, service: &mut Service, day: Day) -> Result<String, String> {
        let mut sites = TOWN.iter();
        let site = sites.find(|site| site.id == "salisbury");
        service.add_edge(site.ok_or("there is no Salisbury")?, ENROLLED)?;
        let client = service.client(ENROLLED)?;
        self.enrolled = devices::of(&client)?;
        self.board.set(ENROLLED, client);
        let [_, name] = &self.names;
        self.jon.meets(name, day)?;
        let (_, device) = self.off.as_ref().ok_or("no laptop is switched off")?;
        service.centre.command(&["device", "revoke", device])?;
        Ok(
            "A laptop of Salisbury's is enrolled, and Jon works at it. Swindon's is not found, \
             and revoked."
                .to_owned(),
        )
    }

    /// After the week: those who worked, and what became of the devices.
    ///
    /// # Errors
    /// When the week was none.
    pub fn over(self) -> Result<([Worker<'a>; 2], Devices), String> {
        let (off, revoked) = self.off.ok_or("no laptop was switched off")?;
        let written = self.rob.written.iter().rev().take(UNHEARD);
        let unheard = written.map(|written| written.entry.to_string()).collect();
        let devices = Devices {
            off,
            revoked,
            unheard,
            case: self.case.ok_or("nobody is known on Swindon's laptop")?,
            enrolled: self.enrolled,
        };
        Ok(([self.rob, self.jon], devices))
    }
}

impl Devices {
    /// Whether the centre knows both, as it said it did: one enrolled, one revoked.
    ///
    /// # Errors
    /// When it knows one of them not at all.
    pub fn are_known(&self, service: &Service) -> Result<bool, String> {
        let stands = |device: &str| {
            let row = devices::listed(&service.centre, device)?;
            Ok::<_, String>(row.get("revoked").is_none_or(Value::is_null))
        };
        Ok(stands(&self.enrolled)? && !stands(&self.revoked)?)
    }

    /// The laptop that was revoked is switched on, and is told; what only it had is let in by a
    /// person. Answers whether all of it came.
    ///
    /// # Errors
    /// When it goes on as if nothing were, or a node does not answer.
    pub fn switch_on(self, service: &mut Service, screen: &mut Screen) -> Result<bool, String> {
        self.off.relay.lead_to(service.quic()?);
        self.off.relay.mend();
        service.edges.insert(REVOKED, self.off);
        let started = service.start_edge(REVOKED);
        let edge = service.edges.remove(REVOKED);
        let mut edge = edge.ok_or("Swindon has no laptop")?;
        started?;
        devices::ends(&mut edge.host)?;
        let row = devices::listed(&service.centre, &self.revoked)?;
        let knows = row.get("purged").is_some_and(Value::is_i64);
        let accept = ["device", "accept", &self.revoked];
        let accepted = service.centre.command(&accept)?;
        service.rest()?;
        let path = format!("/api/v1/views/documents/{}", self.case);
        let mut whole = accepted.get("refused") == Some(&json!({}));
        for at in ["centre", "swindon"] {
            let view = service.client(at)?.get_json(&path)?;
            whole &= marked(&view, "arrived-late") == self.unheard;
        }
        let words = format!(
            "Swindon's laptop is switched on again: the centre tells it that it was revoked. It \
             hands in the {} entries that only it had, destroys its keys, and nothing opens its \
             store any more. Somebody at the centre lets them in; Swindon has them, marked as late",
            self.unheard.len()
        );
        screen.verdict(knows && whole, &words);
        Ok(knows && whole)
    }
}
