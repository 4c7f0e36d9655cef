//! Where a document that a command opens belongs: its id, its scopes, and the signed placement that
//! says so.

use std::collections::BTreeSet;

use domain::{Command, Day, TimeOfDay};
use names::{DocumentId, EntryId, Kind, Reason, ScopeId, SiteId};
use protocol::placement::{Placement, PlacementId, Root, SignedPlacement};
use store::{Store, StoreError};

use crate::{
    admit::{self, Verdict},
    desk::Pending,
    input::{Request, Target},
    node::{Identity, Node},
    turn::Turn,
};

/// What a command that opens a document says of where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) scopes: BTreeSet<ScopeId>,
    pub(crate) root: Root,
}

impl<S: Store> Node<S> {
    /// The document that a command opens: its id follows from the command, so that asking twice,
    /// or at two sites that cannot hear one another, opens one document.
    pub(crate) fn locate(
        &self,
        request: &Request,
    ) -> Result<Option<(DocumentId, Kind, Opening)>, Reason> {
        let Target::New(scopes) = &request.target else {
            return Ok(None);
        };
        let scopes: BTreeSet<ScopeId> = scopes.iter().cloned().collect();
        if !self.directory.may_place(&self.device, &scopes) {
            return Err(Reason::NotAllowed);
        }
        let site = scopes.iter().find_map(|scope| match scope {
            ScopeId::Site(site) => Some(site.clone()),
            ScopeId::Directory | ScopeId::Caseload(_) | ScopeId::Compartment(..) => None,
        });
        let site = site.ok_or(Reason::NotPlaced)?;
        let (kind, root) = if let Command::OpenCase { .. } = &request.command {
            (Kind::CASE, case_root(site, request.entry))
        } else if let Command::OpenSession {
            venue, date, start, ..
        } = &request.command
        {
            let root = session_root(site, venue.as_str(), *date, *start);
            (Kind::SESSION, root)
        } else {
            return Err(Reason::Malformed);
        };
        let document = document::derived::document_id(
            &self.identity.tenant_key,
            self.identity.tenant,
            kind,
            &root.site,
            &root.venue,
            &root.date,
            &root.start,
        );
        Ok(Some((document, kind, Opening { scopes, root })))
    }

    /// Places a document that a command opens, unless it stands here already.
    pub(crate) fn place(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
        pending: &Pending,
    ) -> Result<Result<(), Reason>, StoreError> {
        let Some(opening) = &pending.opens else {
            return Ok(Ok(()));
        };
        if turn.draft.document(document)?.is_some() {
            return Ok(Ok(()));
        }
        // The first placement is by the root and names scopes of its site alone, so that no other
        // site can make it; further scopes are added by a second one.
        let own = |scope: &&ScopeId| match scope {
            ScopeId::Site(site) | ScopeId::Compartment(site, _) => *site == opening.root.site,
            ScopeId::Directory | ScopeId::Caseload(_) => false,
        };
        let first: BTreeSet<ScopeId> = opening.scopes.iter().filter(own).cloned().collect();
        let more = first != opening.scopes;
        let mut placement = Placement {
            document,
            kind: pending.kind,
            scopes: first,
            device: self.device,
            worker: pending.request.by.worker.clone(),
            at: turn.now,
            root: Some(opening.root.clone()),
            previous: None,
            reason: None,
            heads: Vec::new(),
        };
        let placed = self.keep_placement(turn, &placement)?;
        if let (Ok(previous), true) = (placed, more) {
            placement.scopes.clone_from(&opening.scopes);
            placement.root = None;
            placement.previous = Some(previous);
            return Ok(self.keep_placement(turn, &placement)?.map(|_| ()));
        }
        Ok(placed.map(|_| ()))
    }

    /// Signs a placement and admits it like any other; answers its id.
    pub(crate) fn keep_placement(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        placement: &Placement,
    ) -> Result<Result<PlacementId, Reason>, StoreError> {
        let Identity { tenant, device, .. } = &self.identity;
        let signed = SignedPlacement::sign(device, tenant, placement);
        let verified = match self.verifier().placement(signed) {
            Ok(verified) => verified,
            Err(reason) => return Ok(Err(reason)),
        };
        let directory = self.directory();
        match admit::placement(&mut turn.draft, &directory, &verified, None)? {
            Verdict::Admitted => {
                self.owe_rulings(turn, placement.document)?;
                Ok(Ok(verified.id()))
            }
            Verdict::Held => Ok(Ok(verified.id())),
            Verdict::Refused(reason) => Ok(Err(reason)),
        }
    }
}

/// What a case's id is made from: the entry that opens it, at the site it is opened in.
fn case_root(site: SiteId, entry: EntryId) -> Root {
    Root {
        site,
        venue: entry.to_string(),
        date: String::new(),
        start: String::new(),
    }
}

/// What a session's id is made from. The site is the one whose scope it is opened in, which is
/// the venue's owner, never the writer's.
fn session_root(site: SiteId, venue: &str, date: Day, start: TimeOfDay) -> Root {
    Root {
        site,
        venue: venue.trim().to_lowercase(),
        date: date.to_string(),
        start: start.to_string(),
    }
}
