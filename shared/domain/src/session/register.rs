//! The register, read: who was there, and who of them is the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use names::EntryId;

use super::{Marked, Session};
use crate::attender::Attender;
use crate::code::Attendance;
use crate::merge::{Derived, MultiValue};
use crate::text::Text;
use crate::time::TimeOfDay;

/// Times that lie this close are one: two clocks on two walls (`reference/domain.md` 1.3 E).
pub(super) const SAME_TIME_MINUTES: u16 = 15;

/// One row of the register: somebody, with the marks of all guests who are said to be the same.
pub struct Attended<'a> {
    /// Their marks.
    pub marks: Cow<'a, MultiValue<Marked>>,
    /// The guests among them, by the entries that brought them in.
    pub guests: Vec<EntryId>,
}

impl Session {
    /// The register. A guest who is said to be somebody else stands in that one's row.
    pub fn rows(&self) -> BTreeMap<Attender, Attended<'_>> {
        let mut known = BTreeMap::new();
        let mut rows: BTreeMap<Attender, Attended<'_>> = BTreeMap::new();
        for (attender, marks) in &self.register {
            let row = self.resolve(*attender, &mut known);
            join(rows.entry(row), *attender, marks);
        }
        rows
    }

    /// The row that an attender stands in.
    pub fn row(&self, attender: Attender) -> Option<Attended<'_>> {
        let mut known = BTreeMap::new();
        let row = self.resolve(attender, &mut known);
        let guests = self.matches.keys().map(|guest| Attender::Guest(*guest));
        let same: BTreeSet<Attender> = guests
            .filter(|guest| self.resolve(*guest, &mut known) == row)
            .chain([row])
            .collect();
        let mut rows = BTreeMap::new();
        for attender in same {
            if let Some(marks) = self.register.get(&attender) {
                join(rows.entry(row), attender, marks);
            }
        }
        rows.remove(&row)
    }

    /// Who an attender is, as far as anybody has said: the row of the register.
    pub fn whoever(&self, attender: Attender) -> Attender {
        self.resolve(attender, &mut BTreeMap::new())
    }

    /// Follows what is said of guests, for each of them once: `known` is what was found before.
    /// Guests who are said to be each other in a circle are the least of them. A person is nobody
    /// else, so two persons never become one row.
    fn resolve(&self, attender: Attender, known: &mut BTreeMap<EntryId, Attender>) -> Attender {
        let (mut at, mut passed) = (attender, Vec::new());
        while let Attender::Guest(guest) = at {
            if let Some(found) = known.get(&guest) {
                at = *found;
                break;
            }
            if passed.contains(&guest) {
                let circle = passed.iter().skip_while(|passed| **passed != guest);
                at = Attender::Guest(circle.min().copied().unwrap_or(guest));
                break;
            }
            passed.push(guest);
            match self.said_to_be(guest) {
                Some(other) => at = other,
                None => break,
            }
        }
        known.extend(passed.into_iter().map(|guest| (guest, at)));
        at
    }

    /// Who a guest is said to be, if that is not contested.
    fn said_to_be(&self, guest: EntryId) -> Option<Attender> {
        let values = self.matches.get(&guest)?.values();
        match values.into_iter().collect::<Vec<_>>().as_slice() {
            [only] => **only,
            _ => None,
        }
    }

    /// The names under which a guest was brought in: one, unless an id was used twice.
    pub fn guest_names(&self, attender: Attender) -> Vec<&Text> {
        match attender {
            Attender::Guest(guest) => self.guests.of(guest).map(|row| row.value).collect(),
            Attender::Person(_) => Vec::new(),
        }
    }

    /// The mark that operates for an attender; the noted time of those that agree.
    pub fn mark(&self, attender: Attender) -> Option<Marked> {
        in_force(&self.row(attender)?.marks)
    }

    /// How many the register has as having been there, however late or briefly.
    pub fn attended(&self) -> Derived<u32> {
        let rows = self.rows();
        let marks = rows.values().filter_map(|row| in_force(&row.marks));
        let there = marks.filter(|marked| match marked.attendance {
            Attendance::Present | Attendance::Late | Attendance::LeftEarly => true,
            Attendance::Apology | Attendance::Absent => false,
        });
        Derived(there.fold(0, |count, _| count + 1))
    }
}

fn join<'a>(
    row: std::collections::btree_map::Entry<'_, Attender, Attended<'a>>,
    attender: Attender,
    marks: &'a MultiValue<Marked>,
) {
    let mut is_new = false;
    let row = row.or_insert_with(|| {
        is_new = true;
        Attended {
            marks: Cow::Borrowed(marks),
            guests: Vec::new(),
        }
    });
    if !is_new {
        row.marks.to_mut().join(marks);
    }
    if let Attender::Guest(guest) = attender {
        row.guests.push(guest);
    }
}

/// The mark that operates: of the standing ones the strongest, with the earliest coming and the
/// latest going that anybody noted.
pub(crate) fn in_force(marks: &MultiValue<Marked>) -> Option<Marked> {
    let values = marks.values();
    let attendance = values.iter().map(|marked| marked.attendance).min()?;
    Some(Marked {
        attendance,
        arrived: values.iter().filter_map(|marked| marked.arrived).min(),
        left: values.iter().filter_map(|marked| marked.left).max(),
    })
}

/// Whether the standing marks say different things. A time that one noted and the other did not
/// is no difference, nor are two that lie close: what is shown to people must be worth their
/// looking (`reference/domain.md` 4.1, H13).
pub(super) fn differ(marks: &MultiValue<Marked>) -> bool {
    let values = marks.values();
    let attendances: BTreeSet<Attendance> = values.iter().map(|m| m.attendance).collect();
    let came = spread(values.iter().filter_map(|marked| marked.arrived));
    let went = spread(values.iter().filter_map(|marked| marked.left));
    attendances.len() > 1 || came.max(went) > SAME_TIME_MINUTES
}

/// Minutes between the first and the last of these times.
pub(super) fn spread(times: impl Iterator<Item = TimeOfDay>) -> u16 {
    let minutes: BTreeSet<u16> = times.map(TimeOfDay::minutes).collect();
    let (least, most) = (minutes.first(), minutes.last());
    most.unwrap_or(&0) - least.unwrap_or(&0)
}
