//! Bundles: put together from changes, and taken apart again.
//!
//! `protocol` says what a bundle is and `document` how a change is written; here the two meet.

use std::collections::BTreeMap;

use document::packed::{self, Whole};
use names::{
    ActorId, ChangeHash, DocumentId, Moment, Reason,
    limits::{BUNDLE_BYTES_MAX, BUNDLE_CHANGES_MAX, BUNDLE_ENCODED_MAX},
};
use protocol::{
    bundle::{Bundle, Closing, Dep, PackedChange},
    codec,
    signed::SignedHead,
};

/// What naming a change in full takes, with its head.
const FAR_BYTES: usize = 34;

/// Goes through the changes of a bundle, each put together again, in its order. Nothing in them is
/// judged but what the bundle itself says.
///
/// # Errors
/// [`Reason::Malformed`] when the bundle refers to what it has not, [`Reason::TooLarge`] beyond the
/// limits of one, and those of `take`.
pub fn each_change(
    bundle: &Bundle,
    mut take: impl FnMut(Whole) -> Result<(), Reason>,
) -> Result<(), Reason> {
    if bundle.changes.is_empty() {
        return Err(Reason::Malformed);
    }
    let mut hashes: Vec<ChangeHash> = Vec::with_capacity(bundle.changes.len());
    let mut bytes = 0;
    for change in &bundle.changes {
        bytes += packed::size(change.deps.len(), &change.rest);
        if bytes > BUNDLE_BYTES_MAX && !hashes.is_empty() || hashes.len() >= BUNDLE_CHANGES_MAX {
            return Err(Reason::TooLarge);
        }
        let author = bundle.authors.get(usize::from(change.author));
        let author = author.ok_or(Reason::Malformed)?;
        let deps = change.deps.iter().map(|dep| resolve(&hashes, dep));
        let deps = deps.collect::<Result<Vec<_>, _>>()?;
        let whole = packed::put_together(&deps, author, &change.rest)?;
        hashes.push(whole.hash());
        take(whole)?;
    }
    Ok(())
}

/// How many bytes a bundle's changes have once they are put together.
pub(crate) fn size(bundle: &Bundle) -> usize {
    let changes = bundle.changes.iter();
    changes
        .map(|change| packed::size(change.deps.len(), &change.rest))
        .sum()
}

/// Whether a bundle, and every part of it, fits a frame with what is said around it. In a part a
/// change may have to name in full what stands near it in the whole.
pub(crate) fn may_travel(bundle: &Bundle) -> bool {
    let deps = bundle.changes.iter().flat_map(|change| &change.deps);
    let near = deps.filter(|dep| matches!(dep, Dep::Near(_))).count();
    codec::encode(bundle).len() + near * FAR_BYTES <= BUNDLE_ENCODED_MAX
}

/// The changes of a bundle with their hashes, as they were written.
///
/// # Errors
/// Those of [`each_change`].
pub fn chunks(bundle: &Bundle) -> Result<Vec<(ChangeHash, Vec<u8>)>, Reason> {
    let mut chunks = Vec::with_capacity(bundle.changes.len());
    each_change(bundle, |whole| {
        chunks.push((whole.hash(), whole.into_chunk()));
        Ok(())
    })?;
    Ok(chunks)
}

/// What each change of a bundle builds on. `hashes` are those of its changes.
///
/// # Errors
/// [`Reason::Malformed`] when the bundle refers to what it has not.
pub(crate) fn deps(bundle: &Bundle, hashes: &[ChangeHash]) -> Result<Vec<Vec<ChangeHash>>, Reason> {
    let changes = bundle.changes.iter().enumerate();
    let deps = changes.map(|(place, change)| {
        let known = hashes.get(..place).ok_or(Reason::Malformed)?;
        change.deps.iter().map(|dep| resolve(known, dep)).collect()
    });
    deps.collect()
}

fn resolve(hashes: &[ChangeHash], dep: &Dep) -> Result<ChangeHash, Reason> {
    match dep {
        Dep::Far(hash) => Ok(**hash),
        Dep::Near(0) => Err(Reason::Malformed),
        Dep::Near(places) => {
            let place = hashes.len().checked_sub(usize::from(*places));
            let hash = place.and_then(|place| hashes.get(place));
            hash.copied().ok_or(Reason::Malformed)
        }
    }
}

/// A bundle of one change, as whoever has just written it signs it.
///
/// # Errors
/// When the bytes are no change, or the head closes another.
pub fn of_one(document: DocumentId, chunk: &[u8], head: &SignedHead) -> Result<Bundle, Reason> {
    let parts = packed::take_apart(chunk)?;
    let hash = head.claim()?.hash;
    Ok(Bundle {
        document,
        authors: vec![parts.actor],
        changes: vec![PackedChange {
            author: 0,
            deps: parts
                .deps
                .into_iter()
                .map(|hash| Dep::Far(Box::new(hash)))
                .collect(),
            rest: parts.rest.to_vec(),
        }],
        closings: vec![Closing::new(0, &hash, head)?],
    })
}

/// Puts changes of several bundles of one document together into one.
pub(crate) struct Packer {
    bundle: Bundle,
    hashes: Vec<ChangeHash>,
    /// Where its authors and changes stand; behind it until another bundle joins the first.
    authors: BTreeMap<ActorId, u16>,
    places: BTreeMap<ChangeHash, usize>,
    /// The bytes of its changes as they were written.
    bytes: usize,
}

impl Packer {
    /// Nothing yet, of a document.
    pub(crate) fn new(document: DocumentId) -> Packer {
        Packer {
            bundle: Bundle {
                document,
                authors: Vec::new(),
                changes: Vec::new(),
                closings: Vec::new(),
            },
            hashes: Vec::new(),
            authors: BTreeMap::new(),
            places: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Which document it is of.
    pub(crate) fn document(&self) -> DocumentId {
        self.bundle.document
    }

    /// Whether there is room for all changes of another bundle.
    pub(crate) fn has_room(&self, for_all_of: &Bundle) -> bool {
        let bytes = size(for_all_of);
        self.hashes.is_empty()
            || (self.hashes.len() + for_all_of.changes.len() <= BUNDLE_CHANGES_MAX
                && self.bytes + bytes <= BUNDLE_BYTES_MAX)
    }

    /// Adds those changes of `from` that are `wanted`, by their places, and what closes them.
    /// `hashes` are those of its changes.
    pub(crate) fn add(
        &mut self,
        from: Bundle,
        hashes: Vec<ChangeHash>,
        wanted: impl Fn(usize) -> bool,
    ) {
        let is_first = self.hashes.is_empty() && from.document == self.bundle.document;
        let is_whole = hashes.len() == from.changes.len() && (0..hashes.len()).all(&wanted);
        if is_first && is_whole {
            // Mostly there is one bundle, and all of it is wanted: it stays as it is.
            self.bytes = size(&from);
            (self.bundle, self.hashes) = (from, hashes);
            return;
        }
        self.know_places();
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for (place, (change, hash)) in from.changes.into_iter().zip(&hashes).enumerate() {
            let author = from.authors.get(usize::from(change.author));
            let (true, Some(author)) = (wanted(place), author) else {
                continue;
            };
            if self.places.contains_key(hash) {
                continue;
            }
            let here = self.hashes.len();
            let known = hashes.get(..place).unwrap_or_default();
            let deps = change.deps.iter().filter_map(|dep| {
                let hash = resolve(known, dep).ok()?;
                let near = self.places.get(&hash).map(|place| here - place);
                let near = near.and_then(|places| u16::try_from(places).ok());
                Some(near.map_or_else(|| Dep::Far(Box::new(hash)), Dep::Near))
            });
            let deps: Vec<Dep> = deps.collect();
            self.bytes += packed::size(deps.len(), &change.rest);
            let author = self.author(*author);
            self.bundle.changes.push(PackedChange {
                author,
                deps,
                rest: change.rest,
            });
            self.hashes.push(*hash);
            self.places.insert(*hash, here);
            moved.insert(place, here);
        }
        for closing in from.closings {
            let here = moved.get(&usize::from(closing.change));
            if let Some(change) = here.and_then(|place| u16::try_from(*place).ok()) {
                self.bundle.closings.push(Closing { change, ..closing });
            }
        }
    }

    /// Notes where everything stands in a bundle that was taken as it is, when another joins it.
    fn know_places(&mut self) {
        let places = self.hashes.iter().enumerate();
        for (place, hash) in places.skip(self.places.len()) {
            self.places.insert(*hash, place);
        }
        let authors = (0..).zip(&self.bundle.authors);
        for (place, author) in authors.skip(self.authors.len()) {
            self.authors.insert(*author, place);
        }
    }

    fn author(&mut self, actor: ActorId) -> u16 {
        let authors = &mut self.bundle.authors;
        *self.authors.entry(actor).or_insert_with(|| {
            authors.push(actor);
            u16::try_from(authors.len() - 1).unwrap_or(u16::MAX)
        })
    }

    /// The bundle, each author's run closed once; and the bytes of its changes. None when nothing
    /// was added.
    pub(crate) fn finish(mut self) -> Option<(Bundle, usize)> {
        let closings = std::mem::take(&mut self.bundle.closings);
        self.bundle.closings = self.needed(closings);
        self.finish_with_every_head()
    }

    /// The bundle, with every head that was signed for its changes, so that a part of it can be
    /// taken, or taken out, where some of its runs cannot.
    pub(crate) fn finish_with_every_head(self) -> Option<(Bundle, usize)> {
        (!self.hashes.is_empty()).then_some((self.bundle, self.bytes))
    }

    /// Of an author's heads only the last is needed: it signs the hash of a change that builds on
    /// all of the author's before. One stays where the directory that the author had seen changes,
    /// by which rights are judged.
    fn needed(&self, closings: Vec<Closing>) -> Vec<Closing> {
        let mut needed: BTreeMap<u16, Closing> = BTreeMap::new();
        let mut last: BTreeMap<u16, (u16, Option<Moment>)> = BTreeMap::new();
        for closing in closings {
            let place = usize::from(closing.change);
            let (Some(change), Some(hash)) =
                (self.bundle.changes.get(place), self.hashes.get(place))
            else {
                continue;
            };
            let head = closing.head(hash).claim().ok();
            let seen = head.map(|head| head.directory_seen);
            let before = last.insert(change.author, (closing.change, seen));
            if let Some((place, before)) = before
                && before == seen
            {
                needed.remove(&place);
            }
            needed.insert(closing.change, closing);
        }
        needed.into_values().collect()
    }
}

#[cfg(test)]
#[path = "tests/bundle.rs"]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
