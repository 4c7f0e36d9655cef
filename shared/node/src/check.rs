//! A whole store checked again: every signature, every link to what it stands on, every digest.

use std::collections::BTreeMap;

use names::{DocumentId, Reason, ScopeId};
use protocol::{codec, directory::Directory};
use store::{Snapshot, StoreError, Table};

use crate::{
    backup,
    recount::{Recomputed, Recount},
    rows::ScopeRow,
    verify::Verifier,
};

/// Documents named of those in which something is wrong; the others are only counted.
const NAMED_MAX: usize = 32;

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Documents looked at.
    pub documents: u64,
    /// Placements and runs of theirs, each verified.
    pub pieces: u64,
    /// Statements, each verified.
    pub statements: u64,
    /// What would not be let in today: the first documents, and why.
    pub refused: Vec<(DocumentId, Reason)>,
    /// How many pieces and statements that is.
    pub refusals: u64,
    /// Every scope's proof, from what was looked at.
    pub scopes: BTreeMap<ScopeId, Recomputed>,
    /// The same as the store keeps it, of the state that was looked at: what is written meanwhile
    /// makes no difference.
    pub kept: BTreeMap<ScopeId, Recomputed>,
}

fn kept<P: Snapshot>(snapshot: &P) -> Result<BTreeMap<ScopeId, Recomputed>, StoreError> {
    let mut kept = BTreeMap::new();
    store::each(snapshot, Table::Scope, |row| {
        let scope = std::str::from_utf8(&row.name).ok();
        let scope = scope.and_then(|name| name.parse::<ScopeId>().ok());
        let row = codec::decode::<ScopeRow>(&row.value);
        // One that is damaged is counted with the rows, which are read before this.
        if let (Some(scope), Ok(row)) = (scope, row) {
            let (digest, count) = (row.value(), row.count);
            kept.insert(scope, Recomputed { digest, count });
        }
    })?;
    Ok(kept)
}

/// Checks a state of a store. `progress` is told how many documents of how many are done.
///
/// # Errors
/// When the store cannot be read, or a row of it is damaged.
pub fn check<P: Snapshot>(
    snapshot: &P,
    verifier: &Verifier,
    mut progress: impl FnMut(u64, u64),
) -> Result<Checked, StoreError> {
    let mut found = Checked::default();
    let mut directory = Directory::new(verifier.tenant, verifier.authority);
    backup::each_statement(snapshot, |statement| {
        found.statements += 1;
        found.refusals += u64::from(directory.admit(&statement).is_err());
    })?;
    let documents = backup::documents(snapshot)?;
    let of = documents.len() as u64;
    let mut recount = Recount::of_store(snapshot)?;
    for document in documents {
        progress(found.documents, of);
        backup::each_piece(snapshot, document, |piece| {
            found.pieces += 1;
            let counted = recount.piece(&piece);
            let is_here = piece.document() == Some(document);
            let verified = verifier.piece(piece).map(|_| ());
            let verdict = counted.and(verified).and(match is_here {
                true => Ok(()),
                false => Err(Reason::Malformed),
            });
            if let Err(reason) = verdict {
                found.refusals += 1;
                if found.refused.len() < NAMED_MAX {
                    found.refused.push((document, reason));
                }
            }
            Ok::<_, StoreError>(())
        })?;
        recount.close(document);
        found.documents += 1;
    }
    found.scopes = recount.scopes();
    found.kept = kept(snapshot)?;
    Ok(found)
}
