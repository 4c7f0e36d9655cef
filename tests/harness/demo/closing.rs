//! What a week came to, as the nodes themselves tell it: what merged, what conflicted and who
//! must look, how far every entry got, what it cost on the wire.

use std::collections::{BTreeMap, BTreeSet};

use names::DocumentId;
use serde_json::Value;

use super::{
    screen::{Screen, bytes},
    town::TOWN,
    week::Record,
};
use crate::service::{Service, client::Client, relay::Passed, wait};

/// What an entry's node says of one that the centre has made durable.
const ARRIVED: [&str; 2] = ["at-the-centre", "backed-up"];

/// Whether an entry's node says that the centre has made it durable.
pub fn has_arrived(said: &str) -> bool {
    ARRIVED.contains(&said)
}

/// Tells all of it. Answers whether what merged is whole and everything has got to the centre.
///
/// # Errors
/// When a node does not answer as it should.
pub fn tell(service: &mut Service, screen: &mut Screen, record: &Record) -> Result<bool, String> {
    let centre = service.client("centre")?;
    let merged = merged(&centre, screen, record)?;
    conflicts(&centre, screen)?;
    let reached = reached(service, screen, record)?;
    cost(service, screen)?;
    Ok(merged && reached)
}

fn merged(centre: &Client, screen: &mut Screen, record: &Record) -> Result<bool, String> {
    let mut documents: BTreeMap<DocumentId, BTreeSet<&str>> = BTreeMap::new();
    for (node, written) in &record.written {
        for written in written {
            documents.entry(written.document).or_default().insert(node);
        }
    }
    let entries: usize = record.written.values().map(Vec::len).sum();
    screen.heading("What merged");
    screen.prose(
        2,
        &format!(
            "{entries} entries in {} cases and registers, written at {} nodes.",
            documents.len(),
            record.written.len(),
        ),
    );
    documents.retain(|_, nodes| nodes.len() > 1);
    let (mut there, mut all) = (0, 0);
    for document in documents.keys() {
        let reach = reach(centre, *document)?;
        for written in record.written.values().flatten() {
            let is_of = written.document == *document;
            all += usize::from(is_of);
            there += usize::from(is_of && reach.get(written.entry.to_string()).is_some());
        }
    }
    let holds = there == all && !documents.is_empty();
    let words = format!(
        "{} of them were written at several nodes; at the centre each is one document, with \
         {there} of the {all} entries",
        documents.len()
    );
    screen.verdict(holds, &words);
    Ok(holds)
}

/// How far each entry of a document has got, as a node says.
///
/// # Errors
/// When it does not answer.
pub fn reach(client: &Client, document: DocumentId) -> Result<Value, String> {
    let view = client.get_json(&format!("/api/v1/views/documents/{document}"))?;
    Ok(view.get("reach").cloned().unwrap_or_default())
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn items<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn conflicts(centre: &Client, screen: &mut Screen) -> Result<(), String> {
    let view = centre.get_json("/api/v1/views/conflicts")?;
    screen.heading("What conflicted, and who must look");
    let mut count = 0;
    for row in items(&view, "rows") {
        let titles: Vec<&str> = items(row, "title").filter_map(Value::as_str).collect();
        screen.line(&format!("  {} {}", text(row, "kind"), titles.join(" / ")));
        let whom = who_must_look(centre, row)?;
        for conflict in items(row, "conflicts") {
            count += 1;
            one_conflict(screen, conflict);
        }
        screen.prose(6, &format!("must look: {whom}"));
    }
    if count == 0 {
        Err("a week in which nobody disagreed is no test".to_owned())
    } else {
        Ok(())
    }
}

fn one_conflict(screen: &mut Screen, conflict: &Value) {
    let about = conflict.get("about").cloned().unwrap_or_default();
    let which = ["slot", "code", "attender"]
        .map(|key| text(&about, key))
        .concat();
    let operational = text(conflict, "operational");
    let meanwhile = if operational.is_empty() {
        "all are shown".to_owned()
    } else {
        format!("meanwhile: {operational}")
    };
    screen.line(&format!(
        "    {} {which}  ({meanwhile})",
        text(&about, "kind")
    ));
    for value in items(conflict, "values") {
        let at = value.get("at").and_then(Value::as_i64).unwrap_or(0);
        let (said, by, site) = (text(value, "value"), text(value, "by"), text(value, "site"));
        screen.prose(
            6,
            &format!("\"{said}\"  {by} at {site}, {}", time_of_day(at)),
        );
    }
}

/// The time of day in UTC.
fn time_of_day(ms: i64) -> String {
    let seconds = ms.div_euclid(1_000).rem_euclid(86_400);
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The lead worker of a case, or the seniors of its sites; those who keep a register.
fn who_must_look(centre: &Client, row: &Value) -> Result<String, String> {
    let said = items(row, "conflicts").flat_map(|conflict| items(conflict, "values"));
    let said: BTreeSet<String> = said.map(|value| text(value, "by")).collect();
    if text(row, "kind") == "session" {
        let keepers: Vec<String> = said.into_iter().collect();
        return Ok(format!("{}, who keep the register", keepers.join(" and ")));
    }
    let view = centre.get_json(&format!(
        "/api/v1/views/documents/{}",
        text(row, "document")
    ))?;
    let lead = view
        .pointer("/state/lead/standing")
        .and_then(Value::as_array);
    let leads: Vec<String> = lead
        .into_iter()
        .flatten()
        .map(|lead| text(lead, "value"))
        .collect();
    if !leads.is_empty() {
        return Ok(format!("{}, who leads", leads.join(" and ")));
    }
    let scopes: BTreeSet<&str> = items(&view, "scopes").filter_map(Value::as_str).collect();
    let sites = TOWN
        .iter()
        .filter(|site| scopes.contains(format!("site:{}", site.id).as_str()));
    let seniors = sites.flat_map(|site| site.workers.iter().filter(|(.., role)| *role == "senior"));
    let seniors: Vec<&str> = seniors.map(|(code, ..)| *code).collect();
    Ok(format!(
        "{}, the seniors of its sites, as nobody leads",
        seniors.join(" and ")
    ))
}

/// How far every entry got, as the node says at which it was made, or the centre where that cannot
/// say. Answers whether all are at the centre.
fn reached(service: &Service, screen: &mut Screen, record: &Record) -> Result<bool, String> {
    screen.heading("How far every entry got");
    let mut holds = true;
    for (node, written) in &record.written {
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        let documents: BTreeSet<DocumentId> =
            written.iter().map(|written| written.document).collect();
        for document in documents {
            let teller = service.client(record.teller(node, document))?;
            let reach = reach(&teller, document)?;
            for written in written
                .iter()
                .filter(|written| written.document == document)
            {
                let state = text(&reach, &written.entry.to_string());
                *states.entry(state).or_default() += 1;
            }
        }
        let there = !states.is_empty() && states.keys().all(|state| has_arrived(state));
        holds &= there;
        let states: Vec<String> = states
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let words = format!(
            "{node:<16} {:>4} entries: {}",
            written.len(),
            states.join(", ")
        );
        screen.verdict(there, &words);
    }
    Ok(holds)
}

fn cost(service: &mut Service, screen: &mut Screen) -> Result<(), String> {
    screen.heading("What it cost on the wire (UDP payload; handshakes and keep-alives included)");
    for (name, edge) in &service.edges {
        screen.line(&format!("  {name:<16} {}", passed(&edge.relay.passed())));
    }
    let name = "bath";
    let before = service.edge(name)?.relay.passed();
    service.edge(name)?.host.stop()?;
    service.start_edge(name)?;
    let client = service.client(name)?;
    wait::for_it("a reconnect", crate::service::REST_MAX, || {
        is_proved(&client)
    })?;
    let after = service.edge(name)?.relay.passed().since(&before);
    screen.prose(
        2,
        &format!(
            "Bath restarted with nothing new, until proved equal: {}",
            passed(&after)
        ),
    );
    Ok(())
}

/// Whether every scope of a node was found equal with the centre in this life.
fn is_proved(client: &Client) -> Result<(), String> {
    let view = client.get_json("/api/v1/sync")?;
    let unproved = |scope: &&Value| scope.get("proved").is_none_or(Value::is_null);
    let mut open = items(&view, "scopes").filter(unproved);
    match open.next() {
        Some(scope) => Err(format!("{} is not proved", text(scope, "scope"))),
        None => Ok(()),
    }
}

fn passed(passed: &Passed) -> String {
    let (up, down) = (bytes(passed.bytes_up), bytes(passed.bytes_down));
    format!(
        "{up:>7} up, {down:>7} down, at most {:>4} round trips",
        passed.round_trips
    )
}
