//! Two edges of one site that cannot hear one another: they begin the same register, mark
//! different people and the same person differently, take cash, and one of them clears an alert
//! that the other has raised again. Afterwards everything stands, and what they disagree on is
//! shown with both values, who, where and when.

use domain::{AlertCode, Attendance, Attender, Command, SessionForm, Text};
use harness::report::say;
use harness::service::{Service, client::Client, person::Person, proof, wait};
use names::{DocumentId, EntryId};
use serde_json::{Value, json};

use super::{MARKER, TOWN, begin_case, day, document, list, words};

/// The two that are cut off.
const APART: [&str; 2] = ["kent-a", "kent-b"];

/// A guest who comes: the name, how, and what the guest pays in pence.
type Guest = (&'static str, Attendance, u32);

fn mark(case: DocumentId, attendance: Attendance) -> Command {
    Command::Mark {
        attender: Attender::Person(case),
        attendance,
        arrived: None,
        left: None,
    }
}

/// The register that a person begins, and whom the person enters there. Answers the last guest.
fn keep_register(person: &mut Person, guests: &[Guest]) -> (DocumentId, Attender) {
    let open = Command::OpenSession {
        venue: Text::from("Gravesham"),
        date: day(),
        start: "10:00".parse().unwrap(),
        end: None,
        form: SessionForm::PeerLed,
    };
    let register = person.begins(&open).unwrap().document;
    let mut last = None;
    for (name, attendance, pence) in guests {
        let comes = Command::AddGuest {
            name: Text::from(*name),
            attendance: *attendance,
            arrived: None,
            left: None,
        };
        let guest = Attender::Guest(person.does(register, &comes).unwrap().entry);
        if *pence > 0 {
            let take = Command::TakeCash {
                pence: *pence,
                from: Some(guest),
                what: words("tea and cake"),
            };
            person.does(register, &take).unwrap();
        }
        last = Some(guest);
    }
    (register, last.unwrap())
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

/// Who stands in the register, and how: guests by their names, the others as `a person`.
fn register_rows(view: &Value) -> Vec<(String, String)> {
    let rows = list(&view["state"]["register"]).iter();
    let mut rows: Vec<(String, String)> = rows
        .map(|row| {
            let name = row["guests"][0]["names"][0].as_str();
            let attendance = row["operational"]["attendance"].as_str();
            let name = name.unwrap_or("a person");
            (name.to_owned(), attendance.unwrap().to_owned())
        })
        .collect();
    rows.sort();
    rows
}

fn assert_register(view: &Value, from: i64, to: i64) {
    let state = &view["state"];
    let expected = [
        ("Ada", "present"),
        ("Bob", "late"),
        ("Di", "apology"),
        ("Eve", "present"),
        ("Sam", "late"),
        ("Sam", "present"),
        ("a person", "present"),
    ];
    let expected = expected.map(|(who, how)| (who.to_owned(), how.to_owned()));
    assert_eq!(register_rows(view), expected, "two of one name are two");
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
    settle(&mut service, &scene);
}

/// What was done while the two edges could not hear one another, and when.
struct Scene {
    case: DocumentId,
    /// Somebody with a case, known at both edges, whom both mark.
    cy: Attender,
    register: DocumentId,
    /// The guest of the one name at either edge.
    sams: [Attender; 2],
    raised: EntryId,
    cleared: EntryId,
    from: i64,
    to: i64,
}

fn both_sides_of_a_cut(service: &mut Service) -> Scene {
    let mut anna = service.person("kent-a", "anna", "anna").unwrap();
    let case = begin_case(&mut anna, "Greta");
    let cy = begin_case(&mut anna, "Cy");
    let raise = |about: &str| Command::RaiseAlert {
        code: AlertCode::DoNotVisitAlone,
        detail: words(about),
        review_by: None,
    };
    let dog = anna.does(case, &raise("dog")).unwrap().entry;
    service.rest().unwrap();

    for name in APART {
        service.cut_off(name).unwrap();
        let said = proof::said(&service.client(name).unwrap()).unwrap();
        assert!(said.links.is_empty(), "{name} still speaks with somebody");
    }
    let mut anna = service.person("kent-a", "anna", "anna, cut off").unwrap();
    let mut ben = service.person("kent-b", "ben", "ben, cut off").unwrap();
    let from = wait::now().0;
    let (register, annas) = keep_register(&mut anna, &AT_ANNAS);
    anna.does(register, &mark(cy, Attendance::Present)).unwrap();
    let (same, bens) = keep_register(&mut ben, &AT_BENS);
    assert_eq!(register, same, "one register, not two");
    ben.does(register, &mark(cy, Attendance::Absent)).unwrap();
    let milk = Command::PayOut {
        pence: 120,
        what: words("milk"),
    };
    ben.does(register, &milk).unwrap();
    let raised = ben.does(case, &raise("knife on the table")).unwrap().entry;
    let clear = Command::ReviewAlert {
        code: AlertCode::DoNotVisitAlone,
        clear: true,
        reason: words("the dog has gone"),
        seen: Some(vec![dog]),
    };
    let cleared = anna.does(case, &clear).unwrap().entry;
    let mended = wait::now();
    for name in APART {
        let waiting = proof::said(&service.client(name).unwrap()).unwrap().waiting;
        assert!(waiting > 0, "{name} has told the centre across a cut");
        service.edge(name).unwrap().relay.mend();
    }
    service.rest().unwrap();
    for name in APART {
        let passed = service.assert_rejoined(name, mended).unwrap();
        say(format!(
            "{name} lost {} datagrams to the cut",
            passed.dropped
        ));
    }
    Scene {
        case,
        cy: Attender::Person(cy),
        register,
        sams: [annas, bens],
        raised,
        cleared,
        from,
        to: mended.0,
    }
}

const AT_ANNAS: [Guest; 3] = [
    ("Ada", Attendance::Present, 250),
    ("Bob", Attendance::Late, 300),
    ("Sam", Attendance::Present, 0),
];

const AT_BENS: [Guest; 3] = [
    ("Di", Attendance::Apology, 0),
    ("Eve", Attendance::Present, 500),
    ("Sam", Attendance::Late, 0),
];

/// Everything stands, and both conflicts are shown with both values, who, where and when.
fn assert_scene(client: &Client, scene: &Scene) {
    let (from, to) = (scene.from, scene.to);
    assert_register(&document(client, scene.register), from, to);
    let found = conflict(client, scene.register, "attendance");
    assert_eq!(found["about"]["attender"], json!(scene.cy));
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
    for (entry, by, words) in [
        (scene.raised, "ben", "raised: knife on the table"),
        (scene.cleared, "anna", "cleared: the dog has gone"),
    ] {
        assert_said_by(of(entry), by, from, to);
        let said = of(entry)["value"].as_str().unwrap();
        assert_eq!(said, format!("{words} ({MARKER})"));
    }
}

/// A person settles the conflict at one edge, having looked at both marks; it is settled
/// everywhere, and nothing is gone. And the two Sams turn out to be one.
fn settle(service: &mut Service, scene: &Scene) {
    let register = scene.register;
    let mut ben = service.person("kent-b", "ben", "ben settles").unwrap();
    let found = conflict(&ben.client, register, "attendance");
    let id = |value: &Value| value["entry"].as_str().unwrap().parse::<EntryId>().unwrap();
    let values = list(&found["values"]);
    let keep = values.iter().find(|value| value["by"] == "anna").unwrap();
    let settle = Command::Settle {
        about: serde_json::from_value(found["about"].clone()).unwrap(),
        keep: id(keep),
        reason: words("I looked at the wrong person"),
        seen: values.iter().map(id).collect(),
    };
    ben.does(register, &settle).unwrap();
    let [annas, Attender::Guest(bens)] = scene.sams else {
        panic!("Ben's Sam is a guest")
    };
    let same = Command::MatchGuest {
        guest: bens,
        to: Some(annas),
        reason: words("he came in twice"),
    };
    ben.does(register, &same).unwrap();
    service.rest().unwrap();
    for at in ["centre", "kent-a", "kent-b"] {
        let view = document(&service.client(at).unwrap(), register);
        let mut rows = list(&view["state"]["register"]).iter();
        let cy = rows.find(|row| row["attender"] == json!(scene.cy));
        assert_eq!(
            list(&cy.unwrap()["history"]).len(),
            3,
            "both marks and the settling one"
        );
        assert_eq!(register_rows(&view).len(), 6, "at {at}");
        let left = list(&view["state"]["conflicts"]);
        let about: Vec<&Value> = left.iter().map(|left| &left["about"]["attender"]).collect();
        assert_eq!(
            about,
            [&json!(annas)],
            "one Sam was on time and late, at {at}"
        );
    }
}
