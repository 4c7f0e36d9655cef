//! Where a row stands in the one tree, and how the rows of one table are found again.

use std::ops::Bound;

use redb::ReadableTable;

use super::of_storage;
use crate::{Damage, NAME_BYTES_MAX, Page, Row, StoreError, Table};

/// What gathered rows begin with; no table has this code.
const GATHERED: u8 = 0xF0;

/// The longest key of a row.
pub(super) const KEY_BYTES_MAX: usize = 3 + NAME_BYTES_MAX + 8;

/// Writes the key of a row into `key`. A name longer than [`NAME_BYTES_MAX`] has no rows, and
/// gets a key that none has.
pub(super) fn row_key(key: &mut Vec<u8>, table: Table, name: &[u8], position: u64) {
    key.clear();
    let is_gathered = table.is_gathered();
    key.push(if is_gathered { GATHERED } else { table.code() });
    key.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    key.extend_from_slice(name);
    if is_gathered {
        key.push(table.code());
    }
    key.extend_from_slice(&position.to_be_bytes());
}

/// A stored key, taken apart.
struct RowKey<'k> {
    table: u8,
    name: &'k [u8],
    position: u64,
}

impl RowKey<'_> {
    fn read(key: &[u8]) -> Option<RowKey<'_>> {
        let (rest, position) = key.split_last_chunk::<8>()?;
        let (code, rest) = rest.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let table = match (*code, rest) {
            (GATHERED, [table]) => *table,
            (GATHERED, _) => return None,
            (table, []) => table,
            (_, _) => return None,
        };
        Some(RowKey {
            table,
            name,
            position: u64::from_be_bytes(*position),
        })
    }
}

/// The position in a stored key.
pub(super) fn position_of(key: &[u8]) -> Result<u64, StoreError> {
    let key = RowKey::read(key).ok_or(StoreError::Corrupt(Damage::File))?;
    Ok(key.position)
}

/// A page of a table, from behind the row whose key `after` is.
pub(super) fn page(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: Table,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, StoreError> {
    let code = if table.is_gathered() {
        GATHERED
    } else {
        table.code()
    };
    let (first, end) = ([code], [code + 1]);
    let from = after.map_or(Bound::Included(first.as_slice()), Bound::Excluded);
    let mut from = from.map(<[u8]>::to_vec);
    let (mut page, mut reached) = (Page::default(), None);
    loop {
        let range = (from.as_ref().map(Vec::as_slice), Bound::Excluded(&end[..]));
        let mut seek = None;
        for row in rows.range::<&[u8]>(range).map_err(of_storage)? {
            let (key, value) = row.map_err(of_storage)?;
            let at = RowKey::read(key.value());
            if let Some(at) = &at
                && at.table != table.code()
            {
                seek = Some(beyond(at, table));
                break;
            }
            if page.rows.len() >= limit {
                page.next = reached;
                return Ok(page);
            }
            match at {
                Some(at) => page.rows.push(Row {
                    name: at.name.to_vec(),
                    position: at.position,
                    value: value.value().to_vec(),
                }),
                None => page.damaged += 1,
            }
            reached = Some(key.value().to_vec());
        }
        match seek {
            Some(further) => from = further,
            None => return Ok(page),
        }
    }
}

/// Where rows of `table` may stand next, behind a gathered row of another table.
fn beyond(at: &RowKey<'_>, table: Table) -> Bound<Vec<u8>> {
    let mut key = Vec::with_capacity(KEY_BYTES_MAX);
    row_key(&mut key, table, at.name, 0);
    if at.table < table.code() {
        return Bound::Included(key);
    }
    row_key(&mut key, table, at.name, u64::MAX);
    if let Some(code) = key.iter_mut().rev().nth(8) {
        *code = u8::MAX;
    }
    Bound::Excluded(key)
}
