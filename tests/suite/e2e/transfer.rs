//! A case is transferred from Devizes to Bath while Devizes is cut off and works on it. (In
//! medic/cht-core#11306 the phones of the former team were refused what they had written, for ever.)

use std::{collections::BTreeSet, time::Duration};

use harness::service::{
    Service,
    client::Client,
    handover::{self, marked},
    host::Host,
    proof,
    town::Site,
    wait,
};
use names::{DocumentId, ScopeId};
use serde_json::{Value, json};
use store::{Owner, Store as _, Table};

use super::{begin_case, document, list, note};

const TOWN: &[Site] = &[
    Site {
        id: "devizes",
        name: "Devizes",
        edges: &["devizes"],
        workers: &[("dan", "Dan Drew", "senior")],
    },
    Site {
        id: "bath",
        name: "Bath",
        edges: &["bath"],
        workers: &[("cara", "Cara Cole", "recovery-worker")],
    },
];

const PATIENCE: Duration = Duration::from_secs(30);

fn transfer(client: &Client, case: DocumentId, to: &str) -> Result<Value, Option<String>> {
    let done = handover::transfer(client, case, "dan", to);
    done.map_err(|failure| failure.kind().map(str::to_owned))
}

fn is_listed(client: &Client, case: DocumentId) -> bool {
    let rows = client.get_json("/api/v1/views/documents").unwrap();
    let mut rows = list(&rows["rows"]).iter();
    rows.any(|row| row["document"] == json!(case))
}

#[test]
fn a_case_is_handed_over_and_what_was_written_offline_arrives_marked() {
    let mut service = Service::begin("ridgeway-e2e-transfer", TOWN, 1, |_| {}).unwrap();
    let mut dan = service.person("devizes", "dan", "dan").unwrap();
    let case = begin_case(&mut dan, "Ida");
    let other = begin_case(&mut dan, "who stays");
    dan.does(case, &note("before")).unwrap();
    service.rest().unwrap();
    service.cut_off("devizes").unwrap();

    let mut dan = service.person("devizes", "dan", "dan, cut off").unwrap();
    let mut offline = BTreeSet::new();
    for about in ["by the canal", "at the clinic"] {
        let entry = dan.does(case, &note(about)).unwrap().entry;
        offline.insert(entry.to_string());
    }
    let centre = service.client("centre").unwrap();
    assert_eq!(
        transfer(&centre, case, "york"),
        Err(Some("no-such-site".to_owned()))
    );
    let done = transfer(&centre, case, "bath").unwrap();
    assert_eq!(done["to"], "bath");
    let bath = service.client("bath").unwrap();
    let listed = || {
        is_listed(&bath, case)
            .then_some(())
            .ok_or("it has not come to Bath".to_owned())
    };
    wait::for_it("the case at Bath", PATIENCE, listed).unwrap();
    let mut cara = service.person("bath", "cara", "cara").unwrap();
    cara.does(case, &note("carried on at Bath")).unwrap();
    // Devizes has not heard, and goes on.
    let last = dan.does(case, &note("still cut off")).unwrap();
    offline.insert(last.entry.to_string());
    assert!(is_listed(&dan.client, case));

    let mended = wait::now();
    service.edge("devizes").unwrap().relay.mend();
    service.rest().unwrap();
    service.assert_rejoined("devizes", mended).unwrap();
    let row = handed_over(&dan.client, case, |row| row["awaits_backup"] == true);
    assert_eq!((&row["held"], &row["waiting"]), (&json!(true), &json!(0)));
    let file = service.folder.path().join("centre.backup");
    let made = service.centre.command(&["backup", file.to_str().unwrap()]);
    made.unwrap();
    let row = handed_over(&dan.client, case, |row| row["held"] == false);
    assert_eq!((&row["to"], &row["waiting"]), (&json!(["bath"]), &json!(0)));
    assert_eq!(row["words"], "Handed over to bath.");
    service.rest().unwrap();
    assert_nothing_was_refused(&service);
    assert_handed_over(&service, case, other, &offline);
    service.stop().unwrap();
    assert_stores(&service, case, other);
}

/// The row of a case that was handed over, once it is so.
fn handed_over(client: &Client, case: DocumentId, is_so: impl Fn(&Value) -> bool) -> Value {
    let look = || {
        let row = handover::row(client, case)?;
        if is_so(&row) {
            Ok(row)
        } else {
            Err(row.to_string())
        }
    };
    wait::for_it("what Devizes says of the case", PATIENCE, look).unwrap()
}

/// Whatever a node refuses, of a peer or of a person, it counts.
fn assert_nothing_was_refused(service: &Service) {
    for at in ["centre", "bath", "devizes"] {
        let view = service.client(at).unwrap().get_json("/api/v1/sync");
        let view = view.unwrap();
        assert_eq!(view["exceptions"], json!([]), "at {at}");
        assert_eq!(view["waiting"], 0, "at {at}");
    }
}

/// What the three nodes answer.
fn assert_handed_over(
    service: &Service,
    case: DocumentId,
    other: DocumentId,
    offline: &BTreeSet<String>,
) {
    for at in ["centre", "bath"] {
        let view = document(&service.client(at).unwrap(), case);
        let reach = view["reach"].as_object().unwrap();
        // Two that begin it, one note before, three offline, one at Bath.
        assert_eq!(reach.len(), 7, "at {at}: {view}");
        assert_eq!(marked(&view, "transfer-unseen"), *offline, "at {at}");
        assert_eq!(list(&view["flaws"]).len(), 0);
    }
    let devizes = service.client("devizes").unwrap();
    assert!(!is_listed(&devizes, case) && is_listed(&devizes, other));
    let path = format!("/api/v1/views/documents/{case}");
    let refused = devizes.get(&path).err();
    let kind = refused.as_ref().and_then(|failure| failure.kind());
    assert_eq!(kind, Some("transferred"));
    let again = transfer(&devizes, case, "bath").unwrap();
    assert_eq!(again["waiting"], 0, "asked again, it is done already");
}

/// What is on the disks.
fn assert_stores(service: &Service, case: DocumentId, other: DocumentId) {
    let scopes = |site: &str| BTreeSet::from([format!("site:{site}").parse::<ScopeId>().unwrap()]);
    let mut proofs = Vec::new();
    for host in service.hosts() {
        let allowed = match host.name() {
            "centre" => scopes("devizes").union(&scopes("bath")).cloned().collect(),
            site => scopes(site),
        };
        let proof = proof::read(host, &allowed).unwrap();
        assert_eq!(proof.strays, Vec::<DocumentId>::new(), "{}", host.name());
        proofs.push((host.name().to_owned(), proof));
    }
    for (name, proof) in proofs {
        let holds = |document| proof.heads.contains_key(&document);
        let expected = match name.as_str() {
            "centre" => (true, true),
            "bath" => (true, false),
            _ => (false, true),
        };
        assert_eq!((holds(case), holds(other)), expected, "{name}");
    }
    for host in service.hosts() {
        let tables = tables_with(host, case);
        // Where it went is kept, and nothing else.
        let is_let_go = tables == BTreeSet::from(["document", "placement"]);
        assert_eq!(is_let_go, host.name() == "devizes", "{tables:?}");
        assert_eq!(tables.contains("bundle"), !is_let_go, "{}", host.name());
    }
}

/// The tables in which a host's store has rows of a document. Every row of the store must open: none
/// is left under a key that was destroyed.
fn tables_with(host: &Host, document: DocumentId) -> BTreeSet<&'static str> {
    let mut store = proof::open(host).unwrap();
    store.verify().unwrap();
    let snapshot = store.snapshot().unwrap();
    let mut found = BTreeSet::new();
    let tables = Table::ALL.iter().copied();
    for table in tables.filter(|table| table.owner() == Owner::Document) {
        store::each(&snapshot, table, |row| {
            if table.document_of(&row.name) == Some(document) {
                found.insert(table.name());
            }
        })
        .unwrap();
    }
    found
}
