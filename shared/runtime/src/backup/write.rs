//! Writing a backup: from a snapshot, beside everything else the node does.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use node::{
    backup::{self, Manifest, Piece},
    names::{DocumentId, Moment},
    protocol::codec,
    review,
    store::Snapshot,
    views,
};

use super::{
    Backed, BackupError, End, Header, Kind, MAGIC, PIECES_BYTES, Part, Progress,
    STATEMENTS_AT_ONCE,
    container::{FileKey, HeaderHash, Spot, header_hash, ledger_name, put},
    prove,
    read::Backup,
    recovery::recovery_of,
};
use crate::{Material, secret};

/// Writes a backup of this state into a file that is not there yet, reads it back and compares
/// every digest with the snapshot's, and gives it its name only then. When this answers `Ok` the
/// file is durable, and has all that the store can read: what it cannot is named in the answer and
/// in the file.
///
/// # Errors
/// [`BackupError`] says what is wrong; then nothing is left of the file.
pub fn write_file<P: Snapshot>(
    snapshot: &P,
    path: &Path,
    now: Moment,
    progress: Progress<'_>,
) -> Result<Backed, BackupError> {
    if path.exists() {
        return Err(BackupError::There(path.to_owned()));
    }
    let unfinished = unfinished(path);
    let written = write_under(snapshot, &unfinished, now, progress)
        .and_then(|backed| name_it(&unfinished, path).map(|()| backed));
    if written.is_err() {
        // The failure is what matters; a file that stays is replaced by the next attempt.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// `centre.backup` is written as `centre.backup.unfinished`.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

fn write_under<P: Snapshot>(
    snapshot: &P,
    path: &Path,
    now: Moment,
    progress: Progress<'_>,
) -> Result<Backed, BackupError> {
    let failed = |error: io::Error| BackupError::Io(path.to_owned(), error.kind());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let file = secret::owners_only().open(path).map_err(failed)?;
    let manifest = backup::manifest(snapshot)?;
    let mut writer = Writer::begin(snapshot, file, path, &manifest, now)?;
    writer.all(snapshot, &manifest, progress)?;
    let (key, end) = (writer.key, writer.end);
    let file = writer
        .out
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    drop(file);
    // What is on the disk is what is proved, not what was meant to be there.
    let mut read_back = Backup::with_key(path, key)?;
    let scopes = prove::file(&mut read_back, &manifest, &end.missing, progress)?;
    Ok(Backed {
        made: now,
        documents: end.documents,
        pieces: end.pieces,
        statements: end.statements,
        parts: end.parts,
        scopes,
        bytes,
        missing: end.missing,
    })
}

fn name_it(unfinished: &Path, path: &Path) -> Result<(), BackupError> {
    let named = fs::rename(unfinished, path).and_then(|()| secret::sync_folder_of(path));
    named.map_err(|error| BackupError::Io(path.to_owned(), error.kind()))
}

struct Writer<'p> {
    out: BufWriter<File>,
    path: &'p Path,
    header: HeaderHash,
    key: FileKey,
    tenant_key: [u8; 32],
    number: u64,
    end: End,
}

impl<'p> Writer<'p> {
    fn begin<P: Snapshot>(
        snapshot: &P,
        file: File,
        path: &'p Path,
        manifest: &Manifest,
        now: Moment,
    ) -> Result<Writer<'p>, BackupError> {
        let recovery = recovery_of(snapshot)?.ok_or(BackupError::NoRecoveryKey)?;
        let rows = Material::rows(snapshot)?;
        let tenant_key = Material::of_rows(rows.clone())
            .map_err(|_| BackupError::NoRecoveryKey)?
            .tenant_key
            .0;
        let key = FileKey::draw();
        let header = codec::encode(&Header {
            tenant: manifest.tenant,
            recovery: recovery.name(),
            made: now,
            key: recovery.seal(key.bytes()),
        });
        let mut writer = Writer {
            out: BufWriter::new(file),
            path,
            header: header_hash(&header),
            key,
            tenant_key,
            number: 0,
            end: End::default(),
        };
        let length = u32::try_from(header.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let begun = writer
            .out
            .write_all(MAGIC)
            .and_then(|()| writer.out.write_all(&length))
            .and_then(|()| writer.out.write_all(&header));
        begun.map_err(|error| writer.failed(&error))?;
        writer.sealed(Kind::Manifest, &codec::encode(manifest))?;
        let material = recovery.seal(&rows.encode());
        writer.record(Kind::Authority, &material)?;
        Ok(writer)
    }

    fn all<P: Snapshot>(
        &mut self,
        snapshot: &P,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<(), BackupError> {
        let (statements, unread) = backup::every_statement(snapshot)?;
        self.end.missing.statements = unread;
        self.end.missing.scopes_unread = manifest.scopes_unread;
        for some in statements.chunks(STATEMENTS_AT_ONCE) {
            self.end.statements += some.len() as u64;
            self.sealed(Kind::Statements, &codec::encode(&some.to_vec()))?;
        }
        for device in review::devices(snapshot)? {
            let kept = review::kept(snapshot, device)?;
            self.end.missing.parts += kept.unread;
            for (_, part) in kept.parts {
                self.end.parts += 1;
                self.sealed(Kind::Part, &codec::encode(&Part { device, part }))?;
            }
        }
        for document in backup::every_document(snapshot)? {
            if !progress(self.end.documents, manifest.documents) {
                return Err(BackupError::Interrupted);
            }
            let key = FileKey::draw();
            let name = ledger_name(&self.tenant_key, document);
            let wrapped = self.spot(Kind::Key).wrap(&self.key, name, &key);
            self.record(Kind::Key, &wrapped)?;
            let mut gathered: (Vec<Piece>, usize) = Default::default();
            let unread = backup::each_readable_piece(snapshot, document, |piece| {
                let bytes = codec::encode(&piece).len();
                if gathered.1 + bytes > PIECES_BYTES && !gathered.0.is_empty() {
                    self.pieces(&key, &std::mem::take(&mut gathered).0)?;
                }
                gathered.0.push(piece);
                gathered.1 += bytes;
                Ok::<_, BackupError>(())
            })?;
            if !gathered.0.is_empty() {
                self.pieces(&key, &gathered.0)?;
            }
            self.end.documents += 1;
            if unread > 0 {
                self.lacks(snapshot, document)?;
            }
        }
        let end = codec::encode(&self.end);
        self.sealed(Kind::End, &end)
    }

    /// Something of a document could not be read.
    fn lacks<P: Snapshot>(
        &mut self,
        snapshot: &P,
        document: DocumentId,
    ) -> Result<(), BackupError> {
        let missing = &mut self.end.missing;
        if missing.is_full() {
            return Err(BackupError::TooDamaged);
        }
        missing.documents.push(document);
        match views::scopes_of(snapshot, document) {
            Ok(scopes) if !scopes.is_empty() => {
                let new = scopes.into_iter();
                let new: Vec<_> = new
                    .filter(|scope| !missing.scopes.contains(scope))
                    .collect();
                missing.scopes.extend(new);
            }
            Ok(_) | Err(_) => missing.anywhere = true,
        }
        Ok(())
    }

    fn pieces(&mut self, key: &FileKey, pieces: &Vec<Piece>) -> Result<(), BackupError> {
        self.end.pieces += pieces.len() as u64;
        let bytes = self.spot(Kind::Pieces).seal(key, &codec::encode(pieces));
        self.record(Kind::Pieces, &bytes)
    }

    fn sealed(&mut self, kind: Kind, what: &[u8]) -> Result<(), BackupError> {
        let bytes = self.spot(kind).seal(&self.key, what);
        self.record(kind, &bytes)
    }

    fn spot(&self, kind: Kind) -> Spot<'_> {
        Spot {
            header: &self.header,
            kind,
            number: self.number,
        }
    }

    fn record(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), BackupError> {
        self.number += 1;
        put(&mut self.out, kind, bytes).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> BackupError {
        BackupError::Io(self.path.to_owned(), error.kind())
    }
}
