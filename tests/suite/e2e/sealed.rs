//! What people type is readable in no file of any node, no log, no metric and no error; and the
//! search that does not find it does find all of it where nothing is sealed.

use std::{cell::Cell, collections::BTreeSet, path::Path};

use domain::{AlertCode, Command, ContactMode, Field, Slot, Text};
use harness::{
    report::say,
    service::{
        Service,
        client::{Client, Failure},
        person::Person,
        search::{count_in, files_with, unseal},
    },
};
use names::DocumentId;
use serde_json::json;

use super::{MARKER, TOWN, day};

/// Everything that the nodes and all they are built of can say of themselves.
const ALL_LOGS: &str = "trace";
/// Notes in each case, so that its changes are more than one page.
const NOTES: usize = 5;

/// Words as people type them, each with a number of its own.
#[derive(Default)]
struct Typist(Cell<usize>);

impl Typist {
    fn types(&self, about: &str) -> Text {
        let number = self.0.get() + 1;
        self.0.set(number);
        Text::from(format!("{about} {}", marker(number)))
    }

    /// All that was typed so far.
    fn typed(&self) -> Vec<String> {
        (1..=self.0.get()).map(marker).collect()
    }
}

fn marker(number: usize) -> String {
    format!("{MARKER}-{number:04}")
}

/// A case into which something is typed wherever something can be.
fn fill_a_case(person: &mut Person, typist: &Typist) -> DocumentId {
    let open = Command::OpenCase {
        opened: day(),
        source: typist.types("walk-in"),
    };
    let case = person.begins(&open).unwrap().document;
    let mut acts = vec![
        Command::Identify {
            slot: Slot::Name,
            value: typist.types("name"),
            reason: typist.types("as on the letter"),
        },
        Command::SetField {
            field: Field::Pronouns,
            value: typist.types("they"),
        },
        Command::RaiseAlert {
            code: AlertCode::DoNotVisitAlone,
            detail: typist.types("dog"),
            review_by: None,
        },
        Command::AddTask {
            what: typist.types("ring back"),
            due: None,
            whom: None,
        },
    ];
    acts.extend((0..NOTES).map(|_| Command::AddNote {
        happened: day(),
        mode: ContactMode::Phone,
        minutes: 20,
        text: typist.types("note"),
    }));
    for act in acts {
        person.does(case, &act).unwrap();
    }
    case
}

/// Requests that are refused for all kinds of reasons, each with the marker in it.
fn refused(service: &mut Service, case: DocumentId) -> Vec<Failure> {
    let mut stranger = service
        .person("bath", "anna", "a worker of another site")
        .unwrap();
    let mut cara = service.person("bath", "cara", "cara errs").unwrap();
    let words = |about: &str| Text::from(format!("{about} {MARKER}"));
    let nothing_stands = Command::ReviewAlert {
        code: AlertCode::Weapons,
        clear: true,
        reason: words("none were found"),
        seen: None,
    };
    let too_long = Command::AddTask {
        what: Text::from(MARKER.repeat(400)),
        due: None,
        whom: None,
    };
    let note = super::note("no case");
    let mut failures = vec![
        cara.does(case, &nothing_stands).unwrap_err(),
        cara.does(case, &too_long).unwrap_err(),
        stranger.begins(&note).unwrap_err(),
    ];
    let client = service.client("bath").unwrap();
    failures.extend(not_understood(&client));
    failures
}

/// What is wrong already in its form, in the body, the headers and the path.
fn not_understood(client: &Client) -> Vec<Failure> {
    let entry = "00112233445566778899aabbccddeeff";
    let bodies = [
        json!({ "worker": "cara", "document": MARKER, "command": {} }),
        json!({ "worker": MARKER, "new": {}, "command": { "command": "open-case" } }),
        json!({ "worker": "cara", "new": {}, "command": { "command": MARKER } }),
        json!({ MARKER: MARKER }),
    ];
    let commands = "/api/v1/commands";
    let mut failures: Vec<Failure> = bodies
        .iter()
        .map(|body| client.post(commands, entry, body).unwrap_err())
        .collect();
    failures.push(client.post(commands, MARKER, &json!({})).unwrap_err());
    for path in [
        "views/documents?name=",
        "views/documents?scope=",
        "views/documents/",
        "views/tasks?worker=",
        "documents/",
        "",
    ] {
        let path = format!("/api/v1/{path}{MARKER}");
        failures.extend(client.get(&path).err());
    }
    failures
}

/// Nothing of what was typed stands in an error, its headers included.
fn assert_errors_tell_nothing(failures: &[Failure]) {
    assert!(failures.len() >= 12, "{} errors", failures.len());
    for failure in failures {
        let Failure::Problem { answer, status, .. } = failure else {
            panic!("{failure}");
        };
        let answer = String::from_utf8_lossy(answer);
        assert!(answer.contains("\"title\""), "{answer}");
        assert!((400..500).contains(status), "{answer}");
        assert!(!answer.contains(MARKER), "{answer}");
    }
    say(format!("{} errors tell nothing", failures.len()));
}

fn assert_found_nowhere(folder: &Path, when: &str) {
    assert_eq!(files_with(folder, MARKER).unwrap(), [], "{when}");
}

/// The negative control: every marker is found where nothing is sealed.
fn assert_found_without_seal(service: &Service, typed: &[String]) {
    let plain = service.folder.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    for host in service.hosts() {
        let copy = plain.join(host.name());
        unseal(host, &copy).unwrap();
        let found = files_with(&plain, MARKER).unwrap();
        assert!(found.iter().any(|(path, _)| *path == copy), "{found:?}");
    }
    let words: BTreeSet<&str> = typed.iter().map(String::as_str).collect();
    assert_eq!(count_in(&plain, &words).unwrap(), words.len());
    say(format!(
        "{} texts: none is found, and without a seal every one",
        words.len()
    ));
}

#[test]
fn what_people_type_is_found_nowhere_and_everywhere_without_a_seal() {
    let name = "ridgeway-e2e-sealed";
    let mut service = Service::begin_logging(name, TOWN, 7, Some(ALL_LOGS), |_| {}).unwrap();
    let typist = Typist::default();
    let mut cases = Vec::new();
    for (at, worker) in [("kent-a", "anna"), ("kent-b", "ben"), ("bath", "cara")] {
        let mut person = service.person(at, worker, at).unwrap();
        cases.push(fill_a_case(&mut person, &typist));
    }
    let failures = refused(&mut service, cases[2]);
    assert_errors_tell_nothing(&failures);
    service.rest().unwrap();
    for host in service.hosts() {
        let metrics = host.client().unwrap().get("/metrics").unwrap().text();
        assert!(metrics.contains("ridgeway_waiting_entries 0") && !metrics.contains(MARKER));
        let log = std::fs::read_to_string(host.log()).unwrap();
        assert!(log.contains("TRACE"), "{} logs too little", host.name());
    }
    // One is killed, so that its file is as a crash leaves it.
    service.edge("bath").unwrap().host.kill();
    assert_found_nowhere(service.folder.path(), "while running");
    service.stop().unwrap();
    assert_found_nowhere(service.folder.path(), "after stopping");
    assert_found_without_seal(&service, &typist.typed());
}
