//! Reading what a store holds, as it came: with and without regard for damage.

use std::collections::BTreeSet;

use names::DocumentId;
use protocol::directory::SignedStatement;
use store::{Snapshot, StoreError, Table};

use super::{Piece, ROWS};
use crate::draft::{damaged, decode_row, read_arrivals, read_range, unless_damaged};

/// Every document of which anything can be read, also where its header row cannot.
///
/// # Errors
/// When the store cannot be read.
pub fn every_document<P: Snapshot>(snapshot: &P) -> Result<BTreeSet<DocumentId>, StoreError> {
    let mut documents = BTreeSet::new();
    let mut named = |table| {
        store::each(snapshot, table, |row| {
            let id = <[u8; 16]>::try_from(row.name.as_slice());
            documents.extend(id.map(DocumentId));
        })
    };
    if named(Table::Document)? > 0 {
        named(Table::Placement)?;
        named(Table::Index)?;
    }
    Ok(documents)
}

/// Every statement that can be read, in the order in which they came, and how many cannot.
///
/// # Errors
/// When the store cannot be read.
pub fn every_statement<P: Snapshot>(
    snapshot: &P,
) -> Result<(Vec<SignedStatement>, u64), StoreError> {
    let (mut statements, mut spoilt) = (Vec::new(), 0);
    let unread = each_readable(snapshot, Table::Statement, &[], |bytes| {
        match decode_row(Table::Statement, bytes) {
            Ok(statement) => statements.push(statement),
            Err(_) => spoilt += 1,
        }
        Ok::<_, StoreError>(())
    })?;
    Ok((statements, unread + spoilt))
}

/// Visits what can be read of a document, in the order in which it was admitted; answers how many
/// rows cannot.
///
/// # Errors
/// When the store cannot be read; what `visit` answers.
pub fn each_readable_piece<P: Snapshot, E: From<StoreError>>(
    snapshot: &P,
    document: DocumentId,
    mut visit: impl FnMut(Piece) -> Result<(), E>,
) -> Result<u64, E> {
    let name = document.as_ref();
    let mut spoilt = 0;
    let mut take = |piece: Result<Piece, StoreError>| match unless_damaged(piece)? {
        Some(piece) => visit(piece),
        None => {
            spoilt += 1;
            Ok(())
        }
    };
    let mut unread = each_readable(snapshot, Table::Placement, name, |bytes| {
        take(decode_row(Table::Placement, bytes).map(Piece::Placement))
    })?;
    let mut next = Some(0);
    while let Some(from) = next {
        let rows = read_arrivals(snapshot, Table::Bundle, document, from, ROWS)?;
        next = rows.last().and_then(|(last, _)| last.checked_add(1));
        for (_, bytes) in rows {
            match bytes {
                Some(bytes) => take(decode_row(Table::Bundle, &bytes).map(Piece::Bundle))?,
                None => unread += 1,
            }
        }
        if next.is_none() {
            // Where the header row is damaged too, nobody can tell how far the rows go.
            let rest = snapshot.range(Table::Bundle, name, from, ROWS);
            unread += u64::from(unless_damaged(rest)?.is_none());
        }
    }
    Ok(unread + spoilt)
}

/// Visits every row of a name that can be read; answers how many cannot.
fn each_readable<P: Snapshot, E: From<StoreError>>(
    snapshot: &P,
    table: Table,
    name: &[u8],
    mut visit: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let (mut next, mut unread) = (Some(0), 0);
    while let Some(from) = next {
        let rows = read_range(snapshot, table, name, from, ROWS)?;
        next = rows.last().and_then(|(last, _)| last.checked_add(1));
        for (_, bytes) in rows {
            match bytes {
                Some(bytes) => visit(&bytes)?,
                None => unread += 1,
            }
        }
    }
    Ok(unread)
}

/// Every document there is, in the order of their ids.
///
/// # Errors
/// When the store cannot be read, or a row of it is damaged.
pub fn documents<P: Snapshot>(snapshot: &P) -> Result<BTreeSet<DocumentId>, StoreError> {
    let mut documents = BTreeSet::new();
    whole(snapshot, Table::Document, |name, _| {
        let id = <[u8; 16]>::try_from(name).map_err(|_| damaged(Table::Document))?;
        documents.insert(DocumentId(id));
        Ok(())
    })?;
    Ok(documents)
}

/// Visits every statement, in the order in which they came.
///
/// # Errors
/// When the store cannot be read, or a row of it is damaged.
pub fn each_statement<P: Snapshot>(
    snapshot: &P,
    mut visit: impl FnMut(SignedStatement),
) -> Result<(), StoreError> {
    each_row(snapshot, Table::Statement, &[], |bytes| {
        visit(decode_row(Table::Statement, bytes)?);
        Ok(())
    })
}

/// Visits what there is of a document, in the order in which it was admitted: its placements, then
/// its bundles. What `visit` answers ends it early when it is an error.
///
/// # Errors
/// When the store cannot be read, or a row of it is damaged; what `visit` answers.
pub fn each_piece<P: Snapshot, E: From<StoreError>>(
    snapshot: &P,
    document: DocumentId,
    mut visit: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    each_row(snapshot, Table::Placement, document.as_ref(), |bytes| {
        visit(Piece::Placement(decode_row(Table::Placement, bytes)?))
    })?;
    each_row(snapshot, Table::Bundle, document.as_ref(), |bytes| {
        visit(Piece::Bundle(decode_row(Table::Bundle, bytes)?))
    })
}

fn each_row<P: Snapshot, E: From<StoreError>>(
    snapshot: &P,
    table: Table,
    name: &[u8],
    mut visit: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut next = Some(0);
    while let Some(from) = next {
        let rows = snapshot.range(table, name, from, ROWS)?;
        next = rows.last().and_then(|(last, _)| last.checked_add(1));
        for (_, bytes) in rows {
            visit(&bytes)?;
        }
    }
    Ok(())
}

/// Visits every row of a table; a damaged one is an error here.
fn whole<P: Snapshot>(
    snapshot: &P,
    table: Table,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut so_far = Ok(());
    let spoilt = store::each(snapshot, table, |row| {
        if so_far.is_ok() {
            so_far = visit(&row.name, &row.value);
        }
    })?;
    if spoilt > 0 {
        return Err(damaged(table));
    }
    so_far
}
