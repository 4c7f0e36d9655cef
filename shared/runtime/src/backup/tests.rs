//! A record of a few documents, put away and brought back; and files that somebody spoilt.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use node::{
    Errand,
    names::DeviceId,
    store::{Batch, MemorySnapshot, MemoryStore, Store, Table},
    views,
};

use super::{
    container::{FileKey, Spot},
    *,
};
use crate::{
    Config, Material, Role, shell, start,
    testing::{Folder, Kept, Organisation, add_note, open_case},
};

/// A device that has handed something in, which nobody has let in yet.
const REVOKED: DeviceId = DeviceId([7; 16]);

struct Case {
    folder: Folder,
    store: Kept,
    recovery: RecoveryKey,
    without_refused: bool,
}

impl Case {
    /// A node with three documents; it is backed up while it runs.
    async fn begin() -> (Case, PathBuf, Backed) {
        let organisation = Arc::new(Organisation::new());
        let material = organisation.edge();
        let recovery = RecoveryKey::draw(material.tenant, material.authority);
        let mut store = Kept::default();
        material.save(&mut store).unwrap();
        keep_recovery(&mut store, &recovery.public()).unwrap();
        let case = Case {
            folder: Folder::new(),
            store: store.clone(),
            recovery,
            without_refused: false,
        };
        let role = Role::Edge { centre: Vec::new() };
        let running = start(Config {
            store,
            material,
            role,
        })
        .await
        .unwrap();
        let handle = running.handle();
        for _ in 0..3 {
            let saved = handle.command(open_case()).await.unwrap();
            for note in ["first", "second"] {
                let note = add_note(saved.document, note);
                handle.command(note).await.unwrap();
            }
        }
        for part in [b"one".to_vec(), b"two".to_vec()] {
            let part = Errand::HandIn {
                device: REVOKED,
                part,
            };
            handle.errand(part).await.unwrap();
        }
        let path = case.folder.path().join("a.backup");
        let (backed, number) = handle
            .backup(path.clone(), |done, of| {
                assert!(done <= of && of == 3);
                true
            })
            .await
            .unwrap();
        assert_eq!(number, Some(1));
        handle.keep_backup(1).await.unwrap();
        running.stop().await;
        (case, path, backed)
    }

    fn restore(&self, path: &Path) -> Result<(MemoryStore, Restored), BackupError> {
        let (mut backup, manifest, material) = Backup::open(path, &self.recovery)?;
        let (store, of) = (MemoryStore::new(), (&manifest, &material));
        restore(store, &mut backup, of, self.without_refused, &mut |_, _| {
            true
        })
    }

    fn write(&self, name: &str) -> (PathBuf, Backed) {
        let path = self.folder.path().join(name);
        let snapshot = self.store.snapshot().unwrap();
        let backed = write_file(&snapshot, &path, shell::now(), &mut |_, _| true).unwrap();
        (path, backed)
    }

    fn documents(&self) -> Vec<DocumentId> {
        let documents = node::backup::documents(&self.store.snapshot().unwrap());
        documents.unwrap().into_iter().collect()
    }

    /// Spoils a row as a flipped bit does.
    fn spoil(&mut self, table: Table, name: &[u8], position: u64) {
        let mut batch = Batch::new();
        batch.put(table, name, position, vec![0xFF; 3]);
        self.store.commit(batch).unwrap();
    }

    fn spoilt(&self, bytes: &[u8]) -> Option<BackupError> {
        let path = self.folder.path().join("spoilt.backup");
        fs::write(&path, bytes).unwrap();
        self.restore(&path).err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_comes_back() {
    let (case, path, backed) = Case::begin().await;
    assert_eq!((backed.documents, backed.scopes), (3, 1));
    assert!(backed.pieces >= 6 && backed.bytes == fs::metadata(&path).unwrap().len());
    let (store, restored) = case.restore(&path).unwrap();
    assert_eq!((restored.documents, restored.struck), (3, 0));
    assert_eq!(restored.statements, backed.statements);
    assert!(restored.scopes.iter().all(|scope| scope.equal));
    // What a revoked device has handed in is nowhere else in the world.
    assert_eq!((backed.parts, restored.parts), (2, 2));
    let kept = |snapshot| node::review::kept(&snapshot, REVOKED).unwrap();
    let parts = kept(store.snapshot().unwrap()).parts;
    assert_eq!(parts, kept(case.store.snapshot().unwrap()).parts);
    assert_eq!(parts.len(), 2);
    assert!(backed.missing.is_nothing() && restored.missing.is_nothing());
    let was = views::recompute(&case.store.snapshot().unwrap()).unwrap();
    let is = views::recompute(&store.snapshot().unwrap()).unwrap();
    assert_eq!(was, is);
    let material = Material::load(&store).unwrap();
    let before = Material::load(&case.store).unwrap();
    assert_eq!(material.device.public(), before.device.public());
    let names = fs::read_dir(case.folder.path()).unwrap();
    assert_eq!(names.count(), 1, "nothing unfinished is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_backup_does_not_come_back() {
    let (case, path, _) = Case::begin().await;
    let whole = fs::read(&path).unwrap();
    assert!(matches!(
        case.spoilt(b"something"),
        Some(BackupError::NotABackup)
    ));
    let newer = [b"ridgeway backup 2\n", &whole[18..]].concat();
    assert!(matches!(case.spoilt(&newer), Some(BackupError::TooNew)));
    for cut in [17, 19, 22, 200, whole.len() / 2, whole.len() - 1] {
        let refused = case.spoilt(&whole[..cut]);
        let cut_off = matches!(refused, Some(BackupError::CutOff | BackupError::NotABackup));
        assert!(cut_off, "{cut}: {refused:?}");
    }
    let longer = [&whole[..], b"x"].concat();
    assert!(matches!(
        case.spoilt(&longer),
        Some(BackupError::Damaged(_))
    ));
    // A flipped bit anywhere, in header, frames or records: never a panic, never taken.
    for at in (0..whole.len()).step_by(whole.len() / 97 + 1) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(case.spoilt(&flipped).is_some(), "byte {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_recovery_key_of_the_organisation_opens_it() {
    let (case, path, _) = Case::begin().await;
    let (tenant, authority) = (case.recovery.tenant, case.recovery.authority);
    let open = |key: &RecoveryKey| Backup::open(&path, key).err();
    let other = RecoveryKey::draw(tenant, authority);
    assert!(matches!(open(&other), Some(BackupError::WrongKey)));
    let stranger = RecoveryKey::draw(TenantId([7; 16]), authority);
    assert!(matches!(
        open(&stranger),
        Some(BackupError::OtherOrganisation)
    ));
    // Nothing that was typed is readable in it, nor a key.
    let bytes = fs::read(&path).unwrap();
    let seed = Material::load(&case.store).unwrap().device.seed();
    for secret in [&b"second"[..], &seed[..], b"a letter"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_it_is_told_to_and_leaves_nothing() {
    let (case, path, _) = Case::begin().await;
    let snapshot = case.store.snapshot().unwrap();
    let refused = write_file(&snapshot, &path, shell::now(), &mut |_, _| true);
    assert!(matches!(refused, Err(BackupError::There(_))));
    let other = case.folder.path().join("other.backup");
    for most in 0..6 {
        let mut calls = 0;
        let ended = write_file(&snapshot, &other, shell::now(), &mut |_, _| {
            calls += 1;
            calls <= most
        });
        assert!(matches!(ended, Err(BackupError::Interrupted)), "{most}");
        assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), 1);
    }
}

/// The bytes of a document's key in a file are overwritten, as a striking does it: that document
/// alone does not come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_can_be_struck_out_of_an_old_backup() {
    let (case, path, _) = Case::begin().await;
    let mut bytes = fs::read(&path).unwrap();
    let mut at = MAGIC.len();
    let length = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    at += 4 + length(at);
    while bytes[at + 4] != Kind::Key as u8 {
        at += 5 + length(at);
    }
    let (name, end) = (at + 5 + 16, at + 5 + length(at));
    bytes[name..end].fill(0);
    let struck = case.folder.path().join("struck.backup");
    fs::write(&struck, &bytes).unwrap();
    let (store, restored) = case.restore(&struck).unwrap();
    assert_eq!((restored.documents, restored.struck), (2, 1));
    let left = node::backup::documents(&store.snapshot().unwrap()).unwrap();
    let all = case.documents();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), all[1..], "the first");
    assert!(restored.scopes.iter().all(|scope| !scope.equal));
}

/// One bit that flips in the store ended all of its backups.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_named_and_all_else_is_in_the_backup() {
    let (mut case, _, whole) = Case::begin().await;
    let bad = case.documents()[1];
    case.spoil(Table::Bundle, bad.as_ref(), 1);
    let (path, backed) = case.write("spoilt.backup");
    assert_eq!((backed.documents, backed.pieces), (3, whole.pieces - 1));
    assert_eq!(backed.missing.documents, [bad]);
    assert_eq!(backed.scopes, 0, "the scope of it is not proved");
    let refused = case.restore(&path).err();
    assert!(
        matches!(refused, Some(BackupError::Refused(id, _)) if id == bad),
        "{refused:?}"
    );
    case.without_refused = true;
    let (store, restored) = case.restore(&path).unwrap();
    assert_eq!(
        (restored.documents, restored.missing.documents),
        (3, vec![bad])
    );
    assert_eq!(restored.refused.len(), 1);
    let pieces = |snapshot: MemorySnapshot, document| {
        let mut pieces = 0;
        let count = |_| {
            pieces += 1;
            Ok::<_, StoreError>(())
        };
        node::backup::each_readable_piece(&snapshot, document, count).unwrap();
        pieces
    };
    for document in case.documents() {
        let is = pieces(store.snapshot().unwrap(), document);
        let was = pieces(case.store.snapshot().unwrap(), document);
        assert!(is == was || (document == bad && is > 0), "{is} of {was}");
    }
}

/// The last of a document is damaged: nothing of the file is refused, and yet it is not whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_lacks_something_is_not_taken_for_whole() {
    let (mut case, _, _) = Case::begin().await;
    let bad = case.documents()[0];
    case.spoil(Table::Bundle, bad.as_ref(), 2);
    case.spoil(Table::Review, REVOKED.as_ref(), 1);
    let (path, backed) = case.write("spoilt.backup");
    assert_eq!(
        (backed.missing.documents.len(), backed.missing.parts),
        (1, 1)
    );
    let refused = case.restore(&path).err();
    assert!(
        matches!(refused, Some(BackupError::Incomplete(1))),
        "{refused:?}"
    );
    case.without_refused = true;
    let (_, restored) = case.restore(&path).unwrap();
    assert_eq!((restored.documents, restored.parts), (3, 1));
    assert!(restored.refused.is_empty() && !restored.missing.is_nothing());
}

#[test]
fn a_recovery_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, data) = (Folder::new(), Folder::new());
    let material = Organisation::new().edge();
    let drawn = RecoveryKey::draw(material.tenant, material.authority);
    let path = folder.path().join("centre.recovery");
    drawn.write(&path, data.path()).unwrap();
    assert!(RecoveryKey::read(&path).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = RecoveryKey::read(&path).err().unwrap();
    assert!(refused.to_string().contains("chmod 600"), "{refused}");
}

#[test]
fn a_record_opens_in_its_own_place_alone() {
    let key = FileKey::draw();
    let (one, other) = ([1; 32], [2; 32]);
    let spot = |header, kind, number| Spot {
        header,
        kind,
        number,
    };
    let sealed = spot(&one, Kind::Pieces, 5).seal(&key, b"what is in it");
    assert_eq!(
        spot(&one, Kind::Pieces, 5).open(&key, &sealed).unwrap(),
        b"what is in it"
    );
    for elsewhere in [
        spot(&other, Kind::Pieces, 5),
        spot(&one, Kind::Statements, 5),
        spot(&one, Kind::Pieces, 6),
    ] {
        assert!(elsewhere.open(&key, &sealed).is_err());
    }
    assert!(
        spot(&one, Kind::Pieces, 5)
            .open(&FileKey::draw(), &sealed)
            .is_err()
    );
}
