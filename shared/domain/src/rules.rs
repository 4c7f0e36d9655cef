//! Which merge rule each field follows: the declaration that tests and documentation read.

use std::fmt;

use names::Kind;

/// The merge rules by name; their meaning is in [`crate::merge`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// Everything stands side by side; a correction is another entry.
    EntryLog,
    /// A raise stands until a clearing review that has seen it.
    ProtectiveSet,
    /// Every value stands that no other has seen.
    MultiValue,
    /// The document format's last writer; earlier values in the history.
    Lww,
    /// The sum of signed entries.
    Ledger,
    /// Text merged by characters.
    Prose,
    /// A status with legal steps; contested where steps met.
    Workflow,
    /// Immutable versions.
    Sealed,
    /// Computed on reading.
    Derived,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::EntryLog => "EntryLog",
            Rule::ProtectiveSet => "ProtectiveSet",
            Rule::MultiValue => "MultiValue",
            Rule::Lww => "Lww",
            Rule::Ledger => "Ledger",
            Rule::Prose => "Prose",
            Rule::Workflow => "Workflow",
            Rule::Sealed => "Sealed",
            Rule::Derived => "Derived",
        })
    }
}

/// A field of a kind of document, and its rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleRow {
    /// The kind of document.
    pub kind: Kind,
    /// The field, by its name in `Case` or `Session`, or in the view for what is derived.
    pub field: &'static str,
    /// Its rule.
    pub rule: Rule,
    /// What operates while values stand against each other, in words.
    pub meanwhile: &'static str,
}

const fn case(field: &'static str, rule: Rule, meanwhile: &'static str) -> RuleRow {
    RuleRow {
        kind: Kind::CASE,
        field,
        rule,
        meanwhile,
    }
}

const fn session(field: &'static str, rule: Rule, meanwhile: &'static str) -> RuleRow {
    RuleRow {
        kind: Kind::SESSION,
        field,
        rule,
        meanwhile,
    }
}

/// Every field of every kind.
pub const RULES: &[RuleRow] = &[
    case("journal", Rule::EntryLog, "all stand"),
    case("openings", Rule::EntryLog, "all stand"),
    case("identifiers", Rule::MultiValue, "all are shown"),
    case("notes", Rule::EntryLog, "all stand"),
    case(
        "corrections",
        Rule::EntryLog,
        "all stand; the note's first words stay readable",
    ),
    case("alerts", Rule::ProtectiveSet, "the alert stands"),
    case("tasks", Rule::EntryLog, "all stand"),
    case("due", Rule::MultiValue, "the earliest date"),
    case("completions", Rule::EntryLog, "all stand; one is enough"),
    case("outcomes", Rule::Sealed, "all that none replaces"),
    case(
        "status",
        Rule::Workflow,
        "open before waiting before paused before closed",
    ),
    case("lead", Rule::MultiValue, "all are shown"),
    case("review", Rule::MultiValue, "the earliest date"),
    case("themes", Rule::EntryLog, "all stand"),
    case("plan", Rule::Prose, "all characters"),
    case("crisis_plan", Rule::Prose, "all characters"),
    case("fields", Rule::Lww, "the later writer"),
    case(
        "unread",
        Rule::EntryLog,
        "all are shown; a raised alert stands",
    ),
    case("metric_hundredths", Rule::Derived, "from the raw total"),
    session("journal", Rule::EntryLog, "all stand"),
    session("openings", Rule::EntryLog, "all stand"),
    session("plan", Rule::MultiValue, "the earliest end"),
    session(
        "times",
        Rule::MultiValue,
        "from the earliest start to the latest end",
    ),
    session(
        "register",
        Rule::MultiValue,
        "present before late, left early, apology, absent; the earliest coming, the latest going",
    ),
    session(
        "guests",
        Rule::EntryLog,
        "all stand, each in a row of its own",
    ),
    session("matches", Rule::MultiValue, "a row of its own"),
    session("unread", Rule::EntryLog, "all are shown"),
    session("cash", Rule::Ledger, "all count that nobody took back"),
    session("counts", Rule::MultiValue, "the least"),
    session("head_counts", Rule::MultiValue, "the greatest"),
    session("checklist", Rule::EntryLog, "done once is done"),
    session("notes", Rule::Prose, "all characters"),
    session("fields", Rule::Lww, "the later writer"),
    session("attended", Rule::Derived, "from the register"),
    session(
        "variance_pence",
        Rule::Derived,
        "from the counts and the lines",
    ),
];
