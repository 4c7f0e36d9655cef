//! `backup` and `restore`.
//!
//! A running centre is backed up while it runs. It writes into its own folder, never where a
//! request tells it to, on a thread of its own over a snapshot; the command asks how far it has
//! got, and moves the file to where it is wanted. When the command is ended, nobody asks any more,
//! and the centre gives up and leaves nothing. It also gives up before the disk is full, on which its
//! own store must go on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api::program::{
    Exit, Failure,
    folder::{self, Reached},
    line::Told,
};
use node::store::Store as _;
use runtime::{
    Handle,
    backup::{self, Backed, Backup, BackupError, Missing, RecoveryKey, Restored, keep_recovery},
    shell,
};
use serde_json::{Value, json};

use crate::{cli::Place, desk::Ask, room};

mod moved;

use moved::move_to;

/// How often a command asks how far its backup has got.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How long a backup goes on when nobody asks about it: its command was ended.
const UNASKED_MAX: Duration = Duration::from_secs(15);
/// How often the centre looks whether there is room.
const ROOM_EVERY: Duration = Duration::from_secs(1);
/// What the name of a backup begins with while it lies in the centre's folder. Sixteen digits
/// follow: nobody calls a file of theirs so.
const SPOOL: &str = ".spool-";
const SPOOL_DIGITS: usize = 16;
/// What a file is called that is not whole.
const UNFINISHED: &str = ".unfinished";

/// The backup that a running centre makes: one at a time.
#[derive(Debug, Default)]
pub(crate) struct Backups(Mutex<Option<Arc<Job>>>);

#[derive(Debug)]
struct Job {
    name: String,
    done: AtomicU64,
    of: AtomicU64,
    /// When somebody last asked; not by the clock, which may be put right meanwhile.
    asked: Mutex<Instant>,
    /// When it was last looked whether there is room, and whether there was none.
    looked: Mutex<Instant>,
    full: AtomicBool,
    ended: OnceLock<Result<Backed, Failure>>,
    /// Its number, once it is written and lacks nothing.
    number: OnceLock<u64>,
    /// Whether whoever asked has heard how it ended.
    told: AtomicBool,
}

impl Backups {
    /// Begins a backup under this name in the centre's folder.
    ///
    /// # Errors
    /// When one is under way, or the name is none that a backup may have.
    pub(crate) fn begin(&self, node: &Handle, data: &Path, name: &str) -> Result<Value, Failure> {
        if !is_spool(name) {
            return Err(Failure::usage("this is not a name that a backup may have"));
        }
        let mut current = lock(&self.0);
        if current.as_ref().is_some_and(|job| job.is_under_way()) {
            return Err(Failure::refused(
                "a backup is under way: wait until it is done",
            ));
        }
        if !room::is_there(data) {
            return Err(no_room());
        }
        let job = Arc::new(Job {
            name: name.to_owned(),
            done: AtomicU64::new(0),
            of: AtomicU64::new(0),
            asked: Mutex::new(Instant::now()),
            looked: Mutex::new(Instant::now()),
            full: AtomicBool::new(false),
            ended: OnceLock::new(),
            number: OnceLock::new(),
            told: AtomicBool::new(false),
        });
        *current = Some(Arc::clone(&job));
        let (node, path, folder) = (node.clone(), data.join(name), data.to_owned());
        tokio::spawn(async move {
            let progress = Arc::clone(&job);
            let goes_on = move |done, of| progress.note(done, of, &folder);
            let written = node.backup(path.clone(), goes_on).await;
            let ended = match job.full.load(Ordering::Relaxed) {
                true => Err(no_room()),
                false => written.map_err(failure),
            };
            let ended = ended.map(|(backed, number)| {
                if let Some(number) = number {
                    let _ = job.number.set(number);
                }
                backed
            });
            // Both are set here alone.
            let _ = job.ended.set(ended);
            while job.is_asked_about() {
                tokio::time::sleep(ASK_EVERY).await;
            }
            // Whoever asked has moved it away, unless the command was ended.
            let _ = fs::remove_file(&path);
        });
        Ok(json!({ "state": "running" }))
    }

    /// The number of a backup that lies where it was wanted, and lacks nothing.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let job = lock(&self.0).clone().filter(|job| job.name == name)?;
        job.number.get().copied()
    }

    /// How far it has got.
    ///
    /// # Errors
    /// Why there is no backup, or that none of this name was begun.
    pub(crate) fn state(&self, name: &str) -> Result<Value, Failure> {
        let job = lock(&self.0).clone().filter(|job| job.name == name);
        let job = job.ok_or_else(|| Failure::failed("the backup was given up: begin again"))?;
        *lock(&job.asked) = Instant::now();
        job.told.store(job.ended.get().is_some(), Ordering::Relaxed);
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
        lock(&self.asked).elapsed() < UNASKED_MAX
    }

    /// Until whoever asked has heard how it ended, or asks no more.
    fn is_under_way(&self) -> bool {
        !self.told.load(Ordering::Relaxed) && self.is_asked_about()
    }

    fn note(&self, done: u64, of: u64, folder: &Path) -> bool {
        self.done.store(done, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
        self.is_asked_about() && self.has_room(folder)
    }

    fn has_room(&self, folder: &Path) -> bool {
        let mut looked = lock(&self.looked);
        if looked.elapsed() >= ROOM_EVERY {
            *looked = Instant::now();
            self.full
                .fetch_or(!room::is_there(folder), Ordering::Relaxed);
        }
        !self.full.load(Ordering::Relaxed)
    }
}

/// Whether a file's name is that of a backup in the centre's folder.
fn is_spool(name: &str) -> bool {
    let digits = name.strip_prefix(SPOOL).unwrap_or_default();
    digits.len() == SPOOL_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn no_room() -> Failure {
    Failure::failed(format!(
        "a running centre writes a backup beside its own store first, and there {} MiB must stay \
         free: make room, or stop the centre, and the backup is written straight to where it goes",
        room::ROOM_MIN >> 20
    ))
}

/// Backs the centre up into a file that is not there yet.
///
/// # Errors
/// Why there is no backup; then nothing of it is left. That it lacks something; then it is kept.
pub(crate) fn backup(place: &Place, file: &Path) -> Result<(), Failure> {
    let file = std::path::absolute(file)?;
    try_target(&place.data, &file)?;
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
            // Where the centre was stopped meanwhile, the next backup is told of.
            let _ = folder::reach(&place.data, &Ask::BackupKept { name });
            done
        }
    };
    told.end();
    place.print(&done, |done| {
        let count = |key: &str| done.get(key).and_then(Value::as_u64).unwrap_or(0);
        let waiting = match count("handed_in") {
            0 => String::new(),
            parts => format!("{parts} parts that wait for device accept are in it too.\n"),
        };
        format!(
            "{} documents and {} statements are in {} ({} bytes).\n{waiting}It was read back: {} \
             scopes have the digests of the store.\n",
            count("documents"),
            count("statements"),
            file.display(),
            count("bytes"),
            count("scopes"),
        )
    })?;
    match done.get("missing").and_then(Value::as_str) {
        None => Ok(()),
        Some(missing) => Err(Failure::failed(format!(
            "the backup is kept, and lacks what the store could not read: {missing}. Keep older \
             backups, run `verify`, and check the disk"
        ))),
    }
}

/// Refuses a place where no backup should go, or can, before anything is written.
fn try_target(data: &Path, file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(failure(BackupError::There(file.to_owned())));
    }
    let about = |error: io::Error| failure(BackupError::Io(file.to_owned(), error.kind()));
    let folder = file.parent().unwrap_or(Path::new("/"));
    let folder = fs::canonicalize(folder).map_err(about)?;
    if fs::canonicalize(data).is_ok_and(|data| folder.starts_with(data)) {
        return Err(Failure::refused(
            "a backup in the centre's own folder is lost with it: name a file elsewhere, best on \
             another disk",
        ));
    }
    let unfinished = unfinished(file);
    let there = unfinished.exists();
    let opened = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&unfinished);
    opened.map_err(about)?;
    if !there {
        fs::remove_file(&unfinished).map_err(about)?;
    }
    Ok(())
}

fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
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

/// Brings a backup back into a folder in which there is nothing yet.
///
/// # Errors
/// Why it does not come back; then the folder is as empty as before.
pub(crate) fn restore(
    place: &Place,
    file: &Path,
    recovery: &Path,
    without_refused: bool,
) -> Result<(), Failure> {
    let recovery = RecoveryKey::read(recovery).map_err(failure)?;
    let (mut backup, manifest, material) = Backup::open(file, &recovery).map_err(failure)?;
    let lock = folder::take_new(&place.data)?;
    folder::must_be_empty(&lock)?;
    let mut told = Told::new("restore", place.json);
    let filled = folder::create_with(&lock, &place.key, |mut store| {
        keep_recovery(&mut store, &recovery.public())?;
        let mut progress = |done, of| told.note(done, of);
        let of = (&manifest, &material);
        backup::restore(store, &mut backup, of, without_refused, &mut progress).map_err(failure)
    });
    let (store, restored, made_key) = filled?;
    store.into_inner().close()?;
    told.end();
    if made_key {
        place.warn_of_new_key("ridgeway-server");
    }
    let done = restored_row(&restored, &backup);
    place.print(&done, |_| restored_text(&restored, &place.data))
}

fn restored_text(restored: &Restored, data: &Path) -> String {
    let equal = restored.scopes.iter().filter(|scope| scope.equal).count();
    let mut text = format!(
        "{} documents and {} statements are back in {}; {equal} of {} scopes have the digests that \
         the backup's store had.\n",
        restored.documents,
        restored.statements,
        data.display(),
        restored.scopes.len(),
    );
    let mut say = |count: u64, words: &str| {
        if count > 0 {
            text.push_str(&format!("{count} {words}\n"));
        }
    };
    say(
        restored.parts,
        "parts that revoked devices had handed in wait for device accept.",
    );
    say(
        restored.struck,
        "documents had been struck out of the backup, and are not back: if nobody has erased so \
         many, take another copy.",
    );
    say(
        restored.refused.len() as u64,
        "documents are not whole: something of them was refused.",
    );
    if let Some(missing) = missing(&restored.missing) {
        text.push_str(&format!("The backup itself lacked {missing}.\n"));
    }
    text.push_str(
        "Start it with `run`: what was written since comes back from the sites by itself.\n",
    );
    text
}

/// What a backup lacks, in words; none when it lacks nothing.
fn missing(missing: &Missing) -> Option<String> {
    if missing.is_nothing() {
        return None;
    }
    let documents = missing.documents.iter().map(ToString::to_string);
    let documents: Vec<String> = documents.collect();
    let counts = [
        (missing.statements, "statements"),
        (missing.parts, "parts that were handed in"),
        (missing.scopes_unread, "proofs of scopes"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut words: Vec<String> = counts.map(|(count, of)| format!("{count} {of}")).collect();
    if !documents.is_empty() {
        words.push(format!("something of {}", documents.join(", ")));
    }
    Some(words.join("; "))
}

/// Removes what an interrupted backup left in the folder.
pub(crate) fn clear_spool(data: &Path) {
    for path in fs::read_dir(data).into_iter().flatten().flatten() {
        let name = path.file_name();
        let name = name.to_string_lossy();
        if is_spool(name.strip_suffix(UNFINISHED).unwrap_or(&name)) {
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
        "handed_in": backed.parts,
        "scopes": backed.scopes,
        "bytes": backed.bytes,
        "missing": missing(&backed.missing),
    })
}

fn restored_row(restored: &Restored, backup: &Backup) -> Value {
    let scopes = restored.scopes.iter().map(|scope| {
        json!({
            "scope": scope.scope,
            "digest": scope.digest.to_string(),
            "count": scope.count,
            "equal": scope.equal,
        })
    });
    let refused = restored.refused.iter();
    let refused = refused.map(|(document, why)| json!({ "document": document, "reason": why }));
    json!({
        "made": backup.made(),
        "documents": restored.documents,
        "struck": restored.struck,
        "statements": restored.statements,
        "handed_in": restored.parts,
        "refused": refused.collect::<Vec<_>>(),
        "missing": missing(&restored.missing),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use node::names::{DocumentId, StoreId};

    use super::{
        moved::{COPIED_AT_ONCE, copy_to, is_same},
        *,
    };

    /// A folder of its own for one test; gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let name = format!("ridgeway-{}", StoreId(shell::entropy()));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A start took away whatever was called `backup-...`, a finished backup as well.
    #[test]
    fn a_start_removes_what_it_spooled_and_nothing_else() {
        let folder = Folder::new();
        let spool = format!("{SPOOL}0123456789abcdef");
        assert!(is_spool(&spool) && !is_spool(".spool-") && !is_spool("backup-monday"));
        let others = ["backup-0123456789abcdef", ".spool-monday", "store.redb"];
        let spooled = [spool.clone(), format!("{spool}{UNFINISHED}")];
        for name in others.iter().map(ToString::to_string).chain(spooled) {
            fs::write(folder.0.join(name), "").unwrap();
        }
        clear_spool(&folder.0);
        assert!(others.iter().all(|name| folder.0.join(name).exists()));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), others.len());
    }

    #[test]
    fn a_place_where_no_backup_should_go_is_refused_before_anything_is_written() {
        let folder = Folder::new();
        let data = folder.0.join("centre");
        fs::create_dir(&data).unwrap();
        let refused = try_target(&data, &data.join("backup-monday")).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(try_target(&data, &folder.0.join("no folder/x")).is_err());
        let there = folder.0.join("there");
        fs::write(&there, "").unwrap();
        assert!(try_target(&data, &there).is_err());
        assert_eq!(try_target(&data, &folder.0.join("new")), Ok(()));
        assert_eq!(
            fs::read_dir(&folder.0).unwrap().count(),
            2,
            "nothing is left"
        );
    }

    /// The centre had taken the name of its own copy away before the other was finished, and a good
    /// backup was reported as a failure.
    #[test]
    fn a_copy_onto_another_disk_is_held_against_the_file_though_its_name_is_gone() {
        let folder = Folder::new();
        let (from, to) = (folder.0.join("from"), folder.0.join("to"));
        let bytes: Vec<u8> = (0..3 * COPIED_AT_ONCE).map(|n| (n / 7) as u8).collect();
        fs::write(&from, &bytes).unwrap();
        let mut whole = fs::File::open(&from).unwrap();
        fs::remove_file(&from).unwrap();
        copy_to(&mut whole, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), bytes);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        let same = |one: &[u8], other: &[u8]| {
            is_same(&mut io::Cursor::new(one), &mut io::Cursor::new(other)).unwrap()
        };
        assert!(same(&bytes, &bytes) && !same(&bytes, bytes.get(1..).unwrap()));
        assert!(!same(b"abc", b"abd") && !same(b"", b"a"));
    }

    /// A second backup took the place of one that had ended and not been collected.
    #[test]
    fn a_backup_is_under_way_until_its_command_has_heard_of_it() {
        let job = || Job {
            name: String::new(),
            done: AtomicU64::new(0),
            of: AtomicU64::new(0),
            asked: Mutex::new(Instant::now()),
            looked: Mutex::new(Instant::now()),
            full: AtomicBool::new(false),
            ended: OnceLock::new(),
            number: OnceLock::new(),
            told: AtomicBool::new(false),
        };
        let ended = Arc::new(job());
        ended.ended.set(Err(Failure::failed("it failed"))).unwrap();
        assert!(ended.is_under_way());
        let backups = Backups(Mutex::new(Some(Arc::clone(&ended))));
        assert!(backups.state("").is_err());
        assert!(!ended.is_under_way());
        let unasked = job();
        *lock(&unasked.asked) -= UNASKED_MAX;
        assert!(!unasked.is_under_way() && !unasked.note(1, 2, Path::new("/")));
        let full = job();
        full.full.store(true, Ordering::Relaxed);
        assert!(!full.note(1, 2, Path::new("/")), "the store must go on");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(&Missing::default()), None);
        let id = DocumentId([1; 16]);
        let lacks = Missing {
            documents: vec![id],
            statements: 2,
            ..Missing::default()
        };
        let words = missing(&lacks).unwrap();
        assert_eq!(words, format!("2 statements; something of {id}"));
    }
}
