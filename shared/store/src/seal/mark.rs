//! The seal: the one row that is not sealed. It names the store, and proves which keys fit it.
//!
//! ```text
//! version (1) | suite (1) | store id (16) | check (32) | epoch (4) | its check (32) | sum (8)
//! ```
//!
//! The checks need the keys and the sum does not, so a seal whose sum fits and whose check does
//! not was made under another key.

use names::StoreId;

use super::{SUITE, VERSION};
use crate::{
    Damage, Epochs, StoreError, StoreKey,
    key::{Keys, epoch_check},
};

/// The name of the seal. Hashed names have sixteen bytes, so none is equal to it.
pub(super) const SEAL_NAME: &[u8] = b"seal";
const SUM_BYTES: usize = 8;
/// Version, suite, store id: what the check is about.
const ABOUT_BYTES: usize = 18;

/// A seal for a store in the current epoch.
pub(super) fn write(store: StoreId, keys: &Keys, epochs: &Epochs) -> Vec<u8> {
    let mut seal = vec![VERSION, SUITE];
    seal.extend_from_slice(store.as_ref());
    let check = keys.check(&seal);
    seal.extend_from_slice(check.as_bytes());
    let epoch = epochs.current();
    seal.extend_from_slice(&epoch.to_be_bytes());
    let key = epochs.key(epoch).copied().unwrap_or_default();
    seal.extend_from_slice(epoch_check(epochs.half(), &key, store).as_bytes());
    let sum = sum(&seal);
    seal.extend_from_slice(&sum);
    seal
}

/// Reads a seal and tries the keys on it.
pub(super) fn read(
    seal: &[u8],
    key: &StoreKey,
    epochs: &Epochs,
) -> Result<(StoreId, Keys), StoreError> {
    let damaged = StoreError::Corrupt(Damage::Seal);
    let (body, found) = seal.split_last_chunk::<SUM_BYTES>().ok_or(damaged)?;
    if *found != sum(body) {
        return Err(damaged);
    }
    let [VERSION, SUITE, ..] = body else {
        return Err(StoreError::TooNew);
    };
    let (about, rest) = body.split_first_chunk::<ABOUT_BYTES>().ok_or(damaged)?;
    let store = StoreId(*about.last_chunk().ok_or(damaged)?);
    let keys = key.derive(epochs.half(), store);
    let (check, rest) = rest.split_first_chunk::<32>().ok_or(damaged)?;
    // Compared in constant time by blake3's own equality.
    if keys.check(about) != blake3::Hash::from_bytes(*check) {
        return Err(StoreError::WrongKey);
    }
    let (epoch, rest) = rest.split_first_chunk::<4>().ok_or(damaged)?;
    let check: [u8; 32] = rest.try_into().map_err(|_| damaged)?;
    let epoch_key = epochs.key(u32::from_be_bytes(*epoch));
    let check = blake3::Hash::from_bytes(check);
    let fits = |key: &[u8; 32]| epoch_check(epochs.half(), key, store) == check;
    if epoch_key.is_some_and(fits) {
        Ok((store, keys))
    } else {
        Err(StoreError::WrongEpochs)
    }
}

fn sum(body: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    blake3::Hasher::new()
        .update(body)
        .finalize_xof()
        .fill(&mut sum);
    sum
}
