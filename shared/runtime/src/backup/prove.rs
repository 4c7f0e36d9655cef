//! The proof of a file: what is in it gives the digests that it should.

use std::collections::BTreeMap;

use node::{
    Recount,
    backup::{Manifest, ScopeStand},
    names::{DocumentId, ScopeId},
};

use super::{
    BackupError, Missing, Progress,
    read::{Backup, Next},
};

/// Reads a whole file and compares every scope's digest, computed again from the chunks in it,
/// with what the snapshot said; answers how many scopes are equal, which are all but those of which
/// something is missing.
pub(super) fn file(
    backup: &mut Backup,
    of: &Manifest,
    missing: &Missing,
    progress: Progress<'_>,
) -> Result<u64, BackupError> {
    let said = backup.manifest()?;
    if !stand_alike(&said.scopes, &of.scopes) {
        return Err(backup.damaged());
    }
    let mut recount = Recount::default();
    let mut document: Option<DocumentId> = None;
    let mut read = 0;
    loop {
        match backup.next()? {
            Next::Manifest(_) => return Err(backup.damaged()),
            Next::Authority(_) | Next::Part(..) => {}
            Next::Statements(some) => some.iter().for_each(|said| recount.statement(said)),
            Next::Document => {
                recount.close(document.take().unwrap_or_default());
                if !progress(read, of.documents) {
                    return Err(BackupError::Interrupted);
                }
                read += 1;
            }
            Next::Pieces(pieces) => {
                for piece in &pieces {
                    document = document.or_else(|| piece.document());
                    recount.piece(piece).map_err(|_| backup.damaged())?;
                }
            }
            Next::End(said) if said == *missing => break,
            Next::End(_) => return Err(backup.damaged()),
        }
    }
    recount.close(document.unwrap_or_default());
    let found = recount.scopes();
    let found = found
        .iter()
        .map(|(scope, found)| (scope.clone(), (found.digest, found.count)));
    let found = found.collect();
    let differing = differing(&of.scopes, &found);
    let unexcused = unexcused(&differing, &of.scopes, missing);
    if unexcused.is_empty() {
        let stood = of.scopes.iter().filter(|stand| stand.count > 0).count() as u64;
        Ok(stood.saturating_sub(differing.len() as u64))
    } else {
        Err(BackupError::Differs(unexcused))
    }
}

/// Those of the differing scopes that should not differ, whatever could not be read.
pub(super) fn unexcused(
    differing: &[ScopeId],
    stood: &[ScopeStand],
    missing: &Missing,
) -> Vec<ScopeId> {
    let known = |scope: &ScopeId| stood.iter().any(|stand| stand.scope == *scope);
    let is_excused =
        |scope: &ScopeId| missing.excuses(scope) || (missing.scopes_unread > 0 && !known(scope));
    let differing = differing.iter();
    differing
        .filter(|scope| !is_excused(scope))
        .cloned()
        .collect()
}

/// The scopes that are not found as they stood. One without documents need not be found.
pub(super) fn differing(
    stood: &[ScopeStand],
    found: &BTreeMap<ScopeId, (node::protocol::digest::Digest, u64)>,
) -> Vec<ScopeId> {
    let mut differing: Vec<ScopeId> = stood
        .iter()
        .filter(|stand| match found.get(&stand.scope) {
            Some(found) => *found != (stand.digest, stand.count),
            None => stand.count > 0,
        })
        .map(|stand| stand.scope.clone())
        .collect();
    let known = |scope: &ScopeId| stood.iter().any(|stand| stand.scope == *scope);
    differing.extend(found.keys().filter(|scope| !known(scope)).cloned());
    differing
}

fn stand_alike(one: &[ScopeStand], other: &[ScopeStand]) -> bool {
    let stands = |stands: &[ScopeStand]| -> Vec<_> {
        let all = stands.iter();
        all.map(|stand| (stand.scope.clone(), stand.digest, stand.count))
            .collect()
    };
    stands(one) == stands(other)
}
