//! Pre-flight: the bytes of one change, judged before Automerge sees them, and judged by what
//! Automerge makes of them then.

use automerge::Change;
use document::{
    genesis, packed,
    preflight::{self, Header},
};
use names::{
    Kind,
    limits::{
        CHANGE_ACTORS_MAX, CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, CHANGE_OPS_MAX, OP_COUNTER_MAX,
    },
};

use crate::{
    craft::{body, chunk},
    draw::Draw,
    record,
};

/// What pre-flight takes keeps every limit, is put together from its parts as it was, and Automerge
/// reads the same in it and would write it in the same bytes. The first byte says whether the rest is
/// a whole chunk, or the body of one whose checksum is right.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let is_whole = draw.byte() % 2 == 1;
    let chunk = if is_whole {
        draw.rest().to_vec()
    } else {
        chunk(draw.rest())
    };
    let judged = preflight::header(&chunk);
    for kind in [Kind::CASE, Kind::SESSION, Kind(9)] {
        let for_kind = preflight::header_for(kind, &chunk);
        assert!(for_kind.is_err() || for_kind == judged, "judged otherwise");
    }
    if let Ok(header) = judged {
        check_limits(&header, &chunk);
        check_parts(&header, &chunk);
        check_automerge(&header, &chunk);
    }
}

fn check_limits(header: &Header, chunk: &[u8]) {
    assert!(chunk.len() == header.bytes && header.bytes <= CHANGE_BYTES_MAX);
    assert!(header.deps.len() <= CHANGE_DEPS_MAX);
    assert!(header.named.len() <= CHANGE_ACTORS_MAX);
    assert!((1..=CHANGE_OPS_MAX).contains(&header.ops));
    assert!(header.max_op < OP_COUNTER_MAX);
    assert_eq!(header.start_op + header.ops - 1, header.max_op);
    assert!(1 <= header.seq && header.seq <= header.start_op);
}

fn check_parts(header: &Header, chunk: &[u8]) {
    let parts = packed::take_apart(chunk).expect("a change that was taken");
    let whole = packed::put_together(&parts.deps, &parts.actor, parts.rest);
    let whole = whole.expect("what was taken apart fits");
    assert_eq!((whole.chunk(), whole.hash()), (chunk, header.hash));
    assert_eq!(whole.header().as_ref(), Ok(header));
    let size = packed::size(parts.deps.len(), parts.rest);
    assert!(size >= chunk.len(), "larger than it was counted");
}

fn check_automerge(header: &Header, chunk: &[u8]) {
    let change = Change::from_bytes(chunk.to_vec());
    let change = change.expect("what pre-flight takes Automerge reads");
    assert_eq!(change.hash().0, header.hash.0);
    assert_eq!(change.actor_id().to_bytes(), header.actor.as_ref());
    assert_eq!(
        (change.seq(), change.start_op().get()),
        (header.seq, header.start_op)
    );
    assert_eq!(change.len() as u64, header.ops);
    assert_eq!(change.max_op(), header.max_op);
    let deps = change.deps().iter().map(|dep| dep.0);
    assert!(deps.eq(header.deps.iter().map(|dep| dep.0)));
    let again = Change::from(change.decode());
    assert_eq!(again.raw_bytes(), chunk, "it has another form");
}

/// Every change of the record, whole and as a body; fixed changes, which nobody may send.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let fixed = genesis::genesis(Kind::CASE).into_iter();
    let fixed = fixed.chain(genesis::migrations(Kind::CASE));
    let fixed = fixed.map(|fixed| [vec![0], body(&fixed.chunk)].concat());
    let written = record::chunks().iter();
    let bodies = written.clone().map(|chunk| [vec![0], body(chunk)].concat());
    let whole = written.take(1).map(|chunk| [&[1], &chunk[..]].concat());
    fixed.chain(bodies).chain(whole).collect()
}
