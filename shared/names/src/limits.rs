//! Every bound, with its reason. Bytes from a peer, a file or a browser meet one of these before
//! they are parsed. What belongs to admission is fixed per protocol version: nodes of one version
//! must answer alike, so changing such a limit needs a new version.

/// The oldest protocol version this build speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// The newest protocol version this build speaks.
pub const PROTOCOL_MAX: u16 = 1;

/// Admission: the raw bytes of one change. A long note is 20 KB; 1 MiB is the bundle's bound.
pub const CHANGE_BYTES_MAX: usize = 1 << 20;
/// Admission: actors a change may name besides its own.
pub const CHANGE_ACTORS_MAX: usize = 4_096;
/// Admission: direct dependencies of one change. An honest writer builds on every head, and each
/// actor has one at most: were fewer allowed, whoever makes that many heads at once would keep
/// everybody from ever writing again.
pub const CHANGE_DEPS_MAX: usize = CHANGE_ACTORS_MAX;
/// Admission: operations in one change, added up without expanding: a 113-byte change of 10
/// million run-length-encoded operations costs Automerge 45 s (`reference/reliability.md` 0.2).
pub const CHANGE_OPS_MAX: u64 = 20_000;
/// Admission: the name under which a change sets something, in bytes. Ours have a dozen. One name may
/// stand for as many operations as a change has bytes, and is compared with others for each.
pub const KEY_NAME_BYTES_MAX: usize = 256;
/// Admission: plain fields one change may set. A command sets one.
pub const CHANGE_FIELDS_MAX: usize = 64;
/// Admission: the greatest operation counter. Automerge keeps them in 32 bits and panics above.
pub const OP_COUNTER_MAX: u64 = 1 << 31;
/// Opening: by how many operations what is replaced in a document may pass both the bytes that say
/// so and the characters there are to delete. Whoever sees a character deleted does not delete it
/// again, so only people who delete the same at once come above nought: ten deletions of the
/// longest text one edit can write. That many cost Automerge less than a second.
pub const DOCUMENT_SURPLUS_MAX: u64 = 200_000;
/// Admission: the bytes of the changes of one bundle, put together again. A run, the unit that one
/// signature closes, comes in one bundle.
pub const BUNDLE_BYTES_MAX: usize = 1 << 20;
/// Admission: the changes of one bundle, and so of one run.
pub const BUNDLE_CHANGES_MAX: usize = 256;
/// Admission: scopes in one placement. A case is in its site, a caseload and a compartment or two.
pub const PLACEMENT_SCOPES_MAX: usize = 16;
/// Admission: a bundle as it travels and is kept. Whatever is said around it in a frame must fit
/// beside it.
pub const BUNDLE_ENCODED_MAX: usize = FRAME_BYTES_MAX - (4 << 10);
/// Admission: heads that a placement says its device had seen. A document has one, and some more
/// while several people write at once; what is left out is marked as unseen.
pub const PLACEMENT_HEADS_MAX: usize = 64;
/// Admission: bytes of any signed payload.
pub const SIGNED_BYTES_MAX: usize = 16 << 10;

/// One frame on a stream, before it is parsed. A bundle and its envelope must fit.
pub const FRAME_BYTES_MAX: usize = BUNDLE_BYTES_MAX + (64 << 10);
/// What a fill packs into one frame unless a single bundle is larger: about 50 ms at 40 Mbit/s.
pub const FILL_FRAME_BYTES: usize = 256 << 10;
/// What is passed on as people write it: some hundred notes. More at once is somebody's backlog,
/// and goes as a fill does, compressed, on credit and behind what is live.
pub const LIVE_FRAME_BYTES: usize = 64 << 10;
/// Fill frames sent ahead of their acknowledgement: compressed they are a third, and keep a 300 ms
/// link of 20 Mbit/s busy; half of them are verified while the others are made durable.
pub const FILL_FRAMES_IN_FLIGHT: usize = 8;
/// Documents that two sides of a scope may go on differing in because one refuses something of the
/// other's. More are no exceptions but a disagreement that a person must look at.
pub const EXCEPTIONS_MAX: usize = 64;
/// Rows in one page of an exact list: 32 bytes each, so a page is 128 KiB.
pub const LIST_ROWS_MAX: usize = 4_096;
/// Scopes one peer may name: a site edge has its site, compartments and some dozens of caseloads.
pub const SCOPES_MAX: usize = 1_024;
/// Writing processes of one store in a cursor.
pub const WRITERS_MAX: usize = 64;

/// One turn: bytes of changes it takes in. Commits stay below 20 ms on the machines measured.
pub const TURN_BYTES_MAX: usize = 2 << 20;
/// One turn: changes it takes in; many in one bundle count as few.
pub const TURN_CHANGES_MAX: usize = 1_000;
/// Openings (summaries, commands, views) under way at once; more wait in order.
pub const OPENINGS_MAX: usize = 64;
/// Commands waiting for one document while another is performed on it.
pub const WAITING_PER_DOCUMENT_MAX: usize = 256;

/// Text: one note, in bytes. Thirty dense pages.
pub const NOTE_BYTES_MAX: usize = 64 << 10;
/// Text: Unicode scalar values inserted and deleted by one edit. Each is one operation, and a
/// change may have 20,000; what is left is for the entry that records the edit.
pub const PLAN_INSERT_MAX: usize = 19_000;
/// Text: a name, a place, a reason, in bytes.
pub const LINE_BYTES_MAX: usize = 512;
/// Entry ids that one act may say it has seen.
pub const SEEN_MAX: usize = 256;
