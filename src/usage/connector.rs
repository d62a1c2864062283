//! ClickHouse clients: over the embedded store's Unix socket, or to a server. The rest of the program sees no
//! difference.

use super::settings;
use crate::base::clock::Duration;
use hyper::{
    Uri,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::net::UnixStream;

/// Idle connections are dropped well before the store would close them, so that no insert meets a closing one.
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// Never resolved: every connection goes to the socket.
const URL: &str = "http://usage-store";

/// A client of the embedded store.
pub fn embedded(socket: &Path) -> clickhouse::Client {
    let http = legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_TIME_MAX)
        .pool_timer(TokioTimer::new())
        .build(UnixConnector { socket: Arc::from(socket) });
    // On the same machine: compressing would cost more than the bytes.
    clickhouse::Client::with_http_client(http).with_url(URL).with_compression(clickhouse::Compression::None)
}

/// A client of a ClickHouse server.
pub fn server(server: &settings::Server) -> clickhouse::Client {
    let client = clickhouse::Client::default().with_url(&server.url).with_user(&server.user);
    match &server.password {
        Some(password) => client.with_password(password.expose()),
        None => client,
    }
}

/// Connects to one socket, whatever the URL says.
#[derive(Debug, Clone)]
struct UnixConnector {
    socket: Arc<Path>,
}

impl tower_service::Service<Uri> for UnixConnector {
    type Response = UnixConnection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<UnixConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = Arc::clone(&self.socket);
        Box::pin(async move { Ok(UnixConnection(TokioIo::new(UnixStream::connect(&*socket).await?))) })
    }
}

/// A Unix stream with what hyper's client wants to know of a connection.
#[derive(Debug)]
struct UnixConnection(TokioIo<UnixStream>);

impl Connection for UnixConnection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for UnixConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for UnixConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }
}
