//! What a seed draws before anything happens: who there is, over which links, on which disks, and
//! what will go wrong.

use names::{ScopeId, SiteId};

use crate::{
    chance::Chance,
    faults::{
        FaultKind, FaultPlan, RevocationPlan, draw_clone, draw_faults, draw_restored_edge,
        draw_revocation,
    },
    network::Quality,
};

/// The sites of the service, and the venues of each.
const SITES: [(&str, &[&str]); 5] = [
    ("devizes", &["corn-exchange", "almshouse"]),
    ("swindon", &["broadgreen", "pinetrees"]),
    ("salisbury", &["friary", "bemerton"]),
    ("bath", &["twerton", "lansdown"]),
    ("kent", &["dartford", "gravesham", "swanley", "medway"]),
];

/// In how many of a hundred plans a device is revoked: one in three.
const REVOKED_PERCENT: u64 = 33;

/// A site.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// Its id.
    pub id: SiteId,
    /// Its venues.
    pub venues: &'static [&'static str],
    /// Sessions that will be held there: a place in `venues`, a day from the first, an hour.
    pub sessions: Vec<(usize, i64, u16)>,
}

/// A site edge.
#[derive(Clone, Debug)]
pub struct EdgePlan {
    /// Its site's place in [`Plan::sites`].
    pub site: usize,
    /// Its path to the centre.
    pub quality: Quality,
    /// It is enrolled only after this many acts of people.
    pub enrolled_after_act: u64,
    /// It is no edge of its own: its disk will be a copy of this other one's.
    pub copy_of: Option<usize>,
}

/// How two sites share cases.
#[derive(Clone, Debug)]
pub enum Joint {
    /// Devices of the first site may place documents in the second's scope, without reading it.
    Referral {
        /// The site that refers.
        from: usize,
        /// The site that is referred to.
        to: usize,
    },
    /// Devices of both sites read and write a compartment of the first.
    Compartment {
        /// The site whose compartment it is.
        owner: usize,
        /// The other.
        guest: usize,
        /// The compartment.
        scope: ScopeId,
    },
}

/// A station, which is a node with its machine: the centre is number 0, edge `n` is `n` + 1.
pub const CENTRE: usize = 0;

/// All that a seed draws before anything happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The sites.
    pub sites: Vec<SitePlan>,
    /// The edges, at least one for each site.
    pub edges: Vec<EdgePlan>,
    /// How some sites share cases.
    pub joints: Vec<Joint>,
    /// How many acts people do.
    pub acts: u64,
    /// The mean time between two acts, in milliseconds.
    pub pace_ms: u64,
    /// Documents a site begins before people rather go on with those that there are.
    pub documents_per_site: usize,
    /// How often in a hundred a person sends again what was saved.
    pub resends_percent: u64,
    /// How often in a hundred a text is as long as texts get.
    pub long_texts_percent: u64,
    /// How often in a hundred a person uses the site's other edge.
    pub wanders_percent: u64,
    /// How often in a hundred a person transfers a case instead of writing in one, and after how
    /// many acts somebody does so for the first time at the latest.
    pub transfers_percent: u64,
    /// See `transfers_percent`.
    pub transfer_after_act: u64,
    /// The time a commit takes, in milliseconds: from and to, per station.
    pub commit_ms: Vec<(u64, u64)>,
    /// How wrong each station's clock is, in milliseconds.
    pub skew_ms: Vec<i64>,
    /// What goes wrong, in the order in which it does.
    pub faults: Vec<FaultPlan>,
    /// How a device is revoked, if that is one of these faults.
    pub revocation: RevocationPlan,
}

impl Plan {
    /// Draws the plan of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut chance = Chance::new(seed, "plan");
        let sites: Vec<SitePlan> = SITES
            .iter()
            .map(|site| draw_site(&mut chance, *site))
            .collect();
        let acts = chance.between(100, 150);
        let edges = draw_edges(&mut chance, sites.len(), acts);
        let stations = edges.len() + 1;
        let joints = draw_joints(&mut chance, &sites);
        let commit_ms = (0..stations).map(|_| {
            let slow = chance.percent(20);
            if slow { (30, 400) } else { (1, 8) }
        });
        let mut commit_ms: Vec<(u64, u64)> = commit_ms.collect();
        let skewed = chance.percent(50);
        let mut skew_ms: Vec<i64> = (0..stations)
            .map(|_| draw_skew(&mut chance, skewed))
            .collect();
        let pace_ms = chance.span_ms(200, 120_000).unsigned_abs();
        let documents_per_site = chance.index(6) + 3;
        let resends_percent = chance.below(20);
        let wanders_percent = chance.below(50);
        let long_texts_percent = if chance.percent(15) {
            chance.between(5, 25)
        } else {
            0
        };
        let mut chance = Chance::new(seed, "transfers");
        let transfers_percent = chance.between(2, 12);
        let transfer_after_act = chance.between(acts / 10, acts / 2);
        let mut chance = Chance::new(seed, "faults");
        let mut faults = draw_faults(&mut chance, edges.len(), acts, pace_ms);
        let mut chance = Chance::new(seed, "older copies");
        let restored = draw_restored_edge(&mut chance, edges.len(), acts, pace_ms);
        let is_restored = |fault: &FaultPlan| fault.kind == FaultKind::Restore;
        if chance.percent(40) || !faults.iter().any(is_restored) {
            faults.push(restored);
        }
        let mut chance = Chance::new(seed, "clones");
        let of_their_own = edges.len();
        let mut edges = edges;
        if chance.percent(40) {
            let (copy, fault) = draw_clone(&mut chance, &edges, acts);
            edges.push(copy);
            faults.push(fault);
            commit_ms.push((1, 8));
            skew_ms.push(draw_skew(&mut chance, skewed));
        }
        let mut chance = Chance::new(seed, "revocations");
        let is_revoked = chance.percent(REVOKED_PERCENT);
        let (revocation, fault) = draw_revocation(&mut chance, of_their_own, acts, pace_ms);
        faults.extend(is_revoked.then_some(fault));
        Plan {
            sites,
            edges,
            joints,
            acts,
            pace_ms,
            documents_per_site,
            resends_percent,
            long_texts_percent,
            wanders_percent,
            transfers_percent,
            transfer_after_act,
            commit_ms,
            skew_ms,
            faults,
            revocation,
        }
    }

    /// The same plan without faults, and with everybody there from the beginning.
    #[must_use]
    pub fn without_faults(mut self) -> Plan {
        self.faults.clear();
        self.edges.retain(|edge| edge.copy_of.is_none());
        self.edges
            .iter_mut()
            .for_each(|edge| edge.enrolled_after_act = 0);
        self
    }

    /// The same plan, in which nothing goes wrong but that a device is revoked, if it is in this one.
    #[must_use]
    pub fn with_its_revocation_alone(self) -> Plan {
        let revoked = |fault: &FaultPlan| fault.kind == FaultKind::Revoke;
        let faults = self.faults.iter().filter(|fault| revoked(fault));
        let faults = faults.cloned().collect();
        Plan {
            faults,
            ..self.without_faults()
        }
    }

    /// The same plan, in which every document stays where it was begun.
    #[must_use]
    pub fn without_transfers(mut self) -> Plan {
        self.transfers_percent = 0;
        self.transfer_after_act = u64::MAX;
        self
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.edges.len() + 1
    }

    /// The stations at which a site's people work.
    pub fn stations_of(&self, site: usize) -> Vec<usize> {
        let edges = self
            .edges
            .iter()
            .enumerate()
            .filter(|(_, edge)| edge.site == site);
        edges.map(|(number, _)| number + 1).collect()
    }

    /// The scope of a site.
    pub fn scope(&self, site: usize) -> Option<ScopeId> {
        self.sites
            .get(site)
            .map(|site| ScopeId::Site(site.id.clone()))
    }
}

fn draw_site(chance: &mut Chance, (id, venues): (&str, &'static [&'static str])) -> SitePlan {
    let held = chance.between(1, 3);
    let session = |chance: &mut Chance| {
        let day = i64::try_from(chance.below(3)).unwrap_or(0);
        let hour = u16::try_from(chance.between(9, 18)).unwrap_or(9);
        (chance.index(venues.len()), day, hour)
    };
    SitePlan {
        id: id.parse().expect("the names above are codes"),
        venues,
        sessions: (0..held).map(|_| session(chance)).collect(),
    }
}

fn draw_edges(chance: &mut Chance, sites: usize, acts: u64) -> Vec<EdgePlan> {
    let edge = |chance: &mut Chance, site, enrolled_after_act| EdgePlan {
        site,
        quality: Quality {
            latency_ms: chance.span_ms(4, 400),
            jitter_ms: chance.below(40),
            bytes_per_ms: chance.between(2, 2_000),
        },
        enrolled_after_act,
        copy_of: None,
    };
    let mut edges: Vec<EdgePlan> = (0..sites).map(|site| edge(chance, site, 0)).collect();
    if chance.percent(60) {
        let site = chance.index(sites);
        let late = if chance.percent(50) {
            chance.between(1, acts / 2)
        } else {
            0
        };
        edges.push(edge(chance, site, late));
    }
    edges
}

fn draw_joints(chance: &mut Chance, sites: &[SitePlan]) -> Vec<Joint> {
    let mut joints = Vec::new();
    for _ in 0..chance.below(3) {
        let first = chance.index(sites.len());
        let second = (first + 1 + chance.index(sites.len() - 1)) % sites.len();
        let owner = sites.get(first).map_or("", |site| site.id.as_str());
        match format!("site:{owner}/joint").parse() {
            Ok(scope) if chance.percent(50) => {
                joints.push(Joint::Compartment {
                    owner: first,
                    guest: second,
                    scope,
                });
            }
            _ => joints.push(Joint::Referral {
                from: first,
                to: second,
            }),
        }
    }
    joints
}

fn draw_skew(chance: &mut Chance, skewed: bool) -> i64 {
    let size = if skewed {
        chance.span_ms(10, 86_400_000)
    } else {
        0
    };
    if chance.percent(50) { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_as_large_as_promised() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            assert!(plan.edges.len() >= 5 && plan.acts >= 100 && plan.faults.len() >= 3);
            assert!((0..5).all(|site| !plan.stations_of(site).is_empty()));
            kinds.extend(plan.faults.iter().map(|fault| fault.kind));
        }
        assert_eq!(kinds.len(), FaultKind::ALL.len());
    }
}
