//! What people type is readable in no file of any node, no log, no metric and no error; and the
//! search that does not find it does find it where nothing is sealed.

use domain::{AlertCode, Command, Text};
use harness::service::{
    Service,
    client::Failure,
    search::{files_with, unseal},
};
use serde_json::json;

use super::{MARKER, TOWN, begin_case, note, words};

/// Requests that are refused for all kinds of reasons, each with the marker in it.
fn refused(service: &mut Service) -> Vec<Failure> {
    let mut admin = service
        .person("bath", "anna", "a worker of another site")
        .unwrap();
    let mut cara = service.person("bath", "cara", "cara errs").unwrap();
    let case = begin_case(&mut cara, "Hattie");
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
    let mut failures = vec![
        cara.does(case, &nothing_stands).unwrap_err(),
        cara.does(case, &too_long).unwrap_err(),
        admin.begins(&note("no case")).unwrap_err(),
    ];
    let client = service.client("bath").unwrap();
    let entry = "00112233445566778899aabbccddeeff";
    let bodies = [
        json!({ "worker": "cara", "document": MARKER, "command": {} }),
        json!({ "worker": MARKER, "new": {}, "command": { "command": "open-case" } }),
        json!({ "worker": "cara", "new": {}, "command": { "command": MARKER } }),
        json!({ MARKER: MARKER }),
    ];
    for body in bodies {
        failures.push(client.post("/api/v1/commands", entry, &body).unwrap_err());
    }
    failures.push(
        client
            .post("/api/v1/commands", MARKER, &json!({}))
            .unwrap_err(),
    );
    for path in [
        "views/documents",
        "views/documents?name=",
        "documents/",
        "views/tasks?worker=",
    ] {
        failures.extend(client.get(&format!("/api/v1/{path}{MARKER}")).err());
    }
    failures
}

#[test]
fn what_people_type_is_found_nowhere_and_everywhere_without_a_seal() {
    let mut service = Service::begin("ridgeway-e2e-sealed", TOWN, 7, |_| {}).unwrap();
    for (at, worker) in [("kent-a", "anna"), ("kent-b", "ben"), ("bath", "cara")] {
        let mut person = service.person(at, worker, at).unwrap();
        let case = begin_case(&mut person, at);
        for number in 0..5 {
            person.does(case, &note(&format!("note {number}"))).unwrap();
        }
    }
    let failures = refused(&mut service);
    assert!(failures.len() >= 10);
    for failure in &failures {
        assert!(matches!(failure, Failure::Problem { .. }), "{failure}");
        assert!(!failure.to_string().contains(MARKER), "{failure}");
    }
    service.rest().unwrap();
    for at in ["centre", "kent-a", "kent-b", "bath"] {
        let metrics = service.client(at).unwrap().get("/metrics").unwrap().text();
        assert!(metrics.contains("ridgeway_waiting_entries 0") && !metrics.contains(MARKER));
    }
    // One is killed, so that its file is as a crash leaves it.
    service.edge("bath").unwrap().host.kill();
    assert_eq!(
        files_with(service.folder.path(), MARKER).unwrap(),
        [],
        "while running"
    );
    service.stop().unwrap();
    assert_eq!(
        files_with(service.folder.path(), MARKER).unwrap(),
        [],
        "after stopping"
    );

    for host in service.hosts().collect::<Vec<_>>() {
        let plain = service.folder.path().join(format!("{}.plain", host.name()));
        unseal(host, &plain).unwrap();
        let found = files_with(service.folder.path(), MARKER).unwrap();
        assert!(
            found
                .iter()
                .any(|(path, times)| *path == plain && *times >= 5),
            "{found:?}"
        );
    }
}
