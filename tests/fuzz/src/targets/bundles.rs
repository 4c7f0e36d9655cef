//! Bundles at the door: as they came, and signed anew by devices that may or may not sign.

use std::collections::BTreeSet;

use document::preflight::{self, Header};
use names::{
    DocumentId,
    limits::{BUNDLE_BYTES_MAX, BUNDLE_CHANGES_MAX},
};
use node::{Piece, Verifier};
use protocol::{
    Bundle, Frame, SignedHead, bundle::Closing, codec, message::Batch, together::Proven,
};

use super::frames::check_bundle;
use crate::{
    craft::{EDGES, TENANT, actor, directory, head, scope, verifier},
    draw::{Draw, piece},
    record,
};

/// From this number on an author or a closing is left as it came.
const AS_IT_CAME: u8 = 128;

/// Of a bundle that is taken every line is closed by heads that hold one by one, and with one bit of
/// any signature turned it is not taken. The first byte says whether the rest is a frame, or a bundle
/// and who signs what of it.
pub(super) fn run(bytes: &[u8]) {
    let verifier = verifier();
    let mut draw = Draw::new(bytes);
    if draw.byte().is_multiple_of(2) {
        let _ = verifier.frame(draw.rest());
        return;
    }
    let Ok(bundle) = codec::decode::<Bundle>(draw.piece()) else {
        return;
    };
    check_bundle(&bundle);
    let bundle = signed_anew(bundle, &mut draw);
    let taken = is_taken(&verifier, &bundle);
    let mut in_frame = vec![bundle.clone()];
    if taken {
        check_taken(&bundle);
        for place in 0..bundle.closings.len() {
            let forged = spoilt(&bundle, place);
            assert!(!is_taken(&verifier, &forged), "forged, and taken");
            in_frame.push(forged);
        }
    }
    let frame = Frame::Fill(Batch {
        scope: scope(),
        placements: Vec::new(),
        bundles: in_frame,
        number: 1,
        after: None,
        from: None,
    });
    let _ = verifier.frame(&frame.encode());
}

fn is_taken(verifier: &Verifier, bundle: &Bundle) -> bool {
    verifier.piece(Piece::Bundle(bundle.clone())).is_ok()
}

/// Has each author be somebody, and each closing be signed by them; what cannot be signed is left.
fn signed_anew(mut bundle: Bundle, draw: &mut Draw<'_>) -> Bundle {
    let signers: Vec<u8> = bundle.authors.iter().map(|_| draw.byte()).collect();
    for (author, signer) in bundle.authors.iter_mut().zip(&signers) {
        if *signer < AS_IT_CAME {
            *author = actor(signer % (EDGES + 2), &bundle.document);
        }
    }
    let Some(headers) = headers(&bundle) else {
        return bundle;
    };
    for closing in &mut bundle.closings {
        let place = usize::from(closing.change);
        let (Some(header), Some(change)) = (headers.get(place), bundle.changes.get(place)) else {
            continue;
        };
        let signer = signers.get(usize::from(change.author)).copied();
        let signer = signer.filter(|signer| *signer < AS_IT_CAME && draw.byte() < AS_IT_CAME);
        if let Some(signer) = signer {
            let head = head(
                signer % (EDGES + 2),
                &bundle.document,
                header.seq,
                header.hash,
            );
            let signed = Closing::new(closing.change, &header.hash, &head);
            *closing = signed.expect("a head has its hash in it");
        }
    }
    bundle
}

/// What pre-flight says of each change; nothing when it refuses one.
fn headers(bundle: &Bundle) -> Option<Vec<Header>> {
    let chunks = node::bundle::chunks(bundle).ok()?;
    let headers = chunks
        .iter()
        .map(|(_, chunk)| preflight::header(chunk).ok());
    headers.collect()
}

fn spoilt(bundle: &Bundle, place: usize) -> Bundle {
    let mut forged = bundle.clone();
    let closing = forged.closings.get_mut(place);
    let byte = closing.and_then(|closing| closing.signature.0.get_mut(place % 64));
    *byte.expect("a signature has 64 bytes") ^= 1;
    forged
}

/// All that a bundle must be, found out once more and in another way.
fn check_taken(bundle: &Bundle) {
    let headers = headers(bundle).expect("taken, and refused by pre-flight");
    assert!((1..=BUNDLE_CHANGES_MAX).contains(&headers.len()));
    let bytes: usize = headers.iter().map(|header| header.bytes).sum();
    assert!(
        headers.len() == 1 || bytes <= BUNDLE_BYTES_MAX,
        "a bundle too large"
    );
    let authors: BTreeSet<_> = bundle.authors.iter().collect();
    assert_eq!(
        authors.len(),
        bundle.authors.len(),
        "an author listed twice"
    );
    for (author, actor) in bundle.authors.iter().enumerate() {
        let own = bundle.changes.iter().zip(&headers).enumerate();
        let own = own.filter(|(_, (change, _))| usize::from(change.author) == author);
        let line: Vec<(usize, &Header)> = own.map(|(at, (_, header))| (at, header)).collect();
        for pair in line.windows(2) {
            let [(_, before), (_, after)] = pair else {
                continue;
            };
            assert_eq!(after.seq, before.seq + 1, "a line with a gap");
            assert!(
                after.deps.contains(&before.hash),
                "a line that does not follow"
            );
        }
        let (last, _) = line.last().expect("an author who wrote nothing");
        let mut closed = false;
        for closing in &bundle.closings {
            let at = usize::from(closing.change);
            if let Some((_, header)) = line.iter().find(|(place, _)| *place == at) {
                assert_eq!(header.actor, *actor);
                check_head(&bundle.document, header, &closing.head(&header.hash));
                closed |= at == *last;
            }
        }
        assert!(closed, "what was written last is not signed");
    }
}

fn check_head(document: &DocumentId, header: &Header, signed: &SignedHead) {
    let claim = signed.claim().expect("a head that was taken");
    let key = directory().signer(&claim.device);
    let key = key.expect("taken of a stranger");
    let proof = signed.verify(&TENANT, document, &header.actor, &key, &Proven::default());
    let said = proof.expect("taken, and alone it proves nothing");
    assert_eq!((said.hash, said.seq), (header.hash, header.seq));
}

/// The frames and bundles of the record; its changes as bundles of several authors.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let frames = record::said()
        .iter()
        .map(|frame| [&[0], &frame[..]].concat());
    let (_, bundles) = record::pieces();
    let by = |signer: u8| {
        let sign = move |bundle: &Bundle| {
            let signers = vec![signer; bundle.authors.len() + bundle.closings.len()];
            [vec![1], piece(&codec::encode(bundle)), signers].concat()
        };
        bundles.iter().map(sign).collect::<Vec<_>>()
    };
    frames
        .chain(by(1))
        .chain(by(AS_IT_CAME))
        .chain(by(EDGES + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_known_device_has_signed_is_taken_and_what_a_stranger_has_is_not() {
        let (_, bundles) = record::pieces();
        assert!(!bundles.is_empty());
        for (signer, taken) in [(1, true), (AS_IT_CAME, true), (EDGES + 1, false)] {
            for bundle in &bundles {
                let signers = vec![signer; bundle.authors.len() + bundle.closings.len()];
                let bundle = signed_anew(bundle.clone(), &mut Draw::new(&signers));
                assert_eq!(is_taken(&verifier(), &bundle), taken, "by {signer}");
            }
        }
    }
}
