//! `usage-store`: the process that holds the engine.

use super::error::CliError;
use crate::{
    base::{clock::Duration, secret::Secret},
    usage::{
        embedded::PASSWORD_VARIABLE,
        engine::{self, EngineSettings, Loopback},
    },
};
use std::{net::SocketAddr, path::PathBuf};

/// What the process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct UsageStore {
    /// The store's folder
    #[arg(long)]
    folder: PathBuf,
    /// The engine's library
    #[arg(long)]
    libchdb: PathBuf,
    /// The engine's memory in bytes
    #[arg(long, default_value_t = 2 << 30)]
    memory_bytes_max: u64,
    /// End this many milliseconds after the last gateway has gone; stay when absent
    #[arg(long)]
    lease_grace_ms: Option<u64>,
    /// A loopback address and port for ClickHouse tools
    #[arg(long, requires = "loopback_password")]
    loopback: Option<SocketAddr>,
    /// The password of the loopback port
    #[arg(long, env = PASSWORD_VARIABLE, hide_env_values = true, default_value = "")]
    loopback_password: String,
    /// Let the loopback port write, too
    #[arg(long, requires = "loopback")]
    loopback_writes: bool,
}

/// Serves until SIGTERM, or until nobody holds a lease.
pub(crate) fn run(arguments: UsageStore) -> Result<(), CliError> {
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    let writes = arguments.loopback_writes;
    let password = Secret::new(arguments.loopback_password);
    let settings = EngineSettings {
        library: arguments.libchdb,
        folder: arguments.folder,
        memory_bytes_max: arguments.memory_bytes_max,
        query_time_max: engine::QUERY_TIME_MAX,
        lease_grace: arguments.lease_grace_ms.map(Duration::from_millis),
        loopback: arguments.loopback.map(|address| Loopback { address, password, writes }),
    };
    engine::serve(&settings).map_err(|error| {
        tracing::error!("{error}");
        CliError::Failed(error.to_string())
    })
}
