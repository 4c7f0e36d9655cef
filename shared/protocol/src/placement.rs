//! Where a document belongs: a small signed record outside the document itself.
//!
//! Nobody opens a document to route it, and nobody pulls another site's document by writing a
//! field. A document's first placement creates it; each later one names the placement that it
//! supersedes. Those that no other supersedes are *standing*; more than one means that two people
//! placed the document at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use minicbor::{Decode, Encode};
use names::{
    DeviceId, DocumentId, Kind, Moment, Reason, ScopeId, SiteId, TenantId, WorkerId,
    limits::{LINE_BYTES_MAX, PLACEMENT_SCOPES_MAX, SIGNED_BYTES_MAX},
};

use crate::{
    bytes::byte_value,
    codec,
    hash::{self, label},
    signed::{DeviceKey, PublicKey, Signature, device_id},
};

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
    /// Why, in a person's words. Only a later placement needs it.
    #[cbor(
        n(8),
        encode_with = "codec::wire::encode",
        decode_with = "codec::line",
        nil = "codec::wire::nil",
        is_nil = "codec::wire::is_nil"
    )]
    pub reason: Option<String>,
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
    /// directory, or a root that is not first or names another site than its scopes.
    pub fn check(&self) -> Result<(), Reason> {
        let texts = self
            .root
            .iter()
            .flat_map(|root| [&root.venue, &root.date, &root.start]);
        let long = texts
            .chain(&self.reason)
            .any(|text| text.len() > LINE_BYTES_MAX);
        if long || self.scopes.len() > PLACEMENT_SCOPES_MAX {
            return Err(Reason::TooLarge);
        }
        let nowhere = self.scopes.is_empty() || self.scopes.contains(&ScopeId::Directory);
        let misplaced_root = self.root.as_ref().is_some_and(|root| {
            !self.is_first()
                || self
                    .scopes
                    .iter()
                    .any(|scope| !belongs_to(scope, &root.site))
        });
        if nowhere || misplaced_root {
            Err(Reason::Malformed)
        } else {
            Ok(())
        }
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

    /// What it says, proven: `key` signed it for this tenant.
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
    ) -> Result<(PlacementId, Placement), Reason> {
        let (id, placement) = self.claim()?;
        if placement.device != device_id(key) {
            return Err(Reason::UnknownSigner);
        }
        let message = hash::message(label::PLACEMENT, tenant, &[], &self.payload);
        key.verify(&message, &self.signature)?;
        Ok((id, placement))
    }
}

impl fmt::Debug for SignedPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedPlacement({} bytes)", self.payload.len())
    }
}

codec::wire_struct!(Root, Placement, SignedPlacement);

/// The placements of one document that no other of them supersedes: what the digest covers.
pub fn standing(placements: &BTreeMap<PlacementId, Placement>) -> BTreeSet<PlacementId> {
    let superseded: BTreeSet<&PlacementId> = placements
        .values()
        .filter_map(|placement| placement.previous.as_ref())
        .collect();
    placements
        .keys()
        .filter(|id| !superseded.contains(id))
        .copied()
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{TENANT, key, placement, scope};

    fn derived(by: &DeviceKey, at: i64) -> Placement {
        Placement {
            kind: Kind::SESSION,
            at: Moment(at),
            root: Some(Root {
                site: "devizes".parse().unwrap(),
                venue: "town-hall".to_owned(),
                date: "2026-11-24".to_owned(),
                start: "14:00".to_owned(),
            }),
            ..placement(by)
        }
    }

    fn id(key: &DeviceKey, placement: &Placement) -> PlacementId {
        SignedPlacement::sign(key, &TENANT, placement)
            .claim()
            .unwrap()
            .0
    }

    #[test]
    fn a_placement_proves_what_it_says() {
        let [mine, theirs] = [key(1), key(2)];
        let said = placement(&mine);
        let signed = SignedPlacement::sign(&mine, &TENANT, &said);
        let proven = signed.verify(&TENANT, &mine.public()).unwrap();
        assert_eq!(proven, (id(&mine, &said), said));
        assert_eq!(
            signed.verify(&TENANT, &theirs.public()),
            Err(Reason::UnknownSigner)
        );
        let stranger = TenantId([0; 16]);
        assert_eq!(
            signed.verify(&stranger, &mine.public()),
            Err(Reason::BadSignature)
        );
        let forged = SignedPlacement::sign(&theirs, &TENANT, &placement(&mine));
        assert_eq!(
            forged.verify(&TENANT, &mine.public()),
            Err(Reason::BadSignature)
        );
    }

    #[test]
    fn two_sites_that_create_one_register_make_one_placement() {
        let [here, there] = [key(1), key(2)];
        assert_eq!(
            id(&here, &derived(&here, 1)),
            id(&there, &derived(&there, 2))
        );
        let mut elsewhere = derived(&here, 1);
        elsewhere.scopes.insert(scope("site:devizes/safeguarding"));
        assert_ne!(id(&here, &derived(&here, 1)), id(&here, &elsewhere));
        // What is not derived is two documents' worth of placements.
        let later = Placement {
            at: Moment(0),
            ..placement(&here)
        };
        assert_ne!(id(&here, &placement(&here)), id(&here, &later));
    }

    fn check(placement: &Placement, answer: Result<(), Reason>) {
        assert_eq!(placement.check(), answer, "{placement:?}");
        let signed = SignedPlacement::sign(&key(1), &TENANT, placement);
        assert_eq!(
            signed.verify(&TENANT, &key(1).public()).is_ok(),
            answer.is_ok()
        );
    }

    #[test]
    fn a_placement_names_scopes_that_its_root_allows() {
        let with_scopes = |scopes: &[&str]| Placement {
            scopes: scopes.iter().map(|text| scope(text)).collect(),
            ..derived(&key(1), 1)
        };
        check(&derived(&key(1), 1), Ok(()));
        check(
            &with_scopes(&["site:devizes", "site:devizes/safeguarding"]),
            Ok(()),
        );
        check(
            &Placement {
                root: None,
                ..with_scopes(&["site:bath", "caseload:w-17"])
            },
            Ok(()),
        );
        for scopes in [
            &[][..],
            &["directory"],
            &["site:devizes", "site:bath"],
            &["site:bath/safeguarding"],
            &["caseload:w-17"],
        ] {
            check(&with_scopes(scopes), Err(Reason::Malformed));
        }
        let later = Placement {
            previous: Some(PlacementId([0; 16])),
            ..derived(&key(1), 1)
        };
        check(&later, Err(Reason::Malformed));
    }

    #[test]
    fn a_placement_is_bounded() {
        let many = (0..=PLACEMENT_SCOPES_MAX)
            .map(|n| scope(&format!("site:s{n}")))
            .collect();
        check(
            &Placement {
                scopes: many,
                ..placement(&key(1))
            },
            Err(Reason::TooLarge),
        );
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let wordy = Placement {
            reason: Some(long.clone()),
            ..placement(&key(1))
        };
        check(&wordy, Err(Reason::TooLarge));
        let mut far = derived(&key(1), 1);
        far.root = far.root.map(|root| Root {
            venue: long,
            ..root
        });
        check(&far, Err(Reason::TooLarge));
    }

    #[test]
    fn scopes_out_of_order_are_refused() {
        let device = key(1);
        let scopes = BTreeSet::from([scope("site:bath"), scope("site:kent")]);
        let payload = codec::encode(&Placement {
            scopes,
            ..placement(&device)
        });
        let mut swapped = payload.clone();
        for (place, window) in payload.windows(4).enumerate() {
            let other: &[u8] = match window {
                b"bath" => b"kent",
                b"kent" => b"bath",
                _ => continue,
            };
            swapped.splice(place..place + 4, other.iter().copied());
        }
        assert_ne!(swapped, payload);
        let payload = swapped;
        let message = hash::message(label::PLACEMENT, &TENANT, &[], &payload);
        let forged = SignedPlacement {
            signature: device.sign(&message),
            payload,
        };
        assert_eq!(
            forged.verify(&TENANT, &device.public()),
            Err(Reason::Malformed)
        );
    }

    #[test]
    fn what_no_other_supersedes_stands() {
        let device = key(1);
        let first = placement(&device);
        let first_id = id(&device, &first);
        let after = |at| Placement {
            at: Moment(at),
            previous: Some(first_id),
            ..first.clone()
        };
        let [one, two] = [after(2), after(3)];
        let mut known = BTreeMap::from([(first_id, first.clone())]);
        assert_eq!(standing(&known), BTreeSet::from([first_id]));
        known.insert(id(&device, &one), one.clone());
        assert_eq!(standing(&known), BTreeSet::from([id(&device, &one)]));
        known.insert(id(&device, &two), two.clone());
        assert_eq!(
            standing(&known),
            BTreeSet::from([id(&device, &one), id(&device, &two)])
        );
    }

    #[test]
    fn what_people_wrote_is_not_printed() {
        let device = key(1);
        let said = Placement {
            reason: Some("moved in with Aunt Mabel".to_owned()),
            ..derived(&device, 1)
        };
        let printed = format!(
            "{said:?} {:?}",
            SignedPlacement::sign(&device, &TENANT, &said)
        );
        assert!(
            !printed.contains("Mabel") && !printed.contains("town-hall"),
            "{printed}"
        );
    }
}
