//! What a backup lacks because rows of its store were damaged: named, so that nobody takes the file
//! for whole, and no reason to have no backup of the rest.

use minicbor::{Decode, Encode};
use node::{
    names::{DocumentId, ScopeId},
    protocol::codec,
};

/// Documents and scopes named; a store with more of them damaged is no store to make a backup of.
const NAMED_MAX: usize = 1 << 16;

/// What could not be read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
pub struct Missing {
    /// Documents of which something is missing.
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<NAMED_MAX, _, _>"
    )]
    pub documents: Vec<DocumentId>,
    /// The scopes in which they stand, whose digests therefore cannot be given again.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<NAMED_MAX, _, _>"
    )]
    pub scopes: Vec<ScopeId>,
    /// Of one of them it cannot be told where it stands: no digest need be given again.
    #[n(2)]
    pub anywhere: bool,
    /// Statements of the directory.
    #[n(3)]
    pub statements: u64,
    /// Parts that revoked devices had handed in.
    #[n(4)]
    pub parts: u64,
    /// Scopes of which it is not known how they stood.
    #[n(5)]
    pub scopes_unread: u64,
}

impl Missing {
    /// Whether nothing is.
    pub fn is_nothing(&self) -> bool {
        *self == Missing::default()
    }

    /// Whether a scope may come out otherwise than it stood.
    pub(super) fn excuses(&self, scope: &ScopeId) -> bool {
        self.anywhere || self.scopes.contains(scope)
    }

    /// Whether more can be named.
    pub(super) fn is_full(&self) -> bool {
        self.documents.len() >= NAMED_MAX || self.scopes.len() >= NAMED_MAX
    }
}
