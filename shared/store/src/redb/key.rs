//! The keys of rows.
//!
//! ```text
//! table code (1) | length of name (1) | name | position (8, big endian)
//! ```
//!
//! keeps the rows of one name side by side in the order of their positions, and no name's rows between
//! another's. Tables whose rows lie beside each other ([`Table::lies_beside`]) have
//!
//! ```text
//! 0 (1) | length of name (1) | name | table code (1) | position (8, big endian)
//! ```
//!
//! A commit writes anew every page that it changes, and documents are scattered over all pages: with
//! these tables apart each of them would have pages of its own to write (what that costs:
//! `tests/benches/README.md`).

use crate::{Damage, NAME_BYTES_MAX, StoreError, Table};

/// What stands for all tables whose rows lie beside each other; no table has this code.
const BESIDE: u8 = 0;

pub(super) const KEY_BYTES_MAX: usize = 3 + NAME_BYTES_MAX + 8;

/// What the keys of a table begin with.
pub(super) fn first_byte(table: Table) -> u8 {
    match table.lies_beside() {
        true => BESIDE,
        false => table.code(),
    }
}

/// Writes the key of a row into `key`. A name longer than [`NAME_BYTES_MAX`] has no rows, and
/// gets a key that none has.
pub(super) fn row_key(key: &mut Vec<u8>, table: Table, name: &[u8], position: u64) {
    key.clear();
    key.push(first_byte(table));
    key.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    key.extend_from_slice(name);
    if table.lies_beside() {
        key.push(table.code());
    }
    key.extend_from_slice(&position.to_be_bytes());
}

/// The table's code, the name and the position in a stored key.
pub(super) fn split_key(key: &[u8]) -> Result<(u8, &[u8], u64), StoreError> {
    let damaged = StoreError::Corrupt(Damage::File);
    let (rest, position) = key.split_last_chunk::<8>().ok_or(damaged)?;
    let (code, length, name) = match rest {
        [BESIDE, length, name @ .., code] => (*code, *length, name),
        [code, length, name @ ..] => (*code, *length, name),
        _ => return Err(damaged),
    };
    if name.len() != usize::from(length) {
        return Err(damaged);
    }
    Ok((code, name, u64::from_be_bytes(*position)))
}
