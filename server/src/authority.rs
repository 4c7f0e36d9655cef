//! The authority: it makes sites, workers and devices known, in statements that every node can
//! check by itself.
//!
//! Its keys lie sealed in the store. One statement is made after another, each later than the
//! last, so that of two about one thing the second one counts.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use api::program::{Failure, check_name};
use node::{
    Errand,
    names::{
        DeviceId, Incarnation, Moment, Reason, ScopeId, SiteId, TenantId, limits::LIST_ROWS_MAX,
    },
    protocol::{
        DeviceKey, Directory, PublicKey, Rights, SignedStatement, Statement,
        directory::{Device, DeviceKind, Grant, HandedInLine, Issue, Purge},
        enrol::{EnrolAnswer, EnrolmentCode, TenantKey, Token},
        signed::device_id,
    },
};
use runtime::{CentreKeys, CertificateAuthority, Handle, Material, Redeem, shell};

use crate::invites::{Invited, Invites};

/// How long to wait before a ruling is made that the node was too busy for.
const RULE_AGAIN: Duration = Duration::from_secs(1);

/// What the centre's own device is called.
const CENTRE: &str = "centre";

/// Makes a new organisation: its keys, its certificate authority, its first two statements.
///
/// # Errors
/// When the name is longer than a line, or the clock is far off.
pub(crate) fn found(name: &str) -> Result<Material, Failure> {
    let [device, ca_key, authority] = [(); 3].map(|()| DeviceKey::from_seed(&shell::entropy()));
    let now = shell::now();
    let tenant = TenantId(shell::entropy());
    let ca = CertificateAuthority::create(&ca_key, now).map_err(Failure::failed)?;
    let chain = vec![
        ca.issue_centre(&device.public(), now)
            .map_err(Failure::failed)?,
    ];
    let centre = Device {
        key: device.public(),
        kind: DeviceKind::Centre,
        name: CENTRE.to_owned(),
        grants: Vec::new(),
        site: None,
        worker: None,
    };
    // The store has no incarnation before it is first opened; this one made two statements.
    let life = Incarnation(shell::entropy());
    let first = [
        Statement::Organisation {
            name: name.to_owned(),
        },
        Statement::Device(centre),
    ];
    let statements = (1..).zip(first).map(|(number, statement)| {
        let issue = Issue {
            authority: life,
            number,
            at: now,
            statement,
        };
        SignedStatement::sign(&authority, &tenant, &issue)
    });
    let statements = statements.collect::<Result<Vec<_>, _>>();
    Ok(Material {
        tenant,
        tenant_key: TenantKey(shell::entropy()),
        authority: authority.public(),
        device,
        chain,
        ca: ca.certificate().to_vec(),
        site: None,
        centre: Vec::new(),
        statements: statements
            .map_err(|_| Failure::usage("this name cannot be used: keep it within 512 bytes"))?,
        keys: Some(CentreKeys {
            ca: ca_key,
            authority,
        }),
    })
}

/// Makes the rulings that the centre's node asks for, until it ends.
pub(crate) async fn rule(authority: Arc<Authority>, node: Handle) {
    loop {
        let ruling = node.next_ruling().await;
        // What is not ruled now is asked for again when the node is next opened.
        while let Err(reason) = authority.state(ruling.clone()).await {
            if reason != Reason::Busy {
                break;
            }
            tokio::time::sleep(RULE_AGAIN).await;
        }
    }
}

/// The authority of a running centre.
pub(crate) struct Authority {
    key: DeviceKey,
    ca: CertificateAuthority,
    tenant: TenantId,
    tenant_key: TenantKey,
    /// The node, which is started after the authority it asks.
    node: OnceLock<Handle>,
    invites: OnceLock<Mutex<Invites>>,
    /// The devices, besides the centre's own, that were known when it was started.
    known: OnceLock<BTreeSet<DeviceId>>,
    /// Held while a statement is made and kept: numbers and moments only rise.
    issuing: tokio::sync::Mutex<()>,
}

impl Authority {
    /// The authority whose keys the material has.
    ///
    /// # Errors
    /// When it has none: then this is not a centre's folder.
    pub(crate) fn new(material: &Material) -> Result<Authority, Failure> {
        let Some(keys) = &material.keys else {
            return Err(Failure::usage(
                "this folder belongs to an edge: use ridgeway-edge, or another folder",
            ));
        };
        let ca = CertificateAuthority::open(&keys.ca, material.ca.clone());
        Ok(Authority {
            key: DeviceKey::from_seed(&keys.authority.seed()),
            ca: ca.map_err(Failure::failed)?,
            tenant: material.tenant,
            tenant_key: material.tenant_key.clone(),
            node: OnceLock::new(),
            invites: OnceLock::new(),
            known: OnceLock::new(),
            issuing: tokio::sync::Mutex::new(()),
        })
    }

    /// Hands it the node that keeps its statements, and says whether its store came from a backup.
    ///
    /// # Errors
    /// When the file with the codes cannot be read.
    pub(crate) fn attach(&self, node: Handle, data: &Path, restored: bool) -> Result<(), Failure> {
        let (directory, me) = (node.directory(), node.whoami());
        let devices = directory.devices().map(|(device, _)| device);
        let devices: BTreeSet<DeviceId> = devices.filter(|id| *id != me.device).collect();
        let forgetful = restored || !devices.is_empty();
        let (life, count) = (me.incarnation, directory.count());
        let invites = Invites::open(data, life, count, forgetful, shell::entropy())?;
        let _ = self.known.set(devices);
        // Both are empty until this one call.
        let _ = self.invites.set(Mutex::new(invites));
        let _ = self.node.set(node);
        Ok(())
    }

    /// The devices known at the start that have not been heard since: one of them may know what an
    /// older copy of the centre has forgotten. A revoked one is not waited for.
    pub(crate) fn unheard(&self) -> Result<BTreeSet<DeviceId>, Reason> {
        let node = self.node()?;
        let (directory, heard) = (node.directory(), node.heard());
        let known = self.known.get().into_iter().flatten();
        let silent = known.filter(|id| !heard.contains(id) && !directory.is_revoked(id));
        Ok(silent.copied().collect())
    }

    /// Refuses what a restored centre may not do before it knows what it has forgotten.
    pub(crate) fn must_know(&self) -> Result<(), Reason> {
        if !self.with_invites(|invites| Ok(invites.is_restored()))? {
            return Ok(());
        }
        // Where it knows nobody, or nobody has been in touch, nobody can have told it anything.
        let heard = self.node()?.heard();
        let known = self.known.get().into_iter().flatten();
        let told = { known }.any(|device| heard.contains(device));
        if !told || !self.unheard()?.is_empty() {
            return Err(Reason::NotResumed);
        }
        tracing::info!("every device has been heard: the restored centre acts again");
        self.with_invites(|invites| invites.resume(false))
    }

    /// An operator says that the centre has forgotten nothing.
    pub(crate) fn resume(&self) -> Result<(), Reason> {
        self.with_invites(|invites| invites.resume(true))
    }

    pub(crate) fn node(&self) -> Result<&Handle, Reason> {
        self.node.get().ok_or(Reason::Busy)
    }

    /// Makes a statement; it is on disk when this answers. Whoever asks may lose patience: what was
    /// begun is finished all the same, since a statement that is kept and not counted would have
    /// the open codes die, and the next one take its number.
    ///
    /// # Errors
    /// Why it was not kept.
    pub(crate) async fn state(self: &Arc<Self>, statement: Statement) -> Result<(), Reason> {
        let authority = Arc::clone(self);
        let stated = tokio::spawn(async move { authority.state_to_the_end(statement).await });
        stated.await.unwrap_or(Err(Reason::NotSaved))
    }

    /// The same on a task that nobody drops.
    async fn state_to_the_end(&self, statement: Statement) -> Result<(), Reason> {
        if gives(&statement) {
            self.must_know()?;
        }
        let _one_at_a_time = self.issuing.lock().await;
        self.state_next(statement).await
    }

    /// The same, while the lock is held.
    async fn state_next(&self, statement: Statement) -> Result<(), Reason> {
        let node = self.node()?;
        let directory = node.directory();
        self.with_invites(|invites| invites.heard(directory.count()))?;
        let authority = node.whoami().incarnation;
        let number = directory.next_number(&authority);
        let at = later_than(directory.latest(), shell::now());
        let issue = Issue {
            authority,
            number,
            at,
            statement,
        };
        let signed = SignedStatement::sign(&self.key, &self.tenant, &issue)?;
        node.state(signed).await?;
        // When this fails, the open codes die with it, and the statement stands.
        let _ = self.with_invites(Invites::stated);
        Ok(())
    }

    /// Makes a one-time code.
    ///
    /// # Errors
    /// When it cannot be kept, or too many are open.
    pub(crate) async fn invite(
        &self,
        whom: Invited,
        addresses: Vec<String>,
    ) -> Result<EnrolmentCode, Reason> {
        self.must_know()?;
        let _one_at_a_time = self.issuing.lock().await;
        let token: [u8; 16] = shell::entropy();
        let known = self.node()?.directory().count();
        let expires = self.with_invites(|invites| {
            invites.heard(known)?;
            invites.add(&token, whom, shell::now())
        })?;
        Ok(EnrolmentCode {
            addresses,
            ca: self.ca.fingerprint(),
            token: Token(token),
            expires,
        })
    }

    fn with_invites<T>(
        &self,
        act: impl FnOnce(&mut Invites) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let invites = self.invites.get().ok_or(Reason::Busy)?;
        act(&mut invites.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn certify(&self, key: &PublicKey) -> Result<Vec<u8>, Reason> {
        self.ca.issue_device(key, shell::now()).map_err(|error| {
            tracing::error!(%error, "no certificate could be made");
            Reason::NotSaved
        })
    }

    /// All that a new device needs.
    fn answer(&self, key: &PublicKey, site: Option<SiteId>) -> Result<EnrolAnswer, Reason> {
        let directory = self.node()?.directory();
        Ok(EnrolAnswer {
            chain: vec![self.certify(key)?],
            ca: self.ca.certificate().to_vec(),
            tenant: self.tenant,
            tenant_key: self.tenant_key.clone(),
            authority: self.key.public(),
            statements: first_statements(&directory, key),
            site,
        })
    }
}

impl Redeem for Authority {
    fn redeem(&self, token: [u8; 16], key: PublicKey, name: &str) -> Result<EnrolAnswer, Reason> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Reason::Stopping)?;
        runtime.block_on(self.let_in(&token, key, name))
    }

    fn renew(&self, key: PublicKey) -> Result<Vec<Vec<u8>>, Reason> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Reason::Stopping)?;
        runtime.block_on(self.must_run_once(&device_id(&key)))?;
        Ok(vec![self.certify(&key)?])
    }

    fn lacking(&self, lines: Vec<HandedInLine>) -> Result<Vec<HandedInLine>, Reason> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Reason::Stopping)?;
        runtime.block_on(self.node()?.beyond(lines))
    }

    fn review(&self, device: DeviceId, part: Vec<u8>) -> Result<(), Reason> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Reason::Stopping)?;
        let kept = self.node()?.errand(Errand::HandIn { device, part });
        runtime.block_on(kept).map(|_| ())
    }

    fn purged(&self, device: DeviceId) -> Result<(), Reason> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Reason::Stopping)?;
        if self.node()?.directory().purged(&device).is_some() {
            return Ok(());
        }
        runtime.block_on(self.state_to_the_end(Statement::DevicePurged(Purge { device })))
    }
}

impl Authority {
    /// Of two copies of one device's store one is where nobody meant it to be: neither gets a
    /// certificate until a person has said that one was stopped.
    async fn must_run_once(&self, device: &DeviceId) -> Result<(), Reason> {
        let copies = self.node()?.copies().await?;
        match copies.iter().any(|row| row.runs_twice(device)) {
            true => Err(Reason::RunsTwice),
            false => Ok(()),
        }
    }

    /// Uses a code up and makes the device known. Everything is looked at before the code is used.
    async fn let_in(
        &self,
        token: &[u8; 16],
        key: PublicKey,
        name: &str,
    ) -> Result<EnrolAnswer, Reason> {
        check_name(name).map_err(|_| Reason::Malformed)?;
        self.must_know()?;
        let _one_at_a_time = self.issuing.lock().await;
        let device = device_id(&key);
        let directory = self.node()?.directory();
        if directory.is_revoked(&device) {
            return Err(Reason::Revoked);
        }
        self.must_run_once(&device).await?;
        let settled = self.unheard()?.is_empty();
        let whom = self.with_invites(|invites| {
            invites.heard(directory.count())?;
            invites.whom(token, device, shell::now(), settled)
        })?;
        let known = known_device(&directory, whom, key, name)?;
        let site = known.site.clone();
        let before = directory.device(&device);
        if before.is_some_and(|before| is_elsewhere(before, &known)) {
            // What it was granted there is not taken back by granting more.
            tracing::warn!(%device, "a code of another site was tried by a device known already");
            return Err(Reason::NotAllowed);
        }
        self.with_invites(|invites| invites.redeem(token, device, shell::now()))?;
        if before.is_none() {
            self.state_next(Statement::Device(known)).await?;
        }
        self.answer(&key, site)
    }
}

/// Whether a statement gives somebody a right, which one that a restored centre has forgotten may
/// have taken away. What takes away or tells what has happened is never too early; of two rulings
/// the first stands, also when it was forgotten.
fn gives(statement: &Statement) -> bool {
    match statement {
        Statement::Site(_) | Statement::Worker(_) | Statement::Device(_) => true,
        Statement::Organisation { .. }
        | Statement::WorkerDisabled { .. }
        | Statement::DeviceRevoked(_)
        | Statement::DevicePurged(_)
        | Statement::HandedIn(_)
        | Statement::Ruling(_)
        | Statement::Branch(_)
        | Statement::Unknown => false,
    }
}

/// Whether a device that asks again would become another kind, or belong to another place.
fn is_elsewhere(before: &Device, now: &Device) -> bool {
    (before.kind, &before.site, &before.worker) != (now.kind, &now.site, &now.worker)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({})", self.tenant)
    }
}

/// The device that a code lets in, with the rights it is given.
fn known_device(
    directory: &Directory,
    whom: Invited,
    key: PublicKey,
    name: &str,
) -> Result<Device, Reason> {
    let rights = Rights::READ
        .with(Rights::WRITE)
        .with(Rights::PLACE)
        .with(Rights::REVIEW);
    let grant = |scope| Grant { scope, rights };
    let (kind, site, worker, scopes) = match whom {
        Invited::Site(site) => (
            DeviceKind::Edge,
            site.clone(),
            None,
            vec![ScopeId::Site(site)],
        ),
        Invited::Phone(worker) => {
            let known = directory
                .worker(&worker)
                .filter(|_| !directory.is_disabled(&worker));
            let site = known.ok_or(Reason::NotAllowed)?.site.clone();
            let scopes = vec![
                ScopeId::Site(site.clone()),
                ScopeId::Caseload(worker.clone()),
            ];
            (DeviceKind::Phone, site, Some(worker), scopes)
        }
    };
    let grants = scopes.into_iter().map(grant).collect();
    Ok(Device {
        key,
        kind,
        name: name.to_owned(),
        grants,
        site: Some(site),
        worker,
    })
}

/// The statements a device begins with: its own, and as many others as an answer may hold. What
/// is left out comes with the first synchronisation.
fn first_statements(directory: &Directory, key: &PublicKey) -> Vec<SignedStatement> {
    let about = |signed: &&SignedStatement| {
        let issue = signed.verify(&directory.tenant(), &directory.authority());
        matches!(issue, Ok(Issue { statement: Statement::Device(device), .. }) if device.key == *key)
    };
    let all = directory.statements();
    if all.len() <= LIST_ROWS_MAX {
        return all.cloned().collect();
    }
    let own = directory.statements().filter(about);
    own.chain(directory.statements())
        .take(LIST_ROWS_MAX)
        .cloned()
        .collect()
}

/// The clock, or a moment after the last statement if the clock is behind it.
fn later_than(latest: Option<Moment>, now: Moment) -> Moment {
    latest.map_or(now, |latest| now.max(latest.plus_ms(1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use node::protocol::directory::Site;

    use super::*;

    #[test]
    fn a_new_organisation_knows_its_name_and_its_centre() {
        let material = found("Outreach West").unwrap();
        let mut directory = Directory::new(material.tenant, material.authority);
        for statement in &material.statements {
            assert_eq!(directory.admit(statement), Ok(true));
        }
        assert_eq!(directory.organisation(), Some("Outreach West"));
        let centre = directory.device(&material.device.device_id()).unwrap();
        assert_eq!(centre.kind, DeviceKind::Centre);
        assert!(found(&"n".repeat(600)).is_err());
    }

    /// Whoever asked went away after the statement was on its way: it was kept and not counted, so
    /// the open codes died of "statements from elsewhere", and its number was given out again.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_statement_whose_asker_went_away_is_counted_all_the_same() {
        let started = crate::centre::tests::Started::new().await;
        let authority = &started.centre.authority;
        let site = |id: &str| {
            Statement::Site(Site {
                id: id.parse().unwrap(),
                name: "A site".to_owned(),
            })
        };
        authority.state(site("bath")).await.unwrap();
        let whom = Invited::Site("bath".parse().unwrap());
        let code = authority.invite(whom, vec!["192.0.2.1:7443".to_owned()]);
        let code = code.await.unwrap();
        // Nothing is stated before the asker is gone, however busy the machine.
        let others_turn = authority.issuing.lock().await;
        let gone = tokio::time::timeout(Duration::ZERO, authority.state(site("kent"))).await;
        assert!(gone.is_err(), "it went away at once");
        drop(others_turn);
        let directory = || authority.node().unwrap().directory();
        while directory().site(&"kent".parse().unwrap()).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        authority.state(site("devizes")).await.unwrap();
        assert_eq!(directory().sites().count(), 3);
        let key = DeviceKey::from_seed(&[7; 32]).public();
        let let_in = authority.let_in(&code.token.0, key, "an edge").await;
        assert!(let_in.is_ok(), "the code is good: {let_in:?}");
    }

    #[test]
    fn a_statement_is_later_than_the_one_before_whatever_the_clock_says() {
        assert_eq!(later_than(None, Moment(5)), Moment(5));
        assert_eq!(later_than(Some(Moment(4)), Moment(5)), Moment(5));
        assert_eq!(later_than(Some(Moment(9)), Moment(5)), Moment(10));
    }
}
