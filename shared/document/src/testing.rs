//! What the tests of this crate share: chance from a seed, and changes built by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod random;

use sha2::{Digest, Sha256};

pub(crate) use random::{Branches, branches, random_changes};

/// Chance that comes from a seed and nowhere else (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

pub(crate) fn uleb(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn sleb(mut value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// The parts of a change, to be put together rightly or wrongly.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) chunk_type: u8,
    pub(crate) deps: Vec<[u8; 32]>,
    pub(crate) actor: Vec<u8>,
    pub(crate) seq: u64,
    pub(crate) start_op: u64,
    pub(crate) message: Vec<u8>,
    pub(crate) others: Vec<Vec<u8>>,
    pub(crate) columns: Vec<(u64, Vec<u8>)>,
    pub(crate) extra: Vec<u8>,
}

impl Default for Raw {
    fn default() -> Self {
        Raw {
            chunk_type: 1,
            deps: vec![],
            actor: vec![0x11; 16],
            seq: 1,
            start_op: 1,
            message: vec![],
            others: vec![],
            columns: vec![],
            extra: vec![],
        }
    }
}

impl Raw {
    pub(crate) fn chunk(&self) -> Vec<u8> {
        let mut body = Vec::new();
        uleb(&mut body, self.deps.len() as u64);
        self.deps.iter().for_each(|dep| body.extend_from_slice(dep));
        let sized = |body: &mut Vec<u8>, bytes: &[u8]| {
            uleb(body, bytes.len() as u64);
            body.extend_from_slice(bytes);
        };
        sized(&mut body, &self.actor);
        uleb(&mut body, self.seq);
        uleb(&mut body, self.start_op);
        body.push(0);
        sized(&mut body, &self.message);
        uleb(&mut body, self.others.len() as u64);
        self.others.iter().for_each(|other| sized(&mut body, other));
        uleb(&mut body, self.columns.len() as u64);
        for (spec, data) in &self.columns {
            uleb(&mut body, *spec);
            uleb(&mut body, data.len() as u64);
        }
        self.columns
            .iter()
            .for_each(|(_, data)| body.extend_from_slice(data));
        body.extend_from_slice(&self.extra);
        envelope(self.chunk_type, &body)
    }
}

fn envelope(chunk_type: u8, body: &[u8]) -> Vec<u8> {
    let mut hashed = vec![chunk_type];
    uleb(&mut hashed, body.len() as u64);
    hashed.extend_from_slice(body);
    let hash = Sha256::digest(&hashed);
    [&[0x85, 0x6f, 0x4a, 0x83], &hash[..4], &hashed].concat()
}

/// The same chunk with magic and checksum put right, if its length can still be read.
pub(crate) fn mend(chunk: &[u8]) -> Option<Vec<u8>> {
    let hashed = chunk.get(8..)?;
    let hash = Sha256::digest(hashed);
    Some([&[0x85, 0x6f, 0x4a, 0x83], &hash[..4], hashed].concat())
}
