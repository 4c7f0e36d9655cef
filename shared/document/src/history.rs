//! The changes a document holds: what each new one is judged by, and what the document is made
//! from anew when Automerge fell.
//!
//! Whether a change may come next is told by the changes it builds on, directly or not, and by
//! nothing else that happens to be here: so it is told alike wherever these are. (Of two branches
//! of one actor only one can be held, whichever is judged first; [`in_order`] makes that alike.)

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use names::{ActorId, ChangeHash, Kind, Reason, limits};

use crate::{
    genesis::Fixed,
    past::Past,
    preflight::{self, Header, Made, Reference, Span, Uses},
};

/// A change that passed pre-flight.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) header: Header,
    pub(crate) chunk: Arc<[u8]>,
    uses: Uses,
}

impl Candidate {
    /// Reads a change of a document of this kind.
    pub(crate) fn read(kind: Kind, chunk: &[u8]) -> Result<Candidate, Reason> {
        let (header, uses) = preflight::judged_for(kind, chunk)?;
        let chunk = Arc::from(chunk);
        Ok(Candidate {
            header,
            chunk,
            uses,
        })
    }

    /// Whether it makes characters, or takes more away than it has bytes.
    pub(crate) fn types(&self) -> bool {
        self.uses.characters > 0 || self.surplus() > 0
    }

    /// A migration, which nobody sends.
    pub(crate) fn fixed(fixed: &Fixed) -> Candidate {
        let makes = vec![Span {
            end: fixed.max_op.saturating_add(1),
            made: Made::Text,
        }];
        Candidate {
            header: fixed.header.clone(),
            chunk: Arc::from(fixed.chunk.as_slice()),
            uses: Uses {
                makes,
                ..Uses::default()
            },
        }
    }

    /// By how much what it replaces passes its bytes. Nought for nearly every change: only a long
    /// deletion takes less than a byte for each character.
    pub(crate) fn surplus(&self) -> u64 {
        self.uses.replaced.saturating_sub(self.chunk.len() as u64)
    }
}

/// The changes that are in a document.
#[derive(Clone, Default)]
pub(crate) struct History {
    /// In the order in which they were taken.
    chunks: Vec<Arc<[u8]>>,
    /// Where each of them stands: its actor's line, and its place in it from nought.
    places: BTreeMap<ChangeHash, (usize, usize)>,
    slots: BTreeMap<ActorId, usize>,
    /// Each actor's changes, each of which builds on the one before.
    lines: Vec<Vec<Kept>>,
    entries: u64,
    characters: u64,
    surplus: u64,
}

/// What judging needs to know of a change that came before.
#[derive(Clone)]
struct Kept {
    /// The counter of its first operation.
    start: u64,
    /// The counter of its last operation.
    last: u64,
    makes: Vec<Span>,
    /// What it builds on, besides its own line.
    past: Arc<Past>,
}

impl Kept {
    /// What made the operation with this counter, and those around it.
    fn span(&self, counter: u64) -> Option<&Span> {
        let place = self.makes.partition_point(|span| span.end <= counter);
        self.makes.get(place)
    }
}

impl History {
    /// The history of a document in which nobody has written yet.
    pub(crate) fn begin(genesis: Header, chunk: Arc<[u8]>) -> History {
        let mut history = History::default();
        let genesis = Candidate {
            header: genesis,
            chunk,
            uses: Uses::default(),
        };
        history.add(&genesis, Arc::default());
        history
    }

    pub(crate) fn holds(&self, hash: &ChangeHash) -> bool {
        self.places.contains_key(hash)
    }

    pub(crate) fn hashes(&self) -> BTreeSet<ChangeHash> {
        self.places.keys().copied().collect()
    }

    /// The chunks of all changes, in the order in which they were taken; the genesis first.
    pub(crate) fn chunks(&self) -> &[Arc<[u8]>] {
        &self.chunks
    }

    /// How many entries all these changes make.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The most surplus these changes may have together.
    pub(crate) fn surplus_max(&self) -> u64 {
        self.characters.saturating_add(limits::DOCUMENT_SURPLUS_MAX)
    }

    /// Whether `more` surplus is too much.
    pub(crate) fn overflows(&self, more: u64, most: u64) -> bool {
        more > 0 && self.surplus.saturating_add(more) > most
    }

    /// Whether it has too much surplus already.
    pub(crate) fn is_over(&self) -> bool {
        self.surplus > self.surplus_max()
    }

    /// Takes a change, or says why it cannot come next: what Automerge needs beyond the bytes
    /// being sound. It panics without some of it, and lets anything be deleted without the rest.
    pub(crate) fn take(&mut self, candidate: &Candidate) -> Result<(), Reason> {
        let header = &candidate.header;
        let places = header
            .deps
            .iter()
            .map(|dep| self.places.get(dep).copied())
            .collect::<Option<Vec<_>>>()
            .ok_or(Reason::MissingDependency)?;
        let last = places
            .iter()
            .filter_map(|place| self.kept(*place))
            .map(|kept| kept.last)
            .max()
            .ok_or(Reason::Malformed)?;
        preflight::continues(header, last)?;
        let own = self.slots.get(&header.actor).copied();
        self.follows(header, own, &places)?;
        let past = self.past(own, &places);
        for named in &candidate.uses.names {
            let actor = match named.actor {
                0 => Some(&header.actor),
                other => header.named.get(other - 1),
            };
            let slot = actor.and_then(|actor| self.slots.get(actor)).copied();
            let slot = slot.ok_or(Reason::Malformed)?;
            let reach = if Some(slot) == own {
                usize::MAX
            } else {
                past.reach(slot)
            };
            if !self.has_made(slot, reach, named) {
                return Err(Reason::Malformed);
            }
        }
        self.add(candidate, past);
        Ok(())
    }

    fn kept(&self, (slot, place): (usize, usize)) -> Option<&Kept> {
        self.lines.get(slot)?.get(place)
    }

    /// Whether a change builds directly on its actor's one before, and nothing else does already.
    fn follows(
        &self,
        header: &Header,
        own: Option<usize>,
        deps: &[(usize, usize)],
    ) -> Result<(), Reason> {
        let place = usize::try_from(header.seq - 1).map_err(|_| Reason::WrongSequence)?;
        let linked = match place.checked_sub(1) {
            Some(before) => own.is_some_and(|own| deps.contains(&(own, before))),
            None => true,
        };
        let length = own.and_then(|own| self.lines.get(own)).map_or(0, Vec::len);
        if !linked {
            Err(Reason::WrongSequence)
        } else if place < length {
            Err(Reason::Equivocation)
        } else {
            Ok(())
        }
    }

    /// How many of each actor's changes are these, or what these build on. One that is not here
    /// stands for nothing.
    pub(crate) fn reach(&self, heads: &[ChangeHash]) -> BTreeMap<ActorId, u64> {
        let mut past = Past::default();
        for (slot, place) in heads.iter().filter_map(|head| self.places.get(head)) {
            if let Some(kept) = self.kept((*slot, *place)) {
                past.join(&kept.past);
                past.extend(*slot, place + 1);
            }
        }
        let reach = |slot: &usize| past.reach(*slot) as u64;
        let slots = self.slots.iter();
        slots.map(|(actor, slot)| (*actor, reach(slot))).collect()
    }

    /// The first and the last counter of an actor's operations in its changes from one sequence number
    /// to another, as far as they are here. None of its others lies between: an actor's counters grow.
    pub(crate) fn counters(&self, actor: &ActorId, first: u64, last: u64) -> Option<(u64, u64)> {
        let line = self.lines.get(*self.slots.get(actor)?)?;
        let from = usize::try_from(first.saturating_sub(1)).ok()?;
        let to = usize::try_from(last).unwrap_or(line.len()).min(line.len());
        let changes = line.get(from..to)?;
        Some((changes.first()?.start, changes.last()?.last))
    }

    /// What a change of this actor's builds on. One that has nothing new before it shares that of
    /// its actor's change before.
    fn past(&self, own: Option<usize>, deps: &[(usize, usize)]) -> Arc<Past> {
        if let [only] = deps
            && Some(only.0) == own
            && let Some(kept) = self.kept(*only)
        {
            return Arc::clone(&kept.past);
        }
        let mut past = Past::default();
        for (slot, place) in deps {
            if let Some(kept) = self.kept((*slot, *place)) {
                past.join(&kept.past);
                past.extend(*slot, place + 1);
            }
        }
        Arc::new(past)
    }

    /// Whether all operations that are named are in the first `reach` changes of their actor's line, and
    /// made just what they must have. They are looked for by what made them, not one by one.
    fn has_made(&self, slot: usize, reach: usize, named: &Reference) -> bool {
        let Some(line) = self.lines.get(slot) else {
            return false;
        };
        let line = line.get(..reach).unwrap_or(line);
        let mut next = Some(named.first);
        while let Some(counter) = next {
            let place = line.partition_point(|kept| kept.last < counter);
            let span = line
                .get(place)
                .filter(|kept| kept.start <= counter)
                .and_then(|kept| kept.span(counter));
            match span {
                Some(span) if span.made == named.made => next = named.from(span.end),
                Some(_) | None => return false,
            }
        }
        true
    }

    fn add(&mut self, candidate: &Candidate, past: Arc<Past>) {
        let Candidate {
            header,
            chunk,
            uses,
        } = candidate;
        self.chunks.push(Arc::clone(chunk));
        let slot = *self.slots.entry(header.actor).or_insert(self.lines.len());
        if slot == self.lines.len() {
            self.lines.push(Vec::new());
        }
        if let Some(line) = self.lines.get_mut(slot) {
            self.places.insert(header.hash, (slot, line.len()));
            line.push(Kept {
                start: header.start_op,
                last: header.max_op,
                makes: uses.makes.clone(),
                past,
            });
        }
        self.entries += uses.entries;
        self.characters += uses.characters;
        self.surplus += candidate.surplus();
    }
}

/// Puts changes into an order in which each comes after those it builds on; where that leaves a
/// choice, those without a surplus come first, and then it goes by hash. Dependencies that are not
/// among them do not count. The order is the same however the changes arrived.
pub(crate) fn in_order(mut changes: BTreeMap<ChangeHash, Candidate>) -> Vec<Candidate> {
    let mut waiting: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    let mut dependants: BTreeMap<ChangeHash, Vec<ChangeHash>> = BTreeMap::new();
    let mut ready: BTreeSet<(u64, ChangeHash)> = BTreeSet::new();
    for (hash, change) in &changes {
        let deps = change.header.deps.iter();
        let inside = deps.filter(|dep| changes.contains_key(*dep));
        let count = inside.clone().count();
        if count == 0 {
            ready.insert((change.surplus(), *hash));
        } else {
            waiting.insert(*hash, count);
        }
        for dep in inside {
            dependants.entry(*dep).or_default().push(*hash);
        }
    }
    let mut ordered = Vec::with_capacity(changes.len());
    while let Some((_, hash)) = ready.pop_first() {
        ordered.extend(changes.remove(&hash));
        for dependant in dependants.remove(&hash).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(&dependant) {
                *count -= 1;
                if *count == 0 {
                    let surplus = changes.get(&dependant).map_or(0, Candidate::surplus);
                    ready.insert((surplus, dependant));
                }
            }
        }
    }
    ordered
}
