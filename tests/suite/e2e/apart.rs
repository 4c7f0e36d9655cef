//! Two edges of one site that cannot hear one another: they begin the same register, mark
//! different people and the same person differently, take cash, and one of them clears an alert
//! that the other has raised again. Afterwards everything stands, and what they disagree on is
//! shown with both values, who, where and when.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::{AlertCode, Attendance, Attender, Command, SessionForm, Text};
use harness::service::{Service, client::Client, person::Person};
use names::{DocumentId, EntryId};
use serde_json::{Value, json};

use super::{TOWN, begin_case, day, document, list, words};

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn guest(name: &str) -> Attender {
    Attender::Guest(Text::from(name))
}

fn mark(name: &str, attendance: Attendance) -> Command {
    Command::Mark {
        attender: guest(name),
        attendance,
        arrived: None,
        left: None,
    }
}

fn take(pence: u32, name: &str) -> Command {
    Command::TakeCash {
        pence,
        from: Some(guest(name)),
        what: words("tea and cake"),
    }
}

/// The register that a person begins, and what the person does with it.
fn keep_register(person: &mut Person, acts: &[Command]) -> DocumentId {
    let open = Command::OpenSession {
        venue: Text::from("Gravesham"),
        date: day(),
        start: "10:00".parse().unwrap(),
        end: None,
        form: SessionForm::PeerLed,
    };
    let register = person.begins(&open).unwrap().document;
    for act in acts {
        person.does(register, act).unwrap();
    }
    register
}

/// A value of a conflict: who says what, where and when.
fn assert_said_by(value: &Value, by: &str, from: i64, to: i64) {
    assert_eq!((&value["by"], &value["site"]), (&json!(by), &json!("kent")));
    let at = value["at"].as_i64().unwrap();
    assert!(
        (from..=to).contains(&at),
        "{at} is not between {from} and {to}"
    );
}

/// The conflict about `kind`, from the list of all that waits for a person.
fn conflict(client: &Client, of: DocumentId, kind: &str) -> Value {
    let view = client.get_json("/api/v1/views/conflicts").unwrap();
    let of = json!(of);
    let row = list(&view["rows"]).iter().find(|row| row["document"] == of);
    let row = row.unwrap_or_else(|| panic!("{of} has no conflict in {view}"));
    let found = list(&row["conflicts"])
        .iter()
        .find(|found| found["about"]["kind"] == kind);
    found
        .cloned()
        .unwrap_or_else(|| panic!("no conflict about {kind} in {row}"))
}

fn assert_register(view: &Value, from: i64, to: i64) {
    let state = &view["state"];
    let mut rows: Vec<(String, String)> = list(&state["register"])
        .iter()
        .map(|row| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&row["attender"]),
                text(&row["operational"]["attendance"]),
            )
        })
        .collect();
    rows.sort();
    let expected = [
        ("guest:Ada", "present"),
        ("guest:Bob", "late"),
        ("guest:Cy", "present"),
        ("guest:Di", "apology"),
        ("guest:Eve", "present"),
    ];
    let expected = expected.map(|(who, how)| (who.to_owned(), how.to_owned()));
    assert_eq!(rows, expected);
    // 2.50 + 3.00 at one edge, 5.00 at the other, 1.20 paid out there.
    let cash = &state["cash"];
    assert_eq!(cash["received_pence"], 1_050);
    assert_eq!(cash["paid_out_pence"], 120);
    assert_eq!(cash["expected_pence"], 930);
    assert_eq!(list(&cash["lines"]).len(), 4);
    for line in list(&cash["lines"]) {
        let at = line["at"].as_i64().unwrap();
        assert!((from..=to).contains(&at));
    }
    assert_eq!(list(&view["flaws"]).len(), 0);
}

#[test]
fn nothing_is_lost_and_no_conflict_is_settled_silently() {
    let mut service = Service::begin("ridgeway-e2e-apart", TOWN, 1, |_| {}).unwrap();
    let scene = both_sides_of_a_cut(&mut service);
    for at in ["centre", "kent-a", "kent-b"] {
        assert_scene(&service.client(at).unwrap(), &scene);
    }
    settle(&mut service, scene.register);
}

/// What was done while the two edges could not hear one another, and when.
struct Scene {
    case: DocumentId,
    register: DocumentId,
    raised: EntryId,
    cleared: EntryId,
    from: i64,
    to: i64,
}

fn both_sides_of_a_cut(service: &mut Service) -> Scene {
    let mut anna = service.person("kent-a", "anna", "anna").unwrap();
    let mut ben = service.person("kent-b", "ben", "ben").unwrap();
    let case = begin_case(&mut anna, "Greta");
    let raise = |about: &str| Command::RaiseAlert {
        code: AlertCode::DoNotVisitAlone,
        detail: words(about),
        review_by: None,
    };
    anna.does(case, &raise("dog")).unwrap();
    service.rest().unwrap();

    for name in ["kent-a", "kent-b"] {
        service.edge(name).unwrap().relay.cut();
    }
    let from = now_ms();
    let register = keep_register(&mut anna, &at_annas());
    assert_eq!(
        register,
        keep_register(&mut ben, &at_bens()),
        "one register, not two"
    );
    let raised = ben.does(case, &raise("knife on the table")).unwrap().entry;
    let clear = Command::ReviewAlert {
        code: AlertCode::DoNotVisitAlone,
        clear: true,
        reason: words("the dog has gone"),
        seen: None,
    };
    let cleared = anna.does(case, &clear).unwrap().entry;
    let to = now_ms();
    for name in ["kent-a", "kent-b"] {
        service.edge(name).unwrap().relay.mend();
    }
    service.rest().unwrap();
    Scene {
        case,
        register,
        raised,
        cleared,
        from,
        to,
    }
}

fn at_annas() -> [Command; 5] {
    [
        mark("Ada", Attendance::Present),
        mark("Bob", Attendance::Late),
        mark("Cy", Attendance::Present),
        take(250, "Ada"),
        take(300, "Bob"),
    ]
}

fn at_bens() -> [Command; 5] {
    [
        mark("Di", Attendance::Apology),
        mark("Eve", Attendance::Present),
        mark("Cy", Attendance::Absent),
        take(500, "Eve"),
        Command::PayOut {
            pence: 120,
            what: words("milk"),
        },
    ]
}

/// Everything stands, and both conflicts are shown with both values, who, where and when.
fn assert_scene(client: &Client, scene: &Scene) {
    let (from, to) = (scene.from, scene.to);
    assert_register(&document(client, scene.register), from, to);
    let found = conflict(client, scene.register, "attendance");
    assert_eq!(found["about"]["attender"], "guest:Cy");
    let values = list(&found["values"]);
    assert_eq!(values.len(), 2, "{found}");
    for (by, word) in [("anna", "present"), ("ben", "absent")] {
        let value = values.iter().find(|value| value["by"] == by).unwrap();
        let said = value["value"].as_str().unwrap().to_lowercase();
        assert!(said.contains(word), "{said}");
        assert_said_by(value, by, from, to);
    }
    assert_alert(client, scene);
}

/// The alert stands, because whoever cleared it had not seen that it was raised again.
fn assert_alert(client: &Client, scene: &Scene) {
    let (from, to) = (scene.from, scene.to);
    let view = document(client, scene.case);
    let alerts = list(&view["state"]["alerts"]);
    assert_eq!(alerts.len(), 1);
    assert_eq!(
        (&alerts[0]["code"], &alerts[0]["stands"]),
        (&json!("do-not-visit-alone"), &json!(true))
    );
    let standing = |raise: &&Value| raise["stands"] == true;
    let standing: Vec<_> = list(&alerts[0]["raises"]).iter().filter(standing).collect();
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0]["entry"], json!(scene.raised));
    let found = conflict(client, scene.case, "alert");
    let values = list(&found["values"]);
    let of = |entry: EntryId| {
        values
            .iter()
            .find(|value| value["entry"] == json!(entry))
            .unwrap()
    };
    assert_said_by(of(scene.raised), "ben", from, to);
    assert_said_by(of(scene.cleared), "anna", from, to);
}

/// A person settles the conflict at one edge; it is settled everywhere, and nothing is gone.
fn settle(service: &mut Service, register: DocumentId) {
    let mut ben = service.person("kent-b", "ben", "ben settles").unwrap();
    let found = conflict(&ben.client, register, "attendance");
    let keep = list(&found["values"])
        .iter()
        .find(|value| value["by"] == "anna")
        .unwrap();
    let settle = Command::Settle {
        about: serde_json::from_value(found["about"].clone()).unwrap(),
        keep: keep["entry"].as_str().unwrap().parse().unwrap(),
        reason: words("I looked at the wrong person"),
    };
    ben.does(register, &settle).unwrap();
    service.rest().unwrap();
    for at in ["centre", "kent-a", "kent-b"] {
        let view = document(&service.client(at).unwrap(), register);
        assert_eq!(list(&view["state"]["conflicts"]).len(), 0, "at {at}");
        let cy = list(&view["state"]["register"])
            .iter()
            .find(|row| row["attender"] == "guest:Cy");
        assert_eq!(
            list(&cy.unwrap()["history"]).len(),
            3,
            "both marks and the settling one"
        );
    }
}
