//! The life of the process: lock, open, listen, serve, drain.

use super::{
    EngineError, EngineSettings, Loopback,
    budget::{self, Budget},
    door::Door,
    lease::Leases,
    socket,
    store::Store,
};
use crate::base::{clock::Duration, tasks::Tasks};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use libchdb::Engine;
use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// Held by the process for as long as it has the folder open.
const LOCK_NAME: &str = "engine.lock";
const DATA_NAME: &str = "data";
/// `sun_path` with its closing NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Statements at once: gateways, and tools on the loopback port.
const GATEWAY_SLOTS: usize = 8;
const LOOPBACK_SLOTS: usize = 4;
/// Connections at once for each door; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// A request's head: time to arrive (also the longest idle time of a connection) and size.
const HEAD_TIME_MAX: Duration = Duration::from_mins(1);
const HEAD_BYTES_MAX: usize = 128 << 10;
/// How long statements may take to end once the store stops, and again once they have been cancelled.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);
const CANCEL_TIME_MAX: Duration = Duration::from_secs(5);
/// A pause when the system has no descriptors left, instead of a hot loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until SIGTERM, SIGINT or the end of the last lease. Blocks; call it from a thread without a runtime.
///
/// # Errors
/// When it cannot start. Once it serves it ends well.
pub fn serve(settings: &EngineSettings) -> Result<(), EngineError> {
    let loopback = settings.loopback.as_ref().map(check_loopback).transpose()?;
    let socket = socket(&settings.folder);
    if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(EngineError::SocketPath { path: socket });
    }
    prepare_folder(&settings.folder)?;
    let _lock = lock(&settings.folder)?;
    if let Err(error) = rustix::process::nice(5) {
        tracing::debug!(%error, "the usage store keeps its priority");
    }
    let engine = Engine::open(&settings.library, &settings.folder.join(DATA_NAME), &server_settings(settings))?;
    let library = engine.version();
    let query_memory_bytes_max = settings.memory_bytes_max / 2;
    let store = Store::new(engine, settings.query_time_max, query_memory_bytes_max)
        .map_err(|fault| EngineError::Engine(fault.message))?;
    tracing::info!(libchdb = library, clickhouse = store.version, "usage store opened");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(GATEWAY_SLOTS + LOOPBACK_SLOTS + 2)
        .thread_name("usage-store")
        .enable_all()
        .build()
        .map_err(EngineError::Runtime)?;
    let served = runtime.block_on(run(Arc::new(store), settings, loopback, &socket));
    // A statement that outlived the drain is not waited for: it was never acknowledged.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

fn check_loopback(loopback: &Loopback) -> Result<&Loopback, EngineError> {
    if !loopback.address.ip().is_loopback() {
        return Err(EngineError::NotLoopback(loopback.address));
    }
    if loopback.password.expose().is_empty() {
        return Err(EngineError::NoPassword);
    }
    Ok(loopback)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Path { path, source }
}

/// Only the gateway's user may enter the folder, whoever made it.
fn prepare_folder(folder: &Path) -> Result<(), EngineError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(at(folder))
}

fn lock(folder: &Path) -> Result<File, EngineError> {
    let path = folder.join(LOCK_NAME);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EngineError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(EngineError::Path { path, source }),
    }
}

/// Without these the engine takes 90 % of the machine's memory and 5 GiB for one cache.
fn server_settings(settings: &EngineSettings) -> [(&'static str, String); 8] {
    let eighth = (settings.memory_bytes_max / 8).to_string();
    let small = (settings.memory_bytes_max / 64).to_string();
    [
        ("max_server_memory_usage", settings.memory_bytes_max.to_string()),
        ("mark_cache_size", eighth.clone()),
        ("primary_index_cache_size", eighth),
        ("uncompressed_cache_size", "0".to_owned()),
        ("index_mark_cache_size", small.clone()),
        ("query_condition_cache_size", small),
        ("background_pool_size", "2".to_owned()),
        ("background_schedule_pool_size", "8".to_owned()),
    ]
}

async fn run(
    store: Arc<Store>,
    settings: &EngineSettings,
    loopback: Option<&Loopback>,
    socket: &Path,
) -> Result<(), EngineError> {
    let (stop, tasks) = (CancellationToken::new(), Tasks::new());
    let memory = Budget::new(budget::BYTES_MAX);
    let leases = Leases::new(stop.clone());
    let door = |slots, password, reader, leases| Door {
        store: Arc::clone(&store),
        password,
        reader,
        slots: Arc::new(Semaphore::new(slots)),
        budget: memory.clone(),
        leases,
    };
    if let Some(loopback) = loopback {
        let in_listen = |source| EngineError::Listen { address: loopback.address, source };
        let listener = TcpListener::bind(loopback.address).await.map_err(in_listen)?;
        let address = listener.local_addr().map_err(in_listen)?;
        tracing::info!(%address, writes = loopback.writes, "usage store listens for ClickHouse tools");
        let door = door(LOOPBACK_SLOTS, Some(loopback.password.clone()), !loopback.writes, None);
        tasks.spawn(listen(Listener::Tcp(listener), Arc::new(door), stop.clone(), tasks.clone()));
    }
    let listener = bind(socket)?;
    tracing::info!(socket = %socket.display(), "usage store serves");
    let door = door(GATEWAY_SLOTS, None, false, Some(leases.clone()));
    tasks.spawn(listen(Listener::Unix(listener), Arc::new(door), stop.clone(), tasks.clone()));

    let why = ending(&leases, settings.lease_grace).await.map_err(EngineError::Runtime)?;
    tracing::info!(why, "usage store stops");
    // Nobody new finds the socket; who is connected ends what is under way.
    if let Err(error) = fs::remove_file(socket) {
        tracing::warn!(%error, "the socket could not be removed");
    }
    stop.cancel();
    let mut drained = tasks.drain(DRAIN_TIME_MAX).await;
    if !drained {
        tracing::warn!("statements are still running and will be cancelled");
        if let Err(fault) = store.cancel_all() {
            tracing::warn!(error = fault.message, "they cannot be cancelled");
        }
        drained = tasks.drain(CANCEL_TIME_MAX).await;
    }
    tracing::info!(drained, "usage store stopped");
    Ok(())
}

/// Waits for the reason to stop.
async fn ending(leases: &Leases, grace: Option<Duration>) -> io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let lease_end = async {
        match grace {
            Some(grace) => leases.expired(grace).await,
            None => std::future::pending().await,
        }
    };
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        () = lease_end => "the last gateway has gone",
    })
}

/// The private socket. A file left by a killed process is removed: the lock says that nobody serves it.
fn bind(socket: &Path) -> Result<UnixListener, EngineError> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(socket)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(at(socket))?;
    fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(at(socket))?;
    Ok(listener)
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

async fn listen(listener: Listener, door: Arc<Door>, stop: CancellationToken, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accept = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok(stream) => {
                    let connection = converse(stream, Arc::clone(&door), stop.clone());
                    tasks.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "usage store cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop.cancelled() => {}
    }
}

/// One connection to its end; when the store stops, to the end of the request under way.
async fn converse(stream: Box<dyn Stream>, door: Arc<Door>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { door.answer(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the usage store broke off");
    }
}
