//! An organisation with a centre and one site with one edge, as enrolment leaves them.

use harness::chance::Chance;
use names::{DeviceId, Incarnation, Moment, Reason, ScopeId, SiteId, TenantId};
use protocol::{
    DeviceKey, PublicKey, Rights, SignedStatement, Statement,
    directory::{Device, DeviceKind, Grant, HandedInLine, Issue, Role, Site, Worker},
    enrol::{EnrolAnswer, TenantKey},
};
use runtime::{CentreKeys, CertificateAuthority, Material, Redeem, shell};
use store::StoreKey;

use crate::{
    failure::{Outcome, failed},
    set::{WORKERS, worker},
};

/// Where everything is written.
const SITE: &str = "devizes";

/// The organisation's keys and what its authority has said.
pub(crate) struct Organisation {
    tenant: TenantId,
    tenant_key: [u8; 32],
    authority: DeviceKey,
    ca_key: DeviceKey,
    ca: CertificateAuthority,
    centre: DeviceKey,
    edge: DeviceKey,
    store: [u8; 32],
    said: Vec<SignedStatement>,
}

/// Nobody enrols during a bench.
pub(crate) struct Nobody;

impl Redeem for Nobody {
    fn redeem(&self, _: [u8; 16], _: PublicKey, _: &str) -> Result<EnrolAnswer, Reason> {
        Err(Reason::NotAllowed)
    }

    fn renew(&self, _: PublicKey) -> Result<Vec<Vec<u8>>, Reason> {
        Err(Reason::NotAllowed)
    }

    fn lacking(&self, _: Vec<HandedInLine>) -> Result<Vec<HandedInLine>, Reason> {
        Err(Reason::NotAllowed)
    }

    fn review(&self, _: DeviceId, _: Vec<u8>) -> Result<(), Reason> {
        Err(Reason::NotAllowed)
    }

    fn purged(&self, _: DeviceId) -> Result<(), Reason> {
        Err(Reason::NotAllowed)
    }
}

/// The site.
pub(crate) fn site() -> SiteId {
    SITE.parse().expect("a code")
}

/// Its scope.
pub(crate) fn scope() -> ScopeId {
    ScopeId::Site(site())
}

impl Organisation {
    /// A new organisation. The keys are drawn from the seed, the certificates begin today.
    ///
    /// # Errors
    /// When certificates or statements cannot be made.
    pub(crate) fn found(chance: &mut Chance) -> Outcome<Organisation> {
        let mut key = || DeviceKey::from_seed(&chance.bytes());
        let (authority, ca_key, centre, edge) = (key(), key(), key(), key());
        let ca = CertificateAuthority::create(&ca_key, shell::now());
        let mut made = Organisation {
            tenant: TenantId(chance.bytes()),
            tenant_key: chance.bytes(),
            authority,
            ca_key,
            ca: ca.map_err(failed("the certificate authority"))?,
            centre,
            edge,
            store: chance.bytes(),
            said: Vec::new(),
        };
        let (id, name) = (site(), "Devizes".to_owned());
        made.say(Statement::Site(Site { id, name }))?;
        for number in 0..WORKERS {
            let senior: Role = "senior".parse().map_err(failed("a role"))?;
            made.say(Statement::Worker(Worker {
                id: worker(number),
                name: format!("Worker {number}"),
                site: site(),
                roles: [senior].into_iter().collect(),
            }))?;
        }
        made.say(device(made.centre.public(), DeviceKind::Centre))?;
        made.say(device(made.edge.public(), DeviceKind::Edge))?;
        Ok(made)
    }

    fn say(&mut self, statement: Statement) -> Outcome<()> {
        let number = self.said.len() as u64 + 1;
        let issue = Issue {
            authority: Incarnation([1; 16]),
            number,
            at: Moment(i64::try_from(number).map_err(failed("a number"))?),
            statement,
        };
        let signed = SignedStatement::sign(&self.authority, &self.tenant, &issue);
        self.said.push(signed.map_err(failed("a statement"))?);
        Ok(())
    }

    /// The key of both stores.
    pub(crate) fn store_key(&self) -> StoreKey {
        StoreKey::from_bytes(self.store)
    }

    /// What the centre is made of.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub(crate) fn centre(&self) -> Outcome<Material> {
        let mut material = self.enrolled(&self.centre, None)?;
        material.keys = Some(CentreKeys {
            ca: copy(&self.ca_key),
            authority: copy(&self.authority),
        });
        Ok(material)
    }

    /// What the edge is made of.
    ///
    /// # Errors
    /// When its certificate cannot be made.
    pub(crate) fn edge(&self) -> Outcome<Material> {
        self.enrolled(&self.edge, Some(site()))
    }

    fn enrolled(&self, key: &DeviceKey, site: Option<SiteId>) -> Outcome<Material> {
        let chain = self.ca.issue_device(&key.public(), shell::now());
        let answer = EnrolAnswer {
            chain: vec![chain.map_err(failed("a certificate"))?],
            ca: self.ca.certificate().to_vec(),
            tenant: self.tenant,
            tenant_key: TenantKey(self.tenant_key),
            authority: self.authority.public(),
            statements: self.said.clone(),
            site,
        };
        Ok(Material::enrolled(copy(key), answer, Vec::new()))
    }
}

fn copy(key: &DeviceKey) -> DeviceKey {
    DeviceKey::from_seed(&key.seed())
}

fn device(key: PublicKey, kind: DeviceKind) -> Statement {
    let is_edge = kind == DeviceKind::Edge;
    let rights = Rights::READ.with(Rights::WRITE).with(Rights::PLACE);
    let grant = Grant {
        scope: scope(),
        rights,
    };
    Statement::Device(Device {
        key,
        kind,
        name: "a device".to_owned(),
        grants: is_edge.then_some(grant).into_iter().collect(),
        site: is_edge.then(site),
        worker: None,
    })
}
