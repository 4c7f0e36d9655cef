//! The centre restored from an old copy of its files: what the edges had sent since comes back by
//! itself, and only the documents that differ move. (In medic/cht-core#8093 a restored server
//! waited for every client to be told by hand, or sent everything again.)
//!
//! The copy is one that anybody would make: file by file, beside the running centre, while people
//! write.

use harness::{
    report::say,
    service::{Service, client::Client, person::Person, town::Site},
};
use names::DocumentId;
use serde_json::Value;

use super::{begin_case, copying::copy_under_load, document, list, note};

/// Cases per site before the copy is made: far more than differ afterwards.
const CASES: usize = 20;
/// Of them, those in which somebody at Kent types while the copy is made, and goes on afterwards.
const WRITTEN_MEANWHILE: usize = 2;
/// Old cases of Kent's in which something is written only after the copy.
const WRITTEN_AFTER: usize = 4;
/// One edge per site, so that for each document there is one that can give it back.
const TOWN: &[Site] = &[
    Site {
        id: "kent",
        name: "Kent",
        edges: &["kent"],
        workers: &[("anna", "Anna Adeyemi", "recovery-worker")],
    },
    Site {
        id: "bath",
        name: "Bath",
        edges: &["bath"],
        workers: &[("cara", "Cara Cole", "recovery-worker")],
    },
];

/// A site that is made, and whose edge is enrolled, after the copy.
const LATE: Site = Site {
    id: "swindon",
    name: "Swindon",
    edges: &["late"],
    workers: &[("dora", "Dora Dean", "recovery-worker")],
};

fn begin_cases(person: &mut Person, count: usize) -> Vec<DocumentId> {
    (0..count)
        .map(|number| begin_case(person, &format!("case {number}")))
        .collect()
}

/// Asserts that in a scope all that differs has come from its one edge and nothing else, and that
/// nothing went the other way.
fn assert_moved(centre: &Value, scope: &str, differing: usize) {
    let scopes = list(&centre["scopes"]);
    let scope = scopes.iter().find(|found| found["scope"] == scope).unwrap();
    let moved = |peer: &Value, way: &str| peer[way]["done"]["documents"].as_u64().unwrap();
    let peers = list(&scope["peers"]).iter();
    let moved: Vec<[u64; 2]> = peers
        .map(|peer| ["incoming", "outgoing"].map(|way| moved(peer, way)))
        .collect();
    assert_eq!(
        moved,
        [[differing as u64, 0]],
        "documents that came and went: {scope}"
    );
}

#[test]
fn an_old_copy_of_the_centre_catches_up_by_itself() {
    let mut service = Service::begin("ridgeway-e2e-restore", TOWN, 3, |_| {}).unwrap();
    let mut anna = service.person("kent", "anna", "anna").unwrap();
    let mut cara = service.person("bath", "cara", "cara").unwrap();
    let old = begin_cases(&mut anna, CASES);
    let old_at_bath = begin_cases(&mut cara, CASES);
    service.rest().unwrap();

    let copied = service.folder.path().join("backup");
    let (meanwhile, others) = old.split_at(WRITTEN_MEANWHILE);
    let commits = copy_under_load(&service.centre, &mut anna, meanwhile, &copied);
    say(format!("the copy was made beside {commits} commits"));

    // Since the copy: new cases, notes in old ones, and a site with an edge of its own.
    let new = begin_cases(&mut anna, 3);
    let after = others.get(..WRITTEN_AFTER).unwrap();
    for case in meanwhile.iter().chain(after) {
        anna.does(*case, &note("since the copy")).unwrap();
    }
    cara.does(old_at_bath[0], &note("since the copy")).unwrap();
    service.add_site(&LATE).unwrap();
    let mut dora = service.person("late", "dora", "dora").unwrap();
    let late = begin_cases(&mut dora, 2);
    service.rest().unwrap();
    let client = service.client("centre").unwrap();
    let all = new.iter().chain(&old).chain(&old_at_bath).chain(&late);
    let before: Vec<Value> = all.clone().map(|case| state(&client, *case)).collect();

    let received = service.fall_back(&copied, |_| Ok(())).unwrap().bytes;
    let client = service.client("centre").unwrap();
    let sync = client.get_json("/api/v1/sync").unwrap();
    let differing = [
        ("site:kent", new.len() + meanwhile.len() + after.len()),
        ("site:bath", 1),
        ("site:swindon", late.len()),
    ];
    for (scope, differing) in differing {
        assert_moved(&sync, scope, differing);
    }
    let moved: usize = differing.iter().map(|(_, count)| count).sum();
    say(format!(
        "{moved} of {} documents moved, in {received} bytes, and none went the other way",
        before.len()
    ));
    for (case, before) in all.zip(before) {
        assert_eq!(state(&client, *case), before, "{case} is as it was");
    }
}

/// What a document says.
fn state(client: &Client, of: DocumentId) -> Value {
    document(client, of)["state"].clone()
}
