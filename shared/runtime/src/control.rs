//! One process at a time in a folder, and how commands speak to it.
//!
//! Whoever holds the lock of a folder runs its node. A command that finds the lock free takes it
//! and does its own turn; one that does not speaks to the holder over a socket in the folder: one
//! line asked, one line answered. What the lines say is the binaries' business.
//!
//! The folder and the socket are for their owner alone, and a caller's user is looked at as well.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    future::Future,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
        net::UnixStream as Caller,
    },
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::limits::{
    ACCEPT_PAUSE, CONTROL_ANSWER_MAX, CONTROL_BUSY_EVERY, CONTROL_CALLERS_MAX,
    CONTROL_LINE_BYTES_MAX, CONTROL_REQUEST_MAX, CONTROL_WORK_MAX, SOCKET_PATH_BYTES_MAX,
};

const LOCK: &str = "lock";
const SOCKET: &str = "control.sock";

/// Why a folder cannot be used, or a running node not be spoken to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// Others than its owner may enter the folder: its permissions.
    OpenFolder(PathBuf, u32),
    /// Another process runs in the folder.
    Running(PathBuf),
    /// Nothing runs in the folder.
    NotRunning(PathBuf),
    /// The folder's name is too long for a socket in it.
    LongName(PathBuf),
    /// The running process did not answer, or too much.
    NoAnswer,
    /// The line to be said is too long.
    TooLong,
    /// A file could not be used.
    Io(PathBuf, io::ErrorKind),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::OpenFolder(path, mode) => write!(
                f,
                "others may enter {0} (mode {mode:04o}): run `chmod 700 {0}`",
                path.display()
            ),
            ControlError::Running(path) => {
                write!(
                    f,
                    "another process runs in {}: stop it first",
                    path.display()
                )
            }
            ControlError::NotRunning(path) => {
                write!(f, "nothing runs in {}: start it with `run`", path.display())
            }
            ControlError::LongName(path) => write!(
                f,
                "the path of {} is too long for a socket in it: choose a folder nearer to the \
                 root, or name a short symbolic link that leads there",
                path.display()
            ),
            ControlError::NoAnswer => f.write_str(
                "the running process did not answer: look at its log, or stop it and try again",
            ),
            ControlError::TooLong => {
                f.write_str("this is too much for one command: do it in parts")
            }
            ControlError::Io(path, kind) => {
                write!(
                    f,
                    "{} cannot be used ({kind}): check its owner and disk",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for ControlError {}

fn at(path: &Path) -> impl Fn(io::Error) -> ControlError + '_ {
    |error| {
        let kind = error.kind();
        // What the operating system says of a socket whose name does not fit.
        if kind == io::ErrorKind::InvalidInput || kind == io::ErrorKind::InvalidFilename {
            ControlError::LongName(path.to_owned())
        } else {
            ControlError::Io(path.to_owned(), kind)
        }
    }
}

/// A folder that this process alone works in, for as long as this lives. The operating system
/// lets go of the lock when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    owner: u32,
    _file: File,
}

impl FolderLock {
    /// Makes the folder if it is missing, and takes its lock; none when another process has it.
    /// The lock's file is its owner's alone: whoever could open it could keep the node out.
    ///
    /// # Errors
    /// [`ControlError`] says what is wrong with the folder and what to do.
    pub fn take(path: &Path) -> Result<Option<FolderLock>, ControlError> {
        // Before anything is made there: a node could never be spoken to.
        if path.join(SOCKET).as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ControlError::LongName(path.to_owned()));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(at(path))?;
        let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(ControlError::OpenFolder(path.to_owned(), mode));
        }
        let name = path.join(LOCK);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&name).map_err(at(&name))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(at(&name)(error)),
        }
        let owner = file.metadata().map_err(at(&name))?.uid();
        Ok(Some(FolderLock {
            path: path.to_owned(),
            owner,
            _file: file,
        }))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What answers commands in a running process.
pub trait Answer: Send + Sync + 'static {
    /// Answers one line with one line, neither with its end.
    fn answer(&self, line: String) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;
}

/// The socket of a running process; it is taken away when this is dropped.
#[derive(Debug)]
pub struct ControlServer {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Listens in a folder that this process has locked.
    ///
    /// # Errors
    /// [`ControlError`] when the socket cannot be made.
    pub fn start(
        folder: &FolderLock,
        answer: Arc<dyn Answer>,
    ) -> Result<ControlServer, ControlError> {
        let path = folder.path.join(SOCKET);
        // Whoever holds the lock knows that a socket found here is a dead one's.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(at(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(at(&path))?;
        let task = tokio::spawn(accept(listener, folder.owner, answer));
        Ok(ControlServer { path, task })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, owner: u32, answer: Arc<dyn Answer>) {
    let places = Arc::new(Semaphore::new(CONTROL_CALLERS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((caller, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let answer = Arc::clone(&answer);
        tokio::spawn(async move {
            if caller
                .peer_cred()
                .is_ok_and(|who| who.uid() == owner || who.uid() == 0)
            {
                // A caller that goes away before its answer has only itself to tell.
                let _ = serve(caller, answer, CONTROL_BUSY_EVERY).await;
            }
            drop(place);
        });
    }
}

/// Answers one caller. While that takes long it is sent a space now and then, so that it goes on
/// waiting: verifying a large store may take many times as long as anybody waits for silence.
async fn serve(
    mut caller: UnixStream,
    answer: Arc<dyn Answer>,
    busy_every: Duration,
) -> io::Result<()> {
    let (reading, mut writing) = caller.split();
    let mut reading = tokio::io::BufReader::new(reading.take(CONTROL_LINE_BYTES_MAX as u64));
    let mut line = String::new();
    timeout(CONTROL_REQUEST_MAX, reading.read_line(&mut line)).await??;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::InvalidData.into());
    }
    line.pop();
    let mut answering = answer.answer(line);
    let end = Instant::now() + CONTROL_WORK_MAX;
    let mut said = loop {
        tokio::select! {
            said = &mut answering => break said,
            () = sleep(busy_every) => {
                if Instant::now() > end {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                timeout(CONTROL_ANSWER_MAX, writing.write_all(b" ")).await??;
            }
        }
    };
    said.push('\n');
    timeout(CONTROL_ANSWER_MAX, writing.write_all(said.as_bytes())).await??;
    writing.shutdown().await
}

/// Asks the process that runs in a folder; waits for its answer.
///
/// # Errors
/// [`ControlError::NotRunning`] when nothing listens; otherwise what went wrong.
pub fn ask(folder: &Path, line: &str) -> Result<String, ControlError> {
    if line.len() >= CONTROL_LINE_BYTES_MAX || line.contains('\n') {
        return Err(ControlError::TooLong);
    }
    let path = folder.join(SOCKET);
    let mut caller = Caller::connect(&path).map_err(|error| {
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
        if nobody.contains(&error.kind()) {
            ControlError::NotRunning(folder.to_owned())
        } else {
            at(&path)(error)
        }
    })?;
    let said = caller
        .set_read_timeout(Some(CONTROL_ANSWER_MAX))
        .and_then(|()| caller.set_write_timeout(Some(CONTROL_REQUEST_MAX)))
        .and_then(|()| caller.write_all(format!("{line}\n").as_bytes()));
    said.map_err(|_| ControlError::NoAnswer)?;
    let mut answer = String::new();
    let mut reading = BufReader::new(caller.take(CONTROL_LINE_BYTES_MAX as u64));
    reading
        .read_line(&mut answer)
        .map_err(|_| ControlError::NoAnswer)?;
    if answer.pop() == Some('\n') {
        Ok(answer.trim_start().to_owned())
    } else {
        Err(ControlError::NoAnswer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    struct Echo;

    impl Answer for Echo {
        fn answer(&self, line: String) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
            Box::pin(async move { format!("you said {line}") })
        }
    }

    struct Slow;

    impl Answer for Slow {
        fn answer(&self, line: String) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
            Box::pin(async move {
                sleep(Duration::from_millis(80)).await;
                format!("{line}, at last")
            })
        }
    }

    /// `verify` of a large store was said not to answer, while it worked.
    #[tokio::test]
    async fn whoever_waits_for_a_long_work_hears_that_it_goes_on() {
        let (mut asks, answers) = UnixStream::pair().unwrap();
        let every = Duration::from_millis(5);
        let served = tokio::spawn(serve(answers, Arc::new(Slow), every));
        asks.write_all(b"verify\n").await.unwrap();
        let mut said = String::new();
        asks.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("   "), "{said:?}");
        assert_eq!(said.trim_start(), "verify, at last\n");
        served.await.unwrap().unwrap();
    }

    #[test]
    fn a_folder_has_one_holder() {
        let folder = Folder::new();
        let data = folder.path().join("site");
        let held = FolderLock::take(&data).unwrap();
        assert!(held.is_some());
        assert_eq!(
            fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert!(FolderLock::take(&data).unwrap().is_none());
        drop(held);
        assert!(FolderLock::take(&data).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        for mode in [0o770, 0o755, 0o701] {
            let folder = Folder::new();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let refused = FolderLock::take(folder.path()).err().unwrap();
            assert!(refused.to_string().contains("chmod 700"), "{refused}");
            assert!(!folder.path().join(LOCK).exists());
        }
    }

    #[test]
    fn nobody_else_can_hold_the_lock() {
        let folder = Folder::new();
        let data = folder.path().join("site");
        let _held = FolderLock::take(&data).unwrap().unwrap();
        let mode = fs::metadata(data.join(LOCK)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_before_anything_is_made() {
        let folder = Folder::new();
        let data = folder.path().join("d".repeat(SOCKET_PATH_BYTES_MAX));
        let refused = FolderLock::take(&data).err().unwrap();
        assert!(matches!(refused, ControlError::LongName(_)), "{refused}");
        assert!(!data.exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_command_is_answered_by_the_running_process() {
        let folder = Folder::new();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let path = folder.path().to_owned();
        assert!(matches!(
            ask(&path, "status"),
            Err(ControlError::NotRunning(_))
        ));
        // A socket that a killed process left is in nobody's way.
        drop(std::os::unix::net::UnixListener::bind(path.join(SOCKET)).unwrap());
        assert!(matches!(
            ask(&path, "status"),
            Err(ControlError::NotRunning(_))
        ));
        let lock = FolderLock::take(&path).unwrap().unwrap();
        let server = ControlServer::start(&lock, Arc::new(Echo)).unwrap();
        let mode = fs::metadata(path.join(SOCKET))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let asked = tokio::task::spawn_blocking(move || ask(&path, "status"))
            .await
            .unwrap();
        assert_eq!(asked.unwrap(), "you said status");
        drop(server);
        assert!(matches!(
            ask(folder.path(), "status"),
            Err(ControlError::NotRunning(_))
        ));
    }

    #[test]
    fn more_than_a_line_is_not_asked() {
        let folder = Folder::new();
        assert!(matches!(
            ask(folder.path(), "a\nb"),
            Err(ControlError::TooLong)
        ));
    }
}
