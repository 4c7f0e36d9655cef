//! Nobody keeps others from writing or reading with little effort.

use std::{collections::BTreeSet, sync::Arc};

use domain::FlawAt;
use names::{Reason, limits};

use super::{
    crafted::{as_performed, deleted, inserted, on_top, op_id, set, typed},
    *,
};
use crate::{
    guard::Failed,
    history::{Candidate, in_order},
    preflight,
    settle::sift,
};

/// A device makes many heads at once. Whoever writes next builds on all of them.
#[test]
fn many_heads_keep_nobody_from_writing() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    let heads: Vec<Vec<u8>> = (0..150u8)
        .map(|n| on_top(ActorId([n; 16]), &[], vec![set("room", "x", vec![])]))
        .collect();
    let chunks: Vec<&[u8]> = heads.iter().map(Vec::as_slice).collect();
    assert_eq!(replica.doc.apply(&chunks), []);
    let done = replica.perform(&note("still here"), entry(2)).unwrap();
    assert_eq!(done.header.deps.len(), 151);
    assert_eq!(replica.doc.heads(), [done.header.hash]);
}

/// What a hundred bytes may stand for.
#[test]
fn operations_cost_their_writer_bytes() {
    let who = ActorId([0x77; 16]);
    let refused = |ops| preflight::header(&on_top(who, &[], ops));
    let twice = |op: fn() -> automerge::legacy::Op, n| (0..n).map(|_| op()).collect();
    assert_eq!(
        refused(twice(|| set("room", "", vec![]), 2)),
        Err(Reason::Malformed)
    );
    assert_eq!(
        refused(twice(|| inserted(None), 5_000)),
        Err(Reason::TooLarge)
    );
    assert!(refused(twice(|| inserted(None), 50)).is_ok());
    let fields = (0..=limits::CHANGE_FIELDS_MAX).map(|n| set(&format!("f{n}"), "x", vec![]));
    assert_eq!(refused(fields.collect()), Err(Reason::TooLarge));
    let character = op_id(1, actor(1));
    let delete = || deleted(character.clone(), vec![character.clone()]);
    let mut ops = vec![typed("x", None), delete()];
    assert!(refused(ops.clone()).is_ok());
    ops.push(delete());
    assert_eq!(refused(ops), Err(Reason::Malformed));
}

/// Many actors delete one long text over and over, 150 bytes each. Most of that is left out, the
/// same of it everywhere, and people go on writing.
#[test]
fn a_text_is_not_deleted_without_end() {
    let mut replica = Replica::new(Kind::CASE, 1);
    replica.perform(&open_case(), entry(1)).unwrap();
    let long = edit(0, 0, &"x".repeat(19_000));
    let typed = replica.perform(&long, entry(2)).unwrap();
    let last = typed.header.max_op;
    let all: Vec<_> = (last - 18_999..=last)
        .map(|counter| op_id(counter, actor(1)))
        .map(|id| deleted(id.clone(), vec![id]))
        .collect();
    let hostile: Vec<Vec<u8>> = (0..15u8)
        .map(|n| on_top(ActorId([0x30 + n; 16]), &[&typed], all.clone()))
        .collect();
    assert!(hostile.iter().all(|chunk| chunk.len() < 200));
    let mut other = replica.doc.clone();
    for chunk in &hostile {
        other.apply(&[chunk]);
    }
    let mut chunks: Vec<&[u8]> = hostile.iter().map(Vec::as_slice).collect();
    chunks.reverse();
    let flaws = replica.doc.apply(&chunks);
    assert!(flaws.iter().all(|flaw| flaw.reason == Reason::TooLarge));
    // 219,000 is what they may have; each has a surplus of a little less than 19,000.
    assert_eq!(flaws.len(), 15 - 11);
    assert_eq!(replica.doc.read(), other.read());
    let alone: Vec<_> = flaws.iter().map(|flaw| flaw.at).collect();
    for (number, command) in [note("on"), edit(0, 0, "more")].iter().enumerate() {
        let id = entry(10 + number as u64);
        let done = replica.perform(command, id).unwrap();
        assert!(!alone.contains(&FlawAt::Change(done.header.hash)));
        assert_eq!(other.apply(&[&done.chunk]), []);
        assert_eq!(replica.doc.read(), other.read());
    }
    assert_eq!(journal(&mut replica.doc).len(), 4);
}

/// A document with a line of changes and some that stand alone, as candidates in order.
fn candidates() -> Vec<Candidate> {
    let mut writer = Replica::new(Kind::CASE, 1);
    writer.perform(&open_case(), entry(1)).unwrap();
    for n in 2..20 {
        writer.perform(&note("a note"), entry(n)).unwrap();
    }
    let line = writer.doc.history.chunks()[1..].to_vec();
    let loose = (0..80u8).map(|n| {
        let ops = vec![inserted(None)];
        Arc::from(on_top(ActorId([n; 16]), &[], ops).as_slice())
    });
    let all = line.into_iter().chain(loose).map(|chunk| {
        let candidate = Candidate::read(Kind::CASE, &chunk).unwrap();
        (candidate.header.hash, candidate)
    });
    in_order(all.collect())
}

/// Changes on which Automerge would fall are found with few tries, each a part of the whole.
#[test]
fn what_automerge_falls_on_is_found_by_halves() {
    let candidates = candidates();
    let in_line: Vec<ChangeHash> = candidates
        .iter()
        .filter(|candidate| candidate.header.actor == actor(1))
        .map(|candidate| candidate.header.hash)
        .collect();
    let loose = candidates
        .iter()
        .find(|candidate| candidate.header.actor != actor(1));
    let bad = BTreeSet::from([in_line[10], loose.unwrap().header.hash]);
    let mut tries = 0;
    let mut merged: Vec<ChangeHash> = vec![];
    let fallen = sift(&candidates, &mut merged, |merged, part| {
        tries += 1;
        let hashes = || part.iter().map(|candidate| candidate.header.hash);
        if hashes().any(|hash| bad.contains(&hash)) {
            return Err(Failed);
        }
        Ok(merged.iter().copied().chain(hashes()).collect())
    });
    assert_eq!(fallen, bad);
    // One that fails, and the eight that build on it, are not there; the order is kept.
    let builds_on = &in_line[10..];
    let expected: Vec<ChangeHash> = candidates
        .iter()
        .map(|candidate| candidate.header.hash)
        .filter(|hash| !builds_on.contains(hash) && !bad.contains(hash))
        .collect();
    assert_eq!(merged, expected);
    assert!(tries < 40, "{tries} tries for {} changes", candidates.len());
}

/// What Automerge fell on once is not tried again, and only what builds on it is left out with it.
#[test]
fn what_automerge_fell_on_stays_left_out() {
    let candidates = candidates();
    let mut doc = Document::new(Kind::CASE).unwrap();
    let bad = candidates
        .iter()
        .find(|candidate| candidate.header.actor == actor(1) && candidate.header.seq == 18);
    let bad = bad.unwrap().header.hash;
    doc.fallen.insert(bad);
    for candidate in &candidates {
        doc.apply(&[&candidate.chunk]);
    }
    let flaws: Vec<_> = doc.read().1;
    let left_out = |flaw: &&domain::Flaw| matches!(flaw.at, FlawAt::Change(_));
    let left_out: Vec<_> = flaws.iter().filter(left_out).collect();
    assert_eq!(left_out.len(), 2);
    assert!(
        left_out
            .iter()
            .all(|flaw| flaw.reason == Reason::CannotOpen)
    );
    assert_eq!(doc.changes(), 1 + candidates.len() - 2);
}

/// A change stands in the text of one before it that is not there.
#[test]
fn a_change_on_one_that_is_left_out_is_left_out() {
    let mut replica = Replica::new(Kind::CASE, 1);
    let opened = replica.perform(&open_case(), entry(1)).unwrap();
    let ops = vec![typed("x", Some(op_id(3, actor(1))))];
    let bad = as_performed(on_top(actor(5), &[&opened], ops));
    let next = on_top(actor(6), &[&bad], vec![typed("y", None)]);
    let reasons = |flaws: Vec<domain::Flaw>| flaws.iter().map(|f| f.reason).collect::<Vec<_>>();
    assert_eq!(
        reasons(replica.doc.apply(&[&next])),
        [Reason::MissingDependency]
    );
    let mut after = reasons(replica.doc.apply(&[&bad.chunk]));
    after.sort_unstable();
    assert_eq!(after, [Reason::Malformed, Reason::CannotOpen]);
}
