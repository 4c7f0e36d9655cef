//! End to end: the promises of the service, kept by real processes over real QUIC on real disks.
//!
//! The simulator draws thousands of schedules; here are few, but nothing in them is simulated
//! except the cutting of the network. Each test has a service of its own, in a folder of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod apart;
mod backup;
mod copies;
mod copying;
mod demo;
mod export;
mod kill;
mod restore;
mod revoked;
mod sealed;
mod transfer;

use domain::{Command, ContactMode, Day, Slot, Text};
use harness::service::{client::Client, person::Person, town::Site};
use names::DocumentId;
use serde_json::Value;

/// Stands in everything that people type here, so that one search finds any of it.
const MARKER: &str = "Quillfeather-Oddstone";

/// Kent with two edges, and Bath with one.
const TOWN: &[Site] = &[
    Site {
        id: "kent",
        name: "Kent",
        edges: &["kent-a", "kent-b"],
        workers: &[
            ("anna", "Anna Adeyemi", "recovery-worker"),
            ("ben", "Ben Brook", "senior"),
        ],
    },
    Site {
        id: "bath",
        name: "Bath",
        edges: &["bath"],
        workers: &[("cara", "Cara Cole", "recovery-worker")],
    },
];

fn day() -> Day {
    "2026-03-02".parse().unwrap()
}

/// Words as a person might type them, with the marker.
fn words(about: &str) -> Text {
    Text::from(format!("{about} ({MARKER})"))
}

fn note(about: &str) -> Command {
    Command::AddNote {
        happened: day(),
        mode: ContactMode::Phone,
        minutes: 20,
        text: words(about),
    }
}

/// Begins a case with a name in it.
fn begin_case(person: &mut Person, name: &str) -> DocumentId {
    let open = Command::OpenCase {
        opened: day(),
        source: words("walk-in"),
    };
    let case = person.begins(&open).unwrap().document;
    let name = Command::Identify {
        slot: Slot::Name,
        value: words(name),
        reason: Text::default(),
    };
    person.does(case, &name).unwrap();
    case
}

fn document(client: &Client, document: DocumentId) -> Value {
    let path = format!("/api/v1/views/documents/{document}");
    client.get_json(&path).unwrap()
}

/// The elements of a list in JSON.
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
