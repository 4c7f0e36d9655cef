//! One statement of the authority: what it says, how it is signed.

use std::{collections::BTreeSet, fmt};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};
use names::{
    Incarnation, InvalidName, Moment, Reason, ScopeId, SiteId, TenantId, WorkerId,
    limits::{SCOPES_MAX, SIGNED_BYTES_MAX},
};

use super::{
    ruling::{BranchRuling, Ruling},
    standing::{HandedIn, Purge, Revocation},
};
use crate::{
    bytes::byte_value,
    codec::{self, Wire},
    hash::{self, label},
    signed::{DeviceKey, PublicKey, Signature},
};

byte_value!(
    /// A statement: 16 bytes of a hash of its payload.
    StatementId, 16
);

/// Roles that one worker may have.
const ROLES_MAX: usize = 32;

/// What a worker is, as a code; `domain` alone says what it means. Written like a worker's id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role(String);

impl Role {
    /// The role as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Role {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.parse::<WorkerId>() {
            Ok(_) => Ok(Role(text.to_owned())),
            Err(InvalidName { form, .. }) => Err(InvalidName {
                expected: "role",
                form,
            }),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Role({self})")
    }
}

impl Wire for Role {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.str(&self.0)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder
            .str()?
            .parse()
            .map_err(|_| ReadError::message("not a valid code"))
    }
}

/// What a device may do in a scope: a set. A right of a newer version is kept without effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rights(u16);

impl Rights {
    /// Nothing.
    pub const NONE: Rights = Rights(0);
    /// To receive its documents.
    pub const READ: Rights = Rights(1);
    /// To write in its documents.
    pub const WRITE: Rights = Rights(2);
    /// To create documents in it, and to move them out of it.
    pub const PLACE: Rights = Rights(4);
    /// To look at what needs a second person.
    pub const REVIEW: Rights = Rights(8);
    /// Everything.
    pub const ALL: Rights = Rights(u16::MAX);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// Whether all of `other` is among these.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({:#06b})", self.0)
    }
}

impl Wire for Rights {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        encoder.u16(self.0)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        decoder.u16().map(Rights)
    }
}

/// A right given to a device.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Grant {
    /// Where.
    #[cbor(n(0), with = "codec::wire")]
    pub scope: ScopeId,
    /// What.
    #[cbor(n(1), with = "codec::wire")]
    pub rights: Rights,
}

/// What kind of node a device is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DeviceKind {
    /// The centre: every scope is its own, with every right.
    Centre,
    /// A site's edge.
    Edge,
    /// A worker's phone.
    Phone,
    /// Something a newer version knows; it may do what it was granted.
    Other(u16),
}

impl Wire for DeviceKind {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        let code = match self {
            DeviceKind::Centre => 1,
            DeviceKind::Edge => 2,
            DeviceKind::Phone => 3,
            DeviceKind::Other(code) => *code,
        };
        encoder.u16(code)?.ok()
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        Ok(match decoder.u16()? {
            1 => DeviceKind::Centre,
            2 => DeviceKind::Edge,
            3 => DeviceKind::Phone,
            code => DeviceKind::Other(code),
        })
    }
}

/// A site.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Site {
    /// Its id.
    #[cbor(n(0), with = "codec::wire")]
    pub id: SiteId,
    /// Its name.
    #[cbor(n(1), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub name: String,
}

/// A worker.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Worker {
    /// The worker's code: a pseudonym.
    #[cbor(n(0), with = "codec::wire")]
    pub id: WorkerId,
    /// The worker's name.
    #[cbor(n(1), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub name: String,
    /// Where the worker belongs.
    #[cbor(n(2), with = "codec::wire")]
    pub site: SiteId,
    /// What the worker is.
    #[cbor(
        n(3),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<ROLES_MAX, _, _>"
    )]
    pub roles: BTreeSet<Role>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("id", &self.id)
            .field("site", &self.site)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// A device that may connect and sign.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Device {
    /// Its key, which makes its id.
    #[cbor(n(0), with = "codec::wire")]
    pub key: PublicKey,
    /// What it is.
    #[cbor(n(1), with = "codec::wire")]
    pub kind: DeviceKind,
    /// What people call it.
    #[cbor(n(2), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    pub name: String,
    /// What it may do where; the centre needs none.
    #[cbor(
        n(3),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SCOPES_MAX, _, _>"
    )]
    pub grants: Vec<Grant>,
    /// Where it stands; the centre stands nowhere.
    #[cbor(n(4), with = "codec::wire", has_nil)]
    pub site: Option<SiteId>,
    /// Whose phone it is.
    #[cbor(n(5), with = "codec::wire", has_nil)]
    pub worker: Option<WorkerId>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("grants", &self.grants)
            .field("site", &self.site)
            .field("worker", &self.worker)
            .finish_non_exhaustive()
    }
}

codec::wire_struct!(Grant, Site, Worker, Device, SignedStatement);

/// What the authority says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// What the organisation is called.
    Organisation {
        /// Its name.
        name: String,
    },
    /// There is this site, with this name.
    Site(Site),
    /// There is this worker, at this site, with these roles.
    Worker(Worker),
    /// The worker works here no more; nothing takes this back.
    WorkerDisabled {
        /// Who.
        worker: WorkerId,
    },
    /// There is this device, which may do this.
    Device(Device),
    /// The device may do nothing any more; nothing takes this back.
    DeviceRevoked(Revocation),
    /// A revoked device has said, by its signature, that its keys are destroyed.
    DevicePurged(Purge),
    /// This came from a device after it was revoked, and a person has let it in.
    HandedIn(HandedIn),
    /// Of placements made at the same time this one stands.
    Ruling(Ruling),
    /// Of changes that two copies made as one author this one stands.
    Branch(BranchRuling),
    /// Something that this version cannot read; kept and passed on, without effect.
    Unknown,
}

#[derive(Encode, Decode)]
struct Named {
    #[cbor(n(0), encode_with = "codec::wire::encode", decode_with = "codec::line")]
    name: String,
}

#[derive(Encode, Decode)]
struct Disabled {
    #[cbor(n(0), with = "codec::wire")]
    worker: WorkerId,
}

impl Statement {
    /// Its number on the wire, which never changes its meaning, and its body.
    fn to_parts(&self) -> (u16, Vec<u8>) {
        match self {
            Statement::Unknown => (0, Vec::new()),
            Statement::Organisation { name } => (1, codec::encode(&Named { name: name.clone() })),
            Statement::Site(site) => (2, codec::encode(site)),
            Statement::Worker(worker) => (3, codec::encode(worker)),
            Statement::WorkerDisabled { worker } => (
                4,
                codec::encode(&Disabled {
                    worker: worker.clone(),
                }),
            ),
            Statement::Device(device) => (5, codec::encode(device)),
            Statement::DeviceRevoked(revocation) => (10, codec::encode(revocation)),
            Statement::DevicePurged(purge) => (11, codec::encode(purge)),
            Statement::HandedIn(handed_in) => (12, codec::encode(handed_in)),
            Statement::Ruling(ruling) => (16, codec::encode(ruling)),
            Statement::Branch(ruling) => (17, codec::encode(ruling)),
        }
    }

    fn from_parts(number: u16, body: &[u8]) -> Statement {
        let read = match number {
            1 => codec::decode(body).map(|Named { name }| Statement::Organisation { name }),
            2 => codec::decode(body).map(Statement::Site),
            3 => codec::decode(body).map(Statement::Worker),
            4 => {
                codec::decode(body).map(|Disabled { worker }| Statement::WorkerDisabled { worker })
            }
            5 => codec::decode(body).map(Statement::Device),
            10 => codec::decode(body).map(Statement::DeviceRevoked),
            11 => codec::decode(body).map(Statement::DevicePurged),
            12 => codec::decode(body).map(Statement::HandedIn),
            16 => codec::decode(body).map(Statement::Ruling),
            17 => codec::decode(body).map(Statement::Branch),
            _ => Ok(Statement::Unknown),
        };
        read.unwrap_or(Statement::Unknown)
    }
}

/// A statement and when it was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    /// The life of the authority that made it; a restored centre is a new one.
    pub authority: Incarnation,
    /// Its number in that life, from 1.
    pub number: u64,
    /// When, by the authority's clock; later statements about a thing stand over earlier ones.
    pub at: Moment,
    /// What it says.
    pub statement: Statement,
}

/// [`Issue`] as it is written.
#[derive(Encode, Decode)]
struct Payload {
    #[cbor(n(0), with = "codec::wire")]
    authority: Incarnation,
    #[n(1)]
    number: u64,
    #[cbor(n(2), with = "codec::wire")]
    at: Moment,
    #[n(3)]
    what: u16,
    #[cbor(n(4), with = "codec::wire")]
    body: Vec<u8>,
}

/// A statement with its signature, as it travels and as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedStatement {
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

impl SignedStatement {
    /// Signs a statement with the authority's key.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] when it would be larger than any node takes, [`Reason::Malformed`]
    /// when it would not read back as what it says (a name too long, too many grants).
    pub fn sign(key: &DeviceKey, tenant: &TenantId, issue: &Issue) -> Result<Self, Reason> {
        let (what, body) = issue.statement.to_parts();
        let Issue {
            authority,
            number,
            at,
            ..
        } = *issue;
        if issue.statement == Statement::Unknown
            || Statement::from_parts(what, &body) != issue.statement
        {
            return Err(Reason::Malformed);
        }
        let payload = codec::encode(&Payload {
            authority,
            number,
            at,
            what,
            body,
        });
        if payload.len() > SIGNED_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        let message = hash::message(label::STATEMENT, tenant, &[], &payload);
        Ok(SignedStatement {
            signature: key.sign(&message),
            payload,
        })
    }

    /// Its id.
    pub fn id(&self) -> StatementId {
        StatementId(hash::hash16(label::STATEMENT, &[&self.payload]))
    }

    /// What it says, unproven: for what was admitted before.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn claim(&self) -> Result<Issue, Reason> {
        if self.payload.len() > SIGNED_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        let Payload {
            authority,
            number,
            at,
            what,
            body,
        } = codec::decode(&self.payload)?;
        Ok(Issue {
            authority,
            number,
            at,
            statement: Statement::from_parts(what, &body),
        })
    }

    /// What it says, proven: the authority signed it for this tenant.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], [`Reason::BadSignature`] or [`Reason::Malformed`].
    pub fn verify(&self, tenant: &TenantId, authority: &PublicKey) -> Result<Issue, Reason> {
        if self.payload.len() > SIGNED_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        let message = hash::message(label::STATEMENT, tenant, &[], &self.payload);
        authority.verify(&message, &self.signature)?;
        self.claim()
    }
}

impl fmt::Debug for SignedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedStatement({})", self.id())
    }
}
