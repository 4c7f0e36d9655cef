//! Mutants: the checks that this record stands on, each taken out by itself, and the tests that must
//! notice.
//!
//! `cargo mutants-core` builds each mutant in a copy of the tree and runs its tests, which have to
//! fail. The list names the piece of text that a mutant replaces; a test of the suite's tidy part
//! holds the list against the files, so that whoever changes such a line brings its mutant along.

mod list;

use std::{fs, io, path::Path};

pub use list::MUTANTS;

/// What must notice a mutant: a unit test of a crate, which passes where nothing was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What of the check it is about: one way in of several; nothing when it is about all.
    pub of: &'static str,
    /// The crate's package.
    pub package: &'static str,
    /// The test's name, with its modules.
    pub name: &'static str,
}

/// A check taken out.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name on the command line.
    pub name: &'static str,
    /// What no longer holds, in a few words.
    pub breaks: &'static str,
    /// The file, from the repository's root.
    pub file: &'static str,
    /// What is replaced; it stands exactly once in the file.
    pub text: &'static str,
    /// What stands there then.
    pub instead: &'static str,
    /// What must notice: every one of them.
    pub proofs: &'static [Proof],
}

impl Mutant {
    /// What is wrong with it as the file now stands, in words; `None` when it fits.
    pub fn misfit(&self, content: &str) -> Option<String> {
        let found = content.matches(self.text).count();
        if found == 1 && self.text != self.instead {
            return None;
        }
        let (name, file) = (self.name, self.file);
        Some(format!(
            "mutant {name}: its text stands {found} times in {file}, and must stand there once; \
             bring it up to date in tests/harness/mutants/list.rs"
        ))
    }
}

/// What is wrong with the whole list, one line each, as the files below `root` now stand: texts that
/// do not stand exactly once, tests that are not there, names given twice.
///
/// # Errors
/// When a file cannot be read.
pub fn misfits(root: &Path) -> io::Result<Vec<String>> {
    let mut misfits = Vec::new();
    for (number, mutant) in MUTANTS.iter().enumerate() {
        let content = fs::read_to_string(root.join(mutant.file))?;
        misfits.extend(mutant.misfit(&content));
        if MUTANTS
            .iter()
            .skip(number + 1)
            .any(|other| other.name == mutant.name)
        {
            misfits.push(format!("mutant {}: two have that name", mutant.name));
        }
        if mutant.proofs.is_empty() {
            misfits.push(format!("mutant {}: nothing has to notice it", mutant.name));
        }
    }
    Ok(misfits)
}
