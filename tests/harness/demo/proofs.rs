//! The demo's proofs, from the stores of nodes that have stopped.
//!
//! Nothing here asks a node what it believes. What the nodes said while they ran is held against
//! what their stored changes, placements and statements give when they are added up anew.

use std::collections::{BTreeMap, BTreeSet};

use names::{DocumentId, EntryId, ScopeId};

use super::{
    handover::{FROM, TO},
    screen::{Screen, number},
    town::TOWN,
    week::Record,
};
use crate::service::{
    Service,
    proof::{self, DIRECTORY, Proof, Said},
    search::{count_in, unseal},
};

/// Shorter words might stand in a file by chance.
const SEARCHED_BYTES_MIN: usize = 10;

/// What the nodes say while they run.
#[derive(Debug, Default)]
pub struct Sayings {
    /// Of their digests, by name.
    said: BTreeMap<String, Said>,
    /// What a scraper is told by all of them.
    metrics: String,
}

/// Asks every node.
///
/// # Errors
/// When one does not answer.
pub fn ask_all(service: &Service) -> Result<Sayings, String> {
    let mut sayings = Sayings::default();
    for host in service.hosts() {
        let client = host.client()?;
        sayings
            .said
            .insert(host.name().to_owned(), proof::said(&client)?);
        sayings.metrics.push_str(&client.get("/metrics")?.text());
    }
    Ok(sayings)
}

/// Proves what there is to prove of a service that has stopped. Answers whether all of it holds.
///
/// # Errors
/// When a store cannot be read.
pub fn show(
    service: &Service,
    screen: &mut Screen,
    said: &Sayings,
    record: &Record,
) -> Result<bool, String> {
    let nodes = number(service.hosts().count());
    screen.heading(&format!(
        "The proofs, computed anew from the stored changes of {nodes} stopped nodes"
    ));
    let mut proofs = BTreeMap::new();
    for host in service.hosts() {
        screen.progress(&format!("  reading the store of {} ...", host.name()));
        let allowed = allowed(service, host.name())?;
        proofs.insert(host.name().to_owned(), proof::read(host, &allowed)?);
    }
    let centre = proofs
        .remove(service.centre.name())
        .ok_or("the centre has no proof")?;
    let mut verdicts = Verdicts {
        screen,
        holds: true,
    };
    for (name, edge) in &service.edges {
        let scope = format!("site:{}", edge.site);
        let own = proofs.get(*name).and_then(|proof| proof.scopes.get(&scope));
        let equal = own.is_some() && own == centre.scopes.get(&scope);
        let (digest, count) = own.map_or(("none", 0), |sum| (sum.digest.as_str(), sum.count));
        let words = format!("{scope:<15} {name:<16} = centre  {digest:.16}  {count:>3} documents");
        verdicts.add(equal, &words);
    }
    verdicts.directory(&centre, &proofs);
    verdicts.sayings(service, said, &centre, &proofs);
    verdicts.scopes(&centre, &proofs);
    verdicts.heads(&centre, &proofs);
    verdicts.handed_over(&centre, &proofs, record)?;
    verdicts.entries(&centre, record);
    verdicts.seal(service, record, &said.metrics)?;
    Ok(verdicts.holds)
}

/// The scopes that a node may read, from the town and not from the node: its site's, or at the
/// centre every site's.
///
/// # Errors
/// When a site's code is none.
pub fn allowed(service: &Service, name: &str) -> Result<BTreeSet<ScopeId>, String> {
    let own = service.edges.get(name).map(|edge| edge.site);
    let sites = TOWN.iter().map(|site| site.id);
    let sites = sites.filter(|site| own.is_none_or(|own| own == *site));
    sites.map(scope).collect()
}

/// A site's scope.
///
/// # Errors
/// When its code is none.
pub fn scope(site: &str) -> Result<ScopeId, String> {
    let scope = format!("site:{site}").parse();
    scope.map_err(|_| format!("{site} has no scope"))
}

struct Verdicts<'a> {
    screen: &'a mut Screen,
    holds: bool,
}

type Edges = BTreeMap<String, Proof>;

impl Verdicts<'_> {
    fn add(&mut self, holds: bool, words: &str) {
        self.holds &= holds;
        self.screen.verdict(holds, words);
    }

    fn directory(&mut self, centre: &Proof, edges: &Edges) {
        let own = centre.scopes.get(DIRECTORY);
        let agree = edges.values().all(|edge| edge.scopes.get(DIRECTORY) == own);
        let (digest, count) = own.map_or(("none", 0), |sum| (sum.digest.as_str(), sum.count));
        let nodes = number(edges.len() + 1);
        let words =
            format!("{DIRECTORY:<15} all {nodes} agree  {digest:.16}  {count:>3} statements");
        self.add(agree && count > 0, &words);
    }

    /// What each node said of the scopes it reads is what its store gives.
    fn sayings(&mut self, service: &Service, said: &Sayings, centre: &Proof, edges: &Edges) {
        let (mut digests, mut wrong) = (0, 0);
        for host in service.hosts() {
            let proof = edges.get(host.name()).unwrap_or(centre);
            let Some(said) = said.said.get(host.name()) else {
                wrong += 1;
                continue;
            };
            for (scope, sum) in &said.scopes {
                digests += 1;
                let same = match proof.scopes.get(scope) {
                    Some(found) => found == sum,
                    None => sum.count == 0,
                };
                wrong += usize::from(!same);
            }
        }
        let words = format!("all {digests} digests that the nodes gave are what their stores hold");
        self.add(wrong == 0 && digests > 0, &words);
    }

    fn scopes(&mut self, centre: &Proof, edges: &Edges) {
        let strays: usize = edges.values().map(|edge| edge.strays.len()).sum();
        let held: usize = edges.values().map(|edge| edge.heads.len()).sum();
        let words = format!(
            "no edge holds a document outside its scopes ({held} looked at; the centre has {})",
            centre.heads.len()
        );
        self.add(strays + centre.strays.len() == 0 && held > 0, &words);
    }

    fn heads(&mut self, centre: &Proof, edges: &Edges) {
        let pairs = edges.values().flat_map(|edge| &edge.heads);
        let (mut read, mut wrong) = (0, 0);
        for (document, heads) in pairs {
            read += 1;
            wrong += usize::from(centre.heads.get(document) != Some(heads));
        }
        let words = format!(
            "all {read} documents of the edges and all {} of the centre's load in the public \
             Automerge library, and where both have one, its heads are the same",
            centre.heads.len()
        );
        self.add(wrong == 0 && read > 0, &words);
    }

    /// The case that went to Bath stands there alone, and Devizes has nothing that was written in it.
    fn handed_over(
        &mut self,
        centre: &Proof,
        edges: &Edges,
        record: &Record,
    ) -> Result<(), String> {
        let of = |name| {
            edges
                .get(name)
                .ok_or_else(|| format!("{name} has no proof"))
        };
        let (from, to, case) = (of(FROM)?, of(TO)?, record.moved);
        let stands = BTreeSet::from([scope(TO)?]);
        let placed = [centre, from, to].map(|proof| proof.placed.get(&case) == Some(&stands));
        let is_there = centre.heads.contains_key(&case) && to.heads.contains_key(&case);
        let is_gone = !from.heads.contains_key(&case);
        self.add(
            placed == [true; 3] && is_there && is_gone,
            "the case that went to Bath stands there alone; Devizes' store has where it went, and \
             nothing that was written in it",
        );
        Ok(())
    }

    fn entries(&mut self, centre: &Proof, record: &Record) {
        let written: BTreeSet<(DocumentId, EntryId)> = record
            .written
            .values()
            .flatten()
            .map(|written| (written.document, written.entry))
            .collect();
        let missing = written.difference(&centre.entries).count();
        let words = format!(
            "all {} entries that were acknowledged anywhere are in the centre's store, each in \
             its document",
            written.len()
        );
        self.add(missing == 0 && !written.is_empty(), &words);
    }

    /// What was typed is in no file and no metric; without the seal the same search finds all of it.
    fn seal(&mut self, service: &Service, record: &Record, metrics: &str) -> Result<(), String> {
        let long = record
            .typed
            .iter()
            .filter(|words| words.len() >= SEARCHED_BYTES_MIN);
        let words: BTreeSet<&str> = long.map(String::as_str).collect();
        let leaked = count_in(service.folder.path(), &words)?
            + words
                .iter()
                .filter(|typed| metrics.contains(**typed))
                .count();
        let plain = service.folder.path().join("plain");
        std::fs::create_dir(&plain).map_err(|error| error.to_string())?;
        unseal(&service.centre, &plain.join("unsealed"))?;
        let found = count_in(&plain, &words)?;
        std::fs::remove_dir_all(&plain).map_err(|error| error.to_string())?;
        let (words_count, nodes) = (words.len(), number(service.hosts().count()));
        let words = format!(
            "{leaked} of {words_count} texts that people typed are in any store file, backup, log or \
             metric of the {nodes}; a copy of the centre's store without its seal has {found}"
        );
        self.add(leaked == 0 && found == words_count, &words);
        Ok(())
    }
}
