use names::{Nonce, TenantId};
use protocol::{
    codec,
    signed::{DeviceKey, Head},
};

use super::*;

const DOCUMENT: DocumentId = DocumentId([7; 16]);

/// Changes of two authors who take turns, each building on the one before, each in a bundle of its
/// own; with the directory that its author had seen.
fn alternating(count: usize, seen: impl Fn(usize) -> i64) -> Vec<(Bundle, ChangeHash)> {
    let key = DeviceKey::from_seed(&[1; 32]);
    let actors = [ActorId([1; 16]), ActorId([2; 16])];
    let mut made: Vec<(Bundle, ChangeHash)> = Vec::new();
    for number in 0..count {
        let actor = actors[number % 2];
        let mut deps: Vec<ChangeHash> = made.iter().rev().take(2).map(|(_, hash)| *hash).collect();
        deps.sort();
        let rest = vec![u8::try_from(number).unwrap(); 20 + number];
        let whole = packed::put_together(&deps, &actor, &rest).unwrap();
        let head = Head {
            device: key.device_id(),
            nonce: Nonce([3; 16]),
            worker: "w-1".parse().unwrap(),
            seq: number as u64 / 2 + 1,
            hash: whole.hash(),
            directory_seen: Moment(seen(number)),
            floor: Moment(number as i64),
        };
        let head = SignedHead::sign(&key, &TenantId([9; 16]), &DOCUMENT, &actor, &head);
        let bundle = of_one(DOCUMENT, whole.chunk(), &head).unwrap();
        made.push((bundle, whole.hash()));
    }
    made
}

fn pack(of: &[(Bundle, ChangeHash)]) -> (Bundle, usize) {
    let mut packer = Packer::new(DOCUMENT);
    for (bundle, hash) in of {
        packer.add(bundle.clone(), vec![*hash], |_| true);
    }
    packer.finish().unwrap()
}

#[test]
fn what_joins_a_bundle_taken_as_it_is_stands_as_if_all_had_come_one_by_one() {
    let made = alternating(12, |number| number as i64);
    let (first, rest) = made.split_at(7);
    let (whole, _) = pack(first);
    let hashes: Vec<ChangeHash> = first.iter().map(|(_, hash)| *hash).collect();
    let mut packer = Packer::new(DOCUMENT);
    packer.add(whole.clone(), hashes.clone(), |_| true);
    for (bundle, hash) in rest {
        packer.add(bundle.clone(), vec![*hash], |_| true);
    }
    // What is there already does not come twice.
    packer.add(whole, hashes, |_| true);
    assert!(packer.finish().unwrap() == pack(&made));
}

#[test]
fn interleaved_changes_need_one_head_for_each_author() {
    let made = alternating(12, |_| 5);
    let (bundle, bytes) = pack(&made);
    assert_eq!((bundle.changes.len(), bundle.authors.len()), (12, 2));
    let mut packer = Packer::new(DOCUMENT);
    for (bundle, hash) in &made {
        packer.add(bundle.clone(), vec![*hash], |_| true);
    }
    let (every, _) = packer.finish_with_every_head().unwrap();
    assert_eq!((every.changes.len(), every.closings.len()), (12, 12));
    let closed: Vec<u16> = bundle
        .closings
        .iter()
        .map(|closing| closing.change)
        .collect();
    assert_eq!(closed, [10, 11]);
    let alone: Vec<_> = made
        .iter()
        .flat_map(|(bundle, _)| chunks(bundle).unwrap())
        .collect();
    assert_eq!(chunks(&bundle).unwrap(), alone);
    assert!(bytes >= alone.iter().map(|(_, chunk)| chunk.len()).sum());
    for closing in &bundle.closings {
        let (_, hash) = made[usize::from(closing.change)];
        let (single, _) = &made[usize::from(closing.change)];
        assert_eq!(closing.head(&hash), single.closings[0].head(&hash));
    }
    // Together they take less than half of what they take apart.
    let apart: usize = made
        .iter()
        .map(|(bundle, _)| codec::encode(bundle).len())
        .sum();
    assert!(codec::encode(&bundle).len() * 2 < apart);
}

#[test]
fn a_head_stays_where_its_author_had_seen_another_directory() {
    let (bundle, _) = pack(&alternating(12, |number| if number < 6 { 5 } else { 6 }));
    let closed: Vec<u16> = bundle
        .closings
        .iter()
        .map(|closing| closing.change)
        .collect();
    assert_eq!(closed, [4, 5, 10, 11]);
}

#[test]
fn a_part_of_a_bundle_is_the_same_changes() {
    let made = alternating(12, |_| 5);
    let (bundle, _) = pack(&made);
    let hashes: Vec<ChangeHash> = made.iter().map(|(_, hash)| *hash).collect();
    for from in 1..12 {
        let mut packer = Packer::new(DOCUMENT);
        packer.add(bundle.clone(), hashes.clone(), |place| place >= from);
        let (part, _) = packer.finish().unwrap();
        let parts = chunks(&part).unwrap();
        assert_eq!(parts, chunks(&bundle).unwrap()[from..]);
        // What came before is named by its hash now, and adding it again changes nothing.
        let mut packer = Packer::new(DOCUMENT);
        packer.add(bundle.clone(), hashes.clone(), |place| place < from);
        packer.add(bundle.clone(), hashes.clone(), |_| true);
        packer.add(part.clone(), hashes[from..].to_vec(), |_| true);
        assert_eq!(chunks(&packer.finish().unwrap().0), chunks(&bundle));
    }
}

#[test]
fn a_bundle_that_refers_to_what_it_has_not_is_refused() {
    let (bundle, _) = pack(&alternating(4, |_| 5));
    let damaged = |damage: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        damage(&mut bundle);
        chunks(&bundle).map(|_| ())
    };
    assert_eq!(damaged(&|_| {}), Ok(()));
    let malformed = Err(Reason::Malformed);
    assert_eq!(damaged(&|bundle| bundle.changes.clear()), malformed);
    assert_eq!(damaged(&|bundle| bundle.authors.truncate(1)), malformed);
    for dep in [Dep::Near(0), Dep::Near(3), Dep::Near(u16::MAX)] {
        assert_eq!(
            damaged(&|bundle| bundle.changes[2].deps = vec![dep.clone()]),
            malformed
        );
    }
    let large = |bundle: &mut Bundle| bundle.changes[1].rest = vec![0; BUNDLE_BYTES_MAX];
    assert_eq!(damaged(&large), Err(Reason::TooLarge));
    let many = |bundle: &mut Bundle| {
        let change = bundle.changes[0].clone();
        bundle.changes = vec![change; BUNDLE_CHANGES_MAX + 1];
    };
    assert_eq!(damaged(&many), Err(Reason::TooLarge));
}
