//! Frames of every lane, as any bytes.

use names::limits::{
    BUNDLE_CHANGES_MAX, CHANGE_ACTORS_MAX, CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, EXCEPTIONS_MAX,
    FRAME_BYTES_MAX, LIST_ROWS_MAX, SCOPES_MAX, SIGNED_BYTES_MAX, WRITERS_MAX,
};
use protocol::{
    Bundle, Cursor, Frame,
    message::{Batch, table_root},
    sketch::CELLS_BATCH_MAX,
};

use crate::record;

/// A frame of each type as version 1 wrote it, one a line: its name, its bytes in hexadecimal.
const GOLDEN: &str = include_str!("../../../../shared/protocol/golden/frames-v1.txt");

/// What is taken for a frame keeps every limit, and is the same when it is written and read again.
pub(super) fn run(bytes: &[u8]) {
    let Ok(Some(frame)) = Frame::decode(bytes) else {
        return;
    };
    assert!(bytes.len() <= FRAME_BYTES_MAX, "longer than a frame");
    check_limits(&frame);
    let written = frame.encode();
    assert_eq!(
        Frame::decode(&written).as_ref(),
        Ok(&Some(frame.clone())),
        "it does not read back"
    );
    claims(&frame);
}

fn check_limits(frame: &Frame) {
    match frame {
        Frame::StatementIds(page) => assert!(page.ids.len() <= LIST_ROWS_MAX),
        Frame::Statements(batch) => {
            assert!(batch.statements.len() <= LIST_ROWS_MAX);
            let payloads = batch.statements.iter().map(|said| &said.payload);
            payloads.for_each(|payload| assert!(payload.len() <= SIGNED_BYTES_MAX));
        }
        Frame::Table(table) => {
            assert!(table.rows.len() <= SCOPES_MAX);
            for row in &table.rows {
                check_cursor(&row.mine);
                check_cursor(&row.yours);
            }
        }
        Frame::Fill(batch) | Frame::Live(batch) => check_batch(batch),
        Frame::Held(held) => assert!(held.refused.len() <= LIST_ROWS_MAX),
        Frame::Done(done) => {
            assert!(done.except.len() <= EXCEPTIONS_MAX);
            check_cursor(&done.logs);
        }
        Frame::List(list) => assert!(list.rows.len() <= LIST_ROWS_MAX),
        Frame::Differ(differ) => {
            assert!(differ.documents.len() <= LIST_ROWS_MAX);
            for difference in &differ.documents {
                assert!(difference.actors.len() <= CHANGE_ACTORS_MAX);
                assert!(difference.placements.len() <= LIST_ROWS_MAX);
            }
        }
        Frame::Cells(cells) => assert!(cells.cells.len() <= CELLS_BATCH_MAX),
        Frame::Hello(_)
        | Frame::Sent(_)
        | Frame::Totals(_)
        | Frame::Ping(_)
        | Frame::Pong(_)
        | Frame::Bye(_)
        | Frame::Wanted(_)
        | Frame::Backups(_) => {}
    }
}

fn check_cursor(cursor: &Cursor) {
    assert!(cursor.positions().count() <= WRITERS_MAX);
}

fn check_batch(batch: &Batch) {
    assert!(batch.placements.len() <= LIST_ROWS_MAX && batch.bundles.len() <= LIST_ROWS_MAX);
    for placement in &batch.placements {
        assert!(placement.payload.len() <= SIGNED_BYTES_MAX);
    }
    batch.bundles.iter().for_each(check_bundle);
}

/// A bundle keeps its limits.
pub(super) fn check_bundle(bundle: &Bundle) {
    assert!(bundle.authors.len() <= BUNDLE_CHANGES_MAX);
    assert!(bundle.changes.len() <= BUNDLE_CHANGES_MAX);
    assert!(bundle.closings.len() <= BUNDLE_CHANGES_MAX);
    for change in &bundle.changes {
        assert!(change.deps.len() <= CHANGE_DEPS_MAX && change.rest.len() <= CHANGE_BYTES_MAX);
    }
    for closing in &bundle.closings {
        assert!(closing.before.len() <= SIGNED_BYTES_MAX);
        assert!(closing.after.len() <= SIGNED_BYTES_MAX);
    }
}

/// What a node works out of a frame before it has proved any of it.
fn claims(frame: &Frame) {
    match frame {
        Frame::Statements(batch) => {
            for said in &batch.statements {
                let _ = (said.id(), said.claim());
            }
        }
        Frame::Fill(batch) | Frame::Live(batch) => {
            for placement in &batch.placements {
                if let Ok((_, claim)) = placement.claim() {
                    assert_eq!(claim.check(), Ok(()), "a claim that is no placement");
                }
            }
        }
        Frame::Table(table) => drop(table_root(&table.rows)),
        _ => {}
    }
}

/// The golden frame of each type, and what a real conversation said.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let golden = GOLDEN.lines().filter_map(|line| line.split_once(' '));
    let golden = golden.map(|(_, hexadecimal)| unhex(hexadecimal));
    golden.chain(record::said().iter().cloned()).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    digits.filter_map(byte).collect()
}
