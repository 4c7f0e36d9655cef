//! The proof, counted anew: every scope's digest from chunks and placements alone. A path of its
//! own, which shares nothing with the one that keeps the digests as it goes.

use std::collections::{BTreeMap, BTreeSet};

use names::{ChangeHash, DocumentId, Reason, ScopeId};
use protocol::{
    bundle::Bundle,
    digest::{Digest, LtHash, document_element},
    placement::{Placement, PlacementId, SignedPlacement, standing},
};

use crate::{backup::Piece, bundle::each_change};

/// A scope's proof, recomputed from the stored changes and placements alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recomputed {
    /// The digest.
    pub digest: Digest,
    /// Documents in it.
    pub count: u64,
}

/// Counts document after document: what belongs to one, then [`Recount::close`].
#[derive(Default)]
pub struct Recount {
    sums: BTreeMap<ScopeId, (LtHash, u64)>,
    placements: BTreeMap<PlacementId, Placement>,
    made: BTreeSet<ChangeHash>,
    built_on: BTreeSet<ChangeHash>,
}

impl Recount {
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
        self.placements.insert(id, claim);
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
        let placements = std::mem::take(&mut self.placements);
        let mut made = std::mem::take(&mut self.made);
        let built_on = std::mem::take(&mut self.built_on);
        let ids: Vec<_> = standing(&placements).into_iter().collect();
        let claims: Vec<_> = ids.iter().filter_map(|id| placements.get(id)).collect();
        let Some(kind) = claims.first().map(|claim| claim.kind) else {
            return;
        };
        made.extend(document::genesis::genesis(kind).map(|fixed| fixed.hash));
        let heads: Vec<_> = made.difference(&built_on).copied().collect();
        let element = document_element(&document, &heads, &ids);
        let scopes = claims.iter().flat_map(|claim| claim.scopes.iter().cloned());
        for scope in scopes.collect::<BTreeSet<ScopeId>>() {
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
