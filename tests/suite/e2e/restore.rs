//! The centre restored from an old copy of its files: what the edges had sent since comes back by
//! itself, and only the documents that differ move. (In medic/cht-core#8093 a restored server
//! waited for every client to be told by hand, or sent everything again.)

use std::{fs, path::Path};

use harness::service::{Service, person::Person, town::Site};
use names::DocumentId;
use serde_json::Value;

use super::{TOWN, begin_case, document, list, note};

/// Cases per site before the copy is made: far more than differ afterwards.
const CASES: usize = 20;

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn begin_cases(person: &mut Person, count: usize) -> Vec<DocumentId> {
    (0..count).map(|number| begin_case(person, &format!("case {number}"))).collect()
}

/// Documents that the centre says it was sent, over all scopes and peers of this life of it.
fn documents_sent_to(centre: &Value) -> u64 {
    let scopes = list(&centre["scopes"]).iter();
    let peers = scopes.flat_map(|scope| list(&scope["peers"]));
    peers.map(|peer| peer["incoming"]["done"]["documents"].as_u64().unwrap()).sum()
}

#[test]
fn an_old_copy_of_the_centre_catches_up_by_itself() {
    let mut service = Service::begin("ridgeway-e2e-restore", TOWN, 3, |_| {}).unwrap();
    let mut anna = service.person("kent-a", "anna", "anna").unwrap();
    let mut cara = service.person("bath", "cara", "cara").unwrap();
    let old = begin_cases(&mut anna, CASES);
    let old_at_bath = begin_cases(&mut cara, CASES);
    service.rest().unwrap();

    service.centre.stop().unwrap();
    let copied = service.folder.path().join("backup");
    copy(service.centre.data(), &copied);
    service.start_centre().unwrap();
    service.rest().unwrap();

    // Since the copy: new cases, notes in old ones, and a site with an edge of its own.
    let new = begin_cases(&mut anna, 3);
    for case in old.iter().take(4) {
        anna.does(*case, &note("since the copy")).unwrap();
    }
    cara.does(old_at_bath[0], &note("since the copy")).unwrap();
    service.add_site(&LATE).unwrap();
    let mut dora = service.person("late", "dora", "dora").unwrap();
    let late = begin_cases(&mut dora, 2);
    service.rest().unwrap();
    let differing = new.len() + 4 + 1 + late.len();

    service.centre.kill();
    fs::remove_dir_all(service.centre.data()).unwrap();
    fs::rename(&copied, service.centre.data()).unwrap();
    fs::set_permissions(service.centre.data(), owners_only()).unwrap();
    let before: Vec<_> = service.edges.values().map(|edge| edge.relay.passed()).collect();
    service.start_centre().unwrap();
    service.rest().unwrap();

    let client = service.client("centre").unwrap();
    let sync = client.get_json("/api/v1/sync").unwrap();
    assert_eq!(documents_sent_to(&sync), differing as u64, "only what differs moves: {sync}");
    let received: u64 = service
        .edges
        .values()
        .zip(before)
        .map(|(edge, before)| edge.relay.passed().since(&before).bytes())
        .sum();
    println!("{differing} of {} documents moved, in {received} bytes", 2 * CASES + differing - 5);
    for case in new.iter().chain(old.iter().take(4)).chain(&late) {
        assert!(list(&document(&client, *case)["state"]["openings"]).len() == 1);
    }
    let notes = document(&client, old[0])["state"]["notes"].clone();
    assert_eq!(list(&notes).len(), 1);
}

/// A site that is made, and whose edge is enrolled, after the copy.
const LATE: Site = Site {
    id: "swindon",
    name: "Swindon",
    edges: &["late"],
    workers: &[("dora", "Dora Dean", "recovery-worker")],
};

fn owners_only() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o700)
}
