//! Documents read through the public Automerge library alone, with nothing of ours between: what
//! anybody can read who is given the file.

use std::collections::BTreeMap;

use automerge::{Automerge, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use names::EntryId;
use serde_json::{Value as Json, json};

/// What one entry says.
#[derive(Debug, Default)]
pub struct Line {
    /// Its act's code.
    pub act: String,
    /// Every text in it, one after the other.
    pub words: String,
    /// Every scalar by its key; bytes as hexadecimal digits.
    pub said: BTreeMap<String, Json>,
}

/// What a document says.
#[derive(Debug, Default)]
pub struct Pages {
    /// Its entries. One that was made twice stands here once.
    pub entries: BTreeMap<EntryId, Line>,
    /// Its text.
    pub text: String,
}

/// Reads a document's file.
///
/// # Errors
/// What is not as it should be.
pub fn read(file: &[u8]) -> Result<Pages, String> {
    let document = Automerge::load(file).map_err(|error| error.to_string())?;
    let mut pages = Pages::default();
    let entries = object(&document, &ROOT, "entries", ObjType::List)?;
    for index in 0..document.length(&entries) {
        let entry = document
            .get(&entries, index)
            .map_err(|error| error.to_string())?;
        let Some((Value::Object(ObjType::Map), entry)) = entry else {
            return Err(format!("entry {index} is no map"));
        };
        let (id, line) = read_line(&document, &entry)?;
        pages.entries.insert(id, line);
    }
    let text = object(&document, &ROOT, "text", ObjType::Text)?;
    pages.text = document.text(&text).map_err(|error| error.to_string())?;
    Ok(pages)
}

/// The one object under a key. Two of them would mean that two writers made it each for
/// themselves, and that one hides the other.
fn object(document: &Automerge, parent: &ObjId, key: &str, kind: ObjType) -> Result<ObjId, String> {
    let all = document
        .get_all(parent, key)
        .map_err(|error| error.to_string())?;
    match all.as_slice() {
        [(Value::Object(found), object)] if *found == kind => Ok(object.clone()),
        other => Err(format!("{} values under {key}", other.len())),
    }
}

fn read_line(document: &Automerge, entry: &ObjId) -> Result<(EntryId, Line), String> {
    let mut line = Line::default();
    let mut id = None;
    for key in document.keys(entry) {
        let all = document
            .get_all(entry, &key)
            .map_err(|error| error.to_string())?;
        let [(Value::Scalar(scalar), _)] = all.as_slice() else {
            return Err(format!("{} values under {key} of an entry", all.len()));
        };
        line.said.insert(key.clone(), plain(scalar));
        match scalar.as_ref() {
            ScalarValue::Bytes(bytes) if key == "id" => {
                id = bytes.as_slice().try_into().ok().map(EntryId);
            }
            ScalarValue::Str(words) if key == "act" => line.act = words.to_string(),
            ScalarValue::Str(words) => {
                line.words.push_str(words);
                line.words.push('\n');
            }
            _ => {}
        }
    }
    id.map(|id| (id, line))
        .ok_or_else(|| "an entry without an id".to_owned())
}

/// A scalar as JSON has it.
fn plain(scalar: &ScalarValue) -> Json {
    match scalar {
        ScalarValue::Str(words) => json!(words.as_str()),
        ScalarValue::Int(number) => json!(number),
        ScalarValue::Boolean(said) => json!(said),
        ScalarValue::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(digits)
        }
        _ => Json::Null,
    }
}
