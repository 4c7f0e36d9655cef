//! Values for tests: one fixed frame of each kind, and strategies that draw any.

use std::collections::BTreeSet;

use names::{
    ActorId, ChangeHash, DeviceId, DocumentId, Incarnation, Kind, Moment, Nonce, Reason, ScopeId,
    StoreId, TenantId, WriterId,
};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    digest::{Digest, DocState},
    directory::{Issue, SignedStatement, Statement, StatementId},
    log::{Cursor, Position},
    message::{
        Batch, Bye, Cells, Differ, Difference, Done, Fault, Frame, Held, HeldRun, Hello, List,
        Ping, Refused, Sent, StatementBatch, StatementIds, Table, TableRow, Totals, Wanted,
    },
    placement::{Placement, PlacementId, SignedPlacement},
    signed::{DeviceKey, Head, Run, Signature, SignatureName, SignedHead, derive_actor},
    sketch::Cell,
};

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
        directory_seen: 12,
        floor: Moment(1_790_000_000_000),
        previous: Some(SignatureName([0x55; 16])),
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

fn fill_frames() -> Vec<Frame> {
    let batch = |after| Batch {
        scope: bath(),
        placements: vec![SignedPlacement::sign(&key(1), &TENANT, &placement(&key(1)))],
        runs: vec![Run {
            document: DOCUMENT,
            changes: vec![vec![1, 2, 3], vec![4]],
            head: signed_head(&key(1)),
        }],
        after,
        from: after.map(|after| Position { number: 0, ..after }),
    };
    let held = HeldRun {
        document: DOCUMENT,
        actor: ACTOR,
        seq: 3,
        signature: signed_head(&key(1)).name(),
    };
    vec![
        Frame::Totals(Totals {
            scope: bath(),
            documents: 1,
            runs: 2,
            bytes: 4_000,
            round: 1,
        }),
        Frame::Fill(batch(None)),
        Frame::Live(batch(Some(position()))),
        Frame::Held(Held {
            scope: bath(),
            runs: vec![held],
            after: Some(position()),
            fills: 1,
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
        }),
    ]
}

fn repair_frames() -> Vec<Frame> {
    let difference = Difference {
        document: DOCUMENT,
        actors: vec![(ACTOR, 3)],
        placements: vec![PlacementId([0xCC; 16])],
    };
    let fault = Fault {
        document: DOCUMENT,
        reason: Reason::WrongSequence,
        run: Some((ACTOR, 3)),
        placement: None,
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
        Frame::Refused(Refused {
            scope: bath(),
            faults: vec![fault],
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
    ]
}

fn bytes<const N: usize, T: From<[u8; N]> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    vec(any::<u8>(), N).prop_map(|drawn| {
        let array: [u8; N] = drawn.try_into().expect("as many as asked for");
        T::from(array)
    })
}

fn scopes() -> impl Strategy<Value = ScopeId> {
    "directory|(site|caseload):[a-z0-9]{1,12}|site:[a-z]{1,8}/[a-z]{1,8}"
        .prop_map(|text| text.parse().expect("a scope"))
}

fn positions() -> impl Strategy<Value = Position> {
    (bytes(), any::<u64>()).prop_map(|(writer, number)| Position { writer, number })
}

fn cursors() -> impl Strategy<Value = Cursor> {
    vec(positions(), 0..4).prop_map(Cursor::from_iter)
}

fn reasons() -> impl Strategy<Value = Reason> {
    prop::sample::select(Reason::ALL)
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..80)
}

fn runs() -> impl Strategy<Value = Run> {
    let head = (payloads(), bytes::<64, Signature>())
        .prop_map(|(payload, signature)| SignedHead { payload, signature });
    (bytes(), vec(payloads(), 0..4), head).prop_map(|(document, changes, head)| Run {
        document,
        changes,
        head,
    })
}

fn batches() -> impl Strategy<Value = Batch> {
    let placement = (payloads(), bytes::<64, Signature>())
        .prop_map(|(payload, signature)| SignedPlacement { payload, signature });
    (
        scopes(),
        vec(placement, 0..3),
        vec(runs(), 0..3),
        option::of(positions()),
        option::of(positions()),
    )
        .prop_map(|(scope, placements, runs, after, from)| Batch {
            scope,
            placements,
            runs,
            after,
            from,
        })
}

fn statement_ids() -> impl Strategy<Value = StatementIds> {
    (vec(bytes(), 0..5), any::<bool>()).prop_map(|(ids, last)| StatementIds { ids, last })
}

fn hellos() -> impl Strategy<Value = Frame> {
    let identity = (bytes(), bytes::<16, DeviceId>(), bytes(), bytes());
    let sums = (any::<i64>(), bytes(), any::<u64>(), bytes());
    (any::<u16>(), any::<u16>(), identity, sums).prop_map(
        |(version_min, version_max, identity, sums)| {
            let (tenant, device, store, incarnation) = identity;
            let (now, directory, statements, root) = sums;
            Frame::Hello(Hello {
                version_min,
                version_max,
                tenant,
                device,
                store,
                incarnation,
                now: Moment(now),
                directory,
                statements,
                root,
            })
        },
    )
}

fn tables() -> impl Strategy<Value = Frame> {
    let row = (
        scopes(),
        bytes(),
        any::<u64>(),
        cursors(),
        cursors(),
        any::<u32>(),
    )
        .prop_map(|(scope, digest, count, mine, yours, round)| TableRow {
            round,
            scope,
            digest,
            count,
            mine,
            yours,
        });
    vec(row, 0..4).prop_map(|rows| Frame::Table(Table { rows }))
}

fn helds() -> impl Strategy<Value = Frame> {
    let run =
        (bytes(), bytes(), any::<u64>(), bytes()).prop_map(|(document, actor, seq, signature)| {
            HeldRun {
                document,
                actor,
                seq,
                signature,
            }
        });
    (
        scopes(),
        vec(run, 0..4),
        option::of(positions()),
        any::<u32>(),
    )
        .prop_map(|(scope, runs, after, fills)| {
            Frame::Held(Held {
                scope,
                runs,
                after,
                fills,
            })
        })
}

fn differs() -> impl Strategy<Value = Frame> {
    let difference = (
        bytes(),
        vec((bytes(), any::<u64>()), 0..4),
        vec(bytes(), 0..3),
    )
        .prop_map(|(document, actors, placements)| Difference {
            document,
            actors,
            placements,
        });
    (scopes(), vec(difference, 0..4), any::<bool>(), any::<u32>()).prop_map(
        |(scope, documents, last, round)| {
            Frame::Differ(Differ {
                scope,
                documents,
                last,
                round,
            })
        },
    )
}

fn refusals() -> impl Strategy<Value = Frame> {
    let run = option::of((bytes(), any::<u64>()));
    let fault = (bytes(), reasons(), run, option::of(bytes())).prop_map(
        |(document, reason, run, placement)| Fault {
            document,
            reason,
            run,
            placement,
        },
    );
    (scopes(), vec(fault, 0..4))
        .prop_map(|(scope, faults)| Frame::Refused(Refused { scope, faults }))
}

fn cells() -> impl Strategy<Value = Frame> {
    let cell = (any::<[u8; 32]>(), any::<u64>(), any::<i64>())
        .prop_map(|(sum, check, count)| Cell { sum, check, count });
    let cells = (scopes(), any::<u32>(), any::<u64>(), vec(cell, 0..4));
    let wanted = (scopes(), any::<u32>(), any::<u64>());
    prop_oneof![
        cells.prop_map(|(scope, round, from, cells)| {
            Frame::Cells(Cells {
                scope,
                round,
                from,
                cells,
            })
        }),
        wanted.prop_map(|(scope, round, cells)| {
            Frame::Wanted(Wanted {
                scope,
                round,
                cells,
            })
        }),
    ]
}

/// Any frame.
pub(crate) fn frames() -> impl Strategy<Value = Frame> {
    let statement = (payloads(), bytes::<64, Signature>())
        .prop_map(|(payload, signature)| SignedStatement { payload, signature });
    let statements = (vec(statement, 0..3), any::<bool>());
    let totals = (scopes(), any::<[u64; 3]>(), any::<u32>());
    let done = (
        scopes(),
        bytes(),
        any::<u64>(),
        cursors(),
        any::<u32>(),
        any::<bool>(),
        any::<(u64, u64)>(),
    );
    let list = (
        scopes(),
        vec((bytes(), bytes()), 0..5),
        any::<bool>(),
        any::<u32>(),
    );
    prop_oneof![
        hellos(),
        statement_ids().prop_map(Frame::StatementIds),
        (scopes(), any::<u32>()).prop_map(|(scope, round)| Frame::Sent(Sent { scope, round })),
        statements.prop_map(|(statements, last)| {
            Frame::Statements(StatementBatch { statements, last })
        }),
        tables(),
        totals.prop_map(|(scope, [documents, runs, bytes], round)| {
            Frame::Totals(Totals {
                scope,
                documents,
                runs,
                bytes,
                round,
            })
        }),
        batches().prop_map(Frame::Fill),
        batches().prop_map(Frame::Live),
        helds(),
        done.prop_map(|(scope, digest, count, logs, round, ask, (said, seen))| {
            Frame::Done(Done {
                scope,
                digest,
                count,
                logs,
                round,
                ask,
                said,
                seen,
            })
        }),
        list.prop_map(|(scope, rows, last, round)| {
            Frame::List(List {
                scope,
                rows,
                last,
                round,
            })
        }),
        differs(),
        refusals(),
        cells(),
        any::<u64>().prop_map(|token| Frame::Ping(Ping { token })),
        any::<u64>().prop_map(|token| Frame::Pong(Ping { token })),
        reasons().prop_map(|reason| Frame::Bye(Bye { reason })),
    ]
}
