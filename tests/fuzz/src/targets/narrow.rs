//! What a device may still say that is let in nowhere else, and what it is answered.

use names::{Moment, Reason, limits::FRAME_BYTES_MAX};
use protocol::{
    directory::HandedInLine,
    narrow::{Answer, Ask, LACKING_LINES_MAX, PART_BYTES_MAX, PartName, PurgeReceipt, Told},
};

use crate::craft::{TENANT, key, statements};

/// What is taken keeps every limit and reads back as it was; a receipt proves what its key signed and
/// nothing else.
pub(super) fn run(bytes: &[u8]) {
    if let Ok(ask) = Ask::decode(bytes) {
        assert!(bytes.len() <= FRAME_BYTES_MAX, "longer than a frame");
        match &ask {
            Ask::Lacking(lines) => assert!(lines.len() <= LACKING_LINES_MAX),
            Ask::HandIn(part) => assert!(part.len() <= PART_BYTES_MAX),
            Ask::Purged(receipt) => check(receipt),
            Ask::Time | Ask::Renew => {}
        }
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask), "it does not read back");
    }
    if let Ok(answer) = Answer::decode(bytes) {
        if let Answer::Lacking(lines) = &answer {
            assert!(lines.len() <= LACKING_LINES_MAX);
        }
        let again = Answer::decode(&answer.encode());
        assert_eq!(again, Ok(answer), "it does not read back");
    }
}

fn check(receipt: &PurgeReceipt) {
    if receipt.verify(&TENANT).is_ok() {
        let later = PurgeReceipt {
            at: Moment(receipt.at.0.wrapping_add(1)),
            ..receipt.clone()
        };
        assert!(later.verify(&TENANT).is_err(), "of another moment too");
    }
}

/// One of each.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let line = HandedInLine {
        document: names::DocumentId([1; 16]),
        actor: names::ActorId([2; 16]),
        first: 1,
        last: 9,
    };
    let told = Told {
        now: Moment(5),
        revoked: statements().iter().take(2).cloned().collect(),
    };
    let asks = [
        Ask::Time,
        Ask::Renew,
        Ask::Lacking(vec![line; 3]),
        Ask::HandIn(vec![7; 40]),
        Ask::Purged(PurgeReceipt::sign(&key(1), &TENANT, Moment(7))),
    ];
    let answers = [
        Answer::Time(told),
        Answer::Renewed(vec![vec![1; 30], vec![2; 20]]),
        Answer::Lacking(vec![line; 2]),
        Answer::Received(PartName::of(b"a part")),
        Answer::Noted,
        Answer::Refused(Reason::NotAllowed),
    ];
    let asks = asks.iter().map(Ask::encode);
    asks.chain(answers.iter().map(Answer::encode)).collect()
}
