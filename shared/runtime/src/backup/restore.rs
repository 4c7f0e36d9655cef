//! Restoring: a store from a backup, through the door that everything passes.

use node::{
    Identity, Node, VerifiedPiece,
    backup::{self, Manifest},
    names::{Incarnation, ScopeId, WriterId},
    protocol::{Directory, SignedStatement, digest::Digest},
    store::Store,
    views,
};

use super::{
    BackupError, Progress, prove,
    read::{Backup, Next},
};
use crate::{Material, shell};

/// Pieces of about this length are taken back in one turn: a few documents, or one large one.
const TURN_PIECES: usize = 512;

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Documents.
    pub documents: u64,
    /// Documents that had been struck out of the backup.
    pub struck: u64,
    /// Statements.
    pub statements: u64,
    /// Each scope, its digest and documents: computed again from what is in the store now, and
    /// equal to the backup's.
    pub scopes: Vec<(ScopeId, Digest, u64)>,
}

/// Fills an empty store from a backup. Statements, placements and runs are verified like
/// everything that comes from elsewhere, and the digests of what came of them are compared with
/// those that the backup's store had.
///
/// # Errors
/// [`BackupError`] says what is wrong; the store is of no use then.
pub fn restore<S: Store>(
    mut store: S,
    backup: &mut Backup,
    manifest: &Manifest,
    material: &Material,
    progress: Progress<'_>,
) -> Result<(S, Restored), BackupError> {
    material.save(&mut store)?;
    let incarnation = Incarnation(shell::entropy());
    backup::begin(
        &mut store,
        manifest,
        incarnation,
        WriterId(shell::entropy()),
    )?;
    let (statements, mut next) = statements(backup)?;
    check_statements(&material.identity(), &statements)?;
    let now = shell::now();
    let mut node = Node::open(
        store,
        material.identity(),
        &statements,
        now,
        shell::entropy(),
    )?;
    let verifier = node.verifier();
    let mut pieces: Vec<VerifiedPiece> = Vec::new();
    let mut documents = 0;
    loop {
        match next {
            Next::Document => {
                if !progress(documents, manifest.documents) {
                    return Err(BackupError::Interrupted);
                }
                documents += 1;
            }
            Next::Pieces(some) => {
                for piece in some {
                    let document = piece.document().unwrap_or_default();
                    let verified = verifier.piece(piece);
                    pieces.push(verified.map_err(|why| BackupError::Refused(document, why))?);
                }
            }
            Next::End => break,
            Next::Manifest(_) | Next::Authority(_) | Next::Statements(_) => {
                return Err(backup.damaged());
            }
        }
        if pieces.len() >= TURN_PIECES {
            take_back(&mut node, &mut pieces)?;
        }
        next = backup.next()?;
    }
    take_back(&mut node, &mut pieces)?;
    let scopes = compare(&node, manifest, backup.struck())?;
    node.end_take_back(manifest)?;
    let restored = Restored {
        documents: documents - backup.struck(),
        struck: backup.struck(),
        statements: statements.len() as u64,
        scopes,
    };
    Ok((node.into_store(), restored))
}

fn take_back<S: Store>(
    node: &mut Node<S>,
    pieces: &mut Vec<VerifiedPiece>,
) -> Result<(), BackupError> {
    let refused = node.take_back(pieces, shell::now())?;
    pieces.clear();
    match refused.first() {
        None => Ok(()),
        Some((document, why)) => Err(BackupError::Refused(*document, *why)),
    }
}

/// The statements, which come first, and what follows them.
fn statements(backup: &mut Backup) -> Result<(Vec<SignedStatement>, Next), BackupError> {
    let mut statements = Vec::new();
    loop {
        let next = backup.next()?;
        if let Next::Statements(some) = next {
            statements.extend(some);
        } else {
            return Ok((statements, next));
        }
    }
}

/// A node passes over a statement that is not the authority's; a backup must hold none.
fn check_statements(
    identity: &Identity,
    statements: &[SignedStatement],
) -> Result<(), BackupError> {
    let mut directory = Directory::new(identity.tenant, identity.authority);
    for statement in statements {
        directory
            .admit(statement)
            .map_err(BackupError::Statements)?;
    }
    Ok(())
}

/// The scopes as they are in the store now, computed again from it. They must be those of the
/// backup, unless documents were struck out of it.
fn compare<S: Store>(
    node: &Node<S>,
    manifest: &Manifest,
    struck: u64,
) -> Result<Vec<(ScopeId, Digest, u64)>, BackupError> {
    let found = views::recompute(&node.snapshot()?)?;
    let found: std::collections::BTreeMap<_, _> = found
        .into_iter()
        .map(|(scope, found)| (scope, (found.digest, found.count)))
        .collect();
    let differing = prove::differing(&manifest.scopes, &found);
    if struck == 0 && !differing.is_empty() {
        return Err(BackupError::Differs(differing));
    }
    let scopes = found.into_iter();
    Ok(scopes
        .map(|(scope, (digest, count))| (scope, digest, count))
        .collect())
}
