//! Listeners and the server's threads, pools and grace periods.

use crate::base::clock::Duration;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    thread,
};

/// One address that callers connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Port 0 takes a free one; the log line `listening` says which.
    pub address: SocketAddr,
    pub tls: Option<Tls>,
}

/// A listener's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
    /// Offer HTTP/2 by ALPN.
    pub h2: bool,
}

/// Everything of Pingora that an operator tunes; each field is Pingora's own setting of that name unless noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub threads: usize,
    pub work_stealing: bool,
    pub listener_tasks_per_fd: usize,
    pub max_blocking_threads: Option<usize>,
    pub blocking_threads_ttl_seconds: Option<u64>,
    pub upstream_keepalive_pool_size: usize,
    pub upstream_connect_offload_threadpools: Option<usize>,
    pub upstream_connect_offload_thread_per_pool: Option<usize>,
    pub downstream_tls_offload_threadpools: Option<usize>,
    pub downstream_tls_offload_thread_per_pool: Option<usize>,
    pub client_bind_to_ipv4: Vec<String>,
    pub client_bind_to_ipv6: Vec<String>,
    pub ca_file: Option<String>,
    pub grace_period_seconds: u64,
    pub graceful_shutdown_timeout_seconds: u64,
    pub pid_file: Option<String>,
    pub upgrade_sock: Option<String>,
    pub upgrade_sock_connect_accept_max_retries: Option<usize>,
    pub daemon: bool,
    pub error_log: Option<String>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub working_directory: Option<PathBuf>,
    pub fast_timeout_to_tokio_threshold_seconds: Option<u64>,
    /// Requests that one caller's connection may carry; `None` has no bound. Pingora: `keepalive_request_limit`.
    pub requests_per_connection_max: Option<u32>,
    /// How long an idle HTTP/2 connection is kept.
    pub h2_idle_timeout: Option<Duration>,
}

/// The listeners and the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub listeners: Vec<Listener>,
    /// `/healthz`, `/readyz`, `/metrics`; loopback unless said otherwise.
    pub operations: SocketAddr,
    pub server: Server,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            threads: cores(),
            work_stealing: true,
            listener_tasks_per_fd: 1,
            max_blocking_threads: None,
            blocking_threads_ttl_seconds: None,
            upstream_keepalive_pool_size: 512,
            upstream_connect_offload_threadpools: None,
            upstream_connect_offload_thread_per_pool: None,
            downstream_tls_offload_threadpools: None,
            downstream_tls_offload_thread_per_pool: None,
            client_bind_to_ipv4: Vec::new(),
            client_bind_to_ipv6: Vec::new(),
            ca_file: None,
            grace_period_seconds: 600,
            graceful_shutdown_timeout_seconds: 5,
            pid_file: Some("data/gateway.pid".to_owned()),
            upgrade_sock: Some("data/upgrade.sock".to_owned()),
            upgrade_sock_connect_accept_max_retries: None,
            daemon: false,
            error_log: None,
            user: None,
            group: None,
            working_directory: None,
            fast_timeout_to_tokio_threshold_seconds: None,
            requests_per_connection_max: Some(10_000),
            h2_idle_timeout: Some(Duration::from_mins(5)),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listeners: vec![Listener { address: (Ipv4Addr::UNSPECIFIED, 8080).into(), tls: None }],
            operations: (IpAddr::V4(Ipv4Addr::LOCALHOST), 9090).into(),
            server: Server::default(),
        }
    }
}

/// The cores that this process may use (a container's share of them included), at least 1.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
