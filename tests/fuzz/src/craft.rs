//! Things made by hand, as a device with a key of its own could send them: signed over bytes that
//! nobody has checked, with checksums that are right.
//!
//! Signatures are made here from the written form alone, and not by the crates that are tried: those
//! sign only what they would take.

use std::sync::{Arc, OnceLock};

use document::packed;
use ed25519_dalek::{Signer as _, SigningKey};
use names::{
    ActorId, ChangeHash, DocumentId, Incarnation, Moment, Nonce, ScopeId, TenantId, WorkerId,
};
use node::{Identity, Verifier};
use protocol::{
    DeviceKey, Directory, Rights, SignedPlacement, SignedStatement, Statement,
    directory::{BranchName, BranchRuling, Device, DeviceKind, Grant, Issue, Ruling, Site, Worker},
    signed::{Head, Signature, SignedHead},
};
use sha2::{Digest as _, Sha256};

/// The organisation of everything here.
pub const TENANT: TenantId = TenantId([7; 16]);
/// The key of its derived ids.
pub const TENANT_KEY: [u8; 32] = [3; 32];
/// Whose key the authority's is.
pub const AUTHORITY: u8 = 200;
/// Whose device the centre's is.
pub const CENTRE: u8 = 0;
/// Edges that the directory knows; whoever has a higher number is a stranger.
pub const EDGES: u8 = 3;
/// The site of all of them.
pub const SITE: &str = "bath";

/// The key of a party's device.
pub fn key(number: u8) -> DeviceKey {
    DeviceKey::from_seed(&[number; 32])
}

/// The scope of [`SITE`].
pub fn scope() -> ScopeId {
    ScopeId::Site(SITE.parse().expect("the site's name is one"))
}

/// For whom everything here is written.
pub fn worker() -> WorkerId {
    "w-1".parse().expect("a worker's name")
}

/// Who the party of this number is.
pub fn identity(number: u8) -> Identity {
    Identity {
        tenant: TENANT,
        tenant_key: TENANT_KEY,
        authority: key(AUTHORITY).public(),
        device: key(number),
    }
}

/// What the authority has said: a directory of one site, its centre and its edges, and a ruling.
pub fn statements() -> &'static [SignedStatement] {
    static STATEMENTS: OnceLock<Vec<SignedStatement>> = OnceLock::new();
    STATEMENTS.get_or_init(state)
}

fn state() -> Vec<SignedStatement> {
    let site = Site {
        id: SITE.parse().expect("the site's name is one"),
        name: "Bath".to_owned(),
    };
    let person = Worker {
        id: worker(),
        name: "Anna Example".to_owned(),
        site: site.id.clone(),
        roles: ["coordinator".parse().expect("a role")].into(),
    };
    let name = "Ridgeway".to_owned();
    let mut said = vec![
        Statement::Organisation { name },
        Statement::Site(site),
        Statement::Worker(person),
        device(CENTRE, DeviceKind::Centre),
        Statement::Ruling(Ruling {
            document: DocumentId([4; 16]),
            previous: None,
            stands: protocol::PlacementId([5; 16]),
        }),
        Statement::Branch(BranchRuling {
            document: DocumentId([4; 16]),
            actor: ActorId([6; 16]),
            seq: 7,
            stands: BranchName([8; 16]),
        }),
    ];
    said.extend((1..=EDGES).map(|number| device(number, DeviceKind::Edge)));
    (1..)
        .zip(said)
        .map(|(number, said)| say(number, said))
        .collect()
}

/// What the authority says, as its statement of this number.
pub fn say(number: u64, statement: Statement) -> SignedStatement {
    let issue = Issue {
        authority: Incarnation([9; 16]),
        number,
        at: Moment(number.cast_signed()),
        statement,
    };
    SignedStatement::sign(&key(AUTHORITY), &TENANT, &issue).expect("a statement within limits")
}

fn device(number: u8, kind: DeviceKind) -> Statement {
    let grants = vec![Grant {
        scope: scope(),
        rights: Rights::ALL,
    }];
    Statement::Device(Device {
        key: key(number).public(),
        kind,
        name: format!("device {number}"),
        grants,
        site: None,
        worker: None,
    })
}

/// The directory of [`statements`].
pub fn directory() -> Arc<Directory> {
    static DIRECTORY: OnceLock<Arc<Directory>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let mut directory = Directory::new(TENANT, key(AUTHORITY).public());
        for said in statements() {
            directory.admit(said).expect("the authority said it");
        }
        Arc::new(directory)
    });
    Arc::clone(directory)
}

/// Whoever stands at the door of a node of this organisation.
pub fn verifier() -> Verifier {
    Verifier::new(&identity(CENTRE), directory())
}

/// Signs a message as it is, by a party's key.
fn sign(number: u8, parts: &[&[u8]]) -> Signature {
    let key = SigningKey::from_bytes(&[number; 32]);
    Signature(key.sign(&parts.concat()).to_bytes())
}

/// Any bytes, signed as a statement.
pub fn as_statement(signer: u8, payload: &[u8]) -> SignedStatement {
    let message = [b"ridgeway statement v1", &TENANT.0[..], payload];
    SignedStatement {
        payload: payload.to_vec(),
        signature: sign(signer, &message),
    }
}

/// Any bytes, signed as a placement.
pub fn as_placement(signer: u8, payload: &[u8]) -> SignedPlacement {
    let message = [b"ridgeway placement v1", &TENANT.0[..], payload];
    SignedPlacement {
        payload: payload.to_vec(),
        signature: sign(signer, &message),
    }
}

/// What a party drew when it opened its store.
pub fn nonce(number: u8) -> Nonce {
    Nonce([number; 16])
}

/// As whom a party writes into a document.
pub fn actor(number: u8, document: &DocumentId) -> ActorId {
    let key = key(number).public();
    protocol::signed::derive_actor(&TENANT, &key, document, &nonce(number), &worker())
}

/// What a party signs of its change.
pub fn head(number: u8, document: &DocumentId, seq: u64, hash: ChangeHash) -> SignedHead {
    let head = Head {
        device: key(number).device_id(),
        nonce: nonce(number),
        worker: worker(),
        seq,
        hash,
        directory_seen: Moment(1),
        floor: Moment(1),
    };
    SignedHead::sign(
        &key(number),
        &TENANT,
        document,
        &actor(number, document),
        &head,
    )
}

/// The body of a change in an envelope of its own, with the right length and checksum.
pub fn chunk(body: &[u8]) -> Vec<u8> {
    let hashed = [&[1], &uleb(body.len() as u64)[..], body].concat();
    let hash = Sha256::digest(&hashed);
    let check = hash.iter().take(4).copied().collect::<Vec<u8>>();
    [&[0x85, 0x6f, 0x4a, 0x83], &check[..], &hashed].concat()
}

/// What [`chunk`] was given.
pub fn body(chunk: &[u8]) -> Vec<u8> {
    let parts = packed::take_apart(chunk).expect("a change of ours");
    let deps = parts.deps.iter().flat_map(|dep| dep.0);
    let mut body = uleb(parts.deps.len() as u64);
    body.extend(deps);
    body.push(16);
    body.extend(parts.actor.0);
    body.extend(parts.rest);
    body
}

/// A number in as few bytes as it takes.
pub fn uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = value.to_le_bytes().first().map_or(0, |byte| byte & 0x7f);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
