//! Where a document belongs: a small signed record outside the document itself.
//!
//! Nobody opens a document to route it, and nobody pulls another site's document by writing a
//! field. A document's first placement creates it; each later one names the placement that it
//! supersedes, and may take the document out of scopes it was in: a *transfer*. Those that no other
//! supersedes are *standing*; more than one means that two people placed the document at the same
//! time, and [`stands`] says where it is then.

mod stands;

use std::{collections::BTreeSet, fmt};

use minicbor::{Decode, Encode};
use names::{
    ChangeHash, DeviceId, DocumentId, Kind, Moment, Reason, ScopeId, SiteId, TenantId,
    TransferReason, WorkerId,
    limits::{LINE_BYTES_MAX, PLACEMENT_HEADS_MAX, PLACEMENT_SCOPES_MAX, SIGNED_BYTES_MAX},
};

use crate::{
    bytes::byte_value,
    codec,
    hash::{self, label},
    signed::{DeviceKey, PublicKey, Signature, device_id},
    together::{Proven, Signed},
};

pub use stands::{Fork, Stands, exits, left, standing, stands, told_in};

byte_value!(
    /// A placement: 16 bytes of a hash. For the root of a derived document it is a hash of
    /// (document, kind, scopes, root) alone, so that two sites that create the same register
    /// while apart make one placement; else it is a hash of the payload.
    PlacementId, 16
);

/// What the id of a derived document was made from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Root {
    /// The venue's owner in the directory, never the writer's site.
    #[cbor(n(0), with = "codec::wire")]
    pub site: SiteId,
    /// The venue.
    #[cbor(n(1), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub venue: String,
    /// The day, as `document` writes it.
    #[cbor(n(2), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub date: String,
    /// The time it begins, as `document` writes it.
    #[cbor(n(3), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub start: String,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({})", self.site)
    }
}

/// What a device says about where a document belongs.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Placement {
    /// The document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// Its kind, which names its genesis; never changes.
    #[cbor(n(1), with = "codec::wire")]
    pub kind: Kind,
    /// Every scope it is in from here on: 1 to [`PLACEMENT_SCOPES_MAX`], never the directory.
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<PLACEMENT_SCOPES_MAX, _, _>"
    )]
    pub scopes: BTreeSet<ScopeId>,
    /// The device that signs.
    #[cbor(n(3), with = "codec::wire")]
    pub device: DeviceId,
    /// For whom.
    #[cbor(n(4), with = "codec::wire")]
    pub worker: WorkerId,
    /// When, by the device's clock.
    #[cbor(n(5), with = "codec::wire")]
    pub at: Moment,
    /// What a derived document's id was made from. Only a first placement has it.
    #[cbor(n(6), with = "codec::wire", has_nil)]
    pub root: Option<Root>,
    /// The placement that this one supersedes; none when it creates the document.
    #[cbor(n(7), with = "codec::wire", has_nil)]
    pub previous: Option<PlacementId>,
    /// Why the document leaves a scope. Only a later placement has it; one that adds scopes alone
    /// needs none.
    #[cbor(n(8), with = "codec::wire", has_nil)]
    pub reason: Option<TransferReason>,
    /// The heads of the document that the device had seen when it said this: what is not among
    /// them, or before them, it did not know of. At most [`PLACEMENT_HEADS_MAX`]; only a later
    /// placement has them.
    #[cbor(
        n(9),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<PLACEMENT_HEADS_MAX, _, _>",
        nil = "no_heads",
        is_nil = "Vec::is_empty"
    )]
    pub heads: Vec<ChangeHash>,
}

/// What a placement without heads leaves out.
#[expect(clippy::unnecessary_wraps, reason = "the form that the codec asks for")]
fn no_heads() -> Option<Vec<ChangeHash>> {
    Some(Vec::new())
}

impl Placement {
    /// Whether this creates the document.
    pub fn is_first(&self) -> bool {
        self.previous.is_none()
    }

    /// What bytes alone tell about a placement.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] beyond a limit; [`Reason::Malformed`] when it names no scope, the
    /// directory, a root that is not first or names another site than its scopes, or what only a
    /// later one may have.
    pub fn check(&self) -> Result<(), Reason> {
        let texts = self
            .root
            .iter()
            .flat_map(|root| [&root.venue, &root.date, &root.start]);
        let long = texts.into_iter().any(|text| text.len() > LINE_BYTES_MAX);
        let many =
            self.scopes.len() > PLACEMENT_SCOPES_MAX || self.heads.len() > PLACEMENT_HEADS_MAX;
        if long || many {
            return Err(Reason::TooLarge);
        }
        let premature = self.is_first() && (self.reason.is_some() || !self.heads.is_empty());
        let nowhere = self.scopes.is_empty() || self.scopes.contains(&ScopeId::Directory);
        let misplaced_root = self.root.as_ref().is_some_and(|root| {
            !self.is_first()
                || self
                    .scopes
                    .iter()
                    .any(|scope| !belongs_to(scope, &root.site))
        });
        if nowhere || misplaced_root || premature {
            Err(Reason::Malformed)
        } else {
            Ok(())
        }
    }

    /// Whether it may follow `before`, which the document's `root` began: what leaves a scope says
    /// why, and a register leaves none of its own site.
    ///
    /// # Errors
    /// [`Reason::Malformed`] when it gives no reason, [`Reason::NotAllowed`] when a document of its
    /// kind may not leave.
    pub fn check_leaving(&self, before: &Placement, root: Option<&Root>) -> Result<(), Reason> {
        let mut left = before.scopes.difference(&self.scopes).peekable();
        if left.peek().is_some() && self.reason.is_none() {
            return Err(Reason::Malformed);
        }
        let is_own = |scope: &ScopeId| root.is_none_or(|root| belongs_to(scope, &root.site));
        if !self.kind.may_leave_its_site() && left.any(is_own) {
            return Err(Reason::NotAllowed);
        }
        Ok(())
    }

    fn id(&self, payload: &[u8]) -> PlacementId {
        PlacementId(match &self.root {
            None => hash::hash16(label::PLACEMENT, &[payload]),
            Some(root) => {
                let identity = RootIdentity {
                    document: self.document,
                    kind: self.kind,
                    scopes: self.scopes.clone(),
                    root: root.clone(),
                };
                hash::hash16(label::ROOT, &[&codec::encode(&identity)])
            }
        })
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement")
            .field("document", &self.document)
            .field("kind", &self.kind)
            .field("scopes", &self.scopes)
            .field("device", &self.device)
            .field("worker", &self.worker)
            .field("root", &self.root)
            .field("previous", &self.previous)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

fn belongs_to(scope: &ScopeId, site: &SiteId) -> bool {
    match scope {
        ScopeId::Site(owner) | ScopeId::Compartment(owner, _) => owner == site,
        ScopeId::Directory | ScopeId::Caseload(_) => false,
    }
}

/// What makes two first placements of a derived document the same one. Its form is fixed for
/// ever: the bytes are hashed.
#[derive(Encode)]
struct RootIdentity {
    #[cbor(n(0), with = "codec::wire")]
    document: DocumentId,
    #[cbor(n(1), with = "codec::wire")]
    kind: Kind,
    #[cbor(n(2), with = "codec::wire")]
    scopes: BTreeSet<ScopeId>,
    #[cbor(n(3), with = "codec::wire")]
    root: Root,
}

/// A placement with its signature, as it travels and as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedPlacement {
    /// The bytes that were signed.
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SIGNED_BYTES_MAX, _, _>"
    )]
    pub payload: Vec<u8>,
    /// The signature over tenant and payload.
    #[cbor(n(1), with = "codec::wire")]
    pub signature: Signature,
}

impl SignedPlacement {
    /// Signs a placement that has passed [`Placement::check`].
    pub fn sign(key: &DeviceKey, tenant: &TenantId, placement: &Placement) -> SignedPlacement {
        let payload = codec::encode(placement);
        let message = hash::message(label::PLACEMENT, tenant, &[], &payload);
        SignedPlacement {
            signature: key.sign(&message),
            payload,
        }
    }

    /// What it says, unproven: good for finding the device whose key proves it.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn claim(&self) -> Result<(PlacementId, Placement), Reason> {
        if self.payload.len() > SIGNED_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        let placement: Placement = codec::decode(&self.payload)?;
        placement.check()?;
        Ok((placement.id(&self.payload), placement))
    }

    /// What it says, proven: `key` signed it for this tenant. What is among `proven` is not checked
    /// once more.
    ///
    /// That a derived document's id is what its root makes is for the caller to compare, who
    /// holds the tenant's key.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], [`Reason::Malformed`], [`Reason::UnknownSigner`] when it names another
    /// device than the key's, or [`Reason::BadSignature`].
    pub fn verify(
        &self,
        tenant: &TenantId,
        key: &PublicKey,
        proven: &Proven,
    ) -> Result<(PlacementId, Placement), Reason> {
        let (id, placement) = self.claim()?;
        if placement.device != device_id(key) {
            return Err(Reason::UnknownSigner);
        }
        let message = hash::message(label::PLACEMENT, tenant, &[], &self.payload);
        proven.check(key, &message, &self.signature)?;
        Ok((id, placement))
    }

    /// What has to be signed by `key` if it is to be proven.
    pub fn signed(&self, tenant: &TenantId, key: &PublicKey) -> Signed {
        let message = hash::message(label::PLACEMENT, tenant, &[], &self.payload);
        Signed::new(key, &message, &self.signature)
    }
}

impl fmt::Debug for SignedPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedPlacement({} bytes)", self.payload.len())
    }
}

codec::wire_struct!(Root, Placement, SignedPlacement);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
