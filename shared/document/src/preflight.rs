//! The bytes of one change, judged before Automerge sees them.
//!
//! Automerge is an unsafe parser for what a peer sent: a 113-byte change costs it 45 seconds, and
//! some changes it accepts make the saved document impossible to load. This is a parser of our
//! own for the one kind of chunk we exchange, a change that is not compressed. It is total,
//! bounded by [`names::limits`], needs no document, and gives the same answer on every node of
//! one protocol version.
//!
//! What only the document's state can tell (are the dependencies here, is the sequence number the
//! next one) is not judged here, but for [`follows`], which is told the state it needs.

mod column;
mod columns;
mod deleted;
mod input;
mod op;
mod shape;
mod stretch;
mod uses;

use names::{ActorId, ChangeHash, Kind, Moment, Reason, limits};
use sha2::{Digest, Sha256};

use self::{
    columns::Columns,
    input::Input,
    op::{Ids, Op, Reader},
    shape::Shape,
};
use crate::genesis;

pub(crate) use uses::{Made, Reference, Span, Uses};

/// What every chunk of Automerge begins with.
pub(crate) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// The only type of chunk we exchange. Type 0 is a whole document, 2 a deflated change, 3 a
/// bundle: all three inflate without a bound.
pub(crate) const CHANGE_CHUNK: u8 = 1;
/// The furthest a change's time may be from 1970, in seconds. Automerge keeps times as
/// distances from each other, which overflow at the ends of 64 bits, and its JavaScript edition
/// reads them as numbers that are exact up to here.
const TIME_MAX: u64 = 1 << 53;

/// What a change says of itself, checked against its own bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// SHA-256 of the change; its name everywhere.
    pub hash: ChangeHash,
    /// The changes it directly builds on, in ascending order.
    pub deps: Vec<ChangeHash>,
    /// Who wrote it.
    pub actor: ActorId,
    /// The other actors whose operations it refers to, in ascending order.
    pub named: Vec<ActorId>,
    /// Its place among its actor's changes, from 1.
    pub seq: u64,
    /// The counter of its first operation.
    pub start_op: u64,
    /// The counter of its last operation.
    pub max_op: u64,
    /// When its writer says it was made: whole seconds, as Automerge keeps them.
    pub time: Moment,
    /// How many operations it has; at least one.
    pub ops: u64,
    /// How many bytes it has.
    pub bytes: usize,
}

/// Reads the header of one change and judges the whole change.
///
/// # Errors
///
/// [`Reason::TooLarge`] when a limit of [`names::limits`] is passed, [`Reason::WrongHash`] when
/// the checksum does not fit, [`Reason::WrongActor`] when the author is one that only fixed
/// changes have, [`Reason::Malformed`] for all else that is not a change of ours: other types of
/// chunk, trailing bytes, other forms than the one Automerge writes, operations our documents do
/// not take.
pub fn header(chunk: &[u8]) -> Result<Header, Reason> {
    judged(chunk, Shape::default()).map(|(header, _)| header)
}

/// As [`header`], for a change of a document of this kind: it uses no other kind's objects.
///
/// # Errors
///
/// Those of [`header`], and [`Reason::Malformed`] for a change made for another kind.
pub fn header_for(kind: Kind, chunk: &[u8]) -> Result<Header, Reason> {
    let header = header(chunk)?;
    suits(&header, kind)?;
    Ok(header)
}

/// A change of a document of this kind that is to be opened, with what it makes and names. What
/// this program's migrations have made is judged by what it is.
pub(crate) fn judged_for(kind: Kind, chunk: &[u8]) -> Result<(Header, Uses), Reason> {
    let (header, uses) = judged(chunk, Shape::to_open())?;
    suits(&header, kind)?;
    Ok((header, uses))
}

fn judged<'a>(chunk: &'a [u8], shape: Shape<'a>) -> Result<(Header, Uses), Reason> {
    let (hash, body) = bounded_envelope(chunk)?;
    judged_in(shape, hash, body, chunk.len())
}

/// As [`header`], for the body of a change of `length` bytes whose envelope is known to hold.
pub(crate) fn judged_body(hash: ChangeHash, body: &[u8], length: usize) -> Result<Header, Reason> {
    judged_in(Shape::default(), hash, body, length).map(|(header, _)| header)
}

fn judged_in<'a>(
    mut shape: Shape<'a>,
    hash: ChangeHash,
    body: &'a [u8],
    length: usize,
) -> Result<(Header, Uses), Reason> {
    if length > limits::CHANGE_BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    // Run-length encoding would let a hundred bytes stand for thousands of operations. Whoever writes
    // as we do has a byte at least for each one that does not delete, because it holds something.
    let most = length as u64;
    let header = read(
        hash,
        body,
        most,
        length,
        &mut |op, replaced, actors, start| shape.take(op, replaced, actors, start),
    )?;
    if genesis::fixed_actor_parts(&header.actor).is_some() {
        return Err(Reason::WrongActor);
    }
    let uses = shape.finish()?;
    Ok((header, uses))
}

/// Whether a change is one for documents of this kind: it uses no other kind's objects.
///
/// # Errors
///
/// [`Reason::Malformed`] for a change made for another kind.
pub fn suits(header: &Header, kind: Kind) -> Result<(), Reason> {
    let foreign =
        |actor: &ActorId| genesis::fixed_actor_parts(actor).is_some_and(|(other, _)| other != kind);
    if header.named.iter().any(foreign) {
        Err(Reason::Malformed)
    } else {
        Ok(())
    }
}

/// Whether a change is the next one of its actor, whose newest change is `previous` with its
/// sequence number (`None`: it has none yet).
///
/// Automerge itself does not ask for the direct link, though every honest writer makes it; with
/// it, one signature over an actor's newest change covers all its earlier ones.
///
/// # Errors
///
/// [`Reason::WrongSequence`] when changes between are missing or the link is,
/// [`Reason::Equivocation`] when the place is taken already.
pub fn follows(header: &Header, previous: Option<(u64, ChangeHash)>) -> Result<(), Reason> {
    let (seq, hash) = match previous {
        None => {
            return if header.seq == 1 {
                Ok(())
            } else {
                Err(Reason::WrongSequence)
            };
        }
        Some(previous) => previous,
    };
    if header.seq <= seq {
        return Err(Reason::Equivocation);
    }
    if header.seq == seq.saturating_add(1) && header.deps.contains(&hash) {
        Ok(())
    } else {
        Err(Reason::WrongSequence)
    }
}

/// Whether a change's operations are counted on from those it builds on, the last of which has the
/// counter `last`: the greatest [`Header::max_op`] of its direct dependencies.
///
/// An honest writer builds on all it has and counts on by one. A device that jumped ahead could
/// use up the counters of a document, and nobody could write in it any more.
///
/// # Errors
///
/// [`Reason::Malformed`] when they are not.
pub fn continues(header: &Header, last: u64) -> Result<(), Reason> {
    if header.start_op.checked_sub(1) == Some(last) {
        Ok(())
    } else {
        Err(Reason::Malformed)
    }
}

/// The hash of a change whose envelope holds, whatever is in it.
pub(crate) fn hash(chunk: &[u8]) -> Option<ChangeHash> {
    bounded_envelope(chunk).ok().map(|(hash, _)| hash)
}

/// As [`op::Visit`], told the change's actors and its first counter besides.
type OpRule<'a, 'r> = dyn FnMut(&Op<'a>, &[Ids], &[ActorId], u64) -> Result<(), Reason> + 'r;

/// The format alone: what any Automerge document's change may be, within our bounds. Fixed changes
/// are judged by it, because they make what no other change may.
pub(crate) fn format_only(chunk: &[u8]) -> Result<Header, Reason> {
    let (hash, body) = bounded_envelope(chunk)?;
    read(hash, body, u64::MAX, chunk.len(), &mut |_, _, _, _| Ok(()))
}

/// What a change begins with: what it builds on, its author, and what comes after; unjudged.
pub(crate) fn opening(chunk: &[u8]) -> Result<(Vec<ChangeHash>, ActorId, &[u8]), Reason> {
    let (_, body) = bounded_envelope(chunk)?;
    let mut input = Input::new(body);
    let deps = read_deps(&mut input)?;
    let actor = read_actor(&mut input)?;
    Ok((deps, actor, input.rest()))
}

fn bounded_envelope(chunk: &[u8]) -> Result<(ChangeHash, &[u8]), Reason> {
    if chunk.len() > limits::CHANGE_BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    open_envelope(chunk)
}

/// Reads a change of which at most `most` operations hold something.
fn read<'a>(
    hash: ChangeHash,
    body: &'a [u8],
    most: u64,
    bytes: usize,
    rule: &mut OpRule<'a, '_>,
) -> Result<Header, Reason> {
    let mut input = Input::new(body);
    let deps = read_deps(&mut input)?;
    let actor = read_actor(&mut input)?;
    let seq = input.uleb()?;
    let start_op = input.uleb()?;
    let time = read_time(&mut input)?;
    let message = input.length(limits::LINE_BYTES_MAX)?;
    std::str::from_utf8(input.take(message)?).map_err(|_| Reason::Malformed)?;
    let named = read_named(&mut input, actor)?;
    let columns = Columns::read(&mut input)?;
    // Whatever follows the columns is called extra bytes by the format. Only an author's own word
    // about themselves is ever written there, and nothing by us.
    if !input.is_empty() {
        return Err(Reason::Malformed);
    }
    let (ops, holding) = columns.count()?;
    if holding > most {
        return Err(Reason::TooLarge);
    }
    let max_op = last_counter(seq, start_op, ops)?;
    let mut actors = Vec::with_capacity(named.len() + 1);
    actors.push(actor);
    actors.extend_from_slice(&named);
    Reader::read(&columns, &actors, start_op, ops, &mut |op, replaced| {
        rule(op, replaced, &actors, start_op)
    })?;
    Ok(Header {
        hash,
        deps,
        actor,
        named,
        seq,
        start_op,
        max_op,
        time,
        ops,
        bytes,
    })
}

/// Checks type, length and checksum; gives the change's hash and its body.
fn open_envelope(chunk: &[u8]) -> Result<(ChangeHash, &[u8]), Reason> {
    let mut input = Input::new(chunk);
    if input.array()? != MAGIC {
        return Err(Reason::Malformed);
    }
    let checksum: [u8; 4] = input.array()?;
    // The hash covers the type, the length and the body, just as they stand in the chunk.
    let hashed = input;
    if input.array()? != [CHANGE_CHUNK] {
        return Err(Reason::Malformed);
    }
    let length = input.length(limits::CHANGE_BYTES_MAX)?;
    if length != input.len() {
        return Err(Reason::Malformed);
    }
    let hash: [u8; 32] = Sha256::digest(hashed.rest()).into();
    if hash.starts_with(&checksum) {
        Ok((ChangeHash(hash), input.rest()))
    } else {
        Err(Reason::WrongHash)
    }
}

fn read_deps(input: &mut Input<'_>) -> Result<Vec<ChangeHash>, Reason> {
    let count = input.length(limits::CHANGE_DEPS_MAX)?;
    let mut deps: Vec<ChangeHash> = Vec::with_capacity(count);
    for _ in 0..count {
        let dep = ChangeHash(input.array()?);
        // Automerge writes them in ascending order.
        if deps.last().is_some_and(|last| *last >= dep) {
            return Err(Reason::Malformed);
        }
        deps.push(dep);
    }
    Ok(deps)
}

fn read_actor(input: &mut Input<'_>) -> Result<ActorId, Reason> {
    match input.uleb()? {
        16 => Ok(ActorId(input.array()?)),
        _ => Err(Reason::Malformed),
    }
}

fn read_time(input: &mut Input<'_>) -> Result<Moment, Reason> {
    let time = input.sleb()?;
    if time.unsigned_abs() < TIME_MAX {
        Ok(Moment(time.saturating_mul(1_000)))
    } else {
        Err(Reason::TooLarge)
    }
}

/// The other actors a change names: in ascending order, without its own.
fn read_named(input: &mut Input<'_>, own: ActorId) -> Result<Vec<ActorId>, Reason> {
    let count = input.length(limits::CHANGE_ACTORS_MAX)?;
    let mut named: Vec<ActorId> = Vec::new();
    for _ in 0..count {
        let actor = read_actor(input)?;
        if actor == own || named.last().is_some_and(|last| *last >= actor) {
            return Err(Reason::Malformed);
        }
        named.push(actor);
    }
    Ok(named)
}

/// The counter of the last operation. Every change has an operation, so an actor's sequence
/// number never runs ahead of the counters.
fn last_counter(seq: u64, start_op: u64, ops: u64) -> Result<u64, Reason> {
    if seq == 0 || start_op == 0 || ops == 0 || seq > start_op {
        return Err(Reason::Malformed);
    }
    let last = start_op.checked_add(ops - 1).ok_or(Reason::TooLarge)?;
    if last < limits::OP_COUNTER_MAX {
        Ok(last)
    } else {
        Err(Reason::TooLarge)
    }
}

#[cfg(test)]
mod tests;
