//! An edge that comes back from an old copy of its files, and one of which a copy runs beside it:
//! what the centre had acknowledged is back, what is written afterwards arrives, and nobody has
//! to do anything by hand.

use std::{collections::BTreeSet, fs};

use harness::{
    report::say,
    service::{Service, client::Client, town::Site},
};
use names::{DocumentId, EntryId};

use super::{begin_case, copying::copy_under_load, document, list, note};

const TOWN: &[Site] = &[Site {
    id: "kent",
    name: "Kent",
    edges: &["kent"],
    workers: &[
        ("anna", "Anna Adeyemi", "recovery-worker"),
        ("ben", "Ben Brook", "senior"),
    ],
}];

/// The entries of a case, as a node shows them: each once, and none with a flaw.
fn entries(client: &Client, case: DocumentId) -> BTreeSet<String> {
    let view = document(client, case);
    assert_eq!(list(&view["flaws"]).len(), 0, "{view}");
    let reach = view["reach"].as_object().unwrap();
    reach.keys().cloned().collect()
}

fn assert_has(client: &Client, case: DocumentId, written: &[EntryId]) {
    let there = entries(client, case);
    for entry in written {
        assert!(there.contains(&entry.to_string()), "{entry} in {case}");
    }
}

#[test]
fn an_old_copy_of_an_edge_catches_up_by_itself() {
    let mut service = Service::begin("ridgeway-e2e-old-edge", TOWN, 11, |_| {}).unwrap();
    let mut anna = service.person("kent", "anna", "anna").unwrap();
    let cases = [0, 1, 2].map(|number| begin_case(&mut anna, &format!("case {number}")));
    service.rest().unwrap();
    let copied = service.folder.path().join("backup");
    let host = &service.edges["kent"].host;
    let commits = copy_under_load(host, &mut anna, &cases[..1], &copied);
    say(format!("the copy was made beside {commits} commits"));

    // Since the copy: notes in old cases, a new case, and a note of the centre's.
    let since = [0, 1].map(|at| anna.does(cases[at], &note("since the copy")).unwrap().entry);
    let new = begin_case(&mut anna, "since the copy");
    let mut ben = service.person("centre", "ben", "ben").unwrap();
    let other = ben.does(cases[2], &note("from the centre")).unwrap().entry;
    service.rest().unwrap();
    let centre = service.client("centre").unwrap();
    let all = || cases.iter().chain([&new]);
    let before: Vec<_> = all().map(|case| entries(&centre, *case)).collect();

    let host = &mut service.edge("kent").unwrap().host;
    host.kill();
    fs::remove_dir_all(host.data()).unwrap();
    fs::rename(&copied, host.data()).unwrap();
    service.start_edge("kent").unwrap();
    let mut anna = service.person("kent", "anna", "anna, restored").unwrap();
    // Written before it can have caught up: in the same case, and in the same places of its log.
    let mut after = Vec::new();
    for number in 0..8 {
        let done = anna.does(cases[number % 3], &note("after the restore"));
        after.push((cases[number % 3], done.unwrap().entry));
    }
    service.rest().unwrap();
    let centre = service.client("centre").unwrap();
    let sync = centre.get_json("/api/v1/sync").unwrap();
    let copies = list(&sync["copies"]);
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(copies[0]["how"], "older-copy");
    assert!(copies[0]["from"].as_i64() <= copies[0]["until"].as_i64());
    assert!(copies[0]["from"].is_i64(), "{copies:?}");
    for client in [&anna.client, &centre] {
        for (case, before) in all().zip(&before) {
            assert!(entries(client, *case).is_superset(before), "{case}");
        }
        assert_has(client, cases[0], &since[..1]);
        assert_has(client, cases[1], &since[1..]);
        assert_has(client, cases[2], &[other]);
        for (case, entry) in &after {
            assert_has(client, *case, &[*entry]);
        }
    }
}

#[test]
fn what_two_copies_of_one_edge_write_is_all_kept() {
    let mut service = Service::begin("ridgeway-e2e-clone", TOWN, 12, |_| {}).unwrap();
    let mut anna = service.person("kent", "anna", "anna").unwrap();
    let cases = [0, 1].map(|number| begin_case(&mut anna, &format!("case {number}")));
    service.rest().unwrap();
    let copied = service.folder.path().join("copied");
    let host = &service.edges["kent"].host;
    copy_under_load(host, &mut anna, &cases[..1], &copied);
    service.add_clone("kent", "kent-copy", &copied).unwrap();

    let mut ben = service.person("kent-copy", "ben", "ben").unwrap();
    let mut written = Vec::new();
    for number in 0..20 {
        let case = cases[number % 2];
        for person in [&mut anna, &mut ben] {
            let done = person.does(case, &note("by one of two")).unwrap();
            written.push((case, done.entry));
        }
    }
    let new = begin_case(&mut ben, "by the copy");
    service.rest().unwrap();
    for at in ["centre", "kent", "kent-copy"] {
        let client = service.client(at).unwrap();
        for (case, entry) in &written {
            assert_has(&client, *case, &[*entry]);
        }
        assert_eq!(entries(&client, new).len(), 2, "at {at}");
    }
    say(format!(
        "{} entries of two copies of one edge, all at the three nodes",
        written.len()
    ));
}
