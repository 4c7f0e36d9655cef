//! What goes out, after the turn is on disk and from nothing but what is on disk.
//!
//! Both lanes are driven by the logs: *live* is what lies beyond where the peer was told our logs
//! stood, *fill* is what lies between there and where the peer says it has got to. What came from
//! the peer's own store is passed over, but the cursor moves across it.

use std::collections::{BTreeSet, VecDeque};

use names::{
    Incarnation, Moment, ScopeId,
    limits::{FILL_FRAMES_IN_FLIGHT, LIST_ROWS_MAX},
};
use protocol::{
    log::Position,
    message::{Done, Frame, Table as ScopeTable},
};
use store::{Snapshot, Store, StoreError, Table};

use crate::{
    draft::{decode_row, read_row},
    gather::Gathering,
    greet::statement_frames,
    input::LinkId,
    link::{Due, Link, Progress, Stage, Talk},
    node::Node,
    output::{Lane, Output},
    rows::{LogItem, LogRow, ScopeRow, log_name, scope_name},
    turn::PROOF_INTERVAL_MS,
};

/// Log rows read at once.
const LOG_ROWS: usize = 256;

impl<S: Store> Node<S> {
    /// Makes every frame that is due, from what is on disk now.
    pub(crate) fn speak(
        &mut self,
        now: Moment,
        outputs: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        if self.links.is_empty() {
            return Ok(());
        }
        let snapshot = self.store.snapshot()?;
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            // The link is taken out while it is spoken on, so that the node can be read beside it.
            let Some(mut link) = self.links.remove(&id) else {
                continue;
            };
            let mut said = Vec::new();
            let result = self.speak_on(&snapshot, id, &mut link, now, &mut said, outputs);
            self.links.insert(id, link);
            result?;
            outputs.extend(
                said.into_iter()
                    .map(|(lane, frame): (Lane, Frame)| Output::Send {
                        link: id,
                        lane,
                        frame: frame.encode(),
                    }),
            );
        }
        Ok(())
    }

    fn speak_on(
        &self,
        snapshot: &S::Snapshot,
        id: LinkId,
        link: &mut Link,
        now: Moment,
        said: &mut Vec<(Lane, Frame)>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), StoreError> {
        said.append(&mut link.ready);
        if std::mem::take(&mut link.ids_due) {
            said.extend(
                self.statement_ids()
                    .into_iter()
                    .map(|frame| (Lane::Control, frame)),
            );
        }
        let (Stage::Scopes, Some(them)) = (link.stage, link.them) else {
            return Ok(());
        };
        self.speak_statements(snapshot, link, said)?;
        let mut scopes = std::mem::take(&mut link.scopes);
        let rows = self.speak_rows(snapshot, &scopes)?;
        if !rows.is_empty() {
            said.push((
                Lane::Control,
                Frame::Table(ScopeTable { rows: rows.clone() }),
            ));
        }
        for (scope, talk) in &mut scopes {
            if talk.row_due {
                talk.row_due = false;
                talk.our_row = rows.iter().find(|row| row.scope == *scope).cloned();
            }
            if let (Some(_), Some(ours)) = (&talk.their_row, talk.our_row.clone()) {
                talk.our_row = None;
                let frames = self.open_round(snapshot, scope, talk, &ours, them.incarnation)?;
                said.extend(frames.into_iter().map(|frame| (Lane::Control, frame)));
            }
            Self::speak_exact(snapshot, id, link.side, scope, talk, said, outputs)?;
            self.speak_live(snapshot, scope, talk, them.incarnation, now, said)?;
            while link.in_flight < FILL_FRAMES_IN_FLIGHT && talk.has_fill() {
                match self.fill_frame(snapshot, scope, talk, them.incarnation)? {
                    Some(frame) => {
                        link.in_flight += usize::from(matches!(frame, Frame::Fill(_)));
                        said.push((Lane::Fill, frame));
                    }
                    None => break,
                }
            }
            Self::speak_proof(snapshot, scope, talk, said)?;
        }
        link.scopes = scopes;
        Ok(())
    }

    fn speak_statements(
        &self,
        snapshot: &S::Snapshot,
        link: &mut Link,
        said: &mut Vec<(Lane, Frame)>,
    ) -> Result<(), StoreError> {
        if link.statements_told >= self.statements {
            return Ok(());
        }
        let rows = snapshot.range(Table::Statement, &[], link.statements_told, LIST_ROWS_MAX)?;
        let statements = rows
            .iter()
            .map(|(_, bytes)| decode_row(Table::Statement, bytes))
            .collect::<Result<Vec<_>, _>>()?;
        link.statements_told += rows.len() as u64;
        said.extend(statement_frames(&statements).map(|frame| (Lane::Control, frame)));
        Ok(())
    }

    fn speak_rows(
        &self,
        snapshot: &S::Snapshot,
        scopes: &std::collections::BTreeMap<ScopeId, Talk>,
    ) -> Result<Vec<protocol::message::TableRow>, StoreError> {
        let due = scopes.iter().filter(|(_, talk)| talk.row_due);
        due.map(|(scope, talk)| self.table_row(snapshot, scope, talk.round, &talk.taken))
            .collect()
    }

    fn speak_proof(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
        said: &mut Vec<(Lane, Frame)>,
    ) -> Result<(), StoreError> {
        let first = talk.sent && talk.they_sent && !talk.proof_said && talk.proved.is_none();
        let ask = std::mem::take(&mut talk.ask_due);
        if !(std::mem::take(&mut talk.proof_due) || ask || first) {
            return Ok(());
        }
        talk.proof_said = true;
        let row: ScopeRow =
            read_row(snapshot, Table::Scope, &scope_name(scope), 0)?.unwrap_or_default();
        let (digest, count) = (row.value(), row.count);
        let (scope, round) = (scope.clone(), talk.round);
        let done = Done {
            scope,
            digest,
            count,
            logs: row.heads,
            round,
            ask,
        };
        said.push((Lane::Control, Frame::Done(done)));
        Ok(())
    }

    /// What people have written since the peer was told where our logs stand.
    fn speak_live(
        &self,
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
        them: Incarnation,
        now: Moment,
        said: &mut Vec<(Lane, Frame)>,
    ) -> Result<(), StoreError> {
        let Some(mut told) = talk.told.take() else {
            return Ok(());
        };
        let heads = self.log_heads.get(scope).cloned().unwrap_or_default();
        for head in heads.positions() {
            let mut from = Position {
                writer: head.writer,
                number: told.number(&head.writer),
            };
            while from.number < head.number {
                let mut bytes = Gathering::new(scope);
                let end = bytes.take_log(snapshot, from, head.number, them)?;
                talk.fill.repairs.extend(bytes.take_whole());
                if talk.has_fill() {
                    bytes.whole_documents(snapshot)?;
                }
                if !bytes.is_empty() {
                    // What was passed over is part of the next frame's stretch, so that the
                    // peer's cursor moves across it.
                    let said_to = talk.covered.number(&head.writer);
                    let start = Position {
                        writer: head.writer,
                        number: said_to,
                    };
                    talk.covered.advance(Position {
                        writer: head.writer,
                        number: end,
                    });
                    talk.proved = None;
                    talk.due = talk
                        .due
                        .or(Some((now.plus_ms(PROOF_INTERVAL_MS), Due::Proof)));
                    said.push((Lane::Live, Frame::Live(bytes.into_batch(start, end))));
                }
                from.number = end;
            }
            told.advance(from);
        }
        talk.told = Some(told);
        Ok(())
    }

    /// The next frame of what the peer missed: log ranges first, then repairs, then the marker.
    fn fill_frame(
        &self,
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
        them: Incarnation,
    ) -> Result<Option<Frame>, StoreError> {
        while let Some((from, end)) = talk.fill.ranges.pop_front() {
            let mut bytes = Gathering::new(scope);
            let reached = bytes.take_log(snapshot, from, end, them)?;
            talk.fill.repairs.extend(bytes.take_whole());
            if reached < end {
                talk.fill.ranges.push_front((
                    Position {
                        number: reached,
                        ..from
                    },
                    end,
                ));
            }
            // A stretch that came from the peer itself is not worth a frame of its own, unless
            // its end is reached: then the cursor must learn of it.
            if !bytes.is_empty() || reached == end {
                bytes.count_into(&mut talk.given);
                return Ok(Some(Frame::Fill(bytes.into_batch(from, reached))));
            }
        }
        let mut bytes = Gathering::new(scope);
        while let Some(repair) = talk.fill.repairs.pop_front() {
            if let Some(rest) = bytes.take_repair(snapshot, repair)? {
                talk.fill.repairs.push_front(rest);
                break;
            }
        }
        if !bytes.is_empty() {
            bytes.count_into(&mut talk.given);
            return Ok(Some(Frame::Fill(bytes.into_repair())));
        }
        if std::mem::take(&mut talk.fill.marker_due) {
            talk.sent = true;
            return Ok(Some(Self::marker(scope, talk.round)));
        }
        Ok(None)
    }

    /// How much lies in log ranges, without what came from the peer itself.
    pub(crate) fn measure(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        ranges: &VecDeque<(Position, u64)>,
        them: Incarnation,
    ) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        let mut documents = BTreeSet::new();
        for (from, end) in ranges {
            let mut next = from.number + 1;
            while next <= *end {
                let rows =
                    snapshot.range(Table::Log, &log_name(scope, from.writer), next, LOG_ROWS)?;
                let Some((last, _)) = rows.last() else { break };
                next = last + 1;
                for (_, bytes) in rows.iter().take_while(|(position, _)| position <= end) {
                    let row: LogRow = decode_row(Table::Log, bytes)?;
                    if row.origin == Some(them) {
                        continue;
                    }
                    documents.insert(row.document);
                    progress.runs += match row.item {
                        LogItem::Placement(_) => 0,
                        LogItem::Run { .. } => 1,
                        LogItem::Whole(arrivals) => arrivals,
                    };
                    progress.bytes += row.bytes;
                }
            }
        }
        progress.documents = documents.len() as u64;
        Ok(progress)
    }
}
