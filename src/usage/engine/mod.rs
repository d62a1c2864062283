//! The process behind `sociaro-gateway usage-store`: the ClickHouse engine on one folder, serving ClickHouse's HTTP
//! interface on a private Unix socket and, if asked for, on a loopback port that needs a password.
//!
//! Promises: what an INSERT was answered "200" for survives kill -9; one process a folder; bounded memory, bodies,
//! statements and connections; SIGTERM, SIGINT or the end of the last lease drain it, and it ends with status 0.
//! Leaves out: sessions, users, streamed results (an answer is complete before its first byte leaves), the native
//! protocol. ClickHouse's official clients for Rust, Python and JavaScript work against it.

mod budget;
mod door;
mod encoding;
mod fault;
mod lease;
pub mod library;
mod reply;
mod request;
mod serve;
mod statement;
mod store;

pub use serve::serve;

use crate::base::{clock::Duration, secret::Secret};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The socket's name in the store's folder.
const SOCKET_NAME: &str = "usage-store.sock";

/// How long the store stays after the last lease.
pub const LEASE_GRACE: Duration = Duration::from_secs(10);

/// Bound on one query's time, unless the query sets another.
pub const QUERY_TIME_MAX: Duration = Duration::from_mins(1);

/// What the process is told.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The engine's library, as `library::find` gave it.
    pub library: PathBuf,
    /// The engine's data stands in `data` below it; socket, locks and log stand beside that.
    pub folder: PathBuf,
    /// The engine's memory in bytes; queries get half of it each, caches a quarter together.
    pub memory_bytes_max: u64,
    /// Bound on one query's time, unless the query sets another. Inserts have none.
    pub query_time_max: Duration,
    /// End this long after the last lease; `None` stays until SIGTERM.
    pub lease_grace: Option<Duration>,
    /// A loopback port for ClickHouse tools.
    pub loopback: Option<Loopback>,
}

/// A port for ClickHouse tools on this machine.
#[derive(Debug, Clone)]
pub struct Loopback {
    /// Must be a loopback address.
    pub address: SocketAddr,
    /// Must not be empty. The user's name is `default`.
    pub password: Secret,
    /// Let it write as well; otherwise it reads tables and nothing else.
    pub writes: bool,
}

/// The socket of the store in this folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join(SOCKET_NAME)
}

/// Why the process could not serve.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the usage store's loopback port must have a loopback address such as 127.0.0.1, not {0}")]
    NotLoopback(SocketAddr),
    #[error("the usage store's loopback port needs a password")]
    NoPassword,
    #[error("another usage store has {0} open")]
    InUse(PathBuf),
    #[error("{path}: a Unix socket's path has at most 107 bytes, choose a shorter folder")]
    SocketPath { path: PathBuf },
    #[error("{path}: {source}")]
    Path { path: PathBuf, source: std::io::Error },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Open(#[from] libchdb::OpenError),
    #[error("the engine does not answer: {0}")]
    Engine(String),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
}
