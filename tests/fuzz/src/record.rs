//! A small record, written and exchanged by two real nodes: what seeds are cut from.

use std::{collections::VecDeque, sync::OnceLock};

use domain::{
    AlertCode, Attendance, Attender, By, Command, ContactMode, Field, Role, SessionForm, Splice,
};
use names::{DocumentId, EntryId, Moment};
use node::{Inbox, Input, LinkId, Node, Opener, Output, Request, Side, Target, Ticket};
use protocol::{Bundle, Frame, SignedPlacement};
use store::{MemoryStore, Snapshot as _, Table};

use crate::craft::{CENTRE, SITE, identity, key, scope, statements, worker};

/// When everything here happens.
pub const NOW: Moment = Moment(1_795_424_400_000);
/// Which of the edge's commands types into a case first.
const TYPED: u8 = 5;
/// Documents a node keeps open here.
const OPEN_MAX: usize = 8;

/// The record, as it came to be.
struct Record {
    /// Every frame that one said to the other.
    said: Vec<Vec<u8>>,
    /// The edge's store.
    store: MemoryStore,
    documents: Vec<DocumentId>,
    chunks: Vec<Vec<u8>>,
}

fn record() -> &'static Record {
    static RECORD: OnceLock<Record> = OnceLock::new();
    RECORD.get_or_init(Record::write)
}

/// Every frame of a conversation in which a centre is told of a few documents.
pub fn said() -> &'static [Vec<u8>] {
    &record().said
}

/// The store of the edge that wrote them.
pub fn store() -> MemoryStore {
    record().store.clone()
}

/// The documents in it: a case, and a register.
pub fn documents() -> &'static [DocumentId] {
    &record().documents
}

/// Every change of the case, in the order in which they were written.
pub fn chunks() -> &'static [Vec<u8>] {
    &record().chunks
}

/// Every placement and bundle that was sent.
pub fn pieces() -> (Vec<SignedPlacement>, Vec<Bundle>) {
    let frames = said().iter().filter_map(|frame| Frame::decode(frame).ok()?);
    let (mut placements, mut bundles) = (Vec::new(), Vec::new());
    for frame in frames {
        if let Frame::Fill(batch) | Frame::Live(batch) = frame {
            placements.extend(batch.placements);
            bundles.extend(batch.bundles);
        }
    }
    (placements, bundles)
}

/// A worker who may do whatever is asked for here.
pub fn by() -> By {
    By {
        worker: worker(),
        site: SITE.parse().expect("the site's name is one"),
        roles: vec![Role::RecoveryWorker, Role::Coordinator],
    }
}

/// One node, driven by hand.
pub struct Party {
    node: Node<MemoryStore>,
    opener: Opener,
    inbox: Inbox,
    out: VecDeque<Vec<u8>>,
    saved: Vec<DocumentId>,
    entries: u8,
}

impl Party {
    /// A node on this store.
    pub fn open(number: u8, store: MemoryStore) -> Party {
        let node = Node::open(store, identity(number), statements(), NOW, [number; 64]);
        Party {
            node: node.expect("a store in memory does not fail"),
            opener: Opener::new(OPEN_MAX),
            inbox: Inbox::new(),
            out: VecDeque::new(),
            saved: Vec::new(),
            entries: 0,
        }
    }

    /// A connection to another has come up.
    pub fn link_up(&mut self, peer: u8, side: Side) {
        self.inbox.push(Input::LinkUp {
            link: LinkId(1),
            peer: key(peer).public(),
            side,
        });
    }

    /// The other has said this; answers whether it is a frame.
    pub fn hear(&mut self, frame: &[u8]) -> bool {
        let frame = self.node.verifier().frame(frame);
        let is_one = frame.is_ok();
        if let Ok(frame) = frame {
            let link = LinkId(1);
            self.inbox.push(Input::Frame { link, frame });
        }
        is_one
    }

    /// Has a person ask for something.
    fn ask(&mut self, target: Target, command: Command) {
        self.entries += 1;
        let request = Box::new(Request {
            target,
            entry: entry(self.entries),
            by: by(),
            command,
        });
        let ticket = Ticket(u64::from(self.entries));
        self.inbox.push(Input::Command { ticket, request });
        self.work();
    }

    /// Takes turns until nothing waits.
    pub fn work(&mut self) {
        while !self.inbox.is_empty() {
            let inputs = self.inbox.next_turn();
            let outputs = self.node.turn(NOW, [5; 32], inputs);
            for output in outputs.expect("a store in memory does not fail") {
                self.perform(output);
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { frame, .. } => self.out.push_back(frame),
            Output::Open(job) => {
                let snapshot = self
                    .node
                    .snapshot()
                    .expect("a store in memory does not fail");
                let opened = self.opener.run(&snapshot, &job);
                let job = job.id();
                self.inbox.push(Input::Opened { job, opened });
            }
            Output::Answer { result, .. } => {
                self.saved.push(result.expect("it may be done").document);
            }
            Output::Forget(document) => self.opener.forget(document),
            _ => {}
        }
    }

    /// What it has said since this was asked last.
    pub fn said(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    /// The node.
    pub fn node(&self) -> &Node<MemoryStore> {
        &self.node
    }
}

impl Record {
    fn write() -> Record {
        let mut edge = Party::open(1, MemoryStore::new());
        let at_site = || Target::New(vec![scope()]);
        edge.ask(at_site(), open_case());
        edge.ask(at_site(), open_session());
        let documents = edge.saved.clone();
        let [case, session] = documents.as_slice() else {
            panic!("a case and a register were opened");
        };
        for command in of_case() {
            edge.ask(Target::Document(*case), command);
        }
        for command in of_session(*case) {
            edge.ask(Target::Document(*session), command);
        }
        let store = edge
            .node
            .snapshot()
            .expect("a store in memory does not fail");
        let rows = store.range(Table::Bundle, case.as_ref(), 0, usize::MAX);
        let rows = rows.expect("a store in memory does not fail");
        let bundles = rows
            .iter()
            .map(|(_, row)| protocol::codec::decode::<Bundle>(row));
        let bundles = bundles.map(|bundle| bundle.expect("the node wrote it"));
        let chunks = bundles.flat_map(|bundle| node::bundle::chunks(&bundle).unwrap_or_default());
        let chunks = chunks.map(|(_, chunk)| chunk).collect();
        let mut centre = Party::open(CENTRE, MemoryStore::new());
        let said = converse(&mut centre, &mut edge);
        let store = edge.node.into_store();
        Record {
            said,
            store,
            documents,
            chunks,
        }
    }
}

/// The entry that the edge's command of this number makes.
pub fn entry(number: u8) -> EntryId {
    EntryId([number; 16])
}

/// Lets both speak until neither has more to say.
fn converse(centre: &mut Party, edge: &mut Party) -> Vec<Vec<u8>> {
    centre.link_up(1, Side::Answered);
    edge.link_up(CENTRE, Side::Dialled);
    let mut said = Vec::new();
    loop {
        edge.work();
        centre.work();
        let (up, down) = (edge.said(), centre.said());
        if up.is_empty() && down.is_empty() {
            return said;
        }
        for frame in up {
            assert!(centre.hear(&frame), "an edge's frame is one");
            said.push(frame);
        }
        for frame in down {
            assert!(edge.hear(&frame), "a centre's frame is one");
            said.push(frame);
        }
    }
}

fn day() -> domain::Day {
    "2026-11-22".parse().expect("a day")
}

/// How a case begins.
pub fn open_case() -> Command {
    Command::OpenCase {
        opened: day(),
        source: "a letter".into(),
    }
}

/// How a register begins.
pub fn open_session() -> Command {
    Command::OpenSession {
        venue: "Town Hall".into(),
        date: day(),
        start: "10:00".parse().expect("a time"),
        end: None,
        form: *SessionForm::ALL.first().expect("there are some"),
    }
}

/// What is written in a case.
pub fn of_case() -> Vec<Command> {
    let typed = |position, delete, insert: &str| Splice {
        position,
        delete,
        insert: insert.to_owned(),
    };
    vec![
        Command::AddNote {
            happened: day(),
            mode: *ContactMode::ALL.first().expect("there are some"),
            minutes: 20,
            text: "came by, was well".into(),
        },
        Command::RaiseAlert {
            code: *AlertCode::ALL.first().expect("there are some"),
            detail: "a dog".into(),
            review_by: None,
        },
        Command::EditText {
            splices: vec![typed(0, 0, "one two three"), typed(4, 3, "2")],
            seen: Vec::new(),
            length: None,
        },
        Command::SetField {
            field: *Field::ALL.first().expect("there are some"),
            value: "Anna".into(),
        },
        Command::AddTask {
            what: "ring".into(),
            due: Some(day()),
            whom: Some(worker()),
        },
        Command::EditCrisisPlan {
            splices: vec![typed(0, 0, "ring the sister")],
            seen: Vec::new(),
            length: None,
        },
        Command::EditText {
            splices: vec![typed(2, 5, "")],
            seen: vec![entry(TYPED)],
            length: None,
        },
    ]
}

/// What is written in a register.
pub fn of_session(person: DocumentId) -> Vec<Command> {
    let [attendance, ..] = *Attendance::ALL else {
        return Vec::new();
    };
    vec![
        Command::Mark {
            attender: Attender::Person(person),
            attendance,
            arrived: None,
            left: None,
        },
        Command::AddGuest {
            name: "a friend".into(),
            attendance,
            arrived: Some("10:05".parse().expect("a time")),
            left: None,
        },
        Command::TakeCash {
            pence: 250,
            from: None,
            what: "tea".into(),
        },
        Command::HeadCount { people: 7 },
    ]
}
