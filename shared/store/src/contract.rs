//! What a store promises, in prose and in types.
//!
//! A store keeps *rows*: a table, a name, a position and a value. It knows nothing of what the
//! bytes mean; `node` decides that. The promises below are held by every implementation and
//! checked by [`crate::conformance`].
//!
//! # The contract
//!
//! 1. **A batch is all or nothing.** After any crash a store holds exactly the state after some
//!    batch, never a part of one.
//! 2. **`Ok` means durable.** When [`Store::commit`] has answered `Ok`, the batch survives a power
//!    cut. When it answered an error, the batch is either wholly absent or (only after
//!    [`StoreError::Io`], [`StoreError::Full`] or [`StoreError::Dead`]) wholly there after the
//!    next opening; nobody may have been told that it was saved.
//! 3. **A failed write is never retried in place.** After an I/O failure the store is dead: each
//!    further call answers [`StoreError::Dead`] until it is opened again. What a kernel does with
//!    dirty pages after a failed sync is not known, so trusting a second attempt loses data.
//! 4. **Snapshots stand still.** A snapshot shows the state at its making, whatever is committed
//!    later. Making or reading one never waits for a commit, and a commit never waits for it.
//! 5. **Order.** [`Snapshot::range`] and [`Snapshot::last`] go by position, ascending.
//!    [`Snapshot::names`] goes by an order of the store's own choice that stays the same for as
//!    long as the store exists. Rows of one name are never mixed with those of another.
//! 6. **No row is read wrongly.** A value comes back as it was put or as
//!    [`StoreError::Corrupt`]; a sealed store holds this against an attacker too.
//! 7. **One writer.** `commit` takes `&mut self`; a second process is refused with
//!    [`StoreError::Locked`].
//! 8. **Whose row is a fact of its table.** [`Table::owner`] says whether a table's rows belong to
//!    single documents; then their names begin with the document's id, and a sealed store seals
//!    them under that document's own key. A row cannot be put under nobody's key by forgetting to
//!    say whose it is, nor read under another's. After [`Batch::destroy_key`] no row that a
//!    document had before can be read; the bytes left on the medium are beyond anybody's reach once
//!    the epoch under which that key was kept has ended too ([`crate::Epochs`]).
//!
//! What a store does *not* promise: that rows vanish from the medium when they are deleted (only
//! destroying a key does that), and that an older copy of the whole store is noticed here (that
//! takes a peer).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use names::DocumentId;

use crate::StoreError;

/// The greatest length of a name, in bytes. Names are ids (16 to 48 bytes), scopes (up to 90) and
/// short words; one length byte must hold it.
pub const NAME_BYTES_MAX: usize = 255;

/// The greatest length of a value, in bytes: a compacted form of the largest document that limits
/// allow, several times over. It bounds what a damaged length can make a reader allocate.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, of $owner:ident;)*) => {
        /// What a row is about. The code is part of the stored format and never changes.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Table {
            $($(#[$doc])* $name,)*
        }

        impl Table {
            /// Every table, in the order of their codes.
            pub const ALL: &'static [Table] = &[$(Table::$name,)*];

            /// The byte that stands for it in stored keys.
            pub fn code(self) -> u8 {
                match self { $(Table::$name => $code,)* }
            }

            /// The table with this code.
            pub fn from_code(code: u8) -> Option<Table> {
                match code { $($code => Some(Table::$name),)* _ => None }
            }

            /// Its name in errors and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Table::$name => $text,)* }
            }

            /// Whose its rows are.
            pub fn owner(self) -> Owner {
                match self { $(Table::$name => Owner::$owner,)* }
            }
        }
    };
}

/// Whose rows a table holds, and so under which key a sealed store puts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The store's: who it is, what is in which scope, how far a peer is. They name documents and
    /// say nothing of what is in them.
    Store,
    /// Single documents': names begin with the sixteen bytes of the document's id, and destroying
    /// its key destroys the row.
    Document,
}

tables! {
    /// What the store knows of itself: identity, keys, clock floor.
    Meta = 1, "meta", of Store;
    /// Signed statements of the directory.
    Statement = 2, "statement", of Store;
    /// One header row per document.
    Document = 3, "document", of Document;
    /// Signed placements: in which scopes a document stands.
    Placement = 4, "placement", of Document;
    /// Changes with their signed heads, as they travel.
    Bundle = 5, "bundle", of Document;
    /// What each bundle holds.
    Index = 6, "index", of Document;
    /// One row per scope: digest, count, log heads.
    Scope = 7, "scope", of Store;
    /// Which documents a scope holds.
    Member = 8, "member", of Store;
    /// What happened in a scope, in order, per writing process.
    Log = 9, "log", of Store;
    /// What is known of a peer: cursors and when it was last heard.
    Peer = 10, "peer", of Store;
    /// What lists need of a document.
    Summary = 11, "summary", of Document;
    /// Authors' lines in a document, some to a row: how far each goes, and how far it has travelled.
    Actor = 12, "actor", of Document;
    /// Work on a document that was begun and must be taken up again, such as the *trying* mark.
    Job = 13, "job", of Document;
    /// Entries made at this node: which change carries them.
    Entry = 14, "entry", of Store;
    /// What was written here and is not yet acknowledged by the centre.
    Outbox = 15, "outbox", of Document;
    /// Documents whose summary is older than their changes.
    Stale = 16, "stale", of Document;
    /// Compacted forms of documents: a cache.
    Compacted = 18, "compacted", of Document;
    /// The keys of documents, which a sealed store keeps for itself: nobody else has rows here.
    Key = 17, "key", of Store;
    /// Documents that have left a scope here, and rulings that the centre still owes.
    Transfer = 24, "transfer", of Store;
    /// What a revoked device has handed in, unread, until a person has looked.
    Review = 30, "review", of Store;
}

impl Table {
    /// Whether its rows lie beside those of the same name in the other such tables: the small rows that
    /// are written when a document comes, and some of them with each of its changes, so that a commit
    /// writes one page and not four. Listing one of these tables passes over the others' rows, and may
    /// give empty pages. Authors' lines are not among them: when a fill has arrived those of all its
    /// documents are written and nothing else, which would be a page each and not one for many.
    pub fn lies_beside(self) -> bool {
        matches!(
            self,
            Table::Document | Table::Placement | Table::Index | Table::Key
        )
    }

    /// Whose row stands under `name` in this table, if its rows belong to documents. A name
    /// shorter than an id counts as if zeros followed.
    pub fn document_of(self, name: &[u8]) -> Option<DocumentId> {
        let mut id = [0; 16];
        for (byte, given) in id.iter_mut().zip(name) {
            *byte = *given;
        }
        (self.owner() == Owner::Document).then_some(DocumentId(id))
    }
}

/// Where a row stands within its table.
///
/// The name may be anything and is hashed when the store is sealed; the position stays clear and
/// ordered, so it must say nothing about people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose row: an id, a scope, a word. At most [`NAME_BYTES_MAX`] bytes.
    pub name: Vec<u8>,
    /// Which of the name's rows.
    pub position: u64,
}

impl Key {
    /// The key of the row at `position` under `name`.
    pub fn new(name: impl Into<Vec<u8>>, position: u64) -> Key {
        Key {
            name: name.into(),
            position,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes, {})", self.name.len(), self.position)
    }
}

/// Rows to write and to remove, applied together or not at all. Of several changes to one key the
/// last counts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    rows: BTreeMap<(Table, Key), Option<Vec<u8>>>,
    destroyed: BTreeSet<DocumentId>,
    two_phase: bool,
}

impl Batch {
    /// A batch without changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Writes a row, in place of what stood there.
    pub fn put(
        &mut self,
        table: Table,
        name: impl Into<Vec<u8>>,
        position: u64,
        value: impl Into<Vec<u8>>,
    ) {
        self.rows
            .insert((table, Key::new(name, position)), Some(value.into()));
    }

    /// Removes a row; one that is not there is no error.
    pub fn delete(&mut self, table: Table, name: impl Into<Vec<u8>>, position: u64) {
        self.rows.insert((table, Key::new(name, position)), None);
    }

    /// What this batch says of a row: `None` nothing, `Some(None)` removed, `Some(Some(_))` the
    /// value it will have. A turn reads its own writes through this before asking its snapshot.
    pub fn get(&self, table: Table, name: &[u8], position: u64) -> Option<Option<&[u8]>> {
        self.rows
            .get(&(table, Key::new(name, position)))
            .map(Option::as_deref)
    }

    /// Adds the changes of a later batch; where both speak of one key, the later one counts.
    pub fn append(&mut self, mut later: Batch) {
        self.rows.append(&mut later.rows);
        self.destroyed.append(&mut later.destroyed);
        self.two_phase |= later.two_phase;
    }

    /// Destroys the key of a document, before the rows of this batch are written: whatever stood
    /// under it can be read no more, and what is put now is sealed under a new one. The rows
    /// themselves stay until they are deleted. A store that seals nothing has no keys, and does
    /// nothing. Asks for a two-phase commit.
    pub fn destroy_key(&mut self, document: DocumentId) {
        self.destroyed.insert(document);
        self.two_phase = true;
    }

    /// The documents whose keys it destroys.
    pub fn destroyed(&self) -> impl Iterator<Item = DocumentId> + '_ {
        self.destroyed.iter().copied()
    }

    /// Asks for a two-phase commit, which closes the narrow gap by which somebody who chooses the
    /// data *and* the moment of a crash could forge a checksum. For batches that change keys; it
    /// costs a second sync.
    pub fn require_two_phase(&mut self) {
        self.two_phase = true;
    }

    /// Whether a two-phase commit was asked for.
    pub fn is_two_phase(&self) -> bool {
        self.two_phase
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.destroyed.is_empty()
    }

    /// How many rows it changes.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The bytes of all names and values in it.
    pub fn bytes(&self) -> usize {
        let row = |(key, value): (&(Table, Key), &Option<Vec<u8>>)| {
            key.1.name.len() + value.as_ref().map_or(0, Vec::len)
        };
        self.rows.iter().map(row).sum()
    }

    /// The changes, ordered by table, name and position; `None` removes.
    pub fn changes(&self) -> impl Iterator<Item = (Table, &Key, Option<&[u8]>)> {
        self.rows
            .iter()
            .map(|((table, key), value)| (*table, key, value.as_deref()))
    }

    /// Refuses what no store takes, so that all of them answer alike.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for ((table, key), value) in &self.rows {
            let value_bytes = value.as_ref().map_or(0, Vec::len);
            if key.name.len() > NAME_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
                return Err(StoreError::TooLarge { table: *table });
            }
        }
        Ok(())
    }
}

impl IntoIterator for Batch {
    type Item = ((Table, Key), Option<Vec<u8>>);
    type IntoIter = std::collections::btree_map::IntoIter<(Table, Key), Option<Vec<u8>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = if self.two_phase {
            "two phases"
        } else {
            "one phase"
        };
        write!(
            f,
            "Batch({} rows, {} bytes, {phases})",
            self.len(),
            self.bytes()
        )
    }
}

/// A row as [`Snapshot::names`] gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The name it was put under.
    pub name: Vec<u8>,
    /// Its position under that name.
    pub position: u64,
    /// Its value.
    pub value: Vec<u8>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, value) = (self.name.len(), self.value.len());
        write!(f, "Row({name} bytes, {}, {value} bytes)", self.position)
    }
}

/// A part of a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The readable rows.
    pub rows: Vec<Row>,
    /// How many rows here could not be read: damaged, or put where they do not belong. They are
    /// counted and passed over, so that one bad row does not hide the others.
    pub damaged: u64,
    /// What to hand to the next call; `None` when the table ends here. Meaningless elsewhere.
    pub next: Option<Vec<u8>>,
}

/// A database that takes batches and hands out snapshots. The module's documentation is its
/// contract.
pub trait Store: Send + 'static {
    /// How this store is read.
    type Snapshot: Snapshot;

    /// Makes the batch durable, all of it or nothing. An empty batch does nothing.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] refuses the batch and changes nothing; every other error means
    /// that the store must be opened again.
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// The state after the last commit, to be read at leisure and from any thread.
    ///
    /// # Errors
    /// [`StoreError::Dead`] and other failures of the medium.
    fn snapshot(&self) -> Result<Self::Snapshot, StoreError>;

    /// Reads everything and compares checksums and seals; takes as long as reading the medium.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names what is wrong; [`StoreError::Busy`] when a snapshot is still
    /// held and the store cannot be checked beside it.
    fn verify(&mut self) -> Result<(), StoreError>;
}

/// A state of a store that does not change.
pub trait Snapshot: Send + Sync + 'static {
    /// The value of one row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it cannot be read as it was put; failures of the medium.
    fn get(&self, table: Table, name: &[u8], position: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` rows of one name, ascending by position, from `from` on (inclusive).
    ///
    /// # Errors
    /// As [`Snapshot::get`], for any row in the answer.
    fn range(
        &self,
        table: Table,
        name: &[u8],
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError>;

    /// The row of a name with the greatest position.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn last(&self, table: Table, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, StoreError>;

    /// Up to `limit` rows of a whole table with their names, from where `after` (the `next` of
    /// the page before) left off. There may be fewer, or none, although more follow.
    ///
    /// # Errors
    /// Failures of the medium. Damaged rows are counted in [`Page::damaged`], not an error.
    fn names(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError>;
}

/// Rows read at once by [`each`]: what they hold is bounded, and a page costs one descent.
const EACH_PAGE_ROWS: usize = 256;

/// Visits every readable row of a table, page by page; answers how many were damaged.
///
/// # Errors
/// As [`Snapshot::names`].
pub fn each<S: Snapshot>(
    snapshot: &S,
    table: Table,
    mut visit: impl FnMut(Row),
) -> Result<u64, StoreError> {
    let mut damaged = 0;
    let mut after = None;
    loop {
        let page = snapshot.names(table, after.as_deref(), EACH_PAGE_ROWS)?;
        damaged += page.damaged;
        page.rows.into_iter().for_each(&mut visit);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(damaged),
        }
    }
}
