//! One-time codes: who they are for, until when, and whether they were used.
//!
//! They lie in a file beside the store, because they are no part of the record. Only a hash of each
//! token is kept, so the file lets nobody in, and it names no person. Whoever holds the folder's
//! lock is the only writer.
//!
//! A centre whose folder was copied back from an earlier day finds the codes of that day in it, some
//! of them used since. It cannot know that by itself, but it learns of it from the devices it knows:
//! they hand back the statements that the copy lacks, and nobody but this centre makes statements.
//! So the file says how many there were, and when there are more than were made here, every open
//! code dies. And so that none lets anybody in before that is known, a code that was made before
//! the centre was last started is good only once every device that was known then has been heard,
//! or an operator has said `resume`; one made since is good at once. The codes of another
//! incarnation are dead.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use node::names::{DeviceId, Incarnation, Moment, Reason, SiteId, WorkerId};
use serde::{Deserialize, Serialize};

/// The file's name in the folder.
const FILE: &str = "invites.json";
/// Codes that may be open at once. An organisation sets up tens of devices a day at most.
const INVITES_MAX: usize = 1_024;
/// How long a code is good for, in milliseconds: a day.
pub(crate) const INVITE_MS: i64 = 24 * 60 * 60 * 1_000;

/// What a code lets in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Invited {
    /// An edge of this site.
    Site(SiteId),
    /// A phone of this worker.
    Phone(WorkerId),
}

/// One code.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Invite {
    /// A hash of its token, in hexadecimal.
    token: String,
    whom: Invited,
    expires: Moment,
    /// The start of the centre in which it was made; empty when an operator has vouched for it.
    #[serde(default)]
    life: String,
    /// The device that used it. It may ask again, in case the answer was lost on its way.
    used_by: Option<DeviceId>,
}

impl Invite {
    /// Whether it lets this device in: nobody else has used it.
    fn is_for(&self, device: DeviceId, now: Moment) -> bool {
        self.expires > now && self.used_by.is_none_or(|by| by == device)
    }
}

/// All codes of one life of the authority.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    incarnation: Incarnation,
    /// Statements that this centre has made or knew of when the codes were last looked at.
    #[serde(default)]
    statements: u64,
    /// Whether the store was restored, and nobody has said `resume` nor has every device been heard.
    #[serde(default)]
    restored: bool,
    invites: Vec<Invite>,
}

/// The codes, and where they are kept.
#[derive(Debug)]
pub(crate) struct Invites {
    path: PathBuf,
    kept: Kept,
    life: String,
}

impl Invites {
    /// The codes in a folder that belong to this life of the authority, of which `statements` are
    /// known, opened for the start that `life` names; those of an earlier life are dead. Where there
    /// are none of this life, the store may be an old copy: `forgetful` says whether it came from a
    /// backup, or knows devices that somebody must have let in.
    pub(crate) fn open(
        data: &Path,
        incarnation: Incarnation,
        statements: u64,
        forgetful: bool,
        life: [u8; 16],
    ) -> io::Result<Invites> {
        let path = data.join(FILE);
        let life = hashed(&life);
        let none = Kept {
            incarnation,
            statements,
            restored: forgetful,
            invites: Vec::new(),
        };
        let kept = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => none,
            Err(error) => return Err(error),
            // A file that cannot be read lets nobody in; new codes replace it.
            Ok(bytes) => serde_json::from_slice(&bytes)
                .ok()
                .filter(|kept: &Kept| kept.incarnation == incarnation)
                .unwrap_or(none),
        };
        let mut invites = Invites { path, kept, life };
        if invites.kept.restored {
            // On disk, so that it holds until something ends it.
            let kept = invites.kept.clone();
            invites.keep(kept).map_err(|_| io::ErrorKind::Other)?;
        }
        Ok(invites)
    }

    /// Whether the store was restored, and it is not known yet what that has cost.
    pub(crate) fn is_restored(&self) -> bool {
        self.kept.restored
    }

    /// What the centre may have forgotten is known now. With `vouched`, an operator says so, and
    /// for the open codes too.
    pub(crate) fn resume(&mut self, vouched: bool) -> Result<(), Reason> {
        let mut kept = self.kept.clone();
        kept.restored = false;
        if vouched {
            let lives = kept.invites.iter_mut().map(|invite| &mut invite.life);
            lives.for_each(String::clear);
        }
        self.keep(kept)
    }

    /// Compares how many statements are known with how many were made here: when there are others,
    /// this is an old copy of the centre, and every code in it may have been used already.
    pub(crate) fn heard(&mut self, statements: u64) -> Result<(), Reason> {
        if self.kept.statements == statements {
            return Ok(());
        }
        if !self.kept.invites.is_empty() {
            let codes = self.kept.invites.len();
            tracing::warn!(
                codes,
                "statements came back from elsewhere: the codes made here are dead"
            );
        }
        self.keep(Kept {
            statements,
            invites: Vec::new(),
            ..self.kept.clone()
        })
    }

    /// One more statement was made here.
    pub(crate) fn stated(&mut self) -> Result<(), Reason> {
        let mut kept = self.kept.clone();
        kept.statements += 1;
        self.keep(kept)
    }

    /// Adds a code; it is on disk when this answers.
    pub(crate) fn add(
        &mut self,
        token: &[u8; 16],
        whom: Invited,
        now: Moment,
    ) -> Result<Moment, Reason> {
        let mut kept = self.kept.clone();
        kept.invites.retain(|invite| invite.expires > now);
        if kept.invites.len() >= INVITES_MAX {
            return Err(Reason::Busy);
        }
        let expires = now.plus_ms(INVITE_MS);
        kept.invites.push(Invite {
            token: hashed(token),
            whom,
            expires,
            life: self.life.clone(),
            used_by: None,
        });
        self.keep(kept)?;
        Ok(expires)
    }

    /// Whom a code lets in, if it is good for this device; it is not used up. `settled` says that
    /// every device that was known at the start has been heard.
    pub(crate) fn whom(
        &self,
        token: &[u8; 16],
        device: DeviceId,
        now: Moment,
        settled: bool,
    ) -> Result<Invited, Reason> {
        let token = hashed(token);
        let mut invites = self.kept.invites.iter();
        let found = invites.find(|invite| invite.token == token && invite.is_for(device, now));
        let invite = found.ok_or(Reason::NotAllowed)?;
        let is_ours = invite.life.is_empty() || invite.life == self.life;
        if is_ours || settled || invite.used_by == Some(device) {
            Ok(invite.whom.clone())
        } else {
            Err(Reason::NotResumed)
        }
    }

    /// Uses a code up for a device; that is on disk before anything else is done for it.
    pub(crate) fn redeem(
        &mut self,
        token: &[u8; 16],
        device: DeviceId,
        now: Moment,
    ) -> Result<Invited, Reason> {
        let mut kept = self.kept.clone();
        let token = hashed(token);
        let mut invites = kept.invites.iter_mut();
        let found = invites.find(|invite| invite.token == token && invite.is_for(device, now));
        let invite = found.ok_or(Reason::NotAllowed)?;
        let whom = invite.whom.clone();
        if invite.used_by.replace(device).is_none() {
            self.keep(kept)?;
        }
        Ok(whom)
    }

    fn keep(&mut self, kept: Kept) -> Result<(), Reason> {
        let bytes = serde_json::to_vec(&kept).map_err(|_| Reason::NotSaved)?;
        write_whole(&self.path, &bytes).map_err(|error| {
            tracing::error!(kind = %error.kind(), "the codes could not be written");
            Reason::NotSaved
        })?;
        self.kept = kept;
        Ok(())
    }
}

fn hashed(token: &[u8; 16]) -> String {
    runtime::fingerprint(token).to_string()
}

/// Writes a file so that under its name there is either all of it or what was there before.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIFE: Incarnation = Incarnation([1; 16]);
    const NOW: Moment = Moment(1_000);
    const ONE: DeviceId = DeviceId([1; 16]);
    const OTHER: DeviceId = DeviceId([2; 16]);

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("ridgeway-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn open(folder: &Folder, life: Incarnation, statements: u64) -> io::Result<Invites> {
        Invites::open(&folder.0, life, statements, false, [1; 16])
    }

    fn bath() -> Invited {
        Invited::Site("bath".parse().unwrap())
    }

    #[test]
    fn a_code_lets_one_device_in_and_the_same_one_again() {
        let folder = Folder::new("invites-once");
        let mut invites = open(&folder, LIFE, 2).unwrap();
        invites.add(&[7; 16], bath(), NOW).unwrap();
        assert_eq!(invites.redeem(&[8; 16], ONE, NOW), Err(Reason::NotAllowed));
        assert_eq!(invites.redeem(&[7; 16], ONE, NOW), Ok(bath()));
        let mut again = open(&folder, LIFE, 2).unwrap();
        assert_eq!(again.redeem(&[7; 16], OTHER, NOW), Err(Reason::NotAllowed));
        assert_eq!(again.redeem(&[7; 16], ONE, NOW), Ok(bath()));
    }

    #[test]
    fn a_code_dies_with_its_day_and_with_its_incarnation() {
        let folder = Folder::new("invites-death");
        let mut invites = open(&folder, LIFE, 2).unwrap();
        let expires = invites.add(&[7; 16], bath(), NOW).unwrap();
        assert_eq!(
            invites.redeem(&[7; 16], ONE, expires),
            Err(Reason::NotAllowed)
        );
        let mut restored = open(&folder, Incarnation([2; 16]), 2).unwrap();
        assert_eq!(restored.redeem(&[7; 16], ONE, NOW), Err(Reason::NotAllowed));
        let file = fs::read_to_string(folder.0.join(FILE)).unwrap();
        assert!(!file.contains(&"07".repeat(16)));
    }

    #[test]
    fn the_codes_of_an_old_copy_die_when_an_edge_is_heard() {
        let folder = Folder::new("invites-copy");
        let mut invites = open(&folder, LIFE, 2).unwrap();
        invites.add(&[7; 16], bath(), NOW).unwrap();
        let copy = fs::read(folder.0.join(FILE)).unwrap();
        assert_eq!(invites.redeem(&[7; 16], ONE, NOW), Ok(bath()));
        invites.stated().unwrap();
        // What was made here kills no code.
        assert_eq!(invites.heard(3), Ok(()));
        assert_eq!(invites.whom(&[7; 16], ONE, NOW, false), Ok(bath()));
        // The folder of before comes back, and an edge hands back the device's statement.
        fs::write(folder.0.join(FILE), copy).unwrap();
        let mut old = open(&folder, LIFE, 2).unwrap();
        assert_eq!(old.heard(3), Ok(()));
        for device in [ONE, OTHER] {
            assert_eq!(
                old.whom(&[7; 16], device, NOW, true),
                Err(Reason::NotAllowed)
            );
            assert_eq!(old.redeem(&[7; 16], device, NOW), Err(Reason::NotAllowed));
        }
        let mut again = open(&folder, LIFE, 3).unwrap();
        assert_eq!(again.heard(3), Ok(()));
        assert_eq!(again.redeem(&[7; 16], ONE, NOW), Err(Reason::NotAllowed));
    }

    #[test]
    fn there_is_a_bound_on_open_codes() {
        let folder = Folder::new("invites-bound");
        let mut invites = open(&folder, LIFE, 2).unwrap();
        let many = Invite {
            token: String::new(),
            whom: bath(),
            expires: NOW.plus_ms(1),
            life: String::new(),
            used_by: None,
        };
        invites.kept.invites = vec![many; INVITES_MAX];
        assert_eq!(invites.add(&[7; 16], bath(), NOW), Err(Reason::Busy));
        assert!(invites.add(&[7; 16], bath(), NOW.plus_ms(1)).is_ok());
    }

    #[test]
    fn a_code_of_before_the_start_waits_until_everybody_was_heard() {
        let folder = Folder::new("invites-start");
        let mut before = open(&folder, LIFE, 2).unwrap();
        before.add(&[7; 16], bath(), NOW).unwrap();
        assert_eq!(before.whom(&[7; 16], ONE, NOW, false), Ok(bath()));
        let started = |life| Invites::open(&folder.0, LIFE, 2, true, [life; 16]).unwrap();
        let mut after = started(2);
        let whom = |invites: &Invites, settled| invites.whom(&[7; 16], ONE, NOW, settled);
        assert_eq!(whom(&after, false), Err(Reason::NotResumed));
        assert_eq!(whom(&after, true), Ok(bath()));
        after.resume(true).unwrap();
        assert_eq!(whom(&after, false), Ok(bath()));
        assert_eq!(
            whom(&started(3), false),
            Ok(bath()),
            "an operator has vouched"
        );
        assert!(!after.is_restored());
    }

    #[test]
    fn a_store_from_a_backup_is_restored_until_somebody_says_otherwise() {
        let folder = Folder::new("invites-restored");
        let life = |number| Incarnation([number; 16]);
        let started =
            |number, devices| Invites::open(&folder.0, life(number), 2, devices, [1; 16]).unwrap();
        let mut first = started(1, false);
        assert!(!first.is_restored(), "nobody can have been forgotten");
        first.add(&[7; 16], bath(), NOW).unwrap();
        assert!(!started(1, true).is_restored());
        assert!(started(2, true).is_restored());
        let mut again = started(2, true);
        assert!(again.is_restored(), "a start changes nothing");
        again.resume(false).unwrap();
        assert!(!started(2, true).is_restored());
    }
}
