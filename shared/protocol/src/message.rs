//! Every frame that two nodes say to each other.
//!
//! A frame is one byte that says its type, and a body. **Version rule:** a type keeps its meaning
//! for ever; of unknown types those below 128 end the conversation, those from 128 on are skipped;
//! bodies follow the rule of [`codec`]. How frames are delimited on a stream is the link's affair.
//!
//! The conversation, in short: HELLO both ways; statements until the directories agree; TABLE if
//! the roots differ; per scope TOTALS and FILL with what the other is believed to lack, answered
//! by HELD, closed by SENT; then DONE with the digest, both ways. If the digests then differ: CELLS (as
//! long as more are WANTED) or LIST, answered by DIFFER, and both fill what those documents lack. LIVE carries what is new from then on.

mod body;

use minicbor::Encode;
use names::{Reason, limits::FRAME_BYTES_MAX};

pub use body::{
    Backups, Batch, Bye, Cells, Differ, Difference, Done, Excepted, Fault, Held, Hello, List, Ping,
    Sent, StatementBatch, StatementIds, Table, TableRow, Totals, Wanted, table_root,
};

use crate::codec;

/// From this type on an unknown frame is skipped.
const SKIPPED_FROM: u8 = 128;

macro_rules! frames {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $number:literal;)*) => {
        /// Something one node says to another.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Frame {
            $($(#[$doc])* $name($body),)*
        }

        impl Frame {
            /// The number of its type, which is its first byte.
            pub fn number(&self) -> u8 {
                match self { $(Frame::$name(_) => $number,)* }
            }

            /// Its name in counters.
            pub fn name(&self) -> &'static str {
                match self { $(Frame::$name(_) => stringify!($name),)* }
            }

            /// Its bytes.
            pub fn encode(&self) -> Vec<u8> {
                match self { $(Frame::$name(body) => write($number, body),)* }
            }

            /// The frame in `bytes`; none if it is one that may be skipped.
            ///
            /// # Errors
            /// [`Reason::TooLarge`] beyond [`FRAME_BYTES_MAX`], else [`Reason::Malformed`].
            pub fn decode(bytes: &[u8]) -> Result<Option<Frame>, Reason> {
                if bytes.len() > FRAME_BYTES_MAX {
                    return Err(Reason::TooLarge);
                }
                let (number, body) = bytes.split_first().ok_or(Reason::Malformed)?;
                match *number {
                    $($number => codec::decode(body).map(|body| Some(Frame::$name(body))),)*
                    SKIPPED_FROM.. => Ok(None),
                    _ => Err(Reason::Malformed),
                }
            }
        }
    };
}

frames! {
    /// Who I am, and what I hold in sum. The first frame both ways.
    Hello(Hello) = 1;
    /// The ids of the statements that I hold, a page of them.
    StatementIds(StatementIds) = 2;
    /// I have sent all that I believed you lacked in a scope.
    Sent(Sent) = 3;
    /// Statements that you lack.
    Statements(StatementBatch) = 4;
    /// Where I stand in each scope that we share.
    Table(Table) = 5;
    /// What a fill is going to be.
    Totals(Totals) = 6;
    /// What I believe that you lack.
    Fill(Batch) = 7;
    /// What has just been written.
    Live(Batch) = 8;
    /// What I have made durable.
    Held(Held) = 9;
    /// Where I stand now that both have sent what the other was believed to lack.
    Done(Done) = 10;
    /// The state of each of my documents, a page of them.
    List(List) = 11;
    /// The documents that differ, and what I have of them.
    Differ(Differ) = 12;
    /// Are you there?
    Ping(Ping) = 14;
    /// I am.
    Pong(Ping) = 15;
    /// The conversation ends.
    Bye(Bye) = 16;
    /// Cells of my sketch of a scope.
    Cells(Cells) = 17;
    /// More cells, or the list instead.
    Wanted(Wanted) = 18;
    /// How far what I hold is in backups.
    Backups(Backups) = 19;
}

fn write<T: Encode<()>>(number: u8, body: &T) -> Vec<u8> {
    let mut bytes = vec![number];
    minicbor::encode(body, &mut bytes).expect("memory takes every byte");
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::testing::{frames, one_of_each};

    /// A frame of each type as version 1 wrote it, one a line: its name, its bytes.
    const GOLDEN: &str = include_str!("../golden/frames-v1.txt");

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn frames_of_version_1_are_read_and_written_for_ever() {
        let written: Vec<String> = one_of_each()
            .iter()
            .map(|frame| format!("{} {}", frame.name(), hex(&frame.encode())))
            .collect();
        let golden: Vec<&str> = GOLDEN.lines().collect();
        assert_eq!(written, golden, "now written:\n{}\n", written.join("\n"));
        for (line, frame) in golden.iter().zip(one_of_each()) {
            let (_, bytes) = line.split_once(' ').unwrap();
            assert_eq!(Frame::decode(&unhex(bytes)), Ok(Some(frame)));
        }
    }

    #[test]
    fn every_type_has_its_own_number() {
        let numbers: Vec<u8> = one_of_each().iter().map(Frame::number).collect();
        let all: Vec<u8> = (1..=19).filter(|number| *number != 13).collect();
        assert_eq!(numbers, all);
    }

    #[test]
    fn unknown_types_are_skipped_or_fatal() {
        for number in 0..=u8::MAX {
            let answer = Frame::decode(&[number]);
            if number >= 128 {
                assert_eq!(answer, Ok(None), "type {number}");
            } else {
                assert_eq!(answer, Err(Reason::Malformed), "type {number}");
            }
        }
        assert_eq!(Frame::decode(&[]), Err(Reason::Malformed));
    }

    #[test]
    fn a_frame_is_bounded_before_it_is_read() {
        let mut bytes = vec![200; FRAME_BYTES_MAX];
        assert_eq!(Frame::decode(&bytes), Ok(None));
        bytes.push(0);
        assert_eq!(Frame::decode(&bytes), Err(Reason::TooLarge));
    }

    #[test]
    fn the_largest_run_fits_into_a_frame() {
        use names::limits::{BUNDLE_BYTES_MAX, BUNDLE_CHANGES_MAX, SIGNED_BYTES_MAX};
        let Some(Frame::Fill(mut batch)) = one_of_each().into_iter().nth(6) else {
            panic!()
        };
        let bundle = &mut batch.bundles[0];
        let mut change = bundle.changes[0].clone();
        change.rest = vec![0; BUNDLE_BYTES_MAX / BUNDLE_CHANGES_MAX];
        bundle.changes = vec![change; BUNDLE_CHANGES_MAX];
        bundle.closings[0].before = vec![0; SIGNED_BYTES_MAX];
        batch.placements[0].payload = vec![0; SIGNED_BYTES_MAX];
        let frame = Frame::Fill(batch);
        assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        // StatementIds announcing 2^32 ids, then 2^63; and one more than the limit, all there.
        let announced = [
            &[2, 0x82, 0x9A, 0xFF, 0xFF, 0xFF, 0xFF][..],
            &[2, 0x82, 0x9B, 0x7F],
        ];
        for bytes in announced {
            assert_eq!(Frame::decode(bytes), Err(Reason::Malformed));
        }
        let ids = vec![crate::StatementId([0; 16]); names::limits::LIST_ROWS_MAX + 1];
        let bytes = Frame::StatementIds(StatementIds { ids, last: true }).encode();
        assert_eq!(Frame::decode(&bytes), Err(Reason::Malformed));
    }

    #[test]
    fn every_frame_takes_fields_of_a_newer_version() {
        for frame in one_of_each() {
            let mut bytes = frame.encode();
            assert!((0x80..0x97).contains(&bytes[1]), "a body is a short array");
            bytes[1] += 2;
            // A map with a nested open-ended list, and a text, after all that is known.
            bytes.extend([0xA1, 0x01, 0x9F, 0x82, 0x01, 0x02, 0xFF, 0x61, b'x']);
            // A field left out at the end is written as null as soon as another follows it.
            if !matches!(frame, Frame::Fill(Batch { after: None, .. })) {
                assert_eq!(Frame::decode(&bytes), Ok(Some(frame)));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(frame in frames()) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(Some(frame)));
        }

        #[test]
        fn any_bytes_give_an_answer(number in 0u8..21, body in vec(any::<u8>(), 0..400)) {
            let mut bytes = vec![number];
            bytes.extend(body);
            let _ = Frame::decode(&bytes);
        }

        #[test]
        fn a_damaged_frame_gives_an_answer(
            frame in frames(),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = frame.encode();
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = Frame::decode(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = Frame::decode(&bytes);
        }

        #[test]
        fn a_frame_cut_short_is_refused(frame in frames(), cut in any::<prop::sample::Index>()) {
            let bytes = frame.encode();
            let cut = cut.index(bytes.len());
            prop_assert_eq!(Frame::decode(&bytes[..cut]), Err(Reason::Malformed));
        }
    }
}
