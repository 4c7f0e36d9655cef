//! How a case and a session are written for the API: what stands, what it came from, and what
//! waits for a person. Plain data, `snake_case`, every value with who, where and when.
//!
//! Every entry of a document stands somewhere in its view: what was replaced in a history, what
//! says something about an entry that is not here among the leftovers, what this version cannot
//! read with the little that it can.

mod case;
mod session;

use std::collections::BTreeSet;

use names::{EntryId, Moment, Reason, SiteId, WorkerId};
use serde::Serialize;

pub(crate) use case::CaseView;
pub(crate) use session::SessionView;

use crate::code::Field;
use crate::entry::Act;
use crate::merge::{Edited, EntryLog, Lww, Made, MultiValue, Prose, Row, Said};
use crate::text::Text;
use crate::unread::Unread;

/// What an entry says, beside who said it, where and when.
#[derive(Clone, Serialize)]
struct Told<'a, T: Serialize> {
    entry: EntryId,
    at: Moment,
    by: &'a WorkerId,
    site: &'a SiteId,
    /// When and where else, for an entry that reached the record by several ways.
    #[serde(skip_serializing_if = "<[Made]>::is_empty")]
    also: &'a [Made],
    #[serde(flatten)]
    says: T,
}

impl<'a, T: Serialize> Told<'a, T> {
    fn of<R>(row: &Row<'a, R>, says: T) -> Told<'a, T> {
        Told {
            entry: row.entry,
            at: row.made.at,
            by: &row.made.by,
            site: &row.made.site,
            also: row.also,
            says,
        }
    }
}

fn told<'a, T, S: Serialize>(
    log: &'a EntryLog<T>,
    says: impl Fn(&Row<'a, T>) -> S,
) -> Vec<Told<'a, S>> {
    log.in_order()
        .iter()
        .map(|row| Told::of(row, says(row)))
        .collect()
}

/// A field in which several values may stand.
#[derive(Serialize)]
struct ManyView<'a, T: Serialize> {
    standing: Vec<Told<'a, &'a Said<T>>>,
    contested: bool,
    history: Vec<Told<'a, &'a Said<T>>>,
}

impl<'a, T: Serialize + Ord + Clone> ManyView<'a, T> {
    fn of(field: &'a MultiValue<T>) -> ManyView<'a, T> {
        ManyView {
            standing: field
                .standing()
                .iter()
                .map(|row| Told::of(row, row.value))
                .collect(),
            contested: field.is_contested(),
            history: told(field.history(), |row| row.value),
        }
    }
}

/// A text: who edited it when, what went, and what an edit of it has to have seen.
#[derive(Serialize)]
struct EditsView<'a> {
    newest: Vec<EntryId>,
    length: usize,
    history: Vec<Told<'a, EditView<'a>>>,
}

/// One edit.
#[derive(Serialize)]
struct EditView<'a> {
    #[serde(flatten)]
    edited: &'a Edited,
    /// Whether it was sent through two nodes: then its words stand in the text once for each, and
    /// which of them are too many only a person can tell.
    stands_twice: bool,
}

impl<'a> EditsView<'a> {
    fn of(prose: &'a Prose) -> EditsView<'a> {
        EditsView {
            newest: prose.newest(),
            length: prose.length(),
            history: told(prose.edits(), |row| EditView {
                edited: row.value,
                stands_twice: !row.also.is_empty(),
            }),
        }
    }
}

/// A value that a low-harm field was given.
#[derive(Serialize)]
struct FieldSet<'a> {
    field: Field,
    value: &'a Text,
}

/// All values that low-harm fields were ever given, those that others replaced among them.
fn fields_history(fields: &Lww) -> Vec<Told<'_, FieldSet<'_>>> {
    told(fields.history(), |row| FieldSet {
        field: row.value.0,
        value: &row.value.1,
    })
}

/// What this version cannot read.
#[derive(Serialize)]
struct UnreadView<'a> {
    code: &'a Text,
    reason: Reason,
    words: String,
}

fn unread(log: &EntryLog<Unread>) -> Vec<Told<'_, UnreadView<'_>>> {
    told(log, |row| UnreadView {
        code: &row.value.code,
        reason: row.value.reason,
        words: row.value.words(),
    })
}

/// Whole entries for which the view has no other place.
fn leftovers<'a>(journal: &'a EntryLog<Act>, left: &BTreeSet<EntryId>) -> Vec<Told<'a, &'a Act>> {
    let mut rows = journal.in_order();
    rows.retain(|row| left.contains(&row.entry));
    rows.iter().map(|row| Told::of(row, row.value)).collect()
}
