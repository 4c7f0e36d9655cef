//! The authority: who says who is who. In the service it lives at the centre; here it only signs,
//! and the centre's node is handed what it signed.

use std::collections::BTreeSet;

use names::{Incarnation, Moment, ScopeId, TenantId};
use protocol::{
    PublicKey, Rights, SignedStatement, Statement,
    directory::{Device, DeviceKind, Grant, Issue, Site, Worker},
    signed::DeviceKey,
};

use crate::{
    chance::Chance,
    people::Person,
    station::Organisation,
    swarm::{Joint, Plan},
};

/// All that one device does with documents of a scope.
const EVERYDAY: Rights = Rights::READ.with(Rights::WRITE).with(Rights::PLACE);

/// The authority's key, and all it has said.
pub struct Authority {
    key: DeviceKey,
    tenant: TenantId,
    tenant_key: [u8; 32],
    incarnation: Incarnation,
    said: Vec<SignedStatement>,
    centre: Option<SignedStatement>,
    /// What some edges are granted besides, against the plan.
    misgranted: Vec<(usize, ScopeId)>,
}

impl Authority {
    /// A new authority of a new organisation.
    pub fn new(chance: &mut Chance) -> Authority {
        Authority {
            key: DeviceKey::from_seed(&chance.bytes()),
            tenant: TenantId(chance.bytes()),
            tenant_key: chance.bytes(),
            incarnation: Incarnation(chance.bytes()),
            said: Vec::new(),
            centre: None,
            misgranted: Vec::new(),
        }
    }

    /// Will grant an edge a scope that it may not have by the plan: for a negative control.
    pub fn misgrant(&mut self, edge: usize, scope: ScopeId) {
        self.misgranted.push((edge, scope));
    }

    /// What every station knows.
    pub fn organisation(&self) -> Organisation {
        Organisation {
            tenant: self.tenant,
            tenant_key: self.tenant_key,
            authority: self.key.public(),
        }
    }

    /// Says something.
    pub fn say(&mut self, statement: Statement, now: Moment) -> SignedStatement {
        let number = self.said.len() as u64 + 1;
        // Of two statements the later counts, so no two are of one moment.
        let at = now.plus_ms(i64::try_from(number).unwrap_or(0));
        let issue = Issue {
            authority: self.incarnation,
            number,
            at,
            statement,
        };
        let signed = SignedStatement::sign(&self.key, &self.tenant, &issue)
            .expect("what the simulator says keeps every limit");
        self.said.push(signed.clone());
        signed
    }

    /// All that was said so far.
    pub fn said(&self) -> &[SignedStatement] {
        &self.said
    }

    /// Says what an organisation begins with: its name, sites, workers and the centre's device.
    pub fn found(&mut self, plan: &Plan, people: &[Person], centre: PublicKey, now: Moment) {
        self.say(
            Statement::Organisation {
                name: "Ridgeway Outreach".to_owned(),
            },
            now,
        );
        for site in &plan.sites {
            let name = site.id.to_string();
            self.say(
                Statement::Site(Site {
                    id: site.id.clone(),
                    name,
                }),
                now,
            );
        }
        for person in people {
            self.say(Statement::Worker(worker(plan, person)), now);
        }
        let device = Device {
            key: centre,
            kind: DeviceKind::Centre,
            name: "centre".to_owned(),
            grants: Vec::new(),
            site: None,
            worker: None,
        };
        self.centre = Some(self.say(Statement::Device(device), now));
    }

    /// The least that an edge is told when it enrols: who it is itself, and who the centre is.
    pub fn introduction(&self, own: SignedStatement) -> Vec<SignedStatement> {
        self.centre.iter().cloned().chain([own]).collect()
    }

    /// Says that an edge's device is known, and what it may do.
    pub fn enrol(
        &mut self,
        plan: &Plan,
        edge: usize,
        key: PublicKey,
        now: Moment,
    ) -> SignedStatement {
        let site = plan.edges.get(edge).map_or(0, |edge| edge.site);
        let mistaken = self.misgranted.iter().filter(|(whose, _)| *whose == edge);
        let mistaken = mistaken.map(|(_, scope)| Grant {
            scope: scope.clone(),
            rights: EVERYDAY,
        });
        let device = Device {
            key,
            kind: DeviceKind::Edge,
            name: format!("edge {edge}"),
            grants: grants(plan, site).into_iter().chain(mistaken).collect(),
            site: plan.sites.get(site).map(|site| site.id.clone()),
            worker: None,
        };
        self.say(Statement::Device(device), now)
    }
}

/// A worker's record.
pub fn worker(plan: &Plan, person: &Person) -> Worker {
    let site = plan.sites.get(person.site.unwrap_or(0));
    let roles = person
        .roles
        .iter()
        .filter_map(|role| role.as_str().parse().ok());
    Worker {
        id: person.worker.clone(),
        name: format!("Worker {}", person.worker),
        site: site
            .map(|site| site.id.clone())
            .expect("every plan has a site"),
        roles: roles.collect(),
    }
}

fn grants(plan: &Plan, site: usize) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    let mut seen: BTreeSet<ScopeId> = BTreeSet::new();
    let mut grant = |scope: Option<ScopeId>, rights| {
        if let Some(scope) = scope.filter(|scope| seen.insert(scope.clone())) {
            grants.push(Grant { scope, rights });
        }
    };
    grant(plan.scope(site), EVERYDAY);
    for joint in &plan.joints {
        match joint {
            Joint::Referral { from, to } if *from == site => grant(plan.scope(*to), Rights::PLACE),
            Joint::Compartment {
                owner,
                guest,
                scope,
            } if *owner == site || *guest == site => {
                grant(Some(scope.clone()), EVERYDAY);
            }
            Joint::Referral { .. } | Joint::Compartment { .. } => {}
        }
    }
    grants
}
