//! A document that begins from a compacted form is the one that its changes make.

use proptest::prelude::*;

use super::{converge::play, *};
use crate::compacted::{COMPACTED_BYTES_MAX, saved};

/// A document made from these changes, and from a compacted form if one is given.
fn made(kind: Kind, chunks: &[&[u8]], form: Option<(usize, Vec<u8>)>) -> Document {
    let mut doc = Document::new(kind).unwrap();
    if let Some((changes, form)) = form {
        doc.offer(changes, form);
    }
    assert_eq!(doc.apply(chunks), []);
    doc
}

/// The compacted form of a document with these changes, whatever their number.
fn form_of(kind: Kind, chunks: &[&[u8]]) -> Vec<u8> {
    saved(&made(kind, chunks, None).auto).unwrap()
}

/// What three people wrote, each change behind those it builds on.
fn written(kind: Kind, seed: u64) -> Vec<Vec<u8>> {
    let (replicas, _) = play(kind, seed, 60);
    let chunks = replicas[0].doc.history.chunks().iter().skip(1);
    chunks.map(|chunk| chunk.to_vec()).collect()
}

/// The same, of seeds from this one on the first by which much was written.
fn much_written(seed: u64) -> Vec<Vec<u8>> {
    let written = (seed..).map(|seed| written(Kind::CASE, seed));
    written
        .into_iter()
        .find(|chunks| chunks.len() > 20)
        .unwrap()
}

/// A form of any part of a document, and the whole: it reads alike, and what is written in it
/// next is the same change.
fn check(kind: Kind, seed: u64) {
    let chunks = written(kind, seed);
    let mut chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let mut chance = Chance::new(seed);
    let part = chance.below(chunks.len() + 1);
    let begun = made(kind, &chunks[..part], None);
    let form = (begun.changes() - 1, saved(&begun.auto).unwrap());
    let mut plain = made(kind, &chunks, None);
    for at in (1..chunks.len()).rev() {
        chunks.swap(at, chance.below(at + 1));
    }
    let mut doc = made(kind, &chunks, Some(form));
    assert_eq!(doc.compacted(), begun.changes() - 1, "the form is used");
    assert_eq!(doc.heads(), plain.heads());
    assert_eq!(doc.read(), plain.read());
    assert_eq!(doc.summary(), plain.summary());
    let next = |doc: &mut Document| {
        let done = perform(doc, actor(1), &edit(0, 0, "ä"), entry(900), &by(1), NOW);
        done.map(|done| done.map(|done| done.chunk))
    };
    assert_eq!(next(&mut doc), next(&mut plain));
    assert_eq!(doc.read(), plain.read());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_case_reads_alike_from_any_compacted_form(seed in any::<u64>()) {
        check(Kind::CASE, seed);
    }

    #[test]
    fn a_session_reads_alike_from_any_compacted_form(seed in any::<u64>()) {
        check(Kind::SESSION, seed);
    }
}

#[test]
fn a_form_that_does_not_fit_changes_nothing() {
    let chunks = much_written(0);
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let (fewer, _) = chunks.split_at(chunks.len() - 3);
    let whole = form_of(Kind::CASE, &chunks);
    let mut cut = whole.clone();
    cut.truncate(whole.len() / 2);
    let mut torn = whole.clone();
    torn[whole.len() / 2] ^= 0xff;
    let other = much_written(100);
    let other: Vec<&[u8]> = other.iter().map(Vec::as_slice).collect();
    let misfits = [
        b"no document".to_vec(),
        cut,
        torn,
        // It has changes that are not here.
        whole,
        form_of(Kind::CASE, &other),
        form_of(Kind::SESSION, &[]),
        Automerge::new().save(),
    ];
    let plain = made(Kind::CASE, fewer, None);
    for misfit in misfits {
        let doc = made(Kind::CASE, fewer, Some((1, misfit)));
        assert_eq!(doc.compacted(), 0);
        assert_eq!(doc.heads(), plain.heads());
        assert_eq!(doc.read(), plain.read());
    }
}

#[test]
fn a_form_is_made_when_enough_has_come() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(0)).unwrap();
    let mut made_at = Vec::new();
    for number in 1..60 {
        replica.perform(&note("x"), entry(number)).unwrap();
        if let Some((changes, form)) = replica.doc.compact() {
            assert_eq!(changes, replica.doc.changes() - 1);
            let loaded = Automerge::load(&form).unwrap();
            assert_eq!(loaded.get_heads(), replica.doc.auto.get_heads());
            made_at.push(replica.doc.changes() - 1);
        }
    }
    // Eight more each time, until a quarter of what there is comes to more than that.
    assert_eq!(made_at, [8, 16, 24, 32, 40, 50]);
}

#[test]
fn what_could_not_be_compacted_is_not_tried_at_each_opening() {
    let chunks = much_written(0);
    let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    for none in [Vec::new(), vec![0; COMPACTED_BYTES_MAX + 1]] {
        let mut doc = Document::new(Kind::CASE).unwrap();
        doc.offer(chunks.len(), none);
        assert_eq!(doc.apply(&chunks), []);
        assert!(!doc.is_form_due());
    }
    assert!(made(Kind::CASE, &chunks, None).is_form_due());
}

#[test]
fn nothing_is_compacted_while_something_is_left_out() {
    let chunks = much_written(0);
    let mut chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let missing = chunks.remove(0);
    let mut doc = Document::new(Kind::CASE).unwrap();
    assert_ne!(doc.apply(&chunks), []);
    assert_eq!(doc.compact(), None);
    assert_eq!(doc.apply(&[missing]), []);
    assert!(doc.compact().is_some());
}
