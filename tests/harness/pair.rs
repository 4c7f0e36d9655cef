//! A centre and its edges, driven by hand: no time passes and no frame travels unless whoever
//! drives them says so.
//!
//! The nodes, their stores, the verification of every frame and the opening of documents are the
//! real ones; there is no thread and no socket. The simulator makes the world worse than this; here
//! a test or a bench decides exactly what arrives when.

use std::collections::{BTreeMap, VecDeque};

use domain::{By, Command};
use names::{EntryId, Incarnation, Moment, ScopeId, TenantId};
use node::{
    Identity, Inbox, Input, Lane, LinkId, Node, NotDone, Notice, Opener, Output, Request, Saved,
    Side, Target, Ticket, Verifier,
};
use protocol::{
    Rights, SignedStatement, Statement,
    directory::{Device, DeviceKind, Grant, Issue, Site},
    signed::DeviceKey,
};
use store::{Store, StoreError};

/// When everything here begins.
pub const BEGINS: Moment = Moment(1_795_424_400_000);
/// The site whose scope all documents stand in.
pub const SITE: &str = "bath";
/// Which party is the centre.
pub const CENTRE: u8 = 0;

const TENANT: TenantId = TenantId([7; 16]);
const TENANT_KEY: [u8; 32] = [3; 32];
const AUTHORITY: u8 = 200;
/// Edges that the directory knows, whether they exist or not.
const EDGES: u8 = 4;

/// The scope of [`SITE`].
pub fn scope() -> ScopeId {
    ScopeId::Site(SITE.parse().expect("the site's name is one"))
}

/// The key of a party's device.
pub fn key(number: u8) -> DeviceKey {
    DeviceKey::from_seed(&[number; 32])
}

/// Who the party of this number is.
pub fn identity(number: u8) -> Identity {
    Identity {
        tenant: TENANT,
        tenant_key: TENANT_KEY,
        authority: key(AUTHORITY).public(),
        device: key(number),
    }
}

/// The directory: one site, the centre, and edges that may do everything at the site.
pub fn statements() -> Vec<SignedStatement> {
    let site = Site {
        id: SITE.parse().expect("the site's name is one"),
        name: "Bath".to_owned(),
    };
    let grants = vec![Grant {
        scope: scope(),
        rights: Rights::ALL,
    }];
    let mut said = vec![Statement::Site(site)];
    said.push(device(CENTRE, DeviceKind::Centre, Vec::new()));
    said.extend((1..=EDGES).map(|number| device(number, DeviceKind::Edge, grants.clone())));
    let sign = |(number, statement)| {
        let issue = Issue {
            authority: Incarnation([9; 16]),
            number,
            at: Moment(number.cast_signed()),
            statement,
        };
        SignedStatement::sign(&key(AUTHORITY), &TENANT, &issue).expect("a statement within limits")
    };
    (1..).zip(said).map(sign).collect()
}

fn device(number: u8, kind: DeviceKind, grants: Vec<Grant>) -> Statement {
    Statement::Device(Device {
        key: key(number).public(),
        kind,
        name: format!("device {number}"),
        grants,
        site: None,
        worker: None,
    })
}

/// A worker at [`SITE`] who may do whatever these tests ask for.
pub fn worker(name: &str) -> By {
    let roles = ["recovery-worker", "coordinator"];
    By {
        worker: name.parse().expect("a worker's name"),
        site: SITE.parse().expect("the site's name is one"),
        roles: roles
            .iter()
            .map(|role| role.parse().expect("a role"))
            .collect(),
    }
}

/// A frame that has not been delivered yet.
#[derive(Debug)]
pub struct Sent {
    /// The stream it goes by.
    pub lane: Lane,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// What a party has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Turns.
    pub turns: u64,
    /// Openings that a person waited for.
    pub performed: u64,
    /// Openings for a summary.
    pub summarised: u64,
}

/// One node with its opener and what waits for it.
#[derive(Debug)]
pub struct Party<S: Store> {
    number: u8,
    node: Node<S>,
    verifier: Verifier,
    opener: Opener,
    inbox: Inbox,
    out: VecDeque<Sent>,
    answers: BTreeMap<Ticket, Result<Saved, NotDone>>,
    notices: Vec<Notice>,
    next: u64,
    done: Done,
}

impl<S: Store> Party<S> {
    /// Opens the node of party `number` on its store. `opening` must differ at every opening of
    /// one store: the actors of its changes are made from it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(number: u8, store: S, opening: u64, now: Moment) -> Result<Party<S>, StoreError> {
        let mut entropy = [number; 64];
        if let Some(first) = entropy.first_chunk_mut() {
            *first = opening.to_le_bytes();
        }
        let node = Node::open(store, identity(number), &statements(), now, entropy)?;
        Ok(Party {
            number,
            verifier: node.verifier(),
            node,
            opener: Opener::new(64),
            inbox: Inbox::new(),
            out: VecDeque::new(),
            answers: BTreeMap::new(),
            notices: Vec::new(),
            next: opening << 32,
            done: Done::default(),
        })
    }

    /// The node.
    pub fn node(&self) -> &Node<S> {
        &self.node
    }

    /// The node's store, closed cleanly when it is dropped.
    pub fn into_store(self) -> S {
        self.node.into_store()
    }

    /// What was done since the opening.
    pub fn done(&self) -> Done {
        self.done
    }

    /// What the node wanted an operator to know, since this was asked last.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Takes the frames that wait to be delivered.
    pub fn sent(&mut self) -> VecDeque<Sent> {
        std::mem::take(&mut self.out)
    }

    /// A conversation begins.
    pub fn link_up(&mut self, link: LinkId, peer: u8, side: Side) {
        let peer = key(peer).public();
        self.inbox.push(Input::LinkUp { link, peer, side });
    }

    /// A conversation ends.
    pub fn link_down(&mut self, link: LinkId) {
        self.inbox.push(Input::LinkDown { link });
    }

    /// A frame arrives: it is verified, and waits for a turn.
    ///
    /// # Panics
    /// When it cannot be read: both sides are honest here.
    pub fn deliver(&mut self, link: LinkId, frame: &[u8]) {
        let frame = self.verifier.frame(frame).expect("a peer's frame is one");
        self.inbox.push(Input::Frame { link, frame });
    }

    /// Time has passed.
    pub fn wake(&mut self) {
        self.inbox.push(Input::Wake);
    }

    /// Asks for something, and does not wait.
    pub fn ask(&mut self, target: Target, command: Command, by: By) -> Ticket {
        self.next += 1;
        let mut entry = [self.number; 16];
        if let Some(first) = entry.first_chunk_mut() {
            *first = self.next.to_le_bytes();
        }
        let ticket = Ticket(self.next);
        let request = Box::new(Request {
            target,
            entry: EntryId(entry),
            by,
            command,
        });
        self.inbox.push(Input::Command { ticket, request });
        ticket
    }

    /// The answer to a question, once.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Result<Saved, NotDone>> {
        self.answers.remove(&ticket)
    }

    /// Asks for something, and takes turns until it is answered.
    ///
    /// # Panics
    /// When it is not done.
    pub fn must(&mut self, target: Target, command: Command, by: By, now: Moment) -> Saved {
        let code = command.code();
        let ticket = self.ask(target, command, by);
        self.work(now);
        match self.answer(ticket) {
            Some(Ok(saved)) => saved,
            other => panic!("{code}: {other:?}"),
        }
    }

    /// Takes turns until nothing waits.
    pub fn work(&mut self, now: Moment) {
        while self.turn(now) {}
    }

    /// Takes one turn and does what it asks for; openings are done at once. Answers whether there
    /// was anything to do.
    ///
    /// # Panics
    /// When the store fails or the node ends the conversation.
    pub fn turn(&mut self, now: Moment) -> bool {
        let inputs = self.inbox.next_turn();
        if inputs.is_empty() {
            return false;
        }
        self.done.turns += 1;
        let outputs = self.node.turn(now, [5; 32], inputs);
        let outputs = outputs.expect("the store does not fail");
        self.verifier = self.node.verifier();
        for output in outputs {
            match output {
                Output::WakeAt(at) if at <= now => self.inbox.push(Input::Wake),
                output => self.perform(output),
            }
        }
        true
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { lane, frame, .. } => self.out.push_back(Sent { lane, frame }),
            Output::Close { link, reason } => panic!("{link:?} was ended: {reason}"),
            Output::Open(job) => {
                let snapshot = self.node.snapshot().expect("the store does not fail");
                if job.is_urgent() {
                    self.done.performed += 1;
                } else {
                    self.done.summarised += 1;
                }
                let opened = self.opener.run(&snapshot, &job);
                let job = job.id();
                self.inbox.push(Input::Opened { job, opened });
            }
            Output::Forget(document) => self.opener.forget(document),
            Output::Answer { ticket, result } => drop(self.answers.insert(ticket, result)),
            Output::Notice(notice) => self.notices.push(notice),
            Output::Stated { .. }
            | Output::Ran { .. }
            | Output::Transferred { .. }
            | Output::Rule(_)
            | Output::WakeAt(_) => {}
        }
    }

    /// A document as it stands here.
    ///
    /// # Panics
    /// When it is not here or cannot be read.
    pub fn view(&mut self, document: names::DocumentId) -> node::DocumentView {
        let snapshot = self.node.snapshot().expect("the store does not fail");
        let view = self.opener.view(&snapshot, document);
        view.expect("the document can be opened")
    }

    /// A document as an `.automerge` file.
    ///
    /// # Panics
    /// When it is not here or cannot be read.
    pub fn export(&mut self, document: names::DocumentId) -> Vec<u8> {
        let snapshot = self.node.snapshot().expect("the store does not fail");
        let bytes = self.opener.export(&snapshot, document);
        bytes.expect("the document can be opened")
    }
}

/// What has travelled between two parties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Frames from the edge to the centre.
    pub frames_up: u64,
    /// Their bytes.
    pub bytes_up: u64,
    /// Frames from the centre to the edge.
    pub frames_down: u64,
    /// Their bytes.
    pub bytes_down: u64,
    /// How often the direction changed: frames that are under way at once count once, so two
    /// flights are one round trip.
    pub flights: u64,
}

/// The conversation of an edge with the centre, over a perfect link.
#[derive(Debug)]
pub struct Conversation {
    /// Its number, on both sides.
    pub link: LinkId,
    /// What it carried.
    pub carried: Carried,
}

impl Conversation {
    /// Begins a conversation, dialled by the edge.
    pub fn begin<A: Store, B: Store>(
        link: u64,
        centre: &mut Party<A>,
        edge: &mut Party<B>,
    ) -> Conversation {
        let link = LinkId(link);
        centre.link_up(link, edge.number, Side::Answered);
        edge.link_up(link, CENTRE, Side::Dialled);
        Conversation {
            link,
            carried: Carried::default(),
        }
    }

    /// Ends it on both sides. Frames under way are lost.
    pub fn end<A: Store, B: Store>(self, centre: &mut Party<A>, edge: &mut Party<B>, now: Moment) {
        centre.link_down(self.link);
        edge.link_down(self.link);
        centre.work(now);
        edge.work(now);
        drop((centre.sent(), edge.sent()));
    }

    /// Both sides take turns and everything is delivered, until neither has anything to say at
    /// this moment.
    pub fn pump<A: Store, B: Store>(
        &mut self,
        centre: &mut Party<A>,
        edge: &mut Party<B>,
        now: Moment,
    ) {
        loop {
            let mut moved = false;
            edge.work(now);
            for sent in edge.sent() {
                self.carried.flights += u64::from(!moved);
                moved = true;
                self.carried.frames_up += 1;
                self.carried.bytes_up += sent.frame.len() as u64;
                centre.deliver(self.link, &sent.frame);
            }
            centre.work(now);
            let mut answered = false;
            for sent in centre.sent() {
                self.carried.flights += u64::from(!answered);
                answered = true;
                self.carried.frames_down += 1;
                self.carried.bytes_down += sent.frame.len() as u64;
                edge.deliver(self.link, &sent.frame);
            }
            if !moved && !answered {
                return;
            }
        }
    }
}
