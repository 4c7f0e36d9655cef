//! Rulings on placements that were made at the same time: the centre's node says which it witnessed
//! first, the authority signs that, and every node follows.

use names::DocumentId;
use protocol::directory::{Ruling, Statement};
use store::{Store, StoreError, Table};

use crate::{admit, draft::unless_damaged, node::Node, output::Output, turn::Turn};

/// A ruling that the centre owes.
#[derive(Debug)]
pub(crate) struct Owed {
    ruling: Ruling,
    /// Whether the authority was asked for it in this opening.
    is_asked: bool,
}

impl Owed {
    pub(crate) fn new(ruling: Ruling) -> Owed {
        Owed {
            ruling,
            is_asked: false,
        }
    }

    pub(crate) fn ruling(&self) -> Ruling {
        self.ruling
    }
}

impl<S: Store> Node<S> {
    /// A document was placed: at the centre, notes which rulings that calls for.
    pub(crate) fn owe_rulings(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        document: DocumentId,
    ) -> Result<(), StoreError> {
        if !self.is_centre() {
            return Ok(());
        }
        let Some(row) = turn.draft.document(document)? else {
            return Ok(());
        };
        let known = admit::kept_placements(&turn.draft, document, &row)?;
        let directory = self.directory();
        for ruling in admit::standing_of(&directory, document, &known).rulings {
            let mut of_document = self.owed.range((document, 0)..=(document, u64::MAX));
            if of_document.any(|(_, owed)| owed.ruling.previous == ruling.previous) {
                continue;
            }
            let last = self.owed.range((document, 0)..=(document, u64::MAX));
            let place = last.last().map_or(1, |((_, place), _)| place + 1);
            turn.draft.put(Table::Transfer, document.0, place, &ruling);
            self.owed.insert((document, place), Owed::new(ruling));
        }
        Ok(())
    }

    /// Follows the rulings that this turn has brought, and asks for those that are owed.
    pub(crate) fn follow_rulings(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<(), StoreError> {
        let directory = self.directory();
        for document in std::mem::take(&mut self.ruled) {
            unless_damaged(admit::ruled(&mut turn.draft, &directory, document))?;
        }
        self.owed.retain(|(document, place), owed| {
            let is_owed = directory.ruling(*document, owed.ruling.previous).is_none();
            if !is_owed {
                turn.draft.delete(Table::Transfer, document.0, *place);
            }
            is_owed
        });
        for owed in self.owed.values_mut() {
            if !std::mem::replace(&mut owed.is_asked, true) {
                turn.outputs
                    .push(Output::Rule(Box::new(Statement::Ruling(owed.ruling))));
            }
        }
        Ok(())
    }
}
