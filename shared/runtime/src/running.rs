//! All parts put together: a node with its thread, its openers and its sockets.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::JoinHandle as Thread,
};

use node::{
    Node,
    store::{RedbStore, Sealed, Store, StoreError},
};
use quinn::{Endpoint, VarInt};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    certificate::{CertificateAuthority, CertificateError},
    driver::{Driver, Shown},
    enrol::Redeem,
    handle::Handle,
    hub::{Hub, Life, Whoami, lock},
    limits::{FLUSH_MAX, JOIN_MAX},
    material::Material,
    openers::Openers,
    quic::{self, BindError, Consult, Dialler, Gate, keep_dialling, keep_renewed, listen},
    shell, tls,
    tls::TlsError,
};

/// What a node needs to run.
pub struct Config<S = Sealed<RedbStore>> {
    /// Its store, opened.
    pub store: S,
    /// What the device is made of.
    pub material: Material,
    /// What it is for.
    pub role: Role,
}

/// What a node is for.
pub enum Role {
    /// The centre, which answers.
    Centre {
        /// Where it listens, by UDP.
        listen: SocketAddr,
        /// Who redeems enrolment tokens.
        enrol: Arc<dyn Redeem>,
    },
    /// A site's edge, which dials.
    Edge {
        /// Where the centre can be reached, as `host:port`, best first.
        centre: Vec<String>,
    },
}

impl<S> fmt::Debug for Config<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("material", &self.material)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Centre { listen, .. } => write!(f, "Centre({listen})"),
            Role::Edge { centre } => write!(f, "Edge({} addresses)", centre.len()),
        }
    }
}

/// Why a node could not be started.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The store failed.
    Store(StoreError),
    /// No endpoint could be opened.
    Bind(BindError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Store(error) => error.fmt(f),
            StartError::Bind(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Store(error)
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> StartError {
        StartError::Bind(error)
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> StartError {
        StartError::Bind(BindError::Tls(error))
    }
}

impl From<CertificateError> for StartError {
    fn from(error: CertificateError) -> StartError {
        TlsError::Certificate(error).into()
    }
}

/// A node without sockets: its thread and its openers.
pub(crate) struct Core<P> {
    pub(crate) hub: Arc<Hub>,
    openers: Arc<Openers<P>>,
    thread: Thread<()>,
}

/// A node that runs. Stop it with [`Running::stop`]; when it is dropped instead, it is asked to
/// stop and nobody waits for it.
pub struct Running {
    handle: Handle,
    hub: Arc<Hub>,
    sockets: Vec<Endpoint>,
    dialler: Option<Arc<Dialler>>,
    task: JoinHandle<()>,
    /// Ends the threads; taken once.
    join: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    address: Option<SocketAddr>,
}

/// Starts a node: opens it on its store, then its threads, then its sockets.
///
/// # Errors
/// [`StartError`] says what is in the way and what to do.
pub async fn start<S: Store>(config: Config<S>) -> Result<Running, StartError> {
    let Config {
        store,
        material,
        role,
    } = config;
    // Before anything is opened: certificates that do not fit should cost nothing.
    let ready = Ready::new(&material, role)?;
    let opened = tokio::task::spawn_blocking(move || {
        let opened = open(store, &material);
        (opened, material)
    });
    let (opened, material) = opened.await.map_err(|_| StoreError::Dead)?;
    let (core, handle) = opened?;
    let hub = Arc::clone(&core.hub);
    let (task, sockets, dialler, address) = match ready {
        Ready::Listens(endpoint, gate) => {
            let address = endpoint.local_addr().ok();
            let task = tokio::spawn(listen(endpoint.clone(), Arc::clone(&hub), gate));
            (task, vec![endpoint], None, address)
        }
        Ready::Dials(dialler, centre) => {
            let (main, own) = (Arc::clone(&dialler), handle.clone());
            let consult = Consult::new(&material, centre.clone(), main, own, Arc::clone(&hub))?;
            let consult = Arc::new(consult);
            let renewing = keep_renewed(Arc::clone(&consult));
            let dialling = keep_dialling(Arc::clone(&dialler), centre, Arc::clone(&hub), consult);
            let dialling = async {
                tokio::join!(dialling, renewing);
            };
            (tokio::spawn(dialling), Vec::new(), Some(dialler), None)
        }
    };
    let join = Mutex::new(Some(
        Box::new(move || core.join()) as Box<dyn FnOnce() + Send>
    ));
    Ok(Running {
        handle,
        hub,
        sockets,
        dialler,
        task,
        join,
        address,
    })
}

/// A role whose certificates fit, and whose address is free.
enum Ready {
    Listens(Endpoint, Gate),
    Dials(Arc<Dialler>, Vec<String>),
}

impl Ready {
    fn new(material: &Material, role: Role) -> Result<Ready, StartError> {
        let Material { device, ca, .. } = material;
        match role {
            Role::Centre { listen, enrol } => {
                let config = tls::server(device, &own_chain(material)?, ca)?;
                let gate = Gate {
                    ca: ca.as_slice().into(),
                    authority: enrol,
                };
                Ok(Ready::Listens(quic::bind(listen, device, config)?, gate))
            }
            Role::Edge { centre } => {
                let config = tls::client(device, &material.chain, ca)?;
                let dialler = Dialler::new(quic::client_config(config)?);
                Ok(Ready::Dials(Arc::new(dialler), centre))
            }
        }
    }
}

/// The centre's certificate: made anew at each start, since the authority is at hand, so that it
/// never runs out; or the one that was kept.
fn own_chain(material: &Material) -> Result<Vec<Vec<u8>>, StartError> {
    let Some(keys) = &material.keys else {
        return Ok(material.chain.clone());
    };
    let authority = CertificateAuthority::open(&keys.ca, material.ca.clone())?;
    Ok(vec![
        authority.issue_centre(&material.device.public(), shell::now())?,
    ])
}

pub(crate) fn open<S: Store>(
    store: S,
    material: &Material,
) -> Result<(Core<S::Snapshot>, Handle), StoreError> {
    let node = Node::open(
        store,
        material.identity(),
        &material.statements,
        shell::now(),
        shell::entropy(),
    )?;
    let whoami = Whoami {
        device: node.device(),
        store: node.store_id(),
        incarnation: node.incarnation(),
    };
    let hub = Arc::new(Hub::new(whoami, node.verifier(), node.directory()));
    let openers = Arc::new(Openers::start(&hub.mailbox)?);
    let (thread, shown): (_, Shown<S>) =
        Driver::start(node, Arc::clone(&hub), Arc::clone(&openers))?;
    let handle = Handle::new::<S>(Arc::clone(&hub), shown, Arc::clone(&openers));
    tracing::info!(device = %whoami.device, store = %whoami.store, "the node is open");
    Ok((
        Core {
            hub,
            openers,
            thread,
        },
        handle,
    ))
}

impl<P: node::store::Snapshot> Core<P> {
    /// Waits for the threads to end.
    pub(crate) fn join(self) {
        // A panic there was told when it happened.
        let _ = self.thread.join();
        self.openers.stop();
    }
}

impl Running {
    /// A way to the node.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where the node listens by QUIC, if it does.
    pub fn quic_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Waits until the node has ended, by itself or because it was asked to; says how.
    pub async fn ended(&self) -> Life {
        let mut life = self.hub.life.subscribe();
        let ended = life
            .wait_for(|life| !matches!(life, Life::Running | Life::Stopping))
            .await;
        ended.map_or(Life::Stopped, |life| *life)
    }

    /// Stops: takes nothing new, finishes what it has, lets what was said reach its peers for
    /// some seconds, and waits for the threads, though not for ever. A thread that does not end
    /// keeps tokio's own runtime from ending too: end that by its `shutdown_timeout`.
    pub async fn stop(self) {
        // What is dialled and not heard of needs no goodbye.
        let in_touch = !self.hub.links().is_empty();
        self.handle.stop();
        if timeout(JOIN_MAX, self.ended()).await.is_err() {
            tracing::error!("the node's thread does not end; leaving without it");
        }
        self.flush(in_touch).await;
        self.task.abort();
        let join = lock(&self.join).take();
        if let Some(join) = join {
            let joined = timeout(JOIN_MAX, tokio::task::spawn_blocking(join)).await;
            if joined.is_err() {
                tracing::error!("a thread does not end; leaving without it");
            }
        }
        tracing::info!("stopped");
    }

    /// Lets conversations end by themselves for a while, then closes the sockets. `in_touch` says
    /// whether anybody who was dialled may hear it.
    async fn flush(&self, in_touch: bool) {
        let over = async {
            while !self.hub.links().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(FLUSH_MAX, over).await;
        let dialling = self.dialler.iter().flat_map(|dialler| dialler.endpoints());
        let dialling = dialling.map(|socket| (socket, in_touch));
        let listening = self.sockets.iter().cloned().map(|socket| (socket, true));
        for (socket, heard) in listening.chain(dialling) {
            let stopping = node::names::Reason::Stopping;
            socket.close(
                VarInt::from_u32(u32::from(stopping.code())),
                stopping.name().as_bytes(),
            );
            if heard {
                let _ = timeout(FLUSH_MAX, socket.wait_idle()).await;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        self.task.abort();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.hub.whoami.device)
    }
}
