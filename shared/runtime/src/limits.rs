//! Every bound and every wait of the native shell, with its reason. What both shells share (the
//! size of a frame, of a turn) stands in `names::limits`.

use std::time::Duration;

/// How long a handshake may take: three round trips on the worst link we serve (2 s), and room
/// for retransmissions.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long after the handshake a peer may be silent. It has only to send its greeting.
pub(crate) const FIRST_FRAME_MAX: Duration = Duration::from_secs(10);
/// How long a peer may leave written bytes unread, or a begun frame unfinished. After that it is
/// dropped; its cursor stays, so nothing is lost.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(30);
/// How long a conversation may lie silent before it counts as dead: three keep-alives, so that
/// two may be lost. A half-open connection frees its place within it.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(30);
/// How often the dialling side says that it lives: below the 30 s after which the tightest
/// address translators forget a mapping. About 7 bytes a second.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The first wait before dialling again.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest wait before dialling again: a centre that comes back has everyone within it.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A conversation that lasted this long was a good one: the next wait is the first again.
pub(crate) const BACKOFF_RESET: Duration = Duration::from_secs(60);
/// How long a name may take to be resolved.
pub(crate) const RESOLVE_MAX: Duration = Duration::from_secs(5);
/// Addresses tried of one name.
pub(crate) const RESOLVED_MAX: usize = 8;

/// Conversations at once. A county has tens of edges and hundreds of phones.
pub(crate) const LINKS_MAX: usize = 1_024;
/// Conversations of one device at once. A reconnecting edge may find its old one still there; a
/// cloned store makes two; more is a fault, and the oldest goes.
pub(crate) const LINKS_PER_DEVICE_MAX: usize = 4;
/// Handshakes at once; the others are turned away and come back after their backoff. Each costs
/// about 1 ms and some kilobytes.
pub(crate) const HANDSHAKES_MAX: usize = 64;
/// Handshakes at once from which on a caller must first prove its address.
pub(crate) const HANDSHAKES_TRUSTING: usize = 16;
/// Enrolments carried out at once. They are rare, and each takes a turn and signs a certificate.
pub(crate) const ENROLMENTS_MAX: usize = 4;
/// Callers without a certificate at once, who have said nothing yet. Each costs a connection; there
/// are more places than for enrolments, so that strangers who say nothing keep nobody waiting.
pub(crate) const STRANGERS_MAX: usize = 64;
/// Those of them from one address. An office that sets its devices up together shares an address;
/// one stranger cannot take all places.
pub(crate) const STRANGERS_PER_ADDRESS_MAX: usize = 8;
/// How long after the handshake such a caller may be silent: its request is ready before it dials,
/// so this is three round trips on the worst link.
pub(crate) const STRANGER_SILENT_MAX: Duration = Duration::from_secs(6);
/// How long an enrolment may take from the handshake to its end: a turn and a slow link.
pub(crate) const ENROLMENT_MAX: Duration = Duration::from_secs(30);

/// What one stream may hold unread: a frame and a half, above the 750 KB that a 300 ms link of
/// 20 Mbit/s needs to be busy.
pub(crate) const STREAM_WINDOW: u32 = 3 << 19;
/// What one conversation may hold unread: its three streams.
pub(crate) const LINK_WINDOW: u32 = 3 * STREAM_WINDOW;
/// What one conversation may have sent and not seen acknowledged. Above the window of one stream,
/// so that a fill never takes all of it from the live stream.
pub(crate) const SEND_WINDOW: u64 = 2 * LINK_WINDOW as u64;
/// What one conversation may have under way before anything of it was acknowledged: the greeting,
/// the rows of some three hundred scopes or the first cells of a repair (16 KB) in one flight. 32
/// packets, as the browsers' QUIC has it, instead of the ten of RFC 9002, 7.2; they are paced.
pub(crate) const INITIAL_WINDOW: u64 = 32 * 1_200;
/// Bytes that may wait to be written to one stream. A node keeps eight fill frames in flight; live
/// frames are small. A peer for which more waits is too slow.
pub(crate) const LANE_QUEUE_BYTES_MAX: usize = 16 << 20;
/// Bytes received on one lane that may wait for their turn: two turns' worth. What is more stays
/// in the stream, and the peer feels it.
pub(crate) const LANE_INBOX_BYTES_MAX: usize = 4 << 20;
/// The same for all conversations together, of live frames and of all others: what a small box
/// can spare.
pub(crate) const INBOX_BYTES_MAX: usize = 32 << 20;
/// A frame up to this size is verified where it was read (a signature and a hash, below 0.2 ms);
/// a larger one on a thread that may block.
pub(crate) const VERIFY_INLINE_BYTES_MAX: usize = 4 << 10;

/// Frames of one lane that are verified at the same time: one more than the one that is waited for,
/// so that a fill keeps two cores busy and holds no more room than it needs.
pub(crate) const VERIFIED_AT_ONCE: usize = 2;

/// Commands that may wait for their turn. A site types some tens a second at most.
pub(crate) const COMMANDS_MAX: usize = 1_024;
/// Questions that may wait for an opener or for the store.
pub(crate) const VIEWS_MAX: usize = 256;
/// Readings of a whole table at once. Each keeps a core busy, and more of them only compete with the
/// node's own thread; what waits for its place gives up when its request does.
pub(crate) const SCANS_MAX: usize = 2;
/// How long a turn may take before the node no longer counts as ready: a thousand times what one
/// takes, so it hangs in its disk.
pub(crate) const TURN_LATE: Duration = Duration::from_secs(10);
/// How old the figures of scopes may be that are told to everybody: a scraper asks every few
/// seconds, and whoever asks without end costs the node's thread no more than one look in this time.
pub(crate) const FIGURES_AGE_MAX: Duration = Duration::from_secs(1);
/// Notices kept for a slow listener; older ones are dropped, and the listener is told how many.
pub(crate) const NOTICES_MAX: usize = 1_024;
/// Documents one opener keeps open: about 1 MB each at worst, 100 KB usually.
pub(crate) const OPENER_DOCUMENTS_MAX: usize = 128;
/// Opener threads. More than the cores only compete with the node's own thread.
pub(crate) const OPENERS_MAX: usize = 4;
/// How long a summary waits before it is made, where few are to be made: what has just come from one site is on its way to
/// others then, which takes a few milliseconds of the same cores. Lists show it well within the
/// second that the design asks for.
pub(crate) const SUMMARY_REST: Duration = Duration::from_millis(10);
/// The longest sleep of the node's thread: a clock that was set is noticed within it. An opener's is
/// as long.
pub(crate) const SLEEP_MAX: Duration = Duration::from_secs(30);

/// How long a stop waits for what was said to reach its peers, and before that for answers and for
/// openings to end.
pub(crate) const FLUSH_MAX: Duration = Duration::from_secs(5);
/// Round trips without a word after which a peer that was told goodbye counts as gone: a packet may
/// be lost twice in a row and sent again.
pub(crate) const SILENT_ROUND_TRIPS: u32 = 12;
/// The least of that wait: below it a busy machine at the other end would count as gone.
pub(crate) const SILENT_MIN: Duration = Duration::from_millis(500);
/// How long a stop waits for threads to end. A turn takes milliseconds, an opening a second.
pub(crate) const JOIN_MAX: Duration = Duration::from_secs(10);

/// How long a listener that could not take a caller waits before it tries again: a process has too
/// many files open, and some of them are closed within it.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a socket's path, without its end: what the operating system has room for.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// One request or answer over the control socket: a list of a thousand devices is 300 KB.
pub(crate) const CONTROL_LINE_BYTES_MAX: usize = 4 << 20;
/// Commands that may speak to the running node at once.
pub(crate) const CONTROL_CALLERS_MAX: usize = 16;
/// How long a caller may take to say its line.
pub(crate) const CONTROL_REQUEST_MAX: Duration = Duration::from_secs(10);
/// How long a command waits for a word of the running node: its answer, or that it is at work.
pub(crate) const CONTROL_ANSWER_MAX: Duration = Duration::from_secs(120);
/// How often the node says that it is at work: several times in that.
pub(crate) const CONTROL_BUSY_EVERY: Duration = Duration::from_secs(20);
/// How long a command's work may take: verifying the largest store takes minutes.
pub(crate) const CONTROL_WORK_MAX: Duration = Duration::from_secs(60 * 60);

/// A key file is 65 bytes; whatever is longer than this is something else.
pub(crate) const KEY_FILE_BYTES_MAX: u64 = 4 << 10;
/// Characters of a new passphrase. It guards the store against whoever takes the disk.
pub(crate) const PASSPHRASE_CHARS_MIN: usize = 12;
/// Bytes of a passphrase that are read at all.
pub(crate) const PASSPHRASE_BYTES_MAX: usize = 1 << 10;

/// How long a CA is valid. It is pinned by its fingerprint, so a new one means enrolling again.
pub(crate) const CA_DAYS: u64 = 3_650;
/// How long a device's certificate is valid: longer than a site works without the centre (42 days).
/// It renews itself whenever the device is in touch, so only a revocation ends one that was
/// forgotten in a drawer. A certificate is only the way in: what its holder may do stands in the directory and is looked up for every
/// conversation.
pub(crate) const CERTIFICATE_DAYS: u64 = 60;
/// How long before its end a device asks for another: half its life, so that a month of failures
/// does no harm.
pub(crate) const RENEW_DAYS: u64 = CERTIFICATE_DAYS / 2;
/// How long the centre's own is valid. It makes itself a new one at every start.
pub(crate) const CENTRE_CERTIFICATE_DAYS: u64 = 400;
/// How often a device looks whether it should ask.
pub(crate) const RENEW_LOOK: Duration = Duration::from_secs(60 * 60);
/// How long one question and its answer may take on the narrow protocol: a frame of 1 MiB on the
/// worst link, and a turn.
pub(crate) const NARROW_MAX: Duration = Duration::from_secs(60);
/// Questions on one connection of it: as many parts as a device may hand in, and as many others;
/// fifty lists of lines are more than any site has.
pub(crate) const NARROW_ASKS_MAX: usize = 512;
/// Conversations in it at once: more devices than are ever revoked or renewed together.
pub(crate) const NARROW_PLACES_MAX: usize = 64;
/// Those of them with one device: its earlier ones may have broken off and not be missed yet.
pub(crate) const NARROW_PER_DEVICE_MAX: usize = 4;
/// How long a device may stay on it: as much as it may hand in, on the worst link.
pub(crate) const NARROW_TALK_MAX: Duration = Duration::from_secs(60 * 60);
/// By how much a clock may differ from the centre's before its operator is told.
pub(crate) const CLOCK_OFF_MS: u64 = 10 * 60 * 1_000;
/// How far back a certificate begins: a device whose clock is a day slow can still use it.
pub(crate) const CERTIFICATE_SLACK_DAYS: u64 = 1;

/// How long whoever wants to see a document waits until the node has opened what it never opened of
/// it: summaries are made within a second. What could not be opened by then was refused in a way
/// that can be caught.
pub(crate) const UNOPENED_MAX: Duration = Duration::from_secs(2);
/// How often that is looked for.
pub(crate) const UNOPENED_LOOK: Duration = Duration::from_millis(5);
/// How long a conversation that has ended may go on handing out what waits for its peer: some
/// megabytes on the worst link that anybody works with.
pub(crate) const FINISH_MAX: Duration = Duration::from_secs(120);
