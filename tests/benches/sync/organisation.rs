//! An organisation with a centre, sites and edges, as enrolment leaves them.

use std::collections::BTreeSet;

use harness::chance::Chance;
use names::{DeviceId, Incarnation, Moment, Reason, ScopeId, SiteId, TenantId};
use protocol::{
    DeviceKey, PublicKey, Rights, SignedStatement, Statement,
    directory::{Device, DeviceKind, Grant, HandedInLine, Issue, Role, Site, Worker},
    enrol::{EnrolAnswer, TenantKey},
};
use runtime::{CentreKeys, CertificateAuthority, Material, Redeem, backup::RecoveryKey, shell};
use store::StoreKey;

use crate::{
    failure::{Outcome, failed},
    set::{WORKERS, worker},
};

/// Where most is written.
const SITE: &str = "devizes";

/// What there is in an organisation besides its centre.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// Edges of the first site.
    pub(crate) edges: u64,
    /// Further sites, with one edge each.
    pub(crate) more_sites: u64,
    /// Compartments of the first site, which its edges may read and write as well.
    pub(crate) compartments: u64,
}

impl Shape {
    /// One site with one edge and one scope.
    pub(crate) const ONE_EDGE: Shape = Shape {
        edges: 1,
        more_sites: 0,
        compartments: 0,
    };
    /// The same with a second edge. What was made in the one opens in the other.
    pub(crate) const TWO_EDGES: Shape = Shape {
        edges: 2,
        ..Shape::ONE_EDGE
    };
}

/// An edge: its key, its site, and the scopes that it may read and write.
struct Edge {
    key: DeviceKey,
    site: SiteId,
    scopes: BTreeSet<ScopeId>,
}

/// The organisation's keys and what its authority has said.
pub(crate) struct Organisation {
    tenant: TenantId,
    tenant_key: [u8; 32],
    authority: DeviceKey,
    ca_key: DeviceKey,
    ca: CertificateAuthority,
    centre: DeviceKey,
    edges: Vec<Edge>,
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

/// A site by number.
pub(crate) fn site(number: u64) -> SiteId {
    let name = match number {
        0 => SITE.to_owned(),
        more => format!("site-{more}"),
    };
    name.parse().expect("a code")
}

/// The first site's scope.
pub(crate) fn scope() -> ScopeId {
    ScopeId::Site(site(0))
}

impl Organisation {
    /// A new organisation. The keys are drawn from the seed, the certificates begin today.
    ///
    /// # Errors
    /// When certificates or statements cannot be made.
    pub(crate) fn found(chance: &mut Chance, shape: Shape) -> Outcome<Organisation> {
        let mut key = || DeviceKey::from_seed(&chance.bytes());
        let (authority, ca_key, centre) = (key(), key(), key());
        let (tenant, tenant_key, store) = (chance.bytes(), chance.bytes(), chance.bytes());
        // Last, so that a store that was made in a smaller organisation opens in a larger one.
        let mut key = || DeviceKey::from_seed(&chance.bytes());
        let keys: Vec<DeviceKey> = (0..shape.edges + shape.more_sites).map(|_| key()).collect();
        let ca = CertificateAuthority::create(&ca_key, shell::now());
        let mut made = Organisation {
            tenant: TenantId(tenant),
            tenant_key,
            authority,
            ca_key,
            ca: ca.map_err(failed("the certificate authority"))?,
            centre,
            edges: Vec::new(),
            store,
            said: Vec::new(),
        };
        made.say_site(0)?;
        for number in 0..WORKERS {
            let senior: Role = "senior".parse().map_err(failed("a role"))?;
            made.say(Statement::Worker(Worker {
                id: worker(number),
                name: format!("Worker {number}"),
                site: site(0),
                roles: [senior].into_iter().collect(),
            }))?;
        }
        made.say(device(
            made.centre.public(),
            DeviceKind::Centre,
            None,
            &BTreeSet::new(),
        ))?;
        for (number, key) in (0..).zip(keys) {
            let place_number = u64::saturating_sub(number + 1, shape.edges);
            let place = site(place_number);
            if place_number > 0 {
                made.say_site(place_number)?;
            }
            let mut scopes = BTreeSet::from([ScopeId::Site(place.clone())]);
            for number in 0..shape.compartments * u64::from(place == site(0)) {
                let scope = format!("site:{place}/compartment-{number}").parse();
                scopes.insert(scope.map_err(failed("a compartment"))?);
            }
            let (public, at) = (key.public(), Some(place.clone()));
            made.say(device(public, DeviceKind::Edge, at, &scopes))?;
            let site = place;
            made.edges.push(Edge { key, site, scopes });
        }
        Ok(made)
    }

    fn say_site(&mut self, number: u64) -> Outcome<()> {
        let (id, name) = (site(number), format!("Site {number}"));
        self.say(Statement::Site(Site { id, name }))
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

    /// The key to what is backed up.
    pub(crate) fn recovery(&self) -> RecoveryKey {
        RecoveryKey::draw(self.tenant, self.authority.public())
    }

    /// The key of every store.
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

    /// What an edge is made of.
    ///
    /// # Errors
    /// When there is no such edge, or its certificate cannot be made.
    pub(crate) fn edge(&self, number: usize) -> Outcome<Material> {
        let edge = self.edges.get(number).ok_or("there is no such edge")?;
        self.enrolled(&edge.key, Some(edge.site.clone()))
    }

    /// The scopes that an edge may read and write.
    pub(crate) fn scopes(&self, number: usize) -> BTreeSet<ScopeId> {
        let edge = self.edges.get(number);
        edge.map(|edge| edge.scopes.clone()).unwrap_or_default()
    }

    /// The scopes of all edges.
    pub(crate) fn all_scopes(&self) -> BTreeSet<ScopeId> {
        let all = self.edges.iter().flat_map(|edge| &edge.scopes);
        all.cloned().collect()
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

fn device(
    key: PublicKey,
    kind: DeviceKind,
    site: Option<SiteId>,
    scopes: &BTreeSet<ScopeId>,
) -> Statement {
    let rights = Rights::READ.with(Rights::WRITE).with(Rights::PLACE);
    let grants = scopes.iter().cloned().map(|scope| Grant { scope, rights });
    Statement::Device(Device {
        key,
        kind,
        name: "a device".to_owned(),
        grants: grants.collect(),
        site,
        worker: None,
    })
}
