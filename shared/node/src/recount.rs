//! The proof, counted anew: every scope's digest from chunks and placements alone. A path of its
//! own, which shares nothing with the one that keeps the digests as it goes.

use std::collections::{BTreeMap, BTreeSet};

use names::{ChangeHash, DocumentId, Moment, Reason, ScopeId};
use protocol::{
    bundle::Bundle,
    digest::{Digest, LtHash, document_element, left_element},
    directory::{SignedStatement, Statement, StatementId},
    placement::{Placement, PlacementId, SignedPlacement, left, standing},
};
use store::{Snapshot, StoreError};

use crate::{
    admit::standing_by,
    backup::{self, Piece},
    bundle::each_change,
    transfer::read_transfers,
};

/// A scope's proof, recomputed from the stored changes and placements alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recomputed {
    /// The digest.
    pub digest: Digest,
    /// Documents in it.
    pub count: u64,
}

/// Which of the placements of a document that follow another is meant.
type Ruled = (DocumentId, Option<PlacementId>);

/// Which of two rulings was the first: by moment, number, id.
type Rank = (Moment, u64, StatementId);

/// Counts document after document: what belongs to one, then [`Recount::close`]. The statements
/// come first, for a ruling among them may say where a document stands.
#[derive(Default)]
pub struct Recount {
    sums: BTreeMap<ScopeId, (LtHash, u64)>,
    /// In the order in which they came.
    placements: Vec<(PlacementId, Placement)>,
    made: BTreeSet<ChangeHash>,
    built_on: BTreeSet<ChangeHash>,
    rulings: BTreeMap<Ruled, (Rank, PlacementId)>,
    /// Rulings that the centre owes: it stands by them already.
    owed: BTreeMap<Ruled, PlacementId>,
}

impl Recount {
    /// For what this store holds, whose statements and owed rulings are taken up.
    pub(crate) fn of_store<P: Snapshot>(snapshot: &P) -> Result<Recount, StoreError> {
        let mut recount = Recount::default();
        let (_, owed) = read_transfers(snapshot, |_| true)?;
        for ruling in owed.values().map(|owed| owed.ruling()) {
            let ruled = (ruling.document, ruling.previous);
            recount.owed.insert(ruled, ruling.stands);
        }
        backup::each_statement(snapshot, |statement| recount.statement(&statement))?;
        Ok(recount)
    }

    /// Takes up a statement; only a ruling makes a difference here.
    pub fn statement(&mut self, signed: &SignedStatement) {
        let Ok(issue) = signed.claim() else { return };
        let Statement::Ruling(ruling) = issue.statement else {
            return;
        };
        let ruled = (ruling.document, ruling.previous);
        let rank = (issue.at, issue.number, signed.id());
        let known = self.rulings.get(&ruled);
        if known.is_none_or(|(known, _)| rank < *known) {
            self.rulings.insert(ruled, (rank, ruling.stands));
        }
    }

    /// Takes up something of the document at hand.
    ///
    /// # Errors
    /// When it is not what it says it is.
    pub fn piece(&mut self, piece: &Piece) -> Result<(), Reason> {
        match piece {
            Piece::Placement(signed) => self.placement(signed),
            Piece::Bundle(bundle) => self.bundle(bundle),
        }
    }

    fn placement(&mut self, signed: &SignedPlacement) -> Result<(), Reason> {
        let (id, claim) = signed.claim()?;
        self.placements.push((id, claim));
        Ok(())
    }

    fn bundle(&mut self, bundle: &Bundle) -> Result<(), Reason> {
        each_change(bundle, |whole| {
            let header = whole.header()?;
            self.made.insert(header.hash);
            self.built_on.extend(header.deps);
            Ok(())
        })
    }

    /// All of the document at hand has been taken up. One that was never placed is in no scope.
    pub fn close(&mut self, document: DocumentId) {
        let known = std::mem::take(&mut self.placements);
        let mut made = std::mem::take(&mut self.made);
        let built_on = std::mem::take(&mut self.built_on);
        let Some(kind) = known.first().map(|(_, claim)| claim.kind) else {
            return;
        };
        let ruled = |previous| {
            let stated = self.rulings.get(&(document, previous)).map(|(_, id)| *id);
            stated.or_else(|| self.owed.get(&(document, previous)).copied())
        };
        let scopes = standing_by(document, &known, ruled).stands.scopes;
        let placements: BTreeMap<PlacementId, Placement> = known.into_iter().collect();
        let ids: Vec<_> = standing(&placements).into_iter().collect();
        made.extend(document::genesis::genesis(kind).map(|fixed| fixed.hash));
        let heads: Vec<_> = made.difference(&built_on).copied().collect();
        let element = document_element(&document, &heads, &ids);
        for (scope, exits) in left(&placements, &scopes) {
            let exits: Vec<PlacementId> = exits.into_iter().collect();
            let (sum, _) = self.sums.entry(scope).or_default();
            sum.add(&left_element(&document, &exits));
        }
        for scope in scopes {
            let (sum, count) = self.sums.entry(scope).or_default();
            sum.add(&element);
            *count += 1;
        }
    }

    /// What was found, by scope.
    pub fn scopes(&self) -> BTreeMap<ScopeId, Recomputed> {
        let done = |(sum, count): &(LtHash, u64)| Recomputed {
            digest: sum.value(),
            count: *count,
        };
        let sums = self.sums.iter();
        sums.map(|(scope, sum)| (scope.clone(), done(sum)))
            .collect()
    }
}

impl std::fmt::Debug for Recount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recount({} scopes)", self.sums.len())
    }
}
