//! The whole service as real processes on this machine: the centre, its edges, and between them
//! a network that can be cut.
//!
//! Everything else in this harness is simulated; here nothing is but the network's faults. Ports
//! are free ones, data lies in a folder of the run's own, and every process ends with this one
//! (see [`warden`]). What the programs print and how their commands are spelt is known here and
//! in [`host`] and nowhere else.

pub mod binaries;
pub mod client;
pub mod copying;
pub mod devices;
pub mod folder;
pub mod handover;
pub mod host;
pub mod moment;
pub mod person;
pub mod process;
pub mod proof;
pub mod relay;
pub mod search;
pub mod town;
pub mod wait;
pub mod warden;

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};

use names::Moment;
use serde_json::Value;

use crate::chance::Chance;
use binaries::Binaries;
use client::Client;
use folder::Folder;
use host::Host;
use person::Person;
use relay::{Network, Passed, Relay};
use town::{Site, Town};
use warden::Warden;

/// How long everything may take to come to rest: a link that was cut is tried again within
/// seconds, one whose far side was killed at the next word.
pub const REST_MAX: Duration = Duration::from_secs(60);

/// An edge, and its way to the centre.
#[derive(Debug)]
pub struct Edge {
    /// The machine.
    pub host: Host,
    /// Its site's code.
    pub site: &'static str,
    /// Its way to the centre.
    pub relay: Relay,
}

/// The whole service. Fields fall in this order: processes first, their folder last.
#[derive(Debug)]
pub struct Service {
    warden: Warden,
    /// The centre's machine.
    pub centre: Host,
    /// The edges, by name.
    pub edges: BTreeMap<&'static str, Edge>,
    network: Network,
    binaries: &'static Binaries,
    filter: Option<&'static str>,
    seed: u64,
    /// The run's own folder.
    pub folder: Folder,
}

impl Service {
    /// Builds the programs, makes a centre with this town, enrols every edge and starts all.
    /// `tell` hears of every step.
    ///
    /// # Errors
    /// What did not work, in words.
    pub fn begin(
        name: &str,
        town: Town,
        seed: u64,
        tell: impl FnMut(&str),
    ) -> Result<Service, String> {
        Service::begin_logging(name, town, seed, None, tell)
    }

    /// The same, with nodes that log what a filter lets through.
    ///
    /// # Errors
    /// As [`Service::begin`].
    pub fn begin_logging(
        name: &str,
        town: Town,
        seed: u64,
        filter: Option<&'static str>,
        mut tell: impl FnMut(&str),
    ) -> Result<Service, String> {
        let binaries = Binaries::build()?;
        let folder = Folder::new(name)?;
        let warden = Warden::new()?;
        let centre = Host::new("centre", &binaries.server, folder.path());
        let centre = centre.logging(filter).kept_by(&warden);
        let mut service = Service {
            warden,
            centre,
            edges: BTreeMap::new(),
            network: Network::new()?,
            binaries,
            filter,
            seed,
            folder,
        };
        tell("centre");
        service
            .centre
            .command(&["init", "--name", "Ridgeway Outreach"])?;
        service.start_centre()?;
        for site in town {
            tell(site.id);
            service.add_site(site)?;
        }
        Ok(service)
    }

    /// Adds a site with its workers, and enrols and starts its edges.
    ///
    /// # Errors
    /// What did not work, in words.
    pub fn add_site(&mut self, site: &Site) -> Result<(), String> {
        self.centre
            .command(&["site", "add", site.id, "--name", site.name])?;
        for (worker, name, role) in site.workers {
            let words = ["worker", "add", worker, "--name", name];
            let more = ["--site", site.id, "--role", role];
            self.centre
                .command(&[words.as_slice(), more.as_slice()].concat())?;
        }
        site.edges
            .iter()
            .try_for_each(|edge| self.add_edge(site, edge))
    }

    /// Enrols one more edge of a site, and starts it.
    ///
    /// # Errors
    /// What did not work, in words.
    pub fn add_edge(&mut self, site: &Site, name: &'static str) -> Result<(), String> {
        let host = Host::new(name, &self.binaries.edge, self.folder.path());
        let host = host.logging(self.filter).kept_by(&self.warden);
        let relay = self.network.link_to(self.quic()?)?;
        // What the edge is told to dial is the relay.
        let address = relay.address().to_string();
        let said = self
            .centre
            .command(&["invite", "--site", site.id, "--address", &address])?;
        let code = said
            .get("code")
            .and_then(Value::as_str)
            .ok_or("an invitation without a code")?;
        host.command(&["enrol", code])?;
        self.edges.insert(
            name,
            Edge {
                host,
                site: site.id,
                relay,
            },
        );
        self.start_edge(name)
    }

    /// Starts a copy of an edge's files as an edge of its own, beside the one that it was made of:
    /// the same device, the same store, twice.
    ///
    /// # Errors
    /// What did not work, in words.
    pub fn add_clone(&mut self, of: &str, name: &'static str, files: &Path) -> Result<(), String> {
        let edge = self.edges.get(of).ok_or("no such edge")?;
        let host = Host::new(name, &self.binaries.edge, self.folder.path());
        let host = host.logging(self.filter).kept_by(&self.warden);
        let about = |error: std::io::Error| format!("{name}: {error}");
        fs::rename(files, host.data()).map_err(about)?;
        fs::copy(edge.host.key(), host.key()).map_err(about)?;
        // It dials what the edge dials; this link is its own in name only.
        let (site, relay) = (edge.site, self.network.link_to(self.quic()?)?);
        self.edges.insert(name, Edge { host, site, relay });
        self.start_edge(name)
    }

    /// An edge.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn edge(&mut self, name: &str) -> Result<&mut Edge, String> {
        self.edges
            .get_mut(name)
            .ok_or_else(|| format!("there is no edge called {name}"))
    }

    /// Starts the centre, wherever there are ports, and leads every link there.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_centre(&mut self) -> Result<(), String> {
        let words = ["--quic", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        self.centre.start(&self.warden, &words)?;
        let quic = self.quic()?;
        self.edges
            .values()
            .for_each(|edge| edge.relay.lead_to(quic));
        Ok(())
    }

    /// Where the running centre answers QUIC.
    ///
    /// # Errors
    /// When it is not running.
    pub fn quic(&self) -> Result<SocketAddr, String> {
        let quic = self.centre.started().and_then(|started| started.quic);
        quic.ok_or_else(|| "the centre does not say where it answers QUIC".to_owned())
    }

    /// Starts an edge.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_edge(&mut self, name: &str) -> Result<(), String> {
        let edge = self.edges.get_mut(name).ok_or("no such edge")?;
        edge.host.start(&self.warden, &["--http", "127.0.0.1:0"])?;
        Ok(())
    }

    /// Cuts an edge off: nothing passes its link any more, and its program starts anew on its side
    /// of the cut. A link that fails for a moment only delays QUIC, which sends again; here no
    /// conversation survives, as after days without a line.
    ///
    /// # Errors
    /// When it does not stop or start.
    pub fn cut_off(&mut self, name: &str) -> Result<(), String> {
        let edge = self.edge(name)?;
        edge.relay.cut();
        edge.host.stop()?;
        self.start_edge(name)
    }

    /// That an edge which was cut off and is in touch again lost something to the cut, and speaks
    /// with the centre in a conversation that began after `mended`.
    ///
    /// # Errors
    /// When it was no real cut.
    pub fn assert_rejoined(&self, name: &str, mended: Moment) -> Result<Passed, String> {
        let edge = self.edges.get(name).ok_or("no such edge")?;
        let passed = edge.relay.passed();
        let links = proof::said(&edge.host.client()?)?.links;
        if passed.dropped == 0 {
            return Err(format!("{name} lost nothing to the cut"));
        }
        if links.is_empty() || links.iter().any(|since| *since < mended) {
            return Err(format!("{name} speaks since {links:?}, mended {mended:?}"));
        }
        Ok(passed)
    }

    /// Stops every process, the edges first.
    ///
    /// # Errors
    /// When one does not stop well.
    pub fn stop(&mut self) -> Result<(), String> {
        for edge in self.edges.values_mut() {
            edge.host.stop()?;
        }
        self.centre.stop()
    }

    /// Every machine, the centre first.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.centre).chain(self.edges.values().map(|edge| &edge.host))
    }

    /// A worker at an edge, or at the centre; `who` tells streams of entry ids apart, so it must
    /// not be used twice in one run.
    ///
    /// # Errors
    /// When the node is not running.
    pub fn person(&mut self, at: &str, worker: &str, who: &str) -> Result<Person, String> {
        let client = self.client(at)?;
        Ok(Person::new(client, worker, Chance::new(self.seed, who)))
    }

    /// A client of an edge, or of the centre.
    ///
    /// # Errors
    /// When the node is not running.
    pub fn client(&self, at: &str) -> Result<Client, String> {
        if at == self.centre.name() {
            return self.centre.client();
        }
        self.edges
            .get(at)
            .ok_or_else(|| format!("there is no edge called {at}"))?
            .host
            .client()
    }

    /// Waits until every edge has the digest of its site and of the directory that the centre
    /// has, and nothing that was written anywhere waits for the centre.
    ///
    /// # Errors
    /// When they do not come to rest; which differ.
    pub fn rest(&self) -> Result<(), String> {
        wait::for_it("all nodes at rest", REST_MAX, || self.is_at_rest())
    }

    fn is_at_rest(&self) -> Result<(), String> {
        let centre = proof::said(&self.centre.client()?)?;
        for (name, edge) in &self.edges {
            let said = proof::said(&edge.host.client()?)?;
            if said.waiting > 0 {
                return Err(format!("{name} waits for the centre with {}", said.waiting));
            }
            for scope in [proof::DIRECTORY.to_owned(), format!("site:{}", edge.site)] {
                if said
                    .scopes
                    .get(&scope)
                    .is_none_or(|own| centre.scopes.get(&scope) != Some(own))
                {
                    return Err(format!("{name} and the centre differ in {scope}"));
                }
            }
        }
        Ok(())
    }
}
