//! Settings of the usage pipeline and its store.

use crate::base::{clock::Duration, secret::Secret};
use std::{net::SocketAddr, path::PathBuf};

/// Where usage events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// A usage-store process of our own, over a Unix socket in the data folder.
    Embedded(Embedded),
    /// A ClickHouse server or cluster.
    ClickHouse(Server),
}

/// The embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// The engine's folder; the socket, lock and log stand beside its data.
    pub folder: PathBuf,
    /// The engine's library; `None` looks in the usual places.
    pub libchdb: Option<PathBuf>,
    /// The engine's memory in bytes.
    pub memory_bytes_max: u64,
    /// A loopback port for ClickHouse tools, off by default; needs a password.
    pub loopback: Option<(SocketAddr, Secret)>,
}

/// A ClickHouse server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub url: String,
    pub user: String,
    pub password: Option<Secret>,
    /// Set when the tables are spread over a cluster.
    pub cluster: Option<Cluster>,
}

/// A ClickHouse cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// As the servers' configuration calls it.
    pub name: String,
    /// A URL for each shard, in an order that stays: a batch goes to the shard that its token chooses.
    pub shards: Vec<String>,
}

impl Store {
    /// The cluster's name.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::ClickHouse(Server { cluster: Some(cluster), .. }) => Some(&cluster.name),
            _ => None,
        }
    }
}

/// Where events wait on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Shared by all gateways of a machine; each has a folder of its own in it.
    pub folder: PathBuf,
    /// An answer ends only when its event is on the disk.
    pub durable: bool,
    /// Events are brought onto the disk this often …
    pub commit_interval: Duration,
    /// … or when there are so many bytes of them.
    pub commit_bytes: u64,
    /// The bytes of one file.
    pub segment_bytes: u64,
    /// The bytes of all.
    pub bytes_max: u64,
}

/// The usage pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub store: Store,
    /// The database that holds our tables.
    pub database: String,
    /// Events that may wait in memory; more are lost and counted.
    pub queue_events_max: usize,
    /// Where events wait for the store.
    pub spool: Spool,
    /// A batch leaves when it is this old …
    pub flush_interval: Duration,
    /// … or this large.
    pub batch_events_max: usize,
    /// How long rows are kept.
    pub keep_days: u32,
    /// Tags that get a column of their own.
    pub hot_tags: Vec<String>,
    /// Bounds on one statistics query.
    pub query_time_max: Duration,
    pub query_memory_bytes_max: u64,
    pub query_rows_max: u64,
    /// How many queries one key may have under way, and all keys together.
    pub queries_per_key_max: usize,
    pub queries_max: usize,
}

/// Settings that fit a test.
#[cfg(test)]
pub(super) fn sample() -> Settings {
    Settings {
        store: Store::ClickHouse(Server {
            url: "http://127.0.0.1:1".into(),
            user: "default".into(),
            password: None,
            cluster: None,
        }),
        database: "gateway".into(),
        queue_events_max: 1000,
        spool: Spool::default(),
        flush_interval: Duration::from_secs(2),
        batch_events_max: 100,
        keep_days: 400,
        hot_tags: vec!["feature".into()],
        query_time_max: Duration::from_secs(10),
        query_memory_bytes_max: 1 << 30,
        query_rows_max: 1_000_000_000,
        queries_per_key_max: 4,
        queries_max: 6,
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("data/usage"),
            libchdb: None,
            memory_bytes_max: 2 * 1024 * 1024 * 1024,
            loopback: None,
        }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("data/spool"),
            durable: false,
            commit_interval: Duration::from_millis(50),
            commit_bytes: 256 * 1024,
            segment_bytes: 64 * 1024 * 1024,
            bytes_max: 8 * 1024 * 1024 * 1024,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: Store::Embedded(Embedded::default()),
            database: "sociaro".to_owned(),
            queue_events_max: 100_000,
            spool: Spool::default(),
            flush_interval: Duration::from_secs(2),
            batch_events_max: 10_000,
            keep_days: 400,
            hot_tags: vec!["feature".to_owned()],
            query_time_max: Duration::from_secs(30),
            query_memory_bytes_max: 1024 * 1024 * 1024,
            query_rows_max: 1_000_000_000,
            queries_per_key_max: 4,
            queries_max: 6,
        }
    }
}
