//! What travels and is kept of a document: changes of one or several authors, each author's closed
//! by signed heads, without what the receiver can work out.
//!
//! People who work on one document at the same time build on each other's changes. A bundle holds
//! them together, in an order in which each comes after what it builds on, so that one signature
//! for each author is enough however often the authors took turns. An author's changes up to a
//! signed head are a *run*; runs are admitted whole or not at all.
//!
//! What a change builds on is mostly in the bundle, and is then named by how many places before it
//! it stands. The hash of a run's last change is cut out of the head that signs it. Both are
//! worked out again from the bytes, and the signature tells whether they came out right. Putting a
//! change together needs the form of changes, which this crate does not know; `node` does it.

use std::fmt;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    data::Type,
    decode::Error as ReadError,
    encode::{Error as WriteError, Write},
};
use names::{
    ActorId, ChangeHash, DocumentId, Reason,
    limits::{BUNDLE_CHANGES_MAX, CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, SIGNED_BYTES_MAX},
};

use crate::{
    codec::{self, Wire},
    signed::{Signature, SignedHead},
};

/// What a change builds on. One near by takes a byte in a frame: it must not take many times that in
/// memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dep {
    /// The change that stands so many places before it in the bundle; from 1.
    Near(u16),
    /// A change that is not in the bundle.
    Far(Box<ChangeHash>),
}

impl Wire for Dep {
    fn write<W: Write>(&self, encoder: &mut Encoder<W>) -> Result<(), WriteError<W::Error>> {
        match self {
            Dep::Near(places) => encoder.u16(*places)?.ok(),
            Dep::Far(hash) => hash.write(encoder),
        }
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Self, ReadError> {
        if decoder.datatype()? == Type::Bytes {
            ChangeHash::read(decoder).map(|hash| Dep::Far(Box::new(hash)))
        } else {
            decoder.u16().map(Dep::Near)
        }
    }
}

/// A change without what can be worked out.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct PackedChange {
    /// Its author's place among the bundle's authors.
    #[n(0)]
    pub author: u16,
    /// What it builds on, in ascending order of the hashes.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CHANGE_DEPS_MAX, _, _>"
    )]
    pub deps: Vec<Dep>,
    /// The bytes after its author.
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CHANGE_BYTES_MAX, _, _>"
    )]
    pub rest: Vec<u8>,
}

/// A signed head without the hash that it signs.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Closing {
    /// The place of the change it closes, from nought; it covers its author's changes up to it.
    #[n(0)]
    pub change: u16,
    /// The signed bytes before that change's hash.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SIGNED_BYTES_MAX, _, _>"
    )]
    pub before: Vec<u8>,
    /// The signed bytes after it.
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<SIGNED_BYTES_MAX, _, _>"
    )]
    pub after: Vec<u8>,
    /// The signature.
    #[cbor(n(3), with = "codec::wire")]
    pub signature: Signature,
}

impl Closing {
    /// The head that closes the change at a place, whose hash is `hash`.
    ///
    /// # Errors
    /// [`Reason::WrongHash`] when the head does not name that hash.
    pub fn new(change: u16, hash: &ChangeHash, head: &SignedHead) -> Result<Closing, Reason> {
        let payload = &head.payload;
        let at = payload
            .windows(hash.0.len())
            .position(|bytes| bytes == hash.0)
            .ok_or(Reason::WrongHash)?;
        let (before, rest) = payload.split_at(at);
        Ok(Closing {
            change,
            before: before.to_vec(),
            after: rest.get(hash.0.len()..).unwrap_or_default().to_vec(),
            signature: head.signature,
        })
    }

    /// The head, if the change it closes has this hash.
    pub fn head(&self, hash: &ChangeHash) -> SignedHead {
        SignedHead {
            payload: [&self.before[..], &hash.0, &self.after].concat(),
            signature: self.signature,
        }
    }
}

/// Changes of one document.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Bundle {
    /// The document.
    #[cbor(n(0), with = "codec::wire")]
    pub document: DocumentId,
    /// Who wrote them, each once.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<BUNDLE_CHANGES_MAX, _, _>"
    )]
    pub authors: Vec<ActorId>,
    /// The changes, each after what it builds on: 1 to [`BUNDLE_CHANGES_MAX`].
    #[cbor(
        n(2),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<BUNDLE_CHANGES_MAX, _, _>"
    )]
    pub changes: Vec<PackedChange>,
    /// What closes each author's runs, by the place of the change.
    #[cbor(
        n(3),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<BUNDLE_CHANGES_MAX, _, _>"
    )]
    pub closings: Vec<Closing>,
}

codec::wire_struct!(PackedChange, Closing, Bundle);

impl fmt::Debug for PackedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (author, bytes) = (self.author, self.rest.len());
        write!(f, "PackedChange(author {author}, {bytes} bytes)")
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Closing({})", self.change)
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("document", &self.document)
            .field("authors", &self.authors.len())
            .field("changes", &self.changes.len())
            .field("closings", &self.closings)
            .finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{head, key, signed_head};

    #[test]
    fn a_head_is_the_same_with_its_hash_put_back() {
        let (signed, said) = (signed_head(&key(1)), head(&key(1)));
        let closing = Closing::new(2, &said.hash, &signed).unwrap();
        assert_eq!(closing.head(&said.hash), signed);
        assert_eq!(
            closing.before.len() + 32 + closing.after.len(),
            signed.payload.len()
        );
        let other = ChangeHash([9; 32]);
        assert_ne!(closing.head(&other), signed);
        assert_eq!(Closing::new(2, &other, &signed), Err(Reason::WrongHash));
    }

    proptest! {
        #[test]
        fn what_a_change_builds_on_reads_back(places: u16, hash: [u8; 32]) {
            let packed = |deps| PackedChange { author: 3, deps, rest: vec![1, 2] };
            for deps in [vec![], vec![Dep::Near(places), Dep::Far(Box::new(ChangeHash(hash)))]] {
                let change = packed(deps);
                prop_assert_eq!(codec::decode(&codec::encode(&change)), Ok(change));
            }
        }
    }
}
