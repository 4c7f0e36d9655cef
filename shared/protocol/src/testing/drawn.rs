//! Any frame: what property tests draw.

use names::{DeviceId, Moment, Reason, ScopeId};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    bundle::{Bundle, Closing, Dep, PackedChange},
    directory::SignedStatement,
    log::{Cursor, Position},
    message::{
        Backups, Batch, Bye, Cells, Differ, Difference, Done, Excepted, Fault, Frame, Held, Hello,
        List, Ping, Sent, StatementBatch, StatementIds, Table, TableRow, Totals, Wanted,
    },
    placement::SignedPlacement,
    signed::Signature,
    sketch::Cell,
};

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

fn bundles() -> impl Strategy<Value = Bundle> {
    let dep = prop_oneof![
        any::<u16>().prop_map(Dep::Near),
        bytes::<32, names::ChangeHash>().prop_map(|hash| Dep::Far(Box::new(hash)))
    ];
    let change = (any::<u16>(), vec(dep, 0..3), payloads())
        .prop_map(|(author, deps, rest)| PackedChange { author, deps, rest });
    let closing = (
        any::<u16>(),
        payloads(),
        payloads(),
        bytes::<64, Signature>(),
    )
        .prop_map(|(change, before, after, signature)| Closing {
            change,
            before,
            after,
            signature,
        });
    (
        bytes(),
        vec(bytes(), 0..3),
        vec(change, 0..4),
        vec(closing, 0..3),
    )
        .prop_map(|(document, authors, changes, closings)| Bundle {
            document,
            authors,
            changes,
            closings,
        })
}

fn batches() -> impl Strategy<Value = Batch> {
    let placement = (payloads(), bytes::<64, Signature>())
        .prop_map(|(payload, signature)| SignedPlacement { payload, signature });
    (
        scopes(),
        vec(placement, 0..3),
        vec(bundles(), 0..3),
        any::<u64>(),
        option::of(positions()),
        option::of(positions()),
    )
        .prop_map(|(scope, placements, bundles, number, after, from)| Batch {
            scope,
            placements,
            bundles,
            number,
            after,
            from,
        })
}

fn statement_ids() -> impl Strategy<Value = StatementIds> {
    (vec(bytes(), 0..5), any::<bool>()).prop_map(|(ids, last)| StatementIds { ids, last })
}

fn hellos() -> impl Strategy<Value = Frame> {
    let identity = (bytes(), bytes::<16, DeviceId>(), bytes(), bytes());
    let sums = (any::<i64>(), bytes(), any::<u64>(), bytes(), bytes());
    (any::<u16>(), any::<u16>(), identity, sums).prop_map(
        |(version_min, version_max, identity, sums)| {
            let (tenant, device, store, incarnation) = identity;
            let (now, directory, statements, root, opening) = sums;
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
                opening,
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
    let run = option::of((bytes(), any::<u64>()));
    let fault = (bytes(), reasons(), run, option::of(bytes())).prop_map(
        |(document, reason, run, placement)| Fault {
            document,
            reason,
            run,
            placement,
        },
    );
    (
        scopes(),
        any::<u32>(),
        vec(fault, 0..4),
        option::of(any::<u64>()),
        option::of(positions()),
    )
        .prop_map(|(scope, fills, refused, number, after)| {
            Frame::Held(Held {
                scope,
                fills,
                refused,
                number,
                after,
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

fn cells() -> impl Strategy<Value = Frame> {
    let cell = (any::<[u8; 32]>(), any::<u64>(), any::<i64>())
        .prop_map(|(sum, check, count)| Cell { sum, check, count });
    let cells = (scopes(), any::<u32>(), any::<u64>(), vec(cell, 0..4));
    let wanted = (scopes(), any::<u32>(), any::<u64>());
    let backups = any::<(u64, u64)>();
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
        backups.prop_map(|(begun, kept)| Frame::Backups(Backups { begun, kept })),
    ]
}

fn dones() -> impl Strategy<Value = Frame> {
    let excepted = (bytes(), option::of(bytes()))
        .prop_map(|(document, element)| Excepted { document, element });
    let done = (
        scopes(),
        bytes(),
        any::<u64>(),
        cursors(),
        any::<u32>(),
        any::<bool>(),
        any::<(u64, u64)>(),
        vec(excepted, 0..4),
    );
    done.prop_map(
        |(scope, digest, count, logs, round, ask, (said, seen), except)| {
            Frame::Done(Done {
                scope,
                digest,
                count,
                logs,
                round,
                ask,
                said,
                seen,
                except,
            })
        },
    )
}

/// Any frame.
pub(crate) fn frames() -> impl Strategy<Value = Frame> {
    let statement = (payloads(), bytes::<64, Signature>())
        .prop_map(|(payload, signature)| SignedStatement { payload, signature });
    let statements = (vec(statement, 0..3), any::<bool>());
    let totals = (scopes(), any::<[u64; 3]>(), any::<u32>());
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
        totals.prop_map(|(scope, [documents, changes, bytes], round)| {
            Frame::Totals(Totals {
                scope,
                documents,
                changes,
                bytes,
                round,
            })
        }),
        batches().prop_map(Frame::Fill),
        batches().prop_map(Frame::Live),
        helds(),
        dones(),
        list.prop_map(|(scope, rows, last, round)| {
            Frame::List(List {
                scope,
                rows,
                last,
                round,
            })
        }),
        differs(),
        cells(),
        any::<u64>().prop_map(|token| Frame::Ping(Ping { token })),
        any::<u64>().prop_map(|token| Frame::Pong(Ping { token })),
        reasons().prop_map(|reason| Frame::Bye(Bye { reason })),
    ]
}
