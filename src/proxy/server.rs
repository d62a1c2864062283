//! From our settings to a Pingora server with its listeners.

use super::{
    gateway::Gateway,
    head_time::HeadTimed,
    settings::{Listener, Settings, Tls},
};
use async_trait::async_trait;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::{TcpSocketOptions, tls::TlsSettings},
    server::{
        ExecutionPhase, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch,
        configuration::{Opt, ServerConf},
    },
    services::listening::Service,
};
use pingora_proxy::http_proxy;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::signal::unix::{SignalKind, signal};

/// Why the server cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum NotServing {
    #[error("cannot reserve a port on {0}: {1}")]
    Port(SocketAddr, rustix::io::Errno),
    #[error("cannot load the certificate or key of the listener {0}: {1}")]
    Certificate(SocketAddr, String),
}

/// A server that is built and not yet running.
pub struct Built {
    pub server: Server,
    /// The addresses that callers connect to, with the ports that were taken for port 0.
    pub addresses: Vec<SocketAddr>,
    /// Holds the ports that were taken until the server listens on them.
    reserved: Vec<OwnedFd>,
}

/// Builds the server. `upgrade` takes the listening sockets over from the process that runs.
///
/// # Errors
/// A port that cannot be had, or a certificate that cannot be read.
pub fn build(settings: &Settings, gateway: Gateway, attempts_max: u8, upgrade: bool) -> Result<Built, NotServing> {
    let options = Opt { upgrade, ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(options, server_conf(settings, attempts_max));
    server.bootstrap();
    let mut http = HttpServerOptions::default();
    // Pingora counts the reuses that follow the first request.
    http.keepalive_request_limit = settings.server.requests_per_connection_max.map(|max| max.saturating_sub(1));
    http.h2_idle_timeout = settings.server.h2_idle_timeout;
    let head_read_max = gateway.gate.settings.head_read_max;
    let mut proxy = http_proxy(&server.configuration, gateway);
    proxy.server_options = Some(http);
    let mut service = Service::new("callers".to_owned(), HeadTimed::new(proxy, head_read_max));
    let mut addresses = Vec::new();
    let mut reserved = Vec::new();
    for listener in &settings.listeners {
        let mut socket_options = TcpSocketOptions::default();
        let mut address = listener.address;
        if address.port() == 0 {
            let (taken, guard) = reserve(address).map_err(|error| NotServing::Port(address, error))?;
            address = taken;
            socket_options.so_reuseport = Some(true);
            reserved.push(guard);
        }
        let tls = listener.tls.as_ref().map(|tls| tls_settings(tls, listener, &server.configuration)).transpose()?;
        match tls {
            Some(tls) => service.add_tls_with_settings(&address.to_string(), Some(socket_options), tls),
            None => service.add_tcp_with_settings(&address.to_string(), socket_options),
        }
        addresses.push(address);
    }
    server.add_service(service);
    Ok(Built { server, addresses, reserved })
}

impl Built {
    /// Runs until a signal ends it and its grace period is over. Sets `draining` when the end begins.
    pub fn run(self, draining: Arc<AtomicBool>) {
        // The reservation has done its work once Pingora listens; it lives as long as the server does no harm.
        let _reserved = self.reserved;
        self.server.run(RunArgs { shutdown_signal: Box::new(Signals { draining }) });
    }
}

/// Whether a server in this phase has told its services to stop; after a hand-over of sockets that is when they are over.
pub fn is_stopping(phase: &ExecutionPhase) -> bool {
    matches!(
        phase,
        ExecutionPhase::ShutdownStarted
            | ExecutionPhase::ShutdownGracePeriod
            | ExecutionPhase::ShutdownRuntimes
            | ExecutionPhase::Terminated
    )
}

/// SIGTERM and SIGINT drain, SIGQUIT hands the listening sockets over and drains.
struct Signals {
    draining: Arc<AtomicBool>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut quit), Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::quit()), signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return ShutdownSignal::FastShutdown;
        };
        let what = tokio::select! {
            _ = quit.recv() => ShutdownSignal::GracefulUpgrade,
            _ = terminate.recv() => ShutdownSignal::GracefulTerminate,
            _ = interrupt.recv() => ShutdownSignal::GracefulTerminate,
        };
        self.draining.store(true, Ordering::Relaxed);
        what
    }
}

pub(super) fn server_conf(settings: &Settings, attempts_max: u8) -> ServerConf {
    let from = &settings.server;
    let mut conf = ServerConf {
        threads: from.threads,
        work_stealing: from.work_stealing,
        listener_tasks_per_fd: from.listener_tasks_per_fd,
        max_blocking_threads: from.max_blocking_threads,
        blocking_threads_ttl_seconds: from.blocking_threads_ttl_seconds,
        upstream_keepalive_pool_size: from.upstream_keepalive_pool_size,
        upstream_connect_offload_threadpools: from.upstream_connect_offload_threadpools,
        upstream_connect_offload_thread_per_pool: from.upstream_connect_offload_thread_per_pool,
        downstream_tls_offload_threadpools: from.downstream_tls_offload_threadpools,
        downstream_tls_offload_thread_per_pool: from.downstream_tls_offload_thread_per_pool,
        client_bind_to_ipv4: from.client_bind_to_ipv4.clone(),
        client_bind_to_ipv6: from.client_bind_to_ipv6.clone(),
        ca_file: from.ca_file.clone(),
        grace_period_seconds: Some(from.grace_period_seconds),
        graceful_shutdown_timeout_seconds: Some(from.graceful_shutdown_timeout_seconds),
        upgrade_sock_connect_accept_max_retries: from.upgrade_sock_connect_accept_max_retries,
        fast_timeout_to_tokio_threshold_seconds: from.fast_timeout_to_tokio_threshold_seconds,
        max_retries: usize::from(attempts_max),
        ..ServerConf::default()
    };
    if let Some(pid_file) = &from.pid_file {
        conf.pid_file.clone_from(pid_file);
    }
    if let Some(upgrade_sock) = &from.upgrade_sock {
        conf.upgrade_sock.clone_from(upgrade_sock);
    }
    conf
}

fn tls_settings(tls: &Tls, listener: &Listener, conf: &ServerConf) -> Result<TlsSettings, NotServing> {
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let mut made = TlsSettings::intermediate(&path(&tls.certificate), &path(&tls.private_key))
        .map_err(|error| NotServing::Certificate(listener.address, error.etype().as_str().to_owned()))?;
    if tls.h2 {
        made.enable_h2();
    }
    made.set_offload_threadpool_from_server_conf(conf);
    Ok(made)
}

/// Takes a free port without listening on it: the socket is bound with `SO_REUSEPORT`, so Pingora can bind it too.
fn reserve(address: SocketAddr) -> Result<(SocketAddr, OwnedFd), rustix::io::Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let guard = socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseport(&guard, true)?;
    bind(&guard, &address)?;
    let taken = SocketAddr::try_from(getsockname(&guard)?)?;
    Ok((taken, guard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_a_real_one_and_nobody_elses() {
        let (first, _first) = reserve("127.0.0.1:0".parse().unwrap()).unwrap();
        let (second, _second) = reserve("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(first.port(), 0);
        assert_ne!(first.port(), second.port());
    }
}
