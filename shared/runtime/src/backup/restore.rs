//! Restoring: a store from a backup, through the door that everything passes.

use std::collections::{BTreeMap, BTreeSet};

use node::{
    Identity, Node, Recount, VerifiedPiece,
    backup::{self, Manifest},
    names::{DocumentId, Incarnation, Reason, ScopeId, WriterId, limits::TURN_BYTES_MAX},
    protocol::{Directory, SignedStatement, digest::Digest},
    store::Store,
    views,
};

use super::{
    BackupError, Missing, Progress, prove,
    read::{Backup, Next},
};
use crate::{Material, shell};

/// Pieces taken back in one turn at the most, if they are small; of large ones there are as many
/// as make a turn's bytes.
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
    /// Parts that revoked devices had handed in and nobody had let in.
    pub parts: u64,
    /// Each scope, computed again from what is in the store now.
    pub scopes: Vec<RestoredScope>,
    /// Documents of which something was refused, and why.
    pub refused: Vec<(DocumentId, Reason)>,
    /// What the backup lacked itself.
    pub missing: Missing,
}

/// A scope that came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoredScope {
    /// Which.
    pub scope: ScopeId,
    /// Its digest.
    pub digest: Digest,
    /// Documents in it.
    pub count: u64,
    /// Whether they are those that the backup's store had: not where documents were struck out,
    /// refused, or not in the backup.
    pub equal: bool,
}

/// Fills an empty store from a backup. Statements, placements and runs are verified like
/// everything that comes from elsewhere; the digests of what came of them are computed again from
/// the store, and compared with what was read of the file and with those that the backup's store
/// had. `without_refused` has it go on without what is refused, and with a backup that lacks
/// something; the answer names it.
///
/// # Errors
/// [`BackupError`] says what is wrong; the store is of no use then.
pub fn restore<S: Store>(
    mut store: S,
    backup: &mut Backup,
    (manifest, material): (&Manifest, &Material),
    without_refused: bool,
    progress: Progress<'_>,
) -> Result<(S, Restored), BackupError> {
    material.save(&mut store)?;
    let incarnation = Incarnation(shell::entropy());
    let writer = WriterId(shell::entropy());
    backup::begin(&mut store, manifest, incarnation, writer)?;
    let (statements, next) = statements(backup)?;
    check_statements(&material.identity(), &statements)?;
    let (identity, now) = (material.identity(), shell::now());
    let node = Node::open(store, identity, &statements, now, shell::entropy())?;
    let mut read = Recount::default();
    statements.iter().for_each(|said| read.statement(said));
    let mut taking = Taking {
        node,
        pieces: Vec::new(),
        bytes: 0,
        read,
        document: None,
        documents: 0,
        parts: 0,
        refused: BTreeMap::new(),
        without_refused,
    };
    let missing = taking.all(backup, next, manifest, progress)?;
    if !missing.is_nothing() && !without_refused {
        return Err(BackupError::Incomplete(missing.documents.len() as u64));
    }
    let scopes = taking.compare(manifest, &missing, backup.struck())?;
    taking.node.end_take_back(manifest)?;
    let restored = Restored {
        documents: taking.documents - backup.struck(),
        struck: backup.struck(),
        statements: statements.len() as u64,
        parts: taking.parts,
        scopes,
        refused: taking.refused.into_iter().collect(),
        missing,
    };
    Ok((taking.node.into_store(), restored))
}

/// A store that is being filled.
struct Taking<S: Store> {
    node: Node<S>,
    /// What is taken back in the next turn, and its bytes.
    pieces: Vec<VerifiedPiece>,
    bytes: usize,
    /// What was read of the file so far, and the document at hand.
    read: Recount,
    document: Option<DocumentId>,
    documents: u64,
    parts: u64,
    refused: BTreeMap<DocumentId, Reason>,
    without_refused: bool,
}

impl<S: Store> Taking<S> {
    fn all(
        &mut self,
        backup: &mut Backup,
        mut next: Next,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<Missing, BackupError> {
        let verifier = self.node.verifier();
        loop {
            match next {
                Next::Part(device, part) => {
                    let kept = self.node.take_back_part(device, part)?;
                    kept.map_err(|_| backup.damaged())?;
                    self.parts += 1;
                }
                Next::Document => {
                    self.close();
                    if !progress(self.documents, manifest.documents) {
                        return Err(BackupError::Interrupted);
                    }
                    self.documents += 1;
                }
                Next::Pieces(some) => {
                    self.bytes += backup.length();
                    for piece in some {
                        let document = piece.document().unwrap_or_default();
                        self.document = Some(document);
                        self.read.piece(&piece).map_err(|_| backup.damaged())?;
                        match verifier.piece(piece) {
                            Ok(verified) => self.pieces.push(verified),
                            Err(why) => self.refuse(document, why)?,
                        }
                    }
                }
                Next::End(missing) => {
                    self.close();
                    self.take_back()?;
                    return Ok(missing);
                }
                Next::Manifest(_) | Next::Authority(_) | Next::Statements(_) => {
                    return Err(backup.damaged());
                }
            }
            if self.pieces.len() >= TURN_PIECES || self.bytes >= TURN_BYTES_MAX {
                self.take_back()?;
            }
            next = backup.next()?;
        }
    }

    /// All of the document at hand was read.
    fn close(&mut self) {
        self.read.close(self.document.take().unwrap_or_default());
    }

    fn take_back(&mut self) -> Result<(), BackupError> {
        let refused = self.node.take_back(&self.pieces, shell::now())?;
        self.pieces.clear();
        self.bytes = 0;
        for (document, why) in refused {
            self.refuse(document, why)?;
        }
        Ok(())
    }

    fn refuse(&mut self, document: DocumentId, why: Reason) -> Result<(), BackupError> {
        if !self.without_refused {
            return Err(BackupError::Refused(document, why));
        }
        self.refused.entry(document).or_insert(why);
        Ok(())
    }

    /// The scopes as they are in the store now, computed again from it. They must be those of what
    /// was read, and, unless documents were struck out, those of the backup's store; but for the
    /// scopes of what was refused or is missing.
    fn compare(
        &self,
        manifest: &Manifest,
        missing: &Missing,
        struck: u64,
    ) -> Result<Vec<RestoredScope>, BackupError> {
        let snapshot = self.node.snapshot()?;
        let mut without = Missing::default();
        for document in self.refused.keys() {
            let scopes = views::scopes_of(&snapshot, *document)?;
            without.anywhere |= scopes.is_empty();
            without.scopes.extend(scopes);
        }
        let found: BTreeMap<_, _> = views::recompute(&snapshot)?
            .into_iter()
            .map(|(scope, found)| (scope, (found.digest, found.count)))
            .collect();
        let read = self.read.scopes();
        let scopes: BTreeSet<_> = read.keys().chain(found.keys()).collect();
        let as_read = |scope: &ScopeId| {
            let read = read.get(scope).map(|read| (read.digest, read.count));
            found.get(scope).copied() == read
        };
        let amiss: Vec<ScopeId> = scopes
            .into_iter()
            .filter(|scope| !as_read(scope) && !without.excuses(scope))
            .cloned()
            .collect();
        let differing = prove::differing(&manifest.scopes, &found);
        let unlike = prove::unexcused(&differing, &manifest.scopes, missing);
        let unlike = unlike.into_iter().filter(|scope| !without.excuses(scope));
        let amiss: Vec<ScopeId> = match struck {
            0 => amiss
                .into_iter()
                .chain(unlike)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            _ => amiss,
        };
        if !amiss.is_empty() {
            return Err(BackupError::Differs(amiss));
        }
        let scopes = found.into_iter();
        Ok(scopes
            .map(|(scope, (digest, count))| RestoredScope {
                equal: !differing.contains(&scope),
                scope,
                digest,
                count,
            })
            .collect())
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
