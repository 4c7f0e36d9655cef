//! Many signatures, checked together.
//!
//! A frame of a fill has some hundred signatures of few keys. Those of one key, checked as one sum,
//! cost a quarter of what they cost one by one (some 10 instead of 40 microseconds each). What is not
//! proved so is checked on its own, so whoever puts a wrong one among them gains nothing and hides
//! nothing. That both ways give the same answer for every signature, crafted ones included, is what
//! the rules of ZIP 215 are made for (<https://zips.z.cash/zip-0215>); the plain rules of RFC 8032
//! leave it open, and two nodes could then differ for good.
//!
//! There is a sum for each key. Its weights follow from all signatures that are in it, and which of
//! them each is for follows from the same: nobody can choose signatures to suit the weights, nor put
//! them in an order that does, and no chance is needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use ed25519_zebra::{VerificationKeyBytes, batch};
use names::Reason;
use rand_core::{TryCryptoRng, TryRng};

use crate::{
    hash::{self, label},
    signed::{PublicKey, Signature},
};

/// Fewer than these are checked faster one by one.
const TOGETHER_MIN: usize = 3;

/// That a key has signed a message: claimed, not proved.
pub struct Signed {
    key: PublicKey,
    name: Name,
    item: batch::Item,
}

/// Stands for a key, a message and a signature.
type Name = [u8; 32];

impl Signed {
    pub(crate) fn new(key: &PublicKey, message: &[u8], signature: &Signature) -> Signed {
        let bytes = VerificationKeyBytes::from(key.0);
        Signed {
            key: *key,
            name: name(key, message, signature),
            item: batch::Item::from((bytes, signature.0.into(), message)),
        }
    }
}

fn name(key: &PublicKey, message: &[u8], signature: &Signature) -> Name {
    hash::hash32(label::SIGNED, &[key.as_ref(), signature.as_ref(), message])
}

/// Signatures that were checked and are good.
#[derive(Default)]
pub struct Proven(BTreeSet<Name>);

impl Proven {
    /// Checks these together, key by key: of each key either all are proven, or none.
    pub fn of(signed: impl IntoIterator<Item = Signed>) -> Proven {
        let mut proven = BTreeSet::new();
        for (key, of_key) in sums(signed) {
            if of_key.len() >= TOGETHER_MIN && key.is_sound() {
                proven.extend(good(of_key));
            }
        }
        Proven(proven)
    }

    /// Whether `key` has signed `message`, looked up here and checked if it is not found.
    pub(crate) fn check(
        &self,
        key: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), Reason> {
        if !self.0.is_empty() && self.0.contains(&name(key, message, signature)) {
            return Ok(());
        }
        key.verify(message, signature)
    }
}

/// The signatures of one key, in the order in which they are summed up: that of their names, which
/// stand for all that there is to choose. In the order of their coming, whoever sends them could
/// look for one in which wrong ones cancel each other out.
type Sum = BTreeMap<Name, batch::Item>;

fn sums(signed: impl IntoIterator<Item = Signed>) -> BTreeMap<PublicKey, Sum> {
    let mut sums: BTreeMap<PublicKey, Sum> = BTreeMap::new();
    for one in signed {
        sums.entry(one.key).or_default().insert(one.name, one.item);
    }
    sums
}

/// The names of these signatures, if their sum comes out right.
fn good(of_key: Sum) -> Vec<Name> {
    let (names, items): (Vec<Name>, Vec<batch::Item>) = of_key.into_iter().unzip();
    let mut sum = batch::Verifier::new();
    items.into_iter().for_each(|item| sum.queue(item));
    if sum.verify(Weights::of(&names)).is_ok() {
        names
    } else {
        Vec::new()
    }
}

/// The weights of a sum.
struct Weights(blake3::OutputReader);

impl Weights {
    fn of(names: &[Name]) -> Weights {
        let mut hasher = hash::hasher(label::WEIGHTS, &[]);
        for name in names {
            hasher.update(name);
        }
        Weights(hasher.finalize_xof())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}

impl TryRng for Weights {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.bytes()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Weights {}

#[cfg(test)]
#[path = "together/tests.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
