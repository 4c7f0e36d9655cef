//! The whole surface, asked in process: no socket, no node.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use node::{
    Target,
    domain::{Command, Role as WorkRole},
    names::EntryId,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    Access, BODY_BYTES_MAX, More, REQUESTS_MAX,
    record::Role,
    router, routes,
    testing::{DOCUMENT, Fake, scope},
    token::Token,
};

const TOKEN: &str = "token-of-the-test";
const KEY: &str = "00112233-4455-6677-8899-aabbccddeeff";

pub(crate) fn surface(fake: Arc<Fake>) -> Router {
    router(fake, Access::new(Token::of(TOKEN), vec![]), More::default())
}

pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    let bearer = format!("Bearer {TOKEN}");
    let builder = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost");
    builder.header(header::AUTHORIZATION, bearer)
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let json = serde_json::from_slice(&body);
    let value: Value = json.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
    if !parts.status.is_success() {
        assert_eq!(
            parts.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(value["status"], parts.status.as_u16());
        assert!(
            value["type"].is_string() && value["title"].is_string(),
            "{value}"
        );
    }
    (parts.status, value)
}

async fn get(path: &str) -> (StatusCode, Value) {
    let request = request("GET", path).body(Body::empty()).unwrap();
    ask(&surface(Arc::new(Fake::new())), request).await
}

fn command(key: Option<&str>, body: &Value) -> Request<Body> {
    let builder = request("POST", "/api/v1/commands");
    let builder = builder.header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    let builder = key.into_iter().fold(builder, |builder, key| {
        builder.header("Idempotency-Key", key)
    });
    builder.body(Body::from(body.to_string())).unwrap()
}

async fn post(key: Option<&str>, body: Value) -> (StatusCode, Value) {
    ask(&surface(Arc::new(Fake::new())), command(key, &body)).await
}

fn note(worker: &str) -> Value {
    json!({
        "document": DOCUMENT,
        "worker": worker,
        "command": {
            "command": "add-note", "happened": "2026-03-02", "mode": "phone",
            "minutes": 10, "text": "Marker Words",
        },
    })
}

#[tokio::test]
async fn a_supervisor_needs_no_token() {
    let router = surface(Arc::new(Fake::new()));
    for path in ["/healthz", "/readyz", "/metrics", "/api/openapi.json"] {
        let bare = Request::builder()
            .uri(path)
            .header(header::HOST, "127.0.0.1:7480");
        let (status, _) = ask(&router, bare.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn nothing_else_is_told_without_the_token() {
    let router = surface(Arc::new(Fake::new()));
    let closed = routes::all()
        .into_iter()
        .filter(|(_, path)| path.starts_with("/api/v1/"));
    for (method, path) in closed {
        for said in ["", "Bearer", "Bearer wrong", "Basic token-of-the-test"] {
            let bare = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, "localhost");
            let bare = bare
                .header(header::AUTHORIZATION, said)
                .body(Body::empty())
                .unwrap();
            let (status, body) = ask(&router, bare).await;
            assert_eq!(
                (status, &body["type"]),
                (StatusCode::UNAUTHORIZED, &json!("no-token"))
            );
        }
    }
}

#[tokio::test]
async fn other_names_and_other_pages_are_turned_away() {
    let router = surface(Arc::new(Fake::new()));
    let rebound = Request::builder()
        .uri("/healthz")
        .header(header::HOST, "evil.example");
    let (status, body) = ask(&router, rebound.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (status, &body["type"]),
        (StatusCode::MISDIRECTED_REQUEST, &json!("wrong-host"))
    );
    let nameless = Request::builder()
        .uri("/healthz")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        ask(&router, nameless).await.0,
        StatusCode::MISDIRECTED_REQUEST
    );
    let foreign = request("GET", "/api/v1/sync").header(header::ORIGIN, "https://evil.example");
    let (status, body) = ask(&router, foreign.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (status, &body["type"]),
        (StatusCode::FORBIDDEN, &json!("wrong-origin"))
    );
}

#[tokio::test]
async fn a_command_is_carried_out_once() {
    let fake = Arc::new(Fake::new());
    let router = surface(Arc::clone(&fake));
    let (status, first) = ask(&router, command(Some(KEY), &note("w-1"))).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert_eq!(first["entry"], KEY.replace('-', ""));
    assert_eq!(first["document"], DOCUMENT.to_string());
    assert_eq!(first["state"], "saved-here");
    assert_eq!(first["change"], "03".repeat(32));
    let mut in_body = note("w-1");
    in_body["entry"] = json!(KEY);
    let (status, again) = ask(&router, command(None, &in_body)).await;
    assert_eq!((status, &again["entry"]), (StatusCode::OK, &first["entry"]));
    let mut other = note("w-1");
    other["command"]["minutes"] = json!(11);
    let (status, body) = ask(&router, command(Some(KEY), &other)).await;
    assert_eq!(
        (status, &body["type"]),
        (StatusCode::CONFLICT, &json!("entry-id-used"))
    );
    assert_eq!(fake.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_worker_may_do_comes_from_the_directory() {
    let fake = Arc::new(Fake::new());
    ask(
        &surface(Arc::clone(&fake)),
        command(Some(KEY), &note("w-1")),
    )
    .await;
    let asked = fake.asked.lock().unwrap().clone();
    let by = &asked[&KEY.replace('-', "").parse::<EntryId>().unwrap()].by;
    assert_eq!(by.roles, [WorkRole::RecoveryWorker]);
    assert_eq!(by.site.as_str(), "devizes");
    for stranger in ["w-nobody", "w-gone", "w-bath"] {
        let (status, body) = post(Some(KEY), note(stranger)).await;
        assert_eq!(
            (status, &body["type"]),
            (StatusCode::FORBIDDEN, &json!("no-such-worker"))
        );
    }
    let mut with_roles = note("w-1");
    with_roles["roles"] = json!(["senior"]);
    assert_eq!(post(Some(KEY), with_roles).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn at_the_centre_every_site_s_workers_may_write() {
    let fake = Arc::new(Fake {
        role: Role::Centre,
        ..Fake::new()
    });
    let router = surface(Arc::clone(&fake));
    assert_eq!(
        ask(&router, command(Some(KEY), &note("w-bath"))).await.0,
        StatusCode::CREATED
    );
    let asked = fake.asked.lock().unwrap();
    assert!(
        asked
            .values()
            .all(|request| request.by.site.as_str() == "bath")
    );
}

#[tokio::test]
async fn a_new_document_goes_to_the_worker_s_site_unless_told_otherwise() {
    let open = |new: Value| {
        let open = json!({ "command": "open-case", "opened": "2026-03-02" });
        json!({ "new": new, "worker": "w-1", "command": open })
    };
    let fake = Arc::new(Fake::new());
    let (status, body) = ask(
        &surface(Arc::clone(&fake)),
        command(Some(KEY), &open(json!({}))),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let targets: Vec<Target> = fake
        .asked
        .lock()
        .unwrap()
        .values()
        .map(|request| request.target.clone())
        .collect();
    assert_eq!(targets, [Target::New(vec![scope("devizes")])]);
    let (status, barred) = post(Some(KEY), open(json!({ "scopes": ["site:bath"] }))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let mut elsewhere = note("w-1");
    elsewhere["document"] = json!("00".repeat(16));
    let (_, absent) = post(Some(KEY), elsewhere).await;
    assert_eq!(barred, absent, "not allowed and not there are told apart");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_without_repeating_it() {
    let mut strange = note("w-1");
    strange["command"]["mode"] = json!("Marker Words");
    let mut both = note("w-1");
    both["new"] = json!({});
    let mut keys_differ = note("w-1");
    keys_differ["entry"] = json!("ff".repeat(16));
    let bad = [
        (Some(KEY), strange),
        (Some(KEY), both),
        (Some(KEY), keys_differ),
        (Some(KEY), json!({ "worker": "w-1" })),
        (Some(KEY), json!("Marker Words")),
        (Some("Marker Words"), note("w-1")),
        (None, note("w-1")),
    ];
    for (key, body) in bad {
        let (status, problem) = post(key, body).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::BAD_REQUEST, &json!("bad-request"))
        );
        assert!(!problem.to_string().contains("Marker"), "{problem}");
    }
    let (_, lacking) = post(Some(KEY), json!({ "document": DOCUMENT, "worker": "w-1" })).await;
    assert!(lacking["detail"].as_str().unwrap().contains("`command`"));
}

#[tokio::test]
async fn a_body_has_a_bound_and_must_be_json() {
    let large = vec![b' '; BODY_BYTES_MAX + 1];
    let large = request("POST", "/api/v1/commands")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(large));
    let router = surface(Arc::new(Fake::new()));
    let (status, body) = ask(&router, large.unwrap()).await;
    assert_eq!(
        (status, &body["type"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("too-large"))
    );
    let form = request("POST", "/api/v1/commands").body(Body::from(note("w-1").to_string()));
    let (status, _) = ask(&router, form.unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let mut seen = Vec::new();
    let mut path = "/api/v1/views/documents?limit=2".to_owned();
    loop {
        let (status, page) = get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        seen.extend(
            page["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["document"].clone()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/views/documents?limit=2&after={next}");
    }
    assert_eq!(seen.len(), 5);
    let (_, sessions) = get("/api/v1/views/documents?kind=session&scope=site:devizes").await;
    assert_eq!(sessions["rows"].as_array().unwrap().len(), 2);
    assert_eq!(sessions["rows"][0]["kind"], "session");
    for (wrong, status) in [
        ("scope=site:bath", StatusCode::NOT_FOUND),
        ("scope=nonsense", StatusCode::BAD_REQUEST),
        ("kind=person", StatusCode::BAD_REQUEST),
        ("limit=0", StatusCode::BAD_REQUEST),
        ("name=Marker", StatusCode::BAD_REQUEST),
    ] {
        let (said, body) = get(&format!("/api/v1/views/documents?{wrong}")).await;
        assert_eq!(said, status, "{wrong}");
        assert!(!body.to_string().contains("Marker"));
    }
}

#[tokio::test]
async fn conflicts_show_every_value_with_who_where_and_when() {
    let (status, page) = get("/api/v1/views/conflicts?limit=2").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let values = &page["rows"][0]["conflicts"][0]["values"];
    for (number, value) in ["w-1", "w-2"].iter().enumerate() {
        assert_eq!(values[number]["value"], *value);
        assert_eq!(values[number]["by"], "w-1");
        assert_eq!(values[number]["site"], "devizes");
        assert_eq!(values[number]["at"], 1);
    }
    assert_eq!(page["rows"].as_array().unwrap().len(), 2);
    let after = page["next"].as_str().unwrap();
    let (_, rest) = get(&format!("/api/v1/views/conflicts?after={after}")).await;
    assert_eq!(rest["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tasks_come_by_their_due_dates() {
    let (_, page) = get("/api/v1/views/tasks").await;
    let due: Vec<Value> = page["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["due"].clone())
        .collect();
    let days = ["2026-02-01", "2026-03-05", "2026-03-07"].map(Value::from);
    assert_eq!(due, [days.as_slice(), &[Value::Null]].concat());
    let review = &page["rows"][0];
    assert_eq!(review["alert"], "weapons");
    assert_eq!(review["what"], "Review the alert: Weapons");
    assert!(page["rows"][1]["alert"].is_null());
    let (_, first) = get("/api/v1/views/tasks?limit=1").await;
    let after = first["next"].as_str().unwrap();
    let (_, second) = get(&format!("/api/v1/views/tasks?limit=1&after={after}")).await;
    assert_eq!(second["rows"][0]["due"], "2026-03-05");
    // No task is this worker's, but an alert is everybody's.
    let (_, few) = get("/api/v1/views/tasks?worker=w-1").await;
    assert_eq!(few["rows"].as_array().unwrap().len(), 1);
    assert_eq!(few["rows"][0]["alert"], "weapons");
}

#[tokio::test]
async fn a_document_shows_how_far_each_entry_got() {
    let (status, opened) = get(&format!("/api/v1/views/documents/{DOCUMENT}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(opened["reach"]["07".repeat(16)], "at-the-centre");
    assert_eq!(opened["scopes"], json!(["site:devizes"]));
    for absent in ["00".repeat(16).as_str(), "nonsense"] {
        let (status, body) = get(&format!("/api/v1/views/documents/{absent}")).await;
        assert_eq!(
            (status, &body["type"]),
            (StatusCode::NOT_FOUND, &json!("not-found"))
        );
    }
}

#[tokio::test]
async fn a_document_leaves_as_a_file() {
    let router = surface(Arc::new(Fake::new()));
    let path = format!("/api/v1/documents/{DOCUMENT}.automerge");
    let response = router
        .oneshot(request("GET", &path).body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/vnd.automerge"
    );
    assert_eq!(
        to_bytes(response.into_body(), 100).await.unwrap(),
        "automerge"
    );
    assert_eq!(
        get(&format!("/api/v1/documents/{DOCUMENT}")).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn sync_tells_digests_and_reasons() {
    let (status, sync) = get("/api/v1/sync").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(sync["scopes"][0]["digest"], "09".repeat(32));
    assert_eq!(sync["scopes"][0]["count"], 5);
    assert_eq!(sync["exceptions"][0]["reason"], "bad-signature");
    assert_eq!(sync["copies"][0]["how"], "older-copy");
    assert_eq!(sync["node"]["role"], "edge");
}

#[tokio::test]
async fn metrics_name_no_worker() {
    let (status, text) = get("/metrics").await;
    let text = text.as_str().unwrap();
    assert_eq!(status, StatusCode::OK);
    for line in [
        "ridgeway_turns_total 3",
        "ridgeway_commits_total 2",
        "ridgeway_frames_total{lane=\"live\",direction=\"in\"} 4",
        "ridgeway_frame_bytes_total{lane=\"live\",direction=\"in\"} 400",
        "ridgeway_refusals_total{reason=\"bad-signature\"} 2",
        "ridgeway_waiting_entries 1",
        "ridgeway_scope_documents{scope=\"site:devizes\"} 5",
        "ridgeway_scope_documents{scope=\"caseloads\"} 2",
        "ridgeway_links 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in:\n{text}"
        );
    }
    assert!(!text.contains("w-1") && !text.contains("Marker"));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    assert_eq!(get("/nowhere").await.1["type"], "no-such-route");
    assert_eq!(get("/api/v1/commands").await.1["type"], "wrong-method");
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_back() {
    let access = Access::new(Token::of(TOKEN), vec![]);
    let places = access.take_all(REQUESTS_MAX);
    let router = router(Arc::new(Fake::new()), access, More::default());
    let again = || request("GET", "/healthz").body(Body::empty()).unwrap();
    let (status, body) = ask(&router, again()).await;
    assert_eq!(
        (status, &body["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("busy"))
    );
    drop(places);
    assert_eq!(ask(&router, again()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_description_names_every_route_and_no_other() {
    let (_, description) = get("/api/openapi.json").await;
    let mut described = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if method != "parameters" {
                assert!(operation["operationId"].is_string(), "{method} {path}");
                assert!(operation["responses"].is_object(), "{method} {path}");
                described.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    let mut routes: Vec<(String, String)> = routes::all()
        .into_iter()
        .map(|(method, path)| (method.into(), path.into()))
        .collect();
    described.sort();
    routes.sort();
    assert_eq!(described, routes);
}

#[tokio::test]
async fn every_reference_in_the_description_leads_somewhere() {
    let (_, description) = get("/api/openapi.json").await;
    let mut open = vec![&description];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
                    let pointer = to.strip_prefix('#').unwrap();
                    assert!(description.pointer(pointer).is_some(), "{to}");
                }
                open.extend(fields.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[tokio::test]
async fn every_command_described_is_one_and_is_described_fully() {
    let (_, description) = get("/api/openapi.json").await;
    let schemas = &description["components"]["schemas"];
    let commands = schemas["Command"]["oneOf"].as_array().unwrap();
    assert!(commands.len() >= 29, "{} commands", commands.len());
    for reference in commands {
        let pointer = reference["$ref"]
            .as_str()
            .unwrap()
            .strip_prefix('#')
            .unwrap();
        let schema = description.pointer(pointer).unwrap();
        let example = &schema["examples"][0];
        let command: Result<Command, _> = serde_json::from_value(example.clone());
        let command = command.unwrap_or_else(|error| panic!("{pointer}: {error}"));
        assert_eq!(example["command"], command.code());
        // The example has every field, and no field is described that the command does not take.
        let written = serde_json::to_value(&command).unwrap();
        let mut fields: Vec<&String> = written.as_object().unwrap().keys().collect();
        let mut described: Vec<&String> =
            schema["properties"].as_object().unwrap().keys().collect();
        fields.sort();
        described.sort();
        assert_eq!(fields, described, "{pointer}");
        for required in schema["required"].as_array().unwrap() {
            let mut without = example.clone();
            without
                .as_object_mut()
                .unwrap()
                .remove(required.as_str().unwrap());
            assert!(
                serde_json::from_value::<Command>(without).is_err(),
                "{pointer}: {required}"
            );
        }
    }
}
