//! One document as a file. The running node writes it into its own folder, and the command moves
//! it to where it is wanted: so the node never writes where a request tells it to.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use node::names::DocumentId;
use runtime::shell;
use serde_json::{Value, json};

use super::{Failure, line};
use crate::Record;

/// How long an export lies in the node's folder at most: plain text beside ciphertext. The command
/// that asked collects it in no time, unless it was killed.
const SPOOLED_MAX: Duration = Duration::from_secs(30);

/// A name in the node's folder that nobody else uses.
pub fn spool_name() -> String {
    let bytes: [u8; 8] = shell::entropy();
    let drawn: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("export-{drawn}.automerge")
}

/// Writes a document under a name that [`spool_name`] gave; answers its size in bytes. Nobody has
/// to collect it: after a while it is gone, and so it is when the node stops or starts.
///
/// # Errors
/// When the document is not here or cannot be read, or the file not be written; then nothing of it
/// is left.
pub async fn to_spool(
    record: &dyn Record,
    data: &Path,
    document: DocumentId,
    name: &str,
) -> Result<usize, Failure> {
    if !is_spool(name) {
        return Err(Failure::usage("this is not a name that an export may have"));
    }
    let bytes = record.export(document).await?;
    let path = data.join(name);
    write_new(&path, &bytes).map_err(|error| about(&path, &error))?;
    tokio::spawn(async move {
        tokio::time::sleep(SPOOLED_MAX).await;
        // Whoever asked has it, unless the command was killed.
        let _ = fs::remove_file(&path);
    });
    Ok(bytes.len())
}

/// Moves an export to where it is wanted, and tells about it unless it went to stdout itself.
///
/// # Errors
/// When it cannot be written there.
pub fn collect(
    data: &Path,
    name: &str,
    answer: &Value,
    out: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    from_spool(data, name, out)?;
    let Some(out) = out else { return Ok(()) };
    let bytes = answer.get("bytes").cloned().unwrap_or_default();
    let done = json!({ "document": answer.get("document"), "bytes": bytes, "out": out });
    line::print(json, &done, |_| {
        format!("{bytes} bytes in {}\n", out.display())
    })
}

/// Moves an export to where it is wanted: a file that is not there yet, or stdout.
///
/// # Errors
/// When it cannot be written there.
fn from_spool(data: &Path, name: &str, out: Option<&Path>) -> Result<(), Failure> {
    let spool = data.join(name);
    let moved = fs::read(&spool)
        .map_err(|error| about(&spool, &error))
        .and_then(|bytes| match out {
            Some(out) => write_new(out, &bytes).map_err(|error| about(out, &error)),
            None => {
                let mut stdout = io::stdout().lock();
                Ok(stdout.write_all(&bytes).and_then(|()| stdout.flush())?)
            }
        });
    // What is left in the folder would be plain text beside ciphertext.
    fs::remove_file(&spool).map_err(|error| about(&spool, &error))?;
    moved
}

/// Whether a file has a name that [`spool_name`] gives, and no other of somebody's choosing.
fn is_spool(name: &str) -> bool {
    let drawn = name.strip_prefix("export-");
    let drawn = drawn.and_then(|rest| rest.strip_suffix(".automerge"));
    drawn.is_some_and(|drawn| drawn.len() == 16 && drawn.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Removes exports that an interrupted command left in the folder.
pub fn clear_spool(data: &Path) {
    let Ok(entries) = fs::read_dir(data) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if is_spool(name) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// A file that was not there before and that only its owner may read; all of it, or none.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    let written = file.write_all(bytes);
    if written.is_err() {
        // The failure is what matters; what cannot be removed is cleared away later.
        let _ = fs::remove_file(path);
    }
    written
}

fn about(path: &Path, error: &io::Error) -> Failure {
    let words = if error.kind() == io::ErrorKind::AlreadyExists {
        "it is there already; choose another name".to_owned()
    } else {
        error.kind().to_string()
    };
    Failure::failed(format!("{} cannot be written: {words}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::testing::{DOCUMENT, Fake};

    fn spooled(data: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(data).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ridgeway-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    // Time stands still here, and leaps to the next deadline when everybody waits.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_collects_does_not_stay() {
        let (data, fake) = (folder("export-left"), Arc::new(Fake::new()));
        let bytes = to_spool(&*fake, &data, DOCUMENT, &spool_name()).await;
        assert_eq!(bytes, Ok(9));
        assert_eq!(spooled(&data).len(), 1);
        tokio::time::sleep(SPOOLED_MAX * 2).await;
        assert!(spooled(&data).is_empty());
        fs::remove_dir_all(&data).unwrap();
    }

    #[tokio::test]
    async fn what_is_collected_lies_in_one_place() {
        let (data, fake) = (folder("export-got"), Arc::new(Fake::new()));
        let (name, out) = (spool_name(), data.join("out"));
        to_spool(&*fake, &data, DOCUMENT, &name).await.unwrap();
        let answer = json!({ "document": DOCUMENT, "bytes": 9 });
        collect(&data, &name, &answer, Some(&out), true).unwrap();
        assert_eq!(spooled(&data), std::slice::from_ref(&out));
        assert_eq!(fs::read(&out).unwrap(), b"automerge");
        to_spool(&*fake, &data, DOCUMENT, &name).await.unwrap();
        assert!(collect(&data, &name, &answer, Some(&out), true).is_err());
        assert_eq!(spooled(&data), [out]);
        fs::remove_dir_all(&data).unwrap();
    }
}
