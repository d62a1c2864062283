//! `listeners`, `operations` and `server` of gateway.yaml: where we listen, and Pingora's own settings.

use super::fields::{Fields, Item};
use crate::{
    base::clock::Duration,
    proxy::settings::{Listener, Server, Settings, Tls, cores},
};
use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

const LISTENERS_MAX: usize = 64;
const SECONDS_PER_DAY: u64 = 86_400;

/// Reads the three parts.
pub(super) fn read(top: &Fields<'_>) -> Settings {
    let default = Settings::default();
    let listeners = match top.elements("listeners", LISTENERS_MAX) {
        Some(items) => listeners(top, &items),
        None => default.listeners,
    };
    let operations = top.section("operations", |f| {
        let Some(item) = f.get("address") else {
            return default.operations;
        };
        let address = item.parsed(ADDRESS_EXPECTED, |text| text.parse().ok()).unwrap_or(default.operations);
        if takes(&listeners, address) {
            item.fault("is the address of a listener too: operations need one of their own");
        }
        address
    });
    if takes(&listeners, operations) && !top.has("operations") {
        top.fault(format!(
            "operations.address is {operations} by default, which a listener has too: change one of them"
        ));
    }
    Settings { listeners, operations, server: top.section("server", server) }
}

fn takes(listeners: &[Listener], address: SocketAddr) -> bool {
    address.port() != 0 && listeners.iter().any(|listener| listener.address == address)
}

fn listeners(top: &Fields<'_>, items: &[Item<'_>]) -> Vec<Listener> {
    if items.is_empty() {
        top.fault("listeners: expected at least one listener");
    }
    let mut seen = HashMap::new();
    let mut listeners = Vec::new();
    for item in items {
        let listener = item.section(|f| {
            let tls = f.raw("tls").and_then(|item| item.section(tls));
            address(f).map(|address| Listener { address, tls })
        });
        let Some(listener) = listener else { continue };
        if let Some(first) = seen.insert(listener.address, item.name().to_owned())
            && listener.address.port() != 0
        {
            item.fault(format!("has the address of {first}"));
        }
        listeners.push(listener);
    }
    listeners
}

const ADDRESS_EXPECTED: &str = "an IP address and a port, such as 0.0.0.0:8080 or [::]:8080 (port 0 takes a free one)";

fn address(f: &Fields<'_>) -> Option<SocketAddr> {
    f.required("address", ADDRESS_EXPECTED)?.parsed(ADDRESS_EXPECTED, |text| text.parse().ok())
}

fn tls(f: &Fields<'_>) -> Option<Tls> {
    let certificate = pem(f, "certificate");
    let private_key = pem(f, "private_key");
    let h2 = f.switch("h2", true);
    Some(Tls { certificate: certificate?, private_key: private_key?, h2 })
}

/// A file that must be there and look like PEM: a server that cannot serve should say so before it starts.
fn pem(f: &Fields<'_>, name: &'static str) -> Option<PathBuf> {
    let item = f.required(name, "the path of a PEM file")?;
    let path = f.path_if_any(name)?;
    match fs::read(&path) {
        Err(error) => item.fault(format!("{} cannot be read: {error}", path.display())),
        Ok(bytes) if memchr::memmem::find(&bytes, b"-----BEGIN ").is_none() => {
            item.fault(format!("{} holds no PEM block", path.display()));
        }
        Ok(_) => return Some(path),
    }
    None
}

fn server(f: &Fields<'_>) -> Server {
    let default = Server::default();
    let threads = match f.whole("threads", 0, 0..=1024) {
        0 => cores(),
        threads => threads,
    };
    let (connect_pools, connect_threads) =
        pools(f, ["upstream_connect_offload_threadpools", "upstream_connect_offload_thread_per_pool"]);
    let (tls_pools, tls_threads) =
        pools(f, ["downstream_tls_offload_threadpools", "downstream_tls_offload_thread_per_pool"]);
    Server {
        threads,
        work_stealing: f.switch("work_stealing", default.work_stealing),
        listener_tasks_per_fd: f.whole("listener_tasks_per_fd", default.listener_tasks_per_fd, 1..=64),
        max_blocking_threads: f.whole_if_any("max_blocking_threads", 1..=10_000),
        blocking_threads_ttl_seconds: f.whole_if_any("blocking_threads_ttl_seconds", 1..=SECONDS_PER_DAY),
        upstream_keepalive_pool_size: f.whole(
            "upstream_keepalive_pool_size",
            default.upstream_keepalive_pool_size,
            1..=1_000_000,
        ),
        upstream_connect_offload_threadpools: connect_pools,
        upstream_connect_offload_thread_per_pool: connect_threads,
        downstream_tls_offload_threadpools: tls_pools,
        downstream_tls_offload_thread_per_pool: tls_threads,
        client_bind_to_ipv4: addresses(f, "client_bind_to_ipv4", IpAddr::is_ipv4),
        client_bind_to_ipv6: addresses(f, "client_bind_to_ipv6", IpAddr::is_ipv6),
        ca_file: pem_if_any(f, "ca_file"),
        grace_period_seconds: f.whole("grace_period_seconds", default.grace_period_seconds, 0..=SECONDS_PER_DAY),
        graceful_shutdown_timeout_seconds: f.whole(
            "graceful_shutdown_timeout_seconds",
            default.graceful_shutdown_timeout_seconds,
            0..=3600,
        ),
        pid_file: path(f, "pid_file", default.pid_file.as_deref()),
        upgrade_sock: path(f, "upgrade_sock", default.upgrade_sock.as_deref()),
        upgrade_sock_connect_accept_max_retries: f.whole_if_any("upgrade_sock_connect_accept_max_retries", 1..=600),
        daemon: f.switch("daemon", default.daemon),
        error_log: path(f, "error_log", None),
        user: f.text_if_any("user", "a user's name"),
        group: f.text_if_any("group", "a group's name"),
        working_directory: f.path_if_any("working_directory"),
        fast_timeout_to_tokio_threshold_seconds: f
            .whole_if_any("fast_timeout_to_tokio_threshold_seconds", 1..=SECONDS_PER_DAY),
        requests_per_connection_max: unless_zero(f.whole(
            "requests_per_connection_max",
            default.requests_per_connection_max.unwrap_or(0),
            0..=1_000_000_000,
        )),
        h2_idle_timeout: unless_zero(f.seconds(
            "h2_idle_timeout_seconds",
            default.h2_idle_timeout.unwrap_or(Duration::ZERO),
            0..=SECONDS_PER_DAY,
        )),
    }
}

/// 0 in the file means that there is no bound.
fn unless_zero<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Two settings of which Pingora takes none or both.
fn pools(f: &Fields<'_>, [pools, threads]: [&'static str; 2]) -> (Option<usize>, Option<usize>) {
    let both = (f.whole_if_any(pools, 1..=1024), f.whole_if_any(threads, 1..=1024));
    if f.has(pools) != f.has(threads) {
        f.fault(format!("{pools} and {threads} go together: set both or none"));
    }
    both
}

fn addresses(f: &Fields<'_>, name: &'static str, family: fn(&IpAddr) -> bool) -> Vec<String> {
    let items = f.elements(name, 256).unwrap_or_default();
    let parse = |text: &str| text.parse::<IpAddr>().ok().filter(family).map(|address| address.to_string());
    items.iter().filter_map(|item| item.parsed("an IP address of that family, without a port", parse)).collect()
}

fn path(f: &Fields<'_>, name: &'static str, default: Option<&str>) -> Option<String> {
    let path = match default {
        Some(default) => Some(f.path(name, Path::new(default))),
        None => f.path_if_any(name),
    };
    path.and_then(|path| path.into_os_string().into_string().ok())
}

fn pem_if_any(f: &Fields<'_>, name: &'static str) -> Option<String> {
    f.get(name)?;
    pem(f, name).and_then(|path| path.into_os_string().into_string().ok())
}
