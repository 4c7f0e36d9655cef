//! Where documents belong: any bytes that a device has signed, at the door and as a family.

use std::collections::{BTreeMap, BTreeSet};

use names::limits::{PLACEMENT_HEADS_MAX, PLACEMENT_SCOPES_MAX, SIGNED_BYTES_MAX};
use node::VerifiedPlacement;
use protocol::{
    Placement, PlacementId, SignedPlacement, codec,
    placement::{exits, left, standing, stands, told_in},
    together::Proven,
};

use crate::{
    craft::{EDGES, TENANT, as_placement, key, verifier},
    draw::{Draw, piece},
    record,
};

/// Placements in one input.
const PLACEMENTS_MAX: usize = 12;

/// What is taken was signed by the device that it names and keeps its limits; the door takes nothing
/// else. Of any family of placements one can tell where its document stands.
pub(super) fn run(bytes: &[u8]) {
    let verifier = verifier();
    let mut draw = Draw::new(bytes);
    let mut family: BTreeMap<PlacementId, Placement> = BTreeMap::new();
    for _ in 0..PLACEMENTS_MAX {
        if draw.is_over() {
            break;
        }
        let signer = draw.byte() % (EDGES + 2);
        let signed = as_placement(signer, draw.piece());
        let proof = signed.verify(&TENANT, &key(signer).public(), &Proven::default());
        let at_the_door = verifier.placement(signed.clone());
        if let Ok((id, placement)) = proof.clone() {
            check(&signed, &placement, signer);
            family.insert(id, placement);
        }
        let taken: Option<VerifiedPlacement> = at_the_door.ok();
        if taken.is_some() {
            assert!(proof.is_ok(), "taken, and not proved");
            assert!(signer <= EDGES, "taken of a stranger");
        }
    }
    check_family(&family);
}

fn check(signed: &SignedPlacement, placement: &Placement, signer: u8) {
    assert_eq!(placement.device, key(signer).device_id());
    assert_eq!(placement.check(), Ok(()));
    assert!(signed.payload.len() <= SIGNED_BYTES_MAX);
    assert!((1..=PLACEMENT_SCOPES_MAX).contains(&placement.scopes.len()));
    assert!(placement.heads.len() <= PLACEMENT_HEADS_MAX);
    let again = codec::decode(&codec::encode(placement));
    assert_eq!(again.as_ref(), Ok(placement), "it does not read back");
    let mut forged = signed.clone();
    for byte in forged.signature.0.iter_mut().take(1) {
        *byte ^= 1;
    }
    let proof = forged.verify(&TENANT, &key(signer).public(), &Proven::default());
    assert!(proof.is_err(), "one bit of a signature does not count");
}

fn check_family(family: &BTreeMap<PlacementId, Placement>) {
    let ends = standing(family);
    let stand = stands(family, |_| None);
    assert_eq!(stand, stands(family, |_| None));
    let named: BTreeSet<_> = family.values().flat_map(|one| one.scopes.clone()).collect();
    let left = left(family, &named);
    assert!(left.is_empty(), "it left where it stands");
    for scope in &named {
        let told = told_in(family, scope);
        assert!(exits(family, scope).is_subset(&told), "an exit is not told");
    }
    assert!(ends.iter().all(|end| family.contains_key(end)));
}

/// The placements of the record, alone and together.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (placements, _) = record::pieces();
    let each = placements
        .iter()
        .map(|one| [vec![1], piece(&one.payload)].concat());
    let follows = placements.first().and_then(|first| {
        let (id, placement) = first.claim().ok()?;
        let next = Placement {
            previous: Some(id),
            root: None,
            reason: Some(names::TransferReason::from_code(1)),
            heads: vec![names::ChangeHash([1; 32])],
            ..placement
        };
        let next = piece(&codec::encode(&next));
        Some([&[1][..], &piece(&first.payload), &[1], &next].concat())
    });
    each.clone()
        .chain(follows)
        .chain([each.collect::<Vec<_>>().concat()])
        .collect()
}
