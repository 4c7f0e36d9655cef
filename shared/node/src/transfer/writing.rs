//! Who may still write in a document, and what is said to those who may not any more.

use names::{Reason, ScopeId};
use protocol::directory::Rights;
use store::{Store, StoreError, Table};

use crate::{
    draft::unless_damaged,
    input::{Request, Target},
    node::Node,
    output::Saved,
    rows::{DocumentRow, EntryRow},
    turn::Turn,
};

impl<S: Store> Node<S> {
    /// What was saved here in a document that has been handed over since is saved, however often it
    /// is sent.
    pub(crate) fn saved_before(
        &self,
        turn: &Turn<S::Snapshot>,
        request: &Request,
    ) -> Result<Option<Saved>, StoreError> {
        let Target::Document(document) = request.target else {
            return Ok(None);
        };
        let row = unless_damaged(turn.draft.document(document))?.flatten();
        if row.is_none_or(|row| self.may_write(&row).is_ok()) {
            return Ok(None);
        }
        let entry = request.entry;
        let known = turn.draft.row::<EntryRow>(Table::Entry, entry.as_ref(), 0);
        let known = unless_damaged(known)?.flatten();
        let known = known.filter(|known| known.document == document);
        Ok(known.map(|_| Saved {
            document,
            entry,
            change: None,
        }))
    }

    /// Whether this device may write in a document.
    pub(crate) fn may_write(&self, row: &DocumentRow) -> Result<(), Reason> {
        let writes = |scope: &ScopeId| {
            self.directory
                .rights(&self.device, scope)
                .contains(Rights::WRITE)
        };
        let read = |scope: &ScopeId| {
            let rights = self.directory.ever(&self.device, scope);
            rights.contains(Rights::READ)
        };
        if row.placed.iter().any(writes) {
            Ok(())
        } else if row.left.iter().any(|left| read(&left.scope)) {
            Err(Reason::Transferred)
        } else {
            Err(Reason::NotFound)
        }
    }
}
