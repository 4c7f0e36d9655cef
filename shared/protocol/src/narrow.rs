//! The narrow protocol: what a device may still say whose certificate lets it in nowhere else.
//!
//! A revoked device, one whose certificate has ended and one whose clock is wrong all reach it. It
//! has five frames: what time it is (and whether the device is revoked), a new certificate, what
//! the centre lacks of what the device holds, that it keeps what it lacks, and that the keys are
//! destroyed. Each is one question on a stream of its own and one answer on another. A frame is one byte that says its type, and a body; an unknown type is
//! malformed, since nobody is owed more here.

use std::fmt;

use minicbor::{Decode, Encode};
use names::{
    DeviceId, Moment, Reason, TenantId,
    limits::{FRAME_BYTES_MAX, SIGNED_BYTES_MAX},
};

use crate::{
    bytes::byte_value,
    codec,
    directory::{HandedInLine, SignedStatement},
    hash::{self, label},
    signed::{DeviceKey, PublicKey, Signature, device_id},
};

/// Certificates in one chain, as an enrolment has them.
const CHAIN_MAX: usize = 4;
/// Statements about one device's end: that it is revoked, and that it is lost.
const REVOCATIONS_MAX: usize = 2;
/// Lines in one question about what the centre lacks: each is 53 bytes at the most, so that the
/// longest question is below half a frame and answered in a fraction of a second, and fifty of them
/// are more than a site has.
pub const LACKING_LINES_MAX: usize = 8_192;
const _: () = assert!(LACKING_LINES_MAX * 53 < FRAME_BYTES_MAX);
/// Bytes of one part that is handed in: a frame, without the envelope around it.
pub const PART_BYTES_MAX: usize = FRAME_BYTES_MAX - 64;

byte_value!(
    /// A part that was handed in: 16 bytes of a hash of it. The receipt names it.
    PartName, 16
);

impl PartName {
    /// The name of a part.
    pub fn of(part: &[u8]) -> PartName {
        PartName(hash::hash16(label::PART, &[part]))
    }
}

/// A device says that it has destroyed its keys; the last thing that it signs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct PurgeReceipt {
    /// The key that is destroyed, which signs this.
    #[cbor(n(0), with = "codec::wire")]
    pub key: PublicKey,
    /// When, by the device's clock.
    #[cbor(n(1), with = "codec::wire")]
    pub at: Moment,
    /// The signature.
    #[cbor(n(2), with = "codec::wire")]
    pub signature: Signature,
}

impl PurgeReceipt {
    /// The receipt of the device that holds `key`.
    pub fn sign(key: &DeviceKey, tenant: &TenantId, at: Moment) -> PurgeReceipt {
        PurgeReceipt {
            key: key.public(),
            at,
            signature: key.sign(&purge_message(tenant, at)),
        }
    }

    /// The device that says so, proven.
    ///
    /// # Errors
    /// [`Reason::BadSignature`].
    pub fn verify(&self, tenant: &TenantId) -> Result<DeviceId, Reason> {
        let message = purge_message(tenant, self.at);
        self.key.verify(&message, &self.signature)?;
        Ok(device_id(&self.key))
    }
}

fn purge_message(tenant: &TenantId, at: Moment) -> Vec<u8> {
    hash::message(label::PURGED, tenant, &[], &at.0.to_be_bytes())
}

/// What a device asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Ask {
    /// What time it is, and whether the device is revoked.
    Time,
    /// A new certificate, over the one that was shown.
    Renew,
    /// Which of these stretches the centre lacks: at most [`LACKING_LINES_MAX`]. A device that was
    /// told that the centre held something may ask one that has come back from before that.
    Lacking(Vec<HandedInLine>),
    /// Keep this, which the centre lacks: a part, unread.
    HandIn(Vec<u8>),
    /// The keys are destroyed.
    Purged(PurgeReceipt),
}

/// What the centre answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The time.
    Time(Told),
    /// The new certificate, and those between it and the authority's: DER, its own first.
    Renewed(Vec<Vec<u8>>),
    /// These stretches are not here: what was asked for, cut to what is lacking.
    Lacking(Vec<HandedInLine>),
    /// This part is on disk.
    Received(PartName),
    /// The receipt is on disk.
    Noted,
    /// No.
    Refused(Reason),
}

/// What time it is, and how the device stands.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Told {
    /// The centre's clock.
    #[cbor(n(0), with = "codec::wire")]
    pub now: Moment,
    /// The statements that revoke the device; none when it is not revoked. They are the
    /// authority's own, so that no other word ends a device.
    #[cbor(
        n(1),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<REVOCATIONS_MAX, _, _>"
    )]
    pub revoked: Vec<SignedStatement>,
}

/// A body without anything in it.
#[derive(Encode, Decode)]
struct Nothing {}

#[derive(Encode, Decode)]
struct Part {
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<PART_BYTES_MAX, _, _>"
    )]
    part: Vec<u8>,
}

#[derive(Encode, Decode)]
struct Lines {
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<LACKING_LINES_MAX, _, _>"
    )]
    lines: Vec<HandedInLine>,
}

#[derive(Encode, Decode)]
struct Chain {
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CHAIN_MAX, _, _>"
    )]
    chain: Vec<Vec<u8>>,
}

#[derive(Encode, Decode)]
struct Named {
    #[cbor(n(0), with = "codec::wire")]
    name: PartName,
}

#[derive(Encode, Decode)]
struct No {
    #[cbor(n(0), with = "codec::wire")]
    reason: Reason,
}

fn write(number: u8, body: &impl Encode<()>) -> Vec<u8> {
    let mut bytes = vec![number];
    bytes.extend(codec::encode(body));
    bytes
}

/// Takes the type off, and holds the body against its bound.
fn split<'b>(bytes: &'b [u8], large: &[u8]) -> Result<(u8, &'b [u8]), Reason> {
    let (number, body) = bytes.split_first().ok_or(Reason::Malformed)?;
    let most = if large.contains(number) {
        FRAME_BYTES_MAX
    } else {
        // A chain is a few kilobytes, two statements are less than two signed payloads.
        3 * SIGNED_BYTES_MAX
    };
    if bytes.len() > most {
        return Err(Reason::TooLarge);
    }
    Ok((*number, body))
}

impl Ask {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Ask::Time => write(1, &Nothing {}),
            Ask::Renew => write(2, &Nothing {}),
            Ask::HandIn(part) => write(3, &Part { part: part.clone() }),
            Ask::Purged(receipt) => write(4, receipt),
            Ask::Lacking(lines) => write(
                5,
                &Lines {
                    lines: lines.clone(),
                },
            ),
        }
    }

    /// The question in `bytes`.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Ask, Reason> {
        let (number, body) = split(bytes, &[3, 5])?;
        match number {
            1 => codec::decode(body).map(|Nothing {}| Ask::Time),
            2 => codec::decode(body).map(|Nothing {}| Ask::Renew),
            3 => codec::decode(body).map(|Part { part }| Ask::HandIn(part)),
            4 => codec::decode(body).map(Ask::Purged),
            5 => codec::decode(body).map(|Lines { lines }| Ask::Lacking(lines)),
            _ => Err(Reason::Malformed),
        }
    }
}

impl Answer {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Answer::Time(told) => write(1, told),
            Answer::Renewed(chain) => write(
                2,
                &Chain {
                    chain: chain.clone(),
                },
            ),
            Answer::Received(name) => write(3, &Named { name: *name }),
            Answer::Noted => write(4, &Nothing {}),
            Answer::Refused(reason) => write(5, &No { reason: *reason }),
            Answer::Lacking(lines) => write(
                6,
                &Lines {
                    lines: lines.clone(),
                },
            ),
        }
    }

    /// The answer in `bytes`.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] or [`Reason::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Answer, Reason> {
        let (number, body) = split(bytes, &[6])?;
        match number {
            1 => codec::decode(body).map(Answer::Time),
            2 => codec::decode(body).map(|Chain { chain }| Answer::Renewed(chain)),
            3 => codec::decode(body).map(|Named { name }| Answer::Received(name)),
            4 => codec::decode(body).map(|Nothing {}| Answer::Noted),
            5 => codec::decode(body).map(|No { reason }| Answer::Refused(reason)),
            6 => codec::decode(body).map(|Lines { lines }| Answer::Lacking(lines)),
            _ => Err(Reason::Malformed),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Time => f.write_str("Time"),
            Ask::Renew => f.write_str("Renew"),
            Ask::Lacking(lines) => write!(f, "Lacking({} lines)", lines.len()),
            Ask::HandIn(part) => write!(f, "HandIn({} bytes)", part.len()),
            Ask::Purged(receipt) => receipt.fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use names::{ActorId, DocumentId};
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        directory::{Revocation, Statement},
        testing::{TENANT, key, statement},
    };

    fn asks() -> Vec<Ask> {
        vec![
            Ask::Time,
            Ask::Renew,
            Ask::HandIn(vec![7, 8, 9]),
            Ask::Purged(PurgeReceipt::sign(&key(1), &TENANT, Moment(5))),
            Ask::Lacking(vec![line()]),
        ]
    }

    fn line() -> HandedInLine {
        HandedInLine {
            document: DocumentId([1; 16]),
            actor: ActorId([2; 16]),
            first: 3,
            last: u64::MAX,
        }
    }

    fn answers() -> Vec<Answer> {
        let revocation = Revocation {
            device: key(1).device_id(),
            lost: true,
            held: None,
        };
        vec![
            Answer::Time(Told {
                now: Moment(1_790_000_000_000),
                revoked: vec![statement(1, 5, Statement::DeviceRevoked(revocation))],
            }),
            Answer::Renewed(vec![vec![1, 2], vec![3]]),
            Answer::Received(PartName::of(&[7, 8, 9])),
            Answer::Noted,
            Answer::Refused(Reason::NotAllowed),
            Answer::Lacking(vec![line()]),
        ]
    }

    fn golden(frames: impl Iterator<Item = Vec<u8>>) -> String {
        let all: Vec<u8> = frames.flatten().collect();
        PartName::of(&all).to_string()
    }

    #[test]
    fn every_frame_keeps_its_bytes_and_reads_back() {
        for ask in asks() {
            assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        }
        for answer in answers() {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
        let short: Vec<Vec<u8>> = asks().iter().take(3).map(Ask::encode).collect();
        assert_eq!(
            short,
            [vec![1, 0x80], vec![2, 0x80], vec![3, 0x81, 0x43, 7, 8, 9]]
        );
        assert_eq!(
            [
                golden(asks().iter().map(Ask::encode)),
                golden(answers().iter().map(Answer::encode))
            ],
            [
                "39f437eb8c1c8804deddad7434ee10ac",
                "d6c6dc0fc17fbfa55b81d17eb800a2fc"
            ]
        );
    }

    #[test]
    fn what_is_too_large_is_not_parsed() {
        let most = Ask::HandIn(vec![0; PART_BYTES_MAX]).encode();
        assert!(Ask::decode(&most).is_ok());
        let more = Ask::HandIn(vec![0; FRAME_BYTES_MAX]).encode();
        assert_eq!(Ask::decode(&more), Err(Reason::TooLarge));
        let most = Ask::Lacking(vec![line(); LACKING_LINES_MAX]).encode();
        assert!(most.len() < FRAME_BYTES_MAX && Ask::decode(&most).is_ok());
        let more = Ask::Lacking(vec![line(); LACKING_LINES_MAX + 1]).encode();
        assert_eq!(Ask::decode(&more), Err(Reason::Malformed));
        let mut long = vec![1];
        long.resize(4 * SIGNED_BYTES_MAX, 0);
        assert_eq!(Ask::decode(&long), Err(Reason::TooLarge));
        assert_eq!(Answer::decode(&long), Err(Reason::TooLarge));
        assert_eq!(Ask::decode(&[]), Err(Reason::Malformed));
        assert_eq!(Ask::decode(&[9, 0x80]), Err(Reason::Malformed));
    }

    #[test]
    fn only_the_device_itself_says_that_it_is_purged() {
        let receipt = PurgeReceipt::sign(&key(1), &TENANT, Moment(5));
        assert_eq!(receipt.verify(&TENANT), Ok(key(1).device_id()));
        let other = PurgeReceipt {
            key: key(2).public(),
            ..receipt.clone()
        };
        let later = PurgeReceipt {
            at: Moment(6),
            ..receipt.clone()
        };
        for wrong in [other, later] {
            assert_eq!(wrong.verify(&TENANT), Err(Reason::BadSignature));
        }
        let elsewhere = TenantId([0; 16]);
        assert_eq!(receipt.verify(&elsewhere), Err(Reason::BadSignature));
    }

    #[test]
    fn what_is_handed_in_is_not_printed() {
        let printed = format!("{:?}", Ask::HandIn(b"Marker".to_vec()));
        assert!(!printed.contains("Marker") && !printed.contains("77"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_falling(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(ask) = Ask::decode(&bytes) {
                prop_assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
            }
            if let Ok(answer) = Answer::decode(&bytes) {
                prop_assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
            }
        }

        #[test]
        fn damaged_frames_are_read_without_falling(
            which in 0usize..11, place in any::<prop::sample::Index>(), byte: u8,
        ) {
            let asks = asks().into_iter().map(|ask| ask.encode());
            let answers = answers().into_iter().map(|answer| answer.encode());
            let all: Vec<Vec<u8>> = asks.chain(answers).collect();
            let mut bytes = all.get(which).cloned().unwrap_or_default();
            let place = place.index(bytes.len().max(1));
            if let Some(slot) = bytes.get_mut(place) {
                *slot = byte;
            }
            let _ = Ask::decode(&bytes);
            let _ = Answer::decode(&bytes);
        }
    }
}
