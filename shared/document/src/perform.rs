//! The one path of a person's change: read, decide, write.

use automerge::ActorId as AutoActorId;
use domain::{By, Command, Edits, Refusal, Writing, decide};
use names::{ActorId, EntryId, Moment};

use crate::{
    genesis::CRISIS_PLAN_VERSION,
    guard::guard,
    history::Candidate,
    open::Document,
    preflight::Header,
    read::{Reading, splice},
    write,
};

/// A change a person made, ready to be signed and kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Performed {
    /// Its raw chunk.
    pub chunk: Vec<u8>,
    /// Its header, as every other node will read it.
    pub header: Header,
}

impl std::fmt::Debug for Performed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Performed")
            .field("bytes", &self.chunk.len())
            .field("header", &self.header)
            .finish()
    }
}

/// Performs a command on a document, as its next change by `actor`.
///
/// `actor` is one that this opening of this store alone uses: its changes form one line, each
/// building directly on the one before. `None`: it was recorded before, there is nothing to write.
///
/// # Errors
///
/// What `domain` refuses; [`Refusal::NotWritten`] when the change would be one that another node
/// refuses, or Automerge could not write it. The document is then as it was before.
pub fn perform(
    doc: &mut Document,
    actor: ActorId,
    command: &Command,
    entry: EntryId,
    by: &By,
    now: Moment,
) -> Result<Option<Performed>, Refusal> {
    let edits = decide(doc.state(), command, entry, by, now)?;
    if edits.is_empty() {
        return Ok(None);
    }
    if !write::fits(&edits) {
        return Err(Refusal::NotWritten);
    }
    match commit(doc, actor, &edits, now) {
        Some(performed) => Ok(Some(performed)),
        None => {
            // The document may be half written, or hold a change that nobody would take.
            doc.take_back();
            Err(Refusal::NotWritten)
        }
    }
}

/// Writes the edits and keeps the change, if it is one that every node takes.
fn commit(doc: &mut Document, actor: ActorId, edits: &Edits, now: Moment) -> Option<Performed> {
    let mut reading = doc.reading.take()?;
    follow(&mut reading, edits)?;
    if edits.writing == Writing::CrisisPlan {
        doc.migrate(CRISIS_PLAN_VERSION)?;
    }
    let text = doc.places.of(edits.writing)?;
    let chunk = guard(|| {
        doc.auto.set_actor(AutoActorId::from(actor.0));
        write::write(&mut doc.auto, &doc.places, text, edits, now)?;
        Ok::<_, automerge::AutomergeError>(doc.auto.get_last_local_change())
    })
    .ok()??
    .raw_bytes()
    .to_vec();
    let candidate = Candidate::read(doc.kind(), &chunk).ok()?;
    if doc.has_no_room(candidate.surplus()) {
        return None;
    }
    doc.history.take(&candidate).ok()?;
    doc.reading = Some(reading);
    doc.settle_own(candidate.types());
    let header = candidate.header;
    Some(Performed { chunk, header })
}

/// What was read takes in what is being written. `None` when an edit is outside the text.
fn follow(reading: &mut Reading, edits: &Edits) -> Option<()> {
    let text = reading.text_mut(edits.writing);
    for edit in &edits.splices {
        splice(text, edit.position, edit.delete, &edit.insert)?;
    }
    if !edits.splices.is_empty() {
        let text = text.clone();
        reading.state.set_prose(edits.writing, &text);
    }
    for entry in &edits.entries {
        reading.state.add(entry);
        reading.rows += 1;
    }
    for (field, value) in &edits.fields {
        reading.state.set_field(field, value);
        reading.fields.insert(field.clone(), value.clone());
    }
    Some(())
}
