//! A session as the API shows it.

use std::collections::BTreeMap;

use names::EntryId;
use serde::Serialize;

use super::{
    EditsView, FieldSet, ManyView, Told, UnreadView, fields_history, leftovers, told, unread,
};
use crate::attender::Attender;
use crate::code::{Attendance, ChecklistItem};
use crate::conflict::Conflict;
use crate::entry::Act;
use crate::merge::{Derived, Line};
use crate::session::{self, Attended, Cash, Marked, Plan, Session, Times, in_force};
use crate::text::Text;

#[derive(Serialize)]
struct AttenderView<'a> {
    attender: Attender,
    /// The guests in this row: the one of the row itself, and those who are said to be the same.
    guests: Vec<GuestView<'a>>,
    operational: Option<Marked>,
    #[serde(flatten)]
    marks: ManyView<'a, Marked>,
}

#[derive(Serialize)]
struct GuestView<'a> {
    guest: EntryId,
    names: Vec<&'a Text>,
    matches: Option<ManyView<'a, Option<Attender>>>,
}

impl<'a> AttenderView<'a> {
    fn of(session: &'a Session, attender: Attender, row: &'a Attended<'a>) -> AttenderView<'a> {
        let guests = row.guests.iter().map(|guest| GuestView {
            guest: *guest,
            names: session.guest_names(Attender::Guest(*guest)),
            matches: session.matches.get(guest).map(ManyView::of),
        });
        AttenderView {
            attender,
            guests: guests.collect(),
            operational: in_force(&row.marks),
            marks: ManyView::of(&row.marks),
        }
    }
}

#[derive(Serialize)]
struct LineView<'a> {
    #[serde(flatten)]
    line: &'a Line<Cash>,
    reversed: bool,
}

#[derive(Serialize)]
struct ReversalView<'a> {
    cash: EntryId,
    reason: &'a Text,
}

#[derive(Serialize)]
struct CountView {
    entry: EntryId,
    counted_pence: u32,
    variance_pence: Derived<i64>,
}

#[derive(Serialize)]
struct CashView<'a> {
    received_pence: Derived<i64>,
    paid_out_pence: Derived<i64>,
    expected_pence: Derived<i64>,
    /// The standing counts, each beside what should be there.
    counted: Vec<CountView>,
    counts: ManyView<'a, u32>,
    lines: Vec<Told<'a, LineView<'a>>>,
    reversals: Vec<Told<'a, ReversalView<'a>>>,
}

#[derive(Serialize)]
struct HeadCountView<'a> {
    /// From the register.
    attended: Derived<u32>,
    /// What the people counted are more, or fewer if negative, than the register has.
    differences: Vec<i64>,
    counts: ManyView<'a, u32>,
}

#[derive(Serialize)]
struct TickView<'a> {
    item: ChecklistItem,
    words: &'static str,
    done: bool,
    ticks: Vec<Told<'a, ()>>,
}

/// A session as the API shows it.
#[derive(Serialize)]
pub(crate) struct SessionView<'a> {
    openings: Vec<Told<'a, &'a session::Opening>>,
    plan: ManyView<'a, Plan>,
    times: ManyView<'a, Times>,
    operational_times: Option<Times>,
    register: Vec<AttenderView<'a>>,
    attendance: BTreeMap<Attendance, u32>,
    head_count: HeadCountView<'a>,
    cash: CashView<'a>,
    checklist: Vec<TickView<'a>>,
    notes: &'a Text,
    notes_edits: EditsView<'a>,
    fields: &'a BTreeMap<String, Text>,
    fields_history: Vec<Told<'a, FieldSet<'a>>>,
    conflicts: Vec<Conflict>,
    unread: Vec<Told<'a, UnreadView<'a>>>,
    leftovers: Vec<Told<'a, &'a Act>>,
    entries: usize,
}

impl<'a> SessionView<'a> {
    pub(crate) fn of(
        session: &'a Session,
        rows: &'a BTreeMap<Attender, Attended<'a>>,
    ) -> SessionView<'a> {
        let register = rows
            .iter()
            .map(|(attender, row)| AttenderView::of(session, *attender, row));
        let mut attendance = BTreeMap::new();
        for marked in rows.values().filter_map(|row| in_force(&row.marks)) {
            *attendance.entry(marked.attendance).or_default() += 1;
        }
        SessionView {
            openings: told(&session.openings, |row| row.value),
            plan: ManyView::of(&session.plan),
            times: ManyView::of(&session.times),
            operational_times: session.widest_times(),
            register: register.collect(),
            attendance,
            head_count: head_count(session),
            cash: cash(session),
            checklist: checklist(session),
            notes: session.notes.text(),
            notes_edits: EditsView::of(&session.notes),
            fields: session.fields.values(),
            fields_history: fields_history(&session.fields),
            conflicts: session.conflicts(),
            unread: unread(&session.unread),
            leftovers: leftovers(&session.journal, &session.leftovers()),
            entries: session.journal.len(),
        }
    }
}

fn head_count(session: &Session) -> HeadCountView<'_> {
    let attended = session.attended();
    let values = session.head_counts.values().into_iter();
    HeadCountView {
        attended,
        differences: values
            .map(|people| i64::from(*people) - i64::from(attended.0))
            .collect(),
        counts: ManyView::of(&session.head_counts),
    }
}

fn cash(session: &Session) -> CashView<'_> {
    let reversed = session.cash.reversed();
    let counted = session.counts.standing();
    CashView {
        received_pence: session.received(),
        paid_out_pence: session.paid_out(),
        expected_pence: session.expected_cash(),
        counted: counted
            .iter()
            .map(|row| CountView {
                entry: row.entry,
                counted_pence: row.value.value,
                variance_pence: session.variance(row.value.value),
            })
            .collect(),
        counts: ManyView::of(&session.counts),
        lines: told(session.cash.lines(), |row| LineView {
            line: row.value,
            reversed: reversed.contains(&row.entry),
        }),
        reversals: told(session.cash.reversals(), |row| ReversalView {
            cash: row.value.line,
            reason: &row.value.reason,
        }),
    }
}

/// Every item, done or not, so that a screen need not know the list.
fn checklist(session: &Session) -> Vec<TickView<'_>> {
    let item = |item: &ChecklistItem| {
        let ticks = session
            .checklist
            .get(item)
            .map(|log| told(log, |_| ()))
            .unwrap_or_default();
        TickView {
            item: *item,
            words: item.words(),
            done: !ticks.is_empty(),
            ticks,
        }
    };
    ChecklistItem::ALL.iter().map(item).collect()
}
