//! One site's edge: parts put together.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use api::{
    Record,
    program::{
        Failure, export,
        folder::{self, Begun, ENROL_AGAIN_MS, Reached},
        inspect, leave,
        process::{Stop, block_on},
        service::{self, Commands, Ready, Surface},
    },
};
use node::{
    names::{DocumentId, Moment, SiteId},
    protocol::enrol::{EnrolAnswer, EnrolmentCode},
};
use runtime::{
    Config as NodeConfig, FolderLock, Handle, KeySource, Material, Role, Running, shell,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{config::Config, http};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What came of an enrolment.
pub(crate) struct Enrolled {
    /// Where the edge stands.
    pub(crate) site: Option<SiteId>,
    /// Its device.
    pub(crate) device: String,
}

/// Makes this machine known to the centre, as the device that was begun in its folder.
///
/// # Errors
/// When the code is not taken, or the answer cannot be kept. The device stays begun, and the same
/// code lets it in again.
pub(crate) fn enrol(begun: Begun, code: &EnrolmentCode, name: &str) -> Result<Enrolled, Failure> {
    let Begun {
        lock,
        mut store,
        device,
        before,
        made_key: _,
    } = begun;
    let answer = block_on(async { Ok(runtime::enrol(code, &device, name).await?) })?;
    let enrolled = Enrolled {
        site: answer.site.clone(),
        device: device.device_id().to_string(),
    };
    let material = match before {
        None => Material::enrolled(device, answer, code.addresses.clone()),
        Some(before) => again(before, answer, code.addresses.clone())?,
    };
    material.save(&mut store)?;
    store.into_inner().close()?;
    drop(lock);
    Ok(enrolled)
}

/// What a device is made of that was enrolled again: another certificate, perhaps another way to
/// the centre, and all else as it was.
fn again(before: Material, answer: EnrolAnswer, centre: Vec<String>) -> Result<Material, Failure> {
    let same = (before.tenant, before.authority, &before.site)
        == (answer.tenant, answer.authority, &answer.site);
    if !same {
        return Err(Failure::refused(
            "the code is another organisation's or another site's than this folder's device: ask \
             for one of its own site",
        ));
    }
    Ok(Material {
        chain: answer.chain,
        ca: answer.ca,
        centre,
        ..before
    })
}

/// All that can be asked of an edge on the command line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// How far it agrees with the centre.
    Status,
    /// Whether its digests hold.
    Verify,
    /// One document, under this name in the folder.
    Export { document: DocumentId, name: String },
}

/// Carries one command out, by the running edge if there is one.
///
/// # Errors
/// Why it was not carried out.
pub(crate) fn once(data: &Path, key: &KeySource, ask: Ask) -> Result<Value, Failure> {
    let lock = match folder::reach(data, &ask)? {
        Reached::Held(lock) => lock,
        Reached::Told(answer) => return Ok(answer),
    };
    if matches!(ask, Ask::Verify) {
        folder::check(&lock, key)?;
    }
    block_on(async {
        // A command calls nobody: what is missing here comes when the edge runs.
        let running = start(&lock, key, |_| Vec::new()).await?;
        let desk = Desk {
            node: running.handle(),
            data: data.to_owned(),
        };
        let answer = desk.answer(ask).await;
        running.stop().await;
        answer
    })
}

/// Runs until it is asked to stop.
///
/// # Errors
/// What ended it otherwise.
pub(crate) fn run(
    data: &Path,
    key: &KeySource,
    config: Config,
    ready: impl FnOnce(&Ready),
) -> Result<(), Failure> {
    let lock = folder::take(data)?;
    block_on(async {
        let stop = Stop::listen()?;
        let Config {
            http,
            centre,
            general,
        } = config;
        let elsewhere = centre.clone();
        let running = start(&lock, key, |enrolled| {
            if centre.is_empty() { enrolled } else { centre }
        });
        let running = running.await?;
        let record: Arc<dyn Record> = Arc::new(running.handle());
        let surface = Surface {
            http,
            hosts: general.hosts,
            router: Box::new(|access| http::router(record, access)),
            commands: Arc::new(Desk {
                node: running.handle(),
                data: data.to_owned(),
            }),
        };
        let node = running.handle();
        let served = service::run(lock, running, surface, stop, ready).await;
        match node.leaving() {
            Some(leaving) => Err(leave::leave(data, key, leaving, &elsewhere).await),
            None => served,
        }
    })
}

/// Starts the node. `centre` says where to call, given where the centre was at enrolment.
async fn start(
    lock: &FolderLock,
    key: &KeySource,
    centre: impl FnOnce(Vec<String>) -> Vec<String>,
) -> Result<Running, Failure> {
    let (store, material) = folder::open(lock, key)?;
    if material.keys.is_some() {
        return Err(Failure::usage(
            "this folder belongs to a centre: use ridgeway-server, or another folder",
        ));
    }
    export::clear_spool(lock.path());
    let role = Role::Edge {
        centre: centre(material.centre.clone()),
    };
    let certificate_ends = material.certificate_ends(shell::now());
    if let Some(warning) = certificate_warning(certificate_ends, shell::now()) {
        tracing::warn!("{warning}");
    }
    let running = runtime::start(NodeConfig {
        store,
        material,
        role,
    });
    Ok(running.await?)
}

/// What an operator must know of the device's certificate, if anything.
fn certificate_warning(ends: Option<Moment>, now: Moment) -> Option<String> {
    let then = "the centre renews it by itself while they are in touch; if it does not, stop the \
                edge, and run `enrol` in its folder with a new code";
    match ends {
        Some(end) if end > now.plus_ms(ENROL_AGAIN_MS) => None,
        Some(end) if end > now => {
            let days = (end.0 - now.0) / DAY_MS;
            Some(format!(
                "this edge's certificate ends in {days} days: {then}"
            ))
        }
        Some(_) | None => Some(format!(
            "this edge's certificate has ended (or this machine's clock is wrong), so the centre \
             lets it in to renew it and no further: {then}"
        )),
    }
}

/// Answers commands.
struct Desk {
    node: Handle,
    data: PathBuf,
}

impl Desk {
    async fn answer(&self, ask: Ask) -> Result<Value, Failure> {
        match ask {
            Ask::Status => {
                let mut status = inspect::status(&self.node).await?;
                let ends = self.node.certificate_ends();
                let warnings = Vec::from_iter(certificate_warning(ends, shell::now()));
                if let Some(fields) = status.as_object_mut() {
                    fields.insert("certificate_ends".to_owned(), json!(ends));
                    fields.insert("warnings".to_owned(), json!(warnings));
                }
                Ok(status)
            }
            Ask::Verify => inspect::verify(&self.node).await,
            Ask::Export { document, name } => {
                let bytes = export::to_spool(&self.node, &self.data, document, &name).await?;
                Ok(json!({ "document": document, "bytes": bytes }))
            }
        }
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
                    "the running edge does not know this command: both must be of the same version",
                )
            })?;
            self.answer(ask).await
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_told_in_time() {
        let now = Moment(1_000);
        let warned = |days: i64| certificate_warning(Some(now.plus_ms(days * DAY_MS)), now);
        assert_eq!(warned(15), None);
        assert!(warned(13).unwrap().contains("in 13 days"));
        assert!(warned(-1).unwrap().contains("has ended"));
        assert!(
            certificate_warning(None, now)
                .unwrap()
                .contains("has ended")
        );
    }
}
