//! A real concurrent editing trace, replayed through two nodes over the protocol.
//!
//! Two people typed in one text at the same time, and every keystroke was recorded with what its
//! writer had seen (`friendsforever`, published in `josephg/editing-traces`). Here each recorded
//! transaction is one command and one change, made at its writer's node at the moment when that
//! node holds exactly what the writer had seen; everything travels as frames that are verified like
//! any others. In the end both nodes must hold the text that every correct merge ends with.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    time::Instant,
};

use automerge::{Automerge, ChangeHash as AutoHash, ReadDoc};
use domain::{Command, Splice, State};
use harness::{
    cargo::{TRACE, shared},
    pair::{BEGINS, CENTRE, Conversation, Party, Sent, scope, worker},
    report::say,
};
use names::{ChangeHash, DocumentId, EntryId, Moment, StoreId};
use node::{Lane, Target, views};
use redb::backends::InMemoryBackend;
use store::{Config, Epochs, RedbStore, Sealed, StoreKey};

/// The length of the trace; the published one has 26,078 transactions.
const TRANSACTIONS: usize = 26_078;
/// Far more than the trace takes when inflated.
const INFLATED_MAX: usize = 64 << 20;

/// One thing one of the writers did.
struct Transaction {
    agent: usize,
    /// The transactions whose results were on the writer's screen and in no other of these.
    parents: Vec<usize>,
    splices: Vec<Splice>,
}

struct Recording {
    transactions: Vec<Transaction>,
    /// What every correct merge ends with.
    end: String,
}

type Place = Party<Sealed<RedbStore>>;

#[test]
fn a_recorded_conversation_ends_with_its_text_on_both_nodes() {
    let Some(recording) = Recording::read() else {
        say(format!(
            "skipped: {TRACE} is not in $RIDGEWAY_SHARED or ../shared"
        ));
        return;
    };
    assert_eq!(recording.transactions.len(), TRANSACTIONS);
    let began = Instant::now();
    let mut replay = Replay::begin();
    let opened = replay.opened;
    let mut made: Vec<ChangeHash> = Vec::with_capacity(TRANSACTIONS);
    for (transaction, foreign) in recording.transactions.iter().zip(recording.foreign()) {
        made.push(replay.type_in(transaction, foreign));
    }
    println!("typed in {:.1} s", began.elapsed().as_secs_f64());
    replay.settle();

    let expected = expected_deps(&recording, &made, opened);
    for place in &mut replay.places {
        assert_eq!(text(place, replay.document), recording.end);
        check_history(&place.export(replay.document), &recording.end, &expected);
    }
    println!(
        "{TRANSACTIONS} transactions in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

/// Two nodes with a text between them. Party 0, the centre, is where the first agent types.
struct Replay {
    places: [Place; 2],
    conversation: Conversation,
    document: DocumentId,
    /// The change that began the case.
    opened: ChangeHash,
    /// The entry of each transaction so far.
    typed: Vec<EntryId>,
    /// Frames that each party has been sent and has not seen yet.
    under_way: [VecDeque<Sent>; 2],
    /// Changes of the other's that each party has seen.
    seen: [usize; 2],
    now: Moment,
}

impl Replay {
    /// Opens a case at the centre, and lets the edge have it.
    fn begin() -> Replay {
        let mut places = [0, 1].map(place);
        let [centre, edge] = &mut places;
        let opens = serde_json::json!({"command": "open-case", "opened": "2026-11-20"});
        let command: Command = serde_json::from_value(opens).expect("a command");
        let saved = centre.must(Target::New(vec![scope()]), command, worker("w-0"), BEGINS);
        let mut conversation = Conversation::begin(1, centre, edge);
        conversation.pump(centre, edge, BEGINS);
        Replay {
            places,
            conversation,
            document: saved.document,
            opened: saved.change.expect("opening a case makes a change"),
            typed: Vec::with_capacity(TRANSACTIONS),
            under_way: Default::default(),
            seen: [0, 0],
            now: BEGINS,
        }
    }

    /// Brings the writer's node to where the writer was, and makes the edit there.
    ///
    /// No time passes meanwhile: a node proves from time to time that it is equal with its peer,
    /// and would repair what is held back here on purpose.
    fn type_in(&mut self, transaction: &Transaction, foreign: usize) -> ChangeHash {
        let agent = transaction.agent;
        self.bring(agent, foreign);
        let looked_at = transaction.parents.iter();
        let looked_at = looked_at.filter_map(|parent| self.typed.get(*parent).copied());
        let command = Command::EditText {
            splices: transaction.splices.clone(),
            seen: looked_at.collect(),
            length: None,
        };
        let by = worker(&format!("w-{agent}"));
        let (document, now) = (self.document, self.now);
        let place = self.places.get_mut(agent).expect("two agents, two places");
        let saved = place.must(Target::Document(document), command, by, now);
        self.typed.push(saved.entry);
        self.collect(agent);
        saved.change.expect("every transaction makes a change")
    }

    /// Delivers frames to a party until it has seen so many of the other's changes: each change is
    /// one live frame, since each was one turn.
    fn bring(&mut self, agent: usize, foreign: usize) {
        let link = self.conversation.link;
        let (Some(seen), Some(queue), Some(place)) = (
            self.seen.get_mut(agent),
            self.under_way.get_mut(agent),
            self.places.get_mut(agent),
        ) else {
            return;
        };
        assert!(*seen <= foreign, "nobody can see less than before");
        while *seen < foreign {
            let sent = queue.pop_front().expect("what a writer had seen was sent");
            *seen += usize::from(sent.lane == Lane::Live);
            place.deliver(link, &sent.frame);
        }
        place.work(self.now);
        self.collect(agent);
    }

    /// Holds back what a party has said.
    fn collect(&mut self, agent: usize) {
        let sent = self.places.get_mut(agent).map(Party::sent);
        if let Some(queue) = self.under_way.get_mut(1 - agent) {
            queue.extend(sent.into_iter().flatten());
        }
    }

    /// Delivers everything, and lets time pass until both sides have proved that they are equal.
    fn settle(&mut self) {
        let Replay {
            places,
            conversation,
            under_way,
            ..
        } = self;
        for (place, queue) in places.iter_mut().zip(under_way) {
            for sent in queue.drain(..) {
                place.deliver(conversation.link, &sent.frame);
            }
        }
        let [centre, edge] = places;
        for _ in 0..20 {
            conversation.pump(centre, edge, self.now);
            self.now = self.now.plus_ms(1_000);
            centre.wake();
            edge.wake();
        }
        assert_eq!(edge.node().waiting(), 0, "everything is acknowledged");
        let [ours, theirs] = [&*centre, &*edge].map(proof);
        assert_eq!(ours, theirs, "both sides are equal, and know it");
        let repaired = centre.notices().into_iter().chain(edge.notices());
        let repaired = repaired.filter(|notice| {
            use node::Notice::{Equal, Heard};
            !matches!(notice, Equal { .. } | Heard { .. })
        });
        assert_eq!(
            repaired.count(),
            0,
            "nothing was refused and nothing repaired"
        );
    }
}

fn place(number: u8) -> Place {
    let key = StoreKey::from_bytes([number + 1; 32]);
    let mut drawn = u64::from(number) << 56;
    let nonces = Box::new(move |bytes: &mut [u8]| {
        drawn += 1;
        for (byte, drawn) in bytes.iter_mut().zip(drawn.to_le_bytes()) {
            *byte = drawn;
        }
    });
    let medium = RedbStore::create(InMemoryBackend::new(), Config::default());
    let medium = medium.expect("a store in memory");
    let store = Sealed::create(
        medium,
        &key,
        Epochs::first([number; 32], [number; 32]),
        StoreId([number; 16]),
        nonces,
    );
    Party::open(number, store.expect("a new store"), 1, BEGINS).expect("a new node")
}

/// The digest of the scope, checked against the stored runs; and whether the peer has proved it.
fn proof(place: &Place) -> (protocol::digest::Digest, u64, bool) {
    let sync = place.node().sync().expect("the store does not fail");
    let kept = sync
        .into_iter()
        .find(|sync| sync.scope == scope())
        .expect("the scope");
    let snapshot = place.node().snapshot().expect("the store does not fail");
    let recomputed = views::recompute(&snapshot).expect("the store does not fail");
    let recomputed = recomputed.get(&scope()).expect("the scope has a document");
    assert_eq!(
        (recomputed.digest, recomputed.count),
        (kept.digest, kept.count)
    );
    let proved = kept.peers.iter().all(|peer| peer.proved.is_some());
    (kept.digest, kept.count, proved)
}

fn text(place: &mut Place, document: DocumentId) -> String {
    let view = place.view(document);
    assert!(view.flaws.is_empty(), "{:?}", view.flaws);
    match view.state {
        State::Case(case) => case.plan.text().as_str().to_owned(),
        State::Session(_) => panic!("a case was opened"),
    }
}

/// For each change made, what it must name as its dependencies: what the recording says, and the
/// writer's own previous change, which Automerge names whether or not something later covers it.
fn expected_deps(
    recording: &Recording,
    made: &[ChangeHash],
    opened: ChangeHash,
) -> BTreeMap<AutoHash, BTreeSet<AutoHash>> {
    let hash_of = |number: &usize| AutoHash(made.get(*number).expect("an earlier one").0);
    // The centre's writer is the one who opened the case.
    let mut previous = [Some(AutoHash(opened.0)), None];
    let mut expected = BTreeMap::new();
    for (number, transaction) in recording.transactions.iter().enumerate() {
        let mut deps: BTreeSet<AutoHash> = transaction.parents.iter().map(hash_of).collect();
        let own = previous.get_mut(transaction.agent).expect("two agents");
        deps.extend(own.replace(hash_of(&number)));
        expected.insert(hash_of(&number), deps);
    }
    expected
}

/// What leaves a node is the whole history: one change for each transaction, on exactly the
/// recorded parents, beside the genesis and the opening of the case.
fn check_history(exported: &[u8], end: &str, expected: &BTreeMap<AutoHash, BTreeSet<AutoHash>>) {
    let auto = Automerge::load(exported).expect("the public library loads it");
    let (_, text) = auto
        .get(automerge::ROOT, "text")
        .expect("a map")
        .expect("a text");
    assert_eq!(auto.text(text).expect("a text"), end);
    let mut found = 0;
    let changes = auto.get_changes(&[]);
    for change in &changes {
        let Some(deps) = expected.get(&change.hash()) else {
            continue;
        };
        let built_on: BTreeSet<AutoHash> = change.deps().iter().copied().collect();
        assert_eq!(&built_on, deps, "what its writer had seen");
        found += 1;
    }
    assert_eq!((found, changes.len()), (TRANSACTIONS, TRANSACTIONS + 2));
}

impl Recording {
    /// Reads the trace, where there is one.
    fn read() -> Option<Recording> {
        let packed = fs::read(shared(TRACE)?).expect("a file that can be read");
        let json = inflate(&packed);
        let json: serde_json::Value = serde_json::from_slice(&json).expect("the trace is JSON");
        let number = |value: &serde_json::Value| {
            let number = value.as_u64().expect("a number");
            usize::try_from(number).expect("a small one")
        };
        let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
        let splice = |patch: &serde_json::Value| match list(patch).as_slice() {
            [position, delete, insert] => Splice {
                position: number(position),
                delete: number(delete),
                insert: insert.as_str().expect("a text").to_owned(),
            },
            _ => panic!("a patch has three parts"),
        };
        let transaction = |json: &serde_json::Value| Transaction {
            agent: number(json.get("agent").expect("an agent")),
            parents: list(json.get("parents").expect("parents"))
                .iter()
                .map(number)
                .collect(),
            splices: list(json.get("patches").expect("patches"))
                .iter()
                .map(splice)
                .collect(),
        };
        let end = json.get("endContent").and_then(serde_json::Value::as_str);
        let transactions = list(json.get("txns").expect("transactions"));
        Some(Recording {
            transactions: transactions.iter().map(transaction).collect(),
            end: end.expect("a text").to_owned(),
        })
    }

    /// For each transaction, how many of the other agent's its writer had seen. Each agent's own
    /// transactions are one line, so what a writer had seen of the other is always the beginning
    /// of that line.
    fn foreign(&self) -> Vec<usize> {
        let mut seen: Vec<[usize; 2]> = Vec::with_capacity(self.transactions.len());
        let mut foreign = Vec::with_capacity(self.transactions.len());
        let mut made = [0, 0];
        for transaction in &self.transactions {
            let known = |number: &usize| seen.get(*number).copied().expect("an earlier one");
            let mut at = [0, 0];
            for [one, two] in transaction.parents.iter().map(known) {
                at = [one.max(at[0]), two.max(at[1])];
            }
            let (own, count) = at
                .iter_mut()
                .zip(&mut made)
                .nth(transaction.agent)
                .expect("two agents");
            assert_eq!(own, count, "an agent has seen all its own transactions");
            *count += 1;
            *own = *count;
            foreign.extend(at.get(1 - transaction.agent));
            seen.push(at);
        }
        foreign
    }
}

/// The content of a gzip file whose header has at most a file name.
fn inflate(packed: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: usize = 10;
    const HAS_NAME: u8 = 8;
    let (header, mut body) = packed.split_at(HEADER_BYTES);
    let [0x1f, 0x8b, 8, flags, ..] = header else {
        panic!("not a gzip file");
    };
    if *flags == HAS_NAME {
        let end = body
            .iter()
            .position(|byte| *byte == 0)
            .expect("a name has an end");
        body = body.get(end + 1..).expect("something follows the name");
    } else {
        assert_eq!(*flags, 0, "nothing but a name is expected in the header");
    }
    miniz_oxide::inflate::decompress_to_vec_with_limit(body, INFLATED_MAX).expect("deflated bytes")
}

/// The first agent types at the centre.
const _: () = assert!(CENTRE == 0);
