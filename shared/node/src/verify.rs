//! Bytes to `Verified`: the only door into a node.
//!
//! Whichever way something comes in (live, fill, repair, import, a person's own command), it
//! passes here first: bounds, hashes, shape, signature, actor. What is checked is what the bytes
//! and the directory alone can tell, so it is a pure function that a shell may run on any thread.
//! The `Verified` types have private fields and no other constructor: a node cannot be handed
//! anything that was not checked.

mod read;

use std::{fmt, sync::Arc};

use crate::{bundle, node::Identity, output::Lane};
use document::preflight::Header;
use names::{ActorId, DocumentId, Reason, TenantId, limits::FRAME_BYTES_MAX};
use protocol::{
    bundle::{Bundle, Closing},
    directory::{Directory, SignedStatement, Statement},
    message::{Batch, Frame},
    placement::{Placement, PlacementId, SignedPlacement},
    signed::{Head, PublicKey},
    together::Proven,
};
use read::Read;

/// The changes of one frame, put together again: four times what an honest frame holds. A change
/// names others in a byte each, which become a hash each.
const LOAD_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// What verification needs to know: whose record this is, and who may sign. Cheap to copy; a
/// shell takes a fresh one from [`Node::verifier`](crate::Node::verifier) after every turn.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) tenant: TenantId,
    pub(crate) tenant_key: [u8; 32],
    pub(crate) authority: PublicKey,
    pub(crate) directory: Arc<Directory>,
}

/// A bundle that is what it says: well formed, and each author's changes in it by the device and
/// worker that closed them. What was not is left out of its lines.
#[derive(Clone)]
pub struct VerifiedBundle {
    bundle: Bundle,
    headers: Vec<Header>,
    lines: Vec<VerifiedLine>,
    bytes: usize,
}

/// One author's changes in a bundle, consecutive, the last of them closed.
#[derive(Clone)]
pub(crate) struct VerifiedLine {
    pub(crate) actor: ActorId,
    /// Where they stand in the bundle, oldest first.
    pub(crate) places: Vec<usize>,
    /// Its runs: how many of `places` lead up to each signed head, and what the head says.
    pub(crate) runs: Vec<(usize, Head)>,
}

/// A placement signed by a device that may place documents there.
#[derive(Clone)]
pub struct VerifiedPlacement {
    id: PlacementId,
    placement: Placement,
    signed: SignedPlacement,
}

/// A statement signed by the authority.
#[derive(Clone, Debug)]
pub struct VerifiedStatement {
    signed: SignedStatement,
    /// The document on whose placements it rules, if it is a ruling on these,
    ruled: Option<DocumentId>,
    /// or on whose branches.
    branched: Option<DocumentId>,
}

/// Something in a frame that was not taken, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rejected {
    pub(crate) document: DocumentId,
    /// Whose changes, up to which number; all of the document's if none.
    pub(crate) run: Option<(ActorId, u64)>,
    pub(crate) reason: Reason,
}

/// A frame whose content has been verified.
#[derive(Debug)]
pub struct VerifiedFrame(pub(crate) Checked);

/// A frame of bundles and placements, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) lane: Lane,
    /// What the frame says beside its content, which has been taken out.
    pub(crate) batch: Batch,
    pub(crate) placements: Vec<VerifiedPlacement>,
    pub(crate) bundles: Vec<VerifiedBundle>,
    pub(crate) rejected: Vec<Rejected>,
    /// The bytes of the frame.
    pub(crate) bytes: usize,
}

/// What a verified frame holds.
#[derive(Debug)]
pub(crate) enum Checked {
    /// Bundles and placements, each verified; what was not is listed.
    Load(Box<Load>),
    /// Statements of the authority; the others are counted by reason.
    Statements {
        statements: Vec<VerifiedStatement>,
        rejected: Vec<Reason>,
        last: bool,
    },
    /// A frame in which nothing is signed: it speaks for the peer alone.
    Plain(Frame),
    /// A frame of a newer version, to be passed over.
    Unknown,
}

impl Verifier {
    /// A verifier for whom `identity` serves, with the directory as known.
    pub fn new(identity: &Identity, directory: Arc<Directory>) -> Verifier {
        Verifier {
            tenant: identity.tenant,
            tenant_key: identity.tenant_key,
            authority: identity.authority,
            directory,
        }
    }

    /// Reads one frame and verifies what is in it. A bad run or placement costs only itself.
    ///
    /// # Errors
    /// When the frame as a whole is not one; the conversation should then end.
    pub fn frame(&self, bytes: &[u8]) -> Result<VerifiedFrame, Reason> {
        let checked = match Frame::decode(bytes)? {
            None => Checked::Unknown,
            Some(Frame::Fill(batch)) => {
                Checked::Load(Box::new(self.load(Lane::Fill, batch, bytes.len())))
            }
            Some(Frame::Live(batch)) => {
                Checked::Load(Box::new(self.load(Lane::Live, batch, bytes.len())))
            }
            Some(Frame::Statements(batch)) => {
                let (mut statements, mut rejected) = (Vec::new(), Vec::new());
                for signed in batch.statements {
                    match self.statement(signed) {
                        Ok(statement) => statements.push(statement),
                        Err(reason) => rejected.push(reason),
                    }
                }
                Checked::Statements {
                    statements,
                    rejected,
                    last: batch.last,
                }
            }
            Some(plain) => Checked::Plain(plain),
        };
        Ok(VerifiedFrame(checked))
    }

    fn load(&self, lane: Lane, mut batch: Batch, bytes: usize) -> Load {
        let nothing_of = |document, reason| Rejected {
            document,
            run: None,
            reason,
        };
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        let mut room = LOAD_BYTES_MAX;
        for bundle in std::mem::take(&mut batch.bundles) {
            let document = bundle.document;
            let left = room.checked_sub(bundle::size(&bundle));
            room = left.unwrap_or(room);
            let taken_apart = match left {
                Some(_) => Read::new(bundle),
                None => Err(Reason::TooLarge),
            };
            match taken_apart {
                Ok(bundle) => read.push(bundle),
                Err(reason) => unread.push(nothing_of(document, reason)),
            }
        }
        let heads = read.iter().flat_map(|bundle| self.heads_signed(bundle));
        let placed = batch.placements.iter();
        let placed = placed.filter_map(|placement| self.placement_signed(placement));
        let proven = Proven::of(heads.chain(placed));
        let (mut placements, mut rejected) = (Vec::new(), Vec::new());
        for signed in std::mem::take(&mut batch.placements) {
            let document = signed
                .claim()
                .map(|(_, claim)| claim.document)
                .unwrap_or_default();
            match self.placement_among(signed, &proven) {
                Ok(placement) => placements.push(placement),
                Err(reason) => rejected.push(nothing_of(document, reason)),
            }
        }
        rejected.append(&mut unread);
        let bundles = read
            .into_iter()
            .map(|bundle| self.read_bundle(bundle, &proven, &mut rejected))
            .collect();
        Load {
            lane,
            batch,
            placements,
            bundles,
            rejected,
            bytes,
        }
    }

    /// Verifies one bundle. An author whose changes do not hold costs only these: they are left
    /// out of its lines and listed in `rejected`.
    ///
    /// # Errors
    /// What is wrong with the bundle as a whole.
    pub(crate) fn bundle(
        &self,
        bundle: Bundle,
        rejected: &mut Vec<Rejected>,
    ) -> Result<VerifiedBundle, Reason> {
        let bundle = Read::new(bundle)?;
        let proven = Proven::of(self.heads_signed(&bundle));
        Ok(self.read_bundle(bundle, &proven, rejected))
    }

    /// Verifies what every author of a bundle has written.
    fn read_bundle(
        &self,
        Read {
            bundle,
            headers,
            bytes,
        }: Read,
        proven: &Proven,
        rejected: &mut Vec<Rejected>,
    ) -> VerifiedBundle {
        let mut lines = Vec::new();
        for (author, actor) in bundle.authors.iter().enumerate() {
            let of = |place: usize| {
                let change = bundle.changes.get(place);
                change.is_some_and(|change| usize::from(change.author) == author)
            };
            let places: Vec<usize> = (0..headers.len()).filter(|place| of(*place)).collect();
            let closings = bundle.closings.iter();
            let closings = closings.filter(|closing| of(usize::from(closing.change)));
            match self.line((&bundle, &headers), *actor, &places, closings, proven) {
                Ok(runs) => lines.push(VerifiedLine {
                    actor: *actor,
                    places,
                    runs,
                }),
                Err(reason) => {
                    let last = places.last().and_then(|place| headers.get(*place));
                    rejected.push(Rejected {
                        document: bundle.document,
                        run: last.map(|header| (*actor, header.seq)),
                        reason,
                    });
                }
            }
        }
        VerifiedBundle {
            bundle,
            headers,
            lines,
            bytes,
        }
    }

    /// One author's changes: each the next after the one before, and closed by heads that fit.
    fn line<'c>(
        &self,
        (bundle, headers): (&Bundle, &[Header]),
        actor: ActorId,
        places: &[usize],
        closings: impl Iterator<Item = &'c Closing>,
        proven: &Proven,
    ) -> Result<Vec<(usize, Head)>, Reason> {
        let of = places.iter().filter_map(|place| headers.get(*place));
        let of: Vec<&Header> = of.collect();
        for pair in of.windows(2) {
            let [before, after] = pair else { continue };
            let follows =
                Some(after.seq) == before.seq.checked_add(1) && after.deps.contains(&before.hash);
            if !follows {
                return Err(Reason::WrongSequence);
            }
        }
        let mut runs: Vec<(usize, Head)> = Vec::new();
        for closing in closings {
            let at = places.binary_search(&usize::from(closing.change));
            let at = at.map_err(|_| Reason::Malformed)?;
            let last = of.get(at).ok_or(Reason::Malformed)?;
            let signed = closing.head(&last.hash);
            let key = self.directory.signer(&signed.claim()?.device)?;
            let head = signed.verify(&self.tenant, &bundle.document, &actor, &key, proven)?;
            if head.hash != last.hash || head.seq != last.seq {
                return Err(Reason::WrongHash);
            }
            if runs.last().is_some_and(|(count, _)| *count > at) {
                return Err(Reason::Malformed);
            }
            runs.push((at + 1, head));
        }
        if runs.last().map_or(0, |(count, _)| *count) == places.len() && !places.is_empty() {
            Ok(runs)
        } else {
            Err(Reason::BadSignature)
        }
    }

    /// Verifies one placement: its signature, and of a first one that its device may place in every
    /// scope named. A later one needs rights where the document stands, which its rows tell.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn placement(&self, signed: SignedPlacement) -> Result<VerifiedPlacement, Reason> {
        self.placement_among(signed, &Proven::default())
    }

    fn placement_among(
        &self,
        signed: SignedPlacement,
        proven: &Proven,
    ) -> Result<VerifiedPlacement, Reason> {
        let (_, claim) = signed.claim()?;
        let key = self.directory.signer(&claim.device)?;
        let (id, placement) = signed.verify(&self.tenant, &key, proven)?;
        let may = self
            .directory
            .might_place(&placement.device, &placement.scopes);
        if placement.is_first() && !may {
            return Err(Reason::NotAllowed);
        }
        self.check_root(&placement)?;
        Ok(VerifiedPlacement {
            id,
            placement,
            signed,
        })
    }

    /// A document's first placement has a root, from which its id must follow, and which may name
    /// only its own site (the placement's own check). Without that, anybody who can guess an id
    /// could place another site's document.
    fn check_root(&self, placement: &Placement) -> Result<(), Reason> {
        match &placement.root {
            None if placement.is_first() => Err(Reason::Malformed),
            None => Ok(()),
            Some(root) => {
                let id = document::derived::document_id(
                    &self.tenant_key,
                    self.tenant,
                    placement.kind,
                    &root.site,
                    &root.venue,
                    &root.date,
                    &root.start,
                );
                if id == placement.document {
                    Ok(())
                } else {
                    Err(Reason::Malformed)
                }
            }
        }
    }

    /// Verifies one statement of the authority.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn statement(&self, signed: SignedStatement) -> Result<VerifiedStatement, Reason> {
        let issue = signed.verify(&self.tenant, &self.authority)?;
        let (mut ruled, mut branched) = (None, None);
        if let Statement::Ruling(ruling) = issue.statement {
            ruled = Some(ruling.document);
        } else if let Statement::Branch(ruling) = issue.statement {
            branched = Some(ruling.document);
        }
        Ok(VerifiedStatement {
            signed,
            ruled,
            branched,
        })
    }
}

impl VerifiedBundle {
    /// Which document it belongs to.
    pub fn document(&self) -> DocumentId {
        self.bundle.document
    }

    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What its changes say of themselves, in its order.
    pub(crate) fn headers(&self) -> &[Header] {
        &self.headers
    }

    pub(crate) fn lines(&self) -> &[VerifiedLine] {
        &self.lines
    }

    /// The bytes of its changes as they were written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl VerifiedPlacement {
    pub(crate) fn id(&self) -> PlacementId {
        self.id
    }

    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    pub(crate) fn signed(&self) -> &SignedPlacement {
        &self.signed
    }
}

impl VerifiedStatement {
    pub(crate) fn ruled(&self) -> Option<DocumentId> {
        self.ruled
    }

    pub(crate) fn branched(&self) -> Option<DocumentId> {
        self.branched
    }

    pub(crate) fn signed(&self) -> &SignedStatement {
        &self.signed
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Verifier({}, {} statements)",
            self.tenant,
            self.directory.count()
        )
    }
}

impl fmt::Debug for VerifiedBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (document, changes) = (self.bundle.document, self.headers.len());
        write!(f, "VerifiedBundle({document}, {changes} changes)")
    }
}

impl fmt::Debug for VerifiedPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedPlacement({})", self.placement.document)
    }
}
