//! `backup` and `restore`.
//!
//! A running centre is backed up while it runs. It writes into its own folder, never where a
//! request tells it to, on a thread of its own over a snapshot; the command asks how far it has
//! got, and moves the file to where it is wanted. When the command is ended, nobody asks any more,
//! and the centre gives up and leaves nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use api::program::{
    Exit, Failure,
    folder::{self, Reached},
    line::Told,
};
use node::store::Store as _;
use runtime::{
    Handle,
    backup::{self, Backed, Backup, BackupError, RecoveryKey, Restored, keep_recovery},
    shell,
};
use serde_json::{Value, json};

use crate::{cli::Place, desk::Ask};

/// How often a command asks how far its backup has got.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long a backup goes on when nobody asks about it: its command was ended.
const UNASKED_MAX_MS: i64 = 15_000;
/// What a backup is called while it lies in the centre's folder.
const SPOOL: &str = "backup-";

/// The backup that a running centre makes: one at a time.
#[derive(Debug, Default)]
pub(crate) struct Backups(Mutex<Option<Arc<Job>>>);

#[derive(Debug)]
struct Job {
    name: String,
    done: AtomicU64,
    of: AtomicU64,
    /// When somebody last asked, in milliseconds of the clock.
    asked: Mutex<i64>,
    ended: OnceLock<Result<Backed, Failure>>,
}

impl Backups {
    /// Begins a backup under this name in the centre's folder.
    ///
    /// # Errors
    /// When one is under way, or the name is none that a backup may have.
    pub(crate) fn begin(&self, node: &Handle, data: &Path, name: &str) -> Result<Value, Failure> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if !name.starts_with(SPOOL) || !name.bytes().all(plain) {
            return Err(Failure::usage("this is not a name that a backup may have"));
        }
        let mut current = lock(&self.0);
        if current.as_ref().is_some_and(|job| job.is_under_way()) {
            return Err(Failure::refused(
                "a backup is under way: wait until it is done",
            ));
        }
        let job = Arc::new(Job {
            name: name.to_owned(),
            done: AtomicU64::new(0),
            of: AtomicU64::new(0),
            asked: Mutex::new(shell::now().0),
            ended: OnceLock::new(),
        });
        *current = Some(Arc::clone(&job));
        let (node, path) = (node.clone(), data.join(name));
        tokio::spawn(async move {
            let progress = Arc::clone(&job);
            let written = node
                .backup(path.clone(), move |done, of| progress.note(done, of))
                .await;
            // It is set here alone.
            let _ = job.ended.set(written.map_err(failure));
            while job.is_asked_about() {
                tokio::time::sleep(ASK_EVERY).await;
            }
            // Whoever asked has moved it away, unless the command was ended.
            let _ = fs::remove_file(&path);
        });
        Ok(json!({ "state": "running" }))
    }

    /// How far it has got.
    ///
    /// # Errors
    /// Why there is no backup, or that none of this name was begun.
    pub(crate) fn state(&self, name: &str) -> Result<Value, Failure> {
        let job = lock(&self.0).clone().filter(|job| job.name == name);
        let job = job.ok_or_else(|| Failure::failed("the backup was given up: begin again"))?;
        *lock(&job.asked) = shell::now().0;
        match job.ended.get() {
            Some(Ok(backed)) => Ok(row(backed)),
            Some(Err(failure)) => Err(failure.clone()),
            None => {
                let (done, of) = (&job.done, &job.of);
                let [done, of] = [done, of].map(|count| count.load(Ordering::Relaxed));
                Ok(json!({ "state": "running", "documents": done, "of": of }))
            }
        }
    }
}

impl Job {
    fn is_asked_about(&self) -> bool {
        shell::now().0 - *lock(&self.asked) < UNASKED_MAX_MS
    }

    fn is_under_way(&self) -> bool {
        self.ended.get().is_none() && self.is_asked_about()
    }

    fn note(&self, done: u64, of: u64) -> bool {
        self.done.store(done, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
        self.is_asked_about()
    }
}

/// Backs the centre up into a file that is not there yet.
///
/// # Errors
/// Why there is no backup; then nothing of it is left.
pub(crate) fn backup(place: &Place, file: &Path) -> Result<(), Failure> {
    let file = std::path::absolute(file)?;
    if file.exists() {
        return Err(failure(BackupError::There(file)));
    }
    let name = format!("{SPOOL}{:016x}", u64::from_be_bytes(shell::entropy()));
    let mut told = Told::new("backup", place.json);
    let ask = Ask::Backup { name: name.clone() };
    let done = match folder::reach(&place.data, &ask)? {
        Reached::Held(lock) => {
            let (store, _) = folder::open(&lock, &place.key)?;
            let snapshot = store.snapshot()?;
            let mut progress = |done, of| told.note(done, of);
            let written = backup::write_file(&snapshot, &file, shell::now(), &mut progress);
            row(&written.map_err(failure)?)
        }
        Reached::Told(_) => {
            let done = wait(place, &name, &mut told)?;
            move_to(&place.data.join(&name), &file)?;
            done
        }
    };
    told.end();
    place.print(&done, |done| {
        let count = |key: &str| done.get(key).and_then(Value::as_u64).unwrap_or(0);
        format!(
            "{} documents and {} statements are in {} ({} bytes).\nIt was read back: {} scopes \
             have the digests of the store.\n",
            count("documents"),
            count("statements"),
            file.display(),
            count("bytes"),
            count("scopes"),
        )
    })
}

fn wait(place: &Place, name: &str, told: &mut Told) -> Result<Value, Failure> {
    loop {
        let ask = Ask::BackupState {
            name: name.to_owned(),
        };
        let Reached::Told(state) = folder::reach(&place.data, &ask)? else {
            return Err(Failure::not_running("the centre was stopped: begin again"));
        };
        if state.get("state").and_then(Value::as_str) == Some("done") {
            return Ok(state);
        }
        let count = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or(0);
        told.note(count("documents"), count("of"));
        thread::sleep(ASK_EVERY);
    }
}

/// Moves a finished backup to where it is wanted, also onto another disk.
fn move_to(from: &Path, to: &Path) -> Result<(), Failure> {
    let about = |error: io::Error| failure(BackupError::Io(to.to_owned(), error.kind()));
    if to.exists() {
        return Err(failure(BackupError::There(to.to_owned())));
    }
    if fs::rename(from, to).is_err() {
        let mut unfinished = to.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let copied = fs::copy(from, &unfinished)
            .and_then(|_| fs::File::open(&unfinished)?.sync_all())
            .and_then(|()| fs::rename(&unfinished, to));
        if copied.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        copied.map_err(about)?;
        fs::remove_file(from).map_err(about)?;
    }
    let parent = to.parent().unwrap_or(Path::new("."));
    fs::File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(about)
}

/// Brings a backup back into a folder in which there is nothing yet.
///
/// # Errors
/// Why it does not come back; then the folder is as empty as before.
pub(crate) fn restore(place: &Place, file: &Path, recovery: &Path) -> Result<(), Failure> {
    let recovery = RecoveryKey::read(recovery).map_err(failure)?;
    let (mut backup, manifest, material) = Backup::open(file, &recovery).map_err(failure)?;
    let lock = folder::take_new(&place.data)?;
    folder::must_be_empty(&lock)?;
    let mut told = Told::new("restore", place.json);
    let filled = folder::create_with(&lock, &place.key, |mut store| {
        keep_recovery(&mut store, &recovery.public())?;
        let mut progress = |done, of| told.note(done, of);
        backup::restore(store, &mut backup, &manifest, &material, &mut progress).map_err(failure)
    });
    let (store, restored, made_key) = filled?;
    store.into_inner().close()?;
    told.end();
    if made_key {
        place.warn_of_new_key("ridgeway-server");
    }
    let done = restored_row(&restored, &backup);
    place.print(&done, |_| {
        format!(
            "{} documents and {} statements are back in {}; {} scopes have the digests that the \
             backup's store had.\nStart it with `run`: what was written since comes back from the \
             sites by itself.\n",
            restored.documents,
            restored.statements,
            place.data.display(),
            restored.scopes.len(),
        )
    })
}

/// Removes what an interrupted backup left in the folder.
pub(crate) fn clear_spool(data: &Path) {
    for path in fs::read_dir(data).into_iter().flatten().flatten() {
        if path.file_name().to_string_lossy().starts_with(SPOOL) {
            let _ = fs::remove_file(path.path());
        }
    }
}

fn row(backed: &Backed) -> Value {
    json!({
        "state": "done",
        "made": backed.made,
        "documents": backed.documents,
        "pieces": backed.pieces,
        "statements": backed.statements,
        "scopes": backed.scopes,
        "bytes": backed.bytes,
    })
}

fn restored_row(restored: &Restored, backup: &Backup) -> Value {
    let scopes = restored.scopes.iter().map(|(scope, digest, count)| {
        json!({ "scope": scope, "digest": digest.to_string(), "count": count, "equal": true })
    });
    json!({
        "made": backup.made(),
        "documents": restored.documents,
        "struck": restored.struck,
        "statements": restored.statements,
        "scopes": scopes.collect::<Vec<_>>(),
    })
}

pub(crate) fn failure(error: BackupError) -> Failure {
    let is_refusal = matches!(
        error,
        BackupError::There(_)
            | BackupError::WrongKey
            | BackupError::OtherOrganisation
            | BackupError::NoRecoveryKey
    );
    let exit = if is_refusal {
        Exit::Refused
    } else {
        Exit::Failure
    };
    Failure::new(exit, error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
