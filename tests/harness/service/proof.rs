//! What nodes say of their digests, and what their stores prove once they have stopped.
//!
//! A running node keeps its digests as it goes. The proof opens its store without it and computes
//! them again from the stored changes and placements ([`Evidence`]); it reads every document through the public
//! Automerge library alone; and it looks for documents that the node had no right to hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use automerge::Automerge;
use names::{DocumentId, EntryId, Moment, ScopeId};
use node::{Opener, views};
use protocol::{
    codec,
    directory::{Directory, SignedStatement},
};
use runtime::{KeySource, Material, shell};
use serde_json::Value;
use store::{Config, Epochs, RedbStore, Sealed, Snapshot, Store, Table, each};

use super::{client::Client, host::Host};
use crate::evidence::Evidence;

/// The directory's scope.
pub const DIRECTORY: &str = "directory";

/// Documents held open at once.
const OPEN_MAX: usize = 16;

/// The digest of a scope, and what it is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sum {
    /// As hexadecimal digits.
    pub digest: String,
    /// Documents, or statements of the directory.
    pub count: u64,
}

/// What a running node says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// Per scope.
    pub scopes: BTreeMap<String, Sum>,
    /// Entries written there that the centre has not yet said it holds.
    pub waiting: u64,
    /// Since when each of its conversations goes on.
    pub links: Vec<Moment>,
}

/// Asks a running node.
///
/// # Errors
/// When it does not answer, or not as it should.
pub fn said(client: &Client) -> Result<Said, String> {
    let view = client.get_json("/api/v1/sync")?;
    read_said(&view).ok_or_else(|| "a sync view of another form".to_owned())
}

fn read_said(view: &Value) -> Option<Said> {
    let mut scopes = BTreeMap::new();
    for scope in view.get("scopes")?.as_array()? {
        let digest = scope.get("digest")?.as_str()?.to_owned();
        let sum = Sum {
            digest,
            count: scope.get("count")?.as_u64()?,
        };
        scopes.insert(scope.get("scope")?.as_str()?.to_owned(), sum);
    }
    let links = view.get("links")?.as_array()?.iter();
    let since = links.map(|link| link.get("since")?.as_i64().map(Moment));
    Some(Said {
        scopes,
        waiting: view.get("waiting")?.as_u64()?,
        links: since.collect::<Option<Vec<Moment>>>()?,
    })
}

/// What the store of a stopped node holds, read without the node: signed placements and changes
/// as they were stored, and everything else worked out from them anew.
#[derive(Debug, Default)]
pub struct Proof {
    /// Per scope, recomputed from stored changes, placements and statements.
    pub scopes: BTreeMap<String, Sum>,
    /// Documents that stand in none of the scopes that the node may read.
    pub strays: Vec<DocumentId>,
    /// Where every document stands.
    pub placed: BTreeMap<DocumentId, BTreeSet<ScopeId>>,
    /// Every document's heads, as the public Automerge library finds them.
    pub heads: BTreeMap<DocumentId, BTreeSet<String>>,
    /// Every entry that the public Automerge library finds, and where.
    pub entries: BTreeSet<(DocumentId, EntryId)>,
}

/// Reads the store of a stopped node, which may read the scopes in `allowed`, whatever the node
/// itself believes.
///
/// # Errors
/// What is not as it should be.
pub fn read(host: &Host, allowed: &BTreeSet<ScopeId>) -> Result<Proof, String> {
    let store = open(host)?;
    let wrong = |what: String| format!("{}: {what}", host.name());
    let material = Material::load(&store).map_err(|error| wrong(error.to_string()))?;
    let snapshot = store.snapshot().map_err(|error| wrong(error.to_string()))?;
    let mut proof = Proof::default();
    let directory = directory(&snapshot, &material).map_err(wrong)?;
    let digest = directory.digest().to_string();
    proof.scopes.insert(
        DIRECTORY.to_owned(),
        Sum {
            digest,
            count: directory.count(),
        },
    );
    let evidence = Evidence::read(&snapshot).map_err(|error| wrong(error.to_string()))?;
    if !evidence.unreadable.is_empty() {
        return Err(wrong(evidence.unreadable.join(", ")));
    }
    add_up(&snapshot, &evidence, &mut proof).map_err(wrong)?;
    let documents = evidence.documents().iter();
    let placed = documents.clone();
    let placed = placed.map(|(document, found)| (*document, found.scopes().clone()));
    proof.placed = placed.collect();
    // Of what was handed over the placements stay, and nothing that anybody wrote.
    let strays = documents
        .filter(|(_, found)| found.scopes().is_disjoint(allowed) && !found.changes.is_empty());
    proof.strays = strays.map(|(document, _)| *document).collect();
    read_documents(&snapshot, &evidence, &mut proof).map_err(wrong)?;
    Ok(proof)
}

/// The digest of every scope in which a document stands. What the node's own code computes from
/// the same rows must be the same.
fn add_up<P: Snapshot>(snapshot: &P, evidence: &Evidence, proof: &mut Proof) -> Result<(), String> {
    let found = evidence.documents().values();
    let scopes: BTreeSet<ScopeId> = found.flat_map(|found| found.scopes().clone()).collect();
    let recomputed = views::recompute(snapshot).map_err(|error| error.to_string())?;
    for scope in scopes.iter().chain(recomputed.keys()) {
        let (digest, count) = evidence.digest(scope);
        let again = recomputed.get(scope).map(|sum| (sum.digest, sum.count));
        if again != Some((digest, count)) {
            return Err(format!("the node computes another digest of {scope}"));
        }
        let digest = digest.to_string();
        proof
            .scopes
            .insert(scope.to_string(), Sum { digest, count });
    }
    Ok(())
}

/// The store of a stopped node, unsealed with the key from its key file.
///
/// # Errors
/// When it cannot be opened.
pub fn open(host: &Host) -> Result<Sealed<RedbStore>, String> {
    let wrong = |what: String| format!("{}: {what}", host.name());
    let key = KeySource::File(host.key()).open(host.data());
    let key = key.map_err(|error| wrong(error.to_string()))?;
    let epochs = Epochs::open_file(&host.data().join("epoch.keys"), &key);
    let epochs = epochs.map_err(|error| wrong(error.to_string()))?;
    let file = store_file(host.data())?;
    let inner = RedbStore::open_file(&file, Config::default());
    let inner = inner.map_err(|error| wrong(error.to_string()))?;
    let store = Sealed::open(inner, &key, epochs, Box::new(shell::fill));
    store.map_err(|error| wrong(error.to_string()))
}

/// The file of a node's store.
///
/// # Errors
/// When there is none in the folder.
pub fn store_file(data: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    let found = paths.find(|path| {
        path.extension()
            .is_some_and(|extension| extension == "redb")
    });
    found.ok_or_else(|| format!("no store in {}", data.display()))
}

/// The directory, admitted anew from its stored statements, each checked as if it came from a
/// peer.
fn directory<P: Snapshot>(snapshot: &P, material: &Material) -> Result<Directory, String> {
    let mut directory = Directory::new(material.tenant, material.authority);
    let mut problem = None;
    let damaged = each(snapshot, Table::Statement, |row| {
        let admitted = codec::decode::<SignedStatement>(&row.value)
            .and_then(|statement| directory.admit(&statement));
        problem = problem.or(admitted.err());
    });
    match (damaged, problem) {
        (Ok(0), None) => Ok(directory),
        (Ok(0), Some(reason)) => Err(format!("a stored statement is refused: {reason}")),
        (Ok(rows), _) => Err(format!("{rows} rows of statements are damaged")),
        (Err(error), _) => Err(error.to_string()),
    }
}

fn read_documents<P: Snapshot>(
    snapshot: &P,
    evidence: &Evidence,
    proof: &mut Proof,
) -> Result<(), String> {
    let mut opener = Opener::new(OPEN_MAX);
    let held = evidence.documents().iter();
    let held = held.filter(|(_, found)| !found.changes.is_empty());
    for document in held.map(|(document, _)| *document) {
        let file = opener.export(snapshot, document);
        let file = file.map_err(|reason| format!("{document} cannot be exported: {reason}"))?;
        let public = Automerge::load(&file);
        let public = public.map_err(|_| format!("{document} cannot be loaded by Automerge"))?;
        let heads = public.get_heads().iter().map(ToString::to_string).collect();
        proof.heads.insert(document, heads);
        let pages = crate::reader::read(&file);
        let pages = pages.map_err(|problem| format!("{document}: {problem}"))?;
        let entries = pages.entries.into_keys().map(|entry| (document, entry));
        proof.entries.extend(entries);
    }
    Ok(())
}
