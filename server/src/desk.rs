//! What an administrator can ask of the centre, and what becomes of it.
//!
//! The same question is answered whether the centre runs (it comes over the control socket) or
//! not (the command holds the folder and starts the node for as long as it takes).

use std::{collections::BTreeSet, path::PathBuf, pin::Pin, sync::Arc};

use api::program::{Failure, check_name, export, inspect, service::Commands, settings::Address};
use node::{
    Errand, domain,
    names::{DeviceId, DocumentId, Reason, SiteId, WorkerId},
    protocol::{
        Directory, Statement,
        directory::{Device, DeviceKind, Revoked, Site, Worker},
    },
    review::Waiting,
};
use runtime::Handle;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{authority::Authority, backup::Backups, invites::Invited};

/// Addresses of the centre in one code: as many as its form has room for.
const ADDRESSES_MAX: usize = 8;

/// All that an administrator can ask.
#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// There is this site, or it has this name now.
    SiteAdd { id: SiteId, name: String },
    /// Which sites there are.
    SiteList,
    /// There is this worker, or this is known of the worker now.
    WorkerAdd {
        id: WorkerId,
        name: String,
        site: SiteId,
        roles: Vec<String>,
    },
    /// Which workers there are.
    WorkerList,
    /// The worker works here no more.
    WorkerDisable { id: WorkerId },
    /// A one-time code.
    Invite {
        whom: Invited,
        addresses: Vec<String>,
    },
    /// Which devices there are.
    DeviceList,
    /// The device may do nothing any more.
    DeviceRevoke { id: DeviceId, lost: bool },
    /// What it has handed in since is to be let into the record.
    DeviceAccept { id: DeviceId },
    /// What it has handed in since is to be forgotten.
    DeviceReject { id: DeviceId },
    /// One copy alone of its store runs now, after two did.
    DeviceSingle { id: DeviceId },
    /// The centre has forgotten nothing.
    Resume,
    /// How far the centre agrees with its edges.
    Status,
    /// Whether the digests hold.
    Verify,
    /// Begins a backup, under this name in the folder.
    Backup { name: String },
    /// How far it has got.
    BackupState { name: String },
    /// It lies where it was wanted.
    BackupKept { name: String },
    /// One document, under this name in the folder.
    Export { document: DocumentId, name: String },
}

/// Answers administrators.
pub(crate) struct Desk {
    pub(crate) authority: Arc<Authority>,
    pub(crate) node: Handle,
    pub(crate) data: PathBuf,
    /// Where edges reach the centre, when a command does not say; empty when it is not known.
    pub(crate) addresses: Vec<String>,
    /// The backup that is made, if one is.
    pub(crate) backups: Backups,
}

impl Desk {
    /// Carries out what is asked.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(crate) async fn answer(&self, ask: Ask) -> Result<Value, Failure> {
        let directory = self.node.directory();
        match ask {
            Ask::SiteAdd { id, name } => self.add_site(&directory, Site { id, name }).await,
            Ask::SiteList => Ok(sites(&directory)),
            Ask::WorkerAdd {
                id,
                name,
                site,
                roles,
            } => {
                let roles = roles_of(&roles)?;
                self.add_worker(
                    &directory,
                    Worker {
                        id,
                        name,
                        site,
                        roles,
                    },
                )
                .await
            }
            Ask::WorkerList => Ok(workers(&directory)),
            Ask::WorkerDisable { id } => self.disable_worker(&directory, id).await,
            Ask::Invite { whom, addresses } => self.invite(&directory, whom, addresses).await,
            Ask::DeviceList => Ok(devices(&self.node).await?),
            Ask::DeviceRevoke { id, lost } => self.revoke(&directory, id, lost).await,
            Ask::DeviceAccept { id } => Ok(self.accept(id).await?),
            Ask::DeviceReject { id } => Ok(self.reject(id).await?),
            Ask::DeviceSingle { id } => self.single(id).await.map_err(not_single),
            Ask::Resume => {
                let unheard = self.authority.unheard()?;
                self.authority.resume()?;
                Ok(json!({ "resumed": true, "unheard": unheard }))
            }
            Ask::Status => inspect::status(&self.node).await,
            Ask::Verify => inspect::verify(&self.node).await,
            Ask::Backup { name } => self.backups.begin(&self.node, &self.data, &name),
            Ask::BackupState { name } => self.backups.state(&name),
            Ask::BackupKept { name } => {
                if let Some(number) = self.backups.number(&name) {
                    self.node.keep_backup(number).await?;
                }
                Ok(json!({ "state": "kept" }))
            }
            Ask::Export { document, name } => {
                let bytes = export::to_spool(&self.node, &self.data, document, &name).await?;
                Ok(json!({ "document": document, "bytes": bytes }))
            }
        }
    }

    async fn add_site(&self, directory: &Directory, site: Site) -> Result<Value, Failure> {
        check_name(&site.name)?;
        let answer = site_row(&site);
        if directory.site(&site.id) != Some(&site) {
            self.state(Statement::Site(site)).await?;
        }
        Ok(answer)
    }

    async fn add_worker(&self, directory: &Directory, worker: Worker) -> Result<Value, Failure> {
        if directory.site(&worker.site).is_none() {
            return Err(no_site(&worker.site));
        }
        if directory.is_disabled(&worker.id) {
            return Err(Failure::refused(format!(
                "{} was disabled, and nothing takes that back: use another id",
                worker.id
            )));
        }
        check_name(&worker.name)?;
        let answer = worker_row(directory, &worker);
        if directory.worker(&worker.id) != Some(&worker) {
            self.state(Statement::Worker(worker)).await?;
        }
        Ok(answer)
    }

    async fn disable_worker(
        &self,
        directory: &Directory,
        worker: WorkerId,
    ) -> Result<Value, Failure> {
        if directory.worker(&worker).is_none() {
            return Err(Failure::refused(format!(
                "there is no worker {worker}: see worker list"
            )));
        }
        if !directory.is_disabled(&worker) {
            self.state(Statement::WorkerDisabled {
                worker: worker.clone(),
            })
            .await?;
        }
        Ok(json!({ "id": worker, "disabled": true }))
    }

    async fn invite(
        &self,
        directory: &Directory,
        whom: Invited,
        said: Vec<String>,
    ) -> Result<Value, Failure> {
        match &whom {
            Invited::Site(site) if directory.site(site).is_none() => return Err(no_site(site)),
            Invited::Phone(worker)
                if directory.worker(worker).is_none() || directory.is_disabled(worker) =>
            {
                return Err(Failure::refused(format!(
                    "{worker} is no worker who may have a phone: see worker list"
                )));
            }
            Invited::Site(_) | Invited::Phone(_) => {}
        }
        let addresses = if said.is_empty() {
            self.addresses.clone()
        } else {
            said
        };
        if addresses.is_empty() {
            return Err(Failure::usage(
                "nobody said where devices reach the centre: name it by --address HOST:PORT, or by \
                 `addresses` in ridgeway.toml",
            ));
        }
        check_addresses(&addresses)?;
        let code = self
            .authority
            .invite(whom.clone(), addresses.clone())
            .await?;
        Ok(json!({
            "code": code.to_text(),
            "for": whom,
            "addresses": addresses,
            "expires": code.expires,
        }))
    }

    async fn revoke(
        &self,
        directory: &Directory,
        device: DeviceId,
        lost: bool,
    ) -> Result<Value, Failure> {
        let Some(known) = directory.device(&device) else {
            return Err(Failure::refused(format!(
                "there is no device {device}: see device list"
            )));
        };
        if known.kind == DeviceKind::Centre {
            return Err(Failure::refused(
                "the centre cannot be revoked: everything hangs on it",
            ));
        }
        let revoked = self.authority.revoke(device, lost).await?;
        Ok(json!({
            "id": device,
            "revoked": revoked.at,
            "lost": revoked.is_lost(),
            "held": revoked.held,
        }))
    }

    /// Lets in what a device has handed in.
    ///
    /// # Errors
    /// [`Reason::NotFound`] when there is no such device.
    pub(crate) async fn accept(&self, device: DeviceId) -> Result<Value, Reason> {
        if self.node.directory().device(&device).is_none() {
            return Err(Reason::NotFound);
        }
        let let_in = self.authority.let_handed_in(device).await?;
        let left = self.node.in_review(vec![device]).await?;
        let left = left.first().map_or(0, |left| left.parts);
        Ok(json!({
            "id": device,
            "admitted": let_in.admitted,
            "held": let_in.held,
            "refused": let_in.refused,
            "handed_in": left,
        }))
    }

    /// Discards what a device has handed in.
    ///
    /// # Errors
    /// [`Reason::NotFound`] when there is no such device.
    pub(crate) async fn reject(&self, device: DeviceId) -> Result<Value, Reason> {
        if self.node.directory().device(&device).is_none() {
            return Err(Reason::NotFound);
        }
        let discarded = self.authority.discard_handed_in(device).await?;
        Ok(json!({
            "id": device,
            "discarded": discarded.parts,
            "discarded_bytes": discarded.bytes,
        }))
    }

    /// Takes a person's word that of two copies of a device's store one was stopped.
    ///
    /// # Errors
    /// [`Reason::NotFound`] when two were not seen; [`Reason::RunsTwice`] while both are in touch.
    pub(crate) async fn single(&self, device: DeviceId) -> Result<Value, Reason> {
        self.node.errand(Errand::OneStays { device }).await?;
        Ok(json!({ "id": device, "single": true }))
    }

    async fn state(&self, statement: Statement) -> Result<(), Failure> {
        Ok(self.authority.state(statement).await?)
    }
}

/// Why nobody can say that one copy of a device's store runs, and what to do.
fn not_single(reason: Reason) -> Failure {
    if reason == Reason::NotFound {
        return Failure::refused(
            "two copies of this device's store were not seen to run, or that was said already: see \
             status",
        );
    }
    if reason == Reason::RunsTwice {
        return Failure::refused(
            "both copies are in touch: stop one of them, wait half a minute until it is missed, and \
             say it again",
        );
    }
    reason.into()
}

/// Refuses what no device could dial.
fn check_addresses(addresses: &[String]) -> Result<(), Failure> {
    if addresses.len() > ADDRESSES_MAX {
        return Err(Failure::usage(format!(
            "a code names {ADDRESSES_MAX} addresses of the centre at most"
        )));
    }
    match addresses
        .iter()
        .find(|text| text.parse::<Address>().is_err())
    {
        None => Ok(()),
        Some(wrong) => Err(Failure::usage(format!(
            "{wrong:?} is no address: say a name or address with a port, as \
             centre.example.org:7443"
        ))),
    }
}

impl Commands for Desk {
    fn carry_out(
        &self,
        command: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + '_>> {
        Box::pin(async move {
            let ask = serde_json::from_value(command).map_err(|_| {
                Failure::usage(
                    "the running centre does not know this command: both must be of the same \
                     version",
                )
            })?;
            self.answer(ask).await
        })
    }
}

fn no_site(site: &SiteId) -> Failure {
    Failure::refused(format!(
        "there is no site {site}: add it with site add, or see site list"
    ))
}

/// Roles as the directory carries them; all of them must mean something.
fn roles_of(roles: &[String]) -> Result<BTreeSet<node::protocol::directory::Role>, Failure> {
    let known = roles
        .iter()
        .all(|role| role.parse::<domain::Role>().is_ok());
    let roles = roles
        .iter()
        .map(|role| role.parse())
        .collect::<Result<BTreeSet<_>, _>>();
    match roles {
        Ok(roles) if known && !roles.is_empty() => Ok(roles),
        Ok(_) | Err(_) => {
            let all: Vec<&str> = domain::Role::ALL.iter().map(|role| role.as_str()).collect();
            Err(Failure::usage(format!(
                "a role is one of {}",
                all.join(", ")
            )))
        }
    }
}

fn site_row(site: &Site) -> Value {
    json!({ "id": site.id, "name": site.name })
}

fn worker_row(directory: &Directory, worker: &Worker) -> Value {
    let roles: Vec<&str> = worker.roles.iter().map(|role| role.as_str()).collect();
    json!({
        "id": worker.id,
        "name": worker.name,
        "site": worker.site,
        "roles": roles,
        "disabled": directory.is_disabled(&worker.id),
    })
}

/// A device, how it stands, and how much of what it handed in waits for a person.
fn device_row(directory: &Directory, id: DeviceId, device: &Device, waiting: Waiting) -> Value {
    let revoked = directory.revoked(&id);
    let kind = match device.kind {
        DeviceKind::Centre => "centre",
        DeviceKind::Edge => "edge",
        DeviceKind::Phone => "phone",
        DeviceKind::Other(_) => "other",
    };
    json!({
        "id": id,
        "kind": kind,
        "name": device.name,
        "site": device.site,
        "worker": device.worker,
        "revoked": revoked.map(|revoked| revoked.at),
        "lost": revoked.is_some_and(Revoked::is_lost),
        "held": revoked.and_then(|revoked| revoked.held),
        "purged": directory.purged(&id),
        "handed_in": waiting.parts,
        "handed_in_bytes": waiting.bytes,
    })
}

/// Every site.
pub(crate) fn sites(directory: &Directory) -> Value {
    directory.sites().map(site_row).collect()
}

/// Every worker, disabled ones too.
pub(crate) fn workers(directory: &Directory) -> Value {
    directory
        .workers()
        .map(|worker| worker_row(directory, worker))
        .collect()
}

/// Every device.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn devices(node: &Handle) -> Result<Value, Reason> {
    let directory = node.directory();
    let all: Vec<(DeviceId, &Device)> = directory.devices().collect();
    let ids = all.iter().map(|(id, _)| *id).collect();
    let waiting = node.in_review(ids).await?;
    let rows = all.into_iter().zip(waiting);
    Ok(rows
        .map(|((id, device), waiting)| device_row(&directory, id, device, waiting))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_only_what_can_be_dialled() {
        let check = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            check_addresses(&texts).map_err(|failure| failure.words)
        };
        assert_eq!(
            check(&["centre.example.org:7443", "[2001:db8::1]:7443"]),
            Ok(())
        );
        for wrong in ["centre.example.org", ":7443", "centre:0", "centre:port", ""] {
            assert!(check(&["192.0.2.1:7443", wrong]).is_err(), "{wrong}");
        }
        assert!(check(&["a:1"; ADDRESSES_MAX]).is_ok());
        assert!(check(&["a:1"; ADDRESSES_MAX + 1]).is_err());
    }
}
