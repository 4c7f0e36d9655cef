//! Every frame that two nodes say to each other.
//!
//! A frame is one byte that says its type, and a body. **Version rule:** a type keeps its meaning
//! for ever; of unknown types those below 128 end the conversation, those from 128 on are skipped;
//! bodies follow the rule of [`codec`]. How frames are delimited on a stream is the link's affair.
//!
//! The conversation, in short: HELLO both ways; statements until the directories agree; TABLE if
//! the roots differ; per scope TOTALS and FILL with what the other is believed to lack, answered
//! by HELD; DONE with the digest. If the digests then differ: LIST, answered by DIFFER, and both
//! fill what those documents lack. LIVE carries what is new from then on.

mod body;

use minicbor::Encode;
use names::{Reason, limits::FRAME_BYTES_MAX};

pub use body::{
    Batch, Bye, Differ, Difference, Done, Fault, Held, HeldRun, Hello, List, Ping, Refused,
    ScopeRow, StatementBatch, StatementIds, Table, Totals, table_root,
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
    /// The ids of statements that I want.
    StatementsWanted(StatementIds) = 3;
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
    /// I have sent all that I believed you lacked, and this is where I stand now.
    Done(Done) = 10;
    /// The state of each of my documents, a page of them.
    List(List) = 11;
    /// The documents that differ, and what I have of them.
    Differ(Differ) = 12;
    /// What I did not take, and why.
    Refused(Refused) = 13;
    /// Are you there?
    Ping(Ping) = 14;
    /// I am.
    Pong(Ping) = 15;
    /// The conversation ends.
    Bye(Bye) = 16;
}

fn write<T: Encode<()>>(number: u8, body: &T) -> Vec<u8> {
    let mut bytes = vec![number];
    minicbor::encode(body, &mut bytes).expect("memory takes every byte");
    bytes
}
