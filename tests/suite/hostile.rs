//! Hostile inputs: what a peer with a key of its own could send to take a node's time, its memory or
//! its documents. Each is refused by name, at little cost, and everything else goes on.
//!
//! Most is shown beside the door that it knocks at; here stand the tests that take time, and what goes
//! through the whole door. The numbers are those of the fault catalogue (identity and hostile peers,
//! H1 and on); `0.2` are the findings about Automerge as a parser. A test holds this table
//! against the files.
//!
//! | | hostile input | shown by |
//! | --- | --- | --- |
//! | 0.2, H4 | a hundred bytes that are ten million operations | `a_hundred_bytes_that_cost_automerge_45_seconds_are_refused_unexpanded`, `one_operation_that_claims_to_replace_ten_million_is_refused`, `each_hostile_change_is_refused_for_its_own_reason`, `a_bomb_of_operations_costs_no_time` |
//! | 0.2, H3 | a chunk that inflates without a bound | `hostile_headers_are_refused`, `a_bomb_is_refused_before_it_is_held`, `bombs_on_the_wire_take_no_memory`, `what_asks_for_a_larger_window_is_refused` |
//! | 0.2, H6 | objects nested without end | `nothing_but_adding_setting_and_typing_is_admitted`, `a_document_nested_ten_thousand_deep_is_never_opened` |
//! | 0.2, H10 | what Automerge takes and cannot load again: a gap, a deletion of nothing, what replaces what is not there | `hostile_headers_are_refused`, `what_a_change_names_was_made_for_that_place`, `an_actors_changes_form_one_chain`, `no_altered_change_harms_a_case`, `no_altered_change_harms_a_session` |
//! | 0.2 | what makes Automerge panic | `altered_bytes_never_panic_and_what_passes_can_be_parsed`, `a_change_of_another_document_is_left_out`, `what_automerge_fell_on_stays_left_out` |
//! | H1 | one device twice, two branches of one line | `an_author_has_one_line`, `of_two_branches_of_one_actor_one_is_left_out`, `a_store_that_was_put_back_writes_as_another_actor` |
//! | H2 | noise, frames cut short, wrong lengths | `a_damaged_frame_gives_an_answer`, `a_frame_cut_short_is_refused`, `what_is_no_frame_is_refused`, `a_device_that_breaks_the_rules_is_dropped_and_then_barred`, `breaches_far_apart_bar_nobody`, `frames_of_noise_cost_no_time_and_stop_nothing` |
//! | H5 | changes, lists and bundles beyond every bound | `the_envelope_is_checked`, `thousands_that_are_replaced_are_kept_as_few`, `a_long_name_that_is_set_again_and_again_is_refused_at_once`, `an_announced_length_reserves_nothing`, `a_bundle_that_refers_to_what_it_has_not_is_refused`, `a_frame_is_bounded_by_what_becomes_of_it`, `what_is_too_large_is_refused_by_its_size` |
//! | H7, H13 | changes that build on what nobody has, or on what was left out | `each_hostile_change_is_refused_for_its_own_reason`, `orphans_are_refused_and_leave_nothing_behind`, `an_exception_ends_when_what_was_lost_is_back` |
//! | H8 | another's actor, another's next number | `each_hostile_change_is_refused_for_its_own_reason`, `nobody_signs_for_another_device`, `nobody_may_write_as_a_fixed_actor` |
//! | H9 | a change of one document in another | `each_hostile_change_is_refused_for_its_own_reason`, `a_head_fits_no_other_tenant_document_actor_or_key` |
//! | H10 | counters that jump or overlap, objects of another kind | `each_hostile_change_is_refused_for_its_own_reason`, `a_change_keeps_to_the_genesis_of_its_kind` |
//! | H11 | reading and writing outside one's scopes | `nobody_is_told_what_he_may_not_read`, `nobody_writes_where_he_may_not`, `nobody_places_where_he_may_not`, `nobody_pulls_over_what_stands_elsewhere`, `no_edge_can_place_another_sites_document` |
//! | H12 | what was said before, said again | `what_is_sent_again_changes_nothing`, `no_session_is_ever_resumed`, `a_second_connection_begins_from_nothing` |
//! | all | one device sends what the other refuses: equal except one, and an innocent later note arrives | `what_is_refused_of_one_device_costs_nobody_else_an_entry`, `everything_else_of_such_a_document_goes_on` |

#![allow(clippy::unwrap_used, reason = "a panic is the report")]

use std::time::{Duration, Instant};

use automerge::{Automerge, ObjType, ROOT, transaction::Transactable};
use document::{genesis, packed, preflight};
use domain::Command;
use harness::pair::{BEGINS, CENTRE, Conversation, Party, identity, key, scope, worker};
use names::{ChangeHash, DocumentId, Kind, Moment, Nonce, Reason, limits};
use node::{Target, bundle, protocol::Bundle};
use protocol::{
    message::{Batch, Frame},
    signed::{Head, SignedHead, derive_actor},
};
use store::{MemoryStore, Table};

/// The longest that one hostile change may take to be refused: the catalogue's 50 ms. It is the best
/// of some tries, since other programs run on the same machine.
const REFUSED_WITHIN: Duration = Duration::from_millis(50);
/// The longest that thousands of frames may take.
const ALL_WITHIN: Duration = Duration::from_secs(20);
/// How often something is tried to find its best time.
const TRIES: usize = 5;
/// Orphans sent: far more than an honest device has lines.
const ORPHANS: u16 = 2_000;
/// How deep objects are nested: an 18 KB document so deep ends Automerge's process.
const DEPTH: usize = 10_000;

const NONCE: Nonce = Nonce([0x5A; 16]);

fn uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7F {
        bytes.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// One change of device 1's, its first in a case, that sets a field `ops` times.
fn crafted(document: DocumentId, deps: &[ChangeHash], ops: u64) -> Bundle {
    let fixed = genesis::genesis(Kind::CASE).unwrap();
    let run = |value: &[u8]| {
        let mut count = if ops == 1 { vec![0x7F] } else { uleb(ops) };
        // A signed number: the last byte says by a bit that it is not below nought.
        if ops > 1 && count.last().is_some_and(|last| last & 0x40 != 0) {
            *count.last_mut().unwrap() |= 0x80;
            count.push(0);
        }
        [count, value.to_vec()].concat()
    };
    let columns = [
        (0x01, run(&[1])),
        (0x02, run(&[3])),
        (0x15, run(b"\x04room")),
        (0x34, uleb(ops)),
        (0x42, run(&[1])),
        (0x56, run(&[0x16])),
        (0x57, b"x".to_vec()),
        (0x70, run(&[0])),
    ];
    let mut rest = [uleb(1), uleb(fixed.max_op + 1), vec![0, 0, 1, 16]].concat();
    rest.extend(fixed.actor.0);
    rest.extend(uleb(columns.len() as u64));
    for (name, bytes) in &columns {
        rest.push(*name);
        rest.extend(uleb(bytes.len() as u64));
    }
    rest.extend(columns.into_iter().flat_map(|(_, bytes)| bytes));
    let (tenant, worker) = (identity(1).tenant, "w-1".parse().unwrap());
    let actor = derive_actor(&tenant, &key(1).public(), &document, &NONCE, &worker);
    let whole = packed::put_together(deps, &actor, &rest).unwrap();
    let head = Head {
        device: key(1).device_id(),
        nonce: NONCE,
        worker,
        seq: 1,
        hash: whole.hash(),
        directory_seen: Moment(1),
        floor: BEGINS,
    };
    let head = SignedHead::sign(&key(1), &tenant, &document, &actor, &head);
    bundle::of_one(document, whole.chunk(), &head).unwrap()
}

fn command(text: &str) -> Command {
    serde_json::from_str(text).unwrap()
}

fn honest(document: DocumentId) -> Bundle {
    let fixed = genesis::genesis(Kind::CASE).unwrap();
    crafted(document, &[fixed.hash], 1)
}

fn live(bundles: Vec<Bundle>) -> Vec<u8> {
    let batch = Batch {
        scope: scope(),
        placements: Vec::new(),
        bundles,
        number: 0,
        after: None,
        from: None,
    };
    Frame::Live(batch).encode()
}

/// A centre and edge 1, equal, with one case.
struct Pair {
    centre: Party<MemoryStore>,
    edge: Party<MemoryStore>,
    link: Conversation,
    case: DocumentId,
    now: Moment,
}

impl Pair {
    fn new() -> Pair {
        let open = |number| Party::open(number, MemoryStore::new(), 1, BEGINS).unwrap();
        let (mut centre, mut edge) = (open(CENTRE), open(1));
        let target = Target::New(vec![scope()]);
        let command = command(r#"{"command":"open-case","opened":"2026-11-20"}"#);
        let case = edge.must(target, command, worker("w-1"), BEGINS).document;
        let link = Conversation::begin(1, &mut centre, &mut edge);
        let mut pair = Pair {
            centre,
            edge,
            link,
            case,
            now: BEGINS,
        };
        pair.settle();
        pair.assert_equal();
        pair
    }

    /// Lets some seconds pass, with everything that is said in them.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.now = self.now.plus_ms(1_000);
            self.centre.wake();
            self.edge.wake();
            self.link.pump(&mut self.centre, &mut self.edge, self.now);
        }
    }

    /// Says something to the centre in the edge's name.
    fn say(&mut self, frame: &[u8]) {
        self.centre.deliver(self.link.link, frame);
        self.centre.work(self.now);
    }

    fn refused(&self, reason: Reason) -> u64 {
        let counters = self.centre.node().counters();
        counters.get(&reason).copied().unwrap_or(0)
    }

    fn rows(&self) -> usize {
        let snapshot = self.centre.node().snapshot().unwrap();
        let mut rows = 0;
        for table in [Table::Bundle, Table::Index, Table::Actor, Table::Placement] {
            store::each(&snapshot, table, |_| rows += 1).unwrap();
        }
        rows
    }

    #[track_caller]
    fn assert_equal(&self) {
        let digest = |party: &Party<MemoryStore>| {
            let scopes = party.node().sync().unwrap();
            let of_site = scopes.into_iter().find(|sync| sync.scope == scope());
            of_site.unwrap().digest
        };
        assert_eq!(digest(&self.centre), digest(&self.edge));
    }

    /// What is written now, in this case and in another, arrives.
    #[track_caller]
    fn assert_goes_on(&mut self) {
        let note =
            r#"{"command":"add-note","happened":"2026-11-20","mode":"phone","text":"goes on"}"#;
        let (target, by) = (Target::Document(self.case), worker("w-1"));
        self.edge.must(target, command(note), by, self.now);
        self.settle();
        self.assert_equal();
        assert_eq!(self.edge.node().waiting(), 0);
        let view = self.centre.view(self.case);
        let text = serde_json::to_string(&view.state).unwrap();
        assert!(text.contains("goes on"));
    }
}

/// The best time of some tries.
fn best(mut act: impl FnMut()) -> Duration {
    let tries = (0..TRIES).map(|_| {
        let begun = Instant::now();
        act();
        begun.elapsed()
    });
    tries.min().unwrap()
}

#[test]
fn a_bomb_of_operations_costs_no_time() {
    let mut pair = Pair::new();
    let fixed = genesis::genesis(Kind::CASE).unwrap();
    let bomb = crafted(pair.case, &[fixed.hash], 10_000_000);
    let frame = live(vec![bomb]);
    assert!(frame.len() < 400, "{} bytes", frame.len());
    let verifier = pair.centre.node().verifier();
    let took = best(|| drop(verifier.frame(&frame).unwrap()));
    assert!(took < REFUSED_WITHIN, "{took:?}");
    pair.say(&frame);
    assert_eq!(pair.refused(Reason::TooLarge), 1);
    pair.assert_goes_on();
}

#[test]
fn frames_of_noise_cost_no_time_and_stop_nothing() {
    let mut pair = Pair::new();
    let frame = live(vec![honest(pair.case); 4]);
    let verifier = pair.centre.node().verifier();
    let begun = Instant::now();
    let (mut refused, mut read) = (0, 0);
    for end in 0..frame.len() {
        assert!(verifier.frame(frame.get(..end).unwrap()).is_err(), "{end}");
        for bit in [0, 3, 7] {
            let mut noise = frame.clone();
            *noise.get_mut(end).unwrap() ^= 1 << bit;
            match verifier.frame(&noise) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    let took = begun.elapsed();
    assert!(
        refused > 100 && read > 100,
        "{refused} refused, {read} read"
    );
    assert!(took < ALL_WITHIN, "{took:?}");
    assert_eq!(
        verifier.frame(&vec![0; limits::FRAME_BYTES_MAX + 1]).err(),
        Some(Reason::TooLarge)
    );
    pair.assert_goes_on();
}

#[test]
fn orphans_are_refused_and_leave_nothing_behind() {
    let mut pair = Pair::new();
    let (rows, commits) = (pair.rows(), pair.centre.node().commits());
    let orphan = |number: u16| {
        let mut dep = [0xEE; 32];
        dep[..2].copy_from_slice(&number.to_be_bytes());
        crafted(pair.case, &[ChangeHash(dep)], 1)
    };
    let frames: Vec<Vec<u8>> = (0..ORPHANS / 250)
        .map(|page| live((page * 250..(page + 1) * 250).map(orphan).collect()))
        .collect();
    let begun = Instant::now();
    for frame in &frames {
        pair.say(frame);
    }
    let took = begun.elapsed();
    assert!(took < ALL_WITHIN, "{took:?}");
    assert_eq!(pair.refused(Reason::MissingDependency), u64::from(ORPHANS));
    assert_eq!((pair.rows(), pair.centre.node().commits()), (rows, commits));
    pair.assert_goes_on();
}

#[test]
fn what_is_too_large_is_refused_by_its_size() {
    let mut pair = Pair::new();
    let verifier = pair.centre.node().verifier();
    let refused = |bundle: Bundle| {
        let frame = live(vec![bundle]);
        let took = best(|| drop(verifier.frame(&frame)));
        assert!(took < REFUSED_WITHIN, "{took:?}");
        verifier.frame(&frame).err()
    };
    let mut many = honest(pair.case);
    let change = many.changes.first().unwrap().clone();
    many.changes = vec![change.clone(); limits::BUNDLE_CHANGES_MAX + 1];
    assert!(refused(many).is_some(), "more changes than a bundle has");
    let mut wide = honest(pair.case);
    let dep = change.deps.first().unwrap().clone();
    wide.changes.first_mut().unwrap().deps = vec![dep; limits::CHANGE_DEPS_MAX + 1];
    assert!(refused(wide).is_some(), "more than a change builds on");
    let mut long = honest(pair.case);
    long.changes.first_mut().unwrap().rest = vec![0; limits::CHANGE_BYTES_MAX + 1];
    assert!(refused(long).is_some(), "longer than a change is");
    pair.assert_goes_on();
}

/// Neither the file nor the one change that makes it is anything that Automerge is shown.
#[test]
fn a_document_nested_ten_thousand_deep_is_never_opened() {
    let mut deep = Automerge::new();
    deep.transact(|tx| {
        let mut inner = ROOT;
        for _ in 0..DEPTH {
            inner = tx.put_object(&inner, "x", ObjType::Map)?;
        }
        Ok::<_, automerge::AutomergeError>(())
    })
    .unwrap();
    let file = deep.save();
    assert!(file.len() < 100_000, "{} bytes", file.len());
    assert_eq!(preflight::header(&file).err(), Some(Reason::Malformed));
    let change = deep.get_last_local_change().unwrap();
    let took = best(|| {
        let judged = preflight::header(change.raw_bytes());
        assert_eq!(judged.err(), Some(Reason::Malformed));
    });
    assert!(took < REFUSED_WITHIN, "{took:?}");
}

/// Every test that the table above names stands somewhere.
#[test]
fn the_table_of_hostile_inputs_names_tests_that_are_there() {
    let root = harness::cargo::root();
    let here = include_str!("hostile.rs");
    let table = here.lines().filter(|line| line.starts_with("//! |"));
    let mut all = String::new();
    for folder in ["shared", "tests"] {
        read_below(&root.join(folder), &mut all);
    }
    let named = table.flat_map(|line| line.split('`').skip(1).step_by(2));
    let missing: Vec<&str> = named
        .filter(|name| !all.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn read_below(folder: &std::path::Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("node_modules") {
                read_below(&path, all);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
