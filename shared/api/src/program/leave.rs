//! A revoked device's end: its keys are destroyed, and the centre is told.
//!
//! The device has handed in what it never sent, unless it counts as lost. What is destroyed lies in
//! the folder and is this store's alone: the file with the store's half of its key and the keys of
//! its epochs, without which the whole store is ciphertext, the device's key and the organisation's
//! in it as well. The key it opened with is left alone, since other stores may open with it. A copy
//! of the folder elsewhere is beyond reach.
//!
//! A note in the folder is written first, says how far the end has got, and stays. So whoever
//! starts the edge again after it was cut off finishes what was begun, which needs no key, and is
//! told what became of the device.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use node::{
    names::{DeviceId, Moment},
    protocol::narrow::PurgeReceipt,
    store::Epochs,
};
use runtime::{FolderLock, KeySource, Leaving, shell, tell_purged};
use serde::{Deserialize, Serialize};

use super::{
    Failure,
    folder::{self, EPOCHS_FILE},
};

/// The note's name in the folder.
const NOTE: &str = "revoked.json";
/// What it is called while it is written.
const NOTE_NEW: &str = "revoked.json.new";
/// A note is some hundred bytes; whatever is longer is none.
const NOTE_BYTES_MAX: u64 = 4 << 10;

/// What is left of a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Note {
    device: DeviceId,
    /// When it was revoked, by the centre's clock.
    revoked: Moment,
    lost: bool,
    /// Parts handed in.
    handed_in: u64,
    /// When its keys were destroyed; none while that is under way.
    purged: Option<Moment>,
    /// Whether the centre knows that.
    told: bool,
}

impl Note {
    fn words(&self) -> String {
        let handed_in = match (self.lost, self.handed_in) {
            (true, _) => "it counts as lost, so nothing was handed in",
            (false, 0) => "the centre had everything that it holds",
            (false, _) => {
                "what the centre did not have was handed in to it, where a person looks at it"
            }
        };
        let keys = match (self.purged, self.told) {
            (None, _) => "Its keys are about to be destroyed",
            (Some(_), true) => "Its keys are destroyed, and the centre knows",
            (Some(_), false) => {
                "Its keys are destroyed, but the centre could not be told: tell its operator"
            }
        };
        format!(
            "this device was revoked; {handed_in}. {keys}. To work on this machine again, enrol it \
             in a new folder"
        )
    }
}

/// A step of the end, for a test to have it fail there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The note is written: the keys are about to be destroyed.
    Begin,
    /// A file is destroyed.
    Destroy,
    /// The note is written: they are.
    End,
}

/// What is asked before each step.
type Before<'b> = &'b mut dyn FnMut(Step) -> io::Result<()>;

/// Refuses to work in the folder of a device that is no more, and finishes its end if that was cut
/// off.
///
/// # Errors
/// What became of it; that its keys could not be destroyed yet.
pub(super) fn check(lock: &FolderLock) -> Result<(), Failure> {
    check_in(lock.path(), &mut |_| Ok(()))
}

fn check_in(folder: &Path, before: Before<'_>) -> Result<(), Failure> {
    let path = folder.join(NOTE);
    let about = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        about => about?,
    };
    let note = match about.len() {
        0..=NOTE_BYTES_MAX => serde_json::from_slice::<Note>(&fs::read(&path)?).ok(),
        _ => None,
    };
    let note = match note {
        Some(note) if note.purged.is_none() => finish(folder, note, before).map_err(unfinished)?,
        Some(note) => note,
        None => {
            let there = Epochs::files(&folder.join(EPOCHS_FILE));
            let keys = if there.iter().any(|path| path.exists()) {
                "its keys are still in the folder: remove it"
            } else {
                "its keys are destroyed"
            };
            return Err(Failure::refused(format!(
                "this device was revoked, and {keys} ({NOTE} cannot be read). Enrol this machine \
                 in a new folder"
            )));
        }
    };
    Err(Failure::refused(note.words()))
}

/// Destroys the keys of a revoked device and tells the centre; answers how that went, in the words
/// with which the program ends. `centre` says where it is, if it has moved since enrolment.
pub async fn leave(data: &Path, key: &KeySource, leaving: Leaving, centre: &[String]) -> Failure {
    match try_leave(data, key, leaving, centre).await {
        Ok(note) => Failure::refused(note.words()),
        Err(failure) => failure,
    }
}

fn unfinished(error: io::Error) -> Failure {
    Failure::failed(format!(
        "this device was revoked, and its keys could not be destroyed yet ({}): start it again, \
         or remove the folder",
        error.kind()
    ))
}

async fn try_leave(
    data: &Path,
    key: &KeySource,
    leaving: Leaving,
    centre: &[String],
) -> Result<Note, Failure> {
    let lock = folder::take(data)?;
    let (store, material) = folder::open(&lock, key)?;
    store.into_inner().close()?;
    let receipt = PurgeReceipt::sign(&material.device, &material.tenant, shell::now());
    let note = Note {
        device: material.device.device_id(),
        revoked: leaving.at,
        lost: leaving.lost,
        handed_in: leaving.parts,
        purged: None,
        told: false,
    };
    let mut note = end(lock.path(), note, &mut |_| Ok(())).map_err(unfinished)?;
    tracing::warn!("the keys of this device are destroyed");
    let centre = if centre.is_empty() {
        &material.centre
    } else {
        centre
    };
    match tell_purged(&material, centre, receipt).await {
        Ok(()) => {
            note.told = true;
            write_note(lock.path(), &note)?;
        }
        Err(why) => tracing::error!(why, "the centre could not be told"),
    }
    Ok(note)
}

/// From the note on the end is taken up again until it is done; before it nothing has happened.
fn end(folder: &Path, note: Note, before: Before<'_>) -> io::Result<Note> {
    before(Step::Begin)?;
    write_note(folder, &note)?;
    finish(folder, note, before)
}

fn finish(folder: &Path, mut note: Note, before: Before<'_>) -> io::Result<Note> {
    for path in Epochs::files(&folder.join(EPOCHS_FILE)) {
        before(Step::Destroy)?;
        destroy(&path)?;
    }
    before(Step::End)?;
    note.purged = Some(shell::now());
    write_note(folder, &note)?;
    Ok(note)
}

/// Under its name there is either the whole note or the one before it.
fn write_note(folder: &Path, note: &Note) -> io::Result<()> {
    let (new, path) = (folder.join(NOTE_NEW), folder.join(NOTE));
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(note)?)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()
}

/// Overwrites a file before its name goes, since a name alone gives the bytes free and no more.
/// What the disk itself keeps of them is beyond reach.
fn destroy(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    file.write_all(&vec![0; length.min(1 << 20)])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use node::store::{Batch, Store as _, Table};

    use super::*;
    use crate::testing::Folder;

    fn note() -> Note {
        Note {
            device: DeviceId([1; 16]),
            revoked: Moment(1),
            lost: false,
            handed_in: 2,
            purged: None,
            told: false,
        }
    }

    #[test]
    fn a_note_says_what_became_of_the_device() {
        let mut note = note();
        assert!(note.words().contains("about to be destroyed"));
        note.purged = Some(Moment(3));
        note.told = true;
        let words = note.words();
        assert!(words.contains("handed in to it") && words.contains("the centre knows"));
        note.lost = true;
        note.told = false;
        let words = note.words();
        assert!(
            words.contains("lost") && words.contains("could not be told"),
            "{words}"
        );
        let read: Note = serde_json::from_slice(&serde_json::to_vec(&note).unwrap()).unwrap();
        assert_eq!(read, note);
    }

    /// A sealed store with a row in it.
    fn begin(data: &Path, key: &KeySource) {
        let lock = folder::take_new(data).unwrap();
        let created = folder::create_with(&lock, key, |mut store| {
            let mut batch = Batch::new();
            batch.put(Table::Meta, b"note", 0, b"kept");
            store.commit(batch)?;
            Ok((store, ()))
        });
        let (store, (), _) = created.unwrap();
        store.into_inner().close().unwrap();
    }

    fn open(data: &Path, key: &KeySource) -> Result<(), Failure> {
        let lock = folder::take(data)?;
        folder::check(&lock, key)
    }

    #[test]
    fn what_dies_with_a_device_is_its_own_and_no_other_stores() {
        let machine = Folder::new();
        let key = KeySource::File(machine.path().join("machine.key"));
        let [one, other] = ["one", "other"].map(|name| machine.path().join(name));
        begin(&one, &key);
        begin(&other, &key);
        end(&one, note(), &mut |_| Ok(())).unwrap();
        assert_eq!(open(&other, &key), Ok(()));
        let refused = open(&one, &key).unwrap_err();
        assert!(
            refused.words.contains("Its keys are destroyed"),
            "{refused}"
        );
        // Nor does the folder open for whoever takes the note away, and has the key.
        fs::remove_file(one.join(NOTE)).unwrap();
        assert!(open(&one, &key).unwrap_err().words.contains("epoch.keys"));
        fs::copy(other.join(EPOCHS_FILE), one.join(EPOCHS_FILE)).unwrap();
        assert!(open(&one, &key).unwrap_err().words.contains("epoch.keys"));
    }

    #[test]
    fn an_end_that_fails_at_any_step_is_taken_up_again() {
        for failing in 0..4 {
            let machine = Folder::new();
            let key = KeySource::File(machine.path().join("machine.key"));
            let data = machine.path().join("one");
            begin(&data, &key);
            let mut steps = Vec::new();
            let mut fails = |step| {
                steps.push(step);
                match steps.len() > failing {
                    true => Err(io::ErrorKind::PermissionDenied.into()),
                    false => Ok(()),
                }
            };
            assert!(end(&data, note(), &mut fails).is_err());
            if failing == 0 {
                assert_eq!(steps, [Step::Begin]);
                assert_eq!(open(&data, &key), Ok(()), "nothing has happened yet");
                continue;
            }
            // It fails again, and says so; and is finished when it can be.
            let again = check_in(&data, &mut |_| Err(io::ErrorKind::StorageFull.into()));
            let words = again.unwrap_err().words;
            assert!(words.contains("could not be destroyed yet"), "{words}");
            let refused = open(&data, &key).unwrap_err();
            assert!(
                refused.words.contains("Its keys are destroyed"),
                "{refused}"
            );
            assert!(!data.join(EPOCHS_FILE).exists());
            assert!(machine.path().join("machine.key").exists());
        }
    }

    #[test]
    fn a_note_that_cannot_be_read_says_what_is_so() {
        let machine = Folder::new();
        let key = KeySource::File(machine.path().join("machine.key"));
        let data = machine.path().join("one");
        begin(&data, &key);
        fs::write(data.join(NOTE), "half a no").unwrap();
        let refused = open(&data, &key).unwrap_err();
        assert!(refused.words.contains("still in the folder"), "{refused}");
        fs::remove_file(data.join(EPOCHS_FILE)).unwrap();
        let refused = open(&data, &key).unwrap_err();
        assert!(refused.words.contains("are destroyed"), "{refused}");
    }
}
