//! An organisation for tests: its authority, what it has said, and devices made of it.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, OnceLock},
};

use node::{
    Request, Target,
    domain::{By, Command, ContactMode, Role, Text},
    names::{DeviceId, DocumentId, EntryId, Incarnation, Moment, Reason, ScopeId, TenantId},
    protocol::{
        DeviceKey, PublicKey, Rights, SignedStatement, Statement,
        directory::{Device, DeviceKind, Grant, HandedInLine, Issue, Purge, Revocation, Site},
        enrol::{EnrolAnswer, EnrolmentCode, TenantKey, Token},
    },
};

use crate::{CentreKeys, CertificateAuthority, Handle, Material, enrol::Redeem, hub::lock, shell};

/// An organisation with one site and a centre.
pub(crate) struct Organisation {
    tenant: TenantId,
    authority: DeviceKey,
    ca_key: DeviceKey,
    pub(crate) ca: CertificateAuthority,
    centre: DeviceKey,
    said: Mutex<Vec<SignedStatement>>,
    tokens: Mutex<BTreeSet<Token>>,
    seeds: Mutex<BTreeMap<DeviceId, [u8; 32]>>,
    /// The centre's node, once it runs: where an enrolment is said.
    pub(crate) handle: OnceLock<Handle>,
}

fn key() -> DeviceKey {
    DeviceKey::from_seed(&shell::entropy())
}

pub(crate) fn site_scope() -> ScopeId {
    "site:devizes".parse().unwrap()
}

impl Organisation {
    pub(crate) fn new() -> Organisation {
        let ca_key = key();
        let made = Organisation {
            tenant: TenantId(shell::entropy()),
            authority: key(),
            ca: CertificateAuthority::create(&ca_key, shell::now()).unwrap(),
            ca_key,
            centre: key(),
            said: Mutex::default(),
            tokens: Mutex::default(),
            seeds: Mutex::default(),
            handle: OnceLock::new(),
        };
        let (id, name) = ("devizes".parse().unwrap(), "Devizes".to_owned());
        made.say(Statement::Site(Site { id, name }));
        made.say(device(made.centre.public(), DeviceKind::Centre));
        made
    }

    fn say(&self, statement: Statement) -> SignedStatement {
        let mut said = lock(&self.said);
        let number = said.len() as u64 + 1;
        let at = Moment(i64::try_from(number).unwrap());
        let issue = Issue {
            authority: Incarnation([1; 16]),
            number,
            at,
            statement,
        };
        let signed = SignedStatement::sign(&self.authority, &self.tenant, &issue).unwrap();
        said.push(signed.clone());
        signed
    }

    fn answer(&self, key: &PublicKey) -> EnrolAnswer {
        EnrolAnswer {
            chain: vec![self.ca.issue_device(key, shell::now()).unwrap()],
            ca: self.ca.certificate().to_vec(),
            tenant: self.tenant,
            tenant_key: TenantKey([9; 32]),
            authority: self.authority.public(),
            statements: lock(&self.said).clone(),
            site: Some("devizes".parse().unwrap()),
        }
    }

    /// The centre, with all of its keys.
    pub(crate) fn centre(&self) -> Material {
        let device = DeviceKey::from_seed(&self.centre.seed());
        let mut material =
            Material::enrolled(device, self.answer(&self.centre.public()), Vec::new());
        let copy = |key: &DeviceKey| DeviceKey::from_seed(&key.seed());
        material.keys = Some(CentreKeys {
            ca: copy(&self.ca_key),
            authority: copy(&self.authority),
        });
        material
    }

    /// A device that [`Organisation::edge`] made, once more.
    pub(crate) fn known(&self, device: DeviceId) -> Material {
        let seeds = lock(&self.seeds);
        let own = DeviceKey::from_seed(seeds.get(&device).unwrap());
        let answer = self.answer(&own.public());
        Material::enrolled(own, answer, Vec::new())
    }

    /// An edge of the site that was enrolled already.
    pub(crate) fn edge(&self) -> Material {
        let own = key();
        lock(&self.seeds).insert(own.device_id(), *own.seed());
        self.say(device(own.public(), DeviceKind::Edge));
        let answer = self.answer(&own.public());
        Material::enrolled(own, answer, Vec::new())
    }

    /// A new one-time code.
    pub(crate) fn invite(&self, address: String) -> EnrolmentCode {
        let token = Token(shell::entropy());
        lock(&self.tokens).insert(token.clone());
        EnrolmentCode {
            addresses: vec![address],
            ca: self.ca.fingerprint(),
            token,
            expires: shell::now().plus_ms(60_000),
        }
    }
}

impl Redeem for Organisation {
    fn redeem(&self, token: [u8; 16], key: PublicKey, _: &str) -> Result<EnrolAnswer, Reason> {
        if !lock(&self.tokens).remove(&Token(token)) {
            return Err(Reason::NotAllowed);
        }
        let said = self.say(device(key, DeviceKind::Edge));
        if let Some(handle) = self.handle.get() {
            tokio::runtime::Handle::current().block_on(handle.state(said))?;
        }
        Ok(self.answer(&key))
    }

    fn renew(&self, key: PublicKey) -> Result<Vec<Vec<u8>>, Reason> {
        Ok(self.answer(&key).chain)
    }

    fn lacking(&self, lines: Vec<HandedInLine>) -> Result<Vec<HandedInLine>, Reason> {
        let handle = self.handle.get().ok_or(Reason::Busy)?;
        tokio::runtime::Handle::current().block_on(handle.beyond(lines))
    }

    fn review(&self, device: DeviceId, part: Vec<u8>) -> Result<(), Reason> {
        let Some(handle) = self.handle.get() else {
            return Err(Reason::Busy);
        };
        let errand = handle.errand(node::Errand::HandIn { device, part });
        tokio::runtime::Handle::current()
            .block_on(errand)
            .map(|_| ())
    }

    fn purged(&self, device: DeviceId) -> Result<(), Reason> {
        self.tell(Statement::DevicePurged(Purge { device }))
    }
}

impl Organisation {
    /// Says something, and has the centre keep it. On a thread that may block.
    fn tell(&self, statement: Statement) -> Result<(), Reason> {
        let said = self.say(statement);
        match self.handle.get() {
            Some(handle) => tokio::runtime::Handle::current().block_on(handle.state(said)),
            None => Ok(()),
        }
    }

    /// Tells the running centre of every device that was made, as an enrolment would.
    pub(crate) async fn tell_all(&self) {
        let said = lock(&self.said).clone();
        for statement in said {
            self.handle.get().unwrap().state(statement).await.unwrap();
        }
    }

    /// Revokes a device.
    pub(crate) async fn revoke(&self, device: DeviceId, lost: bool) {
        let revocation = Revocation {
            device,
            lost,
            held: None,
        };
        self.tell_all().await;
        let said = self.say(Statement::DeviceRevoked(revocation));
        self.handle.get().unwrap().state(said).await.unwrap();
    }
}

fn device(key: PublicKey, kind: DeviceKind) -> Statement {
    let rights = Rights::READ.with(Rights::WRITE).with(Rights::PLACE);
    let grants = match kind {
        DeviceKind::Edge => vec![Grant {
            scope: site_scope(),
            rights,
        }],
        DeviceKind::Centre | DeviceKind::Phone | DeviceKind::Other(_) => Vec::new(),
    };
    let site = (kind == DeviceKind::Edge).then(|| "devizes".parse().unwrap());
    Statement::Device(Device {
        key,
        kind,
        name: "a device".to_owned(),
        grants,
        site,
        worker: None,
    })
}

fn by() -> By {
    By {
        worker: "w-1".parse().unwrap(),
        site: "devizes".parse().unwrap(),
        roles: vec![Role::Senior],
    }
}

pub(crate) fn open_case() -> Request {
    Request {
        target: Target::New(vec![site_scope()]),
        entry: EntryId(shell::entropy()),
        by: by(),
        command: Command::OpenCase {
            opened: "2026-11-22".parse().unwrap(),
            source: Text::from("a letter"),
        },
    }
}

pub(crate) fn add_note(document: DocumentId, text: &str) -> Request {
    Request {
        target: Target::Document(document),
        entry: EntryId(shell::entropy()),
        by: by(),
        command: Command::AddNote {
            happened: "2026-11-22".parse().unwrap(),
            mode: *ContactMode::ALL.first().unwrap(),
            minutes: 5,
            text: Text::from(text),
        },
    }
}
