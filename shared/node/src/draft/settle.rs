//! The end of a turn's deciding: members, digests and logs follow what was touched, once per turn and
//! in its transaction.

use std::collections::BTreeMap;

use names::{DocumentId, ScopeId, WriterId};
use protocol::{digest::LtHash, log::Position};
use store::{Snapshot, StoreError, Table};

use super::{Draft, Happening, Settled, Shift};
use crate::{
    logs::PAGE_ENTRIES_MAX,
    repair::Restated,
    rows::{
        DocumentRow, LogEntry, LogItem, LogPage, MemberRow, Membership, ScopeRow, log_name,
        scope_name,
    },
};

/// The rows of the scopes that a turn concerns.
type Scopes = BTreeMap<ScopeId, ScopeRow>;

/// What a turn tells of in each scope.
type Told = BTreeMap<ScopeId, Vec<LogEntry>>;

impl<P: Snapshot> Draft<P> {
    /// Brings members, digests and logs up to date with what was touched.
    pub(crate) fn settle(&mut self, writer: WriterId) -> Result<Settled, StoreError> {
        let (mut scopes, mut restated) = (Scopes::new(), Vec::new());
        for (document, before) in std::mem::take(&mut self.touched) {
            self.settle_document(document, before.as_ref(), &mut scopes, &mut restated)?;
        }
        let mut told = Told::new();
        for happening in std::mem::take(&mut self.happenings) {
            self.settle_log(&happening, &mut told)?;
        }
        for (scope, entries) in told {
            self.put_log(&scope, &entries, writer, &mut scopes)?;
        }
        let mut heads = BTreeMap::new();
        for (scope, row) in scopes {
            self.put(Table::Scope, scope_name(&scope), 0, &row);
            heads.insert(scope, row.heads);
        }
        Ok(Settled {
            heads,
            restated,
            shifts: std::mem::take(&mut self.shifts),
        })
    }

    fn scope<'m>(
        &self,
        scope: &ScopeId,
        scopes: &'m mut Scopes,
    ) -> Result<&'m mut ScopeRow, StoreError> {
        if !scopes.contains_key(scope) {
            let row = self
                .row(Table::Scope, &scope_name(scope), 0)?
                .unwrap_or_default();
            scopes.insert(scope.clone(), row);
        }
        scopes.get_mut(scope).ok_or(StoreError::Dead)
    }

    fn settle_document(
        &mut self,
        document: DocumentId,
        before: Option<&DocumentRow>,
        scopes: &mut Scopes,
        restated: &mut Vec<Restated>,
    ) -> Result<(), StoreError> {
        let Some(mut after) = self.document(document)? else {
            return Ok(());
        };
        let mut shift = Shift {
            has_past: before.is_some(),
            ..Shift::default()
        };
        let left = after.left.iter().map(|left| &left.scope);
        let concerned: Vec<ScopeId> = after.placed.iter().chain(left).cloned().collect();
        for scope in concerned {
            let Some(new) = after.element_in(&document, &scope) else {
                continue;
            };
            let old = before.and_then(|row| row.element_in(&document, &scope));
            if old == Some(new) {
                continue;
            }
            let was_in = before.is_some_and(|row| row.placed.contains(&scope));
            let is_in = after.placed.contains(&scope);
            let row = self.scope(&scope, scopes)?;
            row.count = (row.count + u64::from(is_in)).saturating_sub(u64::from(was_in));
            let slot = match after.memberships.iter().find(|known| known.scope == scope) {
                Some(known) => known.slot,
                None => {
                    let (scope, slot) = (scope.clone(), row.slots);
                    row.slots += 1;
                    after.memberships.push(Membership { scope, slot });
                    slot
                }
            };
            let mut hash = LtHash::from_bytes(&row.digest).unwrap_or_default();
            if let Some(old) = &old {
                hash.remove(old);
            }
            hash.add(&new);
            row.digest = hash.to_bytes();
            match (was_in, is_in) {
                (false, true) => shift.joined.push(scope.clone()),
                // Also one that was placed here in vain: peers must hear of it.
                (_, false) => shift.left.push(scope.clone()),
                (true, true) => {}
            }
            restated.push(Restated {
                scope: scope.clone(),
                document,
                before: old.map(|old| old.state()),
                after: new.state(),
            });
            let member = MemberRow {
                document,
                state: new.state(),
            };
            self.put(Table::Member, scope_name(&scope), slot, &member);
        }
        if !shift.joined.is_empty() || !shift.left.is_empty() {
            self.put(Table::Document, document.0, 0, &after);
            self.shifts.insert(document, shift);
        }
        Ok(())
    }

    fn settle_log(&mut self, happening: &Happening, told: &mut Told) -> Result<(), StoreError> {
        let Some(document) = self.document(happening.document)? else {
            return Ok(());
        };
        let shift = self.shifts.get(&happening.document);
        let has_past = shift.is_some_and(|shift| shift.has_past);
        let (joined, left) = shift.map_or((Vec::new(), Vec::new()), |shift| {
            (shift.joined.clone(), shift.left.clone())
        });
        let number = match happening.item {
            LogItem::Placement(number) => Some(number),
            LogItem::Bundle(_) | LogItem::Whole | LogItem::Left => None,
        };
        // A scope that it comes into with a past is told all of it, once: by the last placement.
        let is_last = number.is_some_and(|number| number + 1 == document.placement_count);
        let mut tell = |scope: &ScopeId, item, (changes, bytes)| {
            let entries = told.entry(scope.clone()).or_default();
            entries.push(LogEntry {
                document: happening.document,
                item,
                origin: happening.origin,
                changes,
                bytes,
            });
        };
        for scope in &document.placed {
            let (item, size) = if joined.contains(scope) && has_past {
                if !is_last {
                    continue;
                }
                (LogItem::Whole, (document.changes, document.bytes))
            } else {
                (happening.item, (happening.changes, happening.bytes))
            };
            tell(scope, item, size);
        }
        for scope in left.iter().filter(|_| number.is_some()) {
            tell(scope, LogItem::Left, (0, 0));
        }
        Ok(())
    }

    /// Appends what a turn tells of to the log of a scope.
    fn put_log(
        &mut self,
        scope: &ScopeId,
        entries: &[LogEntry],
        writer: WriterId,
        scopes: &mut Scopes,
    ) -> Result<(), StoreError> {
        let row = self.scope(scope, scopes)?;
        let mut number = row.heads.number(&writer);
        let name = log_name(scope, writer);
        for entries in entries.chunks(PAGE_ENTRIES_MAX) {
            number += entries.len() as u64;
            let page = LogPage {
                entries: entries.to_vec(),
            };
            self.put(Table::Log, name.clone(), number, &page);
        }
        row.heads.advance(Position { writer, number });
        Ok(())
    }
}
