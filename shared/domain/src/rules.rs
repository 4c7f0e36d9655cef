//! Which merge rule each field follows.

/// The merge rules by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// All entries stand side by side.
    EntryLog,
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleRow {
    /// The field.
    pub field: &'static str,
    /// Its rule.
    pub rule: Rule,
}

/// The table.
pub const RULES: &[RuleRow] = &[];
