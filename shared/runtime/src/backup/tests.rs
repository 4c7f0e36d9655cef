//! A record of a few documents, put away and brought back; and files that somebody spoilt.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use node::{
    store::{MemoryStore, Store},
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

struct Case {
    folder: Folder,
    store: Kept,
    recovery: RecoveryKey,
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
        let path = case.folder.path().join("a.backup");
        let backed = handle
            .backup(path.clone(), |done, of| {
                assert!(done <= of && of == 3);
                true
            })
            .await
            .unwrap();
        running.stop().await;
        (case, path, backed)
    }

    fn restore(&self, path: &Path) -> Result<(MemoryStore, Restored), BackupError> {
        let (mut backup, manifest, material) = Backup::open(path, &self.recovery)?;
        let store = MemoryStore::new();
        restore(store, &mut backup, &manifest, &material, &mut |_, _| true)
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
    let (_, restored) = case.restore(&struck).unwrap();
    assert_eq!((restored.documents, restored.struck), (2, 1));
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
