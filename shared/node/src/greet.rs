//! The beginning of a conversation: greetings, and the directory, which is merged before anything
//! else is spoken of.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use names::{
    DeviceId, Moment, Reason, ScopeId, StoreId,
    limits::{LIST_ROWS_MAX, PROTOCOL_MAX, PROTOCOL_MIN},
};
use protocol::{
    directory::{DeviceKind, Rights, SignedStatement},
    log::Cursor,
    message::{Done, Frame, Hello, StatementBatch, StatementIds, TableRow, table_root},
};
use store::{Store, StoreError, Table};

use crate::{
    draft::read_row,
    except::{self, Exceptions},
    input::{LinkId, Side},
    link::{Link, PeerStore, Said, Stage, Talk},
    node::Node,
    output::{Lane, Notice, Output},
    rows::{PeerRow, ScopeRow, peer_name, scope_name},
    turn::Turn,
    verify::VerifiedStatement,
};

/// Statements a directory may have: ten times the staff of the largest trust, and their devices.
const STATEMENTS_MAX: usize = 200_000;

impl<S: Store> Node<S> {
    /// The scopes this node and a peer may both see.
    pub(crate) fn common_scopes(&self, peer: &DeviceId) -> BTreeSet<ScopeId> {
        let theirs = self.directory.scopes_of(peer);
        let may = |scope: &ScopeId| {
            self.directory
                .rights(&self.device, scope)
                .contains(Rights::READ)
        };
        theirs.into_iter().filter(may).collect()
    }

    /// Begins a conversation with our greeting, made from what was on disk before this turn.
    pub(crate) fn greet(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        device: DeviceId,
        side: Side,
    ) -> Result<(), StoreError> {
        if self.directory.is_revoked(&device) {
            let reason = Reason::Revoked;
            self.count(reason);
            turn.say(Output::Close { link: id, reason });
            return Ok(());
        }
        let snapshot = turn.draft.snapshot();
        let mut rows = Vec::new();
        let mut heads = BTreeMap::new();
        for scope in self.common_scopes(&device) {
            let row = self.table_row(snapshot, &scope, 0, &Cursor::new())?;
            heads.insert(scope, row.mine.clone());
            rows.push(row);
        }
        let said = Said {
            directory: self.directory.digest(),
            root: table_root(&rows),
            heads,
            statements: self.statements,
            outbox: self.outbox.durable,
        };
        let hello = Hello {
            version_min: PROTOCOL_MIN,
            version_max: PROTOCOL_MAX,
            tenant: self.identity.tenant,
            device: self.device,
            store: self.meta.store,
            incarnation: self.meta.incarnation,
            now: turn.now,
            directory: said.directory,
            statements: self.directory.count(),
            root: said.root,
            opening: self.nonce,
        };
        let mut link = Link::new(device, side);
        link.is_twice = self.runs_twice(&device, turn.now);
        link.directory.told = Some(said.directory);
        link.ready.push((Lane::Control, Frame::Hello(hello)));
        link.said = Some(said);
        self.links.insert(id, link);
        Ok(())
    }

    /// Our row of a table, from what is on disk.
    pub(crate) fn table_row(
        &self,
        snapshot: &S::Snapshot,
        scope: &ScopeId,
        round: u32,
        taken: &Cursor,
    ) -> Result<TableRow, StoreError> {
        let row: ScopeRow =
            read_row(snapshot, Table::Scope, &scope_name(scope), 0)?.unwrap_or_default();
        Ok(TableRow {
            scope: scope.clone(),
            digest: row.value(),
            count: row.count,
            mine: row.heads,
            yours: taken.clone(),
            round,
        })
    }

    pub(crate) fn take_hello(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        hello: &Hello,
    ) -> Result<(), StoreError> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if hello.version_max < PROTOCOL_MIN || hello.version_min > PROTOCOL_MAX {
            self.close(turn, id, Reason::NoCommonVersion);
            return Ok(());
        }
        if hello.tenant != self.identity.tenant {
            self.close(turn, id, Reason::WrongTenant);
            return Ok(());
        }
        // The key was proved by the transport; a greeting in another's name is a lie or a bug.
        if link.stage != Stage::Greeting || hello.device != link.device {
            self.close(turn, id, Reason::OutOfTurn);
            return Ok(());
        }
        link.them = Some(PeerStore {
            store: hello.store,
            incarnation: hello.incarnation,
            opening: hello.opening,
            now: hello.now,
            greeted: turn.now,
        });
        link.directory.theirs = Some(hello.directory);
        link.stage = Stage::Directory;
        let (Some(said), device) = (link.said.clone(), link.device) else {
            return Ok(());
        };
        self.note_opening(turn, device, hello.opening);
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if said.directory == hello.directory {
            link.statements_told = said.statements;
            return self.enter_scopes(turn, id, Some(said.root == hello.root));
        }
        // They go out before anything that answers the peer's: an answer ends the merging there.
        let ids = self.statement_ids();
        if let Some(link) = self.links.get_mut(&id) {
            let ids = ids.into_iter().map(|frame| (Lane::Control, frame));
            link.ready.extend(ids);
        }
        Ok(())
    }

    /// The ids of all our statements, so that the peer can tell which ones it lacks.
    pub(crate) fn statement_ids(&self) -> Vec<Frame> {
        let ids: Vec<_> = self.directory.ids().collect();
        let pages = ids.chunks(LIST_ROWS_MAX).count().max(1);
        (0..pages)
            .map(|page| {
                let ids = ids
                    .iter()
                    .skip(page * LIST_ROWS_MAX)
                    .take(LIST_ROWS_MAX)
                    .copied();
                Frame::StatementIds(StatementIds {
                    ids: ids.collect(),
                    last: page + 1 == pages,
                })
            })
            .collect()
    }

    pub(crate) fn take_statement_ids(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        theirs: &StatementIds,
    ) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let is_asked = link.stage == Stage::Directory && !link.ids_answered;
        if !is_asked || link.their_ids.len() + theirs.ids.len() > STATEMENTS_MAX {
            self.close(turn, id, Reason::OutOfTurn);
            return;
        }
        link.their_ids.extend(theirs.ids.iter().copied());
        if !theirs.last {
            return;
        }
        // Answered once: each answer may hold the whole directory.
        link.ids_answered = true;
        let known = std::mem::take(&mut link.their_ids);
        let mut lacking: Vec<SignedStatement> = Vec::new();
        if self.directory.device(&link.device).is_some() {
            let all = self.directory.in_order();
            let unknown = all.filter(|(id, _)| !known.contains(id));
            lacking.extend(unknown.map(|(_, statement)| statement.clone()));
            link.statements_told = self.statements;
        } else {
            // The directory names people. A peer that it does not know is told nothing of it
            // until its own statements have shown who it is; then it is told all.
            link.statements_told = 0;
        }
        let frames = statement_frames(&lacking).map(|frame| (Lane::Control, frame));
        link.ready.extend(frames);
    }

    pub(crate) fn take_statements(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        statements: &[VerifiedStatement],
        last: bool,
    ) -> Result<(), StoreError> {
        for statement in statements {
            if let Err(reason) = self.keep_statement(turn, statement) {
                self.refuse(turn, id, reason);
            }
        }
        self.follow_directory(turn)?;
        let waits = self
            .links
            .get(&id)
            .is_some_and(|link| link.stage == Stage::Directory);
        if waits && last {
            self.enter_scopes(turn, id, None)?;
        }
        Ok(())
    }

    /// Compares what peers have said of their directories with ours as it is now.
    pub(crate) fn judge_directories(&mut self, now: Moment) {
        let ours = self.directory.digest();
        for link in self.links.values_mut() {
            let talk = &mut link.directory;
            let equal = talk.theirs == Some(ours);
            talk.proved = equal.then(|| talk.proved.unwrap_or(now));
        }
    }

    /// Says how our directory stands, if the peer was told otherwise: in a frame of the proofs,
    /// without a round.
    pub(crate) fn speak_directory(&self, link: &mut Link) -> Option<Frame> {
        let digest = self.directory.digest();
        if link.directory.told.replace(digest) == Some(digest) {
            return None;
        }
        Some(Frame::Done(Done {
            scope: ScopeId::Directory,
            digest,
            count: self.directory.count(),
            logs: Cursor::new(),
            round: 0,
            ask: false,
            said: 0,
            seen: 0,
            except: Vec::new(),
        }))
    }

    /// Keeps one statement; answers whether it was new.
    pub(crate) fn keep_statement(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        statement: &VerifiedStatement,
    ) -> Result<bool, Reason> {
        let new = Arc::make_mut(&mut self.directory).admit(statement.signed())?;
        if new {
            let place = self.statements;
            turn.draft
                .put(Table::Statement, Vec::new(), place, statement.signed());
            self.statements += 1;
            self.ruled.extend(statement.ruled());
            self.branches.due.extend(statement.branched());
            self.directory_changed = true;
        }
        Ok(new)
    }

    /// Begins to speak of scopes. `equal` tells whether the greetings' roots were, where the
    /// directories were equal already.
    fn enter_scopes(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        equal: Option<bool>,
    ) -> Result<(), StoreError> {
        let is_centre = self.is_centre();
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (Some(them), Some(kind)) = (
            link.them,
            self.directory
                .device(&link.device)
                .map(|device| device.kind),
        ) else {
            self.close(turn, id, Reason::NotAllowed);
            return Ok(());
        };
        link.stage = Stage::Scopes;
        let heard = link.device;
        turn.say(Output::Notice(Notice::Heard {
            link: id,
            device: heard,
        }));
        link.is_centre = kind == DeviceKind::Centre;
        if is_centre {
            link.ready
                .push((Lane::Control, Frame::Backups(self.backups)));
        }
        let (device, said) = (link.device, link.said.clone());
        for scope in self.common_scopes(&device) {
            let mut talk = self.new_talk(turn, device, them, &scope)?;
            // Equal roots say that both were equal when the greetings were made; what was
            // written since goes live, and is nobody's but ours until it is acknowledged.
            let at_greeting = said.as_ref().and_then(|said| said.heads.get(&scope));
            match at_greeting.filter(|_| equal == Some(true)) {
                Some(heads) => {
                    talk.covered = heads.clone();
                    talk.told = Some(heads.clone());
                    talk.equal(turn.now);
                    let below = said.as_ref().map_or(0, |said| said.outbox);
                    self.note_equal(turn, id, &scope, below, &Exceptions::new())?;
                }
                None => talk.begin(1),
            }
            if let Some(link) = self.links.get_mut(&id) {
                link.scopes.insert(scope, talk);
            }
        }
        self.take_early(turn, id)
    }

    /// A conversation about a scope, with what is known of the peer in it.
    fn new_talk(
        &self,
        turn: &Turn<S::Snapshot>,
        device: DeviceId,
        them: PeerStore,
        scope: &ScopeId,
    ) -> Result<Talk, StoreError> {
        let peer = self.peer_row(turn, device, them.store, scope)?;
        Ok(Talk {
            taken_before: Some(peer.taken.clone()),
            taken: peer.taken,
            exceptions: except::of_rows(peer.exceptions),
            ..Talk::default()
        })
    }

    /// What is known of a peer in a scope. A row that cannot be read is no more than a lost hint.
    pub(crate) fn peer_row(
        &self,
        turn: &Turn<S::Snapshot>,
        device: DeviceId,
        store: StoreId,
        scope: &ScopeId,
    ) -> Result<PeerRow, StoreError> {
        let row = turn
            .draft
            .row(Table::Peer, &peer_name(device, store, scope), 0);
        match row {
            Err(StoreError::Corrupt(_)) => Ok(PeerRow::default()),
            row => Ok(row?.unwrap_or_default()),
        }
    }

    fn device_of(&self, id: LinkId) -> DeviceId {
        self.links
            .get(&id)
            .map(|link| link.device)
            .unwrap_or_default()
    }

    /// Opens scopes that a change of the directory has given both sides, and ends conversations
    /// with devices that it has revoked.
    pub(crate) fn follow_directory(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
    ) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.directory_changed) {
            return Ok(());
        }
        self.follow_rights(turn)?;
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let device = self.device_of(id);
            if self.directory.is_revoked(&device) {
                self.close(turn, id, Reason::Revoked);
                continue;
            }
            let common = self.common_scopes(&device);
            let Some(link) = self.links.get_mut(&id) else {
                continue;
            };
            let (Stage::Scopes, Some(them)) = (link.stage, link.them) else {
                continue;
            };
            link.scopes.retain(|scope, _| common.contains(scope));
            let new: Vec<ScopeId> = common
                .into_iter()
                .filter(|scope| !link.scopes.contains_key(scope))
                .collect();
            for scope in new {
                let mut talk = self.new_talk(turn, device, them, &scope)?;
                talk.begin(1);
                if let Some(link) = self.links.get_mut(&id) {
                    link.scopes.insert(scope, talk);
                }
            }
        }
        Ok(())
    }

    /// Notes that a scope was found equal with a peer, except in some documents: with the centre,
    /// that is where everything else written here has arrived whose number in the outbox is below
    /// `below`.
    pub(crate) fn note_equal(
        &mut self,
        turn: &mut Turn<S::Snapshot>,
        id: LinkId,
        scope: &ScopeId,
        below: u64,
        except: &Exceptions,
    ) -> Result<(), StoreError> {
        let row: ScopeRow = turn
            .draft
            .row(Table::Scope, &scope_name(scope), 0)?
            .unwrap_or_default();
        turn.say(Output::Notice(Notice::Equal {
            link: id,
            scope: scope.clone(),
            documents: row.count,
            except: except.len(),
        }));
        if self.links.get(&id).is_some_and(|link| link.is_centre) {
            self.arrived_in(turn, scope, below, except)?;
            self.prove_backed(turn, id)?;
        }
        Ok(())
    }
}

/// Statements in frames, the last one marked; one empty frame when there are none.
pub(crate) fn statement_frames(
    statements: &[SignedStatement],
) -> impl Iterator<Item = Frame> + use<> {
    /// Statements are small; a frame of these stays far below its bound.
    const PER_FRAME: usize = 64;
    let pages: Vec<Vec<SignedStatement>> = match statements {
        [] => vec![Vec::new()],
        some => some
            .chunks(PER_FRAME)
            .map(<[SignedStatement]>::to_vec)
            .collect(),
    };
    let count = pages.len();
    pages
        .into_iter()
        .enumerate()
        .map(move |(page, statements)| {
            Frame::Statements(StatementBatch {
                statements,
                last: page + 1 == count,
            })
        })
}
