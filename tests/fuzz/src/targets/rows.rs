//! A node's own rows: a store in which some were written by nobody, opened, read and checked.

use names::{DeviceId, DocumentId};
use node::{Input, Node, Opener, backup, check, review, views};
use store::{Batch, MemoryStore, Row, Store as _, StoreError, Table};

use crate::{
    craft::{identity, scope, verifier},
    draw::{Draw, piece},
    record,
};

/// Documents that are looked at.
const OPEN_MAX: usize = 4;
/// Entries that are asked about: those of the record, and some more.
const ENTRIES: u8 = 16;

/// Whatever stands in a row, a node opens or says that its store is damaged, and nothing that reads it
/// ends in anything but an answer. The first byte says who reads, and the rest what is written.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let reader = draw.byte();
    let mut store = record::store();
    write(&mut store, draw);
    match reader % 4 {
        0 => open(store),
        1 => look(&store),
        2 => {
            let snapshot = store.snapshot().expect("a store in memory does not fail");
            only_damage(check(&snapshot, &verifier(), |_, _| {}));
        }
        _ => {
            let mut opener = Opener::new(OPEN_MAX);
            let snapshot = store.snapshot().expect("a store in memory does not fail");
            for document in record::documents() {
                look_at(&snapshot, *document, &mut opener);
            }
        }
    }
}

/// Alters the rows that are drawn.
fn write(store: &mut MemoryStore, mut draw: Draw<'_>) {
    let rows = rows(store);
    let mut batch = Batch::new();
    while !draw.is_over() {
        let Some((table, row)) = draw.one_of(&rows) else {
            break;
        };
        let (mut value, mut position) = (row.value.clone(), row.position);
        match draw.byte() % 4 {
            0 => {
                let place = draw.below(value.len());
                for (slot, byte) in value.iter_mut().skip(place).zip(draw.piece()) {
                    *slot ^= byte;
                }
            }
            1 => value.truncate(draw.below(value.len())),
            2 => value = draw.piece().to_vec(),
            _ => position = draw.byte().into(),
        }
        batch.put(*table, row.name.clone(), position, value);
    }
    let done = store.commit(batch);
    done.expect("rows of a length that a store takes");
}

/// Opens a node on it, and lets it take a turn.
fn open(store: MemoryStore) {
    match Node::open(store, identity(1), &[], record::NOW, [1; 64]) {
        Ok(mut node) => {
            only_damage(node.sync());
            only_damage(node.turn(record::NOW, [2; 32], vec![Input::Wake]));
        }
        Err(error) => only_damage::<()>(Err(error)),
    }
}

fn rows(store: &MemoryStore) -> Vec<(Table, Row)> {
    let snapshot = store.snapshot().expect("a store in memory does not fail");
    let mut rows = Vec::new();
    for table in Table::ALL {
        let each = store::each(&snapshot, *table, |row| rows.push((*table, row)));
        each.expect("a store in memory does not fail");
    }
    rows
}

fn only_damage<T>(answer: Result<T, StoreError>) {
    if let Err(error) = answer {
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    }
}

/// Reads all at once, as the API and backups do.
fn look(store: &MemoryStore) {
    let snapshot = store.snapshot().expect("a store in memory does not fail");
    only_damage(views::documents(&snapshot, &scope()));
    only_damage(views::recompute(&snapshot));
    only_damage(backup::manifest(&snapshot));
    only_damage(backup::every_statement(&snapshot));
    only_damage(review::devices(&snapshot));
    only_damage(review::holding(&snapshot));
    only_damage(review::waiting(&snapshot, DeviceId([7; 16])));
}

/// Reads one document.
fn look_at<P: store::Snapshot>(snapshot: &P, document: DocumentId, opener: &mut Opener) {
    only_damage(views::document_of(snapshot, document));
    only_damage(views::opening_of(snapshot, document));
    only_damage(backup::each_readable_piece(snapshot, document, |_| {
        Ok::<_, StoreError>(())
    }));
    if let Ok(view) = opener.view_marked(snapshot, document, &crate::craft::directory()) {
        assert_eq!(view.document, document);
    }
    let _ = opener.export(snapshot, document);
    for number in 0..ENTRIES {
        only_damage(views::entry_state(snapshot, record::entry(number)));
    }
}

/// Alterations of each row, for each reader in turn: a bit turned, an end cut off, the same content,
/// another place.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let rows = rows(&record::store());
    let of = |number: usize, row: &Row| {
        let number = u16::try_from(number).unwrap_or(0).to_le_bytes();
        let half = u16::try_from(row.value.len() / 2)
            .unwrap_or(0)
            .to_le_bytes();
        [
            [&number[..], &[0], &half, &piece(&[1])].concat(),
            [&number[..], &[1], &half].concat(),
            [&number[..], &[2], &piece(&row.value)].concat(),
            [&number[..], &[3, 9]].concat(),
        ]
    };
    let each = rows.iter().enumerate();
    let each = each.flat_map(|(number, (_, row))| of(number, row));
    // Five and not four, so that each sort of alteration comes to each reader.
    (0..5_u8)
        .cycle()
        .zip(each)
        .map(|(reader, altered)| [vec![reader], altered].concat())
        .collect()
}
