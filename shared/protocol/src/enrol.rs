//! How a device becomes known: the one-time code a person carries, and the exchange it opens.

mod code;

use std::fmt;

use minicbor::{Decode, Encode};
use names::{
    Reason, SiteId, TenantId,
    limits::{FRAME_BYTES_MAX, LINE_BYTES_MAX, LIST_ROWS_MAX, SIGNED_BYTES_MAX},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use code::{EnrolmentCode, InvalidCode};

use crate::{
    bytes::byte_value,
    codec::{self, wire_bytes},
    directory::SignedStatement,
    hash::label,
    signed::{DeviceKey, PublicKey, Signature},
};

/// Certificates in one chain.
const CHAIN_MAX: usize = 4;

byte_value!(
    /// SHA-256 of a certificate's DER.
    Fingerprint, 32
);

/// What an enrolment code proves: the right to enrol one device, once. Never printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Zeroize, ZeroizeOnDrop)]
pub struct Token(pub [u8; 16]);

/// The key that derived ids are made with; every device of the organisation has it. Never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct TenantKey(pub [u8; 32]);

wire_bytes!(Token, TenantKey);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantKey")
    }
}

/// A device asks to be made known.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct EnrolRequest {
    /// The token of its code.
    #[cbor(n(0), with = "codec::wire")]
    pub token: Token,
    /// The key that it has made.
    #[cbor(n(1), with = "codec::wire")]
    pub key: PublicKey,
    /// What people are going to call it.
    #[cbor(n(2), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub name: String,
    /// That it holds the private half: a signature over the token and the name.
    #[cbor(n(3), with = "codec::wire")]
    pub proof: Signature,
}

impl EnrolRequest {
    /// A request of the device that holds `key`.
    pub fn sign(key: &DeviceKey, token: Token, name: String) -> EnrolRequest {
        let proof = key.sign(&proof_message(&token, &name));
        EnrolRequest {
            token,
            key: key.public(),
            name,
            proof,
        }
    }

    /// Whether the sender holds the key that it names. The token is for the authority to look up.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] for too long a name, or [`Reason::BadSignature`].
    pub fn verify(&self) -> Result<(), Reason> {
        if self.name.len() > LINE_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        self.key
            .verify(&proof_message(&self.token, &self.name), &self.proof)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The request in `bytes`.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<EnrolRequest, Reason> {
        if bytes.len() > SIGNED_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        codec::decode(bytes)
    }
}

fn proof_message(token: &Token, name: &str) -> Vec<u8> {
    [label::ENROL.as_bytes(), &token.0, name.as_bytes()].concat()
}

impl fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolRequest")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The device is known, and this is all that it needs to work.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct EnrolAnswer {
    /// Its certificate, and those between it and the CA's: DER, its own first.
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CHAIN_MAX, _, _>"
    )]
    pub chain: Vec<Vec<u8>>,
    /// The CA's certificate: DER. Its SHA-256 must be the fingerprint of the code.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SIGNED_BYTES_MAX, _, _>"
    )]
    pub ca: Vec<u8>,
    /// The organisation.
    #[cbor(n(2), with = "codec::wire")]
    pub tenant: TenantId,
    /// The key of its derived ids.
    #[cbor(n(3), with = "codec::wire")]
    pub tenant_key: TenantKey,
    /// The key whose statements count, from now on.
    #[cbor(n(4), with = "codec::wire")]
    pub authority: PublicKey,
    /// The directory as it stands, the device's own statement in it.
    #[cbor(
        n(5),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LIST_ROWS_MAX, _, _>"
    )]
    pub statements: Vec<SignedStatement>,
    /// Where the device stands.
    #[cbor(n(6), with = "codec::wire", has_nil)]
    pub site: Option<SiteId>,
}

impl fmt::Debug for EnrolAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolAnswer")
            .field("tenant", &self.tenant)
            .field("authority", &self.authority)
            .field("site", &self.site)
            .field("statements", &self.statements.len())
            .finish_non_exhaustive()
    }
}

/// The authority's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EnrolReply {
    /// The device is known now.
    Enrolled(Box<EnrolAnswer>),
    /// It is not; an unknown, used and expired code are one reason.
    Refused(Reason),
}

/// [`EnrolReply`] as it is written: one of the two.
#[derive(Encode, Decode)]
struct Reply {
    #[cbor(n(0), with = "codec::wire", has_nil)]
    answer: Option<EnrolAnswer>,
    #[cbor(n(1), with = "codec::wire", has_nil)]
    refused: Option<Reason>,
}

impl EnrolReply {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&match self {
            EnrolReply::Enrolled(answer) => Reply {
                answer: Some(EnrolAnswer::clone(answer)),
                refused: None,
            },
            EnrolReply::Refused(reason) => Reply {
                answer: None,
                refused: Some(*reason),
            },
        })
    }

    /// The reply in `bytes`.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<EnrolReply, Reason> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        match codec::decode(bytes)? {
            Reply {
                answer: Some(answer),
                refused: None,
            } => Ok(EnrolReply::Enrolled(Box::new(answer))),
            Reply {
                answer: None,
                refused: Some(reason),
            } => Ok(EnrolReply::Refused(reason)),
            Reply { .. } => Err(Reason::Malformed),
        }
    }
}

codec::wire_struct!(EnrolAnswer);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        directory::Statement,
        testing::{TENANT, key, statement},
    };

    fn answer() -> EnrolAnswer {
        EnrolAnswer {
            chain: vec![vec![1, 2], vec![3]],
            ca: vec![4, 5],
            tenant: TENANT,
            tenant_key: TenantKey([6; 32]),
            authority: key(9).public(),
            statements: vec![statement(
                1,
                1,
                Statement::Organisation {
                    name: "R".to_owned(),
                },
            )],
            site: Some("bath".parse().unwrap()),
        }
    }

    #[test]
    fn a_request_proves_that_its_sender_holds_the_key() {
        let request = EnrolRequest::sign(&key(1), Token([7; 16]), "office laptop".to_owned());
        let request = EnrolRequest::decode(&request.encode()).unwrap();
        assert_eq!(request.verify(), Ok(()));
        let other_key = EnrolRequest {
            key: key(2).public(),
            ..request.clone()
        };
        let other_token = EnrolRequest {
            token: Token([8; 16]),
            ..request.clone()
        };
        let other_name = EnrolRequest {
            name: "laptop".to_owned(),
            ..request
        };
        for wrong in [other_key, other_token, other_name] {
            assert_eq!(wrong.verify(), Err(Reason::BadSignature));
        }
    }

    #[test]
    fn replies_read_back() {
        let enrolled = EnrolReply::Enrolled(Box::new(answer()));
        for reply in [enrolled, EnrolReply::Refused(Reason::NotFound)] {
            assert_eq!(EnrolReply::decode(&reply.encode()), Ok(reply));
        }
        let both = Reply {
            answer: Some(answer()),
            refused: Some(Reason::Busy),
        };
        let neither = Reply {
            answer: None,
            refused: None,
        };
        for wrong in [both, neither] {
            let bytes = codec::encode(&wrong);
            assert_eq!(EnrolReply::decode(&bytes), Err(Reason::Malformed));
        }
    }

    #[test]
    fn secrets_and_names_are_not_printed() {
        let request = EnrolRequest::sign(&key(1), Token([7; 16]), "Anna's phone".to_owned());
        let printed = format!("{request:?} {:?} {:?}", answer(), answer().tenant_key);
        for secret in ["Anna", "0707", "0606", "6, 6"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
