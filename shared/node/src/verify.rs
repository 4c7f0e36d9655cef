//! Bytes to `Verified`: the only door into a node.
//!
//! Whichever way something comes in (live, fill, repair, import, a person's own command), it
//! passes here first: bounds, hashes, shape, signature, actor. What is checked is what the bytes
//! and the directory alone can tell, so it is a pure function that a shell may run on any thread.
//! The `Verified` types have private fields and no other constructor: a node cannot be handed
//! anything that was not checked.

use std::{fmt, sync::Arc};

use crate::{node::Identity, output::Lane};
use document::preflight::{self, Header};
use names::{ActorId, DocumentId, Reason, TenantId};
use protocol::{
    codec,
    directory::{Directory, SignedStatement},
    message::{Batch, Frame},
    placement::{Placement, PlacementId, SignedPlacement},
    signed::{Head, PublicKey, Run, SignatureName},
};

/// What verification needs to know: whose record this is, and who may sign. Cheap to copy; a
/// shell takes a fresh one from [`Node::verifier`](crate::Node::verifier) after every turn.
#[derive(Clone)]
pub struct Verifier {
    pub(crate) tenant: TenantId,
    pub(crate) tenant_key: [u8; 32],
    pub(crate) authority: PublicKey,
    pub(crate) directory: Arc<Directory>,
}

/// A run that is what it says: well formed, whole, by the device and worker it names.
#[derive(Clone)]
pub struct VerifiedRun {
    document: DocumentId,
    actor: ActorId,
    head: Head,
    signature: SignatureName,
    headers: Vec<Header>,
    bytes: Vec<u8>,
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
}

/// Something in a frame that was not taken, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rejected {
    pub(crate) document: DocumentId,
    pub(crate) reason: Reason,
}

/// A frame whose content has been verified.
#[derive(Debug)]
pub struct VerifiedFrame(pub(crate) Checked);

/// What a verified frame holds.
#[derive(Debug)]
pub(crate) enum Checked {
    /// Runs and placements, each verified; those that were not are listed.
    Load {
        lane: Lane,
        batch: Batch,
        placements: Vec<VerifiedPlacement>,
        runs: Vec<VerifiedRun>,
        rejected: Vec<Rejected>,
    },
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
            Some(Frame::Fill(batch)) => self.load(Lane::Fill, batch),
            Some(Frame::Live(batch)) => self.load(Lane::Live, batch),
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

    fn load(&self, lane: Lane, mut batch: Batch) -> Checked {
        let mut rejected = Vec::new();
        let mut placements = Vec::new();
        for signed in std::mem::take(&mut batch.placements) {
            let document = signed
                .claim()
                .map(|(_, claim)| claim.document)
                .unwrap_or_default();
            match self.placement(signed) {
                Ok(placement) => placements.push(placement),
                Err(reason) => rejected.push(Rejected { document, reason }),
            }
        }
        let mut runs = Vec::new();
        for run in std::mem::take(&mut batch.runs) {
            let document = run.document;
            match self.run(&run) {
                Ok(run) => runs.push(run),
                Err(reason) => rejected.push(Rejected { document, reason }),
            }
        }
        Checked::Load {
            lane,
            batch,
            placements,
            runs,
            rejected,
        }
    }

    /// Verifies one run.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn run(&self, run: &Run) -> Result<VerifiedRun, Reason> {
        run.check_size()?;
        let headers = run
            .changes
            .iter()
            .map(|chunk| preflight::header(chunk))
            .collect::<Result<Vec<_>, _>>()?;
        let (first, last) = match (headers.first(), headers.last()) {
            (Some(first), Some(last)) => (first, last),
            _ => return Err(Reason::Malformed),
        };
        for pair in headers.windows(2) {
            let [before, after] = pair else { continue };
            let follows = after.actor == before.actor
                && Some(after.seq) == before.seq.checked_add(1)
                && after.deps.contains(&before.hash);
            if !follows {
                return Err(Reason::WrongSequence);
            }
        }
        let claim = run.head.claim()?;
        let key = self.directory.signer(&claim.device)?;
        let actor = first.actor;
        let head = run.head.verify(&self.tenant, &run.document, &actor, &key)?;
        if head.hash != last.hash || head.seq != last.seq {
            return Err(Reason::WrongHash);
        }
        Ok(VerifiedRun {
            document: run.document,
            actor,
            head,
            signature: run.head.name(),
            bytes: codec::encode(run),
            headers,
        })
    }

    /// Verifies one placement: its signature, and that its device may place in every scope named.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn placement(&self, signed: SignedPlacement) -> Result<VerifiedPlacement, Reason> {
        let (_, claim) = signed.claim()?;
        let key = self.directory.signer(&claim.device)?;
        let (id, placement) = signed.verify(&self.tenant, &key)?;
        if !self
            .directory
            .might_place(&placement.device, &placement.scopes)
        {
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
        signed.verify(&self.tenant, &self.authority)?;
        Ok(VerifiedStatement { signed })
    }
}

impl VerifiedRun {
    /// Which document it belongs to.
    pub fn document(&self) -> DocumentId {
        self.document
    }

    pub(crate) fn actor(&self) -> ActorId {
        self.actor
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn signature(&self) -> SignatureName {
        self.signature
    }

    pub(crate) fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The header of its first change; a verified run has at least one.
    pub(crate) fn first(&self) -> &Header {
        self.headers
            .first()
            .expect("a verified run has at least one change")
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
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

impl fmt::Debug for VerifiedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VerifiedRun({}, {} changes)",
            self.document,
            self.headers.len()
        )
    }
}

impl fmt::Debug for VerifiedPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedPlacement({})", self.placement.document)
    }
}
