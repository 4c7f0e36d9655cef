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
use names::{EntryId, Moment, Reason, SiteId, WorkerId, limits};

/// Root: the kind's name, a scalar.
pub(crate) const KIND: &str = "kind";
/// Root: the list of entries; one map each, added at the end and never altered.
pub(crate) const ENTRIES: &str = "entries";
/// Root: the map of plain fields, scalars only; of concurrent ones the last in Automerge's own
/// order stands.
pub(crate) const FIELDS: &str = "fields";
/// Root: the text people write together: a case's plan, a session's notes.
pub(crate) const TEXT: &str = "text";

/// Root, from the second version of a case's layout on: the text of the crisis plan.
pub(crate) const CRISIS_PLAN: &str = "crisis_plan";

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
/// Entry: the entries it has seen, if its act lists any. The same key in every act, so that what
/// is newer than this version can at least be placed among the others.
const SEEN: &str = "seen";

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
    /// The entry, and why not all that was written of it could be read: a newer version wrote more
    /// of it, or the whole of its act is [`Act::Unread`].
    Partly(Entry, Reason),
    /// Not even its id could be read.
    Nameless,
    /// Its id, and why nothing else could be read: not who made it, where and when.
    Unreadable(EntryId, Reason),
}

/// Reads an entry back from its scalars. What is left over afterwards was written by a newer
/// version; it stays in the document. An act of which something cannot be read is not half read:
/// a safety fact of an unknown kind must not pass for nothing, nor for something else.
pub(crate) fn from_row(mut row: Row) -> Found {
    let Ok(id) = take(&mut row, ID) else {
        return Found::Nameless;
    };
    let head = (|| {
        let code: Text = take(&mut row, ACT)?;
        let (at, by, site) = (
            take(&mut row, AT)?,
            take(&mut row, BY)?,
            take(&mut row, SITE)?,
        );
        Ok::<_, Reason>((code, at, by, site))
    })();
    let (code, at, by, site) = match head {
        Ok(head) => head,
        Err(reason) => return Found::Unreadable(id, reason),
    };
    let listed = row.get(SEEN).cloned();
    let entry = |act| Entry {
        id,
        at,
        by,
        site,
        act,
    };
    match take_act(code.as_str(), &mut row) {
        Ok(act) if row.is_empty() => Found::Whole(entry(act)),
        Ok(act) => Found::Partly(entry(act), Reason::NoCommonVersion),
        Err(reason) => {
            let seen = Scalar::from_scalar(listed).unwrap_or_default();
            Found::Partly(entry(Act::Unread { code, reason, seen }), reason)
        }
    }
}

macro_rules! acts {
    ($($act:ident $code:literal { $($field:ident)* })*) => {
        fn put_act(row: &mut Vec<(&'static str, ScalarValue)>, act: &Act) {
            match act {
                $(Act::$act { $($field),* } => { $(put(row, stringify!($field), $field);)* })*
                // Nobody asks for it, and what was read so is never written again.
                Act::Unread { .. } => {}
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
    AddTask "add-task" { what due whom seen }
    MoveTask "move-task" { task due reason seen }
    CompleteTask "complete-task" { task result }
    RecordOutcome "record-outcome" { instrument total taken point replaces reason seen }
    SetStatus "set-status" { status reason seen }
    SetLead "set-lead" { worker reason seen }
    SetReviewDate "set-review-date" { date reason seen }
    AddTheme "add-theme" { theme }
    EditText "edit-text" { inserted deleted removed seen }
    EditCrisisPlan "edit-crisis-plan" { inserted deleted removed seen }
    SetField "set-field" { field value }
    OpenSession "open-session" { venue date start end form }
    SetPlan "set-plan" { end form reason seen }
    SetTimes "set-times" { start end reason seen }
    Mark "mark" { attender attendance arrived left reason seen }
    AddGuest "add-guest" { name attendance arrived left }
    MatchGuest "match-guest" { guest to reason seen }
    TakeCash "take-cash" { pence from what }
    PayOut "pay-out" { pence what }
    CountCash "count-cash" { pence reason seen }
    ReverseCash "reverse-cash" { cash reason lines }
    HeadCount "head-count" { people reason seen }
    Tick "tick" { item }
}

fn put<T: Scalar>(row: &mut Vec<(&'static str, ScalarValue)>, key: &'static str, value: &T) {
    if let Some(scalar) = value.to_scalar() {
        row.push((key, scalar));
    }
}

fn take<T: Scalar>(row: &mut Row, key: &str) -> Result<T, Reason> {
    T::from_scalar(row.remove(key))
}

/// A value that is written as one scalar, or left out.
trait Scalar: Sized {
    fn to_scalar(&self) -> Option<ScalarValue>;

    /// Reads it back. [`Reason::NoCommonVersion`] for a code that a newer version may know.
    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason>;
}

macro_rules! written_as_text {
    ($otherwise:ident: $($name:ty)*) => {
        $(impl Scalar for $name {
            fn to_scalar(&self) -> Option<ScalarValue> {
                Some(ScalarValue::Str(self.to_string().into()))
            }

            fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
                let scalar = scalar.ok_or(Reason::Malformed)?;
                let text = scalar.as_str().ok_or(Reason::Malformed)?;
                text.parse().map_err(|_| Reason::$otherwise)
            }
        })*
    };
}

// Closed lists grow from version to version.
written_as_text! {
    NoCommonVersion: AlertCode Attendance Attender ChecklistItem ContactMode Field Instrument
    OutcomePoint SessionForm Slot Status Theme
}

written_as_text! { Malformed: Day SiteId TimeOfDay WorkerId }

impl Scalar for Text {
    fn to_scalar(&self) -> Option<ScalarValue> {
        if self.is_empty() {
            None
        } else {
            Some(self.as_str().into())
        }
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        match scalar {
            None => Ok(Text::default()),
            Some(scalar) => scalar.as_str().map(Text::from).ok_or(Reason::Malformed),
        }
    }
}

impl Scalar for u32 {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Int(i64::from(*self)))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        let number = scalar.as_ref().and_then(ScalarValue::as_i64);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or(Reason::Malformed)
    }
}

impl Scalar for Moment {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Int(self.0))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        let number = scalar.as_ref().and_then(ScalarValue::as_i64);
        number.map(Moment).ok_or(Reason::Malformed)
    }
}

impl Scalar for bool {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Boolean(*self))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        let said = scalar.as_ref().and_then(ScalarValue::as_bool);
        said.ok_or(Reason::Malformed)
    }
}

impl Scalar for EntryId {
    fn to_scalar(&self) -> Option<ScalarValue> {
        Some(ScalarValue::Bytes(self.0.to_vec()))
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        let bytes = scalar.as_ref().and_then(ScalarValue::as_bytes);
        let id = bytes.and_then(|bytes| bytes.try_into().ok());
        id.map(EntryId).ok_or(Reason::Malformed)
    }
}

/// Entry ids one after the other, 16 bytes each: a list of their own would be an object. A list
/// that is longer than anybody may write is refused before it costs anything.
impl Scalar for Vec<EntryId> {
    fn to_scalar(&self) -> Option<ScalarValue> {
        let ids: Vec<u8> = self.iter().flat_map(|id| id.0).collect();
        if ids.is_empty() {
            None
        } else {
            Some(ScalarValue::Bytes(ids))
        }
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        let Some(scalar) = scalar else {
            return Ok(Vec::new());
        };
        let bytes = scalar.as_bytes().ok_or(Reason::Malformed)?;
        let (ids, rest) = bytes.as_chunks::<16>();
        if ids.len() > limits::SEEN_MAX {
            return Err(Reason::TooLarge);
        }
        if !rest.is_empty() {
            return Err(Reason::Malformed);
        }
        Ok(ids.iter().copied().map(EntryId).collect())
    }
}

impl<T: Scalar> Scalar for Option<T> {
    fn to_scalar(&self) -> Option<ScalarValue> {
        self.as_ref().and_then(T::to_scalar)
    }

    fn from_scalar(scalar: Option<ScalarValue>) -> Result<Self, Reason> {
        match scalar {
            None => Ok(None),
            some => T::from_scalar(some).map(Some),
        }
    }
}
