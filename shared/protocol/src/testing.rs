//! Values for tests: one fixed frame of each kind, and strategies that draw any.

mod drawn;

use std::collections::BTreeSet;

use names::{
    ActorId, ChangeHash, DocumentId, Incarnation, Kind, Moment, Nonce, Reason, ScopeId, StoreId,
    TenantId, WriterId,
};

use crate::{
    bundle::{Bundle, Closing, Dep, PackedChange},
    digest::{Digest, DocState, Element},
    directory::{Issue, SignedStatement, Statement, StatementId},
    log::{Cursor, Position},
    message::{
        Backups, Batch, Bye, Cells, Differ, Difference, Done, Excepted, Fault, Frame, Held, Hello,
        List, Ping, Sent, StatementBatch, StatementIds, Table, TableRow, Totals, Wanted,
    },
    placement::{Placement, PlacementId, SignedPlacement},
    signed::{DeviceKey, Head, SignedHead, derive_actor},
    sketch::Cell,
};

pub(crate) use drawn::frames;

pub(crate) const TENANT: TenantId = TenantId([0x11; 16]);
pub(crate) const DOCUMENT: DocumentId = DocumentId([0x22; 16]);

pub(crate) fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed; 32])
}

pub(crate) fn scope(text: &str) -> ScopeId {
    text.parse().expect("a scope")
}

pub(crate) fn head(key: &DeviceKey) -> Head {
    Head {
        device: key.device_id(),
        nonce: Nonce([0x33; 16]),
        worker: "w-17".parse().expect("a worker"),
        seq: 3,
        hash: ChangeHash([0x44; 32]),
        directory_seen: Moment(12),
        floor: Moment(1_790_000_000_000),
    }
}

pub(crate) fn actor(key: &DeviceKey, head: &Head) -> ActorId {
    derive_actor(&TENANT, &key.public(), &DOCUMENT, &head.nonce, &head.worker)
}

pub(crate) fn signed_head(key: &DeviceKey) -> SignedHead {
    let head = head(key);
    SignedHead::sign(key, &TENANT, &DOCUMENT, &actor(key, &head), &head)
}

pub(crate) fn placement(key: &DeviceKey) -> Placement {
    Placement {
        document: DOCUMENT,
        kind: Kind::CASE,
        scopes: BTreeSet::from([scope("site:devizes")]),
        device: key.device_id(),
        worker: "w-17".parse().expect("a worker"),
        at: Moment(1_790_000_000_000),
        root: None,
        previous: None,
        reason: None,
        heads: Vec::new(),
    }
}

pub(crate) fn issue(number: u64, at: i64, statement: Statement) -> Issue {
    Issue {
        authority: Incarnation([0x66; 16]),
        number,
        at: Moment(at),
        statement,
    }
}

pub(crate) fn statement(number: u64, at: i64, statement: Statement) -> SignedStatement {
    SignedStatement::sign(&key(9), &TENANT, &issue(number, at, statement)).expect("in bounds")
}

const DIGEST: Digest = Digest([0x88; 32]);
const ACTOR: ActorId = ActorId([0xBB; 16]);

fn position() -> Position {
    Position {
        writer: WriterId([0x77; 16]),
        number: 300,
    }
}

fn cursor() -> Cursor {
    Cursor::from_iter([position()])
}

fn bath() -> ScopeId {
    scope("site:bath")
}

/// A frame of each type, always the same, by type.
pub(crate) fn one_of_each() -> Vec<Frame> {
    [greeting_frames(), fill_frames(), repair_frames()].concat()
}

fn greeting_frames() -> Vec<Frame> {
    let ids = || StatementIds {
        ids: vec![StatementId([0xAA; 16])],
        last: true,
    };
    let organisation = Statement::Organisation {
        name: "Ridgeway".to_owned(),
    };
    let row = TableRow {
        scope: bath(),
        digest: DIGEST,
        count: 1_050,
        mine: cursor(),
        yours: Cursor::new(),
        round: 1,
    };
    vec![
        Frame::Hello(Hello {
            version_min: 1,
            version_max: 1,
            tenant: TENANT,
            device: key(1).device_id(),
            store: StoreId([0xDD; 16]),
            incarnation: Incarnation([0xEE; 16]),
            now: Moment(1_790_000_000_000),
            directory: DIGEST,
            statements: 12,
            root: Digest([0x99; 32]),
            opening: Nonce([0x44; 16]),
        }),
        Frame::StatementIds(ids()),
        Frame::Sent(Sent {
            scope: bath(),
            round: 1,
        }),
        Frame::Statements(StatementBatch {
            statements: vec![statement(1, 5, organisation)],
            last: true,
        }),
        Frame::Table(Table { rows: vec![row] }),
    ]
}

fn fault() -> Fault {
    Fault {
        document: DOCUMENT,
        reason: Reason::WrongSequence,
        run: Some((ACTOR, 3)),
        placement: None,
    }
}

fn bundle() -> Bundle {
    let change = |author, deps| PackedChange {
        author,
        deps,
        rest: vec![1, 2, 3],
    };
    let said = head(&key(1));
    let closing = Closing::new(1, &said.hash, &signed_head(&key(1)));
    Bundle {
        document: DOCUMENT,
        authors: vec![ACTOR, ActorId([0xBC; 16])],
        changes: vec![
            change(0, vec![Dep::Far(Box::new(ChangeHash([0x44; 32])))]),
            change(1, vec![Dep::Near(1)]),
        ],
        closings: closing.into_iter().collect(),
    }
}

fn fill_frames() -> Vec<Frame> {
    let batch = |after| Batch {
        scope: bath(),
        placements: vec![SignedPlacement::sign(&key(1), &TENANT, &placement(&key(1)))],
        bundles: vec![bundle()],
        number: 9,
        after,
        from: after.map(|after| Position { number: 0, ..after }),
    };
    vec![
        Frame::Totals(Totals {
            scope: bath(),
            documents: 1,
            changes: 2,
            bytes: 4_000,
            round: 1,
        }),
        Frame::Fill(batch(None)),
        Frame::Live(batch(Some(position()))),
        Frame::Held(Held {
            scope: bath(),
            fills: 1,
            refused: vec![fault()],
            number: Some(9),
            after: Some(position()),
        }),
        Frame::Done(Done {
            scope: bath(),
            digest: DIGEST,
            count: 1_050,
            logs: cursor(),
            round: 1,
            ask: true,
            said: 3,
            seen: 5,
            except: vec![Excepted {
                document: DOCUMENT,
                element: Some(Element([0xEE; 32])),
            }],
        }),
    ]
}

fn repair_frames() -> Vec<Frame> {
    let difference = Difference {
        document: DOCUMENT,
        actors: vec![(ACTOR, 3)],
        placements: vec![PlacementId([0xCC; 16])],
    };
    vec![
        Frame::List(List {
            scope: bath(),
            rows: vec![(DOCUMENT, DocState([0xFF; 16]))],
            last: true,
            round: 2,
        }),
        Frame::Differ(Differ {
            scope: bath(),
            documents: vec![difference],
            last: true,
            round: 2,
        }),
        Frame::Ping(Ping { token: 7 }),
        Frame::Pong(Ping { token: 7 }),
        Frame::Bye(Bye {
            reason: Reason::Stopping,
        }),
        Frame::Cells(Cells {
            scope: bath(),
            round: 2,
            from: 0,
            cells: vec![Cell {
                sum: [0x11; 32],
                check: 7,
                count: -1,
            }],
        }),
        Frame::Wanted(Wanted {
            scope: bath(),
            round: 2,
            cells: 16,
        }),
        Frame::Backups(Backups { begun: 3, kept: 2 }),
    ]
}
