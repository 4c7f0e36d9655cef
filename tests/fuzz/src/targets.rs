//! The targets, one for each family of decoders.

mod backups;
mod bundles;
mod changes;
mod commands;
mod conversations;
mod documents;
mod enrolment;
mod frames;
mod lanes;
mod narrow;
mod placements;
mod records;
mod rows;
mod sketches;
mod statements;
mod texts;

use crate::Target;

/// Declares the list of them.
macro_rules! targets {
    ($($name:ident: $tries:literal, up to $length:literal;)*) => {
        /// Every target, in the order in which bytes pass them.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            tries: $tries,
            length_max: $length,
            run: $name::run,
            seeds: $name::seeds,
        },)*];
    };
}

targets! {
    lanes: "streams of a conversation: lengths, lanes, inflating", up to 16_384;
    frames: "frames of every lane", up to 65_536;
    narrow: "what a device says that is let in nowhere else", up to 16_384;
    enrolment: "enrolment codes, requests and answers", up to 8_192;
    statements: "what the authority says, and the directory of it", up to 8_192;
    placements: "placements at the door, and families of them", up to 8_192;
    changes: "one change in pre-flight, held against Automerge", up to 16_384;
    bundles: "frames and bundles at the door, signed anew", up to 32_768;
    documents: "documents of changes that pre-flight takes", up to 4_096;
    sketches: "set sketches of honest and other peers", up to 65_536;
    conversations: "a centre told whatever an edge likes", up to 32_768;
    records: "sealed records, epochs and keys", up to 4_096;
    rows: "rows of a node's own", up to 8_192;
    backups: "backups and recovery keys", up to 65_536;
    commands: "what a browser asks for, carried out", up to 8_192;
    texts: "names, days and codes as they are written", up to 128;
}
