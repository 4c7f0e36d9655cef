//! Why a person's command was not carried out, in words for the screen.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::code::{Instrument, Status};
use crate::nhs::NhsProblem;
use crate::role::Power;

/// Why a command was refused. Nothing was written.
///
/// The words say what is wrong and what to do; they never repeat what the person typed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refusal {
    /// None of the worker's roles has the power.
    NotAllowed(Power),
    /// The command is for another kind of document.
    WrongKind,
    /// The command is to begin a document, and is not one that begins any.
    BeginsNothing,
    /// The document has not been begun.
    NotOpen,
    /// The document was begun already.
    AlreadyOpen,
    /// The entry id was used for something else.
    EntryIdUsed,
    /// The command names an entry that is not in this record, or not of the right kind.
    UnknownEntry,
    /// There is nothing standing that a review could be about.
    NothingToReview,
    /// There is no such conflict, or the chosen value no longer stands.
    NothingToSettle,
    /// The chosen value is one of several under one id, so it cannot be told which is meant.
    UnclearChoice,
    /// What clears or settles something does not say what the person was looking at.
    NotLookedAt,
    /// The guest is in that row of the register already.
    SameAlready,
    /// A text that is needed is empty.
    Empty(&'static str),
    /// A text is too long: which, and how many bytes it may have.
    TooLong(&'static str, usize),
    /// Too many of something in one command: what, and how many there may be.
    TooMany(&'static str, usize),
    /// The NHS number does not hold.
    NhsNumber(NhsProblem),
    /// A date that does not exist or cannot be meant.
    BadDate(&'static str),
    /// A session that ends before it begins, or somebody who left before coming.
    EndsBeforeStart,
    /// An amount of money outside what can be recorded.
    BadAmount,
    /// A number outside what can be meant.
    BadNumber(&'static str),
    /// The instrument has no such total.
    NoSuchTotal(Instrument),
    /// The status cannot be reached from where the case stands.
    IllegalMove(Status, Status),
    /// The task is done already.
    AlreadyDone,
    /// The cash entry has been taken back already.
    AlreadyReversed,
    /// The text changed since the person looked at it.
    TextChanged,
    /// The field is not one of this kind of document.
    NotAField,
    /// A register belongs to its venue, and is not transferred.
    StaysAtItsSite,
    /// There is no such site.
    NoSuchSite,
    /// The case is not one of the site that hands it over, or goes to the same one.
    NotAtThatSite,
    /// What was decided could not be written down: the document is at one of its limits.
    NotWritten,
}

const UNCLEAR_CHOICE: &str = "Two entries stand under the name of the one you chose, and it cannot \
     be told which is meant. Enter the right value anew: it replaces them all.";
const STAYS_AT_ITS_SITE: &str =
    "A register belongs to its venue and stays at its site. Transfer the person's case.";
const NOT_AT_THAT_SITE: &str = "The case is not at the site that would hand it over, or is to go \
                                where it is. Look where it stands, then choose both sites again.";

impl Refusal {
    /// The stable code, for the API and counters.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::NotAllowed(_) => "not-allowed",
            Refusal::WrongKind => "wrong-kind",
            Refusal::BeginsNothing => "begins-nothing",
            Refusal::NotOpen => "not-open",
            Refusal::AlreadyOpen => "already-open",
            Refusal::EntryIdUsed => "entry-id-used",
            Refusal::UnknownEntry => "unknown-entry",
            Refusal::NothingToReview => "nothing-to-review",
            Refusal::NothingToSettle => "nothing-to-settle",
            Refusal::UnclearChoice => "unclear-choice",
            Refusal::NotLookedAt => "not-looked-at",
            Refusal::SameAlready => "same-already",
            Refusal::Empty(_) => "empty",
            Refusal::TooLong(..) => "too-long",
            Refusal::TooMany(..) => "too-many",
            Refusal::NhsNumber(_) => "nhs-number",
            Refusal::BadDate(_) => "bad-date",
            Refusal::EndsBeforeStart => "ends-before-start",
            Refusal::BadAmount => "bad-amount",
            Refusal::BadNumber(_) => "bad-number",
            Refusal::NoSuchTotal(_) => "no-such-total",
            Refusal::IllegalMove(..) => "illegal-move",
            Refusal::AlreadyDone => "already-done",
            Refusal::AlreadyReversed => "already-reversed",
            Refusal::TextChanged => "text-changed",
            Refusal::NotAField => "not-a-field",
            Refusal::StaysAtItsSite => "stays-at-its-site",
            Refusal::NoSuchSite => "no-such-site",
            Refusal::NotAtThatSite => "not-at-that-site",
            Refusal::NotWritten => "not-written",
        }
    }

    /// What the person is told: what is wrong, and what to do.
    pub fn words(self) -> Cow<'static, str> {
        let words = match self {
            Refusal::NotAllowed(power) => {
                return format!(
                    "Your role does not let you {}. Ask somebody whose role does.",
                    power.words()
                )
                .into();
            }
            Refusal::Empty(what) => return format!("Fill in {what}.").into(),
            Refusal::TooLong(what, max) => {
                return format!("Shorten {what}: it may have at most {max} bytes.").into();
            }
            Refusal::TooMany(what, max) => {
                return format!("There are too many {what} at once; send at most {max}.").into();
            }
            Refusal::BadDate(what) => return format!("Check {what}: that date cannot be.").into(),
            Refusal::BadNumber(what) => {
                return format!("Check {what}: that number cannot be.").into();
            }
            Refusal::NoSuchTotal(instrument) => return total_words(instrument).into(),
            Refusal::IllegalMove(from, to) => {
                let (from, to) = (from.as_str(), to.as_str());
                return format!("A case that is {from} cannot become {to}.").into();
            }
            Refusal::WrongKind => "This record is of another kind; open the right one.",
            Refusal::BeginsNothing => {
                "This begins no new record: only opening a case or a session does. Choose the \
                 record it is for, and enter it there."
            }
            Refusal::NotOpen => "This record has not been begun yet. Begin it first.",
            Refusal::AlreadyOpen => "This record has been begun already. Open it from the list.",
            Refusal::EntryIdUsed => {
                "This was sent under the name of an earlier entry. Enter it again."
            }
            Refusal::UnknownEntry => {
                "What this refers to is not in the record here. Look at the record again."
            }
            Refusal::NothingToReview => {
                "This alert does not stand, so there is nothing to review. Look again."
            }
            Refusal::NothingToSettle => {
                "There is nothing left to settle here, or that value was replaced. Look again."
            }
            Refusal::UnclearChoice => UNCLEAR_CHOICE,
            Refusal::NotLookedAt => {
                "It was not said which entries you looked at. Open the record, look at all that \
                 stands there, then decide again."
            }
            Refusal::SameAlready => "These two are one in the register already.",
            Refusal::NhsNumber(problem) => nhs_words(problem),
            Refusal::EndsBeforeStart => "The end is before the beginning. Check both times.",
            Refusal::BadAmount => {
                "Check the amount: it must be more than nothing, at most £10,000."
            }
            Refusal::AlreadyDone => "This task is done already.",
            Refusal::AlreadyReversed => "This has been taken back already.",
            Refusal::TextChanged => {
                "The text changed while you were writing. Look at it again, then repeat your edit."
            }
            Refusal::NotAField => "This record has no such field.",
            Refusal::StaysAtItsSite => STAYS_AT_ITS_SITE,
            Refusal::NoSuchSite => "There is no such site. Choose one of the sites in the list.",
            Refusal::NotAtThatSite => NOT_AT_THAT_SITE,
            Refusal::NotWritten => {
                "The record has no room for this. Nothing was changed. Write less at once; if that \
                 is refused too, tell whoever looks after Ridgeway, and go on in a new record."
            }
        };
        words.into()
    }
}

fn total_words(instrument: Instrument) -> String {
    let (least, greatest) = instrument.range();
    let name = instrument.words();
    format!("Check the total: {name} goes from {least} to {greatest}.")
}

fn nhs_words(problem: NhsProblem) -> &'static str {
    match problem {
        NhsProblem::NotTenDigits => "An NHS number has ten digits. Check what you typed.",
        NhsProblem::Repeated => {
            "One digit ten times is nobody's NHS number. Leave it empty if it is not known."
        }
        NhsProblem::WrongCheckDigit => {
            "This NHS number cannot be right: a digit is wrong or two are swapped. Check it."
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Refusal {}

/// Written as `{"code": …, "words": …}`.
impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Refusal", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("words", &self.words())?;
        fields.end()
    }
}
