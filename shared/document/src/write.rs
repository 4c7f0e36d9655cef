//! From `domain` to Automerge: one person's edits become exactly one change.

use automerge::{
    Automerge, AutomergeError, ObjId, ObjType, ReadDoc,
    transaction::{CommitOptions, Transactable, Transaction},
};
use domain::Edits;
use names::{Moment, limits};

use crate::{read::Places, schema};

/// The most operations the entries and fields of one command can come to.
const ENTRY_OPS_MAX: usize = 16;

/// Whether the edits fit into one change, told before anything is written.
pub(crate) fn fits(edits: &Edits) -> bool {
    let typed: usize = edits
        .splices
        .iter()
        .map(|splice| splice.delete.saturating_add(splice.insert.chars().count()))
        .fold(0, usize::saturating_add);
    let entries = edits.entries.len().saturating_mul(ENTRY_OPS_MAX);
    let ops = typed
        .saturating_add(entries)
        .saturating_add(edits.fields.len());
    ops as u64 <= limits::CHANGE_OPS_MAX
}

/// Writes the edits in one transaction; `text` is the one they edit. The time is the person's, in whole seconds as Automerge
/// has it, so that public tools show it right (the entry itself has milliseconds); there is no
/// message, because everything a person says is in the entry.
pub(crate) fn write(
    auto: &mut Automerge,
    places: &Places,
    text: &ObjId,
    edits: &Edits,
    now: Moment,
) -> Result<(), AutomergeError> {
    auto.transact_with(
        |()| CommitOptions::default().with_time(now.0.div_euclid(1_000)),
        |tx| write_into(tx, places, text, edits),
    )
    .map(drop)
    .map_err(|failure| failure.error)
}

fn write_into(
    tx: &mut Transaction<'_>,
    places: &Places,
    text: &ObjId,
    edits: &Edits,
) -> Result<(), AutomergeError> {
    for entry in &edits.entries {
        let end = tx.length(&places.entries);
        let map = tx.insert_object(&places.entries, end, ObjType::Map)?;
        for (key, scalar) in schema::to_row(entry) {
            tx.put(&map, key, scalar)?;
        }
    }
    for (key, value) in &edits.fields {
        tx.put(&places.fields, key.as_str(), value.as_str())?;
    }
    for splice in &edits.splices {
        let delete = isize::try_from(splice.delete).unwrap_or(isize::MAX);
        tx.splice_text(text, splice.position, delete, &splice.insert)?;
    }
    Ok(())
}
