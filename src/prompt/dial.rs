//! What provides connections to providers: a port, since connections are Pingora's.

use crate::exchange::route::Route;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::SocketAddr;

/// A request to a provider.
pub struct Outgoing {
    /// Path and query.
    pub path: String,
    /// All headers but `Host` and the framing.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// Why a provider gave no answer, or only a part of one. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no connection; nothing was sent.
    Unreachable(String),
    /// It was silent for too long.
    Silent(String),
    /// The connection broke, or what came is no HTTP.
    Broken(String),
}

/// Makes connections, and keeps them for later ones.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Sends a `POST` to an address of a provider; gives its answer once that has begun. Dropping the answer ends the
    /// request.
    async fn post(&self, route: &Route, address: SocketAddr, request: Outgoing) -> Result<Box<dyn Incoming>, NoAnswer>;
}

/// An answer that has begun.
#[async_trait]
pub trait Incoming: Send {
    fn status(&self) -> u16;
    fn headers(&self) -> &HeaderMap;
    /// The next piece of the body; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, NoAnswer>;
}
