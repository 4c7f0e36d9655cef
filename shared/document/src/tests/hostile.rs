//! What signed devices may send that honest ones never would.

use automerge::{
    ActorId as AutoActorId, Automerge, AutomergeError, ObjType, ROOT, ReadDoc,
    transaction::{Transactable, Transaction},
};
use domain::{FlawAt, Refusal};
use names::Reason;

use super::{
    crafted::{inserted, on_top, set},
    *,
};
use crate::{preflight, testing::mend};

/// A case with some entries and a plan, and a change somebody makes to it by hand.
fn by_hand(
    work: impl FnOnce(&mut Transaction<'_>, &Replica) -> Result<(), AutomergeError>,
) -> (Replica, Vec<u8>) {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    replica.perform(&note("a note"), entry(2)).unwrap();
    replica.perform(&edit(0, 0, "a plan"), entry(3)).unwrap();
    let mut theirs: Automerge = replica
        .doc
        .auto
        .fork()
        .with_actor(AutoActorId::from([0x77; 16]));
    theirs
        .transact::<_, _, AutomergeError>(|tx| work(tx, &replica))
        .unwrap();
    let chunk = theirs.get_last_local_change().unwrap().raw_bytes().to_vec();
    assert!(
        preflight::format_only(&chunk).is_ok(),
        "Automerge's own form"
    );
    (replica, chunk)
}

#[test]
fn nothing_but_adding_setting_and_typing_is_admitted() {
    type Work = fn(&mut Transaction<'_>, &Replica) -> Result<(), AutomergeError>;
    let hostile: &[(&str, Work)] = &[
        ("an entry deleted", |tx, r| {
            tx.delete(&r.doc.places.entries, 0)
        }),
        ("an entry replaced", |tx, r| {
            tx.put_object(&r.doc.places.entries, 0, ObjType::Map)
                .map(drop)
        }),
        ("an entry altered", |tx, r| {
            let (_, first) = tx.get(&r.doc.places.entries, 0)?.unwrap();
            tx.put(&first, "by", "somebody-else")
        }),
        ("an entry that is no map", |tx, r| {
            tx.insert(&r.doc.places.entries, 0, "text")
        }),
        ("an entry that holds an object", |tx, r| {
            let map = tx.insert_object(&r.doc.places.entries, 0, ObjType::Map)?;
            tx.put_object(&map, "inside", ObjType::Map).map(drop)
        }),
        ("the list replaced", |tx, _| {
            tx.put_object(ROOT, "entries", ObjType::List).map(drop)
        }),
        ("a new root key", |tx, _| tx.put(ROOT, "extra", 1)),
        ("the text deleted", |tx, _| tx.delete(ROOT, "text")),
        ("an object as a field", |tx, r| {
            tx.put_object(&r.doc.places.fields, "room", ObjType::Map)
                .map(drop)
        }),
        ("an object in the text", |tx, r| {
            tx.insert_object(&r.doc.places.text, 0, ObjType::Map)
                .map(drop)
        }),
        ("a number in the text", |tx, r| {
            tx.insert(&r.doc.places.text, 0, 5)
        }),
    ];
    for (what, work) in hostile {
        let (mut replica, chunk) = by_hand(work);
        assert_eq!(preflight::header(&chunk), Err(Reason::Malformed), "{what}");
        let before = replica.doc.read();
        let flaws = replica.doc.apply(&[&chunk]);
        assert!(
            matches!(
                flaws[..],
                [domain::Flaw {
                    at: FlawAt::Change(_),
                    ..
                }]
            ),
            "{what}"
        );
        assert_eq!(replica.doc.read(), before, "{what}");
    }
    let (_, honest) = by_hand(|tx, r| tx.splice_text(&r.doc.places.text, 2, 1, "more"));
    assert!(preflight::header(&honest).is_ok());
}

/// A change on an object or an actor its document does not have makes Automerge panic.
#[test]
fn a_change_of_another_document_is_left_out() {
    let (mut replica, foreign) = by_hand(|tx, r| tx.splice_text(&r.doc.places.text, 6, 0, "!"));
    let mut other = Replica::new(Kind::CASE, 2);
    other.perform(&open_case(), entry(1)).unwrap();
    let flaws = other.doc.apply(&[&foreign]);
    assert_eq!(flaws[0].reason, Reason::MissingDependency);
    assert_eq!(replica.doc.apply(&[&foreign]), []);
}

/// The change has nothing wrong but its author. That actor is another kind's: what is written in
/// the name of this kind's own would be about objects of its own, which are not to be had.
#[test]
fn nobody_may_write_as_a_fixed_actor() {
    let fixed = crate::genesis::genesis(Kind::SESSION).unwrap().actor;
    let by = |who| preflight::header(&on_top(who, &[], vec![set("room", "x", vec![])]));
    assert_eq!(by(fixed), Err(Reason::WrongActor));
    assert!(by(actor(1)).is_ok());
}

/// An entry whose id cannot be read is named by its place in the list, and what comes later may come
/// to stand before it.
#[test]
fn a_nameless_entry_is_named_by_where_it_stands_in_the_end() {
    let mut writer = Replica::new(Kind::CASE, 1);
    let opened = writer.perform(&open_case(), entry(1)).unwrap();
    let noted = writer.perform(&note("a note"), entry(2)).unwrap();
    let mut places = Vec::new();
    for who in [0, 9] {
        let nameless = on_top(actor(who), &[], vec![inserted(None)]);
        let chunks = [&nameless, &opened.chunk, &noted.chunk];
        let mut together = Document::new(Kind::CASE).unwrap();
        together.apply(&chunks.map(Vec::as_slice));
        let mut one_by_one = Document::new(Kind::CASE).unwrap();
        for chunk in chunks {
            one_by_one.apply(&[chunk]);
            one_by_one.view();
        }
        assert_eq!(one_by_one.read(), together.read());
        places.extend(together.read().1.iter().map(|flaw| flaw.at));
    }
    assert_eq!(places, [FlawAt::Row(2), FlawAt::Row(0)]);
}

/// What two people wrote together, in the order in which it was merged.
fn honest_work(kind: Kind, chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut writer = Replica::new(kind, 1);
    let (_, opening) = life(kind);
    writer.perform(&opening, entry(0)).unwrap();
    let mut typist = Replica::new(kind, 2);
    typist.merge(&writer, chance);
    for n in 1..40 {
        let replica = if n % 2 == 0 { &mut writer } else { &mut typist };
        let command = random_command(replica, chance);
        replica.perform(&command, entry(n));
        if chance.below(4) == 0 {
            writer.merge(&typist, chance);
            typist.merge(&writer, chance);
        }
    }
    writer.merge(&typist, chance);
    let chunks = writer.doc.history.chunks().iter();
    let sent = chunks.filter(|chunk| preflight::header(chunk).is_ok());
    sent.map(|chunk| chunk.to_vec()).collect()
}

/// What can be done in an open document of a kind, and what opens it.
fn life(kind: Kind) -> (Command, Command) {
    if kind == Kind::CASE {
        return (note("on"), open_case());
    }
    let cash = Command::TakeCash {
        pence: 250,
        from: None,
        what: Text::from("tea"),
    };
    let open = Command::OpenSession {
        venue: Text::from("dartford"),
        date: day(),
        start: time("10:00"),
        end: None,
        form: SessionForm::PeerLed,
    };
    (cash, open)
}

/// The chunk with a few bits turned, and in another's name when `named`; or none when that is no
/// other change, or one that pre-flight refuses.
fn altered(kind: Kind, chunk: &[u8], named: bool, chance: &mut Chance) -> Option<Vec<u8>> {
    let mut altered = chunk.to_vec();
    if named {
        let author = preflight::header(chunk).unwrap().actor;
        let at = chunk.windows(16).position(|bytes| bytes == author.0)?;
        // Its sequence number comes next, and is small.
        altered[at..at + 16].fill(0x77);
        altered[at + 16] = 1;
    }
    for _ in 0..=chance.below(2) {
        let byte = 10 + chance.below(altered.len() - 10);
        altered[byte] ^= 1 << chance.below(8);
    }
    let altered = mend(&altered)?;
    let passes = preflight::header_for(kind, &altered).is_ok();
    (altered != chunk && passes).then_some(altered)
}

/// Bytes of honest changes are altered, with their checksums mended. Whatever passes pre-flight is
/// merged or left out; every entry that was there stays; the document can be read, written and
/// saved afterwards, and honest changes still get in.
fn alter(kind: Kind, seed: u64) {
    let mut chance = Chance::new(seed);
    let chunks = honest_work(kind, &mut chance);
    let all: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let mut honest = Document::new(kind).unwrap();
    assert_eq!(honest.apply(&all), []);
    let entries = journal(&mut honest);
    let (mut passed, mut left_out) = (0, 0);
    for round in 0..1_500 {
        let at = chance.below(chunks.len());
        let named = round % 3 == 0;
        let Some(altered) = altered(kind, &chunks[at], named, &mut chance) else {
            continue;
        };
        passed += 1;
        let mut doc = Document::new(kind).unwrap();
        assert_eq!(doc.apply(&all[..at]), []);
        let before = journal(&mut doc);
        if round % 2 == 0 {
            doc = Document::new(kind).unwrap();
            doc.apply(&all[..at]);
        }
        left_out += doc.apply(&[&altered]).len();
        doc.apply(&all[at..]);
        // One in its author's own name stands where the honest one should, with all after it.
        let kept = if named { &entries } else { &before };
        let found = journal(&mut doc);
        for entry in kept {
            assert!(found.contains(entry), "round {round}: an entry is lost");
        }
        let kept = doc.view().0.clone();
        doc.reading = None;
        assert!(
            *doc.view().0 == kept,
            "round {round}: what was followed is not what is read"
        );
        // Where the opening itself was altered there may be nothing to write in.
        let done = perform(&mut doc, actor(9), &life(kind).0, entry(900), &by(1), NOW);
        assert!(
            matches!(done, Ok(Some(_)) | Err(Refusal::NotOpen)),
            "{done:?}"
        );
        assert!(Automerge::load(&doc.save()).is_ok());
    }
    assert!(
        passed > 100 && left_out > 10,
        "{passed} passed, {left_out} were left out"
    );
}

#[test]
fn no_altered_change_harms_a_case() {
    alter(Kind::CASE, 3);
}

#[test]
fn no_altered_change_harms_a_session() {
    alter(Kind::SESSION, 4);
}
