//! What a person asks for, as a browser sends it, carried out on a case and on a register.

use std::sync::OnceLock;

use document::{Document, perform, preflight};
use domain::Command;
use names::{ActorId, EntryId, Kind};

use crate::record;

/// As whom is written here.
const ACTOR: ActorId = ActorId([0x21; 16]);
/// The entry that is written.
const ENTRY: EntryId = EntryId([0x22; 16]);

/// A command reads back as it was written. What is carried out is a change that pre-flight takes, and
/// whoever is told of it reads the same as whoever wrote it; what is refused leaves nothing behind.
pub(super) fn run(bytes: &[u8]) {
    let Ok(command) = serde_json::from_slice::<Command>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&command).expect("a command is plain data");
    let again = serde_json::from_slice::<Command>(&written);
    assert!(
        again.is_ok_and(|again| again == command),
        "it does not read back"
    );
    let kinds = [Kind::CASE, Kind::SESSION];
    let begun = kinds.map(|kind| Document::new(kind).expect("a kind of ours"));
    for document in begun.iter().chain(written_in()) {
        carry_out(document, &command);
    }
}

/// A case and a register in which something stands.
fn written_in() -> &'static [Document; 2] {
    static DOCUMENTS: OnceLock<[Document; 2]> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let mut case = Document::new(Kind::CASE).expect("a kind of ours");
        let chunks: Vec<&[u8]> = record::chunks().iter().map(Vec::as_slice).collect();
        assert_eq!(case.apply(&chunks), [], "the record is whole");
        let mut session = Document::new(Kind::SESSION).expect("a kind of ours");
        let commands = [record::open_session()].into_iter();
        let commands = commands.chain(record::of_session(names::DocumentId([9; 16])));
        for (number, command) in (1..).zip(commands) {
            let entry = EntryId([number; 16]);
            let done = perform(
                &mut session,
                ActorId([0x20; 16]),
                &command,
                entry,
                &record::by(),
                record::NOW,
            );
            assert!(done.is_ok(), "the record may be written");
        }
        [case, session]
    })
}

fn carry_out(before: &Document, command: &Command) {
    let (mut writer, mut reader) = (before.clone(), before.clone());
    let done = perform(
        &mut writer,
        ACTOR,
        command,
        ENTRY,
        &record::by(),
        record::NOW,
    );
    let Ok(Some(performed)) = done else {
        assert_eq!(
            writer.heads(),
            before.heads(),
            "refused, and something is left"
        );
        assert_eq!(
            writer.read(),
            before.read(),
            "refused, and something is left"
        );
        return;
    };
    let judged = preflight::header_for(before.kind(), &performed.chunk);
    assert_eq!(
        judged.as_ref(),
        Ok(&performed.header),
        "nobody would take it"
    );
    assert_eq!(reader.apply(&[&performed.chunk]), [], "whoever is told");
    assert_eq!(writer.heads(), reader.heads());
    assert_eq!(
        writer.read(),
        reader.read(),
        "whoever is told reads otherwise"
    );
}

/// The commands of the record.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let opened = [record::open_case(), record::open_session()];
    let of_session = record::of_session(names::DocumentId([9; 16]));
    let all = opened
        .into_iter()
        .chain(record::of_case())
        .chain(of_session);
    all.filter_map(|command| serde_json::to_vec(&command).ok())
        .collect()
}
