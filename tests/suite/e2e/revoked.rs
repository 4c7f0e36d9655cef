//! A worker's edge is revoked while it works without the centre. What it wrote then is handed in,
//! looked at by a person and marked; its keys are gone, and the centre knows that. One that is lost
//! destroys them first.

use harness::service::{Service, devices, host::Host};
use serde_json::{Value, json};

use super::{TOWN, begin_case, document, note};

fn device_of(service: &Service, edge: &str) -> String {
    devices::of(&service.client(edge).unwrap()).unwrap()
}

/// A device's row in `device list`, which is also that of the API.
fn row(service: &Service, device: &str) -> Value {
    let client = service.client("centre").unwrap();
    let listed = devices::listed(&service.centre, device).unwrap();
    let rows = client.get_json("/api/v1/devices").unwrap();
    assert_eq!(devices::row(&rows, device), Some(listed.clone()));
    listed
}

/// Waits until an edge that was revoked has ended by itself, and asserts that nothing opens its
/// folder any more.
fn assert_gone(edge: &mut Host, words: &str) {
    let said = devices::ends(edge).unwrap();
    assert!(said.contains(words), "{said}");
}

#[test]
fn what_a_revoked_edge_wrote_offline_is_handed_in_and_marked_and_its_keys_are_destroyed() {
    let mut service = Service::begin("ridgeway-e2e-revoked", TOWN, 5, |_| {}).unwrap();
    let mut anna = service.person("kent-a", "anna", "anna").unwrap();
    let case = begin_case(&mut anna, "before");
    service.rest().unwrap();
    service.cut_off("kent-a").unwrap();
    let mut anna = service.person("kent-a", "anna", "anna offline").unwrap();
    let offline = anna.does(case, &note("written offline")).unwrap();
    let new = begin_case(&mut anna, "begun offline");
    let device = device_of(&service, "kent-a");
    let refused = service
        .centre
        .command(&["device", "revoke", &"0".repeat(32)]);
    assert!(refused.unwrap_err().contains("there is no device"));
    let said = service
        .centre
        .command(&["device", "revoke", &device])
        .unwrap();
    assert!(said["revoked"].is_i64() && said["held"].is_i64(), "{said}");

    let mut gone = service.edges.remove("kent-a").unwrap();
    gone.relay.mend();
    assert_gone(&mut gone.host, "was handed in to it");
    let listed = row(&service, &device);
    assert!(
        listed["purged"].is_i64() && listed["lost"] == json!(false),
        "{listed}"
    );
    assert!(listed["handed_in"].as_u64().unwrap() > 0, "{listed}");
    let centre = service.client("centre").unwrap();
    let journal = |view: &Value| view["reach"].as_object().unwrap().len();
    let before = journal(&document(&centre, case));

    // Nobody is shown any of it before a person has let it in.
    let accepted = service
        .centre
        .command(&["device", "accept", &device])
        .unwrap();
    assert_eq!(accepted["refused"], json!({}), "{accepted}");
    assert_eq!(accepted["handed_in"], 0, "{accepted}");
    service.rest().unwrap();
    let late = json!(["arrived-late"]);
    for at in ["centre", "kent-b"] {
        let client = service.client(at).unwrap();
        let view = document(&client, case);
        assert_eq!(journal(&view), before + 1);
        assert_eq!(
            view["marks"],
            json!({ offline.entry.to_string(): late }),
            "at {at}"
        );
        let view = document(&client, new);
        let marks = view["marks"].as_object().unwrap();
        assert!(marks.len() == journal(&view) && marks.values().all(|mark| *mark == late));
    }
    assert_eq!(row(&service, &device)["handed_in"], 0);
    lost(&mut service);
}

/// A second edge, which counts as lost: nothing is asked of it but its end.
fn lost(service: &mut Service) {
    service.cut_off("bath").unwrap();
    let mut cara = service.person("bath", "cara", "cara").unwrap();
    begin_case(&mut cara, "never sent");
    let device = device_of(service, "bath");
    let revoke = ["device", "revoke", &device, "--lost"];
    let said = service.centre.command(&revoke).unwrap();
    assert_eq!(said["lost"], json!(true));
    let mut gone = service.edges.remove("bath").unwrap();
    gone.relay.mend();
    assert_gone(&mut gone.host, "it counts as lost");
    let listed = row(service, &device);
    assert!(
        listed["purged"].is_i64() && listed["handed_in"] == 0,
        "{listed}"
    );
}
