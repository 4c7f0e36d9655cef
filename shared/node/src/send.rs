//! What goes out, after the turn is on disk and from nothing but what is on disk.
//!
//! Both lanes are driven by the logs: *live* is what lies beyond where the peer was told our logs
//! stood, *fill* is what lies between there and where the peer says it has got to. What came from
//! the peer's own store is passed over, but the cursor moves across it.

use std::collections::BTreeMap;

use names::{
    Incarnation, Moment, ScopeId,
    limits::{FILL_FRAMES_IN_FLIGHT, LIST_ROWS_MAX},
};
use protocol::{
    log::Position,
    message::{Done, Frame, Table as ScopeTable, Totals},
};
use store::{Store, StoreError, Table};

use crate::{
    draft::{decode_row, read_range, read_row, unless_damaged},
    except,
    gather::{Audience, Gathering, Lines},
    greet::statement_frames,
    input::LinkId,
    link::{Due, Link, Stage, Talk},
    logs::Log,
    node::Node,
    output::{Lane, Output},
    progress::Progress,
    rows::{ScopeRow, scope_name},
    turn::{PROOF_INTERVAL_MS, ROW_WAIT_MS},
};

/// Entries of logs measured in one turn: some 10 ms, where each has a page of its own.
const MEASURED_AT_ONCE: usize = 4_096;

/// Frames of a fill gathered in one turn: each takes some milliseconds, and is on its way while the
/// next is gathered.
const FILL_FRAMES_AT_ONCE: usize = 1;

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
        link.unfinished = false;
        said.append(&mut link.ready);
        let (Stage::Scopes, Some(them)) = (link.stage, link.them) else {
            return Ok(());
        };
        self.speak_statements(snapshot, link, said)?;
        let directory = self.speak_directory(link);
        said.extend(directory.map(|frame| (Lane::Control, frame)));
        let mut scopes = std::mem::take(&mut link.scopes);
        let rows = self.speak_rows(snapshot, &scopes)?;
        if !rows.is_empty() {
            said.push((
                Lane::Control,
                Frame::Table(ScopeTable { rows: rows.clone() }),
            ));
        }
        // What came from a store of which two copies run may have come from the other one.
        let them = match link.is_twice {
            false => them.incarnation,
            true => Incarnation::default(),
        };
        // Who was filled last comes last, so that a short backlog does not wait behind a long one.
        let last = link.filled.clone();
        let [mut later, mut rest] = [Vec::new(), Vec::new()];
        for talk in &mut scopes {
            match Some(talk.0) > last.as_ref() {
                true => later.push(talk),
                false => rest.push(talk),
            }
        }
        let mut gathered = 0;
        for (scope, talk) in later.into_iter().chain(rest) {
            if talk.row_due {
                talk.row_due = false;
                talk.our_row = rows.iter().find(|row| row.scope == *scope).cloned();
                // A row whose answer does not come is said again in a new round.
                talk.due = Some((now.plus_ms(ROW_WAIT_MS), Due::Round));
            }
            if let (Some(_), Some(ours)) = (&talk.their_row, talk.our_row.clone()) {
                talk.our_row = None;
                Self::open_round(talk, &ours, link.side);
            }
            link.unfinished |= Self::measure(snapshot, scope, talk, them, said)?;
            self.speak_cells(link, (scope, talk), said);
            Self::speak_exact(snapshot, id, link, (scope, talk), said, outputs)?;
            let audience = self.audience(link.is_centre);
            let to = (them, audience);
            self.speak_live(snapshot, link, (scope, talk), to, now, said)?;
            self.speak_fill(snapshot, link, (scope, talk), to, &mut gathered, said)?;
            Self::speak_proof(snapshot, scope, talk, said)?;
        }
        link.scopes = scopes;
        self.speak_hand_ins(snapshot, link, said)?;
        Ok(())
    }

    /// What the peer has missed, as far as its credit goes and a turn gathers.
    fn speak_fill(
        &self,
        snapshot: &S::Snapshot,
        link: &mut Link,
        (scope, talk): (&ScopeId, &mut Talk),
        to: (Incarnation, Audience<'_>),
        gathered: &mut usize,
        said: &mut Vec<(Lane, Frame)>,
    ) -> Result<(), StoreError> {
        while link.in_flight < FILL_FRAMES_IN_FLIGHT && talk.has_fill() {
            if *gathered >= FILL_FRAMES_AT_ONCE {
                link.unfinished = true;
                break;
            }
            let Some(frame) = self.fill_frame(snapshot, link, (scope, talk), to)? else {
                link.unfinished |= talk.has_fill();
                break;
            };
            if matches!(frame, Frame::Fill(_)) {
                *gathered += 1;
                link.in_flight += 1;
                link.filled = Some(scope.clone());
                talk.frames_said += 1;
            }
            said.push((Lane::Fill, frame));
        }
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
        let from = link.statements_told;
        let rows = read_range(snapshot, Table::Statement, &[], from, LIST_ROWS_MAX)?;
        // A damaged one is passed over; a peer that has it gives it back.
        let kept = rows.iter().filter_map(|(_, bytes)| bytes.as_ref());
        let mut statements = Vec::new();
        for bytes in kept {
            statements.extend(unless_damaged(decode_row(Table::Statement, bytes))?);
        }
        link.statements_told += rows.len() as u64;
        said.extend(statement_frames(&statements).map(|frame| (Lane::Control, frame)));
        Ok(())
    }

    fn speak_rows(
        &self,
        snapshot: &S::Snapshot,
        scopes: &BTreeMap<ScopeId, Talk>,
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
        let except = except::said(snapshot, scope, talk)?;
        let (scope, round) = (scope.clone(), talk.round);
        let done = Done {
            scope,
            digest,
            count,
            logs: row.heads,
            round,
            ask,
            said: talk.frames_said,
            seen: talk.frames_come,
            except,
        };
        said.push((Lane::Control, Frame::Done(done)));
        Ok(())
    }

    /// What people have written since the peer was told where our logs stand.
    fn speak_live(
        &self,
        snapshot: &S::Snapshot,
        link: &mut Link,
        (scope, talk): (&ScopeId, &mut Talk),
        (them, audience): (Incarnation, Audience<'_>),
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
            let mut bytes = Gathering::live(scope, audience);
            let stretch = (from, head.number);
            let end = bytes.take_log(snapshot, stretch, them, &mut BTreeMap::new())?;
            // What people write now is little. More than a frame of it is somebody's backlog.
            let is_backlog = end < head.number;
            if !is_backlog {
                talk.fill.repairs.extend(bytes.take_whole());
            }
            // What was passed over is part of the next frame's stretch, so that the peer's cursor
            // moves across it.
            let start = Position {
                writer: head.writer,
                number: talk.covered.number(&head.writer),
            };
            if is_backlog {
                talk.fill.ranges.push_back((start, head.number));
            } else if talk.has_fill() {
                bytes.whole_documents(snapshot)?;
            }
            if is_backlog || !bytes.is_empty() {
                talk.proved = None;
                let due = (now.plus_ms(PROOF_INTERVAL_MS), Due::Proof);
                talk.due = talk.due.or(Some(due));
                talk.covered.advance(head);
                if !is_backlog {
                    talk.frames_said += 1;
                    let number = link.batches;
                    let (live, lines) = bytes.into_batch(number, start, head.number);
                    self.await_answer(link, lines);
                    said.push((Lane::Live, Frame::Live(live)));
                }
            }
            from.number = head.number;
            told.advance(from);
        }
        talk.told = Some(told);
        Ok(())
    }

    /// Counts a batch, and notes how far lines that wait for the centre go in it.
    pub(crate) fn await_answer(&self, link: &mut Link, mut lines: Lines) {
        if link.is_centre {
            lines.retain(|line, _| self.outbox.get(line).is_some());
            link.unanswered.insert(link.batches, lines);
        }
        link.batches += 1;
    }

    /// The next frame of what the peer missed: log ranges first, then repairs, then the marker.
    fn fill_frame(
        &self,
        snapshot: &S::Snapshot,
        link: &mut Link,
        (scope, talk): (&ScopeId, &mut Talk),
        (them, audience): (Incarnation, Audience<'_>),
    ) -> Result<Option<Frame>, StoreError> {
        while let Some((from, end)) = talk.fill.ranges.pop_front() {
            let mut bytes = Gathering::new(scope, audience);
            let reached = bytes.take_log(snapshot, (from, end), them, &mut talk.fill.done)?;
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
                let (batch, lines) = bytes.into_batch(link.batches, from, reached);
                self.await_answer(link, lines);
                return Ok(Some(Frame::Fill(batch)));
            }
        }
        let mut bytes = Gathering::new(scope, audience);
        while let Some(mut repair) = talk.fill.repairs.pop_front() {
            if !bytes.take_repair(snapshot, &mut repair)? {
                talk.fill.repairs.push_front(repair);
                break;
            }
        }
        if !bytes.is_empty() {
            bytes.count_into(&mut talk.given);
            let (batch, lines) = bytes.into_repair(link.batches);
            self.await_answer(link, lines);
            return Ok(Some(Frame::Fill(batch)));
        }
        if !talk.fill.repairs.is_empty() {
            // Nothing was found among the rows that one turn may look at.
            return Ok(None);
        }
        if std::mem::take(&mut talk.fill.marker_due) {
            talk.sent = true;
            return Ok(Some(Self::marker(scope, talk.round)));
        }
        Ok(None)
    }

    /// Measures some more of what the peer lacks, and announces it once it is known; answers whether
    /// there is more to measure, or to do about it.
    fn measure(
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        talk: &mut Talk,
        them: Incarnation,
        said: &mut Vec<(Lane, Frame)>,
    ) -> Result<bool, StoreError> {
        let Some(mut measure) = talk.measure.take() else {
            return Ok(false);
        };
        let mut left = MEASURED_AT_ONCE;
        while let Some((from, end)) = measure.ranges.front_mut() {
            let stretches = Log::new(snapshot, scope, from.writer).after(from.number, *end)?;
            let is_over = stretches.is_empty();
            for stretch in stretches {
                left = left.saturating_sub(stretch.entries.len().max(1));
                from.number = stretch.last;
                let entries = stretch.entries.into_iter();
                for (_, entry) in entries.filter(|(_, entry)| entry.origin != Some(them)) {
                    measure.documents.insert(entry.document);
                    measure.found.changes += entry.changes;
                    measure.found.bytes += entry.bytes;
                }
            }
            if from.number >= *end || is_over {
                measure.ranges.pop_front();
            }
            if left == 0 {
                talk.measure = Some(measure);
                return Ok(true);
            }
        }
        talk.announced = Progress {
            documents: measure.documents.len() as u64,
            ..measure.found
        };
        let totals = Totals {
            scope: scope.clone(),
            documents: talk.announced.documents,
            changes: talk.announced.changes,
            bytes: talk.announced.bytes,
            round: talk.round,
        };
        said.push((Lane::Control, Frame::Totals(totals)));
        talk.repair_due = talk.hint_is_void && talk.announced.documents == 0;
        Ok(talk.repair_due)
    }
}
