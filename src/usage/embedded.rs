//! The embedded store from the gateway's side: start it when nobody has, hold a lease on it, start it anew when it
//! dies. The gateway's own start never waits for it.
//!
//! The store is a process of its own that outlives a hot upgrade of the gateway: the new gateway finds it serving and
//! takes a lease before the old one's ends. Several gateways on one folder share one store. It is not tied to its
//! parent by `PR_SET_PDEATHSIG`, which fires when the spawning thread ends, and threads come and go.

use super::{
    connector,
    engine::{
        self,
        library::{self, NoLibrary},
    },
    settings,
};
use crate::base::{clock::Duration, tasks::Tasks};
use std::{
    fmt,
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, Command},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Held while a gateway starts the store, so that only one does.
const SPAWN_LOCK_NAME: &str = "usage-store.lock";
const LOG_NAME: &str = "usage-store.log";
/// A log over this is set aside (one generation) when the store starts.
const LOG_BYTES_MAX: u64 = 8 << 20;
/// How much of the log's end an operator is shown.
const LOG_TAIL_BYTES: i64 = 600;
/// The environment variable that carries the loopback port's password, since a command line is everyone's to read.
pub const PASSWORD_VARIABLE: &str = "SOCIARO_GATEWAY_USAGE_STORE_PASSWORD";

/// Pauses between attempts: from, to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A missing library is looked for this often: `make setup` helps without a restart.
const MISSING_PAUSE: Duration = Duration::from_secs(5);
/// How often a starting store is asked whether it serves, and for how long: opening many parts takes a while.
const START_POLL: Duration = Duration::from_millis(50);
const START_TIME_MAX: Duration = Duration::from_mins(2);
/// A lease is answered at once or not at all.
const LEASE_TIME_MAX: Duration = Duration::from_secs(5);

/// How the store is, for readiness and for messages to operators (they name files: never show them to callers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not serving yet.
    Starting,
    /// Serving; we hold a lease.
    Ready,
    /// The engine's library is not installed.
    Missing(NoLibrary),
    /// It does not start, or has died; tried again with growing pauses.
    Failed(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("the usage store is starting"),
            Self::Ready => f.write_str("the usage store is ready"),
            Self::Missing(missing) => missing.fmt(f),
            Self::Failed(why) => write!(f, "the usage store does not serve: {why}"),
        }
    }
}

/// What starts the store.
#[derive(Debug, Clone)]
pub struct Program {
    /// This program's file.
    pub executable: PathBuf,
    /// Where the engine's library may be, first come first served.
    pub library_folders: Vec<PathBuf>,
}

/// The gateway's hold on its embedded store. Dropping it gives the lease back.
#[derive(Debug)]
pub struct Embedded {
    state: watch::Receiver<State>,
    socket: PathBuf,
    _stop: DropGuard,
}

impl Embedded {
    /// Begins to bring the store up, in the background of the current runtime.
    pub fn start(settings: &settings::Embedded, program: Program, tasks: &Tasks) -> Self {
        let (sender, state) = watch::channel(State::Starting);
        let stop = CancellationToken::new();
        let mut settings = settings.clone();
        // The store runs in `/`: names relative to our folder would mean another place there.
        settings.folder = absolute(&settings.folder);
        let program = Program { executable: absolute(&program.executable), ..program };
        let socket = engine::socket(&settings.folder);
        let keeper = Keeper { settings, program, socket: socket.clone() };
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = keeper.keep(&sender) => {}
                () = stopped.cancelled() => {}
            }
        });
        Self { state, socket, _stop: stop.drop_guard() }
    }

    /// How the store is now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Follows the state.
    pub fn states(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// A client of the store, usable whatever its state: while it is not ready, requests fail at once.
    pub fn client(&self) -> clickhouse::Client {
        connector::embedded(&self.socket)
    }
}

struct Keeper {
    settings: settings::Embedded,
    program: Program,
    socket: PathBuf,
}

/// A store that serves.
struct Held {
    lease: UnixStream,
    /// Present when it is our child: then we hear how it ended.
    child: Option<Child>,
}

impl Keeper {
    async fn keep(&self, state: &watch::Sender<State>) {
        let mut pause = BACKOFF.0;
        loop {
            match self.hold().await {
                Ok(held) => {
                    tracing::info!(socket = %self.socket.display(), ours = held.child.is_some(), "usage store is ready");
                    state.send_replace(State::Ready);
                    let why = held.ended().await;
                    tracing::warn!(why, "usage store has gone");
                    // It served, so the next attempt comes soon; it may be one of a row, so not at once.
                    pause = BACKOFF.0;
                    state.send_replace(State::Failed(why));
                }
                Err(next @ State::Missing(_)) => {
                    if *state.borrow() != next {
                        tracing::error!("{next}");
                    }
                    state.send_replace(next);
                    tokio::time::sleep(MISSING_PAUSE).await;
                    continue;
                }
                Err(next) => {
                    tracing::error!("{next}");
                    state.send_replace(next);
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(BACKOFF.1);
        }
    }

    /// Takes a lease, of a store that serves already or of one that we start.
    async fn hold(&self) -> Result<Held, State> {
        if let Ok(lease) = take_lease(&self.socket).await {
            return Ok(Held { lease, child: None });
        }
        let library = library::find(self.settings.libchdb.as_deref(), &self.program.library_folders);
        let library = library.map_err(State::Missing)?;
        let in_folder = |error: io::Error| State::Failed(format!("{}: {error}", self.settings.folder.display()));
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.settings.folder).map_err(in_folder)?;
        let bounded = tokio::time::timeout(START_TIME_MAX, self.start(&library)).await;
        bounded.unwrap_or_else(|_| Err(State::Failed(format!("it did not answer within {START_TIME_MAX:?}"))))
    }

    async fn start(&self, library: &Path) -> Result<Held, State> {
        let failed = |error: io::Error| State::Failed(format!("{}: {error}", self.settings.folder.display()));
        let lock = private_file(&self.settings.folder.join(SPAWN_LOCK_NAME)).map_err(failed)?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                // Another gateway is starting it: its store will be ours, too.
                Err(TryLockError::WouldBlock) => tokio::time::sleep(START_POLL).await,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if let Ok(lease) = take_lease(&self.socket).await {
                return Ok(Held { lease, child: None });
            }
        }
        if let Ok(lease) = take_lease(&self.socket).await {
            return Ok(Held { lease, child: None });
        }
        let mut child = self.spawn(&absolute(library)).map_err(failed)?;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                    return Err(State::Failed(format!("{status}: {}", self.log_tail())));
                }
                () = tokio::time::sleep(START_POLL) => {}
            }
            if let Ok(lease) = take_lease(&self.socket).await {
                return Ok(Held { lease, child: Some(child) });
            }
        }
    }

    /// Starts the process: no input, output to its log, a process group of its own so that a terminal's Ctrl-C stops
    /// the gateway first, and an empty environment, since ours may hold credentials.
    fn spawn(&self, library: &Path) -> io::Result<Child> {
        let log = self.open_log()?;
        let mut command = Command::new(&self.program.executable);
        command
            .arg("usage-store")
            .args([Path::new("--folder"), &self.settings.folder, Path::new("--libchdb"), library])
            .args(["--memory-bytes-max".to_owned(), self.settings.memory_bytes_max.to_string()])
            .args(["--lease-grace-ms".to_owned(), engine::LEASE_GRACE.as_millis().to_string()])
            .env_clear()
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/")
            .process_group(0);
        if let Some((address, password)) = &self.settings.loopback {
            command.args(["--loopback".to_owned(), address.to_string()]);
            command.env(PASSWORD_VARIABLE, password.expose());
        }
        command.spawn()
    }

    fn open_log(&self) -> io::Result<File> {
        let path = self.settings.folder.join(LOG_NAME);
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            fs::rename(&path, path.with_extension("log.1"))?;
        }
        File::options().create(true).append(true).mode(0o600).open(path)
    }

    /// The log's last lines, for the operator.
    fn log_tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut log = File::open(self.settings.folder.join(LOG_NAME))?;
            let length = i64::try_from(log.metadata()?.len()).unwrap_or(i64::MAX);
            log.seek(SeekFrom::End(-length.min(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            log.take(LOG_TAIL_BYTES.unsigned_abs()).read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).trim().to_owned())
        };
        read().unwrap_or_default()
    }
}

impl Held {
    /// Waits for the store's end and says what is known of it.
    async fn ended(mut self) -> String {
        let mut bytes = [0; 64];
        // The store sends nothing more; whatever comes, an end of the stream is the end of the store.
        while matches!(self.lease.read(&mut bytes).await, Ok(length) if length > 0) {}
        match &mut self.child {
            None => "another gateway's store ended".to_owned(),
            Some(child) => match tokio::time::timeout(LEASE_TIME_MAX, child.wait()).await {
                Ok(Ok(status)) => format!("it ended with {status}"),
                _ => "it closed the lease".to_owned(),
            },
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn private_file(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Asks for a lease: a request whose answer never ends while both sides live.
async fn take_lease(socket: &Path) -> io::Result<UnixStream> {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"GET /lease HTTP/1.1\r\nHost: usage-store\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        if &status == b"HTTP/1.1 200" { Ok(stream) } else { Err(io::Error::other("no lease")) }
    };
    tokio::time::timeout(LEASE_TIME_MAX, ask).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> settings::Embedded {
        settings::Embedded { folder: folder.to_owned(), libchdb: None, memory_bytes_max: 1 << 30, loopback: None }
    }

    async fn state_of(program: Program, settings: &settings::Embedded) -> State {
        let tasks = Tasks::new();
        let embedded = Embedded::start(settings, program, &tasks);
        assert_eq!(embedded.state(), State::Starting);
        let mut states = embedded.states();
        let state = states.wait_for(|state| *state != State::Starting).await.unwrap().clone();
        drop(embedded);
        assert!(tasks.drain(Duration::from_secs(5)).await, "dropping the handle ends its task");
        state
    }

    #[tokio::test]
    async fn without_the_library_the_state_names_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program { executable: "/bin/true".into(), library_folders: vec![folder.path().to_owned()] };
        let state = state_of(program, &settings(folder.path())).await;
        assert!(matches!(state, State::Missing(_)), "{state:?}");
        assert!(state.to_string().contains("make setup"), "{state}");
    }

    #[tokio::test]
    async fn a_store_that_ends_at_once_is_reported_with_its_status() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(library::FILE_NAME), "").unwrap();
        let program = Program { executable: "/bin/false".into(), library_folders: vec![folder.path().to_owned()] };
        let state = state_of(program, &settings(folder.path())).await;
        assert!(state.to_string().contains("exit status: 1"), "{state}");
    }

    #[tokio::test]
    async fn a_large_log_is_set_aside_when_the_store_starts() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join(LOG_NAME);
        File::create(&log).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        let program = Program { executable: "/bin/false".into(), library_folders: vec![] };
        let keeper = Keeper { settings: settings(folder.path()), program, socket: PathBuf::new() };
        drop(keeper.open_log().unwrap());
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        assert_eq!(fs::metadata(folder.path().join("usage-store.log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
