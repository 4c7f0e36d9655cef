//! Exceptions: documents in which two sides of a scope go on differing, because one of them refuses
//! something of the other's.
//!
//! Each side says, with its digest, how it has the documents of which anything was refused. The
//! other takes its own elements of them out of its sum and puts these in: if the digests are the
//! same then, the two are proved equal except in these documents. The bad change costs its
//! document, and everything else of the scope is as good as ever; which document, and why, is kept
//! on both sides, so that the next greeting does not look for it again.

use std::collections::BTreeMap;

use names::{DocumentId, Moment, Reason, ScopeId, limits::EXCEPTIONS_MAX};
use protocol::{
    digest::{Element, LtHash},
    directory::Directory,
    message::{Done, Excepted},
};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    draft::{Draft, read_row, unless_damaged},
    input::{LinkId, Side},
    link::Talk,
    load::may_come,
    node::Node,
    rows::{DocumentRow, ExceptionRow, PeerRow, ScopeRow, peer_name},
    turn::Turn,
};

/// How long an exception is left at that before the two sides look exactly again.
const LOOK_AGAIN_MS: i64 = 24 * 3_600_000;
/// How long it is left where something that is still to come may end it: what follows it in the log
/// is offered again with it.
const COMES_MS: i64 = 300_000;

/// Exact looks at what may still pass before it is left at that: some seconds' worth.
const LOOKS_AT_PASSING: u32 = 3;

/// Whether a document is one in which two branches stand on either side, and nobody has ruled which.
pub(crate) fn is_to_be_ruled(directory: &Directory, row: &ExceptionRow) -> bool {
    row.reason == Reason::Equivocation && directory.branches(row.document).next().is_none()
}

/// The documents that two sides differ in, and why.
pub(crate) type Exceptions = BTreeMap<DocumentId, ExceptionRow>;

/// What was kept of them.
pub(crate) fn of_rows(rows: Vec<ExceptionRow>) -> Exceptions {
    rows.into_iter().map(|row| (row.document, row)).collect()
}

/// What stands for a document in the digest of a scope; none if nothing does.
fn element(
    document: DocumentId,
    row: Result<Option<DocumentRow>, StoreError>,
    scope: &ScopeId,
) -> Result<Option<Element>, StoreError> {
    let row = unless_damaged(row)?.flatten();
    Ok(row.and_then(|row| row.element_in(&document, scope)))
}

/// How this side has the documents of which anything was refused, to be said with its digest.
pub(crate) fn said<P: Snapshot>(
    snapshot: &P,
    scope: &ScopeId,
    talk: &Talk,
) -> Result<Vec<Excepted>, StoreError> {
    let documents = talk.refused.keys().chain(talk.exceptions.keys());
    let documents: std::collections::BTreeSet<_> = documents.copied().collect();
    let mut said = Vec::new();
    for document in documents.into_iter().take(EXCEPTIONS_MAX) {
        let row = read_row(snapshot, Table::Document, document.as_ref(), 0);
        let element = element(document, row, scope)?;
        said.push(Excepted { document, element });
    }
    Ok(said)
}

/// The documents at which this side leaves it: both sides are equal but for these, and it has
/// looked at them exactly, now or not long ago. The side that follows takes the other's word that
/// they have been looked at.
pub(crate) fn agreed<P: Snapshot>(
    draft: &Draft<P>,
    scope: &ScopeId,
    talk: &Talk,
    kept: &ScopeRow,
    (proof, leads, now): (&Done, bool, Moment),
) -> Result<Option<Exceptions>, StoreError> {
    if !talk.they_sent || !talk.proof_said || !talk.sent {
        return Ok(None);
    }
    let has_looked = talk.exact && !talk.was_equal;
    let exceptions = found(draft, scope, talk, kept, proof, (has_looked, now))?;
    Ok(exceptions.filter(|exceptions| {
        !leads
            || (has_looked && may_rest(exceptions, talk.failures))
            || are_known(&talk.exceptions, exceptions, now)
    }))
}

/// Whether both sides are equal but for documents that the peer has named with its digest: which,
/// if there are any.
fn found<P: Snapshot>(
    draft: &Draft<P>,
    scope: &ScopeId,
    talk: &Talk,
    kept: &ScopeRow,
    proof: &Done,
    (has_looked, now): (bool, Moment),
) -> Result<Option<Exceptions>, StoreError> {
    let mut exceptions = Exceptions::new();
    let mut sum = LtHash::from_bytes(&kept.digest).unwrap_or_default();
    for Excepted {
        document,
        element: theirs,
    } in proof.except.iter().copied()
    {
        let ours = element(document, draft.document(document), scope)?;
        if ours == theirs || exceptions.contains_key(&document) {
            continue;
        }
        if let Some(ours) = &ours {
            sum.remove(ours);
        }
        if let Some(theirs) = &theirs {
            sum.add(theirs);
        }
        let before = talk.exceptions.get(&document);
        let reason = talk.refused.get(&document).copied();
        let reason = reason.or(before.map(|kept| kept.reason));
        let looked = before
            .filter(|_| !has_looked)
            .map_or(now, |kept| kept.looked);
        let row = ExceptionRow {
            document,
            reason: reason.unwrap_or(Reason::NotEqual),
            looked,
        };
        exceptions.insert(document, row);
    }
    let is_equal = !exceptions.is_empty() && sum.value() == proof.digest;
    Ok(is_equal.then_some(exceptions))
}

/// Whether these documents were agreed on before, and it is not time to look again: a limit may be
/// another by now, or a version, or what was damaged is whole again.
fn are_known(before: &Exceptions, exceptions: &Exceptions, now: Moment) -> bool {
    exceptions.keys().all(|document| {
        let kept = before.get(document);
        kept.is_some_and(|kept| now < kept.looked.plus_ms(LOOK_AGAIN_MS) && now >= kept.looked)
    })
}

/// Whether it may be left at these after so many exact looks, one after another: what may still pass
/// is looked at some times more, as every disagreement is.
fn may_rest(exceptions: &Exceptions, failures: u32) -> bool {
    let mut reasons = exceptions.values().map(|row| row.reason);
    failures >= LOOKS_AT_PASSING || !reasons.any(may_come)
}

impl Talk {
    /// Notes that both sides are equal but for some documents. What was not taken in order may be of
    /// these, so the cursors stay where they are.
    pub(crate) fn equal_except(&mut self, exceptions: Exceptions, now: Moment) {
        self.proved = Some(now);
        self.was_equal = true;
        self.failures = 0;
        self.unequal = None;
        self.due = None;
        self.trouble = None;
        self.refused
            .retain(|document, _| exceptions.contains_key(document));
        self.exceptions = exceptions;
    }

    /// The exceptions are to be looked at exactly, as if that had been long ago.
    pub(crate) fn doubt_exceptions(&mut self, now: Moment) {
        for row in self.exceptions.values_mut() {
            row.looked = now.plus_ms(-LOOK_AGAIN_MS);
        }
    }

    /// Notes that something of a document was refused.
    pub(crate) fn note_refused(&mut self, document: DocumentId, reason: Reason) {
        if self.refused.len() < EXCEPTIONS_MAX && document != DocumentId::default() {
            self.refused.insert(document, reason);
        }
    }
}

impl<S: Store> Node<S> {
    /// Both sides of a scope are equal except in some documents.
    pub(crate) fn take_equal_except(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        scope: &ScopeId,
        exceptions: Exceptions,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (device, leads) = (link.device, link.side == Side::Dialled);
        let store = link.them.map(|them| them.store).unwrap_or_default();
        let Some(talk) = link.scopes.get_mut(scope) else {
            return Ok(());
        };
        talk.equal_except(exceptions.clone(), turn.now);
        // The side that leads looks; if the other began a round before, it would only put that off.
        let directory = &self.directory;
        let may_end = |row: &ExceptionRow| may_come(row.reason) || is_to_be_ruled(directory, row);
        if leads && exceptions.values().any(may_end) {
            // What it builds on may be here by then, or which of two branches stands.
            talk.look_again = Some(turn.soon(COMES_MS));
        }
        let peer = self.peer_row(turn, device, store, scope)?;
        let rows: Vec<ExceptionRow> = exceptions.values().copied().collect();
        if peer.exceptions != rows {
            let row = PeerRow {
                exceptions: rows,
                ..peer
            };
            let name = peer_name(device, store, scope);
            turn.draft.put(Table::Peer, name, 0, &row);
        }
        let below = self.outbox.next;
        self.note_equal(turn, id, scope, below, &exceptions)
    }
}
