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
        folder::{self, Reached},
        inspect,
        service::{self, Commands, Ready, Surface},
    },
};
use node::{
    names::{DocumentId, SiteId},
    protocol::{DeviceKey, enrol::EnrolmentCode},
};
use runtime::{
    Config as NodeConfig, FolderLock, Handle, KeySource, Material, Role, Running, shell,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::{config::Config, http};

/// What came of an enrolment.
pub(crate) struct Enrolled {
    /// Where the edge stands.
    pub(crate) site: Option<SiteId>,
    /// Its device.
    pub(crate) device: String,
    /// Whether its key file was made.
    pub(crate) made_key: bool,
}

/// Makes this machine known to the centre, and its store.
///
/// # Errors
/// When there is a store already, the code is not taken, or the store cannot be made.
pub(crate) fn enrol(
    data: &Path,
    key: &KeySource,
    code: &EnrolmentCode,
    name: &str,
) -> Result<Enrolled, Failure> {
    // The folder comes first: a code is used up by the attempt.
    let lock = folder::take_new(data)?;
    let device = DeviceKey::from_seed(&shell::entropy());
    let answer = runtime()?.block_on(runtime::enrol(code, &device, name))?;
    let site = answer.site.clone();
    let id = device.device_id().to_string();
    let material = Material::enrolled(device, answer, code.addresses.clone());
    let made_key = folder::create(&lock, key, &material)?;
    Ok(Enrolled {
        site,
        device: id,
        made_key,
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
    runtime()?.block_on(async {
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
    runtime()?.block_on(async {
        let Config {
            http,
            centre,
            general,
        } = config;
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
        service::run(lock, running, surface, ready).await
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
    Ok(runtime::start(NodeConfig {
        store,
        material,
        role,
    })
    .await?)
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// Answers commands.
struct Desk {
    node: Handle,
    data: PathBuf,
}

impl Desk {
    async fn answer(&self, ask: Ask) -> Result<Value, Failure> {
        match ask {
            Ask::Status => inspect::status(&self.node).await,
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
