//! What signed devices may send that honest ones never would.

use automerge::{
    ActorId as AutoActorId, Automerge, AutomergeError, ObjType, ROOT, ReadDoc,
    transaction::{Transactable, Transaction},
};
use domain::{FlawAt, Refusal};
use names::Reason;

use super::*;
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

/// Bytes of honest changes are altered, with their checksums mended. Whatever passes pre-flight is
/// merged or left out; the document can be read, written and saved afterwards, and honest changes
/// still get in.
#[test]
fn no_altered_change_harms_a_document() {
    let mut chance = Chance::new(3);
    let mut writer = Replica::new(Kind::CASE, 1);
    writer.perform(&open_case(), entry(0)).unwrap();
    let mut typist = Replica::new(Kind::CASE, 2);
    typist.merge(&writer, &mut chance);
    for n in 1..40 {
        let replica = if n % 2 == 0 { &mut writer } else { &mut typist };
        let command = random_command(replica, &mut chance);
        replica.perform(&command, entry(n));
        if chance.below(4) == 0 {
            writer.merge(&typist, &mut chance);
            typist.merge(&writer, &mut chance);
        }
    }
    writer.merge(&typist, &mut chance);
    let chunks: Vec<Vec<u8>> = writer.doc.history.chunks()[1..]
        .iter()
        .map(|chunk| chunk.to_vec())
        .collect();
    let (mut passed, mut left_out) = (0, 0);
    for round in 0..1_500 {
        let at = chance.below(chunks.len());
        let mut altered = chunks[at].clone();
        for _ in 0..=chance.below(2) {
            let byte = 10 + chance.below(altered.len() - 10);
            altered[byte] ^= 1 << chance.below(8);
        }
        let Some(altered) = mend(&altered) else {
            continue;
        };
        if altered == chunks[at] || preflight::header_for(Kind::CASE, &altered).is_err() {
            continue;
        }
        passed += 1;
        let mut doc = Document::new(Kind::CASE).unwrap();
        let before: Vec<&[u8]> = chunks[..at].iter().map(Vec::as_slice).collect();
        assert_eq!(doc.apply(&before), []);
        if round % 2 == 0 {
            doc.view();
        }
        left_out += doc.apply(&[&altered]).len();
        let rest: Vec<&[u8]> = chunks[at..].iter().map(Vec::as_slice).collect();
        doc.apply(&rest);
        let kept = doc.view().0.clone();
        doc.reading = None;
        assert!(
            *doc.view().0 == kept,
            "round {round}: what was followed is not what is read"
        );
        // Where the opening itself was altered there may be no case to write in.
        let done = perform(&mut doc, actor(9), &note("on"), entry(900), &by(1), NOW);
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

/// Two stores write as one actor (a clone). Whichever comes second is left out here, with all that
/// builds on it, until the centre rules; everything else is merged.
#[test]
fn of_two_branches_of_one_actor_one_is_left_out() {
    let mut original = Replica::new(Kind::CASE, 1);
    original.perform(&open_case(), entry(1)).unwrap();
    let mut clone = Replica::new(Kind::CASE, 1);
    clone.merge(&original, &mut Chance::new(1));
    original.perform(&note("here"), entry(2)).unwrap();
    let first = clone.perform(&note("there"), entry(3)).unwrap();
    let second = clone.perform(&note("there again"), entry(4)).unwrap();
    let mut bystander = Replica::new(Kind::CASE, 2);
    bystander.merge(&original, &mut Chance::new(1));
    let innocent = bystander.perform(&note("innocent"), entry(5)).unwrap();
    let flaws = original
        .doc
        .apply(&[&second.chunk, &innocent.chunk, &first.chunk]);
    let mut reasons: Vec<_> = flaws.iter().map(|flaw| (flaw.at, flaw.reason)).collect();
    reasons.sort_by_key(|(_, reason)| *reason);
    assert_eq!(
        reasons,
        [
            (FlawAt::Change(first.header.hash), Reason::Equivocation),
            (FlawAt::Change(second.header.hash), Reason::CannotOpen),
        ]
    );
    assert_eq!(original.doc.heads(), [innocent.header.hash]);
    assert_eq!(original.doc.read().1, flaws);
}
