//! Devices as the centre lists them, and the end of one that was revoked.

use std::time::Duration;

use serde_json::Value;

use super::{client::Client, host::Host, proof, wait};

/// How long a revoked edge may take to be in touch again, to be told, and to end.
const END_MAX: Duration = Duration::from_secs(90);

/// The device that a node is.
///
/// # Errors
/// When it does not say.
pub fn of(client: &Client) -> Result<String, String> {
    let sync = client.get_json("/api/v1/sync")?;
    let device = sync.pointer("/node/device").and_then(Value::as_str);
    let device = device.ok_or("a node does not say which device it is")?;
    Ok(device.to_owned())
}

/// A device's row in `device list` at the centre.
///
/// # Errors
/// When there is none.
pub fn listed(centre: &Host, device: &str) -> Result<Value, String> {
    let rows = centre.command(&["device", "list"])?;
    row(&rows, device).ok_or_else(|| format!("the centre knows no device {device}"))
}

/// A device's row in a list of them.
pub fn row(rows: &Value, device: &str) -> Option<Value> {
    let mut rows = rows.as_array()?.iter();
    rows.find(|row| row.get("id").is_some_and(|id| id == device))
        .cloned()
}

/// Waits until an edge that was revoked has been told, has ended by itself, and nothing opens its
/// folder any more; answers its last words.
///
/// # Errors
/// When it goes on, or ends otherwise.
pub fn ends(edge: &mut Host) -> Result<String, String> {
    let ended = |edge: &mut Host| {
        if edge.is_running() {
            Err(edge.last_words())
        } else {
            Ok(())
        }
    };
    wait::for_it("the revoked edge ends", END_MAX, || ended(edge))?;
    let said = edge.last_words();
    if !said.contains("this device was revoked") || !said.contains("and the centre knows") {
        return Err(format!("{} ended otherwise: {said}", edge.name()));
    }
    // What is the store's own is gone; the key file may be other stores' too.
    if !edge.key().exists() || edge.data().join("epoch.keys").exists() {
        return Err(format!("{} has the wrong keys left", edge.name()));
    }
    match edge.command(&["status"]) {
        Err(refused) if refused.contains("exit status: 4") && refused.contains("revoked") => {}
        other => return Err(format!("{} still answers: {other:?}", edge.name())),
    }
    match proof::open(edge) {
        Err(_) => Ok(said),
        Ok(_) => Err(format!("a key is left that opens {}", edge.name())),
    }
}
