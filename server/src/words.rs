//! What the commands of the centre print for people; with `--json` they print the value itself.

use api::program::inspect;
use serde_json::Value;

/// The order of columns.
const COLUMNS: [&str; 13] = [
    "id",
    "kind",
    "name",
    "site",
    "worker",
    "roles",
    "disabled",
    "revoked",
    "lost",
    "held",
    "purged",
    "handed_in",
    "handed_in_bytes",
];

/// One line a row, its fields in columns.
pub(crate) fn rows(value: &Value) -> String {
    let rows = value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let line = |row: &Value| {
        let fields = COLUMNS.iter().filter_map(|column| row.get(column));
        let words: Vec<String> = fields.map(word).collect();
        words.join("\t") + "\n"
    };
    rows.iter().map(line).collect()
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// What became of a device that was revoked.
pub(crate) fn revoked(value: &Value) -> String {
    let held = match value.get("held") {
        Some(Value::Number(at)) => {
            let at = at.as_i64().map_or_else(String::new, inspect::time_text);
            format!("the last entry of it that is here is of {at}")
        }
        Some(_) | None => "no entry of it is here".to_owned(),
    };
    let rest = if value.get("lost") == Some(&Value::Bool(true)) {
        "What it wrote later and never sent is lost with it. It destroys its keys when it is next in \
         touch."
    } else {
        "When it is next in touch it hands in what it wrote later, and destroys its keys; see device \
         list, and device accept. What it hands in is then here alone: make a backup when it has."
    };
    format!("The device is revoked; {held}.\n{rest}\n")
}

/// What became of what a device had handed in, once it was accepted.
pub(crate) fn accepted(value: &Value) -> String {
    let count = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    format!(
        "{} runs and placements are new in the record, {} were there before.\n",
        count("admitted"),
        count("held"),
    )
}

/// What of a hand-in still waits after it was accepted, and what to do; none if nothing does.
pub(crate) fn not_accepted(value: &Value) -> Option<String> {
    let left = value.get("handed_in").and_then(Value::as_u64);
    let left = left.filter(|left| *left > 0)?;
    let refused = value.get("refused").and_then(Value::as_object);
    let refused: Vec<String> = refused
        .into_iter()
        .flatten()
        .map(|(reason, count)| format!("{reason}: {count}"))
        .collect();
    if refused.is_empty() {
        return Some(format!(
            "{left} parts have come meanwhile and wait in the queue: accept them too"
        ));
    }
    Some(format!(
        "{left} parts were not taken whole ({}) and stay in the queue: accept them again when \
         other devices have been in touch, or discard them by device reject",
        refused.join(", ")
    ))
}

/// That one of two copies of a device's store was stopped.
pub(crate) fn single(_: &Value) -> String {
    "One copy of its store runs: its certificate is renewed again.\n".to_owned()
}

/// What was discarded of what a device had handed in.
pub(crate) fn rejected(value: &Value) -> String {
    let count = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or(0);
    format!(
        "{} parts ({} bytes) are discarded.\n",
        count("discarded"),
        count("discarded_bytes")
    )
}

/// That a centre acts again, and who has not been heard.
pub(crate) fn resumed(value: &Value) -> String {
    let unheard = value.get("unheard").and_then(Value::as_array);
    match unheard.map_or(0, Vec::len) {
        0 => "The centre acts again; every device it knew has been heard.\n".to_owned(),
        some => format!(
            "The centre acts again. {some} devices have not been heard since its start: what they \
             alone know of is missing until they are.\n"
        ),
    }
}

/// A code for a device that is to be enrolled, and how to treat it.
pub(crate) fn code(value: &Value) -> String {
    let code = value
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    format!(
        "{code}\nThis code lets one device in, within a day. Hand it over; do not send it in clear.\n"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_is_told_a_time_and_why_something_was_not_taken() {
        let words = revoked(&json!({ "held": 1_790_000_000_000_i64 }));
        assert!(words.contains("is of 2026-09-21 14:13 UTC"), "{words}");
        let left = json!({ "admitted": 1, "handed_in": 2, "refused": { "malformed": 2 } });
        let words = not_accepted(&left).expect("two are left");
        assert!(
            words.contains("2 parts") && words.contains("malformed: 2"),
            "{words}"
        );
        let words = not_accepted(&json!({ "handed_in": 1, "refused": {} }));
        assert!(words.is_some_and(|words| words.contains("meanwhile")));
        assert_eq!(not_accepted(&json!({ "handed_in": 0 })), None);
    }

    #[test]
    fn rows_have_columns() {
        let value = json!([{ "id": "bath", "name": "Bath" }, { "id": "kent", "name": null }]);
        assert_eq!(rows(&value), "bath\tBath\nkent\t-\n");
        assert_eq!(
            rows(&json!({ "roles": ["a", "b"], "id": "w-1" })),
            "w-1\ta,b\n"
        );
    }
}
