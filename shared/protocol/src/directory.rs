//! Who is who: a set of statements signed by the authority, merged like everything else.
//!
//! The set only grows. Two nodes with the same statements have the same directory, in whatever
//! order these came: of several statements about one site, worker or device the *latest* counts,
//! by (moment, number, statement id); that a worker is disabled or a device revoked absorbs. A
//! restored centre therefore takes its statements back from the edges, and a number it gives out
//! twice does no harm.
//!
//! Whatever the authority has signed is admitted, also what this version cannot read: it is kept
//! and passed on without effect, so that old and new nodes hold the same set.

mod ruling;
mod standing;
mod statement;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use names::{
    ActorId, DeviceId, DocumentId, Incarnation, Moment, Reason, ScopeId, SiteId, TenantId, WorkerId,
};

use crate::{
    digest::{Digest, LtHash, statement_element},
    placement::PlacementId,
    signed::{PublicKey, device_id},
};
pub use ruling::{BranchName, BranchRuling, Ruling};
pub use standing::{
    HANDED_IN_LINES_MAX, HandedIn, HandedInLine, Purge, Revocation, Revoked, Written,
};
pub use statement::{
    Device, DeviceKind, Grant, Issue, Rights, Role, SignedStatement, Site, Statement, StatementId,
    Worker,
};

/// Which of two statements about one thing is the later: by moment, number, id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    at: Moment,
    number: u64,
    id: StatementId,
}

/// A record with the rank of the statement it is from.
#[derive(Clone)]
struct Ranked<T> {
    rank: Rank,
    value: T,
}

/// The directory as far as this node knows it.
#[derive(Clone)]
pub struct Directory {
    tenant: TenantId,
    authority: PublicKey,
    statements: BTreeMap<StatementId, SignedStatement>,
    /// The same in the order in which they were made.
    order: BTreeSet<Rank>,
    sum: LtHash,
    numbers: BTreeMap<Incarnation, u64>,
    latest: Option<Moment>,
    organisation: Option<Ranked<String>>,
    sites: BTreeMap<SiteId, Ranked<Site>>,
    workers: BTreeMap<WorkerId, Ranked<Worker>>,
    devices: BTreeMap<DeviceId, Ranked<Device>>,
    /// Every grant a device ever had: what it placed while it might is judged by these.
    granted: BTreeMap<DeviceId, Vec<Grant>>,
    /// Since when, by the first statement that says so.
    disabled: BTreeMap<WorkerId, Moment>,
    revoked: BTreeMap<DeviceId, Revoked>,
    /// When each revoked device said that it has destroyed its keys.
    purged: BTreeMap<DeviceId, Moment>,
    /// What came here after its device was revoked: ranges of sequence numbers.
    handed_in: BTreeMap<(DeviceId, DocumentId, ActorId), BTreeSet<(u64, u64)>>,
    /// Which placement stands of those that follow another (none: of the first ones).
    rulings: BTreeMap<(DocumentId, Option<PlacementId>), Ranked<PlacementId>>,
    /// Which change of a number stands of those of an author in a document.
    branches: BTreeMap<(DocumentId, ActorId, u64), Ranked<BranchName>>,
}

impl Directory {
    /// An empty directory of `tenant`, whose `authority` key was pinned at enrolment.
    pub fn new(tenant: TenantId, authority: PublicKey) -> Directory {
        Directory {
            tenant,
            authority,
            statements: BTreeMap::new(),
            order: BTreeSet::new(),
            sum: LtHash::new(),
            numbers: BTreeMap::new(),
            latest: None,
            organisation: None,
            sites: BTreeMap::new(),
            workers: BTreeMap::new(),
            devices: BTreeMap::new(),
            granted: BTreeMap::new(),
            disabled: BTreeMap::new(),
            revoked: BTreeMap::new(),
            purged: BTreeMap::new(),
            handed_in: BTreeMap::new(),
            rulings: BTreeMap::new(),
            branches: BTreeMap::new(),
        }
    }

    /// Takes a statement in, whatever way it came; says whether it was new.
    ///
    /// # Errors
    /// [`Reason::TooLarge`], [`Reason::Malformed`] or [`Reason::BadSignature`]; the directory is
    /// then unchanged.
    pub fn admit(&mut self, signed: &SignedStatement) -> Result<bool, Reason> {
        let id = signed.id();
        if self.statements.contains_key(&id) {
            return Ok(false);
        }
        let issue = signed.verify(&self.tenant, &self.authority)?;
        self.statements.insert(id, signed.clone());
        self.sum.add(&statement_element(&id));
        let newest = self.numbers.entry(issue.authority).or_default();
        *newest = issue.number.max(*newest);
        self.latest = self.latest.max(Some(issue.at));
        let rank = Rank {
            at: issue.at,
            number: issue.number,
            id,
        };
        self.order.insert(rank);
        self.take_effect(rank, issue.statement);
        Ok(true)
    }

    fn take_effect(&mut self, rank: Rank, statement: Statement) {
        match statement {
            Statement::Organisation { name } => {
                if self
                    .organisation
                    .as_ref()
                    .is_none_or(|standing| standing.rank < rank)
                {
                    self.organisation = Some(Ranked { rank, value: name });
                }
            }
            Statement::Site(site) => keep_later(&mut self.sites, site.id.clone(), rank, site),
            Statement::Worker(worker) => {
                keep_later(&mut self.workers, worker.id.clone(), rank, worker);
            }
            Statement::WorkerDisabled { worker } => keep_first(&mut self.disabled, worker, rank.at),
            Statement::Device(device) => {
                let id = device_id(&device.key);
                self.granted
                    .entry(id)
                    .or_default()
                    .extend(device.grants.iter().cloned());
                keep_later(&mut self.devices, id, rank, device);
            }
            Statement::DeviceRevoked(revocation) => self.revoke(rank, &revocation),
            Statement::DevicePurged(Purge { device }) => {
                keep_first(&mut self.purged, device, rank.at);
            }
            Statement::HandedIn(handed_in) => self.hand_in(handed_in),
            Statement::Ruling(ruling) => self.rule(rank, ruling),
            Statement::Branch(ruling) => self.rule_on_branches(rank, ruling),
            Statement::Unknown => {}
        }
    }

    /// The organisation this is the directory of.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The key whose statements count.
    pub fn authority(&self) -> PublicKey {
        self.authority
    }

    /// How many statements there are.
    pub fn count(&self) -> u64 {
        self.statements.len() as u64
    }

    /// The digest over the statements.
    pub fn digest(&self) -> Digest {
        self.sum.value()
    }

    /// The ids of all statements, ascending.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = StatementId> + '_ {
        self.statements.keys().copied()
    }

    /// A statement, to be passed on.
    pub fn statement(&self, id: &StatementId) -> Option<&SignedStatement> {
        self.statements.get(id)
    }

    /// All statements, by id.
    pub fn statements(&self) -> impl ExactSizeIterator<Item = &SignedStatement> {
        self.statements.values()
    }

    /// All statements in the order in which they were made. Whoever is told them must be told them so:
    /// having seen one means having seen all before it ([`Directory::latest`]).
    pub fn in_order(&self) -> impl Iterator<Item = (StatementId, &SignedStatement)> {
        self.order
            .iter()
            .filter_map(|rank| Some((rank.id, self.statements.get(&rank.id)?)))
    }

    /// The number after the newest that the authority's `incarnation` has given out, from 1.
    pub fn next_number(&self, incarnation: &Incarnation) -> u64 {
        self.numbers
            .get(incarnation)
            .map_or(1, |newest| newest.saturating_add(1))
    }

    /// The moment of the latest statement. A new one must be later to count, so the authority
    /// says the later of its clock and this plus a millisecond. A writer says it as
    /// `directory_seen`: it has seen every statement up to then.
    pub fn latest(&self) -> Option<Moment> {
        self.latest
    }

    /// The organisation's name.
    pub fn organisation(&self) -> Option<&str> {
        self.organisation
            .as_ref()
            .map(|ranked| ranked.value.as_str())
    }

    /// Every site, by id.
    pub fn sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.values().map(|ranked| &ranked.value)
    }

    /// A site.
    pub fn site(&self, id: &SiteId) -> Option<&Site> {
        self.sites.get(id).map(|ranked| &ranked.value)
    }

    /// Every worker, disabled ones too, by id.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().map(|ranked| &ranked.value)
    }

    /// A worker, also a disabled one: old entries still bear the name.
    pub fn worker(&self, id: &WorkerId) -> Option<&Worker> {
        self.workers.get(id).map(|ranked| &ranked.value)
    }

    /// Whether the worker may not sign in any more.
    pub fn is_disabled(&self, worker: &WorkerId) -> bool {
        self.disabled.contains_key(worker)
    }

    /// Every device, by id.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &Device)> {
        self.devices.iter().map(|(id, ranked)| (*id, &ranked.value))
    }

    /// A device.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id).map(|ranked| &ranked.value)
    }

    /// The key that a device signs with.
    ///
    /// # Errors
    /// [`Reason::UnknownSigner`]: wait until the directory is current, then ask again.
    pub fn signer(&self, id: &DeviceId) -> Result<PublicKey, Reason> {
        self.device(id)
            .map(|device| device.key)
            .ok_or(Reason::UnknownSigner)
    }

    /// What a device may do in a scope. The directory itself may be read by every device in it;
    /// the centre may do everything everywhere; a revoked device nothing, anywhere.
    pub fn rights(&self, device: &DeviceId, scope: &ScopeId) -> Rights {
        if self.is_revoked(device) {
            return Rights::NONE;
        }
        self.given(device, scope)
    }

    /// The same, had the device never been revoked.
    fn given(&self, device: &DeviceId, scope: &ScopeId) -> Rights {
        let Some(device) = self.device(device) else {
            return Rights::NONE;
        };
        match (device.kind, scope) {
            (_, ScopeId::Directory) => Rights::READ,
            (DeviceKind::Centre, _) => Rights::ALL,
            (DeviceKind::Edge | DeviceKind::Phone | DeviceKind::Other(_), _) => device
                .grants
                .iter()
                .filter(|grant| grant.scope == *scope)
                .fold(Rights::NONE, |rights, grant| rights.with(grant.rights)),
        }
    }

    /// Whether a device may place a document in all of `scopes`: needed to create it there, and
    /// to move it away from there.
    pub fn may_place(&self, device: &DeviceId, scopes: &BTreeSet<ScopeId>) -> bool {
        !scopes.is_empty()
            && scopes
                .iter()
                .all(|scope| self.rights(device, scope).contains(Rights::PLACE))
    }

    /// What a device may do in a scope, or once might: what it did then stays done, on every node
    /// alike, whenever the node learned of the change. That the device was revoked since makes no
    /// difference here either: admission is not standing.
    pub fn ever(&self, device: &DeviceId, scope: &ScopeId) -> Rights {
        let grants = self.granted.get(device).into_iter().flatten();
        grants
            .filter(|grant| grant.scope == *scope)
            .fold(self.given(device, scope), |rights, grant| {
                rights.with(grant.rights)
            })
    }

    /// Whether a device may place in all of these scopes, or once might.
    pub fn might_place(&self, device: &DeviceId, scopes: &BTreeSet<ScopeId>) -> bool {
        !scopes.is_empty()
            && scopes
                .iter()
                .all(|scope| self.ever(device, scope).contains(Rights::PLACE))
    }

    /// The scopes whose documents a device may read, without the directory itself. For the centre
    /// these are all that the directory speaks of: every site, and whatever was ever granted.
    pub fn scopes_of(&self, device: &DeviceId) -> BTreeSet<ScopeId> {
        let known = self.device(device).map(|device| device.kind);
        let candidates: BTreeSet<ScopeId> = match known {
            None => BTreeSet::new(),
            Some(DeviceKind::Centre) => {
                let granted = self
                    .devices
                    .values()
                    .flat_map(|device| &device.value.grants);
                let granted = granted.map(|grant| grant.scope.clone());
                self.sites
                    .keys()
                    .cloned()
                    .map(ScopeId::Site)
                    .chain(granted)
                    .collect()
            }
            Some(DeviceKind::Edge | DeviceKind::Phone | DeviceKind::Other(_)) => {
                let grants = self
                    .device(device)
                    .into_iter()
                    .flat_map(|device| &device.grants);
                grants.map(|grant| grant.scope.clone()).collect()
            }
        };
        let readable = |scope: &ScopeId| self.rights(device, scope).contains(Rights::READ);
        candidates
            .into_iter()
            .filter(|scope| *scope != ScopeId::Directory && readable(scope))
            .collect()
    }
}

fn keep_first<K: Ord>(moments: &mut BTreeMap<K, Moment>, key: K, at: Moment) {
    let first = moments.entry(key).or_insert(at);
    *first = at.min(*first);
}

fn keep_later<K: Ord, T>(records: &mut BTreeMap<K, Ranked<T>>, key: K, rank: Rank, value: T) {
    let standing = records.get(&key).map(|standing| standing.rank.cmp(&rank));
    if standing != Some(Ordering::Greater) {
        records.insert(key, Ranked { rank, value });
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("tenant", &self.tenant)
            .field("statements", &self.statements.len())
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
