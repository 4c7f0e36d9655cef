//! Every key of the CRDT, and how an act is written as flat scalars under such keys.
//!
//! An entry is a map of scalars: who, when and where under the keys every entry has, the act's
//! code, and the act's own fields under their own names. Nothing is ever written that holds
//! nothing: an absent date, an empty reason and an empty list of entries seen have no key.

use std::collections::BTreeMap;

use automerge::ScalarValue;
use domain::{
    Act, AlertCode, Attendance, Attender, ChecklistItem, ContactMode, Day, Entry, Field,
    Instrument, OutcomePoint, SessionForm, Slot, Status, Text, Theme, TimeOfDay,
};
use names::{EntryId, Moment, Reason, SiteId, WorkerId};

/// Root: the kind's name, a scalar.
pub(crate) const KIND: &str = "kind";
/// Root: the list of entries; one map each, added at the end and never altered.
pub(crate) const ENTRIES: &str = "entries";
/// Root: the map of plain fields, scalars only; of concurrent ones the last in Automerge's own
/// order stands.
pub(crate) const FIELDS: &str = "fields";
/// Root: the text people write together: a case's plan, a session's notes.
pub(crate) const TEXT: &str = "text";

/// Entry: its id, 16 bytes.
const ID: &str = "id";
/// Entry: when it was made, in milliseconds since 1970.
const AT: &str = "at";
/// Entry: who made it.
const BY: &str = "by";
/// Entry: at which site.
const SITE: &str = "site";
/// Entry: the act's code.
const ACT: &str = "act";

/// The scalars of one entry by their keys.
pub(crate) type Row = BTreeMap<String, ScalarValue>;

/// An entry as its scalars, in the order in which they are written.
pub(crate) fn to_row(entry: &Entry) -> Vec<(&'static str, ScalarValue)> {
    let mut row = Vec::with_capacity(10);
    put(&mut row, ID, &entry.id);
    put(&mut row, AT, &entry.at);
    put(&mut row, BY, &entry.by);
    put(&mut row, SITE, &entry.site);
    row.push((ACT, entry.act.code().into()));
    put_act(&mut row, &entry.act);
    row
}

/// What reading one entry gave.
pub(crate) enum Found {
    /// The entry, with all that was written of it.
    Whole(Entry),
    /// The entry, but a newer version of this program wrote more of it than this one can read.
    Partly(Entry),
    /// Not even its id could be read.
    Nameless,
    /// Its id, and why the rest could not be read.
    Unreadable(EntryId, Reason),
}

/// Reads an entry back from its scalars. What is left over afterwards was written by a newer
/// version; it stays in the document.
pub(crate) fn from_row(mut row: Row) -> Found {
    let Ok(id) = take(&mut row, ID) else {
        return Found::Nameless;
    };
    let entry = (|| {
        let code: String = take(&mut row, ACT)?;
        Ok(Entry {
            id,
            at: take(&mut row, AT)?,
            by: take(&mut row, BY)?,
            site: take(&mut row, SITE)?,
            act: take_act(&code, &mut row)?,
        })
    })();
    match entry {
        Ok(entry) if row.is_empty() => Found::Whole(entry),
        Ok(entry) => Found::Partly(entry),
        Err(reason) => Found::Unreadable(id, reason),
    }
}

macro_rules! acts {
    ($($act:ident $code:literal { $($field:ident)* })*) => {
        fn put_act(row: &mut Vec<(&'static str, ScalarValue)>, act: &Act) {
            match act {
                $(Act::$act { $($field),* } => { $(put(row, stringify!($field), $field);)* })*
            }
        }

        fn take_act(code: &str, row: &mut Row) -> Result<Act, Reason> {
            match code {
                $($code => Ok(Act::$act { $($field: take(row, stringify!($field))?),* }),)*
                _ => Err(Reason::NoCommonVersion),
            }
        }

        #[cfg(test)]
        pub(crate) const CODES: &[&str] = &[$($code),*];
    };
}

// The key of a field is its name here. A key never changes its meaning or its type; a field that
// is added later must be one that may be absent, so that older entries can still be read.
acts! {
    OpenCase "open-case" { opened source }
    Identify "identify" { slot value reason seen }
    AddNote "add-note" { happened mode minutes text seen }
    CorrectNote "correct-note" { note text reason }
    RaiseAlert "raise-alert" { code detail review_by seen }
    ReviewAlert "review-alert" { code clear reason seen }
    AddTask "add-task" { what due whom }
    MoveTask "move-task" { task due reason seen }
    CompleteTask "complete-task" { task result }
    RecordOutcome "record-outcome" { instrument total taken point replaces reason }
    SetStatus "set-status" { status reason seen }
    SetLead "set-lead" { worker reason seen }
    SetReviewDate "set-review-date" { date reason seen }
    AddTheme "add-theme" { theme }
    EditText "edit-text" { inserted deleted }
    SetField "set-field" { field value }
    OpenSession "open-session" { venue date start end form }
    SetPlan "set-plan" { end form reason seen }
    SetTimes "set-times" { start end reason seen }
    Mark "mark" { attender attendance arrived left reason seen }
    TakeCash "take-cash" { pence from what }
    PayOut "pay-out" { pence what }
    CountCash "count-cash" { pence reason seen }
    ReverseCash "reverse-cash" { cash reason }
    HeadCount "head-count" { people reason seen }
    Tick "tick" { item }
}

fn put<T: Scalar>(row: &mut Vec<(&'static str, ScalarValue)>, key: &'static str, value: &T) {
    if let Some(scalar) = value.to_scalar() {
        row.push((key, scalar));
    }
}

fn take<T: Scalar>(row: &mut Row, key: &str) -> Result<T, Reason> {
    T::from_scalar(row.remove(key)).ok_or(Reason::Malformed)
}

/// A value that is written as one scalar, or left out.
trait Scalar: Sized {
    fn to_scalar(&self) -> Option<ScalarValue>;
    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self>;
}

macro_rules! written_as_text {
    ($($name:ty)*) => {
        $(impl Scalar for $name {
            fn to_scalar(&self) -> Option<ScalarValue> {
                Some(ScalarValue::Str(self.to_string().into()))
            }

            fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
                scalar?.as_str()?.parse().ok()
            }
        })*
    };
}

written_as_text! {
    AlertCode Attendance ChecklistItem ContactMode Day Field Instrument OutcomePoint SessionForm
    SiteId Slot Status String Theme TimeOfDay WorkerId
}

impl Scalar for Attender {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Str(self.to_text().into()))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        scalar?.as_str()?.parse().ok()
    }
}

impl Scalar for Text {
    fn to_scalar(&self) -> Option<ScalarValue> {
        if self.is_empty() {
            None
        } else {
            Some(self.as_str().into())
        }
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        scalar.map_or(Some(Text::default()), |scalar| {
            scalar.as_str().map(Text::from)
        })
    }
}

impl Scalar for u32 {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Int(i64::from(*self)))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        u32::try_from(scalar?.as_i64()?).ok()
    }
}

impl Scalar for Moment {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Int(self.0))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        scalar?.as_i64().map(Moment)
    }
}

impl Scalar for bool {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Boolean(*self))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        scalar?.as_bool()
    }
}

impl Scalar for EntryId {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Bytes(self.0.to_vec()))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        Some(EntryId(scalar?.as_bytes()?.try_into().ok()?))
    }
}

/// Entry ids one after the other, 16 bytes each: a list of their own would be an object.
impl Scalar for Vec<EntryId> {
    fn to_scalar(&self) -> Option<ScalarValue> {
        let ids: Vec<u8> = self.iter().flat_map(|id| id.0).collect();
        if ids.is_empty() {
            None
        } else {
            Some(ScalarValue::Bytes(ids))
        }
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        let Some(scalar) = scalar else {
            return Some(Vec::new());
        };
        let (ids, rest) = scalar.as_bytes()?.as_chunks::<16>();
        rest.is_empty()
            .then(|| ids.iter().copied().map(EntryId).collect())
    }
}

impl<T: Scalar> Scalar for Option<T> {
    fn to_scalar(&self) -> Option<ScalarValue> {
        self.as_ref().and_then(T::to_scalar)
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Option<Self> {
        match scalar {
            None => Some(None),
            some => T::from_scalar(some).map(Some),
        }
    }
}
