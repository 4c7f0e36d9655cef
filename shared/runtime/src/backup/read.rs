//! Reading a backup, record by record: nothing is believed before it is opened, and nothing is
//! allocated on the word of a length.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
};

use node::{
    backup::{Manifest, Piece},
    names::{DeviceId, Moment, Reason},
    protocol::{SignedStatement, codec},
};

use super::{
    BackupError, End, HEADER_BYTES_MAX, Header, Kind, MAGIC, MAGIC_BEGINS, Missing, Part,
    RECORD_BYTES_MAX,
    container::{FileKey, HeaderHash, Spot, header_hash, take},
    recovery::RecoveryKey,
};
use crate::{Material, material::MaterialRows};

/// A backup that is read from its beginning to its end.
pub struct Backup {
    file: BufReader<File>,
    path: PathBuf,
    header: HeaderHash,
    key: FileKey,
    number: u64,
    /// The key of the document at hand; none when it was struck out.
    document: Option<FileKey>,
    found: End,
    /// The length of the record that was read last.
    length: usize,
    struck: u64,
    made: Moment,
}

/// What comes next in a file.
pub(super) enum Next {
    Manifest(Box<Manifest>),
    /// Boxed to the recovery key.
    Authority(Vec<u8>),
    Statements(Vec<SignedStatement>),
    Part(DeviceId, Vec<u8>),
    /// A document begins.
    Document,
    Pieces(Vec<Piece>),
    /// The end; what could not be read when the file was made.
    End(Missing),
}

impl Backup {
    /// Opens a backup with the recovery key, and reads what it says of itself: the state it was
    /// made from, and what the centre is made of.
    ///
    /// # Errors
    /// [`BackupError`] says what is wrong with the file or the key.
    pub fn open(
        path: &Path,
        recovery: &RecoveryKey,
    ) -> Result<(Backup, Manifest, Material), BackupError> {
        let (file, header, hash) = begin(path)?;
        if header.tenant != recovery.tenant {
            return Err(BackupError::OtherOrganisation);
        }
        let key = recovery
            .open(&header.key)
            .filter(|_| header.recovery == recovery.public().name());
        let key = key.and_then(|key| FileKey::from_bytes(&key));
        let key = key.ok_or(BackupError::WrongKey)?;
        let mut backup = Backup::on(file, path, hash, key, header.made);
        let manifest = backup.manifest()?;
        let Next::Authority(boxed) = backup.next()? else {
            return Err(backup.damaged());
        };
        let rows = recovery.open(&boxed).ok_or_else(|| backup.damaged())?;
        let rows = MaterialRows::decode(&rows).map_err(|_| backup.damaged())?;
        let material = Material::of_rows(rows).map_err(|_| backup.damaged())?;
        let ours = (recovery.tenant, recovery.authority);
        if (material.tenant, material.authority) != ours || manifest.tenant != recovery.tenant {
            return Err(BackupError::OtherOrganisation);
        }
        Ok((backup, manifest, material))
    }

    /// The same for whoever has just written the file and knows its key.
    pub(super) fn with_key(path: &Path, key: FileKey) -> Result<Backup, BackupError> {
        let (file, header, hash) = begin(path)?;
        Ok(Backup::on(file, path, hash, key, header.made))
    }

    fn on(
        file: BufReader<File>,
        path: &Path,
        header: HeaderHash,
        key: FileKey,
        made: Moment,
    ) -> Backup {
        Backup {
            file,
            path: path.to_owned(),
            header,
            key,
            number: 0,
            document: None,
            found: End::default(),
            length: 0,
            struck: 0,
            made,
        }
    }

    /// When it was begun.
    pub fn made(&self) -> Moment {
        self.made
    }

    /// Documents that were struck out of it, so far.
    pub fn struck(&self) -> u64 {
        self.struck
    }

    /// The length of the record that was read last, in bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn manifest(&mut self) -> Result<Manifest, BackupError> {
        if let Next::Manifest(manifest) = self.next()? {
            Ok(*manifest)
        } else {
            Err(self.damaged())
        }
    }

    /// The next thing there is. Pieces of documents that were struck out are passed over.
    pub(super) fn next(&mut self) -> Result<Next, BackupError> {
        loop {
            let (kind, bytes) = self.record()?;
            let header = self.header;
            let spot = Spot {
                header: &header,
                kind,
                number: self.number,
            };
            self.number += 1;
            self.length = bytes.len();
            match kind {
                Kind::Manifest => {
                    let manifest = read(&spot, &spot.open(&self.key, &bytes)?)?;
                    return Ok(Next::Manifest(Box::new(manifest)));
                }
                Kind::Authority => return Ok(Next::Authority(bytes)),
                Kind::Statements => {
                    let some: Vec<_> = read(&spot, &spot.open(&self.key, &bytes)?)?;
                    self.found.statements += some.len() as u64;
                    return Ok(Next::Statements(some));
                }
                Kind::Part => {
                    let Part { device, part } = read(&spot, &spot.open(&self.key, &bytes)?)?;
                    self.found.parts += 1;
                    return Ok(Next::Part(device, part));
                }
                Kind::Key => {
                    self.document = spot.unwrap(&self.key, &bytes)?;
                    self.found.documents += 1;
                    self.struck += u64::from(self.document.is_none());
                    return Ok(Next::Document);
                }
                Kind::Pieces => {
                    let Some(key) = &self.document else { continue };
                    let pieces: Vec<_> = read(&spot, &spot.open(key, &bytes)?)?;
                    self.found.pieces += pieces.len() as u64;
                    return Ok(Next::Pieces(pieces));
                }
                Kind::End => {
                    let end: End = read(&spot, &spot.open(&self.key, &bytes)?)?;
                    let missing = end.missing.clone();
                    self.end(&end)?;
                    return Ok(Next::End(missing));
                }
            }
        }
    }

    /// The end says what came before it, and is the last.
    fn end(&mut self, end: &End) -> Result<(), BackupError> {
        let mut rest = [0; 1];
        let more = self
            .file
            .read(&mut rest)
            .map_err(|error| self.failed(&error))?;
        let counted = End {
            pieces: if self.struck > 0 {
                end.pieces
            } else {
                self.found.pieces
            },
            missing: end.missing.clone(),
            ..self.found.clone()
        };
        if more == 0 && *end == counted {
            Ok(())
        } else {
            Err(self.damaged())
        }
    }

    fn record(&mut self) -> Result<(Kind, Vec<u8>), BackupError> {
        let mut frame = [0; 5];
        match self.file.read_exact(&mut frame) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(BackupError::CutOff);
            }
            read => read.map_err(|error| self.failed(&error))?,
        }
        let [a, b, c, d, kind] = frame;
        let length = u32::from_be_bytes([a, b, c, d]);
        let kind = Kind::of(kind).filter(|_| length <= RECORD_BYTES_MAX);
        let kind = kind.ok_or_else(|| self.damaged())?;
        let bytes = take(&mut self.file, length).map_err(|error| self.failed(&error))?;
        Ok((kind, bytes.ok_or(BackupError::CutOff)?))
    }

    pub(super) fn damaged(&self) -> BackupError {
        BackupError::Damaged(self.number)
    }

    fn failed(&self, error: &io::Error) -> BackupError {
        BackupError::Io(self.path.clone(), error.kind())
    }
}

fn read<T>(spot: &Spot<'_>, bytes: &[u8]) -> Result<T, BackupError>
where
    T: for<'b> minicbor::Decode<'b, ()>,
{
    let value: Result<T, Reason> = codec::decode(bytes);
    value.map_err(|_| BackupError::Damaged(spot.number))
}

/// Opens a file and reads its clear beginning.
fn begin(path: &Path) -> Result<(BufReader<File>, Header, HeaderHash), BackupError> {
    let failed = |error: io::Error| BackupError::Io(path.to_owned(), error.kind());
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let magic = take(&mut file, MAGIC.len() as u32).map_err(failed)?;
    let magic = magic.ok_or(BackupError::NotABackup)?;
    if magic != MAGIC {
        return Err(if magic.starts_with(MAGIC_BEGINS) {
            BackupError::TooNew
        } else {
            BackupError::NotABackup
        });
    }
    let length = take(&mut file, 4).map_err(failed)?;
    let length: [u8; 4] = length
        .and_then(|length| length.try_into().ok())
        .ok_or(BackupError::CutOff)?;
    let length = u32::from_be_bytes(length);
    if length > HEADER_BYTES_MAX {
        return Err(BackupError::Damaged(0));
    }
    let bytes = take(&mut file, length).map_err(failed)?;
    let bytes = bytes.ok_or(BackupError::CutOff)?;
    let header = codec::decode(&bytes).map_err(|_| BackupError::Damaged(0))?;
    Ok((file, header, header_hash(&bytes)))
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backup(at record {})", self.number)
    }
}
