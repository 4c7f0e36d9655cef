//! A worker who uses a node's API: draws an entry's id, sends a command, and keeps in mind what
//! was acknowledged.

use domain::Command;
use names::{DocumentId, EntryId, ScopeId};
use serde_json::{Value, json};

use super::client::{Client, Failure};
use crate::chance::Chance;

/// What a node said of a command that it carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// The document.
    pub document: DocumentId,
    /// The entry.
    pub entry: EntryId,
    /// Whether it was written just now, and not before.
    pub written: bool,
}

/// Where a command goes.
#[derive(Clone, Debug)]
pub enum Whereto {
    /// To a document that is there.
    Document(DocumentId),
    /// To one that the command begins, in these scopes; in the site's own when there are none.
    New(Vec<ScopeId>),
}

/// Sends one command under an entry's id; the same id may be sent again.
///
/// # Errors
/// [`Failure`] when it was not carried out, or nobody knows.
pub fn send(
    client: &Client,
    worker: &str,
    whereto: &Whereto,
    entry: EntryId,
    command: &Command,
) -> Result<Done, Failure> {
    let command = serde_json::to_value(command).map_err(|_| Failure::NotUnderstood)?;
    let mut body = json!({ "worker": worker, "command": command });
    let (key, value) = match whereto {
        Whereto::Document(document) => ("document", json!(document)),
        Whereto::New(scopes) => ("new", json!({ "scopes": scopes })),
    };
    if let Value::Object(fields) = &mut body {
        fields.insert(key.to_owned(), value);
    }
    let reply = client.post("/api/v1/commands", &entry.to_string(), &body)?;
    let said = reply.json()?;
    let id = said
        .get("document")
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok());
    let document = id.ok_or(Failure::NotUnderstood)?;
    Ok(Done {
        document,
        entry,
        written: reply.status == 201,
    })
}

/// A worker at a node.
#[derive(Clone, Debug)]
pub struct Person {
    /// The node's API.
    pub client: Client,
    /// The worker's code.
    pub worker: String,
    chance: Chance,
}

impl Person {
    /// A worker who draws entry ids from `chance`.
    pub fn new(client: Client, worker: &str, chance: Chance) -> Person {
        Person {
            client,
            worker: worker.to_owned(),
            chance,
        }
    }

    /// An id for the next entry.
    pub fn entry(&mut self) -> EntryId {
        EntryId(self.chance.bytes())
    }

    /// Begins a document in the site's own scope.
    ///
    /// # Errors
    /// As [`send`].
    pub fn begins(&mut self, command: &Command) -> Result<Done, Failure> {
        self.begins_in(Vec::new(), command)
    }

    /// Begins a document in these scopes.
    ///
    /// # Errors
    /// As [`send`].
    pub fn begins_in(&mut self, scopes: Vec<ScopeId>, command: &Command) -> Result<Done, Failure> {
        let entry = self.entry();
        send(
            &self.client,
            &self.worker,
            &Whereto::New(scopes),
            entry,
            command,
        )
    }

    /// Does something with a document that is there.
    ///
    /// # Errors
    /// As [`send`].
    pub fn does(&mut self, document: DocumentId, command: &Command) -> Result<Done, Failure> {
        let entry = self.entry();
        send(
            &self.client,
            &self.worker,
            &Whereto::Document(document),
            entry,
            command,
        )
    }
}
