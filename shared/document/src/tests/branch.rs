use super::*;
use crate::testing::{Branches, branches};

/// Writes a branch again, its authors renamed as `Branches` says. What Automerge offers is more than
/// pre-flight lets into our documents, which is left out here.
fn rewritten(branches: &Branches) -> Vec<Vec<u8>> {
    rewritten_by(&mut Rewriting::default(), branches)
}

fn rewritten_by(rewriting: &mut Rewriting, branches: &Branches) -> Vec<Vec<u8>> {
    let chunks = branches.branch.iter().map(|chunk| {
        let change = Change::try_from(&chunk[..]).unwrap();
        let actor = ActorId(change.actor_id().to_bytes().try_into().unwrap());
        let line = rewriting.lines.entry(actor).or_insert(Line {
            actor: branches.renamed[&actor],
            first_op: change.start_op().get(),
            seq: 0,
        });
        line.seq += 1;
        let line = *line;
        let again = rewriting.write(chunk, line).unwrap();
        let hash = preflight::hash(&again).unwrap();
        rewriting.hashes.insert(ChangeHash(change.hash().0), hash);
        again
    });
    chunks.collect()
}

fn expanded(chunk: &[u8]) -> ExpandedChange {
    Change::try_from(chunk).unwrap().decode()
}

#[test]
fn a_branch_is_written_again_as_another_author_would_have_written_it() {
    let mut changes = 0;
    for seed in 0..60 {
        let branches = branches(seed);
        let again = rewritten(&branches);
        assert_eq!(again.len(), branches.as_others.len());
        for (mine, theirs) in again.iter().zip(&branches.as_others) {
            let reencoded = Change::from(expanded(theirs));
            assert_eq!(reencoded.raw_bytes(), theirs, "seed {seed}");
            let [mut mine, mut theirs] = [mine, theirs].map(|chunk| expanded(chunk));
            // It still names the last change of whom it is written instead of; whoever begins names
            // the heads alone. So the hashes are others.
            let named = mine.deps.len() - theirs.deps.len();
            assert!(named == 0 || (named == 1 && mine.seq == 1), "seed {seed}");
            mine.deps.clear();
            theirs.deps.clear();
            assert_eq!(mine, theirs, "seed {seed}");
            changes += 1;
        }
    }
    assert!(changes > 300, "{changes} changes were written again");
}

#[test]
fn both_branches_stand_beside_each_other_afterwards() {
    for seed in 0..20 {
        let branches = branches(seed);
        let mut chunks = branches.before.clone();
        chunks.extend(branches.other_branch.clone());
        chunks.extend(rewritten(&branches));
        let changes = chunks
            .iter()
            .map(|chunk| Change::try_from(&chunk[..]).unwrap());
        let mut document = automerge::Automerge::new();
        document.apply_changes(changes).unwrap();
        assert_eq!(document.get_changes(&[]).len(), chunks.len(), "seed {seed}");
        automerge::Automerge::load(&document.save()).unwrap();
    }
}

/// While a branch and what stands for it are both there, somebody may write who has seen both.
#[test]
fn what_builds_on_both_builds_on_one_afterwards() {
    use automerge::{ROOT, transaction::Transactable};
    for seed in 0..20 {
        let branches = branches(seed);
        let mut rewriting = Rewriting::default();
        let again = rewritten_by(&mut rewriting, &branches);
        let chunks = branches.before.iter().chain(&branches.branch).chain(&again);
        let changes = chunks.map(|chunk| Change::try_from(&chunk[..]).unwrap());
        let mut document = automerge::AutoCommit::new();
        document.apply_changes(changes).unwrap();
        document.set_actor(automerge_actor(ActorId([50; 16])));
        document.put(ROOT, "k0", "of both").unwrap();
        document.commit();
        let change = document.get_last_local_change().unwrap();
        let line = Line {
            actor: ActorId([60; 16]),
            first_op: change.start_op().get(),
            seq: 1,
        };
        let deps = change.deps().len();
        let once = expanded(&rewriting.write(change.raw_bytes(), line).unwrap());
        assert_eq!(once.deps.len() * 2, deps, "seed {seed}: {:?}", once.deps);
        let mut replaced: Vec<_> = once.operations[0].pred.iter().collect();
        let all = replaced.len();
        replaced.dedup();
        assert_eq!(replaced.len(), all, "seed {seed}");
    }
}

#[test]
fn what_is_no_change_of_ours_is_not_written_again() {
    let author = |_: &Header| ActorId([9; 16]);
    let mut chunk = branches(1).branch[0].clone();
    let refused = Rewriting::default().add(&chunk, author);
    assert_eq!(refused, Err(Reason::Malformed), "not for our documents");
    *chunk.last_mut().unwrap() ^= 1;
    let refused = Rewriting::default().add(&chunk, author);
    assert_eq!(refused, Err(Reason::WrongHash));
    let refused = Rewriting::default().add(&[], author);
    assert_eq!(refused, Err(Reason::Malformed));
}
