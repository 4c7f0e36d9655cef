//! A revoked device's end: its keys are destroyed, and the centre is told.
//!
//! The device has handed in what it never sent, unless it counts as lost. What is destroyed is
//! everything without which the folder is ciphertext: the device's key and the organisation's in
//! the store, the keys of its epochs, and the key file or the salt of the passphrase. A copy of
//! these elsewhere is beyond reach. A note stays in the folder, so that whoever starts the edge
//! again is told why it does not.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use node::{
    names::{DeviceId, Moment},
    protocol::narrow::PurgeReceipt,
};
use runtime::{FolderLock, KeySource, Leaving, Material, shell, tell_purged};
use serde::{Deserialize, Serialize};

use super::{
    Failure,
    folder::{self, EPOCHS_FILE},
};

/// The note's name in the folder.
const NOTE: &str = "revoked.json";
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
    /// When its keys were destroyed.
    purged: Moment,
    /// Whether the centre knows that.
    told: bool,
}

impl Note {
    fn words(&self) -> String {
        let handed_in = match (self.lost, self.handed_in) {
            (true, _) => "it counts as lost, so nothing was handed in",
            (false, 0) => "everything it wrote had been sent before",
            (false, _) => {
                "what it had not sent was handed in to the centre, where a person looks at it"
            }
        };
        let told = if self.told {
            "and the centre knows"
        } else {
            "but the centre could not be told: tell its operator"
        };
        format!(
            "this device was revoked; {handed_in}. Its keys are destroyed, {told}. To work on this \
             machine again, enrol it in a new folder with a new key"
        )
    }
}

/// Refuses to work in the folder of a device that is no more.
///
/// # Errors
/// What became of it.
pub(super) fn check(data: &Path) -> Result<(), Failure> {
    let path = data.join(NOTE);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(about) if about.len() > NOTE_BYTES_MAX => {}
        Ok(_) => {
            if let Ok(note) = serde_json::from_slice::<Note>(&fs::read(&path)?) {
                return Err(Failure::refused(note.words()));
            }
        }
    }
    Err(Failure::refused(
        "this device was revoked and its keys are destroyed: enrol this machine in a new folder",
    ))
}

/// Destroys the keys of a revoked device and tells the centre; answers how that went, in the words
/// with which the program ends. `centre` says where it is, if it has moved since enrolment.
pub async fn leave(data: &Path, key: &KeySource, leaving: Leaving, centre: &[String]) -> Failure {
    match try_leave(data, key, leaving, centre).await {
        Ok(note) => Failure::refused(note.words()),
        Err(failure) => Failure::failed(format!(
            "this device was revoked, and its keys could not be destroyed ({}): start it again",
            failure.words
        )),
    }
}

async fn try_leave(
    data: &Path,
    key: &KeySource,
    leaving: Leaving,
    centre: &[String],
) -> Result<Note, Failure> {
    let lock = folder::take(data)?;
    let (mut store, material) = folder::open(&lock, key)?;
    let now = shell::now();
    let receipt = PurgeReceipt::sign(&material.device, &material.tenant, now);
    let mut note = Note {
        device: material.device.device_id(),
        revoked: leaving.at,
        lost: leaving.lost,
        handed_in: leaving.parts,
        purged: now,
        told: false,
    };
    Material::destroy(&mut store)?;
    store.into_inner().close()?;
    // From here on the folder opens no more, so the note comes first.
    write_note(&lock, &note)?;
    destroy(&data.join(EPOCHS_FILE))?;
    for path in key.files(data) {
        destroy(&path)?;
    }
    tracing::warn!("the keys of this device are destroyed");
    let centre = if centre.is_empty() {
        &material.centre
    } else {
        centre
    };
    match tell_purged(&material, centre, receipt).await {
        Ok(()) => {
            note.told = true;
            write_note(&lock, &note)?;
        }
        Err(why) => tracing::error!(why, "the centre could not be told"),
    }
    Ok(note)
}

fn write_note(lock: &FolderLock, note: &Note) -> Result<(), Failure> {
    let path = lock.path().join(NOTE);
    let bytes = serde_json::to_vec(note).map_err(Failure::failed)?;
    let mut file = File::create(&path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    File::open(lock.path())?.sync_all()?;
    Ok(())
}

/// Overwrites a file before its name goes, since a name alone gives the bytes free and no more.
/// What the disk itself keeps of them is beyond reach.
fn destroy(path: &PathBuf) -> io::Result<()> {
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
    use super::*;

    #[test]
    fn a_note_says_what_became_of_the_device() {
        let mut note = Note {
            device: DeviceId([1; 16]),
            revoked: Moment(1),
            lost: false,
            handed_in: 2,
            purged: Moment(3),
            told: true,
        };
        assert!(note.words().contains("handed in to the centre"));
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
}
