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
    (0..count)
        .map(|number| begin_case(person, &format!("case {number}")))
        .collect()
}

/// Asserts that in a scope all that differs has moved and nothing else: no peer sent more than
/// that, and together they sent all of it. (Two edges of one site may both be asked for it.)
fn assert_moved(centre: &Value, scope: &str, differing: usize) {
    let scopes = list(&centre["scopes"]);
    let scope = scopes.iter().find(|found| found["scope"] == scope).unwrap();
    let sent = |peer: &Value| peer["incoming"]["done"]["documents"].as_u64().unwrap();
    let sent: Vec<u64> = list(&scope["peers"]).iter().map(sent).collect();
    let differing = differing as u64;
    assert!(
        sent.iter().all(|sent| *sent <= differing) && sent.iter().sum::<u64>() >= differing,
        "{differing} documents differ, and {sent:?} moved: {scope}"
    );
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
    let differing = [
        ("site:kent", new.len() + 4),
        ("site:bath", 1),
        ("site:swindon", late.len()),
    ];

    service.centre.kill();
    fs::remove_dir_all(service.centre.data()).unwrap();
    fs::rename(&copied, service.centre.data()).unwrap();
    fs::set_permissions(service.centre.data(), owners_only()).unwrap();
    let before: Vec<_> = service
        .edges
        .values()
        .map(|edge| edge.relay.passed())
        .collect();
    service.start_centre().unwrap();
    service.rest().unwrap();

    let client = service.client("centre").unwrap();
    let sync = client.get_json("/api/v1/sync").unwrap();
    for (scope, differing) in differing {
        assert_moved(&sync, scope, differing);
    }
    let received: u64 = service
        .edges
        .values()
        .zip(before)
        .map(|(edge, before)| edge.relay.passed().since(&before).bytes())
        .sum();
    let moved: usize = differing.iter().map(|(_, count)| count).sum();
    let all = 2 * CASES + new.len() + late.len();
    println!("{moved} of {all} documents moved, in {received} bytes");
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
