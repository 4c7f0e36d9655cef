//! What is on a disk, read without the node: signed placements and bundles as they were stored, and
//! everything else worked out from them anew.

use std::collections::{BTreeMap, BTreeSet};

use document::{genesis, preflight};
use names::{ActorId, ChangeHash, DeviceId, DocumentId, EntryId, Kind, Reason, ScopeId};
use node::bundle;
use protocol::{
    Digest, Frame, LtHash, Placement, PlacementId, SignedPlacement, SignedStatement, Statement,
    bundle::{Bundle, Closing},
    codec,
    digest::{document_element, left_element},
    directory::Issue,
    message::Batch,
    placement::{standing, stands},
};
use store::{Row, Snapshot, StoreError, Table};

/// A document as its chunks and placements tell it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    placements: BTreeMap<PlacementId, Placement>,
    /// Where these put it, with the rulings that are on the same disk.
    scopes: BTreeSet<ScopeId>,
    /// Hashes of its changes.
    pub changes: BTreeSet<ChangeHash>,
    /// How far each author's line goes.
    pub lines: BTreeMap<ActorId, u64>,
    built_on: BTreeSet<ChangeHash>,
    /// The changes as they were stored, by where they stand.
    pub chunks: BTreeMap<u64, Vec<Vec<u8>>>,
}

/// Everything on one disk.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    documents: BTreeMap<DocumentId, Found>,
    /// What revoked devices have handed in and nobody has let in, at the centre.
    pub handed_in: BTreeSet<(DocumentId, ChangeHash)>,
    /// The placements that are in the same parts.
    pub placed_late: BTreeSet<PlacementId>,
    /// What could not be read.
    pub unreadable: Vec<String>,
}

impl Found {
    /// The kind its placements give.
    pub fn kind(&self) -> Option<Kind> {
        self.placements
            .values()
            .map(|placement| placement.kind)
            .next()
    }

    /// Placements that no other supersedes.
    fn standing(&self) -> Vec<PlacementId> {
        standing(&self.placements).into_iter().collect()
    }

    /// The scopes it stands in.
    pub fn scopes(&self) -> &BTreeSet<ScopeId> {
        &self.scopes
    }

    /// The scopes that any of its placements names.
    pub fn ever_in(&self) -> BTreeSet<ScopeId> {
        let claims = self.placements.values();
        claims.flat_map(|claim| claim.scopes.clone()).collect()
    }

    /// The placements that follow one that names a scope, and do not name it.
    fn exits(&self, scope: &ScopeId) -> BTreeSet<PlacementId> {
        let named: BTreeSet<Option<PlacementId>> = self
            .placements
            .iter()
            .filter(|(_, placement)| placement.scopes.contains(scope))
            .map(|(id, _)| Some(*id))
            .collect();
        let leaves = |placement: &Placement| {
            named.contains(&placement.previous) && !placement.scopes.contains(scope)
        };
        let exits = self.placements.iter().filter(|(_, p)| leaves(p));
        exits.map(|(id, _)| *id).collect()
    }

    /// Changes that no other builds on; genesis alone when there are none.
    pub fn heads(&self) -> Vec<ChangeHash> {
        if self.changes.is_empty() {
            let fixed = self.kind().and_then(genesis::genesis);
            return fixed.map(|fixed| fixed.hash).into_iter().collect();
        }
        self.changes.difference(&self.built_on).copied().collect()
    }
}

impl Evidence {
    /// Reads a store.
    ///
    /// # Errors
    /// When it cannot be read at all; single bad rows are listed in `unreadable`.
    pub fn read<P: Snapshot>(snapshot: &P) -> Result<Evidence, StoreError> {
        let mut evidence = Evidence::default();
        let damaged = store::each(snapshot, Table::Placement, |row| evidence.placement(&row))?
            + store::each(snapshot, Table::Bundle, |row| evidence.bundle(&row))?;
        if damaged > 0 {
            evidence.unreadable.push(format!("{damaged} rows"));
        }
        store::each(snapshot, Table::Review, |row| {
            // The first row says which parts there are.
            if row.position > 0 {
                let changes = changes_of(&row.value).into_iter();
                let changes = changes.map(|(document, _, _, hash)| (document, hash));
                evidence.handed_in.extend(changes);
                evidence.placed_late.extend(placements_of(&row.value));
            }
        })?;
        let mut rulings: Vec<_> = Vec::new();
        store::each(snapshot, Table::Statement, |row| {
            let signed = codec::decode::<SignedStatement>(&row.value);
            match signed.and_then(|signed| signed.claim()) {
                Ok(Issue {
                    at,
                    number,
                    statement: Statement::Ruling(ruling),
                    ..
                }) => rulings.push((at, number, ruling)),
                Ok(_) => {}
                Err(reason) => evidence.unreadable.push(format!("a statement: {reason}")),
            }
        })?;
        rulings.sort_unstable_by_key(|(at, number, _)| (*at, *number));
        for (document, found) in &mut evidence.documents {
            let ruled = |previous| {
                let mut of = rulings.iter().map(|(.., ruling)| ruling);
                let of = of.find(|r| r.document == *document && r.previous == previous);
                of.map(|ruling| ruling.stands)
            };
            found.scopes = stands(&found.placements, ruled).scopes;
        }
        Ok(evidence)
    }

    fn placement(&mut self, row: &Row) {
        let read = document_of(row).and_then(|document| {
            let signed: SignedPlacement = codec::decode(&row.value)?;
            let (id, placement) = signed.claim()?;
            Ok((document, id, placement))
        });
        match read {
            Ok((document, id, placement)) if placement.document == document => {
                self.documents
                    .entry(document)
                    .or_default()
                    .placements
                    .insert(id, placement);
            }
            Ok((document, ..)) => self
                .unreadable
                .push(format!("a placement under {document}")),
            Err(reason) => self.unreadable.push(format!("a placement: {reason}")),
        }
    }

    fn bundle(&mut self, row: &Row) {
        let read = document_of(row).and_then(|document| {
            let bundle: Bundle = codec::decode(&row.value)?;
            let chunks = bundle::chunks(&bundle)?;
            let chunks: Vec<Vec<u8>> = chunks.into_iter().map(|(_, chunk)| chunk).collect();
            let headers: Result<Vec<_>, Reason> = chunks
                .iter()
                .map(|chunk| preflight::header(chunk))
                .collect();
            Ok((document, bundle.document, chunks, headers?))
        });
        match read {
            Ok((document, of, chunks, headers)) if of == document => {
                let found = self.documents.entry(document).or_default();
                for header in headers {
                    let line = found.lines.entry(header.actor).or_default();
                    *line = header.seq.max(*line);
                    found.changes.insert(header.hash);
                    found.built_on.extend(header.deps);
                }
                found.chunks.insert(row.position, chunks);
            }
            Ok((document, ..)) => self.unreadable.push(format!("a bundle under {document}")),
            Err(reason) => self.unreadable.push(format!("a bundle: {reason}")),
        }
    }

    /// Every document.
    pub fn documents(&self) -> &BTreeMap<DocumentId, Found> {
        &self.documents
    }

    /// How far an author's line goes; 0 if there is none.
    pub fn line(&self, document: DocumentId, actor: ActorId) -> u64 {
        let found = self.documents.get(&document);
        found
            .and_then(|found| found.lines.get(&actor))
            .copied()
            .unwrap_or(0)
    }

    /// Whether a change is there.
    pub fn has(&self, document: DocumentId, change: ChangeHash) -> bool {
        self.documents
            .get(&document)
            .is_some_and(|found| found.changes.contains(&change))
    }

    /// Whether an entry is there, in whatever change.
    pub fn tells_of(&self, document: DocumentId, entry: EntryId) -> bool {
        let found = self.documents.get(&document);
        let chunks = found.map(|found| found.chunks.values().flatten());
        let name = memchr::memmem::Finder::new(entry.as_ref());
        chunks.is_some_and(|mut chunks| chunks.any(|chunk| name.find(chunk).is_some()))
    }

    /// Every change in the record.
    pub fn changes(&self) -> impl Iterator<Item = (DocumentId, ChangeHash)> {
        let documents = self.documents.iter();
        documents.flat_map(|(document, found)| {
            let changes = found.changes.iter();
            changes.map(|change| (*document, *change))
        })
    }

    /// Whether a placement of a document is there, in the record or with what waits for a person.
    pub fn has_placed(&self, document: DocumentId, placement: PlacementId) -> bool {
        let found = self.documents.get(&document);
        found.is_some_and(|found| found.placements.contains_key(&placement))
            || self.placed_late.contains(&placement)
    }

    /// Whether a change is there, in the record or with what waits for a person.
    pub fn keeps(&self, document: DocumentId, change: ChangeHash) -> bool {
        self.has(document, change) || self.handed_in.contains(&(document, change))
    }

    /// The digest over a scope's documents, and how many there are.
    pub fn digest(&self, scope: &ScopeId) -> (Digest, u64) {
        let mut sum = LtHash::new();
        let mut count = 0;
        for (document, found) in &self.documents {
            if found.scopes().contains(scope) {
                sum.add(&document_element(
                    document,
                    &found.heads(),
                    &found.standing(),
                ));
                count += 1;
            } else if found.ever_in().contains(scope) {
                let exits: Vec<PlacementId> = found.exits(scope).into_iter().collect();
                sum.add(&left_element(document, &exits));
            }
        }
        (sum.value(), count)
    }

    /// The documents of a scope in which two disks differ.
    pub fn differing(&self, other: &Evidence, scope: &ScopeId) -> BTreeSet<DocumentId> {
        let state = |evidence: &Evidence, document: &DocumentId| {
            let found = evidence.documents.get(document);
            let found = found.filter(|found| found.ever_in().contains(scope));
            found.map(|found| match found.scopes().contains(scope) {
                true => (found.heads(), found.standing(), BTreeSet::new()),
                false => (Vec::new(), Vec::new(), found.exits(scope)),
            })
        };
        let all = self.documents.keys().chain(other.documents.keys());
        all.filter(|document| state(self, document) != state(other, document))
            .copied()
            .collect()
    }
}

fn document_of(row: &Row) -> Result<DocumentId, Reason> {
    let id: [u8; 16] = row
        .name
        .as_slice()
        .try_into()
        .map_err(|_| Reason::Malformed)?;
    Ok(DocumentId(id))
}

/// A change: its document, its author, its number, its hash.
pub type Change = (DocumentId, ActorId, u64, ChangeHash);

/// Each change in what was handed in as one part; nothing of what cannot be read.
pub fn changes_of(part: &[u8]) -> Vec<Change> {
    match Frame::decode(part) {
        Ok(Some(Frame::Fill(batch))) => changes_in(&batch),
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// The placements in what was handed in as one part.
fn placements_of(part: &[u8]) -> Vec<PlacementId> {
    let Ok(Some(Frame::Fill(batch))) = Frame::decode(part) else {
        return Vec::new();
    };
    let claims = batch
        .placements
        .iter()
        .filter_map(|signed| signed.claim().ok());
    claims.map(|(id, _)| id).collect()
}

/// The changes in a store that a device has signed for.
///
/// # Errors
/// When it cannot be read.
pub fn signed_by<P: Snapshot>(
    snapshot: &P,
    device: DeviceId,
) -> Result<BTreeSet<(DocumentId, ChangeHash)>, StoreError> {
    let mut signed = BTreeSet::new();
    store::each(snapshot, Table::Bundle, |row| {
        let Ok(bundle) = codec::decode::<Bundle>(&row.value) else {
            return;
        };
        let hashes: Vec<ChangeHash> = changes_in_bundle(&bundle).map(|change| change.3).collect();
        let is_its = |closing: &&Closing| {
            let hash = hashes.get(usize::from(closing.change));
            let head = hash.map(|hash| closing.head(hash).claim());
            matches!(head, Some(Ok(head)) if head.device == device)
        };
        let closings = bundle.closings.iter().filter(is_its);
        let authors =
            closings.filter_map(|closing| bundle.changes.get(usize::from(closing.change)));
        let authors: BTreeSet<u16> = authors.map(|change| change.author).collect();
        for (change, hash) in bundle.changes.iter().zip(&hashes) {
            if authors.contains(&change.author) {
                signed.insert((bundle.document, *hash));
            }
        }
    })?;
    Ok(signed)
}

/// Each change of a batch; nothing of what cannot be read.
pub fn changes_in(batch: &Batch) -> Vec<Change> {
    batch.bundles.iter().flat_map(changes_in_bundle).collect()
}

fn changes_in_bundle(of: &Bundle) -> impl Iterator<Item = Change> + use<> {
    let mut all = Vec::new();
    let _ = bundle::each_change(of, |whole| {
        let header = whole.header()?;
        all.push((of.document, header.actor, header.seq, header.hash));
        Ok(())
    });
    all.into_iter()
}
