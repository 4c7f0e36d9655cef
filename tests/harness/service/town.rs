//! Who and what a service begins with: sites, their edges and their workers.

/// A site.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Its code.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its edges, by name.
    pub edges: &'static [&'static str],
    /// Its workers: code, name and role.
    pub workers: &'static [(&'static str, &'static str, &'static str)],
}

/// Everybody.
pub type Town = &'static [Site];
