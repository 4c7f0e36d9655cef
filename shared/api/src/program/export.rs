//! One document as a file. The running node writes it into its own folder, and the command moves
//! it to where it is wanted: so the node never writes where a request tells it to.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use node::names::DocumentId;
use runtime::shell;

use super::Failure;
use crate::Record;

/// A name in the node's folder that nobody else uses.
pub fn spool_name() -> String {
    let bytes: [u8; 8] = shell::entropy();
    let drawn: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("export-{drawn}.automerge")
}

/// Writes a document under a name that [`spool_name`] gave; answers its size in bytes.
///
/// # Errors
/// When the document is not here or cannot be read, or the file not be written.
pub async fn to_spool(
    record: &dyn Record,
    data: &Path,
    document: DocumentId,
    name: &str,
) -> Result<usize, Failure> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if !plain || !name.starts_with("export-") {
        return Err(Failure::usage("this is not a name that an export may have"));
    }
    let bytes = record.export(document).await?;
    let path = data.join(name);
    write_new(&path, &bytes).map_err(|error| about(&path, &error))?;
    Ok(bytes.len())
}

/// Moves an export to where it is wanted: a file that is not there yet, or stdout.
///
/// # Errors
/// When it cannot be written there.
pub fn from_spool(data: &Path, name: &str, out: Option<&Path>) -> Result<(), Failure> {
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
        if name.starts_with("export-") && name.ends_with(".automerge") {
            let _ = fs::remove_file(&path);
        }
    }
}

/// A file that was not there before and that only its owner may read.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(bytes)
}

fn about(path: &Path, error: &io::Error) -> Failure {
    let words = if error.kind() == io::ErrorKind::AlreadyExists {
        "it is there already; choose another name".to_owned()
    } else {
        error.kind().to_string()
    };
    Failure::failed(format!("{} cannot be written: {words}", path.display()))
}
