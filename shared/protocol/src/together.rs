//! Many signatures, checked together.
//!
//! A frame of a fill has some hundred signatures of few keys. Checked as one sum they cost a
//! quarter of what they cost one by one (some 10 instead of 40 microseconds each). What is not
//! proved so is checked on its own, so whoever puts a wrong one among them gains nothing and hides
//! nothing. That both ways give the same answer for every signature, crafted ones included, is what
//! the rules of ZIP 215 are made for (<https://zips.z.cash/zip-0215>); the plain rules of RFC 8032
//! leave it open, and two nodes could then differ for good.
//!
//! The weights of the sum follow from all that is in it, so that nobody can choose signatures to
//! suit them, and no chance is needed.

use std::{collections::BTreeSet, convert::Infallible};

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
    /// Checks all of these together: either all of them are proven, or none.
    pub fn of(signed: impl IntoIterator<Item = Signed>) -> Proven {
        let (mut all, mut keys, mut names) =
            (batch::Verifier::new(), BTreeSet::new(), BTreeSet::new());
        for one in signed {
            keys.insert(one.key);
            if names.insert(one.name) {
                all.queue(one.item);
            }
        }
        let are_worth_it = names.len() >= TOGETHER_MIN;
        if are_worth_it
            && keys.iter().all(PublicKey::is_sound)
            && all.verify(Weights::of(&names)).is_ok()
        {
            Proven(names)
        } else {
            Proven::default()
        }
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

/// The weights of a sum.
struct Weights(blake3::OutputReader);

impl Weights {
    fn of(names: &BTreeSet<Name>) -> Weights {
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
