//! Who wrote a run of changes: device keys, self-certifying actors, and the signed head.
//!
//! An actor is a hash of tenant, device key, document, opening nonce and worker, so only the
//! device that holds the key can speak for it, one store opening cannot continue another's, and
//! a change cannot be replayed into another document. A run is closed by one signature over its
//! last change's hash; pre-flight enforces that each change names its actor's previous one, so
//! that signature covers all before it.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use ed25519_zebra::VerificationKey;
use minicbor::{Decode, Encode};
use names::{
    ActorId, ChangeHash, DeviceId, DocumentId, Moment, Nonce, Reason, TenantId, WorkerId,
    limits::SIGNED_BYTES_MAX,
};
use zeroize::Zeroizing;

use crate::{
    bytes::byte_value,
    codec,
    hash::{self, label},
    together::{Proven, Signed},
};

byte_value!(
    /// The public half of an Ed25519 key. Any 32 bytes may stand here; what is no key verifies
    /// nothing.
    PublicKey, 32
);
byte_value!(
    /// An Ed25519 signature.
    Signature, 64
);

impl PublicKey {
    /// Checks a signature over `message` by the rules of ZIP 215, which give the same answer for
    /// one signature as for many of them [together](crate::together), on every node; but for a key
    /// of small order, under which one signature would fit every message, nothing is proved.
    pub(crate) fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Reason> {
        if !self.is_sound() {
            return Err(Reason::BadSignature);
        }
        VerificationKey::try_from(self.0)
            .and_then(|key| key.verify(&signature.0.into(), message))
            .map_err(|_| Reason::BadSignature)
    }

    /// Whether it is a key, and of no small order.
    pub(crate) fn is_sound(&self) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| !key.is_weak())
    }
}

/// The device that holds the private half of `key`.
pub fn device_id(key: &PublicKey) -> DeviceId {
    DeviceId(hash::hash16(label::DEVICE, &[key.as_ref()]))
}

/// The actor as which a device writes into one document, for one worker, from one opening of its
/// store to the next.
pub fn derive_actor(
    tenant: &TenantId,
    key: &PublicKey,
    document: &DocumentId,
    nonce: &Nonce,
    worker: &WorkerId,
) -> ActorId {
    let parts: [&[u8]; 5] = [
        tenant.as_ref(),
        key.as_ref(),
        document.as_ref(),
        nonce.as_ref(),
        worker.as_str().as_bytes(),
    ];
    ActorId(hash::hash16(label::ACTOR, &parts))
}

/// The nonce of the author under which a branch of another's line is written again, from the first of its
/// changes on. It follows from these, so that whoever writes it again does so under the same name, and
/// whoever holds the branch knows what is to come in its place.
pub fn branch_nonce(actor: &ActorId, first: &ChangeHash) -> Nonce {
    let parts = [actor.as_ref(), first.as_ref()];
    Nonce(hash::hash16(label::BRANCH_NONCE, &parts))
}

/// A private Ed25519 key: a device's, or the authority's. Wiped from memory when dropped.
pub struct DeviceKey(SigningKey);

impl DeviceKey {
    /// The key of a seed: 32 bytes from a good source of randomness, drawn by the shell.
    pub fn from_seed(seed: &[u8; 32]) -> DeviceKey {
        DeviceKey(SigningKey::from_bytes(seed))
    }

    /// The seed, to be sealed into the store and nowhere else.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The device that this key makes.
    pub fn device_id(&self) -> DeviceId {
        device_id(&self.public())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.device_id())
    }
}

/// What a device says when it closes a run.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Head {
    /// The device that signs.
    #[cbor(n(0), with = "codec::wire")]
    pub device: DeviceId,
    /// What its store drew when it was opened.
    #[cbor(n(1), with = "codec::wire")]
    pub nonce: Nonce,
    /// For whom it writes; the device's word until phones sign for themselves.
    #[cbor(n(2), with = "codec::wire")]
    pub worker: WorkerId,
    /// The sequence number of the run's last change.
    #[n(3)]
    pub seq: u64,
    /// The hash of the run's last change.
    #[cbor(n(4), with = "codec::wire")]
    pub hash: ChangeHash,
    /// The moment of the latest statement of the directory that the writer's node had seen: rights
    /// are judged by it. Of one device it never goes back.
    #[cbor(n(5), with = "codec::wire")]
    pub directory_seen: Moment,
    /// The time before which this was certainly not written, as the writer's node knew it.
    #[cbor(n(6), with = "codec::wire")]
    pub floor: Moment,
}

/// A head with its signature, as it travels and as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedHead {
    /// The bytes that were signed.
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SIGNED_BYTES_MAX, _, _>"
    )]
    pub payload: Vec<u8>,
    /// The signature over tenant, document, actor and payload.
    #[cbor(n(1), with = "codec::wire")]
    pub signature: Signature,
}

impl SignedHead {
    /// Closes a run of `actor` in `document`.
    pub fn sign(
        key: &DeviceKey,
        tenant: &TenantId,
        document: &DocumentId,
        actor: &ActorId,
        head: &Head,
    ) -> SignedHead {
        let payload = codec::encode(head);
        let message = head_message(tenant, document, actor, &payload);
        SignedHead {
            signature: key.sign(&message),
            payload,
        }
    }

    /// What the head says, unproven: good for finding the device whose key proves it.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn claim(&self) -> Result<Head, Reason> {
        if self.payload.len() > SIGNED_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        codec::decode(&self.payload)
    }

    /// What the head says, proven: `key` signed it for this tenant, document and actor, and the
    /// actor is the one that this key, document, nonce and worker make.
    ///
    /// Whether `head.hash` and `head.seq` are those of the run's last change is for the caller to
    /// compare, who alone can read changes. What is among `proven` is not checked once more.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], [`Reason::Malformed`], [`Reason::WrongActor`] or
    /// [`Reason::BadSignature`].
    pub fn verify(
        &self,
        tenant: &TenantId,
        document: &DocumentId,
        actor: &ActorId,
        key: &PublicKey,
        proven: &Proven,
    ) -> Result<Head, Reason> {
        let head = self.claim()?;
        let speaks_for = derive_actor(tenant, key, document, &head.nonce, &head.worker);
        if head.device != device_id(key) || *actor != speaks_for {
            return Err(Reason::WrongActor);
        }
        let message = head_message(tenant, document, actor, &self.payload);
        proven.check(key, &message, &self.signature)?;
        Ok(head)
    }

    /// What has to be signed by `key` if the head is to be proven.
    pub fn signed(
        &self,
        tenant: &TenantId,
        document: &DocumentId,
        actor: &ActorId,
        key: &PublicKey,
    ) -> Signed {
        let message = head_message(tenant, document, actor, &self.payload);
        Signed::new(key, &message, &self.signature)
    }
}

impl fmt::Debug for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedHead({} bytes)", self.payload.len())
    }
}

fn head_message(
    tenant: &TenantId,
    document: &DocumentId,
    actor: &ActorId,
    payload: &[u8],
) -> Vec<u8> {
    hash::message(
        label::HEAD,
        tenant,
        &[document.as_ref(), actor.as_ref()],
        payload,
    )
}

codec::wire_struct!(Head, SignedHead);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{DOCUMENT, TENANT, actor, head, key, signed_head};

    #[test]
    fn names_keep_their_value_for_ever() {
        let key = key(1);
        let names = [
            key.device_id().to_string(),
            actor(&key, &head(&key)).to_string(),
            branch_nonce(&ActorId([1; 16]), &ChangeHash([2; 32])).to_string(),
        ];
        assert_eq!(
            names,
            [
                "45e5471240426434997fd9a25e4a2516",
                "5f8920988242923c931603e70e6b2d6d",
                "f3d975354405707a74bc2b45ff2398e6",
            ]
        );
    }

    #[test]
    fn a_head_proves_what_it_says() {
        let key = key(1);
        let said = head(&key);
        let signed = signed_head(&key);
        let proven = signed.verify(
            &TENANT,
            &DOCUMENT,
            &actor(&key, &said),
            &key.public(),
            &Proven::default(),
        );
        assert_eq!(proven, Ok(said.clone()));
        assert_eq!(signed.claim(), Ok(said));
    }

    #[test]
    fn a_head_fits_no_other_tenant_document_actor_or_key() {
        let [mine, theirs] = [key(1), key(2)];
        let said = head(&mine);
        let me = actor(&mine, &said);
        let signed = signed_head(&mine);
        let verify =
            |tenant: &TenantId, document: &DocumentId, actor: &ActorId, key: &DeviceKey| {
                signed.verify(tenant, document, actor, &key.public(), &Proven::default())
            };
        let elsewhere = DocumentId([0x23; 16]);
        let stranger = TenantId([0x12; 16]);
        for answer in [
            verify(&stranger, &DOCUMENT, &me, &mine),
            verify(&TENANT, &elsewhere, &me, &mine),
            verify(&TENANT, &DOCUMENT, &ActorId([0; 16]), &mine),
            verify(&TENANT, &DOCUMENT, &me, &theirs),
        ] {
            assert_eq!(answer, Err(Reason::WrongActor));
        }
        // Even with the actor that would belong there, the signature does not follow.
        let there = derive_actor(
            &TENANT,
            &mine.public(),
            &elsewhere,
            &said.nonce,
            &said.worker,
        );
        assert_eq!(
            verify(&TENANT, &elsewhere, &there, &mine),
            Err(Reason::BadSignature)
        );
        let there = derive_actor(
            &stranger,
            &mine.public(),
            &DOCUMENT,
            &said.nonce,
            &said.worker,
        );
        assert_eq!(
            verify(&stranger, &DOCUMENT, &there, &mine),
            Err(Reason::BadSignature)
        );
    }

    #[test]
    fn nobody_signs_for_another_device() {
        let [mine, theirs] = [key(1), key(2)];
        let said = head(&theirs);
        let actor = actor(&theirs, &said);
        let signed = SignedHead::sign(&mine, &TENANT, &DOCUMENT, &actor, &said);
        let answer = |key: &DeviceKey| {
            signed.verify(
                &TENANT,
                &DOCUMENT,
                &actor,
                &key.public(),
                &Proven::default(),
            )
        };
        assert_eq!(answer(&theirs), Err(Reason::BadSignature));
        assert_eq!(answer(&mine), Err(Reason::WrongActor));
    }

    #[test]
    fn each_part_of_an_actor_counts() {
        let [one, other] = [key(1).public(), key(2).public()];
        let [here, there] = [DOCUMENT, DocumentId([1; 16])];
        let [first, second] = [Nonce([1; 16]), Nonce([2; 16])];
        let worker: WorkerId = "w-1".parse().unwrap();
        let actors: std::collections::BTreeSet<ActorId> = [
            derive_actor(&TENANT, &one, &here, &first, &worker),
            derive_actor(&TenantId([0; 16]), &one, &here, &first, &worker),
            derive_actor(&TENANT, &other, &here, &first, &worker),
            derive_actor(&TENANT, &one, &there, &first, &worker),
            derive_actor(&TENANT, &one, &here, &second, &worker),
            derive_actor(&TENANT, &one, &here, &first, &"w-12".parse().unwrap()),
        ]
        .into();
        assert_eq!(actors.len(), 6);
    }

    #[test]
    fn a_key_that_is_none_verifies_nothing() {
        // The neutral element has small order: with it, one signature would fit every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        for key in [
            PublicKey(neutral),
            PublicKey([0; 32]),
            PublicKey([0xFF; 32]),
        ] {
            assert_eq!(
                key.verify(b"any", &Signature(signature)),
                Err(Reason::BadSignature)
            );
        }
    }

    #[test]
    fn a_seed_comes_back_and_is_never_printed() {
        let key = key(0xA7);
        assert_eq!(*key.seed(), [0xA7; 32]);
        assert!(!format!("{key:?}").contains("a7a7") && !format!("{key:?}").contains("167"));
    }

    proptest! {
        #[test]
        fn one_bit_changed_proves_nothing(place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let key = key(1);
            let actor = actor(&key, &head(&key));
            let mut signed = signed_head(&key);
            let place = place.index(signed.payload.len() + 64);
            match signed.payload.get_mut(place) {
                Some(byte) => *byte ^= 1 << bit,
                None => signed.signature.0[place - signed.payload.len()] ^= 1 << bit,
            }
            prop_assert!(signed.verify(&TENANT, &DOCUMENT, &actor, &key.public(), &Proven::default()).is_err());
        }
    }
}
