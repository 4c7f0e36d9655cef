use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
};
use proptest::{collection::vec, prelude::*};
use sha2::{Digest, Sha512};

use super::*;
use crate::testing::key;

/// A message, the key that is said to have signed it, and the signature.
type Case = (PublicKey, Vec<u8>, Signature);

fn honest(device: u8, message: &[u8]) -> Case {
    let key = key(device);
    (key.public(), message.to_vec(), key.sign(message))
}

/// A signature whose key, or whose first half, has a part of small order. The plain rules take it or
/// leave it by how it is checked.
fn crafted(message: &[u8], in_key: usize, in_signature: usize) -> Case {
    let wide = |text: &[u8]| Scalar::from_bytes_mod_order_wide(&Sha512::digest(text).into());
    let (secret, once) = (wide(b"secret"), wide(message));
    let public: EdwardsPoint = secret * ED25519_BASEPOINT_POINT + EIGHT_TORSION[in_key];
    let first: EdwardsPoint = once * ED25519_BASEPOINT_POINT + EIGHT_TORSION[in_signature];
    let (public, first) = (public.compress().0, first.compress().0);
    let second = once + wide(&[&first[..], &public, message].concat()) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&first);
    signature[32..].copy_from_slice(&second.to_bytes());
    (PublicKey(public), message.to_vec(), Signature(signature))
}

fn signed(cases: &[Case]) -> impl Iterator<Item = Signed> + '_ {
    let sign = |(key, message, signature): &Case| Signed::new(key, message, signature);
    cases.iter().map(sign)
}

fn together(cases: &[Case]) -> Proven {
    Proven::of(signed(cases))
}

fn one_by_one(cases: &[Case]) -> Vec<bool> {
    let check = |(key, message, signature): &Case| key.verify(message, signature).is_ok();
    cases.iter().map(check).collect()
}

fn answers(proven: &Proven, cases: &[Case]) -> Vec<bool> {
    let check = |(key, message, signature): &Case| proven.check(key, message, signature).is_ok();
    cases.iter().map(check).collect()
}

#[test]
fn good_ones_are_proven_together() {
    let cases: Vec<Case> = (0..40).map(|n| honest(n % 3, &[n])).collect();
    let proven = together(&cases);
    assert_eq!(proven.0.len(), 40);
    assert!(answers(&proven, &cases).iter().all(|good| *good));
}

#[test]
fn a_wrong_one_is_found_among_good_ones_and_costs_them_nothing() {
    let mut cases: Vec<Case> = (0..12).map(|n| honest(n % 3, &[n])).collect();
    cases[7].1 = b"another message".to_vec();
    let proven = together(&cases);
    assert_eq!(proven.0.len(), 8, "those of the two other keys");
    let right: Vec<bool> = (0..12).map(|n| n != 7).collect();
    assert_eq!(answers(&proven, &cases), right);
}

/// Whoever sends them could otherwise look for an order in which wrong ones cancel each other out.
#[test]
fn neither_order_nor_repetition_changes_anything() {
    let mut cases: Vec<Case> = (0..24).map(|n| honest(n % 2, &[n])).collect();
    let sums = |cases: &[Case]| format!("{:?}", super::sums(signed(cases)));
    let (before, proven) = (sums(&cases), together(&cases).0);
    cases.rotate_left(5);
    cases.swap(0, 7);
    cases.push(cases[3].clone());
    assert_eq!((sums(&cases), together(&cases).0), (before, proven));
}

#[test]
fn what_is_proven_proves_nothing_else() {
    let cases: Vec<Case> = (0..8).map(|n| honest(1, &[n])).collect();
    let proven = together(&cases);
    let (key, message, signature) = &cases[0];
    assert!(proven.check(key, message, signature).is_ok());
    assert!(proven.check(key, b"another", signature).is_err());
    assert!(proven.check(&cases[1].0, message, &cases[1].2).is_err());
    assert!(proven.check(&honest(2, b"").0, message, signature).is_err());
}

#[test]
fn crafted_ones_get_the_same_answer_both_ways() {
    for in_key in 0..8 {
        for in_signature in 0..8 {
            let message = [in_key as u8, in_signature as u8];
            let mut cases: Vec<Case> = (0..4).map(|n| honest(1, &[n])).collect();
            cases.push(crafted(&message, in_key, in_signature));
            // Two whose parts of small order might cancel each other out.
            cases.push(crafted(b"its like", in_key, (8 - in_signature) % 8));
            cases.push(crafted(b"plain", in_key, 0));
            assert_eq!(answers(&together(&cases), &cases), one_by_one(&cases));
            assert_eq!(together(&cases).0.len(), 7);
        }
    }
}

#[test]
fn a_key_of_small_order_proves_nothing_among_others() {
    let mut cases: Vec<Case> = (0..4).map(|n| honest(1, &[n])).collect();
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    for message in [b"any", b"one", b"of 3"] as [&[u8]; 3] {
        cases.push((PublicKey(neutral), message.to_vec(), Signature(signature)));
    }
    let answers = answers(&together(&cases), &cases);
    assert_eq!(answers, [true, true, true, true, false, false, false]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn together_they_get_the_answer_that_each_gets_alone(
        drawn in vec((0u8..3, any::<u8>(), proptest::option::of(0usize..96)), 0..12),
    ) {
        let cases: Vec<Case> = drawn
            .into_iter()
            .map(|(device, text, flipped)| {
                let (mut key, message, mut signature) = honest(device, &[text]);
                if let Some(place) = flipped {
                    let byte = signature.0.get_mut(place);
                    *byte.unwrap_or(&mut key.0[place % 32]) ^= 4;
                }
                (key, message, signature)
            })
            .collect();
        prop_assert_eq!(answers(&together(&cases), &cases), one_by_one(&cases));
    }
}
