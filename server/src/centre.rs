//! The centre: parts put together.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use api::{
    Record,
    program::{
        Failure, check_name, export,
        folder::{self, Reached},
        process::{Stop, block_on},
        service::{self, Ready, Surface},
    },
};
use node::{backup::is_restored, store::Store as _};
use runtime::{Config as NodeConfig, FolderLock, KeySource, Role, Running, backup::RecoveryKey};
use serde_json::Value;

use crate::{
    authority::{self, Authority},
    backup::{self, Backups},
    config::Config,
    desk::{Ask, Desk},
    http,
};

/// Makes a new organisation in a folder; answers whether its key file was made too. The private
/// half of its recovery key goes into the file `recovery`, and nowhere else.
///
/// # Errors
/// When there is a store already, or it cannot be made; then the recovery file is not there either.
pub(crate) fn init(
    data: &Path,
    key: &KeySource,
    name: &str,
    recovery: &Path,
) -> Result<bool, Failure> {
    check_name(name)?;
    let lock = folder::take_new(data)?;
    let material = authority::found(name)?;
    let drawn = RecoveryKey::draw(material.tenant, material.authority);
    drawn.write(recovery, data)?;
    let created = folder::create(&lock, key, &material, &drawn.public());
    if created.is_err() {
        // It opens nothing.
        let _ = std::fs::remove_file(recovery);
    }
    created
}

/// A centre that has been started.
pub(crate) struct Centre {
    pub(crate) running: Running,
    pub(crate) authority: Arc<Authority>,
}

impl Centre {
    pub(crate) async fn start(
        lock: &FolderLock,
        key: &KeySource,
        listen: SocketAddr,
    ) -> Result<Centre, Failure> {
        let (store, material) = folder::open(lock, key)?;
        export::clear_spool(lock.path());
        backup::clear_spool(lock.path());
        let restored = is_restored(&store.snapshot()?)?;
        let authority = Arc::new(Authority::new(&material)?);
        let enrol = Arc::clone(&authority);
        let role = Role::Centre { listen, enrol };
        let running = runtime::start(NodeConfig {
            store,
            material,
            role,
        })
        .await?;
        authority.attach(running.handle(), lock.path(), restored)?;
        tokio::spawn(authority::rule(Arc::clone(&authority), running.handle()));
        Ok(Centre { running, authority })
    }

    fn desk(&self, data: &Path, addresses: Vec<String>) -> Desk {
        Desk {
            authority: Arc::clone(&self.authority),
            node: self.running.handle(),
            data: data.to_owned(),
            addresses,
            backups: Backups::default(),
        }
    }
}

/// Carries one command out, by the running centre if there is one. Where edges reach the centre
/// is taken from the configuration; a running centre knows its own.
///
/// # Errors
/// Why it was not carried out.
pub(crate) fn once(
    data: &Path,
    key: &KeySource,
    config: &Config,
    ask: Ask,
) -> Result<Value, Failure> {
    let lock = match folder::reach(data, &ask)? {
        Reached::Held(lock) => lock,
        Reached::Told(answer) => return Ok(answer),
    };
    if matches!(ask, Ask::Verify) {
        folder::check(&lock, key)?;
    }
    block_on(async {
        // Nobody is told of this address: the node needs one, and the command nobody's call.
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let centre = Centre::start(&lock, key, nowhere).await?;
        let addresses = reachable(&config.addresses, config.quic);
        let answer = centre.desk(data, addresses).answer(ask).await;
        centre.running.stop().await;
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
        let centre = Centre::start(&lock, key, config.quic).await?;
        let quic = centre.running.quic_addr().unwrap_or(config.quic);
        let desk = Arc::new(centre.desk(data, reachable(&config.addresses, quic)));
        let asked = Arc::clone(&desk);
        let record: Arc<dyn Record> = Arc::new(centre.running.handle());
        let surface = Surface {
            http: config.http,
            hosts: config.general.hosts,
            router: Box::new(|access| http::router(record, access, asked)),
            commands: desk,
        };
        service::run(lock, centre.running, surface, stop, ready).await
    })
}

/// Where edges reach the centre: as configured, or where it listens if that is one address.
fn reachable(configured: &[String], listens: SocketAddr) -> Vec<String> {
    let one_address = !listens.ip().is_unspecified() && listens.port() != 0;
    match configured {
        [] if one_address => vec![listens.to_string()],
        configured => configured.to_vec(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use std::{env, fs, path::PathBuf};

    use node::names::StoreId;
    use runtime::shell;

    use super::*;

    /// A new organisation's centre, running in a folder of its own that goes with it.
    pub(crate) struct Started {
        pub(crate) centre: Centre,
        pub(crate) folder: PathBuf,
        _lock: FolderLock,
    }

    impl Started {
        pub(crate) async fn new() -> Started {
            let folder = env::temp_dir().join(format!("ridgeway-{}", StoreId(shell::entropy())));
            fs::create_dir(&folder).unwrap();
            let data = folder.join("centre");
            let key = KeySource::File(folder.join("centre.key"));
            let recovery = folder.join("centre.recovery");
            init(&data, &key, "Our Trust", &recovery).unwrap();
            let lock = folder::take(&data).unwrap();
            let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let centre = Centre::start(&lock, &key, nowhere).await.unwrap();
            Started {
                centre,
                folder,
                _lock: lock,
            }
        }
    }

    impl Drop for Started {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn an_address_that_leads_nowhere_is_not_told() {
        let at = |text: &str| {
            text.parse()
                .unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)))
        };
        assert_eq!(reachable(&[], at("192.0.2.1:7443")), ["192.0.2.1:7443"]);
        assert_eq!(reachable(&[], at("0.0.0.0:7443")), Vec::<String>::new());
        assert_eq!(reachable(&[], at("127.0.0.1:0")), Vec::<String>::new());
        let configured = ["centre.example.org:7443".to_owned()];
        assert_eq!(reachable(&configured, at("0.0.0.0:7443")), configured);
    }
}
